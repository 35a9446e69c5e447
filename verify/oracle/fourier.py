"""Convolution and its gradients by the convolution theorem."""

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from verify.oracle.plan import Array, Case, Geometry, add, every, first, merge, spread


def fft_conv(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, **geometry: Unpack[Geometry]
) -> Array:
    """Convolution by the convolution theorem.

    x (N, C, *S), w (O, C/G, *K), b (O,) -> y (N, O, *T), float64, or complex128 where an argument
    is complex; everything is converted to that first.

        y = F^-1( sum over c of F(padded x) * conj(F(conj(spread w))) ), every stride-th value

    One FFT of length L has a normwise relative error e of order u log2(L), so by Cauchy-Schwarz
    the error of one channel's circular product z of x and w is, to first order, at most

        max |z^ - z| <= (2 e + 3 u) |x|_2 |w|_2 + e |z|_2

    It scales with the norms of the whole arrays, not with |x| * |w| at that output: a small value
    beside a large one may lose all its digits. verify.rounding.fft_bound has it in numbers, for
    NumPy's radices too: the oracle itself imports nothing.

    Raises ValueError where the shapes and the geometry do not fit together.
    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), ch. 24.

    >>> fft_conv([[[1, 2, 4, 8]]], [[[3, 1]]], stride=2).round(6)
    array([[[ 5., 20.]]])
    """
    x, w, *bias = _floating(x, w, b)
    case = Case(x.shape, w.shape, **geometry)
    fft = _Transform(case, np.isrealobj(x))
    kernel = fft.forward(spread(w.conj(), case.dilation, case.extent)).conj()
    product = np.einsum(
        "ngc...,goc...->ngo...", case.split(fft.forward(case.pad(x))), case.stack(kernel)
    )
    y = fft.inverse(merge(product))
    return add(every(first(y, case.starts), case.stride), *bias)


def fft_grad_x(
    g: ArrayLike, x_shape: Sequence[int], w: ArrayLike, **geometry: Unpack[Geometry]
) -> Array:
    """Gradient to the input by the convolution theorem.

    g (N, O, *T), w (O, C/G, *K) -> grad_x of x_shape (N, C, *S), dtypes as in `fft_conv`.

        grad padded x = F^-1( sum over o of F(spread g) * F(conj(spread w)) )

    Raises ValueError where the shapes and the geometry do not fit together.
    Source: Higham (2002), ch. 24; the error scales with |g|_2 |w|_2.

    >>> fft_grad_x([[[1, 10]]], (1, 1, 4), [[[3, 1]]], stride=2).round(6)
    array([[[ 3.,  1., 30., 10.]]])
    """
    g, w = _floating(g, w)
    case = Case(tuple(x_shape), w.shape, g.shape, **geometry)
    fft = _Transform(case, np.isrealobj(g))
    kernel = fft.forward(spread(w.conj(), case.dilation, case.extent))
    spectrum = fft.forward(spread(g, case.stride, case.starts))
    product = np.einsum("ngo...,goc...->ngc...", case.split(spectrum), case.stack(kernel))
    return case.unpad(first(fft.inverse(merge(product)), case.padded))


def fft_grad_w(
    g: ArrayLike, x: ArrayLike, w_shape: Sequence[int], **geometry: Unpack[Geometry]
) -> Array:
    """Gradient to the weight by the convolution theorem.

    g (N, O, *T), x (N, C, *S) -> grad_w of w_shape (O, C/G, *K), dtypes as in `fft_conv`.

        conj(grad_w) = F^-1( sum over n of F(padded x) * conj(F(spread g)) ), every dilation-th

    Raises ValueError where the shapes and the geometry do not fit together.
    Source: Higham (2002), ch. 24; the error scales with |g|_2 |x|_2.

    >>> fft_grad_w([[[1, 10]]], [[[1, 2, 4, 8]]], (1, 1, 2), stride=2).round(6)
    array([[[41., 82.]]])
    """
    g, x = _floating(g, x)
    case = Case(x.shape, tuple(w_shape), g.shape, **geometry)
    fft = _Transform(case, np.isrealobj(g))
    spectrum = fft.forward(spread(g, case.stride, case.starts)).conj()
    product = np.einsum(
        "ngc...,ngo...->goc...", case.split(fft.forward(case.pad(x))), case.split(spectrum)
    )
    grad = fft.inverse(product.reshape(*w_shape[:2], *product.shape[3:]))
    return every(first(grad, case.extent), case.dilation).conj()


class _Transform:
    """F and its inverse over the spatial axes, long enough that no window wraps around."""

    def __init__(self, case: Case, real: bool) -> None:
        self.where = tuple(map(max, case.padded, case.extent)), case.axes
        self.pair = (np.fft.rfftn, np.fft.irfftn) if real else (np.fft.fftn, np.fft.ifftn)

    def forward(self, a: Array) -> Array:
        return self.pair[0](a, *self.where)

    def inverse(self, a: Array) -> Array:
        return self.pair[1](a, *self.where)


def _floating(*arrays: ArrayLike | None) -> list[Array]:
    """The arrays in float64, or all in complex128 where one is complex."""
    read = [np.asarray(a) for a in arrays if a is not None]
    return [a.astype(complex if any(map(np.iscomplexobj, read)) else float) for a in read]
