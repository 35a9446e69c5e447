"""OpenCV's dnn module: operators of ONNX as models of one node, on the CPU.

cv2 and onnx are imported when a target is loaded, for this module can be read without.
"""

from typing import Any

import numpy as np

from verify.adapters import Function, each_axis, onnx_layers
from verify.adapters.onnx import attributes, check
from verify.ops import Op

OPSET, IR_VERSION = 11, 8  # both read by OpenCV 4 and 5
NEWER = {"Pad": 19, "BatchNormalization": 15}  # as this adapter writes them


def adapt(name: Any, op: Op) -> tuple[Function, Function | None]:
    """An operator of ONNX as a layer, weights and bias kept in the model; no backward pass."""
    import cv2
    import onnx

    def ask(
        kind: str, inputs: dict[str, Any], attributes: dict[str, Any], outputs: int = 1
    ) -> list[Any]:
        x, kept = inputs["x"], {name: kept for name, kept in inputs.items() if name != "x"}
        if x.dtype.name != "float32":
            raise NotImplementedError(f"cv2.dnn reads blobs of float32 only: got {x.dtype.name}")
        model = _model(onnx, kind, x, kept, attributes)
        net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
        net.setInput(np.ascontiguousarray(x), "x")
        return [net.forward()]  # the first output alone

    if not op.weighted:
        if name == "Col2Im":
            raise ValueError("cv2.dnn has no Col2Im")
        lacks = ("training", "momentum")
        return onnx_layers.operator("cv2.dnn", name, op, ask, lacks, newest=False), None
    check("cv2.dnn", name, op)

    def run(x: Any, w: Any, b: Any, found: dict[str, Any]) -> Any:
        found = found | {"kernel_shape": w.shape[2:]}  # OpenCV 4 does not go without
        return ask(name, {"x": x, "w": w} if b is None else {"x": x, "w": w, "b": b}, found)[0]

    def conv(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, padding_mode: str = "zeros",
    ) -> Any:  # fmt: skip
        if padding_mode != "zeros":
            raise NotImplementedError(f"ONNX's Conv has no padding_mode {padding_mode!r}")
        return run(x, w, b, attributes(x.ndim - 2, stride, padding, dilation, groups))

    def transposed(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        ndim = x.ndim - 2
        found = attributes(ndim, stride, padding, dilation, groups)
        return run(x, w, b, found | {"output_padding": each_axis(output_padding, ndim)})

    return (transposed if op.transposed else conv), None


def _model(onnx: Any, kind: str, x: Any, kept: dict[str, Any], attributes: dict[str, Any]) -> bytes:
    """A model of one node, with the other inputs than x as constants in it."""
    helper = onnx.helper
    element = helper.np_dtype_to_tensor_dtype(x.dtype)
    given = helper.make_tensor_value_info("x", element, list(x.shape))
    y = helper.make_tensor_value_info("y", element, [None] * x.ndim)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in kept.items()]
    node = helper.make_node(kind, ["x", *kept], ["y"], **attributes)
    graph = helper.make_graph([node], kind, [given], [y], tensors)
    opsets = [helper.make_opsetid("", NEWER.get(kind, OPSET))]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return bytes(model.SerializeToString())
