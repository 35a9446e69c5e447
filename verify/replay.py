"""A failure that was kept, asked again."""

from dataclasses import replace

from verify import laws
from verify.case import Case
from verify.history import History
from verify.judgement import judge_backward, judge_forward
from verify.strategies import Space
from verify.suspect import Suspect, missing
from verify.violation import Violation

VALUES = ("CV101", "CV140", "CV141", "CV142")  # what a sum in low precision shows in


def again(suspect: Suspect, case: Case, code: str, algorithm: str = "auto") -> Violation | None:
    """How the implementation breaks the law on this case; if it keeps it, another law or None."""
    tables = [laws.BY_CODE]
    forward = judge_forward(suspect, case, algorithm)
    judged = [forward, *forward.further]
    if suspect.has_backward:
        tables.append(laws.BY_CODE_BACKWARD)
        judged += judge_backward(suspect, case, algorithm)
    found = [part.violation for part in judged if part.violation]
    if code == "CV105":
        found = [replace(v, code=code) if v.code in VALUES else v for v in found]
    same = [v for v in found if v.code == code]
    for table in tables:
        if not same and code in table:
            broken = table[code](suspect, case)
            same = [broken] if broken else []
    if code == "CV153" and not same:
        space = Space(case.op, without=frozenset(missing(suspect, case.op)))
        kept = History(suspect, space, algorithm).kept(case)
        same = [kept] if kept else []
    return next(iter(same + found), None)
