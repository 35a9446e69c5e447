"""Known mistakes with channels, groups, items and the bias, each with the output it would give."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from verify.mistakes import (
    Mistaken,
    Prediction,
    cleared,
    dealt,
    fitted,
    interleaved,
    left_over,
    split,
    transposed_weights,
)
from verify.ops import Op

BLOCKS = (2, 4, 8, 16)


def of_bias(op: Op) -> Iterator[tuple[str, Prediction]]:
    """Mistakes with the bias; without one they make no difference."""
    changes: dict[str, Any] = {
        "bias missing": lambda m: None,
        "bias doubled": lambda m: 2 * m.b,
        "bias subtracted": lambda m: -m.b,
        "bias in reverse order": lambda m: m.b[::-1],
        "bias of the channel before used": lambda m: np.roll(m.b, 1),
        "bias of the channel after used": lambda m: np.roll(m.b, -1),
        "first bias used for every channel": lambda m: np.full_like(m.b, m.b[0]),
        "bias added once for each tap": lambda m: prod(m.w.shape[2:]) * m.b,
        "bias added once for each input channel": lambda m: m.w.shape[1] * m.b,
        "bias added once for each tap and input channel": lambda m: m.w[0, ...].size * m.b,
    }
    if not op.linear:
        changes |= {
            "group 0's bias used for every group": lambda m: np.resize(
                m.b[: len(m.b) // m.layer.groups], m.b.shape
            ),
            "bias of the group used for each of its channels": lambda m: np.repeat(
                m.b[: m.layer.groups], len(m.b) // m.layer.groups
            ),
        }
    for told, change in changes.items():
        yield told, partial(_biased, change)
    yield "bias added to the first item only", _bias_first_item
    yield "bias along the last axis instead of the channels", _bias_last_axis
    yield "bias along the items of the batch instead of the channels", _bias_items
    yield "bias taken by the flat index of the output, modulo the channels", _bias_flat
    yield "bias added before the batch and the channels are exchanged", _bias_swapped
    if op.transposed:
        yield "bias added once for each contribution to an output", _bias_stamped


def of_channels(op: Op) -> Iterator[tuple[str, Prediction]]:
    """Mistakes with channels, output values and items of the batch."""
    yield "last input channel missing", lambda m: m.y(x=cleared(m.x, 1, -1))
    yield "first input channel missing", lambda m: m.y(x=cleared(m.x, 1, 0))
    yield "only the first input channel read", lambda m: m.y(x=fitted(m.x[:, :1], m.x.shape))
    yield "last output channel missing", lambda m: cleared(m.case.arrays.y, 1, -1)
    yield "last item of the batch missing", lambda m: cleared(m.case.arrays.y, 0, -1)
    yield (
        "first item of the batch used for all",
        lambda m: np.repeat(m.case.arrays.y[:1], len(m.x), axis=0) if len(m.x) else m.y(),
    )
    yield "items of the batch summed", lambda m: m.y(x=0 * m.x + m.x.sum(axis=0))
    yield "input channels in reverse order", lambda m: m.y(x=m.x[:, ::-1])
    yield (
        "weights read with input and output channels exchanged",
        lambda m: m.y(w=transposed_weights(m, m.w)),
    )
    yield "first filter used for every output channel", lambda m: m.y(w=0 * m.w + m.w[:1])
    yield "batch and output channels mixed: reshaped without a transpose", _batch_mixed
    yield "nothing but the bias", lambda m: m.y(w=0 * m.w)
    yield "all zeros", lambda m: np.zeros_like(m.case.arrays.y)
    yield "negative outputs set to zero", lambda m: m.case.arrays.y * (m.case.arrays.y.real > 0)
    yield "absolute values of the outputs", lambda m: abs(m.case.arrays.y)
    yield "outputs with the wrong sign", lambda m: -m.case.arrays.y
    yield "outputs doubled", lambda m: 2 * m.case.arrays.y
    for block in BLOCKS:
        yield from _blocked(block)
    yield "weights conjugated", lambda m: m.y(w=m.w.conj())
    yield "inputs conjugated", lambda m: m.y(x=m.x.conj())
    yield "imaginary parts of the inputs lost", lambda m: m.y(x=m.x.real)
    yield "imaginary parts of the outputs lost", lambda m: m.case.arrays.y.real


def _blocked(block: int) -> Iterator[tuple[str, Prediction]]:
    """What stands behind the last whole block is left out, or the last block alone counts."""
    whole = f"those behind the last whole block of {block}"
    yield f"input channels left out: {whole}", lambda m: m.y(x=_left_over_inputs(m, block))
    yield (
        f"sums over blocks of {block} input channels not added up: the last block alone counts",
        lambda m: m.y(x=_last_block(m, block)),
    )
    yield (
        f"output channels not written: {whole}",
        lambda m: left_over(m.case.arrays.y, 1, block),
    )
    yield (
        f"output channels without anything but their bias: {whole}",
        lambda m: m.y(w=left_over(m.w, 0, block)) if not m.case.op.transposed else None,
    )
    yield f"items of the batch not written: {whole}", lambda m: left_over(m.case.arrays.y, 0, block)


def of_groups(op: Op) -> Iterator[tuple[str, Prediction]]:
    """Mistakes with groups; with one group they make no difference."""
    outputs: dict[str, Any] = {
        "output channels of the groups dealt out in turn": dealt,
        "output channels of the groups interleaved": interleaved,
    }
    for told, change in outputs.items():
        yield told, partial(_rearranged, change)
    inputs: dict[str, Any] = {
        "groups interleaved": interleaved,
        "input channels of the groups dealt out in turn": dealt,
        "groups in reverse order": lambda x, groups: split(x, groups)[:, ::-1].reshape(x.shape),
        "each group reads the next group's channels": partial(_rolled, by=1),
        "each group reads the previous group's channels": partial(_rolled, by=-1),
        "every group reads the first group's channels": _first_group,
        "group g reads from channel g, not from its own first": _overlapping,
    }
    for told, change in inputs.items():
        yield told, partial(_regrouped, change)
    yield "filter o belongs to group o modulo the groups", _filters_in_turn
    yield (
        "group 0's weights used for every group",
        lambda m: m.y(w=np.resize(m.w[: len(m.w) // m.layer.groups], m.w.shape)),
    )
    yield "only the first group computed", partial(_some_groups, slice(1, None))
    yield "only the last group computed", partial(_some_groups, slice(0, -1))


def _biased(change: Any, m: Mistaken) -> Any:
    return m.y() if m.b is None else m.y(b=change(m))


def _bias_first_item(m: Mistaken) -> Any:
    y = m.y(b=None)
    y[:1] = m.case.arrays.y[:1]
    return y


def _bias_last_axis(m: Mistaken) -> Any:
    if m.b is None:
        return m.y()
    return m.y(b=None) + m.b if len(m.b) in (1, m.case.arrays.y.shape[-1]) else None


def _bias_items(m: Mistaken) -> Any:
    if m.b is None:
        return m.y()
    return m.y(b=None) + m.b.reshape(-1, *[1] * (m.case.op.ndim + 1))


def _bias_flat(m: Mistaken) -> Any:
    if m.b is None:
        return m.y()
    y = m.y(b=None)
    flat = y.reshape(len(y), prod(y.shape[1:]))
    return (flat + np.resize(m.b, flat.shape[1])).reshape(y.shape)


def _bias_swapped(m: Mistaken) -> Any:
    """(O, N) results that get the bias as (N, O)."""
    if m.b is None:
        return m.y()
    y = m.y(b=None)
    added = np.resize(m.b, y.shape[0] * y.shape[1]).reshape(y.shape[1], y.shape[0]).T
    return y + added.reshape(*y.shape[:2], *[1] * m.case.op.ndim)


def _bias_stamped(m: Mistaken) -> Any:
    """The bias as often as taps meet an output."""
    if m.b is None:
        return m.y()
    ones = np.zeros_like(m.w)
    width = m.w.shape[0] // m.layer.groups
    ones[::width] = 1
    return m.y(b=None) + m.b.reshape(-1, *[1] * m.case.op.ndim) * m.y(
        x=np.ones_like(m.x), w=ones, b=None
    )


def _batch_mixed(m: Mistaken) -> Any:
    y = m.case.arrays.y
    return np.ascontiguousarray(np.swapaxes(y, 0, 1)).reshape(y.shape)


def _width(m: Mistaken) -> int:
    """The input channels of a group."""
    return int(m.x.shape[1] // (1 if m.case.op.linear else m.layer.groups))


def _left_over_inputs(m: Mistaken, block: int) -> Any:
    width = _width(m)
    parts = split(m.x, m.x.shape[1] // width)
    return left_over(parts, 2, block).reshape(m.x.shape)


def _last_block(m: Mistaken, block: int) -> Any:
    width = _width(m)
    parts = split(m.x, m.x.shape[1] // width)
    return cleared(parts, 2, slice(0, (width - 1) // block * block)).reshape(m.x.shape)


def _rearranged(change: Any, m: Mistaken) -> Any:
    """Outputs rearranged before the bias is added."""
    y = change(m.y(b=None), m.layer.groups)
    return y if m.b is None else y + m.b.reshape(-1, *[1] * m.case.op.ndim)


def _regrouped(change: Any, m: Mistaken) -> Any:
    return m.y(x=change(m.x, m.layer.groups))


def _rolled(x: Any, groups: int, by: int) -> Any:
    return np.roll(split(x, groups), -by, axis=1).reshape(x.shape)


def _first_group(x: Any, groups: int) -> Any:
    return np.concatenate([x[:, : x.shape[1] // groups]] * groups, axis=1)


def _overlapping(x: Any, groups: int) -> Any:
    width = x.shape[1] // groups
    return np.concatenate([x[:, g : g + width] for g in range(groups)], axis=1)


def _filters_in_turn(m: Mistaken) -> Any:
    """Filter o reads the channels of group o modulo the groups."""
    if m.case.op.transposed:
        return None
    groups = m.layer.groups
    order = np.argsort(np.arange(len(m.w)) % groups, kind="stable")
    y = np.empty_like(m.case.arrays.y)
    y[:, order] = m.y(w=m.w[order], b=None if m.b is None else m.b[order])
    return y


def _some_groups(missing: Any, m: Mistaken) -> Any:
    y = m.case.arrays.y
    return cleared(split(y, m.layer.groups), 1, missing).reshape(y.shape)
