"""Broken backward passes: the gradient to the weight; depthwise, linear; memory and state."""

import numpy as np

from corpus.entries import Case, into
from corpus.gradients import (
    cells_of,
    forward,
    forward_linear,
    grad_b,
    grad_w,
    grad_x,
    padded,
    split,
    stacked,
)
from corpus.reading import read_gradient, read_linear, wide

BROKEN = []
broken = into(BROKEN)


@broken(
    "conv2d",
    "grad_w flipped along all axes",
    "a kernel of several taps",
    lambda c: max(c.kernel) > 1,
    Case((1, 1, 2), (1, 1, 1, 2)),
    forward,
)
def weight_gradient_of_a_convolution(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    return grad_x(g, a), np.flip(grad_w(g, a), (2, 3)), grad_b(g, a)


@broken(
    "conv1d",
    "stride and dilation not exchanged in grad_w",
    "stride != dilation, and several outputs or taps",
    lambda c: c.stride != c.dilation and max(c.out + c.kernel) > 1,
    Case((1, 2), (1, 1, 1), dilation=2),
    forward,
)
def same_roles_in_the_weight_gradient(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    swapped = a._replace(stride=a.dilation, dilation=a.stride)
    furthest = (a.out[0] - 1) * a.dilation[0] + (a.kernel[0] - 1) * a.stride[0]
    x = padded(a)
    x = np.pad(x, ((0, 0), (0, 0), (0, max(0, furthest + 1 - x.shape[2]))))
    return grad_x(g, a), grad_w(g, swapped._replace(x=x, padding=(0,))), grad_b(g, a)


@broken(
    "conv2d",
    "dilation ignored in grad_w",
    "dilation > 1 and a kernel longer than 1 along that axis",
    lambda c: any(d > 1 and k > 1 for d, k in zip(c.dilation, c.kernel, strict=True)),
    Case((1, 1, 3), (1, 1, 1, 2), dilation=(1, 2)),
    forward,
)
def weight_gradient_of_neighbours(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    return grad_x(g, a), grad_w(g, a._replace(dilation=(1, 1))), grad_b(g, a)


@broken(
    "conv2d",
    "padding ignored in grad_w: the input's own cells are read, shifted by the padding",
    "padding > 0",
    lambda c: max(c.padding) > 0,
    Case((1, 1, 1), (1, 1, 1, 1), padding=(0, 1)),
    forward,
)
def weight_gradient_without_padding(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    (ph, pw), x = a.padding, a.x
    x = np.pad(x, ((0, 0), (0, 0), (0, 2 * ph), (0, 2 * pw)))
    return grad_x(g, a), grad_w(g, a._replace(x=x, padding=(0, 0))), grad_b(g, a)


@broken(
    "conv1d",
    "grad_w cut from the wrong end: with cells left over there are more taps than the kernel has",
    "cells left over behind the last window",
    lambda c: c.left_over[0] > 0,
    Case((1, 2), (1, 1, 1), stride=2),
    forward,
)
def keeps_the_last_taps(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    (s,), (d,), (n,), x = a.stride, a.dilation, a.out, split(padded(a), a).conj()
    offsets = range(x.shape[3] - (n - 1) * s)  # wherever the spread gradient fits
    cuts = [x[..., t : t + (n - 1) * s + 1 : s] for t in offsets]
    every = np.stack([np.einsum("ngot,ngct->goc", split(g, a), part) for part in cuts], axis=3)
    first = every.shape[3] - d * (w.shape[2] - 1) - 1
    return grad_x(g, a), every[..., first::d].reshape(w.shape).astype(a.dtype), grad_b(g, a)


@broken(
    "conv2d",
    "channels of grad_w transposed: it comes as (C, O, H, W)",
    "several input channels and several output channels in a group",
    lambda c: c.width > 1 and c.filters > c.groups,
    Case((2, 1, 1), (2, 2, 1, 1)),
    forward,
)
def weight_gradient_on_its_side(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dw = stacked(grad_w(g, a), a).swapaxes(1, 2).reshape(w.shape)
    return grad_x(g, a), dw, grad_b(g, a)


@broken(
    "conv1d",
    "group 0's input channels reused in grad_w for all groups",
    "groups > 1",
    lambda c: c.groups > 1,
    Case((2, 1), (2, 1, 1), groups=2),
    forward,
)
def weight_gradient_of_group_0(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    first = np.tile(a.x[:, : w.shape[1]], (1, a.groups, 1))
    return grad_x(g, a), grad_w(g, a._replace(x=first)), grad_b(g, a)


@broken(
    "conv3d",
    "grad_w doubled where the kernel is a single tap: two code paths add to it",
    "a kernel of a single tap",
    lambda c: max(c.kernel) == 1,
    Case((1, 1, 1, 1), (1, 1, 1, 1, 1)),
    forward,
)
def counts_one_tap_twice(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    g_, x_ = split(g, a), split(padded(a), a).conj()
    dw = np.zeros((a.groups, g_.shape[2], *w.shape[1:]), a.x.dtype)
    if max(a.kernel) == 1:
        part = x_[(..., *cells_of((0, 0, 0), a))]
        dw[..., 0, 0, 0] += np.einsum("ngoxyz,ngcxyz->goc", g_, part)
    for tap in np.ndindex(*a.kernel):
        part = x_[(..., *cells_of(tap, a))]
        dw[(..., *tap)] += np.einsum("ngoxyz,ngcxyz->goc", g_, part)
    return grad_x(g, a), dw.reshape(w.shape).astype(a.dtype), grad_b(g, a)


@broken(
    "conv2d",
    "grad_b missing: it is all zeros",
    "always",
    lambda c: True,
    Case((1, 1, 1), (1, 1, 1, 1)),
    forward,
)
def nobody_trains_the_bias(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    return grad_x(g, a), grad_w(g, a), np.zeros(len(w), a.dtype)


@broken(
    "conv2d",
    "low-precision accumulation: float16 is summed in float16 in grad_b",
    "float16, and a sum that float16 cannot hold on the way",
    lambda c: c.dtype == "float16" and c.data == "2048 and ones",
    Case((1, 1, 3), (1, 1, 1, 1), dtype="float16", data="2048 and ones"),
    forward,
)
def half_a_bias(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, wider = read_gradient(g, x, w, stride, padding, dilation, groups)
    db = np.zeros(len(w), a.dtype)
    for i in np.ndindex(len(g), *a.out):
        db += g[(i[0], slice(None), *i[1:])].astype(a.dtype)
    return grad_x(wider, a), grad_w(wider, a), db


@broken(
    "conv1d",
    "layout read as contiguous: g is read in the order of its memory",
    "g whose axes lie in another order in memory",
    lambda c: c.layout == "transposed",
    Case((1, 2), (2, 1, 1), layout="transposed"),
    forward,
)
def reads_the_gradient_in_order(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, wider = read_gradient(g, x, w, stride, padding, dilation, groups)
    g = np.asarray(g).ravel(order="K").reshape(g.shape).astype(wider.dtype)
    return grad_x(g, a), grad_w(g, a), grad_b(g, a)


@broken(
    "conv2d",
    "the weight is modified in place: it is flipped and left so",
    "a kernel of several taps",
    lambda c: max(c.kernel) > 1,
    Case((1, 1, 2), (1, 1, 1, 2)),
    forward,
)
def turns_the_callers_kernel(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    a = a._replace(w=a.w.copy())
    results = grad_x(g, a), grad_w(g, a), grad_b(g, a)
    w[...] = w[:, :, ::-1, ::-1].copy()
    return results


_gradients = {}


@broken(
    "conv1d",
    "state kept between calls: grad_w is added to that of the last call",
    "an earlier call with a weight of the same shape",
    lambda c: c.before is not None,
    Case((1, 1), (1, 1, 1), before=Case((1, 1), (1, 1, 1))),
    forward,
    reset=_gradients.clear,
)
def never_zeroes_the_gradient(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    kept = _gradients.setdefault((w.shape, a.dtype.str), np.zeros(w.shape, a.dtype))
    kept += grad_w(g, a)
    return grad_x(g, a), kept.copy(), grad_b(g, a)


@broken(
    "depthwise_conv2d",
    "grad_w of the first multiple is given for all of a channel's",
    "a multiplier > 1",
    lambda c: c.filters > c.groups,
    Case((1, 1, 1), (2, 1, 1, 1)),
    forward,
)
def one_multiple_for_all(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dw = stacked(grad_w(g, a), a)[:, :1]
    dw = np.repeat(dw, len(w) // a.groups, axis=1).reshape(w.shape)
    return grad_x(g, a), dw, grad_b(g, a)


@broken(
    "linear",
    "gradient averaged over the batch: grad_w and grad_b are means",
    "a batch of several",
    lambda c: c.batch > 1,
    Case((1,), (1, 1), batch=2),
    forward_linear,
)
def averages_like_a_loss(g, x, w):
    x, w, _, dtype = read_linear(x, w, None)
    g, n = wide(np.asarray(g), dtype), max(1, len(x))
    dw, db = g.T @ x.conj() / n, g.sum(axis=0) / n
    return (g @ w.conj()).astype(dtype), dw.astype(dtype), db.astype(dtype)
