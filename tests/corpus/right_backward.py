"""Correct implementations with a backward pass, written in several ways."""

from math import prod

import numpy as np

from corpus.around import folded, forward_padded, read_around
from corpus.entries import entering
from corpus.gradients import (
    apart,
    correlated,
    fitted,
    forward,
    forward_linear,
    forward_transposed,
    framed,
    grad_b,
    grad_w,
    grad_x,
    read_up,
    up_grad_w,
    up_grad_x,
)
from corpus.reading import read_gradient, read_linear, wide
from corpus.right import depthwise, im2col, kernels_of, padded, parts_of, split
from corpus.right_fast import doubled, fft, fft_bound, power, rounded

RIGHT = []
right = entering(RIGHT)


def cropped(dx, a):
    """Without the padding, in the dtype of the arguments."""
    inner = (slice(p, p + n) for p, n in zip(a.padding, a.x.shape[2:], strict=True))
    return dx[(..., *inner)].astype(a.dtype)


@right("conv2d", "im2col again, col2im by np.add.at", forward=im2col)
def backward_by_im2col(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    n, taps, positions = len(g), a.w[0].size, prod(a.out)
    columns = np.stack([part for part, _ in parts_of(a)], axis=2)  # (N, G, C/G K, *T)
    columns = columns.reshape(n, a.groups, taps, positions).conj()
    errors = g.reshape(n, a.groups, len(w) // a.groups, positions)
    dw = (errors @ columns.swapaxes(2, 3)).sum(axis=0, dtype=errors.dtype)
    weights = kernels_of(a).reshape(a.groups, len(w) // a.groups, taps).conj()
    sent = (weights.swapaxes(1, 2) @ errors).reshape(n, x.shape[1], *a.kernel, *a.out)
    rows, columns = (
        s * np.arange(m) + d * np.arange(k)[:, None]
        for s, m, d, k in zip(a.stride, a.out, a.dilation, a.kernel, strict=True)
    )
    dx = np.zeros_like(padded(a))
    where = (slice(None), slice(None), rows[:, None, :, None], columns[:, None])
    np.add.at(dx, where, sent)
    return cropped(dx, a), dw.reshape(w.shape).astype(a.dtype), grad_b(g, a)


@right("conv1d", "the turned kernel slides over the spread gradient, and that over x", forward)
def backward_by_convolution(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    (s,), (d,), (k,), (n,), around = a.stride, a.dilation, a.kernel, a.out, padded(a)
    spread = apart(g, a.stride, [(n - 1) * s + 1])
    dx = fitted(correlated(framed(spread, a), a.w[..., ::-1].conj(), a), around.shape[2:])
    # The spread gradient is a kernel itself: it slides over x in steps of the dilation.
    inputs, errors = split(around, a).conj(), split(spread, a)
    cuts = [inputs[..., i * d : i * d + spread.shape[2]] for i in range(k)]
    dw = np.stack([np.einsum("ngot,ngct->goc", errors, cut) for cut in cuts], axis=3)
    return cropped(dx, a), dw.reshape(w.shape).astype(a.dtype), grad_b(g, a)


@right(
    "conv2d",
    "forward and backward by FFT, in float64",
    forward=fft,
    algorithm="fft",
    rounding=fft_bound,
)
def backward_by_fft(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    single, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    a = doubled(single)
    around, axes = padded(a), (-2, -1)
    sizes = tuple(map(power, around.shape[2:]))

    def transform(values, steps):
        spread = [(n - 1) * s + 1 for n, s in zip(values.shape[2:], steps, strict=True)]
        return np.fft.fftn(apart(values.astype(a.x.dtype), steps, spread), sizes, axes)

    def back(product, *lead):
        y = rounded(np.fft.ifftn(product, axes=axes), a)
        return y.reshape(*lead, *sizes).astype(a.dtype)

    errors, inputs = split(transform(g, a.stride), a), split(np.fft.fftn(around, sizes, axes), a)
    weights = transform(a.w.conj(), a.dilation)
    weights = weights.reshape(a.groups, len(w) // a.groups, w.shape[1], *sizes)
    dx = back(np.einsum("ngohw,gochw->ngchw", errors, weights), len(x), x.shape[1])
    # sum over t of g[t] conj(x[t + k]) is the conjugate of x correlated with g.
    products = np.einsum("ngchw,ngohw->gochw", inputs, errors.conj())
    dw = np.conj(back(products, *w.shape[:2]))
    (dh, dw_), (kh, kw) = a.dilation, a.kernel
    taps = dw[:, :, : (kh - 1) * dh + 1 : dh, : (kw - 1) * dw_ + 1 : dw_]
    return cropped(dx, a), np.ascontiguousarray(taps), grad_b(g, single)


@right("conv3d", "tap by tap, forward and backward", forward=forward)
def backward_by_taps(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    return grad_x(g, a), grad_w(g, a), grad_b(g, a)


@right("depthwise_conv2d", "each channel for itself, tap by tap", forward=depthwise)
def depthwise_backward(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    if a.w.shape[1] != 1:
        raise NotImplementedError("not depthwise")
    around, per = padded(a), len(w) // a.groups
    dx, dw, weights = np.zeros_like(around), np.zeros(w.shape, a.x.dtype), a.w.conj()
    repeated = np.repeat(around, per, axis=1).conj()
    for i, j in np.ndindex(*a.kernel):
        rows, columns = (
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip((i, j), a.dilation, a.out, a.stride, strict=True)
        )
        dw[:, 0, i, j] = (repeated[:, :, rows, columns] * g).sum(axis=(0, 2, 3), dtype=dw.dtype)
        sent = g * weights[:, 0, i, j, None, None]
        sent = sent.reshape(len(g), a.groups, per, *a.out).sum(axis=2, dtype=dx.dtype)
        dx[:, :, rows, columns] += sent
    return cropped(dx, a), dw.astype(a.dtype), grad_b(g, a)


@right("conv_transpose2d", "two convolutions, tap by tap", forward=forward_transposed)
def transposed_backward(g, x, w, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, g, around = read_up(g, x, w, stride, padding, output_padding, groups, dilation)
    return up_grad_x(around, a), up_grad_w(around, a), grad_b(g, a)


@right("conv_transpose1d", "two convolutions, tap by tap; one axis", forward=forward_transposed)
def transposed_backward_1(g, x, w, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    return transposed_backward(g, x, w, stride, padding, output_padding, groups, dilation)


@right("padded_conv2d", "tap by tap, then folded by np.add.at", forward=forward_padded)
def padded_backward(g, x, w, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a, g, both = read_around(g, x, w, stride, padding, dilation, groups, padding_mode)
    dx = folded(grad_x(g, a), x.shape[2:], both, padding_mode)
    return tuple(d.astype(np.result_type(x, w)) for d in (dx, grad_w(g, a), grad_b(g, a)))


@right("linear", "g @ w, g.T @ x, g.sum", forward=forward_linear)
def linear_backward(g, x, w):
    x, w, _, dtype = read_linear(x, w, None)
    g = wide(np.asarray(g), dtype)
    dx, dw, db = g @ w.conj(), g.T @ x.conj(), g.sum(axis=0)
    return dx.astype(dtype), dw.astype(dtype), db.astype(dtype)
