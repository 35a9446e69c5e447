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
INDEX = 4  # bytes of an index
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
    like: Array, arrays: tuple[int, int, int, int], places: Array, height: int,
    apart: tuple[int, int], items: tuple[int, int], room: Array, past: bool,
) -> None:  # fmt: skip
    """y = blocks @ x, for some blocks and some of N items.

    like: an array of the dtype. arrays: addresses of data and indices, 32 bits each, and of the
    items' numbers in x (columns, N) and y (rows, N). places (n, 3): where the values of a block of
    so many rows begin, its first row and its width. apart: from row to row, in data and in y; in
    data 0 for the width. items: how many are meant, and N. room: for the rows that a block reads.
    past: y is stored past the caches.
    """
    (data, indices, x, y), size, (count, pitch) = arrays, like.itemsize, items
    wide, scratch = TALL * (BYTES // size), np.zeros(3, np.int64)
    zero, state = scratch.ctypes.data, scratch.ctypes.data + scratch.itemsize
    for at, row, width in places:
        _gather(like, indices + INDEX * at, x, room.ctypes.data, width, pitch, count)
        step, block = apart[0] if apart[0] else width, data + size * at
        lines = (size * width + LINE - 1) // LINE
        # What the next block reads.
        scratch[1] = block + size * width * (1 if apart[0] else height)
        scratch[2] = lines
        for column in range(0, count, wide):
            tiles(
                like, block, room.ctypes.data + size * column, y + size * (row * pitch + column),
                (zero, zero, 0, 1), (height, width, min(wide, count - column)),
                (step, step, 1, 0, count), (pitch * apart[1], 0),
                (state, lines, size * step - LINE * lines), (int(past), 0), 0, 0,
            )  # fmt: skip


@loop
def backward(
    like: Array, arrays: tuple[int, int, int, int], places: Array, height: int,
    apart: tuple[int, int], items: tuple[int, int], room: Array, rows: Array, add: bool,
    past: bool,
) -> None:  # fmt: skip
    """x += blocks.T @ y, or x = if each of its rows is met once; see forward.

    rows: numbers of the rows of a block, counted from the first. past: x is not added to, and
    stored past the caches.
    """
    (data, indices, x, y), size, (count, pitch) = arrays, like.itemsize, items
    wide, scratch = TALL * (BYTES // size), np.zeros(3, np.int64)
    zero, state = scratch.ctypes.data, scratch.ctypes.data + scratch.itemsize
    past = past and height <= ROWS
    for at, row, width in places:
        here = y + size * row * pitch
        _gather(like, rows.ctypes.data, here, room.ctypes.data, height, pitch, count)
        step = apart[0] if apart[0] else width
        lines = (size * width + LINE - 1) // LINE
        for begun in range(0, height, ROWS):
            some, block = min(ROWS, height - begun), data + size * (at + begun * step)
            ended = apart[0] > 0 and begun + some == height
            scratch[1] = block + size * (width - begun * step if ended else some * step)
            scratch[2] = lines
            for column in range(0, count, wide):
                tiles_back(
                    like, block, room.ctypes.data + size * (begun * count + column),
                    x + size * column,
                    (zero, zero, 0, 1), (width, some, min(wide, count - column)),
                    (1, 1, step, 0, count), (pitch, indices + INDEX * at),
                    (state, lines, size * step - LINE * lines),
                    (int(past), int(add or begun > 0)), 0, 0,
                )  # fmt: skip
