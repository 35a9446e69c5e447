"""The right parts of pads: which cell each padded cell copies."""

import numpy as np

from corpus.around import cells

NAMES = {"constant": "zeros", "reflect": "reflect", "replicate": "replicate"}


def copied(shape, pad, mode):
    """Of each axis, the cell that each padded cell copies, -1 for none."""
    pad = tuple(pad)
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    pairs = [(0, 0)] * (len(shape) - len(pairs)) + pairs
    axes = zip(shape, pairs, strict=True)
    return [cells(n, lo, hi, NAMES.get(mode, mode)) for n, (lo, hi) in axes]


def taken(x, where, value):
    """x at these cells, and the value where there is a -1."""
    y = x[np.ix_(*where)]
    outside = np.zeros(y.shape, bool)
    for axis, line in enumerate(where):
        outside |= (line < 0).reshape(-1, *[1] * (y.ndim - axis - 1))
    y[outside] = value
    return y


def pad(x, pad, mode="constant", value=0.0):
    return taken(x, copied(x.shape, pad, mode), value)


def returned(g, x, where):
    """Every cell of g added to the one that it copied."""
    total = g.astype(np.float32) if g.dtype == np.float16 else g
    for axis, (n, line) in enumerate(zip(x.shape, where, strict=True)):
        moved = np.moveaxis(total, axis, 0)
        y = np.zeros((n + 1, *moved.shape[1:]), moved.dtype)
        np.add.at(y, line, moved)  # -1 is the last row, which is dropped
        total = np.moveaxis(y[:n], 0, axis)
    return total.astype(g.dtype)
