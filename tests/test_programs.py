"""Programs of any language under the judge: right ones acquitted, whatever bad ones do is told."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toeplitz import Conv, Linear, cli
from verify import files, wire
from verify.case import Case
from verify.data import numpy_dtype
from verify.ops import OPS
from verify.program import PROTOCOLS, Program
from verify.suspect import Callables, Outcome
from verify.wire import Answer, Wrong

EXAMPLE = Path(__file__).parent.parent / "docs" / "examples" / "conv2d.c"
DOCUMENT = Path(__file__).parent.parent / "docs" / "programs.md"
CASE = Case(OPS["conv2d"], Conv((1, 2, 2), (1, 1, 1, 2)))  # y has 2 numbers, 16 bytes
LIMIT = 0.4

# A program without numpy that answers rightly unless it is told otherwise: y is the sum of x.
BAD = """
import os, signal, struct, subprocess, sys, time

def request():
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    words = line.split()
    given = dict(word.split(b"=") for word in words[5:])
    return words[3].decode(), sys.stdin.buffer.read(int(given[b"bytes"]))

def out(*parts):
    for part in parts:
        sys.stdout.buffer.write(part if isinstance(part, bytes) else part.encode())
    sys.stdout.flush()

HEAD = "toeplitz 1 ok float64 y=1,1,2,1\\n"
DATA = struct.pack("<2d", 1, 2)
GRADS = "toeplitz 1 ok float64 grad_x=1,1,2,2 grad_w=1,1,1,2 grad_b=1\\n"

