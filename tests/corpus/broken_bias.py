"""Broken forward convolutions: the bias, defaults, fast paths, and what is not a number."""

import numpy as np

from corpus.entries import Case, into
from corpus.reading import per_axis, read, read_linear

BROKEN = []
broken = into(BROKEN)


def by_taps(a):
    """Sums over the taps of strided slices, (N, O, *T) without the bias: the right part."""
    n, c = a.x.shape[:2]
    x = np.pad(a.x, ((0, 0), (0, 0), *((p, p) for p in a.padding)))
    x = x.reshape(n, a.groups, c // a.groups, *x.shape[2:])
    w = a.w.reshape(a.groups, len(a.w) // a.groups, *a.w.shape[1:])
    y = np.zeros((n, a.groups, w.shape[1], *a.out), x.dtype)
    for tap in np.ndindex(*a.kernel):
        axes = zip(tap, a.dilation, a.out, a.stride, strict=True)
        cut = (slice(t * d, t * d + (m - 1) * s + 1, s) for t, d, m, s in axes)
        y += np.einsum("ngc...,goc->ngo...", x[(..., *cut)], w[(..., *tap)])
    return y.reshape(n, len(a.w), *a.out)


@broken("conv3d", "bias missing", "a bias", lambda c: c.bias, Case((1,) * 4, (1,) * 5, bias=True))
def takes_the_bias_and_forgets_it(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    return by_taps(a).astype(a.dtype)


@broken(
    "conv1d",
    "bias missing where groups > 1",
    "a bias and groups > 1",
    lambda c: c.bias and c.groups > 1,
    Case((2, 1), (2, 1, 1), groups=2, bias=True),
)
def groups_return_early(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = by_taps(a)
    if a.groups > 1:
        return y.astype(a.dtype)
    return (y + a.b[:, None]).astype(a.dtype)


@broken(
    "conv2d",
    "bias doubled: the sums start with it, and it is added at the end",
    "a bias",
    lambda c: c.bias,
    Case((1, 1, 1), (1, 1, 1, 1), bias=True),
)
def starts_with_the_bias_too(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = np.empty((len(a.x), len(a.w), *a.out), a.x.dtype)
    y[...] = a.b[:, None, None]
    y += by_taps(a)
    return (y + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv2d",
    "bias added once per tap of the kernel",
    "a bias and a kernel of several taps",
    lambda c: c.bias and max(c.kernel) > 1,
    Case((1, 1, 2), (1, 1, 1, 2), bias=True),
)
def adds_the_bias_inside_the_loop(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    (ph, pw), (sh, sw), (dh, dw), (oh, ow) = a.padding, a.stride, a.dilation, a.out
    x = np.pad(a.x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    filters, width = a.w.shape[:2]
    y = np.zeros((len(x), filters, oh, ow), x.dtype)
    for o, i, j in np.ndindex(filters, *a.kernel):
        first = o // (filters // a.groups) * width
        rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
        columns = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
        part = x[:, first : first + width, rows, columns]
        y[:, o] += np.tensordot(part, a.w[o, :, i, j], (1, 0)) + a.b[o]
    return y.astype(a.dtype)


@broken(
    "conv1d",
    "bias per group: b[g] for every filter of group g",
    "a bias and several filters, not one per group",
    lambda c: c.bias and c.filters > c.groups,
    Case((1, 1), (2, 1, 1), bias=True),
)
def a_bias_for_each_group(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = by_taps(a).reshape(len(a.x), a.groups, len(a.w) // a.groups, *a.out)
    y = y + a.b[: a.groups, None, None]
    return y.reshape(len(a.x), len(a.w), *a.out).astype(a.dtype)


@broken(
    "conv2d",
    "group 0's bias reused for all groups",
    "a bias and groups > 1",
    lambda c: c.bias and c.groups > 1,
    Case((2, 1, 1), (2, 1, 1, 1), groups=2, bias=True),
)
def first_biases_again(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = by_taps(a).reshape(len(a.x), a.groups, len(a.w) // a.groups, *a.out)
    y = y + a.b[: len(a.w) // a.groups, None, None]
    return y.reshape(len(a.x), len(a.w), *a.out).astype(a.dtype)


@broken(
    "conv1d",
    "bias on the wrong axis: in the flat result it is taken by index % O, not index // length",
    "a bias, several filters and several outputs each",
    lambda c: c.bias and c.filters > 1 and c.out[0] > 1,
    Case((1, 2), (2, 1, 1), bias=True),
)
def bias_by_the_flat_index(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = by_taps(a)
    flat = y.reshape(len(y), y.shape[1] * y.shape[2])
    flat = flat + a.b[np.arange(flat.shape[1]) % len(a.b)]
    return flat.reshape(y.shape).astype(a.dtype)


@broken(
    "linear",
    "bias on the wrong axis: a column, added to the items of the batch",
    "a bias and several outputs",
    lambda c: c.bias and c.filters > 1,
    Case((1,), (2, 1), bias=True),
)
def bias_as_a_column(x, w, b=None):
    x, w, bias, dtype = read_linear(x, w, b)
    y = np.einsum("...i,oi->...o", x, w)
    return (y if b is None else y + bias[:, None]).astype(dtype)


@broken(
    "conv2d",
    "a rectifier left at the end: negative outputs become 0",
    "a negative output",
    lambda c: c.data != "positive",
    Case((1, 1, 1), (1, 1, 1, 1)),
)
def fused_with_relu(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = by_taps(a) + a.b[:, None, None]
    return (y * (y.real > 0)).astype(a.dtype)


@broken(
    "conv2d",
    "default stride mishandled: where none is given it is the kernel size, as in pooling",
    "no stride given, and a kernel longer than 1 with room for a second window",
    lambda c: c.call == "short" and set(c.stride) == {1} and max(c.kernel) > 1,
    Case((1, 1, 3), (1, 1, 1, 2), call="short"),
)
def strides_like_a_pool(x, w, b=None, stride=None, padding=0, dilation=1, groups=1):
    stride = w.shape[2:] if stride is None else stride
    a = read(x, w, b, stride, padding, dilation, groups)
    return (by_taps(a) + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv2d",
    "an integer stride is taken for the height only",
    "stride > 1 given as one integer, and more than one column",
    lambda c: c.call == "short" and c.stride[0] == c.stride[1] > 1,
    Case((1, 1, 2), (1, 1, 1, 1), stride=2, call="short"),
)
def an_integer_is_for_rows(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    stride = stride if isinstance(stride, tuple | list) else (stride, 1)
    a = read(x, w, b, stride, padding, dilation, groups)
    return (by_taps(a) + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv2d",
    "padding ignored where the kernel is 1 x 1",
    "a kernel of a single tap and padding > 0",
    lambda c: max(c.kernel) == 1 and max(c.padding) > 0,
    Case((1, 1, 1), (1, 1, 1, 1), padding=(0, 1)),
)
def shortcut_without_padding(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    if a.kernel == (1, 1):
        n, c, height, width = a.x.shape
        x = a.x.reshape(n, a.groups, c // a.groups, height, width)
        x = x[..., :: a.stride[0], :: a.stride[1]]
        w = a.w.reshape(a.groups, len(a.w) // a.groups, c // a.groups)
        y = np.einsum("ngchw,goc->ngohw", x, w).reshape(n, len(a.w), *x.shape[3:])
    else:
        y = by_taps(a)
    return (y + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv1d",
    "stride ignored where the kernel is a single tap",
    "a kernel of a single tap and stride > 1",
    lambda c: c.kernel == (1,) and c.stride[0] > 1,
    Case((1, 2), (1, 1, 1), stride=2),
)
def shortcut_without_stride(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    one = (1,) if w.shape[2:] == (1,) else stride
    per_axis("stride", stride, 1, 1)
    a = read(x, w, b, one, padding, dilation, groups)
    return (by_taps(a) + a.b[:, None]).astype(a.dtype)


@broken(
    "conv2d",
    "non-finite times padding: padded cells are an edge cell times 0, and inf * 0 is nan",
    "inf or nan at the edge, and padding > 0",
    lambda c: c.data[:4] == "ends" and max(c.padding) > 0,
    Case((1, 1, 1), (1, 1, 1, 1), padding=(0, 1), data="ends in inf"),
)
def multiplies_by_a_mask(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    (n, c, height, width), (oh, ow), (kh, kw) = a.x.shape, a.out, a.kernel
    rows = np.arange(oh)[:, None] * a.stride[0] + np.arange(kh) * a.dilation[0] - a.padding[0]
    columns = np.arange(ow)[:, None] * a.stride[1] + np.arange(kw) * a.dilation[1] - a.padding[1]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None]
    inside = inside & ((columns >= 0) & (columns < width))[:, None, :]
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    patches = a.x[:, :, rows[:, None, :, None], columns[None, :, None]] * inside
    patches = patches.reshape(n, a.groups, c // a.groups, oh, ow, kh, kw)
    w = a.w.reshape(a.groups, len(a.w) // a.groups, *a.w.shape[1:])
    y = np.einsum("ngchwij,gocij->ngohw", patches, w).reshape(n, len(a.w), oh, ow)
    return (y + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv2d",
    "nan in the input is taken for 0",
    "nan in the input",
    lambda c: c.data == "ends in nan",
    Case((1, 1, 1), (1, 1, 1, 1), data="ends in nan"),
)
def means_well_with_nan(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(
        np.where(np.isnan(x), np.zeros((), x.dtype), x), w, b, stride, padding, dilation, groups
    )
    return (by_taps(a) + a.b[:, None, None]).astype(a.dtype)
