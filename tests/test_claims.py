"""What a run is asked to do, and how a question that makes no sense is refused."""

import re

import numpy as np
import pytest

import verify
from toeplitz import Conv, cli
from toeplitz.functional import conv2d
from verify.claims import space_of
from verify.ops import OPS
from verify.suspect import Callables

WANTED = "supports must give {} an integer of {} or more, or several as (1, 2): got {}"


@pytest.mark.parametrize(
    "name, value, least",
    [("stride", 0, 1), ("stride", (), 1), ("kernel", 0, 1), ("groups", (1, 0), 1),
     ("dilation", -1, 1), ("padding", -1, 0), ("output_padding", (0, -1), 0)],
)  # fmt: skip
def test_what_no_axis_may_take_is_no_claim(name, value, least):
    with pytest.raises(ValueError, match=f"^{re.escape(WANTED.format(name, least, value))}$"):
        verify.check(conv2d, "conv2d", supports={name: value})


@pytest.mark.parametrize("value", ["a", 1.5, None, (1, "2")])
def test_what_is_no_integer_is_no_claim(value):
    with pytest.raises(TypeError, match=f"^{re.escape(WANTED.format('stride', 1, repr(value)))}$"):
        verify.check(conv2d, "conv2d", supports={"stride": value})


def test_claims_are_a_mapping_or_a_function():
    sentence = (
        "supports must be a mapping such as {'stride': (1, 2)}, or a function of the case: "
        "got 'stride=1'"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        verify.check(conv2d, "conv2d", supports="stride=1")


@pytest.mark.parametrize(
    "value, meant",
    [(2, (2,)), ((1, 2), (1, 2)), ([3], (3,)), (range(1, 3), (1, 2)), ({1}, (1,)),
     (np.int64(2), (2,)), (np.array(2), (2,)), (np.array([1, 2]), (1, 2))],
)  # fmt: skip
def test_one_integer_or_any_row_of_them_is_a_claim(value, meant):
    space = space_of(OPS["conv2d"], {"stride": value}, Callables(conv2d))
    assert space.allowed == {"stride": meant}


@pytest.mark.parametrize(
    "option, least, value, error",
    [("max_examples", 1, 0, ValueError), ("max_examples", 1, -5, ValueError),
     ("max_examples", 1, "a", TypeError), ("seed", 0, -1, ValueError),
     ("seed", 0, "a", TypeError)],
)  # fmt: skip
def test_a_run_takes_whole_numbers(option, least, value, error):
    sentence = f"^{option} must be an integer of {least} or more: got {value!r}$"
    with pytest.raises(error, match=sentence):
        verify.check(conv2d, "conv2d", **{option: value})
    with pytest.raises(error, match=sentence):
        verify.diagnose(conv2d, Conv((1, 4, 4), (1, 1, 2, 2)), **{option: value})


@pytest.mark.parametrize(
    "option, least, value",
    [("--max-examples", 1, "a"), ("--max-examples", 1, "0"), ("--seed", 0, "-1"),
     ("--seed", 0, "1.5")],
)  # fmt: skip
def test_so_does_the_command_line(option, least, value, capsys):
    assert cli.main(("verify", "toeplitz.functional:conv2d", option, value)) == 2
    assert capsys.readouterr().err == (
        f"toeplitz: {option} must be an integer of {least} or more: got {value!r} "
        "(see toeplitz verify --help)\n"
    )


def test_a_run_of_one_example_has_no_more_cases_than_one_of_twenty():
    cases = [verify.check(conv2d, "conv2d", max_examples=count).cases for count in (1, 20)]
    assert cases[0] == cases[1] < 200
