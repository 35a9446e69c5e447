"""The laws that take several calls, each a small function with a stable code."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from verify.case import Case
from verify.data import LAYOUTS
from verify.judgement import DIRT, dirty, judge_backward, judge_forward
from verify.linearity import adjoint, linear_in_w, linear_in_x
from verify.non_finite import not_finite
from verify.suspect import Suspect
from verify.violation import Violation, differs, is_array, wide
from verify.wrong_calls import wrong_call_refused

Law: TypeAlias = Callable[[Suspect, Case], Violation | None]
GRADIENTS = ("CV140", "CV141", "CV142")
# Laws that take several calls; each is asked of cases that their single call got right, or to
# tell why it got them wrong.


def deterministic(suspect: Suspect, case: Case) -> Violation | None:
    """The same call gives the same bits, whatever freed memory holds."""
    results = []
    for value in (DIRT, -DIRT, DIRT / 2):
        dirty(case, value)
        results.append(suspect.forward(case))
    if not all(map(is_array, results)):
        return None
    first, second, third = (result.value for result in results)
    if _same_bits(first, second) and _same_bits(first, third):
        return None
    if first.shape == second.shape == third.shape and not _noise(first, second, third):
        return None  # each call adds the same: that is a state, and no chance
    return Violation("CV151", case, note="calls with the same arguments differ")


def without_history(suspect: Suspect, case: Case) -> Violation | None:
    """A call gives the same result whatever was called before, and leaves earlier results alone."""
    fresh = suspect.forward(case)
    if not is_array(fresh):
        return None
    kept = np.array(fresh.value)
    twice = suspect.forward(case)
    if is_array(twice) and not _same_bits(kept, twice.value):
        return Violation("CV153", case, note="the same call again gives another result")
    for other in _others(case):
        between = suspect.forward(other)
        if between.overwrote:
            note = "a result that was returned changed with the next call"
            return Violation("CV153", case, note=note)
        again = suspect.forward(case)
        if is_array(again) and not _same_bits(kept, again.value):
            note = f"the result differs after a call with {_told(case, other)}"
            return Violation("CV153", case, note=note)
    return None


def layout_independent(suspect: Suspect, case: Case) -> Violation | None:
    """The result depends on the values, not on how they lie in memory."""
    if judge_forward(suspect, case.but(layout="contiguous")).violation:
        return None
    for layout in LAYOUTS[1:]:
        broken = judge_forward(suspect, case.but(layout=layout)).violation
        if broken and broken.code in ("CV101", "CV102", "CV171"):
            if judge_forward(suspect, case.but(layout="contiguous")).violation:
                return None  # wrong now and then, however the arguments lie
            if not judge_forward(suspect, case.but(layout=layout)).violation:
                return None
            note = f"{layout} arguments; right with contiguous ones. {broken.note}".strip()
            return replace(broken, code=_layout_code(broken), note=note)
    return None


def _layout_code(broken: Violation) -> str:
    """What refuses read-only arguments only wants to write to them."""
    return "CV150" if broken.case.layout == "readonly" and broken.code == "CV171" else "CV152"


def items_independent(suspect: Suspect, case: Case) -> Violation | None:
    """Each item of a batch gives what it gives alone."""
    together = suspect.forward(case)
    if case.batch < 2 or not is_array(together) or len(together.value) != case.batch:
        return None
    one = case.but(layout="contiguous")
    if case.op.family == "norm" and case.layer.training:
        return None  # the statistics are those of all items
    for item in range(case.batch):
        alone = suspect.forward(one, x=case.arrays.x[item : item + 1])
        whole = together.value[item : item + 1]
        if is_array(alone) and alone.value.shape == whole.shape:
            differ = np.abs(wide(whole) - wide(alone.value)) >= 0.5
            if bool(differ.any()):
                note = f"item {item} of {case.batch} alone gives another result"
                found = differs("CV154", case, "y", whole, alone.value, differ)
                assert found.where is not None
                return replace(found, where=(item, *found.where[1:]), note=note)
    return None


def backward_without_history(suspect: Suspect, case: Case) -> Violation | None:
    """A backward call gives the same gradients again."""
    first, second = (judge_backward(suspect, case) for _ in range(2))
    for one, two in zip(first, second, strict=False):
        again = two.violation
        if not (
            again and again.code in GRADIENTS and is_array(one.outcome) and is_array(two.outcome)
        ):
            continue
        if not _same_bits(one.outcome.value, two.outcome.value):
            note = f"{again.what} differs when the same call is made again"
            return replace(again, code="CV153", note=note)
    return None


def backward_layout_independent(suspect: Suspect, case: Case) -> Violation | None:
    """The gradients depend on the values, not on how they lie in memory."""
    plain = judge_backward(suspect, case.but(layout="contiguous"))
    if any(part.violation for part in plain) or case.layout == "contiguous":
        return None
    for part in judge_backward(suspect, case):
        broken = part.violation
        if broken and broken.code in (*GRADIENTS, "CV171"):
            note = f"{case.layout} arguments; right with contiguous ones. {broken.note}".strip()
            return replace(broken, code=_layout_code(broken), note=note)
    return None


def bias_added(suspect: Suspect, case: Case) -> Violation | None:
    """With a bias the result is the one without, plus b on each output channel."""
    if not case.bias:
        return None
    judged = judge_forward(suspect, case)
    plain = judge_forward(suspect, case.but(bias=False))
    if judged.violation and judged.violation.code == "CV101" and not plain.violation:
        return replace(judged.violation, code="CV110", note="right without the bias")
    return None


def _others(case: Case) -> Iterator[Case]:
    """Calls that may leave a wrong state behind: other data, no bias, another batch."""
    yield case.but(seed=case.seed + 1)
    if case.bias:
        yield case.but(bias=False)
    yield case.but(batch=case.batch + 1, seed=case.seed + 2)


def _told(case: Case, other: Case) -> str:
    if other.bias != case.bias:
        return "no bias"
    return "another batch" if other.batch != case.batch else "other data of the same shapes"


def _same_bits(first: Any, second: Any) -> bool:
    return first.shape == second.shape and np.array(first).tobytes() == np.array(second).tobytes()


def _noise(first: Any, second: Any, third: Any) -> bool:
    """Whether three results differ otherwise than by the same amount each time."""
    with np.errstate(invalid="ignore", over="ignore"):
        steps = wide(second) - wide(first), wide(third) - wide(second)
        return not np.array_equal(*steps, equal_nan=True)


# Asked of cases whose value is wrong, in this order: the first that is broken tells why.
REASONS: tuple[Law, ...] = (
    deterministic,
    without_history,
    layout_independent,
    bias_added,
    items_independent,
)
# Asked of cases with a wrong gradient.
REASONS_BACKWARD = (backward_without_history, backward_layout_independent)
# Asked of some cases whose value is right; so are wrong calls, as far as they are claimed, and the
# adjoint where the gradients are right too.
MORE = (
    without_history,
    layout_independent,
    linear_in_x,
    linear_in_w,
    not_finite,
)
BY_CODE = {
    "CV110": bias_added,
    "CV120": linear_in_x,
    "CV121": linear_in_w,
    "CV151": deterministic,
    "CV152": layout_independent,
    "CV153": without_history,
    "CV154": items_independent,
    "CV160": not_finite,
    "CV161": not_finite,
    "CV170": wrong_call_refused,
}
BY_CODE_BACKWARD = {
    "CV130": adjoint,
    "CV152": backward_layout_independent,
    "CV153": backward_without_history,
}
