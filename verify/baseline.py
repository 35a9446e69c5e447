"""A baseline: the failures of an implementation that are known, each with its reason.

A TOML file, written by hand:

    [[known]]
    code = "CV105"
    name = "low-precision accumulation"
    reason = "float16 sums on purpose"

name: what the finding looks like, in the report's words; without it every finding of the code is
known. What is listed and not found makes a report not ok, so that the list stays true.
"""

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verify.codes import CODES

if TYPE_CHECKING:
    from verify.report import Finding, Report

KEYS = ("code", "name", "reason")


@dataclass(frozen=True)
class Known:
    """A known failure: the law's code, the mistake's name or nothing, and why it stays."""

    code: str
    reason: str
    name: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.code, self.name or CODES[self.code].title)))

    def means(self, finding: "Finding") -> bool:
        """Whether it is this finding.

        One mistake breaks several laws, and which of them its smallest case shows depends on the
        cases: by its name it is known under each of their codes.
        """
        if not self.name:
            return self.code == finding.code
        named = self.name in (finding.name, finding.told)
        return named and self.code in (finding.code, *finding.also)


def read(path: str | Path) -> tuple[Known, ...]:
    """The known failures that a file lists.

    Errors: ValueError, one line that names the file, for what is no baseline; OSError.
    """
    path = Path(path)
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
        return _known(plain)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no baseline: it is not written in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} is no baseline: {error}") from None


def applied(report: "Report", known: Sequence[Known]) -> "Report":
    """The report with what is known marked, and what is no longer found."""
    found = tuple(replace(f, known=_reason(f, known)) for f in report.findings)
    gone = tuple(one for one in known if not any(one.means(f) for f in found))
    return replace(report, findings=found, gone=gone)


def _reason(finding: "Finding", known: Iterable[Known]) -> str:
    return "; ".join(one.reason for one in known if one.means(finding))


def _known(plain: dict[str, Any]) -> tuple[Known, ...]:
    for name in plain:
        if name != "known":
            raise ValueError(f"its tables are written [[known]]: got {name!r}")
    entries = plain.get("known", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError("its tables are written [[known]], with two brackets")
    known = tuple(_one(number, entry) for number, entry in enumerate(entries, 1))
    listed = [(one.code, one.name) for one in known]
    for one in known:
        if listed.count((one.code, one.name)) > 1:
            raise ValueError(f"{one} is listed twice")
    return known


def _one(number: int, entry: dict[str, Any]) -> Known:
    where = f"entry {number}"
    for key, value in entry.items():
        if key not in KEYS:
            raise ValueError(f"{where} must have code, name and reason only: got {key!r}")
        if not isinstance(value, str):
            raise ValueError(f"{where} must have texts: got {key} = {value!r}")
    if "code" not in entry:
        raise ValueError(f'{where} must name a law, as code = "CV105"')
    if entry["code"] not in CODES:
        raise ValueError(f"{where} must name a law's code, such as CV105: got {entry['code']!r}")
    if not entry.get("reason", "").strip():
        raise ValueError(f"{where}, {entry['code']}, must give its reason")
    return Known(**{key: " ".join(value.split()) for key, value in entry.items()})
