"""The small layers: Linear, Flatten and ReLU, each with its matrix."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from toeplitz import arguments, sparse
from toeplitz.affine import Affine
from toeplitz.arrays import (
    Array,
    batched,
    namespace,
    one_of,
    real,
    sent_back,
    shaped,
    storable,
    storable_dtype,
    together,
    working,
)
from toeplitz.bilinear import Bilinear
from toeplitz.factors import Factor, channels, stacked
from toeplitz.memory import fits
from toeplitz.sparse import Sparse


@dataclass(frozen=True, repr=False)
class Linear(Bilinear):
    """A fully connected layer y = W x + b on x (in_features,) or (N, in_features).

    >>> import numpy as np, toeplitz
    >>> linear = toeplitz.Linear(3, 2)
    >>> linear.apply(np.array([1, 2, 3]), np.array([[1, 0, 0], [0, 1, 1]]), np.array([10, 20]))
    array([11, 25])
    """

    in_features: int
    out_features: int

    def __post_init__(self) -> None:
        for name in ("in_features", "out_features"):
            object.__setattr__(self, name, arguments.integer(name, getattr(self, name), 0))

    def __repr__(self) -> str:
        return arguments.call(self, ("in_features", "out_features"))

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]  # derived, not stored
        return (self.in_features,)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return (self.out_features,)

    @property
    def weight_shape(self) -> tuple[int, ...]:  # type: ignore[override]  # derived, not stored
        return (self.out_features, self.in_features)

    @property
    def macs(self) -> int:
        """Multiply-adds for one item."""
        return self.in_features * self.out_features

    def matrix(self, w: Any) -> Sparse:
        """T(w): w (out_features, in_features) as a CSR array, its zeros stored too."""
        (w,) = together(w=w)
        shaped("w", w, self.weight_shape, "the weight shape")
        storable("w", w)
        fits(w.size * (w.dtype.itemsize + 4), w, "the csr matrix", self, "use w itself")
        factor = channels(self.in_features, self.out_features, 1)
        return sparse.wrap(sparse.compressed([factor], w.ravel()))

    def unfolded(self, x: Any) -> Sparse:
        """U(x), the sparse matrix with y.ravel() = U(x) @ w.ravel(): I ⊗ xᵀ for each item."""
        (x,) = together(x=x)
        storable("x", x)
        items = batched("x", x, self.input_shape)
        need = len(items) * self.macs * (x.dtype.itemsize + 4)
        fits(need, x, "unfolded(x)", self, "take fewer items")
        factor = channels(self.in_features, self.out_features, 1)
        swapped = Factor(self.macs, factor.value, factor.column, factor.count, repeats=True)
        return sparse.wrap(sparse.compressed([stacked(len(items)), swapped], items))

    def weight_gradient(self, g: Array, x: Array) -> Array:
        """U(x)ᴴ g = gᵀ x̄, for U(x) repeats x for each output feature."""
        return g.T @ x.conj()


@dataclass(frozen=True)
class Flatten:
    """The layer that flattens each item; its matrix is the identity.

    input_shape: the shape of one item, or None for any batch (N, *item).

    >>> import numpy as np, toeplitz
    >>> toeplitz.Flatten((2, 2)).apply(np.array([[1, 2], [3, 4]]))
    array([1, 2, 3, 4])
    """

    input_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", _item_shape(self.input_shape))

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        return None if self.input_shape is None else (prod(self.input_shape),)

    def apply(self, x: Any) -> Array:
        """x (N, *input_shape) as (N, size), or x (input_shape) as (size,)."""
        (x,) = together(x=x)
        if _items(x, self.input_shape) is None:
            return x.reshape(x.size)
        return x.reshape(len(x), prod(x.shape[1:]))

    def gradient(self, g: Any, x: Any) -> Array:
        """g in the shape of x."""
        g, x = together(g=g, x=x)
        shaped("g", g, self.apply(x).shape, "the output's shape")
        return sent_back(g, x, g.dtype)

    def matrix(self, size: int | None = None, dtype: Any = np.float64) -> Sparse:
        """The identity; size is needed when the layer has no input_shape."""
        if size is None:
            if self.input_shape is None:
                raise ValueError("size is needed: Flatten() does not know its input_shape")
            size = prod(self.input_shape)
        return _diagonal(self, arguments.integer("size", size, 0), one_of(dtype))

    def linearize(self, x: Any) -> Affine:
        """The identity as an affine map of x.ravel()."""
        (x,) = together(x=x)
        _items(x, self.input_shape)
        one = namespace(x).ones((), working(x.dtype))
        return Affine(_diagonal(self, x.size, one), namespace(x).zeros(x.size, one.dtype))


@dataclass(frozen=True)
class ReLU:
    """The rectifier max(x, 0); at x its matrix is diagonal, with ones where it lets x through.

    input_shape: the shape of one item, or None for any shape.

    >>> import numpy as np, toeplitz
    >>> toeplitz.ReLU().apply(np.array([-1, 0, 2]))
    array([0, 0, 2])
    >>> toeplitz.ReLU().matrix(np.array([-1, 0, 2]), int).toarray()
    array([[0, 0, 0],
           [0, 0, 0],
           [0, 0, 1]])
    """

    input_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", _item_shape(self.input_shape))

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        return self.input_shape

    def apply(self, x: Any) -> Array:
        """max(x, 0), NaN where x is NaN."""
        x = self._real(x)
        return namespace(x).maximum(x, x.dtype.type(0))

    def gradient(self, g: Any, x: Any) -> Array:
        """g where x > 0, else 0; where x is NaN, g as in PyTorch."""
        x = self._real(x)
        g, x = together(g=g, x=x)
        shaped("g", g, x.shape, "the shape of x")
        return sent_back(namespace(x).where(x <= 0, g.dtype.type(0), g), x, g.dtype)

    def matrix(self, x: Any, dtype: Any = np.float64) -> Sparse:
        """The diagonal CSR matrix D(x) with max(x, 0) = D(x) x; it stores ones only."""
        x = self._real(x)
        return _diagonal(self, x.size, one_of(dtype, x), ~(x <= 0).ravel())

    def linearize(self, x: Any) -> Affine:
        """The layer near x as an affine map of x.ravel(): D(x), and no shift."""
        x = self._real(x)
        matrix = self.matrix(x, np.float64 if x.dtype.kind in "iu" else working(x.dtype))
        return Affine(matrix, namespace(x).zeros(x.size, matrix.dtype))

    def _real(self, x: Any) -> Array:
        (x,) = together(x=x)
        real("x", x)
        if self.input_shape is not None:
            batched("x", x, self.input_shape)
        return x


def _item_shape(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    sizes = arguments.sequence("input_shape", value, "a tuple of integers")
    if not sizes:
        raise ValueError(f"input_shape must have at least one axis, got {value}")
    return tuple(arguments.integer("input_shape", size, 0) for size in sizes)


def _items(x: Array, input_shape: tuple[int, ...] | None) -> int | None:
    """The number of items of x, None for a single one without a batch axis."""
    if input_shape is None:
        if x.ndim == 0:
            raise ValueError("x must have a batch axis, got a single number")
        return len(x)
    return None if x.shape == input_shape else len(batched("x", x, input_shape))


def _diagonal(layer: object, size: int, one: Array, kept: Array | None = None) -> Sparse:
    """The diagonal 0/1 matrix that keeps some entries, or all, and stores nothing else."""
    storable_dtype(one)
    fits(size * (one.dtype.itemsize + 16), one, "the csr matrix", layer, "use apply(x)")
    xp = namespace(one)
    index = sparse.index_dtype(size)
    columns = xp.arange(size, dtype=index) if kept is None else xp.flatnonzero(kept).astype(index)
    indptr = xp.searchsorted(columns, xp.arange(size + 1, dtype=index)).astype(index)
    ones = xp.full(len(columns), one)
    return sparse.wrap(sparse.Compressed(ones, columns, indptr, (size, size)))
