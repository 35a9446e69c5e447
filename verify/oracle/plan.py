"""What both references read from their arguments, and how they cut arrays up."""

from collections.abc import Iterator, Sequence
from operator import index
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
PerAxis = int | Sequence[int]
Padding = int | Sequence[int] | Sequence[tuple[int, int]]
Mode = Literal["constant", "wrap", "reflect", "edge"]

INT = (int, np.integer)
MODES: dict[str, Mode] = {
    "zeros": "constant",
    "circular": "wrap",
    "reflect": "reflect",
    "replicate": "edge",
}


class Geometry(TypedDict, total=False):
    """The keywords that every reference takes."""

    stride: PerAxis
    padding: Padding
    dilation: PerAxis
    groups: int
    padding_mode: str
    input_dilation: PerAxis


class Case:
    """A geometry read and checked; the sizes are tuples with one entry per spatial axis."""

    def __init__(
        self,
        x_shape: Ints,
        w_shape: Ints,
        g_shape: Ints | None = None,
        *,
        stride: PerAxis = 1,
        padding: Padding = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        input_dilation: PerAxis = 1,
    ) -> None:
        if len(x_shape) != len(w_shape) or len(x_shape) < 3:
            raise ValueError(
                "x must be (N, C, *S) and w (O, C/G, *K), with the same number of axes: "
                f"got {x_shape} and {w_shape}"
            )
        (batch, channels, *sizes), (filters, per_group, *kernel) = x_shape, w_shape
        if groups < 1 or filters % groups or per_group * groups != channels:
            raise ValueError(
                "groups must divide C and O, and w must be (O, C/G, *K): "
                f"got C = {channels}, O = {filters}, G = {groups}, w of shape {w_shape}"
            )
        if padding_mode not in MODES:
            raise ValueError(
                f"padding_mode must be one of {', '.join(MODES)}: got {padding_mode!r}"
            )

        axes = len(sizes)
        self.groups, self.mode = groups, MODES[padding_mode]
        self.axes = tuple(range(-axes, 0))
        self.stride = _steps("stride", stride, axes)
        self.pairs = _pairs(padding, axes)
        self.dilation = _steps("dilation", dilation, axes)
        self.input_dilation = _steps("input_dilation", input_dilation, axes)
        self.kernel = tuple(kernel)
        self.extent = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, kernel, strict=True))
        self.dilated = tuple(
            max(0, (n - 1) * d + 1) for n, d in zip(sizes, self.input_dilation, strict=True)
        )
        self.padded = tuple(n + lo + hi for n, (lo, hi) in self.sides())
        # Cells where a window may start, before the stride chooses among them.
        self.starts = tuple(
            max(0, n - e + 1) for n, e in zip(self.padded, self.extent, strict=True)
        )
        # Einsum's names for the output positions and for the taps; n, g, o and c are taken.
        self.letters = "ABDEFHIJKL"[:axes], "abdefhijkl"[:axes]

        for n, (lo, hi) in self.sides():
            if max(0, -lo) + max(0, -hi) > n:
                raise ValueError(f"padding ({lo}, {hi}) crops more than the {n} cells of its axis")
        out = (-(-n // s) for n, s in zip(self.starts, self.stride, strict=True))
        wanted = (batch, filters, *out)
        if g_shape not in (None, wanted):
            raise ValueError(f"g must have the shape of the output, {wanted}: got {g_shape}")

    def sides(self) -> Iterator[tuple[int, tuple[int, int]]]:
        return zip(self.dilated, self.pairs, strict=True)

    def split(self, a: Array) -> Array:
        """(N, channels, ...) -> (N, G, channels / G, ...)."""
        return a.reshape(a.shape[0], self.groups, a.shape[1] // self.groups, *a.shape[2:])

    def stack(self, w: Array) -> Array:
        """(O, C/G, ...) -> (G, O / G, C/G, ...)."""
        return w.reshape(self.groups, w.shape[0] // self.groups, *w.shape[1:])

    def pad(self, x: Array) -> Array:
        """Dilate, then crop and pad."""
        x = spread(x, self.input_dilation, self.dilated)
        for axis, (n, pair) in zip(self.axes, self.sides(), strict=True):
            x = np.moveaxis(self._pad_first(np.moveaxis(x, axis, 0), n, pair), 0, axis)
        return x

    def unpad(self, grad: Array) -> Array:
        """The transpose of `pad`: every padded cell is added to the cell that it copied."""
        for axis, (n, pair) in zip(self.axes, self.sides(), strict=True):
            # Padding the cells' own numbers tells where each came from; n stands for a zero.
            origin = self._pad_first(np.arange(n), n, pair, zero=n)
            padded = np.moveaxis(grad, axis, 0)
            total = np.zeros((n + 1, *padded.shape[1:]), grad.dtype)
            for cell, copy in zip(origin, padded, strict=True):
                total[cell] += copy
            grad = np.moveaxis(total[:n], 0, axis)
        return every(grad, self.input_dilation)

    def _pad_first(self, a: Array, n: int, pair: tuple[int, int], zero: int = 0) -> Array:
        """Crop and pad the first axis, of n cells."""
        lo, hi = pair
        kept = a[max(0, -lo) : n - max(0, -hi)]
        widths = [(max(0, lo), max(0, hi)), *[(0, 0)] * (a.ndim - 1)]
        if self.mode == "constant":
            return np.pad(kept, widths, constant_values=zero)
        if self.mode == "reflect":  # about the ends of the whole axis: crop afterwards
            whole = np.pad(a, widths, mode="reflect")
            return whole[max(0, -lo) : len(whole) - max(0, -hi)]
        return np.pad(kept, widths, mode=self.mode)


def _steps(name: str, value: Any, axes: int) -> Ints:
    steps = tuple(map(index, [value] * axes if isinstance(value, INT) else value))
    if len(steps) != axes or min(steps) < 1:
        raise ValueError(f"{name} must be a positive int or {axes} of them: got {value}")
    return steps


def _pairs(value: Any, axes: int) -> Pairs:
    sides = [value] * axes if isinstance(value, INT) else value
    pairs = [tuple(map(index, [p, p] if isinstance(p, INT) else p)) for p in sides]
    if len(pairs) != axes or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"padding must be an int, or {axes} ints or pairs: got {value}")
    return tuple((lo, hi) for lo, hi in pairs)


def spread(a: Array, steps: Ints, sizes: Ints) -> Array:
    """Zeros of these spatial sizes, with `a` in every step-th cell."""
    spread: Array = np.zeros(a.shape[: -len(sizes)] + sizes, a.dtype)
    every(spread, steps)[...] = a
    return spread


def every(a: Array, steps: Ints) -> Array:
    """Every step-th cell of the last axes, a view."""
    cut: tuple[Any, ...] = (..., *(slice(None, None, step) for step in steps))
    view: Array = a[cut]
    return view


def first(a: Array, sizes: Ints) -> Array:
    """The first cells of the last axes, a view."""
    cut: tuple[Any, ...] = (..., *map(slice, sizes))
    view: Array = a[cut]
    return view


def merge(y: Array) -> Array:
    """(N, G, channels / G, ...) -> (N, channels, ...)."""
    return y.reshape(y.shape[0], y.shape[1] * y.shape[2], *y.shape[3:])


def add(y: Array, *bias: Array) -> Array:
    """y + b over the channels, where there is a b."""
    for b in bias:
        if b.shape != y.shape[1:2]:
            raise ValueError(f"b must have shape {y.shape[1:2]}: got {b.shape}")
        y = y + b.reshape(-1, *[1] * (y.ndim - 2))
    return y
