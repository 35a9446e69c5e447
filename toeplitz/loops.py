"""Loops that numba compiles. They hold no lock, and numba keeps their machine code for next time.

Arrays are flat where a place in them is told by an offset; lengths and steps count numbers.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from toeplitz.arrays import Array

SPAN = 4096  # outputs that are gone through at a time: they and their inputs stay in the L1 cache

loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
sums = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})


@intrinsic
def _call(_typing: Any, routine: Any, arguments: Any) -> Any:
    """Call the routine at an address with 13 addresses."""

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
        _call(
            routine,
            (turned_b, turned_a, n, m, k, one, b + offsets[i, 1], step_b,
             a + offsets[i, 0], step_a, factors[i], c + offsets[i, 2], step_c),
        )  # fmt: skip


@loop
def _correlate_first(
    source: Array, offsets: Array, step: int, weights: Array, out: Array, first: int, row: int,
    length: int,
) -> None:  # fmt: skip
    terms = len(offsets)
    for g in range(weights.shape[1]):
        for start in range(0, length, SPAN):
            size = min(SPAN, length - start)
            at = offsets + (g * step + start)
            w = weights[:, g]
            y = out[first + g * row + start :][:size]
            y[:] = 0
            t = 0
            while terms - t >= 8:
                w0, w1, w2, w3 = w[t], w[t + 1], w[t + 2], w[t + 3]
                w4, w5, w6, w7 = w[t + 4], w[t + 5], w[t + 6], w[t + 7]
                x0, x1 = source[at[t] :][:size], source[at[t + 1] :][:size]
                x2, x3 = source[at[t + 2] :][:size], source[at[t + 3] :][:size]
                x4, x5 = source[at[t + 4] :][:size], source[at[t + 5] :][:size]
                x6, x7 = source[at[t + 6] :][:size], source[at[t + 7] :][:size]
                for p in range(size):
                    y[p] += (
                        w0 * x0[p] + w1 * x1[p] + w2 * x2[p] + w3 * x3[p]
                        + w4 * x4[p] + w5 * x5[p] + w6 * x6[p] + w7 * x7[p]
                    )  # fmt: skip
                t += 8
            while t < terms:
                w0 = w[t]
                x0 = source[at[t] :][:size]
                for p in range(size):
                    y[p] += w0 * x0[p]
                t += 1


@loop
def _correlate_last(
    source: Array, offsets: Array, weights: Array, out: Array, first: int, cells: int
) -> None:
    terms, channels = weights.shape
    for p in range(cells):
        at = offsets + p * channels
        y = out[first + p * channels :][:channels]
        y[:] = 0
        t = 0
        while terms - t >= 4:
            w0, w1, w2, w3 = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
            x0, x1 = source[at[t] :][:channels], source[at[t + 1] :][:channels]
            x2, x3 = source[at[t + 2] :][:channels], source[at[t + 3] :][:channels]
            for c in range(channels):
                y[c] += w0[c] * x0[c] + w1[c] * x1[c] + w2[c] * x2[c] + w3[c] * x3[c]
            t += 4
        while t < terms:
            w0 = weights[t]
            x0 = source[at[t] :][:channels]
            for c in range(channels):
                y[c] += w0[c] * x0[c]
            t += 1


@loop
def correlate(
    last: bool, source: Array, offsets: Array, step: int, weights: Array, out: Array, first: int,
    row: int, cells: int,
) -> None:  # fmt: skip
    """The products of channels by themselves, over the taps t: weights is (taps, C).

    out[first + c row + p] = sum of weights[t, c] source[offsets[t] + c step + p], p < cells;
    where channels lie innermost, out[first + p C + c] = sum of weights[t, c]
    source[offsets[t] + p C + c].
    """
    if last:
        _correlate_last(source, offsets, weights, out, first, cells)
    else:
        _correlate_first(source, offsets, step, weights, out, first, row, cells)


@sums
def _dots_first(
    source: Array, offsets: Array, step: int, out: Array, first: int, row: int, length: int,
    weights: Array,
) -> None:  # fmt: skip
    terms, zero = len(offsets), out.dtype.type(0)
    for g in range(weights.shape[1]):
        for start in range(0, length, SPAN):
            size = min(SPAN, length - start)
            at = offsets + (g * step + start)
            w = weights[:, g]
            y = out[first + g * row + start :][:size]
            t = 0
            while terms - t >= 4:
                x0, x1 = source[at[t] :][:size], source[at[t + 1] :][:size]
                x2, x3 = source[at[t + 2] :][:size], source[at[t + 3] :][:size]
                s0 = s1 = s2 = s3 = zero
                for p in range(size):
                    s0 += y[p] * np.conj(x0[p])
                    s1 += y[p] * np.conj(x1[p])
                    s2 += y[p] * np.conj(x2[p])
                    s3 += y[p] * np.conj(x3[p])
                w[t] += s0
                w[t + 1] += s1
                w[t + 2] += s2
                w[t + 3] += s3
                t += 4
            while t < terms:
                x0 = source[at[t] :][:size]
                s0 = zero
                for p in range(size):
                    s0 += y[p] * np.conj(x0[p])
                w[t] += s0
                t += 1


@loop
def _dots_last(
    source: Array, offsets: Array, out: Array, first: int, cells: int, weights: Array
) -> None:
    terms, channels = weights.shape
    for p in range(cells):
        y = out[first + p * channels :][:channels]
        for t in range(terms):
            x = source[offsets[t] + p * channels :][:channels]
            w = weights[t]
            for c in range(channels):
                w[c] += y[c] * np.conj(x[c])


@loop
def dots(
    last: bool, source: Array, offsets: Array, step: int, out: Array, first: int, row: int,
    cells: int, weights: Array,
) -> None:  # fmt: skip
    """Add to weights the sums over p of out times source*, each read as `correlate` does."""
    if last:
        _dots_last(source, offsets, out, first, cells, weights)
    else:
        _dots_first(source, offsets, step, out, first, row, cells, weights)
