"""JAX: any function of its arrays; the backward pass by jax.vjp.

jax is imported when a target is loaded, for this module can be read without it. Its 64-bit types
are switched on then, without which it would compute in 32 bits.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from verify.adapters import Function, jax_layers, layers
from verify.adapters.calls import Arrays, Call, layer, linear, passes
from verify.ops import Op

NAMED = {"valid": "VALID", "same_upper": "SAME", "same_lower": "SAME_LOWER"}
LINEAR = ("jax.numpy.dot", "jax.numpy.matmul", "jax.lax.dot")


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """A function of jax's arrays as one of numpy's, and its backward pass.

    jax's own are called by their own arguments, all others as f(x, w, b, stride=…).
    """
    arrays = library()
    if not op.weighted:
        return layers.passes(jax_layers.own(function, op) or function, op, arrays)
    own = _own(function, op)
    return passes(own or function, op, arrays, bias=own is None)


def library() -> Arrays:
    """The arrays of jax."""
    import jax

    jax.config.update("jax_enable_x64", True)

    def pull_back(call: Function, leaves: Sequence[Any], g: Any) -> Any:
        # Of complex arrays jax has the transpose, where ours and torch have its conjugate.
        _, transpose = jax.vjp(call, *leaves)
        return [part.conj() for part in transpose(g.conj())]

    refusals = ((jax.errors.JaxRuntimeError, "UNIMPLEMENTED"),)
    return Arrays("jax", jax.Array, jax.numpy.array, np.array, pull_back, refusals)


def _own(function: Any, op: Op) -> Function | None:
    """One of jax's own functions as a layer; None for another."""
    import jax

    if function in (jax.numpy.dot, jax.numpy.matmul, jax.lax.dot):
        name, fits = function.__name__, op.linear
    elif function is jax.lax.conv_general_dilated:
        name, fits = "conv_general_dilated", not op.linear
    elif function is jax.lax.conv_transpose:
        name, fits = "conv_transpose", op.transposed
    else:
        return None
    if not fits:
        raise ValueError(f"jax's {name} does not do {op.name}")
    if op.linear:
        return linear(lambda x, w: function(x, w.T))

    def run(x: Any, w: Any, b: Any, call: Call) -> Any:
        does = {(False, False): _conv, (False, True): _dilated, (True, True): _transposed}
        y = does[name == "conv_transpose", op.transposed](function, x, w, call)
        return y if b is None else y + b.reshape(-1, *(1,) * op.ndim)

    return layer(op, run, f"jax.lax.{name}")


def _conv(function: Function, x: Any, w: Any, call: Call) -> Any:
    padding = NAMED[call.padding] if isinstance(call.padding, str) else call.padding
    return function(
        x, w, call.stride, padding, rhs_dilation=call.dilation, feature_group_count=call.groups
    )


def _dilated(function: Function, x: Any, w: Any, call: Call) -> Any:
    """The transpose as a convolution: zeros between the inputs, and the kernel flipped."""
    w = w.reshape(call.groups, -1, *w.shape[1:]).swapaxes(1, 2)
    w = w.reshape(-1, *w.shape[2:])[(..., *[slice(None, None, -1)] * call.op.ndim)]
    return function(
        x, w, (1,) * call.op.ndim, _around(w, call), lhs_dilation=call.stride,
        rhs_dilation=call.dilation, feature_group_count=call.groups,
    )  # fmt: skip


def _transposed(function: Function, x: Any, w: Any, call: Call) -> Any:
    if call.groups > 1:
        raise NotImplementedError("jax.lax.conv_transpose has no groups")
    sides: Any = call.sides(x, w)
    valid = zip(call.extents(w), call.stride, sides, call.output_padding, strict=True)
    axes = "NC" + "DHW"[-call.op.ndim :], "OI" + "DHW"[-call.op.ndim :]
    if all(extra == max(0, s - extent) and pair == (0, 0) for extent, s, pair, extra in valid):
        sides = "VALID"
    else:
        sides = _around(w, call)
    return function(
        x, w, call.stride, sides, rhs_dilation=call.dilation,
        dimension_numbers=(axes[0], axes[1], axes[0]), transpose_kernel=True,
    )  # fmt: skip


def _around(w: Any, call: Call) -> tuple[tuple[int, int], ...]:
    """The padding around the inputs with zeros between them."""
    sides: Any = call.padding
    axes = zip(call.extents(w), sides, call.output_padding, strict=True)
    return tuple((n - 1 - before, n - 1 - after + extra) for n, (before, after), extra in axes)
