"""Products of matrices in turn, by a BLAS."""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.arrays import Array

loop = njit(nogil=True, cache=True, error_model="numpy")


@intrinsic
def call(_typing: Any, routine: Any, arguments: Any) -> Any:
    """Call the routine at an address, as gemm, with 13 addresses."""

    def write(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 13).as_pointer()
        given = cgutils.unpack_tuple(builder, values[1])
        pointers = [builder.inttoptr(value, pointer) for value in given]
        builder.call(builder.inttoptr(values[0], kind), pointers)
        return context.get_dummy_value()

    return types.void(routine, arguments), write


@loop
def gemms(routine: int, fixed: Any, a: int, b: int, c: int, offsets: Array, factors: Array) -> None:
    """Products of matrices in turn, at offsets (n, 3) from a, b and c; see blas.Gemm."""
    turned_b, turned_a, n, m, k, one, step_b, step_a, step_c = fixed
    for i in range(len(offsets)):
        call(
            routine,
            (turned_b, turned_a, n, m, k, one, b + offsets[i, 1], step_b,
             a + offsets[i, 0], step_a, factors[i], c + offsets[i, 2], step_c),
        )  # fmt: skip
