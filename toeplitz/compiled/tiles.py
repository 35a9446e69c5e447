"""Sums of products of matrices, kept in registers until each sum is whole.

A tile of the result is some rows of some vectors. For every term of the sum and every number that
its product adds up, the vectors of b are loaded once, and a number of a meets them in each row.
Products of BLAS would load and store the result for each term.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.arrays import Array
from toeplitz.compiled.vectors import BYTES, PLACE, REGISTERS, Vectors, kind_of, one_of, place

loop = njit(nogil=True, cache=True, error_model="numpy")
part = njit(inline="always", error_model="numpy")  # of another loop: compiled there, once

# Vectors of a tile: how many rows it may have, so that all stay in registers.
WHOLE: dict[int, tuple[int, ...]] = (
    {1: (16, 8, 4, 2, 1), 2: (14, 8, 7, 4, 2, 1), 3: (8, 4, 3, 2, 1)}
    if REGISTERS == 32
    else {1: (8, 4, 2, 1), 2: (6, 4, 2, 1), 3: (4, 3, 2, 1)}
)
PARTIAL = dict.fromkeys(WHOLE, (8, 4, 3, 2, 1) if REGISTERS == 32 else (4, 3, 2, 1))
WIDEST, TALLEST = max(WHOLE), max(WHOLE[1])
# Of a few rows the tiles are wide, of a few columns they are tall.
WIDE, TALL = (WIDEST, max(WHOLE[WIDEST])), (2, TALLEST)
DEPTH = 128  # numbers of a term that are added up at a time: what they meet stays in the cache
SHALLOW = 16  # the same for few rows, which read as much for less work
NEAR = 8  # rows that are reached from one address
CLAIMED = 3  # rows of a result that are brought to the cache for each term


class Case(NamedTuple):
    """A tile; partial: its last vectors are only partly there."""

    vectors: int
    rows: int
    partial: bool


CASES = [
    Case(vectors, rows, partial)
    for partial in (False, True)
    for vectors, heights in (PARTIAL if partial else WHOLE).items()
    for rows in heights
]
# The number of the tallest case for (partial, vectors, rows that are left), and its rows.
PICK = np.zeros((2, WIDEST + 1, TALLEST + 1), np.int64)
ROWS = np.zeros_like(PICK)
for number, case in enumerate(CASES):
    for left in range(case.rows, TALLEST + 1):
        if ROWS[int(case.partial), case.vectors, left] < case.rows:
            PICK[int(case.partial), case.vectors, left] = number
            ROWS[int(case.partial), case.vectors, left] = case.rows


class Tile:
    """One case, written as instructions.

    given: addresses of a, b and c and of the places of the terms in a and b, and how many there
    are; numbers of a term; the steps of a from row to row and from number to number, of b from
    number to number, of c from row to row; the numbers of the last vector; whether c is added to.
    """

    def __init__(self, builder: Any, number: Any, case: Case, given: Any) -> None:
        self.build, self.case, self.vectors = builder, case, Vectors(builder, number)
        *addresses, self.terms, self.inner = given[:7]
        self.step_rows, self.step_a, self.step_b, self.step_c, last, self.add = given[7:]
        self.a, self.b, self.c, *self.places = (
            builder.inttoptr(address, kind.as_pointer())
            for address, kind in zip(addresses, (number,) * 3 + (PLACE,) * 2, strict=True)
        )
        self.apart = [self._opaque(row) for row in range(NEAR + 1)]
        self.there = self.vectors.first(last) if case.partial else None

    def write(self) -> None:
        """The sums over all terms, from the block where the builder stands to a new one."""
        build, before, vectors = self.build, self.build.block, self.vectors
        names = "added", "term", "inside", "after", "end"
        added, term, inside, after, end = (build.append_basic_block(name) for name in names)
        results = [one for row in range(self.case.rows) for one in self._row(row)]
        build.cbranch(build.icmp_signed("!=", self.add, place(0)), added, term)
        build.position_at_end(added)
        old = [vectors.load(*one) for one in results]
        build.branch(term)

        build.position_at_end(term)
        index = self._phi((place(0), before), (place(0), added))
        sums = [self._phi((vectors.zero, before), (one, added)) for one in old]
        self._claim(index)
        a, b = (
            build.gep(array, [build.load(build.gep(places, [index]))])
            for array, places in zip((self.a, self.b), self.places, strict=True)
        )
        build.branch(inside)

        build.position_at_end(inside)
        counted = self.inner, a, b, *sums
        left, at_a, at_b, *parts = (self._phi((value, term)) for value in counted)
        new = list(self._products(at_a, at_b, parts))
        fewer = build.sub(left, place(1))
        following = fewer, build.gep(at_a, [self.step_a]), build.gep(at_b, [self.step_b]), *new
        for phi, value in zip((left, at_a, at_b, *parts), following, strict=True):
            phi.add_incoming(value, inside)
        build.cbranch(build.icmp_signed(">", fewer, place(0)), inside, after)

        build.position_at_end(after)
        another = build.add(index, place(1))
        for phi, value in zip([index, *sums], [another, *new], strict=True):
            phi.add_incoming(value, after)
        build.cbranch(build.icmp_signed("<", another, self.terms), term, end)

        build.position_at_end(end)
        for value, one in zip(new, results, strict=True):
            vectors.store(value, *one)

    def _products(self, at_a: Any, at_b: Any, sums: list[Any]) -> Iterator[Any]:
        """The sums with one more product each."""
        build, before = self.build, iter(sums)
        columns = [self.vectors.load(*one) for one in self._across(at_b)]
        for row in range(self.case.rows):
            if row and row % NEAR == 0:
                at_a = build.gep(at_a, [self.apart[NEAR]])
            here = build.gep(at_a, [self.apart[row % NEAR]]) if row % NEAR else at_a
            number = self.vectors.spread(build.load(here))
            for column in columns:
                yield self.vectors.sum(next(before), number, column)

    def _row(self, row: int) -> Iterator[tuple[Any, Any]]:
        return self._across(self.build.gep(self.c, [self.build.mul(self.step_c, place(row))]))

    def _across(self, pointer: Any) -> Iterator[tuple[Any, Any]]:
        """Pointers to the vectors from an address on, and which of their numbers are there."""
        for number in range(self.case.vectors):
            at = self.build.gep(pointer, [place(number * self.vectors.count)])
            last = number == self.case.vectors - 1
            yield (
                self.build.bitcast(at, self.vectors.kind.as_pointer()),
                self.there if last else None,
            )

    def _opaque(self, rows: int) -> Any:
        """So many steps from row to row.

        The compiler is not told that they are multiples: it would add step by step in the loop,
        each waiting for the one before.
        """
        steps = self.build.mul(self.step_rows, place(rows))
        return self.build.asm(ir.FunctionType(PLACE, [PLACE]), "", "=r,0", [steps], False)

    def _claim(self, term: Any) -> None:
        """Have the lines of some rows of the result brought to the cache."""
        build, last = self.build, place(self.case.rows - 1)
        for more in range(CLAIMED):
            row = build.add(build.mul(term, place(CLAIMED)), place(more))
            row = build.select(build.icmp_signed("<", row, last), row, last)
            for pointer, _ in self._across(build.gep(self.c, [build.mul(row, self.step_c)])):
                self.vectors.claim(pointer)

    def _phi(self, *incoming: Any) -> Any:
        phi = self.build.phi(incoming[0][0].type)
        for value, block in incoming:
            phi.add_incoming(value, block)
        return phi


@intrinsic
def _tile(_typing: Any, like: Any, which: Any, given: Any) -> Any:
    """The tile of one case; like: an array of the dtype."""

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        number = kind_of(like.dtype)
        everything = cgutils.unpack_tuple(builder, values[2])
        one_of(
            builder, values[1], CASES, lambda case: Tile(builder, number, case, everything).write()
        )
        return context.get_dummy_value()

    return types.void(like, which, given), write


@part
def _tiles(
    like: Array, a: int, b: int, c: int, terms: Any, rows: int, inner: int, columns: int,
    steps: Any, add: bool, tallest: int,
) -> None:  # fmt: skip
    """All rows of a few vectors of c."""
    size = like.itemsize
    count = BYTES // size
    in_rows, step_rows, step_a, step_b, _, step_c = steps
    vectors = (columns + count - 1) // count
    last = columns - (vectors - 1) * count
    partial, row = int(last < count), 0
    while row < rows:
        left = min(tallest, rows - row)
        at_a, at_c = a + size * row * step_rows, c + size * row * step_c
        _tile(
            like,
            PICK[partial, vectors, left],
            (at_a, b, at_c, *terms, inner, in_rows, step_a, step_b, step_c, last, int(add)),
        )
        row += ROWS[partial, vectors, left]


@part
def _turn(
    like: Array, a: int, b: int, c: int, turn: Array, parts: Array, terms: Array, sizes: Any,
    steps: Any, along: int,
) -> None:  # fmt: skip
    """The sums of one turn: some numbers, some columns at a time, for all parts."""
    size, in_a, in_b = like.itemsize, terms[0].ctypes.data, terms[1].ctypes.data
    rows, inner, columns = sizes
    vectors, tallest = WIDE if along == 2 else TALL
    wide, depth = vectors * (BYTES // size), SHALLOW if along == 2 and rows < tallest else DEPTH
    for start in range(0, parts[0, 5] if along == 1 else inner, depth):
        for column in range(0, parts[0, 5] if along == 2 else columns, wide):
            for i in range(len(parts)):
                first, stop, length = terms.itemsize * parts[i, 3], parts[i, 4], parts[i, 5]
                _tiles(
                    like,
                    a + size * (parts[i, 0] + turn[0] + start * steps[2]),
                    b + size * (parts[i, 1] + turn[1] + start * steps[3] + column * steps[4]),
                    c + size * (parts[i, 2] + turn[2] + column),
                    (in_a + first, in_b + first, stop - parts[i, 3]),
                    length if along == 0 else rows,
                    min(depth, (length if along == 1 else inner) - start),
                    min(wide, (length if along == 2 else columns) - column),
                    steps, turn[3] > 0 or start > 0, tallest,
                )  # fmt: skip


def panel(last: bool, size: int) -> int:
    """How many output channels a tile has, whose weights had better lie side by side.

    last: whether output channels are the columns of a tile, else its rows. size: of a number.
    """
    return TALL[0] * BYTES // size if last else WIDE[1]


@loop
def sums(
    like: Array, a: int, b: int, c: int, turns: Array, parts: Array, terms: Array, sizes: Any,
    steps: Any, along: int,
) -> None:  # fmt: skip
    """Sums of products of matrices in turn: c = or += the sum over some terms of a @ b.

    like: an array of the dtype. a, b, c: addresses. turns (n, 4): places in a, b and c, and whether
    c is added to; parts (n, 6): more such places, the terms (first, stop) and a length; each part
    has all turns. terms (2, n): places in a and b. sizes: rows, inner, columns, of which the one
    numbered `along` is the length of the part. steps: of a from row to row of a tile, to the rows
    of the next, and from number to number; of b from number to number and from column to the
    columns of the next tile; of c from row to row.
    """
    some = len(parts) if along == 0 else 1  # that meet the same b, part after part
    for i in range(0, len(parts), some):
        for j in range(len(turns)):
            one = parts[i : i + some]
            _turn(like, a, b, c, turns[j], one, terms, sizes, steps, along)
