"""What stands around the input: the right parts of padded convolutions."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from corpus.reading import extents, pairs, read_padded, wide

MODES = {"zeros": "constant", "circular": "wrap", "reflect": "reflect", "replicate": "edge"}


def surrounded(x, both, mode):
    """Padded on every axis; a negative number crops, after the padding but before a wrap."""
    for axis, (lo, hi) in enumerate(both, 2):
        x = np.moveaxis(x, axis, 0)
        if mode == "reflect" and max(lo, hi) >= len(x):
            raise ValueError("reflect padding must be narrower than the input")
        first, behind = max(0, -lo), max(0, -hi)
        x = x[first : max(0, len(x) - behind)] if mode == "circular" else x
        x = np.pad(x, [(max(0, lo), max(0, hi)), *[(0, 0)] * (x.ndim - 1)], mode=MODES[mode])
        x = x if mode == "circular" else x[first : max(0, len(x) - behind)]
        x = np.moveaxis(x, 0, axis)
    return x


def finish(x, a):
    """Slides over an input that is padded already, and adds the bias."""
    n, c, axes = *x.shape[:2], len(a.kernel)
    if any(m < e for m, e in zip(x.shape[2:], extents(a), strict=True)):
        raise ValueError("the kernel does not fit into the padded input")
    windows = sliding_window_view(x, extents(a), axis=tuple(range(2, x.ndim)))
    windows = windows[(..., *(slice(None, None, step) for step in a.stride + a.dilation))]
    windows = windows.reshape(n, a.groups, c // a.groups, *windows.shape[2:])
    w = a.w.reshape(a.groups, len(a.w) // a.groups, *a.w.shape[1:])
    out, taps = "xyz"[:axes], "ijk"[:axes]
    y = np.einsum(f"ngc{out}{taps},goc{taps}->ngo{out}", windows, w)
    y = y.reshape(n, len(a.w), *y.shape[3:]) + a.b.reshape(-1, *[1] * axes)
    return y.astype(a.dtype)


def cells(n, lo, hi, mode):
    """The cell that each cell of a padded axis copies; -1 for a zero."""
    cell = np.arange(-lo, n + hi)
    if mode == "circular":
        first, kept = max(0, -lo), n + min(0, lo) + min(0, hi)
        return first + (cell - first) % kept
    if mode == "reflect":
        if max(lo, hi) >= max(n, 1):
            raise ValueError("reflect padding must be narrower than the input")
        return n - 1 - abs(n - 1 - abs(cell))
    if mode == "replicate":
        return cell.clip(0, n - 1)
    return np.where((cell >= 0) & (cell < n), cell, -1)


def gathered(x, where, axis):
    """x at these cells of an axis; 0 where there is a -1."""
    y = np.take(x, where, axis)
    outside = np.expand_dims(where < 0, [i for i in range(x.ndim) if i != axis])
    return np.where(outside, np.zeros((), x.dtype), y)


def forward_padded(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    return finish(surrounded(a.x, pairs(padding, a), padding_mode), a)


def read_around(g, x, w, stride, padding, dilation, groups, padding_mode):
    """The arguments with x padded already, in a dtype to sum in, and the pairs."""
    a = read_padded(x, w, None, stride, dilation, groups, padding_mode)
    both = pairs(padding, a)
    around = surrounded(a.x, both, padding_mode)
    g = wide(np.asarray(g), a.dtype)
    none = (0,) * len(both)
    return a._replace(x=around, padding=none, out=g.shape[2:], dtype=around.dtype), g, both


def folded(grad, sizes, both, mode):
    """Every padded cell is added to the cell that it copied."""
    for axis, (n, pair) in enumerate(zip(sizes, both, strict=True), 2):
        grad = np.moveaxis(grad, axis, 0)
        total = np.zeros((n + 1, *grad.shape[1:]), grad.dtype)
        np.add.at(total, cells(n, *pair, mode), grad)  # a zero copied no cell: -1, the last
        grad = np.moveaxis(total[:n], 0, axis)
    return grad
