"""A proof for code that runs on any objects: its outputs as polynomials, compared with T(w) x."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from toeplitz import Conv

LARGEST = 20_000  # triples whose polynomials are compared


def prove(f: Callable[..., Any], conv: Conv) -> int:
    """Run f on letters and compare each output with the polynomial that T(w) x is.

    f: called as by verify.check, without a bias, with object arrays of sympy symbols. conv: its
    geometry. What is shown holds for all numbers, up to rounding; nothing is left to chance.

    Returns the number of outputs compared. Errors: AssertionError with the first one that
    differs; TypeError if f cannot compute with letters; ValueError for a geometry that is too
    large.

    >>> import numpy as np, toeplitz, verify
    >>> def conv1d(x, w):
    ...     k, axes = w.shape[2], ((1, 2), (1, 2))
    ...     starts = range(x.shape[2] - k + 1)
    ...     return np.stack([np.tensordot(x[:, :, i:i + k], w, axes) for i in starts], -1)
    >>> verify.prove(conv1d, toeplitz.Conv((2, 5), (3, 2, 2)))
    12
    """
    import sympy

    if not isinstance(conv, Conv):
        raise TypeError(f"conv must be a Conv, got {type(conv).__name__}")
    if conv.triple_count > LARGEST:
        raise ValueError(
            f"{conv!r} has {conv.triple_count} triples, more than {LARGEST}: use certify"
        )
    x = _letters(sympy, "x", (1, *conv.input_shape))
    w = _letters(sympy, "w", conv.weight_shape)
    got = _called(f, x, w, conv)
    if got.shape != (1, *conv.output_shape):
        raise AssertionError(
            f"f returns the shape {got.shape}, should be {(1, *conv.output_shape)}"
        )
    flat, inputs, weights = got.ravel(), x.ravel(), w.ravel()
    should = [sympy.Integer(0)] * len(flat)
    for output, input, weight in zip(*conv.triples(), strict=True):
        should[output] += weights[weight] * inputs[input]
    for place, (one, right) in enumerate(zip(flat, should, strict=True)):
        if sympy.expand(sympy.sympify(one) - right) != 0:
            at = ", ".join(map(str, np.unravel_index(place, got.shape)))
            raise AssertionError(f"y[{at}] = {sympy.expand(one)}, should be {right}")
    return len(flat)


def _letters(sympy: Any, name: str, shape: tuple[int, ...]) -> Any:
    made = np.empty(prod(shape), object)
    made[:] = [sympy.Symbol(f"{name}{number}") for number in range(prod(shape))]
    return made.reshape(shape)


def _called(f: Callable[..., Any], x: Any, w: Any, conv: Conv) -> Any:
    from verify.certifying import case_of
    from verify.suspect import inputs, taken_by

    _, arguments = inputs("forward", case_of(conv, "float64"), {}, taken_by(f))
    try:
        got = f(x, w, **arguments)
    except (TypeError, AttributeError) as error:
        raise TypeError(f"f cannot compute with letters: {error}") from error
    if not isinstance(got, np.ndarray):
        raise TypeError(f"f must return an array, got {type(got).__name__}")
    if got.dtype != object:
        raise TypeError(f"f turned the letters into {got.dtype}: it cannot be proved this way")
    return got
