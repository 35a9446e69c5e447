"""Products of an explicit matrix by blocks: what its rows have in common is read once.

All rows of T(w) of one position and group, one for each output channel of the group, have the
same columns. Their values are one dense block (O/G, K) inside the arrays of CSR: rows K apart in
"channels_last", an output channel's entries apart in "channels_first". So the indices of one row
serve them all: gather X once for the position, then BLAS multiplies the block. The blocks are
read where they stand; nothing is stored beside the matrix.
"""

import threading
from collections.abc import Iterator
from functools import cached_property, partial
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from toeplitz import sparse
from toeplitz.arrays import Array
from toeplitz.axis import Indices
from toeplitz.sparse import Sparse
from toeplitz.threads import ordered, slices

GATHERED = 1 << 13  # rows of X that are gathered at a time, so that they stay in cache
SENT = 1 << 14  # rows that are sent back at a time: neighbours add to the same ones
WIDTH = 256  # bytes of a row of X that are multiplied at a time
# OpenBLAS splits larger products among threads of its own, which wait for each other when
# several of ours call it: interface/gemm.c, SMP_THRESHOLD_MIN * GEMM_MULTITHREAD_THRESHOLD.
ALONE = 1 << 18


class Run(NamedTuple):
    """Successive positions whose rows are equally long."""

    start: int  # of the positions
    stop: int
    width: int  # entries of a row
    before: int  # entries of one output channel at the positions before


