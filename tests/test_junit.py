"""Each law's verdict, and the reports that CI servers read."""

import json
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import verify
from toeplitz import cli
from verify.baseline import Known, applied
from verify.codes import CODES
from verify.junit import junit
from verify.verdicts import verdicts

SINGLE = ["CV101", "CV102", "CV103", "CV104", "CV150", "CV171", "CV190", "CV191"]
NO_BACKWARD = "there is no backward pass to judge"


def linear(x, w, b=None):
    if x.shape[1] != w.shape[1]:
        raise ValueError("x and w have other numbers of channels")
    y = x.astype(float) @ w.T.astype(float)
    return (y if b is None else y + b.astype(float)).astype(x.dtype)


def gradients(g, x, w):
    G, X, W = (a.astype(float) for a in (g, x, w))
    return tuple(a.astype(x.dtype) for a in (G @ W, G.T @ X, G.sum(0)))


def told(report):
    return {verdict.code: (verdict.outcome, verdict.text) for verdict in verdicts(report)}


@pytest.fixture(scope="module")
def right():
    return verify.check(linear, "linear", backward=gradients, max_examples=60)


def test_all_laws_that_apply_hold_for_a_right_one(right):
    assert [verdict.code for verdict in verdicts(right)] == list(CODES)
    assert [verdict.law for verdict in verdicts(right)] == [law.title for law in CODES.values()]
    elsewhere = dict.fromkeys(
        ["CV106", "CV107", "CV143"], ("skipped", "it does not concern linear")
    )
    assert told(right) == dict.fromkeys(CODES, ("passed", "")) | elsewhere


def test_laws_that_were_not_asked_say_why():
    def f(x, w):
        return linear(x, w)

    report = verify.check(f, "linear", max_examples=20, dtypes=("int64",))
    assert report.ok
    skipped = {code: text for code, (outcome, text) in told(report).items() if outcome != "passed"}
    no_floats = "no right call had a dtype with NaN and infinity"
    assert skipped == {
        **dict.fromkeys(["CV106", "CV107", "CV143"], "it does not concern linear"),
        "CV110": "no call had a bias",
        **dict.fromkeys(["CV130", "CV140", "CV141", "CV142"], NO_BACKWARD),
        **dict.fromkeys(["CV160", "CV161"], no_floats),
    }

    def never(g, x, w):
        raise NotImplementedError

    report = verify.check(linear, "linear", backward=never, max_examples=20)
    assert told(report)["CV140"] == ("skipped", "no backward call was answered")

    def wrong(g, x, w):
        return tuple(part + 1 for part in gradients(g, x, w))

    report = verify.check(linear, "linear", backward=wrong, max_examples=20)
    never = "it is asked of right gradients, and there were none"
    assert told(report)["CV130"] == ("skipped", never)


def test_one_that_is_never_right_is_asked_nothing_but_single_calls():
    def never_right(x, w):
        return linear(x, w)[None]  # an empty batch, too

    outcomes = told(verify.check(never_right, "linear", max_examples=20))
    never = "it is asked of right calls, and there was none"
    assert outcomes["CV153"] == ("skipped", never)
    passed = [code for code, (outcome, _) in outcomes.items() if outcome == "passed"]
    assert set(passed) < set(SINGLE)


def test_a_finding_fails_its_own_law_and_those_that_it_breaks_too(right):
    def shifted(x, w, b=None):
        return np.concatenate([linear(x, w, b)] * 2, axis=1)[:, : w.shape[0] + len(x) % 2]

    report = verify.check(shifted, "linear", max_examples=20)
    outcomes = told(report)
    for finding in report.findings:
        assert outcomes[finding.code] == ("failed", str(finding))
    twice = replace(report.findings[0], also=("CV103",))
    law = CODES[twice.code].title
    sentence = f"CV103 dtype: the mistake that {twice.code} {law} tells of"
    assert told(replace(report, findings=(twice,)))["CV103"] == ("failed", sentence)


