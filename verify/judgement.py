"""What one call comes to: it answers, writes to nothing, and returns what the layer gives."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from verify.case import Case
from verify.comparing import compare
from verify.data import numpy_dtype
from verify.rounding import Scale, scale_forward, scales_backward
from verify.suspect import Outcome, Suspect
from verify.violation import WROTE, Judgement, Violation

DIRT = 1000000007.0  # what freed memory holds before a call
FURTHER = 10  # the number of the first result after y, where gradients have 0, 1 and 2
AFTER_Y = ("CV106", "CV107")
NO_STATISTICS = "an empty batch has no statistics, whose gradients are asked"
SPARE = 8  # freed arrays: as many as numpy keeps of one size


def judge_forward(suspect: Suspect, case: Case, algorithm: str = "auto") -> Judgement:
    """The laws of one forward call: it answers, writes to nothing, and y is T(w) x + b."""
    dirty(case)
    outcome = suspect.forward(case)
    if outcome.kind == "unsupported":
        return Judgement(outcome)
    broken = _answers(case, outcome) or _pure(case, outcome)
    further: tuple[Any, ...] = ()
    if broken is None and not isinstance(outcome.value, np.ndarray):
        outcome, further, broken = _parted(case, outcome)
    if broken:
        return Judgement(outcome, broken)
    broken, seen = compare(
        case, "y", outcome.value, case.arrays.y, "CV101", algorithm, lambda: scale_forward(case),
        lambda other: judge_forward(suspect, other, algorithm),
    )  # fmt: skip
    after = tuple(_judge_after(case, number, got) for number, got in enumerate(further))
    return Judgement(outcome, broken, seen, after)


def _judge_after(case: Case, number: int, got: Any) -> Judgement:
    """What came after y."""
    what, expected = case.op.arrays.further[number], case.arrays.further[number]
    broken, seen = compare(case, what, got, expected, AFTER_Y[number])
    return Judgement(Outcome("value", got), broken, seen)


def right(case: Case, which: int | None) -> Any:
    """What is right: y (None), a gradient (0, 1, 2) or what comes after y (FURTHER and on)."""
    if which is None:
        return case.arrays.y
    return (
        case.arrays.further[which - FURTHER] if which >= FURTHER else case.arrays.gradients[which]
    )


def _parted(case: Case, outcome: Outcome) -> tuple[Outcome, tuple[Any, ...], Violation | None]:
    """A result of several arrays: y, and what may come after it."""
    further = case.op.arrays.further
    if further and len(outcome.value) == 1 + len(further):
        return replace(outcome, value=outcome.value[0]), outcome.value[1:], None
    wanted = f"y or (y, {', '.join(further)}) is" if further else "y alone is"
    note = f"f returned a tuple of {len(outcome.value)} arrays: {wanted} wanted"
    return outcome, (), Violation("CV104", case, note=note)


def dirty(case: Case, value: float = DIRT) -> None:
    """Leave no zeros in freed memory of the result's size: what is not written must show."""
    shape = (case.batch, *case.layer.output_shape)
    kinds = {numpy_dtype(case.dtype), np.dtype(np.float64)}
    with np.errstate(over="ignore", invalid="ignore"):
        kept = [np.full(shape, value, kind) for kind in kinds for _ in range(SPARE)]
    del kept


def judge_backward(suspect: Suspect, case: Case, algorithm: str = "auto") -> list[Judgement]:
    """The laws of one backward call, a judgement for each gradient."""
    if case.op.family == "norm" and not case.batch:
        return [Judgement(Outcome("unsupported", message=NO_STATISTICS))]
    outcome = suspect.backward(case)
    if outcome.kind == "unsupported":
        return [Judgement(outcome)]
    broken = _answers(case, outcome) or _pure(case, outcome)
    names = case.op.arrays.gradients
    value = outcome.value if isinstance(outcome.value, tuple) else (outcome.value,)
    if broken is None and len(value) != len(names):
        told = f"the three arrays ({', '.join(names)})" if len(names) > 1 else "the array grad_x"
        broken = Violation("CV104", case, note=f"backward must return {told}")
    if broken:
        return [Judgement(outcome, replace(broken, what="backward"))]
    judged = []
    codes = ("CV143",) if case.data == "ties" else ("CV140", "CV141", "CV142")
    for index, (name, code) in enumerate(zip(names, codes, strict=False)):
        expected = case.arrays.gradients[index]
        broken, seen = compare(
            case, name, value[index], expected, code, algorithm,
            partial(_scale_of_gradient, case, index),
            partial(_judge_gradient, suspect, algorithm, index),
        )  # fmt: skip
        judged.append(Judgement(Outcome("value", value[index]), broken, seen))
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
    """The call writes to none of its arguments; in training a norm may write its statistics."""
    if case.op.family == "norm" and set(outcome.mutated) <= {"running_mean", "running_var"}:
        return None
    if outcome.mutated:
        return Violation("CV150", case, note=f"{WROTE}{', '.join(outcome.mutated)}")
    return None
