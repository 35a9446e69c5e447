"""Known mistakes of adaptive pools: windows that lie elsewhere."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from verify.families import reading
from verify.mistakes import Mistaken, Prediction

SPATIAL = ("depth", "height", "width")


def adaptive_suspicions() -> Iterator[tuple[str, Prediction]]:
    """Windows that start or end elsewhere than floor(i n / m) and ceil((i + 1) n / m)."""

    def floors(n: int, m: int) -> Any:
        return [i * n // m for i in range(m)], [(i + 1) * n // m for i in range(m)]

    def fixed(n: int, m: int) -> Any:
        k = n // m
        return [i * k for i in range(m)], [(i + 1) * k for i in range(m)]

    def strided(n: int, m: int) -> Any:
        s = n // m
        k = n - (m - 1) * s if s else 0  # without a stride it is no such window
        return [i * s for i in range(m)], [i * s + k for i in range(m)]

    def rest_last(n: int, m: int) -> Any:
        k = n // m
        return [i * k for i in range(m)], [*((i + 1) * k for i in range(m - 1)), n]

    def ceils(n: int, m: int) -> Any:
        return [-(-i * n // m) for i in range(m)], [-(-(i + 1) * n // m) for i in range(m)]

    def wide(n: int, m: int) -> Any:
        k = -(-n // m)
        return [i * k for i in range(m)], [min(n, (i + 1) * k) for i in range(m)]

    def rounds(n: int, m: int) -> Any:
        edges = [(2 * i * n + m) // (2 * m) for i in range(m + 1)]
        return edges[:-1], edges[1:]

    for told, how in (
        ("windows end at floor((i + 1) n / m) where they end at the ceiling", floors),
        ("windows of one size, n // m, and the rest left out", fixed),
        ("windows of one size at one stride, n // m", strided),
        ("windows of one size, n // m, the last one longer", rest_last),
        ("windows start at the ceiling where they start at the floor", ceils),
        ("windows of one size, ceil(n / m), the last one shorter", wide),
        ("window edges rounded to the nearest cell", rounds),
    ):
        yield told, partial(_split, how)
    yield "averages divided by the size of the first window", _first_size
    for one, two in permutations(range(3), 2):
        told = f"windows of the {SPATIAL[one]} used for the {SPATIAL[two]}"
        yield told, partial(_taken, one - 3, two - 3)


def _edges(n: int, m: int) -> Any:
    return [i * n // m for i in range(m)], [-(-(i + 1) * n // m) for i in range(m)]


def _split(how: Callable[[int, int], Any], m: Mistaken) -> Any:
    sizes = zip(m.layer.input_shape[1:], m.layer.output_size, strict=True)
    return _reduced(m, [reading.parts(n, *how(n, parts)) for n, parts in sizes])


def _reduced(m: Mistaken, tables: Any) -> Any:
    """What windows come to; not a number, which predicts anything, where they read nothing."""
    seen = reading.read(m.x, tables, np.nan)
    empty = np.isnan(seen).all(axis=-1)
    if m.case.op.family == "max_pool":
        y = np.where(np.isnan(seen), -np.inf, seen).max(axis=-1)
    else:
        y = np.nansum(seen, axis=-1) / np.maximum(1, (~np.isnan(seen)).sum(axis=-1))
    return np.where(empty, np.nan, y)


def _first_size(m: Mistaken) -> Any:
    if m.case.op.family == "max_pool":
        return None
    counts = m.layer.counts()
    return m.case.arrays.y * counts / counts.flat[0]


def _taken(one: int, two: int, m: Mistaken) -> Any:
    """The windows of one axis on another: those of one that has more windows taken in turn."""
    sizes, parts = m.layer.input_shape[1:], m.layer.output_size
    if min(one, two) < -len(sizes):
        return None
    starts, stops = _edges(sizes[one], parts[one])
    n, many = sizes[two], range(parts[two])
    first = [min(starts[i % parts[one]], n - 1) for i in many]
    last = [max(min(stops[i % parts[one]], n), at + 1) for i, at in zip(many, first, strict=True)]
    tables = [reading.parts(n, *_edges(n, m)) for n, m in zip(sizes, parts, strict=True)]
    tables[two] = reading.parts(n, first, last)
    return _reduced(m, tables)
