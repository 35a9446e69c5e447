"""Alternating timings: medians of one run, so that a ratio survives a noisy machine."""

import time
from collections.abc import Callable
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
