"""PaddlePaddle: any function of its tensors; the backward pass by autograd.

paddle is imported when a target is loaded, for this module can be read without it.
"""

from functools import wraps
from typing import Any

import numpy as np

from verify.adapters import Function, layers, paddle_layers, sides
from verify.adapters.calls import Arrays, passes
from verify.data import numpy_dtype
from verify.ops import OPS, Op

# What paddle calls each op: padded and depthwise convolutions are the same functions.
NAMES = {
    name: name.removeprefix("padded_").removeprefix("depthwise_")
    if "transpose" not in name
    else f"conv{name[-2:]}_transpose"
    for name in OPS
}
MODES = {
    "zeros": "constant",
    "circular": "circular",
    "reflect": "reflect",
    "replicate": "replicate",
}
FORMATS = {1: "NCL", 2: "NCHW", 3: "NCDHW"}
DTYPES = ("float16", "float32", "float64", "bfloat16")


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """A function of tensors as one of arrays, and its backward pass by autograd.

    paddle's own functions get their weights as they document them, and their padding by
    paddle.nn.functional.pad where it is no zeros.
    """
    import paddle

    own = {name: getattr(paddle.nn.functional, name, None) for name in NAMES.values()}
    name = next((n for n in own if function is own[n]), None)
    if name is not None and name != NAMES[op.name]:
        raise ValueError(f"paddle's {name} does not do {op.name}: take {NAMES[op.name]}")
    if not op.weighted:
        call = paddle_layers.own(function, op) if name is not None else function
        return layers.passes(_documented(call, op.name), op, library())
    call = _own(function, op) if name is not None else function
    return passes(_documented(call, "convolution"), op, library())


def library() -> Arrays:
    """The arrays of paddle."""
    import paddle

    def pull_back(call: Function, leaves: Any, g: Any) -> Any:
        for leaf in leaves:
            leaf.stop_gradient = False
        found = paddle.grad([call(*leaves)], leaves, [g], allow_unused=True)
        zeros = [paddle.zeros_like(leaf) for leaf in leaves]
        return [z if f is None else f for f, z in zip(found, zeros, strict=True)]

    return Arrays("paddle", paddle.Tensor, _tensor, _array, pull_back)


def _own(function: Function, op: Op) -> Function:
    """A function of paddle's own with our padding, and the weights of its linear transposed."""
    import paddle

    def linear(x: Any, w: Any, b: Any = None) -> Any:
        return function(x, w.T, b)

    def padded(
        x: Any, w: Any, b: Any = None, *, padding: Any = 0, padding_mode: str = "zeros",
        **arguments: Any,
    ) -> Any:  # fmt: skip
        if padding_mode not in MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(MODES)}: got {padding_mode}")
        if padding_mode == "zeros" and padding in ("same_upper", "valid"):
            named = "SAME" if padding == "same_upper" else "VALID"
            return function(x, w, b, padding=named, **arguments)
        steps = {name: arguments.get(name, 1) for name in ("stride", "dilation")}
        around = sides(padding, x, w, **steps)
        if any(min(pair) < 0 for pair in around):
            raise NotImplementedError("paddle documents no negative padding")
        if padding_mode == "zeros":
            each = [[0, 0], [0, 0], *map(list, around)]
            return function(x, w, b, padding=each, **arguments)
        flat = [side for pair in reversed(around) for side in pair]
        mode, order = MODES[padding_mode], FORMATS[op.ndim]
        x = paddle.nn.functional.pad(x, flat, mode=mode, data_format=order)
        return function(x, w, b, **arguments)

    return linear if op.linear else padded if op.padded else function


def _documented(function: Function, does: str) -> Function:
    """It, for documented dtypes; in Python's way it says what paddle has no code for."""

    @wraps(function)
    def called(x: Any, *tensors: Any, **arguments: Any) -> Any:
        dtype = str(x.dtype).removeprefix("paddle.")
        if dtype not in DTYPES:
            raise NotImplementedError(f"paddle documents no {does} of {dtype}")
        try:
            return function(x, *tensors, **arguments)
        except RuntimeError as error:
            told = [line for line in str(error).splitlines() if "is not registered" in line]
            if told:
                raise NotImplementedError(told[0].strip()) from error
            raise

    return called


def _tensor(array: Any) -> Any:
    import paddle

    array = np.ascontiguousarray(array)
    if array.dtype.name == "bfloat16":
        return paddle.to_tensor(array.view(np.int16)).view("bfloat16")
    return paddle.to_tensor(array)


def _array(tensor: Any) -> Any:
    import paddle

    if tensor.dtype == paddle.bfloat16:
        return tensor.detach().view("int16").numpy().view(numpy_dtype("bfloat16"))
    return tensor.detach().numpy()
