"""`pytest --conv`: each law is a test, beside the user's own and whatever their folder holds."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

import toeplitz
from toeplitz import pytest_child
from verify.codes import CODES

ROOT = Path(__file__).parent.parent
HOME = str(Path(toeplitz.__file__).parent.parent)
PLUGIN = "toeplitz.pytest_plugin"
RIGHT = """\
def linear(x, w, b=None):
    if x.shape[1] != w.shape[1]:
        raise ValueError("x and w have other numbers of channels")
    y = x.astype(float) @ w.T.astype(float)
    return (y if b is None else y + b.astype(float)).astype(x.dtype)

def backward(g, x, w):
    G, X, W = (a.astype(float) for a in (g, x, w))
    return tuple(a.astype(x.dtype) for a in (G @ W, G.T @ X, G.sum(0)))
"""
TITLES = [f"{code} {law.title}" for code, law in CODES.items()]
# What is not asked of a linear layer's forward pass.
GRADIENTS = [c for c in CODES if c[:4] in ("CV13", "CV14") or c in ("CV106", "CV107")]


@pytest.fixture(autouse=True)
def homework(monkeypatch, tmp_path):
    """A student's folder with tests of their own."""
    folder = tmp_path / "homework"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOEPLITZ_STORE", str(tmp_path / "kept"))
    monkeypatch.setenv("PYTHONPATH", HOME)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # only what is asked for
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (folder / "right.py").write_text(RIGHT)
    (folder / "student.py").write_text(RIGHT.replace("G.sum(0)", "G.mean(0)"))
    (folder / "test_mine.py").write_text("def test_mine():\n    pass\n")
    return folder


def run(*arguments, plugin=("-p", PLUGIN)):
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8")


def judge(target, *arguments, plugin=("-p", PLUGIN)):
    quick = ("--conv-op=linear", "--conv-max-examples=20")
    return run(f"--conv={target}:linear", *quick, *arguments, plugin=plugin)


def outcomes(done):
    """The outcome of each test, as -v tells it."""
    return dict(re.findall(r"^(\S.*?::.+?) ([A-Z]+)\b.*\[ *\d+%\]$", done.stdout, re.MULTILINE))


def test_each_law_is_a_test_beside_the_users_own():
    done = judge("right.py", "-v", "-rs")
    assert (done.returncode, done.stderr) == (0, "")
    found = outcomes(done)
    name = "toeplitz verify right.py:linear"
    assert list(found) == ["test_mine.py::test_mine", *(f"{name}::{title}" for title in TITLES)]
    skipped = [key.split("::")[1][:5] for key, outcome in found.items() if outcome == "SKIPPED"]
    assert skipped == GRADIENTS
    assert ": there is no backward pass to judge\n" in done.stdout
    assert f"\ncollected {len(CODES) + 1} items\n" in done.stdout.replace("collecting ... ", "")
    section = done.stdout.partition(f" {name} ===")[2]
    assert "\nlinear as linear: nothing found\n  cases       " in section


def test_a_law_that_is_broken_fails_with_the_findings_text_alone():
    done = judge("student.py", "--conv-backward=student.py:backward", "-v")
    assert (done.returncode, done.stderr) == (1, "")
    failed = [key for key, outcome in outcomes(done).items() if outcome == "FAILED"]
    assert failed == ["toeplitz verify student.py:linear::CV142 grad_b"]
    text = done.stdout.partition(" FAILURES ")[2].partition(" short test summary ")[0]
    assert (
        "\nCV142 the backward pass of linear has a wrong gradient to b\n  case        Linear(1, 1)"
        in text
    )
    assert "\n  reproduce   toeplitz verify student.py:linear --replay " in text
    assert "Traceback" not in done.stdout
    assert "pytest_plugin.py" not in done.stdout