def right(): out(HEAD, DATA)
def segfault():
    sys.stderr.write("first\\nindex out of range\\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)
def status(): os._exit(3)
def polite(): os._exit(0)
def loop():
    while True: pass
def sleep_loudly():
    sys.stderr.write("waiting for the device")
    sys.stderr.flush()
    time.sleep(1000)
def garbage(): out("result: 1 2\\n")
def binary(): out(DATA)
def magic_alone(): out("toeplitz\\n")
def half():
    out(HEAD, DATA[:5])
    os._exit(0)
def half_line():
    out(HEAD[:12])
    os._exit(2)
def half_forever():
    out(HEAD, DATA[:5])
    time.sleep(1000)
def drip():
    while True:
        for letter in "toeplitz " + "1" * 99:
            out(letter)
            time.sleep(0.01)
def much(): out(HEAD, DATA, b"x")
def flood():
    out(HEAD)
    while True: out(DATA * 999)
def endless_line(): out("toeplitz 1 ok " + " " * 9999)
def to_stderr():
    sys.stderr.buffer.write(HEAD.encode() + DATA)
    sys.stderr.flush()
    time.sleep(1000)
def unflushed(): sys.stdout.buffer.write(HEAD.encode() + DATA)
def close_stdout():
    os.close(1)
    time.sleep(1000)
def version(): out("toeplitz 2 ok float64 y=1,1,2,1\\n", DATA)
def nothing_said(): out("toeplitz 1\\n")
def other_word(): out("toeplitz 1 yes\\n")
def no_dtype(): out("toeplitz 1 ok\\n")
def double(): out("toeplitz 1 ok double y=1,1,2,1\\n", DATA)
def no_array(): out("toeplitz 1 ok float64\\n")
def other_name(): out("toeplitz 1 ok float64 x=1,1,2,1\\n", DATA)
def negative(): out("toeplitz 1 ok float64 y=1,1,-2,1\\n", DATA)
def bomb(): out("toeplitz 1 ok float64 y=1000000000,1000000000\\n")
def empty_bomb(): out("toeplitz 1 ok float64 y=0,1000000000,1000000000\\n")
def other_dtype(): out("toeplitz 1 ok float32 y=1,1,2,1\\n", struct.pack("<2f", 1, 2))
def other_shape(): out("toeplitz 1 ok float64 y=2\\n", DATA)
def scalar(): out("toeplitz 1 ok float64 y=\\n", DATA[:8])
def unsupported(): out("toeplitz 1 unsupported no dilation yet\\n")
def refused(): out("toeplitz 1 refused 3 channels, weights for 2\\n")
def bare(): out("toeplitz 1 refused\\n")
def slowly():
    for byte in HEAD.encode() + DATA:
        out(bytes([byte]))
def grads(): out(GRADS, DATA, DATA, DATA, DATA[:8])
def swapped(): out(GRADS.replace("grad_x", "dx"), DATA * 4)
def child():
    if os.fork() == 0: time.sleep(1000)
    os._exit(4)
def pid(): out("toeplitz 1 ok int64 y=\\n", struct.pack("<q", os.getpid()))
def child_pid():
    other = os.fork()
    if other == 0: time.sleep(1000)
    out("toeplitz 1 ok int64 y=\\n", struct.pack("<q", other))
def talk():
    sys.stderr.write("z" * 5_000_000)
    right()
def once():
    right()
    sys.exit(0)
def badly_ended():
    right()
    os._exit(5)
def more_later():
    right()
    time.sleep(0.1)
    out("done\\n")
def stays():
    right()
    time.sleep(1000)
def deaf(): pass

if __name__ == "__main__":
    ways = sys.argv[1].split(",")
    if ways[0] == "deaf":
        out("toeplitz 1 unsupported large\\n")
        time.sleep(1000)
    while True:
        role, data = request()
        globals()[ways.pop(0) if len(ways) > 1 else ways[0]]()
"""
NAMES = {"forward": ("y",), "backward": ("grad_x", "grad_w", "grad_b")}


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """The command of the program above, to be told what to do."""
    path = tmp_path_factory.mktemp("bad") / "bad.py"
    path.write_text(BAD)
    return f"{sys.executable} -S -E {path}"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Compiles the example in C, changed if so asked."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("built")

    def build(name, old="", new=""):
        text = EXAMPLE.read_text()
        assert text.count(old) == 1 or not old
        (folder / f"{name}.c").write_text(text.replace(old, new) if old else text)
        command = [compiler, "-std=c99", "-O1", "-Wall", "-o", name, f"{name}.c"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return str(folder / name)

    return build


@pytest.fixture(autouse=True)
def homework(monkeypatch, tmp_path):
    """A student's folder, with the failures kept in another."""
    folder = tmp_path / "homework"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOEPLITZ_STORE", str(tmp_path / "kept"))
    return folder


@pytest.fixture
def run(capsys):
    """Run a command line in this process: its exit status, its output, its errors."""

    def run(*arguments):
        status = cli.main(arguments)
        return (status, *capsys.readouterr())

    return run


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


RIGHT = np.array([1.0, 2.0]).reshape(1, 1, 2, 1)


def test_a_right_answer_is_an_array(bad):
    for how in ("right", "slowly", "talk"):
        outcome = called(f"{bad} {how}", limit=20)
        assert (outcome.kind, outcome.message) == ("value", "")
        np.testing.assert_array_equal(outcome.value, RIGHT)
        assert outcome.value.dtype == np.float64


def test_another_dtype_and_another_shape_are_arrays_for_the_judge(bad):
    assert called(f"{bad} other_dtype").value.dtype == np.float32
    assert called(f"{bad} other_shape").value.shape == (2,)
    assert called(f"{bad} scalar").value.shape == ()


def test_a_backward_pass_answers_with_three_arrays(bad):
    outcome = called(f"{bad} grads", role="backward")
    assert [part.shape for part in outcome.value] == [(1, 1, 2, 2), (1, 1, 1, 2), (1,)]
    assert [part.ravel().tolist() for part in outcome.value] == [[1, 2, 1, 2], [1, 2], [1]]
    told = "answered with dx grad_w grad_b, should be grad_x grad_w grad_b"
    assert called(f"{bad} swapped", role="backward") == Outcome("wrong type", message=told)


SAID = "to stdout, where an answer begins with 'toeplitz 1' (print other things to stderr)"
DTYPES = ", ".join(wire.DTYPES)
SENTENCES = {
    "segfault": ("crash", "killed by signal SIGSEGV before its answer: index out of range"),
    "status": ("crash", "exited with status 3 before its answer"),
    "polite": ("crash", "exited with status 0 before its answer"),
    "child": ("crash", "exited with status 4 before its answer"),
    "half": ("crash", "exited with status 0 after 5 of the 16 bytes of its arrays"),
    "half_line": ("crash", "exited with status 2 in the first line of its answer"),
    "loop": ("hang", "no answer within 0.4 s"),
    "sleep_loudly": ("hang", "no answer within 0.4 s: waiting for the device"),
    "half_forever": (
        "hang",
        "no whole answer within 0.4 s: it stopped after 5 of the 16 bytes of its arrays",
    ),
    "drip": ("hang", "no whole answer within 0.4 s: it stopped in the first line of its answer"),
    "to_stderr": ("hang", "no answer within 0.4 s: it went to stderr, and belongs on stdout"),
    "unflushed": (
        "hang",
        "no answer within 0.4 s: it came when stdin was closed (flush stdout after each answer)",
    ),
    "garbage": ("wrong type", f"wrote 'result: 1 2' {SAID}"),
    "binary": (
        "wrong type",
        r"wrote '\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@' " + SAID,
    ),
    "magic_alone": ("wrong type", f"wrote 'toeplitz' {SAID}"),
    "much": ("wrong type", "wrote more than its answer, whose arrays have 16 bytes by its line"),
    "flood": ("wrong type", "wrote more than its answer, whose arrays have 16 bytes by its line"),
    "endless_line": ("wrong type", "the first line of its answer has no end within 4096 bytes"),
    "version": ("wrong type", "answered in version '2' of the protocol, should be '1'"),
    "nothing_said": ("wrong type", "answered '', should be ok, unsupported or refused"),
    "other_word": ("wrong type", "answered 'yes', should be ok, unsupported or refused"),
    "no_dtype": ("wrong type", f"answered with dtype '', should be one of {DTYPES}"),
    "double": ("wrong type", f"answered with dtype 'double', should be one of {DTYPES}"),
    "no_array": ("wrong type", "answered with no array, should be y"),
    "other_name": ("wrong type", "answered with x, should be y"),
    "negative": ("wrong type", "answered with 'y=1,1,-2,1', should be y= and the sizes: y=2,3,4"),
    "bomb": (
        "wrong type",
        "announced 8000000000000000000 bytes (y=1000000000,1000000000): at most 67108864 are read",
    ),
    "empty_bomb": (
        "wrong type",
        "announced 8000000000000000000 bytes (y=0,1000000000,1000000000): at most 67108864 are "
        "read",
    ),
    "unsupported": ("unsupported", "unsupported: no dilation yet"),
    "refused": ("raised", "refused: 3 channels, weights for 2"),
    "bare": ("raised", "refused"),
}  # fmt: skip


@pytest.mark.parametrize("how", SENTENCES)
def test_whatever_a_program_does_is_one_sentence(bad, how):
    kind, message = SENTENCES[how]
    with Program(f"{bad} {how}" if kind != "hang" else f"{bad} right,{how}", limit=20) as program:
        if kind == "hang":
            assert program.forward(CASE).ok  # the limit is no longer that of its start
            program.limit = LIMIT
        started = time.monotonic()
        assert program.forward(CASE) == Outcome(kind, message=message)
        assert kind != "hang" or time.monotonic() - started >= LIMIT


@pytest.mark.parametrize("how", ["segfault", "loop", "garbage", "much", "half", "close_stdout"])
def test_after_a_bad_answer_the_program_is_started_again(bad, how):
    with Program(f"{bad} right,{how}", limit=2) as program:
        kinds = [program.forward(CASE).kind for _ in range(4)]
    assert kinds[0] == kinds[2] == "value"
    assert kinds[1] == kinds[3] != "value"


def test_closing_stdout_is_a_crash(bad):
    told = "closed its stdout before its answer"
    assert called(f"{bad} close_stdout", limit=20) == Outcome("crash", message=told)


def test_words_after_an_answer_are_told_at_the_next_call(bad):
    with Program(f"{bad} more_later", limit=20) as program:
        assert program.forward(CASE).ok
        time.sleep(0.3)
        told = "wrote 'done\\n' to stdout after its answer to the call before"
        assert program.forward(CASE) == Outcome("wrong type", message=told)


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


def test_once_holds_a_program_to_its_end(bad):
    told = "exited with status 5 after its answer"
    assert called(f"{bad} badly_ended", "once", 20) == Outcome("crash", message=told)
    told = "answered, and did not end within 2 s"
    assert called(f"{bad} stays", "once", 2) == Outcome("hang", message=told)
    told = "wrote more than its answer, whose arrays have 16 bytes by its line"
    assert called(f"{bad} more_later", "once", 20) == Outcome("wrong type", message=told)
    assert called(f"{bad} unflushed", "once", 20).ok  # the end of stdin ends it


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
        "import sys\nfrom test_programs import CASE, Program\n"
        "print(int(Program(sys.argv[1], limit=20).forward(CASE).value))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
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


def test_a_request_says_all_arguments_as_numbers():
    layer = Conv((2, 5), (2, 1, 3), 2, 1, groups=2)
    case = Case(OPS["conv1d"], layer, batch=2, dtype="float32", layout="sliced")
    line, _, data = wire.request("forward", case, {}).partition(b"\n")
    assert line.decode() == (
        "toeplitz 1 conv1d forward float32 stride=2 padding=1 dilation=1 groups=2 x=2,2,5 w=2,1,3 "
        "b=0 bytes=104"
    )
    numbers = np.frombuffer(data, "<f4")
    np.testing.assert_array_equal(numbers[:20].reshape(2, 2, 5), case.arrays.x)
    np.testing.assert_array_equal(numbers[20:].reshape(2, 1, 3), case.arrays.w)


@pytest.mark.parametrize(
    "case, role, changes, line",
    [
        (
            Case(OPS["padded_conv2d"], Conv((1, 4, 4), (1, 1, 2, 2), 2, ((1, 0), (0, 2)))),
            "forward",
            {},
            "toeplitz 1 padded_conv2d forward float64 stride=2,2 padding=1,0,0,2 dilation=1,1 "
            "groups=1 padding_mode=zeros x=1,1,4,4 w=1,1,2,2 b=0 bytes=160",
        ),
        (
            Case(
                OPS["padded_conv2d"],
                Conv((1, 4, 4), (1, 1, 2, 2), padding="same_upper", padding_mode="circular"),
                padding="same_upper",
            ),
            "forward",
            {},
            "toeplitz 1 padded_conv2d forward float64 stride=1,1 padding=same_upper dilation=1,1 "
            "groups=1 padding_mode=circular x=1,1,4,4 w=1,1,2,2 b=0 bytes=160",
        ),
        (
            Case(OPS["linear"], Linear(3, 2), batch=0, bias=True),
            "forward",
            {},
            "toeplitz 1 linear forward float64 x=0,3 w=2,3 b=2 bytes=64",
        ),
        (
            CASE,
            "backward",
            {},
            "toeplitz 1 conv2d backward float64 stride=1,1 padding=0,0 dilation=1,1 groups=1 "
            "g=1,1,2,1 x=1,1,2,2 w=1,1,1,2 bytes=64",
        ),
        (
            CASE,
            "forward",
            {"x": np.ones((1, 2, 2, 2)), "groups": 4},
            "toeplitz 1 conv2d forward float64 stride=1,1 padding=0,0 dilation=1,1 groups=4 "
            "x=1,2,2,2 w=1,1,1,2 b=0 bytes=80",
        ),
    ],
)
def test_the_line_of_a_request(case, role, changes, line):
    assert wire.request(role, case, changes).partition(b"\n")[0].decode() == line


@pytest.mark.parametrize("dtype", wire.DTYPES)
def test_every_dtype_survives_the_way(dtype, need):
    if dtype == "bfloat16":
        need("ml_dtypes")
    case = CASE.but(dtype=dtype)
    data = wire.request("forward", case, {}).partition(b"\n")[2]
    answer = Answer(("y",), 99)
    for byte in f"toeplitz 1 ok {dtype} y=2,3\n".encode() + data:
        assert not answer.complete
        answer.feed(bytes([byte]))
    flat = [array.ravel() for array in case.given("x", "w").values()]
    value = answer.outcome().value
    assert value.dtype == numpy_dtype(dtype)
    assert value.tolist() == np.concatenate(flat).reshape(2, 3).tolist()


PIECES = [
    b"toeplitz", b" ", b"1", b"ok", b"unsupported", b"refused", b"float64", b"bfloat16", b"y=",
    b"grad_x=1", b"grad_w=", b"grad_b=", b"2", b",", b"0", b"9" * 18, b"\n", b"\r\n", b"\0",
    b"toeplitz 1 ok float64 y=1\n", b"12345678", b"\xff",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES) | st.binary(), max_size=12),
    st.sampled_from(["forward", "backward"]),
)
def test_any_bytes_at_all_are_an_answer_or_a_sentence(parts, role):
    answer = Answer(NAMES[role], 64)
    try:
        for part in parts:
            if answer.complete:
                break
            answer.feed(part)
    except Wrong as wrong:
        told = str(wrong)
    else:
        told = answer.progress()
        if answer.complete:
            outcome = answer.outcome()
            assert outcome.kind in ("value", "unsupported", "raised")
            told = outcome.message
    assert told.isprintable()


