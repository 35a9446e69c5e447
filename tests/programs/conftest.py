"""Programs to be judged, and a student's folder to judge them in."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs.calling import EXAMPLES

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def bad():
    """The command of bad.py, to be told what to do."""
    return f"{sys.executable} -S -E {HERE / 'bad.py'}"


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Compiles an example in C, changed if so asked."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("built")
    texts = {}

    def build(name, old="", new="", example="conv2d.c"):
        text = (EXAMPLES / example).read_text()
        assert text.count(old) == 1 or not old
        text = text.replace(old, new) if old else text
        if texts.get(name) == text:
            return str(folder / name)
        (folder / f"{name}.c").write_text(text)
        command = [compiler, "-std=c99", "-O1", "-Wall", "-o", name, f"{name}.c"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        texts[name] = text
        return str(folder / name)

    return build


@pytest.fixture(scope="session")
def by_files():
    """The command of by_files.py, to be told what to do."""
    return f"{sys.executable} {HERE / 'by_files.py'}"


@pytest.fixture(autouse=True)
def homework(monkeypatch, tmp_path):
    """A student's folder, with the failures kept in another."""
    folder = tmp_path / "homework"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TOEPLITZ_STORE", str(tmp_path / "kept"))
    return folder
