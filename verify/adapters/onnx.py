"""ONNX: its operators as models of one node, and its reference evaluator.

onnx is imported when a target is loaded, for this module can be read without it. A library that
runs such models gives to `operator` what makes a model's `run`. Those without weights are in
verify.adapters.onnx_layers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from verify.adapters import Function, each_axis, onnx_layers, pairs
from verify.data import numpy_dtype
from verify.ops import Op

NAMED = {"same": "SAME_UPPER", "same_upper": "SAME_UPPER", "same_lower": "SAME_LOWER"}
KINDS = ("Conv", "ConvTranspose")
Given: TypeAlias = tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Runtime:
    """What runs models.

    name: what it is called where a target is written. run: makes of a model's bytes what computes
    its outputs from the named arrays. opset: the operators' version that models ask for. dtypes: of
    the arrays. no_kernel: what `run` raises where it has no code for a dtype. check: what raises
    NotImplementedError for a kind of node and attributes that it documents as not done.
    """

    name: str
    run: Callable[[bytes], Callable[[dict[str, Any]], list[Any]]]
    opset: int = 11  # since when the two operators are as they are here
    dtypes: tuple[str, ...] = ("float16", "float32", "float64")
    no_kernel: type[Exception] = NotImplementedError
    check: Callable[[str, dict[str, Any]], None] | None = None


def adapt(name: Any, op: Op) -> tuple[Function, Function | None]:
    """An operator of ONNX as a layer, run by the reference evaluator; there is no backward pass."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    def run(model: bytes) -> Callable[[dict[str, Any]], list[Any]]:
        evaluator = ReferenceEvaluator(onnx.load_from_string(model))
        return lambda inputs: list(evaluator.run(None, inputs))

    # Opset 22 is the first where the operators take bfloat16.
    dtypes = ("bfloat16", "float16", "float32", "float64")
    return operator(name, op, Runtime("onnx.reference", run, 22, dtypes)), None


def operator(name: Any, op: Op, runtime: Runtime) -> Function:
    """An operator of ONNX as a layer."""
    ask = asking(runtime)
    if not op.weighted:
        return onnx_layers.operator(runtime.name, name, op, ask)
    check(runtime.name, name, op)

    def run(x: Any, w: Any, b: Any, attributes: dict[str, Any]) -> Any:
        inputs = {"x": x, "w": w} if b is None else {"x": x, "w": w, "b": b}
        return ask(name, inputs, attributes)[0]

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


def asking(runtime: Runtime) -> onnx_layers.Ask:
    """What runs a node: gets its kind, its inputs and attributes, returns its outputs."""
    import onnx

    @lru_cache(maxsize=512)
    def made(kind: str, given: Given, attributes: Any, outputs: int) -> Any:
        dtype = given[0][1]
        if dtype not in runtime.dtypes:
            raise NotImplementedError(f"ONNX's {kind} does not do {dtype}")
        opset = max(runtime.opset, onnx_layers.OPSETS.get(kind, 0))
        try:
            return runtime.run(_model(onnx, kind, given, dict(attributes), outputs, opset))
        except runtime.no_kernel as error:
            raise NotImplementedError(f"{runtime.name} has no {kind} for {dtype}") from error

    def ask(
        kind: str, inputs: dict[str, Any], attributes: dict[str, Any], outputs: int = 1
    ) -> list[Any]:
        if runtime.check is not None:
            runtime.check(kind, attributes)
        given = tuple((name, array.dtype.name, array.ndim) for name, array in inputs.items())
        found: list[Any] = made(kind, given, tuple(attributes.items()), outputs)(inputs)
        return found

    return ask


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
    onnx: Any, kind: str, given: Given, attributes: dict[str, Any], outputs: int, opset: int
) -> bytes:
    """A model of one node; given: its inputs by name, with dtype and number of axes."""
    helper = onnx.helper
    values = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(numpy_dtype(dtype)), [None] * rank
        )
        for name, dtype, rank in given
    ]
    names = ["y", *onnx_layers.FURTHER.get(kind, ())][:outputs]
    # The types of the outputs are inferred: one that is told must be right in rank too.
    made = [helper.make_empty_tensor_value_info(name) for name in names]
    node = helper.make_node(kind, [value.name for value in values], names, **attributes)
    graph = helper.make_graph([node], kind, values, made)
    opsets = [helper.make_opsetid("", opset)]
    version = helper.find_min_ir_version_for(opsets)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=version)
    return bytes(model.SerializeToString())
