"""Known mistakes of transposed convolutions: how windows are stamped, and what lies between."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from verify.mistakes import Mistaken, Prediction, fitted
from verify.ops import Op


def of_transposed(op: Op) -> Iterator[tuple[str, Prediction]]:
    """Mistakes that only a transposed convolution can have."""
    for name in ("stride", "dilation"):
        told = f"{name} ignored, though the output size heeds it"
        yield told, partial(_stamped, name)
    yield "outputs that no window covers not written", _holes
    yield "overlapping windows overwrite instead of adding", _overwritten
    yield "output_padding before the output", _moved
    yield "output_padding on both sides", lambda m: m.y(output_padding=_doubled(m))
    yield "inputs repeated where zeros belong", _repeated
    yield "inner padding without the dilation: k - 1 - p", _inner_bare
    yield "inner padding below zero taken for zero", _inner_clipped


def _stamped(ignored: str, m: Mistaken) -> Any:
    """Stamped with an argument at 1, on an output of the right size."""
    right = m.y(b=None, padding=0)
    other = m.y(b=None, padding=0, output_padding=0, **{ignored: 1})
    if right is None or other is None:
        return None
    return _cropped(m, fitted(other, right.shape))


def _cropped(m: Mistaken, y: Any) -> Any:
    """The output cut by the padding, with the bias."""
    for axis, (before, after) in enumerate(m.layer.padding, 2):
        y = y[(slice(None),) * axis + (slice(before, y.shape[axis] - after),)]
    return y if m.b is None else y + m.b.reshape(-1, *[1] * m.case.op.ndim)


def _holes(m: Mistaken) -> Any:
    """Not a number, which stands for anything, where nothing is added up."""
    reached = m.y(x=np.ones_like(m.x), w=np.ones_like(m.w), b=None)
    return np.where(reached == 0, np.nan, m.case.arrays.y)


def _overwritten(m: Mistaken) -> Any:
    """Each output keeps only what the last window wrote: the largest input position wins."""
    order = m.layer.matrix(m.w).tocsr()
    places = order.shape[1] // m.layer.input_shape[0]
    y = np.zeros((len(m.x), order.shape[0]))
    for row in range(order.shape[0]):
        some = slice(order.indptr[row], order.indptr[row + 1])
        columns, weights = order.indices[some], order.data[some]
        if len(columns):
            last = columns % places == (columns % places).max()
            y[:, row] = m.x.reshape(len(m.x), -1)[:, columns[last]] @ weights[last]
    y = y.reshape(m.case.arrays.y.shape)
    return y if m.b is None else y + m.b.reshape(-1, *[1] * m.case.op.ndim)


def _doubled(m: Mistaken) -> tuple[int, ...]:
    return tuple(2 * v for v in m.layer.output_padding)


def _moved(m: Mistaken) -> Any:
    """The output shifted by its output_padding, which comes first instead of last."""
    whole = m.y(b=None, padding=0, output_padding=0)
    if whole is None:
        return None
    more = [(extra, 0) for extra in m.layer.output_padding]
    return _cropped(m, np.pad(whole, [(0, 0), (0, 0), *more]))


def _inner(m: Mistaken, before: list[int], after: list[int], spread: Any = None) -> Any:
    """The convolution that a transposed one is, of the spread input with an inner padding."""
    layer = m.layer
    if spread is None:
        sizes = zip(m.x.shape[2:], layer.stride, strict=True)
        spread = np.zeros((*m.x.shape[:2], *((n - 1) * s + 1 for n, s in sizes)))
        spread[(..., *(slice(None, None, s) for s in layer.stride))] = m.x
    whole = m.rebuilt(input_shape=spread.shape[1:], stride=1, padding=0, output_padding=0)
    if whole is None:
        return None
    y = whole.apply(spread, m.w, None)
    for axis, (low, high) in enumerate(zip(before, after, strict=True), 2):
        extent = layer.dilation[axis - 2] * (m.w.shape[axis] - 1)
        # Padded by extent on each side the result is whole: less padding gives less of it.
        y = np.moveaxis(y, axis, 0)
        low, high = low - extent, high - extent
        y = y[max(0, -low) : len(y) - max(0, -high)]
        y = np.moveaxis(np.pad(y, [(max(0, low), max(0, high)), *[(0, 0)] * (y.ndim - 1)]), 0, axis)
    return y if m.b is None else y + m.b.reshape(-1, *[1] * m.case.op.ndim)


def _sides(m: Mistaken, bare: bool) -> tuple[list[int], list[int]]:
    layer = m.layer
    steps = (1,) * m.case.op.ndim if bare else layer.dilation
    before = [
        d * (k - 1) - p for d, k, (p, _) in zip(steps, m.w.shape[2:], layer.padding, strict=True)
    ]
    return before, [n + more for n, more in zip(before, layer.output_padding, strict=True)]


def _inner_bare(m: Mistaken) -> Any:
    return _inner(m, *_sides(m, bare=True))


def _inner_clipped(m: Mistaken) -> Any:
    before, after = _sides(m, bare=False)
    return _inner(m, [max(0, n) for n in before], [max(0, n) for n in after])


def _repeated(m: Mistaken) -> Any:
    up = m.x
    for axis, stride in enumerate(m.layer.stride, 2):
        up = np.repeat(up, stride, axis=axis)
        up = np.take(up, range(up.shape[axis] - stride + 1), axis=axis)
    return _inner(m, *_sides(m, bare=False), spread=up)
