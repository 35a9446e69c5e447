"""tinygrad: any function of its tensors; the backward pass by autograd.

tinygrad is imported when a target is loaded, for this module can be read without it.
"""

from functools import wraps
from typing import Any

import numpy as np

from verify.adapters import Function, layers, sides, tinygrad_layers
from verify.adapters.calls import Arrays, passes
from verify.data import numpy_dtype
from verify.ops import OPS, Op

# What tinygrad calls each op: "not limited to only 2d convolutions", as it documents.
NAMES = {
    name: "linear" if op.linear else "conv_transpose2d" if op.transposed else "conv2d"
    for name, op in OPS.items()
}
MODES = {
    "zeros": "constant",
    "circular": "circular",
    "reflect": "reflect",
    "replicate": "replicate",
}
DTYPES = ("float16", "bfloat16", "float32", "float64")  # others are summed in wider ones


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """A function of tensors as one of arrays, and its backward pass by autograd.

    Tensor's own get their weights as they document them, and their padding by Tensor.pad where it
    is no zeros.
    """
    from tinygrad import Device, Tensor

    Device[Device.DEFAULT]  # without one, as without a C compiler, all calls would fail
    if not op.weighted:
        call = tinygrad_layers.own(function, op) or function
        return layers.passes(_exact(call, op.name), op, library())
    name = next((n for n in set(NAMES.values()) if function is getattr(Tensor, n)), None)
    if name is not None and name != NAMES[op.name]:
        raise ValueError(f"tinygrad's {name} does not do {op.name}: take Tensor.{NAMES[op.name]}")
    call = _own(function, op) if name is not None else function
    return passes(_exact(call, "convolution"), op, library())


def library() -> Arrays:
    """The arrays of tinygrad."""
    from tinygrad import Tensor

    def pull_back(call: Function, leaves: Any, g: Any) -> Any:
        return call(*leaves).gradient(*leaves, gradient=g)

    return Arrays("tinygrad", Tensor, _tensor, _array, pull_back)


def _own(function: Function, op: Op) -> Function:
    """A function of Tensor's with our padding, and the weights of its linear transposed."""

    def linear(x: Any, w: Any, b: Any = None) -> Any:
        return function(x, w.transpose(), b)

    def padded(
        x: Any, w: Any, b: Any = None, *, padding: Any = 0, padding_mode: str = "zeros",
        **arguments: Any,
    ) -> Any:  # fmt: skip
        if padding_mode not in MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(MODES)}: got {padding_mode}")
        steps = {name: arguments.get(name, 1) for name in ("stride", "dilation")}
        around = sides(padding, x, w, **steps)
        flat = tuple(side for pair in reversed(around) for side in pair)
        if padding_mode == "zeros":
            return function(x, w, b, padding=flat, **arguments)
        return function(x.pad(flat, mode=MODES[padding_mode]), w, b, **arguments)

    return linear if op.linear else padded if op.padded else function


def _exact(function: Function, does: str) -> Function:
    """It, for dtypes that the result has too."""

    @wraps(function)
    def called(x: Any, *tensors: Any, **arguments: Any) -> Any:
        from tinygrad import dtypes

        if x.dtype not in [getattr(dtypes, name) for name in DTYPES]:
            raise NotImplementedError(f"the tinygrad adapter does no {does} of {x.dtype}")
        return function(x, *tensors, **arguments)

    return called


def _tensor(array: Any) -> Any:
    from tinygrad import Tensor, dtypes

    array = np.array(array, order="C")  # a tensor may share its memory and be computed later
    if array.dtype.name == "bfloat16":
        return Tensor(array.view(np.uint16)).bitcast(dtypes.bfloat16)
    return Tensor(array)


def _array(tensor: Any) -> Any:
    from tinygrad import dtypes

    if tensor.dtype == dtypes.bfloat16:
        return tensor.bitcast(dtypes.uint16).numpy().view(numpy_dtype("bfloat16"))
    return tensor.numpy()
