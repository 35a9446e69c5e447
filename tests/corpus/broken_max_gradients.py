"""Broken backward passes of max pools."""

import numpy as np

from corpus.layers import always, case, into
from corpus.windows import (
    cells,
    first,
    gathered,
    lowest,
    max_pool,
    read_pool,
    scattered,
    sent,
    shaped,
    wide,
)

BROKEN = []
broken = into(BROKEN)


def winners(x, a):
    where = cells(a)
    return first(gathered(x, where, lowest(x.dtype)), where)


@broken(
    "max_pool2d",
    "the gradient goes to every input that equals the maximum",
    lambda c: c.several,
    case((1, 1, 2, 1), data="equal", kernel_size=(2, 1)),
    max_pool,
)
def rewards_all_tied(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    top = v.max(-1, keepdims=True)
    hits = (v == top) | (v != v)
    return scattered(hits * g.reshape(top.shape), where, x.shape).astype(g.dtype)


@broken(
    "max_pool1d",
    "the gradient is divided among the inputs that equal the maximum",
    lambda c: c.several,
    case((1, 1, 2), data="equal", kernel_size=2),
    max_pool,
)
def shares_among_tied(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    hits = ((v == v.max(-1, keepdims=True)) | (v != v)) & (where >= 0)
    share = g[..., None] * hits / hits.sum(-1, keepdims=True)
    return scattered(share, where, x.shape).astype(g.dtype)


@broken(
    "max_pool2d",
    "the gradient goes to the last of equal maxima",
    lambda c: c.several,
    case((1, 1, 2, 1), data="equal", kernel_size=(2, 1)),
    max_pool,
)
def rewards_the_last(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)[:, ::-1]
    return sent(g, first(gathered(x, where, lowest(x.dtype)), where), x)


@broken(
    "max_pool1d",
    "the gradient is overwritten where windows overlap",
    lambda c: c.several,
    case((1, 1, 4), kernel_size=2, stride=(1,)),
    max_pool,
)
def overwrites_at_overlaps(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    grad = np.zeros(x.shape, g.dtype)
    np.put_along_axis(grad, winners(x, a), g, axis=2)
    return grad


@broken(
    "max_pool2d",
    "indexed += adds only the last of several gradients to a cell",
    lambda c: c.several,
    case((1, 1, 3, 2), kernel_size=(2, 1), stride=(1, 1)),
    max_pool,
)
def adds_by_fancy_index(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    index = winners(x, a).reshape(x.shape[0] * x.shape[1], int(np.prod(a.out)))
    grad = np.zeros((len(index), x.shape[2] * x.shape[3]), g.dtype)
    grad[np.arange(len(index))[:, None], index] += g.reshape(index.shape)
    return grad.reshape(x.shape)


@broken(
    "max_pool2d",
    "all channels send their gradient into channel 0",
    lambda c: c.shape[1] > 1,
    case((1, 2, 1, 1), kernel_size=(1, 1)),
    max_pool,
)
def forgets_the_channel(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    grad = np.zeros((len(x), x.shape[1], x.shape[2] * x.shape[3]), wide(g).dtype)
    for item, line, errors in zip(grad, winners(x, a), g, strict=True):
        np.add.at(item[0], line.ravel(), errors.ravel())
    return grad.reshape(x.shape).astype(g.dtype)


@broken(
    "max_pool1d",
    "an index within the window is taken for one in the plane",
    always,
    case((1, 1, 2), kernel_size=(1,)),
    max_pool,
)
def mistakes_the_index(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    return sent(g, gathered(x, cells(a), lowest(x.dtype)).argmax(-1), x)


@broken(
    "max_pool2d",
    "padding of zeros takes the gradient from negative maxima",
    lambda c: c.padded,
    case((1, 1, 1, 2), kernel_size=2, padding=(1, 0)),
    max_pool,
)
def loses_to_zero_padding(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    v = np.where(where == -1, 0, v).astype(x.dtype)
    chosen = v.argmax(-1)[..., None] == np.arange(where.shape[1])
    padded = (where == -1).any(-1, keepdims=True)
    right = np.broadcast_to(where, v.shape) == winners(x, a)[..., None]
    hits = np.where(padded, chosen, right)
    return scattered(hits * g.reshape(*v.shape[:3], 1), where, x.shape).astype(g.dtype)


@broken(
    "max_pool3d",
    "what ceil_mode adds gets no gradient",
    lambda c: c.ceils,
    case((1, 1, 2, 2, 3), ceil_mode=True, kernel_size=2),
    max_pool,
)
def ignores_the_last_windows(
    g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    a = read_pool(x, kernel_size, stride, padding, dilation, False)
    g = g[(..., *map(slice, a.out))]
    return sent(g, winners(x, a), x)


@broken(
    "max_pool1d",
    "the maximum is found again by ==, and NaN equals nothing",
    lambda c: c.data == "ends in nan",
    case((1, 1, 1), data="ends in nan", kernel_size=(1,)),
    max_pool,
)
def looks_for_nan(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    hits = (v == v.max(-1, keepdims=True)) & (where >= 0)
    hits &= hits.cumsum(-1) == 1
    return scattered(hits * g[..., None], where, x.shape).astype(g.dtype)


@broken(
    "max_pool2d",
    "the gradients of halves are summed in halves",
    lambda c: c.dtype == "float16",
    case((1, 1, 3, 3), dtype="float16", data="2048 and ones", kernel_size=3, padding=1, stride=1),
    max_pool,
)
def adds_halves_to_halves(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    index = winners(x, a).reshape(x.shape[0] * x.shape[1], int(np.prod(a.out)))
    grad = np.zeros((len(index), x.shape[2] * x.shape[3]), g.dtype)
    np.add.at(grad, (np.arange(len(index))[:, None], index), g.reshape(index.shape))
    return grad.reshape(x.shape)


@broken(
    "max_pool1d",
    "windows laid side by side: the stride is taken to be the kernel",
    lambda c: c.stride != c.kernel,
    case((1, 1, 3), kernel_size=(1,), stride=(2,)),
    max_pool,
)
def takes_the_stride_for_the_kernel(
    g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a._replace(stride=a.kernel))
    where = np.where(where >= a.sizes[0], -2, where)
    v = gathered(x, where, lowest(x.dtype))
    return sent(g, np.maximum(first(v, where), 0), x)


@broken(
    "max_pool2d",
    "dilation ignored",
    lambda c: max(c.dilation) > 1 and c.several,
    case((1, 1, 3, 1), dilation=(2, 1), kernel_size=(2, 1)),
    max_pool,
)
def goes_back_undilated(g, x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    near = a._replace(dilation=(1, 1))
    return sent(shaped(g.reshape(*g.shape[:2], int(np.prod(g.shape[2:]))), a), winners(x, near), x)
