"""numpy or cupy arrays: which library they belong to, which dtypes can be computed with."""

import sys
from math import prod
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray
DType: TypeAlias = np.dtype[Any]


def namespace(*arrays: Array) -> Any:
    """The module numpy or cupy that the arrays belong to; cupy is looked at only if imported."""
    return _cupy() if any(_on_device(array) for array in arrays) else np


def sparse_namespace(array: Array) -> ModuleType:
    """scipy.sparse, or cupyx.scipy.sparse for a cupy array."""
    if _on_device(array):
        import cupyx.scipy.sparse as device_sparse  # cupy is an extra

        return device_sparse  # type: ignore[no-any-return]  # cupyx has no types
    import scipy.sparse

    return scipy.sparse


def _cupy() -> ModuleType:
    return sys.modules["cupy"]


def _on_device(array: Array) -> bool:
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, cupy.ndarray)


def together(*, optional: tuple[str, ...] = (), **arrays: Any) -> list[Array]:
    """The arguments as arrays of one library with numeric dtypes; an optional one may be None."""
    xp = namespace(*arrays.values())
    result: list[Array] = []
    for name, value in arrays.items():
        if value is None and name in optional:
            result.append(None)
            continue
        if xp is not np and not _on_device(value):
            raise ValueError(
                f"{name} is in host memory and another argument on the GPU: "
                f"move it with cupy.asarray({name})"
            )
        array = value if xp is not np else _host(name, value)
        numeric(name, array.dtype)
        result.append(array)
    return result


def _host(name: str, value: Any) -> Array:
    if value is None:
        raise TypeError(f"{name} must be an array, got None")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} has a mask, which no product keeps: fill it, {name}.filled(0)")
    try:
        return np.asarray(value)
    except Exception as error:  # libraries raise what they like from __array__
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name} must be an array: {error}") from None


def numeric(name: str, dtype: DType) -> None:
    """Refuse what is not a number."""
    if dtype == np.bool_:
        raise TypeError(f"{name} must hold numbers, got bool: convert it with {name}.astype(int)")
    if dtype.kind == "O":
        raise TypeError(f"{name} must hold numbers, got Python objects: symbolic() gives letters")
    if dtype.kind not in "iufc" and not is_half(dtype):
        raise TypeError(f"{name} must hold numbers, got dtype {dtype}")


def real(name: str, array: Array, why: str = "") -> None:
    """Refuse complex numbers."""
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must be real, {why}got {array.dtype}")


def number_dtype(dtype: Any) -> DType:
    """The argument dtype as a numpy dtype, if it is one of numbers."""
    try:
        known: DType = np.dtype(dtype)
    except Exception:  # numpy raises what its parsing meets: TypeError, ValueError, SyntaxError
        shape = getattr(dtype, "shape", None)
        got = repr(dtype) if shape is None else f"an array of shape {shape}"
        raise TypeError(
            f"dtype must be a dtype of numbers, such as np.float32: got {got}"
        ) from None
    if known.kind not in "iufc" and not is_half(known):
        raise TypeError(f"dtype must be a dtype of numbers, got {known}")
    return known


def one_of(dtype: Any, where: Array = None) -> Array:
    """The number one of the argument dtype, in the library of another array."""
    return namespace(where).ones((), number_dtype(dtype))


def is_half(dtype: DType) -> bool:
    """Whether a dtype is a float of two bytes or less (float16, bfloat16, the float8 family)."""
    if dtype.kind == "f":
        return dtype.itemsize < 4
    return dtype.kind == "V" and dtype.name.startswith(("bfloat16", "float8", "float6", "float4"))


def working(dtype: DType) -> DType:
    """The dtype to sum in: float32 for halves, int64 for narrower integers, else the dtype."""
    if is_half(dtype):
        return np.dtype(np.float32)
    if dtype.kind in "iu" and dtype.itemsize < 8:
        return np.dtype(np.int64)
    return dtype


