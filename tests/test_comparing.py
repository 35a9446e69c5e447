"""A result beside what is right: what is told of shape, dtype and values, and what is let pass."""

import re

import numpy as np
import pytest

from toeplitz import AvgPool, Conv, MaxPool
from verify.case import Case
from verify.comparing import compare, imprecise
from verify.data import gamma
from verify.judgement import judge_backward, judge_forward
from verify.layers import Norm
from verify.ops import OPS
from verify.rounding import scale_forward, scales_backward
from verify.suspect import Callables, Outcome
from verify.violation import Judgement, Violation

CASE = Case(OPS["conv1d"], Conv((2, 5), (3, 2, 2)), batch=2)
RIGHT = CASE.arrays.y


def never(case):
    raise AssertionError("no other case decides here")


def found(got, case=CASE, what="y", code="CV101", expected=None, algorithm="auto", judge=never):
    expected = case.arrays.y if expected is None else expected
    return compare(case, what, got, expected, code, algorithm, lambda: scale_forward(case), judge)


def told(got, *arguments, **options):
    violation, arithmetic = found(got, *arguments, **options)
    assert arithmetic is None
    return violation and (violation.code, violation.what, violation.note)


def places(violation):
    return violation.where, violation.got, violation.should, violation.wrong, violation.of


# Shape and dtype


def test_another_shape_is_told_before_all_else():
    got = RIGHT[..., 1:].astype("float32")
    note = "{} has shape (2, 3, 3), should be (2, 3, 4)"
    assert told(got) == ("CV102", "y", note.format("y"))
    assert told(got, what="grad_x", code="CV140") == ("CV140", "grad_x", note.format("grad_x"))
    violation, _ = found(got)
    assert (violation.got, violation.should, violation.case) == ((2, 3, 3), (2, 3, 4), CASE)


def test_another_dtype_is_told():
    violation, _ = found(RIGHT.astype("float32"))
    assert violation.what == "y"
    assert told(RIGHT.astype("float32")) == (
        "CV103", "y", "y has dtype float32, should be float64 as its arguments",
    )  # fmt: skip
    assert (violation.got, violation.should, violation.case) == ("float32", "float64", CASE)
    violation, _ = found(RIGHT.astype("float32"), what="grad_x", code="CV140")
    assert (violation.code, violation.what) == ("CV103", "grad_x")


@pytest.mark.parametrize(
    ("dtype", "given", "same"),
    [
        ("int32", "int32", True),
        ("int32", "int64", True),
        ("int32", "int16", False),
        ("int32", "float64", False),
        ("float32", "float64", False),
        ("float32", "complex64", False),
        ("float32", "int32", False),
        ("float64", ">f8", False),
        ("complex64", "complex64", True),
    ],
)
def test_integers_may_be_wider_and_nothing_else(dtype, given, same):
    case = CASE.but(dtype=dtype)
    with np.errstate(all="ignore"):
        violation, arithmetic = found(case.arrays.y.astype(given), case)
    assert (violation is None) is same
    assert arithmetic == ("direct" if same else None)


def test_indices_are_any_integers():
    case = Case(OPS["max_pool1d"], MaxPool((1, 4), (2,)))
    expected = case.arrays.further[0]
    for dtype in ("int64", "int32", "uint8"):
        got = expected.astype(dtype)
        assert compare(case, "indices", got, expected, "CV106") == (None, "direct")
        violation, _ = compare(case, "indices", got + 1, expected, "CV106")
        assert (violation.case, violation.what) == (case, "indices")
        assert violation.code == "CV106"
    violation, _ = compare(case, "indices", expected.astype("float32"), expected, "CV106")
    assert violation.code == "CV103"


# Values


def test_what_is_right_is_direct():
    assert found(RIGHT) == (None, "direct")
    case = CASE.but(data="inf", at=(0,))
    assert found(case.arrays.y, case) == (None, "direct")


def test_bfloat16_is_compared_by_its_values():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    case = CASE.but(dtype="bfloat16")
    assert found(case.arrays.y.astype(ml_dtypes.bfloat16), case) == (None, "direct")
    wrong = (case.arrays.y + 1).astype(ml_dtypes.bfloat16)
    assert found(wrong, case)[0].code == "CV101"
    assert found(case.arrays.y.astype("float32"), case)[0].code == "CV103"


def test_the_default_is_any_arithmetic():
    assert compare(CASE, "y", RIGHT + 1e-13, RIGHT, "CV101", scale=lambda: scale_forward(CASE),
                   judge=never) == (None, "fft")  # fmt: skip


