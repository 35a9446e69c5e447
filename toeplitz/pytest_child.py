"""The judge as pytest runs it: `toeplitz verify` in a process of its own, once for a target.

In pytest's process a user's own `verify`, warnings made errors, or a measured coverage would meet
the judge; in another one nothing does.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

HOME = Path(__file__).resolve().parent.parent
# Both packages are loaded from beside this file, whatever else has their names.
BOOT = """\
import sys
from importlib.util import module_from_spec, spec_from_file_location
home, *arguments = sys.argv[1:]
for name in ("toeplitz", "verify"):
    spec = spec_from_file_location(name, f"{home}/{name}/__init__.py")
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
from toeplitz.cli import main
sys.exit(main(arguments))
"""


def laws() -> dict[str, str]:
    """The codes of the laws and their titles, without the rest of the judge."""
    spec = spec_from_file_location("_toeplitz_codes", HOME / "verify" / "codes.py")
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    codes: ModuleType = module_from_spec(spec)
    spec.loader.exec_module(codes)
    return {code: law.title for code, law in codes.CODES.items()}


def judged(arguments: Sequence[str], file: Path, cwd: Path) -> dict[str, Any]:
    """The report of `toeplitz verify` with some arguments, as plain values.

    file: where it is kept; the workers of pytest-xdist that ask for the same file wait for the
    first of them. {"error": why} if nothing could be judged.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file.with_suffix(".lock")):
        if not file.exists():
            part = file.with_suffix(".part")
            error = _run([*arguments, "--json", str(part)], cwd)
            if error:
                part.write_text(json.dumps({"error": error}), encoding="utf-8")
            part.replace(file)
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return report


def _run(arguments: Sequence[str], cwd: Path) -> str:
    """Run the command; why nothing could be judged, or nothing."""
    done = subprocess.run(
        # -P: files in the current folder must not stand in for what we import.
        [sys.executable, "-P", "-c", BOOT, str(HOME), "verify", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode in (0, 1) and Path(arguments[-1]).exists():
        return ""
    lines = done.stderr.strip().splitlines()
    told = lines[-1].removeprefix("toeplitz: ") if lines else "it said nothing"
    if done.returncode == 2:
        return told
    return f"the judge ended with status {done.returncode}: {told}"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process; without one where there is no fcntl."""
    try:
        import fcntl
    except ImportError:  # Windows, where targets cannot be isolated either
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
