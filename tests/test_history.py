"""State that earlier calls of another geometry leave, told from mistakes that depend on sizes."""

import numpy as np
import pytest

from toeplitz import Conv
from verify.case import Case
from verify.history import History, claimed
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
            lambda: with_a_cache(lambda x, w, where: (x.shape, w.shape, len(where))),
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
    assert not claimed(Space(CASE.op, {"padding": (0, 1)}), CASE)
    assert not claimed(Space(CASE.op, without=frozenset({"dilation"})), CASE)
    assert not claimed(Space(CASE.op, predicate=lambda case: case.batch > 1), CASE)
