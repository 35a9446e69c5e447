"""The indices that a max pool returns after y, beside the y that it returns."""

from math import prod

import numpy as np

from verify.case import Case
from verify.judgement import judge_forward
from verify.suspect import Suspect


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
