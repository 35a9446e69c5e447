"""Products of an explicit matrix whose rows share their columns, and of its transpose.

The values of one position and group are a block (height, width), whose rows have one list of
columns; where they stand, toeplitz.blocks says.
"""

import numpy as np

from toeplitz.arrays import Array
from toeplitz.loops.routines import call, loop


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
    for k in range(len(columns)):
        source, target = x[columns[k], some], room[k]
        for i in range(len(source)):
            target[i] = source[i]


@loop
def _scatter(columns: Array, x: Array, room: Array, some: slice) -> None:
    """x[columns, some] += room."""
    for k in range(len(columns)):
        sums, source = x[columns[k], some], room[k]
        for i in range(len(sums)):
            sums[i] += source[i]


@loop
def multiply(
    transposed: bool, routine: int, data: Array, indices: Array, x: Array, y: Array, runs: Array,
    groups: tuple[int, int, int], height: int, positions: int, last: bool, items: tuple[int, int],
    letters: Array, factors: Array, sizes: Array, room: Array,
) -> None:  # fmt: skip
    """y = blocks @ x, or x += blocks.T @ y, for the blocks of some runs and groups.

    x (columns, N) and y (rows, N): contiguous; items: the first of N, and where to stop. routine:
    the address of the gemm of their dtype. runs: (start, stop, width, before) each, positions
    whose blocks are equally wide. groups: the first, where to stop, and how many there are. last:
    channels_last. For gemm, which reads them where they are: the letters NT; factors 0 and 1;
    room for five sizes, and (widest block, items).
    """
    pitch, count, (begin, end) = x.shape[1], groups[2], items
    entries, some = len(data) // (count * height), slice(begin, end)
    sizes[0], sizes[1], sizes[4] = end - begin, height, pitch if last else pitch * positions
    at_n = np.int64(sizes.ctypes.data)
    at_height, at_width, at_step, at_row = at_n + 4, at_n + 8, at_n + 12, at_n + 16
    plain, zero = np.int64(letters.ctypes.data), np.int64(factors.ctypes.data)
    turned, one = plain + 1, zero + x.itemsize
    at_data, at_room = np.int64(data.ctypes.data), np.int64(room.ctypes.data)
    at_y = np.int64(y.ctypes.data)
    # Channels that lie innermost change fastest, else slowest.
    for outer in range(groups[0], groups[0] + 1 if last else groups[1]):
        for run in range(len(runs)):
            start, stop, width, before = runs[run]
            sizes[2], sizes[3] = width, width if last else entries
            for position in range(start, stop):
                for group in range(outer, groups[1] if last else outer + 1):
                    if last:
                        first = before * count + ((position - start) * count + group) * width
                        first, row = first * height, (position * count + group) * height
                    else:
                        first = group * height * entries + before + (position - start) * width
                        row = group * height * positions + position
                    columns = indices[first : first + width]
                    if height == 1:
                        values, here = data[first : first + width], y[row, some]
                        if transposed:
                            _row_transposed(values, columns, x, here, some)
                        else:
                            _row(values, columns, x, here, some)
                        continue
                    block = at_data + first * data.itemsize
                    rows = at_y + (row * pitch + begin) * y.itemsize
                    if transposed:
                        call(
                            routine,
                            (
                                plain,
                                turned,
                                at_n,
                                at_width,
                                at_height,
                                one,
                                rows,
                                at_row,
                                block,
                                at_step,
                                zero,
                                at_room,
                                at_n,
                            ),
                        )
                        _scatter(columns, x, room, some)
                    else:
                        _gather(columns, x, room, some)
                        call(
                            routine,
                            (
                                plain,
                                plain,
                                at_n,
                                at_height,
                                at_width,
                                one,
                                at_room,
                                at_n,
                                block,
                                at_step,
                                zero,
                                rows,
                                at_row,
                            ),
                        )
