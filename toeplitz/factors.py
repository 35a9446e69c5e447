"""Factors of a Kronecker product: for each row its columns, and which values stand there."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from toeplitz.axis import Indices


@dataclass(frozen=True)
class Factor:
    """One factor of a Kronecker product: for each row its columns, and which value stands there.

    column, value: (rows, width), the filled slots first, columns ascending;
    count: (rows,), the number of filled slots.
    """

    columns: int
    column: Indices
    value: Indices
    count: Indices
    # Where values fall on one entry: for each merged value the values to add up, -1 for none.
    merge: Indices | None = None
    # Whether every row is the first one, shifted.
    repeats: bool = field(default=False)
    # Where rows are likely to be the row so many before, shifted; whether they are, is looked up.
    period: int = 1

    @property
    def rows(self) -> int:
        return len(self.column)

    @cached_property
    def entries(self) -> int:
        return int(self.count.sum())

    @property
    def full(self) -> bool:
        return self.entries == self.column.size

    def filled(self) -> npt.NDArray[np.bool_]:
        return np.arange(self.column.shape[1]) < self.count[:, None]

    def slice(self, start: int, stop: int) -> "Factor":
        """The factor with only the rows start to stop."""
        part = slice(start, stop)
        return Factor(
            self.columns,
            self.column[part],
            self.value[part],
            self.count[part],
            repeats=self.repeats,
            period=self.period,
        )


def factor(
    row: Indices,
    column: Indices,
    value: Indices,
    rows: int,
    columns: int,
    values: int,
    period: int = 1,
) -> Factor:
    """The factor that holds value[j] at (row[j], column[j])."""
    key = row * columns + column
    merge = None
    if not (key[1:] > key[:-1]).all():
        order = np.lexsort((value, key))
        key, value = key[order], value[order]
        key, value, merge = _merged(key, value, values)
        row, column = key // max(columns, 1), key % max(columns, 1)
    count = np.bincount(row, minlength=rows)
    slot = np.arange(len(row)) - (np.cumsum(count) - count)[row]
    shape = (rows, int(count.max(initial=0)))
    table = np.zeros((2, *shape), np.intp)
    table[:, row, slot] = column, value
    return Factor(columns, table[0], table[1], count, merge, period=period)


def _merged(key: Indices, value: Indices, values: int) -> tuple[Indices, Indices, Indices | None]:
    """Join entries that share a key: each distinct set of joined values gets a value of its own."""
    unique, start, length = np.unique(key, return_index=True, return_counts=True)
    most = int(length.max(initial=0))
    if most < 2:
        return key, value, None
    joined = np.flatnonzero(length > 1)
    place = start[joined, None] + np.arange(most)
    inside = np.arange(most) < length[joined, None]
    members = np.where(inside, value[np.where(inside, place, 0)], -1)
    sets, which = np.unique(members, axis=0, return_inverse=True)
    alone = np.full((values, most), -1)
    alone[:, 0] = np.arange(values)
    result = value[start]
    result[joined] = values + which.ravel()
    return unique, result, np.concatenate([alone, sets])


def channels(inputs: int, outputs: int, groups: int) -> Factor:
    """The channel factor: output channel o reads each input channel of its group.

    The value at (o, i) is `o * inputs / groups + i`, the row of (O * C/G, *kernel) weights.
    """
    width = inputs // groups
    group = np.arange(outputs) // (outputs // groups)
    column = (group * width)[:, None] + np.arange(width)
    value = np.arange(outputs * width).reshape(outputs, width)
    return Factor(inputs, column, value, np.full(outputs, width), repeats=True)


def channels_transposed(inputs: int, outputs: int, groups: int) -> Factor:
    """The transpose of the channel factor: rows are input channels."""
    width, height = inputs // groups, outputs // groups
    channel = np.arange(inputs)
    group = channel // max(width, 1)
    column = (group * height)[:, None] + np.arange(height)
    value = column * width + (channel % max(width, 1))[:, None]
    return Factor(outputs, column, value, np.full(inputs, height), repeats=True)


def diagonal(size: int) -> Factor:
    """The identity: row j holds value j in column j."""
    index = np.arange(size)[:, None]
    return Factor(size, index, index, np.ones(size, np.intp), repeats=True)


def stacked(size: int) -> Factor:
    """One column of `size` rows, row j holding value j: batch items below each other."""
    index = np.arange(size)[:, None]
    return Factor(1, np.zeros_like(index), index, np.ones(size, np.intp), repeats=True)


def across(size: int) -> Factor:
    """One row of `size` columns, column j holding value j."""
    index = np.arange(size)[None, :]
    return Factor(size, index, index, np.full(1, size), repeats=True)


def dense(size: int) -> Factor:
    """All entries of a square: row i holds value i * size + j in column j."""
    column = np.tile(np.arange(size), (size, 1))
    value = np.arange(size * size).reshape(size, size)
    return Factor(size, column, value, np.full(size, size), repeats=True)
