"""Write docs/conformance.md from records/*.json and what explanations.toml says of the findings.

python tests/conformance/write.py [--records FOLDER] [--explanations FILE] [--out FILE]

Exit status 1, and nothing written, where a finding of the records has no explanation, or an
explanation has no finding, no snippet or nothing that its snippet shows.
"""

import argparse
import json
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
WHAT = ("bug", "known bug", "documented difference", "limit")
LINES = 7  # of a snippet, at most
WIDTH = 100
# One line for each paragraph: they are filled when they are written.
INTRODUCTION = """\
# What the judge says of other libraries

`toeplitz verify` was run over the convolutions of {libraries}, and over what they have of pools, batch norms, patches and padding: forward and, where the adapter has them, gradients. Here is what came out, then each disagreement with a few lines that show it without our package, then every run.

This page is written by `tests/conformance/write.py` from the records that `tests/conformance/run.py` leaves, and from `tests/conformance/explanations.toml`, which says what each disagreement is. `tests/conformance/snippets.py` runs the snippets again.

- The runs are of {dates}, on {machines}, with `OMP_NUM_THREADS=1`. What is found may depend on the processor's instructions.
- A run drew {examples} random cases and a few more where there was something to look into, but none after {seconds} seconds, unless the table says otherwise. *Nothing found* is no proof.
- A *bug* contradicts the library's own documentation, or what it answers itself by another way: another dtype, number of threads, version or function. *No report was found* says that a search found none, and no more. A *limit* is less than could be wished, and nothing contradicts it.
- An empty batch, an x of shape (0, …), is a case like others.
"""  # noqa: E501 (paragraphs)


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
    machines = {_machine(record["machine"]) for record in records}
    names = dict.fromkeys(record["library"].split(" on ")[0] for record in records)
    introduction = INTRODUCTION.format(
        libraries=_listed(list(names)),
        dates=_listed(sorted({record["date"] for record in records})),
        machines=_listed(sorted(machines)),
        examples=rows["max_examples"],
        seconds=rows["seconds"],
    )
    numbers = {id(found): n for n, (_, seen) in enumerate(told, 1) for *_, found in seen}
    parts = ["\n".join(_filled(line) for line in introduction.splitlines()) + "\n"]
    parts += ["## Summary\n", _summary(records, numbers, [one for one, _ in told])]
    parts += ["## Disagreements\n"]
    parts += [_section(n, one, seen) for n, (one, seen) in enumerate(told, 1)]
    parts += ["## Every run\n", _runs(records, numbers, rows)]
    return "\n".join(parts)


def _summary(records: list[dict], numbers: dict, known: list[dict]) -> str:
    """A row for each library: how much was tried, and its disagreements by what they are."""
    kinds = [what for what in WHAT if any(one["what"] == what for one in known)]
    lines = [f"| library | runs | cases | {' | '.join(f'{kind}s' for kind in kinds)} |"]
    lines.append("|---" * (3 + len(kinds)) + "|")
    for record in records:
        runs = record["runs"]
        cases = sum(run.get("cases", 0) for run in runs)
        found = {numbers[id(f)] for run in runs for f in run.get("findings", ())}
        cells = [_versions(record), str(len(runs)), str(cases)]
        for kind in kinds:
            of_kind = [n for n in sorted(found) if known[n - 1]["what"] == kind]
            titles = ((n, f"{n}. {known[n - 1]['title']}") for n in of_kind)
            cells.append(", ".join(f"[{n}](#{_slug(title)})" for n, title in titles) or "none")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _section(number: int, one: dict, seen: list) -> str:
    """One disagreement: what it is, where it was seen, the smallest case, the snippet."""
    record, run, finding = min(seen, key=lambda one: _size(one[2]["text"]))
    where: dict[str, dict] = {}
    for _, other, _ in seen:
        where.setdefault(other["target"], {})[other["op"]] = True
    targets = [f"`{target}` ({', '.join(ops)})" for target, ops in where.items()]
    codes = sorted({f"{f['code']} {f['law']}" for *_, f in seen})
    shown = one.get("prints", "").strip("\n")
    if one.get("signal"):
        shown = f"{shown}\nended by {one['signal']}".strip("\n")
    return "\n".join(
        [
            f"### {number}. {one['title']}\n",
            _filled(f"{_what(one)} {one['tells'].strip()}") + "\n",
            _filled(f"Seen as {_listed(codes)} in {', '.join(targets)}. Smallest case, of "
                    f"`{run['target']}` in {record['library']}:") + "\n",
            f"```text\n{_case(finding['text'])}\n```\n",
            f"```py\n{one['snippet'].strip()}\n```\n",
            f"```text\n{shown}\n```\n",
        ]
    )  # fmt: skip


def _what(one: dict) -> str:
    """A bug, with the reports; a limit …"""
    links = ", ".join(f"[{_reference(link)}]({link})" for link in one.get("links", ()))
    if one["what"] == "bug":
        return f"A bug (related: {links})." if links else "A bug; no report of it was found."
    return f"A {one['what']} ({links})." if links else f"A {one['what']}."


def _filled(text: str) -> str:
    """A paragraph or an entry of a list in lines of at most WIDTH."""
    if not text.startswith(("- ", "#")):
        return "\n".join(_lines(text))
    return "\n".join(_lines(text, "  ")) if text.startswith("- ") else text


def _lines(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _size(text: str) -> tuple[int, str]:
    """How long the case of a finding is to write."""
    return len(text.splitlines()[1]), text


def _case(text: str) -> str:
    """The case and what is wrong with it: not what it looks like, which is said above."""
    lines = text.splitlines()[1:]
    ends = [n for n, line in enumerate(lines) if re.match(r"  (looks like|also|not|known)\b", line)]
    kept = [line[2:] for line in lines[: ends[0] if ends else None]]
    return "\n".join(line if len(line) < 160 else f"{line[:159].rstrip()}…" for line in kept)


def _runs(records: list[dict], numbers: dict, rows: dict) -> str:
    """A row for each run."""
    head = "| library | target | op | dtypes | gradients | cases | not supported | found |"
    lines = [head, "|---" * 8 + "|"]
    for record in records:
        for run in record["runs"]:
            found = sorted({numbers[id(f)] for f in run.get("findings", ())})
            cells = [
                _versions(record), f"`{run['target']}`", run["op"] + _otherwise(run, rows),
                " ".join(run["dtypes"]), "yes" if run.get("gradients") else "no",
                str(run.get("cases", 0)), str(run.get("unsupported", 0)),
                run.get("error") or ", ".join(map(str, found)) or "nothing",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _otherwise(run: dict, rows: dict) -> str:
    """Where a run was not asked as most are: its seed, cases, time, and what alone was drawn."""
    told = [f"only {'; '.join(run['supports'])}"] if "supports" in run else []
    told += [f"seed {run['seed']}"] if run["seed"] != rows["seed"] else []
    told += [f"{run['max_examples']} cases"] if run["max_examples"] != rows["max_examples"] else []
    told += [f"{run['time']} s"] if run["time"] != rows["seconds"] else []
    return f" ({'; '.join(told)})" if told else ""


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
