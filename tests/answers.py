"""What the tests of the adapters share: whether a suspect's answers are right."""

import re

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings

from toeplitz import Conv
from verify.case import Case
from verify.ops import OPS
from verify.strategies import Space, cases
from verify.suspect import Outcome, missing

# A convolution whose arguments all count, and calls of it that no layer answers.
CASE = Case(OPS["conv2d"], Conv((4, 5, 6), (6, 2, 2, 3), groups=2), batch=2, bias=True)
WRONG = {
    "channels of x": {"x": np.ones((2, 3, 5, 6))},
    "channels of w": {"w": np.ones((6, 4, 2, 3))},
    "outputs and groups": {"w": np.ones((5, 2, 2, 3))},
    "groups": {"groups": 4},
    "no groups": {"groups": 0},
    "stride 0": {"stride": 0},
    "dilation 0": {"dilation": 0},
    "padding -1": {"padding": -1},
    "three paddings": {"padding": (1, 1, 1)},
    "length of b": {"b": np.ones(5)},
    "axes of x": {"x": np.ones((2, 4, 5))},
    "axes of w": {"w": np.ones((6, 2, 2))},
    "kernel": {"w": np.ones((6, 2, 9, 9))},
}
FEW = settings(max_examples=10, phases=[Phase.explicit, Phase.generate])


def right(outcome, expected, dtype, exact=True):
    """Whether an outcome has the values, or says that it has none."""
    if outcome.kind == "unsupported":
        return True
    assert outcome.ok, outcome
    assert outcome.value.dtype.name == dtype
    assert outcome.value.shape == expected.shape
    error = np.abs(outcome.value.astype(np.complex128) - expected).max(initial=0)
    return error == 0 if exact else error < 0.5


def right_gradients(outcome, case):
    """Whether an outcome has the gradients, or says that it has none."""
    if outcome.kind == "unsupported":
        return True
    assert outcome.ok, outcome
    return all(
        right(Outcome("value", part), expected, case.dtype)
        for part, expected in zip(outcome.value, case.arrays.gradients, strict=True)
    )


def holds_on_cases(suspect, op, dtypes, exact=True, claimed=None):
    """Let it answer drawn cases, of those claimed, and return it; some must have an answer."""
    space = Space(OPS[op], predicate=claimed, without=frozenset(missing(suspect, OPS[op])))
    answered = 0

    @FEW
    @given(cases(space, dtypes=dtypes))
    def holds(case):
        assume(space.holds(case))
        nonlocal answered
        outcome = suspect.forward(case)
        answered += outcome.ok
        assert outcome.mutated == ()
        assert right(outcome, case.arrays.y, case.dtype, exact)
        if suspect.has_backward:
            assert right_gradients(suspect.backward(case), case)

    holds()
    assert answered > 0
    return suspect


def name_of(target):
    """The first part of a target's module."""
    return target.partition(":")[0].partition(".")[0]


def unsupported(outcome, sentence):
    """Assert that a call is said not to be done, in these words."""
    assert (outcome.kind, outcome.message) == ("unsupported", sentence)


def refused(load, sentence):
    """Assert that a target is refused in these words."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        load()
