"""What failed, and the known mistake that explains it: called again where results must tell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from verify.case import Case
from verify.data import HALVES
from verify.diagnosis import Diagnosis, diagnose_seen, explains, tells_apart
from verify.judgement import AFTER_Y, FURTHER, judge_backward, judge_forward
from verify.patterns import Seen
from verify.strategies import Space
from verify.suspect import Suspect
from verify.violation import Violation

VALUES = ("CV101", "CV102", "CV110")  # what a wrong geometry shows in
GRADIENTS = ("CV140", "CV141", "CV142")
VALUE_KEYS = [(code, False) for code in VALUES]
CHECKED = 64  # further cases that a name must explain as well
MORE = 120  # and those from which another is looked for


@dataclass
class Failures:
    """What went wrong under one code: each violation, and after how many cases it was seen."""

    violations: list[tuple[int, Violation]] = field(default_factory=list)

    @property
    def first(self) -> int:
        return min(number for number, _ in self.violations)


Key = tuple[str, bool]  # a code, and whether the backward pass broke it


def key(violation: Violation) -> Key:
    """Which failures a violation belongs to."""
    return violation.code, violation.backward


def groups() -> Iterator[tuple[list[Key], int | None]]:
    """The failures that one result shows: y, a gradient, what comes after y."""
    yield [(code, False) for code in VALUES], None
    for index, code in enumerate(GRADIENTS):
        yield [(code, True), *([("CV143", True)] if index == 0 else [])], index
    for index, code in enumerate(AFTER_Y):
        yield [(code, False)], FURTHER + index


def _any(case: Case) -> bool:
    return True


@dataclass
class Naming:
    """What a run has seen of an implementation."""

    suspect: Suspect
    space: Space
    algorithm: str
    failures: dict[Key, Failures]
    seen: dict[int | None, list[Seen]]
    more: Callable[[], Iterator[Case]]  # further cases, where mistakes must be told apart

    def diagnosis(
        self, which: int | None, counts: Callable[[Case], bool] | None = None
    ) -> Diagnosis | None:
        """The mistake that explains a result; counts: the cases it must explain, if not all."""
        apart, counts = counts is not None, counts or _any
        seen = [one for one in self.seen.get(which, []) if counts(one.case)]
        if all(one.right for one in seen):
            keys = next(group for group, of in groups() if of == which)
            seen += [one for one in self._plain(which, keys) if counts(one.case)]
        calls = (self._call(case, which) for case in self.more() if counts(case))
        further = (one for one in calls if one is not None)
        if apart and all(one.right for one in seen):  # the run has asked for few of those
            seen += islice(further, MORE)
        if all(one.right for one in seen):
            return None
        diagnosis = diagnose_seen(seen, which)
        # A name must also explain cases that it was not found from.
        seen = [*seen, *islice(further, CHECKED)]
        if diagnosis.names:
            diagnosis = diagnose_seen(seen, which, among=diagnosis.names)
        if not diagnosis.names:
            seen = [*seen, *islice(further, MORE)]
            diagnosis = diagnose_seen(seen, which, conditional=True)
            seen = [*seen, *islice(further, CHECKED)]
            diagnosis = diagnose_seen(seen, which, among=diagnosis.names)
        if len(diagnosis.names) > 1:
            for case in filter(counts, self.more()):
                if tells_apart(diagnosis.names, case, which):
                    one = self._call(case, which)
                    if one is not None:
                        seen = [*seen, one]
                        diagnosis = diagnose_seen(seen, which, among=diagnosis.names)
                    if len(diagnosis.names) < 2:
                        break
        # Mistakes that no case of the space tells apart are one mistake: the first says it.
        return replace(diagnosis, names=diagnosis.names[:1])

    def _plain(self, which: int | None, keys: list[Key]) -> list[Seen]:
        """What failed with other data or layouts, on integers that lie contiguously."""
        failed = [
            v.case for k in keys if k in self.failures for _, v in self.failures[k].violations
        ]
        cases = (case.but(data="integers", layout="contiguous", at=()) for case in failed[:8])
        return [one for one in (self._call(case, which) for case in cases) if one is not None]

    def _call(self, case: Case, which: int | None) -> Seen | None:
        """What the implementation gives for one more case, None where it gives nothing."""
        if which is None or which >= FURTHER:
            judged = judge_forward(self.suspect, case, self.algorithm)
            if which is not None:
                if len(judged.further) <= which - FURTHER:
                    return None
                judged = judged.further[which - FURTHER]
        else:
            parts = judge_backward(self.suspect, case, self.algorithm)
            if len(parts) < len(self.space.op.arrays.gradients):
                return None
            judged = parts[which]
        if not judged.outcome.ok or isinstance(judged.outcome.value, tuple):
            return None
        return Seen(case, judged.outcome.value, judged.violation is None)

    def explained(self, name: str, failures: Failures, which: int | None) -> bool:
        """Whether a named mistake gives what was seen where another law was broken."""
        for _, violation in failures.violations[:3]:
            case = violation.case
            names = ("y", *self.space.op.arrays.gradients)
            if case.data in HALVES or violation.what not in names:
                return False
            one = self._call(case, which)
            if one is None or not explains(name, one, which):
                return False
        return True

    def apart(self) -> tuple[Diagnosis | None, Diagnosis | None]:
        """The mistakes of y without a bias, and of the bias where y is right without it."""
        return (
            self.diagnosis(None, lambda case: not case.bias),
            self.diagnosis(None, lambda case: case.bias and self._right_without_bias(case)),
        )

    def _right_without_bias(self, case: Case) -> bool:
        plain = self._call(case.but(bias=False), None)
        return plain is not None and plain.right
