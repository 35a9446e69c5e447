"""Adapters: how functions of other libraries' arrays become functions of numpy arrays.

An adapter is a function. It gets what the target names and the op, and returns the forward pass,
which takes and returns numpy arrays, and the backward pass or None. What its library documents as
not done it refuses with NotImplementedError, which is counted and is no mistake; an argument that
the forward pass does not name is never given. This one is for functions that keep channels last,
with weights (*K, C, O):

>>> import numpy as np
>>> def channels_last(function, op):
...     def forward(x, w, b=None, stride=1):
...         if op.transposed or op.ndim != 2:
...             raise NotImplementedError("convolution on two axes only")
...         y = function(np.moveaxis(x, 1, -1), np.moveaxis(w, (0, 1), (-1, -2)), stride)
...         y = np.moveaxis(y, -1, 1)
...         return y if b is None else y + b[:, None, None]
...     return forward, None

`toeplitz verify my:conv --adapter my:channels_last` uses it, and so do `verify.targets.load` and
`verify.isolation.Isolated`:

>>> from verify.ops import OPS
>>> def pointwise(x, w, stride):
...     return x[:, ::stride, ::stride] @ w[0, 0]
>>> forward, backward = channels_last(pointwise, OPS["conv2d"])
>>> forward(np.ones((1, 3, 4, 4)), np.ones((5, 3, 1, 1)), stride=2).shape
(1, 5, 2, 2)

Some libraries are known by the first part of a target's module: LIBRARIES. Their adapters and the
libraries are imported only when a target names them.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from verify.ops import Op

Function: TypeAlias = Callable[..., Any]
Adapter: TypeAlias = Callable[[Any, Op], tuple[Function, Function | None]]


@dataclass(frozen=True)
class Library:
    """A library with an adapter of ours.

    module: where its adapter is, as `adapt`. extra: ours that installs it; scipy is always there.
    by_name: whether the adapter gets the target's name, because the library has no such function.
    unweighted: whether it does ops without weights too, as far as the library has them: pools,
    batch norms, unfold, fold, pad.
    """

    module: str
    extra: str = ""
    by_name: bool = False
    unweighted: bool = False


LIBRARIES = {
    "torch": Library("verify.adapters.torch", "torch", unweighted=True),
    "onnxruntime": Library("verify.adapters.onnxruntime", "onnx", by_name=True, unweighted=True),
    "scipy.signal": Library("verify.adapters.scipy"),
    "jax": Library("verify.adapters.jax", "jax", unweighted=True),
    "tensorflow": Library("verify.adapters.tensorflow", "tensorflow", unweighted=True),
    "keras": Library("verify.adapters.keras", "keras", unweighted=True),
    "onnx.reference": Library("verify.adapters.onnx", "onnx", by_name=True, unweighted=True),
    "scipy.ndimage": Library("verify.adapters.ndimage"),
    "cupy": Library("verify.adapters.cupy", "gpu"),
    "cupyx": Library("verify.adapters.cupy", "gpu"),
    "cv2.dnn": Library("verify.adapters.cv2_dnn", "opencv", by_name=True, unweighted=True),
    "cv2": Library("verify.adapters.cv2", "opencv"),
    "mlx": Library("verify.adapters.mlx", "mlx", unweighted=True),
    "openvino": Library("verify.adapters.openvino", "openvino", by_name=True, unweighted=True),
    "paddle": Library("verify.adapters.paddle", "paddle", unweighted=True),
    "tinygrad": Library("verify.adapters.tinygrad", "tinygrad", unweighted=True),
}


def library(module: str) -> str | None:
    """The name in LIBRARIES that a module belongs to, or None."""
    return next((name for name in LIBRARIES if f"{module}.".startswith(f"{name}.")), None)


@cache
def adapter(name: str) -> Adapter:
    """The adapter of a library."""
    adapt: Adapter = importlib.import_module(LIBRARIES[name].module).adapt
    return adapt


def pairs(padding: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """Padding in numbers as (before, after) for each axis.

    >>> pairs(1, 2), pairs((1, 2), 2), pairs(((0, 1),), 1)
    (((1, 1), (1, 1)), ((1, 1), (2, 2)), ((0, 1),))
    """
    each = each_axis(padding, ndim)
    return tuple((p, p) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in each)


def sides(
    padding: Any, x: Any, w: Any, stride: Any = 1, dilation: Any = 1
) -> tuple[tuple[int, int], ...]:
    """Padding in numbers or by name as (before, after) for each axis of x (N, C, *sizes).

    >>> import numpy as np
    >>> sides("same_upper", np.ones((1, 1, 4, 5)), np.ones((1, 1, 2, 3)))
    ((0, 1), (1, 1))
    """
    ndim = x.ndim - 2
    if padding == "valid":
        padding = 0
    if not isinstance(padding, str):
        return pairs(padding, ndim)
    axes = zip(
        each_axis(dilation, ndim), w.shape[2:], x.shape[2:], each_axis(stride, ndim), strict=True
    )
    return tuple(same(padding, d * (k - 1) + 1, n, s) for d, k, n, s in axes)


def each_axis(value: Any, ndim: int) -> tuple[Any, ...]:
    """One value for each axis."""
    each = (value,) * ndim if isinstance(value, int) else tuple(value)
    if len(each) != ndim:
        raise ValueError(f"one value for each of {ndim} axes: got {value!r}")
    return each


def same(name: str, extent: int, size: int, stride: int) -> tuple[int, int]:
    """The padding of an axis that leaves ceil(size / stride) outputs.

    name: "same_lower" puts an odd one before, "same_upper" after, and "same" wants stride 1.

    >>> same("same_upper", 2, 4, 1), same("same_lower", 2, 4, 1), same("same_upper", 3, 4, 2)
    ((0, 1), (1, 0), (0, 1))
    """
    if name not in ("same_lower", "same_upper", "same") or (name == "same" and stride != 1):
        raise ValueError(f"padding must be a number or a name, and 'same' has stride 1: {name!r}")
    total = max(0, (-(-size // stride) - 1) * stride + extent - size)
    less, more = total // 2, total - total // 2
    return (more, less) if name == "same_lower" else (less, more)
