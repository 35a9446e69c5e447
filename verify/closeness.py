"""How close a result is to a predicted one."""

from typing import Any

import numpy as np

ROUNDINGS = 64  # a name needs no exactness: means and transforms round


def close(got: Any, value: Any, allowed: Any = 0.0) -> bool:
    """Whether a result is the predicted one but for rounding; NaN predicts anything.

    allowed: what each value may be off besides.
    """
    unit = 2.0**-24 if got.dtype.itemsize < 8 or got.dtype == np.complex64 else 2.0**-53
    got, value = _wide(got), _wide(value)
    got = np.where(np.isnan(value), 0, got)
    value = np.where(np.isnan(value), 0, value)
    with np.errstate(invalid="ignore", over="ignore"):
        most = ROUNDINGS * unit * largest(value) + allowed
        off = (np.abs(got - value) <= most) | (got == value)
        return bool((off | (allowed == np.inf)).all())


def differs_from(value: Any, right: Any, allowed: Any = 0.0) -> bool:
    """Whether a predicted result is another than the right one; NaN is, where no NaN is right."""
    if value.shape != right.shape or bool((np.isnan(value) & ~np.isnan(right)).any()):
        return True
    return not close(right, value, allowed)


def largest(array: Any) -> float:
    """The largest finite size of an array's values, 1 at least."""
    return float(np.max(np.abs(array), initial=1.0, where=np.isfinite(array)))


def _wide(array: Any) -> Any:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
