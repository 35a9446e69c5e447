"""Known mistakes of average pools: what they add up, and what they divide it by."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from verify.families import reading
from verify.families.pooling import over, pooled, tables_of, with_changes
from verify.mistakes import Mistaken, Prediction, axis_name, one_at
from verify.ops import Op


def divisor_suspicions(op: Op) -> Iterator[tuple[str, Prediction]]:
    """Another number of inputs counted, or other values in the padding."""
    yield "padding counted where count_include_pad=False", with_changes(count_include_pad=True)
    yield "padding never counted", with_changes(count_include_pad=False)
    yield "divided by the whole window, also where ceil_mode makes it overhang", _whole
    yield "divided by the whole window always", lambda m: _divided(m, prod(m.layer.kernel_size))
    yield "only the inputs counted where ceil_mode makes a window overhang", _clipped
    yield "only the padding behind the input left out of the count", _behind_only
    yield "padding filled with the edge", _edge
    yield "inputs that are zero not counted", _without_zeros
    for axis in range(op.ndim if op.ndim > 1 else 0):
        told = f"divided by the window without its {axis_name(op, axis)}"
        yield told, partial(_without_axis, axis)
    if "divisor_override" in op.parameters:
        yield "divisor_override ignored", with_changes(divisor_override=None)
        yield "divisor_override applied to the average", _divided_twice


def _divided(m: Mistaken, divisor: Any) -> Any:
    if m.layer.divisor_override is not None:
        return m.case.arrays.y
    return over(m, np.sum, 0.0) / divisor


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
    bare = pooled(m, count_include_pad=False)
    return np.where(over, bare, m.case.arrays.y)


def _behind_only(m: Mistaken) -> Any:
    """Without count_include_pad the windows in front still count the padding."""
    layer = m.layer
    if layer.count_include_pad or layer.divisor_override is not None:
        return m.case.arrays.y
    counts = np.ones(())
    for n, p, k, s, count in zip(
        layer.input_shape[1:], layer.padding, layer.kernel_size, layer.stride,
        layer.output_shape[1:], strict=True,
    ):  # fmt: skip
        beyond = s * np.arange(count) - p[0] + k - n
        counts = counts[..., None] * (k - beyond.clip(0))
    return over(m, np.sum, 0.0) / counts


def _edge(m: Mistaken) -> Any:
    wide = np.pad(m.x, [(0, 0), (0, 0), *m.layer.padding], mode="edge")
    none = ((0, 0),) * len(m.layer.padding)
    seen = reading.read(wide, reading.tables(m.layer, sizes=wide.shape[2:], padding=none), 0.0)
    return seen.sum(axis=-1) / m.layer.counts()


def _without_zeros(m: Mistaken) -> Any:
    total, zeros = over(m, np.sum, 0.0), (reading.read(m.x, tables_of(m), 1.0) == 0).sum(-1)
    return total / np.maximum(m.layer.counts() - zeros, 1)


def _without_axis(axis: int, m: Mistaken) -> Any:
    """The divisor counts the cells along the other axes."""
    layer = m.layer
    if layer.divisor_override is not None:
        return m.case.arrays.y
    sides = [
        one_at(axis, value)(getattr(layer, name))
        for name, value in (("kernel_size", 1), ("padding", (0, 0)))
    ]
    flat = m.rebuilt(
        input_shape=(1, *one_at(axis, layer.output_shape[1 + axis])(layer.input_shape[1:])),
        kernel_size=sides[0], padding=sides[1], stride=one_at(axis, 1)(layer.stride),
    )  # fmt: skip
    return None if flat is None else over(m, np.sum, 0.0) / flat.counts()


def _divided_twice(m: Mistaken) -> Any:
    if m.layer.divisor_override is None:
        return m.case.arrays.y
    return pooled(m, divisor_override=None) / m.layer.divisor_override