def test_a_wrong_value_is_told_at_its_first_place():
    got = RIGHT.copy()
    got[1, 0, 2] += 1
    got[1, 2, 3] -= 0.25  # which a fast algorithm's rounding could be, and is not told
    violation, _ = found(got, judge=never)
    assert violation.code == "CV101"
    assert places(violation) == ((1, 0, 2), got[1, 0, 2], RIGHT[1, 0, 2], 1, 24)
    violation, _ = found(got, algorithm="direct")
    assert violation.wrong == 2


def test_half_a_unit_is_a_mistake_and_less_may_be_none():
    got = RIGHT + 1e-13
    got[0, 1, 1] = RIGHT[0, 1, 1] + 0.5
    assert places(found(got)[0]) == ((0, 1, 1), got[0, 1, 1], RIGHT[0, 1, 1], 1, 24)
    small = RIGHT + 1e-13
    assert found(small) == (None, "fft")
    assert found(small, algorithm="fft") == (None, "fft")
    assert found(small, algorithm="winograd") == (None, "winograd")
    violation, _ = found(small, algorithm="direct")
    assert (violation.code, violation.wrong) == ("CV101", 24)
    violation, _ = found(RIGHT + 0.25)  # more than any bound here, all wrong
    assert violation.wrong == 24


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_wrong(odd):
    got = RIGHT.copy()
    got[0, 0, 1] = odd
    violation, _ = found(got)
    assert violation.where == (0, 0, 1)
    assert violation.wrong == 1


def test_data_that_round_are_told_where_they_are_off_by_more():
    case = CASE.but(data="rounding")
    got = case.arrays.y * (1 + 2.0**-52)
    assert found(got, case)[0] is None
    got[0, 2, 1] += 1e-3
    violation, _ = found(got, case)
    assert (violation.code, violation.case, violation.what) == ("CV101", case, "y")
    assert places(violation)[0] == (0, 2, 1)
    assert (violation.wrong, violation.of) == (1, 24)
    assert re.match(r"^off by 0\.001, where rounding explains at most \d\S*e-\d+$", violation.note)
    got[0, 2, 1] = np.nan
    violation, _ = found(got, case)
    assert (violation.where, violation.note) == ((0, 2, 1), "")
    violation, _ = found(got, case, what="grad_x", code="CV140")
    assert violation.what == "grad_x"


def test_long_sums_may_round_in_float32_only():
    # Fast algorithms in float32 round these sums by more than a half.
    for dtype, passes in (("float32", True), ("float64", False)):
        case = Case(OPS["conv2d"], Conv((3, 6, 6), (2, 3, 3, 3)), dtype=dtype, data="long sums")
        got = case.arrays.y.astype(dtype)
        got[0, 0, 0, 0] += 1

        def other(case):
            return Judgement(Outcome("value"), Violation("CV101", case))

        violation, seen = found(got, case, judge=other)
        assert (violation is None) is passes
        assert seen == ("direct" if passes else None)


# Layers without weights


POOL = Case(OPS["avg_pool1d"], AvgPool((2, 6), (3,)), batch=2, data="rounding")


def test_a_layer_without_weights_may_be_off_by_its_bound():
    y, most = POOL.arrays.y, POOL.arrays.bound("y")
    assert found(y, POOL) == (None, "direct")
    assert found(y + 0.75 * most, POOL) == (None, "direct")
    got = y.copy()
    got[1, 0, 1] -= 1.5 * most[1, 0, 1] + 1e-15
    violation, arithmetic = found(got, POOL)
    assert arithmetic is None
    assert (violation.code, violation.case, violation.what) == ("CV101", POOL, "y")
    assert places(violation) == ((1, 0, 1), got[1, 0, 1], y[1, 0, 1], 1, y.size)
    far = y.copy()
    far[1, 0, 1] += 0.5
    note = f"off by 0.5, where rounding explains at most {most[1, 0, 1]:.3g}"
    assert found(far, POOL)[0].note == note
    assert found(far, POOL.but(data="integers"))[0].note != note
    grad = POOL.arrays.gradients[0]
    off = grad + 0.75 * POOL.arrays.bound("grad_x")
    assert found(off, POOL, "grad_x", "CV140", grad) == (None, "direct")
    violation, _ = found(grad + 1, POOL, "grad_x", "CV140", grad)
    assert (violation.code, violation.what) == ("CV140", "grad_x")


def test_a_nan_that_a_layer_without_weights_hides_is_told_as_such():
    case = POOL.but(data="nan", at=(0,))
    with np.errstate(invalid="ignore"):
        hidden = np.nan_to_num(case.arrays.y)
    assert found(hidden, case)[0].code == "CV160"


def test_what_is_moved_is_off_by_nothing():
    case = Case(OPS["max_pool1d"], MaxPool((1, 4), (2,)))
    assert found(case.arrays.y, case) == (None, "direct")
    got = case.arrays.y.copy()
    got[0, 0, 1] *= 1 + 2.0**-52
    violation, _ = found(got, case)
    assert (violation.code, violation.where, violation.wrong) == ("CV101", (0, 0, 1), 1)


