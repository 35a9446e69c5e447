"""Average pools: the matrix with 1 / count at each input of a window."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from toeplitz import arguments, sparse
from toeplitz.affine import Affine, repeated
from toeplitz.arguments import Padding, PerAxis
from toeplitz.arrays import (
    Array,
    batched,
    flat,
    namespace,
    one_of,
    same_batch,
    sent_back,
    storable_dtype,
    together,
    working,
)
from toeplitz.axis import Axis, Indices
from toeplitz.factors import diagonal
from toeplitz.memory import fits
from toeplitz.sparse import Sparse
from toeplitz.windows import AdaptiveWindows, GlobalWindows, StridedWindows, Windows


class AveragePool(Windows):
    """What the average pools share: the sum over each window, divided by its count."""

    @abstractmethod
    def counts(self) -> Indices:
        """What each window's sum is divided by, of shape (*windows,)."""

    def matrix(self, dtype: Any = np.float64) -> Sparse:
        """The CSR matrix A with y.ravel() = A @ x.ravel(): 1 / count at each input of a window."""
        return self._matrix(one_of(dtype))

    def apply(self, x: Any) -> Array:
        """The averages: x (N, C, *S) or (C, *S) to (N, C, *windows); integers become float64.

        Each sum is divided once, so that averages of small integers are correctly rounded.
        """
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        dtype, result = _averaged(x.dtype)
        matrix = self._sums(namespace(x).ones((), dtype))
        sums = sparse.times(matrix, flat(items.astype(dtype, copy=False)))
        y = (sums / namespace(x).asarray(self._divisors(dtype))).astype(result, copy=False)
        y = y.reshape(len(items), *self.output_shape)
        return y if items is x else y[0]

    def gradient(self, g: Any, x: Any) -> Array:
        """Aᵀ g, of x's shape: each window's gradient shared out over its inputs; real as x is."""
        g, x = together(g=g, x=x)
        batched("x", x, self.input_shape)
        upstream = batched("g", g, self.output_shape)
        same_batch(g, x, len(self.input_shape))
        dtype, result = _averaged(np.result_type(g.dtype, x.dtype))
        matrix = self._sums(namespace(x).ones((), dtype))
        shares = flat(upstream.astype(dtype)) / namespace(x).asarray(self._divisors(dtype))
        return sent_back(sparse.times(matrix.T, shares), x, result)

    def linearize(self, x: Any) -> Affine:
        """The pool as the affine map of x.ravel(): its matrix, once for each item of x."""
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        matrix = self._matrix(namespace(x).ones((), _averaged(x.dtype)[0]))
        matrix = repeated(matrix, len(items) if items is x else None)
        return Affine(matrix, namespace(x).zeros(matrix.shape[0], matrix.dtype))

    def _matrix(self, one: Array) -> Sparse:
        xp = namespace(one)
        storable_dtype(one)
        if one.dtype.kind not in "fc":
            raise TypeError(f"dtype must be a float or complex dtype, got {one.dtype}")
        matrix = self._sums(one)
        divisors = xp.asarray(self._divisors(one.dtype))
        matrix.data /= xp.repeat(divisors, xp.diff(matrix.indptr))
        return matrix

    def _sums(self, one: Array) -> Sparse:
        """The 0/1 matrix that sums each window."""
        factors = [diagonal(self.input_shape[0]), *self.factors]
        need = sparse.entries(factors) * (one.dtype.itemsize + 4)
        fits(need, one, "the csr matrix", self, "take a smaller input_shape")
        taps = [source.shape[1] for source in self.sources]
        ones = namespace(one).full((self.input_shape[0], *taps), one)
        return sparse.wrap(sparse.compressed(factors, ones))

    def _divisors(self, dtype: Any) -> Array:
        return np.tile(self.counts().ravel(), self.input_shape[0]).astype(dtype)


def _averaged(dtype: Any) -> tuple[Any, Any]:
    """The dtypes to sum in and to answer in: integers are averaged in float64."""
    result = np.dtype(np.float64) if dtype.kind in "iu" else dtype
    return working(result), result


def _product(tables: list[Indices]) -> Indices:
    """The number of filled taps of each window, from the tables of the axes."""
    return reduce(np.multiply.outer, [(table >= 0).sum(axis=1) for table in tables])


@dataclass(frozen=True, init=False, repr=False)
class AvgPool(StridedWindows, AveragePool):
    """An average pool, a matrix with 1 / count in each row.

    input_shape: (C, *S). kernel_size, stride (by default kernel_size), dilation: an integer or
    one for each spatial axis. padding: those, or (before, after) pairs; every window must touch
    the input. ceil_mode: round the number of windows up; a window still starts inside the input
    or the padding before it. The count is that of the window's cells in the padded input, with
    count_include_pad=False that of its inputs, or divisor_override.

    Source: torch.nn.AvgPool2d; ONNX AveragePool (dilation).

    >>> import numpy as np, toeplitz
    >>> pool = toeplitz.AvgPool((1, 5), 3, stride=2, padding=1, count_include_pad=False)
    >>> pool.apply(np.array([[2, 4, 6, 8, 10]]))
    array([[3., 6., 9.]])
    """

    count_include_pad: bool
    divisor_override: int | None

    def __init__(
        self,
        input_shape: tuple[int, ...],
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        divisor = divisor_override
        if divisor is not None:
            divisor = arguments.integer("divisor_override", divisor)
            if divisor == 0:
                raise ValueError("divisor_override must not be 0")
        self._set(
            *self._canonical(input_shape, kernel_size, stride, padding, dilation, ceil_mode),
            arguments.flag("count_include_pad", count_include_pad),
            divisor,
        )
        self.sources  # noqa: B018  # refuses windows that read nothing

    def counts(self) -> Indices:
        if self.divisor_override is not None:
            return np.full(self.output_shape[1:], self.divisor_override)
        if not self.count_include_pad:
            return _product(list(self.sources))
        # Cells of the padded input count, what ceil_mode adds does not.
        padded = [
            Axis(
                size=axis.size + before + after,
                kernel=axis.kernel,
                stride=axis.stride,
                after=axis.after - after,
                dilation=axis.dilation,
            )
            for axis, (before, after) in zip(self.axes, self.padding, strict=True)
        ]
        return _product([axis.source() for axis in padded])

    def _defaults(self) -> dict[str, Any]:
        return super()._defaults() | {"count_include_pad": True, "divisor_override": None}


@dataclass(frozen=True, init=False, repr=False)
class AdaptiveAvgPool(AdaptiveWindows, AveragePool):
    """An average pool to a given size: window o of M averages floor(o N/M) … ceil((o+1) N/M) - 1.

    output_size: M, an integer or one for each spatial axis, None for the input's size.

    >>> import numpy as np, toeplitz
    >>> toeplitz.AdaptiveAvgPool((1, 5), 2).apply(np.array([[1, 2, 3, 4, 5]]))
    array([[2., 4.]])
    """

    def counts(self) -> Indices:
        return _product(list(self.sources))


@dataclass(frozen=True, init=False, repr=False)
class GlobalAvgPool(GlobalWindows, AdaptiveAvgPool):
    """The average over all positions of each channel.

    >>> import numpy as np, toeplitz
    >>> toeplitz.GlobalAvgPool((2, 3)).apply(np.array([[1, 2, 3], [4, 5, 9]]))
    array([[2.],
           [6.]])
    """
