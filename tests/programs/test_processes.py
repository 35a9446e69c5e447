"""Programs as processes: kept, started again, ended; what cannot be started is refused."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from programs.calling import CASE, called, gone_soon

from toeplitz import Linear
from verify import wire
from verify.case import Case
from verify.ops import OPS
from verify.program import PROTOCOLS, Program
from verify.suspect import Outcome


def test_a_program_is_kept(bad):
    with Program(f"{bad} pid", limit=20) as program:
        pids = {int(program.forward(CASE).value) for _ in range(3)}
        assert len(pids) == 1
        program.close()
        assert gone_soon(*pids)
        assert int(program.forward(CASE).value) not in pids  # it starts again


def test_a_program_may_end_after_an_answer(bad):
    with Program(f"{bad} once", limit=20) as program:
        assert all(program.forward(CASE).ok for _ in range(20))
    with Program(f"{bad} once", protocol="once", limit=20) as program:
        assert all(program.forward(CASE).ok for _ in range(5))


def test_a_kept_program_that_then_ends_without_an_answer_is_asked_anew(bad):
    with Program(f"{bad} right,polite", limit=20) as program:
        assert [program.forward(CASE).ok for _ in range(4)] == [True] * 4
    with Program(f"{bad} right,status", limit=20) as program:
        assert [program.forward(CASE).kind for _ in range(3)] == ["value", "crash", "value"]


def test_an_answer_before_the_end_of_a_large_request_counts(bad):
    large = Case(OPS["linear"], Linear(300, 300))  # 720 kB, more than pipes hold
    with Program(f"{bad} deaf", limit=20) as program:
        for _ in range(2):
            outcome = program.forward(large)
            assert outcome == Outcome("unsupported", message="unsupported: large")


def test_a_large_request_and_a_large_answer_pass(tmp_path):
    path = tmp_path / "echo.py"
    path.write_text(
        "import sys\n"
        "while line := sys.stdin.buffer.readline():\n"
        "    data = sys.stdin.buffer.read(int(line.rpartition(b'=')[2]))\n"
        "    sys.stdout.buffer.write(b'toeplitz 1 ok float64 y=%d\\n%b' % (len(data) // 8, data))\n"
        "    sys.stdout.flush()\n"
    )
    large = Case(OPS["linear"], Linear(400, 400), batch=2, bias=True)
    with Program(f"{sys.executable} {path}", limit=20) as program:
        for _ in range(2):
            value = program.forward(large).value
            parts = [getattr(large.arrays, name).ravel() for name in "xwb"]
            np.testing.assert_array_equal(value, np.concatenate(parts))


def test_what_a_program_starts_ends_with_it(bad):
    with Program(f"{bad} child_pid", limit=20) as program:
        child = int(program.forward(CASE).value)
    assert gone_soon(child)


def test_no_program_outlives_its_judge(bad):
    code = (
        "import sys\nfrom programs.calling import CASE, Program\n"
        "print(int(Program(sys.argv[1], limit=20).forward(CASE).value))"
    )
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, f"{bad} child_pid"], capture_output=True, text=True, env=env
    )
    assert done.stderr == ""
    assert gone_soon(int(done.stdout))


REFUSALS = {
    "": "a command is a program and its arguments: got ''",
    "'./a": 'the command "\'./a" cannot be read: No closing quotation',
    "./nope": "there is no program ./nope",
    "mine": "there is no program mine: write ./mine",
    "./mine": "./mine cannot be run: chmod +x ./mine",
    "./odd": "./odd cannot be started: Exec format error",
}


@pytest.mark.parametrize("command", REFUSALS)
def test_a_command_that_cannot_be_started_is_refused(homework, run, command):
    (homework / "mine").write_text("")
    (homework / "odd").write_bytes(b"\x7fELF")
    (homework / "odd").chmod(0o755)
    with pytest.raises(ValueError, match=f"^{re.escape(REFUSALS[command])}$"):
        Program(command)
    told = f"toeplitz: {REFUSALS[command]}\n"
    assert run("verify", "--exec", command) == (2, "", told)


def test_a_protocol_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"^protocol must be one of stdio, once, files: got 'x'$"):
        Program("true", protocol="x")


def test_a_program_that_went_away_is_a_crash(homework):
    path = homework / "fleeting"
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    for protocol in PROTOCOLS:
        with Program("./fleeting", protocol=protocol, limit=20) as program:
            program.close()
            path.rename("elsewhere")
            told = "cannot be started: No such file or directory"
            assert program.forward(CASE) == Outcome("crash", message=told)
            Path("elsewhere").rename(path)


def test_a_program_in_front_keeps_the_request(built, homework):
    command = f"sh -c 'tee request.bin | {built('conv2d')}'"
    kept = homework / "request.bin"
    for _ in range(20):  # tee answers first and writes its file then, if it is not ended before
        assert called(command, limit=20).ok
        if kept.read_bytes():
            break
    assert kept.read_bytes() == wire.request("forward", CASE, {})


def test_a_call_of_a_kept_program_costs_less_than_a_millisecond(built):
    with Program(built("conv2d"), limit=20) as program:
        assert program.forward(CASE).ok

        def milliseconds():
            started = time.perf_counter()
            for _ in range(50):
                program.forward(CASE)
            return (time.perf_counter() - started) * 20

        assert min(milliseconds() for _ in range(10)) < 1
