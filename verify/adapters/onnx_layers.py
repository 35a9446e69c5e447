"""ONNX's operators without weights, for whatever runs one node: pools, BatchNormalization, Pad …"""

from typing import Any, Protocol

import numpy as np

from verify.adapters import Function
from verify.adapters.unweighted import Windows, layer
from verify.data import numpy_dtype
from verify.ops import Op

# The versions since when operators are as they are here: no windows that start in padding, "wrap" …
OPSETS = {
    "MaxPool": 22,
    "AveragePool": 22,
    "GlobalMaxPool": 1,
    "GlobalAveragePool": 1,
    "BatchNormalization": 15,
    "Pad": 19,
    "Col2Im": 18,
}
FURTHER = {"MaxPool": ("indices",), "BatchNormalization": ("new_mean", "new_var")}
MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Ask(Protocol):
    """What runs a node of a kind, and returns its outputs."""

    def __call__(
        self, kind: str, inputs: dict[str, Any], attributes: dict[str, Any], outputs: int = 1
    ) -> list[Any]: ...


def fitting(op: Op) -> str:
    """The operator that does an op, or nothing."""
    if op.ndim and op.name == f"{op.family}{op.ndim}d":
        return {"max_pool": "MaxPool", "avg_pool": "AveragePool"}[op.family]
    if op.name.startswith("global"):
        return {"max_pool": "GlobalMaxPool", "avg_pool": "GlobalAveragePool"}[op.family]
    return {"fold": "Col2Im", "pad": "Pad", "batch_norm": "BatchNormalization"}.get(op.name, "")


def operator(
    library: str, name: Any, op: Op, ask: Ask, lacks: tuple[str, ...] = (), newest: bool = True
) -> Function:
    """An operator of ONNX as a layer without weights.

    newest: whether the library knows opset 22. Before it ONNX rounded up, and no more.
    """
    if name not in OPSETS:
        raise ValueError(f"the {library} adapter has {', '.join(OPSETS)} for {op.name}: got {name}")
    if name != fitting(op):
        other = f": take {library}:{fitting(op)}" if fitting(op) else ""
        raise ValueError(f"{library}:{name} does not do {op.name}{other}")
    runs: dict[str, tuple[Function, tuple[str, ...]]] = {
        "MaxPool": (_max_pool, ()),
        "AveragePool": (_average_pool, ("divisor_override",)),
        "Pad": (_pad, ()),
        "Col2Im": (_fold, ()),
        "BatchNormalization": (_batch_norm, ()),
    }
    run, lacking = runs.get(name, (None, ()))

    def asked(*given: Any) -> Any:
        if not newest and isinstance(given[-1], Windows):
            given[-1].within(given[0].shape[2:], library)
        if run is None:
            return ask(name, {"x": given[0]}, {})[0]
        return run(ask, *given)

    return layer(op, asked, (*lacking, *lacks))


def windows(over: Windows) -> dict[str, Any]:
    """The attributes that pools have in common."""
    return {
        "kernel_shape": over.kernel,
        "strides": over.stride,
        "dilations": over.dilation,
        "pads": over.padding * 2,
        "ceil_mode": int(over.ceil_mode),
    }


def _max_pool(ask: Ask, x: Any, over: Windows) -> Any:
    y, *rest = ask("MaxPool", {"x": x}, windows(over), 2)
    if not rest:
        return y
    # ONNX counts the cells of all items and channels, the contract those of a plane.
    planes = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
    return y, rest[0] - planes * int(np.prod(x.shape[2:]))


def _average_pool(ask: Ask, x: Any, over: Windows) -> Any:
    counted = {"count_include_pad": int(over.count_include_pad)}
    return ask("AveragePool", {"x": x}, windows(over) | counted)[0]


def _pad(ask: Ask, x: Any, sides: Any, mode: str, value: float) -> Any:
    before, after = zip((0, 0), (0, 0), *sides, strict=True)
    inputs = {"x": x, "pads": np.array(before + after, np.int64)}
    if mode == "constant":
        inputs["value"] = np.array(value, numpy_dtype(x.dtype.name))
    return ask("Pad", inputs, {"mode": MODES[mode]})[0]


def _fold(ask: Ask, x: Any, size: Any, over: Windows) -> Any:
    sizes = {"image_shape": np.array(size, np.int64), "block_shape": np.array(over.kernel)}
    attributes = {"dilations": over.dilation, "pads": over.padding * 2, "strides": over.stride}
    return ask("Col2Im", {"x": x, **sizes}, attributes)[0]


def _batch_norm(
    ask: Ask, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool, momentum: float,
    eps: float,
) -> Any:  # fmt: skip
    """y alone: ONNX mixes into the running variance that of the population, and says so."""
    scale, offset = (
        np.full(x.shape[1], value, x.dtype) if given is None else given
        for given, value in ((weight, 1), (bias, 0))
    )
    if x.dtype == np.float64 and eps != float(np.float32(eps)):
        raise NotImplementedError(f"ONNX's epsilon has 32 bits: {eps} is none of them")
    inputs = {"x": x, "scale": scale, "bias": offset, "mean": mean, "var": var}
    if not training:
        return ask("BatchNormalization", inputs, {"epsilon": eps})[0]
    # ONNX weighs the old statistics where PyTorch weighs the new ones.
    attributes = {"epsilon": eps, "momentum": 1 - momentum, "training_mode": 1}
    return ask("BatchNormalization", inputs, attributes, 3)[0]
