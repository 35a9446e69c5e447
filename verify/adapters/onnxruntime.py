"""onnxruntime: ONNX's operators as models of one node, on the CPU.

onnx and onnxruntime are imported when a target is loaded, for this module can be read without.
"""

from collections.abc import Callable
from typing import Any

from verify.adapters import Function
from verify.adapters.onnx import Runtime, operator
from verify.ops import Op


def adapt(name: Any, op: Op) -> tuple[Function, Function | None]:
    """An operator of ONNX as a layer; there is no backward pass."""
    import onnx  # noqa: F401  # the model is made with it: what is missing is told first
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # no pool for each session
    options.log_severity_level = 4

    def run(model: bytes) -> Callable[[dict[str, Any]], list[Any]]:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return lambda inputs: list(session.run(None, inputs))

    no_kernel = onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented
    runtime = Runtime("onnxruntime", run, no_kernel=no_kernel, check=_check)
    return operator(name, op, runtime), None


def _check(kind: str, attributes: dict[str, Any]) -> None:
    """Refuse what onnxruntime documents as not done."""
    if attributes.get("auto_pad", "VALID") != "VALID" and max(attributes["dilations"]) > 1:
        raise NotImplementedError("onnxruntime has no dilation with auto_pad SAME")
