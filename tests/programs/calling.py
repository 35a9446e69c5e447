"""What the tests of external programs share: a case, the examples, and how they are called."""

import os
import time
from pathlib import Path

import numpy as np

from toeplitz import Conv
from verify.case import Case
from verify.ops import OPS
from verify.program import Program

DOCUMENTS = Path(__file__).parent.parent.parent / "docs"
EXAMPLES = DOCUMENTS / "examples"
DOCUMENT = DOCUMENTS / "programs.md"
CASE = Case(OPS["conv2d"], Conv((1, 2, 2), (1, 1, 1, 2)))  # y has 2 numbers, 16 bytes
LIMIT = 0.4
NAMES = {"forward": ("y",), "backward": ("grad_x", "grad_w", "grad_b")}
RIGHT = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)
SAID = "to stdout, where an answer begins with 'toeplitz 1' (print other things to stderr)"


def called(command, protocol="stdio", limit=20.0, role="forward"):
    """What becomes of one call."""
    with Program(command, command, protocol, limit) as program:
        return getattr(program, role)(CASE)


def gone_soon(pid, seconds=10):
    """Whether a process ends in time; one that nobody has waited for has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def verified(run, command, *options):
    status, out, err = run("verify", "--exec", command, *options)
    assert err == ""
    return status, out
