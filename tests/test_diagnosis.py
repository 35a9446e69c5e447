"""Which mistake explains what was seen: the parts of the diagnosis, on cases chosen by hand."""

import numpy as np
import pytest

from toeplitz import Conv
from verify.case import Case
from verify.closeness import close, differs_from
from verify.diagnosis import (
    IMPULSES,
    ONLY,
    THOUGH,
    Diagnosis,
    diagnose_seen,
    explains,
    follows,
    tells_apart,
)
from verify.families.mistakes import mistakes
from verify.gradients import gradient_suspicions
from verify.judgement import FURTHER, right
from verify.layers import Norm
from verify.mistakes import Mistaken
from verify.ops import OPS
from verify.patterns import Seen
from verify.suspicions import suspicions

OP = OPS["conv1d"]
TABLE = suspicions(OP)


def case(layer=None, **more):
    return Case(OP, layer or Conv((1, 9), (1, 1, 3)), **more)


def seen(case, value):
    return Seen(case, value, np.array_equal(value, case.arrays.y))


def flipped(case):
    return case.layer.apply(case.arrays.x, case.arrays.w[..., ::-1], case.arrays.b)


# Which names are left


def test_the_one_mistake_that_explains_all_is_the_name():
    some = [case(seed=seed, batch=2) for seed in range(3)]
    told = diagnose_seen([seen(one, flipped(one)) for one in some])
    assert told.names == ("kernel flipped",)
    assert told.name == "kernel flipped"
    assert told.explained == 3
    assert told.excluded == len(TABLE) - 1
    assert told.pattern == ""
    assert told.nearest == tuple(name for name in TABLE if name != "kernel flipped")[:2]


def test_several_that_explain_all_are_no_name():
    # Two taps: flipped, and turned around the ring.
    told = diagnose_seen([seen(one := case(Conv((1, 4), (1, 1, 2))), flipped(one))])
    assert "kernel flipped" in told.names
    if len(told.names) > 1:
        assert told.name is None
    both = diagnose_seen([seen(one, flipped(one))], among=["kernel flipped", "stride doubled"])
    assert both.names == ("kernel flipped",)
    assert both.excluded == len(TABLE) - 1


def test_a_right_result_excludes_what_would_be_wrong_there():
    wrong, fine = case(), case(seed=1)
    told = diagnose_seen([seen(fine, fine.arrays.y), seen(wrong, flipped(wrong))])
    assert told.names == ()
    assert told.name is None
    assert told.explained == 2
    assert told.excluded == len(TABLE)
    single = case(Conv((1, 9), (1, 1, 1)))  # a single tap has no direction
    told = diagnose_seen([seen(single, single.arrays.y), seen(wrong, flipped(wrong))])
    assert told.names == ("kernel flipped",)


def test_where_nothing_is_wrong_no_mistake_is_named():
    told = diagnose_seen([seen(one := case(), one.arrays.y)])
    assert told.names == ()
    assert told.pattern == ""


def test_what_the_table_lacks_has_a_pattern():
    one = case(batch=1)
    odd = one.arrays.y.copy()
    odd[0, 0, 0] += 1
    assert diagnose_seen([seen(one, odd)]).pattern == "wrong always; only the first place wrong"


def test_a_mistake_that_cannot_be_made_says_nothing_of_a_wrong_result():
    # Dilation 2 does not fit where five cells meet three taps less one.
    small, large = case(Conv((1, 4), (1, 1, 3))), case()
    wide = Conv((1, 9), (1, 1, 3), dilation=2).apply(large.arrays.x, large.arrays.w)
    anything = small.arrays.y + 7
    told = diagnose_seen([seen(large, wide), seen(small, anything)])
    assert "dilation one too large" in told.names
    told = diagnose_seen([seen(large, wide), seen(small, small.arrays.y)])
    assert "dilation one too large" not in told.names


