"""Functions of one image and one kernel as layers: each channel is correlated, then summed."""

from collections.abc import Callable
from typing import Any

import numpy as np

Pairs = tuple[tuple[int, int], ...]


def check(x: Any, w: Any, b: Any, ndim: int, groups: int) -> None:
    """Refuse what the loops over the channels would not notice."""
    if x.ndim != ndim + 2 or w.ndim != ndim + 2:
        raise ValueError(f"x and w must have {ndim + 2} axes: got {x.ndim} and {w.ndim}")
    if groups < 1 or x.shape[1] != w.shape[1] * groups or len(w) % groups:
        raise ValueError(f"channels and groups do not fit: x {x.shape}, w {w.shape}, {groups}")
    if b is not None and b.shape != w.shape[:1]:
        raise ValueError(f"b must have shape {w.shape[:1]}: got {b.shape}")


def sizes(x: Any, w: Any, sides: Pairs) -> tuple[int, ...]:
    """The sizes of the output, on each axis N + before + after - K + 1."""
    axes = zip(x.shape[2:], sides, w.shape[2:], strict=True)
    found = tuple(n + sum(pair) - k + 1 for n, pair, k in axes)
    if min(found) < 1:
        raise ValueError(f"the kernel {w.shape[2:]} is larger than the padded input")
    return found


def summed(
    function: Callable[[Any, Any], Any], x: Any, w: Any, b: Any, sizes: tuple[int, ...], groups: int
) -> Any:
    """y[n, o] is the sum of function(x[n, c], w[o, c]) over the channels of o's group, and b[o]."""
    y = np.zeros((len(x), len(w), *sizes), x.dtype)
    width, height = w.shape[1], len(w) // groups
    for item, out in np.ndindex(y.shape[:2]):
        first = out // height * width
        y[item, out] = sum(
            function(x[item, first + channel], w[out, channel]) for channel in range(width)
        )
    return y if b is None else y + b.reshape(-1, *(1,) * len(sizes))


def anchors(name: str, sides: Pairs, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Which tap lies on the output's own place, where a function gives as many outputs as inputs.

    It is the middle one where that gives all the outputs asked for.

    >>> anchors("filter2D", ((1, 1), (0, 3)), (3, 4))
    (1, 0)
    """
    if any(min(pair) < 0 or sum(pair) >= k for pair, k in zip(sides, kernel, strict=True)):
        raise NotImplementedError(f"{name} gives as many outputs as inputs: no more, and no crop")
    axes = zip(sides, kernel, strict=True)
    return tuple(min(max(k // 2, before), k - 1 - after) for (before, after), k in axes)


def cropped(anchors: tuple[int, ...], sides: Pairs, sizes: tuple[int, ...]) -> tuple[slice, ...]:
    """Where the outputs with this padding are among those of each input."""
    starts = [a - before for a, (before, _) in zip(anchors, sides, strict=True)]
    return tuple(slice(at, at + n) for at, n in zip(starts, sizes, strict=True))
