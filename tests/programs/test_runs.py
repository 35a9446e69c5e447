"""Whole runs: right programs are acquitted, the mistakes of others are named."""

import re

import numpy as np
import pytest
from programs.calling import CASE, SAID, verified

from verify.program import Program
from verify.suspect import Callables


def test_the_example_in_c_is_right(run, built, homework):
    program = built("conv2d")
    options = ("--backward", program, "--max-examples", "200")
    status, out = verified(run, program, *options)
    assert (status, out.partition("\n")[0]) == (0, f"{program} as conv2d: nothing found")
    assert int(re.search(r"cases +(\d+)", out).group(1)) >= 200
    assert "not covered" not in out
    assert list(homework.iterdir()) == []


def test_the_example_in_c_is_right_started_for_each_request(run, built):
    program = built("conv2d")
    options = ("--protocol", "once", "--max-examples", "20", "--time", "5")
    status, out = verified(run, program, *options)
    assert (status, out.partition("\n")[0]) == (0, f"{program} as conv2d: nothing found")


def test_a_program_with_files_is_right(run, by_files):
    options = ("--protocol", "files", "--max-examples", "5", "--time", "1")
    status, out = verified(run, f"{by_files} right", *options)
    assert (status, out.partition("\n")[0]) == (0, f"{by_files} right as conv2d: nothing found")


def test_the_same_comes_out_as_of_a_function(built):
    program = built("conv2d")
    right = Callables(lambda x, w, b=None, **a: CASE.layer.apply(x, w, b))
    for protocol in ("stdio", "once"):
        with Program(program, protocol=protocol, limit=20) as suspect:
            for changes in ({}, {"w": np.ones((1, 1, 1, 2))}):
                here, there = (s.forward(CASE, **changes) for s in (right, suspect))
                np.testing.assert_array_equal(here.value, there.value)
            assert suspect.backward(CASE).kind == "unsupported"  # none was given


