"""What is told about an implementation, and the cases that it is called with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


def _axes(value, axes):
    return tuple(value) if isinstance(value, tuple) else (value,) * axes


@dataclass(frozen=True)
class Case:
    """One call: a geometry, its data, and how it is written.

    input_shape is (C, *S), or (in,) for linear; numbers given once hold for all axes. padding is
    a number per axis, or for a padded op pairs, or a name.
    """

    input_shape: tuple
    weight_shape: tuple
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    output_padding: Any = 0
    padding_mode: str = "zeros"
    batch: int = 1
    bias: bool = False
    dtype: str = "float64"
    layout: str = "contiguous"  # of x and g: "transposed", "sliced" or "backwards" in memory
    data: str = "integers"  # "positive", "ends in inf" (or nan), "large" or "2048 and ones"
    call: str = "full"  # every keyword, a tuple per axis; or "short", the least there is to write
    before: "Case | None" = None  # an earlier call of the same function
    refused: bool = False  # the right answer is a ValueError

    def __post_init__(self):
        for name in ("stride", "dilation", "output_padding"):
            object.__setattr__(self, name, _axes(getattr(self, name), self.axes))
        if not isinstance(self.padding, str):
            object.__setattr__(self, "padding", _axes(self.padding, self.axes))

    @property
    def axes(self):
        return len(self.input_shape) - 1

    @property
    def channels(self):
        return self.input_shape[0]

    @property
    def width(self):
        """Input channels of one group, of a convolution that is not transposed."""
        return self.weight_shape[1]

    @property
    def filters(self):
        return self.weight_shape[0]

    @property
    def sizes(self):
        return self.input_shape[1:]

    @property
    def kernel(self):
        return self.weight_shape[2:]

    @property
    def extent(self):
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def pairs(self):
        """The padding as (before, after) of each axis."""
        if not isinstance(self.padding, str):
            return tuple(p if isinstance(p, tuple) else (p, p) for p in self.padding)
        return tuple(map(self._named, self.sizes, self.extent, self.stride))

    def _named(self, n, extent, stride):
        if self.padding in ("valid", "full"):
            return ((0, 0), (extent - 1, extent - 1))[self.padding == "full"]
        total = max(0, (-(-n // stride) - 1) * stride + extent - n)
        half = total // 2
        return (total - half, half) if self.padding == "same_lower" else (half, total - half)

    @property
    def out(self):
        """Sizes of the output of a convolution that is not transposed."""
        axes = zip(self.sizes, self.extent, self.stride, self.pairs, strict=True)
        return tuple((n + sum(pair) - e) // s + 1 for n, e, s, pair in axes)

    @property
    def left_over(self):
        """Cells behind the last window, of each axis."""
        axes = zip(self.sizes, self.extent, self.stride, self.pairs, strict=True)
        return tuple((n + sum(pair) - e) % s for n, e, s, pair in axes)


@dataclass(frozen=True)
class Broken:
    """An implementation with exactly one mistake.

    Nothing that is smaller than `smallest` in one step (a cell, tap, channel or item less, a
    stride, dilation or padding less, an option left at its default) shows the mistake. Among
    several such cases it is one with few options: padding often does with fewer cells.
    """

    name: str
    op: str
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None
    mistake: str
    where_seen: str
    seen: Callable[[Case], bool]  # where_seen, as far as a case tells: elsewhere it is right
    smallest: Case
    reset: Callable[[], None]  # forgets what earlier calls left behind
    algorithm: str  # "direct", "fft" or "winograd"


@dataclass(frozen=True)
class Right:
    """A correct implementation."""

    name: str
    op: str
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None
    note: str  # its algorithm, and what it does not support
    algorithm: str  # "direct", "fft" or "winograd"
    rounding: Callable[..., float]  # (p, q, terms, u) -> a bound, 0 where integers are exact
    spreads: bool  # inf and nan reach outputs that do not depend on them: 0 * inf, inf - inf


def into(entries):
    """The decorator that enters a broken function into a list; a backward one names its forward."""

    def broken(
        op, mistake, where, seen, smallest, forward=None, reset=lambda: None, algorithm="direct"
    ):
        def enter(f):
            pair = (f, None) if forward is None else (forward, f)
            told = mistake, where, seen, smallest, reset, algorithm
            entries.append(Broken(f.__name__, op, *pair, *told))
            return f

        return enter

    return broken


def entering(entries):
    """The decorator that enters a right function into a list; a backward one names its forward."""

    def right(
        op,
        note,
        forward=None,
        name=None,
        algorithm="direct",
        rounding=lambda p, q, terms, u: 0.0,
        spreads=False,
    ):
        def enter(f):
            pair = (f, None) if forward is None else (forward, f)
            told = note, algorithm, rounding, spreads or algorithm != "direct"
            entries.append(Right(name or f.__name__, op, *pair, *told))
            return f

        return enter

    return right


def numbers(case, shape, seed, special=False):
    """The data of an array of this shape: distinct integers where the dtype has room for them."""
    size = int(np.prod(shape))
    rng = np.random.default_rng([seed, size, len(shape)])
    values = (
        rng.integers(1, 4, size) if case.dtype == "float16" else rng.permutation(size) + 1 + seed
    )
    if case.data not in ("positive", "2048 and ones"):
        values = values * rng.choice([-1, 1], size)
    values = values.astype(case.dtype).reshape(shape)
    if case.dtype == "complex128":
        values = values + 1j * rng.permutation(size).reshape(shape)
    if case.data == "2048 and ones":
        values[...] = 1
    if special and size:
        if case.data in ("ends in inf", "ends in nan"):
            values.flat[-1] = float(case.data[-3:])
        elif case.data == "large":
            values += 2**24
        elif case.data == "2048 and ones":
            values.flat[0] = 2048
    return values


def laid_out(a, layout):
    """The same array in another memory layout."""
    if layout == "transposed":
        return np.ascontiguousarray(a.T).T
    if layout == "sliced":
        return np.repeat(a, 2, axis=-1)[..., ::2]
    if layout == "backwards":
        return np.ascontiguousarray(a[..., ::-1])[..., ::-1]
    return a
