"""Certificates: that an implementation is right for all inputs of one geometry, and why.

Two arguments, on integers so small that every sum is exact in the dtype:

Impulse pairs. If f is bilinear, it is known once it is known on all pairs of one impulse in x and
one in w. Where there are few enough, all are tried, and no chance is left.

Random probes. If f(x, w) - T(w) x is a polynomial of total degree at most DEGREE in the entries of
x and w, and not zero, it is zero at a point drawn from a grid of s values an entry with a chance of
at most DEGREE / s (Schwartz, 1980; Zippel, 1979). Independent probes multiply their chances. Where
f is bilinear this is the check of Freivalds (1977).

That f is bilinear, or a polynomial at all, is tried too, on random sums and multiples: a function
that breaks additivity on a share e of all inputs passes k trials with a chance of (1 - e)^k.
"""

import platform
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from math import isqrt, prod
from typing import Any

import numpy as np

import toeplitz
from verify.case import Case
from verify.certificate import DEGREE, Certificate, chance
from verify.ops import Layer, named
from verify.suspect import Callables, Suspect
from verify.violation import Violation, differs

BOUND = 60  # minus the binary logarithm of the chance that is asked for
# All integers up to these are exact, and no sum goes beyond them.
EXACT = {"float64": 2**53, "float32": 2**24, "int64": 2**62, "int32": 2**31 - 1}
PAIRS = 1 << 26  # results of impulse pairs that are looked at
TRIALS = 64  # of additivity in x and in w
ITEMS = 1 << 22  # entries of x and y in one call


class NotRight(AssertionError):
    """What a certificate was asked for is wrong; violation says where."""

    def __init__(self, message: str, violation: Violation | None = None) -> None:
        super().__init__(message)
        self.violation = violation


def certify(
    f: Callable[..., Any] | Suspect,
    conv: Layer,
    *,
    dtype: str = "float64",
    seed: int = 0,
    bound: int = BOUND,
) -> Certificate:
    """Show that f is T(w) x for all x and w of one geometry, as far as calls can show it.

    f: called as by verify.check; a bias is judged at the random probes, if f takes one. conv: a
    Conv, ConvTranspose or Linear. dtype: float64, float32, int64 or int32; sums are exact in it.
    bound: the chance that a wrong f passes the random probes is at most 2 to the power of minus
    this, under the assumptions that the module's text states.

    Returns a Certificate: str(), to_json(). Errors: NotRight (an AssertionError) with the first
    difference; ValueError for a geometry whose sums leave no room in the dtype.

    >>> import toeplitz, verify
    >>> conv = toeplitz.Conv((2, 5), (3, 2, 2), stride=2)
    >>> certificate = verify.certify(toeplitz.functional.conv1d, conv)
    >>> certificate.pairs, certificate.chance >= 60
    (120, True)
    """
    if bound < 1:
        raise ValueError(f"bound must be at least 1, got {bound}")
    suspect = Callables(f) if callable(f) else f
    proof = _Proof(suspect, case_of(conv, dtype), seed)
    missing_arguments(suspect, proof.case)
    trials = proof.bilinear()
    pairs = proof.impulses()
    probes = proof.probes(bound)
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "toeplitz": toeplitz.__version__,
    }
    return Certificate(
        suspect=suspect.name,
        op=proof.case.op.name,
        layer=repr(conv),
        geometry=proof.case.to_json()["layer"],
        dtype=dtype,
        pairs=pairs,
        probes=probes,
        values=proof.values,
        trials=trials,
        bias=bool(proof.takes_bias),
        chance=chance(probes, proof.values),
        seed=seed,
        digest=proof.digest.hexdigest(),
        versions=versions,
    )


def missing_arguments(suspect: Suspect, case: Case) -> None:
    """Refuse an implementation that cannot be told the geometry."""
    taken = suspect.parameters()
    absent = [name for name in case.arguments if taken is not None and name not in taken]
    if absent:
        raise ValueError(
            f"{suspect.name} takes no argument {', '.join(absent)}, which {case.layer!r} needs"
        )


def recheck(certificate: Certificate, f: Callable[..., Any] | Suspect) -> None:
    """Check a certificate again: all that it claims is done anew, with its seed.

    Errors: NotRight where f is wrong now, or returns other results than then; ValueError where
    the claims do not follow from what was checked.
    """
    conv = certificate.conv
    claimed = chance(certificate.probes, certificate.values)
    if abs(claimed - certificate.chance) > 1e-9:
        raise ValueError(
            f"the certificate claims a chance of 2^-{certificate.chance:g}, and "
            f"{certificate.probes} probes of {certificate.values} values give 2^-{claimed:g}"
        )
    bound = max(1, int(certificate.chance))
    again = certify(f, conv, dtype=certificate.dtype, seed=certificate.seed, bound=bound)
    for name in ("pairs", "probes", "values", "trials", "digest"):
        if getattr(again, name) != getattr(certificate, name):
            raise NotRight(
                f"{name} was {getattr(certificate, name)} when the certificate was written, "
                f"and is {getattr(again, name)}"
            )