def test_zeros_alone_name_nothing_that_is_not_all_zeros():
    one = case()
    told = diagnose_seen([seen(one, np.zeros_like(one.arrays.y))])
    assert told.names
    assert all(name.endswith(("all zeros", "nothing but the bias")) for name in told.names)
    with_bias = case(Conv((1, 9), (2, 1, 3)), bias=True)
    assert np.ptp(with_bias.arrays.b)
    bare = np.zeros_like(with_bias.arrays.y) + with_bias.arrays.b[:, None]
    told = diagnose_seen([seen(with_bias, bare)])
    assert told.names == ("nothing but the bias",)
    zeros = diagnose_seen([seen(with_bias, np.zeros_like(bare))])
    assert all(name.endswith("all zeros") for name in zeros.names)


def test_all_failures_count_whichever_of_them_give_zeros():
    plain = case(Conv((1, 3), (1, 1, 2)))
    # Flipped, the tap that met the impulse reads beyond the end.
    beyond = plain.but(data="impulses", at=(0, 0))
    assert beyond.arrays.y.any()
    assert not flipped(beyond).any()
    both = [seen(one, flipped(one)) for one in (plain, beyond)]
    for order in (both, both[::-1]):
        assert "kernel flipped" in diagnose_seen(order).names
    assert diagnose_seen(both[1:], among=["kernel flipped"]).names == ()


def test_a_name_with_a_condition_that_does_not_hold_leaves_the_others():
    one = case()
    names = [f"kernel flipped{ONLY}stride > 1", "kernel flipped"]
    assert diagnose_seen([seen(one, flipped(one))], among=names).names == ("kernel flipped",)


def doubled_to_the_bias():
    """A gradient that is twice the right one, and happens to be the bias."""
    layer = Conv((1, 1), (1, 1, 1))
    some = (case(layer, bias=True, seed=seed) for seed in range(10**4))
    return next(
        Seen(one, 2 * one.arrays.gradients[0], False)
        for one in some
        if one.arrays.b.all() and (2 * one.arrays.gradients[0] == one.arrays.b).all()
    )


def test_a_gradient_that_happens_to_equal_the_bias_is_no_bare_one():
    bare = doubled_to_the_bias()
    assert "grad_x doubled" in diagnose_seen([bare], 0).names
    other = case(bias=True)
    failing = [bare, Seen(other, 2 * other.arrays.gradients[0], False)]
    fine = case()
    found = [*failing, Seen(fine, fine.arrays.gradients[0], True)]
    assert f"grad_x doubled{ONLY}bias" in diagnose_seen(found, 0, conditional=True).names


def test_a_gradient_has_a_table_of_its_own():
    one = case(batch=2)
    doubled = 2 * one.arrays.gradients[1]
    told = diagnose_seen([Seen(one, doubled, False)], which=1)
    assert told.names == ("grad_w doubled",)
    assert told.excluded == len(gradient_suspicions(OP, 1)) - 1
    assert explains("grad_w doubled", Seen(one, doubled, False), 1)
    assert not explains("grad_w doubled", Seen(one, one.arrays.gradients[1], True), 1)


# Cut to a size that is right


def cut(stride=3):
    one = case(Conv((1, 9), (1, 1, 2), stride=stride))
    dense = Conv((1, 9), (1, 1, 2)).apply(one.arrays.x, one.arrays.w)
    return one, dense


def test_what_fits_uncut_is_told_before_what_must_be_cut():
    one, dense = cut()
    length = one.arrays.y.shape[2]
    whole = diagnose_seen([seen(one, dense)]).names
    assert "stride ignored" in whole
    assert not any(name.endswith(THOUGH) for name in whole)
    assert diagnose_seen([seen(one, dense[..., :length])]).names == tuple(
        name + THOUGH for name in whole
    )
    assert diagnose_seen([seen(one, dense[..., : length + 1])]).names == ()  # a third size
    assert explains(f"stride ignored{THOUGH}", seen(one, dense[..., :length]), None)
    again = diagnose_seen([seen(one, dense[..., :length])], among=[f"stride ignored{THOUGH}"])
    assert again.names == (f"stride ignored{THOUGH}",)


