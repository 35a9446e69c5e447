"""What is told about an implementation of a pool, a norm, a fold or a pad, and its cases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.entries import laid_out


@dataclass(frozen=True)
class Layer:
    """One call: the shape of x and every keyword.

    For fold the shape is that of the image that comes out. For batch_norm `affine` and `running`
    among the options say which arrays are given.
    """

    shape: tuple
    options: tuple = ()  # (name, value), sorted by name
    dtype: str = "float64"
    data: str = "integers"
    layout: str = "contiguous"  # of x and g: "transposed", "sliced" or "backwards" in memory

    def get(self, name, default=None):
        return dict(self.options).get(name, default)

    def of(self, name, default):
        """An option per axis."""
        value = self.get(name, default)
        return tuple(value) if isinstance(value, tuple) else (value,) * self.axes

    @property
    def axes(self):
        return len(self.shape) - 2

    @property
    def sizes(self):
        return self.shape[2:]

    @property
    def kernel(self):
        return self.of("kernel_size", 1)

    @property
    def stride(self):
        """Of a pool, whose default is the kernel."""
        return self.of("stride", self.get("kernel_size", 1))

    @property
    def step(self):
        """The stride of unfold and fold, whose default is 1."""
        return self.of("stride", 1)

    @property
    def padding(self):
        return self.of("padding", 0)

    @property
    def dilation(self):
        return self.of("dilation", 1)

    @property
    def out(self):
        """The output size of an adaptive pool."""
        return self.of("output_size", 1)

    @property
    def padded(self):
        return max(self.padding) > 0

    @property
    def ceils(self):
        return bool(self.get("ceil_mode", False))

    @property
    def several(self):
        """Whether windows have several cells."""
        return max(self.kernel) > 1

    @property
    def mode(self):
        return self.get("mode", "constant")

    @property
    def per_channel(self):
        """Values that a batch norm counts as one channel."""
        return self.shape[0] * int(np.prod(self.sizes))


def case(shape, dtype="float64", data="integers", layout="contiguous", **options):
    return Layer(shape, tuple(sorted(options.items())), dtype, data, layout)


def written(c):
    """The call of `case` that gives c."""
    parts = [repr(c.shape)]
    for name in ("dtype", "data", "layout"):
        if getattr(c, name) != getattr(Layer, name):
            parts.append(f'{name}="{getattr(c, name)}"')
    parts += [f"{name}={value!r}" for name, value in c.options]
    return f"case({', '.join(parts)})"


@dataclass(frozen=True)
class BrokenLayer:
    """An implementation with exactly one mistake, and a case that shows it.

    Nothing that is smaller than `smallest` in one step shows the mistake.
    """

    name: str
    op: str
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None
    mistake: str
    seen: Callable[[Layer], bool]  # where it may be wrong: elsewhere it is right
    smallest: Layer


@dataclass(frozen=True)
class RightLayer:
    """A correct implementation."""

    name: str
    op: str
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None
    note: str  # its style, and what it does not support


def always(c):
    """What is seen in every case, or nearly so."""
    return True


def into(entries):
    """The decorator that enters a broken function into a list; a backward one names its forward."""

    def broken(op, mistake, seen, smallest, forward=None):
        def enter(f):
            pair = (f, None) if forward is None else (forward, f)
            entries.append(BrokenLayer(f.__name__, op, *pair, mistake, seen, smallest))
            return f

        return enter

    return broken


def entering(entries):
    """The decorator that enters a right function into a list; a backward one names its forward."""

    def right(*ops, note, forward=None):
        def enter(f):
            pair = (f, None) if forward is None else (forward, f)
            for op in ops:
                name = f.__name__ if len(ops) == 1 else f"{f.__name__} as {op}"
                entries.append(RightLayer(name, op, *pair, note))
            return f

        return enter

    return right


def values(c, shape, seed, special=False):
    """The data of an array: distinct integers where the dtype has room; x is special."""
    size = int(np.prod(shape))
    rng = np.random.default_rng([seed, size, len(shape)])
    v = rng.integers(1, 4, size) if c.dtype == "float16" else rng.permutation(size) + 1 + seed
    if c.data == "2048 and ones":
        v = np.ones(size, int)
        v[size // 2 :][:1] = 2048
    elif special and c.data == "small":
        v = rng.integers(-1, 2, size)
        v[:1] = 0
    elif special and c.data == "equal":
        v = np.ones(size, int)
    elif special and c.data in ("negative", "far below"):
        v = -v - (2**40 if c.data == "far below" else 0)
    elif special and c.data == "offset":
        v = v + 2**14
    elif special and c.data == "large":
        v = v + 2**60
    else:
        v = v * rng.choice([-1, 1], size)
    v = v.astype(c.dtype).reshape(shape)
    if special and size and c.data in ("ends in nan", "ends in inf"):
        v.flat[-1] = float(c.data[-3:])
    if special and c.data == "minus infinity":
        v[...] = -np.inf
    return laid_out(v, c.layout) if special else v
