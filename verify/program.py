"""A program of any language as a suspect: what it is asked, how it is started and ended."""

import os
import shlex
import shutil
from pathlib import Path
from typing import Any, Self

from verify import files
from verify.case import Case
from verify.pipes import Running
from verify.process import NotStarted
from verify.suspect import Outcome
from verify.wire import Answer, answered, further, largest, request

PROTOCOLS = ("stdio", "once", "files")


class Program:
    """An external program, called by a protocol: a Suspect.

    command: the program and its arguments, written as for a shell. backward: the same for the
    backward pass, or None. protocol: "stdio" (it is kept, and answers one request after the
    other), "once" (it is started for each request, and ends after its answer) or "files" (it is
    started for each request with the names of files). limit: seconds that a call may take, the
    start of the program with it.

    The program runs in the current folder; what is written for it is in a temporary one.

    Errors: ValueError for a command that cannot be started; OSError without POSIX.
    """

    def __init__(
        self,
        command: str,
        backward: str | None = None,
        protocol: str = "stdio",
        limit: float = 10.0,
    ) -> None:
        if not hasattr(os, "killpg"):
            raise OSError("an external program needs POSIX: call it from Python instead")
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}: got {protocol!r}")
        self._words = {"forward": _words(command)}
        if backward is not None:
            self._words["backward"] = _words(backward)
        self._protocol, self.limit = protocol, limit
        self._running: dict[tuple[str, ...], Running] = {}
        # A lone word would look like a Python function in a report.
        self.name = f"the program {command}" if command.isidentifier() else command
        self.has_backward = backward is not None
        if protocol == "stdio":
            words = self._words["forward"]
            try:
                self._running[words] = Running(words)
            except NotStarted as error:
                raise ValueError(f"{words[0]} {error}") from None

    def parameters(self) -> frozenset[str] | None:
        return None

    def forward(self, case: Case, **changes: Any) -> Outcome:
        return self._call("forward", case, changes)

    def backward(self, case: Case, **changes: Any) -> Outcome:
        if not self.has_backward:
            return Outcome("unsupported", message="no backward pass was given")
        return self._call("backward", case, changes)

    def close(self) -> None:
        """End the program; a later call starts it again."""
        while self._running:
            self._running.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, role: str, case: Case, changes: dict[str, Any]) -> Outcome:
        words = self._words[role]
        try:
            if self._protocol == "files":
                return files.ask(words, role, case, changes, self.limit)
            return self._asked(words, role, case, request(role, case, changes))
        except NotStarted as error:  # although it was there before
            return Outcome("crash", message=str(error))

    def _asked(self, words: tuple[str, ...], role: str, case: Case, asked: bytes) -> Outcome:
        most = largest(case, len(asked))
        while True:
            running = self._running.pop(words, None) or Running(words, self._protocol == "once")
            answer = Answer(answered(case, role), most, further(case, role))
            outcome = running.ask(asked, answer, self.limit)
            if running.alive:
                self._running[words] = running
            if outcome is not None:  # else it ended after an answer, as it may: start it anew
                return outcome


def _words(command: str) -> tuple[str, ...]:
    """The program and its arguments."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"the command {command!r} cannot be read: {error}") from None
    if not words:
        raise ValueError(f"a command is a program and its arguments: got {command!r}")
    program = words[0]
    if shutil.which(program) is None:
        there = Path(program).is_file()
        if there and os.path.dirname(program):
            raise ValueError(f"{program} cannot be run: chmod +x {program}")
        raise ValueError(f"there is no program {program}" + f": write ./{program}" * there)
    return tuple(words)