def test_a_result_with_fewer_axes_is_no_cut():
    one, dense = cut()
    assert diagnose_seen([seen(one, dense[0])]).names == ()


def test_of_what_must_be_cut_that_is_told_which_is_cut_least():
    # Where the stride is 1 the padding before the input is as long as the last output.
    behind, only = "all padding after the input", "padding after the input only"
    found = []
    for stride in (1, 2):
        one = case(Conv((1, 4), (1, 1, 1), stride=stride, padding=1))
        moved = np.pad(one.arrays.x, ((0, 0), (0, 0), (0, 2)))
        found.append(seen(one, (moved * one.arrays.w)[..., ::stride]))
    assert diagnose_seen(found, among=[only]).names == (only + THOUGH,)
    for order in (found, found[::-1]):
        assert diagnose_seen(order, among=[only, behind]).names == (behind,)


UNCROPPED = "grad_x not cropped by the padding"


def uncropped(case):
    """The gradient to the padded input."""
    return gradient_suspicions(case.op, 0)[UNCROPPED](Mistaken(case))


def test_a_gradient_is_cut_to_the_size_of_its_own():
    one = case(Conv((1, 5), (1, 1, 2), padding=1))
    assert one.arrays.x.shape != one.arrays.y.shape
    wrong = Seen(one, uncropped(one)[..., :5], False)
    assert explains(UNCROPPED, wrong, 0)
    assert diagnose_seen([wrong], 0, among=[UNCROPPED]).names == (UNCROPPED + THOUGH,)


def test_a_gradient_that_cutting_makes_right_speaks_against_no_condition():
    op, found = OPS["padded_conv1d"], []
    for stride, padding in ((2, 1), (1, 1), (2, ((0, 2),))):
        one = Case(op, Conv((1, 6), (1, 1, 2), stride=stride, padding=padding))
        wrong = stride == 2 and padding == 1
        found.append(Seen(one, uncropped(one) if wrong else one.arrays.gradients[0], not wrong))
    assert np.array_equal(uncropped(found[2].case)[..., :6], found[2].value)
    assert f"{UNCROPPED}{ONLY}stride > 1" in diagnose_seen(found, 0, conditional=True).names


# Only where something holds


def conditional(steps, wrong, **more):
    """Kernel flipped where wrong(stride), for some strides."""
    found = []
    for seed, stride in enumerate(steps):
        one = case(Conv((1, 9), (1, 1, 3), stride=stride), seed=seed, **more)
        found.append(seen(one, flipped(one) if wrong(stride) else one.arrays.y))
    return found


def test_a_mistake_on_some_cases_only_is_told_with_what_they_have():
    found = conditional([1, 2, 3, 1, 2], lambda stride: stride > 1)
    assert diagnose_seen(found).names == ()
    told = diagnose_seen(found, conditional=True).names
    assert f"kernel flipped{ONLY}stride > 1" in told
    assert all(name.startswith("kernel flipped") for name in told)
    assert all(explains(name, one, None) for name in told for one in found)
    assert diagnose_seen(found, among=["kernel flipped"], conditional=True).names == ()


def test_any_mistake_of_the_table_may_be_made_on_some_cases_only():
    found = []
    for seed, stride in enumerate([1, 2, 3, 1, 2]):
        one = case(Conv((1, 9), (1, 1, 3), stride=stride), seed=seed)
        w = one.arrays.w.copy()
        w[..., 0] = 0
        wrong = one.layer.apply(one.arrays.x, w)
        found.append(seen(one, wrong if stride > 1 else one.arrays.y))
    names = diagnose_seen(found, conditional=True).names
    assert f"first tap of the kernel missing{ONLY}stride > 1" in names
    assert next(iter(TABLE)) != "first tap of the kernel missing"
    assert diagnose_seen(found[2:3], conditional=True).names == ("first tap of the kernel missing",)
    odd = seen(found[0].case, found[0].value + 1)
    assert diagnose_seen([odd], conditional=True).names == ()


