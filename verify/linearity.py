"""The laws of linearity, asked with numbers larger than those that values are compared on.

The values on small integers are exact, and there linearity follows from them. Multiplied by a power
of two a floating-point computation gives the same digits, whatever its algorithm: f(s x) / s is
f(x), bit for bit. What is cut off at 255 or 32767, or kept in 32 bits, shows only here.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from verify.case import Case
from verify.suspect import Suspect
from verify.violation import Violation, differs, is_array, wide

SCALE = 2.0**40
SCALED = ("float32", "float64", "complex64", "complex128")  # where there is room for it


def linear_in_x(suspect: Suspect, case: Case) -> Violation | None:
    """f(s x) = s f(x), without the bias, for a large s of either sign."""
    return _linear(suspect, case, "x", "CV120")


def linear_in_w(suspect: Suspect, case: Case) -> Violation | None:
    """The same in the weights."""
    return _linear(suspect, case, "w", "CV121")


def _linear(suspect: Suspect, case: Case, name: str, code: str) -> Violation | None:
    if case.dtype not in SCALED or not case.op.weighted:
        return None
    plain = case.but(bias=False, data="integers")
    scale = SCALE * (-1) ** case.seed
    array = getattr(plain.arrays, name)
    one, scaled, again = (_kept(suspect, plain, **{name: k * array}) for k in (1.0, scale, 1.0))
    if one is None or scaled is None or again is None or one.shape != scaled.shape:
        return None
    if not np.array_equal(one, again):
        return None  # a state that is kept: that is told by another law
    got, should = scaled / scale, one
    differ = ~(np.abs(got - should) < 0.5)
    if not bool(differ.any()):
        return None
    note = f"f(s {name}) / s is not f({name}) with s = {scale:g}"
    return replace(differs(code, plain, "y", got, should, differ), note=note)


def adjoint(suspect: Suspect, case: Case) -> Violation | None:
    """The backward pass is the transpose of the forward one: <f(x), s g> = <x, grad_x(s g)>.

    A right result on integers is off by less than a half where sums are that wide: to the whole
    number nearest it is exact.
    """
    plain = case.but(bias=False, data="integers")
    if case.dtype not in ("float64", "complex128") or not case.op.weighted:
        return None
    g, x = plain.arrays.g, plain.arrays.x
    y = _kept(suspect, plain)
    for scale in (1.0, SCALE):
        first, second = (_sent_back(suspect, plain, scale * g) for _ in range(2))
        if y is None or first is None or y.shape != g.shape or first.shape != x.shape:
            return None
        if not np.array_equal(first, second):
            return None
        left = np.vdot(np.rint(y), g).item()
        right = np.vdot(x, np.rint(first / scale)).item()
        if left != right:
            told = "g" if scale == 1 else f"{scale:g} g"
            seen = np.vdot(x, first).item()
            note = f"<f(x), {told}> = {scale * left:g}, <x, grad_x({told})> = {seen:g}"
            return Violation("CV130", plain, "grad_x", None, left, right, note=note)
    return None


def _kept(suspect: Suspect, case: Case, **changes: Any) -> Any:
    """A copy of what a call returns, which the next call may write to; None if it is no array."""
    outcome = suspect.forward(case, **changes)
    return wide(outcome.value) if is_array(outcome) else None


def _sent_back(suspect: Suspect, case: Case, g: Any) -> Any:
    """A copy of the gradient to x; None if there is none."""
    outcome = suspect.backward(case, g=g)
    return wide(outcome.value[0]) if isinstance(outcome.value, tuple) else None
