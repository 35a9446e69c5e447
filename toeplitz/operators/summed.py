"""The blocks of a convolution by compiled loops, which add up all that an output is the sum of.

A run is a stretch of outputs that stands in one piece both in the lanes and among the outputs:
where channels lie innermost each row is one, and goes where it belongs without a sheet.
"""

from collections.abc import Iterator
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from toeplitz.arrays import Array
from toeplitz.compiled import loops
from toeplitz.operators.in_place import ReadInPlace, boxes
from toeplitz.operators.lanes import Plan
from toeplitz.operators.moves import Moved
from toeplitz.operators.stage import Form, Stage
from toeplitz.results import aligned

DTYPES = "fd"
LONG = 256  # outputs that sums over positions go through at a time


class Run(NamedTuple):
    """The first of some cells of a lane, the first of as many outputs, and how many."""

    cell: int
    output: int
    length: int


class Summed(Moved):
    """By sums in registers."""

    def __init__(self, kind: str, plan: Plan, form: Form, rows: int) -> None:
        # Sums over positions need the outputs' channels side by side.
        self._turned = kind == "weights" and not form.last
        super().__init__(kind, plan, form, rows)
        if form.items > 1:
            self.lanes = aligned((form.items, *self.lanes.shape), form.dtype, zero=True)[0]

    @property
    def outputs_last(self) -> bool:
        return self.form.last or self._turned

    @property
    def later(self) -> tuple[int, ...]:
        return self.plan.conv.output_shape[2:] if self.outputs_last else super().later

    @cached_property
    def by_sheet(self) -> bool:
        cut = self.later != self.plan.conv.output_shape[2:]
        return self._turned or self.form.sliced or cut

    def multiply(
        self, lanes: int, weights: Array, outputs: Array, some: range | None = None,
        add: bool = True,
    ) -> None:  # fmt: skip
        """some: taps and groups of a gradient, if not all are meant, which is added to or put."""
        at = self.sheet if self.by_sheet else outputs
        address = {"x": lanes, "w": weights.ctypes.data, "y": at.ctypes.data}
        order, (turns, *tables) = self._tables
        if some is not None:
            turns = turns[some.start : some.stop].copy()
            turns[:, -1] = add
        compiled = loops(self.plan.conv.macs)
        past = self.form.past and not self.by_sheet
        compiled.sums(self.like, *(address[name] for name in order), turns, *tables, past)

    @property
    def _tables(self) -> tuple[str, Any]:
        """Which are a, b and c, and what the loops are told of them."""
        return self._in_lanes

    @cached_property
    def _in_lanes(self) -> tuple[str, Any]:
        o, k, x, y = self.plan.height, self.plan.inner, self.steps.x, self.steps.y
        cells, channels = (x, 1) if self.form.lanes_last else (1, x)
        near, far, number = self._of_weights
        if self.kind == "weights":
            rows, steps = (channels, channels, o * len(self.plan.taps)), (cells, y, 1)
            order, sizes, along = "xyw", (k, 0, o), 1
        elif self.outputs_last:
            rows, steps = (cells, cells, y), (channels, number, far)
            order, sizes, along = "xwy", (0, k, o), 0
        else:
            rows, steps = (near, far, y), (number, x, 1)
            order, sizes, along = "wxy", (o, k, 0), 2
        return order, (*self._lists(order, rows), sizes, steps, along)

    @property
    def _of_weights(self) -> tuple[int, int, int]:
        """From output channel to channel of a tile, to those of the next, from number to number."""
        panel = panel_of(self.plan, self.form)
        if panel:
            return 1, len(self.plan.taps) * self.plan.inner, panel
        if self.form.last:
            return 1, 1, self.plan.height
        return self.plan.inner, self.plan.inner, 1

    @cached_property
    def offsets(self) -> dict[str, Array]:
        found, panel = super().offsets, panel_of(self.plan, self.form)
        groups, taps, k = self.plan.conv.groups, len(self.plan.taps), self.plan.inner
        tap, group = np.divmod(np.arange(taps * groups), groups)
        if self.kind == "weights":
            found["w"] = self.plan.height * (tap + group * taps * k)
        elif panel:
            found["w"] = k * (tap * panel + group * taps * self.plan.height)
        return found

    def _lists(self, order: str, rows: tuple[int, ...]) -> tuple[Array, Array, Array]:
        """The turns, the parts and the terms; rows: the steps from row to row."""
        groups, taps = self.plan.conv.groups, len(self.plan.taps)
        places = np.stack([self.offsets[name] for name in order], axis=1)
        if self.kind == "forward":
            turns, terms = places[:groups], places[::groups] - places[0]
            parts = [
                (*self._at(run, order, number), 0, taps, run.length, *rows)
                for number in range(self.form.items)
                for run in runs(self)
            ]
        else:
            cut = [piece for run in runs(self) for piece in _pieces(run)]
            turns, terms = places, np.array([self._at(run, order) for run in cut])
            parts = [(0, 0, 0, *some, *rows) for some in _alike(cut)]
        add = np.full((len(turns), 1), self.kind == "weights")
        return np.hstack([turns, add]), np.array(parts), np.ascontiguousarray(terms.T[:2])

    def _at(self, run: Run, order: str, number: int = 0) -> tuple[int, ...]:
        """The numbers before those of a run in a, b and c; number: of the item."""
        unit = self.steps.y if self.outputs_last else 1
        inputs = prod(self.plan.conv.input_shape) if self.form.direct else self.lanes.size
        outputs = prod(self.plan.conv.output_shape)
        before = {
            "x": number * inputs + run.cell * self.steps.cell,
            "w": 0,
            "y": number * outputs + run.output * unit,
        }
        return tuple(before[name] for name in order)