def test_as_few_as_two_failures_or_one_alone_have_a_condition():
    for strides in ([1, 2, 3], [1, 1, 2]):
        found = conditional(strides, lambda stride: stride > 1)
        assert f"kernel flipped{ONLY}stride > 1" in diagnose_seen(found, conditional=True).names


def test_a_right_result_that_the_mistake_would_not_change_speaks_against_no_condition():
    found = conditional([1, 2, 3], lambda stride: stride > 1)
    single = case(Conv((1, 9), (1, 1, 1), stride=2))
    found.append(seen(single, single.arrays.y))
    assert f"kernel flipped{ONLY}stride > 1" in diagnose_seen(found, conditional=True).names


def test_all_mistakes_that_fit_with_a_condition_are_told():
    found = []
    for seed in range(4):
        one = case(Conv((1, 9), (1, 1, 2), stride=2), seed=seed, bias=seed > 1)
        dense = Conv((1, 9), (1, 1, 2)).apply(one.arrays.x, one.arrays.w, one.arrays.b)
        found.append(seen(one, dense if seed < 2 else one.arrays.y))
    names = diagnose_seen(found, conditional=True).names
    for mistake in ("stride ignored", "dilation taken for the stride"):
        assert f"{mistake}{ONLY}no bias" in names


def test_failures_that_give_zeros_show_no_condition():
    def strided(**more):
        return case(Conv((1, 3), (1, 1, 2), stride=2), **more)

    zeros = [strided(data="impulses", at=(1, 1), seed=seed) for seed in range(2)]
    assert all(one.arrays.y.any() and not flipped(one).any() for one in zeros)
    fine = case(Conv((1, 3), (1, 1, 2)))
    found = [seen(fine, fine.arrays.y), *(seen(one, flipped(one)) for one in zeros)]
    name = f"kernel flipped{ONLY}stride > 1"
    for count, told in ((1, False), (2, True)):
        more = [seen(one := strided(seed=seed), flipped(one)) for seed in range(count)]
        for order in (found + more, more + found):
            assert (name in diagnose_seen(order, conditional=True).names) is told


def test_a_mistake_that_is_seen_too_seldom_leaves_those_behind_it():
    early, late = "dilation one too large", "stride taken for the dilation"
    assert list(TABLE).index(early) < list(TABLE).index(late)
    found = []
    for stride, dilation, bias in ((2, 1, False), (1, 2, False), (2, 1, True)):
        one = case(Conv((1, 3), (1, 1, 2), stride=stride, dilation=dilation), bias=bias)
        wrong = Conv((1, 3), (1, 1, 2), stride=stride, dilation=stride)
        found.append(seen(one, one.arrays.y if bias else wrong.apply(one.arrays.x, one.arrays.w)))
    # A dilation of 3 does not fit into 3 cells: there nothing is known of it.
    assert explains(early, found[0], None)
    told = diagnose_seen(found, conditional=True).names
    assert f"{late}{ONLY}no bias" in told
    assert not any(name.startswith(early) for name in told)


def test_where_no_right_result_speaks_against_it_no_condition_is_needed():
    found = conditional([2, 3], lambda stride: True)
    assert diagnose_seen(found, conditional=True).names == ("kernel flipped",)
    single = case(Conv((1, 9), (1, 1, 1)))
    found.append(seen(single, single.arrays.y))
    assert diagnose_seen(found, conditional=True).names == ("kernel flipped",)


def pairs(count):
    """Kernel flipped where the stride is more than 1 and there is a bias."""
    found = []
    for seed in range(count):
        for stride, bias, batch in ((1, False, 2), (1, True, 1), (2, False, 1), (2, True, 2)):
            layer = Conv((1, 9 + seed % 3), (1 + seed % 2, 1, 3), stride=stride)
            one = case(layer, seed=seed, bias=bias, batch=batch + seed % 2)
            wrong = stride > 1 and bias
            found.append(seen(one, flipped(one) if wrong else one.arrays.y))
    return found


