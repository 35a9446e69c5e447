"""T(w) and U(x) as LinearOperators: the products of the matrices, which are never built."""

from functools import cache, cached_property, partial
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from toeplitz import blas
from toeplitz.arrays import Array, DType, columns, flat, namespace, sparse_namespace
from toeplitz.compiled import loops
from toeplitz.conv import Conv
from toeplitz.operators.backward import Backward, invertible
from toeplitz.operators.gradient import WeightGradient
from toeplitz.operators.patches import Patches
from toeplitz.operators.size import countable
from toeplitz.operators.structured import Structured
from toeplitz.operators.taps import Taps

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

COLUMNS = 16  # that are turned at a time, where items lie innermost and their channels too


def operator(conv: Conv, w: Array, layout: str) -> "LinearOperator":
    """The LinearOperator of T(w): matvec, rmatvec, matmat, rmatmat, .T and .H."""
    shape = prod(conv.output_shape), prod(conv.input_shape)
    kind = _linear(sparse_namespace(w).__name__)
    return kind(shape, w.dtype, _Forward(conv, w.copy(), layout))  # type: ignore[no-any-return]  # imported by name


def unfolded_operator(conv: Conv, x: Array) -> "LinearOperator":
    """The LinearOperator of U(x) for items x (N, *input): matvec, rmatvec and the others."""
    shape = len(x) * prod(conv.output_shape), conv.weight_count
    kind = _linear(sparse_namespace(x).__name__)
    return kind(shape, x.dtype, _Unfolded(conv, x.copy()))  # type: ignore[no-any-return]  # imported by name


@cache
def _linear(library: str) -> Any:
    """The LinearOperator of a sparse library, made of two products."""
    base: Any = import_module(f"{library}.linalg").LinearOperator

    class Operator(base):  # type: ignore[misc]  # imported by name
        def __init__(self, shape: tuple[int, int], dtype: DType, product: Any) -> None:
            super().__init__(dtype, shape)
            self.product = product

        def _matvec(self, x: Array) -> Array:
            return self.product.times(x)

        def _rmatvec(self, g: Array) -> Array:
            return self.product.adjoint_times(g)

        def _matmat(self, x: Array) -> Array:
            if self.product.wide:
                return self.product.times(x)
            return super()._matmat(x)

        def _rmatmat(self, g: Array) -> Array:
            if self.product.wide:
                return self.product.adjoint_times(g)
            return super()._rmatmat(g)

        def _adjoint(self) -> Any:
            return Operator(self.shape[::-1], self.dtype, _Turned(self.product))

        def _transpose(self) -> Any:
            # scipy's own conjugates, which copies real numbers twice.
            return super()._transpose() if self.dtype.kind == "c" else self._adjoint()

        def dot(self, x: Any) -> Any:
            columns("x", x, self.shape[1])
            if type(x) is np.ndarray and (x.ndim == 1 or (x.ndim == 2 and self.product.wide)):
                return self.product.times(x)  # what comes to the same, in a tenth of the steps
            return super().dot(x)

        def __matmul__(self, x: Any) -> Any:
            if type(x) is np.ndarray:
                return self.dot(x)
            columns("x", x, self.shape[1])
            return super().__matmul__(x)

    return Operator


def has_blocks(conv: Conv, array: Array, dtype: DType) -> bool:
    """Whether the products of a dtype go by way of BLAS."""
    return namespace(array) is np and blas.routine(dtype) is not None and countable(conv)


