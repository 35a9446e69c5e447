"""Numbers for a case, and how they lie in memory: what every family of ops draws from."""

from importlib.util import find_spec
from typing import Any

import numpy as np

LAYOUTS = ("contiguous", "transposed", "sliced", "reversed", "channels_last", "readonly")
DTYPES = ("float64", "float32", "float16", "bfloat16", "int8", "int16", "int32", "int64",
          "complex64", "complex128")  # fmt: skip
HALVES = ("half sums", "half gradients")
NON_FINITE = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
EXACT = (
    "integers",
    "signs",
    "impulses",
    "ties",
    "below",
    "zeros",
    "large",
    "long sums",
)  # sums of them the dtype holds
DATA = (*EXACT, "rounding", *NON_FINITE, *HALVES)
LARGE = 2048.0  # float16 holds it, and not one more
UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "complex64": 2.0**-24}


def unit(dtype: str) -> float:
    """The unit roundoff of a dtype; 0 for integers, which do not round."""
    if "int" in dtype:
        return 0.0
    return UNITS.get(dtype, 2.0**-53)


def gamma(n: float, u: float) -> float:
    """n u / (1 - n u): the relative error of n roundings in a row."""
    if n * u >= 1:
        return float("inf")
    return n * u / (1 - n * u)


def exact_limit(dtype: str) -> int:
    """All integers up to this one are exact in the dtype."""
    limits = {"float16": 2**11, "bfloat16": 2**8, "float32": 2**24, "complex64": 2**24}
    if dtype in limits:
        return limits[dtype]
    if "int" in dtype:
        return int(np.iinfo(dtype).max)
    return 2**53


def numpy_dtype(name: str) -> Any:
    """A numpy dtype by name, bfloat16 from ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes  # an extra: only where it is installed is the dtype drawn

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def checked_dtypes(dtypes: Any) -> tuple[str, ...]:
    """The dtypes of a run: a tuple of names of DTYPES.

    Errors: ValueError for another name, for none, and for bfloat16 without ml_dtypes.
    """
    names = tuple(dtypes) if isinstance(dtypes, tuple | list) else ()
    unknown = [name for name in names if name not in DTYPES]
    if unknown or not names:
        got = repr(unknown[0] if unknown else dtypes)
        raise ValueError(f"dtypes must be some of {', '.join(DTYPES)}, in a tuple: got {got}")
    if "bfloat16" in names and find_spec("ml_dtypes") is None:
        raise ValueError("dtypes has bfloat16, which needs ml_dtypes: pip install ml_dtypes")
    return names


def laid_out(array: Any, dtype: str, layout: str) -> Any:
    """A copy of the array with the same values, lying otherwise in memory."""
    array = np.array(array, order="C").astype(numpy_dtype(dtype))
    if layout == "transposed":
        return np.asfortranarray(array)
    if layout == "channels_last" and array.ndim > 2:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if layout == "sliced":
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), 77).astype(array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if layout == "reversed":
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if layout == "readonly":
        array.flags.writeable = False
    return array


def put(array: Any, place: int, value: float) -> None:
    """Write one value at a flat place, counted from the start again in a smaller array."""
    if array.size:
        array.flat[place % array.size] = value


def integers(rng: np.random.Generator, shape: tuple[int, ...], largest: int) -> Any:
    """Integers up to ±largest, none of them 0, neighbours seldom equal."""
    return rng.integers(1, largest + 1, shape) * rng.choice([-1.0, 1.0], shape)


def rounded(array: Any, dtype: str) -> Any:
    """The values that the dtype holds, in float64 or complex128."""
    wide = np.complex128 if dtype.startswith("complex") else np.float64
    return array.astype(numpy_dtype(dtype)).astype(wide)


def thinned(rng: np.random.Generator, array: Any, most: int) -> None:
    """Put zeros for all but so many entries, so that no sum has more terms."""
    flat = array.reshape(-1)
    flat[rng.permutation(flat.size)[most:]] = 0
