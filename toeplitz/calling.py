"""What `toeplitz verify` judges: found by its name or its command, and made ready to be called."""

import contextlib
import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click

TIMEOUT = 10.0
PROTOCOLS = ("stdio", "once", "files")


def judge(module: str) -> ModuleType:
    """A module of the package verify, which must be the one that lies beside toeplitz."""
    ours = Path(__file__).resolve().parent.parent / "verify" / "__init__.py"
    found = importlib.util.find_spec("verify")
    if found is None:
        raise ImportError("the package 'verify' is missing beside toeplitz: install both again")
    origin = found.origin or next(iter(found.submodule_search_locations or ()), "?")
    if Path(origin).resolve() != ours:
        raise ImportError(
            f"'verify' is shadowed by {origin}: rename it, or keep its folder off the path "
            f"(python -P -m toeplitz keeps the current one off)"
        )
    return importlib.import_module(module)


@contextlib.contextmanager
def suspect(
    kept: dict[str, Any], given: dict[str, Any], tell: Callable[[int], None]
) -> Iterator[Any]:
    """What is judged: a program, or a target in a worker, or here if so given."""
    watched = judge("verify.watching").Watched
    limit = given.get("timeout", TIMEOUT)
    names: Any = (kept["target"], kept["backward"], kept["adapter"], kept["op"])
    if given.get("in_process"):
        if "timeout" in given:
            raise click.UsageError("--timeout does not go with --in-process")
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no report
            yield watched(judge("verify.targets").load(*names), tell)
        return
    made: Any = judge("verify.isolation").Isolated
    if "protocol" in kept:
        made = judge("verify.program").Program
        names = (kept["target"], kept["backward"], given.get("protocol", kept["protocol"]))

    def start(limit: float) -> Any:
        return made(*names, limit=limit)

    with contextlib.closing(watched(start(limit), tell, limit, start)) as called:
        yield called


@contextlib.contextmanager
def progress(target: str) -> Iterator[Callable[[int | str], None]]:
    """Tells the cases and what a run says of itself; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda told: None
        return
    from rich.console import Console
    from rich.markup import escape

    seen: dict[type, int | str] = {int: 0, str: "drawing"}

    def tell(told: int | str) -> None:
        seen[type(told)] = told
        status.update(f"{escape(target)}: {seen[int]} cases, {escape(str(seen[str]))}")

    with Console(stderr=True).status(escape(target)) as status:
        yield tell


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """Hypothesis keeps its notes in a folder that goes away, not in the user's current one."""
    from hypothesis.configuration import set_hypothesis_home_dir, storage_directory

    before = storage_directory(intent_to_write=False).home_directory
    with tempfile.TemporaryDirectory(prefix="toeplitz") as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(before)
