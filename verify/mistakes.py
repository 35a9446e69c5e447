"""What a known mistake would compute: layers with changed arguments, on changed arrays.

Each function takes a Mistaken case and returns the y (or the gradients) that the mistake gives: the
right ones where it makes no difference, None where it cannot be made (there is no such layer).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.case import Case
from verify.layers import arguments_of
from verify.ops import Layer, Op


@dataclass(frozen=True)
class Mistaken:
    """A case whose answer is worked out anew with something changed."""

    case: Case

    @property
    def layer(self) -> Any:
        return self.case.layer

    @property
    def x(self) -> Any:
        return self.case.arrays.x

    @property
    def w(self) -> Any:
        return self.case.arrays.w

    @property
    def b(self) -> Any:
        return self.case.arrays.b

    @property
    def g(self) -> Any:
        return self.case.arrays.g

    @property
    def spatial(self) -> tuple[int, ...]:
        """The axes of x, w and y that are spatial."""
        return tuple(range(2, 2 + self.case.op.ndim))

    def rebuilt(self, **changes: Any) -> Layer | None:
        """The layer with some arguments changed; None if there is no such layer."""
        kind = type(self.layer)
        arguments = arguments_of(self.layer)
        try:
            made: Layer = kind(**(arguments | changes))
        except (TypeError, ValueError):
            return None
        return made

    def y(self, x: Any = None, w: Any = None, b: Any = ..., **changes: Any) -> Any:
        """The output with other arrays and arguments."""
        x = self.x if x is None else x
        w = self.w if w is None else w
        layer = self.rebuilt(
            **({"input_shape": x.shape[1:], "weight_shape": w.shape} | changes)
            if not self.case.op.linear
            else {}
        )
        return None if layer is None else layer.apply(x, w, self.b if b is ... else b)

    def gradients(self, g: Any = None, x: Any = None, w: Any = None, **changes: Any) -> Any:
        """The three gradients with other arrays and arguments; None where shapes no longer fit."""
        layer = self.layer if not changes else self.rebuilt(**changes)
        if layer is None:
            return None
        try:
            return layer.gradients(
                self.g if g is None else g, self.x if x is None else x, self.w if w is None else w
            )
        except ValueError:
            return None


Prediction = Callable[[Mistaken], Any]


def swapped(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The entries in reverse order, as when height and width are mixed up."""
    return tuple(reversed(values))


def first_for_all(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The first axis's value for every axis."""
    return (values[0],) * len(values)


def last_for_all(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last axis's value for every axis."""
    return (values[-1],) * len(values)


def shifted(padding: Any, before: int, after: int) -> Any:
    """Padding pairs with so much more on each side."""
    return tuple((lo + before, hi + after) for lo, hi in padding)


def flipped(array: Any, axes: tuple[int, ...]) -> Any:
    """The array read backwards along some axes."""
    return np.flip(array, axes)


def fitted(value: Any, shape: tuple[int, ...]) -> Any:
    """The value cut at its end, or filled up with zeros, to a shape."""
    result = np.zeros(shape, value.dtype)
    common = tuple(slice(0, min(a, b)) for a, b in zip(value.shape, shape, strict=True))
    result[common] = value[common]
    return result


SIDES = ("height", "width")


def axis_name(op: Op, axis: int) -> str:
    """What an axis of an op is called."""
    if op.ndim == 2:
        return SIDES[axis]
    return ("depth", *SIDES)[axis] if op.ndim == 3 else "the axis"


def every_axis(op: Op) -> str:
    """All of an op's axes, in a word."""
    return "both" if op.ndim == 2 else "all"


def one_at(axis: int, value: Any) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A change of one axis's value."""
    return lambda values: (*values[:axis], value, *values[axis + 1 :])


def exchanged(first: int, second: int) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A change that gives each of two axes the other's value."""

    def change(values: tuple[Any, ...]) -> tuple[Any, ...]:
        result = list(values)
        result[first], result[second] = result[second], result[first]
        return tuple(result)

    return change


def cleared(array: Any, axis: int, index: Any) -> Any:
    """The array with zeros at some index of an axis."""
    result = array.copy()
    if result.size:
        result[(slice(None),) * axis + (index,)] = 0
    return result


def split(array: Any, groups: int, axis: int = 1) -> Any:
    """The channels of an axis as (groups, channels of one)."""
    shape = array.shape
    parts = (groups, shape[axis] // groups)
    return array.reshape(*shape[:axis], *parts, *shape[axis + 1 :])


def interleaved(array: Any, groups: int, axis: int = 1) -> Any:
    """Channel c of group g taken from place c * groups + g."""
    shape = array.shape
    parts = (shape[axis] // groups, groups)
    dealt = array.reshape(*shape[:axis], *parts, *shape[axis + 1 :])
    return np.swapaxes(dealt, axis, axis + 1).reshape(shape)


def dealt(array: Any, groups: int, axis: int = 1) -> Any:
    """Channel c of group g put at place c * groups + g."""
    return np.swapaxes(split(array, groups, axis), axis, axis + 1).reshape(array.shape)


def left_over(array: Any, axis: int, block: int) -> Any:
    """The array with zeros behind the last whole block of an axis."""
    return cleared(array, axis, slice(array.shape[axis] // block * block, None))


def transposed_weights(m: Mistaken, w: Any) -> Any:
    """In each group (O, C) read as if it were (C, O): the same memory, other axes."""
    groups = m.layer.groups if not m.case.op.linear else 1
    parts = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    shape = (groups, parts.shape[2], parts.shape[1], *parts.shape[3:])
    return np.swapaxes(parts.reshape(shape), 1, 2).reshape(w.shape)
