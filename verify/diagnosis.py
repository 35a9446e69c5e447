"""Which known mistake explains everything that an implementation was seen to compute."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.case import Case
from verify.gradients import gradient_suspicions
from verify.mistakes import Mistaken, Prediction, fitted
from verify.patterns import Seen, conditions, describe
from verify.suspicions import suspicions

ROUNDINGS = 64  # a name needs no exactness: means and transforms round


@dataclass(frozen=True)
class Diagnosis:
    """What the mistake looks like.

    names: the mistakes that explain everything seen; one if it was found. explained: how many
    cases it was tried on. excluded: how many mistakes do not explain it. nearest: some of those.
    pattern: where no mistake fits, what switches the failure on, in words.
    """

    names: tuple[str, ...]
    explained: int
    excluded: int
    nearest: tuple[str, ...] = ()
    pattern: str = ""

    @property
    def name(self) -> str | None:
        return self.names[0] if len(self.names) == 1 else None


def diagnose_seen(
    seen: Iterable[Seen],
    which: int | None = None,
    among: Sequence[str] | None = None,
    conditional: bool = False,
) -> Diagnosis:
    """The mistakes that predict each array seen; which: the gradient, None for y.

    A mistake that cannot be made on a case (its layer does not exist) says nothing about a wrong
    result there, and is excluded by a right one. It must predict one wrong result at least.
    conditional: where none does, one that is made on some cases only is looked for.
    """
    cases = sorted(seen, key=lambda one: one.right)  # failures first: they exclude most
    table = _table(cases[0].case, which)
    left = {name: 0 for name in table if among is None or name in among}
    for one in cases:
        for name in list(left):
            says = _predicts(table[name], one)
            if says is False:
                del left[name]
            elif says and not one.right:
                left[name] += 1
        if not left:
            break
    names = tuple(name for name, told in left.items() if told)
    if len(names) > 1:
        names = _exact(names, [one for one in cases if not one.right], table)
    if not names and among is None and conditional:
        names = _conditional(cases, table)
    nearest = tuple(name for name in table if name not in names)[:2]
    pattern = "" if names else describe(cases, which)
    return Diagnosis(names, len(cases), len(table) - len(names), nearest, pattern)


def tells_apart(names: Sequence[str], case: Case, which: int | None) -> bool:
    """Whether mistakes give different results on a case, so that it tells them apart."""
    table = _table(case, which)
    given = [_given(table[name], case) for name in names]
    first = given[0]
    return any(
        (one is None) != (first is None)
        or (one is not None and (one.shape != first.shape or not np.array_equal(one, first)))
        for one in given[1:]
    )


def _conditional(cases: list[Seen], table: dict[str, Prediction]) -> tuple[str, ...]:
    """A mistake made on some cases only, told by what these have and no right ones have."""
    failing = [one for one in cases if not one.right]
    told = list(conditions(cases[0].case))
    common = [c for c in told if all(c[1](one.case) for one in failing)]
    for name, prediction in table.items():
        says = [_predicts(prediction, one) for one in failing]
        if False in says or says.count(True) < min(2, len(says)):
            continue
        spared = [one.case for one in cases if one.right and _predicts(prediction, one) is False]
        for condition, holds in common:
            if spared and not any(holds(case) for case in spared):
                return (f"{name}, only where {condition}",)
    return ()


def _table(case: Case, which: int | None) -> dict[str, Prediction]:
    return suspicions(case.op) if which is None else gradient_suspicions(case.op, which)


def _given(prediction: Prediction, case: Case) -> Any:
    """What a mistake gives; the right result where it makes no difference, None where it is
    impossible."""
    try:
        value = prediction(Mistaken(case))
    except (ValueError, IndexError, TypeError, ZeroDivisionError):
        return None
    return value


def _predicts(prediction: Prediction, seen: Seen) -> bool | None:
    """Whether a mistake gives the array that was seen, cut or filled with zeros to its size.

    None: it cannot be made on this case, where the implementation is wrong somehow, or the
    result is empty.
    """
    value, got = _given(prediction, seen.case), seen.value
    if value is None:
        return False if seen.right and got.size else None
    if value.ndim != got.ndim:
        return False
    if value.shape != got.shape:
        if not got.size or not value.size:
            return None if not seen.right else False
        value = fitted(value, got.shape)
    return close(got, value)


def close(got: Any, value: Any) -> bool:
    """Whether a result is the predicted one but for rounding; NaN predicts anything."""
    unit = 2.0**-24 if got.dtype.itemsize <= 4 or got.dtype == np.complex64 else 2.0**-53
    got, value = _wide(got), _wide(value)
    got = np.where(np.isnan(value), 0, got)
    value = np.where(np.isnan(value), 0, value)
    with np.errstate(invalid="ignore", over="ignore"):
        largest = float(np.max(np.abs(value), initial=1.0))
        return bool((np.abs(got - value) <= ROUNDINGS * unit * largest).all())


def _wide(array: Any) -> Any:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _exact(
    names: tuple[str, ...], failing: list[Seen], table: dict[str, Prediction]
) -> tuple[str, ...]:
    """Of mistakes that agree on everything seen, the ones that need no cutting to fit."""

    def cut(name: str) -> int:
        given = ((_given(table[name], one.case), one.value) for one in failing)
        return sum(value is None or value.shape != got.shape for value, got in given)

    cuts = {name: cut(name) for name in names}
    return tuple(name for name in names if cuts[name] == min(cuts.values()))
