"""The bytes of requests and answers, also those that the document shows."""

import re
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs.calling import CASE, DOCUMENT, EXAMPLES, NAMES

from toeplitz import AvgPool, Conv, Linear, MaxPool
from verify import wire
from verify.case import Case
from verify.data import numpy_dtype
from verify.layers import Norm, Padding, Unfold
from verify.ops import OPS
from verify.wire import Answer, Wrong


def test_a_request_says_all_arguments_as_numbers():
    layer = Conv((2, 5), (2, 1, 3), 2, 1, groups=2)
    case = Case(OPS["conv1d"], layer, batch=2, dtype="float32", layout="sliced")
    line, _, data = wire.request("forward", case, {}).partition(b"\n")
    assert line.decode() == (
        "toeplitz 1 conv1d forward float32 stride=2 padding=1 dilation=1 groups=2 x=2,2,5 w=2,1,3 "
        "b=0 bytes=104"
    )
    numbers = np.frombuffer(data, "<f4")
    np.testing.assert_array_equal(numbers[:20].reshape(2, 2, 5), case.arrays.x)
    np.testing.assert_array_equal(numbers[20:].reshape(2, 1, 3), case.arrays.w)


@pytest.mark.parametrize(
    "case, role, changes, line",
    [
        (
            Case(OPS["padded_conv2d"], Conv((1, 4, 4), (1, 1, 2, 2), 2, ((1, 0), (0, 2)))),
            "forward",
            {},
            "toeplitz 1 padded_conv2d forward float64 stride=2,2 padding=1,0,0,2 dilation=1,1 "
            "groups=1 padding_mode=zeros x=1,1,4,4 w=1,1,2,2 b=0 bytes=160",
        ),
        (
            Case(
                OPS["padded_conv2d"],
                Conv((1, 4, 4), (1, 1, 2, 2), padding="same_upper", padding_mode="circular"),
                padding="same_upper",
            ),
            "forward",
            {},
            "toeplitz 1 padded_conv2d forward float64 stride=1,1 padding=same_upper dilation=1,1 "
            "groups=1 padding_mode=circular x=1,1,4,4 w=1,1,2,2 b=0 bytes=160",
        ),
        (
            Case(OPS["linear"], Linear(3, 2), batch=0, bias=True),
            "forward",
            {},
            "toeplitz 1 linear forward float64 x=0,3 w=2,3 b=2 bytes=64",
        ),
        (
            CASE,
            "backward",
            {},
            "toeplitz 1 conv2d backward float64 stride=1,1 padding=0,0 dilation=1,1 groups=1 "
            "g=1,1,2,1 x=1,1,2,2 w=1,1,1,2 bytes=64",
        ),
        (
            CASE,
            "forward",
            {"x": np.ones((1, 2, 2, 2)), "groups": 4},
            "toeplitz 1 conv2d forward float64 stride=1,1 padding=0,0 dilation=1,1 groups=4 "
            "x=1,2,2,2 w=1,1,1,2 b=0 bytes=80",
        ),
    ],
)
def test_the_line_of_a_request(case, role, changes, line):
    assert wire.request(role, case, changes).partition(b"\n")[0].decode() == line


@pytest.mark.parametrize("dtype", wire.DTYPES)
def test_every_dtype_survives_the_way(dtype, need):
    if dtype == "bfloat16":
        need("ml_dtypes")
    case = CASE.but(dtype=dtype)
    data = wire.request("forward", case, {}).partition(b"\n")[2]
    answer = Answer(("y",), 99)
    for byte in f"toeplitz 1 ok {dtype} y=2,3\n".encode() + data:
        assert not answer.complete
        answer.feed(bytes([byte]))
    flat = [array.ravel() for array in case.given("x", "w").values()]
    value = answer.outcome().value
    assert value.dtype == numpy_dtype(dtype)
    assert value.tolist() == np.concatenate(flat).reshape(2, 3).tolist()


PIECES = [
    b"toeplitz", b" ", b"1", b"ok", b"unsupported", b"refused", b"float64", b"bfloat16", b"y=",
    b"grad_x=1", b"grad_w=", b"grad_b=", b"2", b",", b"0", b"9" * 18, b"\n", b"\r\n", b"\0",
    b"toeplitz 1 ok float64 y=1\n", b"12345678", b"\xff",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES) | st.binary(), max_size=12),
    st.sampled_from(["forward", "backward"]),
)
def test_any_bytes_at_all_are_an_answer_or_a_sentence(parts, role):
    answer = Answer(NAMES[role], 64)
    try:
        for part in parts:
            if answer.complete:
                break
            answer.feed(part)
    except Wrong as wrong:
        told = str(wrong)
    else:
        told = answer.progress()
        if answer.complete:
            outcome = answer.outcome()
            assert outcome.kind in ("value", "unsupported", "raised")
            told = outcome.message
    assert told.isprintable()


