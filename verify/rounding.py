"""How far a right implementation may be off: derived bounds, no chosen tolerances.

With u the unit roundoff, a sum of n products in any order is off by at most gamma_n times the sum
of their absolute values, gamma_n = n u / (1 - n u) (Higham, Accuracy and Stability of Numerical
Algorithms, 2002, section 3.1). Fast algorithms mix values of different outputs: their error is
bounded by norms only (ibid., chapters 23 and 24).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite, log2, prod, sqrt
from typing import Any

import numpy as np

from verify import winograd
from verify.case import Case
from verify.data import gamma, unit
from verify.winograd import CELLS

ALGORITHMS = ("auto", "direct", "fft", "winograd", "tf32")
HALF_DTYPES = ("float16", "bfloat16")
TF32 = 2.0**-11
BLUESTEIN = 50  # numpy and scipy take Bluestein's algorithm from this length on, for large primes


@dataclass(frozen=True)
class Scale:
    """What the bounds of one result are made of.

    terms: products in its longest sum, and the bias. magnitude: the sum of their absolute values
    (|T| |x| + |b|), an array like the result. norm: |p|₂ |q|₂ of the two arrays that are
    convolved. taps: the positions of the smaller one. lengths: of the longest transform of each
    axis. growth, tiled: that of Winograd's algorithm, and the norm of what is in one of its tiles.
    """

    terms: int
    magnitude: Any
    norm: float
    taps: int = 1
    lengths: tuple[int, ...] = ()
    growth: float = 1.0
    tiled: float = inf


def inner_unit(dtype: str) -> float:
    """The unit roundoff of the sums: halves are summed in float32."""
    return unit("float32" if dtype in HALF_DTYPES else dtype)


def scale_forward(case: Case) -> Scale:
    """The scale of y = T(w) x + b."""
    arrays, layer = case.arrays, case.layer
    terms = prod(layer.weight_shape[1:])
    if case.op.transposed:
        terms = layer.weight_shape[0] * prod(layer.weight_shape[2:])
    b = None if arrays.b is None else abs(arrays.b)
    magnitude = layer.apply(abs(arrays.x), abs(arrays.w), b)
    often, kernel = copies(case), layer.weight_shape[2:]
    norm = sqrt(often) * _norm(arrays.x) * _norm(arrays.w)
    taps = min(prod(kernel), prod(layer.input_shape[1:]) * often)
    growth = growth_of(case, case.op.transposed)
    return Scale(terms + 1, magnitude, norm, taps, lengths(case), growth, _tiled(case))


def scales_backward(case: Case) -> tuple[Scale, Scale, Scale]:
    """The scales of grad_x, grad_w and grad_b."""
    arrays, layer = case.arrays, case.layer
    magnitudes = layer.gradients(abs(arrays.g), abs(arrays.x), abs(arrays.w))
    g, x, w = map(_norm, (arrays.g, arrays.x, arrays.w))
    outputs, inputs = prod(layer.output_shape[1:]), prod(layer.input_shape[1:])
    kernel, often = layer.weight_shape[2:], copies(case)
    long, growth = lengths(case), growth_of(case, True)
    positions = max(outputs, inputs)
    return (
        # What comes back to an input's copies is added up.
        Scale(prod(layer.weight_shape) * often + 1, magnitudes[0], g * w * often,
              min(prod(kernel), outputs), long, growth),
        Scale(case.batch * positions + 1, magnitudes[1], g * x * sqrt(often),
              min(outputs, inputs * often), long, growth),
        Scale(case.batch * outputs + 1, magnitudes[2], g * sqrt(case.batch * outputs)),
    )  # fmt: skip


def growth_of(case: Case, backward: bool) -> float:
    """The growth of Winograd's algorithm, nested over the axes."""
    return prod(winograd.growth(taps, backward) for taps in case.layer.weight_shape[2:])


