"""OpenVINO's operators without weights, for what compiles and runs a node of its opset."""

from collections.abc import Callable
from typing import Any

import numpy as np

from verify.adapters import Function
from verify.adapters.unweighted import Windows, layer
from verify.ops import Op

# What each operator's op is called, or begins with.
NAMES = {
    "max_pool": "max_pool",
    "avg_pool": "avg_pool",
    "adaptive_max_pool": "adaptive_max_pool",
    "adaptive_avg_pool": "adaptive_avg_pool",
    "pad": "pad",
    "col2im": "fold",
    "batch_norm_inference": "batch_norm",
}
MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
LACKS = ("divisor_override", "training", "momentum")
# Gets x, and what makes of the opset and the parameter a node; returns the node's outputs.
Ask = Callable[[Any, Callable[[Any, Any], Any]], list[Any]]


def operator(name: str, op: Op, ask: Ask) -> Function:
    """An operator of OpenVINO as a layer."""
    if not op.name.startswith(NAMES[name]):
        raise ValueError(f"openvino:{name} does not do {op.name}")
    runs: dict[str, Function] = {"pad": _pad, "col2im": _fold, "batch_norm_inference": _batch_norm,
            "max_pool": _max_pool, "avg_pool": _avg_pool}  # fmt: skip
    run = runs.get(name)

    def call(x: Any, *given: Any) -> Any:
        if run is not None:
            return run(ask, x, *given)
        size = np.array(given[0], np.int64)
        # Indices of 64 bits, the default, have no code on the CPU.
        more = ("i32",) if name == "adaptive_max_pool" else ()
        return ask(x, lambda opset, node: getattr(opset, name)(node, opset.constant(size), *more))[
            0
        ]

    return layer(op, call, LACKS)


def _windows(over: Windows) -> dict[str, Any]:
    return {
        "strides": list(over.stride),
        "pads_begin": list(over.padding),
        "pads_end": list(over.padding),
        "kernel_shape": list(over.kernel),
        # Plain "ceil" has windows that start in the padding behind.
        "rounding_type": "ceil_torch" if over.ceil_mode else "floor",
    }


def _max_pool(ask: Ask, x: Any, over: Windows) -> Any:
    given = _windows(over) | {"dilations": list(over.dilation), "axis": 2}
    y, indices = ask(x, lambda opset, node: opset.max_pool(node, **given))
    return y, indices


def _avg_pool(ask: Ask, x: Any, over: Windows) -> Any:
    given = _windows(over) | {"exclude_pad": not over.count_include_pad}
    return ask(x, lambda opset, node: opset.avg_pool(node, **given))[0]


def _pad(ask: Ask, x: Any, sides: Any, mode: str, value: float) -> Any:
    if mode not in MODES:
        raise NotImplementedError(f"OpenVINO's pad has no mode {mode!r}")
    if mode == "reflect" and 0 in x.shape:
        raise NotImplementedError("OpenVINO reflects less than each size, also where it is 0")
    before, after = (np.array(each, np.int64) for each in zip((0, 0), (0, 0), *sides, strict=True))

    def made(opset: Any, node: Any) -> Any:
        filled = opset.constant(np.array(value, x.dtype)) if mode == "constant" else None
        return opset.pad(node, opset.constant(before), opset.constant(after), MODES[mode], filled)

    return ask(x, made)[0]


def _fold(ask: Ask, x: Any, size: Any, over: Windows) -> Any:
    def made(opset: Any, node: Any) -> Any:
        sizes = (opset.constant(np.array(each, np.int64)) for each in (size, over.kernel))
        return opset.col2im(
            node, *sizes, strides=list(over.stride), dilations=list(over.dilation),
            pads_begin=list(over.padding), pads_end=list(over.padding),
        )  # fmt: skip

    return ask(x, made)[0]


def _batch_norm(
    ask: Ask, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    scale = np.ones(x.shape[1], x.dtype) if weight is None else weight
    offset = np.zeros(x.shape[1], x.dtype) if bias is None else bias

    def made(opset: Any, node: Any) -> Any:
        given = (np.ascontiguousarray(each) for each in (scale, offset, mean, var))
        kept = (opset.constant(each) for each in given)
        return opset.batch_norm_inference(node, *kept, eps)

    return ask(x, made)[0]
