"""Each law of several calls, kept by a right implementation and broken by one made for it."""

import re
import time
import tracemalloc
from math import prod

import numpy as np
import pytest
from corpus import RIGHT

import verify
from toeplitz import Conv, ConvTranspose, Linear, MaxPool
from verify import laws
from verify.case import Case
from verify.data import DTYPES, exact_limit
from verify.linearity import adjoint, linear_in_w, linear_in_x
from verify.non_finite import not_finite, unread_stays_out
from verify.ops import OPS
from verify.spreading import from_padding
from verify.strategies import Space
from verify.suspect import Callables
from verify.wrong_calls import KINDS, LARGEST, claimed, some, wrong_call_refused

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


def large(array):
    return abs(array).max() > 1e6


def off_by(share):
    """conv2d that is off by a share of its scale where the numbers are large."""

    def f(x, w, b=None, **arguments):
        y = conv2d(x, w, b, **arguments)
        return y + share * 2.0**40 * (large(x) or large(w))

    return Callables(f)


@pytest.mark.parametrize(("law", "name"), [(linear_in_x, "x"), (linear_in_w, "w")])
def test_what_is_not_linear_is_told_beside_the_right_value(law, name):
    for share in (0.5, 1.25):
        broken = law(off_by(share), CASE)
        assert broken.should == conv2d(CASE.arrays.x, CASE.arrays.w, **CASE.arguments).flat[0]
        assert broken.got - broken.should == share
        assert (broken.what, broken.where, broken.wrong) == ("y", (0, 0, 0, 0), broken.of)
        assert broken.case == CASE.but(bias=False)
    assert law(off_by(0.49), CASE) is None
    odd = law(off_by(1), CASE.but(seed=1))
    assert odd.note == f"f(s {name}) / s is not f({name}) with s = -1.09951e+12"
    assert odd.got - odd.should == -1


@pytest.mark.parametrize("law", [linear_in_x, linear_in_w, adjoint])
@pytest.mark.parametrize("data", ["nan", "inf", "rounding", "impulses"])
def test_the_laws_of_linearity_have_integers_of_their_own(law, data):
    case = CASE.but(data=data, at=(0, 0))
    assert law(Callables(conv2d, backward), case) is None
    broken = law(Callables(call(cut), clipped), case)
    assert broken.case == CASE.but(at=(0, 0), bias=False)


@pytest.mark.parametrize("law", [linear_in_x, linear_in_w])
def test_nothing_is_said_of_linearity_where_a_call_gives_no_array_or_another_shape(law):
    for odd in range(3):
        calls = iter(range(9))

        def pair(x, w, b=None, odd=odd, calls=calls, **arguments):
            y = cut(conv2d(x, w, b, **arguments))
            return (y, y) if next(calls) == odd else y

        assert law(Callables(pair), CASE) is None

    def shorter(x, w, b=None, **arguments):
        y = conv2d(x, w, b, **arguments)
        return y[..., 1:] if large(x) or large(w) else y

    assert law(Callables(shorter), CASE) is None
    calls = iter(range(9))
    noisy = call(lambda y: y + next(calls))
    assert law(Callables(noisy), CASE) is None


def test_the_adjoint_is_asked_of_wide_dtypes_and_of_gradients_that_fit():
    wrong = Callables(call(unchanged, w=lambda given: given["w"][..., ::-1]), backward)
    assert adjoint(wrong, CASE).code == "CV130"
    assert adjoint(wrong, CASE.but(dtype="complex128")).code == "CV130"
    for dtype in ("float32", "complex64", "int32"):
        assert adjoint(wrong, CASE.but(dtype=dtype)) is None

    def back(change):
        return Callables(conv2d, lambda g, x, w, **k: change(clipped(g, x, w, **k)))

    assert adjoint(back(lambda gradients: gradients), CASE).code == "CV130"
    assert adjoint(back(lambda gradients: gradients[0]), CASE) is None  # no tuple
    assert adjoint(back(lambda gradients: (gradients[0][..., 1:], *gradients[1:])), CASE) is None
    assert adjoint(back(lambda gradients: 1 / 0), CASE) is None
    for odd in (lambda y: (y, y), lambda y: y[..., 1:]):
        assert adjoint(Callables(call(odd), clipped), CASE) is None
    calls = iter(range(9))
    noisy = back(lambda gradients: (gradients[0] + next(calls), *gradients[1:]))
    assert adjoint(noisy, CASE) is None


