"""The structured product: T(w) = (W ⊗ I) E as a LinearOperator, the matrix never built."""

from collections.abc import Iterator
from importlib import import_module
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from toeplitz import sparse
from toeplitz.arrays import Array, namespace, sparse_namespace
from toeplitz.conv import Conv
from toeplitz.geometry import patch_factor
from toeplitz.sparse import Sparse

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

BLOCK = 1 << 23  # entries of the patches that are held at a time


def operator(conv: Conv, w: Array) -> "LinearOperator":
    """The LinearOperator of T(w): matvec, rmatvec, matmat, rmatmat, .T and .H."""
    product = _Product(conv, w)
    library = sparse_namespace(w).__name__
    linalg = import_module(f"{library}.linalg")
    return linalg.LinearOperator(  # type: ignore[no-any-return]  # imported by name
        (prod(conv.output_shape), prod(conv.input_shape)),
        matvec=product.forward,
        rmatvec=product.adjoint,
        matmat=product.forward,
        rmatmat=product.adjoint,
        dtype=w.dtype,
    )


class _Product:
    """Both products, with the patches made for a block of output positions at a time."""

    def __init__(self, conv: Conv, w: Array) -> None:
        xp = namespace(w)
        self.conv = conv
        self.taps = prod(conv.kernel_size)
        self.inputs = prod(conv.input_shape[1:])
        self.outputs = prod(conv.output_shape[1:])
        self.width = conv.weight_shape[1]
        self.height = conv.out_channels // conv.groups
        # (G, O/G, K * C/G): taps before channels, the order in which E gives them.
        split = w.reshape(conv.groups, self.height, self.width, self.taps)
        self.weights = xp.moveaxis(split, 3, 2).reshape(
            conv.groups, self.height, self.taps * self.width
        )
        factors = (patch_factor(conv, taps_first=False),)
        self.patches = sparse.wrap(sparse.compressed(factors, xp.ones(1, w.dtype)))

    def forward(self, x: Array) -> Array:
        """T(w) @ x for x (inputs,) or (inputs, N)."""
        conv, xp = self.conv, namespace(x)
        items = prod(x.shape[1:])
        pixels = xp.moveaxis(x.reshape(conv.in_channels, self.inputs, items), 1, 0)
        pixels = pixels.reshape(self.inputs, conv.in_channels * items)
        dtype = np.result_type(x.dtype, self.weights.dtype)
        y = xp.empty((conv.groups, self.height, self.outputs, items), dtype)
        for start, stop, patches in self._blocks(items):
            grid = (stop - start, self.taps, conv.groups, self.width, items)
            seen = (patches @ pixels).reshape(grid).transpose(2, 1, 3, 0, 4)
            columns = seen.reshape(conv.groups, self.taps * self.width, (stop - start) * items)
            product = self.weights @ columns
            y[:, :, start:stop] = product.reshape(*y.shape[:2], stop - start, items)
        return y.reshape(conv.out_channels * self.outputs, *x.shape[1:])

    def adjoint(self, g: Array) -> Array:
        """T(w)ᴴ @ g for g (outputs,) or (outputs, N)."""
        conv, xp = self.conv, namespace(g)
        items = prod(g.shape[1:])
        upstream = g.reshape(conv.groups, self.height, self.outputs, items)
        dtype = np.result_type(g.dtype, self.weights.dtype)
        pixels = xp.zeros((self.inputs, conv.in_channels * items), dtype)
        weights = self.weights.conj().transpose(0, 2, 1)
        for start, stop, patches in self._blocks(items):
            rows = upstream[:, :, start:stop].reshape(
                conv.groups, self.height, (stop - start) * items
            )
            grid = (conv.groups, self.taps, self.width, stop - start, items)
            sent = (weights @ rows).reshape(grid).transpose(3, 1, 0, 2, 4)
            pixels += patches.T @ sent.reshape(patches.shape[0], conv.in_channels * items)
        x = xp.moveaxis(pixels.reshape(self.inputs, conv.in_channels, items), 1, 0)
        return x.reshape(conv.in_channels * self.inputs, *g.shape[1:])

    def _blocks(self, items: int) -> Iterator[tuple[int, int, Sparse]]:
        """Ranges of output positions, each with its rows of E."""
        step = max(1, BLOCK // max(1, self.taps * self.conv.in_channels * items))
        for start in range(0, self.outputs, step):
            stop = min(start + step, self.outputs)
            yield start, stop, self.patches[start * self.taps : stop * self.taps]
