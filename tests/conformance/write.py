"""Write docs/conformance.md from records/*.json and what explanations.toml says of the findings.

python tests/conformance/write.py [--records FOLDER] [--explanations FILE] [--out FILE]

Exit status 1, and nothing written, where a finding of the records has no explanation, or an
explanation has no finding, no snippet or nothing that its snippet shows.
"""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
WHAT = {
    "bug": "a bug, and no report of it was found",
    "known bug": "a known bug",
    "documented difference": "a documented difference",
    "limit": "a limit",
}
LINES = 7  # of a snippet, at most
INTRODUCTION = """\
# What the judge says of other libraries

`toeplitz verify` was run over the convolutions of {libraries}, forward and, where the adapter has
them, gradients. Below is first what came out, then each disagreement with a few lines that show
it without our package, then every run.

This page is written by `python tests/conformance/write.py` from the records that
`python tests/conformance/run.py` leaves, and from `tests/conformance/explanations.toml`, which says
what each disagreement is. `python tests/conformance/snippets.py` runs the snippets again.

- The runs are of {dates}, on {machines}, one thread for each library. What is found may depend on
  the processor's instructions.
- Each run drew at most {examples} random cases and a few more where there was something to look
  into, and none after {seconds} seconds. *Nothing found* is no proof.
- *A bug* contradicts the library's own documentation, or what it answers itself by another way
  (another dtype, number of threads, version or function). That no report was found says no more than that
  a search did not find one.
- An empty batch is a case like others: a shape with a 0.
"""


