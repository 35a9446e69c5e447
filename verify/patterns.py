"""What switches a failure on, in words, where no known mistake explains it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations
from math import prod
from typing import Any, TypeAlias

import numpy as np

from verify.case import Case
from verify.families import FAMILIES
from verify.features import CALLS, FEATURES
from verify.judgement import right
from verify.ops import Op

Condition: TypeAlias = Callable[[Case], bool]
PLACES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("place",),
    2: ("row", "column"),
    3: ("slice", "row", "column"),
}
PAIRED = 8  # failures from which on a pair of conditions is no coincidence


@dataclass(frozen=True)
class Seen:
    """A case and what the implementation returned for it (one array)."""

    case: Case
    value: Any
    right: bool


def describe(cases: list[Seen], which: int | None = None) -> str:
    """What failing cases have in common and right ones have not, and where they are wrong."""
    failing = [one for one in cases if not one.right]
    right = [one for one in cases if one.right and one.value.size]
    if not failing:
        return ""
    where = _places(failing, which)
    told = when([one.case for one in failing], [one.case for one in right])
    return "; ".join(part for part in (told, where) if part)


def when(failing: list[Case], right: list[Case]) -> str:
    """What failing cases have in common and right ones have not."""
    always = {
        told: [holds(case) for case in right]
        for told, holds in conditions(failing[0].op).items()
        if all(holds(case) for case in failing)
    }
    if not right:
        return "wrong always"
    for told, among in always.items():
        if not any(among):
            return f"wrong exactly where {told}"
    for (one, first), (two, second) in combinations(always.items(), 2):
        if len(failing) >= PAIRED and not any(a and b for a, b in zip(first, second, strict=True)):
            return f"wrong exactly where {one} and {two}"
    telling = min(always.items(), key=lambda item: sum(item[1]), default=None)
    if telling is None or sum(telling[1]) > 0.9 * len(right):
        return ""
    return f"wrong only where {telling[0]}, but not always there"


@lru_cache
def conditions(op: Op) -> Mapping[str, Condition]:
    """What a case of an op may be: its features, and what its sizes are multiples of."""
    return dict(_conditions(op))


def _conditions(op: Op) -> Iterator[tuple[str, Condition]]:
    yield from CALLS.items()
    if op.weighted:
        yield from FEATURES.items()
    if not op.weighted:
        yield from _of_layers(op)
    sizes: dict[str, Callable[[Case], int]] = {}
    if op.linear:
        sizes = {
            "the inputs": lambda c: c.layer.input_shape[0],
            "the outputs": lambda c: c.layer.output_shape[0],
        }
    elif op.weighted:
        if op.padded:
            yield "padding is given in numbers", lambda c: c.padding is None
        for name in op.parameters:
            yield f"{name} is left to its default", partial(_left_out, name)
            yield f"{name} is written as one number", partial(_one_number, name)
        yield "the kernel is a single tap", lambda c: prod(c.layer.weight_shape[2:]) == 1
        yield "the kernel has several taps", lambda c: prod(c.layer.weight_shape[2:]) > 1
        sizes = {
            "the input channels of a group": _group_width,
            "the input channels": lambda c: c.layer.input_shape[0],
            "the output channels": lambda c: c.layer.output_shape[0],
            "the taps": lambda c: prod(c.layer.weight_shape[2:]),
            "the output's last axis": lambda c: c.layer.output_shape[-1],
            "the output's first axis": lambda c: c.layer.output_shape[1],
        }
    for told, count in sizes.items():
        for modulus in (2, 4, 8):
            yield f"{told} {_is(told)} not a multiple of {modulus}", _no_multiple(count, modulus)
        for least in (16, 15, 8, 7, 4, 3, 2, 1):  # the tightest first
            yield f"{told} {_is(told)} more than {least}", _more(count, least)
    yield "the batch is odd", lambda c: c.batch % 2 == 1
    yield "no bias", lambda c: not c.bias


def _of_layers(op: Op) -> Iterator[tuple[str, Condition]]:
    """What a layer without weights may be."""
    for told, holds in FAMILIES[op.family].FEATURES.items():
        yield told, partial(_layer_holds, holds)
    for name in op.parameters:
        yield f"{name} is left to its default", partial(_left_out, name)
        yield f"{name} is written as one number", partial(_one_number, name)
    for axis in range(4):
        for least in (16, 8, 4, 2, 1):
            yield f"output axis {axis} is more than {least}", partial(_longer, axis, least)


def _layer_holds(holds: Callable[[Any], bool], case: Case) -> bool:
    return bool(holds(case.layer))


def _longer(axis: int, least: int, case: Case) -> bool:
    shape = case.layer.output_shape
    return len(shape) > axis and bool(shape[axis] > least)


def _is(told: str) -> str:
    return "is" if told.endswith("axis") else "are"


def _left_out(name: str, case: Case) -> bool:
    return name not in case.arguments


def _one_number(name: str, case: Case) -> bool:
    return isinstance(case.arguments.get(name), int)


def _group_width(case: Case) -> int:
    layer: Any = case.layer
    return int(layer.input_shape[0] // layer.groups)


def _no_multiple(count: Callable[[Case], int], modulus: int) -> Callable[[Case], bool]:
    return lambda case: count(case) % modulus != 0


def _more(count: Callable[[Case], int], least: int) -> Callable[[Case], bool]:
    return lambda case: count(case) > least


def _places(failing: list[Seen], which: int | None) -> str:
    """Where the wrong values lie: what is true of all failing cases that can tell."""
    axes = _axes(failing[0].case.op, which)
    shapes = [one.value.shape == right(one.case, which).shape for one in failing]
    if not all(shapes):
        return "its shape is wrong, but not always" if any(shapes) else "its shape is wrong"
    found: set[str] = set()
    refuted: set[str] = set()
    for one in failing:
        expected = right(one.case, which)
        places = np.argwhere(one.value != expected)
        for axis in range(places.shape[1]):
            for end, index in (("last", expected.shape[axis] - 1), ("first", 0)):
                if expected.shape[axis] > 1:
                    holds = bool((places[:, axis] == index).all())
                    told = axes[axis] if axis < len(axes) else f"place of axis {axis}"
                    (found if holds else refuted).add(f"the {end} {told}")
    only = sorted(found - refuted)
    return f"only {' and '.join(only)} wrong" if only else ""


def _axes(op: Op, which: int | None) -> tuple[str, ...]:
    """What the axes of a result are called."""
    if not op.weighted:
        per_channel = op.family == "norm" and which not in (None, 0)
        return ("channel",) if per_channel else ("item", "channel", *PLACES.get(op.ndim, ()))
    if which is None:
        return ("item", "output channel", *PLACES[op.ndim])
    axes = (("item", "input channel"), ("filter", "input channel"), ("filter",))[which]
    return axes + (PLACES[op.ndim] if which < 2 else ())
