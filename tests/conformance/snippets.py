"""Run the snippets of explanations.toml that this interpreter can, and compare what they show.

python tests/conformance/snippets.py             all whose libraries are installed
python tests/conformance/snippets.py torch       only those that need torch

In `prints`, … stands for any text. What a snippet shows is what it prints, then the last line of an
exception, then the signal that ends it. Exit status 1 if one shows anything else.
"""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

FILE = Path(__file__).parent / "explanations.toml"
LIMIT = 120  # seconds


def main(only: list[str]) -> int:
    wrong = 0
    for finding in tomllib.loads(FILE.read_text(encoding="utf-8"))["finding"]:
        if only and not set(only) & set(finding["needs"]):
            continue
        missing = [name for name in finding["needs"] if importlib.util.find_spec(name) is None]
        if missing:
            print(f"skipped  {finding['title']}: no {', '.join(missing)}", flush=True)
            continue
        shown, ended = run(finding["snippet"])
        right = ended == finding.get("signal", "") and matches(finding.get("prints", ""), shown)
        wrong += not right
        print(f"{'shown  ' if right else 'OTHER  '}  {finding['title']}", flush=True)
        if not right:
            print(f"--- it shows\n{shown}\n--- ended by {ended or 'no signal'}", flush=True)
    return 1 if wrong else 0


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
    sys.exit(main(sys.argv[1:]))