# A program that reads and writes files; what it computes is right unless it is told otherwise.
FILES = r"""
import os, sys, time
import numpy as np

how, (request, *answers) = sys.argv[1], sys.argv[2:]
given = dict(np.load(request))

def conv2d(x, w, b=None, stride=None, padding=None, dilation=None, groups=None):
    if x.shape[1] != w.shape[1] * groups[0]:
        sys.exit("x and w have other numbers of channels")
    wide = np.pad(x, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:])]
    windows = np.lib.stride_tricks.sliding_window_view(wide, extents, (2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    split = np.split(windows, groups[0], axis=1), np.split(w, groups[0])
    y = [np.einsum("ncpqij,ocij->nopq", *pair) for pair in zip(*split)]
    return np.concatenate(y, axis=1) + (0 if b is None else b[:, None, None])

answer, data = answers[0], b""
if how == "right":
    y = conv2d(**given)
    np.save(answer, y.astype(given["x"].dtype))
elif how == "columns":
    np.save(answer, np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]).astype(">f8"))
elif how == "backward":
    for name, part in zip(answers, "gxw", strict=True):
        np.save(name, given[part])
elif how == "nothing":
    print("done")
elif how == "text":
    open(answer, "w").write("1 2\n")
elif how == "short":
    np.save(answer, np.ones(4))
    os.truncate(answer, os.path.getsize(answer) - 8)
elif how == "bomb":
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)}
    np.lib.format.write_array_header_1_0(open(answer, "wb"), header)
elif how == "empty_bomb":
    header = {"descr": "<f8", "fortran_order": False, "shape": (0, 10**9, 10**9)}
    np.lib.format.write_array_header_1_0(open(answer, "wb"), header)
elif how == "objects":
    np.save(answer, np.array([{}]), allow_pickle=True)
elif how == "crash":
    sys.stderr.write("out of memory\n")
    os.abort()
elif how == "status":
    os._exit(3)
elif how == "raises":
    raise KeyError("no such layer")
elif how == "unsupported":
    print("no dilation yet", file=sys.stderr)
    sys.exit(77)
elif how == "loop":
    while True: pass
"""


