"""Broken folds, forward and backward."""

import numpy as np

from corpus.columns import (
    averaged,
    columns,
    cut_behind,
    fold,
    folded,
    mixed,
    overwritten,
    patches,
    unfold,
)
from corpus.layers import case, into
from corpus.windows import cells, gathered, read_unfold, wide

BROKEN = []
broken = into(BROKEN)


@broken(
    "fold",
    "overlaps overwritten",
    lambda c: c.several,
    case((1, 1, 3, 2), kernel_size=2),
)
def fold_overwrites(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    return overwritten(x, cells(a), a.sizes)


@broken(
    "fold",
    "overlaps averaged",
    lambda c: c.several,
    case((1, 1, 3, 2), kernel_size=2),
)
def fold_averages(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    return averaged(x, cells(a), a.sizes)


@broken(
    "fold",
    "stride and dilation exchanged",
    lambda c: c.step != c.dilation,
    case((1, 1, 1, 2), kernel_size=1, stride=(1, 2)),
)
def fold_exchanges_stride_and_dilation(
    x, output_size, kernel_size, dilation=1, padding=0, stride=1
):
    return fold(x, output_size, kernel_size, stride, padding, dilation)


@broken(
    "fold",
    "dilation ignored: the taps are written side by side",
    lambda c: max(c.dilation) > 1 and c.several,
    case((1, 1, 3, 2), dilation=(2, 1), kernel_size=2),
)
def folds_undilated(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    return folded(x, cells(a._replace(dilation=(1, 1))), a.sizes)


@broken(
    "fold",
    "taps and channels mixed",
    lambda c: c.several and c.shape[1] > 1,
    case((1, 2, 2, 2), kernel_size=2),
)
def fold_mixes_rows(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    return folded(mixed(x, np.prod(a.kernel)), cells(a), a.sizes)


@broken(
    "fold",
    "padding cut off behind the image only",
    lambda c: c.padded,
    case((1, 1, 1, 1), kernel_size=1, padding=(0, 1)),
)
def fold_cuts_behind(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    return cut_behind(x, read_unfold(output_size, kernel_size, dilation, padding, stride))


@broken(
    "fold",
    "windows ordered column by column",
    lambda c: min(c.sizes) > 1 or c.padded,
    case((1, 1, 2, 2), kernel_size=(1, 1)),
)
def folds_downwards(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    order = np.arange(np.prod(a.out)).reshape(a.out).T.ravel()
    return folded(x, cells(a)[order], a.sizes)


@broken(
    "fold",
    "halves summed in halves",
    lambda c: c.dtype == "float16",
    case((1, 1, 1, 3), dtype="float16", data="2048 and ones", kernel_size=3, padding=1),
)
def folds_halves_in_halves(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    where = cells(a)
    v = patches(x, where.shape[1])
    y = np.zeros((*v.shape[:2], a.sizes[0] * a.sizes[1] + 1), x.dtype)
    for column, line in enumerate(where):
        for k, cell in enumerate(line):
            y[:, :, cell if cell >= 0 else -1] += v[:, :, column, k]
    return y[:, :, :-1].reshape(*v.shape[:2], *a.sizes)


@broken(
    "fold",
    "the gradient is divided by how often a cell was written",
    lambda c: c.several,
    case((1, 1, 1, 3), kernel_size=(1, 2)),
    fold,
)
def fold_divides_the_gradient(g, x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    where = cells(a)
    times = np.bincount(where[where >= 0], minlength=a.sizes[0] * a.sizes[1]).reshape(a.sizes)
    return columns(gathered((wide(g) / times.clip(1)).astype(g.dtype), where))


@broken(
    "fold",
    "the gradient's taps in reverse order",
    lambda c: c.several,
    case((1, 1, 2, 2), kernel_size=2),
    fold,
)
def fold_turns_the_taps(g, x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(output_size, kernel_size, dilation, padding, stride)
    return columns(gathered(g, cells(a)[:, ::-1]))


@broken(
    "fold",
    "H and W of the stride swapped in the gradient",
    lambda c: len(set(c.step)) > 1,
    case((1, 1, 2, 1), kernel_size=1, stride=(2, 1)),
    fold,
)
def fold_swaps_the_stride(g, x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    stride = stride if isinstance(stride, int) else tuple(stride)[::-1]
    return unfold(g, kernel_size, dilation, padding, stride)
