"""What windows read, worked out anew: for mistakes that no layer of ours can make."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

Table = Any  # (windows, taps) positions on an axis, -1 for none


def table(size: int, kernel: int, stride: int, before: int, dilation: int, windows: int) -> Table:
    """Window o reads o * stride - before + t * dilation through tap t."""
    at = stride * np.arange(windows)[:, None] - before + dilation * np.arange(kernel)
    return np.where((at >= 0) & (at < size), at, -1)


def tables(
    layer: Any,
    windows: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    padding: Any = None,
) -> list[Table]:
    """The tables of a layer with a kernel_size; the others: how much on each axis, if not its."""
    counts = layer.output_shape[1:] if windows is None else windows
    sizes = layer.input_shape[1:] if sizes is None else sizes
    padding = layer.padding if padding is None else padding
    return [
        table(n, k, s, p[0], d, count)
        for n, k, s, p, d, count in zip(
            sizes, layer.kernel_size, layer.stride, padding, layer.dilation, counts, strict=True
        )
    ]


def parts(size: int, starts: Sequence[int], stops: Sequence[int]) -> Table:
    """Windows from starts to stops, as wide as the widest."""
    widest = max([stop - start for start, stop in zip(starts, stops, strict=True)], default=1)
    at = np.array(starts)[:, None] + np.arange(max(1, widest))
    return np.where((at < np.array(stops)[:, None]) & (at >= 0) & (at < size), at, -1)


def read(x: Any, tables: Sequence[Table], fill: float) -> Any:
    """What each window reads: (N, C, *windows, taps), fill where it reads nothing."""
    for axis, indices in enumerate(tables):
        place = 2 + 2 * axis
        shape = list(x.shape)
        shape[place] = 1
        x = np.concatenate([x, np.full(shape, fill, x.dtype)], axis=place)
        x = np.take(x, indices, axis=place)
    order = [0, 1, *range(2, x.ndim, 2), *range(3, x.ndim, 2)]
    x = np.transpose(x, order)
    return x.reshape(*x.shape[: 2 + len(tables)], -1)


def places(sizes: Sequence[int], tables: Sequence[Table]) -> Any:
    """The flat position of each thing that windows read, -1 for none: (*windows, taps)."""
    flat = np.arange(float(np.prod(sizes))).reshape(1, 1, *sizes)
    return read(flat, tables, -1.0)[0, 0].astype(int)


def beyond(layer: Any) -> Any:
    """Which taps lie behind the padding, where only ceil_mode reaches: (*windows, taps)."""
    padded = [n + sum(p) for n, p in zip(layer.input_shape[1:], layer.padding, strict=True)]
    found = tables(layer, sizes=padded, padding=((0, 0),) * len(layer.padding))
    return places(padded, found) < 0


def send_back(
    shares: Any, where: Any, sizes: Sequence[int], add: bool = True, planes: bool = False
) -> Any:
    """Shares (N, C, *windows, taps) put where they were read: added, or the last one kept.

    planes: where has a place for each item and channel too.
    """
    count = int(np.prod(sizes))
    result = np.zeros((*shares.shape[:2], count + 1))
    flat = shares.reshape(*shares.shape[:2], -1)
    if planes:
        rows = np.arange(prod(shares.shape[:2]))[:, None]
        wide = result.reshape(-1, count + 1)
        np.add.at(wide, (rows, where.reshape(len(rows), -1)), flat.reshape(len(rows), -1))
        return wide[:, :count].reshape(*shares.shape[:2], *sizes)
    index = where.reshape(-1)
    if add:
        places: Any = (slice(None), slice(None), index)
        np.add.at(result, places, flat)
    else:
        for number, place in enumerate(index):
            share = flat[..., number]
            result[..., place] = np.where(share != 0, share, result[..., place])
    return result[..., :count].reshape(*shares.shape[:2], *sizes)
