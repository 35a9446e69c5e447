"""Files between the judge and a program: request.npz in, answer.npy out."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from verify.case import Case
from verify.process import LOOK, Process, end_of, exited, last_line
from verify.suspect import Outcome, first_line, inputs
from verify.wire import Wrong, answered, arguments, further, largest, numbers

MODES = ("zeros", "circular", "reflect", "replicate")  # by their places; "constant" is zeros too
UNSUPPORTED, REFUSED = 77, 1  # exit statuses: a skipped test of automake, an uncaught exception


def ask(
    words: Sequence[str], role: str, case: Case, changes: Mapping[str, Any], limit: float
) -> Outcome:
    """What becomes of a call: the program gets the names of the request and of its answers.

    Errors: NotStarted; OSError where the request cannot be written.
    """
    if case.padding is not None or case.dtype == "bfloat16":
        told = "padding by name" if case.padding else "bfloat16"
        return Outcome("unsupported", message=f"a request in a file has no {told}")
    with TemporaryDirectory(prefix="toeplitz", ignore_cleanup_errors=True) as folder:
        asked = Path(folder, "request.npz")
        given = entries(role, case, changes)
        np.savez(asked, **given)
        names = ["answer"] if role == "forward" else list(answered(case, role))
        more = further(case, role)
        answers = [Path(folder, f"{name}.npy") for name in (*names, *more)]
        process = Process(
            [*words, str(asked), *map(str, answers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        with closing(process):
            outcome = _run(process, limit)
        if outcome is not None:
            return outcome
        try:
            most = largest(case, sum(array.nbytes for array in given.values()))
            if not any(path.exists() for path in answers[len(names) :]):
                del answers[len(names) :]
            arrays = [read(path, most) for path in answers]
        except Wrong as wrong:
            return Outcome("wrong type", message=str(wrong))
    return Outcome("value", arrays[0] if len(arrays) == 1 else tuple(arrays))


def entries(role: str, case: Case, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a request holds: the arrays that are given, and the arguments as arrays of numbers."""
    arrays, _ = inputs(role, case, changes)
    given = {name: np.ascontiguousarray(a) for name, a in arrays.items() if a is not None}
    for name, value in arguments(role, case, changes).items():
        if name in ("padding_mode", "mode"):
            value = 0 if value == "constant" else MODES.index(value)
        given[name] = np.array(numbers(value))
    return given


def _run(process: Process, limit: float) -> Outcome | None:
    """Wait for the program; an outcome unless it ended well."""
    deadline = time.monotonic() + limit
    pause = 0.0005
    while not exited(process.popen):
        process.read_stderr()
        if time.monotonic() >= deadline:
            return Outcome("hang", message=_told(f"did not end within {limit:g} s", process))
        time.sleep(pause)
        pause = min(LOOK / 5, 1.5 * pause)
    status = process.status()
    process.read_stderr()
    if status == UNSUPPORTED:
        return Outcome("unsupported", message=last_line(process.tail))
    if status != 0:
        kind = "raised" if status == REFUSED else "crash"
        return Outcome(kind, message=_told(end_of(status), process))
    return None


def _told(what: str, process: Process) -> str:
    last = last_line(process.tail)
    return f"{what}: {last}" if last else what


def read(path: Path, most: int) -> Any:
    """The array of an .npy file, no larger than `most` bytes; Wrong for anything else."""
    name = path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, by_columns, dtype = header(file)
            needed, here = prod(shape) * dtype.itemsize, size - file.tell()
            if dtype.hasobject:
                raise Wrong(f"{name} holds Python objects")
            if needed != here:
                raise Wrong(
                    f"{name} has {here} bytes for an array of shape {shape} and dtype "
                    f"{dtype}, which needs {needed}"
                )
            if prod(n or 1 for n in shape) * dtype.itemsize > most:
                raise Wrong(f"{name} has shape {shape}: at most {most} bytes are read")
            flat = np.frombuffer(bytearray(file.read()), dtype) if needed else np.zeros(0, dtype)
    except FileNotFoundError:
        raise Wrong(f"ended with status 0 and wrote no {name}") from None
    except (OSError, ValueError, KeyError, SyntaxError) as error:
        raise Wrong(f"{name} is no .npy file: {first_line(error)}") from None
    array = flat.reshape(shape, order="F" if by_columns else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)