def test_two_conditions_need_eight_failures():
    assert diagnose_seen(pairs(7), conditional=True).names == ()
    names = diagnose_seen(pairs(8), conditional=True).names
    assert names
    assert all(name.startswith(f"kernel flipped{ONLY}") and " and " in name for name in names)
    for name in names:
        assert all(explains(name, one, None) for one in pairs(9))


# Beside the case that is shown

SHOWN = case(Conv((1, 2), (1, 1, 1)))
STRIDED = case(Conv((1, 3), (1, 1, 1), stride=2))


def test_a_diagnosis_is_told_beside_the_case_that_is_shown():
    pattern = "wrong exactly where stride > 1"
    wrong = seen(STRIDED, STRIDED.arrays.y + 1)
    diagnosis = diagnose_seen([wrong, seen(SHOWN, SHOWN.arrays.y)])
    assert diagnosis.pattern == diagnosis.showing(STRIDED, wrong).pattern == pattern
    contradicting = diagnosis.showing(SHOWN, seen(SHOWN, SHOWN.arrays.y + 1))
    assert (contradicting.names, contradicting.pattern, contradicting.seen) == ((), "", ())
    assert diagnosis.showing(STRIDED, None).pattern == ""
    assert diagnosis.showing(SHOWN, seen(SHOWN, SHOWN.arrays.y)).pattern == ""


def test_a_gradient_is_told_beside_the_case_that_is_shown_by_its_own_axes():
    layer = Conv((1, 3), (2, 1, 2))
    found = []
    for seed in range(3):
        one = case(layer, batch=2, seed=seed)
        odd = one.arrays.gradients[1].copy()
        odd[0] += 1
        found.append(Seen(one, odd, False))
    told = diagnose_seen(found[:2], 1).showing(found[2].case, found[2])
    assert told.pattern == "wrong always; only the first filter wrong"


def test_a_name_is_told_only_where_the_case_that_is_shown_has_its_condition():
    diagnosis = Diagnosis((f"kernel flipped{ONLY}stride > 1",), 2, 9, pattern="told before")
    assert diagnosis.showing(STRIDED, None).name == diagnosis.name
    assert diagnosis.showing(SHOWN, None).name is None
    wrong = seen(STRIDED, STRIDED.arrays.y + 1)
    assert diagnosis.showing(STRIDED, wrong).pattern == ""  # a name needs none
    assert Diagnosis(("kernel flipped",), 2, 9).showing(SHOWN, None).name == "kernel flipped"
    both = f"kernel flipped{ONLY}stride > 1 and bias"
    assert Diagnosis((both,), 2, 9).showing(STRIDED, None).name is None


# Telling apart


def test_what_tells_mistakes_apart():
    names = ["kernel flipped", "stride ignored"]
    plain = case(Conv((1, 9), (1, 1, 1)))
    assert not tells_apart(names, plain, None)  # neither makes a difference
    assert tells_apart(names, case(), None)
    assert tells_apart(["stride ignored", "kernel flipped"], case(plain.layer, seed=1)
                       .but(layer=Conv((1, 9), (1, 1, 1), stride=2)), None)  # fmt: skip
    assert not tells_apart(names[:1], case(), None)
    assert tells_apart(["stride doubled", "stride doubled", "kernel flipped"], case(), None)
    small = case(Conv((1, 3), (1, 1, 3)))
    assert tells_apart(["dilation one too large", "stride ignored"], small, None)  # one is none
    assert not tells_apart(["dilation one too large", "dilation doubled"], small, None)
    strides = [f"kernel flipped{ONLY}stride > 1", f"kernel flipped{ONLY}no bias"]
    assert tells_apart(strides, case(), None)
    assert not tells_apart(strides, case(Conv((1, 9), (1, 1, 3), stride=2)), None)
    assert not tells_apart(strides, case(bias=True), None)


