"""From the factors of a Kronecker product to the arrays of a sparse matrix, in one pass.

A matrix here is `sum over values v of v * (factor_1 ⊗ factor_2 ⊗ …)`: its rows, columns and
values are numbered row-major over the factors. This is the one door to scipy.sparse and
cupyx.scipy.sparse.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from toeplitz import device, writing
from toeplitz.arguments import choice
from toeplitz.arrays import namespace, sparse_namespace
from toeplitz.factors import Factor
from toeplitz.pieces import COLUMN, ROW, VALUE, boxes, reach
from toeplitz.writing import Numbers, Target, steps

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray
Sparse: TypeAlias = Any  # an array of scipy.sparse or of cupyx.scipy.sparse
Templates: TypeAlias = Sequence[tuple[Any, Sequence[Array]]]

FORMATS = ("csr", "csc", "coo", "bsr", "dense")
INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)


def available_format(format: Any, array: Array) -> str:
    """The format, if the library that would hold the matrix has it."""
    if isinstance(format, str) and format in ("channels_first", "channels_last"):
        raise ValueError(f"{format!r} is no format but a layout: layout={format!r}")
    chosen = choice("format", format, FORMATS)
    if chosen == "bsr" and namespace(array) is not np:
        raise ValueError('cupyx.scipy.sparse has no BSR: take format="csr" or operator(w)')
    return chosen


class Compressed(NamedTuple):
    """The arrays of a CSR matrix: sorted, without duplicates."""

    data: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]


def entries(factors: Sequence[Factor]) -> int:
    """The number of stored entries of the product."""
    return prod(factor.entries for factor in factors)


def index_dtype(*largest: int) -> np.dtype[Any]:
    """int32 while it fits, int64 beyond."""
    return INT32 if max(largest) < 1 << 31 else INT64


class Structure(NamedTuple):
    """Where the entries of a product stand, and which of its values each one holds.

    parts: the factors of boxes of rows below each other, one box for the whole product. base: the
    column that is numbered 0. sizes: how many values there are for each factor.
    """

    parts: Sequence[Sequence[Factor]]
    sizes: tuple[int, ...]
    shape: tuple[int, int]
    total: int
    base: int = 0

    @classmethod
    def of(cls, factors: Sequence[Factor], sizes: Sequence[int]) -> "Structure":
        """The structure of the whole product; sizes counts the values before any are merged."""
        rows = prod(factor.rows for factor in factors)
        columns = prod(factor.columns for factor in factors)
        distinct = tuple(
            size if factor.merge is None else len(factor.merge)
            for factor, size in zip(factors, sizes, strict=True)
        )
        return cls([factors], distinct, (rows, columns), entries(factors))

    def within(self, start: int, stop: int) -> "Structure":
        """The rows start to stop, and of the columns those from the first to the last read."""
        (factors,) = self.parts
        parts = [
            [factor.slice(*rows) for factor, rows in zip(factors, box, strict=True)]
            for box in boxes([factor.rows for factor in factors], start, stop)
        ]
        reaches = [reach(part) for part in parts if entries(part)]
        first = min((low for low, _ in reaches), default=0)
        last = max((high for _, high in reaches), default=-1) + 1
        total = sum(map(entries, parts))
        return Structure(parts, self.sizes, (stop - start, last - first), total, first)

    @property
    def index_type(self) -> np.dtype[Any]:
        return index_dtype(self.total, *self.shape, self.base + self.shape[1])

    def numbers(self, kind: int) -> Numbers:
        """How the rows, columns or values are numbered."""
        if kind == VALUE:
            return Numbers(kind, steps(self.sizes), np.dtype(np.intp))
        factors = self.parts[0]
        sizes = [factor.rows if kind == ROW else factor.columns for factor in factors]
        return Numbers(kind, steps(sizes), self.index_type, -self.base if kind == COLUMN else 0)

    def indptr(self, xp: Any) -> Array:
        """Where each row begins."""
        return _writer(xp).indptr(self.parts, self.index_type)

    def arrays(self, kinds: Sequence[int], xp: Any, values: Array = None) -> list[Array]:
        """An array of all entries for each kind of number; for VALUE the values themselves."""
        block = () if values is None else values.shape[len(self.sizes) :]
        writer = _writer(xp)
        result = [
            xp.empty((self.total, *block), values.dtype)
            if kind == VALUE
            else xp.empty(self.total, self.index_type)
            for kind in kinds
        ]
        at = 0
        for factors in self.parts:
            part = slice(at, at + entries(factors))
            targets = [
                self._target(kind, array[part], values)
                for kind, array in zip(kinds, result, strict=True)
            ]
            wanted = [target.numbers for target in targets]
            writer.write(factors, targets, writer.expanded(factors, wanted))
            at = part.stop
        return result

    def templates(self, xp: Any) -> Templates:
        """What `refilled` needs: the numbers of the values, of each template once."""
        (factors,) = self.parts
        return list(_writer(xp).expanded(factors, [self.numbers(VALUE)]))

    def refilled(self, values: Array, templates: Templates) -> Array:
        """The array of the values alone."""
        block = values.shape[len(self.sizes) :]
        xp = namespace(values)
        data = xp.empty((self.total, *block), values.dtype)
        (factors,) = self.parts
        _writer(xp).write(factors, [self._target(VALUE, data, values)], templates)
        return data

    def _target(self, kind: int, array: Array, values: Array) -> Target:
        if kind != VALUE:
            return Target(self.numbers(kind), array)
        return Target(self.numbers(kind), array, values.reshape(-1, *array.shape[1:]))


def _writer(xp: Any) -> Any:
    """The module that writes arrays of this library: the one place where that is decided."""
    return writing if xp is np else device


def compressed(factors: Sequence[Factor], values: Array) -> Compressed:
    """The product of the factors in CSR.

    values has one axis per factor; further axes make each value a block, and the arrays those
    of BSR. Beyond the result, the memory used is that of a few templates: see writing.py.
    """
    structure = Structure.of(factors, values.shape[: len(factors)])
    return filled(structure, merged(factors, values))


def filled(structure: Structure, values: Array) -> Compressed:
    """The arrays of CSR for a structure, with merged values."""
    xp = namespace(values)
    indices, data = structure.arrays((COLUMN, VALUE), xp, values)
    return Compressed(data, indices, structure.indptr(xp), structure.shape)


def merged(factors: Sequence[Factor], values: Array) -> Array:
    """Add up the values that fall on one entry, so that each entry has one value."""
    xp = namespace(values)
    for position, factor in enumerate(factors):
        if factor.merge is not None:
            zero = xp.zeros_like(xp.take(values, xp.asarray([0]), axis=position))
            padded = xp.concatenate([values, zero], axis=position)  # -1 is the zero
            values = sum(
                xp.take(padded, xp.asarray(members), axis=position) for members in factor.merge.T
            )
    return xp.ascontiguousarray(values)


def wrap(arrays: Compressed, format: str = "csr") -> Sparse:
    """The arrays of a CSR matrix as an array of the sparse library, in one of FORMATS.

    For "csc" the arrays are read as the transpose's: hand over the transposed product.
    """
    data, indices, indptr, shape = arrays
    library = sparse_namespace(data)
    if format == "csc":
        matrix = library.csc_array((data, indices, indptr), shape=shape[::-1])
    elif format == "coo":
        # Here what stands for indptr is the row of each entry.
        matrix = library.coo_array((data, (indptr, indices)), shape=shape)
    elif format == "bsr":
        height, width = data.shape[1:]
        matrix = library.bsr_array(
            (data, indices, indptr), shape=(shape[0] * height, shape[1] * width)
        )
    else:
        matrix = library.csr_array((data, indices, indptr), shape=shape)
    matrix.has_canonical_format = True
    if format == "dense":
        return matrix.toarray()
    return matrix


def times(matrix: Sparse, batch: Array) -> Array:
    """The matrix applied to each row of a batch: (N, columns) to (N, rows)."""
    return (matrix @ batch[0])[None] if len(batch) == 1 else (matrix @ batch.T).T


def adjoint_times(matrix: Sparse, batch: Array) -> Array:
    """The conjugate transpose applied to each row of a batch: (N, rows) to (N, columns)."""
    if batch.dtype.kind == "c" or matrix.dtype.kind == "c":
        return times(matrix.T, batch.conj()).conj()
    return times(matrix.T, batch)
