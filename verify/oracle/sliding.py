"""Convolution and its gradients with NumPy's sliding windows."""

import math
from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from verify.oracle.plan import Array, Case, Geometry, Ints, add, every, first, merge, spread


def sliding_conv(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, **geometry: Unpack[Geometry]
) -> Array:
    """Convolution as deep learning has it (no flip), one window of the padded input at a time.

    x (N, C, *S), w (O, C/G, *K), b (O,) -> y (N, O, *T). Integers are exact: int64, or object
    where int64 might overflow. Other dtypes are computed as they come.

        y[n, o, t] = b[o] + sum over c, k of padded(x)[n, c, t stride + k dilation] w[o, c, k]

    Raises ValueError where the shapes and the geometry do not fit together.
    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016).

    >>> sliding_conv([[[1, 2, 4, 8]]], [[[3, 1]]], stride=2)
    array([[[ 5, 20]]])
    """
    x, w, *bias = _exact(x, w, b)
    case = Case(x.shape, w.shape, **geometry)
    windows = _windows(case.pad(x), case.kernel, case.stride, case.dilation)
    out, taps = case.letters
    y = np.einsum(f"ngc{out}{taps},goc{taps}->ngo{out}", case.split(windows), case.stack(w))
    return add(merge(y), *bias)


def sliding_grad_x(
    g: ArrayLike, x_shape: Sequence[int], w: ArrayLike, **geometry: Unpack[Geometry]
) -> Array:
    """Gradient to the input: the flipped kernel slides over the spread-out gradient.

    g (N, O, *T), w (O, C/G, *K) -> grad_x of x_shape (N, C, *S). Dtypes as in `sliding_conv`.

        grad_x[i] = sum of g[n, o, t] conj(w[o, c, k]) over the windows t and taps k that read i

    Raises ValueError where the shapes and the geometry do not fit together.
    Source: Dumoulin & Visin (2016), ch. 4.

    >>> sliding_grad_x([[[1, 10]]], (1, 1, 4), [[[3, 1]]], stride=2)
    array([[[ 3,  1, 30, 10]]])
    """
    g, w = _exact(g, w)
    case = Case(tuple(x_shape), w.shape, g.shape, **geometry)
    reach = [(0, 0), (0, 0), *((e - 1, e - 1) for e in case.extent)]
    apart = np.pad(spread(g, case.stride, case.starts), reach)
    windows = _windows(apart, case.kernel, (1,) * len(case.axes), case.dilation)
    flipped = np.flip(w, axis=case.axes).conj()
    out, taps = case.letters
    subscripts = f"ngo{out}{taps},goc{taps}->ngc{out}"
    grad = merge(np.einsum(subscripts, case.split(windows), case.stack(flipped)))
    return case.unpad(first(grad, case.padded))  # longer only where no window fits


def sliding_grad_w(
    g: ArrayLike, x: ArrayLike, w_shape: Sequence[int], **geometry: Unpack[Geometry]
) -> Array:
    """Gradient to the weight: each window of the padded input, weighted by its output's gradient.

    g (N, O, *T), x (N, C, *S) -> grad_w of w_shape (O, C/G, *K). Dtypes as in `sliding_conv`.

        grad_w[o, c, k] = sum over n, t of g[n, o, t] conj(padded(x)[n, c, t stride + k dilation])

    Raises ValueError where the shapes and the geometry do not fit together.
    Source: the chain rule on the equation of `sliding_conv`.

    >>> sliding_grad_w([[[1, 10]]], [[[1, 2, 4, 8]]], (1, 1, 2), stride=2)
    array([[[41, 82]]])
    """
    g, x = _exact(g, x)
    case = Case(x.shape, tuple(w_shape), g.shape, **geometry)
    windows = _windows(case.pad(x).conj(), case.kernel, case.stride, case.dilation)
    out, taps = case.letters
    subscripts = f"ngo{out},ngc{out}{taps}->goc{taps}"
    grad: Array = np.einsum(subscripts, case.split(g), case.split(windows))
    return grad.reshape(tuple(w_shape))


def grad_b(g: ArrayLike) -> Array:
    """Gradient to the bias: the sum over the batch and all positions.

    g (N, O, *T) -> (O,). Dtypes as in `sliding_conv`.

        grad_b[o] = sum over n, t of g[n, o, t]

    Raises ValueError where g has no axis of channels.
    Source: the chain rule on the equation of `sliding_conv`.

    >>> grad_b([[[1, 10], [2, 20]]])
    array([11, 22])
    """
    (g,) = _exact(g)
    if g.ndim < 2:
        raise ValueError(f"g must be (N, O, *T): got shape {g.shape}")
    total: Array = g.sum(axis=(0, *range(2, g.ndim)))
    return total


def _exact(*arrays: ArrayLike | None) -> list[Array]:
    """The arrays in one dtype; integers in one that holds any sum of their products."""
    read = [np.asarray(a) for a in arrays if a is not None]
    if any(a.dtype.kind not in "biu" for a in read):
        return [a.astype(np.result_type(*read)) for a in read]
    # A sum of products stays below the product of the sums; 2^62 leaves a bit for the rounding.
    bound = math.prod(1 + float(np.abs(a.astype(np.float64)).sum()) for a in read)
    return [a.astype(np.int64 if bound < 2**62 else object) for a in read]


def _windows(a: Array, kernel: Ints, stride: Ints, dilation: Ints) -> Array:
    """A view (N, C, *T, *K): every window that fits, a stride apart, its taps a dilation apart."""
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    fit = tuple(max(0, n - e + 1) for n, e in zip(a.shape[2:], extent, strict=True))
    if 0 in fit:  # which NumPy refuses
        view = np.zeros(a.shape[:2] + fit + extent, a.dtype)
    else:
        view = sliding_window_view(a, extent, tuple(range(2, a.ndim)))
    return every(view, stride + dilation)
