"""Alternating timings: medians of one run, so that a ratio survives a noisy machine."""

import ctypes
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median


def alternate(*functions: Callable[[], object], rounds: int, warm: float = 0) -> list[float]:
    """The median seconds of each function, all of them called in turn, after one warm-up.

    warm: seconds for which each is called before it is timed: what was called before it, as
    threads that wait in a loop for more work, is then asleep, and its own threads are awake.
    """
    return [median(taken) for taken in alternating(*functions, rounds=rounds, warm=warm)]


def alternating(
    *functions: Callable[[], object], rounds: int, warm: float = 0
) -> list[list[float]]:
    """The seconds that each function took in each round."""
    seconds: list[list[float]] = [[] for _ in functions]
    for turn in range(rounds + 1):
        for function, taken in zip(functions, seconds, strict=True):
            until = time.perf_counter() + warm
            while time.perf_counter() < until:
                function()
            start = time.perf_counter()
            result = function()
            stop = time.perf_counter()
            del result
            if turn:
                taken.append(stop - start)
    return seconds


@contextmanager
def kept_memory() -> Iterator[None]:
    """malloc keeps what was freed, so that no result is written to fresh pages; glibc only.

    Else luck decides who gets pages that were used before: to have fresh ones cleared takes the
    system longer than some products take. TOEPLITZ_MEMORY=fresh leaves it to luck.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        mallopt = None
    if mallopt is None or os.environ.get("TOEPLITZ_MEMORY") == "fresh":
        yield
        return
    mmap_max, trim_threshold = -4, -1  # of malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    yield
    mallopt(mmap_max, 1 << 16)
    mallopt(trim_threshold, 1 << 17)
