"""Loops that numba compiles. They hold no lock, and numba keeps their machine code for next time.

Arrays are flat where a place in them is told by an offset; lengths and steps count numbers. Each
file calls its own loops alone: numba compiles anew what a file says when that file has changed.
"""

from toeplitz.compiled.blocks import backward, forward
from toeplitz.compiled.depthwise import (
    correlate,
    plane_forward,
    plane_weights,
)
from toeplitz.compiled.moves import clear, move
from toeplitz.compiled.series import gemms
from toeplitz.compiled.shifted import shifted
from toeplitz.compiled.side_by_side import side_by_side
from toeplitz.compiled.single import backward_one, forward_one
from toeplitz.compiled.sums import panel, sums

__all__ = [
    "backward", "backward_one", "clear", "correlate", "forward", "forward_one", "gemms", "move",
    "panel", "plane_forward", "plane_weights", "shifted", "side_by_side", "sums",
]  # fmt: skip
