"""Known mistakes of pools, each with the output or the gradient that it would give."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from verify.families import reading
from verify.mistakes import (
    Mistaken,
    Prediction,
    axis_name,
    every_axis,
    exchanged,
    first_for_all,
    last_for_all,
    one_at,
)
from verify.ops import Op

PLAIN = {"stride": 1, "dilation": 1, "padding": (0, 0), "kernel_size": 1, "output_size": 1}


def suspicions(op: Op) -> dict[str, Prediction]:
    """The mistakes that the forward pass of a pool may have."""
    table = dict(_arguments(op))
    if "kernel_size" in op.parameters:
        table |= dict(_strided(op))
    if "output_size" in op.parameters:
        table |= dict(_adaptive(op))
    return table | dict(_reduced(op))


def _arguments(op: Op) -> Iterator[tuple[str, Prediction]]:
    for name in ("kernel_size", "stride", "dilation", "padding", "output_size"):
        if name not in op.parameters:
            continue
        told = name.replace("_size", " size")
        if name != "output_size":
            for one, two in combinations(range(op.ndim), 2):
                both = f"{axis_name(op, one)} and {axis_name(op, two)}"
                yield f"{told} of {both} swapped", _changed(name, exchanged(one, two))
        else:
            for one, two in combinations(range(op.ndim), 2):
                both = f"{axis_name(op, one)} and {axis_name(op, two)}"
                yield f"{told} of {both} swapped", _changed(name, exchanged(one, two))
        if op.ndim > 1:
            first, last = axis_name(op, 0), axis_name(op, op.ndim - 1)
            every = every_axis(op)
            yield f"{first} {told} used for {every} axes", _changed(name, first_for_all)
            yield f"{last} {told} used for {every} axes", _changed(name, last_for_all)
        if name in ("dilation", "padding"):
            none = PLAIN[name]
            yield f"{told} ignored", _changed(name, partial(_all, none))
            for axis in range(op.ndim if op.ndim > 1 else 0):
                along = f" along the {axis_name(op, axis)}"
                yield f"{told} ignored{along}", _changed(name, one_at(axis, none))
    if "stride" in op.parameters:
        yield "stride ignored: every window starts one further", _with(stride=1)
        yield "stride ignored: the kernel size taken for it", _with(stride=None)
        yield (
            "stride one where it is left to its default, which is the kernel size",
            lambda m: _pooled(m) if "stride" in m.case.arguments else _pooled(m, stride=1),
        )
        yield (
            "stride and dilation exchanged",
            lambda m: _pooled(m, stride=m.layer.dilation, dilation=m.layer.stride),
        )
    if "padding" in op.parameters:
        yield "padding before the input only", _changed("padding", lambda v: _sides(v, 1, 0))
        yield "padding after the input only", _changed("padding", lambda v: _sides(v, 0, 1))
        yield "all padding before the input", _changed("padding", lambda v: _sides(v, 2, 0))
        yield "all padding after the input", _changed("padding", lambda v: _sides(v, 0, 2))
        yield "padding doubled", _changed("padding", lambda v: _sides(v, 2, 2))


def _strided(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "ceil_mode ignored", _with(ceil_mode=False)
    yield "ceil_mode always on", _with(ceil_mode=True)
    if op.family == "max_pool":
        yield "padding filled with zeros, which can win", partial(_filled, 0.0)
        for rounded in (False, True):
            told = "ceil_mode keeps windows that start behind the input"
            yield (
                f"{told}{', of zeros' if rounded else ''}",
                partial(_overhanging, 0.0 if rounded else -np.inf),
            )
        return
    yield "padding counted where count_include_pad=False", _with(count_include_pad=True)
    yield "padding never counted", _with(count_include_pad=False)
    yield "divided by the whole window, also where ceil_mode makes it overhang", _whole
    yield "divided by the whole window always", lambda m: _divided(m, prod(m.layer.kernel_size))
    yield "only the inputs counted where ceil_mode makes a window overhang", _clipped
    yield "ceil_mode keeps windows that start behind the input", partial(_overhanging, 0.0)
    if "divisor_override" in op.parameters:
        yield "divisor_override ignored", _with(divisor_override=None)
        yield "divisor_override applied to the average", _divided_twice


def _adaptive(op: Op) -> Iterator[tuple[str, Prediction]]:
    def floors(n: int, m: int) -> Any:
        return [i * n // m for i in range(m)], [(i + 1) * n // m for i in range(m)]

    def fixed(n: int, m: int) -> Any:
        k = n // m
        return [i * k for i in range(m)], [(i + 1) * k for i in range(m)]

    def strided(n: int, m: int) -> Any:
        s = n // m
        k = n - (m - 1) * s
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
        edges = [round(i * n / m) for i in range(m + 1)]
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


def _reduced(op: Op) -> Iterator[tuple[str, Prediction]]:
    if op.family == "max_pool":
        yield "the minimum taken", lambda m: _over(m, np.min, np.inf)
        yield "the largest magnitude taken", _magnitude
        yield "the average taken", lambda m: _over(m, np.nanmean, np.nan)
        yield "negative outputs set to zero", lambda m: np.maximum(m.case.arrays.y, 0)
    else:
        yield "the sum taken", lambda m: _over(m, np.sum, 0.0)
        yield "the maximum taken", lambda m: _over(m, np.max, -np.inf)
        yield "averages rounded down", lambda m: np.floor(m.case.arrays.y)
        yield "averages rounded towards zero", lambda m: np.trunc(m.case.arrays.y)
    yield "pooled over the channels too", _over_channels
    yield "first channel used for all", lambda m: _pooled(m, x=np.repeat(
        m.x[:, :1], m.x.shape[1], axis=1))  # fmt: skip
    yield "items of the batch not pooled: only the first", _first_item
    for axis in range(op.ndim if op.name[:6] != "global" else 0):
        told = f"last output along the {axis_name(op, axis)}" if op.ndim > 1 else "last output"
        yield f"{told} missing", partial(_cut, axis + 2)
        yield f"{told} not written", partial(_unwritten, axis + 2)


def _pooled(m: Mistaken, x: Any = None, **changes: Any) -> Any:
    """The output of a pool with other arguments, on another input."""
    layer = m.layer if not changes else m.rebuilt(**changes)
    return None if layer is None else layer.apply(m.x if x is None else x)


def _with(**changes: Any) -> Prediction:
    return lambda m: _pooled(m, **changes)


def _changed(name: str, change: Callable[[Any], Any]) -> Prediction:
    return lambda m: _pooled(m, **{name: change(getattr(m.layer, name))})


def _all(value: Any, values: Any) -> Any:
    return (value,) * len(values)


def _sides(padding: Any, before: int, after: int) -> Any:
    return tuple((before * lo, after * hi) for lo, hi in padding)


def tables_of(m: Mistaken) -> list[Any]:
    """The tables of what a pool's windows read."""
    if hasattr(m.layer, "kernel_size"):
        return reading.tables(m.layer)
    return list(m.layer.sources)


