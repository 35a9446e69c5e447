"""The structured product by im2col: any dtype and any array library, a batch of items at a time."""

from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from toeplitz.arrays import Array, namespace
from toeplitz.conv import Conv
from toeplitz.geometry import patch_factor
from toeplitz.operators.lanes import Lanes

HELD = {"numpy": 1 << 24, "cupy": 1 << 28}  # bytes of patches that are held at a time


class Patches:
    """T(w) x, T(w)ᴴ g and U(x)ᴴ g for items (N, C, *S) and (N, O, *P).

    The inputs that the windows read are gathered once, (N, G, C/G * taps, positions), and one
    batched product of matrices does the rest.
    """

    def __init__(self, conv: Conv) -> None:
        self.conv = conv
        self.positions = prod(conv.output_shape[1:])
        self.inner = prod(conv.weight_shape[1:])
        self.height = conv.out_channels // conv.groups

    def forward(self, x: Array, w: Array) -> Array:
        xp = namespace(x)
        weights = w.reshape(self.conv.groups, self.height, self.inner)
        y = xp.empty((len(x), *self.conv.output_shape), np.result_type(x.dtype, w.dtype))
        for some in self._parts(y):
            products = weights @ self._gathered(x[some])
            y[some] = products.reshape(y[some].shape)
        return y

    def adjoint(self, g: Array, w: Array) -> Array:
        xp, conv = namespace(g), self.conv
        weights = w.reshape(conv.groups, self.height, self.inner).conj().swapaxes(1, 2)
        x = xp.zeros((len(g), *conv.input_shape), np.result_type(g.dtype, w.dtype))
        for some in self._parts(x):
            upstream = g[some].reshape(-1, conv.groups, self.height, self.positions)
            sent = (weights @ upstream).reshape(
                -1, conv.in_channels, *conv.kernel_size, *conv.output_shape[1:]
            )
            for taps, outputs, inputs in self._folds:
                x[some][(..., *inputs)] += sent[(slice(None), slice(None), *taps, *outputs)]
        return x

    def weight_gradient(self, g: Array, x: Array) -> Array:
        xp = namespace(g)
        total = xp.zeros(
            (self.conv.groups, self.height, self.inner), np.result_type(g.dtype, x.dtype)
        )
        for some in self._parts(x):
            upstream = g[some].reshape(-1, self.conv.groups, self.height, self.positions)
            seen = self._gathered(x[some]).conj().swapaxes(2, 3)
            total += (upstream @ seen).sum(axis=0)
        return total.reshape(self.conv.weight_shape)

    def _parts(self, like: Array) -> list[slice]:
        """The items cut so that their patches are not too many."""
        item = self.conv.groups * self.inner * self.positions * like.dtype.itemsize
        step = max(1, HELD[namespace(like).__name__] // max(1, item))
        return [slice(first, first + step) for first in range(0, len(like), step)]

    def _gathered(self, x: Array) -> Array:
        xp = namespace(x)
        channels = self.conv.in_channels
        flat = x.reshape(len(x) * channels, -1)
        zero = xp.zeros((len(flat), 1), x.dtype)
        seen = xp.take(xp.concatenate([flat, zero], axis=1), xp.asarray(self._sources), axis=1)
        return seen.reshape(len(x), self.conv.groups, self.inner, self.positions)

    @cached_property
    def _sources(self) -> Array:
        """For each tap and position the input that is read, or the zero behind the last."""
        factor = patch_factor(self.conv)
        return np.where(factor.count > 0, factor.column[:, 0], factor.columns)

    @cached_property
    def _folds(self) -> list[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
        """For each tap the outputs that read through it, and their inputs, as slices."""
        axes = [Lanes.of(axis, True) for axis in self.conv.axes]
        moves = [axis.moves(0, axis.outputs) for axis in axes]
        return [
            (tuple(m.lane for m in some), tuple(m.inside for m in some),
             tuple(m.source for m in some))
            for some in product(*moves)
        ]  # fmt: skip
