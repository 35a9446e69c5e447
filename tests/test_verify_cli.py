"""`toeplitz verify` and `toeplitz explain`: what they find, what they refuse, what they keep."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toeplitz import Linear, explaining, judging
from verify import adapters, laws, replay, rounding
from verify.case import Case
from verify.codes import CODES
from verify.data import numpy_dtype
from verify.ops import OPS
from verify.suspect import Callables, Outcome
from verify.violation import Violation
from verify.watching import Watched

DOCUMENT = Path(__file__).parent.parent / "docs" / "verify.md"
HELP = judging.verify_command.help
QUICK = ["--max-examples", "40", "--time", "2"]

RIGHT = """\
import os
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

number = 5

def conv2d(x, w, b=None, stride=1, padding=0):
    s, p = ((v, v) if isinstance(v, int) else v for v in (stride, padding))
    if x.shape[1] != w.shape[1]:
        raise ValueError("x and w have other numbers of channels")
    wide = np.pad(x.astype(float), [(0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])])
    windows = sliding_window_view(wide, w.shape[2:], axis=(2, 3))[:, :, ::s[0], ::s[1]]
    y = np.einsum("nchwij,ocij->nohw", windows, w.astype(float))
    return (y if b is None else y + b[:, None, None].astype(float)).astype(x.dtype)
"""
MISTAKEN = RIGHT.replace("::s[0], ::s[1]", "::s[0], ::s[0]")
LINEAR = """\
import os

def linear(x, w, b=None):
    print("called")
    if len(x) == 0:
        {}
    y = x.astype(float) @ w.T.astype(float)
    return (y if b is None else y + b.astype(float)).astype(x.dtype)
"""


@pytest.fixture(autouse=True)
def homework(monkeypatch, tmp_path):
    """A student's folder, with the failures kept in another."""
    folder = tmp_path / "homework"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOEPLITZ_STORE", str(tmp_path / "kept"))
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS", "PYTHONSAFEPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    (folder / "student.py").write_text(MISTAKEN)
    (folder / "right.py").write_text(RIGHT)
    return folder


