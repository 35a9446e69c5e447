"""The oracle of the oracles: convolution and pooling by nested loops on exact Python integers.

One item at a time, `x` of shape (C, *S) with any number of spatial axes. Nothing here is fast
and nothing here is shared: `Fraction` divides the averages, NumPy only holds the numbers. Every
result is an object array. PyTorch's definitions hold wherever PyTorch has one.
"""

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Cell = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def cells(sizes: Cell) -> Iterator[Cell]:
    """All positions of an array of these sizes, the last axis fastest."""
    return itertools.product(*(range(n) for n in sizes))


def zeros(*shape: int) -> Array:
    """Python's own 0 in every cell: integers that cannot overflow."""
    return np.zeros(shape, dtype=object)


def exact(x: Array) -> Array:
    """The same numbers as Python objects."""
    return np.asarray(x).astype(object)


# Padding


def source(p: int, n: int, pair: tuple[int, int], mode: str) -> int | None:
    """The cell, of n on this axis, that padded cell p copies; None for a zero."""
    lo, hi = pair
    first, last = max(0, -lo), n - max(0, -hi)  # cropping comes first: this much is left
    size = last - first
    if size < 0:
        raise ValueError(f"padding crops more than there is: {n} + {min(lo, 0)} + {min(hi, 0)} < 0")
    q = p - lo - first
    if 0 <= q < size:
        return first + q
    if mode == "zeros":
        return None
    if size == 0:
        raise ValueError(f"{mode} padding needs a cell to copy")
    if mode == "circular":
        return first + q % size
    if mode == "replicate":
        return first if q < 0 else last - 1
    if mode == "reflect":  # about the ends of the whole axis, as PyTorch has it
        if n == 1:
            return 0
        q = p - lo
        while not 0 <= q < n:
            q = -q if q < 0 else 2 * (n - 1) - q
        return q
    raise ValueError(f"unknown padding mode {mode!r}")


def pad(x: Array, pairs: Pairs, mode: str = "zeros") -> Array:
    """y[c, p] = x[c, source(p)], or 0; pairs are (lo, hi) per axis and a negative entry crops."""
    x = exact(x)
    channels, *sizes = x.shape
    padded = tuple(n + lo + hi for n, (lo, hi) in zip(sizes, pairs, strict=True))
    y = zeros(channels, *padded)
    for p in cells(padded):
        s = [source(*axis, mode) for axis in zip(p, sizes, pairs, strict=True)]
        if None not in s:
            for c in range(channels):
                y[c, *p] = x[c, *s]
    return y


def dilate(x: Array, input_dilation: Cell) -> Array:
    """y[c, i d] = x[c, i], and 0 between: d - 1 zeros between neighbours."""
    x = exact(x)
    channels, *sizes = x.shape
    spread = (max(0, (n - 1) * d + 1) for n, d in zip(sizes, input_dilation, strict=True))
    y = zeros(channels, *spread)
    for c in range(channels):
        for i in cells(tuple(sizes)):
            y[c, *(a * d for a, d in zip(i, input_dilation, strict=True))] = x[c, *i]
    return y


def numbered(sizes: Cell, input_dilation: Cell, pairs: Pairs, mode: str) -> Array:
    """The padded plane, holding in each cell 1 + the flat index of its input, 0 for no input."""
    plane = np.arange(1, 1 + math.prod(sizes)).reshape(1, *sizes)
    padded: Array = pad(dilate(plane, input_dilation), pairs, mode)[0]
    return padded


# Convolution


