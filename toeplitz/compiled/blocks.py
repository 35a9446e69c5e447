"""Products of matrices in turn, and those of an explicit matrix and its transpose by blocks.

The values of one position and group are a block (height, width), whose rows have one list of
columns; where they stand, toeplitz.products.blocks says.
"""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types, uintp
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.arrays import Array

loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})


class Shape(NamedTuple):
    """How many blocks there are, and in which order."""

    groups: int
    height: int
    positions: int
    last: bool  # channels_last


class Items(NamedTuple):
    """Which numbers of a row are meant, unsigned."""

    pitch: int  # numbers of a row
    first: int
    size: int


class Gemm(NamedTuple):
    """The routine for a dtype, and what it reads where it stands: nothing else would keep it."""

    routine: int
    letters: Array  # NT
    factors: Array  # 0 and 1
    sizes: Array  # room for five
    room: Array  # for the widest block, times the items


TALL = 128  # rows of a block from which its transpose is multiplied faster from the right


@intrinsic
def call(_typing: Any, routine: Any, arguments: Any) -> Any:
    """Call the routine at an address, as gemm, with 13 addresses."""

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 13).as_pointer()
        given = cgutils.unpack_tuple(builder, values[1])
        pointers = [builder.inttoptr(value, pointer) for value in given]
        builder.call(builder.inttoptr(values[0], kind), pointers)
        return context.get_dummy_value()

    return types.void(routine, arguments), write


@loop
def gemms(routine: int, fixed: Any, a: int, b: int, c: int, offsets: Array, factors: Array) -> None:
    """Products of matrices in turn, at offsets (n, 3) from a, b and c; see blas.Gemm."""
    turned_b, turned_a, n, m, k, one, step_b, step_a, step_c = fixed
    for i in range(len(offsets)):
        call(
            routine,
            (turned_b, turned_a, n, m, k, one, b + offsets[i, 1], step_b,
             a + offsets[i, 0], step_a, factors[i], c + offsets[i, 2], step_c),
        )  # fmt: skip


# Places are unsigned below: a place that might count from the end would keep loops from vectors.


@loop
def _row(
    values: Array, columns: Array, k: int, width: int, x: Array, y: Array, items: Items, at: int
) -> None:
    """y[at:] = values[k : k + width] @ x[columns[k : k + width]], for some items of the flat x."""
    pitch, first, size = items.pitch, items.first, items.size
    end, one, nine = k + width, uintp(1), uintp(9)
    for i in range(size):
        y[at + i] = 0
    while k + nine <= end:
        v0, v1, v2 = values[k], values[k + uintp(1)], values[k + uintp(2)]
        v3, v4, v5 = values[k + uintp(3)], values[k + uintp(4)], values[k + uintp(5)]
        v6, v7, v8 = values[k + uintp(6)], values[k + uintp(7)], values[k + uintp(8)]
        c0, c1 = uintp(columns[k]) * pitch + first, uintp(columns[k + uintp(1)]) * pitch + first
        c2, c3 = (
            uintp(columns[k + uintp(2)]) * pitch + first,
            uintp(columns[k + uintp(3)]) * pitch + first,
        )
        c4, c5 = (
            uintp(columns[k + uintp(4)]) * pitch + first,
            uintp(columns[k + uintp(5)]) * pitch + first,
        )
        c6, c7 = (
            uintp(columns[k + uintp(6)]) * pitch + first,
            uintp(columns[k + uintp(7)]) * pitch + first,
        )
        c8 = uintp(columns[k + uintp(8)]) * pitch + first
        for i in range(size):
            y[at + i] += (
                v0 * x[c0 + i] + v1 * x[c1 + i] + v2 * x[c2 + i]
                + v3 * x[c3 + i] + v4 * x[c4 + i] + v5 * x[c5 + i]
                + v6 * x[c6 + i] + v7 * x[c7 + i] + v8 * x[c8 + i]
            )  # fmt: skip
        k += nine
    while k < end:
        v0, c0 = values[k], uintp(columns[k]) * pitch + first
        for i in range(size):
            y[at + i] += v0 * x[c0 + i]
        k += one


