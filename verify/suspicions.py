"""The table of known mistakes of a forward pass, each with the output that it would give."""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from verify.channels import BLOCKS, of_bias, of_channels, of_groups
from verify.mistakes import (
    Mistaken,
    Prediction,
    axis_name,
    cleared,
    every_axis,
    exchanged,
    first_for_all,
    flipped,
    last_for_all,
    left_over,
    one_at,
)
from verify.ops import Op
from verify.paddings import of_modes, of_padding
from verify.stamps import of_transposed
from verify.starts import of_starts

STEPS = ("stride", "dilation", "output_padding")


def suspicions(op: Op) -> dict[str, Prediction]:
    """The mistakes that an implementation of an op may have, by the sentence that names them."""
    table: dict[str, Prediction] = {}
    if not op.linear:
        table |= dict(_kernel(op))
        for name in op.parameters:
            if name in STEPS:
                table |= dict(_steps(name, op))
        table |= dict(of_padding(op))
        table |= dict(of_groups(op))
        table |= dict(_sizes(op))
        if not op.transposed:
            table |= dict(of_starts(op))
    if op.transposed:
        table |= dict(of_transposed(op))
    if op.padded:
        table |= dict(of_modes(op))
    return table | dict(of_bias(op)) | dict(of_channels(op))


