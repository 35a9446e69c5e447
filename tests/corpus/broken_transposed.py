"""Broken transposed convolutions: sizes, sides, flips.

Right is y[o, i s + k d - p] += x[c, i] w[c, o, k].
"""

import numpy as np

from corpus.entries import Case, into
from corpus.reading import extents, read_transposed
from corpus.scatter import correlate, cut, flipped, scattered, spread, surrounded

BROKEN = []
broken = into(BROKEN)


@broken(
    "conv_transpose2d",
    "output_padding ignored",
    "output_padding > 0",
    lambda c: max(c.output_padding) > 0,
    Case((1, 1, 1), (1, 1, 1, 1), stride=(1, 2), output_padding=(0, 1)),
)
def knows_one_size_only(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, _ = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = scattered(a, (0, 0))
    (ph, pw), (h, wd) = a.padding, y.shape[2:]
    y = y[:, :, ph : max(ph, h - ph), pw : max(pw, wd - pw)]
    return (y + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv_transpose1d",
    "output_padding on the wrong side: before the output, not after it",
    "output_padding > 0",
    lambda c: c.output_padding[0] > 0,
    Case((1, 1), (1, 1, 1), stride=2, output_padding=1),
)
def pads_the_output_in_front(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, (extra,) = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = scattered(a, (0,))
    return cut(np.pad(y, ((0, 0), (0, 0), (extra, 0))), a)


@broken(
    "conv_transpose3d",
    "H and W swapped in output_padding",
    "output_padding of height != output_padding of width",
    lambda c: c.output_padding[1] != c.output_padding[2],
    Case((1, 1, 1, 1), (1, 1, 1, 1, 1), stride=(1, 1, 2), output_padding=(0, 0, 1)),
)
def more_rows_for_more_columns(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, (d, h, wd) = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    axes = zip(a.out, (d, h, wd), (d, wd, h), strict=True)
    a = a._replace(out=tuple(max(0, n - old + new) for n, old, new in axes))
    return cut(scattered(a, (d, wd, h)), a)


@broken(
    "conv_transpose2d",
    "transposed weights not flipped: zeros are inserted, and the kernel slides as it is",
    "a kernel of several taps",
    lambda c: max(c.kernel) > 1,
    Case((1, 1, 1), (1, 1, 1, 2)),
)
def slides_without_turning(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    before = [e - 1 - p for e, p in zip(extents(a), a.padding, strict=True)]
    after = [n + more for n, more in zip(before, extra, strict=True)]
    y = correlate(surrounded(spread(a), before, after), a, a.w)
    return (y + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv_transpose2d",
    "channels of the weight transposed: w is read as (O, C, H, W)",
    "several input channels and several output channels in a group",
    lambda c: c.weight_shape[1] > 1 and c.channels > c.groups,
    Case((2, 1, 1), (2, 2, 1, 1)),
)
def weight_of_a_convolution(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    inputs, outputs = len(a.w) // a.groups, a.w.shape[1]
    w = a.w.reshape(a.groups, outputs, inputs, *a.kernel).swapaxes(1, 2)
    return cut(scattered(a._replace(w=w.reshape(a.w.shape)), extra), a)


@broken(
    "conv_transpose1d",
    "stride off by one: s zeros are inserted between neighbours, not s - 1",
    "more than one input",
    lambda c: c.sizes[0] > 1,
    Case((1, 2), (1, 1, 1)),
)
def one_zero_too_many(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    before = a.dilation[0] * (a.kernel[0] - 1) - a.padding[0]
    y = correlate(surrounded(spread(a, 1), [before], [before + extra[0]]), a, flipped(a))
    return (y + a.b[:, None]).astype(a.dtype)


@broken(
    "conv_transpose1d",
    "inputs repeated where zeros belong: upsampled to the nearest",
    "stride > 1 and more than one input",
    lambda c: c.stride[0] > 1 and c.sizes[0] > 1,
    Case((1, 2), (1, 1, 1), stride=2),
)
def upsamples_and_convolves(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    (s,), before = a.stride, a.dilation[0] * (a.kernel[0] - 1) - a.padding[0]
    up = np.repeat(a.x, s, axis=2)[..., : (a.x.shape[2] - 1) * s + 1]
    y = correlate(surrounded(up, [before], [before + extra[0]]), a, flipped(a))
    return (y + a.b[:, None]).astype(a.dtype)


@broken(
    "conv_transpose3d",
    "padding ignored: nothing is cut off",
    "padding > 0",
    lambda c: max(c.padding) > 0,
    Case((1, 1, 1, 3), (1, 1, 1, 1, 1), padding=(0, 0, 1)),
)
def cuts_nothing_off(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    return (scattered(a, extra) + a.b[:, None, None, None]).astype(a.dtype)


@broken(
    "conv_transpose1d",
    "padding on one side only: all of it is cut off the end",
    "padding > 0",
    lambda c: c.padding[0] > 0,
    Case((1, 3), (1, 1, 1), padding=1),
)
def cuts_the_end_only(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    return cut(scattered(a, extra), a._replace(padding=(0,)))
