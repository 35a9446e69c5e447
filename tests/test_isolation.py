"""Implementations that crash, hang, print and fork are outcomes of their calls, and no more."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from toeplitz import Conv
from verify.case import Case
from verify.data import LAYOUTS
from verify.isolation import Isolated
from verify.ops import OPS
from verify.suspect import Outcome
from verify.targets import load

CASE = Case(OPS["conv2d"], Conv((2, 5, 6), (3, 2, 2, 3)), batch=2, bias=True)
LIMIT = 2.0

MODULE = """
import ctypes, os, signal, sys, time
import numpy as np

calls = 0
kept = np.zeros(3)
libc = ctypes.CDLL(None)

class Odd(Exception):
    def __str__(self):
        raise ValueError("no text either")

class Own(np.ndarray):
    pass

def f(x, w, b=None, how="", **arguments):
    global calls
    calls += 1
    kept[0] = calls
    return WAYS[how](x)

def segfault(x): ctypes.string_at(0)
def abort(x):
    os.write(2, b"free(): invalid pointer\\n\\n")
    os.abort()
def leave(x): os._exit(3)
def leave_politely(x): sys.exit(3)
def leave_with_words(x): sys.exit("enough")
def die(x): os.kill(os.getpid(), signal.SIGTERM)
def close_all(x): os.closerange(3, 1000)
def loop(x):
    while True: pass
def sleep_with_lock(x): ctypes.PyDLL(None).sleep(1000)
def ignore(x):
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM): signal.signal(s, signal.SIG_IGN)
    time.sleep(1000)
def flood(x):
    while True: print("x" * 9999)
def say(x):
    print("y" * 5_000_000)
    sys.stderr.write("z" * 5_000_000)
    return x
def change_stdout(x):
    class Broken:
        def write(self, text): raise OSError("broken")
        flush = write
    sys.stdout = sys.stderr = sys.__stdout__ = Broken()
    return x
def close_stdout(x):
    os.close(1)
    os.close(2)
    return x
def read(x): return input()
def rubbish(x):
    for fd in range(3, 99):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket"):
                os.write(fd, (5).to_bytes(8, "little") + b"hello")
        except OSError:
            pass
    return x
def fork_and_return(x):
    pid = os.fork()
    if pid: os.waitpid(pid, 0)
    return x
def fork_and_die(x):
    if os.fork() == 0: time.sleep(1000)
    os._exit(4)
def fork_and_answer(x):
    pid = os.fork()
    if pid == 0: time.sleep(1000)
    return np.array(pid)
def stop_all(x): raise BaseException("stop")
def interrupt(x): raise KeyboardInterrupt
def odd(x): raise Odd
def wrong(x): raise ValueError("\\nfirst\\nsecond")
def unsupported(x): raise NotImplementedError("no dilation\\nyet")
def own(x): return x.view(Own)
def things(x): return np.array([Odd()], dtype=object)
def strict(x):
    np.seterr(all="raise")
    return x
def where(x): return np.array([*x.strides, x.flags.writeable])
WAYS = {name: thing for name, thing in globals().items() if callable(thing)} | {
    "": lambda x: x.copy(), "pid": lambda x: np.array(os.getpid()),
    "calls": lambda x: np.array(calls),
    "none": lambda x: None, "list": lambda x: [x], "kept": lambda x: kept,
    "write": lambda x: np.add(x, 1, out=x), "argv": lambda x: np.array(sys.argv),
}

def backward(g, x, w, stride=1):
    return g, x, w
"""


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """The folder of the module above."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "bad.py").write_text(MODULE)
    return folder


@pytest.fixture(scope="module")
def suspect(bad):
    with Isolated(f"{bad}/bad.py:f", f"{bad}/bad.py:backward", limit=LIMIT) as isolated:
        yield isolated


