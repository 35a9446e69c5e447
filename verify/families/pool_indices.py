"""Known mistakes of the indices that a max pool may return after y."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from verify.families import reading
from verify.families.pooling import tables_of
from verify.mistakes import Mistaken, Prediction
from verify.ops import Op


def further_suspicions(op: Op, which: int) -> dict[str, Prediction]:
    """The mistakes that the indices of a max pool may have."""
    return dict(_of_indices(op))


def _of_indices(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "indices within the window, not in the plane", _in_window
    yield "indices of the last of equal maxima", partial(_indexed, last=True)
    yield "indices in the padded plane", _in_padded
    yield "indices counted over the channels too", partial(_over_planes, items=False)
    yield "indices counted over items and channels too", partial(_over_planes, items=True)
    if op.ndim == 2:
        yield "indices numbered down the columns", _down


def _indexed(m: Mistaken, last: bool = False) -> Any:
    """The flat position of each maximum in its plane."""
    return _look_up(reading.places(m.x.shape[2:], tables_of(m)), _best(m, last))


def _best(m: Mistaken, last: bool = False) -> Any:
    seen = reading.read(m.x, tables_of(m), -np.inf)
    taps = seen.shape[-1]
    return taps - 1 - seen[..., ::-1].argmax(axis=-1) if last else seen.argmax(axis=-1)


def _look_up(where: Any, best: Any) -> Any:
    wide = np.broadcast_to(where, (*best.shape[:2], *where.shape))
    return np.take_along_axis(wide, best[..., None], axis=-1)[..., 0]


def _in_window(m: Mistaken) -> Any:
    best = _best(m)
    if hasattr(m.layer, "kernel_size"):
        return best
    # Adaptive windows are as wide as they are, the tables as the widest of them.
    where = reading.places(m.x.shape[2:], tables_of(m))
    return _look_up((where >= 0).cumsum(axis=-1) - 1, best)


def _down(m: Mistaken) -> Any:
    width = m.x.shape[3]
    found = m.case.arrays.further[0]
    return found % width * m.x.shape[2] + found // width


def _in_padded(m: Mistaken) -> Any:
    if not hasattr(m.layer, "padding"):
        return m.case.arrays.further[0]
    sizes = [n + sum(p) for n, p in zip(m.x.shape[2:], m.layer.padding, strict=True)]
    place = np.unravel_index(m.case.arrays.further[0], m.x.shape[2:])
    moved = tuple(at + p[0] for at, p in zip(place, m.layer.padding, strict=True))
    return np.ravel_multi_index(moved, sizes)


def _over_planes(m: Mistaken, items: bool) -> Any:
    found = m.case.arrays.further[0]
    plane, channels = prod(m.x.shape[2:]), m.x.shape[1]
    moved = found + plane * np.arange(channels).reshape(1, -1, *[1] * (found.ndim - 2))
    if not items:
        return moved
    return moved + plane * channels * np.arange(len(m.x)).reshape(-1, *[1] * (found.ndim - 1))
