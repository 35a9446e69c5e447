"""Max pools: at x, the 0/1 matrix that selects each window's maximum."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from toeplitz import sparse
from toeplitz.affine import Affine
from toeplitz.arguments import Padding, PerAxis
from toeplitz.arrays import (
    Array,
    batched,
    namespace,
    one_of,
    real,
    returned,
    same_batch,
    sent_back,
    storable_dtype,
    together,
    working,
)
from toeplitz.axis import Indices
from toeplitz.memory import fits
from toeplitz.sparse import Sparse
from toeplitz.windows import AdaptiveWindows, GlobalWindows, StridedWindows, Windows
from toeplitz.writing import outer


class MaximumPool(Windows):
    """What the max pools share: at x each is a 0/1 selection matrix S(x)."""

    def indices(self, x: Any) -> Array:
        """The flat spatial position of each window's maximum, (N, C, *windows), as in PyTorch.

        Of equal values the first is taken; a NaN is larger than any number, the last one wins.
        """
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        chosen = self._selected(items).reshape(len(items), *self.output_shape)
        return chosen if items is x else chosen[0]

    def selection(self, x: Any, dtype: Any = np.float64) -> Sparse:
        """S(x), the 0/1 CSR matrix with pool(x).ravel() = S(x) @ x.ravel(), one entry in each row.

        x: (C, *S), or (N, C, *S) for the block diagonal matrix of all items. Near x, while no
        maximum changes place, the pool is this matrix.
        """
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        one = one_of(dtype, x)
        storable_dtype(one)
        return self._matrix(self._selected(items), one)

    def apply(self, x: Any) -> Array:
        """The maxima S(x) x: x (N, C, *S) or (C, *S) to (N, C, *windows), of x's dtype."""
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        y = namespace(x).take_along_axis(self._planes(items), self._selected(items), axis=1)
        y = y.reshape(len(items), *self.output_shape)
        return y if items is x else y[0]

    def gradient(self, g: Any, x: Any) -> Array:
        """S(x)ᵀ g, of x's shape: each window's gradient goes to its maximum; overlaps add up."""
        g, x = together(g=g, x=x)
        scattered, result = self._scattered("g", g, x)
        return sent_back(scattered, x, result)

    def unpool(self, y: Any, x: Any) -> Array:
        """Max-unpooling S(x)ᵀ y: the values y at the places of x's maxima, zeros elsewhere.

        Where windows overlap on one maximum, their values add up.
        """
        y, x = together(y=y, x=x)
        scattered, result = self._scattered("y", y, x)
        return returned(scattered, result).reshape(x.shape)

    def linearize(self, x: Any) -> Affine:
        """The pool near x as an affine map of x.ravel(): S(x), and no shift."""
        (x,) = together(x=x)
        selection = self.selection(x, np.float64 if x.dtype.kind in "iu" else working(x.dtype))
        return Affine(selection, namespace(x).zeros(selection.shape[0], selection.dtype))

    def _scattered(self, name: str, values: Array, x: Array) -> tuple[Array, Any]:
        """S(x)ᵀ values, flat, in the dtype summed in; and the dtype of the answer."""
        items = batched("x", x, self.input_shape)
        batched(name, values, self.output_shape)
        same_batch(values, x, len(self.input_shape), name)
        result = np.result_type(values.dtype, x.dtype)
        dtype = working(result)
        selection = self._matrix(self._selected(items), namespace(x).ones((), dtype))
        return selection.T @ values.astype(dtype, copy=False).ravel(), result

    def _selected(self, items: Array) -> Array:
        """indices() as (N * C, windows)."""
        comparable("x", items)
        xp = namespace(items)
        planes = self._planes(items)
        windows, taps = (
            prod(sizes) for sizes in zip(*(s.shape for s in self.sources), strict=True)
        )
        need = 8 * windows * taps + len(planes) * windows * (2 * items.dtype.itemsize + 16)
        fits(need, items, "the selection", self, "take fewer items")
        table = xp.asarray(self._table())
        if not table.size:
            return xp.zeros((len(planes), len(table)), np.intp)
        best = planes[:, table[:, 0]]
        chosen = xp.broadcast_to(table[:, 0], best.shape)
        for tap in table.T[1:]:
            value = planes[:, tap]
            better = (value > best) | (value != value)  # only NaN differs from itself
            best = xp.where(better, value, best)
            chosen = xp.where(better, tap, chosen)
        return chosen

    def _planes(self, items: Array) -> Array:
        """Each channel of each item as one row."""
        return items.reshape(prod(items.shape[:2]), prod(items.shape[2:]))

    def _table(self) -> Indices:
        """(windows, taps): flat input positions; a tap in the padding repeats the last real one."""
        table: Indices = np.zeros((1, 1), np.intp)
        step = 1
        for size, factor in zip(
            reversed(self.input_shape[1:]), reversed(self.factors), strict=True
        ):
            last = np.take_along_axis(factor.column, factor.count[:, None] - 1, axis=1)
            column = np.where(factor.filled(), factor.column, last)
            table = outer(np.add, column * step, table)
            step *= size
        return table

    def _matrix(self, chosen: Array, one: Array) -> Sparse:
        """The selection matrix that takes chosen, (N * C, windows) flat positions in each plane."""
        xp = namespace(chosen)
        size = prod(self.input_shape[1:])
        columns = chosen + size * xp.arange(len(chosen))[:, None]
        index = sparse.index_dtype(chosen.size, size * len(chosen))
        arrays = sparse.Compressed(
            xp.full(chosen.size, one),
            columns.ravel().astype(index),
            xp.arange(chosen.size + 1, dtype=index),
            (chosen.size, size * len(chosen)),
        )
        return sparse.wrap(arrays)


