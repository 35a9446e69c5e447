"""ONNX: Conv and ConvTranspose as models of one node, and its reference evaluator.

onnx is imported when a target is loaded, for this module can be read without it. A library that
runs such models gives to `operator` what makes a model's `run`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from verify.adapters import Function, each_axis, pairs
from verify.data import numpy_dtype
from verify.ops import Op

NAMED = {"same": "SAME_UPPER", "same_upper": "SAME_UPPER", "same_lower": "SAME_LOWER"}
KINDS = ("Conv", "ConvTranspose")


@dataclass(frozen=True)
class Runtime:
    """What runs models.

    name: what it is called where a target is written. run: makes of a model's bytes what computes
    y from the named arrays. opset: the operators' version that models ask for. dtypes: of the
    arrays. no_kernel: what `run` raises where it has no code for a dtype. check: what raises
    NotImplementedError for attributes that it documents as not done.
    """

    name: str
    run: Callable[[bytes], Callable[[dict[str, Any]], Any]]
    opset: int = 11  # since when the two operators are as they are here
    dtypes: tuple[str, ...] = ("float16", "float32", "float64")
    no_kernel: type[Exception] = NotImplementedError
    check: Callable[[dict[str, Any]], None] | None = None


def adapt(name: Any, op: Op) -> tuple[Function, Function | None]:
    """An operator of ONNX as a layer, run by the reference evaluator; there is no backward pass."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    def run(model: bytes) -> Callable[[dict[str, Any]], Any]:
        evaluator = ReferenceEvaluator(onnx.load_from_string(model))
        return lambda inputs: evaluator.run(None, inputs)[0]

    # Opset 22 is the first where the two operators take bfloat16.
    dtypes = ("bfloat16", "float16", "float32", "float64")
    return operator(name, op, Runtime("onnx.reference", run, 22, dtypes)), None


def operator(name: Any, op: Op, runtime: Runtime) -> Function:
    """An operator of ONNX as a layer."""
    import onnx

    check(runtime.name, name, op)

    @lru_cache(maxsize=512)
    def made(
        dtype: str, rank: int, bias: bool, attributes: tuple[tuple[str, Any], ...]
    ) -> Callable[[dict[str, Any]], Any]:
        if dtype not in runtime.dtypes:
            raise NotImplementedError(f"ONNX's {name} does not do {dtype}")
        model = _model(onnx, name, dtype, rank, bias, dict(attributes), runtime.opset)
        try:
            return runtime.run(model)
        except runtime.no_kernel as error:
            raise NotImplementedError(f"{runtime.name} has no {name} for {dtype}") from error

    def run(x: Any, w: Any, b: Any, attributes: dict[str, Any]) -> Any:
        if runtime.check is not None:
            runtime.check(attributes)
        inputs = {"x": x, "w": w} if b is None else {"x": x, "w": w, "b": b}
        return made(x.dtype.name, x.ndim, b is not None, tuple(attributes.items()))(inputs)

    def conv(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Any:  # fmt: skip
        return run(x, w, b, attributes(x.ndim - 2, stride, padding, dilation, groups))

    def padded(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, padding_mode: str = "zeros",
    ) -> Any:  # fmt: skip
        if padding_mode != "zeros":
            raise NotImplementedError(f"ONNX's Conv has no padding_mode {padding_mode!r}")
        return conv(x, w, b, stride, padding, dilation, groups)

    def transposed(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        found = attributes(x.ndim - 2, stride, padding, dilation, groups)
        extra = each_axis(output_padding, x.ndim - 2)
        # ONNX says "less than the corresponding stride/dilation dimension", which may mean either.
        if any(e >= s for e, s in zip(extra, found["strides"], strict=True)):
            raise NotImplementedError(
                f"{runtime.name} wants output_padding smaller than the stride"
            )
        return run(x, w, b, found | {"output_padding": extra})

    return transposed if op.transposed else padded if op.padded else conv


def check(library: str, name: Any, op: Op) -> None:
    """Refuse a name that is not the op's operator."""
    if name not in KINDS:
        raise ValueError(f"the {library} adapter has {' and '.join(KINDS)}: got {name}")
    fitting = KINDS[op.transposed]
    if op.linear:
        raise ValueError(f"{library}:{name} does not do linear: take a convolution")
    if name != fitting:
        raise ValueError(f"{library}:{name} does not do {op.name}: take {library}:{fitting}")


def attributes(ndim: int, stride: Any, padding: Any, dilation: Any, groups: int) -> dict[str, Any]:
    """A node's attributes, all but output_padding."""
    strides, dilations = each_axis(stride, ndim), each_axis(dilation, ndim)
    found = {"strides": strides, "dilations": dilations, "group": groups}
    if padding in NAMED:
        if padding == "same" and max(strides) > 1:
            raise ValueError("padding 'same' has stride 1: take 'same_upper' or 'same_lower'")
        return found | {"auto_pad": NAMED[padding]}
    if padding == "valid":
        return found | {"auto_pad": "VALID"}
    before, after = zip(*pairs(padding, ndim), strict=True)
    if min(before + after) < 0:
        raise NotImplementedError("ONNX allows no negative padding")
    return found | {"pads": before + after}


def _model(
    onnx: Any, kind: str, dtype: str, rank: int, bias: bool, attributes: dict[str, Any], opset: int
) -> bytes:
    """A model of one node."""
    element = onnx.helper.np_dtype_to_tensor_dtype(numpy_dtype(dtype))
    ranks = {"x": rank, "w": rank} | ({"b": 1} if bias else {})
    values = {
        name: onnx.helper.make_tensor_value_info(name, element, [None] * r)
        for name, r in (ranks | {"y": rank}).items()
    }
    y = values.pop("y")
    node = onnx.helper.make_node(kind, list(values), ["y"], **attributes)
    graph = onnx.helper.make_graph([node], kind, list(values.values()), [y])
    opsets = [onnx.helper.make_opsetid("", opset)]
    version = onnx.helper.find_min_ir_version_for(opsets)
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=version)
    return bytes(model.SerializeToString())
