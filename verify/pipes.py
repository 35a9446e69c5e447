"""A program that reads requests from its stdin and writes answers to its stdout."""

import os
import select
import subprocess
import time
from collections.abc import Sequence

from verify.process import LOOK, Process, exited, last_line
from verify.suspect import Outcome
from verify.wire import BEGIN, Answer, Wrong, shown

FLUSHED = 0.5  # seconds in which a program whose stdin was closed may show what it held back


class Running:
    """A running program, this side of it: one request after the other, each with its answer.

    once: whether it gets one request, then the end of its stdin, and must end after its answer.

    Errors: NotStarted.
    """

    def __init__(self, words: Sequence[str], once: bool = False) -> None:
        self._process = Process(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        popen = self._process.popen
        assert popen.stdin is not None
        assert popen.stdout is not None
        self._in, self._out, self._err = popen.stdin, popen.stdout.fileno(), self._process.stderr
        for pipe in (self._in.fileno(), self._out):
            os.set_blocking(pipe, False)
        self._once = once
        self._answered = False
        self._unsent = memoryview(b"")
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)
        self.alive = True

    def ask(self, request: bytes, answer: Answer, limit: float) -> Outcome | None:
        """What becomes of a call; None if the program had ended, rightly, before it began.

        After a crash, a hang and a wrong answer the program is gone: `alive` says so.
        """
        deadline = time.monotonic() + limit
        try:
            if self._answered:
                self._after_the_last()
            self._unsent = memoryview(request)
            if not self._exchange(answer, deadline):
                return Outcome("hang", message=self._hung(answer, limit))
            if self._once and not self._over(answer, deadline):
                self.close()
                return Outcome("hang", message=f"answered, and did not end within {limit:g} s")
            self._answered = True
            if self._once or self._unsent:  # the rest would be taken for the next request
                self.close()
            return answer.outcome()
        except _Ended as ended:
            self.alive = False
            told = self._process.ended(f" {ended}")
            if self._answered and not answer.begun and told.startswith("exited with status 0"):
                return None
            return Outcome("crash", message=told)
        except Wrong as wrong:
            self.close()
            return Outcome("wrong type", message=str(wrong))
        except BaseException:  # a KeyboardInterrupt: the answer would come to the next call
            self.close()
            raise

    def close(self) -> None:
        """End the program."""
        self.alive = False
        self._process.close()

    def _after_the_last(self) -> None:
        """What came after the last answer: nothing, on stdout."""
        self._process.read_stderr()
        self._process.tail = b""
        if part := self._read():
            raise Wrong(f"wrote {shown(part)} to stdout after its answer to the call before")

    def _exchange(self, answer: Answer, deadline: float) -> bool:
        """Send the request and read the answer; False if the time is over before."""
        self._send()
        if self._unsent:
            self._poll.register(self._in.fileno(), select.POLLOUT)
        gone = False
        while not answer.complete:
            out = self._look(0.0 if gone else deadline - time.monotonic())
            if out == b"" or (out is None and gone):
                raise _Ended(answer.progress() if answer.begun else "before its answer")
            if out is not None:
                answer.feed(out)
            if time.monotonic() >= deadline and not answer.complete:
                return False
            # A process that it left behind may hold its end of the pipe open.
            gone = gone or (out is None and exited(self._process.popen))
        return True

    def _over(self, answer: Answer, deadline: float) -> bool:
        """Wait for the end of a program that has answered; False if the time is over before."""
        while not exited(self._process.popen):
            out = self._look(min(0.01, deadline - time.monotonic()))
            answer.feed(out or b"")
            if out == b"":  # at its end it is always ready
                time.sleep(0.001)
            if time.monotonic() >= deadline:
                return False
        while out := self._read():
            answer.feed(out)
        if self._process.status() != 0:
            raise _Ended("after its answer")
        return True

    def _look(self, seconds: float) -> bytes | None:
        """Wait for something to do and do it; what came on stdout, b"" at its end, else None."""
        ready = {fd for fd, _ in self._poll.poll(max(0.0, min(LOOK, seconds)) * 1000)}
        if self._err in ready and not self._process.read_stderr():
            self._poll.unregister(self._err)
        if self._unsent and self._in.fileno() in ready:
            self._poll.unregister(self._in.fileno())
            self._send()
            if self._unsent and not self._in.closed:
                self._poll.register(self._in.fileno(), select.POLLOUT)
        return self._read() if self._out in ready else None

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._in.fileno(), self._unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it has closed its stdin, and may answer all the same
            self._unsent = self._unsent[:0]
        if self._once:
            self._in.close()

    def _read(self) -> bytes | None:
        try:
            return os.read(self._out, 1 << 16)
        except BlockingIOError:
            return None

    def _hung(self, answer: Answer, limit: float) -> str:
        """Why there is no answer, as far as it shows; the program is ended."""
        told = f"no answer within {limit:g} s"
        process = self._process
        if answer.begun:
            told = f"no whole answer within {limit:g} s: it stopped {answer.progress()}"
        elif any(line.startswith(BEGIN.encode()) for line in process.tail.split(b"\n")):
            told = f"{told}: it went to stderr, and belongs on stdout"
        elif self._held_back():
            told = f"{told}: it came when stdin was closed (flush stdout after each answer)"
        elif last := last_line(process.tail):
            told = f"{told}: {last}"
        self.close()
        return told

    def _held_back(self) -> bool:
        """Whether an answer comes now that the program can read no further request."""
        if self._unsent or self._in.closed:
            return False
        self._in.close()
        until = time.monotonic() + FLUSHED
        while time.monotonic() < until:
            out = self._look(until - time.monotonic())
            if out is not None:
                return out.startswith(BEGIN.encode())
        return False


class _Ended(Exception):
    """The program has ended or closed its stdout: when."""
