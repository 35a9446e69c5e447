"""The structured product tap by tap: any numbers, any array library, what is not finite too."""

from collections.abc import Iterator
from functools import reduce
from math import prod

import numpy as np

from toeplitz import sparse
from toeplitz.arrays import Array, namespace
from toeplitz.axis import Indices
from toeplitz.conv import Conv

BLOCK = 1 << 23  # inputs that are gathered at a time


class Taps:
    """T(w) x and T(w)ᴴ g: W (O/G, C/G) times the inputs that the tap reads, added up.

    Padding is never multiplied, so what is not finite stays where the matrix has it.
    """

    def __init__(self, conv: Conv, w: Array) -> None:
        xp = namespace(w)
        self.inputs = prod(conv.input_shape[1:])
        self.outputs = prod(conv.output_shape[1:])
        self.groups = conv.groups
        self.width = conv.weight_shape[1]
        self.height = conv.out_channels // conv.groups
        self.taps = list(_taps(conv))
        split = w.reshape(conv.groups, self.height, self.width, len(self.taps))
        self.weights = xp.moveaxis(split, 3, 0).copy()

    def forward(self, x: Array) -> Array:
        """T(w) @ x for x (inputs,) or (inputs, N)."""
        xp = namespace(x)
        items = prod(x.shape[1:])
        pixels = x.reshape(self.groups, self.width, self.inputs, items)
        dtype = np.result_type(x.dtype, self.weights.dtype)
        y = xp.zeros((self.groups, self.height, self.outputs, items), dtype)
        for weight, outputs, inputs in self._parts(items):
            read = pixels[:, :, inputs].reshape(self.groups, self.width, len(inputs) * items)
            y[:, :, outputs] += (weight @ read).reshape(*y.shape[:2], len(outputs), items)
        return y.reshape(self.groups * self.height * self.outputs, *x.shape[1:])

    def adjoint(self, g: Array) -> Array:
        """T(w)ᴴ @ g for g (outputs,) or (outputs, N)."""
        xp = namespace(g)
        items = prod(g.shape[1:])
        upstream = g.reshape(self.groups, self.height, self.outputs, items)
        dtype = np.result_type(g.dtype, self.weights.dtype)
        x = xp.zeros((self.inputs, self.groups * self.width * items), dtype)
        for weight, outputs, inputs in self._parts(items):
            some = upstream[:, :, outputs].reshape(self.groups, self.height, len(outputs) * items)
            sent = weight.conj().transpose(0, 2, 1) @ some
            split = sent.reshape(self.groups, self.width, len(outputs), items)
            rows = split.transpose(2, 0, 1, 3).reshape(len(outputs), x.shape[1])
            # Two outputs may read one input through the same tap: add, do not assign.
            x += _selection(inputs, self.inputs, rows) @ rows
        grid = (self.inputs, self.groups * self.width, items)
        folded = xp.moveaxis(x.reshape(grid), 0, 1)
        return folded.reshape(self.groups * self.width * self.inputs, *g.shape[1:])

    def _parts(self, items: int) -> Iterator[tuple[Array, Indices, Indices]]:
        """The weights of each tap, with a block of its outputs and the inputs they read."""
        step = max(1, BLOCK // max(1, self.groups * self.width * items))
        for weight, (outputs, inputs) in zip(self.weights, self.taps, strict=True):
            for start in range(0, len(outputs), step):
                part = slice(start, start + step)
                yield weight, outputs[part], inputs[part]


def _taps(conv: Conv) -> Iterator[tuple[Indices, Indices]]:
    """For each tap the flat positions of the outputs that read through it, and of their inputs."""
    axes = []
    for axis, (output, input, tap) in conv.axis_triples():
        reads = [(output[tap == t], input[tap == t]) for t in range(axis.kernel)]
        axes.append((axis.windows, axis.size, reads))
    for index in np.ndindex(conv.kernel_size):
        chosen = [
            (windows, size, *reads[t])
            for (windows, size, reads), t in zip(axes, index, strict=True)
        ]
        yield (
            reduce(lambda flat, a: np.add.outer(flat * a[0], a[2]), chosen, np.intp(0)).ravel(),
            reduce(lambda flat, a: np.add.outer(flat * a[1], a[3]), chosen, np.intp(0)).ravel(),
        )


def _selection(inputs: Indices, size: int, like: Array) -> sparse.Sparse:
    """The 0/1 matrix (size, inputs) that adds row j to position inputs[j]."""
    xp = namespace(like)
    arrays = sparse.Compressed(
        xp.ones(len(inputs), like.dtype),
        xp.asarray(inputs),
        xp.arange(len(inputs) + 1),
        (len(inputs), size),
    )
    return sparse.wrap(arrays).T
