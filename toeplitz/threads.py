"""How many threads to compute with, and work in pieces on all of them, the results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

Result = TypeVar("Result")
Item = TypeVar("Item")
Slices = TypeVar("Slices", list[Any], range)


def threads() -> int:
    """Threads to compute with: TOEPLITZ_NUM_THREADS, OMP_NUM_THREADS or the cores given to us."""
    for name in ("TOEPLITZ_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return max(1, int(os.environ[name]))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def slices(size: int, most: int) -> Iterator[slice]:
    """The range of a size in slices of `most`, or of one; a short rest is spread over all."""
    most = max(1, most)
    if 0 < size % most < most / 2:
        most = -(-size // -(-size // most))
    return (slice(start, min(start + most, size)) for start in range(0, size, most))


def split(whole: Slices, parts: int) -> list[Slices]:
    """Successive parts of about one length, none of them empty."""
    parts = min(len(whole), parts)
    bounds = [len(whole) * part // max(1, parts) for part in range(parts + 1)]
    return [whole[a:b] for a, b in pairwise(bounds)]


def ordered(
    work: Callable[[Item], Result], items: Iterable[Item], ahead: int = 4
) -> Iterator[Result]:
    """The results in the order of the items, worked out by all threads.

    ahead: items that wait for each thread, of those that are taken from `items` before their turn.
    """
    count = threads()
    if count == 1 or (isinstance(items, Sized) and len(items) < 2):
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
