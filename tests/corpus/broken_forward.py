"""Broken forward convolutions: flipped, swapped, ignored, exchanged."""

import itertools

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from corpus.entries import Case, into
from corpus.reading import read

BROKEN = []
broken = into(BROKEN)


@broken(
    "conv2d",
    "kernel flipped along all axes",
    "a kernel axis longer than 1",
    lambda c: max(c.kernel) > 1,
    Case((1, 1, 2), (1, 1, 1, 2)),
)
def convolves_like_a_mathematician(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sh, sw), (ph, pw), (dh, dw), g, (kh, kw), _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = sliding_window_view(x, ((kh - 1) * dh + 1, (kw - 1) * dw + 1), axis=(2, 3))
    windows = windows[:, :, ::sh, ::sw, ::dh, ::dw]
    n, c, oh, ow = windows.shape[:4]
    windows = windows.reshape(n, g, c // g, oh, ow, kh, kw)
    kernels = w[:, :, ::-1, ::-1].reshape(g, w.shape[0] // g, c // g, kh, kw)
    y = np.einsum("ngchwij,gocij->ngohw", windows, kernels)
    return (y.reshape(n, w.shape[0], oh, ow) + b[:, None, None]).astype(dtype)


@broken(
    "conv2d",
    "kernel flipped along the width only",
    "a kernel wider than 1",
    lambda c: c.kernel[1] > 1,
    Case((1, 1, 2), (1, 1, 1, 2)),
)
def counts_columns_down(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sh, sw), (ph, pw), (dh, dw), g, (kh, kw), (oh, ow), dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    filters, width = w.shape[:2]
    y = np.zeros((x.shape[0], filters, oh, ow), x.dtype) + b[:, None, None]
    for o in range(filters):
        first = o // (filters // g) * width
        for c, i, j in itertools.product(range(width), range(kh), range(kw)):
            top, left = i * dh, j * dw
            rows = slice(top, top + (oh - 1) * sh + 1, sh)
            columns = slice(left, left + (ow - 1) * sw + 1, sw)
            y[:, o] += x[:, first + c, rows, columns] * w[o, c, i, kw - 1 - j]
    return y.astype(dtype)


@broken(
    "conv1d",
    "kernel flipped: the spectra are multiplied without the conjugate",
    "a kernel longer than 1",
    lambda c: max(c.kernel) > 1,
    Case((1, 2), (1, 1, 2)),
    algorithm="fft",
)
def fft_of_a_convolution(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s,), (p,), (d,), g, (k,), (out,), dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    n, c, length = x.shape
    spread = np.zeros((*w.shape[:2], (k - 1) * d + 1), w.dtype)
    spread[..., ::d] = w
    full = length + 2 * p + spread.shape[-1] - 1
    fx = np.fft.fft(np.pad(x, ((0, 0), (0, 0), (p, p))), full).reshape(n, g, c // g, full)
    fw = np.fft.fft(spread, full).reshape(g, -1, c // g, full)
    y = np.fft.ifft(np.einsum("ngcf,gocf->ngof", fx, fw)).reshape(n, w.shape[0], full)
    y = y[..., spread.shape[-1] - 1 :][..., : (out - 1) * s + 1 : s] + b[:, None]
    y = y if dtype.kind == "c" else y.real
    return (np.rint(y) if dtype.kind in "iu" else y).astype(dtype)


@broken(
    "conv2d",
    "H and W swapped in the kernel",
    "a kernel that is not a single tap",
    lambda c: max(c.kernel) > 1,
    Case((1, 1, 2), (1, 1, 1, 2)),
)
def kernel_lies_on_its_side(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sh, sw), (ph, pw), (dh, dw), g, _, _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    filters, width, kw, kh = w.shape
    oh = max(0, (x.shape[2] - dh * (kh - 1) - 1) // sh + 1)
    ow = max(0, (x.shape[3] - dw * (kw - 1) - 1) // sw + 1)
    y = np.zeros((x.shape[0], filters, oh, ow), x.dtype)
    for i, j in itertools.product(range(oh), range(ow)):
        top, left = i * sh, j * sw
        patch = x[:, :, top : top + dh * (kh - 1) + 1 : dh, left : left + dw * (kw - 1) + 1 : dw]
        for o in range(filters):
            first = o // (filters // g) * width
            product = patch[:, first : first + width] * w[o].swapaxes(1, 2)
            y[:, o, i, j] = product.sum(axis=(1, 2, 3)) + b[o]
    return y.astype(dtype)


@broken(
    "conv3d",
    "stride tuple reversed: depth and width swapped in the stride",
    "stride of depth != stride of width",
    lambda c: c.stride[0] != c.stride[2],
    Case((1, 1, 1, 2), (1, 1, 1, 1, 1), stride=(1, 1, 2)),
)
def strides_from_the_last_axis(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, stride, padding, dilation, g, kernel, _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    windows = sliding_window_view(x, extent, axis=(2, 3, 4))
    sw, sh, sd = stride
    dd, dh, dw = dilation
    windows = windows[:, :, ::sd, ::sh, ::sw, ::dd, ::dh, ::dw]
    n, c = windows.shape[:2]
    windows = windows.reshape(n, g, c // g, *windows.shape[2:])
    y = np.einsum("ngcabdijk,gocijk->ngoabd", windows, w.reshape(g, -1, *w.shape[1:]))
    y = y.reshape(n, w.shape[0], *y.shape[3:])
    return (y + b[:, None, None, None]).astype(dtype)


@broken(
    "conv2d",
    "H and W swapped in the padding",
    "padding of height != padding of width",
    lambda c: c.padding[0] != c.padding[1],
    Case((1, 1, 1), (1, 1, 1, 1), padding=(0, 1)),
)
def pads_width_by_height(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sh, sw), (ph, pw), (dh, dw), g, (kh, kw), _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (pw, pw), (ph, ph)))
    oh = max(0, (x.shape[2] - dh * (kh - 1) - 1) // sh + 1)
    ow = max(0, (x.shape[3] - dw * (kw - 1) - 1) // sw + 1)
    rows = sh * np.arange(oh)[:, None, None, None] + dh * np.arange(kh)[:, None]
    columns = sw * np.arange(ow)[:, None, None] + dw * np.arange(kw)
    patches = x[:, :, rows, columns]  # (N, C, oh, ow, kh, kw)
    n, c = patches.shape[:2]
    patches = np.moveaxis(patches.reshape(n, g, c // g, oh, ow, kh * kw), 2, 4)
    patches = patches.reshape(n, g, oh * ow, c // g * kh * kw)
    y = patches @ w.reshape(g, len(w) // g, c // g * kh * kw).swapaxes(1, 2)
    y = y.swapaxes(2, 3).reshape(n, len(w), oh, ow)
    return (y + b[:, None, None]).astype(dtype)


@broken(
    "conv2d",
    "H and W swapped in the dilation",
    "dilation of height != dilation of width, and a kernel that is not a single tap",
    lambda c: c.dilation[0] != c.dilation[1] and max(c.kernel) > 1,
    Case((1, 1, 3), (1, 1, 1, 2), dilation=(1, 2)),
)
def dilates_the_other_axis(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (sh, sw), (ph, pw), (dh, dw), g, (kh, kw), _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    filters, width, eh, ew = *w.shape[:2], (kh - 1) * dw + 1, (kw - 1) * dh + 1
    oh, ow = max(0, (x.shape[2] - eh) // sh + 1), max(0, (x.shape[3] - ew) // sw + 1)
    y = np.zeros((x.shape[0], filters, oh, ow), x.dtype)
    for o, i, j in np.ndindex(filters, oh, ow):
        first = o // (filters // g) * width
        rows, columns = slice(i * sh, i * sh + eh, dw), slice(j * sw, j * sw + ew, dh)
        patch = x[:, first : first + width, rows, columns]
        y[:, o, i, j] = (patch * w[o]).sum(axis=(1, 2, 3))
    return (y + b[:, None, None]).astype(dtype)


@broken(
    "conv2d",
    "first axis's stride used for all axes",
    "stride of height != stride of width",
    lambda c: c.stride[0] != c.stride[1],
    Case((1, 1, 2), (1, 1, 1, 1), stride=(1, 2)),
)
def one_stride_is_enough(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (s, _), (ph, pw), (dh, dw), g, (kh, kw), _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    n, c, height, width = x.shape
    oh, ow = (height - dh * (kh - 1) - 1) // s + 1, (width - dw * (kw - 1) - 1) // s + 1
    columns = np.empty((n, c, kh, kw, oh, ow), x.dtype)
    for i, j in np.ndindex(kh, kw):
        rows = slice(i * dh, i * dh + (oh - 1) * s + 1, s)
        columns[:, :, i, j] = x[:, :, rows, j * dw : j * dw + (ow - 1) * s + 1 : s]
    columns = columns.reshape(n, g, c // g * kh * kw, oh * ow)
    y = w.reshape(g, len(w) // g, c // g * kh * kw) @ columns
    return (y.reshape(n, len(w), oh, ow) + b[:, None, None]).astype(dtype)


@broken(
    "conv3d",
    "first axis's dilation used for all axes",
    "an axis with another dilation than depth, and more than one tap along it",
    lambda c: any(d != c.dilation[0] and k > 1 for d, k in zip(c.dilation, c.kernel, strict=True)),
    Case((1, 1, 1, 3), (1, 1, 1, 1, 2), dilation=(1, 1, 2)),
)
def one_dilation_is_enough(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, stride, padding, dilation, g, kernel, _, dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    d = dilation[0]
    out = [
        max(0, (n - d * (k - 1) - 1) // s + 1)
        for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)
    ]
    n, width = x.shape[0], w.shape[1]
    x, w = x.reshape(n, g, width, *x.shape[2:]), w.reshape(g, len(w) // g, *w.shape[1:])
    y = np.zeros((n, g, w.shape[1], *out), x.dtype)
    for tap in np.ndindex(*kernel):
        cut = (slice(t * d, t * d + m * s, s) for t, m, s in zip(tap, out, stride, strict=True))
        part = x[(..., *cut)][..., : out[0], : out[1], : out[2]]
        y += np.einsum("ngcijk,goc->ngoijk", part, w[(..., *tap)])
    return (y.reshape(n, len(b), *out) + b[:, None, None, None]).astype(dtype)


@broken(
    "conv2d",
    "stride ignored between windows, though the output size heeds it",
    "stride > 1 along an axis with more than one window",
    lambda c: any(s > 1 and n > 1 for s, n in zip(c.stride, c.out, strict=True)),
    Case((1, 1, 3), (1, 1, 1, 1), stride=(1, 2)),
)
def as_strided_without_stride(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, _, (ph, pw), (dh, dw), g, (kh, kw), (oh, ow), dtype = read(
        x, w, b, stride, padding, dilation, groups
    )
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    n, c = x.shape[:2]
    sn, sc, sh, sw = x.strides
    shape = (n, g, c // g, oh, ow, kh, kw)
    steps = (sn, sc * (c // g), sc, sh, sw, sh * dh, sw * dw)
    windows = as_strided(x, shape, steps, writeable=False)
    y = np.einsum("ngchwij,gocij->ngohw", windows, w.reshape(g, len(w) // g, c // g, kh, kw))
    return (y.reshape(n, len(w), oh, ow) + b[:, None, None]).astype(dtype)


@broken(
    "conv1d",
    "stride and dilation exchanged",
    "stride != dilation, and more than one window or tap",
    lambda c: c.stride != c.dilation,
    Case((1, 2), (1, 1, 1), stride=2),
)
def arguments_in_another_order(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x, w, b, (d,), (p,), (s,), g, (k,), _, dtype = read(x, w, b, stride, padding, dilation, groups)
    x = np.pad(x, ((0, 0), (0, 0), (p, p)))
    out = max(0, (x.shape[2] - d * (k - 1) - 1) // s + 1)
    where = s * np.arange(out)[:, None] + d * np.arange(k)
    n, c = x.shape[:2]
    patches = x[:, :, where].reshape(n, g, c // g, out, k)
    y = np.einsum("ngctk,gock->ngot", patches, w.reshape(g, len(w) // g, c // g, k))
    return (y.reshape(n, len(w), out) + b[:, None]).astype(dtype)
