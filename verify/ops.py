"""The table of ops: what an implementation is called with, and which layer says what is right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from toeplitz import Conv, ConvTranspose, Linear

Layer: TypeAlias = Conv | ConvTranspose | Linear

CONV = ("stride", "padding", "dilation", "groups")
TRANSPOSED = ("stride", "padding", "output_padding", "groups", "dilation")
PADDED = (*CONV, "padding_mode")
DEFAULTS = {"padding": 0, "output_padding": 0, "padding_mode": "zeros"}


@dataclass(frozen=True)
class Op:
    """One kind of layer: its name, spatial axes, and the arguments of `f(x, w, b, …)`."""

    name: str
    ndim: int
    parameters: tuple[str, ...]
    depthwise: bool = False

    @property
    def transposed(self) -> bool:
        return "output_padding" in self.parameters

    @property
    def padded(self) -> bool:
        """Whether padding comes in pairs, by name and with a mode."""
        return "padding_mode" in self.parameters

    @property
    def linear(self) -> bool:
        return not self.parameters

    def arguments(self, layer: Layer, full: bool, padding: Any = None) -> dict[str, Any]:
        """The keywords of a call: all of them as tuples if full, else the short way of writing.

        padding: how the padding is written, if not as the layer has it.
        """
        written = {}
        for name in self.parameters:
            value = getattr(layer, name)
            if name == "padding" and padding is not None:
                value = padding
            elif name == "padding" and not self.padded:
                value = tuple(before for before, _ in value)
            if isinstance(value, tuple) and (self.ndim == 1 or not full) and len(set(value)) == 1:
                value = value[0] if not isinstance(value[0], tuple) else value
            if full or value != DEFAULTS.get(name, 1):
                written[name] = value
        if not full and written.get("padding") == ((0, 0),) * self.ndim:
            del written["padding"]
        return written


def _table() -> Mapping[str, Op]:
    ops = [Op("linear", 0, ())]
    for axes in (1, 2, 3):
        ops += [
            Op(f"conv{axes}d", axes, CONV),
            Op(f"conv_transpose{axes}d", axes, TRANSPOSED),
            Op(f"padded_conv{axes}d", axes, PADDED),
            Op(f"depthwise_conv{axes}d", axes, CONV, depthwise=True),
        ]
    return {op.name: op for op in ops}


OPS = _table()


def named(name: Any) -> Op:
    """The op of a name."""
    if name not in OPS:
        raise ValueError(f"op must be one of {', '.join(OPS)}: got {name!r}")
    return OPS[name]


def of_layer(layer: Any) -> Op:
    """The op that an implementation of a layer is called as.

    Errors: TypeError for what is no layer; ValueError for a layer that no call can name.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"conv must be a Conv, a ConvTranspose or a Linear, got {layer!r}")
    if isinstance(layer, Linear):
        return OPS["linear"]
    axes = len(layer.input_shape) - 1
    if axes not in (1, 2, 3):
        raise ValueError(f"conv must have 1, 2 or 3 spatial axes to be called, got {axes}")
    lopsided = any(before != after for before, after in layer.padding)
    if isinstance(layer, ConvTranspose):
        if lopsided:
            raise ValueError(
                f"a transposed convolution is called with one padding for each axis, "
                f"got {layer.padding}"
            )
        return OPS[f"conv_transpose{axes}d"]
    if max(layer.input_dilation) > 1:
        raise ValueError(f"no call has an input_dilation, got {layer.input_dilation}")
    plain = layer.padding_mode == "zeros" and not lopsided
    return OPS[f"conv{axes}d" if plain else f"padded_conv{axes}d"]
