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
from toeplitz.operators.lanes import Plan


class Block(NamedTuple):
    """Outputs first to stop of the first axis, of one item."""

    item: int
    first: int
    stop: int


class Form(NamedTuple):
    """What the arrays are like.

    An item is (G, C/G, *S, T) in channels_first, T items lying innermost, or (*S, G, C/G) in
    channels_last. across: so are the outputs alone, and the inputs as in channels_first. direct:
    the inputs are read where they are. sliced: only some of the innermost items are meant.
    """

    last: bool
    dtype: DType
    innermost: int = 1
    direct: bool = False
    sliced: bool = False
    across: bool = False

    @property
    def lanes_last(self) -> bool:
        return self.last and not self.across


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
        groups, later = groups or plan.conv.groups, plan.axes[1:]
        grid = plan.grid(rows)
        lengths = (rows, *(axis.length for axis in later))
        if form.lanes_last:
            shape = (*plan.lane_counts, *grid, groups, *plan.merged, plan.width)
        else:
            shape = (*plan.lane_counts, groups, plan.width, *plan.merged, *grid, form.innermost)
        if form.last:
            sheet = (*lengths, groups, plan.height)
        else:
            sheet = (groups, plan.height, *lengths, form.innermost)
        cut = lengths[1:] != tuple(axis.outputs for axis in later)
        self.by_sheet = plan.unit or form.sliced or cut
        self.lanes = np.zeros(shape[:0] if form.direct else shape, form.dtype)
        self.sheet = self.new_sheet(sheet if self.by_sheet else ())
        self._shape = shape
        self._known: dict[tuple[int, int], Any] = {}

    def new_sheet(self, shape: tuple[int, ...]) -> Array:
        """The memory of the sheet."""
        return np.zeros(shape, self.form.dtype)

    def load(self, item: Array, block: Block) -> int:
        """Put the inputs of a block into the lanes: their address."""
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

    def unload(self, item: Array, block: Block) -> None:
        """Add what stands in the lanes to the inputs of a block."""
        for inside, source in self._moves(block)[0]:
            item[source] += self.lanes[inside]

    @cached_property
    def inside(self) -> tuple[slice, ...]:
        """Where the outputs stand in the sheet."""
        later = [slice(axis.outputs) for axis in self.plan.axes[1:]]
        return (*[slice(None)] * (1 if self.form.last else 3), *later)

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
            for axis, step in zip(self.plan.axes, self._steps, strict=True):
                cell += 0 if axis.merged else next(starts) * step
            found.append((lane, cell))
        return found

    @cached_property
    def _steps(self) -> list[int]:
        """From cell to cell along each axis."""
        grid = self.plan.grid(self.rows)
        return [prod(grid[axis + 1 :]) * self.form.innermost for axis in range(len(grid))]

    @cached_property
    def cells(self) -> int:
        """From the first output to the last, with the cells between them."""
        sizes = (self.rows, *(axis.outputs for axis in self.plan.axes[1:]))
        last = sum((size - 1) * step for size, step in zip(sizes, self._steps, strict=True))
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
        plan, form = self.plan, self.form
        o, k, m, size = plan.height, plan.inner, self.cells, form.dtype.itemsize
        sheet_cells = prod(self.sheet.shape[2:])
        cells = prod(plan.conv.output_shape[1:]) * form.innermost
        grid = prod(plan.conv.input_shape[1:] if form.direct else plan.grid(self.rows))
        grid *= form.innermost
        # From row to row of the lanes and of the outputs; from cell to cell, group to group.
        if form.lanes_last:
            x, y = plan.conv.groups * k, plan.conv.out_channels
            cell, x_group, y_group = x, k, o
            made = {
                "forward": ("xwy", (m, k, o, (x, o, y), "NN")),
                "adjoint": ("ywx", (m, o, k, (y, o, x), "NT")),
                "weights": ("xyw", (k, m, o, (x, y, o), "CN")),
            }
        elif form.last:
            x, y = grid, plan.conv.out_channels
            cell, x_group, y_group = 1, k * x, o
            made = {
                "forward": ("xwy", (m, k, o, (x, o, y), "TN")),
                "adjoint": ("wyx", (k, o, m, (o, y, x), "NT")),
                "weights": ("xyw", (k, m, o, (x, y, o), "NN")),
            }
        else:
            x, y = grid, sheet_cells if self.by_sheet else cells
            cell, x_group, y_group = 1, k * x, o * y
            made = {
                "forward": ("wxy", (o, k, m, (k, x, y), "NN")),
                "adjoint": ("wyx", (k, o, m, (k, y, x), "TN")),
                "weights": ("yxw", (o, m, k, (y, x, k), "NC")),
            }
        lane = prod(self._shape[len(plan.lane_counts) :])
        tap, group = np.divmod(np.arange(len(plan.taps) * plan.conv.groups), plan.conv.groups)
        read = np.array([lane * which + cell * first for which, first in self.reads])
        offsets = {
            "x": size * (read[tap] + x_group * group),
            "w": size * o * k * (tap * plan.conv.groups + group),
            "y": size * y_group * group,
        }
        order, sizes = made[self.kind]
        # What nothing stands in yet is overwritten by the first tap.
        empty = self.kind == "forward" or (self.kind == "adjoint" and form.direct)
        places = np.stack([offsets[name] for name in order], axis=1)
        compiled = loops(plan.conv.macs)
        return order, Gemm(form.dtype, *sizes).series(places, (tap > 0) | (not empty), compiled)

    @cached_property
    def _lanes_at(self) -> int:
        return int(self.lanes.ctypes.data)

    def _moves(self, block: Block) -> Any:
        """The slices (of the lanes, of the item) to copy, and those of the lanes to blank."""
        key = block.first, block.stop
        if key not in self._known:
            axes = self.plan.axes
            bounds = [key, *((0, axis.outputs) for axis in axes[1:])]
            moves = [axis.moves(*bound) for axis, bound in zip(axes, bounds, strict=True)]
            copies = [(self._place(some), self._source(some)) for some in product(*moves)]
            # Along the other axes the same cells are blank in every block, and never written.
            every = [(slice(None), slice(None))] * (len(axes) - 1)
            blanks = [self._place([blank, *every]) for blank in axes[0].blanks(*key)]
            self._known[key] = copies, blanks
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
