"""The small layers: Linear, Flatten, ReLU and Pad, each with its matrix."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from toeplitz import arguments, sparse
from toeplitz.affine import Affine, repeated
from toeplitz.arguments import Padding, Pairs
from toeplitz.arrays import (
    Array,
    batched,
    namespace,
    same_batch,
    shaped,
    storable,
    together,
    working,
)
from toeplitz.axis import Factor, channels, diagonal, stacked
from toeplitz.bilinear import Bilinear
from toeplitz.conv import Conv
from toeplitz.memory import fits
from toeplitz.sparse import Sparse

MODES = ("constant", "reflect", "replicate", "circular")


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
            object.__setattr__(self, name, arguments.integer(name, getattr(self, name), 1))

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

    @cached_property
    def _factor(self) -> Factor:
        return channels(self.in_features, self.out_features, 1)

    def matrix(self, w: Any) -> Sparse:
        """T(w): w (out_features, in_features) as a CSR array, its zeros stored too."""
        (w,) = together(w=w)
        shaped("w", w, self.weight_shape, "the weight shape")
        storable("w", w)
        fits(w.size * (w.dtype.itemsize + 4), w, "the csr matrix", self, "use w itself")
        return sparse.wrap(sparse.compressed([self._factor], w.ravel()))

    def unfolded(self, x: Any) -> Sparse:
        """U(x), the sparse matrix with y.ravel() = U(x) @ w.ravel(): I ⊗ xᵀ for each item."""
        (x,) = together(x=x)
        storable("x", x)
        items = batched("x", x, self.input_shape)
        factor = self._factor
        swapped = Factor(self.macs, factor.value, factor.column, factor.count, repeats=True)
        need = len(items) * self.macs * (x.dtype.itemsize + 4)
        fits(need, x, "unfolded(x)", self, "take fewer items")
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
        return g.reshape(x.shape)

    def matrix(self, size: int | None = None, dtype: Any = np.float64) -> Sparse:
        """The identity; size is needed when the layer has no input_shape."""
        if size is None:
            if self.input_shape is None:
                raise ValueError("size is needed: Flatten() does not know its input_shape")
            size = prod(self.input_shape)
        return _diagonal(np.ones(arguments.integer("size", size, 0), dtype))

    def linearize(self, x: Any) -> Affine:
        """The identity as an affine map of x.ravel()."""
        (x,) = together(x=x)
        _items(x, self.input_shape)
        one = namespace(x).ones(x.size, working(x.dtype))
        return Affine(_diagonal(one), namespace(x).zeros(x.size, one.dtype))


@dataclass(frozen=True)
class ReLU:
    """The rectifier max(x, 0); at x its matrix is the 0/1 diagonal of x > 0.

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
        """g where x > 0, else 0."""
        x = self._real(x)
        g, x = together(g=g, x=x)
        shaped("g", g, x.shape, "the shape of x")
        return namespace(x).where(x > 0, g, g.dtype.type(0))

    def matrix(self, x: Any, dtype: Any = np.float64) -> Sparse:
        """The diagonal 0/1 CSR matrix D(x) with max(x, 0) = D(x) x; its zeros are stored."""
        x = self._real(x)
        return _diagonal((x > 0).ravel().astype(dtype))

    def linearize(self, x: Any) -> Affine:
        """The layer near x as an affine map of x.ravel(): D(x), and no shift."""
        x = self._real(x)
        matrix = self.matrix(x, np.float64 if x.dtype.kind in "iu" else working(x.dtype))
        return Affine(matrix, namespace(x).zeros(x.size, matrix.dtype))

    def _real(self, x: Any) -> Array:
        (x,) = together(x=x)
        if x.dtype.kind == "c":
            raise TypeError(f"x must be real, got {x.dtype}")
        _items(x, self.input_shape)
        return x


