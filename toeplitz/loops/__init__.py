"""Loops that numba compiles. They hold no lock, and numba keeps their machine code for next time.

Arrays are flat where a place in them is told by an offset; lengths and steps count numbers.
"""

from toeplitz.loops.blocks import multiply
from toeplitz.loops.depthwise import correlate, dots
from toeplitz.loops.routines import gemms

__all__ = ["correlate", "dots", "gemms", "multiply"]
