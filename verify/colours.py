"""Impulses that share one item: so far apart that no output reads two of them.

After Curtis, Powell and Reid, On the Estimation of Sparse Jacobian Matrices, 1974, but for what is
not known here: where the outputs of a wrong implementation read. So the impulses of a colour are
spread evenly, and a second item numbers them: what an output gives there, divided by what it gave
for the ones, is the number of the impulse that it reads, wherever that lies.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from toeplitz import ConvTranspose, Linear
from verify.ops import Layer

CHUNK = 1 << 22  # numbers in the arrays of one call


@dataclass(frozen=True)
class Colouring:
    """The positions of one channel, by colour.

    order: flat positions, those of colour 0 first. starts: where each colour begins in order, and
    its end.
    """

    order: Any
    starts: Any

    @property
    def count(self) -> int:
        return len(self.starts) - 1

    @property
    def most(self) -> int:
        """The positions of the largest colour."""
        return int(np.max(np.diff(self.starts), initial=0))

    def members(self, colour: int) -> Any:
        return self.order[self.starts[colour] : self.starts[colour + 1]]


def coloured(sizes: tuple[int, ...], apart: tuple[int, ...]) -> Colouring:
    """Positions of one colour lie so far apart along some axis, around the ends too.

    >>> coloured((7,), (3,)).order
    array([0, 3, 1, 4, 2, 5, 6])
    """
    colour = np.zeros(sizes, np.intp)
    for axis, (size, least) in enumerate(zip(sizes, apart, strict=True)):
        blocks = max(1, size // least)
        bounds = np.arange(blocks + 1) * size // blocks
        offset = np.arange(size) - np.repeat(bounds[:-1], np.diff(bounds))
        shape = [1] * len(sizes)
        shape[axis] = size
        colour = colour * int(offset.max() + 1) + offset.reshape(shape)
    flat = colour.ravel()
    order = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[order], np.arange(int(flat.max()) + 2))
    return Colouring(order, starts)


def reach(layer: Layer) -> tuple[int, ...]:
    """How many neighbouring inputs one output may read, along each axis."""
    if isinstance(layer, Linear):
        return ()
    steps = layer.stride if isinstance(layer, ConvTranspose) else (1,) * len(layer.stride)
    kernel = layer.weight_shape[2:]
    axes = zip(kernel, layer.dilation, steps, strict=True)
    return tuple(d * (k - 1) // s + 1 for k, d, s in axes)


def colourings(layer: Layer) -> list[Colouring]:
    """The colourings to try: the wider ones forgive more, the last is one impulse at a time.

    The first keeps one cell more between impulses than the layer needs. A colouring that saves
    nothing is left out, and all are where one call holds every impulse.
    """
    sizes = layer.input_shape[1:]
    size, positions = prod(layer.input_shape), prod(sizes)
    alone = Colouring(np.arange(positions), np.arange(positions + 1))
    if size * size <= CHUNK:
        return [alone]
    near = reach(layer)
    spacings = [tuple(n + 1 for n in near), *(tuple(k * n for n in near) for k in (2, 4))]
    tried = [coloured(sizes, spacing) for spacing in spacings]
    return [one for one in tried if 2 * one.count < positions] + [alone]
