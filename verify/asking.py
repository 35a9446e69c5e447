"""What an implementation answers for some weights, held to what a linear map does."""

from math import ceil, log2, prod
from typing import Any

import numpy as np

from verify.case import Case
from verify.data import exact_limit
from verify.judgement import DIRT, dirty
from verify.rounding import Scale, direct_bound, fft_bound, winograd_bound
from verify.suspect import Outcome, Suspect

LARGEST = 1000  # of the integers in a probe
CERTAINTY = 40  # a wrong matrix passes all probes with a chance of at most 2 ** -CERTAINTY


class Answers:
    """f with fixed weights as a function of x alone: items in, items out.

    w: the weights, in the dtype that f is called with. Where w and x hold integers so small that
    all sums are exact, what differs from integers by no more than a fast algorithm rounds is taken
    for them. Whatever is no answer is a ValueError that says what f did.
    """

    def __init__(self, suspect: Suspect, case: Case, w: Any) -> None:
        self.suspect = suspect
        self.case = case
        self.w = w
        self.sum = float(np.abs(w).sum())
        self.norm = float(np.linalg.norm(w.ravel()))
        self.limit = exact_limit(case.dtype) // (2 if w.dtype.kind == "c" else 1)
        self.exact = bool((w == np.rint(w)).all()) and 2 * self.sum <= self.limit
        self.shape: tuple[int, ...] | None = None  # of one item, as the first call gave it

    def __call__(self, x: Any) -> Any:
        """f(x) for items x (N, *input_shape), an array (N, *S) of the same S in every call."""
        y = _array(self.suspect.forward(self.case, x=x, w=self.w))
        if y.ndim < 1 or len(y) != len(x):
            raise ValueError(f"f must return {len(x)} items for {len(x)}, got shape {y.shape}")
        if self.shape is None:
            self.shape = y.shape[1:]
        if y.shape[1:] != self.shape:
            raise ValueError(
                f"f must return items of one shape, got {self.shape} and then {y.shape[1:]}"
            )
        if not np.isfinite(y).all():
            where = first_place(~np.isfinite(y))
            raise ValueError(f"f must return finite numbers, got {told(y, where)}")
        return self._settled(x, y)

    def room(self, x: Any, *results: Any) -> float:
        """How far results for x may be apart: not at all for integers, else by their rounding."""
        if self.exact and all((y == np.rint(y)).all() for y in results):
            return 0.0
        return 2 * self._bound(x)

    def _settled(self, x: Any, y: Any) -> Any:
        if not self.exact:
            return y
        near = np.rint(y)
        error = float(np.max(np.abs(y - near), initial=0.0))
        near += 0.0  # no negative zeros
        return near if error < 0.5 and error <= self._bound(x) else y

    def _bound(self, x: Any) -> float:
        """The largest rounding error of an output, for any algorithm."""
        terms = prod(self.case.layer.weight_shape)
        largest = float(np.max(np.abs(x), initial=0.0))
        norm = float(np.max(np.linalg.norm(x.reshape(len(x), -1), axis=1), initial=0.0))
        magnitude = np.broadcast_to(largest * self.sum, (prod(self.shape or (1,)),))
        scale = Scale(terms, magnitude, norm * self.norm)
        bounds = (direct_bound, fft_bound, winograd_bound)
        return max(float(np.max(b(scale, self.case.dtype), initial=0.0)) for b in bounds)


class Probes:
    """Random integer inputs and what f gives for each alone, once f is seen to be linear.

    A matrix that differs from f's gives the same y for one probe with a chance of at most
    1 / (2 A + 1), A being the largest integer drawn: of the values of one entry, the others being
    what they are, at most one hides the difference.
    """

    def __init__(self, answers: Answers) -> None:
        shape = answers.case.layer.input_shape
        rng = np.random.default_rng(0)
        room = int(answers.limit // (2 * answers.sum)) if answers.sum else LARGEST
        largest = max(1, min(LARGEST, room))
        count = ceil(CERTAINTY / log2(2 * largest + 1))
        self.answers = answers
        self.x = rng.integers(-largest, largest + 1, (count, *shape)).astype(answers.w.dtype)
        self.y = np.concatenate([answers(one[None]) for one in self.x])
        self._repeats()
        nothing = answers(np.zeros_like(self.x[:1]))
        if nothing.any():
            where = first_place(nothing != 0)
            raise ValueError(f"f is not linear in x: f(0) must be 0, got {told(nothing, where)}")
        self._adds()
        self.together = self._together()

    def agree(self, matrix: Any) -> bool:
        """Whether a matrix gives what f gave."""
        y = (matrix @ self.x.reshape(len(self.x), -1).T).T
        got = self.y.reshape(len(self.y), -1)
        return bool((np.abs(y - got) <= self.answers.room(self.x, y, got)).all())

    def _repeats(self) -> None:
        first = self.y[:1]
        for value in (DIRT, -DIRT):
            dirty(self.answers.case, value)
            again = self.answers(self.x[:1])
            differ = np.abs(first - again) > self.answers.room(self.x[:1], first, again)
            if differ.any():
                where = first_place(differ)
                raise ValueError(
                    f"f must give the same for the same call, got {told(first, where)} "
                    f"and then {again[where].item()!r}"
                )

    def _adds(self) -> None:
        total = self.answers(self.x[:1] + self.x[1:2])
        parts = self.y[:1] + self.y[1:2]
        differ = np.abs(total - parts) > self.answers.room(2 * self.x[:2], total, parts)
        if differ.any():
            where = first_place(differ)
            raise ValueError(
                f"f is not linear in x: f(x + x') must be f(x) + f(x'), got {told(total, where)}, "
                f"should be {parts[where].item()!r}"
            )

    def _together(self) -> bool:
        """Whether the items of a batch get what they get alone."""
        try:
            y = self.answers(self.x)
        except ValueError:
            return False
        return bool((np.abs(y - self.y) <= self.answers.room(self.x, y, self.y)).all())


def told(y: Any, where: tuple[int, ...]) -> str:
    """One value of y with its place."""
    return f"y[{', '.join(map(str, where))}] = {y[where].item()!r}"


def _array(outcome: Outcome) -> Any:
    """The array of numbers that a call gave."""
    said = {
        "unsupported": f"f raised NotImplementedError: {outcome.message}".rstrip(": "),
        "raised": f"f raised {outcome.message}",
        "crash": f"f {outcome.message}",
        "hang": "f did not come back",
        "wrong type": f"f must return one numpy array, got {outcome.message}",
    }
    if not outcome.ok:
        raise ValueError(said[outcome.kind])
    y = outcome.value
    if isinstance(y, tuple):
        raise ValueError(f"f must return one numpy array, got a tuple of {len(y)}")
    if y.dtype.kind not in "biufc":
        raise ValueError(f"f must return numbers, got an array of {y.dtype}")
    return np.array(y, np.complex128 if y.dtype.kind == "c" else np.float64)


def first_place(differ: Any) -> tuple[int, ...]:
    """The first index where something is true."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(differ)), differ.shape))
