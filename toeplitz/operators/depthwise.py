"""The blocks of a depthwise convolution: each product is one of two numbers, and no work for BLAS.

numpy goes through a block once for each tap and operation. A compiled loop takes several taps at
a time; its adjoint is one more correlation, of the outputs between zeros, read backwards.
"""

from collections.abc import Iterator
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from toeplitz.arrays import Array
from toeplitz.compiled import loops
from toeplitz.operators.lanes import Plan
from toeplitz.operators.stage import Block, Form, Stage

NONE = np.zeros((0, 4), int)  # moves


def depthwise(kind: str, plan: Plan, form: Form, rows: int) -> Stage:
    """The stage of a depthwise convolution."""
    if loops(plan.conv.macs) is None:
        return Plain(kind, plan, form, rows)
    if form.last or form.sliced:
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


class Compiled(Stage):
    """By compiled loops."""

    @property
    def _loops(self) -> Any:
        return loops(self.plan.conv.macs)

    def multiply(self, lanes: int, weights: Array, outputs: Array) -> None:
        x, y = self.lanes.reshape(-1), self._between_zeros.reshape(-1)
        w, last = weights[:, :, 0, 0], self.form.last
        unit = self.plan.conv.groups if last else 1  # numbers from cell to cell
        lane = self.plan.conv.groups * self._cells
        at = np.array([which * lane + cell * unit for which, cell in self.reads])
        if self.kind == "forward":
            self._loops.correlate(last, x, at, self._cells, w, y, 0, self._pitch, self.cells)
        elif self.kind == "weights":
            self._loops.dots(last, x, at, self._cells, y, 0, self._pitch, self.cells, w)
        else:
            which, cell = np.array(self.reads).T
            for number in range(prod(self.plan.lane_counts)):
                taps = np.flatnonzero(which == number)
                back = (self._before - cell[taps]) * unit
                self._loops.correlate(
                    last, y, back, self._pitch, w[taps], x, number * lane, self._cells, self._cells
                )

    def clear(self) -> int:
        return self._lanes_at  # all of them are overwritten

    def new_sheet(self, shape: tuple[int, ...]) -> Array:
        """The sheet; for the adjoint between as many zeros as there are cells to the last tap's."""
        groups = shape[-2] if self.form.last else shape[0]
        inside = slice(self._before, self._before + prod(shape) // groups)
        if self.form.last:
            self._between_zeros = np.zeros((self._pitch, groups), self.form.dtype)
            return self._between_zeros[inside].reshape(shape)
        self._between_zeros = np.zeros((groups, self._pitch), self.form.dtype)
        return self._between_zeros[:, inside].reshape(shape)

    @cached_property
    def _cells(self) -> int:
        """Cells of a lane."""
        return prod(self.plan.grid(self.rows)) * self.form.innermost

    @cached_property
    def _before(self) -> int:
        """Cells of zeros before the sheet."""
        return max(cell for _, cell in self.reads) if self.kind == "adjoint" else 0

    @cached_property
    def _pitch(self) -> int:
        """Cells of the sheet with the zeros around it."""
        return self._before + self._cells


class Planes(Compiled):
    """By compiled loops, channel after channel, in channels_first: there is memory for one alone.

    What the other stages do in steps is done at once, when all that it needs has been given.
    """

    def __init__(self, kind: str, plan: Plan, form: Form, rows: int) -> None:
        super().__init__(kind, plan, form, rows, 1)
        self.by_sheet = False
        self._tables: dict[tuple[int, int], tuple[Array, Array]] = {}
        lane, cell = np.array(self.reads).T
        # The adjoint goes lane by lane, and reads the sheet backwards.
        adjoint = kind == "adjoint"
        self._taps = np.argsort(lane, kind="stable") if adjoint else np.arange(len(lane))
        self._at = self._before - cell[self._taps] if adjoint else lane * self._cells + cell
        self._bounds = np.searchsorted(lane[self._taps], np.arange(prod(plan.lane_counts) + 1))

    def load(self, item: Array, block: Block) -> int:
        self._item = item
        return 0

    def clear(self) -> int:
        return 0

    def of_output(self, item: Array, block: Block) -> Array:
        self._block = block
        return item

    def multiply(self, lanes: int, weights: Array, outputs: Array) -> None:
        self._given = weights[:, :, 0, 0], outputs
        if self.kind != "adjoint":
            self._go(self._item)

    def unload(self, item: Array, block: Block) -> None:
        self._go(item)

    def _go(self, item: Array) -> None:
        w, outputs = self._given
        x, y = (array.reshape(self.plan.conv.groups, -1) for array in (item, outputs))
        moves, room = (
            self._moves_of(self._block),
            (self.lanes.reshape(-1), self._between_zeros.reshape(-1)),
        )
        if self.kind == "forward":
            self._loops.plane_forward(x, w, y, *moves, *room, self._at, self.cells)
        elif self.kind == "weights":
            self._loops.plane_weights(x, w, y, *moves, *room, self._at, self.cells)
        else:
            self._loops.plane_adjoint(
                x, w[self._taps], y, *moves, *room, self._at, self._bounds, self._cells
            )

    def _moves_of(self, block: Block) -> tuple[Array, Array]:
        """What is moved between inputs and lanes, and between outputs and sheet."""
        rows = block.first, block.stop
        if rows not in self._tables:
            conv, innermost = self.plan.conv, self.form.innermost
            lanes, sheet = _places(self.lanes.shape), _places(self.sheet.shape) + self._before
            items = _places((1, 1, *conv.input_shape[1:], innermost))
            results = _places((1, 1, *conv.output_shape[1:], innermost))
            copies, blanks = self._moves(block)
            inputs = [_moves(lanes[inside], items[source]) for inside, source in copies]
            inputs += [_moves(lanes[inside], np.full_like(lanes[inside], -1)) for inside in blanks]
            outputs = _moves(sheet[self.inside], super().of_output(results, block))
            self._tables[rows] = np.concatenate([*inputs, NONE]), outputs
        return self._tables[rows]


def _places(shape: tuple[int, ...]) -> Array:
    return np.arange(prod(shape)).reshape(shape)


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
