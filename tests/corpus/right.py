"""Correct implementations: forward passes of convolutions, written in many ways."""

from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from corpus.entries import entering
from corpus.reading import halves, read, read_linear

RIGHT = []
right = entering(RIGHT)


def padded(a):
    return np.pad(a.x, ((0, 0), (0, 0), *((p, p) for p in a.padding)))


def split(x, a):
    """(N, C, ...) -> (N, G, C/G, ...)."""
    return x.reshape(len(x), a.groups, x.shape[1] // a.groups, *x.shape[2:])


def kernels_of(a):
    """(G, O/G, C/G, *K)."""
    return a.w.reshape(a.groups, len(a.w) // a.groups, *a.w.shape[1:])


def finished(y, a):
    """(N, O, *T) with the bias, in the dtype of the arguments."""
    y = y.reshape(len(a.x), len(a.w), *a.out) + a.b.reshape(-1, *[1] * len(a.out))
    return y.astype(a.dtype)


def parts_of(a):
    """For every channel of a group and every tap: its inputs (N, G, *T) and weights (G, O/G)."""
    x, w = split(padded(a), a), kernels_of(a)
    for c in range(w.shape[2]):
        for tap in np.ndindex(*a.kernel):
            axes = zip(tap, a.dilation, a.out, a.stride, strict=True)
            cut = (slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in axes)
            yield x[(slice(None), slice(None), c, *cut)], w[(slice(None), slice(None), c, *tap)]


def products_of(a):
    """Each channel's and tap's contribution, (N, G, O/G, *T)."""
    return [np.einsum("ng...,go->ngo...", x, w) for x, w in parts_of(a)]


@right("conv1d", "direct loops over everything; NotImplementedError beyond 20 000 multiply-adds")
def loops_over_everything(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    filters, width, k = a.w.shape
    if len(a.x) * filters * a.out[0] * width * k > 20_000:
        raise NotImplementedError("too slow for so much")
    y = np.zeros((len(a.x), filters, *a.out), a.x.dtype)
    for n, o, t in np.ndindex(*y.shape):
        for c in range(width):
            for i in range(k):
                cell = t * a.stride[0] + i * a.dilation[0] - a.padding[0]
                if 0 <= cell < a.x.shape[2]:
                    channel = o // (filters // a.groups) * width + c
                    y[n, o, t] += a.x[n, channel, cell] * a.w[o, c, i]
    return finished(y, a)


@right("conv2d", "one window after another: pad, cut, multiply, sum")
def window_by_window(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    (dh, dw), (kh, kw) = a.dilation, a.kernel
    x, w = split(padded(a), a), kernels_of(a)
    y = np.empty((*x.shape[:2], w.shape[1], *a.out), x.dtype)
    for i, j in np.ndindex(*a.out):
        top, left = i * a.stride[0], j * a.stride[1]
        rows, columns = slice(top, top + dh * kh, dh), slice(left, left + dw * kw, dw)
        patch = x[..., rows, columns][..., :kh, :kw]
        y[..., i, j] = (patch[:, :, None] * w).sum(axis=(3, 4, 5))
    return finished(y, a)


@right("conv2d", "im2col by fancy indices, and one matrix product per group")
def im2col(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    rows, columns = (
        (s * np.arange(n) + d * np.arange(k)[:, None])
        for s, n, d, k in zip(a.stride, a.out, a.dilation, a.kernel, strict=True)
    )
    patches = split(padded(a), a)[..., rows[:, None, :, None], columns[:, None]]
    patches = patches.reshape(len(a.x), a.groups, a.w[0].size, prod(a.out))
    return finished(kernels_of(a).reshape(a.groups, -1, a.w[0].size) @ patches, a)


@right("conv3d", "im2col of the whole batch at once, (C K, N L), one matrix product per group")
def im2col_of_the_batch(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    parts = np.stack([part for part, _ in parts_of(a)])  # (C/G K, N, G, *T)
    columns = np.moveaxis(parts, 2, 0).reshape(a.groups, len(parts), len(a.x) * prod(a.out))
    y = kernels_of(a).reshape(a.groups, -1, len(parts)) @ columns
    y = y.reshape(len(a.w), len(a.x), prod(a.out)).swapaxes(0, 1)
    return finished(np.ascontiguousarray(y), a)


@right("conv2d", "strided view of windows, one einsum with optimize; 'same' and 'valid' by name")
def einsum_over_a_view(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    before = after = 0
    if padding == "same":
        if stride not in (1, (1, 1)):
            raise ValueError("padding='same' needs stride 1")
        steps = (dilation,) * 2 if isinstance(dilation, int) else dilation
        before, after = zip(
            *(halves(d * (k - 1)) for d, k in zip(steps, w.shape[2:], strict=True)), strict=True
        )
        x = np.pad(x, ((0, 0), (0, 0), *zip(before, after, strict=True)))
    a = read(x, w, b, stride, 0 if padding in ("same", "valid") else padding, dilation, groups)
    x = split(padded(a), a)
    *lead, sh, sw = x.strides
    shape = (*x.shape[:3], *a.out, *a.kernel)
    steps = (sh * a.stride[0], sw * a.stride[1], sh * a.dilation[0], sw * a.dilation[1])
    windows = as_strided(x, shape, (*lead, *steps), writeable=False)
    return finished(np.einsum("ngchwij,gocij->ngohw", windows, kernels_of(a), optimize=True), a)


@right("conv3d", "sliding_window_view and tensordot, one group after another")
def tensordot_by_groups(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    extent = tuple(d * (k - 1) + 1 for k, d in zip(a.kernel, a.dilation, strict=True))
    windows = sliding_window_view(padded(a), extent, axis=(2, 3, 4))
    windows = windows[(..., *(slice(None, None, step) for step in a.stride + a.dilation))]
    y = [
        np.tensordot(part, kernel, ((1, 5, 6, 7), (1, 2, 3, 4)))
        for part, kernel in zip(
            np.split(windows, a.groups, axis=1), np.split(a.w, a.groups), strict=True
        )
    ]
    return finished(np.moveaxis(np.concatenate(y, axis=-1), -1, 1), a)


@right("conv2d", "float16 stays float16 in memory and is summed in float32, tap by tap")
def half_storage_single_sums(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = np.zeros((len(a.x), a.groups, len(a.w) // a.groups, *a.out), a.x.dtype)
    stored = a._replace(x=np.asarray(x), w=np.asarray(w))
    for part, weights in parts_of(stored):
        y += np.einsum("nghw,go->ngohw", part.astype(a.x.dtype), weights.astype(a.w.dtype))
    return finished(y, a)


@right("conv2d", "sums from the last channel and tap to the first")
def reversed_sums(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    return finished(sum(reversed(products_of(a))), a)


@right("conv1d", "pairwise sums")
def pairwise_sums(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    terms = products_of(a)
    while len(terms) > 1:
        pairs = [p + q for p, q in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(terms) - len(terms) % 2 :]
    return finished(terms[0], a)


@right("conv1d", "compensated sums after Kahan, without compensation where it is not finite")
def kahan_sums(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    total, lost = 0, 0
    for term in products_of(a):
        term = term - lost
        new = total + term
        lost = (new - total) - term
        lost = np.where(np.isfinite(lost), lost, 0).astype(lost.dtype)
        total = new
    return finished(total, a)


@right("conv3d", "everything is summed in float64, complex128 or int64 and rounded once")
def double_sums(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    widest = {"i": np.int64, "u": np.uint64, "c": np.complex128}.get(a.dtype.kind, np.float64)
    a = a._replace(x=a.x.astype(widest), w=a.w.astype(widest), b=a.b.astype(widest))
    return finished(sum(products_of(a)), a)


@right("conv2d", "channels last inside: (N, H, W, C) and (kH, kW, C, O)")
def channels_last_inside(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    x = np.ascontiguousarray(padded(a).transpose(0, 2, 3, 1))
    w = np.ascontiguousarray(a.w.transpose(2, 3, 1, 0))
    (oh, ow), (sh, sw), (dh, dw) = a.out, a.stride, a.dilation
    width, per = w.shape[2], w.shape[3] // a.groups
    y = np.zeros((len(x), oh, ow, w.shape[3]), x.dtype)
    for i, j in np.ndindex(*a.kernel):
        rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
        part = x[:, rows, j * dw : j * dw + (ow - 1) * sw + 1 : sw]
        for g in range(a.groups):
            inputs, outputs = slice(g * width, (g + 1) * width), slice(g * per, (g + 1) * per)
            y[..., outputs] += part[..., inputs] @ w[i, j, :, outputs]
    return (y + a.b).astype(a.dtype).transpose(0, 3, 1, 2).copy()


@right("conv2d", "the result is a view of a channels-last array, not contiguous")
def returns_a_view(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    y = channels_last_inside(x, w, b, stride, padding, dilation, groups)
    return np.ascontiguousarray(y.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@right("conv2d", "NotImplementedError where groups > 1")
def without_groups(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    if groups != 1:
        raise NotImplementedError("groups")
    return im2col(x, w, b, stride, padding, dilation)


@right("conv1d", "NotImplementedError where the kernel is even")
def odd_kernels_only(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    if w.shape[2] % 2 == 0:
        raise NotImplementedError("even kernels")
    return pairwise_sums(x, w, b, stride, padding, dilation, groups)


@right("conv3d", "NotImplementedError where strides or dilations differ between axes")
def alike_on_all_axes(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    if any(not isinstance(s, int) and len(set(s)) > 1 for s in (stride, dilation)):
        raise NotImplementedError("different strides or dilations")
    return tensordot_by_groups(x, w, b, stride, padding, dilation, groups)


@right("conv2d", "has neither `groups` nor `dilation`")
def has_two_options(x, w, b=None, stride=1, padding=0):
    return window_by_window(x, w, b, stride, padding)


@right("conv1d", "takes its options by keyword only, and only whole numbers: no tuples")
def keywords_only(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    if not all(isinstance(value, int) for value in (stride, padding, dilation)):
        raise NotImplementedError("tuples")
    return loops_over_everything(x, w, b, stride, padding, dilation, groups)


@right("depthwise_conv2d", "multiplies and sums without any group; NotImplementedError elsewhere")
def depthwise(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    if a.w.shape[1] != 1:
        raise NotImplementedError("not depthwise")
    y = 0
    x = np.repeat(padded(a), len(a.w) // a.groups, axis=1)
    for i, j in np.ndindex(*a.kernel):
        rows, columns = (
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip((i, j), a.dilation, a.out, a.stride, strict=True)
        )
        y = y + x[:, :, rows, columns] * a.w[:, 0, i, j, None, None]
    return finished(y, a)


@right(
    "depthwise_conv1d",
    "np.convolve with the turned kernel and the zeros of its dilation, every stride-th",
    spreads=True,
)
def depthwise_by_numpy(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    if a.w.shape[1] != 1:
        raise NotImplementedError("not depthwise")
    (k,), (d,), x = a.kernel, a.dilation, padded(a)
    y = np.empty((len(x), len(a.w), *a.out), x.dtype)
    for n, o in np.ndindex(*y.shape[:2]):
        spread = np.zeros(d * (k - 1) + 1, x.dtype)
        spread[::d] = a.w[o, 0, ::-1]
        line = x[n, o // (len(a.w) // a.groups)]
        y[n, o] = np.convolve(line, spread, "valid")[:: a.stride[0]]
    return finished(y, a)


@right("linear", "x @ w.T + b")
def linear(x, w, b=None):
    x, w, b, dtype = read_linear(x, w, b)
    return (x @ w.T + b).astype(dtype)
