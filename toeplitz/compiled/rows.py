"""Rows that are gathered into a room, or added from it to where they belong, as instructions.

numba compiles a loop anew when the file of the loop changes, not when this one does.
"""

from collections.abc import Iterator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.compiled.vectors import INT, PLACE, Vectors, kind_of, one_of, place

MOST = 4  # vectors of a row that are moved at a time


class Rows:
    """Some vectors of each row, the last of them partly there.

    given: addresses of the numbers of rows, 32 bits each, of the first row and of the room; how
    many rows; bytes from row to row in memory and in the room; numbers of the last vector.
    """

    def __init__(self, builder: Any, number: Any, many: int, given: Any, add: bool) -> None:
        self.build, self.many, self.add = builder, many, add
        self.vectors = Vectors(builder, number)
        self.which, self.rows, self.room, self.count, self.step, self.near, last = given
        self.there = self.vectors.first(last)

    def write(self) -> None:
        """All rows, from the block where the builder stands to a new one."""
        build, before = self.build, self.build.block
        row, end = (build.append_basic_block(name) for name in ("row", "end"))
        build.branch(row)
        build.position_at_end(row)
        index, to = build.phi(PLACE), build.phi(PLACE)
        index.add_incoming(place(0), before)
        to.add_incoming(self.room, before)
        number = build.load(build.gep(build.inttoptr(self.which, INT.as_pointer()), [index]))
        at = build.add(self.rows, build.mul(build.zext(number, PLACE), self.step))
        for here, there, numbers in self._across(at, to):
            value = self.vectors.load(here, numbers)
            if self.add:
                added = self.vectors.load(there, numbers)
                self.vectors.store(build.fadd(value, added), here, numbers)
            else:
                self.vectors.store(value, there, numbers)
        following = build.add(index, place(1))
        index.add_incoming(following, row)
        to.add_incoming(build.add(to, self.near), row)
        build.cbranch(build.icmp_signed("<", following, self.count), row, end)
        build.position_at_end(end)

    def _across(self, *addresses: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Pointers to each vector from both addresses on, and which of its numbers are there."""
        for number in range(self.many):
            offset = place(number * self.vectors.count * self.vectors.size)
            here, there = (
                self.vectors.at(self.build.add(address, offset)) for address in addresses
            )
            yield here, there, self.there if number == self.many - 1 else None


def _mover(add: bool) -> Any:
    def move(_typing: Any, like: Any, many: Any, given: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            number, told = kind_of(like.dtype), cgutils.unpack_tuple(builder, values[2])
            one_of(
                builder, values[1], range(1, MOST + 1),
                lambda vectors: Rows(builder, number, vectors, told, add).write(),
            )  # fmt: skip
            return context.get_dummy_value()

        return types.void(like, many, given), write

    return intrinsic(move)


gather = _mover(False)
scatter = _mover(True)
