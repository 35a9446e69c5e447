"""What the report adds where an implementation answers no call: the ops that it may be of."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from verify.claims import space_of
from verify.judgement import judge_forward
from verify.ops import OPS, Op
from verify.report import Report
from verify.strategies import drawn_case
from verify.suspect import Suspect

UNANSWERED = {"CV102", "CV104", "CV171", "CV190"}  # no answer, or nothing of the right shape
PROBES = 6  # calls of another op
PLAIN = ("conv", "conv_transpose", "linear", "max_pool", "avg_pool")  # ops that others resemble


def hinted(report: Report, suspect: Suspect, option: str) -> Report:
    """The report; where no call was answered in the right shape, with an op whose calls are.

    option: how an op is given, as "--op {}".
    """
    codes = {code for finding in report.findings for code in (finding.code, *finding.also)}
    if not codes or not codes <= UNANSWERED:
        return report
    answered = _answered(report.op, suspect)
    if not answered:
        return report
    told = f"no call of {report.op} was answered in the right shape, those of "
    asked = " or ".join(map(option.format, answered))
    note = f"{told}{' and '.join(answered)} are: is it {asked}?"
    return replace(report, notes=(*report.notes, note))


def _answered(op: str, suspect: Suspect) -> list[str]:
    """The op in the function's name, if its calls are answered; else all whose calls are."""
    by_name = sorted((name for name in OPS if name in suspect.name and name != op), key=len)
    if by_name and _answers(suspect, OPS[by_name[-1]]):
        return by_name[-1:]
    return [other.name for other in _others(OPS[op]) if _answers(suspect, other)]


def _others(op: Op) -> Iterator[Op]:
    """The ops of the same kind with other axes, then the plain ones of other kinds."""
    kind = _kind(op)
    yield from (other for other in OPS.values() if _kind(other) == kind and other is not op)
    yield from (other for other in OPS.values() if _kind(other) in PLAIN and _kind(other) != kind)


def _kind(op: Op) -> str:
    return op.name[:-2] if op.ndim and op.name.endswith(f"{op.ndim}d") else op.name


def _answers(suspect: Suspect, op: Op) -> bool:
    """Whether some small calls of an op are answered in the right shape, and none is not."""
    chance = Random(0)

    def small_first(values: Sequence[Any]) -> Any:
        return values[0] if chance.random() < 0.5 else chance.choice(values)

    space = space_of(op, None, suspect)
    answered = 0
    for _ in range(PROBES):
        case = drawn_case(small_first, space, dtypes=("float64",)).but(batch=1)
        if not space.holds(case):
            continue
        judged = judge_forward(suspect, case)
        if judged.violation is not None and judged.violation.code in (*UNANSWERED, "CV191"):
            return False
        answered += judged.outcome.kind != "unsupported"
    return answered > 0
