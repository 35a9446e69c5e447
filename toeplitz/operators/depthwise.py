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
from toeplitz.operators.stage import Form, Stage


def depthwise(kind: str, plan: Plan, form: Form, rows: int) -> Stage:
    """The stage of a depthwise convolution."""
    return (Plain if loops(plan.conv.macs) is None else Compiled)(kind, plan, form, rows)


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
        used, groups = prod(shape) // self.plan.conv.groups, self.plan.conv.groups
        before = self._before
        if self.form.last:
            self._between_zeros = np.zeros((self._pitch, groups), self.form.dtype)
            return self._between_zeros[before : before + used].reshape(shape)
        self._between_zeros = np.zeros((groups, self._pitch), self.form.dtype)
        return self._between_zeros[:, before : before + used].reshape(shape)

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