class InPlace(ReadInPlace, Summed):
    """The same with the inputs where they are, in channels_last."""

    def _in_place(self, rows: range) -> tuple[str, Any]:
        plan, (x, _, x_group, y, y_group) = self.plan, self.steps
        groups, (_, far, number) = np.arange(plan.conv.groups), self._of_weights
        weights = self.offsets["w"].reshape(-1, len(groups))
        turns = np.stack([x_group * groups, weights[0], y_group * groups, 0 * groups], axis=1)
        items = np.arange(self.form.items)
        before_x, before_y = (
            items * prod(shape) for shape in (plan.conv.input_shape, plan.conv.output_shape)
        )
        parts, terms, done = [], [], 0
        for box in boxes(plan, rows):
            at_x = np.add.outer(before_x, box.inputs * x).ravel()
            at_y = np.add.outer(before_y, box.outputs * y).ravel()
            width, step = len(box.taps), box.input_step * x
            columns = at_x, 0, at_y, done, done + width, box.length, step, step, box.output_step * y
            parts.append(np.stack(np.broadcast_arrays(*columns), axis=1))
            terms.append(np.stack([box.reads * x, weights[box.taps, 0]]))
            done += width
        lists = turns, np.concatenate(parts), np.concatenate(terms, axis=1)
        return "xwy", (*lists, (0, plan.inner, plan.height), (1, number, far), 0)


def runs(stage: Stage) -> Iterator[Run]:
    """The runs of a block."""
    if not stage.outputs_last or len(stage.plan.axes) == 1:
        yield Run(0, 0, stage.cells)
        return
    *outer, inner = (stage.rows, *stage.later)
    for number, index in enumerate(np.ndindex(*outer)):
        cell = sum(i * step for i, step in zip(index, stage.cell_steps, strict=False))
        yield Run(cell, number * inner, inner)


def panel_of(plan: Plan, form: Form) -> int:
    """Output channels of a tile that lie side by side in the weights; 0 if they do not."""
    panel = int(loops(plan.conv.macs).panel(form.last, form.dtype.itemsize))
    return panel if plan.height % panel == 0 else 0


def in_panels(plan: Plan, form: Form, order: Array) -> Array:
    """The order of weights (taps, groups, k, o), or (taps, groups, o, k), by tiles if they fit."""
    panel, (taps, groups) = panel_of(plan, form), order.shape[:2]
    if not panel:
        return order
    if not form.last:
        order = order.swapaxes(2, 3)
    split = order.reshape(taps, groups, plan.inner, -1, panel)
    return split.transpose(1, 3, 0, 2, 4)


def _pieces(run: Run) -> Iterator[Run]:
    """A run, not too long."""
    for first in range(0, run.length, LONG):
        yield Run(run.cell + first, run.output + first, min(LONG, run.length - first))


def _alike(runs: list[Run]) -> Iterator[tuple[int, int, int]]:
    """Successive runs of one length, (first, stop, length), not too many."""
    first = 0
    for at, run in enumerate(runs, 1):
        length, many = run.length, at - first
        if at == len(runs) or runs[at].length != length or (many + 1) * length > LONG:
            yield first, at, length
            first = at
