"""Rows that are gathered into a room, as instructions.

numba compiles a loop anew when the file of the loop changes, not when this one does.
"""

from collections.abc import Iterator
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.compiled.vectors import BYTES, INT, PLACE, Vectors, kind_of, one_of, place

MOST = 4  # vectors of a row that are moved at a time


class Rows:
    """Some vectors of each row, the last of them partly there.

    given: addresses of the numbers of rows, 32 bits each, of the first row and of the room; how
    many rows; bytes from row to row in memory and in the room; numbers of the last vector.
    """

    def __init__(self, builder: Any, number: Any, many: int, given: Any) -> None:
        self.build, self.many, self.vectors = builder, many, Vectors(builder, number)
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
        for (source, there), (into, _) in zip(self._across(at), self._across(to), strict=True):
            self.vectors.store(self.vectors.load(source, there), into, there)
        following = build.add(index, place(1))
        index.add_incoming(following, row)
        to.add_incoming(build.add(to, self.near), row)
        build.cbranch(build.icmp_signed("<", following, self.count), row, end)
        build.position_at_end(end)

    def _across(self, address: Any) -> Iterator[tuple[Any, Any]]:
        """Pointers to the vectors from an address on, and which of their numbers are there."""
        for number in range(self.many):
            at = self.vectors.at(self.build.add(address, place(number * BYTES)))
            yield at, self.there if number == self.many - 1 else None


@intrinsic
def gather(_typing: Any, like: Any, many: Any, given: Any) -> Any:
    """The rows by one vector more than so many; like: an array of the dtype."""

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        number, told = kind_of(like.dtype), cgutils.unpack_tuple(builder, values[2])
        one_of(
            builder, values[1], range(1, MOST + 1),
            lambda vectors: Rows(builder, number, vectors, told).write(),
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(like, many, given), write
