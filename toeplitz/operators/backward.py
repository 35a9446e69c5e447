"""T(w)ᴴ g as convolutions of g: what is sent back to an input is added up where it is computed.

An input is read through the taps of its lane alone, and of a lane the successive inputs by
successive outputs. So the inputs of each lane are a convolution of g with the lane's taps in
reverse, and a stride of s makes s of them.
"""

from functools import cached_property
from itertools import product, repeat
from math import prod
from typing import NamedTuple

import numpy as np

from toeplitz.arrays import Array, DType
from toeplitz.axis import Axis, Indices
from toeplitz.conv import Conv
from toeplitz.operators.lanes import Lanes
from toeplitz.operators.structured import Structured

ALL = slice(None)


class Lane(NamedTuple):
    """The inputs of one lane, the taps through which they are read in reverse, and that axis."""

    inputs: slice
    taps: Indices
    axis: Axis


class Part(NamedTuple):
    """The inputs that are of one lane on each axis."""

    inputs: tuple[slice, ...]
    taps: tuple[Indices, ...]
    products: Structured


def invertible(conv: Conv) -> bool:
    """Whether no input is read from two places of a lane."""
    return conv.padding_mode == "zeros" and all(axis.input_dilation == 1 for axis in conv.axes)


class Backward:
    """The products with T(w)ᴴ of one geometry, layout and dtype."""

    def __init__(self, conv: Conv, layout: str, dtype: DType) -> None:
        self.conv, self.dtype, self.last = conv, dtype, layout == "channels_last"
        axes = [sent_back(axis) for axis in conv.axes]
        common = [common_lanes(some) for some in axes]
        several = prod(map(len, axes)) > 1 and all(common)
        chosen = product(*common) if several else repeat(())
        self.parts = [
            self._part(some, layout, one) for some, one in zip(product(*axes), chosen, strict=False)
        ]
        # The lanes of the first part do for all.
        self.shared = several and all(part.products.summed for part in self.parts)

    def _part(self, some: tuple[Lane, ...], layout: str, chosen: tuple[Lanes, ...]) -> Part:
        axes = [lane.axis for lane in some]
        outputs, inputs = self.conv.out_channels, self.conv.weight_shape[1]
        conv = Conv(
            (outputs, *(axis.size for axis in axes)),
            (inputs * self.conv.groups, outputs // self.conv.groups, *(a.kernel for a in axes)),
            padding=[(axis.before, axis.after) for axis in axes],
            dilation=tuple(axis.dilation for axis in axes),
            groups=self.conv.groups,
        )
        products = Structured(conv, layout, self.dtype, axes=chosen)
        return Part(
            tuple(lane.inputs for lane in some), tuple(lane.taps for lane in some), products
        )

    def weights(self, w: Array) -> list[Array]:
        """w in the order of each part's products."""
        groups, shape = self.conv.groups, self.conv.weight_shape
        split = w.conj().reshape(groups, -1, *shape[1:]).swapaxes(1, 2)
        turned = split.reshape(groups * shape[1], -1, *shape[2:])
        return [
            part.products.weights(turned[(ALL, ALL, *np.ix_(*part.taps))]) for part in self.parts
        ]

    def adjoint(self, g: Array, weights: list[Array], innermost: bool = False) -> Array:
        """T(w)ᴴ g, for batches as Structured has them."""
        shape = self.conv.input_shape
        if len(self.parts) == 1 and self._everywhere:
            return self.parts[0].products.forward(g, weights[0], innermost)
        if innermost:
            sizes: tuple[int, ...] = (*shape, g.shape[-1])
        else:
            sizes = (len(g), *((*shape[1:], shape[0]) if self.last else shape))
        x = (np.empty if self._everywhere else np.zeros)(sizes, self.dtype)
        before = (ALL,) if innermost or self.last else (ALL, ALL)
        work = [
            (part.products, some, x[(*before, *part.inputs)])
            for part, some in zip(self.parts, weights, strict=True)
        ]
        calls = [(work[0], work[1:])] if self.shared else [(one, []) for one in work]
        for (products, some, inputs), others in calls:
            products.forward(g, some, innermost, inputs, others)
        return x

    @cached_property
    def _everywhere(self) -> bool:
        """Whether every input is read."""
        sizes = self.conv.input_shape[1:]
        each = (
            prod(
                len(range(*some.indices(size))) for some, size in zip(p.inputs, sizes, strict=True)
            )
            for p in self.parts
        )
        return sum(each) == prod(sizes)


def sent_back(axis: Axis) -> list[Lane]:
    """The lanes of an axis that hold inputs, read backwards."""
    position, lane, start = axis.lanes()
    found = []
    for number, positions in enumerate(position):
        cells = np.flatnonzero(positions >= 0)
        if not len(cells):
            continue
        first, stop = int(cells[0]), int(cells[-1]) + 1
        taps = np.flatnonzero(lane == number)
        taps = taps[np.argsort(start[taps])[::-1]]
        starts = start[taps]
        step = int(starts[0] - starts[1]) if len(starts) > 1 else 1
        before = int(starts[0]) - first
        after = stop - first + step * (len(taps) - 1) - axis.windows - before
        one = Axis(axis.windows, len(taps), before=before, after=after, dilation=step)
        begin = int(positions[first])
        found.append(Lane(slice(begin, int(positions[stop - 1]) + 1, axis.stride), taps, one))
    return found


def common_lanes(some: list[Lane]) -> list[Lanes]:
    """Lanes of g that several can be read from, if they are of as many inputs each; else none."""
    windows = {lane.axis.windows for lane in some}
    if len(windows) != 1:
        return []
    first = max(lane.axis.before for lane in some)
    starts = [first - a.before + np.arange(a.kernel) * a.dilation for a in (l.axis for l in some)]
    size, cells = some[0].axis.size, max(int(start[-1]) for start in starts) + windows.pop()
    position = Axis(size, 1, before=first, after=cells - size - first).source().T
    return [
        Lanes(position, np.zeros_like(start), start, lane.axis.windows, False)
        for lane, start in zip(some, starts, strict=True)
    ]