def test_the_xml_has_a_case_for_each_law(right):
    def doubled(x, w, b=None):
        return linear(x, w) if b is None else linear(x, w, b + b)

    report = verify.check(doubled, "linear", max_examples=20)
    root = ElementTree.fromstring(junit(report, "student.py:linear"))
    assert root.tag == "testsuites"
    (suite,) = root
    name = "toeplitz verify student.py:linear"
    assert (suite.tag, suite.get("name")) == ("testsuite", name)
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [f"{c} {law.title}" for c, law in CODES.items()]
    assert {case.get("classname") for case in cases} == {name}
    outcomes = Counter(outcome for outcome, _ in told(report).values())
    for counted in (root, suite):
        numbers = {k: int(counted.get(k)) for k in ("tests", "failures", "errors", "skipped")}
        assert numbers == {
            "tests": len(CODES), "failures": outcomes["failed"], "errors": 0,
            "skipped": outcomes["skipped"],
        }  # fmt: skip
    failures = suite.findall("testcase/failure")
    texts = [text for outcome, text in told(report).values() if outcome == "failed"]
    assert [failure.text for failure in failures] == texts
    assert texts[0] == str(report.findings[0])
    assert failures[0].get("message") == str(report.findings[0]).splitlines()[0]
    skipped = {found.get("message") for found in suite.findall("testcase/skipped")}
    assert NO_BACKWARD in skipped
    assert suite.find("system-out").text == report.summary

    known = applied(report, [Known(f.code, "exercise 3") for f in report.findings])
    suite = ElementTree.fromstring(junit(known, "student.py:linear"))[0]
    assert suite.get("failures") == "0"
    skipped = [found.get("message") for found in suite.findall("testcase/skipped")]
    assert "known: exercise 3" in skipped


def test_any_text_is_well_formed_xml(right):
    def odd(x, w, b=None):
        raise TypeError("<&> ]]> \x1b[31m \x00 \ud800 \ufffe é")

    report = verify.check(odd, "linear", max_examples=5)
    text = junit(report, "a<b>:f")
    failure = ElementTree.fromstring(text.encode()).find("testsuite/testcase/failure")
    assert r"<&> ]]> \x1b[31m \x00 \ud800 \ufffe é" in failure.text


@pytest.mark.parametrize("name", ["report.xml", "REPORT.XML", "report.json"])
def test_the_suffix_of_a_report_says_what_it_is(monkeypatch, tmp_path, capsys, name):
    monkeypatch.chdir(tmp_path)
    source = "from test_junit import linear\n"
    (tmp_path / "student.py").write_text(source)
    arguments = ("verify", "student.py:linear", "--op", "linear", "--max-examples", "5")
    assert cli.main((*arguments, "--report", name, "--in-process")) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("linear as linear: nothing found\n")
    text = (tmp_path / name).read_text(encoding="utf-8")
    if name.endswith("json"):
        laws = {law["code"]: law["outcome"] for law in json.loads(text)["laws"]}
        apart = [code for code, outcome in laws.items() if outcome == "skipped"]
        assert apart[-2:] == ["CV190", "CV191"]  # nothing could be seen of them in this process
    else:
        assert text.startswith("<?xml version='1.0' encoding='utf-8'?>\n<testsuites ")
        suite = ElementTree.fromstring(text.encode())[0]
        assert suite.get("name") == "toeplitz verify student.py:linear"


@pytest.mark.parametrize(
    "file, told",
    [
        ("report.txt", "--report must end in .xml (JUnit) or .json: got 'report.txt'"),
        ("-", "--report must end in .xml (JUnit) or .json: got '-'"),
        ("no/r.xml", "--report must be in a folder that is there: got 'no/r.xml'"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_the_run(capsys, file, told):
    assert cli.main(("verify", "nope:f", "--report", file)) == 2
    assert capsys.readouterr().err == f"toeplitz: {told} (see toeplitz verify --help)\n"


@pytest.mark.parametrize("option", ["--report", "--baseline"])
def test_they_do_not_go_with_a_replay(capsys, tmp_path, option):
    file = tmp_path / "a.xml"
    file.touch()
    assert cli.main(("verify", "nope:f", "--replay", "0" * 12, option, str(file))) == 2
    told = f"toeplitz: {option} does not go with --replay (see toeplitz verify --help)\n"
    assert capsys.readouterr().err == told