class _Proof:
    """The checks of one implementation on one geometry."""

    def __init__(self, suspect: Suspect, case: Case, seed: int) -> None:
        self.suspect, self.case, self.seed = suspect, case, seed
        self.layer = case.layer
        self.digest = sha256()
        taken = suspect.parameters()
        self.takes_bias = bool(taken & {"b", "bias"}) if taken is not None else None
        self._wide = np.int64 if "int" in case.dtype else np.float64
        self._random = np.random.default_rng([seed, *sha256(repr(case.layer).encode()).digest()])
        terms = _terms(case)
        # Sums of two, each with entries up to twice as large: values * values * 8 * terms is exact.
        largest = isqrt(EXACT[case.dtype] // (8 * terms))
        self.values = 2 * min(largest, 1 << 40) + 1
        if self.values <= DEGREE:
            raise ValueError(
                f"sums of {terms} products leave no room for random integers in {case.dtype}: "
                f"take float64"
            )

    def bilinear(self) -> int:
        """Random sums and multiples, in x and in w; how many."""
        for number in range(TRIALS):
            x, y = self._drawn("x"), self._drawn("x")
            w, v = self._drawn("w"), self._drawn("w")
            factor = int(self._random.integers(2, 4))
            base = self._called(x, w)
            if number % 2:
                whole, parts = self._called(x + y, w), base + self._called(y, w)
                told, scaled, much = "x", self._called(x * factor, w), base * factor
            else:
                whole, parts = self._called(x, w + v), base + self._called(x, v)
                told, scaled, much = "w", self._called(x, w * factor), base * factor
            self._same(whole, parts, f"f is not additive in {told}")
            self._same(scaled, much, f"f of a multiple of {told} is not that multiple of f")
        return TRIALS

    def impulses(self) -> int:
        """All pairs of impulses, if there are few enough; how many."""
        inputs, weights = prod(self.layer.input_shape), prod(self._shape("w"))
        if inputs * weights * prod(self.layer.output_shape) > PAIRS:
            return 0
        step = max(1, ITEMS // max(1, inputs, prod(self.layer.output_shape)))
        for weight in range(weights):
            w = np.zeros(weights, self._wide)
            w[weight] = 1
            for first in range(0, inputs, step):
                count = min(step, inputs - first)
                x = np.eye(count, inputs, first, self._wide).reshape(count, *self.layer.input_shape)
                self._right(x, w.reshape(self._shape("w")))
        return int(inputs * weights)

    def probes(self, bound: int) -> int:
        """Random points until the chance is small enough; how many."""
        count = 1
        while chance(count, self.values) < bound:
            count += 1
        for _ in range(count):
            x, w = self._drawn("x"), self._drawn("w")
            got = self._right(x, w)
            if self.takes_bias is None:  # no signature says it
                zeros = {name: np.zeros(self._shape(name), self._wide) for name in ("x", "w", "b")}
                self.takes_bias = self.suspect.forward(self.case.but(bias=True), **zeros).ok
            if self.takes_bias:
                b = self._drawn("b")
                added = b.reshape(-1, *[1] * (got.ndim - 2))
                self._same(self._called(x, w, b), got + added, "f does not add b to each channel")
            self.digest.update(np.ascontiguousarray(got, self._wide).tobytes())
        return count

    def _right(self, x: Any, w: Any) -> Any:
        got = self._called(x, w)
        self._same(got, self.layer.apply(x, w), "f is not T(w) x")
        return got

    def _same(self, got: Any, should: Any, told: str) -> None:
        if got.shape != should.shape:
            raise NotRight(f"{told}: its shape is {got.shape}, should be {should.shape}")
        wrong = ~(got == should)
        if wrong.any():
            found = differs("CV101", self.case, "y", got, should, wrong)
            place = ", ".join(map(str, found.where or ()))
            raise NotRight(
                f"{told}: y[{place}] = {found.got!r}, should be {found.should!r}; "
                f"{found.wrong} of {found.of} values differ",
                found,
            )

    def _called(self, x: Any, w: Any, b: Any = None) -> Any:
        case = replace(self.case, batch=len(x), bias=b is not None)
        outcome = self.suspect.forward(case, x=x, w=w, **({} if b is None else {"b": b}))
        if not outcome.ok or not isinstance(outcome.value, np.ndarray):
            told = outcome.message or "a tuple of arrays"
            raise NotRight(f"f gave no array: {outcome.kind}, {told}")
        return outcome.value.astype(np.result_type(outcome.value, self._wide))

    def _drawn(self, name: str) -> Any:
        largest = self.values // 2
        shape = self._shape(name)
        return self._random.integers(-largest, largest + 1, shape).astype(self._wide)

    def _shape(self, name: str) -> tuple[int, ...]:
        if name == "x":
            return (1, *self.layer.input_shape)
        if name == "b":
            return (int(self.layer.output_shape[0]),)
        return tuple(self.case.arrays.w.shape)


def case_of(conv: Layer, dtype: str) -> Case:
    """The case of a geometry, as a call without a bias."""
    kind = type(conv).__name__
    if kind not in ("Conv", "ConvTranspose", "Linear"):
        raise TypeError(f"certify takes a Conv, ConvTranspose or Linear: got {kind}")
    if dtype not in EXACT:
        raise ValueError(f"dtype must be float64, float32, int64 or int32: got {dtype!r}")
    if kind == "Linear":
        return Case(named("linear"), conv, dtype=dtype)
    ndim = len(conv.input_shape) - 1
    if kind == "ConvTranspose":
        return Case(named(f"conv_transpose{ndim}d"), conv, dtype=dtype)
    padded: Any = conv
    lopsided = any(before != after for before, after in padded.padding)
    plain = padded.padding_mode == "zeros" and not lopsided
    return Case(named(f"conv{ndim}d" if plain else f"padded_conv{ndim}d"), conv, dtype=dtype)


def _terms(case: Case) -> int:
    shape = case.arrays.w.shape
    if case.op.transposed:
        return int(max(1, prod(shape) // max(1, shape[1])))
    return int(max(1, prod(shape[1:])))