@dataclass(frozen=True, init=False, repr=False)
class Pad:
    """A padding layer: each output copies one input, or holds the constant value.

    input_shape: (C, *S). padding: an integer, one for each spatial axis, or (before, after) pairs;
    negative ones crop. mode: "constant", "reflect", "replicate" or "circular".
    Its matrix is that of a depthwise 1x1 convolution with weight 1.

    >>> import numpy as np, toeplitz
    >>> pad = toeplitz.Pad((1, 3), ((1, 2),), "reflect")
    >>> pad.apply(np.array([[1, 2, 3]]))
    array([[2, 1, 2, 3, 2, 1]])
    """

    input_shape: tuple[int, ...]
    padding: Pairs
    mode: str
    value: float

    def __init__(
        self,
        input_shape: tuple[int, ...],
        padding: Padding,
        mode: str = "constant",
        value: float = 0,
    ) -> None:
        inputs = arguments.input_shape(input_shape)
        sides = arguments.pairs("padding", padding, len(inputs) - 1)
        mode = arguments.choice("mode", mode, MODES)
        if isinstance(value, bool) or not isinstance(value, int | float | complex | np.number):
            raise TypeError(f"value must be a number, got {value!r}")
        if value != 0 and mode != "constant":
            raise ValueError(f'value must be 0 unless mode="constant": got {value} for "{mode}"')
        for axis, (size, (before, after)) in enumerate(zip(inputs[1:], sides, strict=True)):
            if size + before + after < 1:
                raise ValueError(
                    f"padding leaves nothing of spatial axis {axis}: "
                    f"{size} + {before} + {after} = {size + before + after}; crop less"
                )
        for name, field in zip(("input_shape", "padding", "mode", "value"),
                               (inputs, sides, mode, value), strict=True):  # fmt: skip
            object.__setattr__(self, name, field)
        self.conv  # noqa: B018  # refuses what a convolution with this padding would

    def __repr__(self) -> str:
        return arguments.call(self, ("input_shape", "padding"), mode="constant", value=0)

    @cached_property
    def conv(self) -> Conv:
        """The depthwise convolution whose matrix this is."""
        number = self.input_shape[0]
        return Conv(
            self.input_shape,
            (number, 1, *[1] * (len(self.input_shape) - 1)),
            padding=self.padding,
            groups=number,
            padding_mode="zeros" if self.mode == "constant" else self.mode,
        )

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.conv.output_shape

    def matrix(self, dtype: Any = np.float64) -> Sparse:
        """The 0/1 CSR matrix with at most one entry in each row."""
        return self.conv.matrix(np.ones(self.conv.weight_shape, dtype))

    def apply(self, x: Any) -> Array:
        """The padded x: (N, C, *S) or (C, *S), of x's dtype."""
        (x,) = together(x=x)
        y = self.conv.apply(x, self._ones(x, x.dtype))
        if not self.value:
            return y
        filled = namespace(x).asarray(self._constant(), dtype=x.dtype).reshape(self.output_shape)
        return y + filled

    def gradient(self, g: Any, x: Any) -> Array:
        """The matrix's transpose times g, of x's shape."""
        g, x = together(g=g, x=x)
        items = batched("x", x, self.input_shape)
        upstream = batched("g", g, self.output_shape)
        same_batch(g, x, len(self.input_shape))
        result = np.result_type(g.dtype, x.dtype)
        matrix = self.conv.matrix(self._ones(x, working(result)))
        rows = upstream.reshape(len(items), prod(self.output_shape))
        grad = sparse.times(matrix.T, rows.astype(working(result), copy=False))
        return grad.astype(result, copy=False).reshape(x.shape)

    def linearize(self, x: Any) -> Affine:
        """The layer as an affine map of x.ravel()."""
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        xp = namespace(x)
        matrix = self.conv.matrix(self._ones(x, working(x.dtype)))
        matrix = repeated(matrix, len(items) if items is x else None)
        return Affine(matrix, xp.tile(xp.asarray(self._constant(), matrix.dtype), len(items)))

    def _ones(self, x: Array, dtype: Any) -> Array:
        return namespace(x).ones(self.conv.weight_shape, dtype)

    def _constant(self) -> Array:
        """The value at each output that copies no input, flat."""
        entries = np.diff(self.conv.matrix(np.ones(self.conv.weight_shape, np.int8)).indptr)
        return np.where(entries == 0, self.value, 0)


def _item_shape(value: Any) -> tuple[int, ...] | None:
    return None if value is None else arguments.shape("input_shape", value, "the item's shape", 1)


def _items(x: Array, input_shape: tuple[int, ...] | None) -> int | None:
    """The number of items of x, None for a single one without a batch axis."""
    if input_shape is None:
        if x.ndim == 0:
            raise ValueError("x must have a batch axis, got a single number")
        return len(x)
    return None if x.shape == input_shape else len(batched("x", x, input_shape))


def _diagonal(values: Array) -> Sparse:
    return sparse.wrap(sparse.compressed([diagonal(len(values))], values))
