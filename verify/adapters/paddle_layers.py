"""Paddle's functions as layers without weights: they are called as torch's, but for some names."""

from typing import Any

from verify.adapters import Function
from verify.adapters.unweighted import Windows, layer
from verify.ops import Op

FORMATS = {0: "NC", 1: "NCL", 2: "NCHW", 3: "NCDHW"}
MODES = ("constant", "reflect", "replicate", "circular")


def own(function: Function, op: Op) -> Function:
    """A function of paddle's own, which is the op's, as a layer."""
    runs: dict[str, Function] = {
        "unfold": _unfold,
        "fold": _fold,
        "pad": _pad,
        "batch_norm": _batch_norm,
    }
    run = runs.get(op.name)
    if run is None:
        run = _adapted if op.name.startswith("adaptive") else _pooled

    def call(*given: Any) -> Any:
        return run(function, op, *given)

    return layer(op, call, ("dilation", "momentum") if op.family != "move" else ())


def _pooled(pool: Function, op: Op, x: Any, over: Windows) -> Any:
    over.within(x.shape[2:], "paddle")
    given: dict[str, Any] = {"ceil_mode": over.ceil_mode}
    if op.family == "avg_pool":
        given["exclusive"] = not over.count_include_pad
    if over.divisor is not None:
        given["divisor_override"] = over.divisor
    return pool(x, list(over.kernel), list(over.stride), list(over.padding), **given)


def _adapted(pool: Function, op: Op, x: Any, size: Any) -> Any:
    return pool(x, size[0] if op.ndim == 1 else list(size))


def _unfold(unfold: Function, op: Op, x: Any, over: Windows) -> Any:
    return unfold(x, *_lists(over))


def _fold(fold: Function, op: Op, x: Any, size: Any, over: Windows) -> Any:
    return fold(x, list(size), *_lists(over))


def _lists(over: Windows) -> list[list[int]]:
    return [list(each) for each in (over.kernel, over.stride, over.padding, over.dilation)]


def _pad(pad: Function, op: Op, x: Any, sides: Any, mode: str, value: float) -> Any:
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}: got {mode!r}")
    if any(min(pair) < 0 for pair in sides):
        raise NotImplementedError("paddle documents no negative padding")
    flat = [side for pair in reversed(sides) for side in pair]
    return pad(x, flat, mode=mode, value=value, data_format=FORMATS[len(sides)])


def _batch_norm(
    norm: Function, op: Op, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    """y alone: paddle mixes into the running variance that of the population."""
    import paddle

    if mean is None:
        mean, var = paddle.zeros([x.shape[1]], x.dtype), paddle.ones([x.shape[1]], x.dtype)
    return norm(
        x, mean.clone(), var.clone(), weight, bias, training, 1 - momentum, eps,
        data_format=FORMATS[len(x.shape) - 2],
    )  # fmt: skip