def alive(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone_soon(pid, seconds=10):
    until = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def works(suspect):
    """Whether the next call is answered."""
    outcome = suspect.forward(CASE)
    return outcome.ok and np.array_equal(outcome.value, CASE.arrays.x)


def test_a_worker_says_what_it_was_asked_for(suspect):
    assert suspect.name == "f"
    assert suspect.has_backward
    assert suspect.parameters() is None  # it takes **arguments
    assert works(suspect)
    grads = suspect.backward(CASE)
    for got, name in zip(grads.value, ("g", "x", "w"), strict=True):
        np.testing.assert_array_equal(got, getattr(CASE.arrays, name))


@pytest.mark.parametrize(
    "how, message",
    {
        "segfault": "killed by signal SIGSEGV",
        "abort": "killed by signal SIGABRT: free(): invalid pointer",
        "leave": "exited with status 3",
        "leave_politely": "exited with status 3",
        "leave_with_words": "exited with status 1",
        "die": "killed by signal SIGTERM",
        "fork_and_die": "exited with status 4",
        "rubbish": "wrote to the socket of its judge",
    }.items(),
)
def test_whatever_ends_the_worker_is_a_crash(suspect, how, message):
    started = time.monotonic()
    assert suspect.forward(CASE, how=how) == Outcome("crash", message=message)
    assert time.monotonic() - started < LIMIT
    assert works(suspect)


def test_closing_all_files_is_a_crash(suspect):
    outcome = suspect.forward(CASE, how="close_all")
    assert outcome.kind == "crash"
    assert outcome.message.startswith("exited with status 1: OSError")
    assert works(suspect)


@pytest.mark.parametrize("how", ["loop", "sleep_with_lock", "ignore", "flood"])
def test_a_hang_ends_at_the_limit_with_the_worker(bad, how):
    with Isolated(f"{bad}/bad.py:f", limit=0.5) as suspect:
        pid = int(suspect.forward(CASE, how="pid").value)
        started = time.monotonic()
        outcome = suspect.forward(CASE, how=how)
        assert outcome == Outcome("hang", message="no answer within 0.5 s")
        assert 0.5 <= time.monotonic() - started < 5
        assert not alive(pid)
        assert not Path(f"/proc/{pid}").exists()  # nor a zombie


@pytest.mark.parametrize("how", ["say", "change_stdout", "close_stdout", "fork_and_return"])
def test_printing_and_forking_do_not_disturb_the_answer(suspect, how):
    outcome = suspect.forward(CASE, how=how)
    assert np.array_equal(outcome.value, CASE.arrays.x)
    assert works(suspect)


@pytest.mark.parametrize(
    "how, expected",
    {
        "stop_all": Outcome("raised", message="BaseException: stop"),
        "interrupt": Outcome("raised", message="KeyboardInterrupt"),
        "odd": Outcome("raised", message="Odd"),
        "wrong": Outcome("raised", message="ValueError: first"),
        "read": Outcome("raised", message="EOFError: EOF when reading a line"),
        "unsupported": Outcome("unsupported", message="no dilation"),
        "none": Outcome("wrong type", message="NoneType"),
        "list": Outcome("wrong type", message="a list of ndarray"),
        "things": Outcome("wrong type", message="an array of Python objects"),
    }.items(),
)
def test_what_a_call_raises_and_returns_comes_back(suspect, how, expected):
    pid = suspect.forward(CASE, how="pid").value
    assert suspect.forward(CASE, how=how) == expected
    assert suspect.forward(CASE, how="pid").value == pid  # the worker lives on


def test_a_worker_is_kept_and_with_it_what_earlier_calls_left(suspect):
    first = suspect.forward(CASE, how="calls").value
    assert suspect.forward(CASE, how="calls").value == first + 1


def test_writing_to_an_argument_is_told(suspect):
    assert suspect.forward(CASE, how="write").mutated == ("x",)
    assert suspect.forward(CASE).mutated == ()


def test_a_result_that_changes_with_the_next_call_is_told(suspect):
    assert not suspect.forward(CASE, how="kept").overwrote
    assert suspect.forward(CASE).overwrote
    assert not suspect.forward(CASE).overwrote


def test_classes_of_the_implementation_stay_in_the_worker(suspect):
    assert type(suspect.forward(CASE, how="own").value) is np.ndarray


def test_the_arguments_of_the_judge_are_not_those_of_the_worker(suspect, bad):
    assert suspect.forward(CASE, how="argv").value.tolist() == [f"{bad}/bad.py:f"]


def test_numpy_made_strict_by_the_implementation_is_its_own_affair(suspect):
    assert suspect.forward(CASE, how="strict").ok
    assert works(suspect)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_lie_in_the_memory_of_the_worker_as_the_case_says(suspect, layout):
    case = CASE.but(layout=layout)
    x = case.given("x")["x"]
    seen = suspect.forward(case, how="where").value
    assert seen.tolist() == [*x.strides, x.flags.writeable]
    changed = suspect.forward(case, how="where", x=np.ones((4, 2, 3, 3))).value
    x = case.but(layer=Conv((2, 3, 3), (3, 2, 2, 3)), batch=4).given("x")["x"]
    assert changed.tolist() == [*x.strides, x.flags.writeable]


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "complex64", "int8", "int64", "uint16"]
)
def test_every_dtype_survives_the_way(suspect, dtype, need):
    if dtype == "bfloat16":
        need("ml_dtypes")
    outcome = suspect.forward(CASE.but(dtype=dtype, bias=False))
    assert outcome.value.dtype.name == dtype


