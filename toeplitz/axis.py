"""One spatial axis: which input position each (output position, tap) reads.

This is the only place where the index arithmetic of a convolution is written down.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Indices: TypeAlias = npt.NDArray[np.intp]

COUNTED = 1 << 16  # entries of a table that are counted at a time
LARGEST = 2**62  # positions up to this one are computed without overflow


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution.

    Output position o reads, through tap t, the position `o * stride + t * dilation - before` of
    the dilated input (`input_dilation - 1` zeros between neighbours); what lies outside it is
    padding, and the mode says which input position stands there.
    """

    size: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    input_dilation: int = 1
    mode: str = "zeros"

    @property
    def dilated(self) -> int:
        """Size of the input with the zeros of input_dilation between its entries."""
        return (self.size - 1) * self.input_dilation + 1

    @property
    def padded(self) -> int:
        return self.dilated + self.before + self.after

    @property
    def extent(self) -> int:
        """How far the dilated kernel reaches: dilation * (kernel - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def windows(self) -> int:
        """Output size: floor((padded - extent) / stride) + 1."""
        return (self.padded - self.extent) // self.stride + 1

    @property
    def period(self) -> int:
        """After so many windows inside the input the same taps read again, further on."""
        return self.input_dilation // gcd(self.input_dilation, self.stride)

    @property
    def input_period(self) -> int:
        """After so many inputs the same taps read them again, from further windows."""
        return self.stride // gcd(self.input_dilation, self.stride)

    def source(self, first: int = 0, last: int | None = None) -> Indices:
        """The table (windows, kernel) of input positions, -1 where a tap reads a zero.

        first, last: the range of windows, all of them by default.
        """
        windows = np.arange(first, self.windows if last is None else min(last, self.windows))
        starts = windows * self.stride - self.before
        taps = np.arange(self.kernel) * self.dilation
        return self._read(starts[:, None] + taps)

    def lanes(self) -> tuple[Indices, Indices, Indices]:
        """source() in fewer numbers: through each tap, successive outputs read one stretch.

        Returns (position, lane, start): output o reads, through tap t, the input position
        position[lane[t], start[t] + o]. A stride of s has s lanes at most: lane r holds every
        s-th position, from r on.
        """
        step, rest = np.divmod(np.arange(self.kernel) * self.dilation - self.before, self.stride)
        rests, lane = np.unique(rest, return_inverse=True)
        first = np.array([step[lane == each].min() for each in range(len(rests))])
        start = step - first[lane]
        cells = np.arange(self.windows + start.max())
        position = self._read(rests[:, None] + (first[:, None] + cells) * self.stride)
        length = [self.windows + start[lane == each].max() for each in range(len(rests))]
        return np.where(cells < np.array(length)[:, None], position, -1), lane, start

    def counts(self) -> tuple[int, int]:
        """The numbers of (output, tap) and of (output, input) pairs.

        Windows that lie inside the input repeat after `period`: they are counted once.
        """
        inside = -(-self.before // self.stride)
        beyond = (self.dilated - self.extent + self.before) // self.stride + 1
        first = min(max(inside, 0), self.windows)
        last = max(min(beyond, self.windows), first)
        period = self.period
        times, rest = divmod(last - first, period)
        parts = [
            (self._counted(0, first), 1),
            (self._counted(first, min(first + period, last)), times),
            (self._counted(first, first + rest), 1),
            (self._counted(last, self.windows), 1),
        ]
        return (
            sum(times * reads for (reads, _), times in parts),
            sum(times * pairs for (_, pairs), times in parts),
        )

    def _counted(self, first: int, last: int) -> tuple[int, int]:
        """counts() of the windows from first to last, a part of the table at a time."""
        step = max(1, COUNTED // self.kernel)
        reads = pairs = 0
        for start in range(first, last, step):
            source = np.sort(self.source(start, min(start + step, last)), axis=1)
            filled = int((source >= 0).sum())
            again = (source[:, 1:] == source[:, :-1]) & (source[:, 1:] >= 0)
            reads += filled
            pairs += filled - int(again.sum())
        return reads, pairs

    def _read(self, position: Indices) -> Indices:
        """The input positions that stand at positions of the dilated input, -1 for a zero."""
        position = self._inside(position)
        if self.input_dilation == 1:
            return position
        return np.where(position % self.input_dilation == 0, position // self.input_dilation, -1)

    def _inside(self, position: Indices) -> Indices:
        """Map positions in the padding to the dilated input, or to -1."""
        last = self.dilated - 1
        if self.mode == "circular":
            # A crop comes first: what is left is the period.
            first = max(0, -self.before)
            period = self.padded - max(0, self.before) - max(0, self.after)
            return first + (position - first) % period
        if self.mode == "reflect":
            return np.asarray(last - np.abs(last - np.abs(position)))
        if self.mode == "replicate":
            return position.clip(0, last)
        position[(position < 0) | (position > last)] = -1
        return position


@dataclass(frozen=True)
class AdaptiveAxis:
    """One axis of an adaptive pool: output o reads floor(o N / M) up to ceil((o + 1) N / M)."""

    size: int
    windows: int

    def source(self) -> Indices:
        """The table (windows, widest window) of input positions, -1 past the end of a window."""
        output = np.arange(self.windows)
        start = output * self.size // max(self.windows, 1)
        stop = -(-(output + 1) * self.size // max(self.windows, 1))
        taps = np.arange(np.max(stop - start, initial=0))
        position = start[:, None] + taps
        return np.where(position < stop[:, None], position, -1)


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
