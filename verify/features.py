"""What a geometry can have: the features whose pairs a run must meet."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any, TypeAlias

from verify.case import Case
from verify.families import FAMILIES
from verify.ops import Op

Feature: TypeAlias = Callable[[Case], bool]


def _extents(case: Case) -> list[int]:
    layer: Any = case.layer
    return [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.weight_shape[2:], strict=True)]


def _windowed(test: Callable[[Any], bool]) -> Feature:
    """A feature of layers that have windows."""
    return lambda case: not case.op.linear and test(case.layer)


def _differ(values: Iterable[Any]) -> bool:
    return len(set(values)) > 1


def _wide_padding(case: Case) -> bool:
    layer: Any = case.layer
    pairs = zip(layer.padding, _extents(case), strict=True)
    return any(max(pair) >= extent for pair, extent in pairs)


def _kernel_over_input(case: Case) -> bool:
    sizes = case.layer.input_shape[1:]
    return any(e > n for e, n in zip(_extents(case), sizes, strict=True))


def _unread(case: Case) -> bool:
    layer: Any = case.layer
    if case.op.transposed:
        return False
    return any(axis.padded - axis.extent - (axis.windows - 1) * axis.stride for axis in layer.axes)


# Features of geometries, in the order in which they are told.
FEATURES: dict[str, Feature] = {
    "stride > 1": _windowed(lambda c: max(c.stride) > 1),
    "strides differ": _windowed(lambda c: _differ(c.stride)),
    "stride > kernel": _windowed(
        lambda c: any(s > k for s, k in zip(c.stride, c.weight_shape[2:], strict=True))
    ),
    "dilation > 1": _windowed(lambda c: max(c.dilation) > 1),
    "dilations differ": _windowed(lambda c: _differ(c.dilation)),
    "padding > 0": _windowed(lambda c: any(max(pair) > 0 for pair in c.padding)),
    "paddings differ": _windowed(lambda c: _differ(c.padding)),
    "padding >= kernel": lambda case: not case.op.linear and _wide_padding(case),
    "padding lopsided": _windowed(lambda c: any(before != after for before, after in c.padding)),
    "padding mode": lambda case: case.op.padded and case.layer.padding_mode != "zeros",
    "padding by name": lambda case: case.padding is not None,
    "output_padding > 0": lambda case: case.op.transposed and max(case.layer.output_padding) > 0,
    "even kernel": _windowed(lambda c: any(k % 2 == 0 for k in c.weight_shape[2:])),
    "kernel sides differ": _windowed(lambda c: _differ(c.weight_shape[2:])),
    "input sides differ": _windowed(lambda c: _differ(c.input_shape[1:])),
    "kernel > input": lambda case: not case.op.linear and _kernel_over_input(case),
    "input left unread": lambda case: not case.op.linear and _unread(case),
    "groups > 1": _windowed(lambda c: c.groups > 1),
    "channels > groups": _windowed(lambda c: c.input_shape[0] > c.groups),
    "outputs > groups": _windowed(lambda c: c.output_shape[0] > c.groups),
}
# Features of calls, whatever the layer.
CALLS: dict[str, Feature] = {
    "batch 0": lambda case: case.batch == 0,
    "batch > 1": lambda case: case.batch > 1,
    "bias": lambda case: case.bias,
}

# Pairs that no geometry has.
IMPOSSIBLE = {
    frozenset(pair)
    for pair in (
        ("batch 0", "batch > 1"),
        ("padding by name", "padding >= kernel"),
    )
}.union(*(family.IMPOSSIBLE for family in FAMILIES.values()))

ON_ONE_AXIS = {frozenset({"stride > kernel", "windows overlap"})}


def features(case: Case) -> frozenset[str]:
    """The names of the features that a case has."""
    met = {name for name, has in CALLS.items() if has(case)}
    if case.op.weighted:
        met |= {name for name, has in FEATURES.items() if has(case)}
    else:
        met |= {n for n, has in FAMILIES[case.op.family].FEATURES.items() if has(case.layer)}
    return frozenset(met)


def wanted(op: Op, omitted: Iterable[str] = ()) -> list[str]:
    """The features that geometries of an op can have, without some arguments."""
    lacking: set[str] = set()
    calls = [name for name in CALLS if name != "bias" or "b" not in omitted]
    if not op.weighted:
        if op.family != "norm":
            calls.remove("bias")
        return [*FAMILIES[op.family].features(op, omitted), *calls]
    if op.linear:
        return calls
    if op.ndim == 1:
        lacking |= {"strides differ", "dilations differ", "paddings differ"}
        lacking |= {"kernel sides differ", "input sides differ"}
    if not op.padded:
        lacking |= {"padding lopsided", "padding mode", "padding by name"}
    if not op.transposed:
        lacking |= {"output_padding > 0"}
    if op.transposed:
        lacking |= {"input left unread"}
    if op.depthwise:
        lacking |= {"channels > groups"}
    needs = {
        "stride": {"stride > 1", "strides differ", "stride > kernel", "input left unread"},
        "dilation": {"dilation > 1", "dilations differ"},
        "padding": {"padding > 0", "paddings differ", "padding >= kernel", "padding lopsided",
                    "padding by name", "padding mode", "kernel > input"},
        "groups": {"groups > 1"},
        "output_padding": {"output_padding > 0"},
        "padding_mode": {"padding mode"},
    }  # fmt: skip
    for argument in omitted:
        lacking |= needs.get(argument, set())
    return [*(name for name in FEATURES if name not in lacking), *calls]


def pairs(names: Iterable[str]) -> list[frozenset[str]]:
    """All pairs of features that a geometry can have."""
    names = list(names)
    every = (frozenset(pair) for pair in combinations(names, 2))
    impossible = IMPOSSIBLE if "strides differ" in names else IMPOSSIBLE | ON_ONE_AXIS
    return [pair for pair in every if pair not in impossible]


class Coverage:
    """How often each feature and each pair of features was met."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self.single: Counter[str] = Counter()
        self.double: Counter[frozenset[str]] = Counter()

    def add(self, case: Case) -> None:
        met = sorted(features(case) & set(self.names))
        self.single.update(met)
        self.double.update(frozenset(pair) for pair in combinations(met, 2))

    def unmet(self) -> list[frozenset[str]]:
        """Pairs not met yet."""
        return [pair for pair in pairs(self.names) if not self.double[pair]]
