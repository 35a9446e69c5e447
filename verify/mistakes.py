"""What a known mistake would compute: layers with changed arguments, on changed arrays.

Each function takes a Mistaken case and returns the y (or the gradients) that the mistake gives, or
None where it makes no difference that can be told or cannot be worked out.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from verify.case import Case
from verify.ops import Layer


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
        arguments = {f.name: getattr(self.layer, f.name) for f in fields(kind) if f.name != "conv"}
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
