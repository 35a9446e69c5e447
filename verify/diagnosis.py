"""Which known mistake explains everything that an implementation was seen to compute."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from verify.case import Case
from verify.closeness import close, differs_from, largest
from verify.families.mistakes import mistakes
from verify.gradients import gradient_suspicions
from verify.judgement import FURTHER, right
from verify.mistakes import Mistaken, Prediction, fitted
from verify.patterns import PAIRED, Condition, Seen, conditions, describe
from verify.suspicions import suspicions

IMPULSES = 512  # pairs of impulses that a gradient is made of
ONLY = ", only where "
THOUGH = ", though the output size is right"
BARE = ("all zeros", "nothing but the bias")  # what such names end with needs no other values

Table = dict[str, Prediction]


@dataclass(frozen=True)
class Diagnosis:
    """What the mistake looks like.

    names: the mistakes that explain everything seen; one if it was found. explained: how many
    cases it was tried on. excluded: how many mistakes do not explain it. nearest: some of those.
    pattern: where no mistake fits, what switches the failure on, in words. seen, which: the
    results that it was made from, and what they are.
    """

    names: tuple[str, ...]
    explained: int
    excluded: int
    nearest: tuple[str, ...] = ()
    pattern: str = ""
    seen: tuple[Seen, ...] = field(default=(), repr=False, compare=False)
    which: int | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str | None:
        return self.names[0] if len(self.names) == 1 else None

    def showing(self, case: Case, one: Seen | None) -> "Diagnosis":
        """The diagnosis beside one more failing case: no condition is told that it contradicts.

        one: what the implementation gives there, None if nothing that can be compared.
        """
        names = tuple(
            name
            for name in self.names
            if all(holds(case) for holds in _conditions(_parts(name)[1], case))
        )
        told = not names and one is not None and not one.right
        pattern = describe([*self.seen, one], self.which) if told and one is not None else ""
        return replace(self, names=names, pattern=pattern, seen=())


def diagnose_seen(
    seen: Iterable[Seen],
    which: int | None = None,
    among: Sequence[str] | None = None,
    conditional: bool = False,
) -> Diagnosis:
    """The mistakes that predict each array seen; which: the gradient, None for y.

    A mistake that cannot be made on a case (its layer does not exist) says nothing about a wrong
    result there, and is excluded by a right one. It must predict one wrong result at least that
    is not all zeros: half of the table gives that on a small case.
    conditional: where none does, those that are made on some cases only are looked for.
    """
    cases = sorted(seen, key=lambda one: one.right)  # failures first: they exclude most
    table = _table(cases[0].case, which)
    names = _fitting(list(table) if among is None else among, table, cases, which)
    if not names and among is None and conditional:
        names = _conditional(cases, table, which)
    nearest = tuple(name for name in table if name not in names)[:2]
    pattern = "" if names else describe(cases, which)
    excluded = len(table) - len(names)
    return Diagnosis(names, len(cases), excluded, nearest, pattern, tuple(cases), which)


def _fitting(
    among: Sequence[str], table: Table, cases: list[Seen], which: int | None
) -> tuple[str, ...]:
    """The names that explain all cases; of these the ones that are cut to fit in fewest."""
    left = dict.fromkeys((name.replace(THOUGH, "") for name in among), False)  # shown by a failure
    cut = dict.fromkeys(left, 0)
    for one in cases:
        bare = not one.right and _bare(one, which)
        says: dict[str, bool | None] = {}
        for name in list(left):
            plain, where = _parts(name)
            if not all(holds(one.case) for holds in _conditions(where, one.case)):
                if not one.right:
                    del left[name]
                continue
            if plain not in says:
                says[plain] = _predicts(table[plain], one, which)
            if says[plain] is False:
                del left[name]
            elif says[plain] and not one.right:
                left[name] |= not bare or plain.endswith(BARE)
                cut[name] += _cut(table[plain], one)
        if not left:
            break
    told = [name for name, shown in left.items() if shown]
    if not told:
        return ()
    least = min(cut[name] for name in told)
    return tuple(_though(name, cut[name]) for name in told if cut[name] == least)


def explains(name: str, one: Seen, which: int | None) -> bool:
    """Whether a mistake gives what was seen."""
    plain, where = _parts(name)
    if all(holds(one.case) for holds in _conditions(where, one.case)):
        return bool(_predicts(_table(one.case, which)[plain], one, which))
    return one.right


def _parts(name: str) -> tuple[str, str]:
    """A mistake, and where it is made, if not everywhere."""
    plain, _, where = name.partition(ONLY)
    return plain.replace(THOUGH, ""), where


def _conditions(where: str, case: Case) -> list[Condition]:
    holds = conditions(case.op)
    return [holds[told] for told in where.split(" and ")] if where else []


def _though(name: str, cut: int) -> str:
    """The name, where it fits only when cut to a size that is right."""
    plain, where = _parts(name)
    return f"{plain}{THOUGH if cut else ''}{ONLY if where else ''}{where}"


def _bare(one: Seen, which: int | None) -> bool:
    """Whether a result holds nothing, or nothing but the bias."""
    got, b = one.value, getattr(one.case.arrays, "b", None) if which is None else None
    if b is not None and got.ndim == one.case.arrays.y.ndim and got.shape[1] == len(b):
        got = got - b.reshape(len(b), *[1] * (got.ndim - 2))
    return not got.any() or not one.value.any()


def tells_apart(names: Sequence[str], case: Case, which: int | None) -> bool:
    """Whether mistakes give different results on a case, so that it tells them apart."""
    table = _table(case, which)
    given = [_told(name, table, case, which) for name in names]
    first = given[0]
    return any(
        (one is None) != (first is None)
        or (one is not None and (one.shape != first.shape or not np.array_equal(one, first)))
        for one in given[1:]
    )


def _told(name: str, table: Table, case: Case, which: int | None) -> Any:
    """What a mistake gives, also one that is made only where something holds."""
    plain, where = _parts(name)
    if all(holds(case) for holds in _conditions(where, case)):
        return _given(table[plain], case)
    return right(case, which)


def follows(name: str, one: Seen, which: int) -> bool | None:
    """Whether a gradient is that of the layer with a mistake of the forward pass in it.

    From impulses in x and in w: what the mistake makes of x is linear in both. None if there are
    too many of them, or where the mistaken output has another shape than g.
    """
    case = one.case.but(bias=False)
    if not case.op.weighted:
        return None
    x, w, g = case.arrays.x, case.arrays.w, one.case.arrays.g
    if which == 2 or not 0 < x.size * w.size <= IMPULSES:
        return None
    table = _table(case, None)
    if _parts(name)[0] not in table:
        return None
    met = np.zeros((x.size, w.size))
    for at in np.ndindex(*met.shape):
        y = _told(name, table, case.but(data="impulses", at=at), None)
        if y is None or y.shape != g.shape or np.isnan(y).any():
            return None
        met[at] = np.vdot(y, g)
    gradient = met @ w.ravel() if which == 0 else x.ravel() @ met
    return one.value.size == gradient.size and close(one.value.ravel(), gradient)


def _conditional(cases: list[Seen], table: Table, which: int | None) -> tuple[str, ...]:
    """Mistakes made on some cases only, told by what these have and no right ones have."""
    failing = [one for one in cases if not one.right]
    right = [one for one in cases if one.right]
    told = {name: holds for name, holds in conditions(cases[0].case.op).items()
            if all(holds(one.case) for one in failing)}  # fmt: skip
    informing = [one for one in failing if not _bare(one, which)]
    found = []
    for name in table:
        if not _fitting([name], table, failing, which):
            continue
        agreed = sum(bool(_predicts(table[name], one, which)) for one in informing)
        spared = [one.case for one in right if _predicts(table[name], one, which) is False]
        if agreed < min(2, len(failing)):
            continue
        held = {c: {i for i, case in enumerate(spared) if told[c](case)} for c in told}
        where = [c for c in told if not held[c]]
        if not where and len(failing) >= PAIRED:
            where = [f"{a} and {b}" for a, b in combinations(told, 2) if not held[a] & held[b]]
        found += [f"{name}{ONLY}{c}" for c in where]
    return _fitting(found, table, cases, which)


def _table(case: Case, which: int | None) -> dict[str, Prediction]:
    if case.op.weighted:
        return suspicions(case.op) if which is None else gradient_suspicions(case.op, which)
    return mistakes(case.op, which)


def _given(prediction: Prediction, case: Case) -> Any:
    """What a mistake gives; the right result where it makes no difference, None where it is
    impossible."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mistake may well take the mean of nothing
            return prediction(Mistaken(case))
    except (ValueError, IndexError, TypeError, ZeroDivisionError):
        return None


