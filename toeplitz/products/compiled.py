"""Products of an explicit matrix by blocks, in loops that numba compiles: see compiled.blocks."""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from toeplitz.arrays import Array
from toeplitz.compiled import WORTH, loops
from toeplitz.products.blocks import Blocks, Run
from toeplitz.results import result
from toeplitz.threads import on_threads, split, threads

PARTS = 16, 12, 8, 4  # of the work, whatever the number of threads: sums are then the same
THREADED = 1 << 24  # multiply-adds from which threads pay
WIDTH = 256  # bytes of a row of x that are multiplied at a time: whole lines, see results

# Some blocks (n, 3): where their values begin, their first rows and their widths.
Part = Array


class CompiledBlocks:
    """Both products of a matrix of float32 or float64, whose blocks have several rows."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.runs = blocks.runs()
        self._wholes: dict[str, list[list[Part]]] = {}

    def takes(self, _items: int, transposed: bool) -> bool:
        """Whether there is anything to multiply, in parts that can go side by side."""
        return bool(self.runs) and (not transposed or bool(self._turns))

    def forward(self, x: Array) -> Array:
        """matrix @ x."""
        filled = sum(run.stop - run.start for run in self.runs) == self.blocks.positions
        shape = self.blocks.matrix.shape[0], x.shape[1]
        y, past = result(shape, x.dtype, zero=not filled)
        self._run("forward", np.ascontiguousarray(x), y, [self._forward], past)
        return y

    def backward(self, g: Array) -> Array:
        """matrix.T @ g."""
        shape, once = (self.blocks.matrix.shape[1], g.shape[1]), self._once and g.shape[1] > 1
        x, past = result(shape, g.dtype) if once else (np.zeros(shape, g.dtype), False)
        rows = np.arange(self.blocks.height, dtype=np.int32) * self._apart[1]
        self._run("backward", x, np.ascontiguousarray(g), self._turns, rows, not once, past)
        return x

    def _run(self, kind: str, x: Array, y: Array, turns: list[list[Part]], *others: Any) -> None:
        blocks, items, compiled = self.blocks, x.shape[1], loops(WORTH)
        loop, single = (getattr(compiled, name) for name in (kind, f"{kind}_one"))
        most = min(max(1, WIDTH // x.itemsize), items)
        size = max(blocks.height, *(run.width for run in self.runs)) * most
        matrix, size_x, like = blocks.matrix, x.itemsize, np.empty(0, x.dtype)
        of_matrix = matrix.data.ctypes.data, matrix.indices.ctypes.data

        def work(parts: Iterator[Part]) -> None:
            room = np.empty(size, x.dtype)
            for part in parts:
                told = part, blocks.height, self._apart
                if items == 1:
                    single(matrix.data, matrix.indices, x.ravel(), y.ravel(), *told, room)
                    continue
                for first in range(0, items, most):
                    some = (array.ctypes.data + size_x * first for array in (x, y))
                    many = min(most, items - first), items
                    loop(like, (*of_matrix, *some), *told, many, room, *others)

        many = threads() if matrix.nnz * items >= THREADED else 1
        for parts in turns if many > 1 else self._whole(kind, turns):
            on_threads(work, parts, many)

    def _whole(self, kind: str, turns: list[list[Part]]) -> list[list[Part]]:
        """The same in one part for each turn."""
        if kind not in self._wholes:
            self._wholes[kind] = [[np.concatenate(parts)] for parts in turns if parts]
        return self._wholes[kind]

    @property
    def _apart(self) -> tuple[int, int]:
        """From row to row of a block, in data and in the result; in data 0 for its width."""
        blocks = self.blocks
        if blocks.last:
            return 0, 1
        return blocks.matrix.nnz // blocks.channels, blocks.positions

    @cached_property
    def _once(self) -> bool:
        """Whether every input is read, and none twice."""
        spots = np.concatenate([self.blocks.spots(run) for run in self.runs])
        channels = self.blocks.groups * self.blocks.inputs
        every = len(spots) * channels == self.blocks.matrix.shape[1]
        return every and len(np.unique(spots)) == len(spots)

    @cached_property
    def _forward(self) -> list[Part]:
        by_groups = not self.blocks.last and self.blocks.groups >= PARTS[0]
        return self._by_groups() if by_groups else list(self._by_positions(PARTS[0]))

    @cached_property
    def _turns(self) -> list[list[Part]]:
        """Parts that never add to one input at a time: what is added in which order is fixed."""
        if not self.blocks.last and self.blocks.groups >= PARTS[0]:
            return [self._by_groups()]
        for number in PARTS:
            reads = [self._reads(some) for some in self._cut(number)]
            if all(stop < start for (_, stop), (start, _) in zip(reads, reads[2:], strict=False)):
                parts = list(self._by_positions(number))
                return [parts[::2], parts[1::2]]
        return [self._by_groups()] if self.blocks.groups >= PARTS[-1] else []

    def _by_groups(self) -> list[Part]:
        groups = split(range(self.blocks.groups), PARTS[0])
        return [self._places(self.runs, some) for some in groups]

    def _by_positions(self, number: int) -> Iterator[Part]:
        for some in self._cut(number):
            yield self._places(some, range(self.blocks.groups))

    def _cut(self, number: int) -> list[list[Run]]:
        """So many parts of about as many entries, or fewer."""
        entries = np.zeros(self.blocks.positions, np.int64)
        for run in self.runs:
            entries[run.start : run.stop] = run.width
        done = np.cumsum(entries)
        cuts = np.searchsorted(done, done[-1] * np.arange(1, number) // number, "right")
        bounds = np.unique([0, *cuts, self.blocks.positions]).tolist()
        parts = [list(self._inside(low, high)) for low, high in pairwise(bounds)]
        return [part for part in parts if part]

    def _inside(self, low: int, high: int) -> Iterator[Run]:
        """The runs between two positions."""
        for run in self.runs:
            first, stop = max(run.start, low), min(run.stop, high)
            if first < stop:
                before = run.before + (first - run.start) * run.width
                yield Run(first, stop, run.width, before)

    def _places(self, runs: list[Run], groups: range) -> Part:
        """The blocks of some positions and groups: channels that lie innermost change fastest."""
        blocks, (entries, apart) = self.blocks, self._apart
        group = np.array(groups) * blocks.height
        found = []
        for start, stop, width, before in runs:
            number = np.arange(stop - start)
            if blocks.last:
                at = (before + number * width)[:, None] * blocks.channels + group * width
                row = (start + number)[:, None] * blocks.channels + group
            else:
                at = group[:, None] * entries + before + number * width
                row = group[:, None] * apart + start + number
            found.append((at, row, np.full_like(at, width)))
        axis = 0 if blocks.last else 1
        parts = (np.concatenate(some, axis=axis).ravel() for some in zip(*found, strict=True))
        return np.stack(list(parts), axis=1)

    def _reads(self, runs: list[Run]) -> tuple[int, int]:
        """The first and the last input position that is read."""
        spots = [self.blocks.spots(run) for run in runs]
        return min(int(some.min()) for some in spots), max(int(some.max()) for some in spots)
