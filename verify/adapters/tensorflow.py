"""TensorFlow: any function of its tensors; the backward pass by tf.GradientTape.

tensorflow is imported when a target is loaded, for this module can be read without it. Its own
convolutions keep channels last, and get their padding by name wherever a name says it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.adapters import Function, layers, same, tensorflow_layers
from verify.adapters.calls import Arrays, Call, layer, linear, passes
from verify.ops import Op


@dataclass(frozen=True)
class Kind:
    """What one of the functions of tf.nn does.

    ndim: its spatial axes; None for any. pairs: whether it documents padding in numbers. whole:
    whether strides and dilations have a value for each axis of x, not only for the spatial ones.
    """

    ndim: int | None = None
    pairs: bool = False
    whole: bool = False
    transposed: bool = False
    depthwise: bool = False


KINDS = {
    "conv1d": Kind(1),
    "conv2d": Kind(2, pairs=True, whole=True),
    "conv3d": Kind(3, whole=True),
    "convolution": Kind(),
    "depthwise_conv2d": Kind(2, pairs=True, depthwise=True),
    "conv1d_transpose": Kind(1, transposed=True),
    "conv2d_transpose": Kind(2, pairs=True, transposed=True),
    "conv3d_transpose": Kind(3, transposed=True),
    "conv_transpose": Kind(transposed=True),
}


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """A function of tensors as one of arrays, and its backward pass.

    tensorflow's own are called by their own arguments, all others as f(x, w, b, stride=…).
    """
    arrays = library()
    if not op.weighted:
        return layers.passes(tensorflow_layers.own(function, op) or function, op, arrays)
    own = _own(function, op)
    return passes(own or function, op, arrays, bias=own is None)


def library() -> Arrays:
    """The arrays of tensorflow."""
    import tensorflow as tf

    def pull_back(call: Function, leaves: Sequence[Any], g: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            y = call(*leaves)
        zero = tf.UnconnectedGradients.ZERO
        found = tape.gradient(y, leaves, output_gradients=g, unconnected_gradients=zero)
        return [tf.convert_to_tensor(part) for part in found]

    wrong = tf.errors.InvalidArgumentError
    refusals = (
        (tf.errors.UnimplementedError, ""),
        (tf.errors.NotFoundError, "Could not find device for node"),  # no kernel for the dtype
        *((wrong, text) for text in ("not supported", "not yet support", "only supports")),
        (wrong, "is not in the list of allowed values"),  # no such dtype, as its documents say
        (ValueError, "not supported in conjunction"),
        (ValueError, "not supported due to"),
    )
    return Arrays("tensorflow", tf.Tensor, tf.constant, np.array, pull_back, refusals)


def _own(function: Any, op: Op) -> Function | None:
    """One of tensorflow's own functions as a layer; None for another."""
    import tensorflow as tf

    if function is tf.linalg.matmul:
        if not op.linear:
            raise ValueError(f"tensorflow's matmul does not do {op.name}: take linear")
        return linear(lambda x, w: function(x, w, transpose_b=True))
    name = next((n for n in KINDS if function is getattr(tf.nn, n)), None)
    if name is None:
        return None
    kind = KINDS[name]
    if (
        op.linear
        or kind.ndim not in (None, op.ndim)
        or kind.transposed != op.transposed
        or (kind.depthwise and not op.depthwise)
    ):
        raise ValueError(f"tf.nn.{name} does not do {op.name}")
    return layer(op, _channels_last(function, kind, name), f"tf.nn.{name}")


def _channels_last(function: Function, kind: Kind, name: str) -> Function:
    """The function with channels first."""
    import tensorflow as tf

    def run(x: Any, w: Any, b: Any, call: Call) -> Any:
        ndim = call.op.ndim
        last, spatial = (0, *range(2, ndim + 2), 1), tuple(range(2, ndim + 2))
        _check(call, kind, name)
        padding = _padding(x, w, call, kind, name)
        strides, dilations = call.stride, call.dilation
        if kind.whole:
            strides, dilations = (1, *strides, 1), (1, *dilations, 1)
        given: dict[str, Any] = {"padding": padding, "dilations": dilations}
        given["stride" if name == "conv1d" else "strides"] = strides
        if kind.depthwise:
            given["strides"] = (1, *strides, 1)
            w = tf.reshape(w, (x.shape[1], -1, *w.shape[2:]))
            y = function(tf.transpose(x, last), tf.transpose(w, (*spatial, 0, 1)), **given)
        elif kind.transposed:
            given["output_shape"] = (x.shape[0], *_sizes(x, w, call), w.shape[1])
            y = function(tf.transpose(x, last), tf.transpose(w, (*spatial, 1, 0)), **given)
        else:
            y = function(tf.transpose(x, last), tf.transpose(w, (*spatial, 1, 0)), **given)
        y = y if b is None else y + b
        return tf.transpose(y, (0, ndim + 1, *range(1, ndim + 1)))

    return run


def _check(call: Call, kind: Kind, name: str) -> None:
    """Refuse what is documented as not done, whatever comes of it."""
    extra = zip(call.output_padding, call.stride, strict=True)
    if (call.op.ndim == 3 or kind.transposed) and call.groups > 1:
        raise NotImplementedError(f"tf.nn.{name} has no groups")
    if kind.depthwise and max(call.stride) > 1 and max(call.dilation) > 1:
        raise NotImplementedError(f"tf.nn.{name} has no strides with dilation")
    if kind.transposed and any(add >= stride for add, stride in extra):
        raise NotImplementedError(f"tf.nn.{name} wants output_padding smaller than the stride")


def _padding(x: Any, w: Any, call: Call, kind: Kind, name: str) -> Any:
    sides = call.sides(x, w)
    if all(pair == (0, 0) for pair in sides):
        return "VALID"
    sizes = _sizes(x, w, call) if call.op.transposed else x.shape[2:]
    axes = zip(call.extents(w), sizes, call.stride, strict=True)
    if sides == tuple(same("same_upper", *axis) for axis in axes):
        return "SAME"
    if not kind.pairs:
        raise NotImplementedError(f"tf.nn.{name} pads by SAME or VALID")
    if min(map(min, sides)) < 0:
        raise NotImplementedError("TensorFlow allows no negative padding")
    return [[0, 0], *map(list, sides), [0, 0]]


def _sizes(x: Any, w: Any, call: Call) -> tuple[int, ...]:
    """The sizes of the result of a transposed convolution."""
    sides = call.sides(x, w)
    axes = zip(x.shape[2:], call.stride, call.extents(w), sides, call.output_padding, strict=True)
    return tuple((n - 1) * s + e - sum(pair) + extra for n, s, e, pair, extra in axes)
