"""Known mistakes with padding: its sizes, its sides, its modes and its names."""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from verify.mistakes import (
    Mistaken,
    Prediction,
    axis_name,
    every_axis,
    exchanged,
    first_for_all,
    last_for_all,
    one_at,
    shifted,
    swapped,
)
from verify.ops import Op

Pairs = tuple[tuple[int, int], ...]

SIDES: dict[str, Any] = {  # what becomes of the padding before and after the input
    "padding before the input only": lambda before, after: (before, 0),
    "padding after the input only": lambda before, after: (0, after),
    "all padding before the input": lambda before, after: (before + after, 0),
    "all padding after the input": lambda before, after: (0, before + after),
}


def of_padding(op: Op) -> Iterator[tuple[str, Prediction]]:
    """Mistakes with the sizes of the padding, whatever stands in it."""
    changes: dict[str, Any] = {
        "padding ignored": lambda pairs: tuple((0, 0) for _ in pairs),
        "padding one too large": lambda pairs: shifted(pairs, 1, 1),
        "padding one too small": lambda pairs: tuple(
            (max(0, a - 1), max(0, b - 1)) for a, b in pairs
        ),
        "padding doubled": lambda pairs: tuple((2 * a, 2 * b) for a, b in pairs),
        "padding halved": lambda pairs: tuple((a // 2, b // 2) for a, b in pairs),
        **{told: partial(_sides, sides, range(op.ndim)) for told, sides in SIDES.items()},
    }
    if op.padded:
        changes |= {
            "padding sides swapped": _sides_swapped,
            "padding before the input used on both sides": lambda pairs: tuple(
                (a, a) for a, _ in pairs
            ),
            "padding after the input used on both sides": lambda pairs: tuple(
                (b, b) for _, b in pairs
            ),
            "pairs of padding read from the last axis to the first": swapped,
        }
    for one, two in combinations(range(op.ndim), 2):
        told = f"padding of {axis_name(op, one)} and {axis_name(op, two)} swapped"
        changes[told] = exchanged(one, two)
    if op.ndim > 1:
        first, last = axis_name(op, 0), axis_name(op, op.ndim - 1)
        changes[f"{first} padding used for {every_axis(op)} axes"] = first_for_all
        changes[f"{last} padding used for {every_axis(op)} axes"] = last_for_all
        for axis in range(op.ndim):
            along = f"along the {axis_name(op, axis)}"
            changes[f"padding ignored {along}"] = one_at(axis, (0, 0))
            for told, sides in SIDES.items():
                changes[f"{told} {along}"] = partial(_sides, sides, range(axis, axis + 1))
    for told, change in changes.items():
        yield told, partial(_changed, change)
    if not op.transposed:
        yield "half the kernel taken for the padding", _half_kernel
    for axis in range(op.ndim):
        along = f" along the {axis_name(op, axis)}" if op.ndim > 1 else ""
        yield f"input put one cell too early{along}", partial(_early, (axis,))
        yield f"input put one cell too late{along}", partial(_late, axis)
    if op.ndim > 1:
        yield "input put one cell too early", partial(_early, tuple(range(op.ndim)))
    if not op.transposed:
        yield "padding filled with the other end of the input: it wraps around", _wrapped
        yield "an index below zero reads from the other end of the input", _wrapped_before
        yield "padding filled with the edge of the input", partial(_moded, "replicate")


def of_modes(op: Op) -> Iterator[tuple[str, Prediction]]:
    """Mistakes with what stands in the padding, and with padding by name."""
    for mode in ("zeros", "circular", "reflect", "replicate"):
        yield f"padding_mode taken for {mode}", partial(_moded, mode)
        if mode != "zeros":
            yield f"{mode} padding filled with zeros", partial(_unmoded, mode)
    yield "reflection repeats the edge", partial(_padded_by, "reflect", "symmetric")
    yield "circular padding off by one", _wrapped_off
    yield "same_upper and same_lower exchanged", _exchanged
    yield "same padding with the odd cell on the other side", partial(_same, _sides_swapped)
    yield "same padding computed without the dilation", partial(_total, "dilation")
    yield "same padding computed without the stride", partial(_total, "stride")
    yield "same padding may be negative, and crops", partial(_total, "maximum")
    yield "padding by name taken for none", partial(_same, lambda pairs: ((0, 0),) * len(pairs))
    yield "padding_mode ignored where the padding has a name", _named_zeros
    if op.ndim > 1:
        yield "same padding of the last axis used for all axes", partial(_same, last_for_all)
        yield "same padding of the first axis used for all axes", partial(_same, first_for_all)
        yield "corners of the padding filled with zeros", _corners
        for axis in range(op.ndim):
            name = axis_name(op, axis)
            yield f"{name} padded with zeros whatever the padding_mode", partial(_zeros_along, axis)


def _changed(change: Any, m: Mistaken) -> Any:
    return m.y(padding=change(m.layer.padding))


def _sides(change: Any, axes: range, pairs: Pairs) -> Pairs:
    return tuple(change(*pair) if axis in axes else pair for axis, pair in enumerate(pairs))


def _half_kernel(m: Mistaken) -> Any:
    return m.y(padding=tuple((taps // 2, taps // 2) for taps in m.w.shape[2:]))


def _sides_swapped(pairs: Pairs) -> Pairs:
    return tuple((after, before) for before, after in pairs)


def _early(axes: tuple[int, ...], m: Mistaken) -> Any:
    pairs = tuple(
        (before - 1, after + 1) if axis in axes and before else (before, after)
        for axis, (before, after) in enumerate(m.layer.padding)
    )
    return m.y(padding=pairs)


def _late(axis: int, m: Mistaken) -> Any:
    before, after = m.layer.padding[axis]
    return m.y(padding=one_at(axis, (before + 1, after - 1))(m.layer.padding)) if after else m.y()


def _moded(mode: str, m: Mistaken) -> Any:
    return m.y(padding_mode=mode)


def _unmoded(mode: str, m: Mistaken) -> Any:
    return m.y(padding_mode="zeros") if m.layer.padding_mode == mode else m.y()


def _gathered(m: Mistaken, wrap_after: bool) -> Any:
    """Cells outside read from the other end, before the input and, if asked for, after it."""
    x = m.x
    for axis, (before, after) in enumerate(m.layer.padding, 2):
        size = x.shape[axis]
        cells = np.arange(-before, size + after)
        padded = np.take(x, cells % size, axis=axis)
        if not wrap_after:
            outside = cells >= size
            padded = np.where(_along(outside, axis, x.ndim), 0, padded)
        x = padded
    return m.y(x=x, padding=0, padding_mode="zeros")


def _wrapped(m: Mistaken) -> Any:
    return _gathered(m, wrap_after=True) if m.layer.padding_mode == "zeros" else m.y()


def _wrapped_before(m: Mistaken) -> Any:
    return _gathered(m, wrap_after=False) if m.layer.padding_mode == "zeros" else m.y()


def _along(values: Any, axis: int, ndim: int) -> Any:
    return values.reshape([-1 if a == axis else 1 for a in range(ndim)])


def _padded_by(mode: str, numpy_mode: Any, m: Mistaken) -> Any:
    """The output with the padding of one mode made by another of numpy's."""
    if m.layer.padding_mode != mode:
        return m.y()
    padded = np.pad(m.x, [(0, 0), (0, 0), *m.layer.padding], mode=numpy_mode)
    return m.y(x=padded, padding=0, padding_mode="zeros")


def _wrapped_off(m: Mistaken) -> Any:
    if m.layer.padding_mode != "circular":
        return m.y()
    x = m.x
    for axis, (before, after) in enumerate(m.layer.padding, 2):
        size = x.shape[axis]
        cells = np.arange(-before, size + after)
        cells = np.where(cells < 0, cells - 1, np.where(cells >= size, cells + 1, cells))
        x = np.take(x, cells % size, axis=axis)
    return m.y(x=x, padding=0, padding_mode="zeros")


def _named(m: Mistaken) -> bool:
    return str(m.case.padding).startswith("same")


def _same(change: Any, m: Mistaken) -> Any:
    return m.y(padding=change(m.layer.padding)) if _named(m) else m.y()


def _exchanged(m: Mistaken) -> Any:
    return m.y() if m.case.padding == "same" else _same(_sides_swapped, m)


def _total(without: str, m: Mistaken) -> Any:
    """Same padding whose total is worked out without something."""
    if not _named(m) or (m.case.padding == "same" and without != "dilation"):
        return m.y()
    pairs = []
    for axis, n in enumerate(m.x.shape[2:]):
        dilation = 1 if without == "dilation" else m.layer.dilation[axis]
        stride = 1 if without == "stride" else m.layer.stride[axis]
        extent = dilation * (m.w.shape[2 + axis] - 1) + 1
        total = (-(-n // stride) - 1) * stride + extent - n
        total = total if without == "maximum" else max(0, total)
        half = total // 2
        pair = (half, total - half)
        pairs.append(pair[::-1] if m.case.padding == "same_lower" else pair)
    return m.y(padding=tuple(pairs))


def _named_zeros(m: Mistaken) -> Any:
    return m.y(padding_mode="zeros") if m.case.padding else m.y()


def _numpy_padded(x: Any, pairs: Pairs, mode: str) -> Any:
    modes: dict[str, Any] = {
        "zeros": "constant",
        "circular": "wrap",
        "reflect": "reflect",
        "replicate": "edge",
    }
    return np.pad(x, [(0, 0), (0, 0), *pairs], mode=modes[mode])


def _corners(m: Mistaken) -> Any:
    """Each side padded from the input itself: where two meet there are zeros."""
    padded = _numpy_padded(m.x, m.layer.padding, m.layer.padding_mode)
    outside = np.zeros(padded.shape[2:], int)
    for axis, (before, after) in enumerate(m.layer.padding):
        cells = np.arange(padded.shape[2 + axis])
        beyond = (cells < before) | (cells >= padded.shape[2 + axis] - after)
        outside = outside + _along(beyond.astype(int), axis, outside.ndim)
    return m.y(x=np.where(outside > 1, 0, padded), padding=0, padding_mode="zeros")


def _zeros_along(axis: int, m: Mistaken) -> Any:
    none = ((0, 0),) * m.case.op.ndim
    others = one_at(axis, (0, 0))(m.layer.padding)
    x = _numpy_padded(m.x, others, m.layer.padding_mode)
    x = _numpy_padded(x, one_at(axis, m.layer.padding[axis])(none), "zeros")
    return m.y(x=x, padding=0, padding_mode="zeros")