def _predicts(prediction: Prediction, seen: Seen, which: int | None) -> bool | None:
    """Whether a mistake gives the array that was seen.

    None: it cannot be made on this case, where the implementation is wrong somehow. A result of
    the right size may be the predicted one cut, or filled with zeros.
    """
    value, got = _given(prediction, seen.case), seen.value
    if value is None:
        return False if seen.right and got.size else None
    if value.shape != got.shape:
        if value.ndim != got.ndim or got.shape != right(seen.case, which).shape:
            return False
        value = fitted(value, got.shape)
    allowed = _allowed(seen.case, which, value)
    if not close(got, value, allowed):
        return False
    # Where the mistake makes no difference that could be seen, a wrong result has another cause.
    return True if seen.right or differs_from(value, right(seen.case, which), allowed) else None


def _allowed(case: Case, which: int | None, value: Any) -> Any:
    """How far a batch norm's mistaken result may be off: its statistics may lose many digits.

    As far as the right one, with no eps to make the division safe, in proportion to the result.
    """
    if case.op.family != "norm":
        return 0.0
    arrays = case.op.arrays
    if which is None:
        what = "y"
    elif which >= FURTHER:
        what = arrays.further[which - FURTHER]
    else:
        what = arrays.gradients[which]
    grown = largest(value) / largest(right(case, which))
    with np.errstate(all="ignore"):
        return case.arrays.bound(what, 0.0) * max(1.0, grown)


def _cut(prediction: Prediction, seen: Seen) -> bool:
    value = _given(prediction, seen.case)
    return value is not None and value.shape != seen.value.shape
