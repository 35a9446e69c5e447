"""From the factors of a Kronecker product to the arrays of a sparse matrix, in one pass.

A matrix here is `sum over values v of v * (factor_1 ⊗ factor_2 ⊗ …)`: its rows, columns and
values are numbered row-major over the factors. This is the one door to scipy.sparse and
cupyx.scipy.sparse.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from itertools import takewhile
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from toeplitz.arguments import choice
from toeplitz.arrays import namespace, sparse_namespace
from toeplitz.axis import Factor, Indices

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray
Sparse: TypeAlias = Any  # an array of scipy.sparse or of cupyx.scipy.sparse

FORMATS = ("csr", "csc", "coo", "bsr", "dense")

BLOCK = 1 << 21  # entries of a template that are expanded at a time
STRIP = 1 << 16  # entries that are gathered at a time, so that they stay in cache
THREADED = 1 << 21  # entries from which threads pay


def available_format(format: Any, array: Array) -> str:
    """The format, if the library that would hold the matrix has it."""
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
    return np.dtype(np.int32 if max(largest) <= np.iinfo(np.int32).max else np.int64)


def compressed(factors: Sequence[Factor], values: Array) -> Compressed:
    """The product of the factors in CSR.

    values has one axis per factor; further axes make each value a block, and the arrays those
    of BSR. The leading factors whose rows repeat share one template,
    which is expanded once; each of their rows is that template with its columns shifted and its
    values taken from further on. Beyond the result, the memory used is one block of the template.
    """
    xp = namespace(values)
    values = _merge(factors, values)
    rows = prod(factor.rows for factor in factors)
    columns = prod(factor.columns for factor in factors)
    total = entries(factors)
    index = index_dtype(total, columns)

    count = reduce(np.multiply.outer, [factor.count for factor in factors]).ravel()
    indptr = np.zeros(rows + 1, index)
    np.cumsum(count, out=indptr[1:])
    data = xp.empty((total, *values.shape[len(factors) :]), values.dtype)
    indices = xp.empty(total, index)
    if total:
        _write(factors, values, data, indices)
    return Compressed(data, indices, xp.asarray(indptr), (rows, columns))


def _write(factors: Sequence[Factor], values: Array, data: Array, indices: Array) -> None:
    xp = namespace(values)
    column_steps = _steps([factor.columns for factor in factors])
    value_steps = _steps(values.shape[: len(factors)])
    lead = len(list(takewhile(lambda factor: factor.repeats, factors)))
    template = [factor.slice(0, 1) for factor in factors[:lead]] + list(factors[lead:])
    column_shift = _shifts([factor.column for factor in factors[:lead]], column_steps)
    value_shift = _shifts([factor.value for factor in factors[:lead]], value_steps)
    copies = len(column_shift)
    block_shape = values.shape[len(factors) :]
    target = _Target(
        values.reshape(-1, *block_shape),
        column_shift.astype(indices.dtype),
        value_shift,
        indices.reshape(copies, -1),
        data.reshape(copies, -1, *block_shape),
    )
    start = 0
    for block in _blocks(template):
        column, value = expand(block, column_steps, value_steps, indices.dtype, xp)
        stop = start + len(column)
        strip = max(1, STRIP // max(len(column), 1))
        fill = partial(_fill, target, column, value, slice(start, stop), strip)
        threads = xp is np and copies * len(column) >= THREADED
        _each(fill, range(0, copies, strip), threads)
        start = stop


class _Target(NamedTuple):
    """Where the copies of a template are written, and by how much each is shifted."""

    values: Array
    column_shift: Indices
    value_shift: Indices
    indices: Array
    data: Array


def _fill(
    target: _Target, column: Array, value: Array, part: slice, strip: int, first: int
) -> None:
    """Write one part of a strip of copies, from copy `first` on."""
    xp = namespace(column)
    if strip == 1:
        # A long copy is taken from further on, which spares a shifted copy of its indices.
        xp.add(column, target.column_shift[first], out=target.indices[first, part])
        _take(target.values[target.value_shift[first] :], value, target.data[first, part])
        return
    some = slice(first, first + strip)
    column_shift = xp.asarray(target.column_shift[some, None])
    xp.add(column, column_shift, out=target.indices[some, part])
    _take(
        target.values, value + xp.asarray(target.value_shift[some, None]), target.data[some, part]
    )


def _take(values: Array, index: Array, out: Array) -> None:
    if isinstance(values, np.ndarray) and out.flags.c_contiguous:
        # The indices are right by construction: "clip" spares the copy that "raise" makes.
        np.take(values, index, axis=0, mode="clip", out=out)
    else:
        out[...] = values[index]


def _each(work: Callable[[int], None], over: range, threads: bool) -> None:
    if threads and len(over) > 1:
        with ThreadPoolExecutor(min(len(over), os.cpu_count() or 1)) as pool:
            list(pool.map(work, over))
    else:
        for item in over:
            work(item)


def _merge(factors: Sequence[Factor], values: Array) -> Array:
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


def _steps(sizes: Sequence[int]) -> list[int]:
    """Row-major steps: how far one further on each axis goes in the flat numbering."""
    return [prod(sizes[position + 1 :]) for position in range(len(sizes))]


def _shifts(tables: Sequence[Indices], steps: Sequence[int]) -> Indices:
    """How far each row of the leading factors lies from their first, in the flat numbering."""
    shifts = [
        step * (table[:, 0] - table[0, 0]) for table, step in zip(tables, steps, strict=False)
    ]
    return reduce(np.add.outer, shifts, np.zeros((), np.intp)).ravel()


def _blocks(factors: Sequence[Factor]) -> Iterator[Sequence[Factor]]:
    """The product cut into blocks of successive rows that are small enough to expand."""
    cut = next((i for i, factor in enumerate(factors) if factor.rows > 1), None)
    if cut is None or prod(factor.column.size for factor in factors) <= BLOCK:
        yield factors
        return
    middle = factors[cut].rows // 2
    for part in (slice(0, middle), slice(middle, factors[cut].rows)):
        piece = factors[cut].slice(part.start, part.stop)
        yield from _blocks([*factors[:cut], piece, *factors[cut + 1 :]])


def expand(
    factors: Sequence[Factor],
    column_steps: Sequence[int],
    value_steps: Sequence[int],
    index: np.dtype[Any],
    xp: Any = np,
) -> tuple[Array, Array]:
    """The flat column and value numbers of the product's entries, row after row."""
    column = xp.zeros((1, 1), index)
    value = xp.zeros((1, 1), np.intp)
    filled = None
    for factor, column_step, value_step in zip(
        reversed(factors), reversed(column_steps), reversed(value_steps), strict=True
    ):
        if filled is not None or not factor.full:
            inner = xp.ones(column.shape, np.bool_) if filled is None else filled
            filled = outer(xp.logical_and, xp.asarray(factor.filled()), inner)
        column = outer(xp.add, xp.asarray((factor.column * column_step).astype(index)), column)
        value = outer(xp.add, xp.asarray(factor.value * value_step), value)
    if filled is None:
        return column.ravel(), value.ravel()
    return column[filled], value[filled]


def outer(combine: Any, left: Array, right: Array) -> Array:
    """Tables (rows, width) combined as in a Kronecker product."""
    grid = combine(left[:, None, :, None], right[None, :, None, :])
    return grid.reshape(left.shape[0] * right.shape[0], left.shape[1] * right.shape[1])


def wrap(arrays: Compressed, format: str = "csr") -> Sparse:
    """The arrays of a CSR matrix as an array of the sparse library, in one of FORMATS.

    For "csc" the arrays are read as the transpose's: hand over the transposed product.
    """
    data, indices, indptr, shape = arrays
    library = sparse_namespace(data)
    if format == "csc":
        matrix = library.csc_array((data, indices, indptr), shape=shape[::-1])
    elif format == "coo":
        xp = namespace(data)
        row = xp.repeat(xp.arange(shape[0], dtype=indices.dtype), xp.diff(indptr))
        matrix = library.coo_array((data, (row, indices)), shape=shape)
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
