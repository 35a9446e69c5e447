"""From a failing case to the smallest: fewer of everything, then one impulse for x and for w."""

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

from verify.case import Case
from verify.data import EXACT, NON_FINITE
from verify.families import FAMILIES, norms
from verify.layers import arguments_of
from verify.ops import Layer
from verify.violation import Violation

Broken = Callable[[Case], Violation | None]
Changes = Callable[[Case, dict[str, Any]], Iterator[dict[str, Any]]]

TRIES = 400  # calls that one failure is worth
OTHER_SEEDS = (1, 2)
IMPULSES = 64  # pairs of impulses that are tried


def shrink(violation: Violation, broken: Broken) -> Violation:
    """The same kind of failure on the smallest case that simpler steps lead to."""
    tries, seen = TRIES, {violation.case}
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for case in simpler(violation.case):
            tries -= 1
            found = broken(case)
            if found is not None and found.case not in seen:  # a law may put its own layout
                seen.add(found.case)
                violation, smaller = found, True
                break
            if tries <= 0:
                break
    return impulses(violation, broken)


def impulses(violation: Violation, broken: Broken) -> Violation:
    """The failure with a single one in x, and in w if there is one, where that fails too."""
    case = violation.case
    if case.bias or case.data != "integers" or violation.backward or case.wrong:
        return violation
    if case.op.family in ("max_pool", "norm"):
        return violation  # neither is linear
    arrays = [case.arrays.x, case.arrays.w] if case.op.weighted else [case.arrays.x]
    places = [range(array.size) for array in arrays]
    if not 0 < prod(map(len, places)) <= IMPULSES:
        return violation
    for at in product(*places):
        found = broken(case.but(data="impulses", at=at))
        if found is not None:
            return found
    return violation


def simpler(case: Case) -> Iterator[Case]:
    """Cases with one thing less, the most telling first."""
    for name, plain in (
        ("layout", "contiguous"),
        ("dtype", "float64"),
        ("bias", False),
        ("full", False),
        ("data", "integers"),
        ("padding", None),
        ("seed", 0),
    ):
        kept = name == "data" and case.data in NON_FINITE  # which is what the law is about
        if getattr(case, name) != plain and not kept:
            yield case.but(**{name: plain})
    least = norms.batch(case.layer, 1) if case.op.family == "norm" else 1
    for batch in range(least, case.batch):
        yield case.but(batch=batch)
    if any(case.at):
        yield case.but(at=(0,) * len(case.at))
    for layer in _smaller_layers(case):
        yield case.but(layer=layer)
    if case.data in EXACT:  # where other numbers show what these happen to hide
        for seed in OTHER_SEEDS:
            for batch in range(least, case.batch):
                yield case.but(batch=batch, seed=seed)
            for layer in _smaller_layers(case):
                yield case.but(layer=layer, seed=seed)
    if case.op.weighted and not case.op.linear:
        for layer in _smaller_layers(case, _several_at_once):
            yield case.but(layer=layer)


def _smaller_layers(case: Case, changes_of: Changes | None = None) -> Iterator[Layer]:
    layer = case.layer
    kind: Any = type(layer)
    given = arguments_of(layer)
    named = {"padding": case.padding} if case.padding else {}  # padding by name stays so
    for changes in (changes_of or _changes)(case, given):
        try:
            made = kind(**(given | changes | named))
        except (TypeError, ValueError):
            continue
        if made != layer:
            yield made


