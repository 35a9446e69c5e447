"""A run: draw cases, judge them, shrink what fails, and say what it looks like."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from verify import laws
from verify.case import Case
from verify.claims import space_of, whole
from verify.codes import CODES
from verify.data import HALVES, checked_dtypes
from verify.drawing import DTYPES, Drawing
from verify.features import Coverage, wanted
from verify.findings import Telling
from verify.hints import hinted
from verify.history import History
from verify.judgement import AFTER_Y, FURTHER, judge_backward, judge_forward, right
from verify.linearity import adjoint
from verify.naming import GRADIENTS, VALUES, Failures, Key, key
from verify.non_finite import unread_stays_out
from verify.ops import Layer, Op
from verify.patterns import Seen
from verify.report import Report
from verify.rounding import ALGORITHMS
from verify.spreading import from_padding
from verify.strategies import Space
from verify.suspect import Suspect
from verify.verdicts import Asked
from verify.violation import Judgement, Violation
from verify.wrong_calls import claimed, some, wrong_call_refused

ROUNDED = "float16 values are summed in float16, not in float32: ask for float16 to be shown where"
TOLD = 16  # a terminal is told of each so many cases
REMEMBERED = 120  # results that a diagnosis compares
ENOUGH = 24  # failures after which exploring stops
ASIDE = ("CV120", "CV121", "CV130", "CV170")  # laws that right values break
FEW = 3  # failures of those: more would only end the exploring early
IMPRECISE = ("long sums", "rounding")  # data that low precision cannot hold
PLAIN = ("integers", "ties", "zeros", "below")  # data that a diagnosis compares
EVERY = 8  # the laws of several calls are asked of each so many right cases


def run(
    suspect: Suspect,
    op: Op,
    *,
    supports: Mapping[str, Any] | Callable[[Case], bool] | None = None,
    algorithm: str = "auto",
    seed: int = 0,
    max_examples: int = 500,
    seconds: float | None = None,
    dtypes: tuple[str, ...] | None = None,
    replay: Callable[[Violation], str] = lambda violation: "",
    tell: Callable[[str], None] = lambda text: None,
    option: str = "op={!r}",
) -> Report:
    """Judge an implementation and report; option: how the caller writes an op."""
    names = checked_dtypes(DTYPES if dtypes is None else dtypes)
    space = replace(space_of(op, supports, suspect), dtypes=names)
    campaign = Campaign(suspect, space, algorithm, seed, None if dtypes is None else names)
    report = campaign.run(max_examples, seconds, replay, tell)
    return report if campaign.right else hinted(report, suspect, option)


class Campaign:
    """What one run draws, sees and tells."""

    given: Layer | None = None  # the geometry that is asked about, if it is one

    def __init__(
        self, suspect: Suspect, space: Space, algorithm: str, seed: int,
        dtypes: tuple[str, ...] | None,
    ) -> None:  # fmt: skip
        if algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}: got {algorithm!r}")
        self.suspect = suspect
        self.space = space
        self.algorithm = algorithm
        self.seed = whole("seed", seed, 0)
        self.history = History(suspect, space, algorithm)
        self.coverage = Coverage(wanted(space.op, space.without))
        self.drawing = Drawing(space, seed, dtypes, self.coverage)
        self.failures: dict[Key, Failures] = {}
        self.seen: dict[int | None, list[Seen]] = {}
        self.arithmetic: Counter[str] = Counter()
        self.halves_rounded = False  # where they were not asked for
        self.asked = Asked(space.op, suspect.has_backward)
        self.cases = 0
        self.unsupported = 0
        self.right = 0

    def run(
        self,
        max_examples: int,
        seconds: float | None,
        replay: Callable[[Violation], str],
        tell: Callable[[str], None] = lambda text: None,
    ) -> Report:
        """Judge what is drawn, and report."""
        start = time.monotonic()
        for case in self.drawn(whole("max_examples", max_examples, 1)):
            if seconds is not None and time.monotonic() - start > seconds:
                break
            if sum(len(f.violations) for f in self.failures.values()) >= ENOUGH:
                break
            self._judge(case)
            if self.cases % TOLD == 1:
                tell(self._so_far())
        if self.failures:
            tell("telling mistakes apart")
        telling = Telling(
            self.suspect,
            self.space,
            self.algorithm,
            self.failures,
            self.seen,
            self.drawing.further,
            self.history,
            self.given,
        )
        findings = [replace(f, replay=replay(f.violation)) for f in telling.findings()]
        return Report(
            self.suspect.name,
            self.space.op.name,
            tuple(findings),
            self.cases,
            self.unsupported,
            tuple(sorted(self.space.without)),
            self.coverage,
            self.arithmetic,
            self.seed,
            time.monotonic() - start,
            notes=(ROUNDED,) if self.halves_rounded else (),
            unasked=self.asked.unasked(self.coverage.single),
        )

    def _so_far(self) -> str:
        """How far the run got, for a terminal."""
        laws = len(CODES) - len(self.asked.unasked(self.coverage.single))
        met, names = self.coverage.single, self.coverage.names
        return f"{laws} laws asked, {len(met)} of {len(names)} features met"

    def drawn(self, max_examples: int) -> Iterator[Case]:
        """The cases to judge."""
        return self.drawing.cases(max_examples)

    def _judge(self, case: Case) -> None:
        if case.data in HALVES:
            self._judge_half(case)
            return
        if "int" in case.dtype and case.dtype not in self.drawing.dtypes:
            self._judge_integers(case)
            return
        judged = judge_forward(self.suspect, case, self.algorithm)
        if judged.outcome.kind == "unsupported":
            self.unsupported += 1
            return
        self.cases += 1
        self.coverage.add(case)
        self.asked.data.add(case.data)
        self._take(judged, case, None)
        more = False
        if judged.violation is None:
            self.right += 1
            more = self.right % EVERY == 1
        if more:
            self._ask_more(case)
        kinds = ("integers", "ties") if judged.violation else ("integers", "ties", "nan")
        if self.suspect.has_backward and case.data in kinds:
            parts = judge_backward(self.suspect, case, self.algorithm)
            for index, part in enumerate(parts):
                if part.outcome.kind != "unsupported":
                    self.asked.backward = True
                    self._take(part, case, index)
            if more and not any(part.violation for part in parts):
                self.asked.adjoint |= case.arrays.y.size > 0
                found = adjoint(self.suspect, case)
                if found:
                    self._fail(found)

    def _judge_half(self, case: Case) -> None:
        """Whether sums of halves are kept in a wider dtype; refusing halves is no mistake."""
        if case.data == "half sums":
            judged = [judge_forward(self.suspect, case, self.algorithm)]
        elif self.suspect.has_backward:
            judged = judge_backward(self.suspect, case, self.algorithm)
        else:
            return
        if any(part.violation for part in judged):
            plain = case.but(data="integers", dtype="float64")
            again = [judge_forward(self.suspect, plain, self.algorithm)]
            if case.data == "half gradients":
                again = judge_backward(self.suspect, plain, self.algorithm)
            if any(part.violation for part in again):
                return  # it is wrong in any dtype
        for part in judged:
            broken = part.violation
            if broken and broken.code in ("CV101", *GRADIENTS) and broken.where is not None:
                if "float16" in self.drawing.dtypes:
                    self._fail(replace(broken, code="CV105"))
                else:
                    self.halves_rounded = True

    def _judge_integers(self, case: Case) -> None:
        """Whether integers stay what they are; refusing them is no mistake."""
        broken = judge_forward(self.suspect, case, self.algorithm).violation
        plain = case.but(data="integers", dtype="float64")
        if not broken or broken.code not in ("CV101", "CV103"):
            return
        if judge_forward(self.suspect, plain, self.algorithm).violation is None:
            self._fail(broken)  # else it is wrong in any dtype

    def _take(self, judged: Judgement, case: Case, which: int | None) -> None:
        if judged.arithmetic and case.data != "rounding":
            self.arithmetic[judged.arithmetic] += 1
        self.asked.further |= bool(judged.further)
        for number, part in enumerate(judged.further):
            self._take(part, case, FURTHER + number)
        violation = judged.violation
        if violation and which is not None and which >= FURTHER:
            low = case.data == "long sums" and key(violation) not in self.failures
            self._fail(replace(violation, code="CV105") if low else violation)
        elif violation:
            self._fail(self._reason(violation) if which is None else self._why(violation))
        plain = case.data in PLAIN and case.layout == "contiguous"
        if judged.outcome.ok and plain:
            self._remember(judged, case, which)

    def _remember(self, judged: Judgement, case: Case, which: int | None) -> None:
        """Keep a result for the diagnosis: all wrong ones, and a number of right ones."""
        seen = self.seen.setdefault(which, [])
        violation = judged.violation
        if violation is None and len(seen) < REMEMBERED:
            # Right but for rounding counts as right.
            seen.append(Seen(case, right(case, which), True))
        elif violation and violation.code in (*VALUES, *GRADIENTS, *AFTER_Y, "CV143"):
            seen.append(Seen(case, judged.outcome.value, False))

    def _fail(self, violation: Violation) -> None:
        if violation.code == "CV161" and self.space.op.family == "avg_pool":
            return  # running sums and products with a dense matrix are right, and spread a NaN
        failures = self.failures.setdefault(key(violation), Failures())
        if violation.code not in ASIDE or len(failures.violations) < FEW:
            failures.violations.append((self.cases, violation))

    def _reason(self, violation: Violation) -> Violation:
        """The law of several calls that tells why a value is wrong, if one does."""
        if violation.code not in ("CV101", "CV102", "CV171"):
            return violation
        case = violation.case
        if case.data in IMPRECISE and case.op.family != "max_pool":  # which has no sums
            plain = judge_forward(self.suspect, case.but(data="integers"), self.algorithm)
            return violation if plain.violation else replace(violation, code="CV105")
        if violation.code == "CV171" and case.layout == "readonly":
            plain = judge_forward(self.suspect, case.but(layout="contiguous"), self.algorithm)
            if plain.violation and plain.violation.code == "CV150":
                return plain.violation
        several = laws.REASONS if violation.code == "CV101" else laws.REASONS[1:3]
        reasons = (*several[:2], self.history.law, *several[2:])
        for law in reasons:
            if law is laws.layout_independent and case.layout == "contiguous":
                continue
            found = law(self.suspect, case)
            if found:
                return found
        return violation

    def _why(self, violation: Violation) -> Violation:
        """The law of several backward calls that tells why a gradient is wrong, if one does."""
        if violation.code in (*GRADIENTS, "CV171"):
            for law in laws.REASONS_BACKWARD:
                found = law(self.suspect, violation.case)
                if found:
                    return found
        return violation

    def _ask_more(self, case: Case) -> None:
        if case.arrays.y.size:  # what is empty is right whatever is done
            self.asked.right.add(case.dtype)
        found = [law(self.suspect, case) for law in laws.MORE]
        for kind in some(case):
            if claimed(self.space, kind):
                found.append(wrong_call_refused(self.suspect, case.but(wrong=kind)))
        if self.right % (3 * EVERY) == 1:
            found.append(self.history.of_twins(case, wider=self.right % (6 * EVERY) == 1))
        for violation in found:
            if violation and (violation.code != "CV161" or self._by_padding(violation.case)):
                self._fail(violation)
        unread = unread_stays_out(self.suspect, case) if self.algorithm == "direct" else None
        if unread and unread.code == "CV161":
            self._fail(unread)

    def _by_padding(self, case: Case) -> bool:
        return self.algorithm in ("auto", "direct") and from_padding(self.suspect, case)
