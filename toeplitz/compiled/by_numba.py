"""Loops that numba compiles. They hold no lock, and numba keeps their machine code for next time.

Arrays are flat where a place in them is told by an offset; lengths and steps count numbers. Each
file calls its own loops alone: numba compiles anew what a file says when that file has changed.
"""

from toeplitz.compiled.blocks import Gemm, Shape, gemms, multiply
from toeplitz.compiled.depthwise import (
    correlate,
    dots,
    plane_adjoint,
    plane_forward,
    plane_weights,
)

__all__ = [
    "Gemm", "Shape", "correlate", "dots", "gemms", "multiply", "plane_adjoint", "plane_forward",
    "plane_weights",
]  # fmt: skip
