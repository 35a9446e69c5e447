"""Inputs that are read where they are: outputs that read them through the same taps, in lines.

Where an output reads padding through a tap, there is nothing to add. Along an axis successive
outputs are alike if the same taps of it read inputs, each so many further than for the output
before. What is alike along every axis is a box.
"""

from collections.abc import Iterator
from functools import reduce
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from toeplitz.arrays import Array
from toeplitz.axis import Indices
from toeplitz.operators.lanes import MULTIPLY, START, Lanes, Plan
from toeplitz.operators.moves import Moved
from toeplitz.operators.stage import Block

SHORT = 4  # outputs of a line: fewer take as long


class Alike(NamedTuple):
    """Outputs of one axis, the taps through which they read, and what the first one reads."""

    first: int
    stop: int
    taps: Indices
    source: Indices
    step: int  # inputs from output to output


class Box(NamedTuple):
    """Lines of outputs, all counted in positions from the first of an item, or of some rows."""

    taps: Indices
    reads: Indices  # what the first output of the first line reads through them
    outputs: Indices  # the first of each line
    inputs: Indices  # how much further that one reads
    length: int  # outputs of a line
    output_step: int
    input_step: int


class ReadInPlace(Moved):
    """A stage without lanes, which tells its loops of each range of rows apart."""

    def load(self, item: Array, block: Block) -> int:
        self._rows = range(block.first, block.stop)
        return int(item.ctypes.data)

    @property
    def _tables(self) -> Any:
        if self._rows not in self._known:
            self._known[self._rows] = self._in_place(self._rows)
        return self._known[self._rows]

    def _in_place(self, rows: range) -> Any:
        """What the loops are told of some rows."""
        raise NotImplementedError(f"{type(self).__name__} must say what its loops are told")


def staying(lanes: Plan, few: int) -> Plan | None:
    """The plan by which inputs stay where they are; None if they are better laid out by `lanes`.

    few: channels that are better taken otherwise.
    """
    plan = Plan.apart(lanes.conv)
    if not all((_sources(axis) >= 0).any(axis=1).all() for axis in plan.axes):
        return None  # an output that reads nothing is in no box
    if plan.unit:
        return plan
    if min(plan.width, plan.height) < few or lanes.whole:
        return None
    return plan if nanoseconds(plan) <= lanes.nanoseconds(1) else None


def nanoseconds(plan: Plan) -> float:
    """An estimate for one output position, as of a plan."""
    positions = products = 0
    for box in boxes(plan, range(plan.axes[0].outputs)):
        positions += len(box.outputs) * box.length
        products += len(box.outputs) * max(SHORT, box.length) * len(box.taps)
    return products / positions * plan.height * (plan.width + START) * MULTIPLY


def boxes(plan: Plan, rows: range) -> list[Box]:
    """The outputs of some rows of the first axis, most of them first."""
    return sorted(_boxes(plan, rows), key=lambda box: -len(box.outputs) * box.length)


def _boxes(plan: Plan, rows: range) -> Iterator[Box]:
    sources = [_sources(axis) for axis in plan.axes]
    sources[0] = sources[0][rows.start : rows.stop]
    taps, inputs, outputs = (
        [prod(sizes[axis + 1 :]) for axis in range(len(sources))]  # from neighbour to neighbour
        for sizes in (plan.conv.kernel_size, plan.conv.input_shape[1:], [*map(len, sources)])
    )
    for alike in product(*(list(_alike(source)) for source in sources)):
        counts = [one.stop - one.first for one in alike]
        along = max(range(len(counts)), key=lambda axis: (counts[axis], axis))
        lines = [np.arange(1 if axis == along else count) for axis, count in enumerate(counts)]
        first = [one.first + line for one, line in zip(alike, lines, strict=True)]
        steps = [one.step * step for one, step in zip(alike, inputs, strict=True)]
        yield Box(
            _flat([one.taps for one in alike], taps), _flat([one.source for one in alike], inputs),
            _flat(first, outputs), _flat(lines, steps), counts[along], outputs[along], steps[along],
        )  # fmt: skip


def _flat(indices: list[Indices], steps: list[int]) -> Indices:
    """The flat numbers of all that have some index on each axis."""
    each = (index * step for index, step in zip(indices, steps, strict=True))
    return reduce(np.add.outer, each).ravel()


def _sources(axis: Lanes) -> Indices:
    """The input that each output reads through each tap, (outputs, taps); -1 stands for none."""
    return axis.position[axis.lane, np.add.outer(np.arange(axis.outputs), axis.start)]


def _alike(source: Indices) -> Iterator[Alike]:
    there = source >= 0
    far = np.diff(source, axis=0)
    nearest, farthest = (
        edge(far, axis=1, where=there[1:], initial=start)
        for edge, start in ((np.min, source.max() + 1), (np.max, -1))
    )
    same = (there[1:] == there[:-1]).all(axis=1) & (nearest == farthest)
    steps = np.where(same, nearest, -1)  # from each output to the next; -1: it is not alike
    ends = np.flatnonzero(np.diff(steps, append=-2))  # the last of as many equal steps
    first = 0
    while first < len(source):
        stop, step = first + 1, 0
        if first < len(steps) and steps[first] >= 0:
            stop, step = int(ends[np.searchsorted(ends, first)]) + 2, int(steps[first])
        taps = np.flatnonzero(there[first])
        yield Alike(first, stop, taps, source[first][taps], step)
        first = stop
