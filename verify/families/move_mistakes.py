"""Known mistakes of unfold, fold and pad, and of their gradients."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from verify.families import pad_mistakes, reading
from verify.mistakes import Mistaken, Prediction
from verify.ops import Op

Moved = Callable[[Any, Any], Any]  # (layer, array) to what comes of it


def suspicions(op: Op) -> dict[str, Prediction]:
    """The mistakes that the forward pass may have."""
    if op.name == "pad":
        return pad_mistakes.suspicions()
    return {told: partial(_forward, move) for told, move in _of(op.name == "unfold")}


def gradient_suspicions(op: Op, which: int) -> dict[str, Prediction]:
    """The mistakes that the gradient to x may have: those of the adjoint."""
    table: dict[str, Prediction] = {"grad_x is all zeros": lambda m: np.zeros_like(m.x)}
    if op.name == "pad":
        return table | pad_mistakes.gradient_suspicions()
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
        yield "divided by how many windows read a cell", _divided
    else:
        yield "dilation ignored, though the number of windows heeds it", _undilated
        yield "padding cut off behind the image only", _cut_behind
        yield "overlapping windows overwrite instead of adding", partial(_overwritten, "last")
        yield "overlapping windows averaged instead of added", partial(_overwritten, "mean")
        yield "the first of overlapping windows kept", partial(_overwritten, "first")


def _patches(layer: Any, x: Any) -> Any:
    return layer.conv.patches(x)


def _folded(layer: Any, columns: Any) -> Any:
    """Columns added up: one as often as there are windows, else there must be as many."""
    rows = layer.conv.input_shape[0] * int(np.prod(layer.kernel_size))
    windows = int(np.prod(layer.conv.output_shape[1:]))
    if columns.shape[2] == 1:  # as numpy repeats it
        columns = np.repeat(columns, windows, axis=2)
    if columns.shape[1:] != (rows, windows):
        return np.empty(0)  # an error: no result is this one
    return layer.conv.fold(columns)


def _undilated(layer: Any, columns: Any) -> Any:
    """Taps side by side, from windows that start where they should."""
    conv = layer.conv
    tables = [
        reading.table(axis.size, axis.kernel, axis.stride, axis.before, 1, axis.windows)
        for axis in conv.axes
    ]
    where = reading.places(conv.input_shape[1:], tables)
    channels, taps = conv.input_shape[0], where.shape[-1]
    parts = columns.reshape(len(columns), channels, taps, int(np.prod(where.shape[:-1])))
    return reading.send_back(np.swapaxes(parts, 2, 3), where, conv.input_shape[1:])


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


def _divided(layer: Any, x: Any) -> Any:
    """What is read is shared among the windows that read it."""
    return layer.conv.patches(x / np.maximum(_times(layer.conv), 1))


def _times(conv: Any) -> Any:
    """How many windows read each cell."""
    rows = int(np.prod(conv.weight_shape[1:]))
    return conv.fold(np.ones((1, rows, int(np.prod(conv.output_shape[1:])))))


def _cut_behind(layer: Any, columns: Any) -> Any:
    conv = layer.conv
    sizes = [n + sum(p) for n, p in zip(conv.input_shape[1:], conv.padding, strict=True)]
    whole = type(conv)(
        (conv.input_shape[0], *sizes), conv.weight_shape, conv.stride, 0, conv.dilation
    )
    cut = [slice(0, n) for n in conv.input_shape[1:]]
    return whole.fold(columns)[(..., *cut)]


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