def test_what_tells_mistakes_of_a_gradient_apart():
    averaged, doubled = "grad_w averaged over the batch", "grad_w doubled"
    assert tells_apart([averaged, doubled], case(), 1)
    spared = f"{doubled}{ONLY}no bias"  # one item, and a bias: both give what is right
    assert not tells_apart([averaged, spared], case(bias=True), 1)
    assert tells_apart([averaged, spared], case(bias=True, batch=2), 1)


# Gradients that follow the forward pass


def test_a_gradient_follows_a_mistake_in_x_or_in_w():
    layer = Conv((1, 4), (2, 1, 2))
    one = case(layer, batch=2, bias=True)
    arrays = one.arrays
    to_x = layer.gradients(arrays.g, arrays.x, arrays.w[..., ::-1])[0]
    to_w = layer.gradients(arrays.g, arrays.x, arrays.w)[1][..., ::-1]
    assert follows("kernel flipped", Seen(one, to_x, False), 0) is True
    assert follows("kernel flipped", Seen(one, to_w, False), 1) is True
    assert follows("kernel flipped", Seen(one, to_x + 1, False), 0) is False
    assert follows("kernel flipped", Seen(one, to_w, False), 0) is False  # of another size
    assert follows(f"kernel flipped{THOUGH}", Seen(one, to_x, False), 0) is True
    assert follows(f"kernel flipped{ONLY}stride > 1", Seen(one, to_x, False), 0) is False
    unchanged = Seen(one, arrays.gradients[0], True)
    assert follows(f"kernel flipped{ONLY}stride > 1", unchanged, 0) is True
    assert follows("kernel flipped", Seen(one, arrays.gradients[2], True), 2) is None


def test_a_gradient_follows_no_mistake_that_gives_no_output_like_it():
    one = case(Conv((1, 3), (1, 1, 3), stride=2))
    grad = Seen(one, one.arrays.gradients[0], True)
    assert follows("dilation one too large", grad, 0) is None  # there is no such layer
    wide = case(Conv((1, 5), (1, 1, 2), stride=2))
    assert follows("stride ignored", Seen(wide, wide.arrays.gradients[0], True), 0) is None
    single = case(Conv((1, 1), (1, 1, 1)))
    assert follows("kernel flipped", Seen(single, single.arrays.gradients[0], True), 0) is True


def test_a_gradient_of_too_many_impulses_is_not_followed():
    for taps, cells, told in ((2, 256, True), (2, 257, None)):
        one = case(Conv((1, cells), (1, 1, taps)))
        assert taps * cells <= IMPULSES or told is None
        to_x = one.layer.gradients(one.arrays.g, one.arrays.x, one.arrays.w[..., ::-1])[0]
        assert follows("kernel flipped", Seen(one, to_x, False), 0) is told
    empty = case(batch=0)
    assert follows("kernel flipped", Seen(empty, empty.arrays.gradients[0], True), 0) is None
    norm = Case(OPS["batch_norm"], Norm((1, 3), True), batch=2)
    assert follows("kernel flipped", Seen(norm, norm.arrays.gradients[0], True), 0) is None


# Close


def test_how_close_a_result_must_be_to_the_predicted_one():
    for dtype, unit in (
        ("float64", 2.0**-53), ("complex128", 2.0**-53),
        ("float32", 2.0**-24), ("float16", 2.0**-24), ("complex64", 2.0**-24),
    ):  # fmt: skip
        value = np.array([0.0, 8.0])
        off = 64 * unit * 8
        for size, told in ((1.0, True), (1.01, False)):
            got = np.array([off * size, 8.0]).astype("complex128")
            got = got if "complex" in dtype else got.real
            if dtype in ("float64", "complex128"):
                assert close(got, value) is told
        assert close(value.astype(dtype), value)
    assert close(np.array([1.0 + 2.0**-18], "float32"), np.array([1.0]))
    assert not close(np.array([1.0 + 2.0**-17], "float32"), np.array([1.0]))
    assert close(np.array([1.0 + 2.0**-18], "complex64"), np.array([1.0]))
    assert not close(np.array([1.0 + 2.0**-18]), np.array([1.0]))
    small = np.array([2.0**-47])  # beside values below 1 as beside 1
    assert close(small, np.zeros(1))
    assert not close(small * 1.01, np.zeros(1))


