"""The structured product: T(w) x and T(w)ᴴ g without a matrix, by BLAS or by compiled loops.

T(w) = sum over taps of shift ⊗ W. The inputs of a block of outputs are laid out in lanes
(`lanes`), so that the shift of a tap is an address, and W times the shifted inputs one call of
gemm that adds to the outputs. Compiled loops add up all taps (`summed`), and may read the inputs
where they are (`in_place`). The memory used beside input and output is a few blocks.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np

from toeplitz import blas
from toeplitz.arrays import Array, DType
from toeplitz.compiled import loops
from toeplitz.conv import Conv
from toeplitz.operators.blocks import Cut, Shares, single
from toeplitz.operators.depthwise import depthwise
from toeplitz.operators.in_place import staying
from toeplitz.operators.lanes import Lanes, Plan
from toeplitz.operators.stage import Block, Form, Stage
from toeplitz.operators.summed import DTYPES, InPlace, Summed, in_panels
from toeplitz.results import aligned, result
from toeplitz.threads import on_threads

FEW = 8  # channels
WRITTEN = 256  # terms of an output up to which the time goes into storing it
INNERMOST = 64  # items that lie innermost are taken so many at a time

Run = Callable[[Stage, Block], None]


class Structured:
    """The products of one kind, for one geometry, layout and dtype that BLAS has.

    Batches are (N, *item), items as the layout has them: (C, *S) or (*S, C). In channels_first
    they may also be (*item, N), where innermost=True.
    """

    def __init__(self, conv: Conv, layout: str, dtype: DType, kind: str = "forward",
        axes: tuple[Lanes, ...] = (),
    ) -> None:  # fmt: skip
        """axes: the lanes, if they are chosen already."""
        self.conv, self.dtype, self.kind = conv, dtype, kind
        self.items_last = self.last = layout == "channels_last"
        self.plan = Plan(conv, axes) if axes else Plan.of(conv, kind == "adjoint")
        compiled = dtype.char in DTYPES and bool(loops(conv.macs))
        if compiled and kind == "weights" and self.plan.width >= FEW:
            self.plan = Plan.apart(conv)  # rows are gone through one by one: there is no waste
        may_stay = compiled and self.last and kind == "forward" and not axes
        stays = staying(self.plan, FEW) if may_stay else None
        self.in_place, self.plan = bool(stays), stays or self.plan
        # The inputs themselves, through a single tap to fewer outputs, are what gemm is made for.
        whole = self.plan.whole
        alone = whole and len(self.plan.taps) == 1 and self.plan.height <= self.plan.inner
        self.summed = compiled and kind != "adjoint" and not (self.plan.unit or alone)
        # Few outputs side by side would leave most of a vector empty.
        if self.summed and kind == "forward" and self.plan.height < FEW:
            self.last = False
        # Few channels side by side are slow to copy: lanes of channels apart. No gemm conjugates
        # without transposing, as the gradient of complex weights would then need.
        few = self.last and self.plan.width < FEW and not self.plan.unit
        self.across = few and dtype.kind != "c"
        self.direct = whole and not (self.plan.unit or self.across)
        # The flat numbers of w as the products take them: a matrix for each tap and group.
        apart = [3 + axis for axis, lanes in enumerate(self.plan.axes) if not lanes.merged]
        beside = [3 + axis for axis, lanes in enumerate(self.plan.axes) if lanes.merged]
        sizes = (self.plan.inner, self.plan.height)
        numbers = np.arange(conv.weight_count).reshape(
            conv.groups, self.plan.height, self.plan.width, *conv.kernel_size
        )
        inner = (2, *beside) if self.across or not self.last else (*beside, 2)
        if self.last or (self.summed and kind == "weights"):
            inner = (*inner, 1)
        else:
            inner, sizes = (1, *inner), sizes[::-1]
        shape = (len(self.plan.taps), conv.groups, *sizes)
        turned = numbers.transpose(*apart, 0, *inner).reshape(shape)
        if self.summed and kind == "weights":
            turned = turned.transpose(1, 2, 0, 3)
        elif self.summed and kind == "forward":
            turned = in_panels(self.plan, Form(self.last, dtype), turned)
        self.order = np.ascontiguousarray(turned)  # what is taken by it lies in its order
        self.cut = Cut(self.plan, dtype, self.last, self.summed, kind)
        self._free: dict[tuple[str, Form, int], list[Stage]] = {}

    def weights(self, w: Array) -> Array:
        """w in the order of the products."""
        flat, ours = w.astype(self.dtype, copy=False).ravel(), aligned(self.order.shape, self.dtype)
        return flat.take(self.order, out=ours, mode="clip")  # "raise" would copy

    def forward(
        self, x: Array, weights: Array, innermost: bool = False, out: Array | None = None,
        others: Sequence[tuple["Structured", Array, Array]] = (),
    ) -> Array:  # fmt: skip
        """T(w) x; out: where it goes, which may have gaps.

        others: products of the same lanes, with their weights and where they go.
        """
        items = self._inputs(x, innermost)
        y, past = out, False
        if y is None:
            y, past = result(self._shape(x, self.conv.output_shape, innermost), self.dtype)
            past &= len(self.plan.taps) * self.plan.inner <= WRITTEN
        outputs = self._views(y, self.conv.output_shape, innermost)

        def run(stage: Stage, block: Block) -> None:
            lanes = stage.load(items[block.item], block)
            here = stage.of_output(outputs[block.item], block)
            stage.multiply(lanes, weights, here)
            if stage.by_sheet:
                stage.store(here)
            for products, numbers, views in besides:
                products.beside(stage, lanes, numbers, views, block)

        besides = [
            (products, numbers, products._views(array, products.conv.output_shape, innermost))
            for products, numbers, array in others
        ]
        direct = self.direct or (self.in_place and not others)
        direct = direct and all(item.flags.c_contiguous for item in items)
        gaps = not all(item.flags.c_contiguous for item in outputs)
        free = self.in_place and direct and not gaps and self.cut.light
        blocks = self.cut.blocks(items, free=free)
        by_items = (free and self.plan.unit) or (self.summed and self.last)
        if by_items and y.flags.c_contiguous and len(blocks) == len(items):
            blocks = self.cut.together(blocks, free)
        self._run("forward", run, [single(blocks)], items, direct, gaps, past)
        return y

    def beside(
        self, stage: Stage, lanes: int, weights: Array, outputs: list[Array], block: Block
    ) -> None:
        """T(w) x of one block, whose inputs are in the lanes of another stage."""
        key = "forward", stage.form._replace(sliced=True, shared=True), stage.rows
        own = self._stage(*key)
        here = own.of_output(outputs[block.item], block)
        own.multiply(lanes, weights, here)
        own.store(here)
        self._free.setdefault(key, []).append(own)

    def adjoint(self, g: Array, weights: Array, innermost: bool = False) -> Array:
        """T(w)ᴴ g."""
        upstream = self._items(g, self.conv.output_shape, innermost)
        blocks, conjugate = self.cut.blocks(upstream), weights.conj()
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
                stage.fetch(here)
            if stage.form.direct:
                stage.multiply(stage.load(items[block.item], block), conjugate, here)
                return
            stage.multiply(stage.clear(), conjugate, here)
            if alone:
                items[block.item][...] = 0
            stage.unload(items[block.item], block)

        phases = [single(blocks)] if direct else self.cut.apart(blocks, upstream)
        self._run("adjoint", run, phases, upstream, direct)
        return x

    def _inputs(self, batch: Array, innermost: bool) -> list[Array]:
        """Each item in the form that the lanes have."""
        items = self._items(batch, self.conv.input_shape, innermost)
        if not self.across:
            return items
        return [np.moveaxis(item[..., None], (-3, -2), (0, 1)) for item in items]

    def _items(self, batch: Array, shape: tuple[int, ...], innermost: bool) -> list[Array]:
        """Each item in the form of the stages, or some innermost items at a time."""
        return self._views(np.ascontiguousarray(batch, self.dtype), shape, innermost)

    def _views(self, batch: Array, shape: tuple[int, ...], innermost: bool) -> list[Array]:
        if self.items_last and not self.last:
            batch = np.moveaxis(batch, -1, 1)
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
        return (len(like), *((*shape[1:], shape[0]) if self.items_last else shape))

    def _run(
        self, kind: str, run: Run, phases: list[Shares], items: Sequence[Array], direct: bool,
        gaps: bool = False, past: bool = False,
    ) -> None:  # fmt: skip
        def work(shares: Iterator[list[Block]]) -> None:
            mine: dict[tuple[str, Form, int], Stage] = {}
            for block in chain.from_iterable(shares):
                rows, innermost, sliced = block.stop - block.first, 1, gaps
                if not self.last:
                    innermost = items[block.item].shape[-1]
                    sliced |= not items[block.item].flags.c_contiguous
                form = Form(
                    self.last, self.dtype, innermost, direct, sliced, self.across, block.items,
                    past=past,
                )  # fmt: skip
                key = kind, form, rows
                if key not in mine:
                    mine[key] = self._stage(*key)
                run(mine[key], block)
            for key, stage in mine.items():
                self._free.setdefault(key, []).append(stage)

        count = self.cut.many(items)
        no_blas = self.summed or self.plan.unit
        run_all = on_threads if no_blas else blas.side_by_side
        for shares in phases:
            run_all(work, shares, count)

    def _stage(self, kind: str, form: Form, rows: int) -> Stage:
        """A stage that nobody works with: one kind of product may rely on what it left there."""
        try:
            return self._free[kind, form, rows].pop()
        except (KeyError, IndexError):
            if self.plan.unit:
                return depthwise(kind, self.plan, form, rows)
            direct = InPlace if self.in_place and form.direct else Summed
            return (direct if self.summed else Stage)(kind, self.plan, form, rows)
