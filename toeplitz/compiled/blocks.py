"""Products of an explicit matrix whose rows share their columns, and of its transpose.

The values of one position and group are a block (height, width), whose rows have one list of
columns; where they stand, toeplitz.products.blocks says.
"""

from typing import NamedTuple

import numpy as np

from toeplitz.arrays import Array
from toeplitz.compiled.routines import call, loop


class Shape(NamedTuple):
    """How many blocks there are, and in which order."""

    groups: int
    height: int
    positions: int
    last: bool  # channels_last


class Gemm(NamedTuple):
    """The routine for a dtype, and what it reads where it stands: nothing else would keep it."""

    routine: int
    letters: Array  # NT
    factors: Array  # 0 and 1
    sizes: Array  # room for five
    room: Array  # for the widest block, times the items


TALL = 128  # rows of a block from which its transpose is multiplied faster from the right


@loop
def _row(values: Array, columns: Array, x: Array, y: Array, some: slice) -> None:
    """y = values @ x[columns, some]."""
    y[:] = 0
    k, width, size = 0, len(values), len(y)
    while width - k >= 3:
        v0, v1, v2 = values[k], values[k + 1], values[k + 2]
        x0, x1, x2 = x[columns[k], some], x[columns[k + 1], some], x[columns[k + 2], some]
        for i in range(size):
            y[i] += v0 * x0[i] + v1 * x1[i] + v2 * x2[i]
        k += 3
    while k < width:
        v0, x0 = values[k], x[columns[k], some]
        for i in range(size):
            y[i] += v0 * x0[i]
        k += 1


@loop
def _row_transposed(values: Array, columns: Array, x: Array, y: Array, some: slice) -> None:
    """x[columns, some] += outer(values, y)."""
    for k in range(len(values)):
        value, sums = values[k], x[columns[k], some]
        for i in range(len(y)):
            sums[i] += value * y[i]


@loop
def _gather(columns: Array, x: Array, room: Array, some: slice) -> None:
    """room = x[columns, some]."""
    n = some.stop - some.start
    for k in range(len(columns)):
        source, target = x[columns[k], some], room[k * n :]
        for i in range(len(source)):
            target[i] = source[i]


@loop
def _scatter(columns: Array, x: Array, room: Array, some: slice, turned: bool) -> None:
    """x[columns, some] += room, or room.T."""
    n, width = some.stop - some.start, len(columns)
    for k in range(width):
        sums = x[columns[k], some]
        if turned:
            for i in range(n):
                sums[i] += room[i * width + k]
        else:
            source = room[k * n :]
            for i in range(n):
                sums[i] += source[i]


@loop
def _place(shape: Shape, run: Array, position: int, group: int, entries: int) -> tuple[int, int]:
    """Where the values of a block begin, and its rows."""
    start, _, width, before = run
    if shape.last:
        first = before * shape.groups + ((position - start) * shape.groups + group) * width
        return first * shape.height, (position * shape.groups + group) * shape.height
    channel = group * shape.height
    return channel * entries + before + (
        position - start
    ) * width, channel * shape.positions + position


@loop
def _rows(
    transposed: bool, data: Array, indices: Array, x: Array, y: Array, runs: Array, shape: Shape,
    first: int, stop: int, some: slice,
) -> None:  # fmt: skip
    """Blocks of one row."""
    for run in runs:
        width = run[2]
        for position in range(run[0], run[1]):
            for group in range(first, stop):
                at, row = _place(shape, run, position, group, len(data) // shape.groups)
                values, columns = data[at : at + width], indices[at : at + width]
                if transposed:
                    _row_transposed(values, columns, x, y[row, some], some)
                else:
                    _row(values, columns, x, y[row, some], some)


@loop
def _blocks(
    transposed: bool, data: Array, indices: Array, x: Array, y: Array, runs: Array, shape: Shape,
    first: int, stop: int, some: slice, gemm: Gemm,
) -> None:  # fmt: skip
    """Blocks of several rows."""
    entries = len(data) // (shape.groups * shape.height)
    pitch, sizes, size = y.shape[1], gemm.sizes, y.itemsize
    sizes[0], sizes[1] = some.stop - some.start, shape.height
    sizes[4] = pitch if shape.last else pitch * shape.positions
    n = np.int64(sizes.ctypes.data)
    height, width, step, to_row = n + 4, n + 8, n + 12, n + 16
    plain, zero = np.int64(gemm.letters.ctypes.data), np.int64(gemm.factors.ctypes.data)
    turned, one = plain + 1, zero + size
    room = np.int64(gemm.room.ctypes.data)
    for run in runs:
        sizes[2], sizes[3] = run[2], run[2] if shape.last else entries
        for position in range(run[0], run[1]):
            for group in range(first, stop):
                at, row = _place(shape, run, position, group, entries)
                columns = indices[at : at + run[2]]
                block = np.int64(data.ctypes.data) + at * size
                rows = np.int64(y.ctypes.data) + (row * pitch + some.start) * size
                if not transposed:
                    _gather(columns, x, gemm.room, some)
                    call(gemm.routine, (plain, plain, n, height, width, one, room, n,
                                        block, step, zero, rows, to_row))  # fmt: skip
                elif shape.height < TALL:
                    call(gemm.routine, (plain, turned, n, width, height, one, rows, to_row,
                                        block, step, zero, room, n))  # fmt: skip
                    _scatter(columns, x, gemm.room, some, False)
                else:
                    call(gemm.routine, (plain, turned, width, n, height, one, block, step,
                                        rows, to_row, zero, room, width))  # fmt: skip
                    _scatter(columns, x, gemm.room, some, True)


@loop
def multiply(
    transposed: bool, data: Array, indices: Array, x: Array, y: Array, runs: Array, shape: Shape,
    groups: tuple[int, int], items: tuple[int, int], gemm: Gemm,
) -> None:  # fmt: skip
    """y = blocks @ x, or x += blocks.T @ y, for some runs, some groups and some of N items.

    x (columns, N) and y (rows, N) are contiguous. runs: (start, stop, width, before) each,
    positions whose blocks are equally wide. groups, items: the first, and where to stop.
    """
    some = slice(items[0], items[1])
    # Channels that lie innermost change fastest, else slowest.
    step = groups[1] - groups[0] if shape.last else 1
    for first in range(groups[0], groups[1], step):
        if shape.height == 1:
            _rows(transposed, data, indices, x, y, runs, shape, first, first + step, some)
        else:
            _blocks(transposed, data, indices, x, y, runs, shape, first, first + step, some, gemm)
