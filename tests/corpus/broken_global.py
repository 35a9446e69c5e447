"""Broken global pools."""

import numpy as np

from corpus.layers import always, case, into
from corpus.windows import (
    global_avg_pool,
    global_max_pool,
    wide,
)

BROKEN = []
broken = into(BROKEN)


@broken(
    "global_avg_pool2d",
    "the axes are gone: (N, C)",
    always,
    case((1, 1, 1, 1)),
)
def squeezes_the_axes(x):
    return global_avg_pool(x)[:, :, 0, 0]


@broken(
    "global_avg_pool1d",
    "the average runs over the channels too",
    lambda c: c.shape[1] > 1,
    case((1, 2, 1)),
)
def averages_the_channels(x):
    mean = wide(x).mean(axis=(1, 2), keepdims=True)
    return np.repeat(mean, x.shape[1], axis=1).astype(x.dtype)


@broken(
    "global_avg_pool2d",
    "the average runs over the batch too",
    lambda c: c.shape[0] > 1,
    case((2, 1, 1, 1)),
)
def averages_the_batch(x):
    mean = wide(x).mean(axis=(0, 2, 3), keepdims=True)
    return np.repeat(mean, len(x), axis=0).astype(x.dtype)


@broken(
    "global_avg_pool3d",
    "halves summed in halves",
    lambda c: c.dtype == "float16",
    case((1, 1, 3, 1, 1), dtype="float16", data="2048 and ones"),
)
def averages_in_halves(x):
    total = np.zeros((*x.shape[:2], 1, 1, 1), x.dtype)
    for cell in np.ndindex(*x.shape[2:]):
        total += x[(..., *cell)][..., None, None, None]
    return (total / np.prod(x.shape[2:])).astype(x.dtype)


@broken(
    "global_max_pool2d",
    "the maximum starts at 0",
    lambda c: c.data not in ("equal", "2048 and ones"),
    case((1, 1, 1, 1), data="negative"),
)
def is_never_negative(x):
    return x.max(axis=(2, 3), keepdims=True, initial=0)


@broken(
    "global_max_pool1d",
    "NaN ignored",
    lambda c: c.data == "ends in nan",
    case((1, 1, 2), data="ends in nan"),
)
def overlooks_nan(x):
    return np.fmax.reduce(x, axis=2, keepdims=True)


@broken(
    "global_max_pool3d",
    "the maximum of the first slice in depth only",
    lambda c: c.sizes[0] > 1,
    case((1, 1, 2, 1, 1), data="ends in nan"),
)
def stays_at_the_surface(x):
    return x[:, :, :1].max(axis=(3, 4), keepdims=True)


@broken(
    "global_max_pool2d",
    "the gradient goes to every input that equals the maximum",
    lambda c: max(c.sizes) > 1,
    case((1, 1, 1, 2), data="equal"),
    global_max_pool,
)
def rewards_everyone(g, x):
    return g * ((x == global_max_pool(x)) | np.isnan(x))


@broken(
    "global_avg_pool2d",
    "the gradient is divided by the height only",
    lambda c: c.sizes[1] > 1,
    case((1, 1, 1, 2)),
    global_avg_pool,
)
def divides_by_the_height(g, x):
    share = wide(g) / wide(g).dtype.type(x.shape[2])
    return np.broadcast_to(share, x.shape).astype(g.dtype)
