"""Whether a matrix fits into memory: refuse before the machine gives up."""

import os
import sys
from typing import Any

from toeplitz.arrays import namespace

UNASKED = 1 << 26  # bytes below which nobody is asked


class TooLarge(MemoryError, ValueError):
    """A matrix that would not fit into memory, refused before it is built."""


def fits(need: int, array: Any, what: str, of: object, repair: str) -> None:
    """Refuse `what` of a geometry if its bytes exceed what is free where `array` lives."""
    if need < UNASKED:
        return
    free = available(array)
    if free is not None and need > free:
        raise TooLarge(
            f"{what} of {of} needs {readable(need)} and {readable(free)} are free: {repair}"
        )


def available(array: Any = None) -> int | None:
    """Free bytes on the GPU for a cupy array, else of this machine; None if it won't say."""
    module = namespace(array)
    if module.__name__ == "cupy":
        return int(module.cuda.runtime.memGetInfo()[0]) + int(
            module.get_default_memory_pool().free_bytes()
        )
    if sys.platform == "linux":
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def readable(size: int) -> str:
    """A number of bytes in the unit a person would use, to three digits: 1.23 GB."""
    number = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB", "EB", "ZB"):
        if number < 999.5 or unit == "ZB":
            whole = unit == "bytes" or number >= 999.5
            return f"{number:.0f} {unit}" if whole else f"{number:.3g} {unit}"
        number /= 1000
    raise AssertionError("unreachable")