def count(n: int, k: int, s: int, d: int) -> int:
    """floor((n - (d (k - 1) + 1)) / s) + 1 windows fit in n cells, and never fewer than none."""
    return max(0, (n - (d * (k - 1) + 1)) // s + 1)


def triples(
    x_shape: Cell,
    w_shape: Cell,
    *,
    stride: Cell,
    padding: Pairs,
    dilation: Cell,
    groups: int = 1,
    padding_mode: str = "zeros",
    input_dilation: Cell,
) -> Iterator[tuple[Cell, Cell, Cell]]:
    """Every (output, input, weight) with y[output] += x[input] w[weight]."""
    _, *sizes = x_shape
    filters, per_group, *kernel = w_shape
    places = list(cells(tuple(sizes)))
    plane = numbered(tuple(sizes), input_dilation, padding, padding_mode)
    for o in range(filters):
        group = o // (filters // groups)
        for t in cells(tuple(map(count, plane.shape, kernel, stride, dilation))):
            for k in cells(tuple(kernel)):
                axes = zip(t, stride, k, dilation, strict=True)
                number = plane[*(a * s + b * d for a, s, b, d in axes)]
                if number:
                    for c in range(per_group):
                        i = (group * per_group + c, *places[number - 1])
                        yield (o, *t), i, (o, c, *k)


def output_shape(x_shape: Cell, w_shape: Cell, **geometry: Any) -> Cell:
    """(O, *out), out the count of windows in each dilated and padded axis."""
    spread = dilate(zeros(0, *x_shape[1:]), geometry["input_dilation"]).shape[1:]
    padded = (n + lo + hi for n, (lo, hi) in zip(spread, geometry["padding"], strict=True))
    return (w_shape[0], *map(count, padded, w_shape[2:], geometry["stride"], geometry["dilation"]))


def conv(x: Array, w: Array, b: Array | None = None, **geometry: Any) -> Array:
    """y[o, t] = b[o] + sum over c, k of padded(x)[c, t s + k d] w[o, c, k], c in o's group."""
    x, w = exact(x), exact(w)
    y = zeros(*output_shape(x.shape, w.shape, **geometry))
    for o, i, k in triples(x.shape, w.shape, **geometry):
        y[o] += x[i] * w[k]
    return y if b is None else add_bias(y, b)


def conv_grad_x(g: Array, w: Array, x_shape: Cell, **geometry: Any) -> Array:
    """grad_x[i] = sum of g[o] conj(w[k]) over the triples (o, i, k)."""
    g, w = exact(g), exact(w)
    grad = zeros(*x_shape)
    for o, i, k in triples(x_shape, w.shape, **geometry):
        grad[i] += g[o] * w[k].conjugate()
    return grad


def conv_grad_w(g: Array, x: Array, w_shape: Cell, **geometry: Any) -> Array:
    """grad_w[k] = sum of g[o] conj(x[i]) over the triples (o, i, k)."""
    g, x = exact(g), exact(x)
    grad = zeros(*w_shape)
    for o, i, k in triples(x.shape, w_shape, **geometry):
        grad[k] += g[o] * x[i].conjugate()
    return grad


def conv_grad_b(g: Array) -> Array:
    """grad_b[o] = sum over t of g[o, t]."""
    g = exact(g)
    grad = zeros(g.shape[0])
    for t in cells(g.shape):
        grad[t[0]] += g[t]
    return grad


def add_bias(y: Array, b: Array) -> Array:
    """y[o, t] + b[o]."""
    b = exact(b)
    for t in cells(y.shape):
        y[t] += b[t[0]]
    return y


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Cell,
    padding: Pairs,
    output_padding: Cell,
    dilation: Cell,
    groups: int = 1,
) -> Array:
    """y[o, i s + k d - lo] += x[c, i] w[c, o, k].

    The output has (n - 1) s - lo - hi + d (k - 1) + 1 + output_padding cells on each axis.
    """
    x, w = exact(x), exact(w)
    channels, *sizes = x.shape
    _, per_group, *kernel = w.shape
    axes = zip(sizes, stride, kernel, dilation, output_padding, strict=True)
    y = zeros(per_group * groups, *((n - 1) * s + d * (k - 1) + 1 + e for n, s, k, d, e in axes))
    for c in range(channels):
        group = c // (channels // groups)
        for i in cells(tuple(sizes)):
            for k in cells(tuple(kernel)):
                steps = zip(i, stride, k, dilation, strict=True)
                target = tuple(a * s + b * d for a, s, b, d in steps)
                for o in range(per_group):
                    y[group * per_group + o, *target] += x[c, *i] * w[c, o, *k]
    y = pad(y, tuple((-lo, -hi) for lo, hi in padding))
    return y if b is None else add_bias(y, b)


# Pooling, unfolding


