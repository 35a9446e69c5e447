"""What a wrong argument is told: each check returns the canonical value or refuses."""

from cmath import isfinite
from collections.abc import Mapping, MappingView, Sequence, Set
from numbers import Complex, Integral, Real
from operator import index
from typing import Any, Literal, TypeAlias

PerAxis: TypeAlias = int | Sequence[int]
Pairs: TypeAlias = tuple[tuple[int, int], ...]
Padding: TypeAlias = int | str | Sequence[int | Sequence[int]]
PaddingMode: TypeAlias = Literal["zeros", "circular", "reflect", "replicate"]

NO_SEQUENCE = (str, bytes, bytearray, memoryview, Mapping, MappingView, Set)
PADDING_MODES = ("zeros", "circular", "reflect", "replicate")
PADDING_NAMES = ("valid", "same", "same_upper", "same_lower", "full")


def integer(name: str, value: Any, minimum: int | None = None) -> int:
    """The integer that value holds; booleans and floats are refused."""
    if type(value) is not int:
        if isinstance(value, bool) or type(value).__name__ == "bool":
            raise TypeError(f"{name} must be an integer, got the boolean {value}")
        try:
            value = index(value)
        except TypeError:
            raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def integers(name: str, entries: tuple[Any, ...], minimum: int | None = None) -> tuple[int, ...]:
    """The integers that a tuple holds."""
    result = []
    for entry in entries:
        try:
            result.append(integer(name, entry, minimum))
        except TypeError:
            got = f"{entry!r} in {entries}"
            if getattr(entry, "shape", ()):
                got = f"arrays of shape {entry.shape}: pass the shape, not the array"
            raise TypeError(f"{name} must hold integers, got {got}") from None
        except ValueError as error:
            raise ValueError(f"{error} in {entries}") from None
    return tuple(result)


def number(name: str, value: Any) -> int | float | complex:
    """The Python number that value holds; booleans are refused."""
    if isinstance(value, bool) or not isinstance(value, Complex):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else complex(value)


def real(name: str, value: Any) -> float:
    """The real number that value holds."""
    known = number(name, value)
    if isinstance(known, complex):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(known)


def several(value: Any) -> bool:
    """Whether a value has entries: a tuple, a list, an array of one axis or more."""
    try:
        len(value)
    except TypeError:
        return False
    return True


def sequence(name: str, value: Any, what: str) -> tuple[Any, ...]:
    """The entries of a tuple, list or one-dimensional array."""
    if isinstance(value, NO_SEQUENCE) or not several(value):
        raise TypeError(f"{name} must be {what}, got {value!r}")
    return tuple(value)


def per_axis(name: str, value: Any, axes: int, minimum: int) -> tuple[int, ...]:
    """One integer for each spatial axis, from one integer or a tuple of them."""
    if not several(value):
        return (integer(name, value, minimum),) * axes
    entries = sequence(name, value, "an integer or a tuple of integers")
    if len(entries) != axes:
        wanted = "a tuple of 1" if axes == 1 else f"{axes}, one per spatial axis"
        raise ValueError(f"{name} must be one integer or {wanted}: got {len(entries)} in {entries}")
    return integers(name, entries, minimum)


def shape(name: str, value: Any, form: str, least: int) -> tuple[int, ...]:
    """A shape of at least `least` axes, none of them negative; form says what the axes are."""
    entries = sequence(name, value, f"the tuple {form}")
    if len(entries) < least:
        raise ValueError(f"{name} must be {form}, at least {least} axes: got {entries}")
    return integers(name, entries, 0)


def input_shape(value: Any) -> tuple[int, ...]:
    """The shape (channels, *spatial) of one batch item; each spatial size is at least 1."""
    sizes = shape("input_shape", value, "(channels, *spatial)", 2)
    if min(sizes[1:]) < 1:
        raise ValueError(f"input_shape must have spatial sizes of at least 1, got {sizes}")
    return sizes


def weight_shape(value: Any, form: str, inputs: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the weights: two channel axes, and a kernel size of at least 1 on the others."""
    weights = shape("weight_shape", value, form, 3)
    if len(weights) != len(inputs) + 1:
        raise ValueError(
            f"weight_shape must be {form}, {len(inputs) + 1} axes for input_shape {inputs} "
            f"(one item, without a batch axis): got {len(weights)} in {weights}"
        )
    if min(weights[:1] + weights[2:]) < 1:
        raise ValueError(f"weight_shape must have sizes of at least 1, got {weights}")
    return weights


def pairs(name: str, value: Any, axes: int, minimum: int | None = None) -> Pairs:
    """Padding as (before, after) for each axis, from an integer, integers or pairs of integers."""
    if not several(value):
        width = integer(name, value, minimum)
        return ((width, width),) * axes
    entries = sequence(name, value, "an integer, integers or (before, after) pairs")
    if len(entries) != axes:
        one_pair = axes == 1 and [several(entry) for entry in entries] == [False, False]
        repair = f"; for two sides write (({entries[0]}, {entries[1]}),)" if one_pair else ""
        raise ValueError(
            f"{name} must have one entry per spatial axis: got {len(entries)} in {entries} "
            f"for {axes}{repair}"
        )
    result = []
    for entry in entries:
        if several(entry):
            sides = sequence(name, entry, "an integer, integers or (before, after) pairs")
            if len(sides) != 2:
                raise ValueError(f"{name} must give (before, after) for an axis, got {entry!r}")
            before, after = (integer(name, side, minimum) for side in sides)
        else:
            before = after = integer(name, entry, minimum)
        result.append((before, after))
    return tuple(result)


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """One of a few names."""
    if not isinstance(value, str) or value not in choices:
        allowed = ", ".join(repr(c) for c in choices[:-1]) + f" or {choices[-1]!r}"
        kind = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name} must be {allowed}, got {value!r}")
    return value


def flag(name: str, value: Any) -> bool:
    """True or False, nothing that merely counts as such."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def divides(groups: int, channels: int, which: str) -> None:
    """Refuse groups that do not divide the channels."""
    if channels % groups:
        raise ValueError(
            f"groups must divide the {which} channels: {channels} % {groups} = {channels % groups}"
        )


def call(of: object, always: Sequence[str], **defaults: Any) -> str:
    """The call that makes an object, with the arguments that are not at their defaults."""
    shown = [_written(getattr(of, name)) for name in always]
    for name, default in defaults.items():
        if getattr(of, name) != default:
            shown.append(f"{name}={_written(getattr(of, name))}")
    return f"{type(of).__name__}({', '.join(shown)})"


def _written(value: Any) -> str:
    """The repr, and where that is no Python (inf, nan) a call: float('inf')."""
    if isinstance(value, float | complex) and not isfinite(value):
        return f"{type(value).__name__}('{value}')"
    return repr(value)
