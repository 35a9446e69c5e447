"""Which tiles a product of matrices is made of, and loops over them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.arrays import Array
from toeplitz.compiled.tile import Case, Given, Tile
from toeplitz.compiled.vectors import BYTES, REGISTERS, kind_of, one_of

Heights = Mapping[int, tuple[int, ...]]

part = njit(inline="always", error_model="numpy")  # of another loop: compiled there, once

# Vectors of a tile: how many rows it may have, so that all stay in registers.
WHOLE: Heights = (
    {1: (16, 14, 12, 8, 4, 2, 1), 2: (14, 12, 8, 7, 4, 2, 1), 3: (8, 4, 3, 2, 1), 8: (3, 2, 1)}
    if REGISTERS == 32
    else {1: (8, 4, 2, 1), 2: (6, 4, 2, 1), 3: (4, 3, 2, 1), 4: (3, 2, 1)}
)
# Of many rows tiles are tall, of some they are wide, of a few flat.
TALL, WIDE, FLAT = 2, 3, max(WHOLE)
SHORT, LOW = max(WHOLE[WIDE]), max(WHOLE[FLAT])  # rows of a wide and of a flat tile
PARTIAL: Heights = dict.fromkeys(
    range(1, WIDE + 1), (8, 4, 3, 2, 1) if REGISTERS == 32 else (4, 3, 2, 1)
)
WAIT = 8  # sums of a tile below which each waits for the one before
FAR = 32  # rows that are left from which the tallest tile is taken


def tiles_of(whole: Heights, partial: Heights, *made: type[Tile]) -> Callable[..., None]:
    """A loop over all rows of a few vectors of a product, which has these tiles to choose from."""
    cases = [
        Case(vectors, rows, some is partial)
        for some in (whole, partial)
        for vectors, heights in some.items()
        for rows in heights
    ]
    every = [(one, case) for one in made for case in cases]
    pick, height = _choice(cases)
    many, listed = len(cases), made[0].listed

    @intrinsic
    def tile(_typing: Any, like: Any, number: Any, given: Any) -> Any:
        """The tile of one case; like: an array of the dtype."""

        def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            kind = kind_of(like.dtype)
            told = Given(*cgutils.unpack_tuple(builder, values[2]))
            one_of(
                builder, values[1], every, lambda one: one[0](builder, kind, one[1], told).write()
            )
            return context.get_dummy_value()

        return types.void(like, number, given), write

    @part
    def tiles(
        like: Array, a: int, b: int, c: int, terms: Any, sizes: Any, steps: Any, rows_c: Any,
        ahead: Any, how: Any, tallest: int, which: int,
    ) -> None:  # fmt: skip
        """All rows of a few vectors of c.

        terms: addresses of their places in a and b and of their steps, and how many. sizes: rows,
        inner, columns. steps: of a from row to row of a tile, to the rows of the next, and from
        number to number; of b from row to row and from number to number. rows_c: the step from row
        to row, and the address of their numbers, if they are listed. ahead: state, lines and jump.
        how: past and add; see Given. Only rows of whole lines are stored past the caches. tallest:
        rows of a tile at most, 0 for any. which: of the kinds of tiles.
        """
        size, (rows, inner, columns) = like.itemsize, sizes
        near_a, row_a, step_a, row_b, step_b = steps
        row_c, list_c = rows_c
        count = BYTES // size
        vectors = (columns + count - 1) // count
        last = columns - (vectors - 1) * count
        cut, row = int(last < count), 0
        past = how[0] * int((c | size * row_c) % BYTES == 0)
        while row < rows:
            left = min(tallest if tallest else FAR, rows - row)
            at_a, at_b = a + size * row * row_a, b + size * row * row_b
            at_c = c if listed else c + size * row * row_c
            near = near_a, step_a, row_b, step_b, row_c, list_c + 4 * row
            tile(
                like,
                which * many + pick[cut, vectors, left],
                (at_a, at_b, at_c, *terms, inner, row, *near, *ahead, past, how[1], last),
            )
            row += height[cut, vectors, left]

    loop: Callable[..., None] = tiles
    return loop


def _choice(cases: list[Case]) -> tuple[Array, Array]:
    """The number and the rows of the best case for (partial, vectors, rows that are left)."""
    widest = max(case.vectors for case in cases)
    pick = np.zeros((2, widest + 1, FAR + 1), np.int64)
    height, time = np.zeros_like(pick), np.zeros(pick.shape)
    for at in np.ndindex(*pick.shape):
        *kind, left = at
        fit = [
            (max(WAIT, case.rows * case.vectors) + time[(*kind, left - case.rows)], -case.rows, n)
            for n, case in enumerate(cases)
            if [case.partial, case.vectors] == kind and case.rows <= left
        ]
        if fit:
            time[at], rows, pick[at] = min(fit)
            height[at] = -rows
    return pick, height
