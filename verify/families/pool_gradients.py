"""Known mistakes of the backward pass of pools."""

from collections.abc import Iterator
from functools import partial
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from verify.families import reading
from verify.families.pooling import tables_of
from verify.mistakes import (
    Mistaken,
    Prediction,
    axis_name,
    exchanged,
    first_for_all,
    last_for_all,
)
from verify.ops import Op


def gradient_suspicions(op: Op, which: int) -> dict[str, Prediction]:
    """The mistakes that the gradient to x of a pool may have."""
    return dict(_all(op)) | dict(_maxima(op) if op.family == "max_pool" else _averages(op))


def _all(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "grad_x is all zeros", lambda m: np.zeros_like(m.x)
    yield "grad_x overwrites where windows overlap", partial(_shared, add=False)
    yield "grad_x averaged over the batch", lambda m: _right(m) / max(1, len(m.x))
    yield "upstream gradient taken for ones", lambda m: _back(m, g=np.ones_like(m.g))
    yield "grad_x flipped", lambda m: np.flip(_right(m), _spatial(m))
    for name in ("stride", "padding", "dilation", "kernel_size", "output_size"):
        if name not in op.parameters:
            continue
        told = name.replace("_size", " size")
        plain = {"stride": 1, "padding": 0, "dilation": 1}
        if name in plain:
            yield f"grad_x ignores the {name}", partial(_reread, name, plain[name])
        for one, two in combinations(range(op.ndim), 2):
            both = f"{axis_name(op, one)} and {axis_name(op, two)}"
            yield f"grad_x swaps the {told} of {both}", partial(_reread, name, exchanged(one, two))
        if op.ndim > 1:
            for which, change in ((0, first_for_all), (op.ndim - 1, last_for_all)):
                told_axis = axis_name(op, which)
                yield (
                    f"grad_x uses the {told_axis}'s {told} for all axes",
                    partial(_reread, name, change),
                )
    if "stride" in op.parameters:
        yield (
            "grad_x takes the kernel size for the stride",
            partial(_reread, "stride", lambda v: None),
        )
        yield (
            "grad_x takes a stride of one where it is left to its default",
            lambda m: _right(m) if "stride" in m.case.arguments else _reread("stride", 1, m),
        )
    if "ceil_mode" in op.parameters:
        yield "grad_x leaves out the windows that ceil_mode adds", _without_added


def _maxima(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "gradient sent to every one of equal maxima", partial(_tied, share=False)
    yield "gradient shared among equal maxima", partial(_tied, share=True)
    yield "gradient sent to the last of equal maxima", _last
    yield "gradient spread over the window", _spread
    yield "gradient sent to the first cell of the window", partial(_at, 0)
    yield "gradient sent to cells equal to a maximum, also outside its window", _anywhere
    if "padding" in op.parameters:
        told = "maximum found among zeros of the padding, whose gradient is lost"
        yield told, partial(_lost, False)
        yield f"{told}, what ceil_mode adds aside", partial(_lost, True)
    yield "gradient sent to the largest magnitude", _magnitude
    yield "gradient of all channels sent to the first", _first_channel
    yield "index within the window taken for one in the plane", _misplaced
    if "stride" in op.parameters:
        yield "windows laid side by side, the kernel size for the stride", _side_by_side


def _averages(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "gradient not divided", lambda m: _weighted(m, np.ones(m.layer.output_shape[1:]))
    if "kernel_size" in op.parameters:
        yield (
            "gradient divided by the whole window always",
            lambda m: _weighted(m, np.full(m.layer.output_shape[1:], prod(m.layer.kernel_size))),
        )
        yield (
            "gradient counts padding where count_include_pad=False",
            partial(_reread, "count_include_pad", True),
        )
        yield "gradient never counts padding", partial(_reread, "count_include_pad", False)
        if "divisor_override" in op.parameters:
            yield "gradient ignores divisor_override", partial(_reread, "divisor_override", None)
    else:
        yield "gradient divided by n / m, whatever the window holds", _mean_size
        yield "gradient divided by n // m, whatever the window holds", _floor_size
        yield "gradient of the nearest window alone, overlaps left out", _nearest
        for axis in range(op.ndim if op.ndim > 1 else 0):
            told = f"gradient divided by the window's {axis_name(op, axis)} only"
            yield told, partial(_side, axis)
    yield "gradient sent to the maximum alone", _to_maximum


def _right(m: Mistaken) -> Any:
    return m.case.arrays.gradients[0]


def _spatial(m: Mistaken) -> tuple[int, ...]:
    return tuple(range(2, m.x.ndim))


def _back(m: Mistaken, g: Any = None, layer: Any = None) -> Any:
    layer = m.layer if layer is None else layer
    g = m.g if g is None else g
    shape = (len(m.x), *layer.output_shape)
    if g.shape != shape:  # windows of the wrong layer that have no gradient, or the other way
        fitted = np.zeros(shape)
        common = tuple(slice(0, min(a, b)) for a, b in zip(g.shape, shape, strict=True))
        fitted[common] = g[common]
        g = fitted
    return layer.gradient(g, m.x)


def _reread(name: str, change: Any, m: Mistaken) -> Any:
    value = change(getattr(m.layer, name)) if callable(change) else change
    layer = m.rebuilt(**{name: value})
    return None if layer is None else _back(m, layer=layer)


def _without_added(m: Mistaken) -> Any:
    layer = m.rebuilt(ceil_mode=False)
    return None if layer is None else _back(m, layer=layer)


def _sent(m: Mistaken, shares: Any, add: bool = True) -> Any:
    """Shares of g (N, C, *windows, taps) of each cell that a window reads."""
    where = reading.places(m.x.shape[2:], tables_of(m))
    return reading.send_back(np.where(where < 0, 0.0, shares), where, m.x.shape[2:], add)


def _read(m: Mistaken, fill: float = -np.inf) -> Any:
    return reading.read(m.x, tables_of(m), fill)


def _chosen(best: Any, taps: int) -> Any:
    return (best[..., None] == np.arange(taps)).astype(float)


def _shared(m: Mistaken, add: bool) -> Any:
    seen = _read(m)
    if m.case.op.family == "max_pool":
        shares = _chosen(seen.argmax(axis=-1), seen.shape[-1])
    else:
        shares = np.ones_like(seen) / m.layer.counts()[..., None]
    return _sent(m, shares * m.g[..., None], add)


def _tied(m: Mistaken, share: bool) -> Any:
    seen = _read(m)
    equal = (seen == seen.max(axis=-1, keepdims=True)).astype(float)
    if share:
        equal = equal / equal.sum(axis=-1, keepdims=True)
    return _sent(m, equal * m.g[..., None])


def _last(m: Mistaken) -> Any:
    seen = _read(m)
    taps = seen.shape[-1]
    best = taps - 1 - seen[..., ::-1].argmax(axis=-1)
    return _sent(m, _chosen(best, taps) * m.g[..., None])


def _spread(m: Mistaken) -> Any:
    seen = _read(m)
    return _sent(m, np.ones_like(seen) / seen.shape[-1] * m.g[..., None])


def _at(tap: int, m: Mistaken) -> Any:
    seen = _read(m)
    where = np.zeros(seen.shape[:-1], int) + tap
    return _sent(m, _chosen(where, seen.shape[-1]) * m.g[..., None])


def _anywhere(m: Mistaken) -> Any:
    """Each cell of x that equals a window's maximum gets that window's gradient."""
    y, x = m.case.arrays.y, m.x
    flat = x.reshape(*x.shape[:2], -1, 1)
    hits = flat == y.reshape(*y.shape[:2], 1, -1)
    return (hits * m.g.reshape(*y.shape[:2], 1, -1)).sum(axis=-1).reshape(x.shape)


def _first_channel(m: Mistaken) -> Any:
    grad, seen = np.zeros_like(m.x), _read(m)
    places = reading.places(m.x.shape[2:], tables_of(m))
    at = np.take_along_axis(
        np.broadcast_to(places, seen.shape), seen.argmax(axis=-1)[..., None], axis=-1
    )
    rows = np.arange(len(m.x)).repeat(at[0].size)
    flat = grad.reshape(*m.x.shape[:2], -1)
    np.add.at(flat, (rows, np.zeros_like(rows), at.ravel()), m.g.ravel())
    return flat.reshape(m.x.shape)


def _misplaced(m: Mistaken) -> Any:
    seen = _read(m)
    cells = prod(m.x.shape[2:])
    if seen.shape[-1] > cells and bool((seen.argmax(axis=-1) >= cells).any()):
        return None
    return reading.send_back(m.g[..., None], seen.argmax(axis=-1), m.x.shape[2:], planes=True)


def _side_by_side(m: Mistaken) -> Any:
    layer = m.layer
    stepped = [
        reading.table(n, k, k, p[0], d, count)
        for n, k, p, d, count in zip(
            m.x.shape[2:], layer.kernel_size, layer.padding,
            getattr(layer, "dilation", (1,) * len(layer.kernel_size)),
            layer.output_shape[1:], strict=True,
        )
    ]  # fmt: skip
    seen = reading.read(m.x, stepped, -np.inf)
    where = reading.places(m.x.shape[2:], stepped)
    at = np.take_along_axis(
        np.broadcast_to(where, seen.shape), seen.argmax(axis=-1)[..., None], axis=-1
    )
    sent = reading.send_back(m.g[..., None], at[..., 0].clip(0), m.x.shape[2:], planes=True)
    # Where a window reads nothing its gradient may go anywhere.
    lost = (where < 0).all(axis=-1).any()
    return _some(sent, m.case.arrays.gradients[0]) if lost else sent


def _some(sent: Any, right: Any) -> Any:
    """Not a number, which predicts anything, where nothing is known of the first cell."""
    told = sent.copy()
    told[(slice(None), slice(None), *[0] * (sent.ndim - 2))] = np.nan
    return told


def _nearest(m: Mistaken) -> Any:
    """Cell i gets what window floor(i m / n) sends, and nothing else."""
    sizes, parts = m.x.shape[2:], m.g.shape[2:]
    if any(count > n for count, n in zip(parts, sizes, strict=True)):
        return None
    shares = m.g / m.layer.counts()
    for axis, (n, count) in enumerate(zip(sizes, parts, strict=True), 2):
        shares = np.take(shares, np.arange(n) * count // n, axis=axis)
    return shares


def _side(axis: int, m: Mistaken) -> Any:
    counts = [(table >= 0).sum(axis=1) for table in tables_of(m)][axis]
    shape = [-1 if i == axis else 1 for i in range(len(m.g.shape) - 2)]
    return _weighted(m, np.broadcast_to(counts.reshape(shape), m.g.shape[2:]))


def _lost(padding_only: bool, m: Mistaken) -> Any:
    seen = _read(m, 0.0)
    if padding_only:
        beyond = reading.beyond(m.layer)
        seen = np.where(beyond, -np.inf, seen)
    return _sent(m, _chosen(seen.argmax(axis=-1), seen.shape[-1]) * m.g[..., None])


def _magnitude(m: Mistaken) -> Any:
    seen = np.abs(_read(m, 0.0))
    return _sent(m, _chosen(seen.argmax(axis=-1), seen.shape[-1]) * m.g[..., None])


def _weighted(m: Mistaken, divisors: Any) -> Any:
    seen = _read(m)
    return _sent(m, np.ones_like(seen) / divisors[..., None] * m.g[..., None])


def _mean_size(m: Mistaken) -> Any:
    cells = prod(m.layer.input_shape[1:]) / max(1, prod(m.layer.output_shape[1:]))
    return _weighted(m, np.full(m.layer.output_shape[1:], cells))


def _floor_size(m: Mistaken) -> Any:
    sizes = zip(m.layer.input_shape[1:], m.layer.output_shape[1:], strict=True)
    cells = prod(max(1, n // max(1, parts)) for n, parts in sizes)
    return _weighted(m, np.full(m.layer.output_shape[1:], float(cells)))


def _to_maximum(m: Mistaken) -> Any:
    seen = _read(m)
    return _sent(m, _chosen(seen.argmax(axis=-1), seen.shape[-1]) * m.g[..., None])
