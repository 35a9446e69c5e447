"""Pad: a padding layer as the matrix of a depthwise 1x1 convolution."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from toeplitz import arguments, sparse
from toeplitz.affine import Affine, repeated
from toeplitz.arguments import Padding, Pairs
from toeplitz.arrays import Array, batched, namespace, same_batch, together, working
from toeplitz.conv import Conv
from toeplitz.sparse import Sparse

MODES = ("constant", "reflect", "replicate", "circular")


@dataclass(frozen=True, init=False, repr=False)
class Pad:
    """A padding layer: each output copies one input, or holds the constant value.

    input_shape: (C, *S). padding: an integer, one for each spatial axis, or (before, after) pairs;
    negative ones crop. mode: "constant", "reflect", "replicate" or "circular".
    Its matrix is that of a depthwise 1x1 convolution with weight 1.

    >>> import numpy as np, toeplitz
    >>> pad = toeplitz.Pad((1, 3), ((1, 2),), "reflect")
    >>> pad.apply(np.array([[1, 2, 3]]))
    array([[2, 1, 2, 3, 2, 1]])
    """

    input_shape: tuple[int, ...]
    padding: Pairs
    mode: str
    value: float

    def __init__(
        self,
        input_shape: tuple[int, ...],
        padding: Padding,
        mode: str = "constant",
        value: float = 0,
    ) -> None:
        inputs = arguments.input_shape(input_shape)
        sides = arguments.pairs("padding", padding, len(inputs) - 1)
        mode = arguments.choice("mode", mode, MODES)
        if isinstance(value, bool) or not isinstance(value, int | float | complex | np.number):
            raise TypeError(f"value must be a number, got {value!r}")
        if value != 0 and mode != "constant":
            raise ValueError(f'value must be 0 unless mode="constant": got {value} for "{mode}"')
        for axis, (size, (before, after)) in enumerate(zip(inputs[1:], sides, strict=True)):
            if size + before + after < 1:
                raise ValueError(
                    f"padding leaves nothing of spatial axis {axis}: "
                    f"{size} + {before} + {after} = {size + before + after}; crop less"
                )
        for name, field in zip(("input_shape", "padding", "mode", "value"),
                               (inputs, sides, mode, value), strict=True):  # fmt: skip
            object.__setattr__(self, name, field)
        self.conv  # noqa: B018  # refuses what a convolution with this padding would

    def __repr__(self) -> str:
        return arguments.call(self, ("input_shape", "padding"), mode="constant", value=0)

    @cached_property
    def conv(self) -> Conv:
        """The depthwise convolution whose matrix this is."""
        number = self.input_shape[0]
        return Conv(
            self.input_shape,
            (number, 1, *[1] * (len(self.input_shape) - 1)),
            padding=self.padding,
            groups=number,
            padding_mode="zeros" if self.mode == "constant" else self.mode,
        )

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.conv.output_shape

    def matrix(self, dtype: Any = np.float64) -> Sparse:
        """The 0/1 CSR matrix with at most one entry in each row."""
        return self.conv.matrix(np.ones(self.conv.weight_shape, dtype))

    def apply(self, x: Any) -> Array:
        """The padded x: (N, C, *S) or (C, *S), of x's dtype."""
        (x,) = together(x=x)
        y = self.conv.apply(x, self._ones(x, x.dtype))
        if not self.value:
            return y
        filled = namespace(x).asarray(self._constant(x.dtype))
        return y + filled.reshape(self.output_shape)

    def gradient(self, g: Any, x: Any) -> Array:
        """The matrix's transpose times g, of x's shape."""
        g, x = together(g=g, x=x)
        items = batched("x", x, self.input_shape)
        upstream = batched("g", g, self.output_shape)
        same_batch(g, x, len(self.input_shape))
        result = np.result_type(g.dtype, x.dtype)
        matrix = self.conv.matrix(self._ones(x, working(result)))
        rows = upstream.reshape(len(items), prod(self.output_shape))
        grad = sparse.times(matrix.T, rows.astype(working(result), copy=False))
        return grad.astype(result, copy=False).reshape(x.shape)

    def linearize(self, x: Any) -> Affine:
        """The layer as an affine map of x.ravel()."""
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        xp = namespace(x)
        matrix = self.conv.matrix(self._ones(x, working(x.dtype)))
        matrix = repeated(matrix, len(items) if items is x else None)
        return Affine(matrix, xp.tile(xp.asarray(self._constant(matrix.dtype)), len(items)))

    def _ones(self, x: Array, dtype: Any) -> Array:
        return namespace(x).ones(self.conv.weight_shape, dtype)

    def _constant(self, dtype: Any) -> Array:
        """The value at each output that copies no input, flat."""
        if not _held(self.value, dtype):
            raise ValueError(f"value {self.value} is no {dtype}: pad x in a wider dtype")
        entries = np.diff(self.conv.matrix(np.ones(self.conv.weight_shape, np.int8)).indptr)
        return np.where(entries == 0, self.value, 0).astype(dtype)


def _held(value: Any, dtype: Any) -> bool:
    """Whether a dtype holds a number, rounding apart."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        whole = not np.iscomplexobj(value) and value % 1 == 0
        return bool(whole and limits.min <= value <= limits.max)
    return dtype.kind == "c" or not np.iscomplexobj(value)
