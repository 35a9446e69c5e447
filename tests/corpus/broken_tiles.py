"""Broken forward convolutions as kernels are written: blocks, tiles, tails, fast algorithms."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from corpus.entries import Case, into
from corpus.reading import read

BROKEN = []
broken = into(BROKEN)


def columns_of(a):
    """im2col, (N, G, C/G * taps, positions)."""
    x = np.pad(a.x, ((0, 0), (0, 0), *((p, p) for p in a.padding)))
    n, c = x.shape[:2]
    columns = np.empty((n, c, *a.kernel, *a.out), x.dtype)
    for tap in np.ndindex(*a.kernel):
        axes = zip(tap, a.dilation, a.out, a.stride, strict=True)
        cut = (slice(t * d, t * d + (m - 1) * s + 1, s) for t, d, m, s in axes)
        columns[(slice(None), slice(None), *tap)] = x[(..., *cut)]
    taps, positions = int(np.prod(a.kernel)), int(np.prod(a.out))
    return columns.reshape(n, a.groups, c // a.groups * taps, positions)


def matrices_of(a):
    """The weight as (G, O/G, C/G * taps)."""
    per = len(a.w) // a.groups
    return a.w.reshape(a.groups, per, a.w[0].size)


def finished(y, a):
    y = y.reshape(len(a.x), len(a.w), *a.out)
    return (y + a.b.reshape(-1, *[1] * len(a.out))).astype(a.dtype)


@broken(
    "conv2d",
    "the channels behind the last block of four are left out",
    "C / G not a multiple of 4",
    lambda c: c.width % 4 != 0,
    Case((1, 1, 1), (1, 1, 1, 1)),
)
def four_channels_at_a_time(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    columns, matrices, taps = columns_of(a), matrices_of(a), int(np.prod(a.kernel))
    y = np.zeros((*columns.shape[:2], matrices.shape[1], columns.shape[3]), a.x.dtype)
    for block in range(a.w.shape[1] // 4):
        cut = slice(4 * block * taps, 4 * (block + 1) * taps)
        y += matrices[:, :, cut] @ columns[:, :, cut]
    return finished(y, a)


@broken(
    "conv1d",
    "the second block of eight input channels overwrites the sum of the first",
    "more than 8 input channels in a group",
    lambda c: c.width > 8,
    Case((9, 1), (1, 9, 1)),
)
def blocks_do_not_accumulate(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    columns, matrices, step = columns_of(a), matrices_of(a), 8 * a.kernel[0]
    for first in range(0, columns.shape[2], step):
        cut = slice(first, first + step)
        y = matrices[:, :, cut] @ columns[:, :, cut]
    return finished(y, a)


@broken(
    "conv2d",
    "last output channels unwritten: those behind the last whole block of four",
    "more than 4 filters, not a multiple of 4",
    lambda c: c.filters > 4 and c.filters % 4 != 0,
    Case((1, 1, 1), (5, 1, 1, 1)),
)
def filters_in_fours(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    columns, matrices = columns_of(a), matrices_of(a)
    per, filters = len(a.w) // a.groups, len(a.w)
    y = np.zeros((len(a.x), filters, columns.shape[3]), a.x.dtype)
    for o in range(filters if filters < 4 else filters // 4 * 4):
        y[:, o] = matrices[o // per, o % per] @ columns[:, o // per]
    return finished(y, a)


@broken(
    "conv1d",
    "last tile of four outputs misplaced: it is moved back to fit, its inputs are not",
    "more than 4 outputs, not a multiple of 4",
    lambda c: c.out[0] > 4 and c.out[0] % 4 != 0,
    Case((1, 5), (1, 1, 1)),
)
def last_tile_overlaps(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    columns, matrices, out = columns_of(a), matrices_of(a), a.out[0]
    columns = np.pad(columns, ((0, 0), (0, 0), (0, 0), (0, 3)))
    y = np.zeros((*columns.shape[:2], matrices.shape[1], out), a.x.dtype)
    for first in range(0, out, 4):
        tile = matrices @ columns[..., first : first + min(4, out)]
        where = max(0, min(first, out - 4))
        y[..., where : where + 4] = tile
    return finished(y, a)


@broken(
    "conv2d",
    "the last partial tile of 8 x 8 outputs is left zero in its last row",
    "more than 8 output rows, not a multiple of 8",
    lambda c: c.out[0] > 8 and c.out[0] % 8 != 0,
    Case((1, 9, 1), (1, 1, 1, 1)),
)
def tiles_of_eight(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    full = finished(matrices_of(a) @ columns_of(a), a)
    (oh, ow), y = a.out, np.zeros_like(full)
    for top in range(0, oh, 8):
        rows = min(8, oh - top)
        if top and rows < 8:
            rows -= 1
        for left in range(0, ow, 8):
            cut = ..., slice(top, top + rows), slice(left, left + 8)
            y[cut] = full[cut]
    return y


@broken(
    "conv1d",
    "taps more than four cells from the window's start are dropped: the tile's halo is too narrow",
    "dilation * (kernel - 1) > 4",
    lambda c: c.extent[0] > 5,
    Case((1, 6), (1, 1, 2), dilation=5),
)
def halo_of_four(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    (s,), (p,), (d,), (k,), (out,) = a.stride, a.padding, a.dilation, a.kernel, a.out
    n, c = a.x.shape[:2]
    x = np.pad(a.x, ((0, 0), (0, 0), (p, p))).reshape(n, a.groups, c // a.groups, -1 if n else 1)
    w = a.w.reshape(a.groups, len(a.w) // a.groups, c // a.groups, k)
    y = np.zeros((n, a.groups, w.shape[1], out), a.x.dtype)
    for t in range(out if n else 0):
        shared = x[..., t * s : t * s + 5]
        for i in range(k):
            if i * d < shared.shape[-1]:
                y[..., t] += np.einsum("ngc,goc->ngo", shared[..., i * d], w[..., i])
    return finished(y, a)


@broken(
    "conv1d",
    "Winograd F(2, 3): an odd last output is never written and stays zero",
    "an odd number of outputs",
    lambda c: c.out[0] % 2 == 1,
    Case((1, 3), (1, 1, 3)),
    algorithm="winograd",
)
def winograd_without_a_tail(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    if (a.kernel, a.stride, a.dilation, a.dtype.kind in "fc") != ((3,), (1,), (1,), True):
        raise NotImplementedError("Winograd F(2, 3) has 3 taps, stride 1, dilation 1, floats")
    (p,), (out,), n = a.padding, a.out, len(a.x)
    x = np.pad(a.x, ((0, 0), (0, 0), (p, p)))
    g0, g1, g2 = np.moveaxis(a.w.reshape(a.groups, -1, a.w.shape[1], 3), 3, 0)
    kernels = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2)
    y = np.zeros((n, a.groups, len(a.w) // a.groups, out), a.x.dtype)
    for t in range(0, out - 1, 2):
        tile = x[:, :, t : t + 4].reshape(n, a.groups, a.w.shape[1], 4)
        d0, d1, d2, d3 = np.moveaxis(tile, 3, 0)
        inputs = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)
        m = [np.einsum("ngc,goc->ngo", d, g) for d, g in zip(inputs, kernels, strict=True)]
        y[..., t], y[..., t + 1] = m[0] + m[1] + m[2], m[1] - m[2] - m[3]
    return finished(y, a)


@broken(
    "depthwise_conv3d",
    "last channel unwritten: channels come in pairs, and an odd one is only its bias",
    "an odd number of output channels",
    lambda c: c.filters % 2 == 1,
    Case((1, 1, 1, 1), (1, 1, 1, 1, 1)),
)
def channels_in_pairs(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    x = np.pad(a.x, ((0, 0), (0, 0), *((p, p) for p in a.padding)))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(a.kernel, a.dilation, strict=True))
    windows = sliding_window_view(x, extent, axis=(2, 3, 4))
    windows = windows[(..., *(slice(None, None, step) for step in a.stride + a.dilation))]
    windows = np.repeat(windows, len(a.w) // a.groups, axis=1)
    y = np.zeros((len(x), len(a.w), *a.out), x.dtype)
    for o in range(0, len(a.w) - 1, 2):
        two = slice(o, o + 2)
        y[:, two] = np.einsum("ncxyzijk,cijk->ncxyz", windows[:, two], a.w[two, 0])
    return finished(y, a)


@broken(
    "conv3d",
    "the last tap of the kernel is dropped where their number is odd, above one",
    "an odd number of taps, more than one",
    lambda c: np.prod(c.kernel) % 2 == 1 and max(c.kernel) > 1,
    Case((1, 1, 1, 3), (1, 1, 1, 1, 3)),
)
def taps_unrolled_by_two(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    taps, positions = int(np.prod(a.kernel)), int(np.prod(a.out))
    n, width = len(a.x), a.w.shape[1]
    columns = columns_of(a).reshape(n, a.groups, width, taps, positions)
    w = a.w.reshape(a.groups, len(a.w) // a.groups, width, taps)
    y = np.zeros((n, a.groups, w.shape[1], positions), a.x.dtype)
    for i in range(max(1, taps // 2)):
        for tap in (2 * i, 2 * i + 1)[:taps]:
            y += w[..., tap] @ columns[:, :, :, tap]
    return finished(y, a)
