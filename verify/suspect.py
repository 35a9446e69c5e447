"""The implementation under test, and what becomes of one call of it."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from verify.case import Case
from verify.data import laid_out
from verify.ops import Op


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    kind: "value" (value is an array, or a tuple of three for a backward pass), "unsupported"
    (NotImplementedError), "raised", "wrong type", "crash" or "hang"; message says more. mutated:
    the names of the arguments that the call wrote to. overwrote: whether it changed the arrays
    that the call before it returned.
    """

    kind: str
    value: Any = None
    message: str = ""
    mutated: tuple[str, ...] = ()
    overwrote: bool = False

    @property
    def ok(self) -> bool:
        return self.kind == "value"


class Suspect(Protocol):
    """Something that can be called with the arrays and arguments of a case.

    changes: other arrays than the case's (x=…; they get the case's dtype and memory layout) and
    other arguments (groups=4), also ones that no right layer has.
    """

    name: str
    has_backward: bool

    def parameters(self) -> frozenset[str] | None:
        """The names of the arguments that the forward pass takes; None for any."""

    def forward(self, case: Case, **changes: Any) -> Outcome:
        """f(x, w, b, **arguments)."""

    def backward(self, case: Case, **changes: Any) -> Outcome:
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
        self.name = str(name or getattr(forward, "__name__", type(forward).__name__))
        self.has_backward = backward is not None
        self._taken = {"forward": taken_by(forward)}
        if backward is not None:
            self._taken["backward"] = taken_by(backward)
        self._returned: list[tuple[Any, Any]] = []  # the arrays of the last call, and copies

    def parameters(self) -> frozenset[str] | None:
        return self._taken["forward"]

    def forward(self, case: Case, **changes: Any) -> Outcome:
        return self._call(self._forward, "forward", case, changes)

    def backward(self, case: Case, **changes: Any) -> Outcome:
        if self._backward is None:
            return Outcome("unsupported", message="no backward pass was given")
        return self._call(self._backward, "backward", case, changes)

    def _call(
        self, function: Callable[..., Any], role: str, case: Case, changes: Mapping[str, Any]
    ) -> Outcome:
        outcome = perform(function, *inputs(role, case, changes, self._taken[role]))
        overwrote = not all(_same(copy, array) for array, copy in self._returned)
        parts = outcome.value if isinstance(outcome.value, tuple) else (outcome.value,)
        self._returned = [(part, np.array(part, order="C")) for part in parts if outcome.ok]
        return replace(outcome, overwrote=True) if overwrote else outcome


def inputs(
    role: str, case: Case, changes: Mapping[str, Any], taken: frozenset[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays and the arguments of a call, fresh ones: those of the case, or the changes.

    taken: the names that the function takes; None for any. What it does not take is left out
    where it says nothing, as stride=(1, 1).
    """
    op = case.op
    names = op.arrays.given if role == "forward" else op.arrays.sent_back
    arrays = dict.fromkeys(names) | case.given(*(n for n in names if n not in changes))
    if role == "backward" and op.family == "norm" and arrays["weight"] is None:
        ones = np.ones(case.layer.input_shape[:1])  # which is what no weight means
        arrays["weight"] = laid_out(ones, case.dtype, case.layout)
    for name in names:
        if changes.get(name) is not None:
            arrays[name] = laid_out(changes[name], case.dtype, case.layout)
    arguments = {
        name: value
        for name, value in case.arguments.items()
        if (role == "forward" or name in op.backward_parameters)
        and (
            taken is None or name in taken or not _says_nothing(value, op.default(case.layer, name))
        )
    }
    return arrays, arguments | {n: v for n, v in changes.items() if n not in names}


def perform(
    function: Callable[..., Any], arrays: Mapping[str, Any], arguments: Mapping[str, Any]
) -> Outcome:
    """Call a function with arrays by position and arguments by name; None arrays are left out.

    Warnings are not told, nor raised where the caller's filters say so: infinities and NaN are
    meant, and some BLAS warn of memory beside the arrays.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    before = {name: np.array(array, order="C") for name, array in given.items()}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            value = function(*given.values(), **arguments)
    except NotImplementedError as error:
        return Outcome("unsupported", message=first_line(error))
    except SystemExit as error:
        return Outcome("crash", message=f"exited with status {exit_status(error.code)}")
    except Exception as error:  # whatever an implementation raises is for the report
        return Outcome("raised", message=described(error))
    mutated = tuple(name for name in given if not _same(before[name], given[name]))
    wrong = _wrong_type(value)
    if wrong:
        return Outcome("wrong type", message=wrong, mutated=mutated)
    return Outcome("value", value, mutated=mutated)


def missing(suspect: Suspect, op: Op) -> tuple[str, ...]:
    """The op's arguments that the implementation does not take."""
    taken = suspect.parameters()
    return () if taken is None else tuple(p for p in op.parameters if p not in taken)


def taken_by(function: Callable[..., Any]) -> frozenset[str] | None:
    """The names of the arguments that a function takes; None for any."""
    try:
        taken = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # builtins and extensions without a signature
        return None
    if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in taken):
        return None
    return frozenset(p.name for p in taken)


def described(error: BaseException) -> str:
    """The kind of an exception and the first line of what it says."""
    line = first_line(error)
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, which may be broken like all else."""
    try:
        return next((line for line in str(error).splitlines() if line.strip()), "")
    except Exception:  # its __str__ raises
        return ""


def exit_status(code: Any) -> int:
    """The status with which a process ends that calls sys.exit(code)."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def _says_nothing(value: Any, default: Any) -> bool:
    if value == default:
        return True
    if isinstance(value, tuple):
        return all(_says_nothing(part, default) for part in value)
    return bool(value == default)


def _wrong_type(value: Any) -> str:
    if isinstance(value, tuple | list):
        kinds = [type(part).__name__ for part in value if not isinstance(part, np.ndarray)]
        if isinstance(value, list) or kinds:
            inner = ", ".join(kinds) or "ndarray"
            return f"a {type(value).__name__} of {inner}"
    elif not isinstance(value, np.ndarray):
        return type(value).__name__
    parts = value if isinstance(value, tuple) else (value,)
    return "an array of Python objects" if any(part.dtype.hasobject for part in parts) else ""


def _same(before: Any, after: Any) -> bool:
    if before.shape != after.shape:
        return False
    return bool(before.tobytes() == np.array(after, order="C").tobytes())
