"""Layers of the judge's own: the geometries of functions that have no class in toeplitz."""

import inspect
from dataclasses import dataclass
from functools import cache, cached_property
from math import prod
from typing import Any

from toeplitz import BatchNorm, Conv, Pad


@dataclass(frozen=True)
class Unfold:
    """The windows of items (C, H, W) as columns (C * prod(kernel_size), windows)."""

    input_shape: tuple[int, ...]
    kernel_size: tuple[int, ...]
    dilation: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    stride: tuple[int, ...] = (1, 1)

    def __post_init__(self) -> None:
        self.conv  # noqa: B018  # refuses what has no window

    @cached_property
    def conv(self) -> Conv:
        """The convolution that goes over the same windows."""
        return _conv(self.input_shape, self)

    @property
    def output_shape(self) -> tuple[int, ...]:
        rows = self.input_shape[0] * prod(self.kernel_size)
        return rows, prod(self.conv.output_shape[1:])

    def apply(self, x: Any) -> Any:
        return self.conv.patches(x)

    def gradient(self, g: Any, x: Any) -> Any:
        return self.conv.fold(g)


@dataclass(frozen=True)
class Fold:
    """Columns (C * prod(kernel_size), windows) added up to items (C, *output_size)."""

    channels: int
    output_size: tuple[int, ...]
    kernel_size: tuple[int, ...]
    dilation: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    stride: tuple[int, ...] = (1, 1)

    def __post_init__(self) -> None:
        self.conv  # noqa: B018  # refuses what has no window

    @cached_property
    def conv(self) -> Conv:
        """The convolution that goes over the same windows."""
        return _conv(self.output_shape, self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.channels * prod(self.kernel_size), prod(self.conv.output_shape[1:])

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.channels, *self.output_size

    def apply(self, x: Any) -> Any:
        return self.conv.fold(x)

    def gradient(self, g: Any, x: Any) -> Any:
        return self.conv.patches(g)


def _conv(item: tuple[int, ...], layer: Unfold | Fold) -> Conv:
    return Conv(
        item,
        (1, item[0], *layer.kernel_size),
        layer.stride,
        layer.padding,
        layer.dilation,
    )


@dataclass(frozen=True)
class Padding:
    """Padding of items (C, *S); pad lists (before, after) from the last axis on, as in PyTorch."""

    input_shape: tuple[int, ...]
    pad: tuple[int, ...]
    mode: str = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        self.layer  # noqa: B018  # refuses what leaves nothing, or reflects too far

    @cached_property
    def layer(self) -> Pad:
        """The layer, with the pairs from the first axis on."""
        axes = len(self.input_shape) - 1
        pairs = [(self.pad[2 * i], self.pad[2 * i + 1]) for i in range(len(self.pad) // 2)]
        pairs += [(0, 0)] * (axes - len(pairs))
        return Pad(self.input_shape, tuple(reversed(pairs)), self.mode, self.value)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """(before, after) of each spatial axis, the first one first."""
        return self.layer.padding

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.layer.output_shape

    def apply(self, x: Any) -> Any:
        return self.layer.apply(x)

    def gradient(self, g: Any, x: Any) -> Any:
        return self.layer.gradient(g, x)


@dataclass(frozen=True)
class Norm:
    """Batch normalisation of items (C, *S), with all that is not an array."""

    input_shape: tuple[int, ...]
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5

    @cached_property
    def layer(self) -> BatchNorm:
        """The layer."""
        return BatchNorm(self.input_shape, self.eps)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.input_shape


def arguments_of(layer: Any) -> dict[str, Any]:
    """What a layer was made of, by the names of its class's arguments.

    >>> arguments_of(Fold(1, (2, 3), (1, 2)))["output_size"]
    (2, 3)
    """
    kind: Any = type(layer)
    return {name: getattr(layer, name) for name in _names(kind)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(inspect.signature(kind).parameters)
