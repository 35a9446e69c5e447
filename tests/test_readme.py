"""What the documents show is what happens: their Python and their console blocks are run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_python_of_a_document_does_what_it_shows(path):
    document = Sybil(parsers=[PythonCodeBlockParser()]).parse(path)
    for example in document.examples():
        example.evaluate()


def _commands():
    for path in DOCUMENTS:
        for block in CONSOLE.findall(path.read_text(encoding="utf-8")):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, expected = part.partition("\n")
                yield pytest.param(command, expected, id=f"{path.name}: {command}")


@pytest.mark.parametrize(("command", "expected"), list(_commands()))
def test_a_command_of_a_document_prints_what_it_shows(command, expected, tmp_path):
    program, *arguments = shlex.split(command)
    assert program == "toeplitz"
    ran = subprocess.run(
        [sys.executable, "-m", "toeplitz", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={"COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": ":".join(sys.path),
             "TOEPLITZ_STORE": str(tmp_path)},
        cwd=ROOT,
    )  # fmt: skip
    assert ran.stderr == ""
    assert _timeless(ran.stdout) == _timeless(expected)


def _timeless(text):
    """The text without how long a run took."""
    return re.sub(r" in \d+\.\d s,", " in … s,", text).rstrip()


def test_the_readme_gives_the_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install . && toeplitz demo" in text.splitlines()
    assert 'pip install ".[test]" && pytest' in text.splitlines()


def test_links_between_the_documents_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
