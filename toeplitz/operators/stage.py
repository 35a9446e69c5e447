"""One block of a structured product: where its inputs and outputs stand, and its products."""

from collections.abc import Callable
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from toeplitz.arrays import Array, DType
from toeplitz.blas import Gemm
from toeplitz.compiled import loops
from toeplitz.operators.lanes import Blank, Move, Plan
from toeplitz.results import aligned


class Block(NamedTuple):
    """Outputs first to stop of the first axis, of an item or some in turn."""

    item: int
    first: int
    stop: int
    items: int = 1
    turns: range | None = None  # of the taps and groups, if not all are meant


class Form(NamedTuple):
    """What the arrays are like.

    An item is (G, C/G, *S, T) in channels_first, T items lying innermost, or (*S, G, C/G) in
    channels_last. across: so are the outputs alone, and the inputs as in channels_first. direct:
    the inputs are read where they are. sliced: only some of the innermost items are meant. past:
    the outputs are best stored past the caches, see results.
    """

    last: bool
    dtype: DType
    innermost: int = 1
    direct: bool = False
    sliced: bool = False
    across: bool = False
    items: int = 1
    shared: bool = False
    past: bool = False

    @property
    def lanes_last(self) -> bool:
        return self.last and not self.across


class Steps(NamedTuple):
    """Of lanes (x) and outputs (y): from row to row, from cell to cell, from group to group."""

    x: int
    cell: int
    x_group: int
    y: int
    y_group: int


