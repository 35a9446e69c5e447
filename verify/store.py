"""Failures kept for replay: small JSON files in a cache folder, and nothing anywhere else."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from verify.case import Case

FORMAT = 1
VARIABLE = "TOEPLITZ_STORE"


@dataclass(frozen=True)
class Failure:
    """A case that broke a law.

    target: what was checked, as plain values (the targets' texts, the op, options). code: the
    law's.
    """

    case: Case
    target: Mapping[str, Any]
    code: str


def folder() -> Path:
    """Where failures are kept: $TOEPLITZ_STORE, or conv-toeplitz in the user's cache folder."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():  # as the XDG specification says
        cache = Path.home() / ".cache"
    return cache / "conv-toeplitz"


def save(case: Case, target: Mapping[str, Any], code: str) -> str:
    """Keep a failure; return the id by which `find` gives it back: always the same for the same.

    Errors: OSError where the folder cannot be written; TypeError if target has no plain values.
    """
    text = _text({"case": case.to_json(), "code": code, "target": dict(target)})
    id = _id(text)
    path = folder() / f"{id}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        raise OSError(
            f"cannot keep the failure in {path.parent}: {error.strerror}; "
            f"set {VARIABLE} to a folder that can be written"
        ) from error
    return id


def find(id: str) -> Failure:
    """The failure that `save` kept under an id.

    Errors: ValueError for an id that no failure has, and for a file that was changed.
    """
    if not re.fullmatch("[0-9a-f]{12}", id):
        raise ValueError(f"an id has 12 digits of 0-9a-f: got {id!r}")
    path = folder() / f"{id}.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"no failure {id} is kept in {path.parent}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the failure {id} cannot be read: {path} ({error})") from error
    if _id(text) != id:
        raise ValueError(f"the failure {id} was changed after it was kept: {path}")
    try:
        plain = json.loads(text)
        return Failure(Case.from_json(plain["case"]), plain["target"], plain["code"])
    except (KeyError, TypeError, ValueError) as error:  # what another version kept
        raise ValueError(
            f"the failure {id} was kept by another version: run the check again"
        ) from error


def _text(plain: dict[str, Any]) -> str:
    return json.dumps({"format": FORMAT, **plain}, sort_keys=True, indent=1) + "\n"


def _id(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]
