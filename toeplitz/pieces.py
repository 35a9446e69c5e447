"""How a product of factors is cut: into pieces whose rows repeat, or into boxes of rows.

Most rows of a factor are an earlier row with its columns shifted. The leading factors are cut
into segments of such rows; for each choice of segments there is a piece: a template, one period
of their rows with the whole of the remaining factors, and its copies.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import product
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from toeplitz.axis import Indices
from toeplitz.factors import Factor

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray
Shifts: TypeAlias = tuple[Indices, Indices, Indices]  # one for each kind of number

WHOLE = 1 << 15  # entries up to which a product is expanded as a whole
BLOCK = 1 << 16  # entries of a template, so that it stays in cache
SHORT = 1 << 10  # entries below which several periods make one template
FEW = 4  # periods from which copies pay

ROW, COLUMN, VALUE = range(3)  # the kinds of numbers that an entry has
ALONE: Shifts = (np.zeros(1, np.intp),) * 3  # of rows that do not repeat


class Segment(NamedTuple):
    """Rows of a factor that are copies of one template, `height` rows from `first` on.

    Of its entries the run begins after `start`; one period has `span`, the template those from
    `low` to `high` of a period. shift: for each kind of number how far each copy is shifted.
    """

    first: int
    height: int
    start: int
    span: int
    low: int
    high: int
    shift: Shifts

    @property
    def copies(self) -> int:
        return len(self.shift[ROW])


class Piece(NamedTuple):
    """Part of a product: a segment of each leading factor, and the factors of the template."""

    segments: tuple[Segment, ...]
    factors: tuple[Factor, ...]

    def view(self, array: Array, whole: Sequence[Factor]) -> Array:
        """Where its entries stand in an array of all of them: (*copies, template, …)."""
        block = array.shape[1:]
        view, unit, width = array, len(array), 1
        for depth, segment in enumerate(self.segments):
            unit //= whole[depth].entries
            scale = unit * width
            run = segment.start * scale, (segment.start + segment.span * segment.copies) * scale
            part = segment.low * scale, segment.high * scale
            before = (slice(None),) * depth
            view = view[(*before, slice(*run))]
            view = view.reshape(*view.shape[:depth], segment.copies, segment.span * scale, *block)[
                (*before, slice(None), slice(*part))
            ]
            width *= segment.high - segment.low
        return view

    def table(self, place: int, kind: int) -> Indices:
        """For one factor of the template the numbers (rows, width) of a kind."""
        factor = self.factors[place]
        if kind != ROW:
            return factor.column if kind == COLUMN else factor.value
        first = self.segments[place].first if place < len(self.segments) else 0
        row = np.arange(first, first + factor.rows)[:, None]
        return np.broadcast_to(row, factor.column.shape)

    def shift(self, kind: int, steps: Sequence[int]) -> Indices:
        """How far each copy is shifted; an axis along which nothing is has one entry."""
        shifts = [
            segment.shift[kind] * step for segment, step in zip(self.segments, steps, strict=False)
        ]
        shifts = [shift if shift.any() else shift[:1] for shift in shifts]
        return reduce(np.add.outer, shifts, np.zeros((), np.intp))


def pieces(factors: Sequence[Factor]) -> Iterator[Piece]:
    """Cut the product into parts whose templates have about BLOCK entries at most.

    Leading factors are cut until what is left is small: no matter how often it is copied.
    """
    depth, width = 0, 1
    rest = prod(factor.entries for factor in factors)
    while depth < len(factors) and rest * width > WHOLE:
        rest //= factors[depth].entries
        width *= factors[depth].column.shape[1]
        depth += 1
    lead, others = factors[:depth], tuple(factors[depth:])
    cuts = [_segments(factor, 1, width * rest) for factor in lead[:-1]]
    cuts += [
        _segments(factor, max(1, BLOCK // (width * rest)), width * rest) for factor in lead[-1:]
    ]
    for segments in product(*cuts):
        template = tuple(
            factor.slice(segment.first, segment.first + segment.height)
            for factor, segment in zip(lead, segments, strict=True)
        )
        if all(factor.entries for factor in template):
            yield Piece(segments, template + others)


def _segments(factor: Factor, most: int, width: int) -> list[Segment]:
    """Cut the rows of a factor, `most` of them in a template at most; a row has ~width entries."""
    before = np.concatenate([[0], np.cumsum(factor.count)])
    found = []
    for first, period, shift in _runs(factor, max(1, min(most, SHORT // width))):
        start, span = int(before[first]), int(before[first + period] - before[first])
        for row in range(first, first + period, most):
            stop = min(row + most, first + period)
            low, high = int(before[row]) - start, int(before[stop]) - start
            found.append(Segment(row, stop - row, start, span, low, high, shift))
    return found


def _runs(factor: Factor, several: int) -> Iterator[tuple[int, int, Shifts]]:
    """All rows as (first, period, shift of each copy); what does not repeat is one period."""
    if factor.repeats:
        column, value = (table[:, 0] - table[0, 0] for table in (factor.column, factor.value))
        yield 0, 1, (np.arange(factor.rows), column, value)
        return
    alike, column_step, value_step = _alike(factor)
    edges = np.flatnonzero(np.diff(alike, prepend=False, append=False)).reshape(-1, 2)
    done = 0
    for start, stop in edges.tolist():
        first = max(start, done)
        copies = (stop - first) // factor.period + 1
        if copies < FEW:
            continue
        if first > done:
            yield done, first - done, ALONE
        times = min(-(-several // factor.period), copies)
        period, copies = factor.period * times, copies // times
        index = np.arange(copies)
        yield (
            first,
            period,
            (index * period, index * (column_step * times), index * (value_step * times)),
        )
        done = first + period * copies
    if done < factor.rows:
        yield done, factor.rows - done, ALONE


def _alike(factor: Factor) -> tuple[npt.NDArray[np.bool_], int, int]:
    """Which rows are the row one period before with its columns and values moved by constants."""
    period = factor.period
    again = np.flatnonzero(factor.count[period:])
    if not len(again):
        return np.zeros(0, np.bool_), 0, 0
    columns, values = (table[period:] - table[:-period] for table in (factor.column, factor.value))
    middle = again[len(again) // 2]
    column, value = int(columns[middle, 0]), int(values[middle, 0])
    same = (columns == column) & (values == value) | ~factor.filled()[period:]
    return same.all(1) & (factor.count[period:] == factor.count[:-period]), column, value


def boxes(sizes: Sequence[int], start: int, stop: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Cut a range of row-major numbers into boxes, each a range on every axis, in order."""
    if start >= stop:
        return
    if len(sizes) == 1:
        yield ((start, stop),)
        return
    inner = prod(sizes[1:])
    first, last = start // inner, stop // inner
    if first == last:
        yield from _row(sizes, first, start - first * inner, stop - first * inner)
        return
    if start % inner:
        yield from _row(sizes, first, start % inner, inner)
        first += 1
    if first < last:
        yield ((first, last), *((0, size) for size in sizes[1:]))
    yield from _row(sizes, last, 0, stop % inner)


def _row(
    sizes: Sequence[int], row: int, start: int, stop: int
) -> Iterator[tuple[tuple[int, int], ...]]:
    for box in boxes(sizes[1:], start, stop):
        yield ((row, row + 1), *box)


def reach(factors: Sequence[Factor]) -> tuple[int, int]:
    """The first and the last column of a product that has entries."""
    first = last = 0
    for factor in factors:
        read = factor.column[factor.filled()]
        first = first * factor.columns + int(read.min())
        last = last * factor.columns + int(read.max())
    return first, last