def test_a_broken_adjoint_is_told_whole():
    broken = adjoint(Callables(call(unchanged, w=lambda given: -given["w"]), backward), CASE)
    arrays = CASE.but(bias=False).arrays
    product = np.vdot(CASE.layer.apply(arrays.x, arrays.w), arrays.g).item()
    assert (broken.code, broken.case, broken.what) == ("CV130", CASE.but(bias=False), "grad_x")
    assert (broken.where, broken.got, broken.should) == (None, -product, product)
    assert broken.note == f"<f(x), g> = {-product:g}, <x, grad_x(g)> = {product:g}"


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


def test_a_single_number_is_an_answer():
    suspect = Callables(lambda *arrays, **arguments: np.array(3.0))
    assert wrong_call_refused(suspect, CASE).code == "CV170"


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
    for bias in (True, False):
        linear = Case(OPS["linear"], Linear(3, 2), bias=bias)
        assert {kind for kind in KINDS if KINDS[kind](linear)} == {
            "weight channels", "input channels",
        }  # fmt: skip


UP = Case(OPS["conv_transpose1d"], ConvTranspose((4, 3), (4, 1, 2), groups=2), batch=2, bias=True)
LINE = Case(OPS["linear"], Linear(3, 4), batch=2, bias=True)
LONG = Case(OPS["conv1d"], Conv((1, 9), (1, 1, 2), stride=3, dilation=2, padding=1))


@pytest.mark.parametrize(
    ("case", "kind", "told", "changed"),
    [
        (UP, "weight channels", "weights of shape (5, 1, 2) for x (2, 4, 3)", {"w": (5, 1, 2)}),
        (UP, "input channels", "x of shape (2, 5, 3) for weights (4, 1, 2)", {"x": (2, 5, 3)}),
        (UP, "weight axes", "weights of shape (4, 1, 2, 2) for x (2, 4, 3)", {"w": (4, 1, 2, 2)}),
        (LINE, "weight channels", "weights of shape (4, 4) for x (2, 3)", {"w": (4, 4)}),
        (LINE, "input channels", "x of shape (2, 4) for weights (4, 3)", {"x": (2, 4)}),
        (LINE, "bias", "a bias of shape (3,) for 4 output channels", {"b": (3,)}),
        (
            CASE.but(bias=False),
            "filters",
            "weights of shape (7, 2, 3, 2) in 2 groups",
            {"w": (7, 2, 3, 2)},
        ),
        # extent 2 * 7 + 1 = 15, larger than 11 + 3
        (
            LONG,
            "kernel",
            "weights of shape (1, 1, 9) for a padded input of (11,)",
            {"w": (1, 1, 9)},
        ),
    ],
)
def test_a_wrong_call_is_derived_from_any_layer(case, kind, told, changed):
    wrong = KINDS[kind](case)
    assert wrong.told == told
    assert {name: array.shape for name, array in wrong.changes.items()} == changed
    assert all((array == 1).all() for array in wrong.changes.values())


def test_a_bias_is_too_short_where_it_may_be_no_single_number():
    def of(outputs, bias=True):
        return KINDS["bias"](Case(OPS["conv1d"], Conv((1, 3), (outputs, 1, 2)), bias=bias))

    assert of(2) is None  # numpy spreads a bias of length 1
    assert of(3).changes["b"].shape == (2,)
    assert of(3, bias=False) is None


def test_a_kernel_that_does_not_fit_is_asked_about_up_to_a_size():
    def of(cells):
        return KINDS["kernel"](Case(OPS["conv1d"], Conv((1, cells), (1, 1, 2))))

    assert of(LARGEST - 3).changes["w"].shape == (1, 1, LARGEST)
    assert of(LARGEST - 2) is None


def test_the_kinds_are_asked_in_turn():
    kinds = [kind for kind in KINDS if KINDS[kind](CASE)]
    for seed in range(2 * len(kinds)):
        turned = kinds[seed % len(kinds) :] + kinds[: seed % len(kinds)]
        assert some(CASE.but(seed=seed)) == tuple(turned[:3])
    assert some(Case(OPS["max_pool1d"], MaxPool((1, 4), (2,)))) == ()