def comparable(name: str, array: Array) -> None:
    """Refuse numbers that have no order."""
    real(name, array, "complex numbers have no maximum: ")


@dataclass(frozen=True, init=False, repr=False)
class MaxPool(StridedWindows, MaximumPool):
    """A max pool; at x it is the selection matrix S(x), and its gradient S(x)ᵀ g.

    input_shape: (C, *S). kernel_size, stride (by default kernel_size), dilation: an integer or
    one for each spatial axis. padding: those, or (before, after) pairs; every window must touch
    the input, and padding never wins. ceil_mode: round the number of windows up; a window still
    starts inside the input or the padding before it.

    Source: torch.nn.MaxPool2d; ONNX MaxPool.

    >>> import numpy as np, toeplitz
    >>> pool = toeplitz.MaxPool((1, 4), 2)
    >>> x = np.array([[1, 5, 7, 7]])
    >>> pool.apply(x)
    array([[5, 7]])
    >>> pool.selection(x, int).toarray()
    array([[0, 1, 0, 0],
           [0, 0, 1, 0]])
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        ceil_mode: bool = False,
    ) -> None:
        self._set(*self._canonical(input_shape, kernel_size, stride, padding, dilation, ceil_mode))
        self.sources  # noqa: B018  # refuses windows that read nothing


@dataclass(frozen=True, init=False, repr=False)
class AdaptiveMaxPool(AdaptiveWindows, MaximumPool):
    """A max pool to a given output size, with the windows of AdaptiveAvgPool.

    >>> import numpy as np, toeplitz
    >>> toeplitz.AdaptiveMaxPool((1, 5), 2).apply(np.array([[1, 2, 3, 4, 5]]))
    array([[3, 5]])
    """


@dataclass(frozen=True, init=False, repr=False)
class GlobalMaxPool(GlobalWindows, AdaptiveMaxPool):
    """The maximum over all positions of each channel.

    >>> import numpy as np, toeplitz
    >>> toeplitz.GlobalMaxPool((2, 3)).apply(np.array([[1, 2, 3], [4, 9, 5]]))
    array([[3],
           [9]])
    """
