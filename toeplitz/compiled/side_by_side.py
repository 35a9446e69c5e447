"""Channels by themselves, side by side: a vector of inputs meets a vector of numbers."""

from typing import Any

import numpy as np
from numba import njit

from toeplitz.arrays import Array
from toeplitz.compiled import THREES
from toeplitz.compiled.shifted import HEIGHTS, Shifted
from toeplitz.compiled.tiles import TALL, tiles_of
from toeplitz.compiled.vectors import BYTES

loop = njit(nogil=True, cache=True, error_model="numpy")

ROWS = max(HEIGHTS[TALL])  # outputs that are gone through for some channels, then for the next


class SideBySide(Shifted):
    """A tile whose rows meet each another row of b, all by the vectors of one row of a."""

    def _products(self, at_a: Any, at_b: Any, sums: list[Any]) -> list[Any]:
        many, new = self.case.vectors, list(sums)
        numbers = [list(self._columns(self.build.gep(at_a, [tap]))) for tap in self.inside]
        for far, columns in enumerate(self._rows_of(at_b)):
            for row in range(max(0, far - self.taps + 1), min(self.case.rows, far + 1)):
                pairs = zip(numbers[far - row], columns, strict=True)
                for which, (number, column) in enumerate(pairs, row * many):
                    new[which] = self.vectors.here(self.vectors.sum(new[which], number, column))
        return new


class SideBySideThrees(SideBySide):
    """The same for terms of three rows of a, of which each meets rows of b one further."""

    taps = THREES


tiles = tiles_of(HEIGHTS, {**HEIGHTS}, SideBySide, SideBySideThrees)


@loop
def side_by_side(
    like: Array, x: int, weights: int, y: int, stretches: Array, terms: Array, channels: int,
    past: bool,
) -> None:  # fmt: skip
    """y[p + i q, c] = sums over terms of weights[tap, c] x[place + i step + c], for stretches.

    like: an array of the dtype. x, weights, y: addresses. stretches (n, 8): p and how many i,
    the terms (first, stop), step, q, numbers of x before, and numbers of weights from tap to tap of
    a term: 0 if it has one, else it has THREES, and the place of each is one step further. terms
    (3, m): numbers of weights before the tap, place, and 0. channels: how many c. past: y is
    best stored past the caches.
    """
    size = like.itemsize
    wide, state = TALL * (BYTES // size), np.zeros(2, np.int64)
    taps, places, zeros = terms[0].ctypes.data, terms[1].ctypes.data, terms[2].ctypes.data
    for i in range(len(stretches)):
        output, many, first, stop, step, apart, begin, inside = stretches[i]
        # What the next stretch reads last is what was not read before.
        following = stretches[min(i + 1, len(stretches) - 1)]
        state[0] = x + size * (following[6] + terms[1, following[3] - 1])
        state[1] = 1 << 40
        told = terms.itemsize * first
        told = taps + told, places + told, zeros + told, stop - first
        for row in range(0, many, ROWS):
            for column in range(0, channels, wide):
                tiles(
                    like, weights + size * column,
                    x + size * (begin + row * step + column),
                    y + size * ((output + row * apart) * channels + column), told,
                    (min(ROWS, many - row), 1, min(wide, channels - column)),
                    (0, 0, inside, step, 1), (apart * channels, 0),
                    (state.ctypes.data, 1 << 40, 0), (int(past), 0), 0, int(inside != 0),
                )  # fmt: skip
