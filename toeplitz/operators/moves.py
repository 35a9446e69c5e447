"""Copies between an array and the lanes or the sheet, by compiled loops, as lists of stretches."""

from functools import cached_property, reduce
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from toeplitz.arrays import Array
from toeplitz.compiled import loops
from toeplitz.operators.stage import Block, Stage

ALL = slice(None)
NONE = np.zeros((0, 5), int)
ONE = (1, 0, 0)
Slices = tuple[slice, ...]


class Side(NamedTuple):
    """The axes of an array: their sizes, and how many numbers it is from neighbour to neighbour."""

    sizes: tuple[int, ...]
    steps: tuple[int, ...]

    @classmethod
    def of(cls, array: Array, last: bool) -> "Side":
        """Those of an item, (*S, G, C/G) where channels lie last, else (G, C/G, *S, T)."""
        axes = slice(None, -2) if last else slice(2, -1)
        steps = (step // array.itemsize for step in array.strides[axes])
        return cls(array.shape[axes], tuple(steps))

    def places(self, before: int, where: Slices) -> Array:
        """Where the positions in some slices stand."""
        each = zip(self.sizes, self.steps, where, strict=True)
        positions = [np.arange(size)[some] * step for size, step, some in each]
        return before + reduce(np.add.outer, positions)


class Moved(Stage):
    """A stage whose arrays are copied by compiled loops."""

    @cached_property
    def like(self) -> Array:
        """What tells loops the dtype: of one axis, as they are compiled for so many axes."""
        return np.zeros(0, self.form.dtype)

    def load(self, item: Array, block: Block) -> int:
        if self.form.direct:
            return super().load(item, block)
        key = "load", block.first, block.stop, item.strides
        if key not in self._known:
            self._known[key] = self._loads(item, block)
        copies, blanks, *others = self._known[key]
        items = block.items, self.lanes.size, item.size
        self._move(self._lanes_at, item.ctypes.data, copies, *others, items)
        if len(blanks):
            compiled = loops(self.plan.conv.macs)
            compiled.clear(self.like, self._lanes_at, blanks, *others, items)
        return self._lanes_at

    def fetch(self, outputs: Array) -> None:
        moves = self._sheet_moves(outputs)[0]
        self._move(self.sheet.ctypes.data, outputs.ctypes.data, *moves, ONE)

    def store(self, outputs: Array) -> None:
        moves = self._sheet_moves(outputs)[1]
        self._move(outputs.ctypes.data, self.sheet.ctypes.data, *moves, ONE)

    def _move(self, into: int, source: int, found: Array, *others: Any) -> None:
        if len(found):
            loops(self.plan.conv.macs).move(self.like, into, source, found, *others)

    def _loads(self, item: Array, block: Block) -> Any:
        """Stretches to copy and to blank, how many numbers stand together, and the repeats."""
        plan, merged = self.plan, prod(self.plan.merged)
        counts, grid = plan.lane_counts, plan.grid(self.rows)
        cells, groups = prod(grid) * self.form.innermost, self.lanes.size
        groups //= max(1, prod(counts) * merged * cells * plan.width)
        if self.form.lanes_last:
            cell, beside, lane = groups * merged * plan.width, plan.width, cells * groups
            lane *= merged * plan.width
            width = plan.width * (groups if merged == 1 else 1)
            repeats = (1, 0, 0) if merged == 1 else (groups, merged * width, width)
        else:
            cell, beside, lane = self.form.innermost, cells, groups * merged * cells * plan.width
            width = self.form.innermost
            step = item.strides[1] if plan.width > 1 else item.strides[0]
            repeats = groups * plan.width, merged * cells, step // item.itemsize
        steps = tuple(prod(grid[axis + 1 :]) * cell for axis in range(len(grid)))
        inside, outside = Side(grid, steps), Side.of(item, self.form.lanes_last)

        def before(moves: Any) -> int:
            which = tap = 0
            for axis, move in zip(plan.axes, moves, strict=True):
                if axis.merged:
                    tap = tap * axis.count + move[0]
                else:
                    which = which * axis.count + move[0]
            return int(lane * which + beside * tap)

        moves, blanks = self.moves(block)
        copies = [
            _stretches(
                inside.places(before(some), tuple(move.inside for move in some)),
                outside.places(0, tuple(move.source for move in some)),
                inside.steps[-1], outside.steps[-1],
            )
            for some in product(*moves)
        ]  # fmt: skip
        cleared, every = [NONE], [ALL] * (len(grid) - 1)
        others = product(*(range(axis.count) for axis in plan.axes[1:]))
        for rest in others:
            for blank in blanks:
                lanes = [(blank.lane, None), *((number, None) for number in rest)]
                places = inside.places(before(lanes), (blank.inside, *every))
                cleared.append(_stretches(places, places, inside.steps[-1], inside.steps[-1]))
        return np.concatenate([*copies, NONE]), np.concatenate(cleared), width, repeats

    def _sheet_moves(self, outputs: Array) -> Any:
        key = "sheet", outputs.shape, outputs.strides
        if key not in self._known:
            self._known[key] = self._stores(outputs)
        return self._known[key]

    def _stores(self, outputs: Array) -> Any:
        """Stretches, how many numbers stand together, and the repeats: there and back."""
        inside = Side.of(self.sheet, self.outputs_last)
        outside = Side.of(outputs, self.form.last)
        where = tuple(slice(size) for size in outside.sizes)
        near, far = inside.places(0, where), outside.places(0, where)
        found = _stretches(near, far, inside.steps[-1], outside.steps[-1])
        if self.form.last and self.outputs_last:
            width, (many, own, other) = self.sheet.shape[-2] * self.sheet.shape[-1], ONE
        else:
            width, many = self.form.innermost, prod(outputs.shape[:2])
            own = 1 if self.outputs_last else self.sheet.strides[1] // self.sheet.itemsize
            other = outputs.strides[1 if outputs.shape[1] > 1 else 0] // outputs.itemsize
        back = np.ascontiguousarray(found[:, [1, 0, 2, 4, 3]])
        return (found, width, (many, own, other)), (back, width, (many, other, own))


def _stretches(place: Array, begin: Array, near: int, far: int) -> Array:
    """The list (n, 5): inside, outside, count, step inside, step outside; see the loops."""
    if not place.size:
        return NONE
    if begin.shape[-1] > 1:
        far = int(begin.flat[1] - begin.flat[0])
    columns = place[..., 0].ravel(), begin[..., 0].ravel(), place.shape[-1], near, far
    return np.stack(np.broadcast_arrays(*columns), axis=1)