def test_statistics_of_an_infinity_may_be_anything_and_those_beside_it_round():
    case = Case(OPS["batch_norm"], Norm((2, 3), True), batch=2, data="inf", at=(0,))
    with np.errstate(invalid="ignore"):
        mean = case.arrays.further[0]
    assert np.isinf(mean).tolist() == [True, False]
    # inf - inf is no reason for a warning
    assert found(mean * (1 + 2.0**-52), case, "new_mean", "CV106", mean) == (None, "direct")
    violation, _ = found(mean + 1, case, "new_mean", "CV106", mean)
    assert (violation.where, violation.wrong) == ((1,), 1)


def test_infinities_are_subtracted_without_a_warning():
    for case in (POOL, CASE):
        y = case.arrays.y.copy()
        y[0, 0, 0] = np.inf
        violation, _ = found(-y, case, expected=y)
        assert violation.where == (0, 0, 0)
        violation, _ = found(np.full_like(y, -1.5e308), case, expected=np.full_like(y, 1.5e308))
        assert violation.wrong == y.size


def test_memory_that_was_never_written_is_wrong_without_a_warning():
    # A NaN that signals, as what is no number at all may: to compute with it is invalid.
    nan = np.full(RIGHT.shape, 0x7FF0000000000001, np.uint64).view(np.float64)
    for done in ("warn", "raise"):
        with np.errstate(all=done):
            assert told(nan) == ("CV101", "y", "")


def test_long_sums_are_exact_in_float64():
    case = Case(OPS["conv2d"], Conv((3, 6, 6), (2, 3, 3, 3)), data="long sums")
    for algorithm, seen in (("direct", None), ("auto", "fft")):
        assert found(case.arrays.y + 1e-6, case, algorithm=algorithm, judge=never)[1] == seen


# Another case decides


LARGE = Case(OPS["conv2d"], Conv((9, 40, 40), (2, 9, 3, 3), padding=1), dtype="float32")


def off_by_one(case):
    got = case.arrays.y.astype(case.dtype)
    got[0, 0, 0, 0] += 1
    return got


def answering(*answers):
    """A judge that answers in turn, and what it was asked."""
    asked, left = [], list(answers)

    def judge(case):
        asked.append(case)
        return left.pop(0)

    return judge, asked


NO_ANSWER = Judgement(Outcome("unsupported"))
FINE = Judgement(Outcome("value"), None, "winograd")
WRONG = Judgement(Outcome("value"), Violation("CV101", LARGE))


def test_a_unit_that_rounding_allows_is_decided_in_a_wider_dtype_or_on_smaller_numbers():
    got = off_by_one(LARGE)
    wider, signs = LARGE.but(dtype="float64"), LARGE.but(data="signs")
    for answers, seen, cases in (
        ((FINE,), "winograd", [wider]),
        ((WRONG,), None, [wider]),
        ((NO_ANSWER, FINE), "winograd", [wider, signs]),
        ((NO_ANSWER, WRONG), None, [wider, signs]),
        ((NO_ANSWER, NO_ANSWER), "fft", [wider, signs]),  # nothing is proved
    ):
        judge, asked = answering(*answers)
        violation, arithmetic = found(got, LARGE, judge=judge)
        assert asked == cases
        assert arithmetic == seen
        assert (violation is None) is (seen is not None)


def test_signs_are_asked_in_a_wider_dtype_alone():
    judge, asked = answering(NO_ANSWER)
    signs = LARGE.but(data="signs", layer=Conv((99, 60, 60), (2, 99, 3, 3)))
    assert found(off_by_one(signs), signs, judge=judge) == (None, "fft")
    assert asked == [signs.but(dtype="float64")]


# Halves


HALF = Case(OPS["conv2d"], Conv((9, 4, 4), (1, 9, 3, 3)), dtype="float16", data="half sums")


def of_float32(change):
    def f(x, w):
        y = Conv(x.shape[1:], w.shape).apply(x.astype(float), w.astype(float))
        return change(y, x.dtype).astype(x.dtype)

    return Callables(f)