def _tiled(case: Case) -> float:
    """At most |x|₂ |w|₂ of the cells of one tile, in all channels of a group, and of one filter.

    With strides each phase has a tile of its own.
    """
    arrays, layer = case.arrays, case.layer
    if case.op.transposed or not arrays.x.size or max(layer.weight_shape[2:], default=1) >= CELLS:
        return inf  # tiles overlap, or the kernel is cut into blocks
    cells = layer.weight_shape[1] * CELLS**case.op.ndim * prod(getattr(layer, "stride", ()))
    filters = np.linalg.norm(arrays.w.reshape(len(arrays.w), -1), axis=1)
    return float(sqrt(cells) * abs(arrays.x).max() * filters.max())


def copies(case: Case) -> int:
    """How often a padded input has one of its numbers at most: once where padding is zeros."""
    layer: Any = case.layer
    if getattr(layer, "padding_mode", "zeros") == "zeros":
        return 1
    return prod(1 + max(0, before) + max(0, after) for before, after in layer.padding)


def lengths(case: Case) -> tuple[int, ...]:
    """The longest transform that an axis needs: padded input and kernel, to a power of two."""
    if case.op.linear:
        return ()
    layer: Any = case.layer
    conv = layer.conv if case.op.transposed else layer
    full = (axis.padded + axis.extent - 1 for axis in conv.axes)
    return tuple(1 << max(0, size - 1).bit_length() for size in full)


def direct_bound(scale: Scale, dtype: str) -> Any:
    """|ŷ - y| <= gamma_n (|T| |x| + |b|), for each output.

    Halves are summed in float32 and rounded once: u (1 + gamma_n) more. The real part of a sum of
    complex products is a sum of 2 n real ones, whose absolute values come to at most the same sum
    of moduli; the imaginary part too: a factor of sqrt 2 for both.
    """
    inner = gamma(scale.terms, inner_unit(dtype))
    if dtype in HALF_DTYPES:
        inner += unit(dtype) * (1 + inner)
    if dtype.startswith("complex"):
        inner = sqrt(2) * gamma(2 * scale.terms, unit(dtype))
    return inner * scale.magnitude


def transform_error(length: int) -> float:
    """The normwise relative error of an FFT of up to this length, in units roundoff.

    |F̂x - Fx|₂ <= e |Fx|₂, for roots of unity that are off by mu <= 2 u (sines and cosines by a
    unit in the last place) and complex products by sqrt 2 gamma_2 (Higham, lemma 3.5): so together
    by less than 5 u. A level of radix r has one product for its twiddle factors, then sums of r
    terms: off by (r + 4) u times the sum of their moduli, and that is in norm sqrt r times the
    result's. One level: c(r) = sqrt r (r + 4) + 5; with r = 2 it is above Higham's theorem 24.2.
    Over the prime factors of a length L their sum is largest for L twos or for L itself, as c(2^t)
    is convex in t; one level of 2 is added for the way from real data to half as many complex.

    Bluestein's algorithm convolves with a chirp b of 2 L - 1 numbers of modulus 1: three transforms
    of less than 4 L, with at most 16 u a bit for radices up to 11, whose errors grow by
    sqrt 2 sqrt L (that of b), and 2 sqrt L, for |Fb| <= 2 L and |F x|₂ = sqrt L |x|₂.
    """
    bits, root = log2(length), sqrt(length)
    error = max(_level(length), bits * _level(2)) + _level(2)
    if length < BLUESTEIN:
        return error
    chirp = (sqrt(2) + 4) * root * 16 * (bits + 2) + 2 * root * 5 + 2 * 5
    return max(error, chirp)


def _level(radix: int) -> float:
    """c(r) of transform_error."""
    return sqrt(radix) * (radix + 4) + 5


