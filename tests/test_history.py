"""State that earlier calls of another geometry leave, told from mistakes that depend on sizes."""

import numpy as np
import pytest

from toeplitz import Conv, ConvTranspose, Linear
from verify.case import Case
from verify.history import DATA, History, _alike, _other_steps, changed, claimed
from verify.layers import Norm
from verify.ops import OPS
from verify.replay import again
from verify.strategies import Space
from verify.suspect import Callables

CASE = Case(OPS["conv1d"], Conv((2, 9), (2, 2, 3), stride=1, padding=2, dilation=3))
PADDED = Case(OPS["padded_conv1d"], Conv((1, 5), (1, 1, 3), padding=1, padding_mode="circular"))
MODES = {"zeros": "constant", "circular": "wrap", "reflect": "reflect", "replicate": "edge"}


def slid(x, w, where):
    return np.einsum("ncto,kco->nkt", x[:, :, where], w)


def indices(x, w, stride, padding, dilation):
    out = (x.shape[2] + 2 * padding - dilation * (w.shape[2] - 1) - 1) // stride + 1
    return stride * np.arange(out)[:, None] + dilation * np.arange(w.shape[2])


def right(x, w, stride=1, padding=0, dilation=1):
    where = indices(x, w, stride, padding, dilation)
    return slid(np.pad(x, ((0, 0), (0, 0), (padding, padding))), w, where)


def with_a_cache(key):
    """The indices are kept under a key that lacks some of what they depend on."""
    kept = {}

    def f(x, w, stride=1, padding=0, dilation=1):
        where = indices(x, w, stride, padding, dilation)
        where = kept.setdefault(key(x, w, where), where)
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
        return slid(x, w, where.clip(0, x.shape[2] - 1))

    return f


def keeps_the_indices():
    return with_a_cache(lambda x, w, where: (x.shape, w.shape, len(where)))


def keeps_the_weights():
    kept = {}

    def f(x, w, stride=1, padding=0, dilation=1):
        return right(x, kept.setdefault((x.shape, w.shape), w.copy()), stride, padding, dilation)

    return f


def keeps_the_frame():
    kept = {}

    def f(x, w, stride=1, padding=0, dilation=1):
        shape = (*x.shape[:2], x.shape[2] + 2 * padding)
        frame = kept.setdefault(shape, np.zeros(shape))
        frame[:, :, padding : padding + x.shape[2]] = x
        return slid(frame, w, indices(x, w, stride, padding, dilation))

    return f


def keeps_the_mode():
    kept = {}

    def f(x, w, padding=0, padding_mode="zeros"):
        pairs = padding if isinstance(padding, tuple) else ((padding, padding),)
        if isinstance(padding, str) or not isinstance(pairs[0], tuple):
            raise NotImplementedError
        mode = kept.setdefault((x.shape[2], pairs), padding_mode)
        return right(np.pad(x, ((0, 0), (0, 0), *pairs), mode=MODES[mode]), w)

    return f


def law(f, case, **options):
    return History(Callables(f), Space(case.op, **options)).kept(case)


WITHOUT = {"without": frozenset({"groups", "b"})}


@pytest.mark.parametrize(
    ("made", "case", "told"),
    [
        (
            keeps_the_indices,
            CASE,
            "right where it comes first, wrong after a call with "
            "dilation=1, padding=0 along all axes",
        ),
        (
            keeps_the_weights,
            CASE,
            "right where it comes first, wrong after a call with other data of the same shapes",
        ),
        (
            keeps_the_frame,
            CASE,
            "right at first, wrong after a call with an input as large as the padded one",
        ),
        (
            keeps_the_mode,
            PADDED,
            "right where it comes first, wrong after a call with padding_mode='zeros'",
        ),
    ],
)
def test_state_is_told_with_the_call_that_left_it(made, case, told):
    f = made()
    broken = law(f, case, **WITHOUT)
    assert (broken.code, broken.case, broken.note) == ("CV153", case, told)
    assert again(Callables(f), case, "CV153").code == "CV153"


def wrong_where(some):
    return lambda x, w, **k: right(x, w, **k) + some(x, w)


