"""Hypothesis strategies for cases: valid by construction, small first, different on each axis."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from hypothesis import strategies as st

from toeplitz import Conv, ConvTranspose, Linear
from verify.case import Case
from verify.data import HALVES, LAYOUTS
from verify.families import FAMILIES, norms
from verify.ops import Layer, Op
from verify.sizes import CHANNELS, TILES, Draw, affordable, counted

MODES = ("circular", "reflect", "replicate")


@dataclass(frozen=True)
class Space:
    """The part of an op's geometries that an implementation claims to do.

    allowed: for "stride", "dilation", "padding", "groups", "kernel" or "output_padding" the values
    that each axis may take. predicate: what a case must be besides. without: arguments that the
    implementation does not take ("b" for the bias). dtypes: of the arrays, any if there are none.
    """

    op: Op
    allowed: Mapping[str, Collection[int]] = field(default_factory=dict)
    predicate: Callable[[Case], bool] | None = None
    without: frozenset[str] = frozenset()
    dtypes: tuple[str, ...] = ()

    def values(self, name: str, least: int, most: int) -> list[int]:
        """The values to draw from, small ones first."""
        default = {"stride": 1, "dilation": 1, "groups": 1}.get(name, 0)
        if name in self.without or (name in ("stride", "dilation") and self.op.linear):
            return [default]
        chosen = sorted(self.allowed.get(name, range(least, most + 1)))
        return [value for value in chosen if least <= value] or chosen

    def holds(self, case: Case) -> bool:
        asked = case.data in HALVES or case.dtype in (self.dtypes or (case.dtype,))
        return asked and (self.predicate is None or bool(self.predicate(case)))


@st.composite
def cases(hypothesis_draw: Any, /, space: Space, **kind: Any) -> Case:
    """The Hypothesis strategy of the cases that drawn_case makes."""
    return drawn_case(lambda values: hypothesis_draw(st.sampled_from(values)), space, **kind)


def drawn_case(
    draw: Draw,
    space: Space,
    wanted: frozenset[str] = frozenset(),
    dtypes: tuple[str, ...] = ("float64", "float32"),
    large: bool = False,
    channels: tuple[int, int] | None = None,
) -> Case:
    """A case of a space, with the wanted features as far as the space has them.

    draw: chooses one of some values, small ones first. large: sizes up to tiles of 65 and
    channels up to 33, where otherwise they are small. channels: how many inputs and outputs.
    """
    op = space.op
    if op.weighted:
        layer, written = _layer(draw, space, wanted, large, channels)
    else:
        layer, written = FAMILIES[op.family].layer(draw, space, wanted, large), None
    batch = 0 if "batch 0" in wanted else draw((1, 2, 3, 1, 2, 0))
    if "batch > 1" in wanted:
        batch = draw(range(2, 4))
    if op.family == "norm":
        batch = norms.batch(layer, batch)
    biased = op.arrays.given[-1:] in (("b",), ("bias",)) and "b" not in space.without
    bias = biased and ("bias" in wanted or draw((False, True)))
    return Case(
        op,
        layer,
        batch=batch,
        bias=bias,
        dtype=draw(dtypes),
        seed=draw(range(1000)),
        layout=draw(("contiguous", "contiguous", *LAYOUTS)),
        full=bool(op.parameters) and draw((False, True)),
        padding=written,
    )


def _layer(
    draw: Draw,
    space: Space,
    wanted: frozenset[str],
    large: bool,
    channels: tuple[int, int] | None = None,
) -> tuple[Layer, str | None]:
    op = space.op
    if op.linear:
        features = CHANNELS if large else range(1, 6)
        return Linear(*(channels or (draw(features), draw(features)))), None
    groups, width, height = _channels(draw, space, wanted, large)
    if channels:
        values = None if op.depthwise else space.values("groups", 1, 3)
        groups, width, height = counted(draw, values, *channels)
    kernel = _kernel(draw, space, wanted)
    stride = _steps(draw, space, "stride", "strides differ", "stride > 1", wanted)
    if "stride > kernel" in wanted:
        stride = _raise(space, "stride", stride, 0, kernel[0] + 1)
    if "input left unread" in wanted:
        stride = _raise(space, "stride", stride, 0, 2)
    dilation = _steps(draw, space, "dilation", "dilations differ", "dilation > 1", wanted)
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    outputs = [draw(range(1, 4)) for _ in range(op.ndim)]
    if large:
        # Long along one axis, and a little along another.
        long = draw(range(op.ndim))
        outputs[long] = draw((4, 5, 7, 8, 9, 12, *TILES))
        outputs[long - 1] = outputs[long] if op.ndim == 1 else draw((1, 2, 4, 9))
    weight_shape = (groups * height, width, *kernel)
    outputs = affordable(outputs, prod(weight_shape))
    if op.transposed:
        counts = groups, width, height
        return _transposed(draw, space, wanted, counts, kernel, stride, dilation, outputs), None
    mode = _mode(draw, space, wanted)
    if _named(draw, space, wanted):
        names = ["same_upper", "same_lower", "valid"]
        name = draw(names if max(stride) > 1 else [*names, "same"])
        # Inputs as wide as the kernel are wider than the padding, as reflecting needs.
        free = mode in ("zeros", "replicate") and name != "valid"
        room = [draw(range(1 if free else e, e + 5)) for e in extent]
        layer = Conv((groups * width, *room), weight_shape, stride, name, dilation, groups, mode)
        return layer, name
    sides = _sides(draw, space, wanted, extent)
    sizes = []
    for axis in range(op.ndim):
        before, after = sides[axis]
        unread = draw(range(stride[axis]))
        if "input left unread" in wanted and axis == 0 and stride[0] > 1:
            unread = draw(range(1, stride[0]))
        least = max(before, after) + (mode == "reflect") if mode in ("reflect", "circular") else 1
        if "kernel > input" in wanted and axis == 0 and mode != "reflect":
            outputs[axis], unread = 1, 0
        size = (outputs[axis] - 1) * stride[axis] + extent[axis] + unread - before - after
        short = max(0, max(least, 1) - size)
        sizes.append(size + -(-short // stride[axis]) * stride[axis])
    layer = Conv(
        (groups * width, *sizes), weight_shape, stride, tuple(sides), dilation, groups, mode
    )
    return layer, None


def _transposed(
    draw: Draw,
    space: Space,
    wanted: frozenset[str],
    channels: tuple[int, int, int],
    kernel: list[int],
    stride: list[int],
    dilation: list[int],
    inputs: list[int],
) -> ConvTranspose:
    groups, width, height = channels
    extent = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    padding = [before for before, _ in _sides(draw, space, wanted, extent)]
    extra = []
    for axis in range(len(kernel)):
        most = max(stride[axis], dilation[axis]) - 1
        values = [v for v in space.values("output_padding", 0, most) if v <= most] or [0]
        if "output_padding > 0" in wanted and axis == len(kernel) - 1 and max(values) == 0:
            stride = _raise(space, "stride", stride, axis, 2)
            values = [v for v in space.values("output_padding", 0, 1) if v <= stride[axis] - 1]
        positive = [v for v in values if v] if "output_padding > 0" in wanted else []
        extra.append(draw(positive or values or [0]))
        size = (inputs[axis] - 1) * stride[axis] - 2 * padding[axis] + extent[axis] + extra[axis]
        inputs[axis] += -(-max(0, 1 - size) // stride[axis])
    return ConvTranspose(
        (groups * width, *inputs),
        (groups * width, height, *kernel),
        stride,
        padding,
        extra,
        dilation,
        groups,
    )


def _channels(
    draw: Draw, space: Space, wanted: frozenset[str], large: bool
) -> tuple[int, int, int]:
    """Groups, and input and output channels of each."""
    values = space.values("groups", 1, 3)
    if "groups > 1" in wanted:
        values = [v for v in values if v > 1] or values
    groups = draw(values)
    most = draw(CHANNELS) if large else 3
    width = draw(range(2 if "channels > groups" in wanted else 1, max(2, most) + 1))
    height = draw(range(2 if "outputs > groups" in wanted else 1, 4))
    if large:
        height = draw(CHANNELS[:9])
    if space.op.depthwise:
        groups, width = draw(range(2 if "groups > 1" in wanted else 1, 5)), 1
    return groups, width, height


def _kernel(draw: Draw, space: Space, wanted: frozenset[str]) -> list[int]:
    values = [v for v in space.values("kernel", 1, 3 if space.op.ndim > 2 else 4) if v > 0]
    kernel = [draw(values) for _ in range(space.op.ndim)]
    if "even kernel" in wanted:
        kernel[-1] = draw([v for v in values if v % 2 == 0] or values)
    if "kernel > input" in wanted:
        kernel[0] = draw([v for v in values if v >= 3] or values)
    if "kernel sides differ" in wanted and len(set(kernel)) == 1:
        others = [v for v in values if v != kernel[0]]
        keep = "kernel > input" in wanted or "even kernel" not in wanted
        kernel[1 if keep else 0] = draw(others or values)
        if "even kernel" in wanted and all(k % 2 for k in kernel):
            kernel[-1] = 2
    return kernel


def _steps(
    draw: Draw, space: Space, name: str, differ: str, some: str, wanted: frozenset[str]
) -> list[int]:
    values = space.values(name, 1, 3)
    steps = [draw(values) for _ in range(space.op.ndim)]
    larger = [v for v in values if v > 1]
    if some in wanted and max(steps) == 1 and larger:
        steps[-1] = draw(larger)
    if differ in wanted and len(set(steps)) == 1 and len(values) > 1:
        steps[0] = draw([v for v in values if v != steps[0]])
    return steps


def _raise(space: Space, name: str, steps: list[int], axis: int, least: int) -> list[int]:
    """The steps with the one of an axis at least so large, if the space allows it."""
    enough = [v for v in space.values(name, 1, least) if v >= least]
    raised = list(steps)
    if enough and raised[axis] < least:
        raised[axis] = enough[0]
    return raised


def _sides(
    draw: Draw, space: Space, wanted: frozenset[str], extent: list[int]
) -> list[tuple[int, int]]:
    values = space.values("padding", 0, 2)
    lopsided = space.op.padded
    sides = []
    for axis in range(space.op.ndim):
        before = draw(values)
        after = draw(values) if lopsided else before
        if "padding >= kernel" in wanted and axis == len(extent) - 1 and len(values) > 1:
            before = max(extent[axis], before)
            after = after if lopsided else before
        if "kernel > input" in wanted and axis == 0 and len(values) > 1:
            before = after = max(1, (extent[axis] - 1) // 2)
        sides.append((before, after))
    positive = [v for v in values if v > 0]
    if not positive:
        return sides
    last = len(sides) - 1
    if "padding > 0" in wanted and not any(map(any, sides)):
        sides[last] = (positive[0], positive[0])
    if "padding lopsided" in wanted and lopsided and all(a == b for a, b in sides):
        sides[last] = (sides[last][0] + 1, sides[last][1])
    if "paddings differ" in wanted and len(set(sides)) == 1 and len(sides) > 1:
        more = sides[last][0] + 1
        sides[last] = (more, sides[last][1] + 1)
    return sides


def _mode(draw: Draw, space: Space, wanted: frozenset[str]) -> str:
    if not space.op.padded or "padding_mode" in space.without:
        return "zeros"
    if "padding mode" in wanted:
        return str(draw(MODES))
    return str(draw(("zeros", "zeros", *MODES)))


def _named(draw: Draw, space: Space, wanted: frozenset[str]) -> bool:
    """Whether the padding is written by name."""
    if not space.op.padded or wanted & {"padding >= kernel", "padding lopsided", "kernel > input"}:
        return False
    return "padding by name" in wanted or bool(draw((False, False, True)))
