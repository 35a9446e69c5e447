"""Pad: a padding layer as the matrix of a 1x1 convolution of each channel."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from toeplitz import arguments, sparse
from toeplitz.affine import Affine, repeated
from toeplitz.arguments import Padding, Pairs
from toeplitz.arrays import (
    Array,
    batched,
    flat,
    namespace,
    one_of,
    same_batch,
    sent_back,
    storable_dtype,
    together,
    working,
)
from toeplitz.axis import Axis
from toeplitz.conv import Conv
from toeplitz.factors import diagonal
from toeplitz.geometry import check_reflection
from toeplitz.memory import fits
from toeplitz.sparse import Sparse

MODES = ("constant", "reflect", "replicate", "circular")


@dataclass(frozen=True, init=False, repr=False)
class Pad:
    """A padding layer: each output copies one input, or holds the constant value.

    input_shape: (C, *S). padding: an integer, one for each spatial axis, or (before, after) pairs;
    negative ones crop. mode: "constant", "reflect", "replicate" or "circular".
    Its matrix is that of a 1x1 convolution with weight 1, once for each channel.

    >>> import numpy as np, toeplitz
    >>> pad = toeplitz.Pad((1, 3), ((1, 2),), "reflect")
    >>> pad.apply(np.array([[1, 2, 3]]))
    array([[2, 1, 2, 3, 2, 1]])
    """

    input_shape: tuple[int, ...]
    padding: Pairs
    mode: str
    value: float | complex

    def __init__(
        self,
        input_shape: tuple[int, ...],
        padding: Padding,
        mode: str = "constant",
        value: float | complex = 0,
    ) -> None:
        inputs = arguments.input_shape(input_shape)
        sides = arguments.pairs("padding", padding, len(inputs) - 1)
        mode = arguments.choice("mode", mode, MODES)
        value = arguments.number("value", value)
        if value != 0 and mode != "constant":
            raise ValueError(f'value must be 0 unless mode="constant": got {value} for "{mode}"')
        for axis, (size, (before, after)) in enumerate(zip(inputs[1:], sides, strict=True)):
            if size + before + after < 1:
                raise ValueError(
                    f"padding leaves nothing of spatial axis {axis}: "
                    f"{size} + {before} + {after} = {size + before + after}; crop less"
                )
            check_reflection(axis, Axis(size, 1, 1, before, after, mode=mode), "mode")
        for name, field in zip(("input_shape", "padding", "mode", "value"),
                               (inputs, sides, mode, value), strict=True):  # fmt: skip
            object.__setattr__(self, name, field)
        self.conv  # noqa: B018  # refuses what a convolution with this padding would

    def __repr__(self) -> str:
        return arguments.call(self, ("input_shape", "padding"), mode="constant", value=0)

    @cached_property
    def conv(self) -> Conv:
        """The 1x1 convolution that pads one channel."""
        sizes = self.input_shape[1:]
        return Conv(
            (1, *sizes),
            (1, 1, *[1] * len(sizes)),
            padding=self.padding,
            padding_mode="zeros" if self.mode == "constant" else self.mode,
        )

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.input_shape[:1] + self.conv.output_shape[1:]

    def matrix(self, dtype: Any = np.float64) -> Sparse:
        """The 0/1 CSR matrix with at most one entry in each row."""
        return self._matrix(one_of(dtype))

    def apply(self, x: Any) -> Array:
        """The padded x: (N, C, *S) or (C, *S), of x's dtype."""
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        constant = namespace(x).asarray(self._constant(x.dtype))
        exact = items.astype(working(x.dtype), copy=False)
        copied = sparse.times(self._matrix(namespace(x).ones((), exact.dtype)), flat(exact))
        y = copied.astype(x.dtype, copy=False) + constant
        y = y.reshape(len(items), *self.output_shape)
        return y if items is x else y[0]

    def gradient(self, g: Any, x: Any) -> Array:
        """The matrix's transpose times g, of x's shape; real as x is."""
        g, x = together(g=g, x=x)
        batched("x", x, self.input_shape)
        upstream = batched("g", g, self.output_shape)
        same_batch(g, x, len(self.input_shape))
        result = np.result_type(g.dtype, x.dtype)
        matrix = self._matrix(namespace(x).ones((), working(result)))
        grad = sparse.times(matrix.T, flat(upstream.astype(matrix.dtype, copy=False)))
        return sent_back(grad, x, result)

    def linearize(self, x: Any) -> Affine:
        """The layer as an affine map of x.ravel()."""
        (x,) = together(x=x)
        items = batched("x", x, self.input_shape)
        xp = namespace(x)
        matrix = self._matrix(xp.ones((), working(x.dtype)))
        matrix = repeated(matrix, len(items) if items is x else None)
        constant = xp.asarray(self._constant(x.dtype).astype(matrix.dtype))
        return Affine(matrix, xp.tile(constant, len(items)))

    def _matrix(self, one: Array) -> Sparse:
        storable_dtype(one)
        factors = [diagonal(self.input_shape[0]), *self.conv.forward_factors]
        need = sparse.entries(factors) * (one.dtype.itemsize + 4)
        fits(need, one, "the csr matrix", self, "take a smaller input_shape")
        ones = namespace(one).full((self.input_shape[0], *self.conv.kernel_size), one)
        return sparse.wrap(sparse.compressed(factors, ones))

    def _constant(self, dtype: Any) -> Array:
        """The value at each output that copies no input, flat."""
        constant = np.zeros(prod(self.output_shape), dtype)
        if self.value:
            if not _held(self.value, dtype):
                raise ValueError(f"value {self.value} is no {dtype}: pad x in a wider dtype")
            constant[np.diff(self._matrix(np.ones((), np.int8)).indptr) == 0] = self.value
        return constant


def _held(value: Any, dtype: Any) -> bool:
    """Whether a dtype holds a number, rounding apart."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        whole = not np.iscomplexobj(value) and value % 1 == 0
        return bool(whole and limits.min <= value <= limits.max)
    if np.iscomplexobj(value) and dtype.kind != "c":
        return False
    try:
        wide = np.asarray(value if isinstance(value, complex) else float(value))
    except OverflowError:  # an integer beyond every float
        return False
    with np.errstate(over="ignore"):
        held = wide.astype(dtype)
    return bool(np.isfinite(held) or not np.isfinite(wide))
