"""Unfold, fold and pad for the judge: drawn, told, made smaller."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from verify.families.drawing import CHANNELS, Draw, until, windows
from verify.layers import Fold, Padding, Unfold

MODES = ("constant", "reflect", "replicate", "circular")


def layer(draw: Draw, space: Any, wanted: frozenset[str], large: bool) -> Any:
    """A layer of an op, with the wanted features as far as there are such layers."""
    make = partial(_padding if space.op.name == "pad" else _windows, draw, space, wanted, large)
    mine = {name: has for name, has in FEATURES.items() if name in wanted}
    return until(make, lambda made: all(has(made) for has in mine.values()))


def _windows(draw: Draw, space: Any, wanted: frozenset[str], large: bool) -> Any:
    over = windows(draw, space, 2, wanted, large, pooled=False)
    channels = draw(CHANNELS[:5] if large else range(2 if "channels > 1" in wanted else 1, 4))
    rest = over.kernel, over.dilation, over.padding, over.stride
    if space.op.name == "unfold":
        return Unfold((channels, *over.sizes), *rest)
    return Fold(channels, over.sizes, *rest)


def _padding(draw: Draw, space: Any, wanted: frozenset[str], large: bool) -> Any:
    axes = draw((2, 3) if wanted & {"axes differ"} else (1, 2, 3))
    sizes = [draw(range(1, 18 if large else 6)) for _ in range(axes)]
    mode = draw(MODES if "mode" not in space.without else MODES[:1])
    if "padding mode" in wanted and mode == "constant":
        mode = draw(MODES[1:])
    least = -1 if mode == "constant" else 0
    named = draw(range(1, axes + 1)) if mode == "constant" else axes
    pad = [draw(range(3)) for _ in range(2 * named)]
    if draw((False, False, True)) or "cropped" in wanted:
        pad[draw(range(2 * named))] = least
    value = 0.0
    if mode == "constant" and "value" not in space.without:
        value = float(draw((0, 0, 3, -2)))
        if "value" in wanted and value == 0:
            value = 3.0
    if mode == "circular" and any(
        max(pad[2 * i], pad[2 * i + 1]) > sizes[axes - 1 - i] for i in range(named)
    ):
        raise ValueError("PyTorch does not wrap around more than once")
    return Padding((draw(range(2 if "channels > 1" in wanted else 1, 4)), *sizes), tuple(pad),
                   mode, value)  # fmt: skip


def smaller(case: Any, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Changes that leave a smaller layer, the most telling first."""
    if "channels" in given:
        for channels in range(1, given["channels"]):
            yield {"channels": channels}
    else:
        inputs = given["input_shape"]
        for channels in range(1, inputs[0]):
            yield {"input_shape": (channels, *inputs[1:])}
        if "pad" in given:
            yield from _less_padding(given)
    for name, least in (("stride", 1), ("dilation", 1), ("kernel_size", 1), ("padding", 0)):
        for axis, largest in enumerate(given.get(name, ())):
            for value in range(least, largest):
                yield {name: _put(given[name], axis, value)}
    name, first = ("output_size", 0) if "channels" in given else ("input_shape", 1)
    for axis in range(first, len(given[name])):
        for value in range(1, given[name][axis]):
            yield {name: _put(given[name], axis, value)}


def _less_padding(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    inputs, pad = given["input_shape"], given["pad"]
    if given["mode"] != "constant":
        yield {"mode": "constant"}
    if given["value"]:
        yield {"value": 0.0}
    if len(inputs) > 2:  # one axis less, the first
        keep = pad[: 2 * (len(inputs) - 2)]
        yield {"input_shape": (inputs[0], *inputs[2:]), "pad": keep}
    if len(pad) > 2 and given["mode"] == "constant":
        yield {"pad": pad[:-2]}
    for place, width in enumerate(pad):
        for value in (0, width - 1) if width > 0 else (0,):
            if value != width:
                yield {"pad": _put(pad, place, value)}


def _put(values: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _differ(values: Any) -> bool:
    return len(set(values)) > 1


def _over_windows(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A feature of unfold and fold."""
    return lambda layer: hasattr(layer, "kernel_size") and test(layer)


def _pads(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A feature of pad."""
    return lambda layer: hasattr(layer, "pad") and test(layer)


def _unread(layer: Any) -> bool:
    return any(a.padded - a.extent - (a.windows - 1) * a.stride for a in layer.conv.axes)


def _sizes(layer: Any) -> Any:
    return layer.conv.input_shape[1:] if hasattr(layer, "conv") else layer.input_shape[1:]


FEATURES: dict[str, Callable[[Any], bool]] = {
    "stride > 1": _over_windows(lambda c: max(c.stride) > 1),
    "strides differ": _over_windows(lambda c: _differ(c.stride)),
    "stride > kernel": _over_windows(
        lambda c: any(s > k for s, k in zip(c.stride, c.kernel_size, strict=True))
    ),
    "windows overlap": _over_windows(
        lambda c: any(s < k for s, k in zip(c.stride, c.kernel_size, strict=True))
    ),
    "dilation > 1": _over_windows(lambda c: max(c.dilation) > 1),
    "dilations differ": _over_windows(lambda c: _differ(c.dilation)),
    "padding > 0": _over_windows(lambda c: max(c.padding) > 0),
    "paddings differ": _over_windows(lambda c: _differ(c.padding)),
    "even kernel": _over_windows(lambda c: any(k % 2 == 0 for k in c.kernel_size)),
    "kernel sides differ": _over_windows(lambda c: _differ(c.kernel_size)),
    "input left unread": _over_windows(_unread),
    "padding mode": _pads(lambda c: c.mode != "constant"),
    "value": _pads(lambda c: c.value != 0),
    "cropped": _pads(lambda c: min(c.pad) < 0),
    "sides differ": _pads(lambda c: any(before != after for before, after in c.padding)),
    "axes differ": _pads(lambda c: _differ(c.padding)),
    "fewer axes padded": _pads(lambda c: len(c.pad) // 2 < len(c.input_shape) - 1),
    "input sides differ": lambda layer: _differ(_sizes(layer)),
    "channels > 1": lambda layer: getattr(layer, "channels", layer.input_shape[0]) > 1,
}
NEEDS = {
    "stride": {"stride > 1", "strides differ", "stride > kernel", "input left unread"},
    "dilation": {"dilation > 1", "dilations differ"},
    "padding": {"padding > 0", "paddings differ"},
    "mode": {"padding mode"},
    "value": {"value"},
}
OF_PAD = {"padding mode", "value", "cropped", "sides differ", "axes differ", "fewer axes padded"}
IMPOSSIBLE = {
    frozenset(pair)
    for pair in (
        ("padding mode", "value"),
        ("padding mode", "cropped"),
        ("padding mode", "fewer axes padded"),
    )
}


def features(op: Any, omitted: Any) -> list[str]:
    """The features that layers of an op can have, without some arguments."""
    lacking: set[str] = set(OF_PAD)
    if op.name == "pad":
        lacking = FEATURES.keys() - OF_PAD - {"input sides differ", "channels > 1"}
    for argument in omitted:
        lacking |= NEEDS.get(argument, set())
    return [name for name in FEATURES if name not in lacking]
