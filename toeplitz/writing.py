"""Writing a product of factors in host memory: each entry of each array once, by all cores.

The template of a piece is expanded once, and all its copies are written from it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from itertools import product
from math import prod
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from toeplitz.axis import Indices
from toeplitz.factors import Factor
from toeplitz.pieces import Piece, pieces
from toeplitz.threads import ordered

Array: TypeAlias = Any  # numpy.ndarray; in a Target for device.py cupy.ndarray

STRIP = 1 << 16  # entries that are gathered at a time
TASK = 1 << 21  # entries that one thread writes at a time, at most
PARTS = 16  # into which the work is cut at least, so that threads end together
THREADED = 1 << 23  # entries from which threads pay


class Numbers(NamedTuple):
    """One kind of number of the entries, flat: how far one further in each factor goes."""

    kind: int
    steps: Sequence[int]
    dtype: np.dtype[Any]
    base: int = 0


class Target(NamedTuple):
    """An array of one entry each: the numbers themselves, or the values that they point at."""

    numbers: Numbers
    array: Array
    values: Array | None = None


Expanded: TypeAlias = Iterable[tuple[Piece, Sequence[Array]]]


def steps(sizes: Sequence[int]) -> list[int]:
    """Row-major steps: how far one further on each axis goes in the flat numbering."""
    return [prod(sizes[position + 1 :]) for position in range(len(sizes))]


def expanded(factors: Sequence[Factor], wanted: Sequence[Numbers]) -> Expanded:
    """The pieces of the product, with the wanted numbers of their templates."""
    for piece in pieces(factors):
        yield piece, _expand(piece, wanted)


def write(factors: Sequence[Factor], targets: Sequence[Target], from_: Expanded) -> None:
    """Write the targets, each an array of all entries of the product, from its pieces."""
    total = prod(factor.entries for factor in factors)
    if not total:
        return
    work = (
        job
        for piece, numbers in from_
        for target, number in zip(targets, numbers, strict=True)
        for job in _jobs(piece, number, target, factors)
    )
    if total < THREADED:
        for job in work:
            job()
        return
    for _ in ordered(_run, work, ahead=2):  # what waits holds its template
        pass


def _run(job: Callable[[], None]) -> None:
    job()


def indptr(parts: Sequence[Sequence[Factor]], dtype: np.dtype[Any]) -> Array:
    """Where each row of the products below each other begins, and where the last one ends."""
    counts = [
        reduce(np.multiply.outer, [factor.count.astype(dtype) for factor in factors]).ravel()
        for factors in parts
    ]
    result = np.zeros(sum(map(len, counts)) + 1, dtype)
    if counts:
        count = counts[0] if len(counts) == 1 else np.concatenate(counts)
        np.cumsum(count, dtype=dtype, out=result[1:])
    return result


def _expand(piece: Piece, wanted: Sequence[Numbers]) -> list[Array]:
    """The wanted numbers of the template's entries, row after row."""
    results: list[Array] = []
    filled = None
    for place in reversed(range(len(piece.factors))):
        factor = piece.factors[place]
        tables = [
            (piece.table(place, kind) * steps[place]).astype(dtype, copy=False)
            for kind, steps, dtype, _ in wanted
        ]
        if filled is not None or not factor.full:
            inner = filled
            if inner is None:
                inner = np.ones(results[0].shape if results else (1, 1), np.bool_)
            filled = outer(np.logical_and, factor.filled(), inner)
        results = list(map(partial(outer, np.add), tables, results)) if results else tables
    if filled is not None:
        results = [result[filled] for result in results]
    return [
        result.ravel() + numbers.base if numbers.base else result.ravel()
        for result, numbers in zip(results, wanted, strict=True)
    ]


def outer(combine: Any, left: Array, right: Array) -> Array:
    """Tables (rows, width) combined as in a Kronecker product."""
    grid = combine(left[:, None, :, None], right[None, :, None, :])
    return grid.reshape(left.shape[0] * right.shape[0], left.shape[1] * right.shape[1])


def _jobs(
    piece: Piece, number: Array, target: Target, factors: Sequence[Factor]
) -> Iterator[Callable[[], None]]:
    """The work of writing one target of one piece, a chunk of its copies at a time."""
    if not piece.segments:
        yield partial(_put, target.array, number, None, target.values)
        return
    view = piece.view(target.array, factors)
    shift = piece.shift(target.numbers.kind, target.numbers.steps)
    depth = shift.ndim
    parts = PARTS if len(target.array) >= THREADED else 1
    room = max(1, min(TASK, len(target.array) // parts) // len(number))
    gathered = room if target.values is None else max(1, STRIP // len(number))
    sizes = []
    for copies, shifts in zip(reversed(view.shape[:depth]), reversed(shift.shape), strict=True):
        size = min(copies, room, gathered if shifts > 1 else copies)
        sizes.append(size)
        room = max(1, room // size)
        gathered = max(1, gathered // size) if shifts > 1 else gathered
    ranges = [range(0, n, size) for n, size in zip(view.shape, reversed(sizes), strict=False)]
    for starts in product(*ranges):
        chunk = tuple(slice(a, a + r.step) for a, r in zip(starts, ranges, strict=True))
        part = shift[
            tuple(c if n > 1 else slice(None) for c, n in zip(chunk, shift.shape, strict=True))
        ]
        yield partial(_put, view[chunk], number, part, target.values)


def _put(view: Array, number: Array, shift: Indices | None, values: Array | None) -> None:
    """Write some copies of a template, shifted; from the values at its numbers if there are any."""
    if values is None:
        if shift is None:
            view[...] = number
        else:
            np.add(number, shift[..., None].astype(number.dtype), out=view)
        return
    index = number
    if shift is not None and shift.size == 1 and shift.item() >= 0:
        # Taken from further on, which spares a shifted copy of the numbers.
        values, index = values[shift.item() :], number.reshape(*shift.shape, -1)
    elif shift is not None:
        index = number + shift[..., None]
    if view.flags.c_contiguous and view.shape[: index.ndim] == index.shape:
        # The indices are right by construction: "clip" spares the copy that "raise" makes.
        np.take(values, index, axis=0, mode="clip", out=view)
    else:
        view[...] = np.take(values, index, axis=0, mode="clip")
