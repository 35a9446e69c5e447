"""Products of blocks with a single column: each row of a block is read once, as it lies."""

from typing import Any

from numba import njit, uintp

from toeplitz.arrays import Array

# Many sums become vectors only if they may be added up in another order.
loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})


@loop
def _sum(data: Array, at: int, room: Array, width: int) -> Any:
    total = room.dtype.type(0)
    for k in range(width):
        total += data[at + k] * room[k]
    return total


@loop
def _add(data: Array, at: int, room: Array, width: int, number: Any) -> None:
    for k in range(width):
        room[k] += data[at + k] * number


@loop
def forward_one(
    data: Array, indices: Array, x: Array, y: Array, places: Array, height: int,
    apart: tuple[int, int], room: Array,
) -> None:  # fmt: skip
    """y = blocks @ x for flat x and y; see blocks.forward."""
    for at, row, width in places:
        for k in range(width):
            room[k] = x[indices[at + k]]
        for number in range(height):
            begin = at + number * (apart[0] if apart[0] else width)
            y[row + number * apart[1]] = _sum(data, uintp(begin), room, uintp(width))


@loop
def backward_one(
    data: Array, indices: Array, x: Array, y: Array, places: Array, height: int,
    apart: tuple[int, int], room: Array,
) -> None:  # fmt: skip
    """x += blocks.T @ y for flat x and y; see blocks.backward."""
    for at, row, width in places:
        room[:width] = 0
        for number in range(height):
            begin = at + number * (apart[0] if apart[0] else width)
            _add(data, uintp(begin), room, uintp(width), y[row + number * apart[1]])
        for k in range(width):
            x[indices[at + k]] += room[k]
