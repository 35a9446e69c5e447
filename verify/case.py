"""A case: one geometry with its data, small enough to print and to replay."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import isqrt, prod
from typing import Any

import numpy as np

import toeplitz
from verify import layers
from verify.data import (
    HALVES,
    LARGE,
    NON_FINITE,
    exact_limit,
    integers,
    laid_out,
    put,
    rounded,
    thinned,
)  # fmt: skip
from verify.ops import Layer, Op, named
from verify.references import Normalised, Unweighted

AROUND = {"layout", "full", "wrong"}  # fields of a case that its numbers do not depend on


@dataclass(frozen=True)
class Case:
    """One call of an implementation.

    batch: the number of items. bias: whether b is given. dtype: of every array. data: which
    numbers (DATA); "integers" are small enough that every sum is exact in the dtype, "signs" are 1
    and -1. seed: which of them; of halves an even one puts the large number first. layout: how x,
    w and g lie in memory (LAYOUTS). full: every argument written out as a tuple. padding: how the
    padding is written, if not in numbers. at: for "impulses" the flat places of the ones in x and
    w; for "nan" and "±inf" the flat place in x; counted from the start again where the arrays are
    smaller. wrong: the kind of wrong call that is derived from it (verify.wrong_calls).
    """

    op: Op
    layer: Layer
    batch: int = 1
    bias: bool = False
    dtype: str = "float64"
    data: str = "integers"
    seed: int = 0
    layout: str = "contiguous"
    full: bool = False
    padding: str | None = None
    at: tuple[int, ...] = ()
    wrong: str = ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The keywords that f is called with."""
        return self.op.arguments(self.layer, self.full, self.padding)

    @cached_property
    def arrays(self) -> Any:
        if self.op.weighted:
            return Arrays(self)
        return Normalised(self) if self.op.family == "norm" else Unweighted(self)

    def but(self, **changes: Any) -> "Case":
        """The same case with some fields changed."""
        changed = replace(self, **changes)
        if "arrays" in vars(self) and changes.keys() <= AROUND:
            vars(changed)["arrays"] = self.arrays
        return changed

    def given(self, *names: str) -> dict[str, Any]:
        """Fresh arrays as the implementation gets them, in the case's dtype and layout."""
        arrays = {name: getattr(self.arrays, name) for name in names}
        return {
            name: None if array is None else laid_out(array, self.dtype, self.layout)
            for name, array in arrays.items()
        }

    def to_json(self) -> dict[str, Any]:
        """The case as plain values that from_json reads."""
        arguments = layers.arguments_of(self.layer)
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        if not self.wrong:
            del plain["wrong"]
        return plain | {"op": self.op.name, "layer": [type(self.layer).__name__, arguments]}

    @staticmethod
    def from_json(plain: dict[str, Any]) -> "Case":
        """The case that to_json wrote, also after a trip through JSON text."""
        kind, arguments = plain["layer"]
        layer = _layer(kind, arguments)
        changed = {"op": named(plain["op"]), "layer": layer, "at": tuple(plain["at"])}
        return Case(**(plain | changed))


def _layer(kind: str, arguments: dict[str, Any]) -> Layer:
    """A layer by the name of its class; what JSON made lists are tuples."""
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    return (getattr(layers, kind, None) or getattr(toeplitz, kind))(**given)


class Arrays:
    """The arrays of a case with weights, and what is right for them, worked out exactly."""

    def __init__(self, case: Case) -> None:
        self.case = case
        layer = case.layer
        self.x_shape = (case.batch, *layer.input_shape)
        self.g_shape = (case.batch, *layer.output_shape)
        rng = np.random.default_rng(case.seed)
        largest = amplitude(case)
        if case.data == "long sums":
            # Odd and large: products and sums that the dtype holds and a narrower one does not.
            odd = largest - 1 + largest % 2
            self.x, self.w = (
                odd - 2.0 * rng.integers(0, odd // 4 + 1, shape) for shape in self.shapes
            )
        else:
            self.x, self.w = (integers(rng, shape, largest) for shape in self.shapes)
        self.b = integers(rng, layer.output_shape[:1], largest) if case.bias else None
        self.g = integers(rng, self.g_shape, largest)
        if case.data == "impulses":
            for array, place in zip((self.x, self.w), case.at, strict=False):
                array.fill(0)
                put(array, place, 1.0)
        if case.dtype.startswith("complex"):
            self.x, self.w, self.g = (
                a + 1j * integers(rng, a.shape, largest) for a in (self.x, self.w, self.g)
            )
        if case.data == "rounding" and "int" not in case.dtype:
            self.x, self.w, self.g = (
                rounded(a * rng.uniform(0.5, 1.5, a.shape), case.dtype)
                for a in (self.x, self.w, self.g)
            )
        if exact_terms(case) < most_terms(case) and case.data != "long sums":
            for array in (self.w, self.g):
                thinned(rng, array, exact_terms(case))
        if case.data in NON_FINITE:
            put(self.x, case.at[0], NON_FINITE[case.data])
        if case.data in HALVES:
            self._half()

    def _half(self) -> None:
        """One large number and many ones: a sum in half precision loses the ones."""
        for array in (self.x, self.w, self.g):
            array.fill(1)
        end = slice(-1, None) if self.case.seed % 2 else slice(0, 1)
        if self.case.data == "half sums":
            inputs = (end, slice(None)) if self.case.op.transposed else (slice(None), end)
            self.w[(*inputs, *[end] * (self.w.ndim - 2))] = LARGE  # once in each output
        else:
            self.g[(end,) * self.g.ndim] = LARGE

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.x_shape, self.case.layer.weight_shape

    @cached_property
    def y(self) -> Any:
        """What f must return: T(w) x + b, exact."""
        return self.case.layer.apply(self.x, self.w, self.b)

    @cached_property
    def gradients(self) -> tuple[Any, ...]:
        """What the backward pass must return: Tᵀ g, U(x)ᵀ g and the sum of g, exact."""
        return tuple(self.case.layer.gradients(self.g, self.x, self.w))


def amplitude(case: Case) -> int:
    """The largest integer data with which every partial sum is exact in the dtype."""
    limit = _limit(case)
    if case.data == "signs":
        return 1
    if case.data == "long sums":
        # Products that need more bits than the next narrower dtype has.
        return max(1, min(8191, isqrt(limit // (_forward_terms(case) + 1))))
    terms = most_terms(case)
    for largest in range(9, 1, -1):
        if largest * largest * terms + largest <= limit:
            return largest
    return 1


def most_terms(case: Case) -> int:
    """The most products that an output or a gradient adds up."""
    layer = case.layer
    places = case.batch * prod(layer.output_shape[1:])
    back = max(places, case.batch * prod(layer.input_shape[1:]), prod(layer.weight_shape))
    return int(max(_forward_terms(case), back, 1))


def exact_terms(case: Case) -> int:
    """The most products of ones, and a bias of one, whose sum is exact in the dtype."""
    return _limit(case) - 1


def _forward_terms(case: Case) -> int:
    layer = case.layer
    if case.op.transposed:
        return int(max(1, prod(layer.weight_shape) // max(1, layer.weight_shape[1])))
    return int(max(1, prod(layer.weight_shape[1:])))


def _limit(case: Case) -> int:
    return exact_limit(case.dtype) // (2 if case.dtype.startswith("complex") else 1)
