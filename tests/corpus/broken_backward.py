"""Broken backward passes of convolutions: the batch, the gradient to the input."""

import numpy as np

from corpus.entries import Case, into
from corpus.gradients import (
    apart,
    correlated,
    cropped,
    fitted,
    forward,
    framed,
    grad_b,
    grad_w,
    grad_x,
    padded,
    split,
    stacked,
)
from corpus.reading import extents, read_gradient

BROKEN = []
broken = into(BROKEN)


@broken(
    "conv2d",
    "gradient not summed over the batch: grad_w is that of the last item",
    "a batch of several",
    lambda c: c.batch > 1,
    Case((1, 1, 1), (1, 1, 1, 1), batch=2),
    forward,
)
def last_item_wins(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dw = np.zeros(w.shape, a.dtype)
    for n in range(len(g)):
        dw = grad_w(g[n : n + 1], a._replace(x=a.x[n : n + 1]))
    return grad_x(g, a), dw, grad_b(g, a)


@broken(
    "conv1d",
    "gradient averaged over the batch: grad_w is a mean",
    "a batch of several",
    lambda c: c.batch > 1,
    Case((1, 1), (1, 1, 1), batch=2),
    forward,
)
def means_not_sums(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dw = grad_w(g, a)
    return grad_x(g, a), (dw / max(1, len(g))).astype(dw.dtype), grad_b(g, a)


@broken(
    "conv2d",
    "grad_b not summed over the batch: it is that of the first item",
    "a batch of several",
    lambda c: c.batch > 1,
    Case((1, 1, 1), (1, 1, 1, 1), batch=2),
    forward,
)
def bias_of_one_item(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    return grad_x(g, a), grad_w(g, a), grad_b(g[:1], a)


@broken(
    "conv3d",
    "grad_b averaged over the positions",
    "several outputs",
    lambda c: np.prod(c.out) > 1,
    Case((1, 1, 1, 2), (1, 1, 1, 1, 1)),
    forward,
)
def mean_bias(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    db = g.mean(axis=(2, 3, 4)).sum(axis=0).astype(a.dtype)
    return grad_x(g, a), grad_w(g, a), db


@broken(
    "conv2d",
    "missing stride dilation: grad_x slides over g without zeros between its cells",
    "stride > 1 along an axis with several outputs",
    lambda c: any(s > 1 and n > 1 for s, n in zip(c.stride, c.out, strict=True)),
    Case((1, 1, 3), (1, 1, 1, 1), stride=(1, 2)),
    forward,
)
def gradient_is_not_spread(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dx = correlated(framed(g, a), np.flip(a.w.conj(), (2, 3)), a)
    return cropped(fitted(dx, padded(a).shape[2:]), a), grad_w(g, a), grad_b(g, a)


@broken(
    "conv1d",
    "grad_x not cropped by the padding",
    "padding > 0",
    lambda c: c.padding[0] > 0,
    Case((1, 1), (1, 1, 1), padding=1),
    forward,
)
def keeps_the_padding(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    (p,), n = a.padding, a.x.shape[2]
    whole = a._replace(x=padded(a), padding=(0,))
    assert whole.x.shape[2] == n + 2 * p
    return grad_x(g, whole), grad_w(g, a), grad_b(g, a)


@broken(
    "conv2d",
    "grad_x cropped at the end only: its first cells are those of the padding",
    "padding > 0",
    lambda c: max(c.padding) > 0,
    Case((1, 1, 1), (1, 1, 1, 1), padding=(0, 1)),
    forward,
)
def crops_the_wrong_end(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    whole = grad_x(g, a._replace(x=padded(a), padding=(0, 0)))
    return whole[:, :, : x.shape[2], : x.shape[3]], grad_w(g, a), grad_b(g, a)


@broken(
    "conv2d",
    "grad_x flipped: the kernel slides over g without being turned",
    "a kernel of several taps",
    lambda c: max(c.kernel) > 1,
    Case((1, 1, 2), (1, 1, 1, 2)),
    forward,
)
def does_not_turn_the_kernel(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    sizes = tuple((n - 1) * s + 1 for n, s in zip(a.out, a.stride, strict=True))
    dx = correlated(framed(apart(g, a.stride, sizes), a), a.w.conj(), a)
    return cropped(fitted(dx, padded(a).shape[2:]), a), grad_w(g, a), grad_b(g, a)


@broken(
    "conv1d",
    "overlapping windows overwrite rather than add in grad_x",
    "windows that overlap",
    lambda c: c.out[0] > 1 and c.kernel[0] > 1,
    Case((1, 3), (1, 1, 2)),
    forward,
)
def assigns_instead_of_adding(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dx = np.zeros_like(padded(a))
    (s,), (d,), (e,) = a.stride, a.dilation, extents(a)
    sent = np.einsum("ngot,gock->ngctk", split(g, a), stacked(a.w.conj(), a))
    for t in range(a.out[0]):
        part = sent[:, :, :, t].reshape(*dx.shape[:2], -1 if dx.size else a.kernel[0])
        dx[:, :, t * s : t * s + e : d] = part
    return cropped(dx, a), grad_w(g, a), grad_b(g, a)


@broken(
    "conv2d",
    "col2im adds by fancy indices: dx[..., where] += keeps one of several contributions",
    "windows that overlap",
    lambda c: any(n > 1 and k > 1 for n, k in zip(c.out, c.kernel, strict=True)),
    Case((1, 1, 3), (1, 1, 1, 2)),
    forward,
)
def buffered_addition(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dx = np.zeros_like(padded(a))
    rows, columns = (
        s * np.arange(n)[:, None] + d * np.arange(k)
        for s, n, d, k in zip(a.stride, a.out, a.dilation, a.kernel, strict=True)
    )
    sent = np.einsum("ngohw,gocij->ngchiwj", split(g, a), stacked(a.w.conj(), a))
    dx[:, :, rows[:, :, None, None], columns] += sent.reshape(*dx.shape[:2], *sent.shape[3:])
    return cropped(dx, a), grad_w(g, a), grad_b(g, a)


@broken(
    "conv1d",
    "grad_x too short: cells behind the last window are left out",
    "cells left over behind the last window",
    lambda c: c.left_over[0] > 0,
    Case((1, 2), (1, 1, 1), stride=2),
    forward,
)
def forgets_what_was_not_read(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    (s,), (p,), (n,) = a.stride, a.padding, a.out
    dx = correlated(framed(apart(g, a.stride, [(n - 1) * s + 1]), a), np.flip(a.w.conj(), 2), a)
    return dx[:, :, p : max(p, dx.shape[2] - p)].astype(a.dtype), grad_w(g, a), grad_b(g, a)


@broken(
    "conv2d",
    "dilation ignored in grad_x: what a tap sends back is put beside its neighbour's",
    "dilation > 1 and a kernel longer than 1 along that axis",
    lambda c: any(d > 1 and k > 1 for d, k in zip(c.dilation, c.kernel, strict=True)),
    Case((1, 1, 3), (1, 1, 1, 2), dilation=(1, 2)),
    forward,
)
def sends_back_to_neighbours(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    return grad_x(g, a._replace(dilation=(1, 1))), grad_w(g, a), grad_b(g, a)


@broken(
    "conv3d",
    "first axis's stride used for all axes in grad_x",
    "an axis with another stride than depth, and several outputs",
    lambda c: any(s != c.stride[0] and n > 1 for s, n in zip(c.stride, c.out, strict=True)),
    Case((1, 1, 1, 3), (1, 1, 1, 1, 1), stride=(1, 1, 2)),
    forward,
)
def gradient_with_one_stride(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dx = np.zeros_like(padded(a))
    sent = np.einsum("ngoxyz,gocijk->ngcxyzijk", split(g, a), stacked(a.w.conj(), a))
    sent = sent.reshape(*dx.shape[:2], *sent.shape[3:])
    for where in np.ndindex(*a.out, *a.kernel):
        axes = zip(where[:3], where[3:], a.dilation, strict=True)
        cell = tuple(t * a.stride[0] + k * d for t, k, d in axes)
        if all(i < n for i, n in zip(cell, dx.shape[2:], strict=True)):
            dx[(..., *cell)] += sent[(..., *where)]
    return cropped(dx, a), grad_w(g, a), grad_b(g, a)


@broken(
    "conv1d",
    "groups interleaved in grad_x: input channel c belongs to group c % G",
    "groups > 1 and several input channels in a group",
    lambda c: c.groups > 1 and c.width > 1,
    Case((4, 1), (2, 2, 1), groups=2),
    forward,
)
def channels_come_back_shuffled(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    a, g = read_gradient(g, x, w, stride, padding, dilation, groups)
    dx = split(grad_x(g, a), a).swapaxes(1, 2).reshape(x.shape)
    return dx, grad_w(g, a), grad_b(g, a)
