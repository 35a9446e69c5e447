"""Max pools that tell a wrong index."""

import numpy as np

from corpus.layers import always, case, into
from corpus.windows import cells, first, gathered, lowest, read_pool, shaped

BROKEN = []
broken = into(BROKEN)


@broken(
    "max_pool2d",
    "the index is that of the last maximum among equal ones",
    lambda c: c.several,
    case((1, 1, 2, 2), data="equal", kernel_size=2),
)
def last_maximum_wins(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)[:, ::-1]
    v = gathered(x, where, lowest(x.dtype))
    return shaped(v.max(-1), a), shaped(first(v, where), a)


@broken(
    "max_pool2d",
    "the index counts within the window",
    always,
    case((1, 1, 1, 2), kernel_size=1),
)
def indices_within_the_window(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    v = gathered(x, cells(a), lowest(x.dtype))
    return shaped(v.max(-1), a), shaped(v.argmax(-1), a)


@broken(
    "max_pool2d",
    "the index counts in the padded plane",
    lambda c: c.padded,
    case((1, 1, 1, 1), kernel_size=2, padding=1),
)
def indices_of_the_padded_plane(
    x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    row, column = np.divmod(first(v, where), a.sizes[1])
    (top, left), width = a.padding, a.sizes[1] + 2 * a.padding[1]
    return shaped(v.max(-1), a), shaped((row + top) * width + column + left, a)


@broken(
    "max_pool1d",
    "the index counts over all channels",
    lambda c: c.shape[1] > 1,
    case((1, 2, 1), kernel_size=(1,)),
)
def indices_over_all_channels(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    return v.max(-1), first(v, where) + np.arange(x.shape[1])[:, None] * x.shape[2]


@broken(
    "max_pool2d",
    "the index counts columns first",
    lambda c: min(c.sizes) > 1,
    case((1, 1, 2, 2), kernel_size=1),
)
def indices_down_the_columns(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    row, column = np.divmod(first(v, where), a.sizes[1])
    return shaped(v.max(-1), a), shaped(column * a.sizes[0] + row, a)
