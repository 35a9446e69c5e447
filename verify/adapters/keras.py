"""Keras 3: keras.ops.conv, conv_transpose and depthwise_conv; the backward pass by its back end.

keras is imported when a target is loaded, for this module can be read without it, with the back
end that KERAS_BACKEND or its file of settings says. That of numpy has no gradients. Padding is
documented by name only, and on which side of "same" an odd place goes is not.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from verify.adapters import Function, keras_layers, layers, same
from verify.adapters import torch as torch_adapter
from verify.adapters.calls import Arrays, Call, layer, linear, passes
from verify.adapters.jax import library as jax_library
from verify.adapters.tensorflow import library as tensorflow_library
from verify.ops import Op

CONVOLUTIONS = ("conv", "conv_transpose", "depthwise_conv")
PRODUCTS = ("matmul", "dot")


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """A function of Keras's tensors as one of arrays, and its backward pass.

    Keras's own are called by their own arguments, all others as f(x, w, b, stride=…).
    """
    arrays = library()
    if not op.weighted:
        return layers.passes(keras_layers.own(function, op) or function, op, arrays)
    own = _own(function, op)
    return passes(own or function, op, arrays, bias=own is None)


def library() -> Arrays:
    """The arrays of the back end."""
    import keras

    backends: dict[str, Callable[[], Arrays]] = {
        "jax": jax_library,
        "tensorflow": tensorflow_library,
        "torch": torch_adapter.library,
        "numpy": lambda: Arrays("numpy", np.ndarray, np.asarray, np.asarray, None),
    }
    name = keras.config.backend()
    if name not in backends:
        raise ValueError(f"the keras adapter has {', '.join(backends)}: KERAS_BACKEND is {name}")
    return backends[name]()


def _own(function: Any, op: Op) -> Function | None:
    """One of Keras's own functions as a layer; None for another."""
    import keras

    names = (*CONVOLUTIONS, *PRODUCTS)
    name = next((n for n in names if function is getattr(keras.ops, n)), None)
    if name is None:
        return None
    fits = {
        "conv": not op.transposed and not op.linear,
        "conv_transpose": op.transposed,
        "depthwise_conv": op.depthwise and op.ndim < 3,
    }
    if not fits.get(name, op.linear):
        raise ValueError(f"keras.ops.{name} does not do {op.name}")
    if op.linear:
        return linear(lambda x, w: function(x, keras.ops.transpose(w)))

    def run(x: Any, w: Any, b: Any, call: Call) -> Any:
        last, spatial = (0, *range(2, op.ndim + 2), 1), tuple(range(2, op.ndim + 2))
        given: dict[str, Any] = {"strides": call.stride, "dilation_rate": call.dilation}
        if name == "conv_transpose":
            if call.groups > 1:
                raise NotImplementedError("keras.ops.conv_transpose has no groups")
            given["padding"], given["output_padding"] = _around(w, call)
        else:
            given["padding"] = _padding(x, w, call)
        if name == "depthwise_conv":
            w = keras.ops.reshape(w, (x.shape[1], -1, *w.shape[2:]))
            w = keras.ops.transpose(w, (*spatial, 0, 1))
        else:
            w = keras.ops.transpose(w, (*spatial, 1, 0))
        y = function(keras.ops.transpose(x, last), w, data_format="channels_last", **given)
        y = y if b is None else keras.ops.add(y, b)
        return keras.ops.transpose(y, (0, op.ndim + 1, *range(1, op.ndim + 1)))

    return layer(op, run, f"keras.ops.{name}")


def _padding(x: Any, w: Any, call: Call) -> str:
    sides = call.sides(x, w)
    if all(pair == (0, 0) for pair in sides):
        return "valid"
    if sides == _evenly(x, w, call):
        return "same"
    raise NotImplementedError("keras.ops pads by valid, or by same as much on both sides")


def _evenly(x: Any, w: Any, call: Call) -> Any:
    """The padding of "same", where it is as much on both sides; else None."""
    axes = zip(call.extents(w), x.shape[2:], call.stride, strict=True)
    sides = tuple(same("same_upper", *axis) for axis in axes)
    return sides if all(before == after for before, after in sides) else None


def _around(w: Any, call: Call) -> tuple[str, tuple[int, ...] | None]:
    """The padding and output padding of a transposed convolution in Keras's words."""
    extents, extra = call.extents(w), call.output_padding
    cut = tuple(before for before, _ in call.sides(None, w))
    axes = list(zip(extents, call.stride, cut, extra, strict=True))
    if any(add >= s for _, s, _, add in axes if add):
        raise NotImplementedError("Keras wants output_padding smaller than the stride")
    if not any(cut):
        inferred = all(add == max(0, s - n) for n, s, _, add in axes)
        return "valid", None if inferred else extra
    if not any(extra) and all(n - s == 2 * p for n, s, p, _ in axes):
        return "same", None
    if not any(extra) and all(n == 2 * p + 1 for n, _, p, _ in axes):
        return "same", extra
    raise NotImplementedError("keras.ops.conv_transpose pads by valid, or by same on both sides")
