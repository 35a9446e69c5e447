"""What a run says of each law: held, broken, broken as known, or not asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from verify.codes import CODES
from verify.ops import Op

if TYPE_CHECKING:
    from verify.report import Report

EACH_CALL = ("CV101", "CV102", "CV103", "CV104", "CV150", "CV171", "CV190", "CV191")
BACKWARD = ("CV13", "CV14")  # how the codes of a backward pass begin
GRADIENTS = "CV14"  # those of each of its calls
LOW = {"long sums", "rounding"}  # the data that low precision cannot hold


class Verdict(NamedTuple):
    """What a run says of one law.

    outcome: "passed", "failed", "known" (it fails as a baseline says) or "skipped" (it was not
    asked). text: the findings, or the reason; empty if it passed.
    """

    code: str
    law: str
    outcome: str
    text: str


@dataclass
class Asked:
    """What a run came to ask.

    data: of the calls that answered. right: the dtypes of the right calls that the laws of several
    calls were asked of. backward: whether a backward call answered. further: whether
    something was returned after y.
    """

    op: Op
    has_backward: bool
    data: set[str] = field(default_factory=set)
    right: set[str] = field(default_factory=set)
    backward: bool = False
    adjoint: bool = False
    further: bool = False

    def unasked(self, features: Mapping[str, int]) -> dict[str, str]:
        """The codes of the laws that were not asked, and why. features: how often each was met."""
        reasons = {code: self._reason(code, features) for code in CODES}
        return {code: reason for code, reason in reasons.items() if reason}

    def _reason(self, code: str, features: Mapping[str, int]) -> str:
        if not _concerns(code, self.op):
            return f"it does not concern {self.op.name}"
        if code in ("CV106", "CV107") and not self.further:
            return "y alone was returned"
        if code.startswith(BACKWARD) and not self.has_backward:
            return "there is no backward pass to judge"
        if code.startswith(BACKWARD) and not self.backward:
            return "no backward call was answered"
        if code in EACH_CALL or code.startswith(GRADIENTS):
            return ""
        if not self.right:
            return "it is asked of right calls, and there was none"
        if code == "CV130" and not self.adjoint:
            return "it is asked of right gradients, and there were none"
        if code == "CV105" and not self.data & LOW:
            return "no call summed what low precision cannot hold"
        if code == "CV110" and not features.get("bias"):
            return "no call had a bias"
        if code == "CV154" and not features.get("batch > 1"):
            return "no call had more than one item"
        if code in ("CV160", "CV161") and not any("float" in dtype for dtype in self.right):
            return "no right call had a dtype with NaN and infinity"
        return ""


def _concerns(code: str, op: Op) -> bool:
    """Whether a law can be asked of an op."""
    if code in ("CV110", "CV120", "CV121", "CV130", "CV161", "CV170"):
        return op.weighted
    lengths = {"CV106": op.arrays.further, "CV107": op.arrays.further[1:],
               "CV141": op.arrays.gradients[1:], "CV142": op.arrays.gradients[2:]}  # fmt: skip
    if code in lengths:
        return bool(lengths[code])
    return op.family == "max_pool" if code == "CV143" else True


def verdicts(report: "Report") -> list[Verdict]:
    """One for each law, in the order of their codes."""
    return [Verdict(code, CODES[code].title, *_verdict(report, code)) for code in CODES]


def _verdict(report: "Report", code: str) -> tuple[str, str]:
    broken = list(_broken(report, code))
    if broken:
        return "failed", "\n\n".join(broken)
    known = [f.known for f in report.findings if f.known and code in (f.code, *f.also)]
    if known:
        return "known", "; ".join(dict.fromkeys(known))
    if code in report.unasked:
        return "skipped", report.unasked[code]
    return "passed", ""


def _broken(report: "Report", code: str) -> Iterator[str]:
    for finding in report.findings:
        if finding.known:
            continue
        if finding.code == code:
            yield str(finding)
        elif code in finding.also:
            law = CODES[finding.code].title
            yield f"{code} {CODES[code].title}: the mistake that {finding.code} {law} tells of"
    for known in report.gone:
        if known.code == code:
            yield f"the baseline lists {known}, which is no longer found: remove it"
