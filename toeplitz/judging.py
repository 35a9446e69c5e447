"""The commands `toeplitz verify` and `toeplitz explain`: the judge on the command line."""

import importlib.util
import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from toeplitz.calling import PROTOCOLS, TIMEOUT, judge, progress, scratch, suspect
from toeplitz.options import FileName, Whole

DTYPES = ("float64", "float32", "float16", "bfloat16", "int8", "int16", "int32", "int64",
          "complex64", "complex128")  # fmt: skip
ALGORITHMS = ("auto", "direct", "fft", "winograd", "tf32")
OF_TARGETS = ("adapter", "in_process")  # options that programs have no use for
CAMPAIGN = ("seed", "max_examples", "time", "dtypes", "supports", "algorithm", "json", "op",
            "report", "baseline")  # fmt: skip


def seconds(context: click.Context, option: click.Parameter, value: float | None) -> Any:
    """A time that a clock can measure."""
    if value is not None and not (0 < value <= 86400 and math.isfinite(value)):
        raise click.UsageError(
            f"{option.opts[0]} must be seconds, more than 0 and at most a day: got {value:g}",
            context,
        )
    return value


def claims(context: click.Context, option: click.Parameter, entries: tuple[str, ...]) -> Any:
    """groups=1, stride=1,2 … as a mapping; None if there are none."""
    claimed: dict[str, Any] = {}
    for entry in entries:
        name, _, values = (part.strip() for part in entry.partition("="))
        least = 0 if "padding" in name else 1
        try:
            numbers = tuple(int(value) for value in values.split(","))
        except ValueError:
            raise click.UsageError(
                f"--supports must be a name and integers, such as groups=1 or stride=1,2: "
                f"got {entry!r}",
                context,
            ) from None
        if name in claimed:
            raise click.UsageError(
                f"--supports must give {name} once, as {name}=1,2: got it twice", context
            )
        if min(numbers) < least:
            raise click.UsageError(
                f"--supports must give {name} as {least} or more: got {entry!r}", context
            )
        claimed[name] = numbers[0] if name == "ndim" and len(numbers) == 1 else numbers
    return claimed or None


