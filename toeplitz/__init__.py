"""Convolutions and the other layers of a convolutional network as explicit sparse matrices."""

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

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "symbolic":  # sympy is slow to import
        from importlib import import_module

        return import_module("toeplitz.symbolic")
    raise AttributeError(f"module 'toeplitz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "symbolic"]


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
    "ReLU",
    "TooLarge",
    "Triples",
    "functional",
]
