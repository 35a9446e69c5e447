"""Broken average pools."""

import numpy as np

from corpus.layers import case, into
from corpus.windows import (
    avg_pool,
    cells,
    counts,
    gathered,
    read_pool,
    shaped,
    sized,
    summed,
    wide,
)

BROKEN = []
broken = into(BROKEN)


def divided(x, a, by):
    """The sums of the windows by these divisors, in x's dtype."""
    total = summed(x, cells(a))
    return shaped((total / np.asarray(by, total.dtype)).astype(x.dtype), a)


@broken(
    "avg_pool2d",
    "what ceil_mode reaches beyond the padding is counted in the divisor",
    lambda c: c.ceils and c.get("count_include_pad", True),
    case((1, 1, 2, 3), ceil_mode=True, kernel_size=2),
)
def counts_what_is_not_there(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    by = counts(cells(a), count_include_pad, divisor_override)
    every = count_include_pad and divisor_override is None
    return divided(x, a, np.full(len(by), np.prod(a.kernel)) if every else by)


@broken(
    "avg_pool1d",
    "padding is never counted",
    lambda c: c.padded and c.get("count_include_pad", True),
    case((1, 1, 1), kernel_size=(2,), padding=(1,)),
)
def never_counts_padding(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    return divided(x, a, counts(cells(a), False))


@broken(
    "avg_pool2d",
    "the divisor is the kernel's size even without count_include_pad",
    lambda c: not c.get("count_include_pad", True),
    case((1, 1, 1, 1), count_include_pad=False, kernel_size=2, padding=1),
)
def always_counts_padding(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    by = counts(cells(a), True, divisor_override)
    if not count_include_pad and divisor_override is None:
        by = np.full(len(by), np.prod(a.kernel))
    return divided(x, a, by)


@broken(
    "avg_pool1d",
    "without count_include_pad the windows at the end still count the padding in front",
    lambda c: c.padded and not c.get("count_include_pad", True),
    case((1, 1, 1), count_include_pad=False, kernel_size=(2,), padding=(1,)),
)
def excludes_padding_behind_only(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    stop = np.arange(a.out[0]) * a.stride[0] - a.padding[0] + a.kernel[0]
    right = counts(cells(a), count_include_pad)
    return divided(x, a, right if count_include_pad else a.kernel[0] - (stop - a.sizes[0]).clip(0))


@broken(
    "avg_pool2d",
    "divisor_override ignored",
    lambda c: c.get("divisor_override") is not None,
    case((1, 1, 2, 2), divisor_override=1, kernel_size=2),
)
def ignores_the_divisor(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    return divided(x, a, counts(cells(a), count_include_pad))


@broken(
    "avg_pool3d",
    "divisor_override divides the average, not the sum",
    lambda c: c.get("divisor_override") is not None,
    case((1, 1, 2, 2, 2), divisor_override=1, kernel_size=2),
)
def divides_twice(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    return divided(x, a, counts(cells(a), count_include_pad) * (divisor_override or 1))


@broken(
    "avg_pool2d",
    "without count_include_pad divisor_override has no effect",
    lambda c: not c.get("count_include_pad", True) and c.get("divisor_override") is not None,
    case((1, 1, 1, 1), count_include_pad=False, divisor_override=2, kernel_size=(1, 1)),
)
def prefers_the_count(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    override = divisor_override if count_include_pad else None
    return divided(x, a, counts(cells(a), count_include_pad, override))


@broken(
    "avg_pool1d",
    "ceil_mode ignored",
    lambda c: c.ceils,
    case((1, 1, 3), ceil_mode=True, kernel_size=2),
)
def averages_whole_windows_only(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    return avg_pool(x, kernel_size, stride, padding, False, count_include_pad)


def up(n, k, s, p, d, ceil_mode):
    room = n + 2 * p - k
    return (-(-room // s) if ceil_mode else room // s) + 1


@broken(
    "avg_pool2d",
    "ceil_mode keeps a window that starts behind the input",
    lambda c: c.ceils,
    case((1, 1, 1, 1), ceil_mode=True, kernel_size=(2, 1), padding=(1, 0)),
)
def averages_the_padding(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode, count=up)
    return divided(x, a, counts(cells(a), count_include_pad, divisor_override).clip(1))


@broken(
    "avg_pool3d",
    "the stride is 1 where none is given",
    lambda c: c.get("stride") is None,
    case((1, 1, 2, 2, 3), kernel_size=2),
)
def averages_at_every_step(
    x, kernel_size, stride=1, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    return avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@broken(
    "avg_pool2d",
    "padding repeats the edge",
    lambda c: c.padded,
    case((1, 1, 1, 1), kernel_size=2, padding=1),
)
def averages_the_edge_again(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    around = np.pad(wide(x), ((0, 0), (0, 0), *((p, p) for p in a.padding)), mode="edge")
    inner = a._replace(padding=(0, 0), sizes=around.shape[2:])
    total = summed(around, cells(inner))
    by = counts(cells(a), count_include_pad, divisor_override).astype(total.dtype)
    return shaped((total / by).astype(x.dtype), a)


@broken(
    "avg_pool2d",
    "H and W swapped in the kernel",
    lambda c: len(set(c.kernel)) > 1,
    case((1, 1, 1, 2), kernel_size=(1, 2)),
)
def averages_on_its_side(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    a = sized(a._replace(kernel=a.kernel[::-1]), ceil_mode, least=0)
    return divided(x, a, counts(cells(a), count_include_pad, divisor_override))


@broken(
    "avg_pool1d",
    "halves summed in halves",
    lambda c: c.dtype == "float16",
    case((1, 1, 2), dtype="float16", data="2048 and ones", kernel_size=3, padding=1),
)
def sums_halves_in_halves(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    total = np.zeros((*x.shape[:2], *a.out), x.dtype)
    for tap in np.moveaxis(gathered(x, cells(a)), -1, 0):
        total = total + tap
    return (total / counts(cells(a), count_include_pad)).astype(x.dtype)


@broken(
    "avg_pool1d",
    "running sums, so that a NaN reaches every window behind it",
    lambda c: c.data == "ends in nan",
    case((1, 1, 2), data="ends in nan", kernel_size=(1,)),
)
def never_forgets_a_nan(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    back = wide(x)[..., ::-1]  # the sums run from the end
    sums = np.concatenate([0 * back[..., :1], back.cumsum(-1)], axis=-1)[..., ::-1]
    sums = np.where(np.arange(a.sizes[0] + 1) == a.sizes[0], 0, sums)
    start = np.arange(a.out[0]) * a.stride[0] - a.padding[0]
    lo, hi = start.clip(0, a.sizes[0]), (start + a.kernel[0]).clip(0, a.sizes[0])
    total = sums[..., lo] - sums[..., hi]
    return (total / counts(cells(a), count_include_pad).astype(total.dtype)).astype(x.dtype)


@broken(
    "avg_pool1d",
    "inputs that are zero are not counted",
    lambda c: c.data == "small",
    case((1, 1, 4), data="small", kernel_size=(2,)),
)
def does_not_count_zeros(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    where = cells(a)
    v = gathered(wide(x), where)
    by = counts(where, count_include_pad) - ((v == 0) & (where >= 0)).sum(-1)
    return (v.sum(-1) / by.clip(1).astype(v.dtype)).astype(x.dtype)


@broken(
    "avg_pool3d",
    "the divisor forgets the depth",
    lambda c: c.kernel[0] > 1,
    case((1, 1, 2, 2, 2), kernel_size=2),
)
def divides_by_an_area(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    where = cells(a)
    by = counts(where, count_include_pad, divisor_override)
    plane = cells(a._replace(kernel=(1, *a.kernel[1:]), padding=(0, *a.padding[1:])))
    there = counts(plane, count_include_pad)
    return divided(x, a, there if divisor_override is None else by)
