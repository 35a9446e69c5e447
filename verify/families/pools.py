"""Pools for the judge: how they are drawn, what they may have, how they get smaller."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import toeplitz
from verify.families.drawing import CHANNELS, Draw, until, windows

GLOBAL = {"max_pool": toeplitz.GlobalMaxPool, "avg_pool": toeplitz.GlobalAvgPool}
ADAPTIVE = {"max_pool": toeplitz.AdaptiveMaxPool, "avg_pool": toeplitz.AdaptiveAvgPool}
DIVISORS = (None, None, 2, 3, 5)


def layer(draw: Draw, space: Any, wanted: frozenset[str], large: bool) -> Any:
    """A pool of an op, with the wanted features as far as there are such pools."""
    op = space.op
    if "kernel_size" in op.parameters:
        make = partial(_strided, draw, space, wanted, large)
    else:
        make = partial(_parted, draw, space, wanted, large)
    mine = {name: has for name, has in FEATURES.items() if name in wanted}
    return until(make, lambda made: all(has(made) for has in mine.values()))


def _channels(draw: Draw, wanted: frozenset[str], large: bool) -> int:
    least = 2 if "channels > 1" in wanted else 1
    return int(draw([c for c in CHANNELS if c >= least] if large else range(least, 4)))


def _strided(draw: Draw, space: Any, wanted: frozenset[str], large: bool) -> Any:
    op = space.op
    over = windows(draw, space, op.ndim, wanted, large, pooled=True)
    inputs = (_channels(draw, wanted, large), *over.sizes)
    ceil = bool(draw(_flags(space, "ceil_mode")))
    if wanted & {"ceil_mode", "ceil_mode adds a window"}:
        ceil = "ceil_mode" not in space.without
    if op.family == "max_pool":
        return toeplitz.MaxPool(inputs, over.kernel, over.stride, over.padding, over.dilation, ceil)
    if op.ndim == 3 and any(k > n for k, n in zip(over.kernel, over.sizes, strict=True)):
        raise ValueError("PyTorch's avg_pool3d compares with the input before padding")
    included = bool(draw(_flags(space, "count_include_pad", True)))
    divisor = None
    if "divisor_override" in op.parameters and "divisor_override" not in space.without:
        divisor = draw(DIVISORS[2:] if "divisor_override" in wanted else DIVISORS)
    return toeplitz.AvgPool(
        inputs, over.kernel, over.stride, over.padding, 1, ceil,
        included and "padding not counted" not in wanted, divisor,
    )  # fmt: skip


def _flags(space: Any, name: str, default: bool = False) -> list[bool]:
    """The values that a flag may have, its default first."""
    if name in space.without:
        return [default]
    allowed = [bool(value) for value in space.allowed.get(name, (default, not default))]
    return sorted(set(allowed), key=lambda value: value != default)


def _parted(draw: Draw, space: Any, wanted: frozenset[str], large: bool) -> Any:
    op = space.op
    most = 33 if large else 7
    sizes = [draw(range(1, most + 1)) for _ in range(op.ndim)]
    inputs = (_channels(draw, wanted, large), *sizes)
    if "output_size" not in op.parameters:
        return GLOBAL[op.family](inputs)
    parts = [draw(range(1, min(most, 9) + 1)) for _ in range(op.ndim)]
    return ADAPTIVE[op.family](inputs, tuple(parts))


def smaller(case: Any, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Changes that leave a smaller pool, the most telling first."""
    inputs = given["input_shape"]
    for channels in range(1, inputs[0]):
        yield {"input_shape": (channels, *inputs[1:])}
    for name, plain in (("ceil_mode", False), ("count_include_pad", True),
                        ("divisor_override", None)):  # fmt: skip
        if given.get(name, plain) != plain:
            yield {name: plain}
    for axis in range(len(inputs) - 1):
        for name, least in (("stride", 1), ("dilation", 1), ("kernel_size", 1),
                            ("output_size", 1)):  # fmt: skip
            for value in range(least, given.get(name, (0,) * len(inputs))[axis]):
                yield {name: _put(given[name], axis, value)}
        if "kernel_size" in given and given["stride"][axis] != given["kernel_size"][axis]:
            yield {"stride": _put(given["stride"], axis, given["kernel_size"][axis])}
        before = given["padding"][axis][0] if "padding" in given else 0
        for value in range(before):
            yield {"padding": _put(given["padding"], axis, (value, value))}
        for value in range(1, inputs[axis + 1]):
            yield {"input_shape": _put(inputs, axis + 1, value)}