@click.command("verify")
@click.argument("target", required=False)
@click.option("--exec", "command", help="judge a program instead: its command, as ./my_conv")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    help="how the program is asked; else stdio: it is kept and answers one request after another",
)
@click.option("--op", help="conv2d, conv_transpose1d, max_pool2d …; else of its name, or conv2d")
@click.option("--backward", metavar="TARGET", help="its gradients; with --exec a command")
@click.option("--adapter", help="torch, jax, tensorflow …, numpy for none, or module:callable")
@click.option("--seed", type=Whole(0), help="of what is drawn; else 0")
@click.option(
    "--max-examples",
    type=Whole(1),
    help="cases drawn at large, before some hundred for what they missed; else 500",
)
@click.option("--time", type=float, callback=seconds, help="seconds after which none is drawn")
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(DTYPES),
    help="again for more; else float64 and float32",
)
@click.option("--algorithm", type=click.Choice(ALGORITHMS), help="what rounding is allowed")
@click.option(
    "--supports",
    multiple=True,
    callback=claims,
    help="what it claims: groups=1, again for stride=1,2 …",
)
@click.option(
    "--timeout",
    type=float,
    callback=seconds,
    help=f"seconds that a call may take; else {TIMEOUT:g}",
)
@click.option(
    "--json",
    type=FileName(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="write the report as JSON; - prints it instead",
)
@click.option(
    "--report",
    type=FileName(dir_okay=False),
    metavar="FILE",
    help="write it for a CI server: .xml is JUnit's, .json as --json",
)
@click.option(
    "--baseline",
    type=FileName(exists=True, dir_okay=False),
    metavar="FILE",
    help="known failures with their reasons, in TOML; one that is not found fails",
)
@click.option("--replay", metavar="ID", help="run a failure that was kept again, and no other")
@click.option("--in-process", is_flag=True, help="without a worker: a crash ends the run")
def verify_command(
    target: str | None, command: str | None, replay: str | None, **options: Any
) -> int:
    """Judge an implementation of a convolution, and name its mistake.

    TARGET is module:callable or file.py:callable, called as f(x, w, b=None, stride=1, padding=0,
    dilation=1, groups=1) with numpy arrays; or give a program of any language with --exec, which
    is asked as docs/programs.md says. The exit status is 0 if nothing is found and 1 if
    something is. What --baseline lists does not count, unless it is no longer found.

    \b
    Examples:
      toeplitz verify homework.py:conv2d
      toeplitz verify homework.py:conv2d --backward homework.py:backward --time 10
      toeplitz verify homework.py:conv1d --op conv1d --supports groups=1 --supports stride=1,2
      toeplitz verify torch.nn.functional:conv2d
      toeplitz verify scipy.signal:correlate2d
      toeplitz verify jax.lax:conv_general_dilated --op conv3d
      toeplitz verify onnx.reference:Conv
      toeplitz verify onnxruntime:Conv --dtype float32 --json -
      toeplitz verify --exec ./my_conv --backward ./my_conv
      toeplitz verify homework.py:conv2d --report junit.xml
      pytest --conv homework.py:conv2d
    """
    name = _judged(target, command, options)
    if replay is not None:
        return _replay(name, command is not None, replay, options)
    given = {name: value for name, value in options.items() if value not in (None, ())}
    ops, campaign, store = (judge(f"verify.{name}") for name in ("ops", "campaign", "store"))
    op = ops.named(given.get("op") or (ops.DEFAULT if target is None else ops.of_function(target)))
    dtypes = given.get("dtypes")
    _installed(dtypes or ())
    files = _writable(given)
    baseline = judge("verify.baseline")
    known = baseline.read(given["baseline"]) if "baseline" in given else ()
    kept = {"target": name, "op": op.name, "algorithm": given.get("algorithm", "auto")}
    kept |= {option: given.get(option) for option in ("backward", "adapter")}
    if command is not None:
        kept["protocol"] = given.get("protocol", PROTOCOLS[0])
    with scratch(), progress(name) as tell, suspect(kept, given, tell) as watched:

        def keep(violation: Any) -> str:
            id = store.save(violation.case, kept | {"timeout": watched.limit}, violation.code)
            program = "--exec " if command is not None else ""
            return f"toeplitz verify {program}{shlex.quote(name)} --replay {id}"

        try:
            report = campaign.run(
                watched,
                op,
                supports=given.get("supports"),
                algorithm=kept["algorithm"],
                seed=given.get("seed", 0),
                max_examples=given.get("max_examples", 500),
                seconds=given.get("time"),
                dtypes=dtypes,
                replay=keep,
                tell=tell,
                option="--op {}",
            )
        except RuntimeError as error:
            raise ValueError(f"{name} could not be judged: {error}") from error
    if not report.cases:
        raise ValueError(f"{name} was not judged: {_nothing(report)}")
    if "op" not in given and op.name != ops.DEFAULT:
        told = "is judged as the op of its name, since no other was given"
        report = replace(report, heading=f"{report.suspect} {told}")
    report = baseline.applied(report, known)
    if given.get("in_process"):
        apart = dict.fromkeys(("CV190", "CV191"), "it was judged without a process of its own")
        report = replace(report, unasked={**report.unasked, **apart})
    for file in files:
        xml = file.suffix.lower() == ".xml"
        text = judge("verify.junit").junit(report, name) if xml else report.to_json()
        file.write_text(text + "\n", encoding="utf-8")
    click.echo(report.to_json() if given.get("json") == "-" else str(report))
    return 0 if report.ok else 1


def _judged(target: str | None, command: str | None, options: dict[str, Any]) -> str:
    """The target or the command: what the options must go with."""
    if (target is None) == (command is None):
        got = "got neither" if target is None else "got both"
        raise click.UsageError(f"give a TARGET, or a program with --exec: {got}")
    if command is None and options["protocol"] is not None:
        raise click.UsageError("--protocol goes with --exec only")
    for name in OF_TARGETS if command is not None else ():
        if options[name]:
            raise click.UsageError(f"--{name.replace('_', '-')} does not go with --exec")
    return str(target if command is None else command)


def _nothing(report: Any) -> str:
    """Why a run had no case."""
    if report.unsupported:
        return f"it supports none of {report.unsupported} calls"
    return "what it supports leaves no case, or --time is too short"


def _replay(target: str, program: bool, id: str, options: dict[str, Any]) -> int:
    """Run a failure again that was kept."""
    for name in CAMPAIGN:
        if options[name] not in (None, ()):
            option = "--dtype" if name == "dtypes" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} does not go with --replay")
    failure = judge("verify.store").find(id)
    if program != ("protocol" in failure.target):
        told = "no program's: give a TARGET" if program else "a program's: give it with --exec"
        raise ValueError(f"the failure {id} is {told}")
    kept = {**failure.target, "target": target}
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if not given.get("in_process"):
        given.setdefault("timeout", kept.get("timeout") or TIMEOUT)
    for name in ("backward", "adapter"):
        kept[name] = given.get(name, kept.get(name))
    _installed((failure.case.dtype,))
    again, finding = judge("verify.replay").again, judge("verify.report").Finding
    with suspect(kept, given, lambda cases: None) as watched:
        try:
            violation = again(watched, failure.case, failure.code, kept["algorithm"])
        except RuntimeError as error:
            raise ValueError(f"{target} could not be judged: {error}") from error
    if target not in (failure.target["target"], None):
        click.echo(f"this failure was kept of {failure.target['target']}")
    if violation is None:
        title = judge("verify.codes").CODES[failure.code].title
        click.echo(f"{target} no longer fails: {failure.code} {title}\n  {failure.case.layer!r}")
        return 0
    click.echo(f"{target} still fails\n\n{finding(violation, watched.name)}")
    return 1


def _installed(dtypes: tuple[str, ...]) -> None:
    if "bfloat16" in dtypes and importlib.util.find_spec("ml_dtypes") is None:
        raise click.UsageError("--dtype bfloat16 needs ml_dtypes: pip install ml_dtypes")


def _writable(given: dict[str, Any]) -> list[Path]:
    """The files of the report, whose folders must be there before the run."""
    if Path(given.get("report", "a.xml")).suffix.lower() not in (".xml", ".json"):
        raise click.UsageError(
            f"--report must end in .xml (JUnit) or .json: got {given['report']!r}"
        )
    names = [name for name in ("json", "report") if given.get(name, "-") != "-"]
    for name in names:
        if not Path(given[name]).parent.is_dir():
            raise click.UsageError(
                f"--{name} must be in a folder that is there: got {given[name]!r}"
            )
    return [Path(given[name]) for name in names]


@click.command("explain")
@click.argument("code", required=False)
def explain_command(code: str | None) -> None:
    """Tell what a law says, kept and broken on a small matrix; without CODE, list them.

    \b
    Examples:
      toeplitz explain
      toeplitz explain CV130
    """
    codes = judge("verify.codes").CODES
    if code is None:
        width = max(len(law.title) for law in codes.values())
        for name, law in codes.items():
            click.echo(f"{name}  {law.title:{width}}  {law.meaning}")
        return
    if code.upper() not in codes:
        raise click.UsageError(f"CODE must be a law's, such as CV130: got {code!r}")
    from toeplitz.explaining import explain

    explain(code.upper(), codes[code.upper()])