def test_the_same_comes_out_as_in_this_process(bad):
    target = f"{bad}/bad.py:f"
    with Isolated(target, limit=LIMIT) as isolated:
        for how in ("", "unsupported", "wrong", "none", "write", "leave_politely"):
            here, there = (s.forward(CASE, how=how) for s in (load(target), isolated))
            assert (here.kind, here.message, here.mutated) == (
                there.kind, there.message, there.mutated,
            )  # fmt: skip


def test_processes_that_a_worker_starts_end_with_it(bad):
    with Isolated(f"{bad}/bad.py:f", limit=LIMIT) as suspect:
        child = int(suspect.forward(CASE, how="fork_and_answer").value)
        assert alive(child)
    assert gone_soon(child)


def test_a_call_of_ours_that_cannot_be_made_is_an_error_of_ours(suspect):
    with pytest.raises(RuntimeError, match="the call could not be made: ValueError"):
        suspect.forward(CASE, x=np.array(["one"]))
    assert works(suspect)


def test_calls_after_close_get_another_worker(bad):
    suspect = Isolated(f"{bad}/bad.py:f", limit=LIMIT)
    first = int(suspect.forward(CASE, how="pid").value)
    suspect.close()
    suspect.close()
    assert gone_soon(first)
    assert works(suspect)
    suspect.close()


def test_a_call_costs_less_than_a_millisecond_more(suspect):
    assert works(suspect)

    def milliseconds():
        started = time.perf_counter()
        for _ in range(50):
            suspect.forward(CASE)
        return (time.perf_counter() - started) * 20

    assert min(milliseconds() for _ in range(10)) < 1


@pytest.mark.parametrize(
    "text, message",
    {
        "import os; os._exit(3)": "{} cannot be imported: exited with status 3",
        "import ctypes; ctypes.string_at(0)": "{} cannot be imported: killed by signal SIGSEGV",
        "import time; time.sleep(1000)": "{} cannot be imported: no answer within 1 s",
        "import sys; sys.exit(2)": "dead.py called sys.exit(2) when it was imported",
        "import nowhere_to_be_found": "dead.py imports 'nowhere_to_be_found', which is not "
        "installed",
        "1 / 0": "dead.py raised ZeroDivisionError: division by zero (dead.py, line 1) when it was "
        "imported",
        "raise KeyboardInterrupt": "{} raised KeyboardInterrupt when it was imported",
    }.items(),
)
def test_importing_that_fails_is_one_sentence(tmp_path, text, message):
    target = f"{tmp_path}/dead.py:f"
    (tmp_path / "dead.py").write_text(text)
    with pytest.raises(ImportError) as caught:
        Isolated(target, startup=1 if "sleep" in text else 60)
    assert str(caught.value) == message.format(target)


