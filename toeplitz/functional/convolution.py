"""Convolutions, transposed convolutions, linear layers."""

from math import prod
from typing import Any

from toeplitz import arguments
from toeplitz.arguments import PerAxis
from toeplitz.arrays import Array, shaped
from toeplitz.conv import Conv
from toeplitz.conv_transpose import ConvTranspose
from toeplitz.functional.checks import alike, ints, item, named
from toeplitz.layers import Linear


def _conv(axes: int) -> Any:
    def conv(
        input: Array,
        weight: Array,
        bias: Array | None = None,
        stride: PerAxis = 1,
        padding: PerAxis | str = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
    ) -> Array:
        """A convolution over {axes} spatial axes, T(weight) input + bias; see toeplitz.Conv.

        input: (N, C, *S) or (C, *S); weight: (O, C / groups, *K); bias: (O,) or None; padding
        may be "valid" or "same". Returns (N, O, *P), or without N.

        >>> import numpy as np, toeplitz
        >>> x, w = np.ones((1, 1) + (4,) * {axes}), np.ones((1, 1) + (3,) * {axes})
        >>> y = toeplitz.functional.conv{axes}d(x, w, stride=2, padding=1)
        >>> y.shape == (1, 1) + (2,) * {axes}
        True
        """
        input, weight, bias = alike(input=input, weight=weight, bias=bias)
        one = item(f"conv{axes}d", input, axes)
        if isinstance(padding, str):
            padding = arguments.choice("padding", padding, ("valid", "same"))
        else:
            padding = ints("padding", padding, axes, 0)
        steps = ints("stride", stride, axes, 1)
        if padding == "same" and max(steps) > 1:
            raise ValueError(
                f'padding="same" needs stride 1, got {steps}: toeplitz.Conv has "same_upper" and '
                f'"same_lower" for ceil(input / stride) outputs'
            )
        geometry = Conv(
            one,
            weight.shape,
            steps,
            padding,
            ints("dilation", dilation, axes, 1),
            groups,
        )
        _check_bias(bias, geometry.out_channels)
        return geometry.apply(input, weight, bias)

    return named(conv, f"conv{axes}d", axes)


def _conv_transpose(axes: int) -> Any:
    def conv_transpose(
        input: Array,
        weight: Array,
        bias: Array | None = None,
        stride: PerAxis = 1,
        padding: PerAxis = 0,
        output_padding: PerAxis = 0,
        groups: int = 1,
        dilation: PerAxis = 1,
    ) -> Array:
        """A transposed convolution over {axes} spatial axes; see toeplitz.ConvTranspose.

        input: (N, C, *S) or (C, *S); weight: (C, O / groups, *K); bias: (O,) or None.

        >>> import numpy as np, toeplitz
        >>> x, w = np.ones((1, 1) + (2,) * {axes}), np.ones((1, 1) + (3,) * {axes})
        >>> y = toeplitz.functional.conv_transpose{axes}d(x, w, stride=2)
        >>> y.shape == (1, 1) + (5,) * {axes}
        True
        """
        input, weight, bias = alike(input=input, weight=weight, bias=bias)
        geometry = ConvTranspose(
            item(f"conv_transpose{axes}d", input, axes),
            weight.shape,
            ints("stride", stride, axes, 1),
            ints("padding", padding, axes, 0),
            ints("output_padding", output_padding, axes, 0),
            ints("dilation", dilation, axes, 1),
            groups,
        )
        _check_bias(bias, geometry.output_shape[0])
        return geometry.apply(input, weight, bias)

    return named(conv_transpose, f"conv_transpose{axes}d", axes)


conv1d, conv2d, conv3d = map(_conv, (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_conv_transpose, (1, 2, 3))


def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """input @ weight.T + bias: (*, in) with weight (out, in) to (*, out); see toeplitz.Linear.

    With weight (in,) the result is (*,).

    >>> import numpy as np, toeplitz
    >>> toeplitz.functional.linear(np.array([1, 2]), np.array([[3, 4], [5, 6]]))
    array([11, 17])
    """
    input, weight, bias = alike(input=input, weight=weight, bias=bias)
    if weight.ndim not in (1, 2) or input.ndim < 1:
        raise ValueError(
            f"weight must be (out, in) or (in,) and input (*, in): "
            f"got weight {weight.shape} and input {input.shape}"
        )
    rows = weight.reshape(prod(weight.shape[:-1]), weight.shape[-1])
    layer = Linear(weight.shape[-1], len(rows))
    if input.shape[-1] != layer.in_features:
        raise ValueError(
            f"input must end with the weight's input features: "
            f"{input.shape[-1]} != {layer.in_features}"
        )
    if bias is not None:
        shaped("bias", bias, (len(rows),) if weight.ndim == 2 else (), "the shape")
        bias = bias.reshape(len(rows))
    y = layer.apply(input.reshape(prod(input.shape[:-1]), layer.in_features), rows, bias)
    return y.reshape(input.shape[:-1] + weight.shape[:-1])


def _check_bias(bias: Array | None, channels: int) -> None:
    if bias is not None:
        shaped("bias", bias, (channels,), "one entry per output channel,")
