"""The arrays of layers without weights: what they get, what is right, how far off is allowed.

Each class stands beside verify.case.Arrays, for other families of ops: x, g and the like as
attributes, `y`, `gradients` and `further` for what is right, and
`bound` for how far each value of a result may be from it.
"""

from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.data import (
    HALVES,
    LARGE,
    NON_FINITE,
    exact_limit,
    gamma,
    integers,
    put,
    rounded,
    unit,
)  # fmt: skip

if TYPE_CHECKING:
    from verify.case import Case

FLOAT32 = 2.0**-24
BELOW = 2.0**60


class Unweighted:
    """x and g of pools, and of layers that move values."""

    def __init__(self, case: "Case") -> None:
        self.case = case
        layer = case.layer
        self.x_shape = (case.batch, *layer.input_shape)
        self.g_shape = (case.batch, *layer.output_shape)
        rng = np.random.default_rng(case.seed)
        largest = self._largest()
        self.x = self._items(rng, largest)
        self.g = integers(rng, self.g_shape, largest)
        if case.data == "impulses":
            self.x.fill(0)
            for place in case.at[:1]:
                put(self.x, place, 1.0)
        if case.data == "rounding":
            self.x, self.g = (
                rounded(a * rng.uniform(0.5, 1.5, a.shape), case.dtype) for a in (self.x, self.g)
            )
        if case.dtype.startswith("complex"):
            self.x, self.g = (a + 1j * integers(rng, a.shape, largest) for a in (self.x, self.g))
        if case.data in NON_FINITE:
            put(self.x, case.at[0], NON_FINITE[case.data])
            if case.data == "-inf" and case.op.family == "max_pool":
                self.x[self.x.min(tuple(range(2, self.x.ndim))) == -np.inf] = -np.inf
        if case.data in HALVES:
            for array in (self.x, self.g):
                array.fill(1)
                flat = array.reshape(prod(array.shape[:2]), prod(array.shape[2:]))
                flat[:, -1 if case.seed % 2 else 0] = LARGE
            if case.op.family == "max_pool":
                self._sent_to_one()

    def _sent_to_one(self) -> None:
        """Every window that can has its maximum in the middle; one of them gets the large g."""
        layer = self.case.layer
        x = self.x.reshape(prod(self.x_shape[:2]), prod(self.x_shape[2:]))
        x[:] = -np.arange(x.shape[1]) % 512.0
        middle = np.ravel_multi_index([n // 2 for n in layer.input_shape[1:]], self.x_shape[2:])
        x[:, middle] = LARGE
        self.g[:], outputs = 1, prod(layer.output_shape[1:])
        sent = layer.indices(self.x) == middle
        for plane, sends in zip(
            self.g.reshape(len(x), outputs), sent.reshape(len(x), outputs), strict=True
        ):
            plane[np.flatnonzero(sends)[slice(-1, None) if self.case.seed % 2 else slice(1)]] = (
                LARGE
            )

    @cached_property
    def y(self) -> Any:
        """What f must return."""
        return self.case.layer.apply(self.x)

    @cached_property
    def gradients(self) -> tuple[Any, ...]:
        """What the backward pass must return."""
        return (self.case.layer.gradient(self.g, self.x),)

    @cached_property
    def further(self) -> tuple[Any, ...]:
        """What f may return after y."""
        if self.case.op.family == "max_pool":
            return (self.case.layer.indices(self.x),)
        return ()

    def bound(self, what: str) -> Any:
        """How far each value may be off: by nothing, where values are moved or sums are exact.

        A sum of n products in any order, divided or multiplied by the reciprocal: gamma_(n + 2)
        of the sum of absolute values (Higham, 2002, section 3.1), and that of the reference, which
        is in float64. Halves are summed in float32 and rounded once.
        """
        op, layer = self.case.op, self.case.layer
        rounds = self.case.data in ("rounding", *HALVES)
        if (op.exact and not rounds) or (op.family == "max_pool" and what != "grad_x"):
            return 0.0
        terms = self._terms()
        if what == "y" and op.family == "avg_pool" and not self.case.data.startswith("half"):
            # Sums that run over the whole plane, of which differences are taken, are right too.
            spatial = tuple(range(2, self.x.ndim))
            terms = 2 * prod(layer.input_shape[1:])
            magnitude = 2 * abs(self.x).sum(spatial, keepdims=True) / abs(layer.counts())
        elif what == "y":
            magnitude = abs(layer.apply(abs(self.x)))
        elif op.family == "max_pool":
            magnitude = layer.gradient(abs(self.g), self.x)
        else:
            magnitude = abs(layer.gradient(abs(self.g), self.x))
        dtype = self.case.dtype
        wide = "complex128" if dtype.startswith("complex") else "float64"
        return (_relative(terms, dtype) + _relative(terms, wide)) * magnitude

    def _terms(self) -> int:
        layer = self.case.layer
        kernel = getattr(layer, "kernel_size", None)
        return int(prod(kernel if kernel is not None else layer.input_shape[1:]))

    def _items(self, rng: np.random.Generator, largest: int) -> Any:
        if self.case.data == "ties":
            return rng.integers(0, 2, self.x_shape).astype(float)
        if self.case.data == "zeros":
            return integers(rng, self.x_shape, largest) * rng.integers(0, 2, self.x_shape)
        if self.case.data == "large":  # int64 holds them, float64 does not
            plane = prod(self.x_shape[2:])
            rows = [rng.permutation(plane) + 2**60 for _ in range(prod(self.x_shape[:2]))]
            return np.array(rows, np.int64).reshape(self.x_shape)
        if self.case.data == "long sums":
            return rng.integers(1, largest + 1, self.x_shape).astype(float)
        if self.case.op.family != "max_pool":
            return integers(rng, self.x_shape, largest)
        # No ties: in each plane every value is another.
        plane = prod(self.x_shape[2:])
        limit = min(exact_limit(self.case.dtype), 2**24)
        rows = [rng.permutation(plane) % (2 * limit) for _ in range(prod(self.x_shape[:2]))]
        centred = np.array(rows, float).reshape(self.x_shape) - min(plane, 2 * limit) // 2
        if self.case.data != "below":
            return centred
        # Multiplied by a power of two, which is exact: below all that padding is filled with.
        below = (centred - plane) * (BELOW if self.case.dtype in ("float32", "float64") else 1)
        below[1:, :1] = centred[1:, :1]  # not everywhere: all wrong may be all zeros
        return below

    def _largest(self) -> int:
        """Integers up to this one leave every sum exact."""
        limit = exact_limit(self.case.dtype) // (2 if self.case.dtype.startswith("complex") else 1)
        most = max(1, limit // max(1, self._terms()))
        return min(most, 8191 if self.case.data == "long sums" else 9)


class Normalised:
    """The arrays of a batch norm; weight and bias are given together or not at all."""

    def __init__(self, case: "Case") -> None:
        self.case = case
        channels = case.layer.input_shape[:1]
        self.x_shape = self.g_shape = (case.batch, *case.layer.input_shape)
        rng = np.random.default_rng(case.seed)
        largest = 9 if exact_limit(case.dtype) >= 2**11 else 4
        self.x = integers(rng, self.x_shape, largest)
        if case.data == "long sums":  # a mean that dwarfs the deviations
            self.x = self.x + _offset(case.dtype)
        self.running_mean = integers(rng, channels, largest)
        self.running_var = rng.integers(1, largest + 1, channels).astype(float)
        self.weight = integers(rng, channels, largest) if case.bias else None
        self.bias = integers(rng, channels, largest) if case.bias else None
        # Not orthogonal to constants or to x: else the terms of the statistics would not show.
        self.g = integers(rng, self.g_shape, largest) + self.x % 3
        if case.data == "half sums":  # float16 holds no sum of some dozens of these
            self.x = 1.0 + 256 * rng.integers(0, 8, self.x_shape)
        if case.data == "half gradients":
            self.g = np.ones(self.g_shape)
            flat = np.moveaxis(self.g, 1, 0).reshape(channels[0], -1)
            flat[:, -1 if case.seed % 2 else 0] = LARGE
            self.g = np.moveaxis(flat.reshape(channels[0], case.batch, *self.g_shape[2:]), 0, 1)
        if case.data == "rounding":
            self.x = rounded(self.x * rng.uniform(0.5, 1.5, self.x_shape), case.dtype)
        if case.data in NON_FINITE:
            put(self.x, case.at[0], NON_FINITE[case.data])

    @cached_property
    def y(self) -> Any:
        """What f must return."""
        layer = self.case.layer
        with np.errstate(invalid="ignore"):
            return layer.layer.apply(
                self.x, self.weight, self.bias, self.running_mean, self.running_var,
                layer.training,
            )  # fmt: skip

    @cached_property
    def gradients(self) -> tuple[Any, ...]:
        """What the backward pass of training must return."""
        return tuple(self.case.layer.layer.gradients(self.g, self.x, self.weight))

    @cached_property
    def further(self) -> tuple[Any, ...]:
        """The running statistics after the call."""
        layer = self.case.layer
        if not layer.training:
            return self.running_mean, self.running_var
        return tuple(
            layer.layer.statistics(self.x, self.running_mean, self.running_var, layer.momentum)
        )

    def bound(self, what: str, eps: float | None = None) -> Any:
        """How far each value may be off; derived in verify.normalising."""
        from verify.normalising import bounds

        return bounds(self, eps)[what]


def _offset(dtype: str) -> float:
    """So large that squares of it lose the deviations, and that it is exact itself."""
    return float(int(exact_limit(dtype) ** 0.5) * 2)


def _relative(terms: int, dtype: str) -> float:
    """The relative error of a sum in any order, with a division."""
    if dtype in ("float16", "bfloat16"):
        inner = gamma(terms + 2, FLOAT32)
        return inner + unit(dtype) * (1 + inner)
    factor = 2 if dtype.startswith("complex") else 1
    return factor * gamma(terms + 2, unit(dtype))
