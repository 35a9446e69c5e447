"""Convolutions and the other layers of a convolutional network as explicit sparse matrices."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toeplitz import functional
    from toeplitz.affine import Affine
    from toeplitz.avg_pool import AdaptiveAvgPool, AvgPool, GlobalAvgPool
    from toeplitz.batch_norm import BatchNorm
    from toeplitz.conv import Conv, Triples
    from toeplitz.conv_transpose import ConvTranspose
    from toeplitz.cost import Cost
    from toeplitz.layers import Flatten, Linear, ReLU
    from toeplitz.max_pool import AdaptiveMaxPool, GlobalMaxPool, MaxPool
    from toeplitz.memory import TooLarge
    from toeplitz.padding import Pad
    from toeplitz.pattern import Pattern, Rows
    from toeplitz.products import Product

__version__ = "0.1.0"

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Affine",
    "AvgPool",
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "Cost",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "Linear",
    "MaxPool",
    "Pad",
    "Pattern",
    "Product",
    "ReLU",
    "Rows",
    "TooLarge",
    "Triples",
    "functional",
]

_HOMES = {
    "Affine": "toeplitz.affine",
    "AdaptiveAvgPool": "toeplitz.avg_pool",
    "AvgPool": "toeplitz.avg_pool",
    "GlobalAvgPool": "toeplitz.avg_pool",
    "BatchNorm": "toeplitz.batch_norm",
    "Conv": "toeplitz.conv",
    "Triples": "toeplitz.conv",
    "ConvTranspose": "toeplitz.conv_transpose",
    "Cost": "toeplitz.cost",
    "Flatten": "toeplitz.layers",
    "Linear": "toeplitz.layers",
    "ReLU": "toeplitz.layers",
    "AdaptiveMaxPool": "toeplitz.max_pool",
    "GlobalMaxPool": "toeplitz.max_pool",
    "MaxPool": "toeplitz.max_pool",
    "TooLarge": "toeplitz.memory",
    "Pad": "toeplitz.padding",
    "Pattern": "toeplitz.pattern",
    "Rows": "toeplitz.pattern",
    "Product": "toeplitz.products",
}


def __getattr__(name: str) -> object:
    # pytest loads our plugin at every start, and that must not bring numpy along.
    if name in _HOMES:
        thing = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return thing
    if name in ("functional", "symbolic"):  # sympy is slow to import
        return import_module(f"toeplitz.{name}")
    raise AttributeError(f"module 'toeplitz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "symbolic"]
