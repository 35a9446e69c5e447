"""Correct unfolds, folds, pads and batch norms, each in another style."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from corpus.layers import entering
from corpus.norms import affine, batch_norm, given, over, per_channel, results, wide
from corpus.norms import moments as two_pass
from corpus.pads import pad as right_pad
from corpus.reading import per_axis
from corpus.windows import read_unfold

RIGHT = []
right = entering(RIGHT)


@right("unfold", note="a strided view, transposed and copied")
def unfolds_a_view(x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in a.padding)])
    extent = tuple(d * (k - 1) + 1 for k, d in zip(a.kernel, a.dilation, strict=True))
    v = sliding_window_view(x, extent, axis=(2, 3))
    v = v[(..., *(slice(None, None, step) for step in a.stride + a.dilation))]
    n, c, h, w = v.shape[:4]
    return v.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * a.kernel[0] * a.kernel[1], h * w)


@right("unfold", note="a copy per tap")
def unfolds_by_taps(x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in a.padding)])
    y = np.empty((*x.shape[:2], *a.kernel, *a.out), x.dtype)
    for i, j in np.ndindex(*a.kernel):
        y[:, :, i, j] = x[(..., *tap(a, i, j))]
    return y.reshape(len(x), int(np.prod(y.shape[1:4])), a.out[0] * a.out[1])


def tap(a, i, j):
    """What all windows read through a tap, in the padded input."""
    for t, d, s, m in zip((i, j), a.dilation, a.stride, a.out, strict=True):
        yield slice(t * d, t * d + (m - 1) * s + 1, s)


def gathers_taps(y, a):
    """The columns y added up tap by tap, and the padding cut off."""
    n, taps = len(y), a.kernel[0] * a.kernel[1]
    y = wide(y).reshape(n, y.shape[1] // taps, *a.kernel, *a.out)
    total = np.zeros(
        (*y.shape[:2], *(m + 2 * p for m, p in zip(a.sizes, a.padding, strict=True))), y.dtype
    )
    for i, j in np.ndindex(*a.kernel):
        total[(..., *tap(a, i, j))] += y[:, :, i, j]
    (top, left), (h, w) = a.padding, a.sizes
    return total[:, :, top : top + h, left : left + w]


@right("unfold", note="backward tap by tap", forward=unfolds_by_taps)
def unfold_returns_taps(g, x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    return gathers_taps(g, a).astype(g.dtype)


@right("fold", note="tap by tap")
def folds_by_taps(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(
        per_axis("output_size", output_size, 2, 1), kernel_size, dilation, padding, stride
    )
    return gathers_taps(x, a).astype(x.dtype)


@right("fold", note="nested loops")
def folds_cell_by_cell(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    taps = a.kernel[0] * a.kernel[1]
    y = np.zeros((len(x), x.shape[1] // taps, *a.sizes), wide(x).dtype)
    for column, t in enumerate(np.ndindex(*a.out)):
        for row, k in enumerate(np.ndindex(*a.kernel)):
            axes = zip(t, a.stride, k, a.dilation, a.padding, strict=True)
            i, j = (m * s + tap * d - p for m, s, tap, d, p in axes)
            if 0 <= i < a.sizes[0] and 0 <= j < a.sizes[1]:
                y[:, :, i, j] += x[:, row::taps, column]
    return y.astype(x.dtype)


@right("fold", note="backward is unfold", forward=folds_by_taps)
def fold_returns_an_unfold(g, x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    return unfolds_by_taps(g, kernel_size, dilation, padding, stride)


# Pads

NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pairs_of(x, pad):
    both = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    return [(0, 0)] * (x.ndim - len(both)) + both


@right("pad", note="np.pad, then a cut")
def pads_by_numpy(x, pad, mode="constant", value=0.0):
    both = pairs_of(x, pad)
    widths = [(max(0, lo), max(0, hi)) for lo, hi in both]
    filled = {"constant_values": np.asarray(value, x.dtype)} if mode == "constant" else {}
    y = np.pad(x, widths, mode=NUMPY[mode], **filled)
    axes = zip(y.shape, both, strict=True)
    return y[tuple(slice(max(0, -lo), n - max(0, -hi)) for n, (lo, hi) in axes)].copy()


@right("pad", note="a full array, written into; constants only")
def writes_into_the_middle(x, pad, mode="constant", value=0.0):
    if mode != "constant":
        raise NotImplementedError(mode)
    both = pairs_of(x, pad)
    y = np.full([n + lo + hi for n, (lo, hi) in zip(x.shape, both, strict=True)], value, x.dtype)
    axes = list(zip(x.shape, both, strict=True))
    inside = tuple(
        slice(max(0, lo), max(0, lo) + n + min(0, lo) + min(0, hi)) for n, (lo, hi) in axes
    )
    kept = tuple(slice(max(0, -lo), n - max(0, -hi)) for n, (lo, hi) in axes)
    y[inside] = x[kept]
    return y


@right("pad", note="backward by padding a plane of positions", forward=right_pad)
def counts_the_copies(g, x, pad, mode="constant", value=0.0):
    plane = pads_by_numpy(np.arange(1, 1 + x.size).reshape(x.shape), pad, mode, 0)
    total = np.bincount(plane.ravel(), g.ravel().astype(float), x.size + 1)
    if g.dtype.kind == "i":
        total = np.zeros(x.size + 1, g.dtype)
        np.add.at(total, plane.ravel(), g.ravel())
    return total[1:].reshape(x.shape).astype(g.dtype)


# Batch norms


def by_welford(x):
    """Mean and squares, updated value by value."""
    rows = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    mean, squares = np.zeros((2, len(rows)), x.dtype)
    for k, column in enumerate(rows.T, 1):
        d = column - mean
        mean = mean + d / x.dtype.type(k)
        squares = squares + d * (column - mean)
    n = rows.shape[1]
    m = two_pass(x)
    return m._replace(mean=per_channel(mean, x), var=per_channel(squares / x.dtype.type(n), x))


@right("batch_norm", note="Welford's updates")
def updates_value_by_value(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, find=by_welford)


@right("batch_norm", note="two passes, channels last inside, y alone")
def normalises_channels_last(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    v = np.moveaxis(wide(x), 1, -1)
    axes = tuple(range(v.ndim - 1))
    mean = v.mean(axis=axes) if training else running_mean
    var = np.square(v - mean).mean(axis=axes) if training else running_var
    y = (v - mean) / np.sqrt(var + v.dtype.type(eps))
    y = y if weight is None else y * weight
    y = y if bias is None else y + bias
    return np.moveaxis(y, -1, 1).astype(x.dtype)


@right("batch_norm", note="one loop over channels, np.var")
def normalises_each_channel(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    v, y = wide(x), np.empty(x.shape, wide(x).dtype)
    m = two_pass(v) if training else given(v, running_mean, running_var)
    for c in range(x.shape[1]):
        mean, var = (
            (v[:, c].mean(), v[:, c].var()) if training else (running_mean[c], running_var[c])
        )
        y[:, c] = (v[:, c] - mean) / np.sqrt(var + eps)
    y = affine(y, weight, bias)
    return results(y, m, running_mean, running_var, training, momentum, x.dtype)


@right("batch_norm", note="one pass in float64 about the first value of each channel")
def shifts_before_squaring(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    def shifted(v):
        pivot = v[:1].reshape(1, x.shape[1], -1)[:, :, :1].reshape(1, -1, *[1] * (x.ndim - 2))
        d = v - pivot
        mean = d.mean(axis=over(v), keepdims=True)
        var = (d * d).mean(axis=over(v), keepdims=True) - mean * mean
        m = two_pass(v)
        return m._replace(mean=pivot + mean, var=var)

    if x.dtype == np.float64:
        raise NotImplementedError("what is wider than float64")
    arrays = [
        None if a is None else a.astype(float) for a in (running_mean, running_var, weight, bias)
    ]
    got = batch_norm(x.astype(float), *arrays, training, momentum, eps, find=shifted)
    if not isinstance(got, tuple):
        return got.astype(x.dtype)
    y, mean, var = got
    return y.astype(x.dtype), mean.astype(running_mean.dtype), var.astype(running_var.dtype)


@right("batch_norm", note="backward in closed form", forward=batch_norm)
def returns_in_closed_form(g, x, weight, eps=1e-5):
    v, m = wide(g), two_pass(wide(x))
    axes, n = over(x), v.dtype.type(x.size // x.shape[1])
    inverse = 1 / np.sqrt(m.var + v.dtype.type(eps))
    hat = (wide(x) - m.mean) * inverse
    grad_bias, grad_weight = v.sum(axis=axes), (v * hat).sum(axis=axes)
    inner = n * v - per_channel(grad_bias, v) - hat * per_channel(grad_weight, v)
    grad = per_channel(weight, v) * inverse / n * inner
    return (grad.astype(x.dtype), grad_weight.astype(weight.dtype), grad_bias.astype(weight.dtype))


@right("batch_norm", note="backward step by step, as written on paper", forward=batch_norm)
def returns_step_by_step(g, x, weight, eps=1e-5):
    v, m = wide(g), two_pass(wide(x))
    axes, d = over(x), wide(x) - m.mean
    root = np.sqrt(m.var + v.dtype.type(eps))
    to_hat = v * per_channel(weight, v)
    to_var = (to_hat * d).sum(axis=axes, keepdims=True) * -0.5 / root**3
    to_mean = -(to_hat / root).sum(axis=axes, keepdims=True)
    n = v.dtype.type(x.size // x.shape[1])
    grad = to_hat / root + to_var * 2 * d / n + to_mean / n
    sums = (v * d / root).sum(axis=axes), v.sum(axis=axes)
    return (grad.astype(x.dtype), *(a.astype(weight.dtype) for a in sums))
