"""Conv: a convolution layer, its matrices, and what comes out of them."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toeplitz import sparse
from toeplitz.arguments import choice
from toeplitz.arrays import (
    Array,
    batched,
    flat,
    namespace,
    number_dtype,
    one_of,
    returned,
    shaped,
    storable,
    storable_dtype,
    together,
    working,
)
from toeplitz.axis import Indices
from toeplitz.cost import LAYOUTS, Cost
from toeplitz.factors import Factor, across, channels, diagonal, stacked
from toeplitz.geometry import Geometry, patch_factor
from toeplitz.memory import fits
from toeplitz.pattern import Arrangement
from toeplitz.products import Explicit
from toeplitz.sparse import Sparse

if TYPE_CHECKING:
    import sympy
    from scipy.sparse.linalg import LinearOperator

UNFOLDED = 1 << 25  # entries of U(x) that are held at a time


class Triples(NamedTuple):
    """Flat numbers, one of each per multiply-add: output o reads input i through weight k.

    >>> import toeplitz
    >>> triples = toeplitz.Conv((1, 3), (1, 1, 2)).triples()
    >>> triples.output, triples.input, triples.weight
    (array([0, 0, 1, 1]), array([0, 1, 1, 2]), array([0, 1, 0, 1]))
    """

    output: Indices
    input: Indices
    weight: Indices


@dataclass(frozen=True, init=False, repr=False)
class Conv(Geometry, Explicit):
    """A convolution (cross-correlation, as in deep learning) of one geometry, any number of axes.

    y[o, p] = b[o] + sum over i, t of w[o, i, t] * x[group(o) * C / G + i, p * stride +
    t * dilation - before], with the padding mode saying what stands outside the input.
    `Conv` holds no weights: it is hashable, and `eval(repr(conv)) == conv`.

    input_shape: (C, *S), channels and spatial sizes of one item.
    weight_shape: (O, C / groups, *K).
    stride, dilation, input_dilation: an integer or one for each spatial axis. input_dilation
        puts zeros between the inputs, before any padding (JAX's lhs_dilation).
    padding: an integer, one for each axis, (before, after) pairs (negative ones crop), or
        "valid" (none), "full", "same" (stride 1, as PyTorch), "same_upper" and "same_lower"
        (ceil(N / stride) outputs, the odd one after or before; ONNX, TensorFlow).
    groups: input and output channels are split into so many independent groups.
    padding_mode: "zeros", "circular", "reflect" or "replicate".

    Errors: TypeError, ValueError before any work.
    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.

    >>> import toeplitz
    >>> conv = toeplitz.Conv((3, 32, 32), (10, 3, 5, 5), padding=2)
    >>> conv.output_shape, conv.parameters, conv.macs, conv.triple_count
    ((10, 32, 32), 760, 768000, 711480)
    """

    def arrangement(self, format: str, layout: str) -> Arrangement:
        """The order of T(w)'s factors and of the weights."""
        return Arrangement(self, False, format, layout)

    def unfolded(self, x: Any) -> Sparse:
        """U(x), the sparse matrix with y.ravel() = U(x) @ w.ravel(): im2col as a matrix.

        x: (C, *S), or (N, C, *S) for all items below each other. Returns a CSR array
        (N * O * prod(P), O * C/G * prod(K)) of x's dtype, with `U(x) @ w == T(w) @ x`.

        >>> import numpy as np, toeplitz
        >>> conv = toeplitz.Conv((1, 5), (1, 1, 3))
        >>> conv.unfolded(np.arange(5).reshape(1, 5)).toarray()
        array([[0, 1, 2],
               [1, 2, 3],
               [2, 3, 4]])
        """
        (x,) = together(x=x)
        storable("x", x)
        items = batched("x", x, self.input_shape)
        need = len(items) * self.triple_count * (x.dtype.itemsize + 4) + self.table_bytes
        fits(need, x, "unfolded(x)", self, "use patches(x), or fewer items")
        lead = channels(self.in_channels, self.out_channels, self.groups)
        # Here the channel's columns are weights and its values are inputs.
        lead = Factor(lead.value.size, lead.value, lead.column, lead.count, repeats=True)
        factors = (stacked(len(items)), lead, *self.weight_factors)
        return sparse.wrap(sparse.compressed(factors, items))

    def _unfolded_groups(self, items: Array) -> Sparse:
        """U(x) without its repetition over a group's output channels.

        U(x) is block diagonal with the same block for each output channel of a group; this
        matrix (G * N * prod(P), G * C/G * prod(K)) holds each block once.
        """
        width = self.weight_shape[1]
        split = items.reshape(len(items), self.groups, width, *self.input_shape[1:])
        values = namespace(items).moveaxis(split, 1, 0)
        lead = (diagonal(self.groups), stacked(len(items)), across(width))
        return sparse.wrap(sparse.compressed((*lead, *self.weight_factors), values))

    def unfolding(self, dtype: Any = np.float64) -> Sparse:
        """E, the 0/1 matrix with patches = E @ x; its transpose folds patches back.

        Returns a CSR array (C * prod(K) * prod(P), C * prod(S)). Rows are ordered (channel,
        taps, positions) as the rows of PyTorch's unfold. With W the weights as a (block)
        matrix, T(w) = (W ⊗ I) E.

        >>> import toeplitz
        >>> toeplitz.Conv((1, 3), (1, 1, 2)).unfolding(int).toarray()
        array([[1, 0, 0],
               [0, 1, 0],
               [0, 1, 0],
               [0, 0, 1]])
        """
        return self._unfolding(one_of(dtype))

    def _unfolding(self, one: Array) -> Sparse:
        xp = namespace(one)
        storable_dtype(one)
        windows = prod(self.output_shape[1:]) * prod(self.kernel_size)
        need = self.in_channels * windows * (one.dtype.itemsize + 8) + 24 * windows
        fits(need + self.table_bytes, one, "unfolding()", self, "take a smaller input_shape")
        factors = (diagonal(self.in_channels), patch_factor(self))
        return sparse.wrap(sparse.compressed(factors, xp.full((self.in_channels, 1), one)))

    def patches(self, x: Any) -> Array:
        """E @ x as PyTorch's unfold gives it: (N, C * prod(K), prod(P)), or without N."""
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        exact = items.astype(working(x.dtype), copy=False)
        matrix = self._unfolding(namespace(x).ones((), exact.dtype))
        seen = sparse.times(matrix, flat(exact)).astype(x.dtype, copy=False)
        rows = self.in_channels * prod(self.kernel_size)
        patches = seen.reshape(len(items), rows, prod(self.output_shape[1:]))
        return patches if items is x else patches[0]

    def fold(self, patches: Any) -> Array:
        """Eᵀ @ patches: each patch added where it came from; (N, C, *S), or without N."""
        (patches,) = together(patches=patches)
        shape = (self.in_channels * prod(self.kernel_size), prod(self.output_shape[1:]))
        items = batched("patches", patches, shape)
        exact = items.astype(working(patches.dtype), copy=False)
        matrix = self._unfolding(namespace(patches).ones((), exact.dtype))
        folded = sparse.times(matrix.T, flat(exact))
        x = returned(folded, patches.dtype).reshape(len(items), *self.input_shape)
        return x if items is patches else x[0]

    def triples(self) -> Triples:
        """All (output, input, weight) triples as flat numbers, ordered by output, then weight.

        >>> import toeplitz
        >>> conv = toeplitz.Conv((1, 3), (1, 1, 3), padding=1)
        >>> list(zip(*(column.tolist() for column in conv.triples())))
        [(0, 0, 1), (0, 1, 2), (1, 0, 0), (1, 1, 1), (1, 2, 2), (2, 1, 0), (2, 2, 1)]
        """
        fits(24 * self.triple_count, None, "triples()", self, "use operator(w)")
        numbers = np.arange(prod(self.input_shape)).reshape(self.input_shape)
        table = self.unfolded(numbers)
        output = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
        return Triples(output, table.data.astype(np.intp), table.indices.astype(np.intp))

    def weight_gradient(self, g: Array, x: Array) -> Array:
        """U(x)ᴴ g, summed over the items of checked arrays g (N, *output) and x (N, *input)."""
        xp = namespace(x)
        height = self.out_channels // self.groups
        per_item = max(1, self.triple_count // self.out_channels * self.groups)
        step = max(1, UNFOLDED // per_item)
        total = xp.zeros(self.weight_shape, np.result_type(g.dtype, x.dtype))
        for first in range(0, len(x), step):
            some = g[first : first + step]
            unfolded = self._unfolded_groups(x[first : first + step])
            # (N, G, O/G, P) -> (O/G, G * N * P): one row for each output channel of a group.
            split = some.reshape(len(some), self.groups, height, prod(self.output_shape[1:]))
            grad = sparse.adjoint_times(unfolded, flat(split.transpose(2, 1, 0, 3)))
            grouped = grad.reshape(height, self.groups, *self.weight_shape[1:])
            total += xp.moveaxis(grouped, 1, 0).reshape(self.weight_shape)
        return total

    def operator(self, w: Any, layout: str = "channels_first") -> "LinearOperator":
        """T(w) as a LinearOperator: the same products, the matrix never built.

        Its products go through T(w) = sum over taps of shift ⊗ W. layout: how x and y are
        flattened, as for matrix(). A batch x (N, C, *S) is multiplied fastest where it lies, as
        operator @ x.reshape(N, -1).T.

        >>> import numpy as np, toeplitz
        >>> conv = toeplitz.Conv((1, 5), (1, 1, 3))
        >>> T = conv.operator(np.array([[[1.0, 2.0, 3.0]]]))
        >>> T @ np.arange(5.0), T.T @ np.ones(3)
        (array([ 8., 14., 20.]), array([1., 3., 6., 5., 3.]))
        """
        from toeplitz.operators import operator  # scipy.sparse.linalg is slow to import
        from toeplitz.operators.size import needed

        (w,) = together(w=w)
        shaped("w", w, self.weight_shape, "the weight shape")
        storable("w", w)
        choice("layout", layout, LAYOUTS)
        need = needed(self, w.dtype)
        fits(need, w, "operator(w)", self, "take a smaller input_shape")
        return operator(self, w, layout)

    def unfolded_operator(self, x: Any) -> "LinearOperator":
        """U(x) as a LinearOperator: the products of unfolded(x), which is never built.

        x: (C, *S), or (N, C, *S) for all items below each other. `U @ w` is y.ravel(), and
        `U.T @ g` the weight gradient; U.H for complex arrays.

        >>> import numpy as np, toeplitz
        >>> U = toeplitz.Conv((1, 5), (1, 1, 3)).unfolded_operator(np.arange(5.0).reshape(1, 5))
        >>> U @ np.array([1.0, 2.0, 3.0]), U.T @ np.ones(3)
        (array([ 8., 14., 20.]), array([3., 6., 9.]))
        """
        from toeplitz.operators import unfolded_operator  # scipy.sparse.linalg is slow to import

        (x,) = together(x=x)
        storable("x", x)
        return unfolded_operator(self, batched("x", x, self.input_shape))

    def cost(self, dtype: Any = np.float32) -> Cost:
        """Stored entries and bytes of T(w) in each format, before anything is built.

        dtype: that of the weights.

        >>> import toeplitz
        >>> conv = toeplitz.Conv((16, 32, 32), (16, 16, 3, 3), padding=1)
        >>> conv.cost().bytes["csr"], conv.cost("float64").bytes["csr"]
        (18161668, 27209732)
        """
        return Cost.of(self, number_dtype(dtype))

    def symbolic(self) -> "sympy.ImmutableSparseMatrix":
        """T(w) in letters: a, b, c … for up to 26 taps of one channel, else w_{o,i,k}.

        More in letters, the input, the product and the formulas, stands in `toeplitz.symbolic`.

        >>> import toeplitz
        >>> toeplitz.Conv((1, 7), (1, 1, 3), stride=2).symbolic()
        Matrix([
        [a, b, c, 0, 0, 0, 0],
        [0, 0, a, b, c, 0, 0],
        [0, 0, 0, 0, a, b, c]])
        """
        from toeplitz.symbolic import matrix  # sympy is slow to import

        return matrix(self)

    def latex(self) -> str:
        r"""symbolic() as LaTeX, each tap in its own colour (needs the xcolor package).

        >>> import toeplitz
        >>> print(toeplitz.Conv((1, 2), (1, 1, 2)).latex())
        \left[\begin{matrix}\textcolor{blue}{a} & \textcolor{red}{b}\end{matrix}\right]
        """
        from toeplitz.symbolic import latex  # sympy is slow to import

        return latex(self)
