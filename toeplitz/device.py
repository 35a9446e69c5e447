"""Writing a product of factors on a GPU: all entries of all arrays by one kernel.

The counterpart of writing.py. The kernel knows nothing of a geometry: it adds up what stands in
the factors' tables, which are multiplied by their steps before they go to the device.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from math import prod
from typing import Any, TypeAlias

import numpy as np

from toeplitz.factors import Factor
from toeplitz.pieces import COLUMN, ROW, VALUE
from toeplitz.writing import Array, Numbers, Target

Tables: TypeAlias = Iterable[tuple[Sequence[Factor], Sequence[Array]]]

INT32_UNTIL = 1 << 30  # numbers up to which the kernel counts in int32: sums of two fit
EACH = 4  # entries that a thread writes at least, to spread the work of finding its row
WARP = 32
BLOCK = 256  # threads of a block
FEW = 1 << 18  # threads below which a wide row is given more than a warp

START = VALUE + 1  # a kind of number that a row has, and no entry
NULL = np.intp(0)

INTEGERS = {4: "int", 8: "long long"}
# By what a value is copied, and how many: real and imaginary part, since a complex view may begin
# where only these are aligned.
PARTS = {
    "f": ("unsigned int", 1),
    "d": ("unsigned long long", 1),
    "F": ("unsigned int", 2),
    "D": ("unsigned long long", 2),
}

# `lanes` successive threads write a row: each every lanes-th entry, so that neighbours write
# neighbours. `slot` says which slot of each factor's row an entry takes, the last factor running
# fastest; it is divided out once, and from entry to entry moves on by addition with carry.
BODY = """
struct __align__(sizeof(Part) * PARTS) Datum { Part part[PARTS]; };

