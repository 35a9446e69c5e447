"""The table of ops: what an implementation is called with, and which layer says what is right."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

from toeplitz import Conv, ConvTranspose, Linear

Layer: TypeAlias = Any  # of toeplitz, or of verify.layers: it has an input_shape and output_shape

CONV = ("stride", "padding", "dilation", "groups")
TRANSPOSED = ("stride", "padding", "output_padding", "groups", "dilation")
PADDED = (*CONV, "padding_mode")
MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
AVG_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
WINDOWS = ("kernel_size", "dilation", "padding", "stride")
DEFAULTS = {
    "stride": 1,
    "padding": 0,
    "dilation": 1,
    "groups": 1,
    "output_padding": 0,
    "padding_mode": "zeros",
    "ceil_mode": False,
    "count_include_pad": True,
    "divisor_override": None,
    "mode": "constant",
    "value": 0.0,
    "training": False,
    "momentum": 0.1,
    "eps": 1e-5,
}
DEFAULT = "conv2d"  # the op where none is given
REQUIRED = ("kernel_size", "output_size", "pad")


class Arrays(NamedTuple):
    """The arrays of a family of ops, by name and in order.

    given: of the forward pass. sent_back: of the backward pass. gradients: what that returns.
    further: what the forward pass may return after y.
    """

    given: tuple[str, ...] = ("x",)
    sent_back: tuple[str, ...] = ("g", "x")
    gradients: tuple[str, ...] = ("grad_x",)
    further: tuple[str, ...] = ()


WEIGHTED = Arrays(("x", "w", "b"), ("g", "x", "w"), ("grad_x", "grad_w", "grad_b"))
NORMALISED = Arrays(
    ("x", "running_mean", "running_var", "weight", "bias"),
    ("g", "x", "weight"),
    ("grad_x", "grad_weight", "grad_bias"),
    ("new_mean", "new_var"),
)
FAMILIES = {
    "conv": WEIGHTED,
    "linear": WEIGHTED,
    "max_pool": Arrays(further=("indices",)),
    "avg_pool": Arrays(),
    "move": Arrays(),
    "norm": NORMALISED,
}


@dataclass(frozen=True)
class Op:
    """One kind of layer: its name, spatial axes, and the arguments that are no arrays.

    family: whose arrays it takes, and who draws it (FAMILIES). ndim: 0 if a layer may have any
    number of spatial axes.
    """

    name: str
    ndim: int
    parameters: tuple[str, ...]
    family: str = "conv"
    depthwise: bool = False

    @property
    def arrays(self) -> Arrays:
        return FAMILIES[self.family]

    @property
    def weighted(self) -> bool:
        """Whether it is linear in an array of weights."""
        return self.arrays is WEIGHTED

    @property
    def transposed(self) -> bool:
        return "output_padding" in self.parameters

    @property
    def padded(self) -> bool:
        """Whether padding comes in pairs, by name and with a mode."""
        return "padding_mode" in self.parameters

    @property
    def linear(self) -> bool:
        return self.family == "linear"

    @property
    def backward_parameters(self) -> tuple[str, ...]:
        """The keywords of the backward pass, which of a norm is that of training."""
        return ("eps",) if self.family == "norm" else self.parameters

    @property
    def exact(self) -> bool:
        """Whether small integers leave nothing to round."""
        return self.family not in ("avg_pool", "norm")

    def default(self, layer: Layer, name: str) -> Any:
        """What an argument is where it is left out; REQUIRED ones have no default."""
        if name == "stride" and self.family in ("max_pool", "avg_pool"):
            return layer.kernel_size
        return DEFAULTS.get(name)

    def arguments(self, layer: Layer, full: bool, padding: Any = None) -> dict[str, Any]:
        """The keywords of a call: all of them as tuples if full, else the short way of writing.

        padding: how the padding is written, if not as the layer has it.
        """
        written = {}
        for name in self.parameters:
            value = getattr(layer, name)
            default = self.default(layer, name)
            if name == "padding" and padding is not None:
                value = padding
            elif name == "padding" and not self.padded:
                value = tuple(p[0] if isinstance(p, tuple) else p for p in value)
            same = value == default
            alike = isinstance(value, tuple) and name != "pad" and len(set(value)) == 1
            if alike and (len(value) == 1 or not full) and not isinstance(value[0], tuple):
                value = value[0]
            if full or name in REQUIRED or not (same or value == default):
                written[name] = value
        if not full and written.get("padding") == ((0, 0),) * self.ndim:
            del written["padding"]
        return written


def _table() -> Mapping[str, Op]:
    ops = [Op("linear", 0, (), "linear")]
    for axes in (1, 2, 3):
        divisor = ("divisor_override",) if axes > 1 else ()  # as in PyTorch
        ops += [
            Op(f"conv{axes}d", axes, CONV),
            Op(f"conv_transpose{axes}d", axes, TRANSPOSED),
            Op(f"padded_conv{axes}d", axes, PADDED),
            Op(f"depthwise_conv{axes}d", axes, CONV, depthwise=True),
            Op(f"max_pool{axes}d", axes, MAX_POOL, "max_pool"),
            Op(f"avg_pool{axes}d", axes, AVG_POOL + divisor, "avg_pool"),
        ]
        for kind in ("max_pool", "avg_pool"):
            ops += [
                Op(f"adaptive_{kind}{axes}d", axes, ("output_size",), kind),
                Op(f"global_{kind}{axes}d", axes, (), kind),
            ]
    ops += [
        Op("unfold", 2, WINDOWS, "move"),
        Op("fold", 2, ("output_size", *WINDOWS), "move"),
        Op("pad", 0, ("pad", "mode", "value"), "move"),
        Op("batch_norm", 0, ("training", "momentum", "eps"), "norm"),
    ]
    return {op.name: op for op in ops}


OPS = _table()


def named(name: Any) -> Op:
    """The op of a name."""
    if name not in OPS:
        near = get_close_matches(str(name), OPS, n=2)
        hint = f": did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"op must be one of {', '.join(OPS)}: got {name!r}{hint}")
    return OPS[name]


def of_function(target: str) -> str:
    """The op of which a target has the exact name; conv2d where it is none's.

    >>> of_function("torch.nn.functional:max_pool2d"), of_function("homework.py:my_conv")
    ('max_pool2d', 'conv2d')
    """
    name = target.replace(":", ".").rpartition(".")[2]
    return name if name in OPS else DEFAULT


def of_layer(layer: Any) -> Op:
    """The op that an implementation of a layer is called as.

    Errors: TypeError for what is no layer; ValueError for a layer that no call can name.
    """
    if not isinstance(layer, Conv | ConvTranspose | Linear):
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
