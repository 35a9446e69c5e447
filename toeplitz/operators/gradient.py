"""U(x)ᴴ g without a matrix: the gradient of the weights."""

from functools import cached_property
from math import prod

import numpy as np

from toeplitz.arrays import Array, DType
from toeplitz.compiled import loops
from toeplitz.conv import Conv
from toeplitz.operators.moves import ONE
from toeplitz.operators.stage import Block, Stage
from toeplitz.operators.structured import Structured
from toeplitz.operators.summed import Summed
from toeplitz.results import aligned
from toeplitz.threads import split


class WeightGradient(Structured):
    """The products with U(x)ᴴ of one geometry, layout and dtype."""

    def __init__(self, conv: Conv, layout: str, dtype: DType) -> None:
        super().__init__(conv, layout, dtype, "weights")

    def times(self, g: Array, x: Array) -> Array:
        """U(x)ᴴ g, summed over the items."""
        items = self._inputs(x, False)
        upstream = self._items(g, self.conv.output_shape, False)
        by_taps = self.summed and self.cut.heavy(len(items))
        total = (self._by_taps if by_taps else self._by_positions)(items, upstream)
        w = np.empty(self.conv.weight_count, self.dtype)
        if self.summed:
            told = self._back, 1, (self.plan.height, prod(self.conv.weight_shape[1:]), 1), ONE
            compiled = loops(self.conv.macs)
            compiled.move(total.ravel(), w.ctypes.data, total.ctypes.data, *told)
        else:
            w[self.order] = total
        return w.reshape(self.conv.weight_shape)

    def _by_positions(self, items: list[Array], upstream: list[Array]) -> Array:
        """The gradient in the order of the products: a thread goes through some blocks."""
        blocks = self.cut.blocks(items)
        # As many sums on any number of threads, added up in one order.
        sums = split(blocks, self.cut.totals(len(items)))
        totals = np.zeros((len(sums), *self.order.shape), self.dtype)
        part = {block: number for number, some in enumerate(sums) for block in some}

        def run(stage: Stage, block: Block) -> None:
            stage.multiply(*self._read(stage, items, upstream, block, totals[part[block]]))

        self._run("weights", run, [sums], items, self.direct)
        return totals.sum(axis=0)

    def _by_taps(self, items: list[Array], upstream: list[Array]) -> Array:
        """The same: a thread goes through all blocks, for some taps and groups."""
        blocks = self.cut.blocks(items, 1)
        total = aligned(self.order.shape, self.dtype)
        count = len(self.plan.taps) * self.conv.groups
        parts = split(range(count), self.cut.many(items))
        shares = [[block._replace(turns=some) for block in blocks] for some in parts]

        def run(stage: Stage, block: Block) -> None:
            assert isinstance(stage, Summed)
            told = self._read(stage, items, upstream, block, total)
            stage.multiply(*told, block.turns, add=block[:2] != blocks[0][:2])

        self._run("weights", run, [shares], items, self.direct)
        return total

    def _read(
        self, stage: Stage, items: list[Array], upstream: list[Array], block: Block, total: Array
    ) -> tuple[int, Array, Array]:
        """What a stage multiplies for the gradient, once it has read a block."""
        lanes = stage.load(items[block.item], block)
        here = stage.of_output(upstream[block.item], block)
        if stage.by_sheet:
            stage.fetch(here)
        return lanes, total, here

    @cached_property
    def _back(self) -> Array:
        """Stretches of w in the order of the products: see compiled.moves."""
        first = self.order[..., 0].reshape(self.conv.groups, -1)  # of the output channels
        whole = np.array_equal(first[0], np.arange(first.shape[1]))
        there = (first[:, :1] if whole else first).ravel()
        count = first.size // len(there)
        here = self.plan.height * count * np.arange(len(there))
        columns = there, here, count, 1, self.plan.height
        return np.stack(np.broadcast_arrays(*columns), axis=1)
