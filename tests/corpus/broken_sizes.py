"""Broken forward convolutions: how far, how many, how much padding."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from corpus.entries import Case, into
from corpus.reading import read

BROKEN = []
broken = into(BROKEN)


def contract(patches, w, g):
    """(N, C, *T, *K) and (O, C/G, *K) -> (N, O, *T), for the functions that get so far."""
    n, c, axes = *patches.shape[:2], w.ndim - 2
    patches = patches.reshape(n, g, c // g, *patches.shape[2:])
    out, taps = "xyz"[:axes], "ijk"[:axes]
    kernels = w.reshape(g, len(w) // g, *w.shape[1:])
    y = np.einsum(f"ngc{out}{taps},goc{taps}->ngo{out}", patches, kernels)
    return y.reshape(n, len(w), *y.shape[3:])


@broken(
    "conv1d",
    "stride ignored: every window is computed",
    "stride > 1, and room for more windows of stride 1",
    lambda c: c.stride[0] > 1,
    Case((1, 2), (1, 1, 1), stride=2),
)
def starts_in_every_cell(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, _, (p,), (d,), g, (k,), _, dtype = read(x, w, b, stride, padding, dilation, groups)
    x = np.pad(x, ((0, 0), (0, 0), (p, p)))
    n, filters, width = x.shape[0], *w.shape[:2]
    y = np.zeros((n, filters, x.shape[2] - (k - 1) * d), x.dtype)
    for o, c, i in np.ndindex(filters, width, k):
        line = x[:, o // (filters // g) * width + c]
        y[:, o] += line[:, i * d : i * d + y.shape[2]] * w[o, c, i]
    return (y + b[:, None]).astype(dtype)


@broken(
    "conv1d",
    "dilation ignored between taps, though the output size heeds it",
    "dilation > 1 and a kernel longer than 1",
    lambda c: c.dilation[0] > 1 and c.kernel[0] > 1,
    Case((1, 3), (1, 1, 2), dilation=2),
)
def reads_neighbours(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s,), (p,), _, g, (k,), (out,), dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (p, p)))
    patches = np.stack([x[:, :, t * s : t * s + k] for t in range(out)], axis=2)
    return (contract(patches, w, g) + b[:, None]).astype(dtype)


@broken(
    "conv1d",
    "dilation off by one: it counts the holes between two taps",
    "a kernel longer than 1",
    lambda c: c.kernel[0] > 1,
    Case((1, 2), (1, 1, 2)),
)
def dilation_counts_holes(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s,), (p,), (d,), g, (k,), _, dtype = read(x, w, b, stride, padding, dilation, groups)
    x = np.pad(x, ((0, 0), (0, 0), (p, p)))
    out = max(0, (x.shape[2] - (k + (k - 1) * d)) // s + 1)
    where = [[t * s + i * (d + 1) for i in range(k)] for t in range(out)]
    where = np.array(where, int).reshape(out, k)
    return (contract(x[:, :, where], w, g) + b[:, None]).astype(dtype)


@broken(
    "conv1d",
    "stride off by one: it counts the cells skipped between two windows",
    "room for a second window of stride 1",
    lambda c: c.out[0] > 1 or c.left_over[0] > 0,
    Case((1, 2), (1, 1, 1)),
)
def stride_counts_the_skipped(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s,), (p,), (d,), g, (k,), _, dtype = read(x, w, b, stride, padding, dilation, groups)
    x = np.pad(x, ((0, 0), (0, 0), (p, p)))
    windows = sliding_window_view(x, d * (k - 1) + 1, axis=2)
    return (contract(windows[:, :, :: s + 1, ::d], w, g) + b[:, None]).astype(dtype)


@broken(
    "conv2d",
    "padding off by one on the width: the input is put one column too early",
    "padding of the width > 0",
    lambda c: c.padding[1] > 0,
    Case((1, 1, 1), (1, 1, 1, 1), padding=(0, 1)),
)
def frames_the_picture_askew(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sh, sw), (ph, pw), (dh, dw), g, (kh, kw), _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    n, c, height, width = x.shape
    framed = np.zeros((n, c, height + 2 * ph, width + 2 * pw), x.dtype)
    left = max(0, pw - 1)
    framed[:, :, ph : ph + height, left : left + width] = x
    windows = sliding_window_view(framed, (dh * (kh - 1) + 1, dw * (kw - 1) + 1), axis=(2, 3))
    y = contract(windows[:, :, ::sh, ::sw, ::dh, ::dw], w, g)
    return (y + b[:, None, None]).astype(dtype)


@broken(
    "conv3d",
    "padding of the depth ignored",
    "padding of the depth > 0",
    lambda c: c.padding[0] > 0,
    Case((1, 1, 1, 1), (1, 1, 1, 1, 1), padding=(1, 0, 0)),
)
def pads_pictures_not_volumes(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sd, sh, sw), (_, ph, pw), (dd, dh, dw), g, kernel, _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (0, 0), (ph, ph), (pw, pw)))
    extent = tuple(d * (k - 1) + 1 for d, k in zip((dd, dh, dw), kernel, strict=True))
    if extent[0] > x.shape[2]:
        return np.zeros((len(x), len(w), 0, 1, 1), dtype)
    windows = sliding_window_view(x, extent, axis=(2, 3, 4))
    windows = windows[:, :, ::sd, ::sh, ::sw, ::dd, ::dh, ::dw]
    return (contract(windows, w, g) + b[:, None, None, None]).astype(dtype)


@broken(
    "conv1d",
    "padding on one side only: before the input",
    "padding > 0, unless the last window has no use for what is missing",
    lambda c: c.padding[0] > 0,
    Case((1, 1), (1, 1, 1), padding=1),
)
def causal_padding(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s,), (p,), (d,), g, (k,), _, dtype = read(x, w, b, stride, padding, dilation, groups)
    x = np.concatenate([np.zeros((*x.shape[:2], p), x.dtype), x], axis=2)
    last = x.shape[2] - d * (k - 1)  # where the last window may start, and one
    taps = [x[:, :, i * d : max(0, last) + i * d : s] for i in range(k)]
    return (contract(np.stack(taps, axis=-1), w, g) + b[:, None]).astype(dtype)


@broken(
    "conv2d",
    "padding doubled: the caller pads, and so does the function it calls",
    "padding > 0",
    lambda c: max(c.padding) > 0,
    Case((1, 1, 1), (1, 1, 1, 1), padding=(0, 1)),
)
def pads_twice(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, stride, (ph, pw), (dh, dw), g, kernel, _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )

    def pad(a):
        return np.pad(a, ((0, 0), (0, 0), (ph, ph), (pw, pw)))

    def correlate(a):
        a = pad(a)
        windows = sliding_window_view(
            a, (dh * (kernel[0] - 1) + 1, dw * (kernel[1] - 1) + 1), (2, 3)
        )
        return contract(windows[:, :, :: stride[0], :: stride[1], ::dh, ::dw], w, g)

    return (correlate(pad(x)) + b[:, None, None]).astype(dtype)


@broken(
    "conv1d",
    "ceil instead of floor in the output size",
    "cells left over behind the last window",
    lambda c: c.left_over[0] > 0,
    Case((1, 2), (1, 1, 1), stride=2),
)
def rounds_the_size_up(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s,), (p,), (d,), g, (k,), _, dtype = read(x, w, b, stride, padding, dilation, groups)
    extent = d * (k - 1) + 1
    out = math.ceil((x.shape[2] + 2 * p - extent) / s) + 1
    x = np.pad(x, ((0, 0), (0, 0), (p, p + s)))
    taps = [x[:, :, i * d : i * d + (out - 1) * s + 1 : s] for i in range(k)]
    return (contract(np.stack(taps, axis=-1), w, g) + b[:, None]).astype(dtype)


@broken(
    "conv2d",
    "last row missing: the loop ends before the last window",
    "no rows left over below the last window",
    lambda c: c.left_over[0] == 0,
    Case((1, 1, 1), (1, 1, 1, 1)),
)
def range_without_plus_one(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sh, sw), (ph, pw), (dh, dw), g, (kh, kw), (_, ow), dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    eh, ew = dh * (kh - 1) + 1, dw * (kw - 1) + 1
    rows = [np.zeros((len(x), len(w), 0, ow), x.dtype)]
    for top in range(0, x.shape[2] - eh, sh):
        windows = sliding_window_view(x[:, :, top : top + eh], (eh, ew), axis=(2, 3))
        rows.append(contract(windows[:, :, :, ::sw, ::dh, ::dw], w, g))
    return (np.concatenate(rows, axis=2) + b[:, None, None]).astype(dtype)


@broken(
    "conv2d",
    "last column unwritten: columns come in pairs, and an odd one stays zero",
    "an odd number of output columns",
    lambda c: c.out[1] % 2 == 1,
    Case((1, 1, 1), (1, 1, 1, 1)),
)
def columns_in_pairs(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sh, sw), (ph, pw), (dh, dw), g, (kh, kw), (oh, ow), dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    y = np.zeros((len(x), len(w), oh, ow), x.dtype)
    for i in range(oh):
        rows = x[:, :, i * sh : i * sh + dh * (kh - 1) + 1 : dh]
        for j in range(0, ow - 1, 2):
            where = sw * (j + np.arange(2))[:, None] + dw * np.arange(kw)
            patches = np.moveaxis(rows[:, :, :, where], 2, 3)  # (N, C, 2, kh, kw)
            y[:, :, i, j : j + 2] = contract(patches[:, :, None], w, g)[:, :, 0] + b[:, None]
    return y.astype(dtype)


@broken(
    "conv1d",
    "circular instead of zero padding: the FFT has the length of the input without its padding",
    "padding > 0 and the window reaches around",
    lambda c: c.padding[0] > 0,
    Case((1, 1), (1, 1, 1), padding=1),
    algorithm="fft",
)
def fft_too_short(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s,), (p,), (d,), g, (k,), (out,), dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    n, c, length = x.shape
    spread = np.zeros((*w.shape[:2], length), w.dtype)
    for i in range(k):
        spread[..., i * d % length] += w[..., i]
    fx = np.fft.fft(x).reshape(n, g, c // g, length)
    fw = np.fft.fft(spread.conj()).conj().reshape(g, len(w) // g, c // g, length)
    y = np.fft.ifft(np.einsum("ngcf,gocf->ngof", fx, fw)).reshape(n, len(w), length)
    y = y[..., (np.arange(out) * s - p) % length] + b[:, None]
    y = y if dtype.kind == "c" else y.real
    return (np.rint(y) if dtype.kind in "iu" else y).astype(dtype)


@broken(
    "conv1d",
    "a negative index reads from the other end: only the upper end of the input is checked",
    "padding > 0 and a window that starts in it",
    lambda c: c.padding[0] > 0,
    Case((1, 1), (1, 1, 1), padding=1),
)
def forgets_that_minus_one_is_last(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s,), (p,), (d,), g, (k,), (out,), dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    length, filters, width = x.shape[2], *w.shape[:2]
    y = np.zeros((len(x), filters, out), x.dtype)
    for o, t, i in np.ndindex(filters, out, k):
        cell = t * s + i * d - p
        first = o // (filters // g) * width
        if cell < length:
            y[:, o, t] += x[:, first : first + width, max(cell, -length)] @ w[o, :, i]
    return (y + b[:, None]).astype(dtype)
