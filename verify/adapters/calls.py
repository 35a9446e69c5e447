"""What the adapters share: calls with a value for each axis, and gradients of numpy arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import numpy as np

from verify.adapters import Function, each_axis, pairs, same
from verify.ops import Op
from verify.suspect import taken_by

NAMES = ("valid", "same", "same_upper", "same_lower")


@dataclass(frozen=True)
class Call:
    """The arguments of a layer, each with one value for each axis.

    padding: (before, after) for each axis, or one of NAMES, of which "same" is "same_upper" here.
    """

    op: Op
    stride: tuple[int, ...]
    padding: str | tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    groups: int

    def extents(self, w: Any) -> tuple[int, ...]:
        """How far the kernel of w reaches along each axis."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, w.shape[2:], strict=True))

    def sides(self, x: Any, w: Any) -> tuple[tuple[int, int], ...]:
        """The padding in numbers, for x and w with channels first."""
        if not isinstance(self.padding, str):
            return self.padding
        if self.padding == "valid":
            return ((0, 0),) * self.op.ndim
        axes = zip(self.extents(w), x.shape[2:], self.stride, strict=True)
        return tuple(same(self.padding, *axis) for axis in axes)


def layer(op: Op, run: Function, library: str) -> Function:
    """A function of the op's arguments; run gets x, w, b or None and the Call.

    The library pads with zeros only. What it is not given, and so cannot refuse, is refused here.
    """

    def call(
        x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int,
        output_padding: Any = 0,
    ) -> Any:  # fmt: skip
        if x.ndim != op.ndim + 2 or w.ndim != op.ndim + 2:
            raise ValueError(f"x and w must have {op.ndim + 2} axes: got {x.ndim} and {w.ndim}")
        if groups < 1:
            raise ValueError(f"groups must be 1 or more: got {groups}")
        channels = len(w) if op.transposed else w.shape[1] * groups
        if x.shape[1] != channels:
            raise ValueError(f"x has {x.shape[1]} channels, w is for {channels}")
        _check_bias(b, outputs(op, w, groups))
        strides = each_axis(stride, op.ndim)
        sides = _padding(op, padding, strides)
        steps, extra = each_axis(dilation, op.ndim), each_axis(output_padding, op.ndim)
        return run(x, w, b, Call(op, strides, sides, steps, extra, groups))

    def plain(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Any:  # fmt: skip
        return call(x, w, b, stride, padding, dilation, groups)

    def padded(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1, padding_mode: str = "zeros",
    ) -> Any:  # fmt: skip
        if padding_mode != "zeros":
            raise NotImplementedError(f"{library} has no padding_mode {padding_mode!r}")
        return call(x, w, b, stride, padding, dilation, groups)

    def transposed(
        x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
        groups: int = 1, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        return call(x, w, b, stride, padding, dilation, groups, output_padding)

    return transposed if op.transposed else padded if op.padded else plain


def linear(product: Function) -> Function:
    """A linear layer; product gets x and w and returns x wᵀ."""

    def multiplied(x: Any, w: Any, b: Any = None) -> Any:
        _check_bias(b, len(w))
        y = product(x, w)
        return y if b is None else y + b

    return multiplied


def outputs(op: Op, w: Any, groups: int = 1) -> int:
    """The number of output channels of weights."""
    return int(w.shape[1] * groups if op.transposed else w.shape[0])


@dataclass(frozen=True)
class Arrays:
    """The arrays of a library.

    kind: their type. tensor, array: from numpy and to numpy. pull_back: gets a function of
    tensors, the tensors and the gradient of what it returns, and returns the gradients of the
    tensors; None where the library has no gradients. refusals: exceptions that the library raises,
    and what their text has in it where they say that something is not done.
    """

    name: str
    kind: type
    tensor: Function
    array: Function
    pull_back: Callable[[Function, Sequence[Any], Any], Sequence[Any]] | None
    refusals: tuple[tuple[type[Exception], str], ...] = ()

    def numpy(self, value: Any) -> Any:
        """Tensors as numpy arrays, also those in a tuple; whatever else as it is."""
        if type(value) in (tuple, list):
            return type(value)(self.numpy(part) for part in value)
        return self.array(value) if isinstance(value, self.kind) else value


def supported(arrays: Arrays, does: Callable[[], Any]) -> Any:
    """What a call gives; NotImplementedError where the library says that it does not do it."""
    try:
        return does()
    except Exception as error:
        if any(isinstance(error, kind) and text in str(error) for kind, text in arrays.refusals):
            raise NotImplementedError(str(error)) from error
        raise


def passes(
    function: Function, op: Op, arrays: Arrays, bias: bool = True
) -> tuple[Function, Function | None]:
    """The passes on numpy arrays of a forward pass on a library's arrays.

    bias: whether the library is asked for the gradient of the bias. Where the bias is only added
    here, because the library's function has none, that gradient would say nothing of it.
    """
    taken = taken_by(function)
    takes_bias = bias and (taken is None or not taken.isdisjoint(("b", "bias")))

    @wraps(function)
    def forward(*given: Any, **arguments: Any) -> Any:
        tensors = [arrays.tensor(array) for array in given]
        return arrays.numpy(supported(arrays, lambda: function(*tensors, **arguments)))

    @wraps(function)
    def backward(g: Any, x: Any, w: Any, **arguments: Any) -> Any:
        assert arrays.pull_back is not None
        if x.dtype.kind in "iu":
            raise NotImplementedError(f"{arrays.name} has no gradients of {x.dtype}")
        given = [x, w]
        if takes_bias:
            given.append(np.zeros(outputs(op, w, arguments.get("groups", 1)), x.dtype))
        leaves, gradient = [arrays.tensor(array) for array in given], arrays.tensor(g)

        def call(*tensors: Any) -> Any:
            return function(*tensors, **arguments)

        pull_back = arrays.pull_back
        found = supported(arrays, lambda: pull_back(call, leaves, gradient))
        gradients: tuple[Any, ...] = arrays.numpy(tuple(found))
        if not takes_bias:
            axes = tuple(axis for axis in range(g.ndim) if axis != 1)
            gradients += (g.astype(np.result_type(g, float)).sum(axes).astype(g.dtype),)
        return gradients

    return forward, None if arrays.pull_back is None else backward


def _padding(op: Op, padding: Any, strides: tuple[int, ...]) -> str | tuple[tuple[int, int], ...]:
    if isinstance(padding, str):
        if not op.padded or padding not in NAMES or (padding == "same" and max(strides) > 1):
            raise ValueError(f"padding {padding!r} is none, or not with strides {strides}")
        return "same_upper" if padding == "same" else padding
    sides = pairs(padding, op.ndim)
    if not op.padded and min(map(min, sides)) < 0:
        raise ValueError(f"padding must not be negative: got {padding}")
    return sides


def _check_bias(b: Any, length: int) -> None:
    if b is not None and tuple(b.shape) != (length,):
        raise ValueError(f"b must have shape ({length},): got {tuple(b.shape)}")
