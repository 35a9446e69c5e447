"""The structured product: T(w) x, T(w)ᴴ g and U(x)ᴴ g without a matrix, by BLAS.

T(w) = sum over taps of shift ⊗ W. The inputs of a block of outputs are laid out in lanes
(`lanes`), so that the shift of a tap is an address, and W times the shifted inputs one call of
gemm that adds to the outputs. The memory used beside input and output is a few blocks.
"""

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from toeplitz import blas
from toeplitz.arrays import Array, DType
from toeplitz.compiled import loops
from toeplitz.conv import Conv
from toeplitz.operators.depthwise import depthwise
from toeplitz.operators.lanes import Plan
from toeplitz.operators.stage import Block, Form, Stage
from toeplitz.threads import split, threads

BLOCK = 5 << 18  # bytes of a block and of the weights it meets, which stay in a core's cache
PLANE = 5 << 13  # bytes of a block of one channel, which stays in the L1 cache
THREADED = 1 << 24  # multiply-adds from which threads pay
PARTS = 8  # blocks at least, then: as many on any number of threads, so that sums are the same
FEW = 8  # channels
INNERMOST = 64  # items that lie innermost are taken so many at a time

Shares = list[list[Block]]  # what runs side by side
Run = Callable[[Stage, Block], None]


class Structured:
    """The products of one geometry, layout and dtype that BLAS has; adjoint: laid out for that one.

    Batches are (N, *item), items as the layout has them: (C, *S) or (*S, C). In channels_first
    they may also be (*item, N), where innermost=True.
    """

    def __init__(self, conv: Conv, layout: str, dtype: DType, adjoint: bool = False) -> None:
        self.conv, self.dtype = conv, dtype
        self.last = layout == "channels_last"
        self.plan = Plan.of(conv, adjoint)
        # Few channels side by side are slow to copy: lanes of channels apart. No gemm conjugates
        # without transposing, as the gradient of complex weights would then need.
        few = self.last and self.plan.width < FEW and not self.plan.unit
        self.across = few and dtype.kind != "c"
        self.direct = not (self.plan.unit or self.across) and all(
            axis.whole(size)
            for axis, size in zip(self.plan.axes, conv.input_shape[1:], strict=True)
        )
        # The flat numbers of w as the products take them: a matrix for each tap and group.
        apart = [3 + axis for axis, lanes in enumerate(self.plan.axes) if not lanes.merged]
        beside = [3 + axis for axis, lanes in enumerate(self.plan.axes) if lanes.merged]
        sizes = (self.plan.inner, self.plan.height)
        numbers = np.arange(conv.weight_count).reshape(
            conv.groups, self.plan.height, self.plan.width, *conv.kernel_size
        )
        inner = (
            (2, *beside, 1) if self.across else (*beside, 2, 1) if self.last else (1, 2, *beside)
        )
        shape = (len(self.plan.taps), conv.groups, *(sizes if self.last else sizes[::-1]))
        turned = numbers.transpose(*apart, 0, *inner).reshape(shape)
        self.order = np.ascontiguousarray(turned)  # what is taken by it lies in its order
        self._free: dict[tuple[str, Form, int], list[Stage]] = {}

    def weights(self, w: Array) -> Array:
        """w in the order of the products."""
        return w.astype(self.dtype, copy=False).ravel()[self.order]

    def forward(self, x: Array, weights: Array, innermost: bool = False) -> Array:
        """T(w) x."""
        items = self._inputs(x, innermost)
        y = np.empty(self._shape(x, self.conv.output_shape, innermost), self.dtype)
        outputs = self._items(y, self.conv.output_shape, innermost)

        def run(stage: Stage, block: Block) -> None:
            lanes = stage.load(items[block.item], block)
            here = stage.of_output(outputs[block.item], block)
            stage.multiply(lanes, weights, here)
            if stage.by_sheet:
                here[...] = stage.outputs

        direct = self.direct and all(item.flags.c_contiguous for item in items)
        self._run("forward", run, [self._even(self._blocks(items))], items, direct)
        return y

    def adjoint(self, g: Array, weights: Array, innermost: bool = False) -> Array:
        """T(w)ᴴ g."""
        upstream = self._items(g, self.conv.output_shape, innermost)
        blocks, conjugate = self._blocks(upstream), weights.conj()
        x = np.empty(self._shape(g, self.conv.input_shape, innermost), self.dtype)
        items = self._inputs(x, innermost)
        # Through a single tap no input is read twice.
        direct = self.direct and len(self.plan.taps) == 1
        direct = direct and all(item.flags.c_contiguous for item in items)
        alone = len(blocks) == len(items)  # each item is one block
        if not (direct or alone):
            x[...] = 0

        def run(stage: Stage, block: Block) -> None:
            here = stage.of_output(upstream[block.item], block)
            if stage.by_sheet:
                stage.outputs[...] = here
            if stage.form.direct:
                stage.multiply(stage.load(items[block.item], block), conjugate, here)
                return
            stage.multiply(stage.clear(), conjugate, here)
            if alone:
                items[block.item][...] = 0
            stage.unload(items[block.item], block)

        phases = [self._even(blocks)] if direct else self._apart(blocks, upstream)
        self._run("adjoint", run, phases, upstream, direct)
        return x

    def weight_gradient(self, g: Array, x: Array) -> Array:
        """U(x)ᴴ g, summed over the items."""
        items = self._inputs(x, False)
        upstream = self._items(g, self.conv.output_shape, False)
        blocks = self._blocks(items)
        # As many sums on any number of threads, added up in one order.
        sums = split(blocks, PARTS)
        totals = np.zeros((len(sums), *self.order.shape), self.dtype)
        part = {block: number for number, some in enumerate(sums) for block in some}
        shares = [[b for some in share for b in some] for share in split(sums, self._many(blocks))]

        def run(stage: Stage, block: Block) -> None:
            lanes = stage.load(items[block.item], block)
            here = stage.of_output(upstream[block.item], block)
            if stage.by_sheet:
                stage.outputs[...] = here
            stage.multiply(lanes, totals[part[block]], here)

        self._run("weights", run, [shares], items, self.direct)
        w = np.empty(self.conv.weight_count, self.dtype)
        w[self.order] = totals.sum(axis=0)
        return w.reshape(self.conv.weight_shape)

    def _inputs(self, batch: Array, innermost: bool) -> list[Array]:
        """Each item in the form that the lanes have."""
        items = self._items(batch, self.conv.input_shape, innermost)
        if not self.across:
            return items
        return [np.moveaxis(item[..., None], (-3, -2), (0, 1)) for item in items]

    def _items(self, batch: Array, shape: tuple[int, ...], innermost: bool) -> list[Array]:
        """Each item in the form of the stages, or some innermost items at a time."""
        batch = np.ascontiguousarray(batch, self.dtype)
        split = (self.conv.groups, shape[0] // self.conv.groups, *shape[1:])
        if self.last:
            return list(batch.reshape(len(batch), *split[2:], *split[:2]))
        if not innermost:
            return list(batch.reshape(len(batch), *split, 1))
        items = batch.reshape(*split, -1)
        return [
            items[..., first : first + INNERMOST] for first in range(0, items.shape[-1], INNERMOST)
        ]

    def _shape(self, like: Array, shape: tuple[int, ...], innermost: bool) -> tuple[int, ...]:
        """The shape of a batch of as many items."""
        if innermost:
            return (*shape, like.shape[-1])
        return (len(like), *((*shape[1:], shape[0]) if self.last else shape))

    def _blocks(self, items: Sequence[Array]) -> list[Block]:
        rows, outputs = self._rows(items), self.plan.axes[0].outputs
        return [
            Block(item, first, min(first + rows, outputs))
            for item in range(len(items))
            for first in range(0, outputs, rows)
        ]

    def _rows(self, items: Sequence[Array]) -> int:
        """Rows of a block: what fits into the cache, and some for every thread."""
        innermost = 1 if self.last or not items else items[0].shape[-1]
        many = self.conv.macs * len(items) * innermost >= THREADED
        parts = -(-PARTS // max(1, len(items))) if many else 1
        if self.plan.unit and not self.last and loops(self.conv.macs):
            return rows_of(self.plan, self.dtype.itemsize, parts, innermost, 1, PLANE)
        return rows_of(self.plan, self.dtype.itemsize, parts, innermost)

    def _many(self, blocks: list[Block]) -> int:
        """How many threads pay."""
        return threads() if len(blocks) * self.conv.macs >= THREADED else 1

    def _even(self, blocks: list[Block]) -> Shares:
        """Successive blocks, about as many for each thread."""
        return split(blocks, self._many(blocks))

    def _apart(self, blocks: list[Block], items: Sequence[Array]) -> list[Shares]:
        """Phases of shares that never add to one input at a time, nor in another order.

        Every so many blocks of an item read inputs of their own: every other, if a block is as
        long as a window.
        """
        axis, rows = self.conv.axes[0], self._rows(items)
        if self.conv.padding_mode == "zeros":
            reach = (rows - 1) * axis.stride + axis.extent
            count = -(-reach // (rows * axis.stride))
            turns = [
                [one for one in blocks if one.first // rows % count == n] for n in range(count)
            ]
            return [self._even(turn) for turn in turns if turn]
        each = len(blocks) // max(1, len(items))
        shares = self._even(blocks[::each] if each else [])
        return [
            [[blocks[n * each + k] for n in (b.item for b in share) for k in range(each)]
             for share in shares]
        ]  # fmt: skip

    def _run(
        self, kind: str, run: Run, phases: list[Shares], items: Sequence[Array], direct: bool
    ) -> None:
        def work(share: list[Block]) -> None:
            mine: dict[tuple[str, Form, int], Stage] = {}
            for block in share:
                rows, innermost, sliced = block.stop - block.first, 1, False
                if not self.last:
                    innermost = items[block.item].shape[-1]
                    sliced = not items[block.item].flags.c_contiguous
                form = Form(self.last, self.dtype, innermost, direct, sliced, self.across)
                key = kind, form, rows
                if key not in mine:
                    mine[key] = self._stage(*key)
                run(mine[key], block)
            for key, stage in mine.items():
                self._free.setdefault(key, []).append(stage)

        for shares in phases:
            blas.side_by_side(work, shares)

    def _stage(self, kind: str, form: Form, rows: int) -> Stage:
        """A stage that nobody works with: one kind of product may rely on what it left there."""
        try:
            return self._free[kind, form, rows].pop()
        except (KeyError, IndexError):
            make = depthwise if self.plan.unit else Stage
            return make(kind, self.plan, form, rows)


def rows_of(
    plan: Plan, value: int, parts: int, innermost: int = 1, groups: int = 0, block: int = 0
) -> int:
    """Rows of a block that fits into the cache; parts: blocks that there should be at least.

    groups: that are gone through at a time. block: bytes of the cache.
    """
    groups, block = groups or plan.conv.groups, block or BLOCK
    first, *later = plan.axes
    lanes = plan.inner * prod(plan.lane_counts)
    sheets = 2 if plan.unit else 1  # one for the products that are added
    cells = prod(axis.length for axis in later) * innermost * value
    row = cells * groups * (lanes + sheets * plan.height)
    # The weights of a tap are to stay in the cache beside them.
    room = max(block // 4, block - groups * plan.height * plan.inner * value)
    return int(min(max(1, room // max(1, row)), -(-first.outputs // parts)))
