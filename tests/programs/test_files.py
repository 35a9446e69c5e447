"""Programs that read a file and write files."""

import numpy as np
import pytest
from programs.calling import CASE, LIMIT, called

from toeplitz import Conv
from verify import files
from verify.case import Case
from verify.ops import OPS
from verify.suspect import Outcome


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
