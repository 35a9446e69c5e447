"""Correct max pools, forward and backward, each in another style."""

from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from corpus.layers import entering
from corpus.windows import (
    cells,
    gathered,
    lowest,
    max_pool,
    read_pool,
    shaped,
    wide,
)

RIGHT = []
right = entering(RIGHT)


@right("max_pool2d", note="nested loops, with indices")
def loops_over_windows(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    y = np.empty((*x.shape[:2], *a.out), x.dtype)
    index = np.empty(y.shape, np.int64)
    for n, c, i, j in np.ndindex(*y.shape):
        best = None
        for k, m in product(range(a.kernel[0]), range(a.kernel[1])):
            row = i * a.stride[0] - a.padding[0] + k * a.dilation[0]
            column = j * a.stride[1] - a.padding[1] + m * a.dilation[1]
            if not (0 <= row < a.sizes[0] and 0 <= column < a.sizes[1]):
                continue
            v = x[n, c, row, column]
            if best is None or v > best or (v != v and best == best):
                best, index[n, c, i, j] = v, row * a.sizes[1] + column
        y[n, c, i, j] = best
    return y, index


def frame(x, a, fill):
    """Padded so far that every window fits in."""
    axes = zip(a.sizes, a.kernel, a.stride, a.padding, a.dilation, a.out, strict=True)
    need = ((m - 1) * s + d * (k - 1) + 1 - p - n for n, k, s, p, d, m in axes)
    widths = [(p, max(p, behind)) for p, behind in zip(a.padding, need, strict=True)]
    return np.pad(x, [(0, 0), (0, 0), *widths], constant_values=fill)


@right("max_pool1d", "max_pool2d", "max_pool3d", note="sliding_window_view of the padded input")
def sees_through_windows(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    extent = [d * (k - 1) + 1 for k, d in zip(a.kernel, a.dilation, strict=True)]
    v = sliding_window_view(frame(x, a, lowest(x.dtype)), extent, axis=tuple(range(2, x.ndim)))
    v = v[(..., *(slice(None, None, step) for step in a.stride + a.dilation))]
    v = v[(slice(None), slice(None), *map(slice, a.out))]
    return v.max(axis=tuple(range(-len(a.out), 0)))


@right("max_pool2d", note="as_strided on a padded copy")
def strides_over_a_copy(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    x = np.ascontiguousarray(frame(x, a, lowest(x.dtype)))
    n, c, h, w = x.strides
    (sh, sw), (dh, dw) = a.stride, a.dilation
    strides = (n, c, h * sh, w * sw, h * dh, w * dw)
    return as_strided(x, (*x.shape[:2], *a.out, *a.kernel), strides).max(axis=(4, 5))


@right("max_pool2d", "max_pool3d", note="one axis after the other, a tap at a time")
def separates_the_axes(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    y = frame(x, a, lowest(x.dtype))
    for axis, (k, s, d, m) in enumerate(zip(a.kernel, a.stride, a.dilation, a.out, strict=True)):
        y = np.moveaxis(y, axis + 2, 0)
        taps = [y[t * d : t * d + (m - 1) * s + 1 : s] for t in range(k)]
        y = np.moveaxis(np.maximum.reduce(taps), 0, axis + 2)
    return y


@right("max_pool1d", note="np.maximum.reduceat; padding and dilation are not supported")
def reduces_at_the_starts(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    if a.padding[0] or a.dilation[0] > 1:
        raise NotImplementedError("padding and dilation")
    start = np.arange(a.out[0]) * a.stride[0]
    stop = start + a.kernel[0]
    marks = np.stack([start, stop], axis=1).ravel()
    behind = np.concatenate([x, np.full((*x.shape[:2], a.kernel[0]), lowest(x.dtype), x.dtype)], 2)
    return np.maximum.reduceat(behind, marks, axis=2)[..., ::2]


@right("max_pool2d", note="channels last inside")
def keeps_channels_last(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    rows = np.moveaxis(x, 1, -1).reshape(len(x), int(np.prod(x.shape[2:])), x.shape[1])
    where = cells(a)
    v = np.where((where < 0)[..., None], np.asarray(lowest(x.dtype), x.dtype), rows[:, where])
    return shaped(np.moveaxis(v.max(axis=2), 2, 1), a)


@right("max_pool1d", "max_pool2d", "max_pool3d", note="backward by np.add.at", forward=max_pool)
def adds_at_the_winners(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    hits = ((v == v.max(-1, keepdims=True)) | (v != v)) & (where >= 0)
    taps = hits.argmax(-1)
    winner = where[np.arange(len(where)), taps]
    total = np.zeros((x.shape[0], x.shape[1], int(np.prod(a.sizes))), wide(g).dtype)
    n, c, _ = np.indices(winner.shape)
    np.add.at(total, (n, c, winner), wide(g).reshape(winner.shape))
    return total.reshape(x.shape).astype(g.dtype)


@right("max_pool2d", note="backward in loops over windows", forward=max_pool)
def sends_one_by_one(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    _, index = loops_over_windows(x, kernel_size, stride, padding, dilation, ceil_mode)
    grad = np.zeros((*x.shape[:2], x.shape[2] * x.shape[3]), wide(g).dtype)
    for n, c, i, j in np.ndindex(*g.shape):
        grad[n, c, index[n, c, i, j]] += g[n, c, i, j]
    return grad.reshape(x.shape).astype(g.dtype)
