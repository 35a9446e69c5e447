"""Convolutions and the other layers of a convolutional network as explicit sparse matrices."""

from toeplitz.affine import Affine
from toeplitz.conv import Conv, Triples
from toeplitz.conv_transpose import ConvTranspose

__all__ = ["Affine", "Conv", "ConvTranspose", "Triples"]
__version__ = "0.1.0"
