"""Programs for layers without weights: right ones acquitted, mistakes named, by every protocol."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from programs.calling import verified

import toeplitz
from verify import files, layers, wire
from verify.case import Case
from verify.judgement import judge_backward, judge_forward
from verify.ops import OPS
from verify.program import PROTOCOLS, Program
from verify.suspect import Callables

PROGRAM = f"{sys.executable} {Path(__file__).parent / 'layers.py'}"
QUICK = ("--max-examples", "30", "--time", "20")
OP_LAYERS = {
    "unfold": layers.Unfold((2, 3, 4), (2, 1), (1, 2), (1, 0), (2, 3)),
    "fold": layers.Fold(2, (3, 4), (2, 1), (1, 2), (1, 0), (2, 3)),
    "pad": layers.Padding((2, 3, 3), (2, 0, 1, 1), "reflect"),
    "max_pool2d": toeplitz.MaxPool((2, 5, 4), (3, 2), (2, 1), (1, 0), (1, 2), True),
    "avg_pool2d": toeplitz.AvgPool((2, 5, 4), (3, 2), (2, 1), (1, 0), 1, True, False),
    "adaptive_max_pool2d": toeplitz.AdaptiveMaxPool((2, 5, 4), (2, 3)),
    "adaptive_avg_pool1d": toeplitz.AdaptiveAvgPool((2, 5), (3,)),
    "global_max_pool3d": toeplitz.GlobalMaxPool((2, 3, 2, 2)),
    "global_avg_pool2d": toeplitz.GlobalAvgPool((2, 3, 2)),
    "batch_norm": layers.Norm((2, 3), True, 0.25, 0.5),
}
LINES = {
    "unfold": "kernel_size=2,1 dilation=1,2 padding=1,0 stride=2,3 x=2,2,3,4 bytes=384",
    "fold": "output_size=3,4 kernel_size=2,1 dilation=1,2 padding=1,0 stride=2,3 x=2,4,4 bytes=256",
    "pad": "pad=2,0,1,1 mode=reflect value=0.0 x=2,2,3,3 bytes=288",
    "max_pool2d": "kernel_size=3,2 stride=2,1 padding=1,0 dilation=1,2 ceil_mode=1 x=2,2,5,4 "
    "bytes=640",
    "avg_pool2d": "kernel_size=3,2 stride=2,1 padding=1,0 ceil_mode=1 count_include_pad=0 "
    "divisor_override=0 x=2,2,5,4 bytes=640",
    "adaptive_max_pool2d": "output_size=2,3 x=2,2,5,4 bytes=640",
    "adaptive_avg_pool1d": "output_size=3 x=2,2,5 bytes=160",
    "global_max_pool3d": "x=2,2,3,2,2 bytes=384",
    "global_avg_pool2d": "x=2,2,3,2 bytes=192",
    "batch_norm": "training=1 momentum=0.25 eps=0.5 x=2,2,3 running_mean=2 running_var=2 weight=0 "
    "bias=0 bytes=128",
}
FURTHER = {"max": ("indices",), "norm": ("new_mean", "new_var")}


def case_of(op):
    return Case(OPS[op], OP_LAYERS[op], batch=2)


def further(op):
    return next((names for word, names in FURTHER.items() if word in op), ())


@pytest.mark.parametrize("op", LINES)
def test_the_line_of_a_request(op):
    line = wire.request("forward", case_of(op), {}).partition(b"\n")[0].decode()
    assert line == f"toeplitz 1 {op} forward float64 {LINES[op]}"


def test_the_line_of_a_backward_request():
    told = wire.request("backward", case_of("batch_norm"), {}).partition(b"\n")[0].decode()
    assert told == (
        "toeplitz 1 batch_norm backward float64 eps=0.5 g=2,2,3 x=2,2,3 weight=2 bytes=208"
    )
    told = wire.request("backward", case_of("global_max_pool3d"), {}).partition(b"\n")[0].decode()
    assert told == (
        "toeplitz 1 global_max_pool3d backward float64 g=2,2,1,1,1 x=2,2,3,2,2 bytes=416"
    )


@pytest.mark.parametrize("op", OP_LAYERS)
def test_a_request_in_a_file_has_numbers_alone(op):
    for role in ("forward", "backward"):
        entries = files.entries(role, case_of(op), {})
        assert {array.dtype.kind for array in entries.values()} <= {"i", "f"}


def test_the_numbers_of_a_request_in_a_file():
    def told(op, *names):
        entries = files.entries("forward", case_of(op), {})
        return [entries[name].tolist() for name in names]

    assert told("pad", "pad", "mode", "value") == [[2, 0, 1, 1], [2], [0.0]]
    assert told("avg_pool2d", "divisor_override", "ceil_mode") == [[0], [1]]
    assert told("batch_norm", "training", "momentum", "eps") == [[1], [0.25], [0.5]]
    plain = Case(OPS["pad"], layers.Padding((1, 3), (1, 0)))
    assert files.entries("forward", plain, {})["mode"].tolist() == [0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("op", OP_LAYERS)
def test_a_call_by_every_protocol(op, protocol):
    case = case_of(op)
    words = dict.fromkeys(("forward", "backward"), f"{PROGRAM} right")
    if protocol == "files":
        words = {role: f"{PROGRAM} right {op} {role}" for role in words}
    with Program(words["forward"], words["backward"], protocol, 60) as program:
        judged = judge_forward(program, case)
        assert (judged.outcome.kind, judged.violation) == ("value", None)
        assert [part.violation for part in judged.further] == [None] * len(further(op))
        parts = judge_backward(program, case)
        assert len(parts) == len(case.op.arrays.gradients)
        assert [part.violation for part in parts] == [None] * len(parts)


ONE_WAY = {
    "unfold": ("exchanged", "CV102"),
    "max_pool2d": ("scattered", "CV106"),
    "batch_norm": ("reversed", "CV106"),
    "global_avg_pool2d": ("squeezed", "CV102"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS[1:])
@pytest.mark.parametrize("op", ONE_WAY)
def test_a_mistake_shows_by_every_protocol(op, protocol):
    mistake, code = ONE_WAY[op]
    rest = f" {op} forward" if protocol == "files" else ""
    with Program(f"{PROGRAM} {mistake}{rest}", protocol=protocol, limit=60) as program:
        judged = judge_forward(program, case_of(op))
    found = [part.violation for part in (judged, *judged.further)]
    assert code in [violation.code for violation in found if violation]


@pytest.mark.parametrize("op", OP_LAYERS)
def test_a_right_program_is_acquitted(run, homework, op):
    options = ("--op", op, *QUICK, "--json", "report.json")
    status, out = verified(run, f"{PROGRAM} right", "--backward", f"{PROGRAM} right", *options)
    assert (status, out.partition("\n")[0]) == (0, f"{PROGRAM} right as {op}: nothing found")
    assert "not covered" not in out
    laws = json.loads((homework / "report.json").read_text())["laws"]
    outcomes = {law["code"]: law["outcome"] for law in laws}
    assert outcomes["CV140"] == "passed"
    assert outcomes["CV106"] == ("passed" if further(op) else "skipped")


MISTAKES = [
    ("max_pool2d", "forward", "undilated", "dilation ignored"),
    ("max_pool2d", "forward", "scattered", "indices counted over the channels too"),
    ("max_pool1d", "backward", "undilated", "grad_x ignores the dilation"),
    ("avg_pool2d", "forward", "undivided", "divisor_override ignored"),
    ("avg_pool3d", "backward", "undivided", "gradient ignores divisor_override"),
    ("adaptive_avg_pool2d", "forward", "swapped", "output size of height and width swapped"),
    ("adaptive_max_pool1d", "forward", "scattered", "indices counted over the channels too"),
    ("global_max_pool1d", "forward", "positive", "negative outputs set to zero"),
    ("global_avg_pool2d", "forward", "squeezed", "spatial axes dropped"),
    ("unfold", "forward", "exchanged", "stride and dilation exchanged"),
    ("unfold", "backward", "undilated", "grad_x: dilation ignored"),
    ("fold", "forward", "taps_first",
     "rows in the order (taps, channels) where it is (channels, taps)"),
    ("fold", "backward", "exchanged", "grad_x: stride and dilation exchanged"),
    ("pad", "forward", "worthless", "value ignored"),
    ("pad", "backward", "zero_mode", "grad_x cropped, and what was copied into the padding lost"),
    ("batch_norm", "forward", "one_eps", "eps taken for 1e-5 always"),
    ("batch_norm", "forward", "reversed", "momentum reversed in the running mean and variance"),
    ("batch_norm", "backward", "averaged", "grad_bias averaged over the values of a channel"),
]  # fmt: skip


@pytest.mark.parametrize("op, role, mistake, name", MISTAKES)
def test_a_mistake_is_found_and_named(run, op, role, mistake, name):
    wrong, right = f"{PROGRAM} {mistake}", f"{PROGRAM} right"
    commands = (wrong,) if role == "forward" else (right, "--backward", wrong)
    status, out = verified(run, *commands, "--op", op, *QUICK)
    assert status == 1
    assert f"\n  looks like  {name}\n" in out
    assert ": 1 found\n" in out
    id = re.search(r"--replay ([0-9a-f]+)\n", out).group(1)
    status, out, _ = run("verify", "--exec", commands[0], "--replay", id)
    assert (status, out.partition("\n")[0]) == (1, f"{commands[0]} still fails")


def test_what_comes_after_y_is_all_there_or_left_out():
    indices = np.arange(3, dtype=np.int64)
    data = np.ones(3, np.float32).tobytes() + indices.tobytes()
    answer = wire.Answer(("y",), 99, ("indices",))
    answer.feed(b"toeplitz 1 ok float32 y=3 indices=3\n" + data)
    y, found = answer.outcome().value
    assert (y.tolist(), found.tolist(), found.dtype) == ([1, 1, 1], [0, 1, 2], np.int64)
    alone = wire.Answer(("y",), 99, ("indices",))
    alone.feed(b"toeplitz 1 ok float32 y=3\n" + data[:12])
    assert alone.outcome().value.tolist() == [1, 1, 1]
    with pytest.raises(wire.Wrong, match=r"^answered with y argmax, should be y, or y indices$"):
        wire.Answer(("y",), 99, ("indices",)).feed(b"toeplitz 1 ok float32 y=3 argmax=3\n")
    told = "^answered with y new_mean, should be y, or y new_mean new_var$"
    with pytest.raises(wire.Wrong, match=told):
        wire.Answer(("y",), 99, ("new_mean", "new_var")).feed(
            b"toeplitz 1 ok float32 y=3 new_mean=3\n"
        )


def test_a_program_without_files_for_what_comes_after_y(tmp_path):
    path = tmp_path / "norm.py"
    path.write_text(
        "import sys, numpy as np\n"
        "request, answer, *more = sys.argv[1:]\n"
        "x = np.load(request)['x']\n"
        "for name in [answer, *more[:int(x.shape[0] == 3)]]: np.save(name, x)\n"
    )
    with Program(f"{sys.executable} {path}", protocol="files", limit=60) as program:
        case = case_of("batch_norm")
        assert program.forward(case).value.shape == (2, 2, 3)
        outcome = program.forward(case.but(batch=3))
    assert (outcome.kind, outcome.message) == (
        "wrong type", "ended with status 0 and wrote no new_var.npy",
    )  # fmt: skip


def test_right_answers_of_a_function_and_a_program_are_the_same():
    def maxima(x, kernel_size, **given):
        pool = toeplitz.MaxPool(x.shape[1:], kernel_size, **given)
        return pool.apply(x), pool.indices(x)

    case = case_of("max_pool2d")
    here = Callables(maxima).forward(case).value
    with Program(f"{PROGRAM} right", limit=60) as program:
        there = program.forward(case).value
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other)
