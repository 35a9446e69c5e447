"""Products of rows that read what the row before reads, shifted: those of a depthwise layer."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit

from toeplitz.arrays import Array
from toeplitz.compiled import THREES
from toeplitz.compiled.tile import NEAR, Tile
from toeplitz.compiled.tiles import TALL, tiles_of
from toeplitz.compiled.vectors import BYTES, place

loop = njit(nogil=True, cache=True, error_model="numpy")

ENDLESS = 1 << 40


class Shifted(Tile):
    """A tile whose rows meet each another row of b, by numbers so many steps apart.

    The step in a is another one for each term. Places in b are counted in steps of b.
    """

    alone = True
    taps = 1  # numbers of a term, so many steps apart, which meet successive rows of b

    def __init__(self, builder: Any, number: Any, case: Any, given: Any) -> None:
        super().__init__(builder, number, case, given._replace(inner=place(1)))
        self.rows_b = self._odd_multiples(given.row_b)
        self.inside = self._multiples(given.step_a, self.taps - 1)

    def _term(self, index: Any) -> tuple[Any, Any]:
        build, given = self.build, self.given
        lists = given.places_a, given.places_b, given.steps
        place_a, place_b, self.step = (self._of_list(one, index) for one in lists)
        place_a = build.add(place_a, build.mul(self.step, given.before))
        place_b = build.mul(place_b, given.step_b)
        return build.gep(self.a, [place_a]), build.gep(self.b, [place_b])

    def _products(self, at_a: Any, at_b: Any, sums: list[Any]) -> list[Any]:
        """The sums with the products of all numbers of a term: a row of b is loaded once."""
        build, many, new = self.build, self.case.vectors, list(sums)
        rows = [at_a]
        for _ in range(self.case.rows - 1):
            rows.append(build.gep(rows[-1], [self.step]))
        for far, columns in enumerate(self._rows_of(at_b)):
            for row in range(max(0, far - self.taps + 1), min(self.case.rows, far + 1)):
                here = build.gep(rows[row], [self.inside[far - row]])
                number = self.vectors.spread(build.load(here))
                for which, column in enumerate(columns, row * many):
                    new[which] = self.vectors.here(self.vectors.sum(new[which], number, column))
        return new

    def _rows_of(self, at_b: Any) -> Iterator[list[Any]]:
        """The vectors of each row of b that is met, one row after the other."""
        for far in range(self.case.rows + self.taps - 1):
            if far and far % NEAR == 0:
                at_b = self._beyond(at_b, self.rows_b, NEAR)
            yield list(self._columns(self._beyond(at_b, self.rows_b, far % NEAR)))


class ShiftedThrees(Shifted):
    """The same for terms of three numbers."""

    taps = THREES


HEIGHTS = dict.fromkeys(range(1, TALL + 1), (8, 4, 2, 1))
tiles = tiles_of(HEIGHTS, {**HEIGHTS}, Shifted, ShiftedThrees)


@loop
def shifted(
    like: Array, arrays: tuple[int, int, int], pitch: int, stretches: Array, terms: Array,
    groups: tuple[int, int], steps: tuple[int, int, int], past: bool,
) -> None:  # fmt: skip
    """c = sums of rows of b, each times a number of data, for stretches of rows of c.

    like: an array of the dtype. arrays: addresses of data, b and c. pitch: numbers of a row of b
    and c. stretches (n, 7): the first row of c, how many, its terms (first, stop), the steps from
    row to row of b and c, and the step in data between the numbers of a term: 0 if it has one, else
    it has THREES, which meet rows of b as far apart.
    terms (3, m): where a term's number stands in data, which row of b it meets, and the step in
    data from a row of c to the next. groups: all of it for the first to the last, each so many
    steps in data, rows of b and rows of c behind the one before. past: c is stored past the
    caches.
    """
    (data, b, c), size = arrays, like.itemsize
    wide, state = TALL * (BYTES // size), np.zeros(2, np.int64)
    in_a, in_b, moves = terms[0].ctypes.data, terms[1].ctypes.data, terms[2].ctypes.data
    for group in range(*groups):
        at_a = data + size * group * steps[0]
        at_b = b + size * group * steps[1] * pitch
        at_c = c + size * group * steps[2] * pitch
        for i in range(len(stretches)):
            row, count, first, stop, row_b, row_c, inside = stretches[i]
            told = terms.itemsize * first
            told = in_a + told, in_b + told, moves + told, stop - first
            # What the next stretch reads last is what was not read before.
            last = stretches[min(i + 1, len(stretches) - 1), 3] - 1
            state[0], state[1] = at_b + size * terms[1, last] * pitch, ENDLESS
            for column in range(0, pitch, wide):
                tiles(
                    like, at_a, at_b + size * column, at_c + size * (row * pitch + column), told,
                    (count, 1, min(wide, pitch - column)),
                    (0, 0, inside, row_b * pitch, pitch), (row_c * pitch, 0),
                    (state.ctypes.data, ENDLESS, 0), (int(past), 0), 0, int(inside != 0),
                )  # fmt: skip