@pytest.fixture(scope="module")
def by_files(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "by_files.py"
    path.write_text(FILES)
    return f"{sys.executable} {path}"


@pytest.mark.parametrize(
    "how, kind, message",
    [
        ("nothing", "wrong type", "ended with status 0 and wrote no answer.npy"),
        ("text", "wrong type", "answer.npy is no .npy file: "),
        (
            "short",
            "wrong type",
            "answer.npy has 24 bytes for an array of shape (4,) and dtype float64, which needs 32",
        ),
        (
            "bomb",
            "wrong type",
            "answer.npy has 0 bytes for an array of shape (1000000000, 1000000000) and dtype "
            "float64, which needs 8000000000000000000",
        ),
        (
            "empty_bomb",
            "wrong type",
            "answer.npy has shape (0, 1000000000, 1000000000): at most 67108864 bytes are read",
        ),
        ("objects", "wrong type", "answer.npy holds Python objects"),
        ("crash", "crash", "killed by signal SIGABRT: out of memory"),
        ("status", "crash", "exited with status 3"),
        ("raises", "raised", "exited with status 1: KeyError: 'no such layer'"),
        ("unsupported", "unsupported", "no dilation yet"),
        ("loop", "hang", "did not end within 0.4 s"),
    ],
)
def test_whatever_a_program_does_with_files_is_one_sentence(by_files, how, kind, message):
    outcome = called(f"{by_files} {how}", "files", LIMIT if how == "loop" else 20)
    assert outcome.kind == kind
    assert outcome.message == message or (how == "text" and outcome.message.startswith(message))


def test_answers_in_files(by_files):
    value = called(f"{by_files} columns", "files", 20).value
    assert (value.tolist(), value.dtype) == ([[1, 2], [3, 4]], np.float64)
    grads = called(f"{by_files} backward", "files", 20, "backward").value
    for got, name in zip(grads, "gxw", strict=True):
        np.testing.assert_array_equal(got, getattr(CASE.arrays, name))


def test_a_request_in_a_file_has_arrays_of_numbers_alone():
    layer = Conv((1, 4, 4), (1, 1, 2, 2), padding=((1, 0), (0, 2)), padding_mode="reflect")
    case = Case(OPS["padded_conv2d"], layer, dtype="float32", bias=True)
    entries = files.entries("forward", case, {})
    numbers = {n: a.tolist() for n, a in entries.items() if n not in "xwb"}
    assert numbers == {
        "stride": [1, 1], "padding": [1, 0, 0, 2], "dilation": [1, 1], "groups": [1],
        "padding_mode": [2],
    }  # fmt: skip
    assert {a.dtype.name for a in entries.values()} == {"float32", "int64"}
    assert list(files.entries("forward", case.but(bias=False), {}))[:2] == ["x", "w"]
    outcome = files.ask((), "forward", case.but(padding="same_upper"), {}, 1)
    assert outcome == Outcome("unsupported", message="a request in a file has no padding by name")


# ---------------------------------------------------------------- the document


def test_the_bytes_of_the_document_are_those_of_the_protocol(built):
    blocks = re.findall(r"^```hexdump\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.M | re.S)
    asked, answered = (
        b"".join(bytes.fromhex(line[6:53]) for line in block.splitlines()) for block in blocks
    )
    case = Case(OPS["conv2d"], Conv((1, 2, 2), (1, 1, 1, 2), stride=(2, 1)), bias=True)
    x, w, b = (np.arange(1.0, 5).reshape(1, 1, 2, 2), np.array([[[[5.0, 6]]]]), np.array([7.0]))
    assert wire.request("forward", case, {"x": x, "w": w, "b": b}) == asked
    answer = Answer(("y",), 99)
    answer.feed(answered)
    np.testing.assert_array_equal(answer.outcome().value, case.layer.apply(x, w, b))
    done = subprocess.run([built("conv2d")], input=asked, capture_output=True)
    assert (done.stdout, done.stderr, done.returncode) == (answered, b"", 0)


def test_the_lines_of_the_document_are_read_as_it_says():
    text = DOCUMENT.read_text("utf-8")
    (c,) = re.findall(r"^```c\n(.*?)\n^```", text, re.M | re.S)
    assert c in EXAMPLE.read_text()
    lines = re.findall(r"(?:^|`)(toeplitz 1 (?:ok|unsupported|refused) [^`\n]+)", text, re.M)
    assert len(lines) == 4, lines
    for line in lines:
        role = "backward" if "grad" in line else "forward"
        answer = Answer(NAMES[role], 999)
        answer.feed(f"{line}\n".encode())
        assert answer.complete == (" ok " not in line)


def test_a_program_in_front_keeps_the_request(built, homework):
    command = f"sh -c 'tee request.bin | {built('conv2d')}'"
    kept = homework / "request.bin"
    for _ in range(20):  # tee answers first and writes its file then, if it is not ended before
        assert called(command, limit=20).ok
        if kept.read_bytes():
            break
    assert kept.read_bytes() == wire.request("forward", CASE, {})


# ---------------------------------------------------------------- whole runs


def verified(run, command, *options):
    status, out, err = run("verify", "--exec", command, *options)
    assert err == ""
    return status, out


def test_the_example_in_c_is_right(run, built, homework):
    program = built("conv2d")
    options = ("--backward", program, "--max-examples", "200")
    status, out = verified(run, program, *options)
    assert (status, out.partition("\n")[0]) == (0, f"{program} as conv2d: nothing found")
    assert int(re.search(r"cases +(\d+)", out).group(1)) >= 200
    assert "not covered" not in out
    assert list(homework.iterdir()) == []


def test_the_example_in_c_is_right_started_for_each_request(run, built):
    program = built("conv2d")
    options = ("--protocol", "once", "--max-examples", "20", "--time", "5")
    status, out = verified(run, program, *options)
    assert (status, out.partition("\n")[0]) == (0, f"{program} as conv2d: nothing found")


def test_a_program_with_files_is_right(run, by_files):
    options = ("--protocol", "files", "--max-examples", "5", "--time", "1")
    status, out = verified(run, f"{by_files} right", *options)
    assert (status, out.partition("\n")[0]) == (0, f"{by_files} right as conv2d: nothing found")


def test_the_same_comes_out_as_of_a_function(built):
    program = built("conv2d")
    right = Callables(lambda x, w, b=None, **a: CASE.layer.apply(x, w, b))
    for protocol in ("stdio", "once"):
        with Program(program, protocol=protocol, limit=20) as suspect:
            for changes in ({}, {"w": np.ones((1, 1, 1, 2))}):
                here, there = (s.forward(CASE, **changes) for s in (right, suspect))
                np.testing.assert_array_equal(here.value, there.value)
            assert suspect.backward(CASE).kind == "unsupported"  # none was given


MISTAKES = {
    "height stride used for both axes": ("int back =", "stride[1] = stride[0]; int back ="),
    "padding ignored along the height": ("int back =", "padding[0] = 0; int back ="),
    "every group reads the first group's channels": ("o / outputs * inputs + k", "k"),
    "kernel flipped": (
        "*weight = at(w, o, k, a, b);",
        "*weight = at(w, o, k, w->size[2] - 1 - a, w->size[3] - 1 - b);",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_c_is_found_and_named(run, built, name):
    program = built("mistaken", *MISTAKES[name])
    status, out = verified(run, program, "--max-examples", "100")
    assert status == 1
    assert f"\n  looks like  {name}\n" in out
    assert re.match(f"CV10[12] {re.escape(program)} ", out)
    assert "import numpy" not in out
    id = re.search(f"toeplitz verify --exec {program} --replay ([0-9a-f]+)\n", out).group(1)
    replayed = run("verify", "--exec", program, "--replay", id)
    assert replayed[0] == 1
    assert replayed[1].startswith(f"{program} still fails\n\n")
    built("mistaken")
    replayed = run("verify", "--exec", program, "--replay", id)
    assert replayed[0] == 0
    assert replayed[1].startswith(f"{program} no longer fails: ")


def test_a_wrong_gradient_in_c_is_found(run, built):
    change = ("*at(grad_w, o, k, a, b) += *out * *in;", "*at(grad_w, o, k, a, b) = *out * *in;")
    program = built("careless", *change)
    status, out = verified(run, program, "--backward", program, "--max-examples", "30")
    assert status == 1
    assert out.startswith(f"CV141 the backward pass of {program} has a wrong gradient to w\n")
    id = re.search("--replay ([0-9a-f]+)\n", out).group(1)
    assert run("verify", "--exec", program, "--replay", id)[0] == 1


def test_a_crash_is_a_finding_and_the_run_goes_on(run, built):
    change = ("    int single = strcmp(dtype, \"float32\") == 0;\n    take(&x, &bytes, single);",
              "    int single = strcmp(dtype, \"float32\") == 0;\n"
              "    if (x.size[0] == 0) { fputs(\"no items\\n\", stderr); abort(); }\n"
              "    take(&x, &bytes, single);")  # fmt: skip
    program = built("aborting", *change)
    status, out = verified(run, program, "--max-examples", "60")
    assert status == 1
    assert out.startswith(f"CV190 {program} crashes\n")
    assert "\n  seen        killed by signal SIGABRT before its answer: no items\n" in out
    assert "1 found" in out


def test_a_program_that_does_nothing_yet_is_not_judged(run, bad):
    told = (
        rf"toeplitz: {re.escape(bad)} unsupported was not judged: it supports none of \d+ calls\n"
    )
    status, out, err = run("verify", "--exec", f"{bad} unsupported", "--max-examples", "5")
    assert (status, out) == (2, "")
    assert re.fullmatch(told, err)


def test_another_op_than_the_examples_is_told_by_it(run, built):
    program = built("conv2d")
    options = ("--op", "linear", "--max-examples", "3", "--time", "1")
    status, out = verified(run, program, *options)
    assert (status, out.partition("\n")[0]) == (1, f"CV190 {program} crashes")
    told = "exited with status 1 before its answer: this is no request for conv2d"
    assert f"\n  seen        {told}\n" in out


def test_a_program_on_the_path_is_called_one(run):
    options = ("--op", "linear", "--max-examples", "3", "--time", "1")
    status, out = verified(run, "yes", *options)
    assert (status, out.partition("\n")[0]) == (
        1, "CV104 the program yes does not return an array",
    )  # fmt: skip
    assert f"\n  seen        wrote 'y' {SAID}\n" in out
    assert "import numpy" not in out


USAGE = {
    (): "give a TARGET, or a program with --exec: got neither",
    ("a:b", "--exec", "true"): "give a TARGET, or a program with --exec: got both",
    ("a:b", "--protocol", "once"): "--protocol goes with --exec only",
    ("--exec", "true", "--in-process"): "--in-process does not go with --exec",
    ("--exec", "true", "--adapter", "numpy"): "--adapter does not go with --exec",
}


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_a_usage_error_is_one_sentence(run, arguments):
    told = f"toeplitz: {USAGE[arguments]} (see toeplitz verify --help)\n"
    assert run("verify", *arguments) == (2, "", told)


def test_a_failure_is_replayed_by_what_it_is_of(run, bad, homework):
    (homework / "mine.py").write_text("def f(x, w): return x")
    quick = ("--op", "linear", "--max-examples", "5", "--time", "1")
    ids = []
    for arguments in (("mine:f",), ("--exec", f"{bad} other_shape")):
        status, out, err = run("verify", *arguments, *quick)
        assert (status, err) == (1, "")
        ids.append(re.search("--replay ([0-9a-f]+)\n", out).group(1))
    told = f"toeplitz: the failure {ids[0]} is no program's: give a TARGET\n"
    assert run("verify", "--exec", "true", "--replay", ids[0]) == (2, "", told)
    told = f"toeplitz: the failure {ids[1]} is a program's: give it with --exec\n"
    assert run("verify", "mine:f", "--replay", ids[1]) == (2, "", told)


def test_a_call_of_a_kept_program_costs_less_than_a_millisecond(built):
    with Program(built("conv2d"), limit=20) as program:
        assert program.forward(CASE).ok

        def milliseconds():
            started = time.perf_counter()
            for _ in range(50):
                program.forward(CASE)
            return (time.perf_counter() - started) * 20

        assert min(milliseconds() for _ in range(10)) < 1
