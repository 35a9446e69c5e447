"""The implementation in a process of its own: what kills or stops it does not stop the judge.

The worker is a fresh Python, never a fork, so that threads and devices of this process do no harm.
The two talk over a socket that the implementation does not know of. What it prints goes to a pipe
that is emptied here; only the last line is told, after a crash. The worker makes the arrays of a
case itself, so that they lie in its memory as the case says. POSIX only.
"""

import json
import os
import pickle
import select
import socket
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from verify import targets
from verify.case import Case
from verify.ops import Op, named
from verify.process import LOOK, TAIL, end_of, exited, kill, last_line
from verify.suspect import Outcome
from verify.worker import SIZE

HOME = str(Path(__file__).resolve().parent.parent)
BOOT = (
    "import json, sys; setup = json.loads(sys.argv[1]); sys.path[:] = setup['boot']; "
    "from verify.worker import serve; serve(setup)"
)
GRACE = 5  # seconds after the limit when a worker whose judge is gone ends by itself


class Isolated:
    """What a target names, called in a worker process: a Suspect.

    target, backward, adapter, op: as for targets.load; the adapter by name. limit: seconds that a
    call may take. startup: seconds that importing the target may take.

    A worker that dies or does not answer makes an Outcome "crash" or "hang", and is replaced at
    the next call. No process outlives `close`, the end of a `with` block or of this process.

    Errors: those of targets.load; ImportError also if importing kills the worker or takes longer.
    """

    def __init__(
        self,
        target: str,
        backward: str | None = None,
        adapter: str | None = None,
        op: str | Op = "conv2d",
        limit: float = 10.0,
        startup: float = 60.0,
    ) -> None:
        if not hasattr(os, "killpg"):
            raise OSError("a worker process needs POSIX: call the target in this process instead")
        for name in (target,) if backward is None else (target, backward):
            targets.parse(name)
        self.target = target
        self._limit, self._startup = limit, startup
        self._setup = {
            "target": target,
            "backward": backward,
            "adapter": adapter,
            "op": named(op).name if isinstance(op, str) else op.name,
            "limit": limit + GRACE,
            "startup": startup + GRACE,
        }
        self._worker: _Worker | None = None
        self.name, self.has_backward, self._parameters = self._start()

    def parameters(self) -> frozenset[str] | None:
        return self._parameters

    def forward(self, case: Case, **changes: Any) -> Outcome:
        return self._call("forward", case, changes)

    def backward(self, case: Case, **changes: Any) -> Outcome:
        return self._call("backward", case, changes)

    def close(self) -> None:
        """End the worker; a later call starts another."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> tuple[str, bool, frozenset[str] | None]:
        """Start a worker; return the name, whether it has a backward pass, and the parameters."""
        self._worker = _Worker(self._setup)
        try:
            kind, *told = self._worker.told(self._startup)
        except _Lost as lost:
            self._worker = None
            raise ImportError(f"{self.target} cannot be imported: {lost.outcome.message}") from None
        except BaseException:
            self.close()
            raise
        if kind != "ready":
            self.close()
            raise {"ValueError": ValueError}.get(kind, ImportError)(*told)
        return told[0], told[1], told[2]

    def _call(self, role: str, case: Case, changes: dict[str, Any]) -> Outcome:
        message = pickle.dumps((role, pickle.dumps(case.to_json()), changes), 5)
        if self._worker is None:
            try:
                self._start()
            except (ImportError, ValueError) as error:  # although it was loaded before
                return Outcome("crash", message=str(error))
        assert self._worker is not None
        try:
            self._worker.tell(message, self._limit)
            told = self._worker.told(self._limit)
        except _Lost as lost:
            self._worker = None
            return lost.outcome
        except BaseException:  # a KeyboardInterrupt: the answer would come to the next call
            self.close()
            raise
        if told["kind"] == "error":
            raise RuntimeError(f"the call could not be made: {told['message']}")
        return Outcome(**told)


class _Lost(Exception):
    """The worker is gone: why."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class _Worker:
    """A worker process, this side of it."""

    def __init__(self, setup: dict[str, Any]) -> None:
        path = [os.path.abspath(entry) for entry in sys.path]
        others = [entry for entry in path if entry not in (os.getcwd(), HOME)]
        last = [entry for entry in others if _shadows(entry)]
        boot = [*(entry for entry in others if entry not in last), HOME, *last]
        ours, theirs = socket.socketpair()
        with theirs:
            setup = setup | {"boot": boot, "path": path, "socket": theirs.fileno()}
            # -P: files in the current folder must not stand in for what we import.
            # -u: what was printed before a crash has arrived.
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-c", BOOT, json.dumps(setup)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
            )
        self._socket = ours
        assert self.process.stdout is not None
        self._output = self.process.stdout.fileno()
        self._tail = b""
        os.set_blocking(self._output, False)
        self._poll = select.poll()
        self._poll.register(ours, select.POLLIN)
        self._poll.register(self._output, select.POLLIN)
        self.close = weakref.finalize(self, _end, self.process, ours, os.getpid())

    def tell(self, message: bytes, limit: float) -> None:
        self._socket.settimeout(limit)
        try:
            self._socket.sendall(SIZE.pack(len(message)) + message)
        except TimeoutError:
            raise self._hung(limit) from None
        except OSError:
            raise self._died() from None

    def told(self, limit: float) -> Any:
        """What the next message of the worker says."""
        message = self._message(limit)
        try:
            return pickle.loads(message)
        except Exception:  # any bytes at all: the implementation found the socket
            self.close()
            told = "wrote to the socket of its judge"
            raise _Lost(Outcome("crash", message=told)) from None

    def _message(self, limit: float) -> bytes:
        deadline = time.monotonic() + limit
        got, gone = bytearray(), False
        while True:
            wait = 0.0 if gone else max(0.0, min(LOOK, deadline - time.monotonic()))
            ready = {fd for fd, _ in self._poll.poll(wait * 1000)}
            if self._output in ready and not self._read_output():
                self._poll.unregister(self._output)  # it closed its stdout and stderr
            if self._socket.fileno() in ready:
                try:
                    part = self._socket.recv(1 << 20)
                except OSError:
                    part = b""
                if not part:
                    raise self._died()
                got += part
                if len(got) >= SIZE.size and len(got) >= SIZE.size + SIZE.unpack_from(got)[0]:
                    return bytes(got[SIZE.size :])
            elif gone:
                raise self._died()
            elif time.monotonic() >= deadline:
                raise self._hung(limit)
            else:  # a process that it left behind may hold its end of the socket open
                gone = exited(self.process)

    def _read_output(self) -> bytes:
        part = os.read(self._output, 1 << 16)
        self._tail = (self._tail + part)[-TAIL:]
        return part

    def _hung(self, limit: float) -> _Lost:
        self.close()
        return _Lost(Outcome("hang", message=f"no answer within {limit:g} s"))

    def _died(self) -> _Lost:
        until = time.monotonic() + 1
        while not (over := exited(self.process)) and time.monotonic() < until:
            time.sleep(0.002)
        kill(self.process)
        with suppress(OSError):  # BlockingIOError: it is empty
            while self._read_output():
                pass
        self.close()
        message = end_of(self.process.returncode) if over else "closed the socket of its judge"
        shown = last_line(self._tail)
        return _Lost(Outcome("crash", message=f"{message}: {shown}" if shown else message))


def _shadows(entry: str) -> bool:
    """Whether a folder holds something of the name of one of our packages."""
    names = ("verify", "verify.py", "toeplitz", "toeplitz.py")
    return any(os.path.exists(os.path.join(entry, name)) for name in names)


def _end(process: subprocess.Popen[bytes], ours: socket.socket, owner: int) -> None:
    if os.getpid() != owner:  # a fork of the judge ends: the worker is not its own
        return
    kill(process)
    ours.close()
    if process.stdout is not None:
        process.stdout.close()