MISTAKES = {
    "height stride used for both axes": ("int back =", "stride[1] = stride[0]; int back ="),
    "padding ignored along the height": ("int back =", "padding[0] = 0; int back ="),
    "every group reads the first group's channels": ("o / outputs * inputs + k", "k"),
    "kernel flipped": (
        "*weight = at(w, o, k, a, b);",
        "*weight = at(w, o, k, w->size[2] - 1 - a, w->size[3] - 1 - b);",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_c_is_found_and_named(run, built, name):
    program = built("mistaken", *MISTAKES[name])
    status, out = verified(run, program, "--max-examples", "100")
    assert status == 1
    assert f"\n  looks like  {name}\n" in out
    assert re.match(f"CV10[12] {re.escape(program)} ", out)
    assert "import numpy" not in out
    id = re.search(f"toeplitz verify --exec {program} --replay ([0-9a-f]+)\n", out).group(1)
    replayed = run("verify", "--exec", program, "--replay", id)
    assert replayed[0] == 1
    assert replayed[1].startswith(f"{program} still fails\n\n")
    built("mistaken")
    replayed = run("verify", "--exec", program, "--replay", id)
    assert replayed[0] == 0
    assert replayed[1].startswith(f"{program} no longer fails: ")


def test_the_pool_in_c_is_right(run, built):
    program = built("max_pool2d", example="max_pool2d.c")
    for options in (("--backward", program), ("--protocol", "once")):
        rest = ("--op", "max_pool2d", "--max-examples", "40", "--time", "5")
        status, out = verified(run, program, *options, *rest)
        assert (status, out.partition("\n")[0]) == (0, f"{program} as max_pool2d: nothing found")


POOL_MISTAKES = {
    "ceil_mode ignored": ("(ceil_mode ? s - 1 : 0)", "0"),
    "indices of the last of equal maxima": ("plane[at] > plane[best]", "plane[at] >= plane[best]"),
    "indices in the padded plane": (
        "fwrite(indices, ", "for (long o = 0; o < outputs; o++) indices[o] = (indices[o] / "
        "x_size[3] + padding[0]) * (x_size[3] + 2 * padding[1]) + indices[o] % x_size[3] "
        "+ padding[1];\n        fwrite(indices, ",
    ),
    "grad_x overwrites where windows overlap": ("indices[o]] += g[o]", "indices[o]] = g[o]"),
}  # fmt: skip


@pytest.mark.parametrize("name", POOL_MISTAKES)
def test_a_mistake_of_the_pool_in_c_is_found_and_named(run, built, name):
    program = built("mistaken", *POOL_MISTAKES[name], example="max_pool2d.c")
    options = ("--backward", program) if "grad" in name else ("--protocol", "once")
    status, out = verified(run, program, *options, "--op", "max_pool2d", "--max-examples", "60")
    assert status == 1
    assert f"\n  looks like  {name}\n" in out
    assert ": 1 found\n" in out


def test_a_wrong_gradient_in_c_is_found(run, built):
    change = ("*at(grad_w, o, k, a, b) += *out * *in;", "*at(grad_w, o, k, a, b) = *out * *in;")
    program = built("careless", *change)
    status, out = verified(run, program, "--backward", program, "--max-examples", "30")
    assert status == 1
    assert out.startswith(f"CV141 the backward pass of {program} has a wrong gradient to w\n")
    id = re.search("--replay ([0-9a-f]+)\n", out).group(1)
    assert run("verify", "--exec", program, "--replay", id)[0] == 1


def test_a_crash_is_a_finding_and_the_run_goes_on(run, built):
    change = ("    int single = strcmp(dtype, \"float32\") == 0;\n    take(&x, &bytes, single);",
              "    int single = strcmp(dtype, \"float32\") == 0;\n"
              "    if (x.size[0] == 0) { fputs(\"no items\\n\", stderr); abort(); }\n"
              "    take(&x, &bytes, single);")  # fmt: skip
    program = built("aborting", *change)
    status, out = verified(run, program, "--max-examples", "60")
    assert status == 1
    assert out.startswith(f"CV190 {program} crashes\n")
    assert "\n  seen        killed by signal SIGABRT before its answer: no items\n" in out
    assert "1 found" in out


def test_a_program_that_does_nothing_yet_is_not_judged(run, bad):
    told = (
        rf"toeplitz: {re.escape(bad)} unsupported was not judged: it supports none of \d+ calls\n"
    )
    status, out, err = run("verify", "--exec", f"{bad} unsupported", "--max-examples", "5")
    assert (status, out) == (2, "")
    assert re.fullmatch(told, err)


def test_another_op_than_the_examples_is_told_by_it(run, built):
    program = built("conv2d")
    options = ("--op", "linear", "--max-examples", "3", "--time", "1")
    status, out = verified(run, program, *options)
    assert (status, out.partition("\n")[0]) == (1, f"CV190 {program} crashes")
    told = "exited with status 1 before its answer: this is no request for conv2d"
    assert f"\n  seen        {told}\n" in out


def test_a_program_on_the_path_is_called_one(run):
    options = ("--op", "linear", "--max-examples", "3", "--time", "1")
    status, out = verified(run, "yes", *options)
    assert (status, out.partition("\n")[0]) == (
        1, "CV104 the program yes does not return an array",
    )  # fmt: skip
    assert f"\n  seen        wrote 'y' {SAID}\n" in out
    assert "import numpy" not in out


USAGE = {
    (): "give a TARGET, or a program with --exec: got neither",
    ("a:b", "--exec", "true"): "give a TARGET, or a program with --exec: got both",
    ("a:b", "--protocol", "once"): "--protocol goes with --exec only",
    ("--exec", "true", "--in-process"): "--in-process does not go with --exec",
    ("--exec", "true", "--adapter", "numpy"): "--adapter does not go with --exec",
}


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_a_usage_error_is_one_sentence(run, arguments):
    told = f"toeplitz: {USAGE[arguments]} (see toeplitz verify --help)\n"
    assert run("verify", *arguments) == (2, "", told)


def test_a_failure_is_replayed_by_what_it_is_of(run, bad, homework):
    (homework / "mine.py").write_text("def f(x, w): return x")
    quick = ("--op", "linear", "--max-examples", "5", "--time", "1")
    ids = []
    for arguments in (("mine:f",), ("--exec", f"{bad} other_shape")):
        status, out, err = run("verify", *arguments, *quick)
        assert (status, err) == (1, "")
        ids.append(re.search("--replay ([0-9a-f]+)\n", out).group(1))
    told = f"toeplitz: the failure {ids[0]} is no program's: give a TARGET\n"
    assert run("verify", "--exec", "true", "--replay", ids[0]) == (2, "", told)
    told = f"toeplitz: the failure {ids[1]} is a program's: give it with --exec\n"
    assert run("verify", "mine:f", "--replay", ids[1]) == (2, "", told)