def test_nan_predicts_anything_and_infinities_only_themselves():
    nan, inf = np.nan, np.inf
    assert close(np.array([5.0, nan, inf]), np.full(3, nan))
    assert not close(np.array([nan]), np.array([5.0]))
    assert close(np.array([inf, -inf]), np.array([inf, -inf]))
    assert not close(np.array([inf]), np.array([-inf]))
    assert not close(np.array([5.0, inf]), np.array([6.0, inf]))  # which is no scale
    assert close(np.array([1 + 2j]), np.array([1 + 2j]))
    assert not close(np.array([1 + 2j]), np.array([1 + 3j]))
    assert close(np.zeros((0, 2)), np.zeros((0, 2)))


def test_numpy_neither_warns_nor_raises_whatever_the_caller_made_it_do():
    most = np.array([1.5e308])
    norms = (
        Case(OPS["batch_norm"], Norm((1, 2), True, 0.1, 0.5), dtype="float32", seed=seed)
        for seed in range(100)
    )
    constant = next(norm for norm in norms if not np.ptp(norm.arrays.x))  # no variance to divide by
    flat = Seen(constant, constant.arrays.y, True)
    single = case(Conv((1, 1), (1, 1, 1)), data="inf", at=(0,))
    wrong = Seen(single, np.full_like(single.arrays.y, np.nan), False)
    for done in ("warn", "raise"):
        with np.errstate(all=done):
            assert not close(most, -most)
            assert explains("eps ignored", flat, None)
            assert diagnose_seen([wrong]).explained == 1


def test_what_is_allowed_is_added():
    got, value = np.array([1.0, 2.5]), np.array([1.0, 2.0])
    assert close(got, value, 0.5)
    assert close(got, value, np.array([0.0, 0.5]))
    assert not close(got, value, np.array([0.5, 0.25]))
    assert close(np.array([1.0, np.nan]), value, np.array([0.0, np.inf]))


# Batch norms, whose statistics may lose digits


def test_a_mistaken_norm_may_be_off_as_the_right_one_may():
    layer = Norm((1, 6), True, 0.1, 1e-5)
    norm = Case(OPS["batch_norm"], layer, batch=2, dtype="float32", bias=True)
    no_bias = norm.arrays.y - norm.arrays.bias[:, None]
    room = norm.arrays.bound("y", 0.0)
    assert room.min() > 64 * 2.0**-24 * abs(no_bias).max() / 100
    told = diagnose_seen([Seen(norm, no_bias + 0.9 * room, False)]).names
    exact = diagnose_seen([Seen(norm, no_bias, False)]).names
    assert told == exact != ()
    assert diagnose_seen([Seen(norm, no_bias + 1e3 * room, False)]).names == ()


def test_a_mistake_that_shows_nowhere_explains_no_wrong_result():
    # The variance is 0, so that without an eps nothing can be said; with one the gradient is known.
    norm = Case(OPS["batch_norm"], Norm((1, 2), True, 0.1, 1e-5), dtype="float16", seed=112)
    assert np.ptp(norm.arrays.x) == 0
    with np.errstate(divide="ignore"):
        assert np.isinf(norm.arrays.bound("grad_x", 0.0)).all()
    assert np.isfinite(norm.arrays.bound("grad_x")).all()
    nothing = np.full((1, 1, 2), np.nan, "float16")
    told = diagnose_seen([Seen(norm, nothing, False)], 0)
    assert "grad_x without the weight" not in told.names  # there is none
    assert "grad_x takes mean and variance for constants" not in told.names
    # Nor one of the gradient to the weight, which has another shape; without an eps that is 0 / 0.
    told = diagnose_seen([Seen(norm, nothing[0, 0, :1], False)], 1)
    assert told.names == ("eps ignored in grad_weight",)


