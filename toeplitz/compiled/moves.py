"""Copies between an array and the lanes or the sheet, by lists of stretches.

A stretch (place there, place here, count, step there, step here) is so many numbers, or rows of
them, as far apart as the steps say.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.arrays import Array
from toeplitz.compiled.vectors import BYTE, INT, PLACE, Vectors, place

loop = njit(nogil=True, cache=True, error_model="numpy")

LINE = 64  # bytes of a line of the cache


@intrinsic
def _bytes(_typing: Any, into: Any, source: Any, size: Any) -> Any:
    """Copy so many bytes, a multiple of 4, from address to address: a few vectors, no call."""

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        vectors, (into, source, size) = Vectors(builder, INT), values
        start, many = builder.block, builder.lshr(size, place(2))
        step, end = (builder.append_basic_block(name) for name in ("step", "end"))
        builder.cbranch(builder.icmp_signed(">", many, place(0)), step, end)
        builder.position_at_end(step)
        done = builder.phi(PLACE)
        done.add_incoming(place(0), start)
        there, offset = vectors.first(builder.sub(many, done)), builder.shl(done, place(2))
        target, origin = (vectors.at(builder.add(one, offset)) for one in (into, source))
        vectors.store(vectors.load(origin, there), target, there)
        following = builder.add(done, place(vectors.count))
        done.add_incoming(following, step)
        builder.cbranch(builder.icmp_signed("<", following, many), step, end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(into, source, size), write


@intrinsic
def _zeros(_typing: Any, into: Any, size: Any) -> Any:
    """Put zeros into so many bytes from an address on."""

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        cgutils.memset(builder, builder.inttoptr(values[0], BYTE), values[1], 0)
        return context.get_dummy_value()

    return types.void(into, size), write


@intrinsic
def _number(_typing: Any, like: Any, into: Any, source: Any) -> Any:
    """Copy one number from address to address."""

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        kind = context.get_data_type(like.dtype).as_pointer()
        target, origin = (builder.inttoptr(value, kind) for value in values[1:])
        builder.store(builder.load(origin), target)
        return context.get_dummy_value()

    return types.void(like, into, source), write


@intrinsic
def _square(_typing: Any, like: Any, into: Any, step: Any, source: Any, far: Any) -> Any:
    """Copy a square of as many numbers a side as a line has, rows to columns.

    step, far: bytes from row to row of the target and of the source.
    """
    side = LINE * 8 // like.dtype.bitwidth

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        vector = ir.VectorType(ir.IntType(like.dtype.bitwidth), side)
        _, into, step, source, far = values

        def row(address: Any, step: Any, number: int) -> Any:
            at = builder.add(address, builder.mul(step, place(number)))
            return builder.inttoptr(at, vector.as_pointer())

        align = like.dtype.bitwidth // 8
        rows = [builder.load(row(source, far, number), align=align) for number in range(side)]
        # Rows that are `apart` from each other exchange the halves of their blocks of that width.
        apart = 1
        while apart < side:
            low = [i + side - apart if i & apart else i for i in range(side)]
            high = [i + side if i & apart else i + apart for i in range(side)]
            masks = [ir.Constant(ir.VectorType(INT, side), mask) for mask in (low, high)]
            for i in range(side):
                if not i & apart:
                    pair = rows[i], rows[i + apart]
                    rows[i], rows[i + apart] = (
                        builder.shuffle_vector(*pair, mask) for mask in masks
                    )
            apart *= 2
        for number, value in enumerate(rows):
            builder.store(value, row(into, step, number), align=align)
        return context.get_dummy_value()

    return types.void(like, into, step, source, far), write


@loop
def _squares(like: Array, into: int, source: int, stretch: Array, to: int, of: int) -> int:
    """Copy as many squares of a stretch as there are: how many numbers of each channel are done."""
    size, side, done = like.itemsize, LINE // like.itemsize, 0
    count, near, far = stretch[2], stretch[3], stretch[4]
    columns, rows = to == far == 1, near == of == 1
    while (columns or rows) and done + side <= count:
        target, origin = into + size * done * near, source + size * done * far
        if columns:
            _square(like, target, size * near, origin, size * of)
        else:
            _square(like, target, size * to, origin, size * far)
        done += side
    return done


@loop
def _channels(
    like: Array, into: int, source: int, stretches: Array, width: int, repeats: Any
) -> None:
    size, (many, to, of) = like.itemsize, repeats
    # Where rows become columns, so many channels fill a line of the cache.
    turned = width == 1 and stretches[0, 3] != stretches[0, 4]
    some = LINE // size if turned else 1
    for first in range(0, many, some):
        for i in range(len(stretches)):
            target = into + size * (stretches[i, 0] + first * to)
            origin = source + size * (stretches[i, 1] + first * of)
            count, near, far, done = stretches[i, 2], stretches[i, 3], stretches[i, 4], 0
            if turned and first + some <= many:
                done = _squares(like, target, origin, stretches[i], to, of)
            for again in range(min(some, many - first)):
                a, b = target + size * (again * to + done * near), origin + size * again * of
                if near == far == width:
                    _bytes(a, b, size * width * count)
                elif width == 1:
                    for n in range(count - done):
                        _number(like, a + size * n * near, b + size * (done + n) * far)
                else:
                    for n in range(count):
                        _bytes(a + size * n * near, b + size * n * far, size * width)


@loop
def move(
    like: Array, into: int, source: int, stretches: Array, width: int, repeats: Any, items: Any
) -> None:
    """Copy stretches of rows of so many numbers from address to address.

    like: an array of the dtype. repeats, items: how often, and with which steps.
    """
    size, (many, to, of) = like.itemsize, items
    for item in range(many):
        target, origin = into + size * item * to, source + size * item * of
        _channels(like, target, origin, stretches, width, repeats)


@loop
def clear(like: Array, into: int, stretches: Array, width: int, repeats: Any, items: Any) -> None:
    """Put zeros where stretches are to go."""
    size = like.itemsize
    for item in range(items[0]):
        for again in range(repeats[0]):
            before = into + size * (item * items[1] + again * repeats[1])
            for i in range(len(stretches)):
                at, step = before + size * stretches[i, 0], stretches[i, 3]
                if step == width:
                    _zeros(at, size * width * stretches[i, 2])
                else:
                    for n in range(stretches[i, 2]):
                        _zeros(at + size * n * step, size * width)
