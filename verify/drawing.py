"""Which cases a run is made of: small ones first, then what is harder to meet."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from math import prod
from random import Random
from typing import Any

from verify.case import Case
from verify.features import Coverage
from verify.layers import arguments_of
from verify.sizes import CHANNELS, TRIPLES
from verify.strategies import Space, drawn_case

MORE = 240  # cases drawn at large for telling mistakes apart
CHUNK = 60  # cases drawn at once
LEAST = 20  # cases of the first phase: with fewer the pairs not met would be some hundreds
FEW = 4  # plain cases after the first chunk, and of each kind of hard case
SMALL = 0.3  # how often the smallest value is taken unasked
PLAIN = 0.9  # and in some cases with little else than the smallest
DTYPES = ("float64", "float32")  # where none are asked for; then a few cases are in float16


class Drawing:
    """The cases of a run, the same for a seed in every program.

    coverage: what was met so far; pairs of features that were not are drawn.
    """

    def __init__(
        self, space: Space, seed: int, dtypes: tuple[str, ...] | None, coverage: Coverage
    ) -> None:
        self.space = space
        self.seed = seed
        self.dtypes = DTYPES if dtypes is None else dtypes
        self.halves = dtypes is None or "float16" in dtypes
        self.coverage = coverage

    def cases(self, max_examples: int) -> Iterator[Case]:
        """Small cases, pairs of features not met yet, then data and sizes that are harder."""
        max_examples = max(max_examples, LEAST)
        for number, first in enumerate(range(0, max_examples, CHUNK)):
            yield from self._draw(min(CHUNK, max_examples - first), again=number)
            if number == 0:
                yield from self._draw(FEW, small=PLAIN, again=8000)
            if number == 0 and max_examples > CHUNK:
                yield from self._hard(FEW, early=7000)
        for pair in self.coverage.unmet():
            yield from self._draw(5, wanted=pair)
        few = max(8, max_examples // 16)
        yield from self._hard(few)
        for number, channels in enumerate(islice(self._counts(), few)):
            yield from self._draw(1, channels=channels, again=5000 + number)

    def _counts(self) -> Iterator[tuple[int, int]]:
        """Every number of channels as that of the inputs and as that of the outputs, mixed."""
        chance = Random(f"{self.seed} channels")
        if not self.space.op.weighted:
            return
        yield from zip(*(chance.sample(CHANNELS, len(CHANNELS)) for _ in range(2)), strict=True)

    def _hard(self, few: int, early: int = 0) -> Iterator[Case]:
        """Calls written in short, large sizes, and data that low precision cannot hold."""
        family = self.space.op.family
        if family == "conv":
            for case in self._draw(few, wanted=frozenset({"even kernel"}), again=3000 + early):
                yield from filter(self.space.holds, left_out(case, self.space))
        if self.space.op.padded:
            cropping = frozenset({"padding by name", "stride > kernel"})
            yield from self._draw(3 * few, wanted=cropping, again=4000 + early)
        for case in self._draw(few, large=True, again=early):
            yield case
            if "float32" in self.dtypes:
                yield case.but(data="long sums", dtype="float32", bias=False)
        for case in self._draw(few, again=early):
            if "float64" in self.dtypes:
                yield case.but(data="long sums", dtype="float64", bias=False)
            yield case.but(data="rounding", layout="contiguous")
        if family == "max_pool":
            yield from self._maxima(few, early)
        if not self.space.op.weighted:
            yield from self._of_values(few, early)
        if self.halves:
            yield from self._halves(few, early)

    def _halves(self, few: int, early: int) -> Iterator[Case]:
        """float16 where sums are long, or windows overlap so that many gradients meet."""
        family = self.space.op.family
        drawn = self._draw(few, large=True, again=1 + early)
        if family == "norm":
            training = frozenset({"training", "spatial axes"})
            met = self._draw(4 * few, wanted=training, large=True, again=6000 + early)
            drawn = islice(filter(_many_values, met), few)
        elif not self.space.op.weighted:
            met = self._draw(8 * few, wanted=frozenset({"windows overlap"}), again=6000 + early)
            drawn = chain(drawn, islice(filter(_meeting, met), few))
        for number, case in enumerate(drawn):
            half = case.but(dtype="float16", bias=False, layout="contiguous", seed=number)
            if family != "max_pool":  # which has no sums
                yield half.but(data="half sums")
            yield half.but(data="half gradients")

    def _of_values(self, few: int, early: int) -> Iterator[Case]:
        """Numbers that layers without weights may take for others."""
        op = self.space.op
        for drawn in self._draw(few, again=9500 + early):
            case = drawn.but(layout="contiguous")
            if op.family == "avg_pool":
                yield case.but(data="zeros")
                if "float64" in self.dtypes:
                    yield case.but(data="nan", at=(case.seed,), dtype="float64")
            if op.family == "move" and "float64" in self.dtypes:
                yield case.but(data="integers", dtype="int64")
            if op.family == "max_pool" and "float64" in self.dtypes:
                yield case.but(data="large", dtype="int64")
                yield case.but(data="nan", at=(case.seed,), dtype="float64")
                yield case.but(data="-inf", at=(case.seed,), dtype="float64")

    def _maxima(self, few: int, early: int) -> Iterator[Case]:
        """Equal maxima, and inputs below all that a padding is likely to be filled with."""
        for number, case in enumerate(self._draw(4 * few, again=9000 + early)):
            yield case.but(data=("ties", "below")[number % 2])

    def further(self) -> Iterator[Case]:
        """Cases for telling mistakes apart: integers, contiguous, of all kinds."""
        for number in range(MORE // CHUNK):
            kind = frozenset({"batch > 1", "bias"}) if number % 2 else frozenset()
            for third, large in enumerate((False, True, False)):
                again = 1000 + 3 * number + third
                for case in self._draw(CHUNK // 3, wanted=kind, large=large, again=again):
                    yield case.but(layout="contiguous", data="integers")
        for pair in self.coverage.double:
            for case in self._draw(2, wanted=pair | {"batch > 1"}, again=2000):
                yield case.but(layout="contiguous", data="integers")

    def _draw(
        self, count: int, again: int = 0, small: float = SMALL, **kind: Any
    ) -> Iterator[Case]:
        # Hypothesis would draw differently from one program to the next: here a seed must repeat.
        chance = Random(f"{self.seed} {again} {sorted(kind.get('wanted', ()))}")

        def small_first(values: Sequence[Any]) -> Any:
            return values[0] if chance.random() < small else chance.choice(values)

        for _ in range(count):
            case = drawn_case(small_first, self.space, dtypes=self.dtypes, **kind)
            if self.space.holds(case):
                yield case


def _meeting(case: Case) -> bool:
    """Whether more than a few of a layer's windows read one cell."""
    layer = case.layer
    if not hasattr(layer, "kernel_size"):
        return False
    often = (min(-(-k // s), m) for k, s, m in zip(
        layer.kernel_size, layer.stride, _windows(layer), strict=True))  # fmt: skip
    return case.batch > 0 and prod(often) >= 4


def _many_values(case: Case) -> bool:
    """Whether a batch norm in training has some dozens of values in each channel."""
    count = case.batch * prod(case.layer.input_shape[1:])
    return bool(case.layer.training) and 96 <= count <= 2**13


def _windows(layer: Any) -> tuple[int, ...]:
    """How many windows there are on each axis."""
    shape = layer.conv.output_shape if hasattr(layer, "conv") else layer.output_shape
    return tuple(shape[1:])


def left_out(case: Case, space: Space) -> Iterator[Case]:
    """The case with one argument left to its default, or written as one number, in a short call."""
    layer: Any = case.layer
    given = arguments_of(layer)
    for name, default in (("stride", 1), ("dilation", 1), ("padding", 0), ("output_padding", 0)):
        if name not in space.op.parameters:
            continue
        largest = default if name == "padding" else max(given[name])
        for value in {default, largest}:
            if name in space.without or value not in space.allowed.get(name, (value,)):
                continue
            try:
                changed = type(layer)(**(given | {name: value}))
            except ValueError:
                continue  # the kernel no longer fits
            if prod(changed.output_shape[1:]) * prod(changed.weight_shape) > TRIPLES:
                continue
            yield case.but(layer=changed, full=False, padding=None)
