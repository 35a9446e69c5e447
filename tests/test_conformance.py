"""docs/conformance.md is what its command writes from the records, and its snippets show it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HERE = ROOT / "tests" / "conformance"
RECORD = {
    "library": "scipy",
    "versions": {"scipy": "1.0"},
    "machine": {"system": "Linux", "processor": "x86_64", "vectors": [], "python": "3.11"},
    "date": "2026-11-21",
    "runs": [
        {
            "target": "scipy.signal:correlate2d",
            "op": "conv2d",
            "dtypes": ["float64"],
            "seed": 0,
            "max_examples": 150,
            "time": 30,
            "cases": 10,
            "unsupported": 0,
            "gradients": False,
            "findings": [
                {
                    "code": "CV101",
                    "law": "value",
                    "name": "",
                    "text": "CV101 wrong\n  case        Conv((1, 1, 1), (1, 1, 1, 1))",
                    "first_seen": 1,
                }
            ],
        }
    ],
}
EXPLANATION = """
[[finding]]
title = "scipy: an invented one"
what = "bug"
libraries = ["scipy"]
codes = ["CV101"]
needs = ["sys"]
tells = "It is invented."
snippet = "print(1)"
prints = "1"
"""


def command(name, *arguments):
    return subprocess.run(
        [sys.executable, HERE / name, *arguments], capture_output=True, encoding="utf-8"
    )


def write(folder, explanations, record=RECORD):
    (folder / "records").mkdir(exist_ok=True)
    (folder / "records" / "scipy.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "explanations.toml").write_text(explanations, encoding="utf-8")
    return command(
        "write.py", "--records", folder / "records", "--out", folder / "out.md",
        "--explanations", folder / "explanations.toml",
    )  # fmt: skip


def test_the_document_is_what_its_command_writes(tmp_path):
    done = command("write.py", "--out", tmp_path / "conformance.md")
    assert done.stderr == ""
    written = (tmp_path / "conformance.md").read_text(encoding="utf-8")
    committed = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert committed == written, "run python tests/conformance/write.py"


def test_the_document_links_to_its_own_headings():
    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w\- ]", "", h.lower()) for h in re.findall(r"^#+ (.*)$", text, re.M)}
    for anchor in re.findall(r"\]\(#(.*?)\)", text):
        assert anchor in {heading.replace(" ", "-") for heading in headings}


def test_a_record_and_its_explanation_are_written(tmp_path):
    done = write(tmp_path, EXPLANATION)
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "| scipy 1.0 | 1 | 10 | [1](#1-scipy-an-invented-one) |" in text
    assert "### 1. scipy: an invented one" in text


@pytest.mark.parametrize(
    ("explanations", "told"),
    [
        ("", "without an explanation:\n  scipy conv2d CV101: Conv((1, 1, 1), (1, 1, 1, 1))\n"),
        (EXPLANATION.replace("CV101", "CV102"),
         "without an explanation:\n  scipy conv2d CV101: Conv((1, 1, 1), (1, 1, 1, 1))\n"),
        (EXPLANATION + EXPLANATION.replace("an invented", "another"),
         "explained, and in no record:\n  scipy: another one\n"),
        (EXPLANATION.replace('snippet = "print(1)"', 'snippet = ""'),
         "scipy: an invented one has no snippet\n"),
        (EXPLANATION.replace('snippet = "print(1)"', 'snippet = "import verify"'),
         "scipy: an invented one has a snippet with our package\n"),
        (EXPLANATION.replace('"print(1)"', '"""' + 8 * "print(1)\n" + '"""'),
         "scipy: an invented one has a snippet of more than 7 lines\n"),
        (EXPLANATION.replace('prints = "1"', ""),
         "scipy: an invented one says neither what its snippet prints nor with what signal it "
         "ends\n"),
        (EXPLANATION.replace('"bug"', '"known bug"'),
         "scipy: an invented one is known and has no links\n"),
        (EXPLANATION.replace('"bug"', '"odd"'),
         "scipy: an invented one must be one of bug, known bug, documented difference, limit: "
         "got odd\n"),
    ],
)  # fmt: skip
def test_nothing_is_written_of_what_is_not_explained_and_shown(tmp_path, explanations, told):
    done = write(tmp_path, explanations)
    assert (done.returncode, done.stderr) == (1, told)
    assert not (tmp_path / "out.md").exists()


@pytest.mark.parametrize(
    ("snippet", "shows", "status"),
    [
        ("print(12)", 'prints = "1…"', 0),
        ("print(12)", 'prints = "1"', 1),
        ("print(1); raise ValueError(2)", 'prints = "1\\nValueError: 2"', 0),
        ("import os; os.abort()", 'signal = "SIGABRT"', 0),
        ("print(1)", 'prints = "1"\nsignal = "SIGABRT"', 1),
    ],
)
def test_a_snippet_is_compared_with_what_it_should_show(tmp_path, snippet, shows, status):
    text = EXPLANATION.replace("print(1)", snippet).replace('prints = "1"', shows)
    (tmp_path / "explanations.toml").write_text(text, encoding="utf-8")
    done = command("snippets.py", "--explanations", tmp_path / "explanations.toml")
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.startswith("OTHER  " if status else "shown  ")


@pytest.mark.interop
@pytest.mark.parametrize("library", ["torch", "onnx"])
def test_the_snippets_of_a_library_show_what_the_document_says(library, need):
    need(library)
    done = command("snippets.py", library, "--recorded")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
