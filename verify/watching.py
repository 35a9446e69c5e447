"""An implementation that is watched while it is judged: how far it got, how long it may take."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from verify.case import Case
from verify.suspect import Outcome, Suspect

SHORTEST = 1.0  # seconds: no limit is lowered further
SLOWER = 20  # times the slowest answer: a call that takes longer after a hang hangs too


class Watched:
    """A suspect, passed through.

    tell: called with the number of cases so far. limit: seconds that a call may take.
    restart: makes the suspect anew with another limit; None where there are no limits.

    Once a call has hung for the whole limit, others are given up earlier, or finding the
    smallest such case would take hours.
    """

    def __init__(
        self,
        suspect: Suspect,
        tell: Callable[[int], None],
        limit: float = 0.0,
        restart: Callable[[float], Suspect] | None = None,
    ) -> None:
        self._suspect, self._tell, self._restart = suspect, tell, restart
        self.name, self.has_backward = suspect.name, suspect.has_backward
        self.limit = self._first_limit = limit
        self._taken = suspect.parameters()
        self._slowest = 0.0
        self._cases = 0
        self._last: Case | None = None

    def parameters(self) -> frozenset[str] | None:
        return self._taken

    def forward(self, case: Case, **changes: Any) -> Outcome:
        return self._call("forward", case, changes)

    def backward(self, case: Case, **changes: Any) -> Outcome:
        return self._call("backward", case, changes)

    def _call(self, role: str, case: Case, changes: dict[str, Any]) -> Outcome:
        if case is not self._last:
            self._last = case
            self._cases += 1
            self._tell(self._cases)
        start = time.monotonic()
        outcome: Outcome = getattr(self._suspect, role)(case, **changes)
        if outcome.kind == "hang":
            if self.limit < self._first_limit:
                before = f"({self._first_limit:g} s until the first call that hung)"
                outcome = replace(outcome, message=f"{outcome.message} {before}")
            self._hurry()
        elif outcome.kind != "crash":
            self._slowest = max(self._slowest, time.monotonic() - start)
        return outcome

    def _hurry(self) -> None:
        enough = SLOWER * self._slowest if self._slowest else self.limit / SLOWER
        shorter = min(self.limit, max(SHORTEST, enough))
        if self._restart is not None and shorter < self.limit:
            self.limit = shorter
            self.close()
            self._suspect = self._restart(shorter)

    def close(self) -> None:
        """End the worker, if there is one."""
        close = getattr(self._suspect, "close", None)
        if close is not None:
            close()
