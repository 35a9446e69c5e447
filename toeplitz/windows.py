"""The windows of a pool: which inputs each one reads, from the same axis tables as Conv."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from toeplitz import arguments
from toeplitz.arguments import Padding, Pairs, PerAxis
from toeplitz.axis import AdaptiveAxis, Axis, Indices
from toeplitz.factors import Factor, factor


@dataclass(frozen=True, init=False, repr=False)
class Windows:
    """The windows of a pool over items of shape (C, *S); each channel is pooled for itself."""

    input_shape: tuple[int, ...]

    @cached_property
    def sources(self) -> tuple[Indices, ...]:
        """For each axis the table (window, tap) of input positions, -1 for none."""
        raise NotImplementedError(f"{type(self).__name__} must say what its windows read")

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """(C, *windows on each axis)."""
        return (self.input_shape[0], *map(len, self.sources))

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """For each axis: rows are windows, columns inputs, values taps."""
        result = []
        for size, source in zip(self.input_shape[1:], self.sources, strict=True):
            window, tap = np.nonzero(source >= 0)
            result.append(factor(window, source[window, tap], tap, len(source), size,
                                 source.shape[1]))  # fmt: skip
        return tuple(result)

    def _set(self, *values: Any) -> None:
        for field, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)


@dataclass(frozen=True, init=False, repr=False)
class StridedWindows(Windows):
    """Windows of one size at regular steps."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    ceil_mode: bool

    def _canonical(
        self,
        input_shape: tuple[int, ...],
        kernel_size: PerAxis,
        stride: PerAxis | None,
        padding: Padding,
        dilation: PerAxis,
        ceil_mode: bool,
    ) -> tuple[Any, ...]:
        inputs = arguments.input_shape(input_shape)
        axes = len(inputs) - 1
        kernel = arguments.per_axis("kernel_size", kernel_size, axes, 1)
        steps = arguments.per_axis("stride", kernel if stride is None else stride, axes, 1)
        return (
            inputs,
            kernel,
            steps,
            arguments.pairs("padding", padding, axes, 0),
            arguments.per_axis("dilation", dilation, axes, 1),
            arguments.flag("ceil_mode", ceil_mode),
        )

    @property
    def ndim(self) -> int:
        """The number of spatial axes."""
        return len(self.input_shape) - 1

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """One Axis for each spatial axis; ceil_mode lengthens its padding after."""
        return tuple(
            _pooled(position, Axis(size, kernel, stride, before, after, dilation), self.ceil_mode)
            for position, (size, kernel, stride, (before, after), dilation) in enumerate(
                zip(
                    self.input_shape[1:],
                    self.kernel_size,
                    self.stride,
                    self.padding,
                    self.dilation,
                    strict=True,
                )
            )
        )

    @cached_property
    def sources(self) -> tuple[Indices, ...]:
        tables = tuple(axis.source() for axis in self.axes)
        for position, (axis, table) in enumerate(zip(self.axes, tables, strict=True)):
            _check_touch(position, axis, table)
        return tables

    def __repr__(self) -> str:
        return arguments.call(self, ("input_shape", "kernel_size"), **self._defaults())

    def _defaults(self) -> dict[str, Any]:
        return {
            "stride": self.kernel_size,
            "padding": ((0, 0),) * self.ndim,
            "dilation": (1,) * self.ndim,
            "ceil_mode": False,
        }


@dataclass(frozen=True, init=False, repr=False)
class AdaptiveWindows(Windows):
    """Windows that split each axis into output_size nearly equal parts."""

    output_size: tuple[int, ...]

    def __init__(
        self, input_shape: tuple[int, ...], output_size: int | tuple[int | None, ...]
    ) -> None:
        inputs = arguments.input_shape(input_shape)
        sizes: Any = output_size
        if arguments.several(sizes) and not isinstance(sizes, str):
            sizes = tuple(
                size if wanted is None else wanted
                for wanted, size in zip(sizes, inputs[1:], strict=False)
            ) + tuple(sizes[len(inputs) - 1 :])
        self._set(inputs, arguments.per_axis("output_size", sizes, len(inputs) - 1, 0))

    @cached_property
    def sources(self) -> tuple[Indices, ...]:
        return tuple(
            AdaptiveAxis(size, windows).source()
            for size, windows in zip(self.input_shape[1:], self.output_size, strict=True)
        )

    def __repr__(self) -> str:
        return arguments.call(self, ("input_shape", "output_size"))


@dataclass(frozen=True, init=False, repr=False)
class GlobalWindows(AdaptiveWindows):
    """One window over all positions."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        super().__init__(input_shape, 1)

    def __repr__(self) -> str:
        return arguments.call(self, ("input_shape",))


def _pooled(position: int, axis: Axis, ceil_mode: bool) -> Axis:
    """The axis with the padding after that its last window needs, no more and no less."""
    windows = axis.windows
    if ceil_mode:
        windows = -(-(axis.padded - axis.extent) // axis.stride) + 1
        # PyTorch's rule: the last window starts inside the input or the padding before it.
        if (windows - 1) * axis.stride >= axis.size + axis.before:
            windows -= 1
    if windows < 1:
        raise ValueError(
            f"the window is wider than the padded input on spatial axis {position}: "
            f"dilation * (kernel - 1) + 1 = {axis.dilation} * ({axis.kernel} - 1) + 1 = "
            f"{axis.extent} > {axis.size} + {axis.before} + {axis.after} = {axis.padded}; "
            f"pad more or take a smaller window"
        )
    reach = (windows - 1) * axis.stride + axis.extent - axis.size - axis.before
    return Axis(axis.size, axis.kernel, axis.stride, axis.before, reach, axis.dilation)


def _check_touch(position: int, axis: Axis, table: Indices) -> None:
    empty = np.flatnonzero((table < 0).all(axis=1))
    if len(empty):
        first = int(empty[0]) * axis.stride - axis.before
        last = first + axis.extent - 1
        taps = f"its taps are at {first}, …, {last} in steps of {axis.dilation}"
        if axis.kernel == 1:
            taps = f"its only tap is at {first}"
        raise ValueError(
            f"window {empty[0]} of spatial axis {position} reads only padding: {taps} "
            f"and the input is at 0, …, {axis.size - 1}; pad less"
        )