def test_wrong_arguments_are_refused_before_any_work(bad):
    for arguments in ({"target": "bad"}, {"target": "a:b", "backward": "bad"}, {"op": "conv9d"}):
        with pytest.raises(ValueError, match=r"got '(bad|conv9d)'"):
            Isolated(**{"target": "a:b"} | arguments)
    with pytest.raises(ValueError, match=r"^bad\.py has no 'ff': did you mean f\?$"):
        Isolated(f"{bad}/bad.py:ff")


def test_a_module_that_cannot_be_loaded_again_is_a_crash(tmp_path):
    module = tmp_path / "fickle.py"
    module.write_text("import os\ndef f(x, w): os._exit(1)")
    with Isolated(f"{module}:f", limit=LIMIT) as suspect:
        assert suspect.forward(CASE, b=None).message == "exited with status 1"
        module.write_text("f = 1")
        outcome = suspect.forward(CASE)
        assert (outcome.kind, outcome.message) == (
            "crash", f"{module}:f is not callable: it is of type int",
        )  # fmt: skip


def test_the_current_folder_is_on_the_path_and_stays_clean(tmp_path, monkeypatch):
    (tmp_path / "homework_of_mine.py").write_text("from part_of_it import f")
    (tmp_path / "part_of_it.py").write_text("def f(x, w, b=None): return x")
    monkeypatch.chdir(tmp_path)
    with Isolated("homework_of_mine:f", limit=LIMIT) as suspect:
        assert works(suspect)
        assert suspect.parameters() == {"x", "w", "b"}
    assert sorted(os.listdir(tmp_path)) == ["homework_of_mine.py", "part_of_it.py"]


def test_a_module_of_the_users_named_verify_is_theirs(tmp_path, monkeypatch):
    (tmp_path / "verify.py").write_text("def right(x): return x")
    text = "import verify\ndef f(x, w, b=None): return verify.right(x)"
    (tmp_path / "homework_of_yours.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with Isolated("homework_of_yours:f", limit=LIMIT) as suspect:
        assert works(suspect)


JUDGE = """
import signal, sys
from verify import isolation
isolation.GRACE = 0.2
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from verify.isolation import Isolated
from verify.case import Case
from verify.ops import OPS
from toeplitz import Conv

case = Case(OPS["conv2d"], Conv((1, 3, 3), (1, 1, 2, 2)))
suspect = Isolated(sys.argv[1], limit=float(sys.argv[3]))
print(suspect.forward(case, how="pid").value, flush=True)
getattr(suspect, "forward")(case, how=sys.argv[2])
print("done", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "how, limit, end",
    [
        ("", 9, None),  # it ends by itself, and nobody closes the suspect
        ("loop", 1000, signal.SIGINT),
        ("", 9, signal.SIGKILL),
        ("sleep_with_lock", 1, signal.SIGKILL),  # the worker must end without being told
    ],
)
def test_no_worker_outlives_its_judge(bad, how, limit, end):
    judge = subprocess.Popen(
        [sys.executable, "-c", dedent(JUDGE), f"{bad}/bad.py:f", how, str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = int(judge.stdout.readline())
    assert alive(pid)
    if how:
        time.sleep(0.3)  # for the call to begin
    else:
        assert judge.stdout.readline() == "done\n"
    if end is not None:
        judge.send_signal(end)
    _, errors = judge.communicate()
    assert judge.returncode == (0 if end is None else -end)
    assert ("KeyboardInterrupt" in errors) == (end == signal.SIGINT)
    assert gone_soon(pid)
