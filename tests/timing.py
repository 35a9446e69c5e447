"""Alternating timings: medians of one run, so that a ratio survives a noisy machine."""

import time
from collections.abc import Callable
from statistics import median


def alternate(*functions: Callable[[], object], rounds: int) -> list[float]:
    """The median seconds of each function, all of them called in turn, after one warm-up."""
    return [median(taken) for taken in alternating(*functions, rounds=rounds)]


def alternating(*functions: Callable[[], object], rounds: int) -> list[list[float]]:
    """The seconds that each function took in each round."""
    seconds: list[list[float]] = [[] for _ in functions]
    for turn in range(rounds + 1):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            result = function()
            stop = time.perf_counter()
            del result
            if turn:
                taken.append(stop - start)
    return seconds