class Stage:
    """The memory that blocks of so many rows go through, and the products there.

    lanes holds the inputs that a block reads; sheet its outputs, with the cells between them that
    belong to none. The sheet is passed by where there are no such cells.

    kind: "forward", W times the lanes; "adjoint", Wᵀ times the outputs, added to the lanes;
    "weights", the outputs times lanesᴴ, added to the weights.
    """

    def __init__(
        self, kind: str, plan: Plan, form: Form, rows: int, groups: int | None = None
    ) -> None:
        """groups: that there is memory for, all of them if it is not said."""
        self.kind, self.plan, self.form, self.rows = kind, plan, form, rows
        groups, grid = groups or plan.conv.groups, plan.grid(rows)
        if form.lanes_last:
            shape = (*plan.lane_counts, *grid, groups, *plan.merged, plan.width)
        else:
            shape = (*plan.lane_counts, groups, plan.width, *plan.merged, *grid, form.innermost)
        sheet = (groups, plan.height, rows, *self.later, form.innermost)
        if self.outputs_last:
            sheet = (rows, *self.later, groups, plan.height)
        self.lanes = aligned(
            shape[:0] if form.direct or form.shared else shape, form.dtype, zero=True
        )
        self.sheet = self.new_sheet(sheet if self.by_sheet else ())
        self._shape = shape
        self._known: dict[Any, Any] = {}

    @property
    def outputs_last(self) -> bool:
        """Whether channels lie innermost where the products have the outputs."""
        return self.form.last

    @property
    def later(self) -> tuple[int, ...]:
        """The cells of the sheet along all axes but the first."""
        return tuple(axis.length for axis in self.plan.axes[1:])

    @cached_property
    def by_sheet(self) -> bool:
        """Whether the products have the outputs in the sheet."""
        return self.plan.unit or self.form.sliced or self.later != self.plan.conv.output_shape[2:]

    def new_sheet(self, shape: tuple[int, ...]) -> Array:
        """The memory of the sheet."""
        return aligned(shape, self.form.dtype, zero=True)

    def load(self, item: Array, block: Block) -> int:
        """Put the inputs of a block into the lanes: their address.

        item: the first, behind which the other items of the block lie.
        """
        if self.form.direct:
            step = item.strides[0 if self.form.lanes_last else 2]
            return int(item.ctypes.data + block.first * step)
        copies, blanks = self._moves(block)
        for inside, source in copies:
            self.lanes[inside] = item[source]
        for inside in blanks:
            self.lanes[inside] = 0
        return self._lanes_at

    def clear(self) -> int:
        """Put zeros into the lanes: their address."""
        self.lanes[...] = 0
        return self._lanes_at

    def fetch(self, outputs: Array) -> None:
        """Put the outputs of a block into the sheet."""
        self.outputs[...] = outputs

    def store(self, outputs: Array) -> None:
        """Take the outputs of a block from the sheet."""
        outputs[...] = self.outputs

    def unload(self, item: Array, block: Block) -> None:
        """Add what stands in the lanes to the inputs of a block."""
        for inside, source in self._moves(block)[0]:
            item[source] += self.lanes[inside]

    @cached_property
    def inside(self) -> tuple[slice, ...]:
        """Where the outputs stand in the sheet."""
        later = [slice(axis.outputs) for axis in self.plan.axes[1:]]
        return (*[slice(None)] * (1 if self.outputs_last else 3), *later)

    @cached_property
    def outputs(self) -> Array:
        """The outputs in the sheet, without the cells between them."""
        return self.sheet[self.inside]

    def of_output(self, item: Array, block: Block) -> Array:
        """The outputs of a block in an item."""
        rows = slice(block.first, block.stop)
        return item[rows] if self.form.last else item[:, :, rows]

    @cached_property
    def reads(self) -> list[tuple[int, int]]:
        """For each tap the number of its lane, and of the cell in it that it reads first."""
        counts = self.plan.lane_counts
        found = []
        for tap in self.plan.taps:
            lane = cell = 0
            for count, which in zip(counts, tap.lanes, strict=True):
                lane = lane * count + which
            starts = iter(tap.starts)
            for axis, step in zip(self.plan.axes, self.cell_steps, strict=True):
                cell += 0 if axis.merged else next(starts) * step
            found.append((lane, cell))
        return found

    @cached_property
    def cell_steps(self) -> list[int]:
        """From cell to cell along each axis."""
        grid = self.plan.grid(self.rows)
        return [prod(grid[axis + 1 :]) * self.form.innermost for axis in range(len(grid))]

    @cached_property
    def cells(self) -> int:
        """From the first output to the last, with the cells between them."""
        sizes = (self.rows, *(axis.outputs for axis in self.plan.axes[1:]))
        last = sum((size - 1) * step for size, step in zip(sizes, self.cell_steps, strict=True))
        return int(last + self.form.innermost)

    def multiply(self, lanes: int, weights: Array, outputs: Array) -> None:
        """The products of all taps and groups.

        lanes: their address. outputs: as of_output gives them.
        """
        at = int(self.sheet.ctypes.data if self.by_sheet else outputs.ctypes.data)
        order, products = self._products
        address = {"x": lanes, "w": weights.ctypes.data, "y": at}
        products(*(address[name] for name in order))

    @cached_property
    def _products(self) -> tuple[str, Callable[[int, int, int], None]]:
        """What is left and right and what the result, and all the products."""
        o, k, m = self.plan.height, self.plan.inner, self.cells
        x, y = self.steps.x, self.steps.y
        if self.form.lanes_last:
            made = {
                "forward": ("xwy", (m, k, o, (x, o, y), "NN")),
                "adjoint": ("ywx", (m, o, k, (y, o, x), "NT")),
                "weights": ("xyw", (k, m, o, (x, y, o), "CN")),
            }
        elif self.form.last:
            made = {
                "forward": ("xwy", (m, k, o, (x, o, y), "TN")),
                "adjoint": ("wyx", (k, o, m, (o, y, x), "NT")),
                "weights": ("xyw", (k, m, o, (x, y, o), "NN")),
            }
        else:
            made = {
                "forward": ("wxy", (o, k, m, (k, x, y), "NN")),
                "adjoint": ("wyx", (k, o, m, (k, y, x), "TN")),
                "weights": ("yxw", (o, m, k, (y, x, k), "NC")),
            }
        order, sizes = made[self.kind]
        places = np.stack([self.offsets[name] for name in order], axis=1)
        add = (np.arange(len(places)) >= self.plan.conv.groups) | (not self.empty)
        series = Gemm(self.form.dtype, *sizes).series(
            places * self.form.dtype.itemsize, add, loops(self.plan.conv.macs)
        )
        return order, series

    @property
    def empty(self) -> bool:
        """Whether nothing stands in the result yet: the first tap overwrites it."""
        return self.kind == "forward" or (self.kind == "adjoint" and self.form.direct)

    @cached_property
    def steps(self) -> Steps:
        """From number to number of the lanes and of the outputs."""
        plan, form = self.plan, self.form
        sizes = plan.conv.input_shape[1:] if form.direct else plan.grid(self.rows)
        if form.lanes_last:
            x = plan.conv.groups * plan.inner
            cell, x_group = x, plan.inner
        else:
            x = prod(sizes) * form.innermost
            cell, x_group = 1, plan.inner * x
        if self.outputs_last:
            return Steps(x, cell, x_group, plan.conv.out_channels, plan.height)
        cells = prod(plan.conv.output_shape[1:]) * form.innermost
        y = prod(self.sheet.shape[2:]) if self.by_sheet else cells
        return Steps(x, cell, x_group, y, plan.height * y)

    @cached_property
    def offsets(self) -> dict[str, Array]:
        """For each tap and group the numbers before those of lanes x, weights w and outputs y."""
        plan, steps = self.plan, self.steps
        lane = prod(self._shape[len(plan.lane_counts) :])
        tap, group = np.divmod(np.arange(len(plan.taps) * plan.conv.groups), plan.conv.groups)
        read = np.array([lane * which + steps.cell * first for which, first in self.reads])
        return {
            "x": read[tap] + steps.x_group * group,
            "w": plan.height * plan.inner * (tap * plan.conv.groups + group),
            "y": steps.y_group * group,
        }

    @cached_property
    def _lanes_at(self) -> int:
        return int(self.lanes.ctypes.data)

    def moves(self, block: Block) -> tuple[list[list[Move]], list[Blank]]:
        """What to copy along each axis, and what to blank along the first.

        Along the other axes the same cells are blank in every block, and never written.
        """
        bounds = [(block.first, block.stop), *((0, axis.outputs) for axis in self.plan.axes[1:])]
        axes = zip(self.plan.axes, bounds, strict=True)
        moves = [axis.moves(*bound) for axis, bound in axes]
        return moves, self.plan.axes[0].blanks(block.first, block.stop)

    def _moves(self, block: Block) -> Any:
        """The slices (of the lanes, of the item) to copy, and those of the lanes to blank."""
        key = block.first, block.stop
        if key not in self._known:
            moves, blanks = self.moves(block)
            copies = [(self._place(some), self._source(some)) for some in product(*moves)]
            every = [(slice(None), slice(None))] * (len(self.plan.axes) - 1)
            self._known[key] = copies, [self._place([blank, *every]) for blank in blanks]
        return self._known[key]

    def _place(self, moves: Any) -> tuple[Any, ...]:
        """The cells of the lanes that are meant by (lane, cells, …) for each axis."""
        pairs = list(zip(self.plan.axes, moves, strict=True))
        apart = [move[0] for axis, move in pairs if not axis.merged]
        beside = [move[0] for axis, move in pairs if axis.merged]
        inside = [move[1] for move in moves]
        if self.form.lanes_last:
            return (*apart, *inside, slice(None), *beside, slice(None))
        return (*apart, slice(None), slice(None), *beside, *inside, slice(None))

    def _source(self, moves: Any) -> tuple[slice, ...]:
        sources = [move[2] for move in moves]
        return tuple(sources) if self.form.lanes_last else (slice(None), slice(None), *sources)