def returned(array: Array, dtype: DType) -> Array:
    """A result in the dtype that was promised: rounded once; integers must fit."""
    if dtype.kind in "iu" and array.dtype != dtype and array.size:
        limits = np.iinfo(dtype)
        for extreme in (array.min(), array.max()):
            if not limits.min <= extreme <= limits.max:
                raise ValueError(
                    f"the result {extreme} does not fit into {dtype}: "
                    f"convert the arguments with .astype(np.int64)"
                )
    return array.astype(dtype, copy=False)


def sent_back(gradient: Array, x: Array, dtype: DType) -> Array:
    """A gradient to x, of its shape and the dtype that was promised; real where x is real."""
    if x.dtype.kind != "c" and dtype.kind == "c":
        return gradient.real.reshape(x.shape)
    return returned(gradient, dtype).reshape(x.shape)


def shaped(name: str, array: Array, expected: tuple[int, ...], meaning: str) -> None:
    """Refuse an array of another shape."""
    if array.shape != expected:
        raise ValueError(f"{name} must have {meaning} {expected}, got {array.shape}")


def columns(name: str, array: Any, rows: int) -> None:
    """Refuse an array that is not (rows,) or (rows, N), text and None; other objects may pass."""
    wanted = f"({rows},) or ({rows}, N)"
    if array is None or isinstance(array, str | bytes):
        raise TypeError(f"{name} must be an array of shape {wanted}, got {array!r}")
    if not isinstance(array, np.ndarray) and not _on_device(array):
        return
    if array.dtype.kind in "UST":
        raise TypeError(f"{name} must hold numbers, got an array of {array.dtype}")
    shape = array.shape
    if not shape or (len(shape) < 3 and shape[0] == rows):
        return
    repair = ""
    if array.size == rows:
        repair = f": pass {name}.ravel()"
    elif rows and len(shape) > 1 and prod(shape[1:]) == rows:
        repair = f": items are columns, {name}.reshape(-1, {rows}).T"
    raise ValueError(f"{name} must have shape {wanted}, got {shape}{repair}")


def batched(name: str, array: Array, item: tuple[int, ...]) -> Array:
    """The array as (N, *item); one without the batch axis gets N = 1."""
    if array.shape == item:
        return array[None]
    if array.ndim != len(item) + 1 or array.shape[1:] != item:
        spelled = ", ".join(map(str, item))
        raise ValueError(f"{name} must have shape (N, {spelled}) or {item}, got {array.shape}")
    return array


def flat(items: Array) -> Array:
    """Each item as one row: (N, size)."""
    return items.reshape(len(items), prod(items.shape[1:]))


def same_batch(g: Array, x: Array, item_axes: int, name: str = "g") -> None:
    """Refuse an upstream gradient whose batch axis is not that of x."""
    if g.shape[: g.ndim - item_axes] != x.shape[: x.ndim - item_axes]:
        raise ValueError(
            f"{name} and x must have the same batch axis: got {name} {g.shape} and x {x.shape}"
        )


def storable(name: str, array: Array) -> None:
    """Refuse an array of a dtype that the sparse library does not hold."""
    _refuse(
        array,
        f"{name}.astype(np.float32), or use apply, which sums in float32 and rounds once",
        f"{name}.astype(cupy.float64)",
    )


def storable_dtype(one: Array) -> None:
    """Refuse the argument dtype, of which `one` is the number one."""
    _refuse(one, "dtype=np.float32", "dtype=np.float64")


def _refuse(array: Array, host: str, device: str) -> None:
    dtype = array.dtype
    if is_half(dtype):
        raise TypeError(f"scipy.sparse holds no {dtype}: take {host}")
    if _on_device(array) and dtype.char not in "fdFD":
        raise TypeError(
            f"cupyx.scipy.sparse holds no {dtype}: take {device}, exact for integers below 2**53"
        )