def pool_count(n: int, k: int, s: int, pair: tuple[int, int], d: int, ceil_mode: bool) -> int:
    """Windows on one axis; with ceil_mode the last starts in the input or the left padding."""
    lo, hi = pair
    windows = (n + lo + hi - (d * (k - 1) + 1) + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (windows - 1) * s >= n + lo + min(hi, 0):
        windows -= 1
    return max(0, windows)


def pooled_shape(
    sizes: Cell, kernel: Cell, stride: Cell, padding: Pairs, dilation: Cell, ceil_mode: bool
) -> Cell:
    """The number of windows on each axis."""
    axes = zip(sizes, kernel, stride, padding, dilation, strict=True)
    return tuple(pool_count(*axis, ceil_mode) for axis in axes)


def windows(
    sizes: Cell, kernel: Cell, stride: Cell, padding: Pairs, dilation: Cell, ceil_mode: bool
) -> Iterator[tuple[Cell, list[int | None]]]:
    """Each output with the flat inputs of its window, None for padding.

    Cells that ceil_mode reaches beyond the padding are left out: they are not there at all.
    """
    plane = numbered(sizes, (1,) * len(sizes), padding, "zeros")
    for t in cells(pooled_shape(sizes, kernel, stride, padding, dilation, ceil_mode)):
        seen: list[int | None] = []
        for k in cells(kernel):
            steps = zip(t, stride, k, dilation, strict=True)
            where = tuple(a * s + b * d for a, s, b, d in steps)
            if all(p < n for p, n in zip(where, plane.shape, strict=True)):
                seen.append(plane[where] - 1 if plane[where] else None)
        yield t, seen


def max_pool(
    x: Array, kernel: Cell, stride: Cell, padding: Pairs, dilation: Cell, ceil_mode: bool
) -> tuple[Array, Array]:
    """y[c, t] = max of x[c, i] over the window, and the first i that reaches it.

    A window of padding alone has no i: the maximum of nothing is -inf, its index -1.
    """
    channels, *sizes = x.shape
    geometry = tuple(sizes), kernel, stride, padding, dilation, ceil_mode
    flat = exact(x).reshape(channels, -1)
    values, indices = (zeros(channels, *pooled_shape(*geometry)) for _ in range(2))
    for c in range(channels):
        for t, seen in windows(*geometry):
            values[c, *t], indices[c, *t] = -math.inf, -1
            for i in seen:
                if i is not None and flat[c, i] > values[c, *t]:
                    values[c, *t], indices[c, *t] = flat[c, i], i
    return values, indices


def avg_pool(
    x: Array,
    kernel: Cell,
    stride: Cell,
    padding: Pairs,
    dilation: Cell,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """y[c, t] = (sum of x[c, i] over the window) / divisor, a Fraction.

    The divisor is the override, or the cells of the padded input in the window, or of the input
    alone without count_include_pad. A window of padding alone averages to 0.
    """
    channels, *sizes = x.shape
    geometry = tuple(sizes), kernel, stride, padding, dilation, ceil_mode
    flat = exact(x).reshape(channels, -1)
    y = zeros(channels, *pooled_shape(*geometry))
    for c in range(channels):
        for t, seen in windows(*geometry):
            real = [i for i in seen if i is not None]
            divisor = divisor_override or len(seen if count_include_pad else real) or 1
            y[c, *t] = Fraction(sum(flat[c, i] for i in real), divisor)
    return y


def unfold(x: Array, kernel: Cell, stride: Cell, padding: Pairs, dilation: Cell) -> Array:
    """patches[c K + k, t] = padded(x)[c, t s + k d]: one column per window, (C K, L)."""
    channels, *sizes = x.shape
    geometry = tuple(sizes), kernel, stride, padding, dilation, False
    flat = exact(x).reshape(channels, -1)
    taps = math.prod(kernel)
    patches = zeros(channels * taps, math.prod(pooled_shape(*geometry)))
    for column, (_, seen) in enumerate(windows(*geometry)):
        for c in range(channels):
            for k, i in enumerate(seen):
                patches[c * taps + k, column] = 0 if i is None else flat[c, i]
    return patches


def adaptive_windows(n: int, out: int) -> list[tuple[int, int]]:
    """Window t of out reads from floor(t n / out) up to, not including, ceil((t + 1) n / out)."""
    return [(t * n // out, -(-(t + 1) * n // out)) for t in range(out)]
