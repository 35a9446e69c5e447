"""Run the snippets of explanations.toml that this interpreter can, and compare what they show.

python tests/conformance/snippets.py                 all whose libraries are installed
python tests/conformance/snippets.py torch           only those that need torch
python tests/conformance/snippets.py --recorded      only in the versions that were judged

In `prints`, … stands for any text. What a snippet shows is what it prints, then the last line of an
exception, then the signal that ends it. Exit status 1 if one shows anything else.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
LIMIT = 120  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="only snippets that need one of them")
    parser.add_argument("--explanations", type=Path, default=HERE / "explanations.toml")
    parser.add_argument("--recorded", action="store_true", help="only in the versions judged")
    given = parser.parse_args()
    wrong = 0
    for finding in tomllib.loads(given.explanations.read_text(encoding="utf-8"))["finding"]:
        if given.modules and not set(given.modules) & set(finding["needs"]):
            continue
        missing = _missing(finding) or (given.recorded and _other(finding["libraries"]))
        if missing:
            print(f"skipped  {finding['title']}: {missing}", flush=True)
            continue
        shown, ended = run(finding["snippet"])
        right = ended == finding.get("signal", "") and matches(finding.get("prints", ""), shown)
        wrong += not right
        print(f"{'shown  ' if right else 'OTHER  '}  {finding['title']}", flush=True)
        if not right:
            print(f"--- it shows\n{shown}\n--- ended by {ended or 'no signal'}", flush=True)
    return 1 if wrong else 0


def _missing(finding: dict) -> str:
    """What there is not of what a snippet needs: modules, instructions of the processor."""
    missing = [name for name in finding["needs"] if importlib.util.find_spec(name) is None]
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text(encoding="utf-8").split() if cpu.exists() else []
    missing += [flag for flag in finding.get("processor", ()) if flag not in flags]
    return f"no {', '.join(missing)}" if missing else ""


def _other(libraries: list[str]) -> str:
    """The versions that are installed, where they are not those of any record."""
    found = []
    for library in libraries:
        file = HERE / "records" / f"{library.replace(' ', '-')}.json"
        judged = json.loads(file.read_text(encoding="utf-8"))["versions"]
        other = {d: _version(d) for d, version in judged.items() if _public(version) != _version(d)}
        if not other:
            return ""
        found += [f"{d} {version or 'none'}, not {judged[d]}" for d, version in other.items()]
    return "; ".join(found)


def _version(distribution: str) -> str:
    try:
        return _public(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return ""


def _public(version: str) -> str:
    """A version without the name of its build."""
    return version.split("+")[0]


def run(snippet: str) -> tuple[str, str]:
    """What a snippet prints, with the last line of an exception, and the signal that ends it."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run(
        [sys.executable, "-P", "-"], input=snippet, capture_output=True, encoding="utf-8",
        timeout=LIMIT, env=environment,
    )  # fmt: skip
    shown = ran.stdout
    if ran.returncode > 0:
        shown += ran.stderr.strip().splitlines()[-1]
    ended = signal.Signals(-ran.returncode).name if ran.returncode < 0 else ""
    return shown.strip(), ended


def matches(expected: str, shown: str) -> bool:
    """Whether the text is the expected one, where … stands for anything."""
    parts = (re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(".*?".join(parts), shown.strip(), re.DOTALL) is not None


if __name__ == "__main__":
    sys.exit(main())
