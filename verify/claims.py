"""What an implementation claims to do: the part of an op's geometries that is judged."""

from collections.abc import Callable, Mapping
from typing import Any

from verify.case import Case
from verify.ops import Op
from verify.strategies import Space
from verify.suspect import Suspect, missing


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
    allowed = {}
    for name, value in supports.items():
        if name == "ndim":
            if value != op.ndim:
                raise ValueError(f"supports says ndim={value}, and {op.name} has {op.ndim}")
            continue
        if name not in ("stride", "dilation", "padding", "groups", "kernel", "output_padding"):
            raise ValueError(
                f"supports names stride, dilation, padding, groups, kernel, output_padding or "
                f"ndim: got {name!r}"
            )
        allowed[name] = tuple(value) if hasattr(value, "__len__") else (value,)
    return Space(op, allowed, None, without)
