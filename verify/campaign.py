"""A run: draw cases, judge them, shrink what fails, and say what it looks like."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from verify import laws
from verify.case import Case
from verify.diagnosis import Diagnosis, Seen, diagnose_seen
from verify.features import Coverage, wanted
from verify.judgement import Judgement, Violation, judge_backward, judge_forward
from verify.ops import Op
from verify.report import Finding, Report
from verify.rounding import ALGORITHMS
from verify.shrinking import shrink
from verify.strategies import Space, cases
from verify.suspect import Suspect, missing

VALUES = ("CV101", "CV102", "CV110")  # what a wrong geometry shows in
GRADIENTS = ("CV140", "CV141", "CV142")
REMEMBERED = 120  # results that a diagnosis compares
ENOUGH = 24  # failures after which exploring stops
EVERY = 8  # the laws of several calls are asked of each so many right cases

LOOKS = {
    "CV103": "computes in a dtype of its own",
    "CV105": "low-precision accumulation",
    "CV150": "an argument changed in place",
    "CV151": "something random or uninitialised",
    "CV152": "memory read as if it were contiguous",
    "CV153": "state kept between calls",
    "CV154": "one item of the batch taken for another",
    "CV161": "padding made by multiplying with zero",
}


@dataclass
class Failures:
    """What went wrong under one code: each violation, and after how many cases it was seen."""

    violations: list[tuple[int, Violation]] = field(default_factory=list)

    @property
    def smallest(self) -> Violation:
        return min((v for _, v in self.violations), key=lambda v: _size(v.case))

    @property
    def first(self) -> int:
        return min(number for number, _ in self.violations)


def run(
    suspect: Suspect,
    op: Op,
    *,
    supports: Mapping[str, Any] | Callable[[Case], bool] | None = None,
    algorithm: str = "auto",
    seed: int = 0,
    max_examples: int = 500,
    seconds: float | None = None,
    dtypes: tuple[str, ...] = ("float64", "float32"),
    replay: Callable[[Violation], str] = lambda violation: "",
) -> Report:
    """Judge an implementation and report."""
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(ALGORITHMS)}: got {algorithm!r}")
    space = _space(op, supports, suspect)
    campaign = _Campaign(suspect, space, algorithm, seed, dtypes)
    return campaign.run(max_examples, seconds, replay)


class _Campaign:
    def __init__(
        self, suspect: Suspect, space: Space, algorithm: str, seed: int, dtypes: tuple[str, ...]
    ) -> None:
        self.suspect = suspect
        self.space = space
        self.algorithm = algorithm
        self.seed = seed
        self.dtypes = dtypes
        self.coverage = Coverage(wanted(space.op, space.without))
        self.failures: dict[str, Failures] = {}
        self.seen: dict[int | None, list[Seen]] = {}
        self.arithmetic: Counter[str] = Counter()
        self.cases = 0
        self.unsupported = 0
        self.right = 0

    def run(
        self, max_examples: int, seconds: float | None, replay: Callable[[Violation], str]
    ) -> Report:
        start = time.monotonic()
        for case in self._drawn(max_examples):
            if seconds is not None and time.monotonic() - start > seconds:
                break
            if sum(len(f.violations) for f in self.failures.values()) >= ENOUGH:
                break
            self._judge(case)
        findings = [replace(f, replay=replay(f.violation)) for f in self._findings()]
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
        )

    def _drawn(self, max_examples: int) -> Iterator[Case]:
        """Small cases, then pairs of features not met yet, then data and sizes that are harder."""
        yield from self._draw(max_examples)
        for pair in self.coverage.unmet():
            yield from self._draw(5, wanted=pair)
        few = max(4, max_examples // 16)
        for case in self._draw(few, large=True):
            yield case
            yield case.but(data="long sums", dtype="float32", bias=False)
        for case in self._draw(few):
            yield case.but(data="long sums", dtype="float64", bias=False)
            yield case.but(data="rounding", layout="contiguous")

    def _draw(self, count: int, **kind: Any) -> list[Case]:
        drawn: list[Case] = []

        @seeded(self.seed)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(cases(self.space, dtypes=self.dtypes, **kind))
        def collect(case: Case) -> None:
            if self.space.holds(case):
                drawn.append(case)

        collect()
        return drawn

    def _judge(self, case: Case) -> None:
        judged = judge_forward(self.suspect, case, self.algorithm)
        if judged.outcome.kind == "unsupported":
            self.unsupported += 1
            return
        self.cases += 1
        self.coverage.add(case)
        self._take(judged, case, None)
        if judged.violation is None:
            self.right += 1
            if self.right % EVERY == 1:
                self._ask_more(case)
        if self.suspect.has_backward and case.data == "integers":
            for index, part in enumerate(judge_backward(self.suspect, case, self.algorithm)):
                if part.outcome.kind != "unsupported":
                    self._take(part, case, index)

    def _take(self, judged: Judgement, case: Case, which: int | None) -> None:
        if judged.arithmetic and case.data != "rounding":
            self.arithmetic[judged.arithmetic] += 1
        violation = judged.violation
        if violation:
            self._fail(self._reason(violation) if which is None else violation)
        if judged.outcome.ok and case.data == "integers" and case.layout == "contiguous":
            self._remember(judged, case, which)

    def _remember(self, judged: Judgement, case: Case, which: int | None) -> None:
        """Keep a result for the diagnosis: all wrong ones, and a number of right ones."""
        seen = self.seen.setdefault(which, [])
        violation = judged.violation
        if violation is None and len(seen) < REMEMBERED:
            # Right but for rounding counts as right.
            exact = case.arrays.y if which is None else case.arrays.gradients[which]
            seen.append(Seen(case, exact, True))
        elif violation and violation.code in (*VALUES, *GRADIENTS):
            seen.append(Seen(case, judged.outcome.value, False))

    def _fail(self, violation: Violation) -> None:
        self.failures.setdefault(violation.code, Failures()).violations.append(
            (self.cases, violation)
        )

    def _reason(self, violation: Violation) -> Violation:
        """The law of several calls that tells why a value is wrong, if one does."""
        if violation.code not in ("CV101", "CV102", "CV171"):
            return violation
        case = violation.case
        if case.data == "long sums":
            plain = judge_forward(self.suspect, case.but(data="integers"), self.algorithm)
            return violation if plain.violation else replace(violation, code="CV105")
        reasons = laws.REASONS if violation.code == "CV101" else laws.REASONS[1:3]
        for law in reasons:
            if law is laws.layout_independent and case.layout == "contiguous":
                continue
            found = law(self.suspect, case)
            if found:
                return found
        return violation

    def _ask_more(self, case: Case) -> None:
        for law in laws.MORE:
            found = law(self.suspect, case)
            if found and (found.code != "CV161" or self._from_padding(found.case)):
                self._fail(found)

    def _from_padding(self, case: Case) -> bool:
        """Whether a NaN spreads because of the padding, not as fast algorithms spread it."""
        if self.algorithm not in ("auto", "direct") or self.space.op.linear:
            return False
        layer: Any = case.layer
        axes = len(layer.padding)
        if layer.padding == ((0, 0),) * axes or self.space.op.transposed:
            return False
        size = case.arrays.x.size
        for place in range(0, size, max(1, size // 16)):
            for sizes in (layer.input_shape, _wider(layer)):
                plain = laws.unpadded(case, sizes)
                if plain is None:
                    continue
                spread = judge_forward(self.suspect, plain.but(at=(place % plain.arrays.x.size,)))
                if spread.violation:
                    return False
        return True

    def _findings(self) -> Iterator[Finding]:
        values = [code for code in VALUES if code in self.failures]
        if values:
            yield self._finding(values, diagnose_seen(self.seen.get(None, []) or self._one(values)))
        for index, code in enumerate(GRADIENTS):
            if code in self.failures:
                yield self._finding([code], diagnose_seen(self.seen[index], index))
        for code, failures in self.failures.items():
            if code in (*values, *GRADIENTS):
                continue
            if code == "CV171" and values and failures.first > self.failures[values[0]].first:
                continue  # a wrong shape inside is the same mistake again
            yield self._finding([code], None)

    def _one(self, codes: list[str]) -> list[Seen]:
        violation = self.failures[codes[0]].smallest
        value = self.suspect.forward(violation.case).value
        return [Seen(violation.case, value, False)]

    def _finding(self, codes: list[str], diagnosis: Diagnosis | None) -> Finding:
        smallest = min((self.failures[c].smallest for c in codes), key=lambda v: _size(v.case))
        shrunk = shrink(smallest, lambda case: self._again(case, smallest.code))
        return Finding(
            shrunk,
            self.suspect.name,
            diagnosis,
            LOOKS.get(shrunk.code, ""),
            min(self.failures[c].first for c in codes),
            tuple(c for c in codes if c != shrunk.code),
        )

    def _again(self, case: Case, code: str) -> Violation | None:
        """The violation of a law on another case of the space, if it is there too."""
        if not self.space.holds(case):
            return None
        if code in GRADIENTS:
            parts = judge_backward(self.suspect, case, self.algorithm)
            return next((p.violation for p in parts if _is(p.violation, code)), None)
        law = laws.BY_CODE.get(code)
        if law is not None:
            found = law(self.suspect, case)
            return found if _is(found, code) else None
        found = judge_forward(self.suspect, case, self.algorithm).violation
        if code == "CV105" and _is(found, "CV101") and found is not None:
            return replace(found, code=code)
        return found if _is(found, code) else None


def _is(violation: Violation | None, code: str) -> bool:
    return violation is not None and violation.code == code


def _wider(layer: Any) -> tuple[int, ...]:
    """An input that is as wide as the padded one."""
    sizes = zip(layer.input_shape[1:], layer.padding, strict=True)
    return (layer.input_shape[0], *(size + before + after for size, (before, after) in sizes))


def _size(case: Case) -> tuple[int, ...]:
    layer = case.layer
    return (
        case.batch == 0,
        sum(layer.input_shape) + sum(layer.weight_shape) + case.batch,
        case.layout != "contiguous",
        case.bias,
    )


def _space(
    op: Op, supports: Mapping[str, Any] | Callable[[Case], bool] | None, suspect: Suspect
) -> Space:
    without = frozenset(missing(suspect, op))
    taken = suspect.parameters()
    if taken is not None and not taken & {"b", "bias"} and len(taken - set(op.parameters)) < 3:
        without |= {"b"}
    if supports is None or callable(supports):
        return Space(op, {}, supports, without)
    allowed = {}
    for name, value in supports.items():
        if name == "ndim":
            if value != op.ndim:
                raise ValueError(f"supports says ndim={value}, and {op.name} has {op.ndim}")
            continue
        if name not in ("stride", "dilation", "padding", "groups", "kernel", "output_padding"):
            raise ValueError(
                f"supports names stride, dilation, padding, groups, kernel, output_padding or "
                f"ndim: got {name!r}"
            )
        allowed[name] = tuple(value) if hasattr(value, "__len__") else (value,)
    return Space(op, allowed, None, without)
