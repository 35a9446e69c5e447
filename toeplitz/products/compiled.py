"""Products of an explicit matrix by blocks, in loops that numba compiles: see compiled.blocks."""

from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from toeplitz import blas
from toeplitz.arrays import Array
from toeplitz.compiled import WORTH, loops
from toeplitz.products.blocks import Blocks, Run
from toeplitz.threads import slices, split, threads

PARTS = 16, 12, 8, 6, 4  # of the work, whatever the number of threads: sums are then the same
WIDTH = 256  # bytes of a row of x that are multiplied at a time
FEW = 4  # columns below which rows by themselves are as fast in the plain product


class Part(NamedTuple):
    """Some of the blocks."""

    runs: Array  # (start, stop, width, before) each
    first: int  # of the groups
    stop: int


class CompiledBlocks:
    """Both products of a matrix of float32 or float64."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.runs = np.array(blocks.runs(), np.int64).reshape(-1, 4)
        self.routine = blas.address(blocks.matrix.dtype)

    def takes(self, items: int) -> bool:
        """Whether it can multiply so many columns, and is faster than the plain product."""
        return (
            self.routine is not None
            and len(self.runs) > 0
            and self.blocks.matrix.indices.dtype == np.int32
            and self.blocks.positions * items <= blas.LARGEST
            and (self.blocks.height > 1 or items >= FEW)
        )

    @property
    def takes_turns(self) -> bool:
        """Whether parts of the transposed product can go side by side."""
        return bool(self._turns)

    def forward(self, x: Array) -> Array:
        """matrix @ x."""
        start, stop, *_ = self.runs.T
        full = int((stop - start).sum()) == self.blocks.positions  # every row has entries
        y = (np.empty if full else np.zeros)((self.blocks.matrix.shape[0], x.shape[1]), x.dtype)
        self._run(False, np.ascontiguousarray(x), y, [self._forward])
        return y

    def backward(self, g: Array) -> Array:
        """matrix.T @ g."""
        x = np.zeros((self.blocks.matrix.shape[1], g.shape[1]), g.dtype)
        self._run(True, x, np.ascontiguousarray(g), self._turns)
        return x

    def _run(self, transposed: bool, x: Array, y: Array, turns: list[list[Part]]) -> None:
        blocks, matrix = self.blocks, self.blocks.matrix
        most = max(1, WIDTH // x.itemsize)
        compiled = loops(WORTH)
        shape = compiled.Shape(blocks.groups, blocks.height, blocks.positions, blocks.last)
        size = int(self.runs[:, 2].max()) * min(most, x.shape[1])

        def work(parts: list[Part]) -> None:
            gemm = compiled.Gemm(
                self.routine, np.frombuffer(b"NT", np.uint8), np.array([0, 1], x.dtype),
                np.zeros(5, np.int32), np.empty(size, x.dtype),
            )  # fmt: skip
            for part in parts:
                for some in slices(x.shape[1], most):
                    compiled.multiply(
                        transposed, matrix.data, matrix.indices, x, y, part.runs, shape,
                        (part.first, part.stop), (some.start, some.stop), gemm,
                    )  # fmt: skip

        for parts in turns:
            blas.side_by_side(work, split(parts, threads()))

    @cached_property
    def _forward(self) -> list[Part]:
        by_groups = not self.blocks.last and self.blocks.groups >= PARTS[0]
        return self._by_groups() if by_groups else self._by_positions(PARTS[0])

    @cached_property
    def _turns(self) -> list[list[Part]]:
        """Parts that never add to one input at a time: what is added in which order is fixed."""
        if not self.blocks.last and self.blocks.groups >= PARTS[0]:
            return [self._by_groups()]
        for number in PARTS:
            parts = self._by_positions(number)
            reads = [self._reads(part) for part in parts]
            if all(stop < start for (_, stop), (start, _) in zip(reads, reads[2:], strict=False)):
                return [parts[::2], parts[1::2]]
        return [self._by_groups()] if self.blocks.groups >= PARTS[-1] else []

    def _by_groups(self) -> list[Part]:
        groups = split(range(self.blocks.groups), PARTS[0])
        return [Part(self.runs, some[0], some[-1] + 1) for some in groups]

    def _by_positions(self, number: int) -> list[Part]:
        """So many parts of about as many entries, or fewer."""
        start, stop, width, before = self.runs.T
        entries = np.zeros(self.blocks.positions, np.int64)
        for first, end, each, _ in self.runs:
            entries[first:end] = each
        done = np.cumsum(entries)
        cuts = np.searchsorted(done, done[-1] * np.arange(1, number) // number, "right")
        bounds = np.unique([0, *cuts, self.blocks.positions])
        found = []
        for low, high in pairwise(bounds):
            first, end = np.maximum(start, low), np.minimum(stop, high)
            runs = np.stack([first, end, width, before + (first - start) * width], axis=1)
            found.append(Part(np.ascontiguousarray(runs[first < end]), 0, self.blocks.groups))
        return [part for part in found if len(part.runs)]

    def _reads(self, part: Part) -> tuple[int, int]:
        """The first and the last input position that is read."""
        spots = [self.blocks.spots(Run(*run)) for run in part.runs.tolist()]
        return min(int(some.min()) for some in spots), max(int(some.max()) for some in spots)
