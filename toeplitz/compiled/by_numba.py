"""Loops that numba compiles. They hold no lock, and numba keeps their machine code for next time.

Arrays are flat where a place in them is told by an offset; lengths and steps count numbers.
"""

from toeplitz.compiled.blocks import Gemm, Shape, multiply
from toeplitz.compiled.depthwise import correlate, dots
from toeplitz.compiled.planes import plane_adjoint, plane_forward, plane_weights
from toeplitz.compiled.routines import gemms

__all__ = [
    "Gemm", "Shape", "correlate", "dots", "gemms", "multiply", "plane_adjoint", "plane_forward",
    "plane_weights",
]  # fmt: skip
