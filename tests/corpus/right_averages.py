"""Correct average, adaptive and global pools, each in another style."""

import numpy as np

from corpus.layers import entering
from corpus.windows import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    boxes,
    cells,
    counts,
    ends,
    gathered,
    global_avg_pool,
    global_max_pool,
    read_adaptive,
    read_pool,
    scattered,
    shaped,
    wide,
)

RIGHT = []
right = entering(RIGHT)


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


@right("avg_pool1d", "avg_pool2d", "avg_pool3d", note="backward in one scatter", forward=avg_pool)
def scatters_the_shares(
    g, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    where = cells(a)
    share = wide(g).reshape(*g.shape[:2], int(np.prod(g.shape[2:])))
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


@right("adaptive_max_pool2d", "adaptive_max_pool3d", note="slices, with indices")
def slices_each_window(x, output_size):
    windows = read_adaptive(x, output_size)
    plane = np.arange(int(np.prod(x.shape[2:]))).reshape(x.shape[2:])
    y = np.empty((*x.shape[:2], *map(len, windows)), x.dtype)
    index = np.empty(y.shape, np.int64)
    for t, box in boxes(windows):
        part = x[box].reshape(*x.shape[:2], int(np.prod(x[box].shape[2:])))
        index[t] = plane[box].ravel()[part.argmax(axis=2)]
        y[t] = part.max(axis=2)
    return y, index


@right("adaptive_max_pool1d", note="np.maximum.reduceat over starts and stops")
def reduces_between_the_edges(x, output_size):
    (windows,) = read_adaptive(x, output_size, ends)
    behind = np.concatenate([x, x[..., -1:]], axis=2)  # reduceat must not start at the end
    return np.maximum.reduceat(behind, np.ravel(windows), axis=2)[..., ::2]


@right(
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    note="backward in loops over windows",
    forward=adaptive_avg_pool,
)
def spreads_each_window(g, x, output_size):
    grad, axes = np.zeros(x.shape, wide(g).dtype), tuple(range(2, x.ndim))
    for t, box in boxes(read_adaptive(x, output_size)):
        share = wide(g)[t] / grad.dtype.type(np.prod(x[box].shape[2:]))
        grad[box] += np.expand_dims(share, axes)
    return grad.astype(g.dtype)


@right("adaptive_max_pool2d", note="backward by bincount", forward=adaptive_max_pool)
def counts_by_index(g, x, output_size):
    _, index = slices_each_window(x, output_size)
    size = x.shape[2] * x.shape[3]
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1)
    if g.dtype.kind == "i":
        raise NotImplementedError("integers beyond 2^53")
    grad = np.bincount((index + planes * size).ravel(), g.ravel(), planes.size * size)
    return grad.reshape(x.shape).astype(g.dtype)


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


@right("global_max_pool1d", "global_max_pool2d", "global_max_pool3d", note="one reduction")
def takes_one_maximum(x):
    return np.maximum.reduce(x.reshape(*x.shape[:2], int(np.prod(x.shape[2:]))), axis=2).reshape(
        *x.shape[:2], *[1] * (x.ndim - 2)
    )


@right("global_avg_pool2d", note="backward by broadcasting", forward=global_avg_pool)
def repeats_the_share(g, x):
    share = wide(g) / wide(g).dtype.type(x.shape[2] * x.shape[3])
    return (share + np.zeros(x.shape, share.dtype)).astype(g.dtype)
