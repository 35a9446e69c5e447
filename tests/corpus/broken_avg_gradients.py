"""Broken backward passes of average pools."""

import numpy as np

from corpus.layers import always, case, into
from corpus.windows import (
    avg_pool,
    cells,
    counts,
    read_pool,
    scattered,
    wide,
)

BROKEN = []
broken = into(BROKEN)


def returned(g, x, a, by):
    """Every window's g, divided, added to what the window read."""
    where = cells(a)
    share = (
        wide(g).reshape(*g.shape[:2], int(np.prod(g.shape[2:])), 1)
        / np.asarray(by, wide(g).dtype)[:, None]
    )
    share = np.broadcast_to(share, (*share.shape[:3], where.shape[1]))
    return scattered(share, where, x.shape).astype(g.dtype)


@broken(
    "avg_pool2d",
    "the gradient is not divided",
    always,
    case((1, 1, 2, 2), kernel_size=2),
    avg_pool,
)
def returns_it_undivided(
    g, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    return returned(g, x, a, np.ones(np.prod(a.out)))


@broken(
    "avg_pool1d",
    "the gradient is divided by the kernel's size, however short the window",
    lambda c: c.ceils or c.padded,
    case((1, 1, 5), ceil_mode=True, kernel_size=(2,)),
    avg_pool,
)
def divides_by_the_kernel(
    g, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    return returned(g, x, a, np.full(a.out[0], a.kernel[0]))


@broken(
    "avg_pool2d",
    "the gradient is overwritten where windows overlap",
    lambda c: c.several,
    case((1, 1, 3, 2), kernel_size=2, stride=(1, 1)),
    avg_pool,
)
def keeps_the_last_share(
    g, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    where = cells(a)
    by = counts(where, count_include_pad, divisor_override)
    share = wide(g).reshape(*g.shape[:2], int(np.prod(g.shape[2:]))) / by.astype(wide(g).dtype)
    grad = np.zeros((*x.shape[:2], x.shape[2] * x.shape[3]), share.dtype)
    for column, line in enumerate(where):
        grad[:, :, line[line >= 0]] = share[:, :, column, None]
    return grad.reshape(x.shape).astype(g.dtype)


@broken(
    "avg_pool2d",
    "the gradient of padding counts: count_include_pad ignored",
    lambda c: not c.get("count_include_pad", True),
    case((1, 1, 1, 1), count_include_pad=False, kernel_size=2, padding=1),
    avg_pool,
)
def includes_the_padding(
    g, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    return returned(g, x, a, counts(cells(a), True, divisor_override))


@broken(
    "avg_pool3d",
    "divisor_override ignored in the gradient",
    lambda c: c.get("divisor_override") is not None,
    case((1, 1, 2, 2, 2), divisor_override=1, kernel_size=2),
    avg_pool,
)
def returns_by_the_count(
    g, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    return returned(g, x, a, counts(cells(a), count_include_pad))


@broken(
    "avg_pool1d",
    "the gradients of halves are summed in halves",
    lambda c: c.dtype == "float16",
    case((1, 1, 5), dtype="float16", count_include_pad=False, kernel_size=3, padding=1, stride=1),
    avg_pool,
)
def returns_halves_to_halves(
    g, x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    a = read_pool(x, kernel_size, stride, padding, 1, ceil_mode)
    where = cells(a)
    grad = np.zeros((*x.shape[:2], a.sizes[0] + 1), g.dtype)
    for column, by in enumerate(counts(where, count_include_pad)):
        share = (g[..., column] / by).astype(g.dtype)
        for cell in where[column]:
            grad[..., cell if cell >= 0 else a.sizes[0]] += share
    return grad[..., :-1]
