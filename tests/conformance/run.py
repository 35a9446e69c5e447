"""Judge the libraries that this interpreter has: writes tests/conformance/records/*.json.

python tests/conformance/run.py                  all of rows.toml that is installed
python tests/conformance/run.py torch mlx        only these
python tests/conformance/run.py torch --op conv2d    only these rows; the others' records are kept
python tests/conformance/run.py torch --found    only rows with findings: they are told anew

Each row is a run of `toeplitz verify` in a process of its own, which is ended when it takes far
more than its budget. What a run found is kept as the report says it. write.py makes the document of
the records.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
RECORDS = HERE / "records"
KEPT = ("code", "law", "name", "text", "first_seen")  # of a finding
# The kinds of instructions that decide which code a library runs.
VECTORS = ("avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "avx2", "asimd")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs="*", help="names in rows.toml; else all")
    parser.add_argument("--op", action="append", help="only the rows of this op")
    parser.add_argument("--found", action="store_true", help="not the rows that found nothing")
    given = parser.parse_args()
    rows = tomllib.loads((HERE / "rows.toml").read_text(encoding="utf-8"))
    names = [library["name"] for library in rows["library"]]
    unknown = set(given.libraries) - set(names)
    if unknown:
        parser.error(f"rows.toml has {', '.join(names)}: got {', '.join(sorted(unknown))}")
    for library in rows["library"]:
        if not given.libraries or library["name"] in given.libraries:
            _judge_library({**rows, **library}, given.op, given.found)
    return 0


def _judge_library(library: dict, ops: list[str] | None, found_only: bool) -> None:
    try:
        versions = {d: importlib.metadata.version(d) for d in library["distributions"]}
    except importlib.metadata.PackageNotFoundError as missing:
        print(f"{library['name']}: {missing.name} is not installed", flush=True)
        return
    file = RECORDS / f"{library['name'].replace(' ', '-')}.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"runs": []}
    here = {"versions": versions, "machine": _machine()}
    kept = {_key(run): run for run in before["runs"]} if _same(here, before) else {}
    found = []
    for row in library["rows"]:
        asked = {key: row.get(key, library[key]) for key in ("dtypes", "seed", "max_examples")}
        asked |= {key: row[key] for key in ("supports",) if key in row}
        asked["time"] = row.get("seconds", library["seconds"])
        asked = {"target": row["target"], "op": row["op"], **asked}
        old = kept.get(_key(asked))
        skipped = ops and row["op"] not in ops
        if skipped and old is None:
            continue
        skipped = skipped or (found_only and old is not None and not old.get("findings"))
        run = old if skipped else asked | _judge(asked, library | row)
        print(f"{library['name']}: {run['target']} as {run['op']}: {_told(run)}", flush=True)
        found.append(run)
        today = str(datetime.date.today())
        record = {"library": library["name"], **here, "date": today, "runs": found}
        RECORDS.mkdir(exist_ok=True)
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _same(here: dict, before: dict) -> bool:
    return all(before.get(key) == value for key, value in here.items())


def _key(run: dict) -> tuple:
    return run["target"], run["op"], tuple(run["dtypes"]), tuple(run.get("supports", ()))


def _told(run: dict) -> str:
    codes = " ".join(finding["code"] for finding in run.get("findings", ()))
    return run.get("error") or f"{run['cases']} cases, {codes or 'nothing found'}"


def _judge(asked: dict, library: dict) -> dict:
    """What `toeplitz verify` says: the verdict with its findings, or the error in one line."""
    options = [asked["target"], "--op", asked["op"], "--json", "-"]
    options += [part for dtype in asked["dtypes"] for part in ("--dtype", dtype)]
    options += [part for claim in asked.get("supports", ()) for part in ("--supports", claim)]
    options += ["--seed", str(asked["seed"]), "--max-examples", str(asked["max_examples"])]
    timeout = library.get("timeout", 10)
    options += ["--time", str(library["seconds"]), "--timeout", str(timeout)]
    limit = 4 * library["seconds"] + 5 * timeout
    with tempfile.TemporaryDirectory() as folder:
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "TOEPLITZ_STORE": folder}
        try:
            ran = subprocess.run(
                [sys.executable, "-P", "-m", "toeplitz", "verify", *options],
                capture_output=True, encoding="utf-8", timeout=limit,
                env=environment | library.get("environment", {}),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {"error": f"not finished in {limit} s"}
    if ran.returncode not in (0, 1):
        return {"error": (ran.stderr.strip().splitlines() or ["ended without a word"])[-1]}
    report = json.loads(ran.stdout)
    laws = {law["code"]: law["outcome"] for law in report["laws"]}
    return {
        "verdict": "found" if report["findings"] else "right",
        "cases": report["cases"],
        "unsupported": report["unsupported"],
        "without": report["without"],
        "gradients": laws["CV140"] != "skipped",
        "arithmetic": report["arithmetic"],
        "seconds": report["seconds"],
        "findings": [_finding(finding) for finding in report["findings"]],
    }


def _finding(finding: dict) -> dict:
    """A finding without what only this machine can replay, nor the path of any file."""
    kept = {key: finding[key] for key in KEPT}
    lines = kept["text"].splitlines()
    ends = [n for n, line in enumerate(lines) if line.startswith(("  reproduce", "  or paste"))]
    text = "\n".join(lines[: ends[0]] if ends else lines)
    # What a process said last may be a log, with the time of day.
    kept["text"] = re.sub(r"(killed by signal \w+): .*", r"\1", text)
    return kept


def _machine() -> dict:
    """What a result may depend on, and nothing that tells one machine from another of its kind."""
    cpu = Path("/proc/cpuinfo")
    flags = cpu.read_text(encoding="utf-8").split() if cpu.exists() else []
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "vectors": [flag for flag in VECTORS if flag in flags],
        "python": ".".join(platform.python_version_tuple()[:2]),
    }


if __name__ == "__main__":
    sys.exit(main())
