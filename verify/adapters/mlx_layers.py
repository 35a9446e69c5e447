"""MLX's layers without weights: the pools and BatchNorm of mlx.nn, and mlx.core.pad."""

from typing import Any

from verify.adapters import Function
from verify.adapters.unweighted import Windows, layer
from verify.ops import Op

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
POOLS = {
    f"{kind.lower()}_pool{axes}d": f"{kind}Pool{axes}d"
    for kind in ("Max", "Avg")
    for axes in (1, 2, 3)
}
LACKS = ("dilation", "ceil_mode", "count_include_pad", "divisor_override")


def own(function: Any, op: Op) -> Function | None:
    """One of MLX's own as a layer without weights; None for another."""
    import mlx.core as mx
    import mlx.nn as nn

    names = (*POOLS.values(), "BatchNorm")
    name = next((n for n in names if function is getattr(nn, n)), None)
    name = "pad" if function is mx.pad else name
    if name is None:
        return None
    fitting = {"pad": "pad", "batch_norm": "BatchNorm"}.get(op.name) or POOLS.get(op.name)
    if name != fitting:
        raise ValueError(
            f"mlx's {name} does not do {op.name}" + (f": take {fitting}" if fitting else "")
        )
    run = _pad if name == "pad" else _batch_norm if name == "BatchNorm" else _pooled

    def call(x: Any, *given: Any) -> Any:
        if str(x.dtype).rpartition(".")[2] not in ("float16", "bfloat16", "float32", "float64"):
            raise NotImplementedError(f"the mlx adapter does no {op.name} of {x.dtype}")
        y = run(function, x, *given)
        mx.eval(y)  # what it has no code for is told when values are asked for
        return y

    return layer(op, call, () if op.family in ("move", "norm") else LACKS)


def _pooled(pool: Function, x: Any, over: Windows) -> Any:
    return _channels_last(pool(over.kernel, over.stride, over.padding), x)


def _channels_last(call: Function, x: Any) -> Any:
    import mlx.core as mx

    y = call(mx.transpose(x, (0, *range(2, x.ndim), 1)))
    return mx.transpose(y, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def _pad(pad: Function, x: Any, sides: Any, mode: str, value: float) -> Any:
    import mlx.core as mx

    if mode not in MODES:
        raise NotImplementedError(f"mlx.core.pad has no mode {mode!r}")
    if any(min(pair) < 0 for pair in sides):
        raise NotImplementedError("mlx.core.pad does not crop")
    widths = [(0, 0), (0, 0), *sides]
    return pad(x, widths, mode=MODES[mode], constant_values=mx.array(value, x.dtype))


def _batch_norm(
    kind: Any, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    if x.ndim > 4:
        raise NotImplementedError("mlx.nn.BatchNorm has inputs of 2 to 4 axes")
    kept = mean is not None
    norm = kind(x.shape[1], eps, momentum, weight is not None, kept)
    norm.train(training)
    if kept:
        norm.running_mean, norm.running_var = mean, var
    if weight is not None:
        norm.weight, norm.bias = weight, bias
    y = _channels_last(norm, x)
    return (y, norm.running_mean, norm.running_var) if kept else y