@pytest.mark.parametrize(
    "some",
    [
        lambda x, w: 0,
        lambda x, w: 1,
        *(lambda x, w, m=m: len(x) % m == 0 for m in (2, 3, 4, 5, 7, 8)),
        *(lambda x, w, m=m: x.shape[2] % m == 1 for m in (2, 3, 4, 5, 7, 8)),
        *(lambda x, w, m=m: len(x) > m for m in range(17, 30)),
        *(lambda x, w, m=m: x.shape[2] // m % 2 for m in (2, 3, 4, 8)),
    ],
)
def test_what_depends_on_sizes_or_is_right_is_no_state(some):
    assert law(wrong_where(some), CASE, **WITHOUT) is None


@pytest.mark.parametrize(
    "predicate",
    [
        lambda case: case.batch <= 18,  # no more twins
        lambda case: case.batch <= 18 or case.layer == CASE.layer,  # nor other geometries
    ],
)
def test_state_is_told_only_where_it_shows_again_and_again(predicate):
    shown = History(Callables(keeps_the_indices()), Space(CASE.op, **WITHOUT))
    assert shown.of_twins(CASE, wider=False).code == "CV153"
    space = Space(CASE.op, predicate=predicate, **WITHOUT)
    assert History(Callables(keeps_the_indices()), space).of_twins(CASE, wider=False) is None


def test_a_call_that_is_refused_shows_no_state():
    def wrong_at_18(x, w, **arguments):
        if len(x) > 18:
            raise NotImplementedError
        return right(x, w, **arguments) + (len(x) == 18)

    assert law(wrong_at_18, CASE, **WITHOUT) is None

    met = set()

    def refused_at_first(x, w, **arguments):
        if x.shape not in met:
            met.add(x.shape)
            raise NotImplementedError
        return right(x, w, **arguments) + 1

    assert law(refused_at_first, CASE, **WITHOUT) is None


def test_state_that_rounds_is_wrong_where_no_fast_algorithm_may_be():
    def rounds_after_another():
        called = []

        def f(x, w, **arguments):
            called.append(arguments)
            return right(x, w, **arguments) + 1e-12 * (arguments not in (called[-2:-1] or called))

        return f

    for algorithm, told in (("direct", True), ("auto", False)):
        history = History(Callables(rounds_after_another()), Space(CASE.op, **WITHOUT), algorithm)
        assert (history.kept(CASE) is not None) is told


def test_each_twin_has_sizes_that_no_other_call_had():
    met = []

    def f(x, w, stride=1, padding=0, dilation=1):
        met.append(x.shape)
        return right(x, w, stride, padding, dilation)

    same = {"stride": (1,), "padding": (2,), "dilation": (3,)}
    assert law(f, CASE, allowed=same) is None
    assert list(dict.fromkeys(met)) == [(17, 2, 9), (18, 2, 9), (1, 2, 9 + 19), (1, 2, 9 + 20)]


def test_a_twin_has_plain_integers():
    def twin(case, wider, **options):
        return History(Callables(right), Space(case.op, **options))._twin(case, wider)

    odd = CASE.but(data="impulses", layout="reversed", at=(3, 1), seed=5)
    assert twin(odd, False) == CASE.but(batch=17, seed=5)
    strided = CASE.but(layer=Conv((2, 9), (2, 2, 3), stride=2))
    assert twin(strided, True).layer == Conv((2, 9 + 2 * 17), (2, 2, 3), stride=2)
    norm = Case(OPS["batch_norm"], Norm((2, 5), True, 0.1, 0.5), batch=2)
    assert twin(norm, True).layer == Norm((2, 5 + 17), True, 0.1, 0.5)
    linear = Case(OPS["linear"], Linear(3, 2))
    assert twin(linear, False) == linear.but(batch=17)
    assert twin(linear, True) is None  # it has no axis to widen
    for wider in (False, True):
        assert twin(CASE, wider, predicate=lambda case: False) is None


# Layers that share shapes with another

PLANE = Conv((1, 4, 5), (1, 1, 2, 2))
UP = ConvTranspose((1, 3, 4), (1, 1, 2, 2), padding=(0, 1))
SAME = Case(
    OPS["padded_conv1d"], Conv((1, 6), (1, 1, 3), padding=1, padding_mode="circular"),
    padding="same_upper",
)  # fmt: skip


def test_other_steps_share_all_shapes_along_all_axes_or_the_last():
    assert dict(_other_steps(Case(OPS["conv2d"], PLANE))) == {
        "dilation=3, padding=1 along all axes": Conv(
            (1, 4, 5), (1, 1, 2, 2), padding=1, dilation=3
        ),
        "stride=2, padding=2 along the last axis": Conv(
            (1, 4, 5), (1, 1, 2, 2), stride=(1, 2), padding=(0, 2)
        ),
        "dilation=3, padding=1 along the last axis": Conv(
            (1, 4, 5), (1, 1, 2, 2), padding=(0, 1), dilation=(1, 3)
        ),
    }
    assert dict(_other_steps(Case(OPS["conv_transpose2d"], UP))) == {
        "dilation=3, padding=2 along the last axis": ConvTranspose(
            (1, 3, 4), (1, 1, 2, 2), padding=(0, 2), dilation=(1, 3)
        ),
    }


def test_few_other_calls_are_made_before_one():
    steps = [told for told, _ in _other_steps(SAME)]
    assert len(steps) > 4
    modes = [f"padding_mode={mode!r}" for mode in MODES]
    assert [told for told, _ in _alike(SAME)] == modes + steps[:4]
    assert list(dict(_alike(Case(OPS["conv_transpose2d"], UP)))) == [
        "dilation=3, padding=2 along the last axis"
    ]
    numbers = dict(_alike(SAME.but(padding=None)))
    wide = Conv((1, 8), (1, 1, 3), padding_mode="circular")
    assert numbers["an input as large as the padded one"] == wide
    assert not list(_alike(Case(OPS["linear"], Linear(3, 2))))


def test_other_calls_have_other_data_and_those_with_other_arguments_pad_in_numbers():
    *others, last = History(Callables(right), Space(SAME.op))._others(SAME).items()
    assert last == (DATA, SAME.but(seed=1))
    assert [told for told, _ in others] == [t for t, layer in _alike(SAME) if layer != SAME.layer]
    for told, other in others:
        assert other == SAME.but(seed=1, padding=None, layer=dict(_alike(SAME))[told])


def test_a_changed_layer_pads_by_the_name_that_was_given():
    strided = SAME.but(layer=Conv((1, 6), (1, 1, 3), stride=2, padding=((0, 1),)))
    assert changed(strided, input_shape=(1, 7)).padding == ((1, 1),)
    assert changed(strided.but(padding=None), input_shape=(1, 7)).padding == ((0, 1),)
    assert changed(CASE, input_shape=(2, 3), padding=0) is None  # the kernel does not fit


def test_only_claimed_calls_are_made():
    met = set()

    def f(x, w, stride=1, padding=0, dilation=1):
        met.add((stride, padding, dilation))
        return right(x, w, stride, padding, dilation)

    assert law(f, CASE, allowed={"stride": (1,), "padding": (0, 2), "dilation": (2, 3)}) is None
    assert {stride for stride, _, _ in met} == {1}
    assert {padding for _, padding, _ in met} == {0, 2}
    assert {dilation for _, _, dilation in met} <= {2, 3}
    sizes = History(Callables(f), Space(CASE.op, predicate=lambda case: case.batch < 9))
    assert sizes.of_twins(CASE, wider=False) is None


def test_a_claim_is_held_against_each_argument():
    assert claimed(Space(CASE.op, {"stride": (1, 2), "groups": (1,)}), CASE)
    assert not claimed(Space(CASE.op, {"dilation": (1, 2)}), CASE)
    assert claimed(Space(CASE.op, {"kernel": (3,), "dilation": (3,)}), CASE)
    assert not claimed(Space(CASE.op, {"kernel": (3,), "dilation": (1,)}), CASE)
    assert claimed(Space(OPS["linear"], {"stride": (2,)}), Case(OPS["linear"], Linear(3, 2)))
    assert not claimed(Space(CASE.op, {"padding": (0, 1)}), CASE)
    assert not claimed(Space(CASE.op, without=frozenset({"dilation"})), CASE)
    assert not claimed(Space(CASE.op, predicate=lambda case: case.batch > 1), CASE)