def test_sums_of_halves_may_be_off_by_what_float32_is_off_and_one_rounding():
    y = HALF.arrays.y
    off = np.spacing(y.astype("float16"))[0, 0, 0, 0]  # two numbers of float16 apart
    exact = of_float32(lambda y, dtype: y)
    assert judge_forward(exact, HALF).violation is None
    far = of_float32(lambda y, dtype: y + 2 * off * (dtype == np.float16))
    violation = judge_forward(far, HALF).violation
    assert (violation.code, violation.case, violation.what) == ("CV101", HALF, "y")
    assert violation.note.endswith("this is off by 4, so sums were rounded on the way")
    assert violation.wrong == y.size
    both = of_float32(lambda y, dtype: y + 2 * off)
    assert judge_forward(both, HALF).violation is None
    infinite = of_float32(lambda y, dtype: y + (off if dtype == np.float16 else np.inf))
    assert judge_forward(infinite, HALF).violation.code == "CV101"
    shape = of_float32(lambda y, dtype: y + 2 * off if dtype == np.float16 else y[..., :1])
    assert judge_forward(shape, HALF).violation.code == "CV101"


def refused():
    raise NotImplementedError


@pytest.mark.parametrize("answer", [lambda y: refused(), lambda y: (y, y), lambda y: 1 / 0])
def test_where_float32_gives_no_array_halves_may_be_off_by_one_rounding(answer):
    for off, code in ((0, None), (2, "CV101")):

        def f(x, w, off=off):
            y = Conv(x.shape[1:], w.shape).apply(x.astype(float), w.astype(float)) + off
            return y.astype(x.dtype) if x.dtype == np.float16 else answer(y.astype(x.dtype))

        violation = judge_forward(Callables(f), HALF).violation
        assert (violation and violation.code) == code


# NaN and infinities


def test_what_reads_a_nan_must_show_it_and_nothing_else():
    case = CASE.but(data="nan", at=(1,))
    y = case.arrays.y
    assert np.isnan(y).any()
    assert np.isfinite(y).any()
    assert found(y, case) == (None, None)  # NaN is not equal to itself
    assert found(np.where(np.isnan(y), np.inf, y), case) == (None, None)
    wrong = y + 5
    assert found(wrong, case) == (None, None)  # values are compared on other cases
    hidden = np.where(np.isnan(y), 0.0, y)
    violation, _ = found(hidden, case)
    assert (violation.code, violation.wrong) == ("CV160", np.isnan(y).sum())
    assert (violation.case, violation.what) == (case, "y")
    assert found(hidden, case, what="grad_x", expected=y)[0].what == "grad_x"
    spread = y.copy()
    spread[1, 1, 1] = np.nan
    violation, _ = found(spread, case)
    assert (violation.code, violation.where, violation.wrong) == ("CV161", (1, 1, 1), 1)
    assert (violation.case, violation.what) == (case, "y")
    assert found(spread, case, what="grad_x", expected=y)[0].what == "grad_x"
    spread[0, 0, 0] = 3.0 if np.isnan(y[0, 0, 0]) else spread[0, 0, 0]
    assert np.isnan(y[0, 0, 0])
    assert found(spread, case)[0].code == "CV160"  # what is hidden is told first


# Eight bits


def test_off_by_no_more_than_sums_in_eight_bits_is_imprecise():
    scale = scale_forward(CASE)
    most = gamma(scale.terms, 2.0**-8) * scale.magnitude[0, 1, 2]

    def off(by, what="y", where=(0, 1, 2), case=CASE):
        return Violation("CV105", case, what, where, by, 0.0)

    assert imprecise(off(most))
    assert imprecise(off(-most))
    assert not imprecise(Violation("CV105", CASE, "y", (0, 1, 2), -most, most))
    assert not imprecise(off(most * 1.01))
    assert not imprecise(off(0.0, where=None))
    pool = Case(OPS["max_pool1d"], MaxPool((1, 4), (2,)))
    assert not imprecise(off(0.0, case=pool, where=(0, 0, 0)))
    for index, name in enumerate(("grad_x", "grad_w", "grad_b")):
        scale = scales_backward(CASE)[index]
        where = (0,) * scale.magnitude.ndim
        most = gamma(scale.terms, 2.0**-8) * scale.magnitude[where]
        assert imprecise(off(most * 0.99, name, where))
        assert not imprecise(off(most * 1.01, name, where))


# One call


def test_each_gradient_has_its_code_and_its_scale():
    def gradients(change):
        def back(g, x, w):
            return tuple(change(index, one) for index, one in enumerate(
                Conv(x.shape[1:], w.shape).gradients(g, x, w)))  # fmt: skip

        return Callables(never, back)

    right = judge_backward(gradients(lambda index, one: one), CASE)
    assert [judged.arithmetic for judged in right] == ["direct"] * 3
    assert [judged.violation for judged in right] == [None] * 3
    for wrong, code in enumerate(("CV140", "CV141", "CV142")):
        off = gradients(lambda index, one, wrong=wrong: one + (index == wrong))
        judged = judge_backward(off, CASE)
        codes = [one.violation and one.violation.code for one in judged]
        assert codes == [code if index == wrong else None for index in range(3)]
