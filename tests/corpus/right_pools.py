"""Correct pools, forward and backward, each in another style."""

from itertools import product

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from corpus.layers import entering
from corpus.windows import (
    adaptive_avg_pool,
    avg_pool,
    boxes,
    cells,
    counts,
    ends,
    gathered,
    global_max_pool,
    lowest,
    max_pool,
    read_adaptive,
    read_pool,
    scattered,
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
    rows = np.moveaxis(x, 1, -1).reshape(len(x), -1, x.shape[1])
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


# Averages


@right("avg_pool1d", note="cumulative sums; finite numbers only")
def subtracts_running_sums(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    if not np.isfinite(x).all():
        raise NotImplementedError("inf and nan stay in a running sum")
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    sums = np.pad(wide(x).cumsum(axis=2), [(0, 0), (0, 0), (1, 0)])
    start = np.arange(a.out[0]) * a.stride[0] - a.padding[0]
    stop = np.minimum(start + a.kernel[0], a.sizes[0] + a.padding[0])
    lo, hi = start.clip(0), stop.clip(None, a.sizes[0])
    by = (stop - start if count_include_pad else hi - lo).astype(sums.dtype)
    return ((sums[..., hi] - sums[..., lo]) / by).astype(x.dtype)


@right("avg_pool2d", note="an integral image; finite numbers only")
def sums_an_integral_image(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    if not np.isfinite(x).all():
        raise NotImplementedError("inf and nan stay in a running sum")
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    table = np.pad(wide(x).cumsum(axis=2).cumsum(axis=3), [(0, 0), (0, 0), (1, 0), (1, 0)])
    (top, bottom, high), (left, right_, long) = (reach(a, axis) for axis in (0, 1))
    total = table[:, :, bottom][..., right_] - table[:, :, top][..., right_]
    total -= table[:, :, bottom][..., left] - table[:, :, top][..., left]
    if divisor_override is not None:
        by = divisor_override
    elif count_include_pad:
        by = np.outer(high, long)
    else:
        by = np.outer(bottom - top, right_ - left)
    return (total / np.asarray(by, total.dtype)).astype(x.dtype)


def reach(a, axis):
    """First and last input of the windows of an axis, and their size with the padding."""
    start = np.arange(a.out[axis]) * a.stride[axis] - a.padding[axis]
    stop = np.minimum(start + a.kernel[axis], a.sizes[axis] + a.padding[axis])
    return start.clip(0), stop.clip(None, a.sizes[axis]), stop - start


@right("avg_pool2d", "avg_pool3d", note="a sum over the columns of an unfolded input")
def averages_columns(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    where = cells(a)
    total = gathered(wide(x), where).sum(axis=-1)
    by = counts(where, count_include_pad, divisor_override)
    return shaped((total / by.astype(total.dtype)).astype(x.dtype), a)


@right("avg_pool1d", note="np.convolve on float64; no ceil_mode, finite numbers only")
def convolves_with_ones(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    if ceil_mode or not np.isfinite(x).all():
        raise NotImplementedError("ceil_mode")
    a = read_pool(x, kernel_size, stride, padding, 1)
    ones = np.ones(a.kernel[0])
    there = np.pad(np.ones(a.sizes[0]), a.padding[0], constant_values=float(count_include_pad))
    by = np.convolve(there, ones, "valid")[:: a.stride[0]]
    y = np.empty((*x.shape[:2], *a.out))
    for n, c in np.ndindex(*x.shape[:2]):
        row = np.pad(x[n, c].astype(float), a.padding[0])
        y[n, c] = np.convolve(row, ones, "valid")[:: a.stride[0]] / by
    return y.astype(x.dtype)


@right("avg_pool2d", "avg_pool3d", note="backward in one scatter", forward=avg_pool)
def scatters_the_shares(
    g, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    where = cells(a)
    share = wide(g).reshape(*g.shape[:2], -1)
    share = share / counts(where, count_include_pad, divisor_override).astype(share.dtype)
    share = np.repeat(share[..., None], where.shape[1], axis=3)
    return scattered(share, where, x.shape).astype(g.dtype)


# Adaptive and global


@right("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", note="by matrices")
def multiplies_by_rows_of_ones(x, output_size):
    if not np.isfinite(x).all():
        raise NotImplementedError("0 * inf")
    y, area = wide(x), 1
    for axis, windows in enumerate(read_adaptive(x, output_size)):
        cell = np.arange(x.shape[axis + 2])
        m = np.array([(lo <= cell) & (cell < hi) for lo, hi in windows], y.dtype)
        y = np.moveaxis(np.tensordot(y, m, (axis + 2, 1)), -1, axis + 2)
        size = m.sum(axis=1).reshape(-1, *[1] * (x.ndim - axis - 3))
        area = area * size
    return (y / area).astype(x.dtype)


@right("adaptive_max_pool1d", "adaptive_max_pool2d", note="slices, with indices")
def slices_each_window(x, output_size):
    windows = read_adaptive(x, output_size)
    plane = np.arange(int(np.prod(x.shape[2:]))).reshape(x.shape[2:])
    y = np.empty((*x.shape[:2], *map(len, windows)), x.dtype)
    index = np.empty(y.shape, np.int64)
    for t, box in boxes(windows):
        part = x[box].reshape(*x.shape[:2], -1)
        index[t] = plane[box].ravel()[part.argmax(axis=2)]
        y[t] = part.max(axis=2)
    return y, index


@right("adaptive_max_pool1d", note="np.maximum.reduceat over starts and stops")
def reduces_between_the_edges(x, output_size):
    (windows,) = read_adaptive(x, output_size, ends)
    behind = np.concatenate([x, x[..., -1:]], axis=2)  # reduceat must not start at the end
    return np.maximum.reduceat(behind, np.ravel(windows), axis=2)[..., ::2]


@right("adaptive_avg_pool2d", note="backward in loops over windows", forward=adaptive_avg_pool)
def spreads_each_window(g, x, output_size):
    grad = np.zeros(x.shape, wide(g).dtype)
    for t, box in boxes(read_adaptive(x, output_size)):
        size = x[box].shape[2] * x[box].shape[3]
        grad[box] += wide(g)[t][..., None, None] / grad.dtype.type(size)
    return grad.astype(g.dtype)


@right("global_avg_pool1d", "global_avg_pool2d", "global_avg_pool3d", note="one mean")
def takes_one_mean(x):
    axes = tuple(range(2, x.ndim))
    return wide(x).mean(axis=axes, keepdims=True).astype(x.dtype)


@right("global_max_pool2d", note="backward by put_along_axis", forward=global_max_pool)
def puts_it_at_the_argmax(g, x):
    grad = np.zeros((*x.shape[:2], x.shape[2] * x.shape[3]), g.dtype)
    index = x.reshape(grad.shape).argmax(axis=2)[..., None]
    np.put_along_axis(grad, index, g.reshape(index.shape), axis=2)
    return grad.reshape(x.shape)
