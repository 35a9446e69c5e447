"""Batch norms for the judge: drawn, told, made smaller."""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

from verify.families.drawing import CHANNELS, Draw
from verify.layers import Norm

EPSILONS = (1e-5, 1e-3, 0.5, 2.0)
MOMENTA = (0.1, 0.25, 0.75)


def layer(draw: Draw, space: Any, wanted: frozenset[str], large: bool) -> Norm:
    """A batch norm with the wanted features."""
    without = space.without
    channels = draw(CHANNELS if large else range(2 if "channels > 1" in wanted else 1, 5))
    axes = draw((0, 1, 2, 2, 3))
    if wanted & {"spatial axes", "spatial sides differ"}:
        axes = draw((2, 3))
    sizes = [draw(TILED if large else range(1, 5)) for _ in range(axes)]
    if "spatial sides differ" in wanted:
        sizes[0] = sizes[1] + 1
    training = "training" not in without and (draw((False, True)) or "training" in wanted)
    if prod(sizes) == 1 and axes:
        sizes[-1] = 2  # in training a channel needs two values, whatever the batch
    return Norm(
        (channels, *sizes),
        training,
        0.1 if "momentum" in without else draw(MOMENTA[1:] if "momentum" in wanted else MOMENTA),
        1e-5 if "eps" in without else draw(EPSILONS[2:] if "large eps" in wanted else EPSILONS),
    )


TILED = (5, 8, 17, 33)


def batch(layer: Norm, count: int) -> int:
    """A batch that leaves statistics: two values of a channel at least."""
    if prod(layer.input_shape[1:]) > 1 and not (layer.training and count == 0):
        return count
    return max(2, count)


def smaller(case: Any, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Changes that leave a smaller layer, the most telling first."""
    inputs = given["input_shape"]
    for name, plain in (("training", False), ("momentum", 0.1), ("eps", 1e-5)):
        if given[name] != plain:
            yield {name: plain}
    for channels in range(1, inputs[0]):
        yield {"input_shape": (channels, *inputs[1:])}
    for axis in range(1, len(inputs)):
        less = (*inputs[:axis], *inputs[axis + 1 :])
        if _counted(case, less):
            yield {"input_shape": less}
        for value in range(1, inputs[axis]):
            less = (*inputs[:axis], value, *inputs[axis + 1 :])
            if _counted(case, less):
                yield {"input_shape": less}


def _counted(case: Any, inputs: tuple[int, ...]) -> bool:
    return bool(case.batch == 0 or case.batch * prod(inputs[1:]) > 1)


FEATURES: dict[str, Callable[[Any], bool]] = {
    "training": lambda norm: norm.training,
    "momentum": lambda norm: norm.momentum != 0.1,
    "large eps": lambda norm: norm.eps >= 0.5,
    "spatial axes": lambda norm: len(norm.input_shape) > 1,
    "spatial sides differ": lambda norm: len(set(norm.input_shape[1:])) > 1,
    "channels > 1": lambda norm: norm.input_shape[0] > 1,
}
IMPOSSIBLE: set[frozenset[str]] = {frozenset({"training", "batch 0"})}
NEEDS = {"training": {"training"}, "momentum": {"momentum"}, "eps": {"large eps"}}


def features(op: Any, omitted: Any) -> list[str]:
    """The features that batch norms can have, without some arguments."""
    lacking: set[str] = set()
    for argument in omitted:
        lacking |= NEEDS.get(argument, set())
    return [name for name in FEATURES if name not in lacking]
