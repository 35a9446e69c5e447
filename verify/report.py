"""What a run found, and how it is told."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from verify.baseline import Known
from verify.case import Case
from verify.codes import CODES
from verify.data import EXACT
from verify.diagnosis import Diagnosis
from verify.features import Coverage, pairs
from verify.snippet import snippet
from verify.verdicts import verdicts
from verify.violation import Violation

WIDTH = 12


@dataclass(frozen=True)
class Finding:
    """One mistake: the law it breaks, its smallest case, and what it looks like.

    both: whether calls of the backward pass end so too.

    known: why it is no news, from a baseline; empty where it is.
    """

    violation: Violation
    suspect: str
    diagnosis: Diagnosis | None = None
    looks_like: str = ""
    first_seen: int = 0
    also: tuple[str, ...] = ()
    replay: str = ""
    known: str = ""
    both: bool = False

    @property
    def code(self) -> str:
        return self.violation.code

    @property
    def case(self) -> Case:
        """The smallest case that shows it."""
        return self.violation.case

    @property
    def name(self) -> str:
        """The mistake in words; empty where none of the known ones fits."""
        if self.diagnosis and self.diagnosis.name:
            return self.diagnosis.name
        return self.looks_like

    @property
    def told(self) -> str:
        """What it looks like, as the report tells it: the name, or what failing cases share."""
        rows = self._diagnosed()
        return rows[0][1] if rows else ""

    @property
    def snippet(self) -> str:
        """A few lines of Python that show it; empty where it takes more than one call."""
        return snippet(self.violation, self.suspect)

    def __str__(self) -> str:
        violation = self.violation
        case = violation.case
        sentence = CODES[self.code].sentence
        if self.code == "CV101" and not case.op.weighted:
            sentence = "is not what the layer gives"
        suspect = self.suspect
        if violation.backward and self.code != "CV130":
            suspect = f"the backward pass of {suspect}"
        lines = [f"{self.code} {suspect} {sentence}"]
        rows = [("case", f"{case.layer!r}{_told(case)}")]
        if violation.where is not None:
            rows.append(("where", _where(violation)))
            rows.append(("", f"{violation.wrong} of {violation.of} values differ{_exactly(case)}"))
        if violation.note:
            rows.append(("seen", violation.note))
        rows += self._diagnosed()
        also = [f"{c} {CODES[c].title}" for c in self.also]
        also += ["the backward pass, on the same cases"] * self.both
        if also:
            rows.append(("also", ", ".join(also)))
        if self.known:
            rows.append(("known", self.known))
        rows += self._reproduced()
        return "\n".join(lines + [f"  {label:<{WIDTH}}{text}".rstrip() for label, text in rows])

    def _reproduced(self) -> list[tuple[str, str]]:
        lines = self.snippet.splitlines()
        if not self.replay:
            return [("reproduce" if row == 0 else "", line) for row, line in enumerate(lines)]
        pasted = [("" if row else "or paste", line) for row, line in enumerate(lines)]
        return [("reproduce", self.replay), *pasted]

    def _diagnosed(self) -> list[tuple[str, str]]:
        diagnosis = self.diagnosis
        if diagnosis is None:
            return [("looks like", self.looks_like)] if self.looks_like else []
        if diagnosis.name:
            explains = f"explains all {diagnosis.explained} results compared"
            return [
                ("looks like", diagnosis.name),
                ("", explains),
                ("not", ", ".join(diagnosis.nearest) + " …"),
            ]
        if diagnosis.names:
            return [("looks like", " or ".join(diagnosis.names[:4]))]
        return [("looks like", diagnosis.pattern or "none of the known mistakes")]


@dataclass(frozen=True)
class Report:
    """The outcome of a run.

    ok: whether nothing was found that is not known, and all that is known was found. findings: one
    for each distinct cause. cases: calls that answered; unsupported: calls refused with
    NotImplementedError. notes: what diagnose() says of the geometry it was asked about. unasked:
    the laws that do not apply, by their codes, and why. gone: what a baseline lists and was not
    found. heading: a line that comes first.
    """

    suspect: str
    op: str
    findings: tuple[Finding, ...]
    cases: int
    unsupported: int
    without: tuple[str, ...]
    coverage: Coverage
    arithmetic: Counter[str]
    seed: int
    seconds: float
    notes: Sequence[str] = field(default=())
    unasked: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[Known, ...] = ()
    heading: str = ""

    @property
    def ok(self) -> bool:
        return all(finding.known for finding in self.findings) and not self.gone

    def __str__(self) -> str:
        first = [f"{self.heading}\n"] if self.heading else []
        return "\n".join([*first, *(f"{finding}\n" for finding in self.findings), self.summary])

    @property
    def summary(self) -> str:
        """How much was found, tried and not covered."""
        met = sum(1 for pair in pairs(self.coverage.names) if self.coverage.double[pair])
        lines = [
            f"{self.suspect} as {self.op}: {self._found()}",
            f"  {'cases':<{WIDTH}}{self.cases} in {self.seconds:.1f} s, seed {self.seed}",
            f"  {'features':<{WIDTH}}{len(self.coverage.single)} of {len(self.coverage.names)}, "
            f"{met} of {len(pairs(self.coverage.names))} pairs",
            f"  {'arithmetic':<{WIDTH}}{self._rounds()}",
        ]
        if self.unsupported:
            told = f"{self.unsupported} calls that it does not support"
            lines.append(f"  {'not covered':<{WIDTH}}{told}")
        if self.without:
            names = ", ".join(self.without)
            lines.append(f"  {'not covered':<{WIDTH}}f takes no argument {names}")
        unmet = self.coverage.unmet()
        if unmet:
            told = "; ".join(" with ".join(sorted(pair)) for pair in unmet[:3])
            more = f" and {len(unmet) - 3} more pairs" if len(unmet) > 3 else ""
            lines.append(f"  {'not covered':<{WIDTH}}{told}{more}")
        lines += [f"  {'note':<{WIDTH}}{note}" for note in self.notes]
        lines += [
            f"  {'baseline':<{WIDTH}}{known} is no longer found: remove it" for known in self.gone
        ]
        return "\n".join(lines)

    def _found(self) -> str:
        known = sum(1 for finding in self.findings if finding.known)
        new = len(self.findings) - known
        told = f"{new} found" if new else "nothing new found" if known else "nothing found"
        return f"{told}, {known} known" if known else told

    def _rounds(self) -> str:
        fast = [name for name in self.arithmetic if name != "direct"]
        return f"rounds like {' or '.join(fast)}" if fast else "exact on integers"

    def to_json(self) -> str:
        """The report as JSON text."""
        plain = {
            "suspect": self.suspect,
            "op": self.op,
            "heading": self.heading,
            "ok": self.ok,
            "cases": self.cases,
            "unsupported": self.unsupported,
            "without": list(self.without),
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "features": dict(self.coverage.single),
            "pairs": {" & ".join(sorted(p)): n for p, n in self.coverage.double.items()},
            "arithmetic": dict(self.arithmetic),
            "notes": list(self.notes),
            "findings": [_finding(finding) for finding in self.findings],
            "gone": [asdict(known) for known in self.gone],
            "laws": [verdict._asdict() for verdict in verdicts(self)],
            "summary": self.summary,
        }
        return json.dumps(plain, indent=2)


def _finding(finding: Finding) -> dict[str, Any]:
    violation = finding.violation
    return {
        "code": finding.code,
        "law": CODES[finding.code].title,
        "name": finding.name,
        "case": violation.case.to_json(),
        "what": violation.what,
        "where": violation.where,
        "got": _number(violation.got),
        "should": _number(violation.should),
        "note": violation.note,
        "also": list(finding.also),
        "known": finding.known,
        "first_seen": finding.first_seen,
        "python": finding.snippet,
        "text": str(finding),
    }


def _where(violation: Violation) -> str:
    """One place with the values there, and of which calls they are where there are two."""
    assert violation.where is not None
    place = ", ".join(map(str, violation.where))
    got, should = _number(violation.got), _number(violation.should)
    if violation.code == "CV154":
        alone = f"{should} where item {violation.where[0]} is given alone"
        return f"{violation.what}[{place}] = {got} in the batch, {alone}"
    return f"{violation.what}[{place}] = {got}, should be {should}"


def _told(case: Any) -> str:
    """What else there is to a case than its geometry."""
    told = []
    if case.batch != 1:
        told.append(f"batch {case.batch}")
    if case.bias:
        told.append("with a bias")
    if case.dtype != "float64":
        told.append(case.dtype)
    if case.layout != "contiguous":
        told.append(f"{case.layout} in memory")
    if case.padding:
        told.append(f"padding={case.padding!r}")
    if case.data == "impulses":
        told.append("one impulse in x and one in w")
    return f", {', '.join(told)}" if told else ""


def _exactly(case: Any) -> str:
    if not case.op.exact:
        return "; more than rounding explains"
    if case.data in EXACT:
        return "; exact integers, no rounding possible"
    return ""


def _number(value: Any) -> str:
    return repr(value)
