"""Products of a sparse matrix by ranges of rows: scipy's own, on all cores."""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from toeplitz import sparse
from toeplitz.arrays import Array
from toeplitz.sparse import Sparse
from toeplitz.threads import ordered, slices, threads

ROWS = 1 << 18  # entries in a range of rows
OVERLAP = 4  # how often a column may be added to before ranges of items are the better pieces


class Range(NamedTuple):
    """Successive rows, and the range of columns that they read."""

    start: int
    stop: int
    first: int
    last: int


class Ranges:
    """Both products with a CSR matrix whose indices are sorted."""

    def __init__(self, matrix: Sparse) -> None:
        self.matrix = matrix
        pointers = matrix.indptr
        marks = np.searchsorted(pointers, np.arange(0, matrix.nnz, ROWS))
        cuts = np.unique([0, *marks, matrix.shape[0]]).tolist()
        self.ranges = [self._range(start, stop) for start, stop in pairwise(cuts)]

    def _range(self, start: int, stop: int) -> Range:
        pointers = self.matrix.indptr[start : stop + 1]
        filled = pointers[1:] > pointers[:-1]
        first = self.matrix.indices[pointers[:-1][filled]]
        last = self.matrix.indices[pointers[1:][filled] - 1]
        read = int(first.min()) if len(first) else 0
        return Range(start, stop, read, int(last.max()) + 1 if len(last) else read)

    def _part(self, part: Range) -> Sparse:
        matrix, pointers = self.matrix, self.matrix.indptr[part.start : part.stop + 1]
        inside = slice(pointers[0], pointers[-1])
        shape = (part.stop - part.start, part.last - part.first)
        indices = matrix.indices[inside] - matrix.indices.dtype.type(part.first)
        arrays = sparse.Compressed(matrix.data[inside], indices, pointers - pointers[0], shape)
        return sparse.wrap(arrays)

    def forward(self, x: Array) -> Array:
        """matrix @ x."""
        x = np.ascontiguousarray(x)
        dtype = np.result_type(self.matrix.dtype, x.dtype)
        y = np.empty((self.matrix.shape[0], x.shape[1]), dtype)
        for _ in ordered(partial(self._write, x, y), self.ranges):
            pass
        return y

    def _write(self, x: Array, y: Array, part: Range) -> None:
        y[part.start : part.stop] = self._part(part) @ x[part.first : part.last]

    def backward(self, g: Array) -> Array:
        """matrix.T @ g, the parts added up in their order."""
        columns = self.matrix.shape[1]
        if sum(part.last - part.first for part in self.ranges) > OVERLAP * columns:
            return self._by_items(g)
        g = np.ascontiguousarray(g)
        x = np.zeros((columns, g.shape[1]), np.result_type(self.matrix.dtype, g.dtype))
        sums = ordered(partial(self._sum, g), self.ranges)
        with np.errstate(all="ignore"):  # as silent as the plain product
            for part, added in zip(self.ranges, sums, strict=True):
                x[part.first : part.last] += added
        return x

    def _sum(self, g: Array, part: Range) -> Array:
        return self._part(part).T @ g[part.start : part.stop]

    def _by_items(self, g: Array) -> Array:
        """The plain product with ranges of g's columns: none writes where another does."""
        parts = list(slices(g.shape[1], -(-g.shape[1] // threads())))
        done = ordered(lambda part: self.matrix.T @ np.ascontiguousarray(g[:, part]), parts)
        return np.concatenate(list(done), axis=1)
