"""How a product is cut into blocks, and who works on which."""

from collections.abc import Sequence
from math import prod

from toeplitz.arrays import Array, DType
from toeplitz.compiled import loops
from toeplitz.operators.lanes import Plan
from toeplitz.operators.stage import Block
from toeplitz.threads import split, threads

BLOCK = 5 << 18  # bytes of a block and of the weights it meets, which stay in a core's cache
TOGETHER = 1 << 25  # multiply-adds that are called for at a time
PLANE = 5 << 13  # bytes of a block of one channel, which stays in the L1 cache
THREADED = 1 << 24  # multiply-adds from which threads pay
SUMMED = 256  # positions
SUMS = 4  # how often weights are gone through to clear and to add up sums of them
EACH = 4  # blocks for each thread
PARTS = 8  # blocks at least, then: as many on any number of threads, so that sums are the same

Shares = list[list[Block]]  # what may run side by side, each of it in turn


class Cut:
    """The blocks of one kind of product."""

    def __init__(self, plan: Plan, dtype: DType, last: bool, summed: bool, kind: str) -> None:
        self.plan, self.conv, self.size, self.last = plan, plan.conv, dtype.itemsize, last
        weights = plan.conv.weight_count * self.size
        self.light, self.large = 4 * weights <= BLOCK, 2 * weights > BLOCK
        # No sum depends on the blocks.
        self.ordered = kind == "forward" and (summed or plan.unit)
        self._last: tuple[tuple[int, ...], list[Block]] = (), []  # blocks, and what they are for

    def blocks(self, items: Sequence[Array], parts: int = 0, free: bool = False) -> list[Block]:
        """parts: how many at least, else some for every thread. free: they need no memory."""
        key = len(items), self._innermost(items), parts, free, threads()
        known, blocks = self._last
        if known != key:
            rows, outputs = self.rows(items, parts, free), self.plan.axes[0].outputs
            blocks = [
                Block(item, first, min(first + rows, outputs))
                for item in range(len(items))
                for first in range(0, outputs, rows)
            ]
            self._last = key, blocks
        return blocks

    def together(self, blocks: list[Block], free: bool) -> list[Block]:
        """Some items at a time: small ones, that calls take long for, or those of large weights."""
        whole, count = self.plan.axes[0].outputs, len(blocks)
        many = count if self.large else TOGETHER // max(1, self.conv.macs)
        if not free:
            many = min(many, BLOCK // (self._item * self.size))
        # As many blocks for each thread, and not one alone: it may be late.
        turns = max(2, -(-count // (threads() * max(1, many))))
        many = -(-count // (threads() * turns))
        return [Block(first, 0, whole, min(many, count - first)) for first in range(0, count, many)]

    def rows(self, items: Sequence[Array], parts: int = 0, free: bool = False) -> int:
        """Rows of a block: what fits into the cache, and some for every thread."""
        innermost = self._innermost(items)
        if not parts:
            # Other sums are to be the same on any number of threads.
            parts = threads() if self.ordered else PARTS
            if free:  # one thread is often later than the others
                parts = max(parts, min(EACH * parts, self._work(items) // THREADED))
        parts = -(-parts // max(1, len(items))) if self._worth(items) else 1
        if free:
            return -(-self.plan.axes[0].outputs // parts)
        if self.plan.unit and not self.last and loops(self.conv.macs):
            return rows_of(self.plan, self.size, parts, innermost, 1, PLANE)
        return rows_of(self.plan, self.size, parts, innermost)

    def many(self, items: Sequence[Array]) -> int:
        """How many threads pay."""
        return threads() if self._worth(items) else 1

    def _worth(self, items: Sequence[Array]) -> bool:
        """Whether several threads pay."""
        return self._work(items) >= THREADED

    def _work(self, items: Sequence[Array]) -> int:
        return self.conv.macs * len(items) * self._innermost(items)

    def _innermost(self, items: Sequence[Array]) -> int:
        return 1 if self.last or not items else items[0].shape[-1]

    def totals(self, items: int) -> int:
        """How many sums over positions pay, each of which has all weights to be added up."""
        positions = items * prod(self.conv.output_shape[1:])
        return max(2, min(PARTS, positions // SUMMED))

    def heavy(self, items: int) -> bool:
        """Whether several sums of all weights would take longer than to read all items again."""
        return SUMS * self.conv.weight_count > items * self._item

    @property
    def _item(self) -> int:
        """Numbers of the lanes and the outputs of an item."""
        lanes = self.plan.inner * prod(self.plan.lane_counts)
        cells = prod(self.plan.grid(self.plan.axes[0].outputs))
        return self.conv.groups * lanes * cells + prod(self.conv.output_shape)

    def apart(self, blocks: list[Block], items: Sequence[Array]) -> list[Shares]:
        """Phases of shares that never add to one input at a time, nor in another order.

        Every so many blocks of an item read inputs of their own: every other, if a block is as
        long as a window.
        """
        axis, rows = self.conv.axes[0], self.rows(items)
        if self.conv.padding_mode == "zeros":
            reach = (rows - 1) * axis.stride + axis.extent
            count = -(-reach // (rows * axis.stride))
            turns = [
                [one for one in blocks if one.first // rows % count == n] for n in range(count)
            ]
            return [single(turn) for turn in turns]
        each = len(blocks) // max(1, len(items))
        return [split(blocks, len(items))] if each else []


def single(blocks: list[Block]) -> Shares:
    """Each block by itself."""
    return [[block] for block in blocks]


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
    rows = min(max(1, room // max(1, row)), -(-first.outputs // parts))
    return int(-(-first.outputs // -(-first.outputs // rows)))