def _changes(case: Case, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not case.op.weighted:
        yield from FAMILIES[case.op.family].smaller(case, given)
        return
    if case.op.linear:
        for name in ("in_features", "out_features"):
            for value in range(1, given[name]):
                yield {name: value}
        return
    inputs, weights, groups = given["input_shape"], given["weight_shape"], given["groups"]
    if given.get("padding_mode", "zeros") != "zeros":
        yield {"padding_mode": "zeros"}
    for fewer in range(1, groups):
        yield _grouped(inputs, weights, groups, fewer)
    for outer in range(1, weights[0] // groups if not case.op.transposed else weights[1]):
        yield _channels(case, inputs, weights, groups, outputs=outer)
    width = inputs[0] // groups
    if not case.op.depthwise:
        for inner in range(1, width):
            yield _channels(case, inputs, weights, groups, width=inner)
    for name in ("stride", "dilation"):
        for value in range(1, max(given[name])):
            yield {name: (value,) * len(given[name])}
    for axis in range(len(inputs) - 1):
        for name, least in (("stride", 1), ("dilation", 1), ("output_padding", 0)):
            if name in given:
                for value in range(least, given[name][axis]):
                    yield {name: _put(given[name], axis, value)}
        before, after = given["padding"][axis]
        for pair in ((0, 0), (before - 1, after - 1), (0, after), (before, 0),
                     (before - 1, after), (before, after - 1)):  # fmt: skip
            if (
                min(pair) >= 0
                and pair != (before, after)
                and (case.op.padded or pair[0] == pair[1])
            ):
                yield {"padding": _put(given["padding"], axis, pair)}
        for value in range(1, weights[axis + 2]):
            yield {"weight_shape": _put(weights, axis + 2, value)}
        for value in range(1, inputs[axis + 1]):
            yield {"input_shape": _put(inputs, axis + 1, value)}


def _several_at_once(case: Case, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Fewer cells and taps along an axis with other steps and sides; other groups."""
    inputs, weights = given["input_shape"], given["weight_shape"]
    for axis in range(len(inputs) - 1):
        cells, taps = inputs[axis + 1], weights[axis + 2]
        reach = given["dilation"][axis] * (taps - 1)
        smaller = product(range(1, cells + 1), range(1, taps + 1))
        for n, k in sorted(smaller, key=sum):
            if n + k >= cells + taps:
                break
            fewer = {
                "input_shape": _put(inputs, axis + 1, n),
                "weight_shape": _put(weights, axis + 2, k),
            }
            steps = {given["dilation"][axis], max(1, reach // max(1, k - 1))}
            sides = {given["padding"][axis], (0, 0)}
            for step, pair in product(sorted(steps), sorted(sides)):
                arguments = fewer | {
                    "dilation": _put(given["dilation"], axis, step),
                    "padding": _put(given["padding"], axis, pair),
                }
                yield arguments
                if case.op.transposed:  # a longer output for what the input had
                    stride = max(given["stride"][axis], 2)
                    yield arguments | {
                        "stride": _put(given["stride"], axis, stride),
                        "output_padding": _put(given["output_padding"], axis, stride - 1),
                    }
    if given["groups"] > 1 and not case.op.depthwise:
        for first, second in product((1, weights[0] - 1, weights[0]), (1, weights[1])):
            shape = (first, second, *weights[2:])
            channels = first if case.op.transposed else second
            for axis in range(len(inputs) - 1):  # which may be as long as the channels were many
                cells = _put(inputs[1:], axis, max(inputs[axis + 1], inputs[0] // channels))
                yield {"groups": 1, "weight_shape": shape, "input_shape": (channels, *cells)}


def _grouped(
    inputs: tuple[int, ...], weights: tuple[int, ...], groups: int, fewer: int
) -> dict[str, Any]:
    """The same groups, but fewer of them."""
    first = weights[0] // groups * fewer
    return {
        "groups": fewer,
        "input_shape": _put(inputs, 0, inputs[0] // groups * fewer),
        "weight_shape": _put(weights, 0, first),
    }


def _channels(
    case: Case,
    inputs: tuple[int, ...],
    weights: tuple[int, ...],
    groups: int,
    width: int | None = None,
    outputs: int | None = None,
) -> dict[str, Any]:
    """Fewer input or output channels in each group."""
    if case.op.transposed:
        if outputs is not None:
            return {"weight_shape": _put(weights, 1, outputs)}
        fewer = groups * (width or 1)
        return {"input_shape": _put(inputs, 0, fewer), "weight_shape": _put(weights, 0, fewer)}
    if outputs is not None:
        return {"weight_shape": _put(weights, 0, groups * outputs)}
    return {
        "input_shape": _put(inputs, 0, groups * (width or 1)),
        "weight_shape": _put(weights, 1, width),
    }


def _put(values: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*values[:place], value, *values[place + 1 :])
