"""The pytest plugin: `pytest --conv homework.py:conv2d` makes each law of the judge a test.

Loaded at every start of pytest, so it imports nothing that takes time unless it is asked for.
"""

import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest._code import ExceptionInfo
    from _pytest.terminal import TerminalReporter

FOLDER = "toeplitz_folder"  # what pytest-xdist's workers are told
KEPT = pytest.StashKey[Path]()
MADE = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()
# How the options are called on the command line of `toeplitz verify`.
PASSED = {
    "conv_op": "--op",
    "conv_seed": "--seed",
    "conv_max_examples": "--max-examples",
    "conv_baseline": "--baseline",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, one group."""
    group = parser.getgroup("conv", "judge a convolution: each law is a test")
    group.addoption(
        "--conv", action="append", default=[], metavar="TARGET",
        help="module:callable or file.py:callable; again for more",
    )  # fmt: skip
    group.addoption(
        "--conv-op", metavar="OP", help="conv1d, max_pool2d …; else of its name, or conv2d"
    )
    group.addoption(
        "--conv-backward", action="append", default=[], metavar="TARGET",
        help="its gradients; one for each --conv, in their order",
    )  # fmt: skip
    group.addoption("--conv-seed", metavar="N", help="of what is drawn; else 0")
    group.addoption("--conv-max-examples", metavar="N", help="as --max-examples; else 500")
    group.addoption("--conv-baseline", metavar="FILE", help="known failures, in TOML: xfail")
    group.addoption(
        "--conv-args", metavar="ARGS", help="what else `toeplitz verify` takes: '--dtype float32'"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that say nothing; make the folder of the reports."""
    if not config.option.conv:
        others = (*PASSED, "conv_backward", "conv_args")
        for name in (name for name in others if config.getoption(name) not in (None, [])):
            raise pytest.UsageError(f"--{name.replace('_', '-')} goes with --conv")
        return
    if config.option.conv_baseline and len(config.option.conv) > 1:
        raise pytest.UsageError("--conv-baseline goes with one --conv: it is that target's")
    backward = len(config.option.conv_backward)
    if backward not in (0, len(config.option.conv)):
        raise pytest.UsageError(
            f"--conv-backward must be given once for each --conv: got {backward} for "
            f"{len(config.option.conv)}"
        )
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None and FOLDER in worker:
        config.stash[KEPT] = Path(worker[FOLDER])
        return
    made = config.stash[MADE] = tempfile.TemporaryDirectory(prefix="toeplitz")
    config.stash[KEPT] = Path(made.name)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """All workers of pytest-xdist share one folder, so that the judge runs once."""
    if KEPT in node.config.stash:
        node.workerinput[FOLDER] = str(node.config.stash[KEPT])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder again."""
    if MADE in config.stash:
        config.stash[MADE].cleanup()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A target that cannot be judged is a wrong command line, whatever else there was to test."""
    if KEPT in session.config.stash and list(session.config.stash[KEPT].glob("*.told")):
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the laws of each target to the user's own tests."""
    for number, target in enumerate(config.option.conv):
        name = f"toeplitz verify {target}"
        judged = Judged.from_parent(session, name=name, nodeid=name, number=number, target=target)
        items.extend(session.genitems(judged))


class Judged(pytest.Collector):
    """A target, judged when the first of its laws is tested."""

    def __init__(self, *, number: int, target: str, **given: Any) -> None:
        super().__init__(**given)
        self.number, self.target = number, target
        self._laws: dict[str, dict[str, str]] = {}

    def collect(self) -> Iterator[pytest.Item]:
        from toeplitz.pytest_child import laws

        for code, title in laws().items():
            yield Law.from_parent(self, name=f"{code} {title}", code=code)

    def law(self, code: str) -> dict[str, str]:
        """What the judge says of a law: its outcome and the text."""
        return self._laws[code]

    def judge(self) -> None:
        """Run the judge; the first law of a target that cannot be judged says why."""
        if self._laws:
            return
        report = self._report()
        if "error" not in report:
            self._laws = {law["code"]: law for law in report["laws"]}
            return
        told = f"{self.target} could not be judged"
        try:
            (self.config.stash[KEPT] / f"{self.number}.told").touch(exist_ok=False)
        except FileExistsError:  # by another law, or another worker of pytest-xdist
            pytest.skip(told)
        pytest.fail(f"{told}: {report['error']}", pytrace=False)

    def _report(self) -> dict[str, Any]:
        from toeplitz.pytest_child import judged

        option = self.config.option
        arguments = [self.target]
        for name, passed in PASSED.items():
            value = getattr(option, name)
            if value is not None:
                arguments.append(f"{passed}={value}")
        if option.conv_backward:
            arguments.append(f"--backward={option.conv_backward[self.number]}")
        arguments += shlex.split(option.conv_args or "")
        file = self.config.stash[KEPT] / f"{self.number}.json"
        return judged(arguments, file, self.config.invocation_params.dir)


class Broken(Exception):
    """A law that does not hold: the finding's text says it all."""


class Law(pytest.Item):
    """A law of a target."""

    parent: Judged

    def __init__(self, *, code: str, **given: Any) -> None:
        super().__init__(**given)
        self.code = code

    def setup(self) -> None:
        self.parent.judge()

    def runtest(self) -> None:
        law = self.parent.law(self.code)
        if law["outcome"] == "skipped":
            pytest.skip(law["text"])
        if law["outcome"] == "known":
            pytest.xfail(law["text"])
        if law["outcome"] != "passed":  # also what is known, with --runxfail
            raise Broken(law["text"])

    def repr_failure(self, excinfo: "ExceptionInfo[BaseException]", style: Any = None) -> Any:
        if isinstance(excinfo.value, Broken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.parent.name}: {self.name}"


def pytest_terminal_summary(terminalreporter: "TerminalReporter", config: pytest.Config) -> None:
    """How much was tried and not covered, which no test can say."""
    if KEPT not in config.stash:
        return
    import json

    for file in sorted(config.stash[KEPT].glob("*.json")):
        report = json.loads(file.read_text(encoding="utf-8"))
        if "summary" in report:
            target = config.option.conv[int(file.stem)]
            terminalreporter.section(f"toeplitz verify {target}")
            if report["heading"]:
                terminalreporter.write_line(report["heading"])
            terminalreporter.write_line(report["summary"])
