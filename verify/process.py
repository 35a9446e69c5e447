"""Processes that are judged: how one is started, what it said last, how it ended. POSIX only."""

import os
import signal
import subprocess
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

LOOK = 0.1  # seconds between looks whether a silent process still lives
TAIL = 2000  # bytes of output that are kept


class NotStarted(Exception):
    """A program that cannot be started: why."""


class Process:
    """A program in a process group of its own, which ends with it; its stderr is emptied here.

    pipes: stdin and stdout, as for Popen.

    Errors: NotStarted.
    """

    def __init__(self, words: Sequence[str], **pipes: Any) -> None:
        try:
            self.popen = subprocess.Popen(
                words, stderr=subprocess.PIPE, bufsize=0, start_new_session=True, **pipes
            )
        except OSError as error:
            raise NotStarted(f"cannot be started: {error.strerror}") from None
        _without_core(self.popen.pid)
        assert self.popen.stderr is not None
        self.stderr = self.popen.stderr.fileno()
        self.tail = b""
        os.set_blocking(self.stderr, False)
        self.close = weakref.finalize(self, _end, self.popen, os.getpid())

    def read_stderr(self) -> bool:
        """Take what the pipe holds; whether there may be more to come."""
        try:
            part = os.read(self.stderr, 1 << 16)
        except BlockingIOError:
            return True
        self.tail = (self.tail + part)[-TAIL:]
        return bool(part)

    def status(self) -> int:
        """The status of a program that has ended; what it started is killed with it."""
        kill(self.popen)
        return self.popen.returncode

    def ended(self, when: str = "") -> str:
        """Wait a moment for its end and tell it, with when that was and the last line of stderr."""
        until = time.monotonic() + 1
        while not (over := exited(self.popen)) and time.monotonic() < until:
            time.sleep(0.002)
        status = self.status()
        self.read_stderr()
        told = end_of(status) if over else "closed its stdout"
        last = last_line(self.tail)
        self.close()
        return f"{told}{when}: {last}" if last else f"{told}{when}"


def exited(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process has ended; its number stays taken until its group is killed."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    if process.returncode is not None:
        return True
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, options) is not None


def end_of(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exited with status {status}"
    names = {s.value: s.name for s in signal.Signals}
    return f"killed by signal {names.get(-status, -status)}"


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those that it started, and wait for it."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # macOS: the group has only the dead
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_line(output: bytes) -> str:
    """The last line of an output that says something, fit to be printed."""
    lines = output.decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return "".join(c if c.isprintable() else " " for c in last)[:120]


def _without_core(pid: int) -> None:
    """A crash leaves no core file: shrinking one makes hundreds."""
    import resource

    with suppress(AttributeError, OSError):  # Linux has prlimit; or it has ended already
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    if os.getpid() != owner:  # a fork of the judge ends: the process is not its own
        return
    kill(process)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