def test_what_differs_from_what_is_right():
    right = np.array([1.0, np.nan, 8.0])
    assert not differs_from(right, right)
    assert not differs_from(right + 8 * 2.0**-48, right)
    assert differs_from(right + 1e-9, right)
    assert not differs_from(right + 1, right, np.array([np.inf, 0.0, 1.0]))
    assert differs_from(right + 1, right, np.array([np.inf, 0.0, 0.5]))
    assert differs_from(np.array([np.nan, np.nan, 8.0]), right)
    assert differs_from(right[:2], right)


WHAT = {
    None: "y", 0: "grad_x", 1: "grad_weight", 2: "grad_bias",
    FURTHER: "new_mean", FURTHER + 1: "new_var",
}  # fmt: skip


@pytest.mark.parametrize(("training", "bias"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("which", WHAT)
def test_each_result_of_a_mistaken_norm_may_be_off_in_proportion(which, training, bias):
    layer = Norm((2, 6), training, 0.25, 0.5)
    norm = Case(OPS["batch_norm"], layer, batch=2, dtype="float32", bias=bias)
    known, tried = right(norm, which), 0
    room = norm.arrays.bound(WHAT[which], 0.0)  # as without an eps, which a mistake may leave out
    for name, prediction in mistakes(norm.op, which).items():
        value = prediction(Mistaken(norm))
        if value is None:
            continue
        assert value.shape == known.shape
        largest = abs(value[np.isfinite(value)]).max(initial=1.0)
        grown = max(1.0, largest / abs(known).max(initial=1.0))
        if not differs_from(value, known, room * grown) or np.isnan(value).all():
            continue
        for share, told in ((0.99, True), (1.01, False)):
            off = value + share * (room * grown + 64 * 2.0**-53 * largest)
            assert explains(name, Seen(norm, off, False), which) is told
            if value.any():
                assert (name in diagnose_seen([Seen(norm, off, False)], which).names) is told
        tried += 1
    assert tried


def test_a_mistaken_norm_may_be_off_beside_nothing_as_beside_one():
    norms = (
        Case(OPS["batch_norm"], Norm((1, 1), False, 0.1, 0.5), dtype="float32", seed=seed)
        for seed in range(100)
    )
    norm = next(norm for norm in norms if not norm.arrays.y.any() and norm.arrays.x.any())
    name = "mean not subtracted"
    value = mistakes(norm.op, None)[name](Mistaken(norm))
    size = abs(value).max()
    assert size > 1
    with np.errstate(divide="ignore", invalid="ignore"):  # a single value has no variance
        most = norm.arrays.bound("y", 0.0) * size + 64 * 2.0**-53 * size
    for share, told in ((0.99, True), (1.01, False)):
        assert explains(name, Seen(norm, value + share * most, False), None) is told


def test_an_empty_norm_is_right_whatever_the_mistake():
    norm = Case(OPS["batch_norm"], Norm((1, 3), False, 0.1, 0.5), batch=0, dtype="float32")
    assert explains("mean not subtracted", Seen(norm, norm.arrays.y, True), None)


def test_a_gradient_has_conditions_and_patterns_of_its_own():
    op, found = OPS["batch_norm"], []
    name = next(iter(mistakes(op, 0)))
    for seed in range(4):
        norm = Case(op, Norm((2, 6), True, 0.1, 0.5), 2, seed % 2 == 0, "float32", seed=seed)
        value, known = mistakes(op, 0)[name](Mistaken(norm)), right(norm, 0)
        assert not np.allclose(value, known)
        off = value + 0.9 * norm.arrays.bound("grad_x", 0.0)
        found.append(Seen(norm, known if norm.bias else off, norm.bias))
    told = diagnose_seen(found, 0, conditional=True).names
    assert f"{name}{ONLY}no bias" in told
    one = case(Conv((1, 4), (2, 1, 2)))
    odd = one.arrays.gradients[1].copy()
    odd[0] += 1
    told = diagnose_seen([Seen(one, odd, False)], 1)
    assert (told.names, told.pattern) == ((), "wrong always; only the first filter wrong")