def toeplitz(*arguments, safe=False):
    """Run a command line in another process."""
    command = [sys.executable, *["-P"] * safe, "-m", "toeplitz", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8")


def kept_id(text):
    return re.search(r"--replay ([0-9a-f]{12})$", text, re.MULTILINE).group(1)


def test_a_students_mistake_is_found_named_kept_and_mended(homework, tmp_path):
    done = toeplitz("verify", "student.py:conv2d", *QUICK, "--json", "report.json")
    assert (done.returncode, done.stderr) == (1, "")
    assert "  looks like  height stride used for both axes\n" in done.stdout
    assert "\nconv2d as conv2d: 1 found\n  cases " in done.stdout
    report = json.loads((homework / "report.json").read_text())
    assert (report["suspect"], report["op"], report["ok"]) == ("conv2d", "conv2d", False)
    assert [f["name"] for f in report["findings"]] == ["height stride used for both axes"]
    assert report["findings"][0]["text"] in done.stdout
    id = kept_id(done.stdout)
    assert f"  toeplitz verify student.py:conv2d --replay {id}\n" in done.stdout
    assert (tmp_path / "kept" / f"{id}.json").is_file()
    written = {path.name for path in homework.iterdir()}
    assert written == {"student.py", "right.py", "report.json"}

    code = report["findings"][0]["code"]
    again = toeplitz("verify", "student.py:conv2d", "--replay", id)
    assert (again.returncode, again.stderr) == (1, "")
    assert again.stdout.startswith(f"student.py:conv2d still fails\n\n{code} conv2d ")
    (homework / "student.py").write_text(RIGHT)
    mended = toeplitz("verify", "student.py:conv2d", "--replay", id)
    assert (mended.returncode, mended.stderr) == (0, "")
    told = f"student.py:conv2d no longer fails: {code} {CODES[code].title}\n  Conv("
    assert mended.stdout.startswith(told)


def test_a_function_with_the_name_of_an_op_is_judged_as_that_op(run, homework):
    first = "max_pool1d is judged as the op of its name, since no other was given\n\n"
    short = ("toeplitz.functional:max_pool1d", "--max-examples", "20")
    status, out, err = run("verify", *short)
    assert (status, err) == (0, "")
    assert out.startswith(f"{first}max_pool1d as max_pool1d: nothing found\n  cases ")
    status, out, _ = run("verify", *short, "--json", "-")
    assert (status, json.loads(out)["op"], json.loads(out)["heading"]) == (
        0, "max_pool1d", first.strip(),
    )  # fmt: skip
    status, out, err = run("verify", *short, "--op", "max_pool1d")
    assert out.startswith("max_pool1d as max_pool1d: nothing found\n  cases ")
    status, out, err = run("verify", *short, "--op", "conv2d")
    assert (status, err) == (1, "")
    assert "  note        no call of conv2d was answered in the right shape, those of " in out
    assert out.endswith("max_pool1d are: is it --op max_pool1d?\n")


def test_a_right_one_is_acquitted(run):
    status, out, err = run("verify", "right:conv2d", *QUICK)
    assert (status, err) == (0, "")
    assert out.startswith("conv2d as conv2d: nothing found\n  cases ")
    assert "  not covered f takes no argument dilation, groups\n" in out


def test_a_backward_pass_is_judged_too(run, homework):
    text = (
        "def linear(x, w, b=None):\n"
        "    if x.shape[1] != w.shape[1]:\n"
        "        raise ValueError\n"
        "    y = x.astype(float) @ w.T.astype(float)\n"
        "    return (y if b is None else y + b.astype(float)).astype(x.dtype)\n"
        "def gradients(g, x, w):\n"
        "    G, X, W = (a.astype(float) for a in (g, x, w))\n"
        "    return tuple(a.astype(x.dtype) for a in (G @ W, G.T @ X, G.sum(0)))\n"
    )
    (homework / "right.py").write_text(text)
    (homework / "student.py").write_text(text.replace("G.sum(0)", "G.mean(0)"))
    for name, expected in (("right", 0), ("student", 1)):
        backward = ("--backward", f"{name}.py:gradients")
        status, out, err = run("verify", f"{name}:linear", "--op", "linear", *backward, *QUICK)
        assert (status, err) == (expected, "")
    assert out.startswith("CV142 the backward pass of linear has a wrong gradient to b\n")
    assert run("verify", "student:linear", "--replay", kept_id(out))[0] == 1


def test_json_alone_is_printed_with_a_dash(run):
    claims = ("--supports", "stride=1", "--supports", "padding=0,1")
    status, out, err = run("verify", "student.py:conv2d", *QUICK, *claims, "--json", "-")
    report = json.loads(out)
    assert (status, err, report["ok"]) == (0, "", True)
    assert "stride > 1" not in report["features"]
    assert "padding > 0" in report["features"]


def test_without_a_worker_what_it_prints_is_no_report(run, homework):
    (homework / "chatty.py").write_text(LINEAR.format("pass"))
    arguments = ("verify", "chatty.py:linear", "--op", "linear", "--in-process", "--json", "-")
    status, out, err = run(*arguments, *QUICK)
    assert (status, json.loads(out)["ok"]) == (0, True)
    assert set(err.splitlines()) == {"called"}


@pytest.mark.parametrize(
    "body, code, seen",
    [
        ("os._exit(3)", "CV190 linear crashes", "exited with status 3: called"),
        ("while True: pass", "CV191 linear does not come back", "no answer within 0.5 s"),
    ],
)
def test_a_crash_or_a_hang_is_a_finding_and_the_run_goes_on(
    run, homework, monkeypatch, body, code, seen
):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    (homework / "dying.py").write_text(LINEAR.format(body))
    options = ("--op", "linear", "--time", "1", "--timeout", "0.5")
    status, out, err = run("verify", "dying.py:linear", *options)
    assert (status, err) == (1, "")
    assert f"{code}\n  case        Linear(1, 1), batch 0\n  seen        {seen}\n" in out
    assert int(re.search(r"^  cases +(\d+) in", out, re.MULTILINE).group(1)) > 3
    assert run("verify", "dying.py:linear", "--replay", kept_id(out))[0] == 1


def test_after_a_hang_the_others_get_less_time():
    case = Case(OPS["linear"], Linear(1, 1))
    told, limits = [], []

    class Slow:
        name, has_backward = "slow", False

        def __init__(self, *answers):
            self.answers = list(answers)

        def parameters(self):
            return None

        def forward(self, case):
            return Outcome(self.answers.pop(0), message="no answer")

    def restart(limit):
        limits.append(limit)
        return slow

    slow = Slow("value", "hang", "hang", "crash")
    watched = Watched(slow, told.append, 10.0, restart)
    outcomes = [watched.forward(c) for c in (case, case, case.but(batch=2), case)]
    assert [one.kind for one in outcomes] == ["value", "hang", "hang", "crash"]
    assert [one.message for one in outcomes[1:]] == [
        "no answer", "no answer (10 s until the first call that hung)", "no answer",
    ]  # fmt: skip
    assert limits == [1.0]  # the answer took less than a twentieth of a second
    assert told == [1, 2, 3]
    limits.clear()
    watched = Watched(Slow("hang"), told.append, 40.0, restart)
    watched.forward(case)
    assert limits == [2.0]  # nothing has answered yet


LAWS = {**laws.BY_CODE, **laws.BY_CODE_BACKWARD}


@pytest.mark.parametrize("code", ["CV101", "CV105", *sorted(LAWS)])
def test_a_replay_asks_the_law_of_the_failure_first(monkeypatch, code):
    case = Case(OPS["linear"], Linear(1, 1))
    wrong = Callables(lambda x, w: x @ w.T + 1, lambda g, x, w: (g @ w, g.T @ x, g.sum(0)))
    told = code if code == "CV105" else "CV101"
    assert replay.again(wrong, case, code).code in (told, code)
    right = Callables(lambda x, w: x @ w.T, lambda g, x, w: (g @ w, g.T @ x, g.sum(0)))
    assert replay.again(right, case, "CV101") is None
    for table in (laws.BY_CODE, laws.BY_CODE_BACKWARD):
        if code in table:
            monkeypatch.setitem(table, code, lambda suspect, case: Violation(code, case))
            assert replay.again(right, case, code) == Violation(code, case)


def test_a_verify_of_the_users_own_keeps_working(homework):
    (homework / "verify.py").write_text("scale = 1\n" + RIGHT)
    (homework / "mine.py").write_text("from verify import conv2d, scale\nassert scale == 1\n")
    for target in ("mine:conv2d", "verify.py:conv2d"):
        done = toeplitz("verify", target, *QUICK, safe=True)
        assert (done.returncode, done.stderr) == (0, "")
    done = toeplitz("verify", "mine:conv2d")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"toeplitz: 'verify' is shadowed by {homework / 'verify.py'}: rename it, or keep its "
        f"folder off the path (python -P -m toeplitz keeps the current one off)\n"
    )


