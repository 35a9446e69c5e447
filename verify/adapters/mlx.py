"""MLX: functions of its arrays, channels last; the backward pass by its vjp.

mlx is imported when a target is loaded, for this module can be read without it.
"""

from functools import wraps
from typing import Any

import numpy as np

from verify.adapters import Function, each_axis, layers, mlx_layers, sides
from verify.adapters.calls import Arrays
from verify.data import numpy_dtype
from verify.ops import Op

UNSUPPORTED = "unsupported data type"  # in what mlx says of it
GENERAL = "conv_general"  # of any number of axes, and the one with padding in pairs


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """A function of MLX's arrays as one of numpy's, and its backward pass.

    It is called as f(x, w, **arguments), x (N, *sizes, C) and w (O, *kernel, C / groups) also for
    transposed convolutions, as mlx.core's own are; the bias is added to what it returns.
    """
    import mlx.core as mx

    if not op.weighted:
        return layers.passes(mlx_layers.own(function, op) or function, op, library())
    known = {name: getattr(mx, name) for name in (*_names(), GENERAL)}
    name = next((n for n in known if function is known[n]), None)
    fitting = name == _name(op) or (name == GENERAL and not op.transposed)
    if name is not None and (op.linear or not fitting):
        raise ValueError(f"mlx's {name} does not do {op.name}: take {_fitting(op)}")
    last = (0, *range(2, op.ndim + 2), 1)
    first = (0, op.ndim + 1, *range(1, op.ndim + 1))

    def layer(x: Any, w: Any, b: Any, groups: int, arguments: dict[str, Any]) -> Any:
        if op.linear:
            y = function(x, w, **arguments)
            return y if b is None else y + b
        if op.transposed:  # (C, O / groups, *K) as (O, *K, C / groups)
            inside = (groups, -1, *w.shape[1:])
            w = mx.swapaxes(w.reshape(inside), 1, 2).reshape(-1, w.shape[0] // groups, *w.shape[2:])
        y = function(mx.transpose(x, last), mx.transpose(w, last), **arguments)
        return mx.transpose(y if b is None else y + b, first)

    def called(arrays: list[Any], arguments: dict[str, Any]) -> Any:
        x, w, *rest = arrays
        groups = arguments.get("groups", 1)
        if op.transposed and (groups < 1 or w.shape[0] % groups):
            raise ValueError(f"groups must divide the weights: {w.shape[0]} % {groups}")
        if name is not None:
            arguments = _arguments(name, op, x, w, arguments)
        b = rest[0] if rest else None
        return layer(x, w, b, groups, arguments)

    @wraps(function)
    def forward(x: Any, w: Any, b: Any = None, **arguments: Any) -> Any:
        _check(mx, x)
        arrays = [_array(a) for a in (x, w, b) if a is not None]
        return _supported(lambda: _numpy(called(arrays, arguments)))

    @wraps(function)
    def backward(g: Any, x: Any, w: Any, **arguments: Any) -> Any:
        _check(mx, x)
        outputs = w.shape[1] * arguments.get("groups", 1) if op.transposed else w.shape[0]
        primals = [_array(a) for a in (x, w, np.zeros(outputs, x.dtype))]

        def gradients() -> tuple[Any, ...]:
            _, grads = mx.vjp(lambda *a: called(list(a), arguments), primals, [_array(g)])
            return tuple(_numpy(grad) for grad in grads)

        return _supported(gradients)

    return forward, backward


def library() -> Arrays:
    """The arrays of MLX, for layers without weights."""
    import mlx.core as mx

    def pull_back(call: Function, leaves: Any, g: Any) -> Any:
        _, found = mx.vjp(lambda *given: call(*given), list(leaves), [g])
        mx.eval(found)
        return found

    return Arrays("mlx", mx.array, _array, _numpy, pull_back, ((ValueError, UNSUPPORTED),))


def _names() -> list[str]:
    return [f"conv{kind}{axes}d" for kind in ("", "_transpose") for axes in (1, 2, 3)]


def _name(op: Op) -> str:
    return op.name.removeprefix("padded_").removeprefix("depthwise_")


def _fitting(op: Op) -> str:
    if op.linear:
        return "a convolution"
    return _name(op) if op.transposed else f"{_name(op)} or {GENERAL}"


def _arguments(name: str, op: Op, x: Any, w: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of one of mlx.core's functions."""
    found = dict(arguments)
    mode = found.pop("padding_mode", "zeros")
    if mode != "zeros":
        raise NotImplementedError(f"mlx has no padding_mode {mode!r}")
    one_group = op.ndim == 3 or (op.ndim == 2 and op.transposed)
    if one_group and found.get("groups", 1) > 1:
        raise NotImplementedError(f"mlx documents groups=1 only for {_name(op)}")
    if op.padded:
        steps = {n: found.get(n, 1) for n in ("stride", "dilation")}
        around = sides(found.pop("padding", 0), x, w, **steps)
        if name == GENERAL:
            found["padding"] = tuple(list(side) for side in zip(*around, strict=True))
        elif any(before != after for before, after in around):
            raise NotImplementedError(f"mlx's {name} pads both sides alike: take {GENERAL}")
        else:
            found["padding"] = tuple(before for before, _ in around)
    if name == GENERAL and "dilation" in found:
        found["kernel_dilation"] = found.pop("dilation")
    for key in set(found) - {"groups"}:
        if op.ndim == 1 and name != GENERAL:
            (found[key],) = each_axis(found[key], 1)
        elif isinstance(found[key], tuple) and not isinstance(found[key][0], list):
            found[key] = list(found[key]) if name == GENERAL else found[key]
    return found


def _check(mx: Any, x: Any) -> None:
    if x.dtype.name not in ("float16", "bfloat16", "float32", "float64"):
        raise NotImplementedError(f"mlx has no convolution of {x.dtype.name}")
    if x.dtype.name == "float64" and mx.default_device() != mx.Device(mx.cpu):
        raise NotImplementedError("mlx does float64 on the CPU only")


def _supported(call: Function) -> Any:
    """Call it, and say in Python's way what mlx says that it has no code for."""
    try:
        return call()  # and computes, for mlx does so when the values are asked for
    except ValueError as error:
        if UNSUPPORTED in str(error):
            raise NotImplementedError(str(error)) from error
        raise


def _array(array: Any) -> Any:
    import mlx.core as mx

    array = np.ascontiguousarray(array)
    if array.dtype.name == "bfloat16":
        return mx.array(array.view(np.uint16)).view(mx.bfloat16)
    return mx.array(array, dtype=getattr(mx, array.dtype.name))


def _numpy(value: Any) -> Any:
    """MLX's arrays as numpy's, also those in a tuple; whatever else as it is."""
    import mlx.core as mx

    if type(value) in (tuple, list):
        return type(value)(_numpy(part) for part in value)
    if not isinstance(value, mx.array):
        return value
    if value.dtype == mx.bfloat16:
        return np.array(value.view(mx.uint16)).view(numpy_dtype("bfloat16"))
    return np.array(value)
