"""The geometry of a convolution: canonical arguments, shapes, counts, refusals."""

from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from toeplitz import arguments
from toeplitz.arguments import PADDING_MODES, PADDING_NAMES, Padding, Pairs, PerAxis
from toeplitz.axis import LARGEST, Axis, Indices
from toeplitz.factors import Factor, factor


@dataclass(frozen=True, init=False, repr=False)
class Geometry:
    """Sizes and steps of a convolution in canonical form: every field a tuple, padding in pairs."""

    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str
    input_dilation: tuple[int, ...]

    def __init__(
        self,
        input_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        input_dilation: PerAxis = 1,
    ) -> None:
        inputs = arguments.input_shape(input_shape)
        axes = len(inputs) - 1
        form = "(output channels, input channels / groups, *kernel)"
        weights = arguments.weight_shape(weight_shape, form, inputs)
        steps = arguments.per_axis("stride", stride, axes, 1)
        spread = arguments.per_axis("dilation", dilation, axes, 1)
        apart = arguments.per_axis("input_dilation", input_dilation, axes, 1)
        groups = arguments.integer("groups", groups, 1)
        arguments.divides(groups, inputs[0], "input")
        arguments.divides(groups, weights[0], "output")
        if weights[1] != inputs[0] // groups:
            raise ValueError(
                f"weight_shape must be {form}: input channels / groups = "
                f"{inputs[0]} / {groups} = {inputs[0] // groups}, got {weights[1]} in {weights}"
            )
        mode = arguments.choice("padding_mode", padding_mode, PADDING_MODES)
        unpadded = [
            Axis(size, kernel, step, 0, 0, dilation, between, mode)
            for size, kernel, step, dilation, between in zip(
                inputs[1:], weights[2:], steps, spread, apart, strict=True
            )
        ]
        sides = _padding(padding, unpadded)
        canonical = (inputs, weights, steps, sides, spread, groups, mode, apart)
        for field, value in zip(fields(Geometry), canonical, strict=True):
            object.__setattr__(self, field.name, value)
        for position, axis in enumerate(self.axes):
            _check_axis(position, axis)

    __init__.__qualname__ = "Conv.__init__"  # the name that Python tells of a wrong keyword

    def __repr__(self) -> str:
        ones = (1,) * self.ndim
        return arguments.call(
            self,
            ("input_shape", "weight_shape"),
            stride=ones,
            padding=((0, 0),) * self.ndim,
            dilation=ones,
            groups=1,
            padding_mode="zeros",
            input_dilation=ones,
        )

    @property
    def ndim(self) -> int:
        """The number of spatial axes."""
        return len(self.input_shape) - 1

    @property
    def in_channels(self) -> int:
        return self.input_shape[0]

    @property
    def out_channels(self) -> int:
        return self.weight_shape[0]

    @property
    def kernel_size(self) -> tuple[int, ...]:
        return self.weight_shape[2:]

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        """One Axis for each spatial axis, with its padding."""
        return tuple(
            Axis(size, kernel, stride, before, after, dilation, between, self.padding_mode)
            for size, kernel, stride, (before, after), dilation, between in zip(
                self.input_shape[1:],
                self.kernel_size,
                self.stride,
                self.padding,
                self.dilation,
                self.input_dilation,
                strict=True,
            )
        )

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """(output channels, *spatial): floor((N + P - (D (K - 1) + 1)) / S) + 1 on each axis."""
        return (self.out_channels, *(axis.windows for axis in self.axes))

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of one forward pass over one item, those with padded zeros counted too."""
        return prod(self.output_shape) * prod(self.weight_shape[1:])

    @property
    def triple_count(self) -> int:
        """Multiply-adds that touch an input: the number of triples (output, input, weight)."""
        return self.out_channels * self.weight_shape[1] * prod(reads for reads, _ in self.counts)

    @cached_property
    def counts(self) -> tuple[tuple[int, int], ...]:
        """For each axis the numbers of (output, tap) and of (output, input) pairs."""
        return tuple(axis.counts() for axis in self.axes)

    @property
    def table_bytes(self) -> int:
        """What the axis tables take while a matrix is written."""
        return 72 * sum(axis.windows * axis.kernel for axis in self.axes)

    @cached_property
    def sources(self) -> tuple[Indices, ...]:
        """For each axis the table (output position, tap) of input positions, -1 for none."""
        return tuple(axis.source() for axis in self.axes)

    @cached_property
    def forward_factors(self) -> tuple[Factor, ...]:
        """For each axis: rows are outputs, columns inputs, values taps."""
        return tuple(
            factor(output, input, tap, axis.windows, axis.size, axis.kernel, axis.period)
            for axis, (output, input, tap) in self.axis_triples()
        )

    @cached_property
    def transposed_factors(self) -> tuple[Factor, ...]:
        """For each axis: rows are inputs, columns outputs, values taps."""
        return tuple(
            factor(input, output, tap, axis.size, axis.windows, axis.kernel, axis.input_period)
            for axis, (output, input, tap) in self.axis_triples()
        )

    @cached_property
    def weight_factors(self) -> tuple[Factor, ...]:
        """For each axis: rows are outputs, columns taps, values inputs."""
        return tuple(
            factor(output, tap, input, axis.windows, axis.kernel, axis.size, axis.period)
            for axis, (output, input, tap) in self.axis_triples()
        )

    def axis_triples(self) -> list[tuple[Axis, tuple[Indices, Indices, Indices]]]:
        """For each axis its (output, input, tap) triples, ordered by output, then tap."""
        result = []
        for axis, source in zip(self.axes, self.sources, strict=True):
            output, tap = np.nonzero(source >= 0)
            result.append((axis, (output, source[output, tap], tap)))
        return result


def patch_factor(geometry: Geometry) -> Factor:
    """E for one channel: the row (taps, positions) holds a one at the input that is read."""
    axes = geometry.ndim
    flat: Indices = np.zeros((), np.intp)
    inside: Indices = np.ones((), np.bool_)
    for position, (axis, source) in enumerate(zip(geometry.axes, geometry.sources, strict=True)):
        grid = [1] * (2 * axes)
        grid[axes + position], grid[position] = source.shape
        flat = flat * axis.size + source.T.reshape(grid)
        inside = inside & (source >= 0).T.reshape(grid)
    columns = prod(geometry.input_shape[1:])
    column = np.where(inside, flat, 0).reshape(-1, 1)
    return Factor(columns, column, np.zeros_like(column), inside.ravel().astype(np.intp))


def _padding(value: Any, unpadded: list[Axis]) -> Pairs:
    """Padding as pairs, the names of arguments.PADDING_NAMES worked out."""
    if not isinstance(value, str):
        return arguments.pairs("padding", value, len(unpadded))
    name = arguments.choice("padding", value, PADDING_NAMES)
    if name == "valid":
        return ((0, 0),) * len(unpadded)
    if name == "full":
        return tuple((axis.extent - 1, axis.extent - 1) for axis in unpadded)
    strides = tuple(axis.stride for axis in unpadded)
    if name == "same" and max(strides) > 1:
        raise ValueError(
            f'padding="same" needs stride 1, got {strides}: '
            f'write "same_upper" or "same_lower" for ceil(input / stride) outputs'
        )
    totals = [
        max((-(-axis.dilated // axis.stride) - 1) * axis.stride + axis.extent - axis.dilated, 0)
        for axis in unpadded
    ]
    if name == "same_lower":
        return tuple((total - total // 2, total // 2) for total in totals)
    return tuple((total // 2, total - total // 2) for total in totals)


def check_reflection(position: int, axis: Axis, name: str) -> None:
    """Refuse to reflect more than the input has; name is the argument that asks for it."""
    widest = max(axis.before, axis.after)
    if axis.mode == "reflect" and widest >= axis.dilated:
        raise ValueError(
            f"reflect padding must be narrower than the input on spatial axis {position}: "
            f'{widest} >= {axis.dilated}; take {name}="replicate" or "circular"'
        )


def _check_axis(position: int, axis: Axis) -> None:
    steps = axis.stride, axis.dilation, axis.input_dilation
    largest = max(axis.dilated, axis.padded, axis.extent, axis.before, axis.after, *steps)
    if largest > LARGEST:
        raise ValueError(
            f"sizes and steps must stay below 2**62 on spatial axis {position}: got {largest}"
        )
    if axis.extent > axis.padded:
        raise ValueError(
            f"the kernel is wider than the padded input on spatial axis {position}: "
            f"dilation * (kernel - 1) + 1 = {axis.dilation} * ({axis.kernel} - 1) + 1 = "
            f"{axis.extent} > {axis.dilated} + {axis.before} + {axis.after} = {axis.padded}; "
            f"pad more or take a smaller kernel"
        )
    check_reflection(position, axis, "padding_mode")
    kept = axis.dilated + min(axis.before, 0) + min(axis.after, 0)
    if axis.mode == "circular" and kept < 1:
        raise ValueError(
            f"negative padding leaves nothing to repeat on spatial axis {position}: "
            f"{axis.dilated} + {min(axis.before, 0)} + {min(axis.after, 0)} = {kept}; crop less"
        )