USAGE = {
    ("nope:f",): "there is no module 'nope' in this folder or on Python's path",
    ("conv2d",): "a target is written module:callable or path/to/file.py:callable: got 'conv2d'",
    ("right.py:conv",): "right.py has no 'conv': did you mean conv2d?",
    ("right.py:number",): "right.py:number is not callable: it is of type int",
    ("right:conv2d", "--supports", "groups"):
        "--supports must be a name and integers, such as groups=1 or stride=1,2: got 'groups' "
        "(see toeplitz verify --help)",
    ("right:conv2d", "--supports", "stride=0"):
        "--supports must give stride as 1 or more: got 'stride=0' (see toeplitz verify --help)",
    ("right:conv2d", "--supports", "stride=1", "--supports", "stride=2"):
        "--supports must give stride once, as stride=1,2: got it twice "
        "(see toeplitz verify --help)",
    ("right:conv2d", "--supports", "ndim=3"): "supports says ndim=3, and conv2d has 2",
    ("right:conv2d", "--timeout", "0"):
        "--timeout must be seconds, more than 0 and at most a day: got 0 "
        "(see toeplitz verify --help)",
    ("right:conv2d", "--time", "nan"):
        "--time must be seconds, more than 0 and at most a day: got nan "
        "(see toeplitz verify --help)",
    ("right:conv2d", "--timeout", "1", "--in-process"):
        "--timeout does not go with --in-process (see toeplitz verify --help)",
    ("right:conv2d", "--json", "no/such/report.json"):
        "--json must be in a folder that is there: got 'no/such/report.json' "
        "(see toeplitz verify --help)",
    ("right:conv2d", "--json", "-x"):
        "--json must be a file: got '-x', write ./-x if it is one (see toeplitz verify --help)",
    ("right:conv2d", "--report", "--json", "-"):
        "--report must be a file: got '--json', write ./--json if it is one "
        "(see toeplitz verify --help)",
    ("right:conv2d", "--baseline", "-b"):
        "--baseline must be a file: got '-b', write ./-b if it is one (see toeplitz verify --help)",
    ("right:conv2d", "--replay", "x"): "an id has 12 digits of 0-9a-f: got 'x'",
    ("right:conv2d", "--replay", "0" * 12, "--dtype", "int8"):
        "--dtype does not go with --replay (see toeplitz verify --help)",
    ("right:conv2d", "--adapter", "jaxx"):
        f"adapter must be one of {', '.join(adapters.LIBRARIES)}, numpy, or module:callable: "
        "got 'jaxx'",
}  # fmt: skip


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_a_usage_error_is_one_sentence(run, arguments):
    assert run("verify", *arguments) == (2, "", f"toeplitz: {USAGE[arguments]}\n")


