"""Where a product is written: large ones go to memory past the caches."""

from math import prod

import numpy as np

from toeplitz.arrays import Array, DType

LINE = 64  # bytes
LARGE = 1 << 24  # bytes that no cache of a core holds


def result(shape: tuple[int, ...], dtype: DType, zero: bool = False) -> tuple[Array, bool]:
    """An array, of zeros if wanted, and whether it had better be stored that way."""
    if prod(shape) * dtype.itemsize < LARGE:
        return (np.zeros if zero else np.empty)(shape, dtype), False
    return aligned(shape, dtype, zero), True


def aligned(shape: tuple[int, ...], dtype: DType, zero: bool = False) -> Array:
    """An array that begins with a line: no vector of it lies in two."""
    size = prod(shape) * dtype.itemsize
    room = (np.zeros if zero else np.empty)(size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + size].view(dtype).reshape(shape)