class Refused(Exception):
    """Why no document is written."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, default=HERE / "records")
    parser.add_argument("--explanations", type=Path, default=HERE / "explanations.toml")
    parser.add_argument("--out", type=Path, default=HERE.parent.parent / "docs" / "conformance.md")
    given = parser.parse_args()
    rows = tomllib.loads((HERE / "rows.toml").read_text(encoding="utf-8"))
    order = [library["name"] for library in rows["library"]]
    records = [json.loads(f.read_text(encoding="utf-8")) for f in given.records.glob("*.json")]
    records.sort(key=lambda record: order.index(record["library"]))
    known = tomllib.loads(given.explanations.read_text(encoding="utf-8")).get("finding", [])
    try:
        told = explained(records, known)
    except Refused as reason:
        print(reason, file=sys.stderr)
        return 1
    given.out.write_text(document(records, told, rows), encoding="utf-8")
    return 0


def findings(records: list[dict]) -> Iterator[tuple[dict, dict, dict]]:
    """Each finding with its record and its run."""
    for record in records:
        for run in record["runs"]:
            for finding in run.get("findings", ()):
                yield record, run, finding


def explained(records: list[dict], known: list[dict]) -> list[tuple[dict, list]]:
    """The explanations, each with what it explains; Refused where they do not fit the records."""
    told = [(_checked(explanation), []) for explanation in known]
    without = []
    for record, run, finding in findings(records):
        fitting = [seen for one, seen in told if fits(one, record, run, finding)]
        if fitting:
            fitting[0].append((record, run, finding))
        else:
            case = finding["text"].splitlines()[1].split(None, 1)[1]
            without.append(f"{record['library']} {run['op']} {finding['code']}: {case}")
    if without:
        raise Refused("without an explanation:\n  " + "\n  ".join(without))
    unused = [one["title"] for one, seen in told if not seen]
    if unused:
        raise Refused("explained, and in no record:\n  " + "\n  ".join(unused))
    return told


def fits(explanation: dict, record: dict, run: dict, finding: dict) -> bool:
    """Whether an explanation is of this finding: library, code, op, and a pattern of its text."""
    return (
        record["library"] in explanation["libraries"]
        and finding["code"] in explanation["codes"]
        and run["op"] in explanation.get("ops", [run["op"]])
        and re.search(explanation.get("pattern", ""), finding["text"]) is not None
    )


def _checked(explanation: dict) -> dict:
    title = explanation.get("title", "an explanation")
    for key in ("title", "what", "libraries", "codes", "needs", "tells", "snippet"):
        if not explanation.get(key):
            raise Refused(f"{title} has no {key}")
    if not explanation.get("prints") and not explanation.get("signal"):
        raise Refused(f"{title} says neither what its snippet prints nor with what signal it ends")
    if explanation["what"] not in WHAT:
        raise Refused(f"{title} must be one of {', '.join(WHAT)}: got {explanation['what']}")
    if explanation["what"] == "known bug" and not explanation.get("links"):
        raise Refused(f"{title} is known and has no links")
    if len(explanation["snippet"].strip().splitlines()) > LINES:
        raise Refused(f"{title} has a snippet of more than {LINES} lines")
    if re.search(r"\b(toeplitz|verify)\b", explanation["snippet"]):
        raise Refused(f"{title} has a snippet with our package")
    return explanation


def document(records: list[dict], told: list[tuple[dict, list]], rows: dict) -> str:
    """The page."""
    machines = {tuple(json.dumps(r["machine"]) for r in [record])[0] for record in records}
    names = dict.fromkeys(record["library"].split(" on ")[0] for record in records)
    parts = [
        INTRODUCTION.format(
            libraries=_listed(list(names)),
            dates=_listed(sorted({record["date"] for record in records})),
            machines=_listed(sorted(_machine(json.loads(machine)) for machine in machines)),
            examples=rows["max_examples"],
            seconds=rows["seconds"],
        )
    ]
    numbers = {id(found): n for n, (_, seen) in enumerate(told, 1) for *_, found in seen}
    links = {n: _slug(f"{n}. {one['title']}") for n, (one, _) in enumerate(told, 1)}
    parts += ["## Summary\n", _summary(records, numbers, links), "## Disagreements\n"]
    parts += [_section(n, one, seen) for n, (one, seen) in enumerate(told, 1)]
    parts += ["## Every run\n", _runs(records, numbers, links)]
    return "\n".join(parts)


def _summary(records: list[dict], numbers: dict, links: dict) -> str:
    lines = ["| library | runs | cases | verdict |", "|---|---|---|---|"]
    for record in records:
        runs = record["runs"]
        cases = sum(run.get("cases", 0) for run in runs)
        found = sorted({numbers[id(f)] for run in runs for f in run.get("findings", ())})
        lines.append(f"| {_versions(record)} | {len(runs)} | {cases} | {_verdict(found, links)} |")
    return "\n".join(lines) + "\n"


def _section(number: int, one: dict, seen: list) -> str:
    """One disagreement: what it is, where it was seen, the smallest case, the snippet."""
    record, run, finding = min(seen, key=lambda s: (len(s[2]["text"].splitlines()[1]), s[2]["text"]))
    where = dict.fromkeys(f"`{r['target']}` as {r['op']}" for _, r, _ in seen)
    codes = dict.fromkeys(f"{f['code']} {f['law']}" for *_, f in seen)
    what = f"This is {WHAT[one['what']]}"
    if one.get("links"):
        what += f" ({', '.join(f'[{_reference(link)}]({link})' for link in one['links'])})"
    shown = one.get("prints", "").strip("\n")
    if one.get("signal"):
        shown = f"{shown}\nended by {one['signal']}".strip("\n")
    return "\n".join(
        [
            f"### {number}. {one['title']}\n",
            f"{what}. {one['tells'].strip()}\n",
            f"Seen in {', '.join(where)}: {', '.join(codes)}. Smallest case, of "
            f"`{run['target']}` in {record['library']}:\n",
            f"```text\n{_case(finding['text'])}\n```\n",
            f"```py\n{one['snippet'].strip()}\n```\n",
            f"```text\n{shown}\n```\n",
        ]
    )


def _case(text: str) -> str:
    """The case and what is wrong with it: not what it looks like, which is said above."""
    lines = text.splitlines()[1:]
    ends = [n for n, line in enumerate(lines) if re.match(r"  (looks like|also|not|known)\b", line)]
    kept = [line[2:] for line in lines[: ends[0] if ends else None]]
    return "\n".join(line if len(line) < 160 else f"{line[:159].rstrip()}…" for line in kept)


def _runs(records: list[dict], numbers: dict, links: dict) -> str:
    """A row for each run."""
    head = "| library | target | op | dtypes | gradients | cases | not supported | verdict |"
    lines = [head, "|---" * 8 + "|"]
    for record in records:
        for run in record["runs"]:
            found = sorted({numbers[id(f)] for f in run.get("findings", ())})
            cells = [
                _versions(record), f"`{run['target']}`", run["op"], " ".join(run["dtypes"]),
                "yes" if run.get("gradients") else "no", str(run.get("cases", 0)),
                str(run.get("unsupported", 0)), run.get("error") or _verdict(found, links),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _verdict(found: list[int], links: dict) -> str:
    return ", ".join(f"[{n}](#{links[n]})" for n in found) or "nothing found"


def _versions(record: dict) -> str:
    return ", ".join(f"{name} {version}" for name, version in record["versions"].items())


def _machine(machine: dict) -> str:
    vectors = ", ".join(machine["vectors"])
    return f"{machine['system']} {machine['processor']} ({vectors}) with Python {machine['python']}"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _reference(link: str) -> str:
    """owner/name#number of an issue, else the link itself."""
    issue = re.fullmatch(r"https://github.com/([\w.-]+/[\w.-]+)/(?:issues|pull)/(\d+)", link)
    return f"{issue[1]}#{issue[2]}" if issue else link


def _slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main())
