"""Whether loops can be compiled: by numba, if it is installed. Without it all works, but slower."""

from functools import cache
from importlib import import_module
from typing import Any


@cache
def loops() -> Any:
    """The module toeplitz.loops, or None without numba."""
    try:
        import_module("numba")
    except ImportError:
        return None
    return import_module("toeplitz.loops")
