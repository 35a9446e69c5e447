"""Products of an explicit matrix and its transpose by blocks.

The values of one position and group are a block (height, width), whose rows have one list of
columns; where they stand, toeplitz.products.blocks says.
"""

import numpy as np
from numba import njit

from toeplitz.arrays import Array
from toeplitz.compiled.gather import MOST, gather
from toeplitz.compiled.tile import LINE, Tile
from toeplitz.compiled.tiles import PARTIAL, TALL, WHOLE, part, tiles_of
from toeplitz.compiled.vectors import BYTES

loop = njit(nogil=True, cache=True, error_model="numpy")
HEIGHTS, CUT = ({n: some[n] for n in range(1, TALL + 1)} for some in (WHOLE, PARTIAL))
ROWS = 64  # of a block whose products with the transpose are added at a time


class Alone(Tile):
    """A tile of one term."""

    alone = True


class Scattered(Alone):
    """A tile whose rows are added to those of a list."""

    listed = True


tiles = tiles_of(HEIGHTS, CUT, Alone)
tiles_back = tiles_of(HEIGHTS, CUT, Scattered)


@part
def _gather(
    like: Array, which: int, rows: int, room: int, many: int, pitch: int, items: int
) -> None:
    """room (many, items) = some rows, each so many numbers from the next."""
    size = like.itemsize
    count = BYTES // size
    for first in range(0, items, MOST * count):
        some, offset = min(MOST * count, items - first), size * first
        vectors = (some + count - 1) // count
        told = which, rows + offset, room + offset, many, size * pitch, size * items
        gather(like, vectors - 1, (*told, some - (vectors - 1) * count))


@loop
def forward(
    data: Array, indices: Array, x: Array, y: Array, places: Array, height: int,
    apart: tuple[int, int], items: tuple[int, int], room: Array, past: bool,
) -> None:  # fmt: skip
    """y = blocks @ x, for some blocks and some of N items.

    x (columns, N) and y (rows, N) are contiguous. places (n, 3): where the values of a block of so
    many rows begin, its first row and its width. apart: from row to row, in data and in y; in data
    0 for the width. items: the first, and where to stop. room: for the rows that a block reads.
    past: y is aligned, and stored past the caches.
    """
    size, pitch, (first, stop) = data.itemsize, x.shape[1], items
    count, wide = stop - first, TALL * (BYTES // size)
    zero, state = np.zeros(1, np.int64), np.zeros(2, np.int64)
    alone = zero.ctypes.data, zero.ctypes.data, 0, 1
    at_x, at_y = x.ctypes.data + size * first, y.ctypes.data + size * first
    for at, row, width in places:
        which, block = indices.ctypes.data + indices.itemsize * at, data.ctypes.data + size * at
        _gather(data, which, at_x, room.ctypes.data, width, pitch, count)
        step = apart[0] if apart[0] else width
        lines = (size * width + LINE - 1) // LINE
        # What the next block reads.
        state[0], state[1] = block + size * width * (1 if apart[0] else height), lines
        for column in range(0, count, wide):
            tiles(
                data, block, room.ctypes.data + size * column,
                at_y + size * (row * pitch + column),
                alone, (height, width, min(wide, count - column)),
                (step, step, 1, 0, count), (pitch * apart[1], 0),
                (state.ctypes.data, lines, size * step - LINE * lines), (int(past), 0), 0, 0,
            )  # fmt: skip


@loop
def backward(
    data: Array, indices: Array, x: Array, y: Array, places: Array, height: int,
    apart: tuple[int, int], items: tuple[int, int], room: Array, rows: Array, add: bool,
    past: bool,
) -> None:  # fmt: skip
    """x += blocks.T @ y, or x = if each of its rows is met once; see forward.

    rows: numbers of the rows of a block, counted from the first. past: x is aligned, not added to,
    and stored past the caches.
    """
    size, pitch, (first, stop) = data.itemsize, x.shape[1], items
    count, wide = stop - first, TALL * (BYTES // size)
    zero, state = np.zeros(1, np.int64), np.zeros(2, np.int64)
    alone = zero.ctypes.data, zero.ctypes.data, 0, 1
    at_x, at_y = x.ctypes.data + size * first, y.ctypes.data + size * first
    for at, row, width in places:
        which, here = indices.ctypes.data + indices.itemsize * at, at_y + size * row * pitch
        _gather(data, rows.ctypes.data, here, room.ctypes.data, height, pitch, count)
        step = apart[0] if apart[0] else width
        lines = (size * width + LINE - 1) // LINE
        for begun in range(0, height, ROWS):
            some = min(ROWS, height - begun)
            block = data.ctypes.data + size * (at + begun * step)
            following = some * step
            if apart[0] and begun + some == height:
                following = width - begun * step
            state[0], state[1] = block + size * following, lines
            for column in range(0, count, wide):
                tiles_back(
                    data, block, room.ctypes.data + size * (begun * count + column),
                    at_x + size * column,
                    alone, (width, some, min(wide, count - column)),
                    (1, 1, step, 0, count), (pitch, which),
                    (state.ctypes.data, lines, size * step - LINE * lines),
                    (int(past and height <= ROWS), int(add or begun > 0)), 0, 0,
                )  # fmt: skip