@loop
def _row_transposed(
    values: Array, columns: Array, k: int, width: int, x: Array, y: Array, items: Items, at: int
) -> None:
    """x[columns[k : k + width]] += outer(values[k : k + width], y[at:]), for some items."""
    end, one = k + width, uintp(1)
    while k < end:
        value, to = values[k], uintp(columns[k]) * items.pitch + items.first
        for i in range(items.size):
            x[to + i] += value * y[at + i]
        k += one


@loop
def _gather(columns: Array, x: Array, room: Array, items: Items) -> None:
    """room = x[columns], for some items of the flat x."""
    to = uintp(0)
    for column in columns:
        at = uintp(column) * items.pitch + items.first
        for i in range(items.size):
            room[to + i] = x[at + i]
        to += items.size


@loop
def _scatter(columns: Array, x: Array, room: Array, items: Items, turned: bool) -> None:
    """x[columns] += room, or room.T, for some items of the flat x."""
    k, width = uintp(0), uintp(len(columns))
    for column in columns:
        to = uintp(column) * items.pitch + items.first
        if turned:
            for i in range(items.size):
                x[to + i] += room[i * width + k]
        else:
            at = k * items.size
            for i in range(items.size):
                x[to + i] += room[at + i]
        k += uintp(1)


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
    first: int, stop: int, items: Items,
) -> None:  # fmt: skip
    """Blocks of one row."""
    for run in runs:
        width = uintp(run[2])
        for position in range(run[0], run[1]):
            for group in range(first, stop):
                at, row = _place(shape, run, position, group, len(data) // shape.groups)
                here = uintp(row) * items.pitch + items.first
                if transposed:
                    _row_transposed(data, indices, uintp(at), width, x, y, items, here)
                else:
                    _row(data, indices, uintp(at), width, x, y, items, here)


@loop
def _blocks(
    transposed: bool, data: Array, indices: Array, x: Array, y: Array, runs: Array, shape: Shape,
    first: int, stop: int, items: Items, gemm: Gemm,
) -> None:  # fmt: skip
    """Blocks of several rows."""
    entries = len(data) // (shape.groups * shape.height)
    pitch, sizes, size = np.int64(items.pitch), gemm.sizes, y.itemsize
    sizes[0], sizes[1] = items.size, shape.height
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
                rows = np.int64(y.ctypes.data) + (row * pitch + np.int64(items.first)) * size
                if not transposed:
                    _gather(columns, x, gemm.room, items)
                    call(gemm.routine, (plain, plain, n, height, width, one, room, n,
                                        block, step, zero, rows, to_row))  # fmt: skip
                elif shape.height < TALL:
                    call(gemm.routine, (plain, turned, n, width, height, one, rows, to_row,
                                        block, step, zero, room, n))  # fmt: skip
                    _scatter(columns, x, gemm.room, items, False)
                else:
                    call(gemm.routine, (plain, turned, width, n, height, one, block, step,
                                        rows, to_row, zero, room, width))  # fmt: skip
                    _scatter(columns, x, gemm.room, items, True)


@loop
def multiply(
    transposed: bool, data: Array, indices: Array, x: Array, y: Array, runs: Array, shape: Shape,
    groups: tuple[int, int], items: tuple[int, int], gemm: Gemm,
) -> None:  # fmt: skip
    """y = blocks @ x, or x += blocks.T @ y, for some runs, some groups and some of N items.

    x (columns, N) and y (rows, N) are contiguous. runs: (start, stop, width, before) each,
    positions whose blocks are equally wide. groups, items: the first, and where to stop.
    """
    these = Items(uintp(x.shape[1]), uintp(items[0]), uintp(items[1] - items[0]))
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    # Channels that lie innermost change fastest, else slowest.
    step = groups[1] - groups[0] if shape.last else 1
    for first in range(groups[0], groups[1], step):
        if shape.height == 1:
            _rows(
                transposed, data, indices, flat_x, flat_y, runs, shape, first, first + step, these
            )
        else:
            _blocks(
                transposed, data, indices, flat_x, flat_y, runs, shape, first, first + step, these,
                gemm,
            )  # fmt: skip
