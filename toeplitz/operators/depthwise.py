"""The blocks of a depthwise convolution: each product is one of two numbers, and no work for BLAS.

numpy goes through a block once for each tap and operation; a compiled loop takes several taps at
a time.
"""

from collections.abc import Iterator
from functools import cached_property, reduce
from math import prod
from typing import Any

import numpy as np

from toeplitz.arrays import Array
from toeplitz.compiled import THREES, loops
from toeplitz.operators.in_place import Box, ReadInPlace, boxes
from toeplitz.operators.lanes import Plan
from toeplitz.operators.moves import Moved
from toeplitz.operators.stage import Block, Form, Stage
from toeplitz.operators.summed import DTYPES, runs

ALL = slice(None)
NONE = np.zeros((0, 4), int)  # moves


def depthwise(kind: str, plan: Plan, form: Form, rows: int) -> Stage:
    """The stage of a depthwise convolution."""
    if kind == "adjoint" or loops(plan.conv.macs) is None:
        return Plain(kind, plan, form, rows)
    if form.last:
        if form.dtype.char not in DTYPES:
            return Plain(kind, plan, form, rows)
        return (Direct if form.direct else SideBySide)(kind, plan, form, rows)
    if form.sliced:
        return Compiled(kind, plan, form, rows)
    return Planes(kind, plan, form, rows)


class Plain(Stage):
    """By numpy."""

    def multiply(self, lanes: int, weights: Array, outputs: Array) -> None:
        if self.kind == "weights":
            sums = "mg,mg->g" if self.form.last else "gm,gm->g"
            for x, y, w in self._stretches(weights):
                w += np.einsum(sums, y, x.conj()).reshape(w.shape)
            return
        products = np.empty_like(next(self._stretches(weights))[0], order="C")
        for tap, (x, y, w) in enumerate(self._stretches(weights)):
            if self.kind == "adjoint":
                x += np.multiply(y, w, out=products)
            elif tap == 0:
                np.multiply(x, w, out=y)
            else:
                y += np.multiply(x, w, out=products)

    def _stretches(self, weights: Array) -> Iterator[tuple[Array, Array, Array]]:
        """For each tap: the inputs, the outputs and the numbers."""
        last, channels = self.form.last, weights.shape[1]
        grid = (-1, channels) if last else (channels, -1)
        lanes = self.lanes.reshape(
            prod(self.plan.lane_counts),
            *((prod(self.plan.grid(self.rows)), channels) if last else (channels, -1)),
        )
        sheet = self.sheet.reshape(grid)
        numbers = weights.reshape(len(weights), *((1, channels) if last else (channels, 1)))
        for (lane, cell), number in zip(self.reads, numbers, strict=True):
            part = slice(cell, cell + self.cells)
            inputs = lanes[lane, part] if last else lanes[lane, :, part]
            outputs = sheet[: self.cells] if last else sheet[:, : self.cells]
            yield inputs, outputs, number


class SideBySide(Moved):
    """By compiled loops, in channels_last: each output goes where it belongs at once."""

    @property
    def later(self) -> tuple[int, ...]:
        return self.plan.conv.output_shape[2:]

    @cached_property
    def by_sheet(self) -> bool:
        return self.form.sliced

    def multiply(self, lanes: int, weights: Array, outputs: Array) -> None:
        at = self.sheet if self.by_sheet else outputs
        loops(self.plan.conv.macs).side_by_side(
            self.like, lanes, weights.ctypes.data, at.ctypes.data, *self._tables,
            self.plan.conv.groups, self.form.past and not self.by_sheet,
        )  # fmt: skip

    @property
    def _tables(self) -> tuple[Array, Array]:
        """Stretches of outputs, and what each tap reads: see compiled.side_by_side."""
        return self._in_lanes

    @cached_property
    def _in_lanes(self) -> tuple[Array, Array]:
        channels, taps = self.plan.conv.groups, len(self.plan.taps)
        terms = np.zeros((3, taps), int)
        terms[:2] = np.arange(taps) * channels, self.offsets["x"][::channels]
        each = [
            (run.output, run.length, 0, taps, channels, 1, run.cell * channels, 0)
            for run in runs(self)
        ]
        return np.array(each), terms


class Direct(ReadInPlace, SideBySide):
    """The same with the inputs where they are."""

    def _in_place(self, rows: range) -> tuple[Array, Array]:
        channels, stretches, terms, done = self.plan.conv.groups, [], [], 0
        before_x, before_y = (
            np.arange(self.form.items) * prod(shape[1:])
            for shape in (self.plan.conv.input_shape, self.plan.conv.output_shape)
        )
        for box in boxes(self.plan, rows):
            threes = _successive(box)
            some = slice(None, None, THREES if threes else 1)
            taps, reads = box.taps[some], box.reads[some]
            told = done, done + len(taps), box.input_step * channels, box.output_step
            inside = channels if threes else 0
            outputs = np.add.outer(before_y, box.outputs).ravel()
            inputs = np.add.outer(before_x, box.inputs).ravel() * channels
            columns = outputs, box.length, *told, inputs, inside
            stretches.append(np.stack(np.broadcast_arrays(*columns), axis=1))
            terms.append(np.stack([taps, reads, 0 * taps]) * channels)
            done += len(taps)
        return np.concatenate(stretches), np.concatenate(terms, axis=1)


