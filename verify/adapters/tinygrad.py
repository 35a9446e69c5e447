"""tinygrad: any function of its tensors; the backward pass by autograd.

tinygrad is imported when a target is loaded, for this module can be read without it.
"""

from functools import wraps
from typing import Any

import numpy as np

from verify.adapters import Function, sides, takes_bias
from verify.case import numpy_dtype
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
    from tinygrad import Tensor

    name = next((n for n in set(NAMES.values()) if function is getattr(Tensor, n)), None)
    if name is not None and name != NAMES[op.name]:
        raise ValueError(f"tinygrad's {name} does not do {op.name}: take Tensor.{NAMES[op.name]}")
    call = _own(function, op) if name is not None else function

    @wraps(call)
    def forward(*arrays: Any, **arguments: Any) -> Any:
        _check(arrays[0])
        return _numpy(call(*(_tensor(array) for array in arrays), **arguments))

    @wraps(call)
    def backward(g: Any, x: Any, w: Any, **arguments: Any) -> Any:
        _check(x)
        outputs = w.shape[1] * arguments.get("groups", 1) if op.transposed else w.shape[0]
        leaves = [_tensor(a) for a in (x, w, np.zeros(outputs, x.dtype))]
        if takes_bias(call):
            y = call(*leaves, **arguments)
        else:
            y = call(*leaves[:2], **arguments)
            y = y + leaves[2].reshape([1, -1, *[1] * op.ndim])
        return tuple(map(_numpy, y.gradient(*leaves, gradient=_tensor(g))))

    return forward, backward


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


def _check(x: Any) -> None:
    if x.dtype.name not in DTYPES:
        raise NotImplementedError(f"the tinygrad adapter does no convolution of {x.dtype.name}")


def _tensor(array: Any) -> Any:
    from tinygrad import Tensor, dtypes

    array = np.array(array, order="C")  # a tensor may share its memory and be computed later
    if array.dtype.name == "bfloat16":
        return Tensor(array.view(np.uint16)).bitcast(dtypes.bfloat16)
    return Tensor(array)


def _numpy(value: Any) -> Any:
    """Tensors as arrays, also those in a tuple; whatever else as it is."""
    from tinygrad import Tensor, dtypes

    if type(value) in (tuple, list):
        return type(value)(_numpy(part) for part in value)
    if not isinstance(value, Tensor):
        return value
    if value.dtype == dtypes.bfloat16:
        return value.bitcast(dtypes.uint16).numpy().view(numpy_dtype("bfloat16"))
    return value.numpy()
