"""Depthwise, channel after channel: what one needs is copied, multiplied and copied back in L1.

A move (inside, outside, count, step) is a stretch of a channel: numbers side by side in a lane or
a sheet, and every step-th number of an array from `outside` on; zeros, where that is negative.
"""

from toeplitz.arrays import Array
from toeplitz.compiled.depthwise import correlate_first, dots_first
from toeplitz.compiled.routines import loop


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
def _add(inside: Array, outside: Array, moves: Array) -> None:
    """outside += inside."""
    for place, begin, count, step in moves:
        source = inside[place:][:count]
        if step == 1 and begin >= 0:
            into = outside[begin:][:count]
            for i in range(count):
                into[i] += source[i]
        elif begin >= 0:
            for i in range(count):
                outside[begin + i * step] += source[i]


@loop
def plane_forward(
    x: Array, weights: Array, y: Array, inputs: Array, outputs: Array, lanes: Array, sheet: Array,
    reads: Array, cells: int,
) -> None:  # fmt: skip
    """Outputs of a block, y (C, …), from x (C, …): moves, and where each tap reads the lanes."""
    for channel in range(len(x)):
        _read(lanes, x[channel], inputs)
        w = weights[:, channel : channel + 1]
        correlate_first(lanes, reads, 0, w, sheet, 0, 0, cells)
        _write(sheet, y[channel], outputs)


@loop
def plane_adjoint(
    x: Array, weights: Array, y: Array, inputs: Array, outputs: Array, lanes: Array, sheet: Array,
    reads: Array, bounds: Array, cells: int,
) -> None:  # fmt: skip
    """Add to x what y sends back, the taps lane by lane; bounds: of the taps of each lane."""
    for channel in range(len(x)):
        _read(sheet, y[channel], outputs)
        for lane in range(len(bounds) - 1):
            taps = slice(bounds[lane], bounds[lane + 1])
            w = weights[taps, channel : channel + 1]
            correlate_first(sheet, reads[taps], 0, w, lanes, lane * cells, 0, cells)
        _add(lanes, x[channel], inputs)


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
        dots_first(lanes, reads, 0, sheet, 0, 0, cells, w)