def _over(m: Mistaken, reduce: Any, fill: float) -> Any:
    return reduce(reading.read(m.x, tables_of(m), fill), axis=-1)


def _magnitude(m: Mistaken) -> Any:
    seen = reading.read(m.x, tables_of(m), 0.0)
    best = np.argmax(np.abs(seen), axis=-1)
    return np.take_along_axis(seen, best[..., None], axis=-1)[..., 0]


def _filled(value: float, m: Mistaken) -> Any:
    return np.max(reading.read(m.x, reading.tables(m.layer), value), axis=-1)


def _overhanging(fill: float, m: Mistaken) -> Any:
    """ceil((n + 2 p - extent) / stride) + 1 windows, wherever the last one starts."""
    layer = m.layer
    if not layer.ceil_mode:
        return m.case.arrays.y
    counts = [
        -(-(n + sum(p) - d * (k - 1) - 1) // s) + 1
        for n, p, d, k, s in zip(
            layer.input_shape[1:], layer.padding, layer.dilation, layer.kernel_size,
            layer.stride, strict=True,
        )
    ]  # fmt: skip
    seen = reading.read(m.x, reading.tables(layer, counts), fill)
    if m.case.op.family == "max_pool":
        return seen.max(axis=-1)
    # What lies behind the padding may be divided by anything: not a number predicts all of it.
    result = np.full(seen.shape[:-1], np.nan)
    result[tuple(slice(0, n) for n in m.case.arrays.y.shape)] = m.case.arrays.y
    return result


def _divided(m: Mistaken, divisor: Any) -> Any:
    if m.layer.divisor_override is not None:
        return m.case.arrays.y
    return _over(m, np.sum, 0.0) / divisor


def _whole(m: Mistaken) -> Any:
    """The overhang of ceil_mode is counted like padding."""
    if not m.layer.count_include_pad:
        return m.case.arrays.y
    return _divided(m, prod(m.layer.kernel_size))


def _clipped(m: Mistaken) -> Any:
    """A window that overhangs divides by its inputs alone, others with their padding."""
    layer = m.layer
    if not (layer.ceil_mode and layer.count_include_pad) or layer.divisor_override is not None:
        return m.case.arrays.y
    over = np.zeros(layer.output_shape[1:], bool)
    for axis, (n, p, k, s, count) in enumerate(
        zip(layer.input_shape[1:], layer.padding, layer.kernel_size, layer.stride,
            layer.output_shape[1:], strict=True)
    ):  # fmt: skip
        beyond = s * np.arange(count) - p[0] + k > n + p[1]
        over |= beyond.reshape([-1 if i == axis else 1 for i in range(over.ndim)])
    bare = _pooled(m, count_include_pad=False)
    return np.where(over, bare, m.case.arrays.y)


def _divided_twice(m: Mistaken) -> Any:
    if m.layer.divisor_override is None:
        return m.case.arrays.y
    return _pooled(m, divisor_override=None) / m.layer.divisor_override


def _split(how: Callable[[int, int], Any], m: Mistaken) -> Any:
    sizes = zip(m.layer.input_shape[1:], m.layer.output_size, strict=True)
    tables = [reading.parts(n, *how(n, parts)) for n, parts in sizes]
    if any((table < 0).all(axis=1).any() for table in tables):
        return None  # windows that read nothing: anything may come of them
    if m.case.op.family == "max_pool":
        return reading.read(m.x, tables, -np.inf).max(axis=-1)
    return np.nanmean(reading.read(m.x, tables, np.nan), axis=-1)


def _over_channels(m: Mistaken) -> Any:
    y = m.case.arrays.y
    reduce = np.max if m.case.op.family == "max_pool" else np.mean
    return np.broadcast_to(reduce(y, axis=1, keepdims=True), y.shape)


def _first_item(m: Mistaken) -> Any:
    y = np.zeros_like(m.case.arrays.y)
    y[:1] = m.case.arrays.y[:1]
    return y


def _cut(axis: int, m: Mistaken) -> Any:
    y = m.case.arrays.y
    return y[(slice(None),) * axis + (slice(0, -1),)]


def _unwritten(axis: int, m: Mistaken) -> Any:
    y = m.case.arrays.y.copy()
    y[(slice(None),) * axis + (slice(-1, None),)] = 0
    return y
