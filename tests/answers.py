"""What the tests of the adapters share: whether a suspect's answers are right."""

import numpy as np
from hypothesis import Phase, assume, given, settings

from verify.ops import OPS
from verify.strategies import Space, cases
from verify.suspect import Outcome, missing

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