class _Forward:
    """The products with T(w)."""

    wide = True  # takes several columns at a time

    def __init__(self, conv: Conv, w: Array, layout: str) -> None:
        self.conv, self.w, self.last = conv, w, layout == "channels_last"
        self.layout = layout
        self.finite = bool(namespace(w).isfinite(w).all())
        self.has_blocks = cache(partial(has_blocks, conv, w))
        self._made: dict[tuple[DType, bool], tuple[Any, Any]] = {}

    def times(self, x: Array) -> Array:
        """T(w) @ x for x (inputs,) or (inputs, N)."""
        return self._times(x, False)

    def adjoint_times(self, g: Array) -> Array:
        """T(w)ᴴ @ g for g (outputs,) or (outputs, N)."""
        return self._times(g, True)

    def _times(self, x: Array, adjoint: bool) -> Array:
        dtype = np.result_type(x.dtype, self.w.dtype)
        if not (x.size and self.finite and namespace(x) is np and self.has_blocks(dtype)):
            return self._plainly(x, adjoint)
        blocks, weights = self._blocks(dtype, adjoint)
        run = blocks.adjoint if adjoint else blocks.forward
        shape = self.conv.output_shape if adjoint else self.conv.input_shape
        item = (*shape[1:], shape[0]) if self.last else shape
        if x.ndim == 1 or x.shape[1] == 1:
            return run(x.reshape(1, *item), weights).reshape(-1, *x.shape[1:])
        if x.T.flags.c_contiguous:  # each column an item that lies by itself
            y = run(x.T.reshape(-1, *item), weights)
            return y.reshape(len(y), -1).T
        if not self.last:
            return run(x.reshape(*item, -1), weights, True).reshape(-1, x.shape[1])
        y = np.empty((prod(self.conv.input_shape if adjoint else self.conv.output_shape),
                      x.shape[1]), dtype)  # fmt: skip
        for first in range(0, x.shape[1], COLUMNS):
            some = np.ascontiguousarray(x[:, first : first + COLUMNS].T).reshape(-1, *item)
            y[:, first : first + COLUMNS] = flat(run(some, weights)).T
        return y

    def _blocks(self, dtype: DType, adjoint: bool) -> tuple[Any, Any]:
        """The products, and the weights as they take them."""
        if (dtype, adjoint) not in self._made:
            blocks: Structured | Backward
            if adjoint and loops(self.conv.macs) and invertible(self.conv):
                blocks = Backward(self.conv, self.layout, dtype)
            else:
                kind = "adjoint" if adjoint else "forward"
                blocks = Structured(self.conv, self.layout, dtype, kind)
            self._made[dtype, adjoint] = blocks, blocks.weights(self.w)
        return self._made[dtype, adjoint]

    def _plainly(self, x: Array, adjoint: bool) -> Array:
        """The same for what BLAS cannot do."""
        shapes = self.conv.output_shape, self.conv.input_shape
        of_x, of_y = shapes if adjoint else shapes[::-1]
        items = int(prod(x.shape[1:]))
        batch = x.reshape(prod(of_x), items).T
        if self.last:
            batch = namespace(x).moveaxis(batch.reshape(items, *of_x[1:], of_x[0]), -1, 1)
        batch = batch.reshape(items, *of_x)
        if self.finite:
            run = Patches(self.conv).adjoint if adjoint else Patches(self.conv).forward
            y = run(batch, self.w)
        else:
            run_taps = self._taps.adjoint if adjoint else self._taps.forward
            y = run_taps(flat(batch).T).T.reshape(items, *of_y)
        if self.last:
            y = namespace(x).moveaxis(y, 1, -1)
        return flat(y).T.reshape(prod(of_y), *x.shape[1:])

    @cached_property
    def _taps(self) -> Taps:
        return Taps(self.conv, self.w)


class _Turned:
    """The products of another kind, one for the other."""

    def __init__(self, product: Any) -> None:
        self.wide = product.wide
        self.times, self.adjoint_times = product.adjoint_times, product.times


class _Unfolded:
    """The products with U(x), in channels_first."""

    wide = False

    def __init__(self, conv: Conv, x: Array) -> None:
        self.conv, self.x = conv, x
        self._made: dict[DType, WeightGradient] = {}

    def times(self, w: Array) -> Array:
        """U(x) @ w for w (weights,)."""
        weights = w.reshape(self.conv.weight_shape)
        columns = flat(self.x).T
        y = _Forward(self.conv, weights, "channels_first").times(columns)
        return y.T.reshape(-1, *w.shape[1:])

    def adjoint_times(self, g: Array) -> Array:
        """U(x)ᴴ @ g for g (N * outputs,)."""
        upstream = g.reshape(len(self.x), *self.conv.output_shape)
        dtype = np.result_type(g.dtype, self.x.dtype)
        if len(self.x) and has_blocks(self.conv, g, dtype):
            if dtype not in self._made:
                self._made[dtype] = WeightGradient(self.conv, "channels_first", dtype)
            w = self._made[dtype].times(upstream, self.x)
        else:
            w = Patches(self.conv).weight_gradient(upstream, self.x)
        if not namespace(w).isfinite(w).all():
            # A zero of the padding was multiplied, too: the matrix says where that counts.
            w = self.conv.weight_gradient(upstream, self.x)
        return w.reshape(-1, *g.shape[1:])
