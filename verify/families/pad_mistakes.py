"""Known mistakes of pad, and of its gradient."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from verify.mistakes import Mistaken, Prediction


def suspicions() -> dict[str, Prediction]:
    """The mistakes that the forward pass may have."""
    return dict(_pads())


def gradient_suspicions() -> dict[str, Prediction]:
    """The mistakes that the gradient to x may have."""
    return dict(_pad_gradients())


def _pads() -> Iterator[tuple[str, Prediction]]:
    yield "pairs read from the first axis on", _padded(lambda p, axes: _reversed_pairs(p))
    yield "pairs applied to the first axes", _first_axes
    yield "padding sides swapped", _padded(lambda p, axes: _swapped_sides(p))
    yield "only the last axis padded", _padded(lambda p, axes: p[:2])
    yield (
        "padding before the input used on both sides",
        _padded(lambda p, axes: tuple(w for i in range(0, len(p), 2) for w in (p[i], p[i]))),
    )
    yield "negative padding taken for zero", _padded(lambda p, axes: tuple(max(w, 0) for w in p))
    yield "negative padding taken for positive", _padded(lambda p, axes: tuple(map(abs, p)))
    yield "negative padding crops at the other end", _padded(lambda p, axes: _crossed(p))
    for mode in ("reflect", "replicate", "circular"):
        yield f"{mode} padding filled with the value", partial(_valued, mode)
    yield "padding one too large", _padded(lambda p, axes: tuple(w + 1 for w in p))
    yield "value ignored", lambda m: _as(m, value=0.0)
    yield "mode ignored: filled with zeros", lambda m: _as(m, mode="constant", value=0.0)
    yield "mode ignored: filled with zeros in the corners", _corners
    yield "reflection repeats the edge", lambda m: _numpy(m, "reflect", "symmetric")
    yield "reflection taken for the edge", lambda m: _numpy(m, "reflect", "edge")
    yield "edge taken for a reflection", lambda m: _numpy(m, "replicate", "reflect")
    yield "circular padding filled from the same side", _same_side
    yield "circular padding taken for a reflection", lambda m: _numpy(m, "circular", "reflect")
    yield "circular padding filled with the edge", lambda m: _numpy(m, "circular", "edge")


def _pad_gradients() -> Iterator[tuple[str, Prediction]]:
    yield (
        "grad_x cropped, and what was copied into the padding lost",
        lambda m: _back(m, mode="constant", value=0.0),
    )
    yield "grad_x keeps the padding", lambda m: m.g.copy()
    yield (
        "grad_x reads the pairs from the first axis on",
        lambda m: _back(m, pad=_reversed_pairs(m.layer.pad)),
    )
    yield "grad_x swaps the padding sides", lambda m: _back(m, pad=_swapped_sides(m.layer.pad))
    for mode in ("reflect", "replicate", "circular"):
        yield f"grad_x: what {mode} padding copied is lost", partial(_lost, mode)
        yield (
            f"grad_x: what {mode} padding copied overwrites instead of adding",
            partial(_overwritten, mode),
        )
    yield "grad_x: circular padding taken from the same side", _unwrapped
    yield "grad_x too short: what was cropped is left out", _uncropped
    yield "grad_x cut by the pairs from the first axis on", _cut_first
    yield "grad_x averaged over the batch", lambda m: m.case.arrays.gradients[0] / max(1, len(m.x))


def _as(m: Mistaken, **changes: Any) -> Any:
    layer = m.rebuilt(**changes)
    return None if layer is None else layer.apply(m.x)


def _padded(change: Any) -> Prediction:
    return lambda m: _as(m, pad=change(m.layer.pad, len(m.layer.input_shape) - 1))


def _back(m: Mistaken, **changes: Any) -> Any:
    layer = m.rebuilt(**changes)
    if layer is None or layer.output_shape != m.layer.output_shape:
        return None
    return layer.gradient(m.g, m.x)


def _reversed_pairs(pad: tuple[int, ...]) -> tuple[int, ...]:
    pairs = [pad[i : i + 2] for i in range(0, len(pad), 2)]
    return tuple(width for pair in reversed(pairs) for width in pair)


def _swapped_sides(pad: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(pad[i ^ 1] for i in range(len(pad)))


def _crossed(pad: tuple[int, ...]) -> tuple[int, ...]:
    """What is negative on one side added to the other."""
    return tuple(max(pad[i], 0) + min(pad[i ^ 1], 0) for i in range(len(pad)))


def _valued(mode: str, m: Mistaken) -> Any:
    return m.case.arrays.y if m.layer.mode != mode else _as(m, mode="constant")


def _lost(mode: str, m: Mistaken) -> Any:
    if m.layer.mode != mode:
        return m.case.arrays.gradients[0]
    return _back(m, mode="constant", value=0.0)


def _sources(m: Mistaken) -> list[Any]:
    """The place that each padded place of an axis copies, as numpy pads it."""
    mode = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[m.layer.mode]
    pairs = zip(m.x.shape[2:], m.layer.padding, strict=True)
    return [np.pad(np.arange(n), pair, mode=mode) for n, pair in pairs]  # type: ignore[call-overload]


def _overwritten(mode: str, m: Mistaken) -> Any:
    if m.layer.mode != mode or min(m.layer.pad, default=0) < 0:
        return m.case.arrays.gradients[0]
    grad = np.zeros_like(m.x)
    grad[np.ix_(*map(np.arange, m.x.shape[:2]), *_sources(m))] = m.g
    return grad


def _unwrapped(m: Mistaken) -> Any:
    if m.layer.mode != "circular" or min(m.layer.pad, default=0) < 0:
        return m.case.arrays.gradients[0]
    index = [
        np.array([*range(before), *range(n), *range(n - after, n)])
        for n, (before, after) in zip(m.x.shape[2:], m.layer.padding, strict=True)
    ]
    grad = np.zeros_like(m.x)
    np.add.at(grad, np.ix_(*map(np.arange, m.x.shape[:2]), *index), m.g)
    return grad


def _uncropped(m: Mistaken) -> Any:
    pairs = zip(m.x.shape[2:], m.layer.padding, strict=True)
    kept = [slice(-min(before, 0), n + min(after, 0)) for n, (before, after) in pairs]
    return m.case.arrays.gradients[0][(..., *kept)]


def _cut_first(m: Mistaken) -> Any:
    """The widths before the input, one for each pair, given to the axes in their order."""
    pad = m.layer.pad
    starts = (0,) * (m.x.ndim - 2 - len(pad) // 2) + pad[::2]
    if m.layer.mode != "constant" or min(pad, default=0) < 0:
        return None
    axes = zip(starts, m.x.shape[2:], strict=True)
    return m.g[(..., *(slice(start, start + n) for start, n in axes))]


def _first_axes(m: Mistaken) -> Any:
    """The first pair pads the first spatial axis."""
    pad, axes = m.layer.pad, len(m.layer.input_shape) - 1
    pairs = [pad[i : i + 2] for i in range(0, len(pad), 2)] + [(0, 0)] * (axes - len(pad) // 2)
    return _as(m, pad=tuple(width for pair in reversed(pairs) for width in pair))


def _numpy(m: Mistaken, mode: str, other: Any) -> Any:
    if m.layer.mode != mode:
        return m.case.arrays.y
    return np.pad(m.x, [(0, 0), (0, 0), *m.layer.padding], mode=other)


def _same_side(m: Mistaken) -> Any:
    if m.layer.mode != "circular":
        return m.case.arrays.y
    x = m.x
    for axis, (before, after) in enumerate(m.layer.padding, 2):
        size = x.shape[axis]
        index = [*range(before), *range(size), *range(size - after, size)]
        x = np.take(x, index, axis=axis)
    return x


def _corners(m: Mistaken) -> Any:
    y = m.case.arrays.y.copy()
    if m.layer.mode == "constant":
        return y
    outside = np.zeros(y.shape[2:], int)
    for axis, (before, after) in enumerate(m.layer.padding):
        at = np.arange(y.shape[axis + 2])
        beyond = (at < before) | (at >= y.shape[axis + 2] - after)
        outside += beyond.reshape([-1 if i == axis else 1 for i in range(outside.ndim)])
    y[:, :, outside > 1] = 0
    return y
