"""Sizes, counts and receptive fields as expressions that can be solved."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import sympy

from toeplitz import arguments

Count: TypeAlias = int | sympy.Expr
Counts: TypeAlias = Count | Sequence[Count]
Sides: TypeAlias = Count | Sequence[Count | Sequence[Count]]

EITHER = "an integer or a sequence of integers"

N, K, S, D, C, O, L = sympy.symbols("N K S D C O L", integer=True, positive=True)
P = sympy.Symbol("P", integer=True)  # negative padding crops
P_out = sympy.Symbol("P_out", integer=True, nonnegative=True)


def output_size(
    size: Count = N,
    kernel: Count = K,
    stride: Count = S,
    padding: Sides = P,
    dilation: Count = D,
) -> sympy.Expr:
    """Outputs along one axis: floor((N + 2 P - D (K - 1) - 1) / S) + 1.

    padding: on each side, or (before, after). The convention of a total padding p, half of it
    in front, is `padding=(p // 2, p - p // 2)`.

    Errors: TypeError, ValueError for what is not an integer, is too small or is a kernel wider
    than the padded input, as far as the symbols let it be known.
    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.

    >>> output_size(7, 3, stride=2, padding=0, dilation=1)
    3
    >>> output_size(stride=1, padding=0, dilation=1)
    -K + N + 1
    >>> output_size(224, 11, S, 2, 1)
    floor(217/S) + 1
    """
    size = _integer("size", size, 1)
    kernel = _integer("kernel", kernel, 1)
    stride = _integer("stride", stride, 1)
    dilation = _integer("dilation", dilation, 1)
    before, after = _sides(padding)
    extent = dilation * (kernel - 1) + 1
    if (size + before + after - extent).is_negative:
        raise ValueError(
            f"the kernel is wider than the padded input: dilation * (kernel - 1) + 1 = "
            f"{_times(dilation, kernel - 1)} + 1 = {extent} > {size} + {before} + {after} = "
            f"{size + before + after}; pad more or take a smaller kernel"
        )
    return sympy.floor((size + before + after - extent) / stride) + 1


def transposed_output_size(
    size: Count = N,
    kernel: Count = K,
    stride: Count = S,
    padding: Sides = P,
    output_padding: Count = P_out,
    dilation: Count = D,
) -> sympy.Expr:
    """Outputs of a transposed convolution: (N - 1) S - 2 P + D (K - 1) + P_out + 1.

    It is the input size from which a convolution makes `size` outputs; there are S of them,
    and output_padding, from 0 to S - 1, says which. padding: on each side, or (before, after).

    Errors: TypeError, ValueError for what is not an integer, is too small, an output_padding not
    below max(stride, dilation) or no output left, as far as the symbols let it be known.
    Source: Dumoulin and Visin, relationship 14; PyTorch, ConvTranspose2d.

    >>> transposed_output_size()
    D*(K - 1) - 2*P + P_out + S*(N - 1) + 1
    >>> output_size(transposed_output_size(stride=2, output_padding=1), stride=2)
    N
    """
    size = _integer("size", size, 1)
    kernel = _integer("kernel", kernel, 1)
    stride = _integer("stride", stride, 1)
    dilation = _integer("dilation", dilation, 1)
    output_padding = _integer("output_padding", output_padding, 0)
    before, after = _sides(padding)
    widest = sympy.Max(stride, dilation)
    if (output_padding - widest).is_nonnegative:
        raise ValueError(
            f"output_padding must be smaller than max(stride, dilation): "
            f"{output_padding} >= max({stride}, {dilation}) = {widest}"
        )
    outputs = (size - 1) * stride - before - after + dilation * (kernel - 1) + 1 + output_padding
    if outputs.is_nonpositive:
        raise ValueError(
            f"the output is empty: (size - 1) * stride - padding + dilation * (kernel - 1) + 1 + "
            f"output_padding = {_times(size - 1, stride)} - ({before} + {after}) + "
            f"{_times(dilation, kernel - 1)} + 1 + {output_padding} = {outputs}; pad less"
        )
    return outputs


def receptive_field(
    layers: Count | None = None,
    kernel: Counts = K,
    stride: Counts = S,
    dilation: Counts = D,
) -> sympy.Expr:
    """Inputs that one output sees along an axis: 1 + sum over l of (K_l - 1) D_l prod_{m<l} S_m.

    kernel, stride, dilation: one for all layers, or a sequence with one for each. layers: their
    number; left out, the length of the sequences, or L without any.

    Errors: TypeError, ValueError for what is not an integer, is too small or differs in length.
    Source: Araujo, Norris and Sim, Computing receptive fields of convolutional neural networks,
    Distill, 2019.

    >>> receptive_field(stride=1, dilation=1)
    L*(K - 1) + 1
    >>> receptive_field(kernel=(7, 3, 3), stride=(2, 2, 1), dilation=1)
    19
    """
    given = {"kernel": kernel, "stride": stride, "dilation": dilation}
    count = _count("layers", layers, given, L)
    if isinstance(count, sympy.Expr):
        for name, value in given.items():
            if arguments.several(value):
                entries = arguments.sequence(name, value, EITHER)
                raise ValueError(
                    f"layers must be the number of entries where {name} is a sequence: "
                    f"{len(entries)}, got {count}"
                )
        reach = _integer("dilation", dilation, 1) * (_integer("kernel", kernel, 1) - 1)
        layer = sympy.Dummy("l", integer=True)
        jumps = sympy.summation(_integer("stride", stride, 1) ** layer, (layer, 0, count - 1))
        return 1 + reach * jumps
    kernels, strides, dilations = (_each(name, given[name], count, "layer") for name in given)
    field, jump = sympy.Integer(1), sympy.Integer(1)
    for width, step, spread in zip(kernels, strides, dilations, strict=True):
        field += (width - 1) * spread * jump
        jump *= step
    return field


def parameters(
    in_channels: Count = C,
    out_channels: Count = O,
    kernel: Counts = K,
    groups: Count = 1,
    bias: bool = True,
    ndim: int | None = None,
) -> sympy.Expr:
    """Weights and biases of a layer: O (C / groups * prod(K) + 1).

    kernel: one for all spatial axes, or a sequence with one for each. ndim: the number of
    spatial axes; left out, the length of the sequence, or 2 without one. bias: count them.

    Errors: TypeError, ValueError for what is not an integer, is too small or does not divide.

    >>> parameters()
    O*(C*K**2 + 1)
    >>> parameters(3, 10, (5, 5))
    760
    """
    if not isinstance(bias, bool):
        raise TypeError(f"bias must be True or False, got {bias!r}")
    width, outputs = _channels(in_channels, out_channels, groups)
    axes = _axes(ndim, {"kernel": kernel})
    taps = sympy.prod(_each("kernel", kernel, axes, "spatial axis"))
    return outputs * (width * taps + int(bias))


def macs(
    in_channels: Count = C,
    out_channels: Count = O,
    size: Counts = N,
    kernel: Counts = K,
    stride: Counts = S,
    padding: Sides = P,
    dilation: Counts = D,
    groups: Count = 1,
    ndim: int | None = None,
) -> sympy.Expr:
    """Multiply-adds over one item, padded zeros counted: O prod(outputs) C / groups * prod(K).

    outputs are the `output_size` of each axis. size, kernel, stride, dilation: one for all
    spatial axes, or a sequence with one for each; padding also (before, after) pairs. ndim: the
    number of spatial axes; left out, the length of the sequences, or 2 without any.

    Errors: those of `output_size` and `parameters`.

    >>> macs(3, 10, 32, 5, stride=1, padding=2, dilation=1)
    768000
    >>> macs(size=N, kernel=3, stride=1, padding=1, dilation=1)
    9*C*N**2*O
    """
    width, outputs = _channels(in_channels, out_channels, groups)
    given = {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}
    axes = _axes(ndim, given | {"padding": padding})
    columns = [_each(name, given[name], axes, "spatial axis") for name in given]
    sides = _entries("padding", padding, axes, "spatial axis")
    total = outputs * width
    for extent, taps, step, spread, side in zip(*columns, sides, strict=True):
        total *= taps * output_size(extent, taps, step, side, spread)
    return total


def _times(first: sympy.Expr, second: sympy.Expr) -> str:
    """A product as it is written, not worked out: 2 * (K - 1)."""
    return " * ".join(f"({f})" if f.is_Add else str(f) for f in (first, second))


def _integer(name: str, value: Any, minimum: int | None = None) -> sympy.Expr:
    """The integer, or the expression that may be one, as sympy's."""
    if not isinstance(value, sympy.Expr):
        return sympy.Integer(arguments.integer(name, value, minimum))
    if value.is_integer is False or (value.is_number and not value.is_integer):
        raise TypeError(f"{name} must be an integer, got {value}")
    if minimum is not None and (value - minimum).is_negative:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return value


