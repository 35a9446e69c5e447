"""Keras's functions as layers without weights: pools, unfold, fold, pad and batch_normalization."""

from typing import Any

from verify.adapters import Function, same
from verify.adapters.unweighted import Windows, layer
from verify.ops import Op

# What each function's ops are called, or begin with.
NAMES = {
    "max_pool": "max_pool",
    "average_pool": "avg_pool",
    "adaptive_max_pool": "adaptive_max_pool2d",
    "adaptive_average_pool": "adaptive_avg_pool2d",
    "unfold": "unfold",
    "fold": "fold",
    "pad": "pad",
    "batch_normalization": "batch_norm",
}
# The modes that each back end is documented to have, and their names there.
MODES = {
    "tensorflow": {"constant": "constant", "reflect": "reflect"},
    "torch": {"constant": "constant", "reflect": "reflect", "circular": "circular"},
}
ALL_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
LACKS = ("dilation", "ceil_mode", "count_include_pad", "divisor_override")


def own(function: Any, op: Op) -> Function | None:
    """One of Keras's own functions as a layer without weights; None for another."""
    import keras

    known = {name: getattr(keras.ops, name) for name in NAMES if hasattr(keras.ops, name)}
    name = next((n for n in known if function is known[n]), None)
    if name is None:
        return None
    if not op.name.startswith(NAMES[name]):
        raise ValueError(f"keras.ops.{name} does not do {op.name}")
    runs: dict[str, Function] = {
        "pad": _pad,
        "batch_normalization": _batch_norm,
        "unfold": _moved,
        "fold": _moved,
    }
    run = runs.get(name) or (_adapted if name.startswith("adaptive") else _pooled)

    def call(*given: Any) -> Any:
        return run(function, *given)

    lacks = ("momentum",) if op.family == "norm" else () if op.family == "move" else LACKS
    return layer(op, call, lacks)


def _pooled(pool: Function, x: Any, over: Windows) -> Any:
    sides = tuple(
        same("same_upper", *axis)
        for axis in zip(over.kernel, x.shape[2:], over.stride, strict=True)
    )
    padding = "same" if any(over.padding) else "valid"
    if padding == "same" and over.pairs != sides:
        raise NotImplementedError("keras.ops pads by valid, or by same as much on both sides")
    if padding == "same" and "average" in pool.__name__:
        raise NotImplementedError("keras.ops.average_pool does not say whether it counts padding")
    return _channels_last(
        lambda x: pool(x, over.kernel, over.stride, padding, data_format="channels_last"), x
    )


def _adapted(pool: Function, x: Any, size: Any) -> Any:
    return _channels_last(lambda x: pool(x, size, data_format="channels_last"), x)


def _channels_last(call: Function, x: Any) -> Any:
    import keras

    rank = len(x.shape)
    y = call(keras.ops.transpose(x, (0, *range(2, rank), 1)))
    return keras.ops.transpose(y, (0, rank - 1, *range(1, rank - 1)))


def _moved(move: Function, x: Any, *given: Any) -> Any:
    *size, over = given
    return move(x, *size, over.kernel, over.dilation, over.padding, over.stride)


def _pad(pad: Function, x: Any, sides: Any, mode: str, value: float) -> Any:
    import keras

    backend = keras.config.backend()
    modes = MODES.get(backend, ALL_MODES)
    if mode not in modes:
        raise NotImplementedError(f"keras.ops.pad has no mode {mode!r} on {backend}")
    if any(min(pair) < 0 for pair in sides):
        raise NotImplementedError("keras.ops.pad does not crop")
    if backend == "tensorflow" and mode != "constant" and 0 in x.shape:
        raise NotImplementedError("tf.pad reflects less than each size minus 1, also where it is 0")
    given = {"constant_values": value} if mode == "constant" else {}
    return pad(x, ((0, 0), (0, 0), *sides), mode=modes[mode], **given)


def _batch_norm(
    function: Function, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    """y alone: there are no running statistics; those of a batch are keras.ops.moments'."""
    import keras

    if training:
        mean, var = keras.ops.moments(x, (0, *range(2, len(x.shape))))
    return function(x, mean, var, 1, bias, weight, eps)
