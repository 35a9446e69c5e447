"""Passes of layers without weights on a library's arrays: pools, moves and batch norms."""

from functools import wraps
from typing import Any

import numpy as np

from verify.adapters import Function
from verify.adapters.calls import Arrays, supported
from verify.ops import Op


def passes(function: Function, op: Op, arrays: Arrays) -> tuple[Function, Function | None]:
    """The passes on numpy arrays of a forward pass on a library's arrays, called as the op is."""

    @wraps(function)
    def forward(*given: Any, **arguments: Any) -> Any:
        tensors = [arrays.tensor(array) for array in given]
        return arrays.numpy(supported(arrays, lambda: function(*tensors, **arguments)))

    def pulled(call: Function, g: Any, *leaves: Any) -> Any:
        assert arrays.pull_back is not None
        if g.dtype.kind in "iu":
            raise NotImplementedError(f"{arrays.name} has no gradients of {g.dtype}")
        tensors, gradient = [arrays.tensor(leaf) for leaf in leaves], arrays.tensor(g)
        found = supported(arrays, lambda: arrays.pull_back(call, tensors, gradient))  # type: ignore[misc]  # it is there
        return arrays.numpy(tuple(found))

    def backward(g: Any, x: Any, **arguments: Any) -> Any:
        return pulled(lambda leaf: _first(function(leaf, **arguments)), g, x)[0]

    def backward_of_norm(g: Any, x: Any, weight: Any, eps: float = 1e-5) -> Any:
        def trained(x: Any, weight: Any, bias: Any) -> Any:
            return _first(function(x, None, None, weight, bias, training=True, eps=eps))

        return pulled(trained, g, x, weight, np.zeros_like(weight))

    if arrays.pull_back is None:
        return forward, None
    return forward, backward_of_norm if op.family == "norm" else backward


def _first(value: Any) -> Any:
    """y, where more comes with it."""
    return value[0] if isinstance(value, tuple | list) else value
