"""How far a right implementation may be off: derived bounds, no chosen tolerances.

With u the unit roundoff, a sum of n products in any order is off by at most gamma_n times the sum
of their absolute values, gamma_n = n u / (1 - n u) (Higham, Accuracy and Stability of Numerical
Algorithms, 2002, section 3.1). Fast algorithms mix values of different outputs: their error is
bounded by norms only (ibid., chapters 23 and 24).
"""

from dataclasses import dataclass
from math import log2, prod
from typing import Any

import numpy as np

from verify.case import Case

ALGORITHMS = ("auto", "direct", "fft", "winograd", "tf32")
UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "complex64": 2.0**-24}
TF32 = 2.0**-11
# The largest product of the norms of the three matrices of Winograd's F(m, 3), m = 2, 4, 6, on
# points 0, ±1, ±2, ±1/2: Barabasz et al., Error Analysis and Improving the Accuracy of Winograd
# Convolution for Deep Neural Networks, 2020, for one axis.
WINOGRAD_GROWTH = 2.0**12


@dataclass(frozen=True)
class Scale:
    """What the bounds of one output are made of.

    terms: products in its sum. magnitude: the sum of their absolute values (|T| |x| + |b|), an
    array like the output. norm: |x|₂ |w|₂ of what is convolved, for the normwise bounds.
    """

    terms: int
    magnitude: Any
    norm: float


def unit(dtype: str) -> float:
    """The unit roundoff of a dtype; 0 for integers, which do not round."""
    if "int" in dtype:
        return 0.0
    return UNITS.get(dtype, 2.0**-53)


def gamma(n: int, u: float) -> float:
    """n u / (1 - n u): the relative error of n roundings in a row."""
    if n * u >= 1:
        return float("inf")
    return n * u / (1 - n * u)


def scale_forward(case: Case) -> Scale:
    """The scale of y = T(w) x + b."""
    arrays, layer = case.arrays, case.layer
    terms = prod(layer.weight_shape[1:])
    if case.op.transposed:
        terms = prod(layer.weight_shape) // max(1, layer.weight_shape[1])
    b = None if arrays.b is None else abs(arrays.b)
    magnitude = layer.apply(abs(arrays.x), abs(arrays.w), b)
    norm = float(np.linalg.norm(arrays.x.ravel()) * np.linalg.norm(arrays.w.ravel()))
    return Scale(terms + 1, magnitude, norm)


def scales_backward(case: Case) -> tuple[Scale, Scale, Scale]:
    """The scales of grad_x, grad_w and grad_b."""
    arrays, layer = case.arrays, case.layer
    magnitudes = layer.gradients(abs(arrays.g), abs(arrays.x), abs(arrays.w))
    norm = {name: float(np.linalg.norm(getattr(arrays, name).ravel())) for name in "gxw"}
    places = case.batch * prod(layer.output_shape[1:])
    positions = case.batch * prod(layer.input_shape[1:])
    terms = (prod(layer.weight_shape), max(places, positions), places)
    norms = (norm["g"] * norm["w"], norm["g"] * norm["x"], norm["g"] * places**0.5)
    return tuple(Scale(t + 1, m, n) for t, m, n in zip(terms, magnitudes, norms, strict=True))  # type: ignore[return-value]  # three of them


def direct_bound(scale: Scale, dtype: str) -> Any:
    """|ŷ - y| <= gamma_n (|T| |x| + |b|), for each output.

    Halves are summed in float32 and rounded once: u (1 + gamma_n) more. A complex product is four
    real ones and two sums: gamma_(n + 2) and a factor of 2 (ibid., section 3.6).
    """
    if dtype in ("float16", "bfloat16"):
        inner = gamma(scale.terms, UNITS["float32"])
        return (inner + unit(dtype) * (1 + inner)) * scale.magnitude
    if dtype.startswith("complex"):
        return 2 * gamma(scale.terms + 2, unit(dtype)) * scale.magnitude
    return gamma(scale.terms, unit(dtype)) * scale.magnitude


def fft_bound(scale: Scale, dtype: str) -> Any:
    """Normwise: three transforms of log2 L stages, each off by at most gamma_8 (ibid., 24.1).

    The error of an output is at most the 2-norm of the errors of all, and that of each channel's
    product |x|₂ |w|₂ times the relative errors of the three transforms and of the product.
    """
    size = max(2, scale.magnitude.size * scale.terms)
    stages = 3 * log2(size) + 4
    u = unit("float32") if dtype in ("float16", "bfloat16") else unit(dtype)
    return stages * gamma(8, u) * scale.norm + unit(dtype) * scale.magnitude


def winograd_bound(scale: Scale, dtype: str) -> Any:
    """Normwise: the growth of the three transforms times that of a direct sum."""
    u = unit("float32") if dtype in ("float16", "bfloat16") else unit(dtype)
    grown = WINOGRAD_GROWTH * gamma(scale.terms + 8, u) * scale.norm
    return grown + unit(dtype) * scale.magnitude


def tf32_bound(scale: Scale, dtype: str) -> Any:
    """Both inputs rounded to 11 bits, then a direct sum: (1 + u)² - 1 more for each product."""
    rounded = 2 * TF32 + TF32**2
    return (rounded + gamma(scale.terms, unit(dtype)) * (1 + rounded)) * scale.magnitude


BOUNDS = {
    "direct": direct_bound,
    "fft": fft_bound,
    "winograd": winograd_bound,
    "tf32": tf32_bound,
}


def within_half(error: Any, scale: Scale, dtype: str) -> bool:
    """Whether a half's error is that of float32 sums, rounded once, or a fast algorithm's.

    The sums of fast algorithms are off by less than a rounding to half: twice the direct bound.
    """
    return bool((error <= 2 * direct_bound(scale, dtype)).all())


def arithmetic(error: Any, scale: Scale, dtype: str, algorithm: str, exact: bool) -> str | None:
    """The arithmetic that explains an error, None if it is a mistake.

    exact: whether the data are integers with exact sums. Then "direct" leaves no room, and a fast
    algorithm less than a half, for a structural mistake is off by a whole unit.
    """
    worst = float(np.max(error, initial=0.0))
    if not worst <= np.finfo(np.float64).max:  # NaN or infinite
        return None
    if worst == 0:
        return "direct"
    names = ("direct", "fft", "winograd", "tf32") if algorithm == "auto" else (algorithm,)
    for name in names:
        if exact and (name in ("direct", "tf32") or worst >= 0.5):
            continue
        if dtype not in ("float32", "float64") and name == "tf32":
            continue
        if bool((error <= BOUNDS[name](scale, dtype)).all()):
            return name
    return None
