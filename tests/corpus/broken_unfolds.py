"""Broken unfolds, forward and backward."""

import numpy as np

from corpus.columns import (
    averaged,
    columns,
    cut_behind,
    folded,
    mixed,
    overwritten,
    unfold,
)
from corpus.layers import always, case, into
from corpus.windows import cells, gathered, read_unfold

BROKEN = []
broken = into(BROKEN)


@broken(
    "unfold",
    "rows ordered by tap before channel",
    lambda c: c.several and c.shape[1] > 1,
    case((1, 2, 2, 2), kernel_size=2),
)
def puts_taps_first(x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    v = gathered(x, cells(a))
    return v.transpose(0, 3, 1, 2).reshape(len(x), v.shape[1] * v.shape[3], v.shape[2])


@broken(
    "unfold",
    "taps ordered column by column",
    lambda c: min(c.kernel) > 1,
    case((1, 1, 2, 2), kernel_size=2),
)
def reads_taps_downwards(x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    order = np.arange(np.prod(a.kernel)).reshape(a.kernel).T.ravel()
    return columns(gathered(x, cells(a)[:, order]))


@broken(
    "unfold",
    "windows ordered column by column",
    lambda c: min(c.sizes) > 1 or c.padded,
    case((1, 1, 2, 2), kernel_size=1),
)
def slides_downwards(x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    order = np.arange(np.prod(a.out)).reshape(a.out).T.ravel()
    return columns(gathered(x, cells(a)[order]))


@broken(
    "unfold",
    "taps in reverse order",
    lambda c: c.several,
    case((1, 1, 2, 2), kernel_size=2),
)
def reads_taps_backwards(x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    return columns(gathered(x, cells(a)[:, ::-1]))


@broken(
    "unfold",
    "stride and dilation exchanged",
    lambda c: c.step != c.dilation,
    case((1, 1, 1, 2), kernel_size=1, stride=(1, 2)),
)
def exchanges_stride_and_dilation(x, kernel_size, dilation=1, padding=0, stride=1):
    return unfold(x, kernel_size, stride, padding, dilation)


@broken(
    "unfold",
    "one row per window: (N, L, C K)",
    always,
    case((1, 1, 1, 2), kernel_size=1),
)
def lies_across(x, kernel_size, dilation=1, padding=0, stride=1):
    return unfold(x, kernel_size, dilation, padding, stride).swapaxes(1, 2)


@broken(
    "unfold",
    "padding of the height used for both axes",
    lambda c: len(set(c.padding)) > 1,
    case((1, 1, 1, 1), kernel_size=1, padding=(1, 0)),
)
def pads_by_the_height(x, kernel_size, dilation=1, padding=0, stride=1):
    padding = padding if isinstance(padding, int) else (padding[0],) * 2
    return unfold(x, kernel_size, dilation, padding, stride)


@broken(
    "unfold",
    "padding repeats the edge",
    lambda c: c.padded,
    case((1, 1, 1, 1), kernel_size=1, padding=1),
)
def unfolds_the_edge(x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    around = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in a.padding)), mode="edge")
    return unfold(around, kernel_size, dilation, 0, stride)


@broken(
    "unfold",
    "dilation ignored",
    lambda c: max(c.dilation) > 1 and c.several,
    case((1, 1, 2, 3), dilation=(1, 2), kernel_size=2),
)
def unfolds_undilated(x, kernel_size, dilation=1, padding=0, stride=1):
    return unfold(x, kernel_size, 1, padding, stride)


@broken(
    "unfold",
    "the gradient is overwritten where windows overlap",
    lambda c: c.several,
    case((1, 1, 1, 3), kernel_size=(1, 2)),
    unfold,
)
def unfold_keeps_the_last(g, x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    return overwritten(g, cells(a), a.sizes)


@broken(
    "unfold",
    "the gradient is averaged where windows overlap",
    lambda c: c.several,
    case((1, 1, 1, 3), kernel_size=(1, 2)),
    unfold,
)
def unfold_averages(g, x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    return averaged(g, cells(a), a.sizes)


@broken(
    "unfold",
    "the gradient's padding is cut off behind the image only",
    lambda c: c.padded,
    case((1, 1, 1, 1), kernel_size=1, padding=(1, 0)),
    unfold,
)
def unfold_cuts_behind(g, x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    return cut_behind(g, a)


@broken(
    "unfold",
    "taps and channels mixed in the gradient",
    lambda c: c.several and c.shape[1] > 1,
    case((1, 2, 2, 2), kernel_size=2),
    unfold,
)
def unfold_mixes_rows(g, x, kernel_size, dilation=1, padding=0, stride=1):
    a = read_unfold(x.shape[2:], kernel_size, dilation, padding, stride)
    return folded(mixed(g, np.prod(a.kernel)), cells(a), a.sizes)
