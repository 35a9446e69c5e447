"""Products of an explicit matrix whose blocks have one row, as those of depthwise layers.

Nothing is shared inside such a block. But most rows read what the row before reads, shifted: in
"channels_first" one position further, in "channels_last" one group further. A stretch of them is
told by the terms of the first row and by steps, for one group; the transpose is told likewise, by
where its numbers stand among those of the matrix, so that each of its rows is written once.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from toeplitz.arrays import Array
from toeplitz.axis import Indices
from toeplitz.compiled import THREES, WORTH, loops
from toeplitz.products.blocks import Blocks
from toeplitz.results import result
from toeplitz.threads import on_threads, slices, split, threads

FEW = 4  # columns below which the plain product is as fast
PARTS = 16  # of the work
THREADED = 1 << 22  # multiply-adds from which threads pay
SOME = 16  # groups that are gone through at a time


class Rows(NamedTuple):
    """The rows of a product that belong to the first group and have terms, and these in turn."""

    row: Indices  # number among all rows
    first: Indices  # of the terms; one more, where the last stop
    place: Indices  # of a term's number in data
    other: Indices  # the row that it is multiplied with
    step: Indices  # in data, to the same term of the next group, if groups lie side by side


class Table(NamedTuple):
    """What the loops are told: see compiled.shifted."""

    stretches: Array
    terms: Array
    steps: tuple[int, int, int]  # from group to group


class Shifted:
    """Both products of a matrix of float32 or float64 with blocks of one row."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def takes(self, items: int, _transposed: bool) -> bool:
        """Whether it is faster than the plain product for so many columns."""
        return items >= FEW and self.blocks.matrix.nnz > 0

    def forward(self, x: Array) -> Array:
        """matrix @ x."""
        return self._run(self._forward, x, self.blocks.matrix.shape[0])

    def backward(self, g: Array) -> Array:
        """matrix.T @ g."""
        return self._run(self._backward, g, self.blocks.matrix.shape[1])

    def _run(self, table: Table, b: Array, rows: int) -> Array:
        matrix, groups = self.blocks.matrix, 1 if self.blocks.last else self.blocks.groups
        b, filled = np.ascontiguousarray(b), table.stretches[:, 1].sum() * groups == rows
        c, past = result((rows, b.shape[1]), b.dtype, zero=not filled)
        compiled, like = loops(WORTH), np.empty(0, b.dtype)
        arrays = matrix.data.ctypes.data, b.ctypes.data, c.ctypes.data

        def work(parts: Iterator[tuple[range, range]]) -> None:
            for some, groups in parts:
                compiled.shifted(
                    like, arrays, b.shape[1], table.stretches[some.start : some.stop], table.terms,
                    (groups.start, groups.stop), table.steps, past,
                )  # fmt: skip

        every = range(len(table.stretches)), range(groups)
        many = threads() if matrix.nnz * b.shape[1] >= THREADED else 1
        parts = PARTS if many > 1 else 1
        if groups >= PARTS:
            pieces = [(every[0], some) for some in split(every[1], parts)]
        else:
            pieces = [(some, every[1]) for some in split(every[0], parts)]
        on_threads(work, pieces, many)
        return c

    @cached_property
    def _rows(self) -> Rows:
        """The rows of the matrix."""
        blocks, matrix = self.blocks, self.blocks.matrix
        row = np.arange(blocks.positions) * (blocks.groups if blocks.last else 1)
        begin = matrix.indptr[row].astype(np.int64)
        width = matrix.indptr[row + 1] - begin
        first = np.concatenate([[0], np.cumsum(width)])
        place = np.repeat(begin - first[:-1], width) + np.arange(first[-1])
        filled = width > 0
        first = np.concatenate([first[:-1][filled], first[-1:]])
        other = matrix.indices[place].astype(np.int64)
        return Rows(row[filled], first, place, other, width.repeat(width))

    @cached_property
    def _forward(self) -> Table:
        return self._table(self._rows, *self._apart)

    @cached_property
    def _backward(self) -> Table:
        rows = self._rows
        order = np.argsort(rows.other, kind="stable")
        row, width = np.unique(rows.other, return_counts=True)
        first = np.concatenate([[0], np.cumsum(width)])
        other = rows.row.repeat(np.diff(rows.first))
        back = Rows(row, first, rows.place[order], other[order], rows.step[order])
        return self._table(back, *reversed(self._apart))

    @property
    def _apart(self) -> tuple[int, int]:
        """From group to group: rows of x, and rows of y."""
        blocks = self.blocks
        if blocks.last:
            return blocks.inputs, 1
        return blocks.matrix.shape[1] // blocks.groups, blocks.positions

    def _table(self, rows: Rows, apart_b: int, apart_c: int) -> Table:
        """What the loops are told of rows of c that meet b; apart: from group to group there."""
        groups, entries = self.blocks.groups, self.blocks.matrix.nnz // self.blocks.groups
        if self.blocks.last:
            table = by_groups(rows, groups, apart_b, apart_c)
            return Table(*table, (0, 0, 0))
        return Table(*by_positions(rows), (entries, apart_b, apart_c))


