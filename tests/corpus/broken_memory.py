"""Broken forward convolutions: dtypes, memory layout, buffers, and what earlier calls left."""

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from corpus.entries import Case, into
from corpus.reading import read

BROKEN = []
broken = into(BROKEN)


def slide(x, a):
    """The right answer from an input that is already padded, without the bias."""
    extent = tuple(d * (k - 1) + 1 for k, d in zip(a.kernel, a.dilation, strict=True))
    windows = sliding_window_view(x, extent, axis=tuple(range(2, x.ndim)))
    windows = windows[(..., *(slice(None, None, step) for step in a.stride + a.dilation))]
    n, c, axes = *x.shape[:2], len(a.out)
    windows = windows.reshape(n, a.groups, c // a.groups, *windows.shape[2:])
    w = a.w.reshape(a.groups, len(a.w) // a.groups, *a.w.shape[1:])
    out, taps = "xyz"[:axes], "ijk"[:axes]
    y = np.einsum(f"ngc{out}{taps},goc{taps}->ngo{out}", windows, w)
    return y.reshape(n, len(a.w), *a.out)


def framed(x, a):
    return np.pad(x, ((0, 0), (0, 0), *((p, p) for p in a.padding)))


@broken(
    "conv2d",
    "the result is always float64: it is made by np.zeros without a dtype",
    "a dtype other than float64",
    lambda c: c.dtype != "float64",
    Case((1, 1, 1), (1, 1, 1, 1), dtype="float32"),
)
def zeros_without_a_dtype(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = np.zeros((len(a.x), len(a.w), *a.out), complex if a.dtype.kind == "c" else float)
    y += slide(framed(a.x, a), a) + a.b[:, None, None]
    return y


@broken(
    "conv1d",
    "low-precision accumulation: float16 is summed in float16",
    "float16, and a sum that float16 cannot hold on the way",
    lambda c: c.dtype == "float16" and c.data == "2048 and ones",
    Case((1, 3), (1, 1, 3), dtype="float16", data="2048 and ones"),
)
def sums_in_half_precision(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    x, w = framed(x, a).astype(a.dtype), w.astype(a.dtype)
    (s,), (d,), (k,), (out,) = a.stride, a.dilation, a.kernel, a.out
    y = np.zeros((len(x), len(w), out), a.dtype)
    for o, c, i in np.ndindex(len(w), w.shape[1], k):
        line = x[:, o // (len(w) // a.groups) * w.shape[1] + c]
        y[:, o] += line[:, i * d : i * d + (out - 1) * s + 1 : s] * w[o, c, i]
    return y + a.b[:, None].astype(a.dtype)


@broken(
    "conv3d",
    "low-precision accumulation: float64 is computed in float32",
    "float64 whose numbers float32 cannot hold",
    lambda c: c.dtype == "float64" and c.data == "large",
    Case((1, 1, 1, 1), (1, 1, 1, 1, 1), data="large"),
)
def single_precision_will_do(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    if a.dtype == np.float64:
        a = a._replace(x=a.x.astype(np.float32), w=a.w.astype(np.float32))
    return (slide(framed(a.x, a), a) + a.b[:, None, None, None]).astype(a.dtype)


@broken(
    "conv2d",
    "layout read as contiguous: x is read in the order of its memory",
    "x whose axes lie in another order in memory",
    lambda c: c.layout == "transposed",
    Case((1, 2, 2), (1, 1, 1, 1), layout="transposed"),
)
def reads_memory_in_order(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    flat = np.asarray(x).ravel(order="K").astype(a.x.dtype)
    return (slide(framed(flat.reshape(x.shape), a), a) + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv1d",
    "layout read as contiguous: neighbours on the last axis are taken to lie side by side",
    "x whose last axis is not contiguous in memory (np.pad copies, but keeps Fortran's order)",
    lambda c: c.layout == "transposed" or (c.layout == "sliced" and c.padding == (0,)),
    Case((1, 2), (1, 1, 1), layout="sliced"),
)
def strides_by_the_itemsize(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    (s,), (p,), (d,), (k,), (out,) = a.stride, a.padding, a.dilation, a.kernel, a.out
    x = framed(x, a) if p else np.asarray(x)
    if x.size == 0 or min(x.strides) <= 0:  # neither reversed nor broadcast arrays are walked
        x = np.array(x, order="C")
    (n, c, _), step = x.shape, x.itemsize
    shape = (n, a.groups, c // a.groups, out, k)
    steps = (x.strides[0], c // a.groups * x.strides[1], x.strides[1], s * step, d * step)
    windows = as_strided(x, shape, steps, writeable=False).astype(a.x.dtype)
    w = a.w.reshape(a.groups, len(a.w) // a.groups, c // a.groups, k)
    y = np.einsum("ngctk,gock->ngot", windows, w).reshape(n, len(a.w), out)
    return (y + a.b[:, None]).astype(a.dtype)


@broken(
    "conv3d",
    "an empty batch crashes: np.stack of nothing",
    "a batch of 0",
    lambda c: c.batch == 0,
    Case((1, 1, 1, 1), (1, 1, 1, 1, 1), batch=0),
)
def stacks_the_items(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = np.stack([slide(framed(item[None], a), a)[0] for item in a.x])
    return (y + a.b[:, None, None, None]).astype(a.dtype)


_padded = {}


@broken(
    "conv2d",
    "state kept between calls: the padded buffer is reused, and its border is not cleared",
    "an earlier call with the same padded shape and less padding",
    lambda c: c.before is not None,
    Case((1, 1, 1), (1, 1, 1, 1), padding=(0, 1), before=Case((1, 1, 3), (1, 1, 1, 1))),
    reset=_padded.clear,
)
def buffer_with_a_dirty_border(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    (n, c, height, width), (ph, pw) = a.x.shape, a.padding
    key = (n, c, height + 2 * ph, width + 2 * pw), a.x.dtype.str
    if key not in _padded:
        _padded[key] = np.zeros(*key)
    _padded[key][:, :, ph : ph + height, pw : pw + width] = a.x
    return (slide(_padded[key], a) + a.b[:, None, None]).astype(a.dtype)


_indices = {}


@broken(
    "conv1d",
    "state kept between calls: the indices are cached by shapes, without the dilation",
    "an earlier call with the same shapes and another stride, padding or dilation",
    lambda c: c.before is not None,
    Case((1, 3), (1, 1, 2), dilation=2, before=Case((1, 3), (1, 1, 2), stride=2)),
    reset=_indices.clear,
)
def cache_with_too_small_a_key(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    key = a.x.shape, a.w.shape, a.out
    if key not in _indices:
        taps = a.dilation[0] * np.arange(a.kernel[0])
        _indices[key] = a.stride[0] * np.arange(a.out[0])[:, None] + taps
    x = framed(a.x, a)
    windows = x.take(_indices[key], axis=2, mode="clip")
    n, c = x.shape[:2]
    windows = windows.reshape(n, a.groups, c // a.groups, *windows.shape[2:])
    w = a.w.reshape(a.groups, len(a.w) // a.groups, *a.w.shape[1:])
    y = np.einsum("ngctk,gock->ngot", windows, w).reshape(n, len(a.w), *a.out)
    return (y + a.b[:, None]).astype(a.dtype)


_results = {}


@broken(
    "conv1d",
    "the result is an internal buffer that the next call overwrites",
    "two calls with results of one shape",
    lambda c: True,
    Case((1, 1), (1, 1, 1)),
    reset=_results.clear,
)
def lends_its_buffer(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = slide(framed(a.x, a), a) + a.b[:, None]
    kept = _results.setdefault((y.shape, a.dtype.str), np.empty(y.shape, a.dtype))
    kept[...] = y
    return kept


@broken(
    "depthwise_conv2d",
    "the input is modified in place where the output has its shape",
    "a 1 x 1 kernel with stride 1, no padding, no multiplier",
    lambda c: (
        set(c.kernel + c.stride) == {1}
        and set(c.padding) == {0}
        and c.filters == c.channels
        and c.batch > 0
    ),
    Case((1, 1, 1), (1, 1, 1, 1)),
)
def saves_an_allocation(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    plain = a.kernel == a.stride == (1, 1) and a.padding == (0, 0)
    if plain and len(a.w) == a.x.shape[1]:
        x *= a.w[:, 0].astype(x.dtype)
        return (x + a.b[:, None, None]).astype(a.dtype)
    return (slide(framed(a.x, a), a) + a.b[:, None, None]).astype(a.dtype)


@broken(
    "linear",
    "low-precision accumulation: float16 is summed in float16",
    "float16, and a sum that float16 cannot hold on the way",
    lambda c: c.dtype == "float16" and c.data == "2048 and ones",
    Case((3,), (1, 3), dtype="float16", data="2048 and ones"),
)
def adds_up_in_half_precision(x, w, b=None):
    if w.ndim != 2 or x.shape[-1] != w.shape[1] or (b is not None and b.shape != w.shape[:1]):
        raise ValueError(f"x {x.shape} and w {w.shape} do not fit")
    y = np.zeros((*x.shape[:-1], len(w)), np.result_type(x, w))
    for i in range(w.shape[1]):
        y += x[..., i, None] * w[:, i]
    return y if b is None else y + b
