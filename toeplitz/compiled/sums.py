"""Sums of products of matrices in turn: see tile."""

from typing import Any

import numpy as np
from numba import njit

from toeplitz.arrays import Array
from toeplitz.compiled.tile import LINE, Tile
from toeplitz.compiled.tiles import FLAT, LOW, PARTIAL, SHORT, TALL, WHOLE, WIDE, part, tiles_of
from toeplitz.compiled.vectors import BYTES

loop = njit(nogil=True, cache=True, error_model="numpy")


class Near(Tile):
    """A tile that reads what is in the caches."""

    ahead = False


tiles = tiles_of(WHOLE, PARTIAL, Near)

DEPTH = 128  # numbers of a term that are added up at a time: what they meet stays in the cache
SHALLOW = 16  # the same for few rows, which read as much for less work


@part
def _turn(
    like: Array, a: int, b: int, c: int, turn: Array, parts: Array, terms: Array, sizes: Any,
    steps: Any, along: int, state: Array, past: bool,
) -> None:  # fmt: skip
    """The sums of one turn: some numbers, some columns at a time, for all parts."""
    size, in_a, in_b = like.itemsize, terms[0].ctypes.data, terms[1].ctypes.data
    (rows, inner, columns), (step_a, step_b, column_b) = sizes, steps
    nowhere = state.ctypes.data, 1, -LINE
    count = BYTES // size
    wide = (WIDE if along == 2 else TALL) * count
    depth = SHALLOW if along == 2 and rows < SHORT else DEPTH
    total = parts[0, 5] if along == 1 else inner
    past = past and total <= depth  # what is added to had better be near
    for start in range(0, total, depth):
        column, end = 0, parts[0, 5] if along == 2 else columns
        while column < end:
            some = min(wide, end - column)
            if along == 2 and rows <= LOW and end - column >= FLAT * count:
                some = FLAT * count
            for i in range(len(parts)):
                first, stop, length = terms.itemsize * parts[i, 3], parts[i, 4], parts[i, 5]
                tiles(
                    like,
                    a + size * (parts[i, 0] + turn[0] + start * step_a),
                    b + size * (parts[i, 1] + turn[1] + start * step_b + column * column_b),
                    c + size * (parts[i, 2] + turn[2] + column),
                    (in_a + first, in_b + first, 0, stop - parts[i, 3]),
                    (
                        length if along == 0 else rows,
                        min(depth, total - start),
                        some,
                    ),
                    (parts[i, 6], parts[i, 7], step_a, 0, step_b), (parts[i, 8], 0), nowhere,
                    (int(past), int(turn[3] > 0 or start > 0)),
                    SHORT if along == 2 else 0, 0,
                )  # fmt: skip
            column += some


def panel(last: bool, size: int) -> int:
    """How many output channels a tile has, whose weights had better lie side by side.

    last: whether output channels are the columns of a tile, else its rows. size: of a number.
    """
    return TALL * BYTES // size if last else SHORT


@loop
def sums(
    like: Array, a: int, b: int, c: int, turns: Array, parts: Array, terms: Array, sizes: Any,
    steps: Any, along: int, past: bool,
) -> None:  # fmt: skip
    """Sums of products of matrices in turn: c = or += the sum over some terms of a @ b.

    like: an array of the dtype. a, b, c: addresses. turns (n, 4): places in a, b and c, and whether
    c is added to; each part has all turns. parts (n, 9): more such places, the terms (first, stop),
    a length, and steps of a from row to row of a tile and to the rows of the next, and of c from
    row to row. terms (2, n): places in a and b. sizes: rows, inner, columns, of which the one
    numbered `along` is the length of the part. steps: of a and b from number to number, and of b
    from column to the columns of the next tile. past: c is best stored past the caches.
    """
    state = np.array([a, 1])  # nothing is read ahead
    some = len(parts) if along == 0 else 1  # that meet the same b, part after part
    for i in range(0, len(parts), some):
        for j in range(len(turns)):
            one = parts[i : i + some]
            _turn(like, a, b, c, turns[j], one, terms, sizes, steps, along, state, past)
