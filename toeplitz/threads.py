"""How many threads to compute with, and work in pieces on all of them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from threading import Lock, Thread
from typing import Any, TypeVar

Part = TypeVar("Part")
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


def on_threads(work: Callable[[Iterator[Part]], Any], parts: Sequence[Part], count: int) -> None:
    """work(some of the parts) on so many threads, of which each that is free gets the next part."""
    count = min(count, len(parts))
    if count == 1:
        work(iter(parts))
        return
    waiting = deque(parts)

    def some() -> Iterator[Part]:
        try:
            while waiting:
                yield waiting.popleft()
        except IndexError:  # another thread took the last one
            return

    def run() -> None:
        try:
            work(some())
        except BaseException:
            waiting.clear()
            raise

    helpers = [_helper() for _ in range(1, count)]
    for helper in helpers:
        helper.begin(run)
    try:
        run()
    finally:
        errors = [helper.finish() for helper in helpers]
        _idle.extend(helpers)  # not if a KeyboardInterrupt came while they work
    for error in errors:
        if error is not None:
            raise error


class _Helper:
    """A thread that is kept: to start one takes as long as a small product.

    Two locks make it begin in half the time that an executor and its futures need.
    """

    def __init__(self) -> None:
        self._begun, self._done = Lock(), Lock()
        self._begun.acquire()
        self._done.acquire()
        self._job: Callable[[], None] | None = None
        self._error: BaseException | None = None
        Thread(target=self._serve, name="toeplitz", daemon=True).start()

    def begin(self, job: Callable[[], None]) -> None:
        """Do a job, once the one before is finished."""
        self._job = job
        self._begun.release()

    def finish(self) -> BaseException | None:
        """Wait for the end of the job: what it raised."""
        self._done.acquire()
        error, self._error = self._error, None
        return error

    def _serve(self) -> None:
        while True:
            self._begun.acquire()
            assert self._job is not None
            try:
                self._job()
            except BaseException as error:
                self._error = error
            self._job = None  # it holds arrays
            self._done.release()


def _helper() -> _Helper:
    try:
        return _idle.pop()
    except IndexError:
        return _Helper()


_idle: list[_Helper] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of their threads
