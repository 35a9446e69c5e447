"""Which known mistake explains everything that an implementation was seen to compute."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.case import Case
from verify.features import FEATURES, features
from verify.gradients import gradient_suspicions
from verify.mistakes import Mistaken, Prediction
from verify.suspicions import suspicions


@dataclass(frozen=True)
class Seen:
    """A case and what the implementation returned for it (one array)."""

    case: Case
    value: Any
    right: bool


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


def diagnose_seen(seen: Iterable[Seen], which: int | None = None) -> Diagnosis:
    """The mistakes that predict each array seen, exactly; which: the gradient, None for y."""
    cases = list(seen)
    op = cases[0].case.op
    table = suspicions(op) if which is None else gradient_suspicions(op, which)
    left = dict(table)
    # Failures first: they exclude most.
    for one in sorted(cases, key=lambda s: s.right):
        left = {name: f for name, f in left.items() if _predicts(f, one)}
        if not left:
            break
    failing = [one for one in cases if not one.right]
    names = tuple(left)
    if len(names) > 1:
        names = _simplest(names, failing, left)
    nearest = tuple(name for name in table if name not in names)[:3]
    pattern = "" if names else describe(cases)
    return Diagnosis(names, len(cases), len(table) - len(names), nearest, pattern)


def _predicts(prediction: Prediction, seen: Seen) -> bool:
    """Whether a mistake gives the array that was seen, its end cut off where it is shorter."""
    try:
        value = prediction(Mistaken(seen.case))
    except (ValueError, IndexError, TypeError):
        return False
    if value is None:
        # The mistake cannot be made on this case: then the implementation must be right there.
        return seen.right
    got = seen.value
    if value.ndim != got.ndim:
        return False
    if value.shape != got.shape:
        if any(a < b for a, b in zip(value.shape, got.shape, strict=True)):
            return False
        value = value[tuple(slice(0, size) for size in got.shape)]
    return bool(np.array_equal(_wide(got), _wide(value)))


def _wide(array: Any) -> Any:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _simplest(
    names: tuple[str, ...], failing: list[Seen], table: Mapping[str, Prediction]
) -> tuple[str, ...]:
    """Of mistakes that agree on everything seen, the ones that need no cutting to fit."""
    exact = tuple(
        name
        for name in names
        if all(_shape(table[name], one) == one.value.shape for one in failing)
    )
    return exact or names


def _shape(prediction: Prediction, seen: Seen) -> Any:
    value = prediction(Mistaken(seen.case))
    return None if value is None else value.shape


def describe(cases: list[Seen]) -> str:
    """What failing cases have in common and right ones have not."""
    failing = [features(one.case) for one in cases if not one.right]
    right = [features(one.case) for one in cases if one.right]
    if not failing:
        return ""
    always = frozenset.intersection(*failing)
    telling = [name for name in FEATURES if name in always and not any(name in r for r in right)]
    if telling:
        return f"wrong exactly when {' and '.join(telling[:2])}"
    common = [name for name in FEATURES if name in always]
    if common and right:
        return f"wrong only when {' and '.join(common[:3])}, but not always then"
    for modulus in (8, 4, 2):
        if _tells(cases, modulus):
            return f"wrong only where the input channels are no multiple of {modulus}"
    return _places(cases)


def _tells(cases: list[Seen], modulus: int) -> bool:
    def odd(one: Seen) -> bool:
        return one.case.layer.input_shape[0] % modulus != 0

    return all(odd(one) != one.right for one in cases)


def _places(cases: list[Seen]) -> str:
    """Where in the output the wrong values lie, the same in all failing cases."""
    axes = ("item", "output channel", "row", "column", "column")
    found: set[str] | None = None
    for one in cases:
        expected = one.case.arrays.y
        if one.right or one.value.shape != expected.shape:
            continue
        places = np.argwhere(_wide(one.value) != _wide(expected))
        if not len(places):
            continue
        here = set()
        for axis in range(places.shape[1]):
            size = expected.shape[axis]
            if size > 1 and (places[:, axis] == size - 1).all():
                here.add(f"the last {axes[axis]}")
            if size > 1 and (places[:, axis] == 0).all():
                here.add(f"the first {axes[axis]}")
        found = here if found is None else found & here
    return f"only {' and '.join(sorted(found))} wrong" if found else ""
