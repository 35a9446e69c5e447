"""What a structured product takes beside input and output, known before it is made."""

from math import prod

from toeplitz import blas
from toeplitz.arrays import DType
from toeplitz.compiled import loops
from toeplitz.conv import Conv
from toeplitz.operators import blocks, structured
from toeplitz.operators.lanes import Plan
from toeplitz.operators.summed import DTYPES
from toeplitz.threads import threads

TABLES = 1 << 19  # numbers of the axis tables up to which a plan is made just to be asked
POSITION = 8  # bytes of one number of a table


def countable(conv: Conv) -> bool:
    """Whether BLAS can count what the products are made of, and there is something to count."""
    cells = max(prod(axis.padded for axis in conv.axes), prod(conv.output_shape[1:]))
    steps = (
        cells * structured.INNERMOST,
        conv.in_channels * prod(conv.kernel_size),
        conv.out_channels,
    )
    sizes = (*conv.input_shape, *conv.output_shape, *conv.weight_shape)
    return all(sizes) and max(steps) <= blas.LARGEST


def by_blas(conv: Conv, dtype: DType) -> bool:
    """Whether BLAS, as it usually is, has products of a dtype and of such sizes."""
    return dtype.char in blas.ROUTINES and countable(conv)


def plan_of(conv: Conv) -> Plan | None:
    """The plan of the products; None where it would take long."""
    return Plan.of(conv) if _tables(conv) <= POSITION * TABLES else None


def workers(conv: Conv, items: int = 1) -> int:
    """Threads that a product of so many items is shared by."""
    return threads() if conv.macs * items >= blocks.THREADED else 1


def needed(conv: Conv, dtype: DType) -> int:
    """Bytes of operator(w) and a product of one item, beside the item and its output.

    Close where the plan can be asked, else at most; without what Python's own objects take.
    """
    value, weights = dtype.itemsize, prod(conv.weight_shape)
    positions = prod(conv.output_shape[1:])
    if not by_blas(conv, dtype):
        # By patches: which input each tap reads, the inputs with a zero, the patches, the outputs.
        reads = positions * prod(conv.kernel_size)
        items = conv.in_channels * (prod(conv.input_shape[1:]) + 1 + reads)
        return (weights + items + positions * conv.out_channels) * value + 4 * POSITION * reads
    # w as given and in the order of the products; while that order is made, two lists of it.
    own, making = weights * (2 * value + POSITION), weights * (value + 2 * POSITION)
    plan = plan_of(conv)
    if plan is None:
        used = 2 * _tables(conv) + workers(conv) * max(blocks.BLOCK, _row(conv) * value)
    else:
        # What is added up in registers is cut for the threads that there are.
        summed = not plan.unit and dtype.char in DTYPES and loops(conv.macs)
        used = sum(axis.position.nbytes for axis in plan.axes)
        used += _stages(plan, value, workers(conv) if summed else blocks.PARTS)
    return max(making, own + used)


def _stages(plan: Plan, value: int, parts: int = blocks.PARTS) -> int:
    """Bytes of the blocks that are there at a time: one for each thread, and one for the rest."""
    most = workers(plan.conv)
    rows = blocks.rows_of(plan, value, parts if plan.conv.macs >= blocks.THREADED else 1)
    whole, rest = divmod(plan.axes[0].outputs, rows)
    return value * (min(most, whole) * _stage(plan, rows) + (_stage(plan, rest) if rest else 0))


def _stage(plan: Plan, rows: int) -> int:
    """Numbers in the lanes and in the sheet of a block, as stage.Stage has them."""
    conv, later = plan.conv, plan.axes[1:]
    lanes = conv.groups * plan.inner * prod(plan.lane_counts) * prod(plan.grid(rows))
    if not plan.unit and plan.whole:
        lanes = 0  # read where they are
    by_sheet = any(axis.length != axis.outputs for axis in later)
    sheet = conv.out_channels * rows * prod(axis.length for axis in later)
    return lanes + sheet * (2 if plan.unit else 1 if by_sheet else 0)


def _tables(conv: Conv) -> int:
    return POSITION * sum((axis.windows + axis.extent) * axis.kernel for axis in conv.axes)


def _row(conv: Conv) -> int:
    """Numbers in a block of one row of outputs at most: each tap has inputs of its own."""
    first, *later = conv.axes
    cells = prod(axis.windows + axis.extent for axis in later)
    inputs = conv.in_channels * first.extent * prod(axis.kernel for axis in later)
    return (inputs + conv.out_channels) * cells
