"""Each law of several calls, kept by a right implementation and broken by one made for it."""

import re
import time
import tracemalloc
from math import prod

import numpy as np
import pytest
from corpus import RIGHT

import verify
from toeplitz import Conv, ConvTranspose, Linear
from verify import laws
from verify.case import Case
from verify.data import DTYPES, exact_limit
from verify.linearity import adjoint, linear_in_w, linear_in_x
from verify.non_finite import not_finite, unread_stays_out
from verify.ops import OPS
from verify.spreading import from_padding
from verify.strategies import Space
from verify.suspect import Callables
from verify.wrong_calls import KINDS, claimed, some, wrong_call_refused

RIGHT = {entry.name: entry for entry in RIGHT}
conv2d = RIGHT["im2col"].forward
backward = RIGHT["backward_by_im2col"].backward
CASE = Case(
    OPS["conv2d"],
    Conv((4, 5, 4), (6, 2, 3, 2), stride=(2, 1), padding=(1, 0), groups=2),
    batch=2,
    bias=True,
    full=True,
)


def call(change, **changed):
    """conv2d with its result, or some of its arguments, changed."""

    def f(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        given = {"x": x, "w": w, "b": b, "stride": stride, "padding": padding,
                 "dilation": dilation, "groups": groups}  # fmt: skip
        given |= {name: how(given) for name, how in changed.items()}
        return change(conv2d(**given))

    return f


def unchanged(y):
    return y


# Linearity


def cut(y, most=2.0**38):
    return np.clip(y, -most, most).astype(y.dtype)


@pytest.mark.parametrize("law", [linear_in_x, linear_in_w])
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex64"])
def test_a_right_implementation_is_linear(law, dtype):
    for seed in (0, 1):
        assert law(Callables(conv2d), CASE.but(dtype=dtype, seed=seed)) is None


def test_what_is_cut_off_is_not_linear():
    suspect = Callables(call(cut))
    for law, code, name in ((linear_in_x, "CV120", "x"), (linear_in_w, "CV121", "w")):
        broken = law(suspect, CASE)
        assert (broken.code, broken.case.bias) == (code, False)
        assert broken.note == f"f(s {name}) / s is not f({name}) with s = 1.09951e+12"
    weights = Callables(call(unchanged, w=lambda given: cut(given["w"], 127)))
    assert linear_in_x(weights, CASE) is None
    assert linear_in_w(weights, CASE).code == "CV121"


def test_linearity_is_not_asked_where_there_is_no_room_for_large_numbers():
    suspect = Callables(call(lambda y: 0 * y + 7))
    for dtype in ("float16", "bfloat16", "int8", "int64"):
        assert linear_in_x(suspect, CASE.but(dtype=dtype)) is None


def clipped(g, x, w, **arguments):
    return tuple(cut(gradient) for gradient in backward(g, x, w, **arguments))


def test_the_backward_pass_is_the_adjoint_of_the_forward_one():
    assert adjoint(Callables(conv2d, backward), CASE) is None
    assert adjoint(Callables(conv2d, backward), CASE.but(dtype="complex128", batch=0)) is None
    assert adjoint(Callables(conv2d, backward), CASE.but(dtype="complex128")) is None
    case = Case(OPS["conv2d"], Conv((1, 1, 1), (1, 1, 1, 1)))
    broken = adjoint(Callables(conv2d, clipped), case)
    assert broken.code == "CV130"
    x, w, g = (getattr(case.arrays, name).item() for name in "xwg")
    left, right = 2**40 * x * w * g, x * 2**38 * np.sign(w * g)
    sentence = f"<f(x), 1.09951e+12 g> = {left:g}, <x, grad_x(1.09951e+12 g)> = "
    assert broken.note.startswith(sentence)
    assert abs(float(broken.note[len(sentence) :])) == pytest.approx(
        abs(right), rel=1e-5
    )  # six digits


def test_an_adjoint_of_another_forward_pass_is_none():
    forward = call(unchanged, w=lambda given: given["w"][..., ::-1])
    assert adjoint(Callables(forward, backward), CASE).note.startswith("<f(x), g> = ")


@pytest.mark.parametrize(
    ("f", "back", "told"),
    [(call(cut), None, ["CV120"]), (conv2d, clipped, ["CV130"]), (conv2d, backward, [])],
    ids=["outputs cut off", "gradients cut off", "right"],
)
def test_a_run_asks_for_linearity_and_the_adjoint(f, back, told):
    report = verify.check(f, backward=back, max_examples=60)
    found = [finding for finding in report.findings if finding.code not in ("CV160", "CV161")]
    assert [finding.code for finding in found] == told
    for finding in found:
        assert finding.name == "large numbers cut off, or kept in too few bits"
        assert finding.violation.case.layer == Conv((1, 1, 1), (1, 1, 1, 1))
        assert finding.also == (("CV121",) if finding.code == "CV120" else ())


# Wrong calls


def fitting_groups(x, w, groups, **given):
    """The groups, or those that the weights have where they divide nothing."""
    divide = groups and x.shape[1] % groups == 0
    return groups if divide else x.shape[1] // w.shape[1]


LENIENT = {
    "weight channels": {"w": lambda given: given["w"][:, : given["x"].shape[1] // given["groups"]]},
    "input channels": {"x": lambda given: given["x"][:, : given["w"].shape[1] * given["groups"]]},
    "weight axes": {"w": lambda given: given["w"].reshape(*given["w"].shape[:4], -1)[..., 0]},
    "bias": {"b": lambda given: np.resize(given["b"], len(given["w"]))},
    "groups": {"groups": lambda given: fitting_groups(**given)},
    "filters": {"w": lambda given: given["w"][: len(given["w"]) // given["groups"] * 2]},
    "kernel": {"w": lambda given: given["w"][..., :3, :2]},
}
TOLD = {
    "weight channels": "weights of shape (6, 3, 3, 2) for x (2, 4, 5, 4)",
    "input channels": "x of shape (2, 5, 5, 4) for weights (6, 2, 3, 2)",
    "weight axes": "weights of shape (6, 2, 3, 2, 2) for x (2, 4, 5, 4)",
    "bias": "a bias of shape (5,) for 6 output channels",
    "groups": "groups=0 for 4 channels",
    "filters": "weights of shape (7, 2, 3, 2) in 2 groups",
    "kernel": "weights of shape (6, 2, 11, 7) for a padded input of (7, 4)",
}


def about(kind, case=CASE):
    return case.but(wrong=kind, bias=kind != "filters", seed=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_call_that_is_answered_is_told(kind):
    assert wrong_call_refused(Callables(conv2d), about(kind)) is None
    broken = wrong_call_refused(Callables(call(unchanged, **LENIENT[kind])), about(kind))
    assert broken.code == "CV170"
    assert broken.note == f"{TOLD[kind]} gave a result, and should be refused"
    assert broken.case.wrong == kind
    assert Case.from_json(broken.case.to_json()) == broken.case


def test_groups_that_divide_nothing_are_a_wrong_call_too():
    suspect = Callables(call(unchanged, **LENIENT["groups"]))
    broken = wrong_call_refused(suspect, CASE.but(wrong="groups", seed=2))
    assert broken.note.startswith("groups=5 for 4 channels gave")


def test_an_empty_result_is_no_answer():
    def empty(x, w, b=None, **arguments):
        return np.zeros((len(x), len(w), 0, 0))

    for kind in KINDS:
        assert wrong_call_refused(Callables(empty), about(kind)) is None
    assert wrong_call_refused(Callables(lambda *a, **k: np.ones(1)), CASE.but(batch=0)) is None


def test_what_a_case_does_not_show_is_not_asked():
    plain = Case(OPS["conv2d"], Conv((2, 5, 5), (1, 2, 3, 3)))
    assert {kind for kind in KINDS if KINDS[kind](plain)} == {
        "weight channels", "input channels", "weight axes", "kernel",
    }  # fmt: skip
    named = Case(OPS["padded_conv2d"], Conv((2, 5, 5), (1, 2, 3, 3), padding=1), padding="same")
    assert KINDS["kernel"](named) is None  # which fits any kernel
    up = Case(OPS["conv_transpose1d"], ConvTranspose((4, 3), (4, 1, 2), groups=2), bias=True)
    assert {kind for kind in KINDS if KINDS[kind](up)} == {
        "weight channels", "input channels", "weight axes", "groups",
    }  # fmt: skip
    linear = Case(OPS["linear"], Linear(3, 2), bias=True)
    assert {kind for kind in KINDS if KINDS[kind](linear)} == {
        "weight channels", "input channels",
    }  # fmt: skip


def test_each_kind_is_asked_for_some_seed():
    asked = [some(CASE.but(seed=seed, bias=bool(seed % 2))) for seed in range(20)]
    assert all(len(kinds) == 3 for kinds in asked)
    assert {kind for kinds in asked for kind in kinds} == set(KINDS)


def test_only_what_is_claimed_is_asked():
    op = OPS["conv2d"]
    assert all(claimed(Space(op), kind) for kind in KINDS)
    assert not any(claimed(Space(op, predicate=lambda case: True), kind) for kind in KINDS)
    for name, kinds in (("groups", {"groups", "filters"}), ("kernel", {"kernel"})):
        space = Space(op, {name: (1,)})
        assert {kind for kind in KINDS if not claimed(space, kind)} == kinds


def test_one_channel_that_is_claimed_by_a_function_is_enough():
    def valid(x, w):
        if not len(x):
            return np.zeros((0, 1, x.shape[2] - w.shape[2] + 1), x.dtype)
        return np.stack([[np.correlate(item[0], w[0, 0], "valid")] for item in x])

    def one(case):
        channels, taps = case.layer.weight_shape[1:]
        return case.layer.output_shape[0] == channels == 1 and taps <= case.layer.input_shape[1]

    verify.assert_conforms(valid, "conv1d", supports=one, max_examples=100)


@pytest.mark.parametrize("kind", ["bias", "groups", "kernel"])
def test_a_run_asks_for_wrong_calls(kind):
    def lenient(given, name):
        try:
            conv2d(**given)
        except ValueError:
            return LENIENT[kind][name](given)
        return given[name]

    changed = {name: lambda given, name=name: lenient(given, name) for name in LENIENT[kind]}
    report = verify.check(call(unchanged, **changed))
    assert [finding.code for finding in report.findings] == ["CV170"], str(report)
    assert report.findings[0].violation.case.wrong == kind
    assert "impulse" not in str(report)


def test_wrong_calls_that_are_answered_do_not_end_the_run():
    def lenient(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        width = min(x.shape[1] // groups, w.shape[1])
        try:
            return conv2d(
                x[:, : width * groups], w[:, :width], b, stride, padding, dilation, groups
            )
        except ValueError:
            return np.ones(1)

    report = verify.check(lenient)
    assert [finding.code for finding in report.findings] == ["CV170"], str(report)
    assert report.cases > 500


# NaN and infinities


def dense(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """A product with all zeros of the matrix: 0 * inf is NaN."""
    layer = Conv(x.shape[1:], w.shape, stride, padding, dilation, groups)
    with np.errstate(invalid="ignore"):
        y = x.reshape(len(x), prod(x.shape[1:])) @ layer.matrix(w, "dense").T
    return y.reshape(len(x), *layer.output_shape) + (0 if b is None else b[:, None, None])


def masked(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Cells in the padding are others, times zero."""
    ph, pw = (padding, padding) if isinstance(padding, int) else padding
    around = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), mode="wrap")
    mask = np.pad(np.ones_like(x), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    return conv2d(around * mask, w, b, stride, 0, dilation, groups)


GAPS = Case(OPS["conv2d"], Conv((1, 4, 5), (1, 1, 2, 1), stride=(2, 3)))  # columns 1, 2, 4 unread
PADDED = Case(OPS["conv2d"], Conv((1, 4, 4), (1, 1, 2, 2), padding=1))


@pytest.mark.parametrize("seed", range(6))
def test_a_right_implementation_keeps_and_does_not_spread(seed):
    for case in (CASE, GAPS, PADDED):
        for law in (not_finite, unread_stays_out):
            assert law(Callables(conv2d), case.but(seed=seed)) is None


def test_what_takes_a_nan_for_zero_is_seen():
    suspect = Callables(call(unchanged, x=lambda given: np.nan_to_num(given["x"], neginf=0)))
    assert not_finite(suspect, CASE).code == "CV160"
    only = Callables(call(unchanged, x=lambda given: np.maximum(given["x"], -1e300)))
    assert {not_finite(only, PADDED.but(seed=s)) is None for s in (0, 1)} == {True, False}  # -inf


def test_an_infinity_that_only_padding_meets_stays_out():
    with np.errstate(invalid="ignore"):
        broken = not_finite(Callables(masked), PADDED)
        assert broken.code == "CV161"
        assert from_padding(Callables(masked), broken.case)
        broken = not_finite(Callables(dense), PADDED)
        assert broken.code == "CV161"
        assert not from_padding(Callables(dense), broken.case)  # it spreads without padding too


def test_a_cell_that_no_window_reads_matters_to_who_claims_direct_sums():
    broken = unread_stays_out(Callables(dense), GAPS)
    assert broken.code == "CV161"
    assert broken.case.at[0] % 5 in (1, 2, 4)
    again = not_finite(Callables(dense), broken.case)  # as a replay asks
    assert (again.code, again.case) == (broken.code, broken.case)
    for algorithm, codes in (("auto", []), ("direct", ["CV161"])):
        report = verify.check(dense, algorithm=algorithm, max_examples=60, dtypes=("float64",))
        found = [f.code for f in report.findings if f.code not in ("CV103", "CV105", "CV170")]
        assert found == codes, str(report)


# Dtypes


@pytest.mark.parametrize("op", ["conv2d", "conv_transpose1d", "depthwise_conv2d", "linear"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_sum_is_exact_in_the_dtype(op, dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    layers = {
        "conv2d": Conv((9, 12, 12), (4, 9, 4, 5), padding=2),
        "conv_transpose1d": ConvTranspose((9, 70), (9, 33, 5), stride=2),
        "depthwise_conv2d": Conv((3, 20, 20), (6, 1, 3, 3), groups=3),
        "linear": Linear(300, 200),
    }
    case = Case(OPS[op], layers[op], batch=3, bias=True, dtype=dtype, seed=1)
    x, w, b, g = (abs(getattr(case.arrays, name)) for name in "xwbg")
    largest = [case.layer.apply(x, w, b), *case.layer.gradients(g, x, w)]
    room = exact_limit(dtype)
    assert max(array.max() for array in largest) <= room
    assert case.arrays.w.any()
    assert case.arrays.g.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_right_implementation_is_acquitted_in_every_dtype(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    report = verify.check(conv2d, backward=backward, dtypes=(dtype,), max_examples=40)
    assert report.ok, str(report)
    assert report.cases >= 40


@pytest.mark.parametrize("dtype", ["int8", "bfloat16", "complex64"])
def test_a_mistake_is_found_in_every_dtype(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    report = verify.check(call(np.negative), dtypes=(dtype,), max_examples=40)
    assert [finding.name for finding in report.findings] == ["outputs with the wrong sign"]
    assert report.findings[0].violation.case.dtype == dtype


def test_missing_conjugates_are_named():
    wrong = call(unchanged, w=lambda given: given["w"].conj())
    report = verify.check(wrong, dtypes=("complex64", "complex128"), max_examples=40)
    assert [finding.name for finding in report.findings] == ["weights conjugated"]

    def back(g, x, w, **arguments):
        right = backward(g, x, w, **arguments)
        return (right[0], backward(g, x.conj(), w, **arguments)[1], right[2])

    report = verify.check(conv2d, backward=back, dtypes=("complex64",), max_examples=40)
    assert [finding.name for finding in report.findings] == ["grad_w without the complex conjugate"]


@pytest.mark.parametrize("dtypes", [("float8",), ("float64", "uint8"), (), "float32", (np.int8,)])
def test_other_dtypes_are_refused_in_one_line(dtypes):
    got = [d for d in dtypes if d not in DTYPES] if isinstance(dtypes, tuple) else []
    sentence = (
        f"dtypes must be some of {', '.join(DTYPES)}, in a tuple: got {(got or [dtypes])[0]!r}"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        verify.check(conv2d, dtypes=dtypes)


def test_bfloat16_needs_its_package(monkeypatch):
    monkeypatch.setattr("verify.data.find_spec", lambda name: None)
    sentence = "dtypes has bfloat16, which needs ml_dtypes: pip install ml_dtypes"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        verify.check(conv2d, dtypes=("bfloat16",))


# The run


def test_cases_that_differ_in_layout_share_their_numbers():
    case = CASE.but()
    assert case.but(layout="sliced").arrays.x is not None
    arrays = case.arrays
    assert case.but(layout="sliced", full=False).arrays is arrays
    assert case.but(seed=1).arrays is not arrays
    assert not case.but(layout="sliced").given("x")["x"].flags.c_contiguous


def test_a_run_of_ten_million_cases_ends_when_its_time_does():
    verify.check(conv2d, max_examples=20)
    tracemalloc.start()
    start = time.monotonic()
    report = verify.check(conv2d, max_examples=10**7, time=1)
    seconds, peak = time.monotonic() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.ok
    assert seconds < 10
    assert peak < 30e6  # the largest case has some MB


def test_every_law_by_code_has_a_sentence():
    for code in (*laws.BY_CODE, *laws.BY_CODE_BACKWARD):
        assert code in verify.codes.CODES
