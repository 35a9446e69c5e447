"""The implementation under test, and what becomes of one call of it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from verify.case import Case
from verify.ops import Op


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    kind: "value" (value is an array, or a tuple of three for a backward pass), "unsupported"
    (NotImplementedError), "raised", "wrong type", "crash" or "hang"; message says more. mutated:
    the names of the arguments that the call wrote to.
    """

    kind: str
    value: Any = None
    message: str = ""
    mutated: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.kind == "value"


class Suspect(Protocol):
    """Something that can be called with the arrays and arguments of a case."""

    name: str
    has_backward: bool

    def parameters(self) -> frozenset[str] | None:
        """The names of the arguments that the forward pass takes; None for any."""

    def forward(self, arrays: Mapping[str, Any], arguments: Mapping[str, Any]) -> Outcome:
        """f(x, w, b, **arguments)."""

    def backward(self, arrays: Mapping[str, Any], arguments: Mapping[str, Any]) -> Outcome:
        """backward(g, x, w, **arguments)."""


class Callables:
    """A Python callable, and its backward pass if there is one, called in this process."""

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any] | None = None,
        name: str | None = None,
    ) -> None:
        for role, function in (("f", forward), ("backward", backward)):
            if function is not None and not callable(function):
                raise TypeError(f"{role} must be callable, got {function!r}")
        self._forward = forward
        self._backward = backward
        self.name = name or getattr(forward, "__name__", type(forward).__name__)
        self.has_backward = backward is not None

    def parameters(self) -> frozenset[str] | None:
        try:
            taken = inspect.signature(self._forward).parameters.values()
        except (TypeError, ValueError):  # builtins and extensions without a signature
            return None
        if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in taken):
            return None
        return frozenset(p.name for p in taken)

    def forward(self, arrays: Mapping[str, Any], arguments: Mapping[str, Any]) -> Outcome:
        return perform(self._forward, arrays, arguments)

    def backward(self, arrays: Mapping[str, Any], arguments: Mapping[str, Any]) -> Outcome:
        if self._backward is None:
            return Outcome("unsupported", message="no backward pass was given")
        return perform(self._backward, arrays, arguments)


def perform(
    function: Callable[..., Any], arrays: Mapping[str, Any], arguments: Mapping[str, Any]
) -> Outcome:
    """Call a function with arrays by position and arguments by name; None arrays are left out."""
    given = {name: array for name, array in arrays.items() if array is not None}
    before = {name: np.array(array, order="C") for name, array in given.items()}
    try:
        value = function(*given.values(), **arguments)
    except NotImplementedError as error:
        return Outcome("unsupported", message=str(error))
    except Exception as error:  # whatever an implementation raises is for the report
        return Outcome("raised", message=f"{type(error).__name__}: {_first_line(error)}")
    mutated = tuple(name for name in given if not _same(before[name], given[name]))
    wrong = _wrong_type(value)
    if wrong:
        return Outcome("wrong type", message=wrong, mutated=mutated)
    return Outcome("value", value, mutated=mutated)


def call_forward(suspect: Suspect, case: Case) -> Outcome:
    """The forward pass of a case."""
    return suspect.forward(case.arrays.given("x", "w", "b"), case.arguments)


def call_backward(suspect: Suspect, case: Case) -> Outcome:
    """The backward pass of a case."""
    return suspect.backward(case.arrays.given("g", "x", "w"), case.arguments)


def missing(suspect: Suspect, op: Op) -> tuple[str, ...]:
    """The op's arguments that the implementation does not take."""
    taken = suspect.parameters()
    return () if taken is None else tuple(p for p in op.parameters if p not in taken)


def _wrong_type(value: Any) -> str:
    if isinstance(value, tuple | list):
        kinds = [type(part).__name__ for part in value if not isinstance(part, np.ndarray)]
        if isinstance(value, list) or kinds:
            inner = ", ".join(kinds) or "ndarray"
            return f"a {type(value).__name__} of {inner}"
        return ""
    return "" if isinstance(value, np.ndarray) else type(value).__name__


def _same(before: Any, after: Any) -> bool:
    return bool(before.tobytes() == np.array(after, order="C").tobytes())


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
