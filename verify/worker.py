"""The process in which an isolated implementation runs: it loads the target and answers calls."""

import faulthandler
import os
import pickle
import signal
import socket
import struct
import sys
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np

from verify import adapters, targets
from verify.case import Case
from verify.suspect import Callables, Outcome, described

SIZE = struct.Struct("<Q")  # before each message
OURS = str(Path(__file__).resolve().parent / "__init__.py")


def serve(setup: dict[str, Any]) -> None:
    """The other side: load the target, then answer calls until the judge is gone."""
    faulthandler.disable()  # its list of modules would be the last line
    sys.argv = [setup["target"]]
    sys.dont_write_bytecode = True  # nothing is written into the user's folders
    judge = socket.socket(fileno=setup["socket"])
    judge.set_inheritable(False)
    me = os.getpid()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, setup["startup"])
    try:
        suspect = _loaded(setup)
        hello: tuple[Any, ...] = ("ready", suspect.name, suspect.has_backward, suspect.parameters())
    except (ImportError, ValueError) as error:
        hello = ("ValueError" if isinstance(error, ValueError) else "ImportError", str(error))
    except BaseException as error:
        hello = ("ImportError", f"{setup['target']} raised {described(error)} when it was imported")
    _reply(judge, me, hello)
    while message := _request(judge):
        signal.setitimer(signal.ITIMER_REAL, setup["limit"])
        _reply(judge, me, _answered(suspect, *pickle.loads(message)))
    if os.getpgrp() == me:  # the judge is gone: nothing of this group must stay
        os.killpg(me, signal.SIGKILL)


def _loaded(setup: dict[str, Any]) -> Callables:
    target, adapter = setup["target"], setup["adapter"]
    library = adapters.library(targets.parse(target).module) if adapter is None else adapter
    if library in adapters.LIBRARIES:
        adapters.adapter(library)
    sys.path[:] = setup["path"]
    targets.reachable(Path.cwd())
    spec = PathFinder.find_spec("verify")
    if spec is not None and spec.origin not in (
        None,
        str(Path(__file__).resolve().parent / "__init__.py"),
    ):
        for name in [n for n in sys.modules if n == "verify" or n.startswith("verify.")]:
            del sys.modules[name]  # the user's own `verify` is what the user's modules mean
    return targets.load(target, setup["backward"], adapter, setup["op"])


def _answered(
    suspect: Callables, role: str, plain: bytes, changes: dict[str, Any]
) -> dict[str, Any]:
    try:
        outcome: Outcome = getattr(suspect, role)(_case(plain), **changes)
    except Exception as error:  # from making the case, not from calling the implementation
        return {"kind": "error", "message": described(error)}
    except BaseException as error:  # KeyboardInterrupt: none of ours reaches this process
        return {"kind": "raised", "message": described(error)}
    value = outcome.value
    if isinstance(value, tuple):
        value = tuple(np.asarray(part) for part in value)
    elif value is not None:
        value = np.asarray(value)  # no classes of the implementation's own
    return vars(outcome) | {"value": value}


@lru_cache(maxsize=8)
def _case(plain: bytes) -> Case:
    return Case.from_json(pickle.loads(plain))


def _request(judge: socket.socket) -> bytes:
    """The next message of the judge; nothing when it is gone."""
    got = bytearray()
    while len(got) < SIZE.size or len(got) < SIZE.size + SIZE.unpack_from(got)[0]:
        part = judge.recv(1 << 20)
        if not part:
            return b""
        got += part
    return bytes(got[SIZE.size :])


def _reply(judge: socket.socket, me: int, answer: Any) -> None:
    if os.getpid() != me:  # a fork of the implementation's that came back from the call
        os._exit(0)
    message = pickle.dumps(answer, 5)
    judge.sendall(SIZE.pack(len(message)) + message)
    signal.setitimer(signal.ITIMER_REAL, 0)
