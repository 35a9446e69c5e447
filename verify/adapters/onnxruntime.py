"""onnxruntime: Conv and ConvTranspose as models of one node, on the CPU.

onnx and onnxruntime are imported when a target is loaded, for this module can be read without.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from verify.adapters import Function, each_axis, pairs
from verify.ops import Op

OPSET, IR_VERSION = 11, 8  # since when the two operators are as they are here
NAMED = {"same": "SAME_UPPER", "same_upper": "SAME_UPPER", "same_lower": "SAME_LOWER"}
KINDS = ("Conv", "ConvTranspose")


def adapt(name: Any, op: Op) -> tuple[Function, Function | None]:
    """An operator of ONNX as a layer; there is no backward pass."""
    import onnx
    import onnxruntime

    if name not in KINDS:
        raise ValueError(f"the onnxruntime adapter has {' and '.join(KINDS)}: got {name}")
    fitting = KINDS[op.transposed]
    if op.linear:
        raise ValueError(f"onnxruntime:{name} does not do linear: take a convolution")
    if name != fitting:
        raise ValueError(f"onnxruntime:{name} does not do {op.name}: take onnxruntime:{fitting}")
    session = lru_cache(maxsize=512)(_maker(onnx, onnxruntime, name))

    def run(x: Any, w: Any, b: Any, attributes: dict[str, Any]) -> Any:
        inputs = {"x": x, "w": w} if b is None else {"x": x, "w": w, "b": b}
        model = session(x.dtype.name, x.ndim, b is not None, tuple(attributes.items()))
        return model.run(None, inputs)[0]

    def conv(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Any:  # fmt: skip
        return run(x, w, b, _attributes(x.ndim - 2, stride, padding, dilation, groups))

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
        ndim = x.ndim - 2
        extra, strides = each_axis(output_padding, ndim), each_axis(stride, ndim)
        if any(e >= s for e, s in zip(extra, strides, strict=True)):
            raise NotImplementedError("onnxruntime wants output_padding smaller than the stride")
        attributes = _attributes(ndim, stride, padding, dilation, groups)
        return run(x, w, b, attributes | {"output_padding": extra})

    return (transposed if op.transposed else padded if op.padded else conv), None


def _attributes(ndim: int, stride: Any, padding: Any, dilation: Any, groups: int) -> dict[str, Any]:
    strides, dilations = each_axis(stride, ndim), each_axis(dilation, ndim)
    attributes = {"strides": strides, "dilations": dilations, "group": groups}
    if padding in NAMED:
        if padding == "same" and max(strides) > 1:
            raise ValueError("padding 'same' has stride 1: take 'same_upper' or 'same_lower'")
        if max(dilations) > 1:
            raise NotImplementedError("onnxruntime has no dilation with auto_pad SAME")
        return attributes | {"auto_pad": NAMED[padding]}
    if padding == "valid":
        return attributes | {"auto_pad": "VALID"}
    before, after = zip(*pairs(padding, ndim), strict=True)
    if min(before + after) < 0:
        raise NotImplementedError("ONNX allows no negative padding")
    return attributes | {"pads": before + after}


def _maker(onnx: Any, onnxruntime: Any, kind: str) -> Callable[..., Any]:
    """What makes the session of a model of one node."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # no pool for each session
    options.log_severity_level = 4
    helper, errors = onnx.helper, onnxruntime.capi.onnxruntime_pybind11_state

    def session(dtype: str, rank: int, bias: bool, attributes: tuple[tuple[str, Any], ...]) -> Any:
        if dtype not in ("float16", "float32", "float64"):
            raise NotImplementedError(f"ONNX's {kind} does not do {dtype}")
        element = helper.np_dtype_to_tensor_dtype(onnx.helper.np.dtype(dtype))
        ranks = {"x": rank, "w": rank} | ({"b": 1} if bias else {})
        values = {
            name: helper.make_tensor_value_info(name, element, [None] * r)
            for name, r in (ranks | {"y": rank}).items()
        }
        y = values.pop("y")
        node = helper.make_node(kind, list(values), ["y"], **dict(attributes))
        graph = helper.make_graph([node], kind, list(values.values()), [y])
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        try:
            return onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except errors.NotImplemented as error:
            raise NotImplementedError(f"onnxruntime has no {kind} for {dtype}") from error

    return session
