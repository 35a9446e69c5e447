"""Known mistakes of unfold, fold and pad, and of their gradients."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from verify.families import reading
from verify.mistakes import Mistaken, Prediction
from verify.ops import Op

Moved = Callable[[Any, Any], Any]  # (layer, array) to what comes of it


def suspicions(op: Op) -> dict[str, Prediction]:
    """The mistakes that the forward pass may have."""
    if op.name == "pad":
        return dict(_pads())
    return {told: partial(_forward, move) for told, move in _of(op.name == "unfold")}


def gradient_suspicions(op: Op, which: int) -> dict[str, Prediction]:
    """The mistakes that the gradient to x may have: those of the adjoint."""
    table: dict[str, Prediction] = {"grad_x is all zeros": lambda m: np.zeros_like(m.x)}
    if op.name == "pad":
        return table | dict(_pad_gradients())
    backward = _of(op.name == "fold")
    return table | {f"grad_x: {told}": partial(_backward, move) for told, move in backward}


def _forward(move: Moved, m: Mistaken) -> Any:
    return move(m.layer, m.x)


def _backward(move: Moved, m: Mistaken) -> Any:
    return move(m.layer, m.g)


def _of(unfolds: bool) -> Iterator[tuple[str, Moved]]:
    """Mistakes of patches, or of adding them up."""
    go = _patches if unfolds else _folded
    for name in ("stride", "dilation", "padding"):
        plain = 0 if name == "padding" else 1
        yield f"{name} ignored", partial(_with, go, name, lambda v, p=plain: (p, p))
        yield f"{name} of height and width swapped", partial(_with, go, name, lambda v: v[::-1])
        yield f"height {name} used for both axes", partial(_with, go, name, lambda v: (v[0],) * 2)
        yield f"width {name} used for both axes", partial(_with, go, name, lambda v: (v[1],) * 2)
    yield "stride and dilation exchanged", partial(_exchanged, go)
    yield "kernel height and width swapped", partial(_with, go, "kernel_size", lambda v: v[::-1])
    for told, order in (
        ("rows in the order (taps, channels) where it is (channels, taps)", _taps_first),
        ("taps numbered down the columns", _taps_down),
        ("taps numbered from the last to the first", _taps_back),
    ):
        yield told, partial(_rows, go, unfolds, order)
    yield "windows numbered down the columns", partial(_columns, go, unfolds)
    if unfolds:
        yield "rows and columns exchanged", lambda layer, x: np.swapaxes(go(layer, x), 1, 2)
        yield "padding filled with the edge", _edge
    else:
        yield "overlapping windows overwrite instead of adding", partial(_overwritten, "last")
        yield "overlapping windows averaged instead of added", partial(_overwritten, "mean")
        yield "the first of overlapping windows kept", partial(_overwritten, "first")


def _patches(layer: Any, x: Any) -> Any:
    return layer.conv.patches(x)


def _folded(layer: Any, columns: Any) -> Any:
    """Columns added up, cut or filled with zeros where there are not as many windows."""
    rows = layer.conv.input_shape[0] * int(np.prod(layer.kernel_size))
    windows = int(np.prod(layer.conv.output_shape[1:]))
    if columns.shape[1:] != (rows, windows):
        fitted = np.zeros((len(columns), rows, windows))
        fitted[:, :, : columns.shape[2]] = columns[:, :rows, :windows]
        columns = fitted
    return layer.conv.fold(columns)


def _with(go: Moved, name: str, change: Any, layer: Any, array: Any) -> Any:
    given = {f: getattr(layer, f) for f in layer.__dataclass_fields__}
    return go(type(layer)(**(given | {name: change(given[name])})), array)


def _exchanged(go: Moved, layer: Any, array: Any) -> Any:
    given = {f: getattr(layer, f) for f in layer.__dataclass_fields__}
    changed = {"stride": layer.dilation, "dilation": layer.stride}
    return go(type(layer)(**(given | changed)), array)


def _taps_first(channels: int, kernel: tuple[int, ...]) -> Any:
    taps = int(np.prod(kernel))
    return np.arange(channels * taps).reshape(channels, taps).T.ravel()


def _taps_down(channels: int, kernel: tuple[int, ...]) -> Any:
    return (
        np.arange(channels * int(np.prod(kernel))).reshape(channels, *kernel).swapaxes(1, 2).ravel()
    )


def _taps_back(channels: int, kernel: tuple[int, ...]) -> Any:
    return (
        np.arange(channels * int(np.prod(kernel))).reshape(channels, *kernel)[:, ::-1, ::-1].ravel()
    )


def _rows(go: Moved, unfolds: bool, order: Any, layer: Any, array: Any) -> Any:
    """Row i of what comes out, or goes in, is row order[i]."""
    places = order(layer.conv.input_shape[0], layer.kernel_size)
    if unfolds:
        return go(layer, array)[:, places]
    columns = np.empty_like(array)
    columns[:, places] = array
    return go(layer, columns)


def _columns(go: Moved, unfolds: bool, layer: Any, array: Any) -> Any:
    windows = layer.conv.output_shape[1:]
    places = np.arange(int(np.prod(windows))).reshape(windows).T.ravel()
    if unfolds:
        return go(layer, array)[:, :, places]
    columns = np.empty_like(array)
    columns[:, :, places] = array
    return go(layer, columns)


def _edge(layer: Any, x: Any) -> Any:
    pads = [(p, p) for p in layer.padding]
    wide = np.pad(x, [(0, 0), (0, 0), *pads], mode="edge")
    given = {f: getattr(layer, f) for f in layer.__dataclass_fields__}
    return type(layer)(**(given | {"input_shape": wide.shape[1:], "padding": (0, 0)})).apply(wide)


def _overwritten(how: str, layer: Any, columns: Any) -> Any:
    conv = layer.conv
    tables = [
        reading.table(axis.size, axis.kernel, axis.stride, axis.before, axis.dilation, axis.windows)
        for axis in conv.axes
    ]
    where = reading.places(conv.input_shape[1:], tables)  # (rows of windows, …, taps)
    taps, count = where.shape[-1], int(np.prod(conv.input_shape[1:]))
    parts = columns.reshape(len(columns), conv.input_shape[0], taps, -1)
    index = where.reshape(-1, taps).T  # (taps, windows)
    result = np.zeros((*parts.shape[:2], count + 1))
    if how == "mean":
        times = np.bincount(index.ravel() % (count + 1), minlength=count + 1)
        return layer.conv.fold(columns) / np.maximum(times[:count], 1).reshape(conv.input_shape[1:])
    order = range(index.shape[1]) if how == "last" else range(index.shape[1] - 1, -1, -1)
    for window in order:
        result[:, :, index[:, window]] = parts[:, :, :, window]
    return result[:, :, :count].reshape(len(columns), *conv.input_shape)


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