def test_wrong_calls_are_asked_until_one_is_answered():
    asked = []

    def f(x, w, b=None, **arguments):
        asked.append(w.shape)
        if w.shape == (6, 2, 3, 2, 2):
            return np.ones(1), np.ones(0)
        raise ValueError("no")

    broken = wrong_call_refused(Callables(f), CASE.but(layout="transposed"))
    assert (broken.code, broken.case.wrong) == ("CV170", "weight axes")
    assert broken.case == CASE.but(wrong="weight axes")
    assert asked == [(6, 3, 3, 2), (6, 2, 3, 2), (6, 2, 3, 2, 2)]
    asked.clear()
    assert wrong_call_refused(Callables(f), CASE.but(wrong="bias")) is None
    assert len(asked) == 1
    assert wrong_call_refused(Callables(f), CASE.but(wrong="filters")) is None  # has a bias
    assert wrong_call_refused(Callables(f), CASE.but(batch=0)) is None
    assert len(asked) == 1


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


def asked_with(law, case):
    """The special cells of each call that a law makes, as (place, value)."""
    met = []

    def f(x, w, b=None, **arguments):
        odd = np.flatnonzero(~np.isfinite(x))
        met.extend((int(place), str(x.flat[place])) for place in odd)
        return conv2d(x, w, b, **arguments)

    assert law(Callables(f), case) is None
    return met


def test_a_nan_goes_anywhere_and_an_infinity_into_a_corner():
    last = 2 * 4 * 5 * 4 - 1  # items, channels, rows and columns
    assert asked_with(not_finite, CASE.but(seed=0)) == [(0, "nan"), (0, "inf")]
    assert asked_with(not_finite, CASE.but(seed=3)) == [(3, "nan"), (last, "-inf")]
    assert asked_with(not_finite, CASE.but(seed=last + 3)) == [(2, "nan"), (0, "inf")]
    for data in ("nan", "inf", "-inf"):
        assert asked_with(not_finite, CASE.but(data=data, at=(7,))) == [(7, data)]


def test_where_nothing_reads_a_cell_it_is_not_asked_about():
    unread = [1, 2, 4, 6, 7, 9, 11, 12, 14, 16, 17, 19]
    for seed, value in ((0, "nan"), (1, "inf"), (2, "-inf"), (13, "inf")):
        assert asked_with(unread_stays_out, GAPS.but(seed=seed)) == [(unread[seed % 12], value)]
        assert asked_with(unread_stays_out, PADDED.but(seed=seed)) == []  # all are read
    assert asked_with(not_finite, GAPS.but(seed=1)) == []  # neither place 1 nor the last is read


def test_nan_is_asked_of_real_floating_numbers_alone():
    for law, case in ((not_finite, CASE), (unread_stays_out, GAPS)):
        for changes in ({"dtype": "int32"}, {"dtype": "complex64"}, {"batch": 0}):
            assert asked_with(law, case.but(**changes)) == []
        assert asked_with(law, case.but(dtype="float32"))
    pool = Case(OPS["max_pool1d"], MaxPool((1, 5), (2,), stride=3))
    assert unread_stays_out(Callables(lambda x, **k: x), pool) is None
    zero = CASE.but(data="impulses", at=(0, 0))  # 0 inf is for some a NaN
    assert not zero.arrays.w.all()
    assert asked_with(not_finite, zero) == []


def test_another_mistake_beside_a_nan_is_told_elsewhere():
    for law, case in ((not_finite, CASE), (unread_stays_out, GAPS)):
        assert law(Callables(call(lambda y: y[..., 1:])), case) is None
        assert law(Callables(call(lambda y: 1 / 0)), case) is None


def test_what_takes_a_nan_for_zero_is_seen():
    suspect = Callables(call(unchanged, x=lambda given: np.nan_to_num(given["x"], neginf=0)))
    assert not_finite(suspect, CASE).code == "CV160"
    only = Callables(call(unchanged, x=lambda given: np.maximum(given["x"], -1e300)))
    assert {not_finite(only, PADDED.but(seed=s)) is None for s in (0, 1)} == {True, False}  # -inf


def test_an_infinity_that_only_padding_meets_stays_out():
    infinite = PADDED.but(data="inf", at=(0,))
    assert not_finite(Callables(masked), infinite).code == "CV161"  # and numpy does not warn
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
