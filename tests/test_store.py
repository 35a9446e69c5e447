"""Failures are kept for replay, in one folder, whole and unchanged."""

import json
import os
import re
from pathlib import Path

import pytest

from toeplitz import Conv, ConvTranspose, Linear
from verify import store
from verify.case import Case
from verify.ops import OPS
from verify.store import Failure, find, save

CASES = [
    Case(OPS["linear"], Linear(3, 2), batch=2, dtype="int8"),
    Case(OPS["conv1d"], Conv((1, 4), (1, 1, 2)), data="impulses", at=(3, 1)),
    Case(OPS["padded_conv2d"], Conv((2, 5, 6), (3, 2, 2, 3), 2, "same_upper"), bias=True,
         padding="same_upper", full=True, layout="reversed", dtype="bfloat16", seed=7),
    Case(OPS["conv_transpose2d"], ConvTranspose((4, 3, 2), (4, 1, 2, 3), 2, 1, 1, groups=2)),
]  # fmt: skip
TARGET = {"target": "my:conv2d", "backward": None, "op": "conv2d"}


def whole(sentence):
    return f"^{re.escape(sentence)}$"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TOEPLITZ_STORE", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.op.name)
def test_what_is_saved_is_found(case, folder):
    id = save(case, TARGET, "CV101")
    assert find(id) == Failure(case, TARGET, "CV101")
    assert os.listdir(folder) == [f"{id}.json"]


def test_the_same_failure_has_one_id_and_others_have_others(folder):
    ids = [save(case, TARGET, "CV101") for case in CASES]
    assert len(set(ids)) == len(CASES)
    assert [save(case, TARGET, "CV101") for case in CASES] == ids
    assert save(CASES[0], TARGET, "CV102") not in ids
    assert save(CASES[0], TARGET | {"target": "my:other"}, "CV101") not in ids
    assert len(os.listdir(folder)) == len(CASES) + 2


def test_the_id_is_stable():
    assert save(CASES[1], {"target": "my:f"}, "CV101") == "7ae3b4e994f0"


@pytest.mark.parametrize("id", ["", "3f9a", "../../etc/passwd", "G" * 12, "0" * 13, "A" * 12])
def test_what_is_no_id_is_refused(id):
    with pytest.raises(ValueError, match=whole(f"an id has 12 digits of 0-9a-f: got {id!r}")):
        find(id)


def test_an_id_of_nothing_is_refused(folder):
    with pytest.raises(ValueError, match=whole(f"no failure 000000000000 is kept in {folder}")):
        find("0" * 12)
    assert not folder.exists()


@pytest.mark.parametrize("change", [str.upper, lambda text: text + " ", lambda text: text[:-9]])
def test_a_changed_file_is_refused(folder, change):
    id = save(CASES[0], TARGET, "CV101")
    path = folder / f"{id}.json"
    path.write_text(change(path.read_text()))
    sentence = f"the failure {id} was changed after it was kept: {path}"
    with pytest.raises(ValueError, match=whole(sentence)):
        find(id)


def test_a_file_that_is_no_text_is_refused(folder):
    id = save(CASES[0], TARGET, "CV101")
    (folder / f"{id}.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=f"^the failure {id} cannot be read: "):
        find(id)


def test_what_another_version_kept_is_refused(folder):
    plain = json.loads((folder / f"{save(CASES[0], TARGET, 'CV101')}.json").read_text())
    plain["case"]["op"] = "conv9d"
    text = json.dumps(plain)
    id = store._id(text)
    (folder / f"{id}.json").write_text(text)
    sentence = f"the failure {id} was kept by another version: run the check again"
    with pytest.raises(ValueError, match=whole(sentence)):
        find(id)


def test_nothing_stays_of_what_cannot_be_written(folder, monkeypatch):
    def fails(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    sentence = (
        f"cannot keep the failure in {folder}: No space left on device; "
        "set TOEPLITZ_STORE to a folder that can be written"
    )
    with pytest.raises(OSError, match=whole(sentence)):
        save(CASES[0], TARGET, "CV101")
    assert os.listdir(folder) == []


def test_a_folder_that_is_a_file_is_told(folder):
    folder.write_text("")
    with pytest.raises(OSError, match=f"^cannot keep the failure in {folder}: "):
        save(CASES[0], TARGET, "CV101")


def test_a_target_without_plain_values_is_refused(folder):
    with pytest.raises(TypeError):
        save(CASES[0], {"target": print}, "CV101")
    assert not folder.exists()


def test_the_folder_is_the_users_cache(monkeypatch):
    monkeypatch.delenv("TOEPLITZ_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert store.folder() == Path("/somewhere/conv-toeplitz")
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert store.folder() == Path.home() / ".cache" / "conv-toeplitz"
