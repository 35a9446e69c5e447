"""From what failed to what is told: one finding for each distinct cause, diagnosed and shrunk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from verify import laws
from verify.case import Case
from verify.causes import both_ways, lead_to_values
from verify.comparing import imprecise
from verify.data import HALVES
from verify.diagnosis import Diagnosis, follows
from verify.history import History
from verify.judgement import AFTER_Y, FURTHER, judge_backward, judge_forward
from verify.looks import looks_like
from verify.naming import GRADIENTS, VALUE_KEYS, VALUES, Failures, Key, Naming, groups
from verify.ops import Layer
from verify.patterns import when
from verify.report import Finding
from verify.shrinking import shrink
from verify.violation import Violation

CAUSES = ("CV151", "CV153", "CV150", "CV152", "CV154", "CV105")  # why a value is wrong
# Laws of several calls, which what differs from call to call breaks as well.
REPEATED = ("CV105", "CV120", "CV121", "CV130", "CV152", "CV154", "CV160", "CV161")
WRONG = (*VALUES, *GRADIENTS, *AFTER_Y)
SPREADING = ("CV160", "CV161")  # what a mistake may make of a NaN or an infinity


@dataclass
class Telling(Naming):
    """What a run has seen of an implementation, and how it is told."""

    history: History
    given: Layer | None = None  # told on this geometry where it fails there

    def findings(self) -> Iterator[Finding]:
        """One for each distinct cause: what a named mistake explains is not told again."""
        both = both_ways(self.failures)
        left = {k: self.failures[k] for k in self.failures if not (k[1] and k[0] in both)}
        named: dict[str, tuple[list[Key], Diagnosis | None]] = {}
        for group, which in groups():
            keys = [k for k in group if k in left]
            if which == FURTHER and self._of_values(keys):
                told = next((ks for ks, _ in named.values() if ks[0] in VALUE_KEYS), None)
                if told is not None:  # they are right of what y is: y's mistake, and no other
                    told += keys
                    left = {k: left[k] for k in left if k not in keys}
                    continue
            backward = which is not None and which < FURTHER
            if not keys and ("CV154", backward) not in left:
                continue
            diagnosis = self.diagnosis(which)
            if which is None and not (diagnosis and diagnosis.name) and self._two(keys):
                without, bias = self.apart()
                if (without and without.name) or (bias and bias.name):
                    named["without a bias"] = (keys[:-1], without)
                    named["of the bias"] = (keys[-1:], bias)
                    left = {k: left[k] for k in left if k not in keys}
                    continue
            causes = [(c, backward) for c in CAUSES if (c, backward) in left]
            wrong = (v for k in keys for _, v in self.failures[k].violations)
            if causes == [("CV105", backward)] and not all(map(imprecise, wrong)):
                causes = []  # what is off by more has another cause
            if diagnosis and diagnosis.name:
                causes += [(c, backward) for c in SPREADING if (c, backward) in left]
                keys += [k for k in causes if self.explained(diagnosis.name, left[k], which)]
            elif causes:
                continue  # told with its cause, below
            refused = ("CV171", backward)
            if keys and refused in left and not self._empty(left[refused]):
                keys.append(refused)  # a wrong shape inside is the same mistake again
            for k in keys:
                left.pop(k, None)
            same = self._same(named, diagnosis, which) or str(group)
            if keys and same in named and which is not None and which >= FURTHER:
                name = same.replace("…", "running mean and variance")
                assert diagnosis is not None  # it has the name
                named[same] = (named[same][0], replace(diagnosis, names=(name,)))
            if keys:
                named.setdefault(same, ([], diagnosis))[0].extend(keys)
        for keys, diagnosis in named.values():
            yield self._finding(keys, diagnosis)
        for backward in (False, True):
            causes = [(c, backward) for c in CAUSES if (c, backward) in left]
            if causes:
                merged = [k for k in left if k[1] == backward and k[0] in WRONG]
                keys = [causes[0], *merged, *(k for k in causes[1:] if k[0] in ("CV151", "CV154"))]
                if causes[0][0] in ("CV150", "CV152") and ("CV171", backward) in left:
                    keys.append(("CV171", backward))
                yield self._finding(keys, None, first=True)
                for k in keys:
                    left.pop(k, None)
                if causes[0][0] in ("CV151", "CV153"):  # what is asked several times shows it too
                    left = {k: left[k] for k in left if k[0] not in REPEATED}
        bilinear = [k for k in (("CV120", False), ("CV121", False)) if k in left]
        for keys in [bilinear] * bool(bilinear) + [[k] for k in left if k not in bilinear]:
            yield replace(self._finding(keys, None), both=keys[0][0] in both)

    def _same(self, named: Iterable[str], diagnosis: Diagnosis | None, which: int | None) -> str:
        """The name without the gradient that shows it, or that of a forward pass with the same
        mistake: one cause may show in several arrays."""
        name = (diagnosis and diagnosis.name) or ""
        if which is not None and which >= FURTHER:
            return name.replace("running mean", "…").replace("running variance", "…")
        if which is None:
            return name
        wrong = [one for one in self.seen.get(which, []) if not one.right]
        for known in named:
            told = {follows(known, one, which) for one in wrong}
            if True in told and False not in told:
                return known
        for gradient in self.space.op.arrays.gradients:
            name = name.replace(gradient, "…")
        return name

    def _of_values(self, keys: list[Key]) -> bool:
        """Whether the indices that a pool returned lead to the values that it returned."""
        failed = [v.case for k in keys for _, v in self.failures[k].violations]
        return bool(failed) and all(lead_to_values(self.suspect, case) for case in failed)

    def _two(self, keys: list[Key]) -> bool:
        """Whether y is wrong without a bias, and elsewhere with a bias alone."""
        return len(keys) > 1 and keys[-1] == ("CV110", False)

    def _empty(self, failures: Failures) -> bool:
        """Whether only empty batches are refused."""
        return all(v.case.batch == 0 for _, v in failures.violations)

    def _finding(
        self, keys: list[Key], diagnosis: Diagnosis | None, first: bool = False
    ) -> Finding:
        values = [k for k in keys if k[0] in VALUES[:2]]
        told = keys[:1] if first or keys[0][0] in (*GRADIENTS, "CV143") else values or keys
        failed = [v for k in told for _, v in self.failures[k].violations]
        there = [v for v in failed if v.case.layer == self.given]
        smallest = min(there or failed, key=lambda v: size(v.case))

        def broken(case: Case) -> Violation | None:
            return self.again(case, smallest) if not there or case.layer == self.given else None

        shrunk = shrink(smallest, broken)
        if diagnosis is not None:
            one = None if diagnosis.names else self._call(shrunk.case, diagnosis.which)
            diagnosis = diagnosis.showing(shrunk.case, one)
        return Finding(
            shrunk,
            self.suspect.name,
            diagnosis,
            looks_like(shrunk) or self._refused(keys[0], shrunk.case),
            min(self.failures[k].first for k in keys),
            tuple(dict.fromkeys(code for code, _ in keys if code != shrunk.code)),
        )

    def _refused(self, which: Key, shown: Case) -> str:
        """Which right calls are refused, in words."""
        failing = [shown, *(v.case for _, v in self.failures[which].violations)]
        if which[0] not in ("CV171", "CV190", "CV191"):
            return ""
        if all(case.batch == 0 for case in failing):
            return "an empty batch taken for a wrong call"
        seen = self.seen.get(0 if which[1] else None, [])
        return when(failing, [one.case for one in seen if one.right])

    def again(self, case: Case, violation: Violation) -> Violation | None:
        """The violation of the same law on another case of the space, if it is there too."""
        if not self.space.holds(case):
            return None
        code = violation.code
        if violation.backward:
            law = laws.BY_CODE_BACKWARD.get(code)
            if law is not None:
                return _same(law(self.suspect, case), code)
            parts = judge_backward(self.suspect, case, self.algorithm)
            if code == "CV105":
                parts = [p for p in parts if p.violation and p.violation.what == violation.what]
                found = parts[0].violation if parts else None
                return replace(found, code=code) if found and case.data in HALVES else None
            return next((p.violation for p in parts if _same(p.violation, code)), None)
        law = laws.BY_CODE.get(code)
        if law is not None:
            found = _same(law(self.suspect, case), code)
            return self.history.kept(case) if found is None and code == "CV153" else found
        judged = judge_forward(self.suspect, case, self.algorithm)
        if code in AFTER_Y:
            after = (part.violation for part in judged.further)
            return next((broken for broken in after if _same(broken, code)), None)
        found = judged.violation
        if code == "CV105" and _same(found, "CV101") and found is not None:
            return replace(found, code=code)
        return _same(found, code)


def _same(violation: Violation | None, code: str) -> Violation | None:
    return violation if violation is not None and violation.code == code else None


def size(case: Case) -> tuple[Any, ...]:
    """What a smaller case has less of, the most telling first."""
    layer = case.layer
    kernel: Any = getattr(layer, "weight_shape", None) or getattr(layer, "kernel_size", ())
    return (
        case.batch == 0,
        sum(layer.input_shape) + sum(kernel) + case.batch,
        case.layout != "contiguous",
        case.bias,
    )