def test_the_bytes_of_the_document_are_those_of_the_protocol(built):
    blocks = re.findall(r"^```hexdump\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.M | re.S)
    asked, answered, asked_pool, answered_pool = (
        b"".join(bytes.fromhex(line[6:53]) for line in block.splitlines()) for block in blocks
    )
    case = Case(OPS["conv2d"], Conv((1, 2, 2), (1, 1, 1, 2), stride=(2, 1)), bias=True)
    x, w, b = (np.arange(1.0, 5).reshape(1, 1, 2, 2), np.array([[[[5.0, 6]]]]), np.array([7.0]))
    assert wire.request("forward", case, {"x": x, "w": w, "b": b}) == asked
    answer = Answer(("y",), 99)
    answer.feed(answered)
    np.testing.assert_array_equal(answer.outcome().value, case.layer.apply(x, w, b))
    done = subprocess.run([built("conv2d")], input=asked, capture_output=True)
    assert (done.stdout, done.stderr, done.returncode) == (answered, b"", 0)

    case = Case(OPS["max_pool2d"], MaxPool((1, 2, 3), (2, 2), (1, 1)), dtype="float32")
    x = np.array([[[[1, 5, 2], [4, 3, 6]]]], np.float32)
    assert wire.request("forward", case, {"x": x}) == asked_pool
    answer = Answer(("y",), 99, ("indices",))
    answer.feed(answered_pool)
    assert [part.ravel().tolist() for part in answer.outcome().value] == [[5, 6], [1, 5]]
    program = built("max_pool2d", example="max_pool2d.c")
    done = subprocess.run([program], input=asked_pool, capture_output=True)
    assert (done.stdout, done.stderr, done.returncode) == (answered_pool, b"", 0)


def test_the_table_of_the_document_has_every_op():
    text = DOCUMENT.read_text("utf-8").partition("## The requests of each op\n")[2]
    rows = re.findall(r"^\| (`\w+`[^|]*) \| ([^|]+) \| `([^|]+)` \| `([^|]+)` \|$", text, re.M)
    named = {name for names, *_ in rows for name in re.findall(r"`(\w+)`", names)}
    assert named == {name for name in OPS if name[-2:] not in ("1d", "3d")}
    for names, arguments, forward, backward in rows:
        for name in re.findall(r"`(\w+)`", names):
            op = OPS[name]
            told = re.match("`([^`]+)`", arguments)
            assert op.parameters == tuple(told.group(1).split() if told else ())
            assert op.arrays.given == tuple(forward.split())
            assert op.arrays.sent_back == tuple(backward.split())


def test_the_requests_of_the_document_are_those_of_the_protocol():
    text = DOCUMENT.read_text("utf-8")
    cases = [
        Case(OPS["avg_pool2d"], AvgPool((1, 4, 4), (2, 2), (2, 2), ((0, 0), (1, 1)))),
        Case(OPS["unfold"], Unfold((1, 2, 2), (2, 1))),
        Case(OPS["pad"], Padding((1, 2, 2), (1, 0), "constant", 3.0)),
        Case(OPS["batch_norm"], Norm((2,), True), batch=4, dtype="float32"),
    ]
    for case, role in zip(
        [*cases, cases[-1]],
        ("forward", "backward", "forward", "forward", "backward"),
        strict=True,
    ):
        line = wire.request(role, case, {}).partition(b"\n")[0].decode()
        assert f"\n{line}\n" in text


def test_the_lines_of_the_document_are_read_as_it_says():
    text = DOCUMENT.read_text("utf-8")
    (c,) = re.findall(r"^```c\n(.*?)\n^```", text, re.M | re.S)
    assert c in (EXAMPLES / "conv2d.c").read_text()
    lines = re.findall(r"(?:^|`)(toeplitz 1 (?:ok|unsupported|refused) [^`\n]+)", text, re.M)
    assert len(lines) == 4, lines
    for line in lines:
        role = "backward" if "grad" in line else "forward"
        answer = Answer(NAMES[role], 999)
        answer.feed(f"{line}\n".encode())
        assert answer.complete == (" ok " not in line)