def _kernel(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "kernel flipped", lambda m: m.y(w=flipped(m.w, m.spatial))
    for axis in range(op.ndim if op.ndim > 1 else 0):
        yield f"kernel flipped along the {axis_name(op, axis)} only", partial(_flipped_along, axis)
    for one, two in combinations(range(op.ndim), 2):
        both = f"{axis_name(op, one)} and {axis_name(op, two)} swapped"
        yield f"kernel {both}", partial(_kernel_swapped, one, two)
        yield f"input {both}", partial(_input_swapped, one, two)
        yield f"output {both}", partial(_output_swapped, one, two)
        yield f"kernel read with {both}, in its own shape", partial(_kernel_reread, one, two)
    yield "last tap of the kernel missing", lambda m: m.y(w=_without_tap(m.w, -1))
    yield "first tap of the kernel missing", lambda m: m.y(w=_without_tap(m.w, 0))
    for block in BLOCKS[:2]:
        told = f"taps left out: those behind the last whole block of {block}"
        yield told, partial(_taps_left_over, block)
    for reach in (2, 4, 8):
        yield f"taps more than {reach} cells from the first left out", partial(_near_taps, reach)


def _steps(name: str, op: Op) -> Iterator[tuple[str, Prediction]]:
    none = 0 if name == "output_padding" else 1
    changes: dict[str, Any] = {
        f"{name} ignored": lambda values: (none,) * len(values),
        f"{name} one too large": lambda values: tuple(v + 1 for v in values),
        f"{name} one too small": lambda values: tuple(max(v - 1, none) for v in values),
        f"{name} doubled": lambda values: tuple(2 * v for v in values),
    }
    for one, two in combinations(range(op.ndim), 2):
        told = f"{name} of {axis_name(op, one)} and {axis_name(op, two)} swapped"
        changes[told] = exchanged(one, two)
    if op.ndim > 1:
        first, last = axis_name(op, 0), axis_name(op, op.ndim - 1)
        changes[f"{first} {name} used for {every_axis(op)} axes"] = first_for_all
        changes[f"{last} {name} used for {every_axis(op)} axes"] = last_for_all
        for axis in range(op.ndim):
            changes[f"{name} ignored along the {axis_name(op, axis)}"] = one_at(axis, none)
    for told, change in changes.items():
        yield told, partial(_changed, name, change)
    if name == "output_padding":
        return
    other = "dilation" if name == "stride" else "stride"
    yield f"{other} taken for the {name}", lambda m: m.y(**{name: getattr(m.layer, other)})
    if name == "stride":
        yield (
            "stride and dilation exchanged",
            lambda m: m.y(stride=m.layer.dilation, dilation=m.layer.stride),
        )
        yield "kernel size taken for the stride", lambda m: m.y(stride=m.w.shape[2:])


def _sizes(op: Op) -> Iterator[tuple[str, Prediction]]:
    for axis in range(op.ndim):
        last = ("row", "column")[axis - op.ndim + 2] if op.ndim == 2 else "output"
        along = f" along the {axis_name(op, axis)}" if op.ndim != 2 and op.ndim > 1 else ""
        told = f"last output {last}" if op.ndim == 2 else f"last output{along}"
        at = axis + 2
        yield f"{told} missing", partial(_cut, at)
        yield f"{told} missing where the windows end with the input", partial(_cut_flush, axis)
        yield f"{told} not written", partial(_unwritten, at)
        yield f"last input{along or ' ' + last} not read", partial(_unread, at)
        for block in BLOCKS:
            told_axis = f"outputs along the {axis_name(op, axis)}" if op.ndim > 1 else "outputs"
            behind = f"those behind the last whole block of {block}"
            yield f"{told_axis} not written: {behind}", partial(_left_over_outputs, at, block)
            told_axis = f"last block of {block} {told_axis}"
            yield f"{told_axis} moved back to fit, its inputs not", partial(_moved_back, at, block)
    if op.transposed:
        return
    yield "output size rounded up", _rounded_up
    yield "output size without the last window where input is left over", _rounded_down


def _flipped_along(axis: int, m: Mistaken) -> Any:
    return m.y(w=flipped(m.w, (2 + axis,)))


def _kernel_swapped(one: int, two: int, m: Mistaken) -> Any:
    return m.y(w=np.swapaxes(m.w, 2 + one, 2 + two))


def _kernel_reread(one: int, two: int, m: Mistaken) -> Any:
    return m.y(w=np.swapaxes(m.w, 2 + one, 2 + two).reshape(m.w.shape))


def _input_swapped(one: int, two: int, m: Mistaken) -> Any:
    return m.y(x=np.swapaxes(m.x, 2 + one, 2 + two))


def _output_swapped(one: int, two: int, m: Mistaken) -> Any:
    return np.swapaxes(m.case.arrays.y, 2 + one, 2 + two)


def _without_tap(w: Any, index: int) -> Any:
    if prod(w.shape[2:]) == 1:
        return w
    result = w.copy()
    result[(slice(None), slice(None)) + (index,) * (w.ndim - 2)] = 0
    return result


def _taps_left_over(block: int, m: Mistaken) -> Any:
    taps = m.w.reshape(*m.w.shape[:2], prod(m.w.shape[2:]))
    return m.y(w=left_over(taps, 2, block).reshape(m.w.shape))


def _near_taps(reach: int, m: Mistaken) -> Any:
    w = m.w.copy()
    for axis, dilation in enumerate(m.layer.dilation, 2):
        w = cleared(w, axis, slice(reach // dilation + 1, None))
    return m.y(w=w)


def _changed(name: str, change: Any, m: Mistaken) -> Any:
    return m.y(**{name: change(getattr(m.layer, name))})


def _cut(axis: int, m: Mistaken) -> Any:
    y = m.case.arrays.y
    return y[(slice(None),) * axis + (slice(0, -1),)]


def _cut_flush(axis: int, m: Mistaken) -> Any:
    if m.case.op.transposed:
        return None
    return m.y() if _rest(m.layer.axes[axis]) else _cut(axis + 2, m)


def _unwritten(axis: int, m: Mistaken) -> Any:
    return cleared(m.case.arrays.y, axis, -1)


def _left_over_outputs(axis: int, block: int, m: Mistaken) -> Any:
    y = left_over(m.y(b=None), axis, block)
    return y if m.b is None else y + m.b.reshape(-1, *[1] * m.case.op.ndim)


def _moved_back(axis: int, block: int, m: Mistaken) -> Any:
    """Where the last block is not whole: its outputs come too early, and anything behind them."""
    y = np.moveaxis(m.case.arrays.y.copy(), axis, 0)
    rest = len(y) % block
    if len(y) > block and rest:
        y[-block : rest - block] = y[-rest:].copy()
        y[rest - block :] = np.nan
    return np.moveaxis(y, 0, axis)


def _unread(axis: int, m: Mistaken) -> Any:
    return m.y(x=cleared(m.x, axis, -1)) if m.x.shape[axis] > 1 else m.y()


def _rounded_up(m: Mistaken) -> Any:
    """One more window where the input does not end with the last one."""
    more = tuple(
        (before, after + axis.stride - rest) if (rest := _rest(axis)) else (before, after)
        for (before, after), axis in zip(m.layer.padding, m.layer.axes, strict=True)
    )
    return m.y(padding=more) if m.layer.padding_mode == "zeros" else None


def _rounded_down(m: Mistaken) -> Any:
    """Same padding gives floor(n / stride) outputs: one less where the stride does not divide n."""
    if not m.case.op.padded or not str(m.case.padding).startswith("same"):
        return m.y()
    y = m.y()
    for axis, (n, stride) in enumerate(zip(m.x.shape[2:], m.layer.stride, strict=True), 2):
        y = y[(slice(None),) * axis + (slice(0, max(1, n // stride)),)]
    return y


def _rest(axis: Any) -> int:
    return int((axis.padded - axis.extent) % axis.stride)
