"""The laws of NaN and infinities: an output that reads one shows it, the others are finite."""

import numpy as np

from verify.case import Case
from verify.data import NON_FINITE
from verify.judgement import judge_forward
from verify.suspect import Suspect
from verify.violation import Violation

CODES = ("CV160", "CV161")


def not_finite(suspect: Suspect, case: Case) -> Violation | None:
    """A NaN or an infinity in x shows in every output that reads it, and in no other."""
    x = case.arrays.x
    if not x.size or not case.dtype.startswith("float"):
        return None
    if case.op.weighted and not case.arrays.w.all():
        return None  # 0 inf is for those who read it a NaN, for those who skip zeros nothing
    if case.data in NON_FINITE:
        return _judged(suspect, case)
    # Anywhere, and in a corner, beside the padding.
    corner = x.size - 1 if case.seed % 2 else 0
    for data, place in (("nan", case.seed % x.size), (("inf", "-inf")[case.seed % 2], corner)):
        odd = case.but(data=data, at=(place,))
        broken = None if np.isfinite(odd.arrays.y).all() else _judged(suspect, odd)
        if broken:
            return broken
    return None


def unread_stays_out(suspect: Suspect, case: Case) -> Violation | None:
    """What no window reads shows nowhere.

    Only for who claims direct sums: products with zeros, as of a dense matrix or of a kernel
    lengthened to the stride, read it and lose nothing else.
    """
    if not case.arrays.x.size or not case.dtype.startswith("float") or not case.op.weighted:
        return None
    ones = np.ones((1, *case.layer.output_shape))
    read = case.layer.gradients(ones, np.ones((1, *case.layer.input_shape)),
                                np.ones(case.layer.weight_shape))[0]  # fmt: skip
    places = np.flatnonzero(read == 0)
    if not len(places):
        return None
    at = (int(places[case.seed % len(places)]),)
    return _judged(suspect, case.but(data=("nan", "inf", "-inf")[case.seed % 3], at=at))


def _judged(suspect: Suspect, case: Case) -> Violation | None:
    with np.errstate(invalid="ignore"):  # inf - inf is meant
        broken = judge_forward(suspect, case).violation
    return broken if broken and broken.code in CODES else None
