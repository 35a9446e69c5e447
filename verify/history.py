"""State kept from one geometry to another: calls in an order that shows it.

A call that is wrong only because of an earlier one is right where nothing like it was called
before. So twins of a case, of sizes not called yet, are called first, and then after calls that
share their shapes and differ in one argument.
"""

from collections.abc import Iterator
from itertools import combinations, islice
from typing import Any

from verify.case import Case
from verify.judgement import judge_forward
from verify.layers import arguments_of
from verify.ops import Layer
from verify.strategies import Space
from verify.suspect import Suspect
from verify.violation import Violation

FIRST = 17  # more items, or cells, than other calls have
MODES = ("zeros", "circular", "reflect", "replicate")
DATA = "other data of the same shapes"
MOST = 4  # other steps that are called before
# Which twins are called after another geometry. Only state that is kept is wrong in this order:
# sizes alone, what they are multiples of and how large they are, give no such pattern.
ORDER = (True, False, False, True, False, True, True, False)
STEPS = [(name, v) for name in ("stride", "dilation") for v in (1, 2, 3)]
STEPS += [("padding", v) for v in (0, 1, 2)]
# One or two arguments that another call may have otherwise.
CHANGES = [{name: v} for name, v in STEPS]
CHANGES += [dict(two) for two in combinations(STEPS, 2) if len(dict(two)) == 2]


class History:
    """The law that a call gives the same result whatever geometry was called before.

    It is broken where a twin of a case gives a wrong value after another call only. No sizes are
    called twice, so that each twin meets what other calls have left, and nothing of its own.
    """

    def __init__(self, suspect: Suspect, space: Space, algorithm: str = "auto") -> None:
        self.suspect = suspect
        self.space = space
        self.algorithm = algorithm
        self._twins = 0

    def kept(self, case: Case) -> Violation | None:
        """CV153 where an earlier call with another geometry makes a twin of the case wrong."""
        return self.of_twins(case, wider=False) or self.of_twins(case, wider=True)

    def law(self, suspect: Suspect, case: Case) -> Violation | None:
        """kept(), called as the laws of several calls are."""
        return self.kept(case)

    def of_twins(self, case: Case, wider: bool) -> Violation | None:
        """The law asked of twins of a case with more items, or with wider inputs."""
        twin = self._twin(case, wider)
        if twin is None or not self._right(twin):
            return None
        others = self._others(twin)
        for told, other in others.items():
            self.suspect.forward(other)
            if self._right(twin) is False:
                return _broken(case, f"right at first, wrong after a call with {told}")
        twin = self._twin(case, wider)
        if twin is None:
            return None
        for other in self._others(twin).values():
            self.suspect.forward(other)
        if self._right(twin) is not False:
            return None
        for told in sorted(others, key=DATA.__ne__):
            if all(self._as_expected(case, wider, told, after) for after in ORDER):
                return _broken(case, f"right where it comes first, wrong after a call with {told}")
        return None

    def _as_expected(self, case: Case, wider: bool, told: str, after: bool) -> bool:
        """Whether a twin is wrong after a call of the other geometry, and right without."""
        twin = self._twin(case, wider)
        other = self._others(twin).get(told) if twin else None
        if twin is None or other is None:
            return False
        if after:
            self.suspect.forward(other)
        return self._right(twin) is (not after)

    def _right(self, case: Case) -> bool | None:
        """Whether the call is right; None if it gives nothing."""
        judged = judge_forward(self.suspect, case, self.algorithm)
        return None if judged.outcome.kind == "unsupported" else judged.violation is None

    def _twin(self, case: Case, wider: bool) -> Case | None:
        """The case with integers that lie contiguously, of sizes that were not called yet."""
        number = FIRST + self._twins
        self._twins += 1
        plain = case.but(data="integers", layout="contiguous", at=())
        if not wider:
            plain = plain.but(batch=number)
        elif case.op.linear:
            return None
        else:
            layer: Any = case.layer
            *sizes, last = layer.input_shape
            wide = changed(
                case, input_shape=(*sizes, last + getattr(layer, "stride", (1,))[-1] * number)
            )
            if wide is None:
                return None
            plain = plain.but(layer=wide)
        return plain if claimed(self.space, plain) else None

    def _others(self, case: Case) -> dict[str, Case]:
        """Calls with the shapes of a case, other data, and some with other arguments."""
        found = {}
        plain = case.but(seed=case.seed + 1)
        for told, layer in _alike(case):
            other = plain.but(layer=layer, padding=None)
            if layer != case.layer and claimed(self.space, other):
                found[told] = other
        # The first call of all leaves the most: that with the same arguments comes last.
        return found | {DATA: plain}


def claimed(space: Space, case: Case) -> bool:
    """Whether an implementation claims to do a case that its space did not draw."""
    layer: Any = case.layer
    for name, values in space.allowed.items():
        if not hasattr(layer, name):
            continue
        given = getattr(layer, name)
        given = sum(given, ()) if name == "padding" else given
        if not set(given if isinstance(given, tuple) else (given,)) <= set(values):
            return False
    return not (space.without & set(case.arguments)) and space.holds(case)


def changed(case: Case, **changes: Any) -> Layer | None:
    """The layer of a case with other arguments; None if there is no such layer."""
    kind: Any = type(case.layer)
    given = arguments_of(case.layer)
    named = {"padding": case.padding} if case.padding else {}
    try:
        made: Layer = kind(**(given | named | changes))
    except (TypeError, ValueError):
        return None
    return made


def _broken(case: Case, note: str) -> Violation | None:
    return Violation("CV153", case, note=note)


def _alike(case: Case) -> Iterator[tuple[str, Layer]]:
    """Layers that share shapes with a case's: those of x, w and y, or that of the padded x."""
    if case.op.family != "conv":
        return
    layer: Any = case.layer
    if case.op.padded:
        for mode in MODES:
            other = changed(case, padding_mode=mode)
            if other is not None:
                yield f"padding_mode={mode!r}", other
    yield from islice(_other_steps(case), MOST)
    if not case.op.transposed and not case.padding:
        sizes = zip(layer.input_shape[1:], layer.padding, strict=True)
        wide = (layer.input_shape[0], *(n + before + after for n, (before, after) in sizes))
        other = changed(case, input_shape=wide, padding=0)
        if other is not None:
            yield "an input as large as the padded one", other


def _other_steps(case: Case) -> Iterator[tuple[str, Layer]]:
    """Layers with other strides, dilations or paddings that share all shapes with a case's."""
    layer: Any = case.layer
    axes = len(layer.stride)
    for first in sorted({0, axes - 1}):
        along = "the last axis" if first else "all axes"
        for steps in CHANGES:
            new = {
                name: (*getattr(layer, name)[:first], *[value] * (axes - first))
                for name, value in steps.items()
            }
            other = changed(case, **new)
            if other not in (None, layer) and other.output_shape == layer.output_shape:
                told = ", ".join(f"{name}={value}" for name, value in steps.items())
                yield f"{told} along {along}", other