extern "C" __global__ void write_product(
    const Number* __restrict__ tables, const Part* __restrict__ values,
    Index* __restrict__ row_of, Index* __restrict__ column_of, Datum* __restrict__ data,
    Index* __restrict__ starts, Number matrix_rows, Number shift, Number base, PARAMETERS)
{
    const Number rows[FACTORS] = ROWS, size[FACTORS] = WIDTHS, at[FACTORS] = PLACES;
    const Number rest[FACTORS] = RESTS;
    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >> shift >= matrix_rows)
        return;
    const Number lanes = (Number)1 << shift;
    const Number row = (Number)(thread >> shift), lane = (Number)(thread & (lanes - 1));

    Number count[FACTORS], before[FACTORS];
    const Number *column[FACTORS], *value[FACTORS];
    Number left = row;
    #pragma unroll
    for (int k = FACTORS - 1; k >= 0; --k) {
        const Number here = left % rows[k];
        left /= rows[k];
        const Number* table = tables + at[k];
        count[k] = table[here];
        before[k] = table[rows[k] + here];
        column[k] = table + 2 * rows[k] + here * size[k];
        value[k] = column[k] + rows[k] * size[k];
    }
    Number first = 0, width = 1;
    #pragma unroll
    for (int k = 0; k < FACTORS; ++k) {
        first += width * before[k] * rest[k];
        width *= count[k];
    }
    if (starts && lane == 0) {
        starts[row] = (Index)first;
        if (row == matrix_rows - 1)
            starts[row + 1] = (Index)(first + width);
    }
    if (lane >= width)
        return;

    Number slot[FACTORS], step[FACTORS];
    Number entry = lane, onward = lanes;
    #pragma unroll
    for (int k = FACTORS - 1; k >= 0; --k) {
        slot[k] = entry % count[k];
        entry /= count[k];
        step[k] = onward % count[k];
        onward /= count[k];
    }
    for (entry = lane; entry < width; entry += lanes) {
        Number c = base, v = 0;
        #pragma unroll
        for (int k = 0; k < FACTORS; ++k) {
            c += column[k][slot[k]];
            v += value[k][slot[k]];
        }
        if (row_of)
            row_of[first + entry] = (Index)row;
        if (column_of)
            column_of[first + entry] = (Index)c;
        if (data) {
            Datum datum;
            #pragma unroll
            for (int p = 0; p < PARTS; ++p)
                datum.part[p] = values[(long long)v * PARTS + p];
            data[first + entry] = datum;
        }
        Number carry = 0;
        #pragma unroll
        for (int k = FACTORS - 1; k >= 0; --k) {
            slot[k] += step[k] + carry;
            carry = slot[k] >= count[k];
            slot[k] -= carry ? count[k] : 0;
        }
    }
}
"""


def source(factors: int, index: int, number: int, data: str) -> str:
    """The kernel in CUDA C++ for so many factors.

    index, number: bytes of an index that is written and of a number in a table. data: the
    character of the values' dtype.
    """
    part, parts = PARTS[data]
    each = range(factors)
    names = {"ROWS": "rows", "WIDTHS": "width", "PLACES": "place", "RESTS": "rest"}
    lists = {many: ", ".join(f"{one}_{k}" for k in each) for many, one in names.items()}
    parameters = ", ".join(f"Number {one}_{k}" for k in each for one in names.values())
    return "\n".join(
        [
            f"#define FACTORS {factors}",
            f"#define PARAMETERS {parameters}",
            *(f"#define {many} {{{listed}}}" for many, listed in lists.items()),
            f"typedef {INTEGERS[index]} Index;",
            f"typedef {INTEGERS[number]} Number;",
            f"typedef {part} Part;",
            f"#define PARTS {parts}",
            BODY,
        ]
    )


@cache  # as many as there are combinations: some dozens
def kernel(factors: int, index: int, number: int, data: str) -> Any:
    """The kernel, compiled by cupy when it is first called on a device."""
    import cupy  # an extra

    return cupy.RawKernel(source(factors, index, number, data), "write_product")


def expanded(factors: Sequence[Factor], wanted: Sequence[Numbers]) -> Tables:
    """The tables from which the wanted numbers are written, on the device."""
    import cupy  # an extra

    return [(factors, [cupy.asarray(tables(factors, wanted))])]


def tables(factors: Sequence[Factor], wanted: Sequence[Numbers]) -> Array:
    """All that the kernel reads of the factors, one after the other.

    Of each: entries of each row (rows,), entries before each row (rows,), then columns and values
    (rows, width), times their steps; 0 where they are not wanted.
    """
    steps = {numbers.kind: numbers.steps for numbers in wanted}
    none = [0] * len(factors)
    parts = [
        part.ravel()
        for place, factor in enumerate(factors)
        for part in (
            factor.count,
            np.cumsum(factor.count) - factor.count,
            factor.column * steps.get(COLUMN, none)[place],
            factor.value * steps.get(VALUE, none)[place],
        )
    ]
    largest = max(
        prod(factor.entries for factor in factors),
        prod(factor.rows for factor in factors),
        sum(map(len, parts)),
        *(abs(numbers.base) for numbers in wanted),
        sum(int(part.max(initial=0)) for part in parts),  # no sum of columns or values is larger
    )
    return np.concatenate(parts, dtype=np.int32 if largest < INT32_UNTIL else np.int64)


def write(factors: Sequence[Factor], targets: Sequence[Target], from_: Tables) -> None:
    """Write the targets, each an array of all entries of the product, on the current stream."""
    total = prod(factor.entries for factor in factors)
    if not total:
        return
    ((_, (numbers,)),) = from_
    kinds = {target.numbers.kind: target for target in targets}
    arrays = {kind: target.array for kind, target in kinds.items()}
    values = kinds[VALUE].values if VALUE in kinds else NULL
    base = kinds[COLUMN].numbers.base if COLUMN in kinds else 0
    width = -(-total // prod(factor.rows for factor in factors))
    _launch(factors, numbers, arrays, width, values, base)


def indptr(parts: Sequence[Sequence[Factor]], dtype: np.dtype[Any]) -> Array:
    """Where each row of the products below each other begins, and where the last one ends."""
    import cupy  # an extra

    heights = [prod(factor.rows for factor in factors) for factors in parts]
    result = cupy.zeros(sum(heights) + 1, dtype)
    row = entry = 0
    for factors, height in zip(parts, heights, strict=True):
        starts = result[row : row + height + 1]
        if height:
            _launch(factors, cupy.asarray(tables(factors, ())), {START: starts}, 1)
        if entry:
            starts += entry
        row += height
        entry += prod(factor.entries for factor in factors)
    return result


def _launch(
    factors: Sequence[Factor],
    numbers: Array,
    arrays: dict[int, Array],
    width: int,
    values: Any = NULL,
    base: int = 0,
) -> None:
    """Run the kernel for the arrays of these kinds, the others not written."""
    rows = prod(factor.rows for factor in factors)
    shift = _shift(rows, width)
    index = max((array.itemsize for kind, array in arrays.items() if kind != VALUE), default=4)
    data = arrays[VALUE].dtype.char if VALUE in arrays else "f"
    run = kernel(len(factors), index, numbers.itemsize, data)
    written = (arrays.get(kind, NULL) for kind in (ROW, COLUMN, VALUE, START))
    scalars = map(numbers.dtype.type, (rows, shift, base, *_parameters(factors)))
    blocks = -(-(rows << shift) // BLOCK)
    run((blocks,), (BLOCK,), (numbers, values, *written, *scalars))


def _parameters(factors: Sequence[Factor]) -> list[int]:
    """Of each factor: rows, width, where its tables begin, and the entries of those after it."""
    result = []
    place = 0
    for position, factor in enumerate(factors):
        rest = prod(after.entries for after in factors[position + 1 :])
        result += [factor.rows, factor.column.shape[1], place, rest]
        place += 2 * (factor.rows + factor.column.size)
    return result


def _shift(rows: int, width: int) -> int:
    """The binary logarithm of how many threads write a row of about `width` entries."""
    shift = 0
    while EACH << shift < width and (1 << shift < WARP or rows << shift < FEW):
        shift += 1
    return shift
