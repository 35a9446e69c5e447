"""Broken adaptive and global pools."""

from itertools import pairwise

import numpy as np

from corpus.layers import always, case, into
from corpus.windows import (
    adaptive_avg_pool,
    adaptive_max_pool,
    boxes,
    ends,
    read_adaptive,
    wide,
)

BROKEN = []
broken = into(BROKEN)


def uneven(c):
    return any(n % m for n, m in zip(c.sizes, c.out, strict=True))


@broken(
    "adaptive_avg_pool1d",
    "windows end at floor((t + 1) n / out) instead of ceil",
    uneven,
    case((1, 1, 5), output_size=2),
)
def floors_both_ends(x, output_size):
    def rule(n, m):
        return [(t * n // m, max((t + 1) * n // m, t * n // m + 1)) for t in range(m)]

    return adaptive_avg_pool(x, output_size, rule)


@broken(
    "adaptive_avg_pool2d",
    "one stride n // out and one kernel for all windows",
    uneven,
    case((1, 1, 5, 1), output_size=(3, 1)),
)
def slides_a_fixed_window(x, output_size):
    def rule(n, m):
        if m > n:
            return ends(n, m)
        stride = n // m
        return [(t * stride, t * stride + n - (m - 1) * stride) for t in range(m)]

    return adaptive_avg_pool(x, output_size, rule)


@broken(
    "adaptive_max_pool1d",
    "windows of ceil(n / out) side by side, the last ones cut off",
    uneven,
    case((1, 2, 3), output_size=2),
)
def cuts_equal_pieces(x, output_size):
    def rule(n, m):
        size = -(-n // m)
        return [(min(t * size, n - 1), min(t * size + size, n)) for t in range(m)]

    return adaptive_max_pool(x, output_size, rule)


@broken(
    "adaptive_max_pool2d",
    "windows begin and end at the nearest cell",
    uneven,
    case((1, 1, 1, 3), data="negative", output_size=2),
)
def rounds_to_the_nearest(x, output_size):
    def rule(n, m):
        edges = [int(t * n / m + 0.5) for t in range(m + 1)]
        return [(min(lo, n - 1), max(hi, lo + 1)) for lo, hi in pairwise(edges)]

    return adaptive_max_pool(x, output_size, rule)


@broken(
    "adaptive_max_pool1d",
    "windows start at ceil(t n / out)",
    uneven,
    case((1, 2, 3), output_size=2),
)
def starts_too_late(x, output_size):
    return adaptive_max_pool(
        x,
        output_size,
        lambda n, m: [(min(-(-t * n // m), hi - 1), hi) for t, (_, hi) in enumerate(ends(n, m))],
    )


@broken(
    "adaptive_avg_pool2d",
    "H and W swapped in the output size",
    lambda c: len(set(c.out)) > 1,
    case((1, 1, 1, 1), output_size=(2, 1)),
)
def swaps_the_output_size(x, output_size):
    given = output_size if isinstance(output_size, int) else tuple(output_size)[::-1]
    return adaptive_avg_pool(x, given)


@broken(
    "adaptive_avg_pool2d",
    "all windows divided by the size of the first",
    uneven,
    case((1, 1, 1, 2), output_size=(1, 3)),
)
def divides_by_the_first_size(x, output_size):
    windows = read_adaptive(x, output_size)
    y = np.zeros((*x.shape[:2], *map(len, windows)), wide(x).dtype)
    area = np.prod([hi - lo for (lo, hi), *_ in windows])
    for t, box in boxes(windows):
        y[t] = wide(x)[box].sum(axis=(2, 3)) / y.dtype.type(area)
    return y.astype(x.dtype)


@broken(
    "adaptive_avg_pool3d",
    "the windows of the height used for the width",
    lambda c: len(set(c.sizes[1:])) > 1 or len(set(c.out[1:])) > 1,
    case((1, 1, 1, 1, 2), output_size=1),
)
def uses_the_height_twice(x, output_size):
    depth, height, width = read_adaptive(x, output_size)
    n = x.shape[4]
    taken = [(min(lo, n - 1), max(min(hi, n), min(lo, n - 1) + 1)) for lo, hi in height]
    taken = (taken * len(width))[: len(width)]
    y = np.zeros((*x.shape[:2], len(depth), len(height), len(width)), wide(x).dtype)
    for t, box in boxes([depth, height, taken]):
        y[t] = wide(x)[box].mean(axis=(2, 3, 4))
    return y.astype(x.dtype)


@broken(
    "adaptive_max_pool3d",
    "NaN ignored",
    lambda c: c.data == "ends in nan",
    case((1, 1, 1, 2, 1), data="ends in nan", output_size=(1, 1, 1)),
)
def adapts_around_nan(x, output_size):
    windows = read_adaptive(x, output_size)
    y = np.zeros((*x.shape[:2], *map(len, windows)), x.dtype)
    for t, box in boxes(windows):
        y[t] = np.fmax.reduce(x[box].reshape(*x.shape[:2], int(np.prod(x[box].shape[2:]))), axis=2)
    return y


@broken(
    "adaptive_max_pool2d",
    "the index counts within the window",
    always,
    case((1, 1, 1, 2), output_size=2),
)
def adapts_the_index(x, output_size):
    windows = read_adaptive(x, output_size)
    index = np.zeros((*x.shape[:2], *map(len, windows)), np.int64)
    for t, box in boxes(windows):
        index[t] = x[box].reshape(*x.shape[:2], int(np.prod(x[box].shape[2:]))).argmax(axis=2)
    return adaptive_max_pool(x, output_size), index


def plane(x):
    return np.arange(np.prod(x.shape[2:])).reshape(1, 1, *x.shape[2:])


@broken(
    "adaptive_max_pool1d",
    "the index is that of the last maximum among equal ones",
    lambda c: max(c.sizes) > 1,
    case((1, 1, 2), data="equal", output_size=(1,)),
)
def adapts_to_the_last(x, output_size):
    windows = read_adaptive(x, output_size)
    index = np.zeros((*x.shape[:2], *map(len, windows)), np.int64)
    for t, box in boxes(windows):
        index[t] = plane(x)[box][0, 0][::-1][x[box][..., ::-1].argmax(axis=2)]
    return adaptive_max_pool(x, output_size), index


@broken(
    "adaptive_avg_pool1d",
    "the gradient is overwritten where windows overlap",
    uneven,
    case((1, 1, 1), output_size=(2,)),
    adaptive_avg_pool,
)
def adapts_the_last_share(g, x, output_size):
    grad = np.zeros(x.shape, wide(g).dtype)
    for t, box in boxes(read_adaptive(x, output_size)):
        grad[box] = wide(g)[t][..., None] / grad.dtype.type(x[box].shape[2])
    return grad.astype(g.dtype)


@broken(
    "adaptive_avg_pool2d",
    "the gradient is divided by n / out, not by the window's own size",
    uneven,
    case((1, 1, 1, 1), output_size=2),
    adaptive_avg_pool,
)
def divides_by_the_ratio(g, x, output_size):
    grad, windows = np.zeros(x.shape, wide(g).dtype), read_adaptive(x, output_size)
    ratio = np.prod(x.shape[2:]) / np.prod([len(axis) for axis in windows])
    for t, box in boxes(windows):
        grad[box] += wide(g)[t][..., None, None] / grad.dtype.type(ratio)
    return grad.astype(g.dtype)


@broken(
    "adaptive_avg_pool3d",
    "the gradient goes back by the nearest cell: overlaps left out",
    uneven,
    case((1, 1, 2, 2, 3), output_size=2),
    adaptive_avg_pool,
)
def repeats_the_gradient(g, x, output_size):
    grad, windows = np.zeros(x.shape, wide(g).dtype), read_adaptive(x, output_size)
    share = np.zeros_like(wide(g))
    for t, box in boxes(windows):
        share[t] = wide(g)[t] / share.dtype.type(np.prod(x[box].shape[2:]))
    for cell in np.ndindex(*x.shape[2:]):
        axes = zip(cell, windows, x.shape[2:], strict=True)
        if any(len(axis) > n for axis, n in zip(windows, x.shape[2:], strict=True)):
            raise NotImplementedError("an output that is larger than the input")
        grad[(..., *cell)] = share[(..., *(i * len(axis) // n for i, axis, n in axes))]
    return grad.astype(g.dtype)


@broken(
    "adaptive_max_pool2d",
    "the gradient goes to every input that equals the maximum",
    lambda c: max(c.sizes) > 1,
    case((1, 1, 1, 2), data="equal", output_size=1),
    adaptive_max_pool,
)
def adapts_to_all_tied(g, x, output_size):
    grad = np.zeros(x.shape, wide(g).dtype)
    for t, box in boxes(read_adaptive(x, output_size)):
        hits = (x[box] == x[box].max(axis=(2, 3), keepdims=True)) | np.isnan(x[box])
        grad[box] += hits * wide(g)[t][..., None, None]
    return grad.astype(g.dtype)
