"""How a convolution's inputs are laid out so that each tap reads one stretch of them.

A tap of the kernel is then one product of matrices, W_tap times that stretch, whatever the stride
and dilation, and nothing is copied for each tap. Axes on which that would waste too much are
merged: each of their taps gets a copy of its own, beside the channels.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from toeplitz.axis import Axis, Indices
from toeplitz.conv import Conv

# Nanoseconds of one core for a multiply-add, and for a number that is copied into the lanes or out
# of a sheet. Only their ratios matter, for the choice of merged axes.
MULTIPLY, COPY, STORE = 1 / 80, 0.6, 0.7
START = 3  # multiply-adds that it takes to start adding up one output
BACK = 2.5  # copies that the adjoint is worth: clear the lanes, add them to the inputs


class Move(NamedTuple):
    """A stretch of inputs, and where in a lane it stands."""

    lane: int
    inside: slice  # of the lane
    source: slice  # of the axis


class Blank(NamedTuple):
    """A stretch of a lane where zeros stand."""

    lane: int
    inside: slice


@dataclass(frozen=True)
class Lanes:
    """One axis: the lanes, and through each tap which of them is read from where."""

    position: Indices
    lane: Indices
    start: Indices
    outputs: int
    merged: bool

    @classmethod
    def of(cls, axis: Axis, merged: bool) -> "Lanes":
        if merged:
            taps = np.arange(axis.kernel)
            return cls(axis.source().T, taps, np.zeros_like(taps), axis.windows, True)
        return cls(*axis.lanes(), axis.windows, False)

    @property
    def count(self) -> int:
        return len(self.position)

    @property
    def length(self) -> int:
        return int(self.position.shape[1])

    @property
    def spread(self) -> int:
        """How much longer a lane is than the outputs are many."""
        return self.length - self.outputs

    def whole(self, size: int) -> bool:
        """Whether the only lane is the input itself."""
        return self.count == 1 and np.array_equal(self.position[0], np.arange(size))

    def moves(self, first: int, stop: int) -> list[Move]:
        """The inputs of outputs first to stop, as slices."""
        cut = self.position[:, first : stop + self.spread]
        return [
            Move(lane, inside, source)
            for lane, positions in enumerate(cut)
            for inside, source in stretches(positions)
        ]

    def blanks(self, first: int, stop: int) -> list[Blank]:
        """Where the lanes of outputs first to stop hold zeros."""
        cut = self.position[:, first : stop + self.spread]
        return [
            Blank(lane, inside)
            for lane, positions in enumerate(cut)
            for inside, _ in stretches(np.where(positions < 0, np.arange(len(positions)), -1))
        ]


def stretches(position: Indices) -> list[tuple[slice, slice]]:
    """Slices of a list of positions, and what stands there as slices; -1 stands for none.

    >>> import numpy as np
    >>> stretches(np.array([-1, 4, 6, 8, 7]))
    [(slice(1, 4, None), slice(4, 10, 2)), (slice(4, 5, None), slice(7, 8, 1))]
    """
    found = []
    step = np.diff(position)
    first = 0
    while first < len(position):
        if position[first] < 0:
            filled = np.flatnonzero(position[first:] >= 0)
            first = first + int(filled[0]) if len(filled) else len(position)
            continue
        stop, by = first + 1, 1
        if stop < len(position) and position[stop] >= 0 and step[first]:
            by = int(step[first])
            other = np.flatnonzero((step[first:] != by) | (position[first + 1 :] < 0))
            stop = first + 1 + (int(other[0]) if len(other) else len(step) - first)
        begin, end = int(position[first]), int(position[stop - 1]) + by
        found.append((slice(first, stop), slice(begin, end if end >= 0 else None, by)))
        first = stop
    return found


class Tap(NamedTuple):
    """One tap of the axes that are not merged: its lane on each, and where in it it begins."""

    lanes: tuple[int, ...]
    starts: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """The lanes of every axis, and what one product of matrices takes from them."""

    conv: Conv
    axes: tuple[Lanes, ...]

    @classmethod
    def of(cls, conv: Conv, adjoint: bool = False) -> "Plan":
        """The plan with the merged axes that promise the least time."""
        apart = cls.apart(conv)
        if apart.unit:
            return apart
        each = [
            (one, Lanes.of(axis, True)) for one, axis in zip(apart.axes, conv.axes, strict=True)
        ]
        plans = [cls(conv, axes) for axes in product(*each)]
        return min(plans, key=lambda plan: plan.nanoseconds(BACK if adjoint else 1))

    @classmethod
    def apart(cls, conv: Conv) -> "Plan":
        """The plan without merged axes."""
        return cls(conv, tuple(Lanes.of(axis, False) for axis in conv.axes))

    @property
    def width(self) -> int:
        return self.conv.weight_shape[1]

    @property
    def height(self) -> int:
        return self.conv.out_channels // self.conv.groups

    @property
    def unit(self) -> bool:
        """Whether each product is one of two numbers: a depthwise convolution."""
        return self.width == self.height == 1

    @cached_property
    def merged(self) -> tuple[int, ...]:
        """The taps of each merged axis."""
        return tuple(axis.count for axis in self.axes if axis.merged)

    @property
    def whole(self) -> bool:
        """Whether the only lane is the input itself."""
        sizes = self.conv.input_shape[1:]
        return all(axis.whole(size) for axis, size in zip(self.axes, sizes, strict=True))

    @property
    def inner(self) -> int:
        """What one product adds up: channels of a group and merged taps."""
        return self.width * prod(self.merged)

    def nanoseconds(self, copies: float) -> float:
        """An estimate for one output position; copies: how often the lanes are gone through."""
        waste = prod(axis.length / axis.outputs for axis in self.axes[1:])
        terms = self.width * prod(self.conv.kernel_size)
        products = self.height * terms * (1 + START / self.inner) * waste * MULTIPLY
        copied = copies * self.inner * prod(self.lane_counts) * COPY
        return products + copied + (self.height * STORE if waste > 1 else 0)

    @cached_property
    def taps(self) -> list[Tap]:
        """The taps of the axes that are not merged."""
        axes = [axis for axis in self.axes if not axis.merged]
        found = []
        for index in product(*(range(len(axis.lane)) for axis in axes)):
            pairs = list(zip(axes, index, strict=True))
            found.append(
                Tap(
                    tuple(int(axis.lane[tap]) for axis, tap in pairs),
                    tuple(int(axis.start[tap]) for axis, tap in pairs),
                )
            )
        return found

    @property
    def lane_counts(self) -> tuple[int, ...]:
        return tuple(axis.count for axis in self.axes if not axis.merged)

    def grid(self, rows: int) -> tuple[int, ...]:
        """Cells of a lane for so many outputs of the first axis."""
        first = self.axes[0]
        return (rows + first.spread, *(axis.length for axis in self.axes[1:]))
