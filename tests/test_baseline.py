"""A baseline excuses what it lists, and nothing else; what it lists and is gone is told."""

import json

import numpy as np
import pytest

import verify
from toeplitz import cli
from verify import baseline
from verify.baseline import Known

QUICK = ("--max-examples", "20", "--time", "10")
STUDENT = """\
def linear(x, w, b=None):
    if x.shape[1] != w.shape[1]:
        raise ValueError("x and w have other numbers of channels")
    y = x.astype(float) @ w.T.astype(float)
    return (y if b is None else y + {}).astype(x.dtype)
"""


def linear(x, w, b=None):
    y = x.astype(float) @ w.T.astype(float)
    return (y if b is None else y - b).astype(x.dtype)


@pytest.fixture(autouse=True)
def homework(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOEPLITZ_STORE", str(tmp_path / "kept"))
    (tmp_path / "student.py").write_text(STUDENT.format("2 * b.astype(float)"))
    (tmp_path / "right.py").write_text(STUDENT.format("b.astype(float)"))
    return tmp_path


@pytest.fixture
def run(capsys):
    def run(*arguments):
        status = cli.main(("verify", *arguments, "--op", "linear", *QUICK))
        return (status, *capsys.readouterr())

    return run


def listed(folder, *entries):
    path = folder / "known.toml"
    rows = [
        "[[known]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in entry.items())
        for entry in entries
    ]
    path.write_text("\n".join(rows))
    return str(path)


def test_what_is_known_does_not_count_and_is_told_with_its_reason(run, homework):
    status, out, err = run("student.py:linear", "--json", "found.json")
    found = json.loads((homework / "found.json").read_text())["findings"]
    assert (status, err, len(found)) == (1, "", 1)
    entry = {"code": found[0]["code"], "reason": "exercise 3 says 2 b"}
    for named in ({}, {"name": found[0]["name"]}):
        path = listed(homework, entry | named)
        status, out, err = run("student.py:linear", "--baseline", path, "--json", "known.json")
        assert (status, err) == (0, "")
        assert "\n  known       exercise 3 says 2 b\n" in out
        assert "\nlinear as linear: nothing new found, 1 known\n" in out
        report = json.loads((homework / "known.json").read_text())
        assert (report["ok"], report["gone"]) == (True, [])
        assert [f["known"] for f in report["findings"]] == ["exercise 3 says 2 b"]
        law = next(law for law in report["laws"] if law["code"] == entry["code"])
        assert (law["outcome"], law["text"]) == ("known", "exercise 3 says 2 b")


def test_another_mistake_of_the_same_law_is_news(run, homework):
    path = listed(homework, {"code": "CV101", "name": "kernel flipped", "reason": "none"})
    status, out, err = run("student.py:linear", "--baseline", path)
    assert (status, err) == (1, "")
    assert "\nlinear as linear: 1 found\n" in out
    assert "known  " not in out
    assert out.endswith("  baseline    CV101 kernel flipped is no longer found: remove it\n")


def test_what_is_no_longer_found_fails(run, homework):
    path = listed(homework, {"code": "CV110", "reason": "exercise 3 says 2 b"})
    status, out, err = run("right.py:linear", "--baseline", path, "--json", "gone.json")
    assert (status, err) == (1, "")
    assert out.startswith("linear as linear: nothing found\n")
    assert out.endswith("  baseline    CV110 bias is no longer found: remove it\n")
    report = json.loads((homework / "gone.json").read_text())
    gone = {"code": "CV110", "name": "", "reason": "exercise 3 says 2 b"}
    assert (report["ok"], report["gone"]) == (False, [gone])
    law = next(law for law in report["laws"] if law["code"] == "CV110")
    told = "the baseline lists CV110 bias, which is no longer found: remove it"
    assert (law["outcome"], law["text"]) == ("failed", told)


def test_an_empty_baseline_changes_nothing(run, homework):
    (homework / "known.toml").write_text("# nothing yet\n")
    assert run("right.py:linear", "--baseline", "known.toml")[0] == 0
    assert run("student.py:linear", "--baseline", "known.toml")[0] == 1


def test_a_named_mistake_is_known_under_each_law_that_it_breaks():
    report = verify.check(linear, "linear", max_examples=20)
    (found,) = (f for f in report.findings if f.code in ("CV101", "CV110"))
    for code in (found.code, *found.also):
        assert Known(code, "why", found.name).means(found)
    assert Known(found.code, "why").means(found)
    assert not any(Known(code, "why").means(found) for code in found.also)
    assert not Known("CV103", "why", found.name).means(found)
    assert not Known(found.code, "why", "kernel flipped").means(found)


def test_what_failing_cases_share_is_a_name_too():
    def odd(x, w):
        y = x.astype(float) @ w.T.astype(float)
        return (y + 7 * (w.shape[0] > 3)).astype(x.dtype)

    report = verify.check(odd, "linear", max_examples=100)
    found = next(f for f in report.findings if f.told and not f.name)
    known = Known(found.code, "why", found.told)
    assert baseline.applied(report, [known]).findings[report.findings.index(found)].known == "why"
    assert f"  looks like  {found.told}\n" in str(found)


WRONG = {
    "code = ": "known.toml is no TOML: Invalid value (at end of document)",
    "[[know]]": "known.toml is no baseline: its tables are written [[known]]: got 'know'",
    "[known]": "known.toml is no baseline: its tables are written [[known]], with two brackets",
    "known = [1]": "known.toml is no baseline: its tables are written [[known]], with two brackets",
    "[[known]]": 'known.toml is no baseline: entry 1 must name a law, as code = "CV105"',
    '[[known]]\ncode = "CV999"\nreason = "r"':
        "known.toml is no baseline: entry 1 must name a law's code, such as CV105: got 'CV999'",
    '[[known]]\ncode = "CV105"\nreason = "r"\n[[known]]\ncode = "CV105"\nname = "n"':
        "known.toml is no baseline: entry 2, CV105, must give its reason",
    '[[known]]\ncode = "CV105"\nreason = " "':
        "known.toml is no baseline: entry 1, CV105, must give its reason",
    '[[known]]\ncode = "CV105"\nwhy = "r"':
        "known.toml is no baseline: entry 1 must have code, name and reason only: got 'why'",
    "[[known]]\ncode = 105":
        "known.toml is no baseline: entry 1 must have texts: got code = 105",
    '[[known]]\ncode = "CV105"\nreason = "r"\n[[known]]\ncode = "CV105"\nreason = "s"':
        "known.toml is no baseline: CV105 accumulation is listed twice",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_baseline_is_a_usage_error_of_one_line(run, homework, text):
    (homework / "known.toml").write_text(text)
    arguments = ("right.py:linear", "--baseline", "known.toml")
    assert run(*arguments) == (2, "", f"toeplitz: {WRONG[text]}\n")


def test_a_baseline_that_is_not_there_or_not_text_is_a_usage_error(run, homework):
    status, out, err = run("right.py:linear", "--baseline", "nope.toml")
    told = "Invalid value for '--baseline': File 'nope.toml' does not exist"
    assert (status, out, err) == (2, "", f"toeplitz: {told} (see toeplitz verify --help)\n")
    (homework / "known.toml").write_bytes(b"\xff\xfe")
    told = "known.toml is no baseline: it is not written in UTF-8"
    assert run("right.py:linear", "--baseline", "known.toml") == (2, "", f"toeplitz: {told}\n")


def test_a_reason_of_several_lines_is_told_in_one(homework):
    path = homework / "known.toml"
    path.write_text('[[known]]\ncode = "CV105"\nreason = """one\n  two"""\n')
    assert baseline.read(path) == (Known("CV105", "one two"),)


def test_a_report_of_a_check_can_be_compared_in_python():
    report = verify.check(linear, "linear", max_examples=20)
    assert not report.ok
    known = [Known(f.code, "seen before") for f in report.findings]
    assert baseline.applied(report, known).ok
    assert np.all([f.known == "" for f in report.findings])  # the report itself is left as it was
