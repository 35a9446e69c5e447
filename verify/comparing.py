"""A result beside what is right: shape, dtype and values, exactly or within a derived bound."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from verify.case import Case
from verify.data import EXACT, HALVES, NON_FINITE, gamma, numpy_dtype, unit
from verify.rounding import (
    HALF_DTYPES,
    Scale,
    arithmetic,
    bound,
    least_broken,
    may_be_rounding,
    scale_forward,
    scales_backward,
)  # fmt: skip
from verify.violation import Judgement, Violation, differs

WIDER = {
    "float16": "float32",
    "bfloat16": "float32",
    "float32": "float64",
    "complex64": "complex128",
}


def compare(
    case: Case,
    what: str,
    got: Any,
    expected: Any,
    code: str,
    algorithm: str = "auto",
    scale: Callable[[], Scale] | None = None,
    judge: Callable[[Case], Judgement] | None = None,
) -> tuple[Violation | None, str | None]:
    """Shape, dtype and values of one result; judge: the same result of another case."""
    if got.shape != expected.shape:
        note = f"{what} has shape {got.shape}, should be {expected.shape}"
        code = "CV102" if what == "y" else code
        return Violation(code, case, what, got=got.shape, should=expected.shape, note=note), None
    if what == "indices" and got.dtype.kind in "iu":
        got = got.astype(expected.dtype)
    elif not _same_kind(got.dtype, numpy_dtype(case.dtype)):
        note = f"{what} has dtype {got.dtype}, should be {case.dtype} as its arguments"
        return Violation(
            "CV103", case, what, got=str(got.dtype), should=case.dtype, note=note
        ), None
    wide = got.astype(expected.dtype) if got.dtype.kind == "V" else got
    if np.array_equal(wide, expected):
        return None, "direct"
    if case.data in NON_FINITE and (what == "y" or case.op.weighted):
        return _non_finite(case, what, wide, expected), None
    if not case.op.weighted:
        return _bounded(case, what, wide, expected, code)
    assert scale is not None  # what has weights is compared with both
    assert judge is not None
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(wide - expected)
    if case.data in HALVES and case.dtype in HALF_DTYPES:
        most = _rounded_once(case, expected, scale(), judge(case.but(dtype=WIDER[case.dtype])))
        if bool((error <= most).all()):
            return None, None
        broken = differs(code, case, what, wide, expected, error > most)
        return replace(broken, note=_told_once(case, broken, most)), None
    exact = case.data in EXACT
    # A fast algorithm in float32 rounds long sums by more than a half.
    small = exact and (case.data != "long sums" or case.dtype == "float64")
    seen = arithmetic(error, scale(), case.dtype, algorithm, small)
    if seen is None and small and may_be_rounding(error, scale(), case.dtype, algorithm):
        seen = _clearer(case, judge)
    if seen is not None:
        return None, seen
    if not exact:
        most = least_broken(error, scale(), case.dtype, algorithm)
        broken = differs(code, case, what, wide, expected, ~(error <= most))
        return replace(broken, note=_told_off(broken, most)), None
    differ = ~(wide == expected)
    if bool(np.isfinite(error).all()) and algorithm == "auto":
        differ = error >= 0.5 if bool((error >= 0.5).any()) else differ
    return differs(code, case, what, wide, expected, differ), None


def _bounded(
    case: Case, what: str, got: Any, expected: Any, code: str
) -> tuple[Violation | None, str | None]:
    """The values of a layer without weights, whose arrays know how far off they may be."""
    with np.errstate(invalid="ignore", over="ignore"):
        most = np.broadcast_to(case.arrays.bound(what), expected.shape)
        # Where it is infinite nothing can be said, not of NaN either.
        differ = ~((np.abs(got - expected) <= most) | (most == np.inf))
    if bool(differ.any()):
        broken = differs(code, case, what, got, expected, differ)
        if case.data == "rounding":
            broken = replace(broken, note=_told_off(broken, most))
        return broken, None
    return None, "direct"


def _rounded_once(case: Case, expected: Any, scale: Scale, wider: Judgement) -> Any:
    """How far sums of halves may be off: kept in float32 and rounded once, nothing else.

    A fast algorithm's are off in float32 too, and may be as much more.
    """
    most = bound(scale, case.dtype, "direct")
    got = wider.outcome.value
    if wider.outcome.ok and isinstance(got, np.ndarray) and got.shape == expected.shape:
        single = np.abs(got - expected)
        most = most + np.where(np.isfinite(single), single, 0)
    return most


def _told_off(broken: Violation, most: Any) -> str:
    """How far off a value is, beside its bound; nothing of NaN and infinities."""
    off = abs(broken.got - broken.should)
    if not np.isfinite(off):
        return ""
    return f"off by {off:.3g}, where rounding explains at most {most[broken.where]:.3g}"


def _told_once(case: Case, broken: Violation, most: Any) -> str:
    allowed, off = most[broken.where], abs(broken.got - broken.should)
    return (
        f"{case.dtype} values summed in float32 and rounded once are off by at most "
        f"{allowed:.3g}: this is off by {off:.3g}, so sums were rounded on the way"
    )


def _clearer(case: Case, judge: Callable[[Case], Judgement]) -> str | None:
    """The arithmetic of a result off by a whole unit that a fast algorithm's rounding allows too.

    The same geometry in a wider dtype decides, or on smaller numbers: there a mistake is still a
    mistake, and rounding is less. Where nothing answers, there is no mistake to prove.
    """
    for other in _less_rounding(case):
        judged = judge(other)
        if judged.outcome.ok:
            return judged.arithmetic  # None of what is wrong there too
    return "fft"


def _less_rounding(case: Case) -> Iterator[Case]:
    if case.dtype in WIDER:
        yield case.but(dtype=WIDER[case.dtype])
    if case.data != "signs":
        yield case.but(data="signs")


def _non_finite(case: Case, what: str, got: Any, expected: Any) -> Violation | None:
    """Outputs that read the NaN or infinity show it, the others stay finite and right."""
    finite = np.isfinite(expected)
    hidden = np.isfinite(got) & ~finite
    if bool(hidden.any()):
        return differs("CV160", case, what, got, expected, hidden)
    spread = ~np.isfinite(got) & finite
    if bool(spread.any()):
        return differs("CV161", case, what, got, expected, spread)
    return None


def _same_kind(got: Any, wanted: Any) -> bool:
    """The dtype itself; for integers any integer dtype that is as wide."""
    if wanted.kind in "iu":
        return got.kind in "iu" and got.itemsize >= wanted.itemsize
    return bool(got == wanted)


def imprecise(violation: Violation) -> bool:
    """Whether a value is off by no more than sums in eight bits may be."""
    case, where = violation.case, violation.where
    if where is None or not case.op.weighted:
        return False
    scale = scale_forward(case)
    if violation.backward:
        scale = scales_backward(case)[case.op.arrays.gradients.index(violation.what)]
    most = gamma(scale.terms, unit("bfloat16")) * scale.magnitude[where]
    return bool(abs(violation.got - violation.should) <= most)
