"""Failures that have one cause: it is told once."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from verify.case import Case
from verify.judgement import judge_forward
from verify.suspect import Suspect
from verify.violation import Violation

ENDED = ("CV171", "CV190", "CV191")  # calls without an answer


def both_ways(failures: Mapping[tuple[str, bool], Any]) -> tuple[str, ...]:
    """The codes of calls that end alike in the backward pass and in the forward pass.

    Wherever the backward pass ends, the forward pass ended on the same case and said the same: it
    is called there, or both call what ends.
    """
    return tuple(
        code
        for code in ENDED
        if (code, False) in failures
        and (code, True) in failures
        and _ends(failures[code, True]) <= _ends(failures[code, False])
    )


def _ends(failures: Any) -> set[tuple[Case, str]]:
    found: list[Violation] = [violation for _, violation in failures.violations]
    return {(violation.case, violation.note) for violation in found}


def lead_to_values(suspect: Suspect, case: Case) -> bool:
    """Whether y is wrong and each index is where x has that value: right of what y is."""
    outcome = suspect.forward(case)
    if case.op.family != "max_pool" or not outcome.ok or not isinstance(outcome.value, tuple):
        return False
    y, found = outcome.value
    x = case.given("x")["x"]
    flat = x.reshape(*x.shape[:2], prod(x.shape[2:]))
    if y.shape != found.shape or y.ndim != x.ndim or y.shape[:2] != x.shape[:2]:
        return False
    at = found.reshape(*flat.shape[:2], prod(y.shape[2:]))
    if at.dtype.kind not in "iu" or bool(((at < 0) | (at >= flat.shape[2])).any()):
        return False
    led = np.take_along_axis(flat, at.astype(np.int64), axis=2).reshape(y.shape)
    return np.array_equal(led, y) and judge_forward(suspect, case).violation is not None