def by_groups(rows: Rows, groups: int, apart_b: int, apart_c: int) -> tuple[Array, Array]:
    """Stretches and terms, if the same rows of all groups lie side by side.

    Some groups at a time: what a window reads is then still in the cache when the next reads it.
    """
    stretches, terms = [], []
    for some in slices(groups, SOME):
        before, many = some.start, some.stop - some.start
        place = rows.place + before * rows.step
        terms.append((place, rows.other + before * apart_b, rows.step))
        first = rows.first + len(terms[:-1]) * len(place)
        each = rows.row + before * apart_c, many, first[:-1], first[1:], apart_b, apart_c, 0
        stretches.append(np.stack(np.broadcast_arrays(*each), axis=1))
    return np.concatenate(stretches), np.concatenate(terms, axis=1)


def by_positions(rows: Rows) -> tuple[Array, Array]:
    """Stretches and terms, if the rows of a group lie side by side."""
    head, count, shift, step = shifts(rows)
    many, width = len(rows.row), np.diff(rows.first)
    row, at = np.arange(many).repeat(width), np.arange(rows.first[-1])
    # Terms are told by threes where each reads what the one before it reads one row further.
    along = np.zeros(many, int)
    along[head] = shift
    inside = rows.place[np.minimum(rows.first[:-1] + 1, len(at) - 1)] - rows.place[rows.first[:-1]]
    nth = (at - rows.first[row]) % THREES
    like = (np.diff(rows.other, prepend=0) == along[row]) & (np.diff(step, prepend=0) == 0)
    like &= np.diff(rows.place, prepend=0) == inside[row]
    threes = width % THREES == 0
    threes[row[(nth > 0) & ~like]] = False
    threes[head[count == 1]] = False
    kept = np.isin(row, head) & ~(threes[row] & (nth > 0))
    stop = np.cumsum(np.bincount(row[kept], minlength=many))[head]
    first = np.concatenate([[0], stop[:-1]])
    each = rows.row[head], count, first, stop, shift, 1, np.where(threes, inside, 0)[head]
    terms = np.stack([rows.place[kept], rows.other[kept], step[kept]])
    return np.stack(np.broadcast_arrays(*each), axis=1), terms


def shifts(rows: Rows) -> tuple[Indices, Indices, Indices, Indices]:
    """The first rows of stretches, how many rows they have, and the steps from row to row.

    These are one for each stretch in what is read, and one for each term in data.
    """
    many, width = len(rows.row), np.diff(rows.first)
    row, at = np.arange(many).repeat(width), np.arange(rows.first[-1])
    # What changes from each row to the next, term by term, if they have as many.
    alike = np.zeros(many, bool)
    alike[:-1] = (width[1:] == width[:-1]) & (np.diff(rows.row) == 1)
    following = np.where(alike[row], at + width[row], at)
    step = rows.place[following] - rows.place
    shift = rows.other[following] - rows.other
    alike[row[shift != shift[rows.first[row]]]] = False
    # Whether it is what changed before: then the row and its two neighbours are in one stretch.
    before = np.maximum(at - width[row], 0)
    again = alike & np.roll(alike, 1)
    again[row[(step != step[before]) | (shift != shift[before])]] = False
    ends = np.flatnonzero(~again)
    heads = []
    head = 0
    while head < many:
        heads.append(head)
        head = int(ends[np.searchsorted(ends, head + 1)]) + 1 if alike[head] else head + 1
    found = np.array(heads)
    return found, np.diff(found, append=many), shift[rows.first[found]], step
