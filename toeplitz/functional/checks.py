"""What the functions check before they build a geometry."""

from typing import Any

from toeplitz import arguments
from toeplitz.arrays import Array, together


def named(function: Any, name: str, axes: int) -> Any:
    """The function under its public name, the number of axes filled into its docstring."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = function.__doc__.replace("{axes}", str(axes))
    return function


def alike(*, optional: tuple[str, ...] = ("bias",), **arrays: Any) -> list[Array]:
    """The arrays, all of the dtype of the first; an optional one may be None."""
    result = together(optional=optional, **arrays)
    first, *others = arrays
    for name, array in zip(others, result[1:], strict=True):
        if array is not None and array.dtype != result[0].dtype:
            raise TypeError(
                f"{name} must have the dtype of {first}, {result[0].dtype}: got {array.dtype}; "
                f"convert with {name}.astype({first}.dtype)"
            )
    return result


def item(name: str, input: Array, axes: int, least: int = 0) -> tuple[int, ...]:
    """The shape (C, *S) of one item, from an input with or without a batch axis."""
    if input.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"input of {name} must have {axes + 1} axes, (C, *S), or {axes + 2}, (N, C, *S): "
            f"got shape {input.shape}"
        )
    item = tuple(input.shape[-axes - 1 :])
    if item[0] < least:
        raise ValueError(f"input of {name} must have at least one channel, got shape {input.shape}")
    return item


def ints(name: str, value: Any, axes: int, minimum: int) -> tuple[int, ...]:
    """One integer per axis; as in PyTorch, a tuple of one stands for all."""
    if not isinstance(value, str) and arguments.several(value) and len(value) == 1:
        (only,) = value
        value = value if arguments.several(only) else only
    return arguments.per_axis(name, value, axes, minimum)
