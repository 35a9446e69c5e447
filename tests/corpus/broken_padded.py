"""Broken padded convolutions: same, asymmetric, circular, reflected."""

import numpy as np

from corpus.around import finish, surrounded
from corpus.entries import Case, into
from corpus.reading import extents, halves, pairs, read_padded, sizes, total

BROKEN = []
broken = into(BROKEN)


def odd_same(c):
    both = c.padding in ("same_upper", "same_lower")
    return both and any(lo != hi for lo, hi in c.pairs)


@broken(
    "padded_conv2d",
    "same_upper and same_lower swapped: the odd cell is put on the wrong side",
    "same_upper or same_lower with an odd total along an axis",
    odd_same,
    Case((1, 1, 1), (1, 1, 1, 2), padding="same_upper"),
)
def upper_means_first(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    swapped = {"same_upper": "same_lower", "same_lower": "same_upper"}
    both = pairs(swapped.get(padding, padding) if isinstance(padding, str) else padding, a)
    return finish(surrounded(a.x, both, padding_mode), a)


@broken(
    "padded_conv1d",
    "padding sides swapped: pairs are read as (after, before)",
    "padding given as a pair of different numbers",
    lambda c: not isinstance(c.padding, str) and c.pairs[0][0] != c.pairs[0][1],
    Case((1, 1), (1, 1, 1), padding=((0, 1),)),
)
def after_comes_before(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    both = pairs(padding, a)
    if not isinstance(padding, str):
        both = tuple(pair[::-1] for pair in both)
    return finish(surrounded(a.x, both, padding_mode), a)


@broken(
    "padded_conv1d",
    "same padding as if stride were 1: the total is d (k - 1), whatever the stride",
    "same_upper or same_lower with stride > 1",
    lambda c: isinstance(c.padding, str) and c.padding[:5] == "same_" and c.stride[0] > 1,
    Case((1, 2), (1, 1, 2), stride=2, padding="same_lower"),
)
def same_as_in_another_framework(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    both = pairs(padding, a)
    if padding in ("same_upper", "same_lower"):
        half = halves(extents(a)[0] - 1)
        both = (half if padding == "same_upper" else half[::-1],)
    return finish(surrounded(a.x, both, padding_mode), a)


@broken(
    "padded_conv2d",
    "dilation ignored in same padding",
    "same padding, dilation > 1 and a kernel longer than 1 along that axis",
    lambda c: (
        isinstance(c.padding, str)
        and c.padding[:4] == "same"
        and any(d > 1 and k > 1 for d, k in zip(c.dilation, c.kernel, strict=True))
    ),
    Case((1, 1, 1), (1, 1, 1, 2), dilation=(1, 2), padding="same_upper"),
)
def same_for_the_bare_kernel(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    bare = a._replace(dilation=(1, 1)) if str(padding).startswith("same") else a
    x = surrounded(a.x, pairs(padding, bare), padding_mode)
    if any(m < e for m, e in zip(x.shape[2:], extents(a), strict=True)):
        return np.zeros((len(x), len(a.w), 0, 0), a.dtype)
    return finish(x, a)


@broken(
    "padded_conv1d",
    "same padding may crop: a negative total is not set to 0",
    "same_upper or same_lower with stride beyond the kernel",
    lambda c: isinstance(c.padding, str) and c.padding[:5] == "same_" and c.stride[0] > c.extent[0],
    Case((1, 2), (1, 1, 1), stride=2, padding="same_upper"),
)
def same_without_a_maximum(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    both, (n,), (s,), (e,) = pairs(padding, a), a.x.shape[2:], a.stride, extents(a)
    if padding in ("same_upper", "same_lower"):
        half = halves((-(-n // s) - 1) * s + e - n)
        both = (half if padding == "same_upper" else half[::-1],)
    return finish(surrounded(a.x, both, padding_mode), a)


@broken(
    "padded_conv2d",
    "padding on both sides as before the input: the second number of a pair is not read",
    "an axis with different padding before and after",
    lambda c: any(lo != hi for lo, hi in c.pairs),
    Case((1, 1, 1), (1, 1, 1, 1), padding=((0, 0), (0, 1))),
)
def reads_half_a_pair(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    before = [lo for lo, _ in pairs(padding, a)]
    x = surrounded(a.x, [(lo, lo) for lo in before], padding_mode)
    if any(m < e for m, e in zip(x.shape[2:], extents(a), strict=True)):
        return np.zeros((len(x), len(a.w), 0, 0), a.dtype)
    return finish(x, a)


@broken(
    "padded_conv3d",
    "pairs are read from the last axis to the first, as torch.nn.functional.pad does",
    "depth and width padded differently",
    lambda c: c.pairs[0] != c.pairs[2],
    Case((1, 1, 1, 1), (1, 1, 1, 1, 1), padding=((0, 0), (0, 0), (0, 1))),
)
def last_axis_first(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    x = surrounded(a.x, pairs(padding, a)[::-1], padding_mode)
    if any(m < e for m, e in zip(x.shape[2:], extents(a), strict=True)):
        return np.zeros((len(x), len(a.w), 0, 0, 0), a.dtype)
    return finish(x, a)


@broken(
    "padded_conv1d",
    "negative padding does not crop: it is taken for 0",
    "a negative padding",
    lambda c: min(c.pairs[0]) < 0,
    Case((1, 2), (1, 1, 1), padding=((0, -1),)),
)
def never_crops(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    both = [(max(0, lo), max(0, hi)) for lo, hi in pairs(padding, a)]
    return finish(surrounded(a.x, both, padding_mode), a)


@broken(
    "padded_conv1d",
    "full padding without the dilation: k - 1 on each side",
    "full padding, dilation > 1 and a kernel longer than 1",
    lambda c: c.padding == "full" and c.dilation[0] > 1 and c.kernel[0] > 1,
    Case((1, 1), (1, 1, 2), dilation=2, padding="full"),
)
def not_quite_full(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    both = ((a.kernel[0] - 1,) * 2,) if padding == "full" else pairs(padding, a)
    return finish(surrounded(a.x, both, padding_mode), a)


@broken(
    "padded_conv2d",
    "floor instead of ceil in the output size of same padding",
    "same_upper or same_lower, stride > 1 and a size that it does not divide",
    lambda c: (
        c.padding in ("same_upper", "same_lower")
        and any(n % s for n, s in zip(c.sizes, c.stride, strict=True))
    ),
    Case((1, 1, 3), (1, 1, 1, 1), stride=(1, 2), padding="same_upper"),
)
def rounds_the_size_down(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    y = finish(surrounded(a.x, pairs(padding, a), padding_mode), a)
    if padding in ("same_upper", "same_lower"):
        rows, columns = (max(1, n // s) for n, s in zip(a.x.shape[2:], a.stride, strict=True))
        y = y[:, :, :rows, :columns]
    return y


@broken(
    "padded_conv3d",
    "same padding of the last axis is used for all axes",
    "same padding with another total on another axis",
    lambda c: isinstance(c.padding, str) and len(set(c.pairs)) > 1 and "same" in c.padding,
    Case((1, 1, 1, 1), (1, 1, 1, 1, 2), padding="same_upper"),
)
def one_same_for_all(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    both = pairs(padding, a)
    if str(padding).startswith("same"):
        half = halves(total(a.x.shape[-1], extents(a)[-1], a.stride[-1]))
        both = ((half[::-1] if padding == "same_lower" else half),) * 3
    before, after = zip(*both, strict=True)
    try:
        sizes(a.x.shape[2:], a.kernel, a.stride, before, after, a.dilation)
    except ValueError:
        return np.zeros((len(a.x), len(a.w), 0, 0, 0), a.dtype)
    return finish(surrounded(a.x, both, padding_mode), a)