def fft_bound(scale: Scale, dtype: str) -> Any:
    """Normwise, for each output: a convolution by FFTs of any length (Higham, chapter 24).

    p and q are transformed, each off by e, the sum of e over the axes; multiplied; summed over at
    most n channels and items; transformed back. By the inequality of Cauchy and Schwarz, with
    Parseval's equation, an output is off by less than before |p|₂ |q|₂ up to here,

        before = (1 + e)² (1 + 5 u) (1 + gamma_n) - 1

    and the way back adds e times the 2-norm of all outputs, at most sqrt(taps) |p|₂ |q|₂ by Young's
    inequality. Then the bias is added, and the result is rounded.
    """
    u = inner_unit(dtype)
    e = prod(1 + gamma(transform_error(length), u) for length in scale.lengths) - 1
    before = (1 + e) ** 2 * (1 + 5 * u) * (1 + gamma(2 * scale.terms, u)) - 1
    outputs = sqrt(scale.taps) + before * sqrt(prod(scale.lengths))
    return _stored((before + e * outputs) * scale.norm, scale, dtype)


def winograd_bound(scale: Scale, dtype: str) -> Any:
    """Normwise, for each output: tiles of up to 8 cells nested over the axes.

    To an output each of the three transforms of an axis takes a sum of at most 8 products and the
    rounding of its coefficients, then there is one product and the sum over the channels and tiles:
    so many roundings, times what verify.winograd.growth says (componentwise it is theorem 1 of
    Barabasz et al., 2020).
    """
    u = inner_unit(dtype)
    roundings = scale.terms + 1 + 3 * (CELLS + 1) * len(scale.lengths)
    grown = scale.growth
    if dtype.startswith("complex"):
        grown, roundings = sqrt(2) * grown, 2 * roundings
    return _stored(grown * gamma(roundings, u) * min(scale.norm, scale.tiled), scale, dtype)


def _stored(error: Any, scale: Scale, dtype: str) -> Any:
    """The error after the bias is added and the result is rounded."""
    u = gamma(1, inner_unit(dtype)) + unit(dtype)
    return error + u * (scale.magnitude + error)


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


def allowed(dtype: str, algorithm: str) -> tuple[str, ...]:
    """The kinds of arithmetic that a claim allows; a direct sum is never wrong."""
    names = ("fft", "winograd", "tf32") if algorithm == "auto" else (algorithm,)
    return ("direct", *(n for n in names if n != "direct" and (n != "tf32" or dtype == "float32")))


def bound(scale: Scale, dtype: str, name: str) -> Any:
    """How far from what toeplitz computes a result may be: it is a direct sum in float64 itself."""
    wide = "complex128" if dtype.startswith("complex") else "float64"
    return BOUNDS[name](scale, dtype) + direct_bound(scale, wide)


def arithmetic(error: Any, scale: Scale, dtype: str, algorithm: str, exact: bool) -> str | None:
    """The arithmetic that explains an error, None if it is a mistake.

    exact: whether the data are integers with exact sums. Then "direct" leaves no room, and a fast
    algorithm less than a half, for a structural mistake is off by a whole unit.
    """
    worst = float(np.max(error, initial=0.0))
    if not isfinite(worst):
        return None
    if worst == 0:
        return "direct"
    if exact and worst >= 0.5:
        return None
    return next(_explaining(error, scale, dtype, algorithm, exact), None)


def least_broken(error: Any, scale: Scale, dtype: str, algorithm: str) -> Any:
    """The bounds of the arithmetic that explains most of an error."""
    bounds = [bound(scale, dtype, name) for name in allowed(dtype, algorithm)]
    return min(bounds, key=lambda most: int((~(error <= most)).sum()))


def may_be_rounding(error: Any, scale: Scale, dtype: str, algorithm: str) -> bool:
    """Whether a fast algorithm may be off by a whole unit here: then the data tell nothing."""
    return any(_explaining(error, scale, dtype, algorithm, True))


def _explaining(error: Any, scale: Scale, dtype: str, algorithm: str, exact: bool) -> Iterator[str]:
    """The kinds of arithmetic whose bound an error keeps; of exact sums only the fast ones."""
    for name in allowed(dtype, algorithm):
        if exact and name in ("direct", "tf32"):
            continue
        if bool((error <= bound(scale, dtype, name)).all()):
            yield name


def _norm(array: Any) -> float:
    return float(np.linalg.norm(array.ravel()))
