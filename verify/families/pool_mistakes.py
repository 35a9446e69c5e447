"""Known mistakes of pools, each with the output or the gradient that it would give."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from verify.families import reading
from verify.families.adaptive_mistakes import adaptive_suspicions
from verify.families.divisor_mistakes import divisor_suspicions
from verify.families.pooling import over, pooled, tables_of, with_changes
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
        table |= dict(adaptive_suspicions())
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
        yield "stride ignored: every window starts one further", with_changes(stride=1)
        yield "stride ignored: the kernel size taken for it", with_changes(stride=None)
        yield (
            "stride one where it is left to its default, which is the kernel size",
            lambda m: pooled(m) if "stride" in m.case.arguments else pooled(m, stride=1),
        )
        yield (
            "stride and dilation exchanged",
            lambda m: pooled(m, stride=m.layer.dilation, dilation=m.layer.stride),
        )
    if "padding" in op.parameters:
        yield "padding before the input only", _changed("padding", lambda v: _sides(v, 1, 0))
        yield "padding after the input only", _changed("padding", lambda v: _sides(v, 0, 1))
        yield "all padding before the input", _changed("padding", lambda v: _sides(v, 2, 0))
        yield "all padding after the input", _changed("padding", lambda v: _sides(v, 0, 2))
        yield "padding doubled", _changed("padding", lambda v: _sides(v, 2, 2))


def _strided(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "ceil_mode ignored", with_changes(ceil_mode=False)
    yield "ceil_mode always on", with_changes(ceil_mode=True)
    yield "ceil_mode drops windows by where they start without the padding", _early
    if op.family == "max_pool":
        for axis in range(op.ndim):
            along = f" along the {axis_name(op, axis)}" if op.ndim > 1 else ""
            yield f"last tap of each window{along} not read", partial(_short, axis)
        for filled, value in (("zeros", 0.0), ("-1e9", -1e9), ("the smallest number", None)):
            yield f"padding filled with {filled}, which can win", partial(_filled, value, False)
            yield (
                f"padding filled with {filled}, which can win, what ceil_mode adds is not",
                partial(_filled, value, True),
            )
        for rounded in (False, True):
            told = "ceil_mode keeps windows that start behind the input"
            yield (
                f"{told}{', of zeros' if rounded else ''}",
                partial(_overhanging, 0.0 if rounded else -np.inf),
            )
        return
    yield "ceil_mode keeps windows that start behind the input", partial(_overhanging, 0.0)
    yield from divisor_suspicions(op)


def _reduced(op: Op) -> Iterator[tuple[str, Prediction]]:
    if op.family == "max_pool":
        yield "the minimum taken", lambda m: over(m, np.min, np.inf)
        yield "the largest magnitude taken", _magnitude
        yield "the average taken", lambda m: over(m, np.nanmean, np.nan)
        yield "negative outputs set to zero", lambda m: np.maximum(m.case.arrays.y, 0)
    else:
        yield "the sum taken", lambda m: over(m, np.sum, 0.0)
        yield "the maximum taken", lambda m: over(m, np.max, -np.inf)
        yield "averages rounded down", lambda m: np.floor(m.case.arrays.y)
        yield "averages rounded towards zero", lambda m: np.trunc(m.case.arrays.y)
    yield "pooled over the channels too", _over_channels
    yield "pooled over the batch too", _over_batch
    if op.name[:6] == "global":
        yield "spatial axes dropped", lambda m: m.case.arrays.y.reshape(m.case.arrays.y.shape[:2])
        for axis in range(op.ndim if op.ndim > 1 else 0):
            yield f"only the first place along the {axis_name(op, axis)} read", _at_first(axis)
    yield "first channel used for all", lambda m: pooled(m, x=np.repeat(
        m.x[:, :1], m.x.shape[1], axis=1))  # fmt: skip
    yield "items of the batch not pooled: only the first", _first_item
    for axis in range(op.ndim if op.name[:6] != "global" else 0):
        told = f"last output along the {axis_name(op, axis)}" if op.ndim > 1 else "last output"
        yield f"{told} missing", partial(_cut, axis + 2)
        yield f"{told} not written", partial(_unwritten, axis + 2)


def _changed(name: str, change: Callable[[Any], Any]) -> Prediction:
    return lambda m: pooled(m, **{name: change(getattr(m.layer, name))})


def _all(value: Any, values: Any) -> Any:
    return (value,) * len(values)


def _sides(padding: Any, before: int, after: int) -> Any:
    return tuple((before * lo, after * hi) for lo, hi in padding)


def _short(axis: int, m: Mistaken) -> Any:
    """The maximum without a window's last tap along an axis, if it has others."""
    tables = tables_of(m)
    tables[axis] = tables[axis][:, : max(1, tables[axis].shape[1] - 1)]
    return reading.read(m.x, tables, -np.inf).max(axis=-1)


def _magnitude(m: Mistaken) -> Any:
    seen = reading.read(m.x, tables_of(m), 0.0)
    best = np.argmax(np.abs(seen), axis=-1)
    return np.take_along_axis(seen, best[..., None], axis=-1)[..., 0]


def _filled(value: float | None, padding_only: bool, m: Mistaken) -> Any:
    """The maximum with a value for what lies outside; None: the smallest of the dtype."""
    layer = m.layer
    if value is None:
        value = float(np.finfo(m.case.dtype).min) if "float" in m.case.dtype else -np.inf
    if not padding_only:
        return np.max(reading.read(m.x, reading.tables(layer), value), axis=-1)
    wide = np.pad(m.x, [(0, 0), (0, 0), *layer.padding], constant_values=value)
    tables = reading.tables(layer, sizes=wide.shape[2:], padding=((0, 0),) * len(layer.padding))
    return np.max(reading.read(wide, tables, -np.inf), axis=-1)


def _early(m: Mistaken) -> Any:
    layer = m.layer
    if not layer.ceil_mode:
        return m.case.arrays.y
    kept = [
        slice(0, count - 1 if (count - 1) * s >= n else count)
        for count, s, n in zip(
            layer.output_shape[1:], layer.stride, layer.input_shape[1:], strict=True
        )
    ]
    return m.case.arrays.y[(..., *kept)]


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


def _over_channels(m: Mistaken) -> Any:
    y = m.case.arrays.y
    reduce = np.max if m.case.op.family == "max_pool" else np.mean
    return np.broadcast_to(reduce(y, axis=1, keepdims=True), y.shape)


def _over_batch(m: Mistaken) -> Any:
    y = m.case.arrays.y
    reduce = np.max if m.case.op.family == "max_pool" else np.mean
    return np.broadcast_to(reduce(y, axis=0, keepdims=True), y.shape) if len(y) else y


def _at_first(axis: int) -> Prediction:
    def predicted(m: Mistaken) -> Any:
        x = np.take(m.x, [0], axis=axis + 2)
        return pooled(m, x=x, input_shape=x.shape[1:])

    return predicted


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
