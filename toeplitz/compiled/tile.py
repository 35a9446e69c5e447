"""Tiles of a product of matrices, kept in registers until each sum is whole.

A tile of the result is some rows of some vectors. For every term of the sum and every number that
its product adds up, the vectors of b are loaded once, and a number of a meets them in each row.
Products of BLAS would load and store the result for each term.

numba compiles a loop anew when the file of the loop changes, not when this one does.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from toeplitz.compiled.vectors import BYTE, INT, PLACE, Vectors, place

LINE = 64  # bytes of a line of a cache
NEAR = 8  # rows that are reached from one address
CLAIMED = 3  # rows of a result that are brought to the cache for each term


class Case(NamedTuple):
    """A tile; partial: its last vectors are only partly there."""

    vectors: int
    rows: int
    partial: bool


class Given(NamedTuple):
    """What a tile is told, 64 bits each."""

    a: Any  # addresses
    b: Any
    c: Any
    places_a: Any  # address of where the terms are in a, in numbers
    places_b: Any
    steps: Any  # address of the steps of the terms, if they are shifted
    terms: Any  # how many
    inner: Any  # numbers that a term adds up
    before: Any  # rows of a before these
    row_a: Any  # steps from row to row
    step_a: Any  # and from number to number
    row_b: Any  # if shifted
    step_b: Any
    row_c: Any
    list_c: Any  # address of the numbers of the rows of c, 32 bits each, if they are listed
    state: Any  # address of where reading ahead has come to, and lines that are left there
    lines: Any  # that stand together
    jump: Any  # bytes from the end of such lines to the next
    past: Any  # 1: whole vectors of c, which are aligned, are stored past the caches
    add: Any  # 1: to what c holds
    last: Any  # numbers of the last vector


class Tile:
    """One case, written as instructions."""

    alone = False  # the sum has one term, or few
    ahead = True  # reads ahead
    listed = False  # the rows of c are not one after the other

    def __init__(self, builder: Any, number: Any, case: Case, given: Given) -> None:
        self.build, self.case, self.vectors = builder, case, Vectors(builder, number)
        self.given = given
        self.a, self.b, self.c = (
            builder.inttoptr(one, number.as_pointer()) for one in (given.a, given.b, given.c)
        )
        self.rows_a = self._odd_multiples(given.row_a)
        self.there = self.vectors.first(given.last) if case.partial else None

    def write(self) -> None:
        """The sums over all terms, from the block where the builder stands to a new one."""
        build, vectors, given = self.build, self.vectors, self.given
        self._claim_first()
        before = build.block
        term, inside, after, end = (
            build.append_basic_block(name) for name in ("term", "inside", "after", "end")
        )
        state = build.inttoptr(given.state, PLACE.as_pointer())
        rest = build.gep(state, [place(1)])
        begun = place(0), build.load(state), build.load(rest)
        begun += (vectors.zero,) * (self.case.rows * self.case.vectors)
        build.branch(term)

        build.position_at_end(term)
        index, *sums = outer = [self._phi((one, before)) for one in begun]
        if not self.alone:
            self._claim(self._some(index))
        a, b = self._term(index)
        build.branch(inside)

        build.position_at_end(inside)
        inner = [self._phi((one, term)) for one in (given.inner, a, b, *sums)]
        left, at_a, at_b, line, lines, *parts = inner
        if self.ahead:
            line, lines = self._read_ahead(line, lines)
        new = [line, lines, *self._products(at_a, at_b, parts)]
        fewer = build.sub(left, place(1))
        following = fewer, build.gep(at_a, [given.step_a]), build.gep(at_b, [given.step_b]), *new
        for phi, value in zip(inner, following, strict=True):
            phi.add_incoming(value, inside)
        build.cbranch(build.icmp_signed(">", fewer, place(0)), inside, after)

        build.position_at_end(after)
        another = build.add(index, place(1))
        for phi, value in zip(outer, (another, *new), strict=True):
            phi.add_incoming(value, after)
        build.cbranch(build.icmp_signed("<", another, given.terms), term, end)

        build.position_at_end(end)
        build.store(new[0], state)
        build.store(new[1], rest)
        self._store(new[2:])

    def _read_ahead(self, line: Any, lines: Any) -> tuple[Any, Any]:
        """Have a line brought to the second cache; which is next, and how many stand there."""
        build = self.build
        self.vectors.claim(build.inttoptr(line, BYTE), written=False)
        fewer, following = build.sub(lines, place(1)), build.add(line, place(LINE))
        ended = build.icmp_signed("==", fewer, place(0))
        beyond = build.add(following, self.given.jump)
        return build.select(ended, beyond, following), build.select(ended, self.given.lines, fewer)

    def _term(self, index: Any) -> tuple[Any, Any]:
        """Where a term begins in a and in b."""
        places = self.given.places_a, self.given.places_b
        place_a, place_b = (self._of_list(one, index) for one in places)
        return self.build.gep(self.a, [place_a]), self.build.gep(self.b, [place_b])

    def _of_list(self, address: Any, index: Any, kind: Any = PLACE) -> Any:
        pointer = self.build.inttoptr(address, kind.as_pointer())
        return self.build.load(self.build.gep(pointer, [index]))

    def _products(self, at_a: Any, at_b: Any, sums: list[Any]) -> list[Any]:
        """The sums with one more product each."""
        many, numbers, columns = self.case.vectors, self._numbers(at_a), self._columns(at_b)
        # What there is less of stays in registers, the other is loaded one by one.
        if many > self.case.rows:
            every, new = list(numbers), list(sums)
            for which, column in enumerate(columns):
                for at, number in zip(range(which, len(new), many), every, strict=True):
                    new[at] = self.vectors.sum(new[at], number, column)
            return new
        before, every = iter(sums), list(columns)
        return [
            self.vectors.sum(next(before), number, column) for number in numbers for column in every
        ]

    def _numbers(self, at_a: Any) -> Iterator[Any]:
        """A vector of a number of each row."""
        # The compiler would step from number to number in each row by itself.
        at_a = self.build.inttoptr(self.vectors.opaque(self.build.ptrtoint(at_a, PLACE)), at_a.type)
        for row in range(self.case.rows):
            if row and row % NEAR == 0:
                at_a = self._beyond(at_a, self.rows_a, NEAR)
            here = self._beyond(at_a, self.rows_a, row % NEAR)
            yield self.vectors.spread(self.build.load(here))

    def _columns(self, at_b: Any) -> Iterator[Any]:
        return (self.vectors.load(*one) for one in self._across(at_b))

    def _store(self, sums: list[Any]) -> None:
        """Put the sums into c, or add them, or put them past the caches."""
        build, vectors = self.build, self.vectors
        rows = range(self.case.rows)
        results = [one for row in rows for one in self._across(self._row(place(row)))]
        with build.if_else(build.icmp_signed("!=", self.given.add, place(0))) as (added, put):
            with added:
                for value, one in zip(sums, results, strict=True):
                    vectors.store(build.fadd(vectors.load(*one), value), *one)
            with put:
                self._put(sums, results)

    def _put(self, sums: list[Any], results: list[tuple[Any, Any]]) -> None:
        def put(past: bool) -> None:
            for value, one in zip(sums, results, strict=True):
                self.vectors.store(value, *one, past=past)

        if self.case.partial:
            put(past=False)
            return
        with self.build.if_else(self._past) as (past, near):
            with past:
                put(past=True)
            with near:
                put(past=False)

    @property
    def _past(self) -> Any:
        return self.build.icmp_signed("!=", self.given.past, place(0))

    def _row(self, row: Any) -> Any:
        """The address of a row of c."""
        if self.listed:
            row = self.build.zext(self._of_list(self.given.list_c, row, INT), PLACE)
        return self.build.gep(self.c, [self.build.mul(self.given.row_c, row)])

    def _across(self, pointer: Any) -> Iterator[tuple[Any, Any]]:
        """Pointers to the vectors from an address on, and which of their numbers are there."""
        for number in range(self.case.vectors):
            at = self.build.gep(pointer, [place(number * self.vectors.count)])
            last = number == self.case.vectors - 1
            yield (
                self.build.bitcast(at, self.vectors.kind.as_pointer()),
                self.there if last else None,
            )

    def _odd_multiples(self, step: Any) -> dict[int, Any]:
        """1, 3, 5 and 7 steps, in bytes."""
        step = self.build.mul(step, place(self.vectors.size))
        return {n: self.vectors.opaque(self.build.mul(step, place(n))) for n in range(1, NEAR, 2)}

    def _beyond(self, pointer: Any, steps: dict[int, Any], many: int) -> Any:
        """So many steps behind a pointer: instructions may reach 1, 2, 4 or 8 times a register."""
        if not many:
            return pointer
        twice = (many & -many).bit_length() - 1
        far = self.build.shl(steps[many >> twice], place(twice))
        there = self.build.gep(self.build.bitcast(pointer, BYTE), [far])
        return self.build.bitcast(there, pointer.type)

    def _multiples(self, step: Any, most: int) -> list[Any]:
        """0 to so many steps.

        The compiler is not told that they are multiples: it would add step by step in the loop,
        each waiting for the one before.
        """
        steps = (self.build.mul(step, place(row)) for row in range(most + 1))
        return [self.vectors.opaque(one) for one in steps]

    def _claim_first(self) -> None:
        """Claim all rows, if not every row will have its turn with a term."""
        every = range(self.case.rows)
        if self.alone:
            self._claim(every)
        elif self.case.rows > CLAIMED:
            enough = place(-(-self.case.rows // CLAIMED))
            with self.build.if_then(self.build.icmp_signed("<", self.given.terms, enough)):
                self._claim(every)

    def _claim(self, rows: Iterable[Any]) -> None:
        """Have the lines of some rows of the result brought to the cache, if they go there."""
        for row in rows:
            number = place(row) if isinstance(row, int) else row
            here = self.build.select(self._past, self.a, self._row(number))
            for pointer, _ in self._across(here):
                self.vectors.claim(pointer)

    def _some(self, term: Any) -> Iterator[Any]:
        """The rows whose turn is with a term."""
        build, last = self.build, place(self.case.rows - 1)
        for more in range(CLAIMED):
            row = build.add(build.mul(term, place(CLAIMED)), place(more))
            yield build.select(build.icmp_signed("<", row, last), row, last)

    def _phi(self, *incoming: Any) -> Any:
        phi = self.build.phi(incoming[0][0].type)
        for value, block in incoming:
            phi.add_incoming(value, block)
        return phi
