"""TensorFlow's functions as layers without weights: pools, extract_patches, pad, normalisation."""

from dataclasses import dataclass
from math import prod
from typing import Any

from verify.adapters import Function, same
from verify.adapters.unweighted import Windows, layer
from verify.ops import Op


@dataclass(frozen=True)
class Kind:
    """What one of the pools of tf.nn does.

    family: of its ops; empty for both. ndim: its spatial axes; None for any. pairs: whether it
    documents padding in numbers. dilated: whether it takes dilations.
    """

    family: str = ""
    ndim: int | None = None
    pairs: bool = False
    dilated: bool = False


POOLS = {
    "max_pool1d": Kind("max_pool", 1),
    "max_pool2d": Kind("max_pool", 2, pairs=True),
    "max_pool3d": Kind("max_pool", 3),
    "max_pool": Kind("max_pool"),
    "avg_pool1d": Kind("avg_pool", 1),
    "avg_pool2d": Kind("avg_pool", 2),
    "avg_pool3d": Kind("avg_pool", 3),
    "avg_pool": Kind("avg_pool"),
    "pool": Kind(dilated=True),
}
MODES = {"constant": "CONSTANT", "reflect": "REFLECT"}
NOT_ALL = ("ceil_mode", "divisor_override", "momentum")  # what no function of tensorflow has


def own(function: Any, op: Op) -> Function | None:
    """One of tensorflow's own functions as a layer without weights; None for another."""
    import tensorflow as tf

    others: dict[str, tuple[Any, bool, Function]] = {
        "image.extract_patches": (tf.image.extract_patches, op.name == "unfold", _unfold),
        "pad": (tf.pad, op.name == "pad", _pad),
        "nn.batch_normalization": (tf.nn.batch_normalization, op.family == "norm", _batch_norm),
    }
    for name, (known, does, made) in others.items():
        if function is known:
            return _layer(op, function, name, does, made, NOT_ALL)
    name = next((n for n in POOLS if function is getattr(tf.nn, n)), "")
    if not name:
        return None
    kind = POOLS[name]
    fits = (
        op.name == f"{op.family}{op.ndim}d"
        and kind.family in ("", op.family)
        and kind.ndim in (None, op.ndim)
    )

    def run(function: Function, x: Any, over: Windows) -> Any:
        return _pooled(function, x, over, kind, name, op)

    lacks = NOT_ALL if kind.dilated else (*NOT_ALL, "dilation")
    return _layer(op, function, f"nn.{name}", fits, run, lacks)


def _layer(
    op: Op, function: Function, name: str, fits: bool, run: Function, lacks: tuple[str, ...]
) -> Function:
    if not fits:
        raise ValueError(f"tf.{name} does not do {op.name}")
    return layer(op, lambda *given: run(function, *given), lacks)


def _pooled(function: Function, x: Any, over: Windows, kind: Kind, name: str, op: Op) -> Any:
    import tensorflow as tf

    padding = _padding(x, over, kind, name, op)
    if kind.dilated:
        if max(over.stride) > 1 and max(over.dilation) > 1:
            raise NotImplementedError(f"tf.nn.{name} has no strides with dilation")
        given: dict[str, Any] = {
            "window_shape": over.kernel, "pooling_type": op.family[:3].upper(),
            "strides": over.stride, "dilations": over.dilation, "padding": padding,
        }  # fmt: skip
    else:
        given = {"ksize": over.kernel, "strides": over.stride, "padding": padding}
    last = (0, *range(2, op.ndim + 2), 1)
    y = function(tf.transpose(x, last), **given)
    return tf.transpose(y, (0, op.ndim + 1, *range(1, op.ndim + 1)))


def _padding(x: Any, over: Windows, kind: Kind, name: str, op: Op) -> Any:
    if not any(over.padding):
        return "VALID"
    if op.family == "avg_pool" and over.count_include_pad:
        raise NotImplementedError(f"tf.nn.{name} does not count padding")
    extents = (d * (k - 1) + 1 for d, k in zip(over.dilation, over.kernel, strict=True))
    axes = zip(extents, x.shape[2:], over.stride, strict=True)
    if over.pairs == tuple(same("same_upper", *axis) for axis in axes):
        return "SAME"
    if not kind.pairs:
        raise NotImplementedError(f"tf.nn.{name} pads by SAME or VALID")
    return [[0, 0], *map(list, over.pairs), [0, 0]]


def _unfold(function: Function, x: Any, over: Windows) -> Any:
    """tensorflow lists the channels of a cell together, PyTorch the cells of a channel."""
    import tensorflow as tf

    if any(over.padding):
        raise NotImplementedError("tf.image.extract_patches pads by SAME or VALID")
    sizes = [(1, *each, 1) for each in (over.kernel, over.stride, over.dilation)]
    found = function(tf.transpose(x, (0, 2, 3, 1)), *sizes, padding="VALID")
    items, channels = x.shape[:2]
    windows, cells = prod(over.outputs(x.shape[2:])), prod(over.kernel)
    found = tf.transpose(tf.reshape(found, (items, windows, cells, channels)), (0, 3, 2, 1))
    return tf.reshape(found, (items, channels * cells, windows))


def _pad(function: Function, x: Any, sides: Any, mode: str, value: float) -> Any:
    if mode not in MODES:
        raise NotImplementedError(f"tf.pad has no mode {mode!r}")
    if any(min(pair) < 0 for pair in sides):
        raise NotImplementedError("tf.pad does not crop")
    if mode != "constant" and 0 in x.shape:
        raise NotImplementedError("tf.pad reflects less than each size minus 1, also where it is 0")
    return function(x, [[0, 0], [0, 0], *map(list, sides)], MODES[mode], value)


def _batch_norm(
    function: Function, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    """y alone: there are no running statistics; those of a batch are tf.nn.moments'."""
    import tensorflow as tf

    shape = (1, -1, *(1,) * (len(x.shape) - 2))
    if training:
        axes = (0, *range(2, len(x.shape)))
        mean, var = tf.nn.moments(x, axes, keepdims=True)
    else:
        mean, var = (tf.reshape(part, shape) for part in (mean, var))
    scale, offset = (None if p is None else tf.reshape(p, shape) for p in (weight, bias))
    return function(x, mean, var, offset, scale, eps)
