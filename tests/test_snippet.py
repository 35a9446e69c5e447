"""The lines that a finding offers for pasting: they run, and show what the judge saw."""

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest

import toeplitz
from verify.case import Case
from verify.data import LAYOUTS
from verify.judgement import judge_backward, judge_forward
from verify.laws import items_independent
from verify.ops import OPS
from verify.report import Finding
from verify.snippet import snippet
from verify.suspect import Callables
from verify.violation import Violation

CASE = Case(
    OPS["conv2d"],
    toeplitz.Conv((2, 3, 4), (2, 1, 2, 3), stride=(2, 1), padding=(1, 0), groups=2),
    batch=2,
)


def doubled(x, w, b=None, **arguments):
    return toeplitz.functional.conv2d(x, w, b, **arguments) * x.dtype.type(2)


def flipped(g, x, w, **arguments):
    conv = toeplitz.Conv(x.shape[1:], w.shape, **arguments)
    return tuple(-part for part in conv.gradients(g, x, w))


def run(lines, **given):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(lines, given)
    return told.getvalue().strip()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "complex64", "bfloat16"])
def test_a_forward_call_prints_what_the_judge_saw(layout, dtype, need):
    if dtype == "bfloat16":
        need("ml_dtypes")
    case = CASE.but(layout=layout, dtype=dtype, bias=True)
    violation = judge_forward(Callables(doubled), case).violation
    printed = run(snippet(violation, "doubled"), doubled=doubled)
    value, _, should = printed.partition(" should be ")
    assert complex(value) == violation.got
    assert complex(should) == violation.should


@pytest.mark.parametrize("which", range(3))
def test_a_backward_call_is_spelled_out(which):
    violation = judge_backward(Callables(doubled, flipped), CASE)[which].violation
    printed = run(snippet(violation, "doubled"), backward=flipped)
    assert printed == f"{violation.got} should be {violation.should}"


def test_a_shape_and_a_dtype_are_shown():
    def narrow(x, w, b=None, **arguments):
        return doubled(x, w, b, **arguments).astype(np.float32)

    def short(x, w, b=None, **arguments):
        return doubled(x, w, b, **arguments)[..., 1:]

    for function, shown in ((narrow, "float32 should be float64"),
                            (short, "(2, 2, 2, 1) should be (2, 2, 2, 2)")):  # fmt: skip
        violation = judge_forward(Callables(function), CASE).violation
        assert run(snippet(violation, "f"), f=function) == shown


def test_not_a_number_and_empty_arrays_are_written():
    case = CASE.but(data="nan", at=(1,))
    assert "from numpy import inf, nan" in snippet(Violation("CV160", case), "f").splitlines()
    assert "x = np.zeros((0, 2, 3, 4))" in snippet(Violation("CV171", CASE.but(batch=0)), "f")


def test_what_a_call_writes_to_is_shown_before_and_after():
    def squares(x, w, b=None, **arguments):
        x *= x
        w[:] = 0
        return toeplitz.functional.conv1d(x, w, b, **arguments)

    small = Case(OPS["conv1d"], toeplitz.Conv((1, 2), (1, 1, 1)), seed=2)
    violation = judge_forward(Callables(squares), small).violation
    assert (violation.code, violation.note) == ("CV150", "wrote to x, w")
    x, w = small.arrays.x, small.arrays.w
    printed = run(snippet(violation, "f"), f=squares)
    assert printed == f"{x * x} should be {x}\n{w * 0} should be {w}"
    assert snippet(replace(violation, note="readonly arguments"), "f").splitlines()[-1] == (
        "y = f(x, w)"
    )


def test_an_item_is_shown_in_the_batch_and_alone():
    def first(x, w, b=None, **arguments):
        return toeplitz.functional.conv2d(x[:1].repeat(len(x), axis=0), w, b, **arguments)

    violation = items_independent(Callables(first), CASE)
    assert violation.where[0] == 1
    printed = run(snippet(violation, "f"), f=first)
    assert printed == f"{violation.got} in the batch, {violation.should} alone"
    assert (
        f"  where       y[{', '.join(map(str, violation.where))}] = {violation.got} in the batch, "
        f"{violation.should} where item 1 is given alone\n"
    ) in str(Finding(violation, "f"))


def test_what_one_call_does_not_show_has_no_lines():
    assert snippet(Violation("CV153", CASE), "f") == ""
    wide = CASE.but(layer=toeplitz.Conv((1, 9, 9), (1, 1, 1, 1)))
    assert snippet(Violation("CV101", wide), "f") == ""
