"""PyTorch: any function of tensors; the backward pass by autograd.

torch is imported when a target is loaded, for this module can be read without it.
"""

import warnings
from collections.abc import Sequence
from functools import wraps
from typing import Any

import numpy as np

from verify.adapters import Function, each_axis, layers, pairs, same
from verify.adapters.calls import Arrays, passes
from verify.data import numpy_dtype
from verify.ops import OPS, Op

# What torch calls each op: padded and depthwise convolutions are the same functions.
NAMES = {name: name.removeprefix("padded_").removeprefix("depthwise_") for name in OPS}
MODES = {
    "zeros": "constant",
    "circular": "circular",
    "reflect": "reflect",
    "replicate": "replicate",
}


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """A function of tensors as one of arrays, and its backward pass by autograd.

    Where the function is torch's own convolution, its padding is added to what it can do itself by
    torch.nn.functional.pad.
    """
    import torch

    own = {n: getattr(torch.nn.functional, n, None) for n in NAMES.values()}
    name = next((n for n in own if function is own[n]), None)
    if name is not None and name != NAMES[op.name]:
        raise ValueError(f"torch's {name} does not do {op.name}: take {NAMES[op.name]}")
    if not op.weighted:
        return layers.passes(_statistics_kept(function) if op.family == "norm" else function, op,
                             library())  # fmt: skip
    call = _padding_first(function) if name is not None and op.padded else function
    return passes(call, op, library())


def library() -> Arrays:
    """The arrays of torch."""
    import torch

    def pull_back(call: Function, leaves: Sequence[Any], g: Any) -> Any:
        leaves = [leaf.requires_grad_() for leaf in leaves]
        with torch.enable_grad():
            y = call(*leaves)
        return torch.autograd.grad(y, leaves, g, allow_unused=True, materialize_grads=True)

    # Older versions than 2.5 say so in the text only.
    refusals = ((RuntimeError, "not implemented for"),)
    return Arrays("torch", torch.Tensor, _tensor, _array, pull_back, refusals)


def _statistics_kept(function: Function) -> Function:
    """A batch norm that returns the running statistics which torch writes into its arguments."""

    @wraps(function)
    def kept(x: Any, running_mean: Any, running_var: Any, *rest: Any, **arguments: Any) -> Any:
        if running_mean is None:
            return function(x, None, None, *rest, **arguments)
        new = running_mean.clone(), running_var.clone()
        return function(x, *new, *rest, **arguments), *new

    return kept


def _padding_first(function: Function) -> Function:
    """The convolution with padding in pairs, by name and with a mode."""
    from torch.nn.functional import pad

    def padded(
        x: Any, w: Any, b: Any = None, *, padding: Any = 0, padding_mode: str = "zeros",
        **arguments: Any,
    ) -> Any:  # fmt: skip
        if padding_mode not in MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(MODES)}: got {padding_mode}")
        ndim, sizes = x.ndim - 2, x.shape[2:]
        if padding_mode == "zeros" and padding in ("same", "valid"):
            return function(x, w, b, padding=padding, **arguments)
        if padding == "valid":
            padding = 0
        if isinstance(padding, str):
            strides, dilations = (
                each_axis(arguments.get(name, 1), ndim) for name in ("stride", "dilation")
            )
            sides = tuple(
                same(padding, d * (k - 1) + 1, n, s)
                for d, k, n, s in zip(dilations, w.shape[2:], sizes, strides, strict=True)
            )
        else:
            sides = pairs(padding, ndim)
        if padding_mode == "zeros" and all(lo == hi >= 0 for lo, hi in sides):
            return function(x, w, b, padding=[lo for lo, _ in sides], **arguments)
        if padding_mode != "zeros" and any(min(pair) < 0 for pair in sides):
            raise NotImplementedError(f"torch does not crop with padding_mode {padding_mode!r}")
        if padding_mode == "circular" and any(
            max(pair) > n for pair, n in zip(sides, sizes, strict=True)
        ):
            raise NotImplementedError("torch does not wrap around more than once")
        if any(map(any, sides)):
            flat = [side for pair in reversed(sides) for side in pair]
            x = pad(x, flat, mode=MODES[padding_mode])
        return function(x, w, b, **arguments)

    return padded


def _tensor(array: Any) -> Any:
    """The array as a tensor, in the same memory except where its steps are negative."""
    import torch

    if any(step < 0 for step in array.strides):
        array = array.copy()  # torch has no negative steps
    half = array.dtype.name == "bfloat16"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a read-only array must not be written to
        tensor = torch.from_numpy(array.view(np.int16) if half else array)
    return tensor.view(torch.bfloat16) if half else tensor


def _array(tensor: Any) -> Any:
    """The tensor as an array."""
    import torch

    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(numpy_dtype("bfloat16"))
    return tensor.numpy()
