"""Channels by themselves: sums of numbers times stretches of numbers, several at a time.

In channels_first what one channel needs is copied, multiplied and copied back in the L1 cache. A
move (inside, outside, count, step) is a stretch of a channel: numbers side by side in a lane or a
sheet, and every step-th number of an array from `outside` on; zeros, where that is negative.
"""

import numpy as np
from numba import njit

from toeplitz.arrays import Array

loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
sums = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})

SPAN = 4096  # outputs that are gone through at a time: they and their inputs stay in the L1 cache


@loop
def correlate(
    source: Array, offsets: Array, step: int, weights: Array, out: Array, first: int, row: int,
    length: int,
) -> None:  # fmt: skip
    """The products of channels by themselves, over the taps t: weights is (taps, C).

    out[first + c row + p] = sum of weights[t, c] source[offsets[t] + c step + p], p < length.
    """
    terms = len(offsets)
    for g in range(weights.shape[1]):
        for start in range(0, length, SPAN):
            size = min(SPAN, length - start)
            at = offsets + (g * step + start)
            w = weights[:, g]
            y = out[first + g * row + start :][:size]
            y[:] = 0
            t = 0
            while terms - t >= 9:  # a kernel of 3x3 at once
                w0, w1, w2 = w[t], w[t + 1], w[t + 2]
                w3, w4, w5 = w[t + 3], w[t + 4], w[t + 5]
                w6, w7, w8 = w[t + 6], w[t + 7], w[t + 8]
                x0, x1 = source[at[t] :][:size], source[at[t + 1] :][:size]
                x2, x3 = source[at[t + 2] :][:size], source[at[t + 3] :][:size]
                x4, x5 = source[at[t + 4] :][:size], source[at[t + 5] :][:size]
                x6, x7 = source[at[t + 6] :][:size], source[at[t + 7] :][:size]
                x8 = source[at[t + 8] :][:size]
                for p in range(size):
                    y[p] += (
                        w0 * x0[p] + w1 * x1[p] + w2 * x2[p]
                        + w3 * x3[p] + w4 * x4[p] + w5 * x5[p]
                        + w6 * x6[p] + w7 * x7[p] + w8 * x8[p]
                    )  # fmt: skip
                t += 9
            while terms - t >= 3:
                w0, w1, w2 = w[t], w[t + 1], w[t + 2]
                x0, x1 = source[at[t] :][:size], source[at[t + 1] :][:size]
                x2 = source[at[t + 2] :][:size]
                for p in range(size):
                    y[p] += w0 * x0[p] + w1 * x1[p] + w2 * x2[p]
                t += 3
            while t < terms:
                w0 = w[t]
                x0 = source[at[t] :][:size]
                for p in range(size):
                    y[p] += w0 * x0[p]
                t += 1


@sums
def _dots(
    source: Array, offsets: Array, step: int, out: Array, first: int, row: int, length: int,
    weights: Array,
) -> None:  # fmt: skip
    """Add to weights the sums over p of out times source*, each read as `correlate` does."""
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
def _read(inside: Array, outside: Array, moves: Array) -> None:
    """inside = outside."""
    for place, begin, count, step in moves:
        into = inside[place:][:count]
        if begin < 0:
            into[:] = 0
        elif step == 1:
            source = outside[begin:][:count]
            for i in range(count):
                into[i] = source[i]
        else:
            for i in range(count):
                into[i] = outside[begin + i * step]


@loop
def _write(inside: Array, outside: Array, moves: Array) -> None:
    """outside = inside."""
    for place, begin, count, _ in moves:
        source, into = inside[place:][:count], outside[begin:][:count]
        for i in range(count):
            into[i] = source[i]


@loop
def plane_forward(
    x: Array, weights: Array, y: Array, inputs: Array, outputs: Array, lanes: Array, sheet: Array,
    reads: Array, cells: int,
) -> None:  # fmt: skip
    """Outputs of a block, y (C, …), from x (C, …): moves, and where each tap reads the lanes."""
    for channel in range(len(x)):
        _read(lanes, x[channel], inputs)
        w = weights[:, channel : channel + 1]
        correlate(lanes, reads, 0, w, sheet, 0, 0, cells)
        _write(sheet, y[channel], outputs)


@loop
def plane_weights(
    x: Array, weights: Array, y: Array, inputs: Array, outputs: Array, lanes: Array, sheet: Array,
    reads: Array, cells: int,
) -> None:  # fmt: skip
    """Add to the weights the sums over a block of y times x*."""
    for channel in range(len(x)):
        _read(lanes, x[channel], inputs)
        _read(sheet, y[channel], outputs)
        w = weights[:, channel : channel + 1]
        _dots(lanes, reads, 0, sheet, 0, 0, cells, w)