def _put(values: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _strides(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A feature of pools with a kernel_size."""
    return lambda pool: hasattr(pool, "kernel_size") and test(pool)


def _parts(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A feature of adaptive pools."""
    return lambda pool: hasattr(pool, "output_size") and test(pool)


def _differ(values: Any) -> bool:
    return len(set(values)) > 1


def _over(pool: Any) -> bool:
    extents = [d * (k - 1) + 1 for d, k in zip(pool.dilation, pool.kernel_size, strict=True)]
    return any(e > n for e, n in zip(extents, pool.input_shape[1:], strict=True))


def _floors(pool: Any) -> tuple[int, ...]:
    """The number of windows on each axis without ceil_mode."""
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(
            pool.input_shape[1:], pool.padding, pool.dilation, pool.kernel_size, pool.stride,
            strict=True,
        )
    )  # fmt: skip


def _unread(pool: Any) -> bool:
    return any(
        (m - 1) * s + d * (k - 1) + 1 < n + sum(p)
        for m, n, p, d, k, s in zip(
            _floors(pool), pool.input_shape[1:], pool.padding, pool.dilation, pool.kernel_size,
            pool.stride, strict=True,
        )
    )  # fmt: skip


FEATURES: dict[str, Callable[[Any], bool]] = {
    "stride > 1": _strides(lambda pool: max(pool.stride) > 1),
    "strides differ": _strides(lambda pool: _differ(pool.stride)),
    "stride is not the kernel": _strides(lambda pool: pool.stride != pool.kernel_size),
    "stride > kernel": _strides(
        lambda pool: any(s > k for s, k in zip(pool.stride, pool.kernel_size, strict=True))
    ),
    "windows overlap": _strides(
        lambda pool: any(s < k for s, k in zip(pool.stride, pool.kernel_size, strict=True))
    ),
    "dilation > 1": _strides(lambda pool: max(pool.dilation) > 1),
    "dilations differ": _strides(lambda pool: _differ(pool.dilation)),
    "padding > 0": _strides(lambda pool: any(map(any, pool.padding))),
    "paddings differ": _strides(lambda pool: _differ(pool.padding)),
    "even kernel": _strides(lambda pool: any(k % 2 == 0 for k in pool.kernel_size)),
    "kernel sides differ": _strides(lambda pool: _differ(pool.kernel_size)),
    "input sides differ": lambda pool: _differ(pool.input_shape[1:]),
    "window > input": _strides(_over),
    "input left unread": _strides(_unread),
    "ceil_mode": _strides(lambda pool: pool.ceil_mode),
    "ceil_mode adds a window": _strides(lambda pool: pool.output_shape[1:] != _floors(pool)),
    "padding not counted": lambda pool: not getattr(pool, "count_include_pad", True),
    "divisor_override": lambda pool: getattr(pool, "divisor_override", None) is not None,
    "uneven parts": _parts(
        lambda pool: any(n % m for n, m in zip(pool.input_shape[1:], pool.output_size, strict=True))
    ),
    "more parts than cells": _parts(
        lambda pool: any(n < m for n, m in zip(pool.input_shape[1:], pool.output_size, strict=True))
    ),
    "parts differ": _parts(lambda pool: _differ(pool.output_size)),
    "channels > 1": lambda pool: pool.input_shape[0] > 1,
}

IMPOSSIBLE: set[frozenset[str]] = set()
NEEDS = {
    "stride": {"stride is not the kernel", "stride > kernel", "windows overlap"},
    "padding": {"padding > 0", "paddings differ", "window > input", "padding not counted"},
    "dilation": {"dilation > 1", "dilations differ"},
    "ceil_mode": {"ceil_mode", "ceil_mode adds a window"},
    "count_include_pad": {"padding not counted"},
    "divisor_override": {"divisor_override"},
}
ONE_AXIS = {"strides differ", "dilations differ", "paddings differ", "kernel sides differ",
            "input sides differ", "parts differ"}  # fmt: skip
PARTS = {"uneven parts", "more parts than cells", "parts differ"}
WHOLE = {"input sides differ", "channels > 1"}


def features(op: Any, omitted: Any) -> list[str]:
    """The features that pools of an op can have, without some arguments."""
    lacking: set[str] = set(ONE_AXIS) if op.ndim == 1 else set()
    if "kernel_size" in op.parameters:
        lacking |= PARTS
        missing = {*NEEDS} - {*op.parameters} | {*omitted}
        for argument in missing:
            lacking |= NEEDS.get(argument, set())
        if op.family == "avg_pool":
            lacking |= {"dilation > 1", "dilations differ"}
    else:
        lacking |= FEATURES.keys() - WHOLE - (PARTS if "output_size" in op.parameters else set())
    if op.name == "avg_pool3d":
        lacking |= {"window > input"}
    return [name for name in FEATURES if name not in lacking]
