"""The right parts of unfold and fold: columns made, and put back."""

import numpy as np

from corpus.windows import cells, gathered, read_unfold, scattered


def columns(v):
    """(N, C, L, K) as (N, C * K, L)."""
    return v.swapaxes(2, 3).reshape(len(v), v.shape[1] * v.shape[3], v.shape[2])


def patches(y, taps):
    """(N, C * K, L) as (N, C, L, K)."""
    return y.reshape(len(y), y.shape[1] // taps, taps, y.shape[2]).swapaxes(2, 3)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    return columns(gathered(x, cells(a)))


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    return folded(x, cells(a), a.sizes)


def folded(y, where, sizes):
    v = patches(y, where.shape[1])
    return scattered(v, where, (*v.shape[:2], *sizes))


def overwritten(y, where, sizes):
    v = patches(y, where.shape[1])
    grad = np.zeros((*v.shape[:2], sizes[0] * sizes[1] + 1), v.dtype)
    for column, line in enumerate(where):
        grad[:, :, np.where(line < 0, grad.shape[2] - 1, line)] = v[:, :, column]
    return grad[:, :, :-1].reshape(*v.shape[:2], *sizes)


def averaged(y, where, sizes):
    times = np.bincount(where[where >= 0], minlength=sizes[0] * sizes[1]).reshape(sizes)
    total = folded(y, where, sizes)
    if total.dtype.kind == "i":
        return total // times.clip(1)
    return (total / times.clip(1)).astype(y.dtype)


def cut_behind(y, a):
    wider = tuple(n + 2 * p for n, p in zip(a.sizes, a.padding, strict=True))
    whole = folded(y, cells(a._replace(sizes=wider, padding=(0, 0))), wider)
    return whole[:, :, : a.sizes[0], : a.sizes[1]]


def mixed(y, taps):
    n, rows, length = y.shape
    return y.reshape(n, taps, rows // taps, length).swapaxes(1, 2).reshape(y.shape)
