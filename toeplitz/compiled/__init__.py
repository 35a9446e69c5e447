"""Whether loops can be compiled: by numba, if it is installed. Without it all works, but slower."""

from functools import cache
from importlib import import_module
from typing import Any

WORTH = 1 << 18  # multiply-adds: less is done before numba is loaded, or a loop compiled

THREES = 3  # terms that loops take as one, where each reads what the next reads one row before


def loops(macs: int) -> Any:
    """The module by_numba; None without numba, or for fewer multiply-adds than pay."""
    return _loops() if macs >= WORTH else None


@cache
def _loops() -> Any:
    try:
        import_module("numba")
        return import_module("toeplitz.compiled.by_numba")
    except (ImportError, RuntimeError):  # RuntimeError: there is nowhere to keep what is compiled
        return None
