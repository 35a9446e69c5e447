"""Pools."""

from typing import Any

from toeplitz import arguments
from toeplitz.arguments import PerAxis
from toeplitz.arrays import Array, together
from toeplitz.avg_pool import AdaptiveAvgPool, AvgPool
from toeplitz.functional.checks import ints, item, named
from toeplitz.max_pool import AdaptiveMaxPool, MaxPool, comparable


def _max_pool(axes: int) -> Any:
    def max_pool(
        input: Array,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        dilation: PerAxis = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Array | tuple[Array, Array]:
        """A max pool over {axes} spatial axes; see toeplitz.MaxPool.

        input: (N, C, *S) or (C, *S). With return_indices, also the flat position of each maximum.

        >>> import numpy as np, toeplitz
        >>> x = np.arange(4.0**{axes}).reshape((1,) + (4,) * {axes})
        >>> toeplitz.functional.max_pool{axes}d(x, 4).ravel().tolist() == [x.max()]
        True
        """
        (input,) = together(input=input)
        kernel, padding = _window(kernel_size, padding, axes)
        pool = MaxPool(
            item(f"max_pool{axes}d", input, axes, least=1),
            kernel,
            None if stride is None else ints("stride", stride, axes, 1),
            padding,
            ints("dilation", dilation, axes, 1),
            ceil_mode,
        )
        return _maximum(pool, input, return_indices)

    return named(max_pool, f"max_pool{axes}d", axes)


def _avg_pool(axes: int) -> Any:
    def avg_pool(
        input: Array,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Array:
        """An average pool over {axes} spatial axes; see toeplitz.AvgPool.

        input: (N, C, *S) or (C, *S); integers become float64.

        >>> import numpy as np, toeplitz
        >>> x = np.arange(4.0**{axes}).reshape((1,) + (4,) * {axes})
        >>> toeplitz.functional.avg_pool{axes}d(x, 4).ravel().tolist() == [x.mean()]
        True
        """
        (input,) = together(input=input)
        kernel, padding = _window(kernel_size, padding, axes)
        one = item(f"avg_pool{axes}d", input, axes, least=1)
        if axes == 3 and any(k > size for k, size in zip(kernel, one[1:], strict=True)):
            # PyTorch's avg_pool3d alone compares with the input before padding.
            raise ValueError(
                f"kernel_size must not exceed the unpadded input in avg_pool3d: "
                f"{kernel} > {one[1:]}"
            )
        pool = AvgPool(
            one,
            kernel,
            None if stride is None else ints("stride", stride, axes, 1),
            padding,
            1,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )
        return pool.apply(input)

    def undivided(
        input: Array,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        return avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad)

    undivided.__doc__ = avg_pool.__doc__
    # On one axis PyTorch has no divisor_override.
    return named(undivided if axes == 1 else avg_pool, f"avg_pool{axes}d", axes)


def _adaptive_avg_pool(axes: int) -> Any:
    def adaptive_avg_pool(input: Array, output_size: int | tuple[int | None, ...]) -> Array:
        """An average pool to output_size over {axes} spatial axes; see toeplitz.AdaptiveAvgPool.

        >>> import numpy as np, toeplitz
        >>> x = np.arange(4.0**{axes}).reshape((1,) + (4,) * {axes})
        >>> toeplitz.functional.adaptive_avg_pool{axes}d(x, 1).ravel().tolist() == [x.mean()]
        True
        """
        (input,) = together(input=input)
        # PyTorch averages no channels on one axis and on two, but not on three.
        one = item(f"adaptive_avg_pool{axes}d", input, axes, least=axes // 3)
        return AdaptiveAvgPool(one, _parts(output_size, axes)).apply(input)

    return named(adaptive_avg_pool, f"adaptive_avg_pool{axes}d", axes)


def _adaptive_max_pool(axes: int) -> Any:
    def adaptive_max_pool(
        input: Array, output_size: int | tuple[int | None, ...], return_indices: bool = False
    ) -> Array | tuple[Array, Array]:
        """A max pool to output_size over {axes} spatial axes; see toeplitz.AdaptiveMaxPool.

        >>> import numpy as np, toeplitz
        >>> x = np.arange(4.0**{axes}).reshape((1,) + (4,) * {axes})
        >>> toeplitz.functional.adaptive_max_pool{axes}d(x, 1).ravel().tolist() == [x.max()]
        True
        """
        (input,) = together(input=input)
        one = item(f"adaptive_max_pool{axes}d", input, axes, least=1)
        return _maximum(AdaptiveMaxPool(one, _parts(output_size, axes)), input, return_indices)

    return named(adaptive_max_pool, f"adaptive_max_pool{axes}d", axes)


max_pool1d, max_pool2d, max_pool3d = map(_max_pool, (1, 2, 3))
avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_pool, (1, 2, 3))
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = map(_adaptive_avg_pool, (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = map(_adaptive_max_pool, (1, 2, 3))


def _window(kernel_size: PerAxis, padding: PerAxis, axes: int) -> tuple[Any, Any]:
    """The window and the padding of a pool; PyTorch refuses padding above half the window."""
    kernel = ints("kernel_size", kernel_size, axes, 1)
    widths = ints("padding", padding, axes, 0)
    if any(width > size // 2 for width, size in zip(widths, kernel, strict=True)):
        raise ValueError(
            f"padding must be at most half the window: {widths} > {kernel} // 2 = "
            f"{tuple(size // 2 for size in kernel)}"
        )
    return kernel, widths


def _parts(output_size: Any, axes: int) -> Any:
    """The output size of an adaptive pool; on one axis PyTorch takes no None."""
    return ints("output_size", output_size, 1, 0) if axes == 1 else output_size


def _maximum(pool: Any, input: Array, return_indices: bool) -> Array | tuple[Array, Array]:
    comparable("input", input)
    if arguments.flag("return_indices", return_indices):
        return pool.apply(input), pool.indices(input)
    return pool.apply(input)
