"""Where a product is written: large ones go to memory past the caches, line by line."""

from math import prod

import numpy as np

from toeplitz.arrays import Array, DType

LINE = 64  # bytes
LARGE = 1 << 23  # bytes that no cache of a core holds


def result(shape: tuple[int, int], dtype: DType, zero: bool) -> tuple[Array, bool]:
    """An array, of zeros if wanted, and whether its rows are whole lines to be stored that way."""
    make, size = np.zeros if zero else np.empty, prod(shape) * dtype.itemsize
    if size < LARGE or shape[1] * dtype.itemsize % LINE:
        return make(shape, dtype), False
    room = make(size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + size].view(dtype).reshape(shape), True
