"""What one call comes to: it answers, writes to nothing, and returns what the layer gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from verify.case import EXACT, HALVES, NON_FINITE, Case, numpy_dtype
from verify.rounding import (
    HALF_DTYPES,
    Scale,
    arithmetic,
    bound,
    may_be_rounding,
    scale_forward,
    scales_backward,
)
from verify.suspect import Outcome, Suspect

GRADIENTS = ("grad_x", "grad_w", "grad_b")
DIRT = 1000000007.0  # what freed memory holds before a call
WIDER = {
    "float16": "float32",
    "bfloat16": "float32",
    "float32": "float64",
    "complex64": "complex128",
}
SPARE = 8  # freed arrays: as many as numpy keeps of one size


@dataclass(frozen=True)
class Violation:
    """A law broken on a case.

    what: the array it is about. where: one place, as an index; got and should: the values there;
    wrong, of: how many values differ. note: a sentence where these don't tell it all.
    """

    code: str
    case: Case
    what: str = "y"
    where: tuple[int, ...] | None = None
    got: Any = None
    should: Any = None
    wrong: int = 0
    of: int = 0
    note: str = ""


@dataclass(frozen=True)
class Judgement:
    """What one call of a case came to: a violation or none, and the arithmetic that was seen."""

    outcome: Outcome
    violation: Violation | None = None
    arithmetic: str | None = None


def judge_forward(suspect: Suspect, case: Case, algorithm: str = "auto") -> Judgement:
    """The laws of one forward call: it answers, writes to nothing, and y is T(w) x + b."""
    dirty(case)
    outcome = suspect.forward(case)
    if outcome.kind == "unsupported":
        return Judgement(outcome)
    broken = _answers(case, outcome) or _pure(case, outcome)
    if broken is None and not isinstance(outcome.value, np.ndarray):
        broken = Violation("CV104", case, note="f returned a tuple of arrays: y alone is wanted")
    if broken:
        return Judgement(outcome, broken)
    broken, seen = _compare(
        case, "y", outcome.value, case.arrays.y, "CV101", algorithm, lambda: scale_forward(case),
        lambda other: judge_forward(suspect, other, algorithm),
    )  # fmt: skip
    return Judgement(outcome, broken, seen)


def dirty(case: Case, value: float = DIRT) -> None:
    """Leave no zeros in freed memory of the result's size: what is not written must show."""
    shape = (case.batch, *case.layer.output_shape)
    kinds = {numpy_dtype(case.dtype), np.dtype(np.float64)}
    with np.errstate(over="ignore", invalid="ignore"):
        kept = [np.full(shape, value, kind) for kind in kinds for _ in range(SPARE)]
    del kept


def judge_backward(suspect: Suspect, case: Case, algorithm: str = "auto") -> list[Judgement]:
    """The laws of one backward call, a judgement for each gradient."""
    outcome = suspect.backward(case)
    if outcome.kind == "unsupported":
        return [Judgement(outcome)]
    broken = _answers(case, outcome) or _pure(case, outcome)
    if broken is None and (not isinstance(outcome.value, tuple) or len(outcome.value) != 3):
        broken = Violation(
            "CV104", case, note="backward must return the three arrays (grad_x, grad_w, grad_b)"
        )
    if broken:
        return [Judgement(outcome, replace(broken, what="backward"))]
    judged = []
    codes = ("CV140", "CV141", "CV142")
    for index, (name, code) in enumerate(zip(GRADIENTS, codes, strict=True)):
        expected = case.arrays.gradients[index]
        broken, seen = _compare(
            case, name, outcome.value[index], expected, code, algorithm,
            partial(_scale_of_gradient, case, index),
            partial(_judge_gradient, suspect, algorithm, index),
        )  # fmt: skip
        judged.append(Judgement(Outcome("value", outcome.value[index]), broken, seen))
    return judged


def _scale_of_gradient(case: Case, index: int) -> Scale:
    return scales_backward(case)[index]


def _judge_gradient(suspect: Suspect, algorithm: str, index: int, case: Case) -> Judgement:
    judged = judge_backward(suspect, case, algorithm)
    return judged[index if len(judged) > 1 else 0]


def _answers(case: Case, outcome: Outcome) -> Violation | None:
    """The call returns arrays, and neither raises nor dies."""
    codes = {"raised": "CV171", "crash": "CV190", "hang": "CV191", "wrong type": "CV104"}
    if outcome.kind in codes:
        return Violation(codes[outcome.kind], case, note=outcome.message)
    return None


def _pure(case: Case, outcome: Outcome) -> Violation | None:
    """The call writes to none of its arguments."""
    if outcome.mutated:
        return Violation("CV150", case, note=f"wrote to {', '.join(outcome.mutated)}")
    return None


def _compare(
    case: Case,
    what: str,
    got: Any,
    expected: Any,
    code: str,
    algorithm: str,
    scale: Callable[[], Scale],
    judge: Callable[[Case], Judgement],
) -> tuple[Violation | None, str | None]:
    """Shape, dtype and values of one result; judge: the same result of another case."""
    if got.shape != expected.shape:
        note = f"{what} has shape {got.shape}, should be {expected.shape}"
        code = "CV102" if what == "y" else code
        return Violation(code, case, what, got=got.shape, should=expected.shape, note=note), None
    if not _same_kind(got.dtype, numpy_dtype(case.dtype)):
        note = f"{what} has dtype {got.dtype}, should be {case.dtype} as its arguments"
        return Violation(
            "CV103", case, what, got=str(got.dtype), should=case.dtype, note=note
        ), None
    wide = got.astype(expected.dtype) if got.dtype.kind == "V" else got
    if np.array_equal(wide, expected):
        return None, "direct"
    if case.data in NON_FINITE:
        return _non_finite(case, what, wide, expected), None
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(wide.astype(np.result_type(expected.dtype, wide.dtype)) - expected)
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
    differ = ~(wide == expected) if exact else ~(error <= error.min())
    if exact and bool(np.isfinite(error).all()) and algorithm == "auto":
        differ = error >= 0.5 if bool((error >= 0.5).any()) else differ
    return differs(code, case, what, wide, expected, differ), None


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
            return None if judged.violation else judged.arithmetic
    return "fft"


def _less_rounding(case: Case) -> Iterator[Case]:
    if case.dtype in WIDER:
        yield case.but(dtype=WIDER[case.dtype])
    if case.data != "signs":
        yield case.but(data="signs")


def is_array(outcome: Outcome) -> bool:
    """Whether a call returned one array."""
    return outcome.ok and isinstance(outcome.value, np.ndarray)


def wide(array: Any) -> Any:
    """The array in float64 or complex128."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def differs(code: str, case: Case, what: str, got: Any, expected: Any, differ: Any) -> Violation:
    """The violation that some values differ, told at the first place."""
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(differ)), differ.shape))
    return Violation(
        code,
        case,
        what,
        where,
        got[where].item(),
        expected[where].item(),
        int(differ.sum()),
        differ.size,
    )


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