def _successive(box: Box) -> bool:
    """Whether the taps are threes of which each reads what the next reads one output before."""
    if len(box.taps) % THREES:
        return False
    taps, reads = (np.diff(one.reshape(-1, THREES)) for one in (box.taps, box.reads))
    return bool((taps == 1).all() and (reads == box.input_step).all())


class Compiled(Stage):
    """By compiled loops, in channels_first."""

    @property
    def _loops(self) -> Any:
        return loops(self.plan.conv.macs)

    def multiply(self, lanes: int, weights: Array, outputs: Array) -> None:
        x, y, w = self.lanes.reshape(-1), self.sheet.reshape(-1), weights[:, :, 0, 0]
        lane, cell = np.array(self.reads).T
        at = lane * self.plan.conv.groups * self._cells + cell
        pitch = self.sheet.size // self.plan.conv.groups
        self._loops.correlate(x, at, self._cells, w, y, 0, pitch, self.cells)

    @cached_property
    def _cells(self) -> int:
        """Cells of a lane."""
        return prod(self.plan.grid(self.rows)) * self.form.innermost


class Planes(Compiled):
    """By compiled loops, channel after channel, in channels_first: there is memory for one alone.

    What the other stages do in steps is done at once, when all that it needs has been given.
    """

    def __init__(self, kind: str, plan: Plan, form: Form, rows: int) -> None:
        super().__init__(kind, plan, form, rows, 1)
        self.by_sheet = False
        self._tables: dict[tuple[int, int], tuple[Array, Array]] = {}
        lane, cell = np.array(self.reads).T
        self._at = lane * self._cells + cell

    def load(self, item: Array, block: Block) -> int:
        self._item: Array | None = item
        return 0

    def of_output(self, item: Array, block: Block) -> Array:
        self._block = block
        return item

    def multiply(self, lanes: int, weights: Array, outputs: Array) -> None:
        item, self._item = self._item, None  # a stage is kept, the arrays of a call are not
        assert item is not None
        w = weights[:, :, 0, 0]
        x, y = (array.reshape(self.plan.conv.groups, -1) for array in (item, outputs))
        room = self.lanes.reshape(-1), self.sheet.reshape(-1)
        forward = self.kind == "forward"
        run = self._loops.plane_forward if forward else self._loops.plane_weights
        run(x, w, y, *self._moves_of(self._block), *room, self._at, self.cells)

    def _moves_of(self, block: Block) -> tuple[Array, Array]:
        """What is moved between inputs and lanes, and between outputs and sheet."""
        rows = block.first, block.stop
        if rows not in self._tables:
            conv, innermost = self.plan.conv, self.form.innermost
            items, results = (
                (1, 1, *shape[1:], innermost) for shape in (conv.input_shape, conv.output_shape)
            )
            copies, blanks = self._moves(block)
            inputs = [
                _moves(_places(self.lanes.shape, inside), _places(items, source))
                for inside, source in copies
            ]
            for inside in blanks:
                places = _places(self.lanes.shape, inside)
                inputs.append(_moves(places, np.full_like(places, -1)))
            sheet = _places(self.sheet.shape, self.inside)
            outputs = _moves(sheet, _places(results, (ALL, ALL, slice(*rows))))
            self._tables[rows] = np.concatenate([*inputs, NONE]), outputs
        return self._tables[rows]


def _places(shape: tuple[int, ...], where: tuple[Any, ...]) -> Array:
    """The flat places of array[where] in an array of a shape."""
    steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    each = zip(shape, steps, (*where, *[ALL] * (len(shape) - len(where))), strict=True)
    return reduce(np.add.outer, [np.arange(size)[some] * step for size, step, some in each])


def _moves(inside: Array, outside: Array) -> Array:
    """Moves between places: (inside, outside, count, step), as long as steps are equal."""
    wide, items = inside.shape[-2:]
    step = np.diff(outside[..., 0]).flat[0] if wide > 1 else items
    if step == items:
        count, step = wide * items, 1
    elif items == 1:
        count = wide
    else:
        count, step = items, 1
    first = (array.reshape(-1, count)[:, 0] for array in (inside, outside))
    return np.stack(np.broadcast_arrays(*first, count, step), axis=1)
