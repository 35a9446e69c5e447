"""What the layers that are linear in the input and in the weights have in common."""

from abc import ABC, abstractmethod
from math import prod
from typing import Any

import numpy as np

from toeplitz import sparse
from toeplitz.affine import Affine, repeated
from toeplitz.arrays import (
    Array,
    batched,
    flat,
    namespace,
    returned,
    same_batch,
    shaped,
    together,
    working,
)
from toeplitz.sparse import Sparse


class Bilinear(ABC):
    """A layer y = T(w) x + b = U(x) w + b of one item shape; b has one entry per output channel."""

    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one output item."""

    @abstractmethod
    def matrix(self, w: Any) -> Sparse:
        """T(w)."""

    def times(self, w: Array, items: Array) -> Array:
        """T(w) applied to each row of items (N, columns)."""
        return sparse.times(self.matrix(w), items)

    @abstractmethod
    def weight_gradient(self, g: Array, x: Array) -> Array:
        """U(x)ᴴ g, summed over the items of checked arrays g (N, *output) and x (N, *input)."""

    @property
    def weight_count(self) -> int:
        return prod(self.weight_shape)

    @property
    def parameters(self) -> int:
        """Weights and one bias for each output channel."""
        return self.weight_count + self.output_shape[0]

    def apply(self, x: Any, w: Any, b: Any = None) -> Array:
        """The layer's output T(w) x + b.

        x: (N, *input_shape) or input_shape; w: weight_shape; b: one entry per output channel, or
        None. Returns (N, *output_shape), or without N, in numpy's common dtype of the three;
        float16 and bfloat16 are summed in float32 and rounded once at the end.

        >>> import numpy as np, toeplitz
        >>> conv = toeplitz.Conv((1, 3, 3), (1, 1, 2, 2))
        >>> conv.apply(np.arange(9).reshape(1, 3, 3), np.arange(4).reshape(1, 1, 2, 2))
        array([[[19, 25],
                [37, 43]]])
        """
        x, w, b = together(optional=("b",), x=x, w=w, b=b)
        items = batched("x", x, self.input_shape)
        shaped("w", w, self.weight_shape, "the weight shape")
        result = np.result_type(*(a.dtype for a in (x, w, b) if a is not None))
        dtype = working(result)
        y = self.times(w.astype(dtype, copy=False), flat(items.astype(dtype, copy=False)))
        y = y.reshape(len(items), *self.output_shape)
        if b is not None:
            y = y + self._per_channel(b.astype(dtype, copy=False))
        y = returned(y, result)
        return y if items is x else y[0]

    def gradients(self, g: Any, x: Any, w: Any) -> tuple[Array, Array, Array]:
        """What the upstream gradient g sends back: (grad_x, grad_w, grad_b).

        grad_x = T(w)ᵀ g, grad_w = U(x)ᵀ g, grad_b the sum of g over items and positions;
        conjugate transposes for complex arrays, as in PyTorch. g: (N, *output_shape), or without
        N as x is. The three have the shapes of x, w and b, and numpy's common dtype of g, x
        and w; where x or w is real, its gradient is.

        >>> import numpy as np, toeplitz
        >>> conv = toeplitz.Conv((1, 3), (1, 1, 2))
        >>> x, w = np.array([[1, 2, 4]]), np.array([[[3, 5]]])
        >>> conv.gradients(np.array([[1, 10]]), x, w)
        (array([[ 3, 35, 50]]), array([[[21, 42]]]), array([11]))
        """
        g, x, w = together(g=g, x=x, w=w)
        items = batched("x", x, self.input_shape)
        upstream = batched("g", g, self.output_shape)
        same_batch(g, x, len(self.input_shape))
        shaped("w", w, self.weight_shape, "the weight shape")
        result = np.result_type(g.dtype, x.dtype, w.dtype)
        dtype = working(result)
        upstream = upstream.astype(dtype, copy=False)
        matrix = self.matrix(w.astype(dtype, copy=False))
        grad_x = sparse.adjoint_times(matrix, flat(upstream)).reshape(x.shape)
        grad_w = self.weight_gradient(upstream, items.astype(dtype, copy=False))
        grad_b = upstream.sum(axis=(0, *range(2, upstream.ndim)), dtype=dtype)
        grad_x = grad_x if x.dtype.kind == "c" else grad_x.real
        grad_w = grad_w if w.dtype.kind == "c" else grad_w.real
        return _rounded(grad_x, result), _rounded(grad_w, result), _rounded(grad_b, result)

    def linearize(self, x: Any, w: Any, b: Any = None) -> Affine:
        """The layer as the affine map of x.ravel(): A = T(w), once for each item of x."""
        x, w, b = together(optional=("b",), x=x, w=w, b=b)
        items = batched("x", x, self.input_shape)
        xp = namespace(w)
        matrix = self.matrix(w)
        shift = xp.zeros(self.output_shape[0], w.dtype) if b is None else b
        offset = xp.broadcast_to(self._per_channel(shift), self.output_shape).ravel()
        matrix = repeated(matrix, len(items) if items is x else None)
        return Affine(matrix, xp.tile(offset, len(items)))

    def _per_channel(self, b: Array) -> Array:
        shaped("b", b, self.output_shape[:1], "one entry per output channel,")
        return b.reshape(-1, *[1] * (len(self.output_shape) - 1))


def _rounded(gradient: Array, dtype: Any) -> Array:
    real = gradient.dtype.kind != "c" and dtype.kind == "c"
    return gradient if real else returned(gradient, dtype)