def test_k_chooses_and_collect_only_judges_nothing(homework):
    done = judge("student.py", "-k", "CV101 or mine", "-v")
    assert list(outcomes(done).values()) == ["PASSED", "PASSED"]
    assert f" / {len(CODES) - 1} deselected / 2 selected\n" in done.stdout
    done = judge("no/such", "--collect-only", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    names = [f"toeplitz verify no/such:linear::{title}" for title in TITLES]
    assert done.stdout.splitlines()[: len(CODES) + 1] == ["test_mine.py::test_mine", *names]


def test_workers_of_xdist_judge_once(homework):
    (homework / "counted.py").write_text(
        "with open('loaded', 'a') as file:\n    file.write('x')\n" + RIGHT
    )
    done = judge("counted.py", "-p", "xdist", "-n", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(CODES) + 1 - len(GRADIENTS)} passed, {len(GRADIENTS)} skipped" in done.stdout
    assert (homework / "loaded").read_text() == "x"
    assert " toeplitz verify counted.py:linear ===" in done.stdout


def test_two_targets_each_with_their_gradients():
    backward = [f"--conv-backward={name}.py:backward" for name in ("right", "student")]
    done = judge("right.py", "--conv=student.py:linear", *backward, "-v", "-k", "CV142")
    assert outcomes(done) == {
        "toeplitz verify right.py:linear::CV142 grad_b": "PASSED",
        "toeplitz verify student.py:linear::CV142 grad_b": "FAILED",
    }


def test_a_baseline_makes_an_xfail_and_what_is_gone_fails(homework):
    entry = '[[known]]\ncode = "CV142"\nreason = "the mean, on purpose"\n'
    (homework / "known.toml").write_text(entry)
    arguments = ("--conv-baseline=known.toml", "-k", "CV142", "-v", "-rx")
    law = "linear::CV142 grad_b"
    done = judge("student.py", "--conv-backward=student.py:backward", *arguments)
    assert (done.returncode, outcomes(done)) == (0, {f"toeplitz verify student.py:{law}": "XFAIL"})
    assert f"XFAIL toeplitz verify student.py:{law} - the mean, on purpose\n" in done.stdout
    done = judge("student.py", "--conv-backward=student.py:backward", *arguments, "--runxfail")
    assert outcomes(done) == {f"toeplitz verify student.py:{law}": "FAILED"}
    done = judge("right.py", "--conv-backward=right.py:backward", *arguments)
    assert (done.returncode, outcomes(done)) == (1, {f"toeplitz verify right.py:{law}": "FAILED"})
    told = "\nthe baseline lists CV142 grad_b, which is no longer found: remove it\n"
    assert told in done.stdout


@pytest.mark.parametrize("place", ["here", "on the path", "a package"])
def test_a_verify_of_the_users_own_is_what_their_modules_mean(
    monkeypatch, homework, tmp_path, place
):
    folder = homework
    if place != "here":
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{HOME}")
    file = folder / "verify.py"
    if place == "a package":
        file = folder / "verify" / "__init__.py"
        file.parent.mkdir()
    file.write_text("scale = 1\n" + RIGHT)
    (homework / "mine.py").write_text("from verify import linear, scale\nassert scale == 1\n")
    (homework / "test_mine.py").write_text(
        "import verify\ndef test_mine():\n    assert verify.scale == 1\n"
    )
    done = judge("mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(CODES) + 1 - len(GRADIENTS)} passed, {len(GRADIENTS)} skipped" in done.stdout


UNJUDGED = {
    ("nope.py:linear",): "/homework/nope.py",
    ("right.py:nope",): "right.py has no 'nope': it has backward, linear",
    ("broken.py:linear",): "broken.py raised KeyError: 'mine' (broken.py, line 1) when",
    ("right.py:number",): "right.py:number is not callable: it is of type int",
    ("right.py:linear", "--conv-op=linaer"): "op must be one of linear, conv1d, ",
    ("right.py:linear", "--conv-args=--supports 'groups'"): "--supports must be a name",
}


@pytest.mark.parametrize("arguments", UNJUDGED, ids=" ".join)
def test_what_cannot_be_judged_is_one_error(homework, arguments):
    (homework / "broken.py").write_text("raise KeyError('mine')\n")
    (homework / "right.py").write_text(RIGHT + "number = 1\n")
    target, *options = arguments
    done = run(f"--conv={target}", *options)
    assert (done.returncode, done.stderr) == (4, "")
    assert f"1 passed, {len(CODES) - 1} skipped, 1 error in " in done.stdout
    told = re.findall(rf"^{target} could not be judged: (.*)$", done.stdout, re.MULTILINE)
    assert len(told) == 1
    assert UNJUDGED[arguments] in told[0]
    assert "Traceback" not in done.stdout


def test_what_cannot_be_judged_is_one_error_for_all_workers():
    done = run("--conv=nope.py:linear", "--conv=right.py:linear", "--conv-op=linear",
               "--conv-max-examples=5", "-p", "xdist", "-n", "2")  # fmt: skip
    assert (done.returncode, done.stderr) == (4, "")
    assert (
        len(re.findall(r"^nope\.py:linear could not be judged: ", done.stdout, re.MULTILINE)) == 1
    )
    assert re.search(r"\d+ passed, \d+ skipped, 1 error in ", done.stdout)


def test_other_arguments_and_the_seed_are_passed_on():
    arguments = ("--conv-seed=7", "--conv-args=--dtype int64 --time 60")
    done = judge("right.py", *arguments, "-v")
    assert done.returncode == 0
    assert ", seed 7\n" in done.stdout
    assert outcomes(done)["toeplitz verify right.py:linear::CV160 non-finite kept"] == "SKIPPED"


USAGE = {
    ("--conv-op=linear",): "--conv-op goes with --conv",
    ("--conv-seed=0",): "--conv-seed goes with --conv",
    ("--conv-backward=a:b",): "--conv-backward goes with --conv",
    ("--conv=a:b", "--conv=c:d", "--conv-backward=a:b"):
        "--conv-backward must be given once for each --conv: got 1 for 2",
    ("--conv=a:b", "--conv=c:d", "--conv-baseline=known.toml"):
        "--conv-baseline goes with one --conv: it is that target's",
}  # fmt: skip


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_a_usage_error_is_one_sentence(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stderr.strip()) == (4, f"ERROR: {USAGE[arguments]}")


def test_pytests_own_junit_file_tells_the_findings(homework):
    judge("student.py", "--conv-backward=student.py:backward", "--junitxml=junit.xml")
    root = ElementTree.parse(homework / "junit.xml").getroot()
    (failed,) = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed.get("classname") == "toeplitz verify student.py:linear"
    assert failed.get("name") == "CV142 grad_b"
    assert failed.find("failure").text.startswith(
        "CV142 the backward pass of linear has a wrong gradient to b\n"
    )


def test_the_entry_point_is_found_by_its_metadata(homework, monkeypatch, tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    points = project["entry-points"]["pytest11"]
    assert points == {PLUGIN: PLUGIN}
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    installed = tmp_path / "installed"
    metadata = installed / "conv_toeplitz-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: conv-toeplitz\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(f"[pytest11]\n{PLUGIN} = {points[PLUGIN]}\n")
    (metadata / "RECORD").write_text("toeplitz/__init__.py,,\nverify/__init__.py,,\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(installed), HOME)))
    (homework / "verify.py").write_text("scale = 1\n")
    (homework / "test_mine.py").write_text(
        "import verify\ndef test_mine():\n    assert verify.scale == 1\n"
    )
    for plugin in ((), ("-p", PLUGIN)):  # also if it is asked for by name
        done = judge("right.py", "-k", "CV101 or mine", plugin=plugin)
        assert (done.returncode, done.stderr) == (0, "")
        assert "2 passed" in done.stdout
    done = run("-p", f"no:{PLUGIN}", plugin=())
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 passed" in done.stdout
    assert (
        "unrecognized arguments: --conv" in judge("right.py", plugin=("-p", f"no:{PLUGIN}")).stderr
    )


def test_a_start_of_pytest_imports_nothing_heavy(homework):
    (homework / "test_mine.py").write_text(
        "import sys\n"
        "def test_mine():\n"
        "    ours = [n for n in sys.modules if n.split('.')[0] in ('toeplitz', 'verify')]\n"
        f"    assert sorted(ours) == ['toeplitz', {PLUGIN!r}]\n"
        "    assert not {'numpy', 'scipy', 'click', 'rich', 'hypothesis'} & {*sys.modules}\n"
    )
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 passed" in done.stdout


def test_the_laws_are_those_of_the_judge():
    assert pytest_child.laws() == {code: law.title for code, law in CODES.items()}


def test_a_judge_that_dies_is_told(monkeypatch, homework, tmp_path):
    monkeypatch.setattr(pytest_child, "BOOT", "import os; os.abort()")
    told = pytest_child.judged(["right.py:linear"], tmp_path / "kept" / "0.json", homework)
    assert told == {"error": "the judge ended with status -6: it said nothing"}


def test_the_document_and_the_plugin_name_the_same_options():
    text = (ROOT / "docs" / "verify.md").read_text("utf-8")
    told = set(re.findall(r"^\| `(--conv[a-z-]*)", text, re.MULTILINE))
    helped = set(re.findall(r"^ +(--conv[a-z-]*)", run("--help").stdout, re.MULTILINE))
    assert told == helped
    assert f"-p no:{PLUGIN}" in text


def test_the_op_of_the_functions_name_is_taken_and_told():
    done = run("--conv=right.py:linear", "--conv-max-examples=20", "-k", "CV101")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "\nlinear is judged as the op of its name, since no other was given\n"
        "linear as linear: nothing found\n"
    ) in done.stdout
