"""The right parts of pools, unfold and fold: which cells a window reads."""

from typing import NamedTuple

import numpy as np

from corpus.reading import per_axis

PADDING, BEYOND = -1, -2  # instead of a cell: in the padding, or where only ceil_mode reaches


class Windows(NamedTuple):
    """Everything per axis."""

    sizes: tuple
    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    out: tuple


def counted(n, k, s, p, d, ceil_mode):
    room = n + 2 * p - d * (k - 1) - 1
    m = (-(-room // s) if ceil_mode else room // s) + 1
    return m - 1 if ceil_mode and (m - 1) * s >= n + p else m


def sized(a, ceil_mode=False, count=counted, least=1):
    """With the number of windows."""
    axes = zip(a.sizes, a.kernel, a.stride, a.padding, a.dilation, strict=True)
    out = tuple(max(0, count(*axis, ceil_mode)) for axis in axes)
    if min(out) < least:
        raise ValueError(f"the window does not fit into the input: output sizes {out}")
    return a._replace(out=out)


def read_pool(x, kernel_size, stride, padding, dilation=1, ceil_mode=False, count=counted):
    axes = x.ndim - 2
    kernel = per_axis("kernel_size", kernel_size, axes, 1)
    stride = kernel if stride is None else per_axis("stride", stride, axes, 1)
    padding = per_axis("padding", padding, axes, 0)
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"padding must be at most half the window: {padding}, {kernel}")
    dilation = per_axis("dilation", dilation, axes, 1)
    return sized(Windows(x.shape[2:], kernel, stride, padding, dilation, ()), ceil_mode, count)


def read_unfold(sizes, kernel_size, dilation, padding, stride):
    given = (kernel_size, 1), (stride, 1), (padding, 0), (dilation, 1)
    sizes = per_axis("output_size", sizes, 2, 1)
    return sized(Windows(tuple(sizes), *(per_axis("it", v, 2, least) for v, least in given), ()))


def cells(a):
    """(L, K): the flat cell of every window's every tap, or PADDING, or BEYOND."""
    axes = len(a.sizes)
    flat, outside, beyond = 0, False, False
    for i in range(axes):
        t, k = np.ogrid[: a.out[i], : a.kernel[i]]
        at = t * a.stride[i] + k * a.dilation[i] - a.padding[i]
        shape = [1] * 2 * axes
        shape[i], shape[axes + i] = at.shape
        at = at.reshape(shape)
        flat = flat * a.sizes[i] + at
        outside = outside | (at < 0) | (at >= a.sizes[i])
        beyond = beyond | (at >= a.sizes[i] + a.padding[i])
    flat = np.where(beyond, BEYOND, np.where(outside, PADDING, flat))
    return flat.reshape(int(np.prod(a.out)), int(np.prod(a.kernel)))


def gathered(x, where, fill=0):
    """(N, C, L, K): x at these cells."""
    v = x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))[:, :, np.maximum(where, 0)]
    return np.where(where < 0, np.asarray(fill, v.dtype), v)


def lowest(dtype):
    return -np.inf if np.dtype(dtype).kind == "f" else np.iinfo(dtype).min


def shaped(y, a):
    return y.reshape(*y.shape[:2], *a.out)


def first(v, where):
    """(N, C, L): the cell of each window's first maximum, NaN above all, padding never."""
    top = v.max(axis=-1, keepdims=True)
    hits = ((v == top) | (v != v)) & (where >= 0)
    return np.take_along_axis(np.broadcast_to(where, v.shape), hits.argmax(-1)[..., None], -1)[
        ..., 0
    ]


def wide(a):
    return a.astype(np.float32) if a.dtype == np.float16 else a


def sent(g, index, x):
    """grad_x: every g added to the cell `index` of its plane."""
    planes = x.shape[0] * x.shape[1]
    grad = np.zeros((planes, int(np.prod(x.shape[2:]))), wide(g).dtype)
    target = np.arange(planes)[:, None], index.reshape(planes, int(np.prod(index.shape[2:])))
    np.add.at(grad, target, wide(g).reshape(planes, int(np.prod(g.shape[2:]))))
    return grad.reshape(x.shape).astype(g.dtype)


def scattered(v, where, shape):
    """(N, C, L, K) added into (N, C, *S) at these cells; what is outside is lost."""
    y = np.zeros((int(np.prod(shape[2:])) + 1, *v.shape[:2]), wide(v).dtype)
    np.add.at(y, np.where(where < 0, len(y) - 1, where), np.moveaxis(wide(v), (0, 1), (2, 3)))
    return np.moveaxis(y[:-1], 0, 2).reshape(shape).astype(v.dtype)


def counts(where, include=True, override=None):
    """(L,): the divisors of an average pool."""
    if override is not None:
        return np.full(len(where), override)
    return (where != BEYOND if include else where >= 0).sum(axis=1)


def summed(x, where):
    """(N, C, L): in float32 for halves."""
    return gathered(wide(x), where).sum(axis=-1)


def max_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(axis=-1), a)


def avg_pool(
    x,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    where = cells(a)
    y = summed(x, where) / counts(where, count_include_pad, divisor_override).astype(wide(x).dtype)
    return shaped(y.astype(x.dtype), a)


def ends(n, m):
    """Where the adaptive windows of an axis start and stop."""
    return [(t * n // m, -(-(t + 1) * n // m)) for t in range(m)]


def read_adaptive(x, output_size, rule=ends):
    """[(start, stop)] of each axis."""
    out = per_axis("output_size", output_size, x.ndim - 2, 1)
    return [rule(n, m) for n, m in zip(x.shape[2:], out, strict=True)]


def boxes(windows):
    """(position, slices) of each window of an adaptive pool."""
    for t in np.ndindex(*map(len, windows)):
        yield (..., *t), (..., *(slice(*axis[i]) for axis, i in zip(windows, t, strict=True)))


def adaptive_avg_pool(x, output_size, rule=ends):
    windows = read_adaptive(x, output_size, rule)
    y = np.zeros((*x.shape[:2], *map(len, windows)), wide(x).dtype)
    for t, box in boxes(windows):
        part = wide(x)[box]
        y[t] = part.sum(axis=tuple(range(2, x.ndim))) / y.dtype.type(np.prod(part.shape[2:]))
    return y.astype(x.dtype)


def adaptive_max_pool(x, output_size, rule=ends):
    windows = read_adaptive(x, output_size, rule)
    y = np.zeros((*x.shape[:2], *map(len, windows)), x.dtype)
    for t, box in boxes(windows):
        y[t] = x[box].max(axis=tuple(range(2, x.ndim)))
    return y


def global_avg_pool(x):
    return adaptive_avg_pool(x, 1)


def global_max_pool(x):
    return adaptive_max_pool(x, 1)