def test_an_unknown_op_is_refused_with_the_known_ones(run):
    status, out, err = run("verify", "right:conv2d", "--op", "conv9d")
    assert (status, out) == (2, "")
    assert err.startswith("toeplitz: op must be one of linear, conv1d, ")
    assert err.endswith(": got 'conv9d': did you mean conv3d or conv2d?\n")


def test_what_was_never_judged_is_not_right(run, homework):
    (homework / "later.py").write_text("def f(x, w):\n    raise NotImplementedError\n")
    status, out, err = run("verify", "later.py:f", "--max-examples", "5", "--time", "1")
    assert (status, out) == (2, "")
    sentence = r"toeplitz: later.py:f was not judged: it supports none of \d+ calls\n"
    assert re.fullmatch(sentence, err)


def test_the_choices_are_those_of_the_judge():
    assert judging.ALGORITHMS == rounding.ALGORITHMS
    for name in judging.DTYPES:
        if name != "bfloat16":  # of an extra
            assert numpy_dtype(name).name == name


def test_an_explanation_of_every_law(run):
    assert list(explaining.EXAMPLES) == list(CODES)
    status, out, err = run("explain")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(CODES)
    for code, law in CODES.items():
        status, out, err = run("explain", code.lower())
        assert (status, err) == (0, "")
        assert out.startswith(f"{code} {law.title}: f {law.sentence}\n{law.meaning}\n\n")
        assert type(explaining.example(code).layer).__name__ in out
        right, wrong = out.splitlines()[-2:]
        assert right.startswith("right  ")
        assert wrong.startswith("wrong  ")
        assert right[7:] != wrong[7:]
    sentence = "CODE must be a law's, such as CV130: got 'CV999' (see toeplitz explain --help)"
    assert run("explain", "CV999") == (2, "", f"toeplitz: {sentence}\n")


def test_the_examples_values():
    values = {code: explaining.example(code) for code in CODES}
    assert values["CV101"].right.value == "[5 8 11]"
    assert values["CV101"].wrong.value == "[4 7 10]"
    assert values["CV130"].right.value == "27, 27"
    assert np.asarray(values["CV105"].x)[0] == 2048


def test_the_document_lists_the_laws():
    rows = re.findall(r"^\| (CV\d+) \| (.*) \| (.*) \|$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert rows == [(code, law.title, law.meaning) for code, law in CODES.items()]


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
def test_a_terminal_shows_how_far_it_got():
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "toeplitz", "verify", "right:conv2d", *QUICK]
    done = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    told = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not part:
            break
        told += part
    os.close(ours)
    out, _ = done.communicate()
    assert done.returncode == 0
    so_far = rb"right:conv2d: \d+ cases, \d+ laws asked, \d+ of \d+ features met"
    assert re.search(so_far, re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", told))
    assert out.startswith(b"conv2d as conv2d: nothing found\n")


HOMEWORK = """\
import toeplitz
from toeplitz.functional import conv1d, conv2d

def backward(g, x, w, **arguments):
    return toeplitz.Conv(x.shape[1:], w.shape, **arguments).gradients(g, x, w)
"""


@pytest.mark.parametrize("line", re.findall("toeplitz (verify homework.+)", HELP))
def test_examples_of_the_help_text(run, homework, line):
    (homework / "homework.py").write_text(HOMEWORK)
    quick = () if "--time" in line else ("--time", "1")
    status, out, err = run(*line.split(), "--max-examples", "10", *quick)
    assert (status, err) == (0, "")
    assert ": nothing found\n" in out


def test_the_document_and_the_help_text_name_the_same_options_and_targets():
    text = DOCUMENT.read_text("utf-8")
    options = {name for p in judging.verify_command.params for name in p.opts if name[:2] == "--"}
    assert options == set(re.findall("^\\| `(--(?!conv)[a-z-]+)", text, re.MULTILINE))
    for target, _ in LIBRARIES:
        assert f"toeplitz verify {target}" in text
        assert f"toeplitz verify {target}" in HELP


LIBRARIES = [
    ("torch.nn.functional:conv2d", "torch"),
    ("onnxruntime:Conv", "onnxruntime"),
    ("scipy.signal:correlate2d", "scipy"),
    ("jax.lax:conv_general_dilated", "jax"),
    ("onnx.reference:Conv", "onnx"),
]


@pytest.mark.interop
@pytest.mark.parametrize("target, library", LIBRARIES)
def test_libraries_are_acquitted(run, need, target, library):
    need(library)
    status, out, err = run("verify", target, "--max-examples", "10", "--time", "2")
    assert (status, err) == (0, "")
    assert out.startswith(f"{target.rpartition(':')[2]} as conv2d: nothing found\n")