class Blocks(NamedTuple):
    """A matrix (O * P, columns) whose rows of one position and group share their columns."""

    matrix: Sparse
    groups: int
    height: int  # output channels of a group
    inputs: int  # input channels of a group
    last: bool  # rows and columns are ordered (position, channel), else (channel, position)

    @property
    def channels(self) -> int:
        return self.groups * self.height

    @property
    def together(self) -> int:
        """How many columns always stand side by side."""
        return self.inputs if self.last else 1

    @property
    def positions(self) -> int:
        return int(self.matrix.shape[0]) // self.channels

    def runs(self) -> list[Run]:
        """The positions whose rows are not empty, cut where a row's length changes."""
        lengths = np.diff(self.matrix.indptr)
        one = lengths[:: self.channels] if self.last else lengths[: self.positions]
        total = np.concatenate([[0], np.cumsum(one, dtype=np.int64)])
        cuts = [0, *(np.flatnonzero(np.diff(one)) + 1).tolist(), len(one)]
        return [
            Run(a, b, int(one[a]), int(total[a])) for a, b in pairwise(cuts) if a < b and one[a]
        ]

    def entries(self, array: Array, run: Run) -> Array:
        """What `array` (data or indices) holds for a run: (G, positions, O/G, entries)."""
        count, first = run.stop - run.start, run.before
        if self.last:
            first, size = first * self.channels, count * self.channels * run.width
            cells = array[first : first + size]
            cells = cells.reshape(count, self.groups, self.height, run.width)
            return cells.transpose(1, 0, 2, 3)
        rows = array.reshape(self.groups, self.height, -1)[:, :, first : first + count * run.width]
        return rows.reshape(self.groups, self.height, count, run.width).transpose(0, 2, 1, 3)

    def columns(self, run: Run) -> Array:
        """The columns that the rows of each group and position share, in units of `together`."""
        shared = self.entries(self.matrix.indices, run)[:, :, 0, :: self.together]
        return shared // self.together if self.together > 1 else shared

    def spots(self, run: Run) -> Array:
        """The input positions that each position reads, whatever the channel: flat."""
        first = self.columns(run)[0]
        if self.last:
            return (first // self.groups).ravel()
        return first[:, : run.width // self.inputs].ravel()

    def targets(self, run: Run, spot: Indices, spots: int) -> Array:
        """Where the products of a run are added if only so many spots are kept: flat."""
        grid = spot.reshape(1, run.stop - run.start, 1, -1)
        group, input = np.arange(self.groups), np.arange(self.inputs)
        if self.last:
            return (grid * self.groups + group[:, None, None, None]).ravel()
        channel = group[:, None, None, None] * self.inputs + input[:, None]
        return (channel * spots + grid).ravel()

    def pixels(self, x: Array) -> Array:
        """x (columns of any number of spots, N) as (spots, C, N)."""
        channels = self.groups * self.inputs
        if self.last:
            return x.reshape(-1, channels, x.shape[1])
        return x.reshape(channels, -1, x.shape[1]).swapaxes(0, 1)

    def rows(self, y: Array, run: Run) -> Array:
        """The rows of y (O * P, N) that belong to a run: (G, positions, O/G, N)."""
        part = slice(run.start, run.stop)
        if self.last:
            grid = y.reshape(self.positions, self.groups, self.height, y.shape[1])
            return grid[part].transpose(1, 0, 2, 3)
        grid = y.reshape(self.groups, self.height, self.positions, y.shape[1])
        return grid[:, :, part].transpose(0, 2, 1, 3)

    def chunks(self, most: int) -> Iterator[list[Run]]:
        """The runs, cut and joined to chunks that read about so many rows of X each."""
        chunk: list[Run] = []
        room = most
        for start, stop, width, before in self.runs():
            at = start
            while at < stop:
                until = min(stop, at + max(1, room // (self.groups * width)))
                chunk.append(Run(at, until, width, before + (at - start) * width))
                room -= (until - at) * width * self.groups
                at = until
                if room < width * self.groups:
                    yield chunk
                    chunk, room = [], most
        if chunk:
            yield chunk


class Room(threading.local):
    """An array for each thread that is used again: fresh memory costs as much as filling it."""

    array: Array = np.empty(0)

    def of(self, shape: tuple[int, ...], dtype: Any) -> Array:
        size = prod(shape)
        if self.array.size < size or self.array.dtype != dtype:
            self.array = np.empty(size, dtype)
        return self.array[:size].reshape(shape)


class Forward:
    """T @ X by blocks."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.chunks = list(blocks.chunks(GATHERED))

    def __call__(self, x: Array) -> Array:
        y = np.zeros((self.blocks.matrix.shape[0], x.shape[1]), x.dtype)
        room = Room()
        for cols in slices(x.shape[1], max(1, WIDTH // x.dtype.itemsize)):
            some = np.ascontiguousarray(x[:, cols]).reshape(len(x) // self.blocks.together, -1)
            for _ in ordered(partial(self._write, some, y[:, cols], room), self.chunks):
                pass
        return y

    def _write(self, x: Array, y: Array, room: Room, chunk: list[Run]) -> None:
        blocks, items = self.blocks, y.shape[1]
        with np.errstate(all="ignore"):  # as silent as the plain product
            for run in chunk:
                columns = blocks.columns(run)
                read = room.of((*columns.shape[:2], run.width, items), x.dtype)
                # The indices are right by construction: "clip" spares the copy of "raise".
                np.take(x, columns, axis=0, mode="clip", out=read.reshape(*columns.shape, -1))
                values = blocks.entries(blocks.matrix.data, run)
                target = blocks.rows(y, run)
                for part in slices(blocks.height, ALONE // (run.width * items)):
                    np.matmul(values[:, :, part], read, out=target[:, :, part])


class Scatter(NamedTuple):
    """How the products of a chunk are added up, before they are added to the result."""

    add: Sparse  # 0/1 (columns of the spots, products)
    parts: list[tuple[Any, slice]]  # the result's spots, from the first on, and which of ours
    first: int


class Backward:
    """T.T @ G by blocks.

    Chunks are computed by all cores and added up in their own order, so that the sums do not
    depend on which core was faster.
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.work = list(self._scatters())

    def _scatters(self) -> Iterator[tuple[list[Run], Scatter]]:
        known: dict[tuple[Any, ...], Scatter] = {}
        for chunk in self.blocks.chunks(SENT):
            spots = [self.blocks.spots(run) for run in chunk]
            first = int(spots[0][0])
            # Chunks inside the input differ by a shift: they share one pattern.
            shape = (*((run.stop - run.start, run.width) for run in chunk),)
            key = *shape, *((spot - first).tobytes() for spot in spots)
            if key not in known:
                known[key] = self._scatter(chunk, spots, first)
            yield chunk, known[key]._replace(first=first)

    def _scatter(self, chunk: list[Run], spots: list[Indices], first: int) -> Scatter:
        blocks = self.blocks
        unique, which = np.unique(np.concatenate(spots), return_inverse=True)
        cuts = np.cumsum([len(spot) for spot in spots])[:-1]
        split = zip(chunk, np.split(which, cuts), strict=True)
        where = np.concatenate([blocks.targets(run, spot, len(unique)) for run, spot in split])
        size = len(unique) * blocks.groups * blocks.inputs // blocks.together
        arrays = sparse.Compressed(
            np.ones(len(where), blocks.matrix.dtype),
            where.astype(np.int32),
            np.arange(len(where) + 1, dtype=np.int32),
            (len(where), size),
        )
        return Scatter(sparse.wrap(arrays).T.tocsr(), _segments(unique - first), first)

    def __call__(self, g: Array) -> Array:
        x = np.zeros((self.blocks.matrix.shape[1], g.shape[1]), g.dtype)
        pixels, room = self.blocks.pixels(x), Room()
        for cols in slices(g.shape[1], max(1, WIDTH // g.dtype.itemsize)):
            sums = ordered(partial(self._sum, g[:, cols], room), self.work)
            with np.errstate(all="ignore"):
                for (_, scatter), added in zip(self.work, sums, strict=True):
                    for spots, ours in scatter.parts:
                        if isinstance(spots, slice):
                            spots = slice(spots.start + scatter.first, spots.stop + scatter.first)
                            pixels[spots, :, cols] += added[ours]
                        else:
                            pixels[spots + scatter.first, :, cols] += added[ours]
        return x

    def _sum(self, g: Array, room: Room, work: tuple[list[Run], Scatter]) -> Array:
        (chunk, scatter), blocks, items = work, self.blocks, g.shape[1]
        sent = room.of((scatter.add.shape[1] * blocks.together, items), g.dtype)
        at = 0
        with np.errstate(all="ignore"):
            for run in chunk:
                shape = (blocks.groups, run.stop - run.start, run.width, items)
                target = sent[at : at + prod(shape[:3])].reshape(shape)
                at += prod(shape[:3])
                values = blocks.entries(blocks.matrix.data, run).swapaxes(2, 3)
                upstream = blocks.rows(g, run)
                for part in slices(run.width, ALONE // (blocks.height * items)):
                    np.matmul(values[:, :, part], upstream, out=target[:, :, part])
        added = scatter.add @ sent.reshape(scatter.add.shape[1], -1)
        return blocks.pixels(added.reshape(-1, items))


class ByBlas:
    """Both products, each prepared when it is first asked for."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    @cached_property
    def forward(self) -> Forward:
        return Forward(self.blocks)

    @cached_property
    def backward(self) -> Backward:
        return Backward(self.blocks)


def _segments(spots: Indices) -> list[tuple[Any, slice]]:
    """Ascending spots as ranges with their places, or as one list where ranges are short."""
    cuts = [0, *(np.flatnonzero(np.diff(spots) > 1) + 1).tolist(), len(spots)]
    if len(cuts) > len(spots) // 4:
        return [(spots, slice(0, len(spots)))]
    return [(slice(int(spots[a]), int(spots[b - 1]) + 1), slice(a, b)) for a, b in pairwise(cuts)]
