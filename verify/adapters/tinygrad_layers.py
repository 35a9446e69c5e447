"""tinygrad's functions as layers without weights: Tensor's pools, pad and batchnorm."""

from typing import Any

from verify.adapters import Function
from verify.adapters.unweighted import Windows, layer
from verify.ops import Op

NAMES = {
    "max_pool2d": "max_pool",
    "avg_pool2d": "avg_pool",
    "pad": "pad",
    "batchnorm": "batch_norm",
}
MODES = {"constant": "constant", "reflect": "reflect", "replicate": "replicate",
         "circular": "circular"}  # fmt: skip


def own(function: Any, op: Op) -> Function | None:
    """One of Tensor's own as a layer without weights; None for another."""
    from tinygrad import Tensor

    name = next((n for n in NAMES if function is getattr(Tensor, n)), None)
    if name is None:
        return None
    if not op.name.startswith(NAMES[name]):
        raise ValueError(f"tinygrad's {name} does not do {op.name}")
    runs: dict[str, Function] = {"max_pool2d": _max_pool, "avg_pool2d": _avg_pool, "pad": _pad}

    run: Function = runs.get(name, _batch_norm)

    def call(*given: Any) -> Any:
        return run(function, *given)

    return layer(op, call, ("divisor_override", "momentum"))


def _max_pool(pool: Function, x: Any, over: Windows) -> Any:
    return pool(x, **_windows(over))


def _avg_pool(pool: Function, x: Any, over: Windows) -> Any:
    return pool(x, count_include_pad=over.count_include_pad, **_windows(over))


def _windows(over: Windows) -> dict[str, Any]:
    return {
        "kernel_size": over.kernel, "stride": over.stride, "dilation": over.dilation,
        "padding": over.padding, "ceil_mode": over.ceil_mode,
    }  # fmt: skip


def _pad(pad: Function, x: Any, sides: Any, mode: str, value: float) -> Any:
    return pad(x, ((0, 0), (0, 0), *sides), mode=MODES[mode], value=value)


def _batch_norm(
    norm: Function, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    """The inverse of the deviation is what batchnorm gets; of a batch, that of Tensor.var."""
    if training:
        axes = (0, *range(2, x.ndim))
        mean, var = x.mean(axes), x.var(axes, correction=0)
    return norm(x, weight, bias, mean, (var + eps).rsqrt())
