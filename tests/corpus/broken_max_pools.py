"""Broken max pools."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from corpus.layers import case, into
from corpus.windows import cells, counted, gathered, lowest, read_pool, shaped, sized

BROKEN = []
broken = into(BROKEN)


@broken(
    "max_pool2d",
    "padding of zeros, which win over negative inputs",
    lambda c: c.padded,
    case((1, 1, 1, 2), kernel_size=2, padding=(1, 0)),
)
def pads_maxima_with_zeros(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    v = gathered(x, where, lowest(x.dtype))
    return shaped(np.where(where == -1, 0, v).max(-1).astype(x.dtype), a)


@broken(
    "max_pool1d",
    "padding of -1e9, which wins over what is smaller",
    lambda c: (c.padded or c.ceils) and c.data in ("far below", "minus infinity"),
    case((1, 1, 1), data="minus infinity", kernel_size=(2,), padding=(1,)),
)
def pads_with_minus_a_billion(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    fill = -1e9 if x.dtype in (np.float64, np.float32) else lowest(x.dtype)
    return shaped(gathered(x, cells(a), fill).max(-1), a)


@broken(
    "max_pool3d",
    "the maximum starts at the smallest finite number, which wins over -inf",
    lambda c: c.data == "minus infinity",
    case((1, 1, 1, 1, 1), data="minus infinity", kernel_size=(1, 1, 1)),
)
def starts_at_the_smallest_number(
    x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    y = gathered(x, cells(a), lowest(x.dtype)).max(-1)
    start = np.finfo(x.dtype).min if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return shaped(np.maximum(y, start), a)


@broken(
    "max_pool1d",
    "the maximum starts at 0",
    lambda c: c.data not in ("equal", "2048 and ones"),
    case((1, 1, 1), data="negative", kernel_size=(1,)),
)
def starts_at_zero(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    best = np.zeros((*x.shape[:2], *a.out), x.dtype)
    for tap in gathered(x, cells(a), lowest(x.dtype)).transpose(3, 0, 1, 2):
        best = np.maximum(best, tap)
    return best


@broken(
    "max_pool2d",
    "the stride is 1 where none is given",
    lambda c: c.get("stride") is None,
    case((1, 1, 2, 3), kernel_size=2),
)
def strides_by_one(x, kernel_size, stride=1, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


@broken(
    "max_pool1d",
    "dilation ignored",
    lambda c: max(c.dilation) > 1 and c.several,
    case((1, 1, 4), dilation=(2,), kernel_size=(2,)),
)
def pools_undilated(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


@broken(
    "max_pool2d",
    "dilation counted in the output size, but not in what is read",
    lambda c: max(c.dilation) > 1 and c.several,
    case((1, 1, 2, 4), dilation=(1, 2), kernel_size=2),
)
def dilates_only_the_size(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    near = a._replace(dilation=(1, 1))
    return shaped(gathered(x, cells(near), lowest(x.dtype)).max(-1), a)


@broken(
    "max_pool2d",
    "ceil_mode ignored",
    lambda c: c.ceils,
    case((1, 1, 2, 3), ceil_mode=True, kernel_size=2),
)
def never_rounds_up(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


def up(n, k, s, p, d, ceil_mode):
    room = n + 2 * p - d * (k - 1) - 1
    return (-(-room // s) if ceil_mode else room // s) + 1


@broken(
    "max_pool1d",
    "ceil_mode keeps a window that starts in the padding behind the input",
    lambda c: c.ceils,
    case((1, 1, 2), ceil_mode=True, kernel_size=(1,), stride=(2,)),
)
def starts_windows_in_the_padding(
    x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode, count=up)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


def down(n, k, s, p, d, ceil_mode):
    m = up(n, k, s, p, d, ceil_mode)
    return m - 1 if ceil_mode and (m - 1) * s >= n else m


@broken(
    "max_pool2d",
    "ceil_mode drops a last window by where it starts in the input without its padding",
    lambda c: c.ceils and c.padded,
    case((1, 1, 2, 1), ceil_mode=True, kernel_size=(2, 1), padding=(1, 0)),
)
def drops_a_window_too_many(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode, count=down)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


@broken(
    "max_pool1d",
    "NaN ignored, by fmax",
    lambda c: c.data == "ends in nan",
    case((1, 1, 2), data="ends in nan", kernel_size=(2,)),
)
def drops_nan(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    return shaped(np.fmax.reduce(gathered(x, cells(a), lowest(x.dtype)), axis=-1), a)


@broken(
    "max_pool3d",
    "NaN lost unless it comes first: nothing is larger than what is no number",
    lambda c: c.data == "ends in nan",
    case((1, 1, 3, 1, 1), data="ends in nan", kernel_size=(3, 1, 1)),
)
def compares_with_nan(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    taps = np.moveaxis(gathered(x, cells(a), lowest(x.dtype)), -1, 0)
    best = taps[0]
    for tap in taps[1:]:
        best = np.where(tap > best, tap, best)
    return shaped(best, a)


@broken(
    "max_pool2d",
    "stride of the height used for both axes",
    lambda c: len(set(c.stride)) > 1,
    case((1, 1, 1, 1), kernel_size=(1, 2), padding=(0, 1)),
)
def strides_by_the_height(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    a = sized(a._replace(stride=a.stride[:1] * 2), ceil_mode)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


@broken(
    "max_pool2d",
    "H and W swapped in the kernel",
    lambda c: len(set(c.kernel)) > 1,
    case((1, 1, 2, 1), kernel_size=(2, 1)),
)
def window_lies_on_its_side(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    a = sized(a._replace(kernel=a.kernel[::-1]), ceil_mode, least=0)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


def once(n, k, s, p, d, ceil_mode):
    return counted(n + p, k, s, 0, d, ceil_mode)


@broken(
    "max_pool1d",
    "padding in front of the input only",
    lambda c: c.padded,
    case((1, 1, 1), kernel_size=2, padding=1, stride=1),
)
def pads_in_front_only(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode, count=once)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


@broken(
    "max_pool3d",
    "padding tuple reversed: depth and width swapped",
    lambda c: c.padding[0] != c.padding[2],
    case((1, 1, 1, 2, 2), kernel_size=2, padding=(1, 0, 0)),
)
def pads_from_the_last_axis(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    a = sized(a._replace(padding=a.padding[::-1]), ceil_mode, least=0)
    return shaped(gathered(x, cells(a), lowest(x.dtype)).max(-1), a)


@broken(
    "max_pool2d",
    "integers compared as float64, which has not room for all",
    lambda c: c.data == "large",
    case((1, 1, 1, 1), dtype="int64", data="large", kernel_size=1),
)
def compares_integers_as_floats(
    x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False
):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    return shaped(gathered(x.astype(float), cells(a), -np.inf).max(-1).astype(x.dtype), a)


@broken(
    "max_pool1d",
    "integers come back as float64, for the padding is -inf",
    lambda c: c.dtype == "int64" and c.padded,
    case((1, 1, 1), dtype="int64", kernel_size=(2,), padding=(1,)),
)
def integers_become_floats(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    where = cells(a)
    if a.padding[0]:
        return (
            np.where(where < 0, -np.inf, gathered(x, where))
            .max(-1)
            .astype(float if x.dtype.kind == "i" else x.dtype)
        )
    return gathered(x, where, lowest(x.dtype)).max(-1)


@broken(
    "max_pool2d",
    "x read as if it were contiguous in memory",
    lambda c: c.layout != "contiguous",
    case((1, 1, 2, 2), layout="transposed", kernel_size=1),
)
def trusts_the_memory(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    a = read_pool(x, kernel_size, stride, padding, dilation, ceil_mode)
    if a.padding != (0, 0) or ceil_mode or any(m % 2 for m in (x.strides)):
        raise NotImplementedError("padding and ceil_mode")
    (n, c, h, w), size = x.shape, x.itemsize
    (sh, sw), (dh, dw) = a.stride, a.dilation
    strides = (c * h * w, h * w, w * sh, sw, w * dh, dw)
    base = x if x.base is None or x.flags.c_contiguous else x.base
    base = base if base.flags.c_contiguous and base.size >= x.size else x.ravel(order="K")
    windows = as_strided(base, (n, c, *a.out, *a.kernel), [s * size for s in strides])
    return windows.max(axis=(4, 5))
