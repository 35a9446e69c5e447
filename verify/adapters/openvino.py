"""OpenVINO: the operators of its opset as models of one node, on the CPU.

openvino is imported when a target is loaded, for this module can be read without it.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from verify.adapters import Function, each_axis, openvino_layers, pairs
from verify.ops import Op

NAMED = {"same_upper": "same_upper", "same_lower": "same_lower", "valid": "valid"}
# What is computed in, for each dtype that the CPU plugin documents.
PRECISIONS = {"float32": "f32", "float16": "f16"}
# The names of openvino.opset13, and the operators of ONNX: with groups the one, else the other.
CONV = ("convolution", "group_convolution")
TRANSPOSED = ("convolution_backprop_data", "group_convolution_backprop_data")
NAMES = {"Conv": CONV, "ConvTranspose": TRANSPOSED} | {n: (n, n) for n in CONV + TRANSPOSED}


def adapt(name: Any, op: Op) -> tuple[Function, Function | None]:
    """An operator as a layer, weights and bias kept in the model; there is no backward pass."""
    import openvino

    if not op.weighted:
        known = openvino_layers.NAMES
        if name not in known:
            told = f"the openvino adapter has {', '.join(known)} for {op.name}: got {name}"
            raise ValueError(told)
        return openvino_layers.operator(name, op, _asking(openvino)), None
    if name not in NAMES:
        raise ValueError(f"the openvino adapter has {', '.join(NAMES)}: got {name}")
    plain, grouped = NAMES[name]
    if op.linear or op.transposed != (plain in TRANSPOSED):
        fitting = "a convolution" if op.linear else f"openvino:Conv{'Transpose' * op.transposed}"
        raise ValueError(f"openvino:{name} does not do {op.name}: take {fitting}")
    compiled = lru_cache(maxsize=64)(_maker(openvino, op))

    def run(x: Any, w: Any, b: Any, groups: int, arguments: dict[str, Any]) -> Any:
        _check(x)
        kind = plain if groups == 1 else grouped
        if groups > 1 and not kind.startswith("group"):
            raise NotImplementedError(f"OpenVINO's {kind} has no groups: take group_{kind}")
        if kind.startswith("group"):
            if groups < 1 or len(w) % groups:
                raise ValueError(f"groups must divide the weights: {len(w)} % {groups}")
            w = w.reshape(groups, len(w) // groups, *w.shape[1:])
        kept = tuple((a.tobytes(), a.shape, a.dtype.str) for a in (w, b) if a is not None)
        try:
            model = compiled(kind, x.shape, x.dtype.name, kept, tuple(arguments.items()))
            return np.array(model(np.ascontiguousarray(x))[0])
        except RuntimeError as error:
            raise _last_line(error) from error

    def conv(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, padding_mode: str = "zeros",
    ) -> Any:  # fmt: skip
        if padding_mode != "zeros":
            raise NotImplementedError(f"OpenVINO has no padding_mode {padding_mode!r}")
        return run(x, w, b, groups, _arguments(x.ndim - 2, stride, padding, dilation))

    def transposed(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        arguments = _arguments(x.ndim - 2, stride, padding, dilation)
        more = {"output_padding": each_axis(output_padding, x.ndim - 2)}
        return run(x, w, b, groups, arguments | more)

    return (transposed if op.transposed else conv), None


def _arguments(ndim: int, stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    strides, dilations = each_axis(stride, ndim), each_axis(dilation, ndim)
    found = {"strides": strides, "dilations": dilations}
    nothing = (0,) * ndim
    if padding == "same":
        if max(strides) > 1:
            raise ValueError("padding 'same' has stride 1: take 'same_upper' or 'same_lower'")
        padding = "same_upper"
    if padding in NAMED:
        return found | {"pads_begin": nothing, "pads_end": nothing, "auto_pad": NAMED[padding]}
    before, after = zip(*pairs(padding, ndim), strict=True)
    return found | {"pads_begin": before, "pads_end": after}


def _maker(openvino: Any, op: Op) -> Any:
    """What compiles the model of one node, its weights, and its bias if there is one."""
    import openvino.opset13 as opset

    core = openvino.Core()

    def made(kind: str, shape: Any, dtype: str, kept: Any, arguments: Any) -> Any:
        x = opset.parameter(list(shape), np.dtype(dtype), name="x")
        w, *bias = (np.frombuffer(data, kind).reshape(shape) for data, shape, kind in kept)
        written = {name: list(v) if isinstance(v, tuple) else v for name, v in arguments}
        y = getattr(opset, kind)(x, opset.constant(w), **written)
        for b in bias:
            y = opset.add(y, opset.constant(b.reshape(1, -1, *(1,) * op.ndim)))
        return core.compile_model(openvino.Model([y], [x], kind), "CPU", _options(dtype))

    return made


def _asking(openvino: Any) -> openvino_layers.Ask:
    """What runs a model of one node, compiled anew for each call."""
    import openvino.opset15 as opset

    core = openvino.Core()

    def ask(x: Any, made: Any) -> list[Any]:
        _check(x)
        try:
            given = opset.parameter(list(x.shape), x.dtype, name="x")
            outputs = made(opset, given).outputs()
            model = openvino.Model(outputs, [given], "layer")
            run = core.compile_model(model, "CPU", _options(x.dtype.name))
            found = run(np.ascontiguousarray(x))
            return [np.array(found[place]) for place in range(len(outputs))]
        except RuntimeError as error:
            raise _last_line(error) from error

    return ask


def _options(dtype: str) -> dict[str, Any]:
    """The plugin's own choice may be bfloat16 for an array of float32."""
    return {"INFERENCE_PRECISION_HINT": PRECISIONS[dtype], "INFERENCE_NUM_THREADS": 1}


def _check(x: Any) -> None:
    if x.dtype.name not in PRECISIONS:
        raise NotImplementedError(f"OpenVINO's CPU plugin does not infer in {x.dtype.name}")


def _last_line(error: RuntimeError) -> RuntimeError:
    """What it says: its text begins with lines of its source files."""
    told = [line for line in str(error).splitlines() if line.strip()]
    return RuntimeError(told[-1] if told else "")
