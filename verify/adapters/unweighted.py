"""Layers without weights as libraries are asked for them: a value for each axis, no defaults left.

`layer` makes of a function of such values one of the op's arguments. What its library has no
argument for is no argument of it either, and so is never asked.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from verify.adapters import Function, each_axis
from verify.ops import DEFAULTS, REQUIRED, Op

LARGEST_KERNEL = "a window must not be larger than the padded input"


@dataclass(frozen=True)
class Windows:
    """The windows of a pool, of unfold or of fold, with one value for each axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor: int | None = None

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The padding as (before, after) for each axis."""
        return tuple((p, p) for p in self.padding)

    def outputs(self, sizes: Any) -> tuple[int, ...]:
        """The number of windows on each axis.

        >>> Windows((2,), (2,), (0,), (1,), ceil_mode=True).outputs((5,))
        (3,)
        """
        return tuple(self._count(axis, n) for axis, n in enumerate(sizes))

    def rounded_up(self, sizes: Any) -> tuple[int, ...]:
        """The number of windows, rounded up, with those that start in the padding behind.

        >>> Windows((2,), (2,), (1,), (1,), ceil_mode=True).rounded_up((1,))
        (2,)
        """
        axes = zip(sizes, self.padding, self.stride, strict=True)
        return tuple(
            -(-(n + 2 * p - self._extent(axis)) // s) + 1 for axis, (n, p, s) in enumerate(axes)
        )

    def within(self, sizes: Any, library: str) -> None:
        """NotImplementedError where a library that rounds up, and no more, has another shape."""
        if self.ceil_mode and self.outputs(sizes) != self.rounded_up(sizes):
            raise NotImplementedError(f"{library}'s ceil_mode has windows that start in padding")

    def reach(self, sizes: Any) -> tuple[tuple[int, int], ...]:
        """The padding up to the last cell of the last window, which ceil_mode may put behind it.

        >>> Windows((2,), (2,), (0,), (1,), ceil_mode=True).reach((5,))
        ((0, 1),)
        """
        found = []
        for axis, (n, p, count) in enumerate(zip(sizes, self.padding, self.outputs(sizes),
                                                 strict=True)):  # fmt: skip
            end = (count - 1) * self.stride[axis] + self._extent(axis)
            found.append((p, max(p, end - p - n)))
        return tuple(found)

    def divisors(self, sizes: Any) -> Any:
        """What the sum of each window is divided by, for an average: an array of outputs(sizes).

        >>> Windows((2,), (2,), (1,), (1,), count_include_pad=False).divisors((3,))
        array([1, 2])
        """
        if self.divisor is not None:
            return np.full(self.outputs(sizes), self.divisor)
        return reduce(np.multiply.outer, [self._counted(axis, n) for axis, n in enumerate(sizes)])

    def _extent(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def _count(self, axis: int, n: int) -> int:
        stride, padding = self.stride[axis], self.padding[axis]
        room = n + 2 * padding - self._extent(axis)
        count = (room + (stride - 1) * self.ceil_mode) // stride + 1
        if self.ceil_mode and (count - 1) * stride >= n + padding:
            count -= 1  # a window that would start in the padding behind
        if count < 1:
            raise ValueError(LARGEST_KERNEL)
        return count

    def _counted(self, axis: int, n: int) -> Any:
        padding = self.padding[axis]
        starts = self.stride[axis] * np.arange(self._count(axis, n)) - padding
        ends = np.minimum(starts + self._extent(axis), n + padding)
        if self.count_include_pad:
            return ends - starts
        return np.minimum(ends, n) - np.maximum(starts, 0)


def layer(op: Op, run: Function, lacks: Collection[str] = ()) -> Function:
    """A function of the arrays and arguments of an op without weights, but for those it lacks.

    run gets the arrays, then: of a pool its Windows, or the size of an adaptive one; of fold the
    size and the Windows; of pad (before, after) for each spatial axis, the mode and the value; of
    a batch norm training, momentum and eps.
    """

    def call(x: Any, *rest: Any, **arguments: Any) -> Any:
        if op.ndim and op.family != "move" and x.ndim != op.ndim + 2:
            raise ValueError(f"x must have {op.ndim + 2} axes: got {x.ndim}")
        arrays, keywords = _split(op, rest, arguments)
        return run(x, *arrays, *_asked(op, x.ndim - 2, keywords))

    taken = [name for name in op.parameters if name not in lacks]
    places = [Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in op.arrays.given]
    named = [
        Parameter(name, Parameter.KEYWORD_ONLY,
                  default=Parameter.empty if name in REQUIRED else DEFAULTS[name])
        for name in taken
    ]  # fmt: skip
    call.__signature__ = Signature(places + named)  # type: ignore[attr-defined]  # a function's
    call.__name__ = op.name
    return call


def _split(op: Op, rest: Any, arguments: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arrays after x, None where there is none, and the keywords."""
    names = op.arrays.given[1:]
    given = dict(zip(names, rest, strict=False))
    given |= {name: arguments[name] for name in names if name in arguments}
    keywords = {name: value for name, value in arguments.items() if name not in names}
    return [given.get(name) for name in names], keywords


def _asked(op: Op, ndim: int, given: dict[str, Any]) -> list[Any]:
    """What `run` gets after the arrays."""
    values = {name: given.get(name, DEFAULTS.get(name)) for name in op.parameters}
    if op.family == "norm":
        return [values["training"], values["momentum"], values["eps"]]
    if op.name == "pad":
        return [_sides(values["pad"], ndim), values["mode"], values["value"]]
    axes = op.ndim or ndim
    asked: list[Any] = []
    if "output_size" in values:
        asked.append(each_axis(values["output_size"], axes))
    if "kernel_size" in values:
        asked.append(_windows(values, given.get("stride"), axes, op.family != "move"))
    return asked


def _windows(values: dict[str, Any], stride: Any, axes: int, pooled: bool) -> Windows:
    kernel = each_axis(values["kernel_size"], axes)
    strides = kernel if pooled and stride is None else each_axis(values["stride"], axes)
    rest = [each_axis(values.get(name) or default, axes) for name, default in
            (("padding", 0), ("dilation", 1))]  # fmt: skip
    return Windows(
        kernel, strides, rest[0], rest[1], bool(values.get("ceil_mode")),
        bool(values.get("count_include_pad", True)), values.get("divisor_override"),
    )  # fmt: skip


def _sides(pad: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """PyTorch's pad, from the last axis on, as (before, after) of each spatial axis."""
    pairs = [(int(pad[2 * i]), int(pad[2 * i + 1])) for i in range(len(pad) // 2)]
    pairs += [(0, 0)] * (ndim - len(pairs))
    return tuple(reversed(pairs))
