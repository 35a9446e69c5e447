"""Work in parts on several threads, which are kept."""

import os
import signal
import time
from threading import Barrier, Event, Thread, current_thread, enumerate

import pytest

from toeplitz import blas
from toeplitz.threads import on_threads, threads


def test_threads_are_those_that_the_user_allows(monkeypatch):
    for name in ("TOEPLITZ_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert threads() >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("TOEPLITZ_NUM_THREADS", "2")
    assert threads() == 2


@pytest.mark.parametrize("run", [on_threads, blas.side_by_side])
def test_an_error_on_a_thread_reaches_the_caller(run):
    begun, done = Barrier(2), []

    def work(parts):
        for part in parts:
            if part < 2:
                begun.wait()
            if part == 1:
                raise ZeroDivisionError(part)
            time.sleep(0.01)
            done.append(part)

    with pytest.raises(ZeroDivisionError):
        run(work, range(1000), 2)
    assert len(done) < 9  # nobody goes on for long


def squares(count, size=50):
    """The squares of some numbers by so many threads, each of which waits a little for others."""
    found = []

    def work(parts):
        for part in parts:
            time.sleep(0.0001)
            found.append(part**2)

    on_threads(work, range(size), count)
    return sorted(found)


@pytest.mark.parametrize("size", [0, 1, 2, 50])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_part_is_done_once(count, size):
    assert squares(count, size) == [number**2 for number in range(size)]


def helpers():
    return {thread.ident for thread in enumerate() if thread.name == "toeplitz"}


def test_threads_are_kept_for_the_next_call():
    squares(3)
    kept = helpers()
    for _ in range(5):
        squares(3)
    assert helpers() == kept
    assert len(kept) >= 2


def test_callers_do_not_disturb_each_other():
    found = []
    callers = [Thread(target=lambda: found.append(squares(3))) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [[number**2 for number in range(50)]] * 8


def test_an_interrupted_caller_leaves_its_thread_to_itself():
    """It still works, with what the caller gave it: nobody else may get it."""
    begun, go_on, done = Barrier(2), Event(), []

    def work(parts):
        for part in parts:
            begun.wait()
            if current_thread().name == "toeplitz":
                go_on.wait()
                done.append(part)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            on_threads(work, range(2), 2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert squares(2) == [number**2 for number in range(50)]
    assert not done
    go_on.set()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_child_starts_threads_of_its_own():
    squares(2)
    child = os.fork()
    if not child:
        right = squares(2) == [number**2 for number in range(50)]
        os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
