"""What a law broken on a case is, and what one result of a call came to."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.case import Case
from verify.suspect import Outcome

WROTE = "wrote to "  # what the note of CV150 begins with, before the names


@dataclass(frozen=True)
class Violation:
    """A law broken on a case.

    what: the array it is about. where: one place, as an index; got and should: the values there;
    wrong, of: how many values differ. note: a sentence where these don't tell it all.
    """

    code: str
    case: Case
    what: str = "y"
    where: tuple[int, ...] | None = None
    got: Any = None
    should: Any = None
    wrong: int = 0
    of: int = 0
    note: str = ""

    @property
    def backward(self) -> bool:
        """Whether it is about the backward pass."""
        return self.what.startswith("grad") or self.what == "backward"


@dataclass(frozen=True)
class Judgement:
    """What one result of a case came to: a violation or none, and the arithmetic that was seen."""

    outcome: Outcome
    violation: Violation | None = None
    arithmetic: str | None = None
    further: tuple["Judgement", ...] = ()  # of what f returned after y


def differs(code: str, case: Case, what: str, got: Any, expected: Any, differ: Any) -> Violation:
    """The violation that some values differ, told at the first place."""
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(differ)), differ.shape))
    return Violation(
        code,
        case,
        what,
        where,
        got[where].item(),
        expected[where].item(),
        int(differ.sum()),
        differ.size,
    )


def is_array(outcome: Outcome) -> bool:
    """Whether a call returned one array."""
    return outcome.ok and isinstance(outcome.value, np.ndarray)


def wide(array: Any) -> Any:
    """The array in float64 or complex128."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
