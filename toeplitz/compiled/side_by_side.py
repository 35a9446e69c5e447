"""Channels by themselves, side by side: each vector of outputs is a sum kept in a register.

The outputs of a run are gone through as they lie in memory, some channels at a time: for each tap
a vector of inputs meets one of its numbers.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.arrays import Array
from toeplitz.compiled.vectors import BYTES, PLACE, Vectors, kind_of, one_of, place

loop = njit(nogil=True, cache=True, error_model="numpy")

TAPS = 9  # at a time: a kernel of 3x3


class Run:
    """The outputs of a run by so many taps, written as instructions.

    given: addresses of inputs, numbers, outputs and the places of the taps; how many outputs, and
    how many channels; whether the outputs are added to.
    """

    def __init__(self, builder: Any, number: Any, taps: int, given: Any) -> None:
        self.build, self.taps, self.vectors = builder, taps, Vectors(builder, number)
        self.x, self.w, self.y, self.places, self.outputs, self.channels, self.add = given

    def write(self) -> None:
        """All outputs, from the block where the builder stands to a new one."""
        build, before = self.build, self.build.block
        step = build.mul(self.channels, place(self.vectors.size))
        numbers = [build.add(self.w, build.mul(step, place(tap))) for tap in range(self.taps)]
        inputs = []
        for tap in range(self.taps):
            at = build.inttoptr(build.add(self.places, place(8 * tap)), PLACE.as_pointer())
            inputs.append(build.add(self.x, build.mul(build.load(at), place(self.vectors.size))))
        names = "output", "channel", "after", "end"
        output, channel, after, end = (build.append_basic_block(name) for name in names)
        build.branch(output)

        build.position_at_end(output)
        left, cell = build.phi(PLACE), build.phi(PLACE)
        left.add_incoming(self.outputs, before)
        cell.add_incoming(place(0), before)
        build.branch(channel)

        build.position_at_end(channel)
        more, at = build.phi(PLACE), build.phi(PLACE)
        more.add_incoming(self.channels, output)
        at.add_incoming(place(0), output)
        self._vector(numbers, inputs, build.add(cell, at), at, more)
        fewer = build.sub(more, place(self.vectors.count))
        more.add_incoming(fewer, channel)
        at.add_incoming(build.add(at, place(BYTES)), channel)
        build.cbranch(build.icmp_signed(">", fewer, place(0)), channel, after)

        build.position_at_end(after)
        fewer = build.sub(left, place(1))
        left.add_incoming(fewer, after)
        cell.add_incoming(build.add(cell, step), after)
        build.cbranch(build.icmp_signed(">", fewer, place(0)), output, end)
        build.position_at_end(end)

    def _vector(
        self, numbers: list[Any], inputs: list[Any], offset: Any, channel: Any, there: Any
    ) -> None:
        """One vector of outputs; channel: bytes before it; there: how many channels from it on."""
        build, vectors = self.build, self.vectors
        here, to = vectors.first(there), vectors.at(build.add(self.y, offset))
        add = build.icmp_signed("!=", self.add, place(0))
        total = vectors.load(to, build.select(add, here, vectors.nobody))
        for number, source in zip(numbers, inputs, strict=True):
            values = (build.add(number, channel), build.add(source, offset))
            total = vectors.sum(total, *(vectors.load(vectors.at(one), here) for one in values))
        vectors.store(total, to, here)


@intrinsic
def _run(_typing: Any, like: Any, taps: Any, given: Any) -> Any:
    """A run by one tap more than so many; like: an array of the dtype."""

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        number = kind_of(like.dtype)
        everything = cgutils.unpack_tuple(builder, values[2])
        one_of(
            builder, values[1], range(1, TAPS + 1),
            lambda taps: Run(builder, number, taps, everything).write(),
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(like, taps, given), write


@loop
def side_by_side(
    like: Array, x: int, weights: int, y: int, runs: Array, places: Array, channels: int
) -> None:
    """y[run + p C + c] = the sum over the taps t of weights[t, c] x[run + places[t] + p C + c].

    like: an array of the dtype. x, weights, y: addresses. runs (n, 3): places in x and y, and how
    many outputs. places (taps,). channels: C.
    """
    size, taps = like.itemsize, len(places)
    for i in range(len(runs)):
        for first in range(0, taps, TAPS):
            _run(
                like,
                np.int64(min(TAPS, taps - first) - 1),
                (
                    x + size * runs[i, 0],
                    weights + size * first * channels,
                    y + size * runs[i, 1],
                    places.ctypes.data + first * places.itemsize,
                    runs[i, 2], channels, int(first > 0),
                ),
            )  # fmt: skip
