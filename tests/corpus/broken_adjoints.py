"""Broken backward passes of transposed and padded convolutions."""

import numpy as np

from corpus.around import folded, forward_padded, read_around
from corpus.entries import Case, into
from corpus.gradients import (
    forward_transposed,
    grad_b,
    grad_w,
    grad_x,
    read_up,
    up_grad_w,
    up_grad_x,
)

BROKEN = []
broken = into(BROKEN)


@broken(
    "conv_transpose2d",
    "grad_w flipped along all axes",
    "a kernel of several taps",
    lambda c: max(c.kernel) > 1,
    Case((1, 1, 1), (1, 1, 1, 2)),
    forward_transposed,
)
def turns_the_weight_gradient(g, x, w, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, g, around = read_up(g, x, w, stride, padding, output_padding, groups, dilation)
    return up_grad_x(around, a), np.flip(up_grad_w(around, a), (2, 3)), grad_b(g, a)


@broken(
    "conv_transpose1d",
    "padding ignored in grad_x: g is read from its first cell",
    "padding > 0",
    lambda c: c.padding[0] > 0,
    Case((1, 3), (1, 1, 1), padding=1),
    forward_transposed,
)
def reads_g_without_padding(g, x, w, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, g, around = read_up(g, x, w, stride, padding, output_padding, groups, dilation)
    early = np.concatenate([around[..., a.padding[0] :], 0 * around[..., : a.padding[0]]], axis=3)
    return up_grad_x(early, a), up_grad_w(around, a), grad_b(g, a)


@broken(
    "conv_transpose2d",
    "stride ignored in grad_w",
    "stride > 1 along an axis with several inputs",
    lambda c: any(s > 1 and n > 1 for s, n in zip(c.stride, c.sizes, strict=True)),
    Case((1, 1, 2), (1, 1, 1, 1), stride=(1, 2)),
    forward_transposed,
)
def weight_gradient_at_stride_1(
    g, x, w, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, g, around = read_up(g, x, w, stride, padding, output_padding, groups, dilation)
    return up_grad_x(around, a), up_grad_w(around, a._replace(stride=(1, 1))), grad_b(g, a)


@broken(
    "conv_transpose1d",
    "group 0's weights reused in grad_x for all groups",
    "groups > 1",
    lambda c: c.groups > 1,
    Case((2, 1), (2, 1, 1), groups=2),
    forward_transposed,
)
def comes_back_through_group_0(
    g, x, w, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, g, around = read_up(g, x, w, stride, padding, output_padding, groups, dilation)
    first = np.tile(a.w[: len(w) // a.groups], (a.groups, 1, 1))
    return up_grad_x(around, a._replace(w=first)), up_grad_w(around, a), grad_b(g, a)


@broken(
    "padded_conv1d",
    "grad_x cropped where it should be folded: what came from wrapped cells is lost",
    "circular padding > 0",
    lambda c: c.padding_mode == "circular" and max(c.pairs[0]) > 0,
    Case((1, 1), (1, 1, 1), padding=((0, 1),), padding_mode="circular"),
    forward_padded,
)
def loses_what_wrapped(g, x, w, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a, g, both = read_around(g, x, w, stride, padding, dilation, groups, padding_mode)
    mode = "zeros" if padding_mode == "circular" else padding_mode
    dx = folded(grad_x(g, a), x.shape[2:], both, mode)
    return tuple(d.astype(np.result_type(x, w)) for d in (dx, grad_w(g, a), grad_b(g, a)))


@broken(
    "padded_conv2d",
    "padding sides swapped in grad_x: it is cropped by what stands behind the input",
    "an axis with different padding before and after",
    lambda c: any(lo != hi for lo, hi in c.pairs),
    Case((1, 1, 1), (1, 1, 1, 1), padding=((0, 0), (0, 1))),
    forward_padded,
)
def crops_by_the_other_side(
    g, x, w, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a, g, both = read_around(g, x, w, stride, padding, dilation, groups, padding_mode)
    dx = folded(grad_x(g, a), x.shape[2:], [pair[::-1] for pair in both], padding_mode)
    return tuple(d.astype(np.result_type(x, w)) for d in (dx, grad_w(g, a), grad_b(g, a)))