def _sides(padding: Any) -> tuple[sympy.Expr, sympy.Expr]:
    """Padding before and after an axis."""
    if not arguments.several(padding):
        side = _integer("padding", padding)
        return side, side
    sides = arguments.sequence("padding", padding, "an integer or the pair (before, after)")
    if len(sides) != 2:
        raise ValueError(f"padding must give (before, after) for an axis, got {padding!r}")
    return _integer("padding", sides[0]), _integer("padding", sides[1])


def _count(name: str, count: Any, given: dict[str, Any], default: Count) -> Count:
    """How many layers or axes: what is said, or the length of a sequence, or the default."""
    if count is None:
        lengths = [len(value) for value in given.values() if arguments.several(value)]
        return lengths[0] if lengths else default
    said = _integer(name, count, 0)
    return int(said) if said.is_Integer else said


def _axes(ndim: int | None, given: dict[str, Any]) -> int:
    return arguments.integer("ndim", _count("ndim", None, given, 2) if ndim is None else ndim, 1)


def _entries(name: str, value: Any, count: int, of: str) -> tuple[Any, ...]:
    """One entry for each layer or axis, from one or a sequence of them."""
    if not arguments.several(value):
        return (value,) * count
    entries = arguments.sequence(name, value, EITHER)
    if len(entries) != count:
        raise ValueError(
            f"{name} must have one entry per {of}: got {len(entries)} in {entries} for {count}"
        )
    return entries


def _each(name: str, value: Any, count: int, of: str) -> list[sympy.Expr]:
    return [_integer(name, entry, 1) for entry in _entries(name, value, count, of)]


def _channels(
    in_channels: Count, out_channels: Count, groups: Count
) -> tuple[sympy.Expr, sympy.Expr]:
    """Input channels of a group, and output channels."""
    inputs = _integer("in_channels", in_channels, 0)
    outputs = _integer("out_channels", out_channels, 1)
    parts = _integer("groups", groups, 1)
    for channels, which in ((inputs, "input"), (outputs, "output")):
        if parts.is_Integer and channels.is_Integer:
            arguments.divides(int(parts), int(channels), which)
    return inputs / parts, outputs
