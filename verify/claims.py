"""What an implementation claims to do: the part of an op's geometries that is judged."""

from collections.abc import Callable, Mapping
from operator import index
from typing import Any

from verify.case import Case
from verify.ops import Op
from verify.strategies import Space
from verify.suspect import Suspect, missing

LEAST = {
    "stride": 1, "dilation": 1, "padding": 0, "groups": 1, "kernel": 1, "output_padding": 0
}  # fmt: skip


def space_of(
    op: Op, supports: Mapping[str, Any] | Callable[[Case], bool] | None, suspect: Suspect
) -> Space:
    """The part of an op's geometries that an implementation claims to do."""
    without = frozenset(missing(suspect, op))
    taken = suspect.parameters()
    least = len(op.arrays.given)
    if taken is not None and not taken & {"b", "bias"} and len(taken - set(op.parameters)) < least:
        without |= {"b"}
    if supports is None or callable(supports):
        return Space(op, {}, supports, without)
    if not isinstance(supports, Mapping):
        raise TypeError(
            f"supports must be a mapping such as {{'stride': (1, 2)}}, or a function of the case: "
            f"got {supports!r}"
        )
    allowed = {}
    for name, value in supports.items():
        if name == "ndim":
            if value != op.ndim:
                raise ValueError(f"supports says ndim={value}, and {op.name} has {op.ndim}")
            continue
        if name not in LEAST:
            raise ValueError(
                f"supports names stride, dilation, padding, groups, kernel, output_padding or "
                f"ndim: got {name!r}"
            )
        allowed[name] = _values(name, value)
    return Space(op, allowed, None, without)


def _values(name: str, value: Any) -> tuple[int, ...]:
    """The values that an argument may take, of one integer or several."""
    least = LEAST[name]
    wanted = f"supports must give {name} an integer of {least} or more, or several as (1, 2)"
    try:
        values = _integers(value)
    except TypeError:
        raise TypeError(f"{wanted}: got {value!r}") from None
    if not values or min(values) < least:
        raise ValueError(f"{wanted}: got {value!r}")
    return values


def _integers(value: Any) -> tuple[int, ...]:
    """One integer, or those of several."""
    try:
        return (index(value),)
    except TypeError:
        return tuple(map(index, value))


def whole(name: str, value: Any, least: int) -> int:
    """An option of a run that is an integer and not too small."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer of {least} or more: got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be an integer of {least} or more: got {value!r}")
    return number
