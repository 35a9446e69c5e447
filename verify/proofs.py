"""The index arithmetic proved for all sizes, by z3: the extra [proof] installs it.

The class of toeplitz that holds an axis is given letters instead of numbers: what is proved is what
its lines of Python compute. A floor division makes a quotient q and a rest r with
`divisor * q + r = dividend` and `0 <= r < divisor`, which is what it means.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from toeplitz import Conv

TIMEOUT = 20_000  # milliseconds for one theorem
Axis: Any = type(Conv((1, 1), (1, 1, 1)).axes[0])


@dataclass(frozen=True)
class Theorem:
    """What holds for all sizes. proved: False where z3 found no proof in time."""

    name: str
    statement: str
    proved: bool


def prove() -> list[Theorem]:
    """Each theorem, with the outcome.

    Errors: ImportError without z3; AssertionError with the sizes where a theorem fails.

    >>> from verify.proofs import THEOREMS
    >>> THEOREMS["size"].__doc__
    'The last window fits into the padded input, and one more would not.'
    """
    import z3

    outcomes = []
    for name, theorem in THEOREMS.items():
        letters = Letters(z3)
        claim = theorem(letters)
        solver = z3.Solver()
        solver.set("timeout", TIMEOUT)
        solver.add(*letters.facts, z3.Not(claim))
        found = solver.check()
        if found == z3.sat:
            raise AssertionError(f"{name} fails for {solver.model()}")
        outcomes.append(Theorem(name, str(theorem.__doc__), found == z3.unsat))
    return outcomes


class Letters:
    """Integers without values, and the facts that are known of them."""

    def __init__(self, z3: Any) -> None:
        self.z3 = z3
        self.facts: list[Any] = []
        self._quotients = 0

    def integer(self, name: str, least: int | None = None) -> "_Integer":
        made = self.z3.Int(name)
        if least is not None:
            self.facts.append(made >= least)
        return _Integer(made, self)

    def divided(self, dividend: Any, divisor: Any) -> tuple[Any, Any]:
        """The quotient and the rest of a floor division by a positive number."""
        self._quotients += 1
        quotient, rest = self.z3.Ints(f"q{self._quotients} r{self._quotients}")
        self.facts += [divisor * quotient + rest == dividend, rest >= 0, rest < divisor]
        return quotient, rest

    def axis(self) -> Any:
        """An axis of any size, whose kernel fits into the padded input."""
        made = Axis(
            size=self.integer("N", 1),
            kernel=self.integer("K", 1),
            stride=self.integer("S", 1),
            before=self.integer("P", 0),
            after=self.integer("Q", 0),
            dilation=self.integer("D", 1),
        )
        self.facts.append((made.padded - made.extent).value >= 0)
        return made


class _Integer:
    """An integer of z3 that Python's arithmetic goes through."""

    def __init__(self, value: Any, letters: Letters) -> None:
        self.value, self._letters = value, letters

    def _made(self, value: Any) -> "_Integer":
        return _Integer(value, self._letters)

    def __add__(self, other: Any) -> "_Integer":
        return self._made(self.value + _value(other))

    def __sub__(self, other: Any) -> "_Integer":
        return self._made(self.value - _value(other))

    def __mul__(self, other: Any) -> "_Integer":
        return self._made(self.value * _value(other))

    def __floordiv__(self, other: Any) -> "_Integer":
        return self._made(self._letters.divided(self.value, _value(other))[0])

    def __mod__(self, other: Any) -> "_Integer":
        return self._made(self._letters.divided(self.value, _value(other))[1])

    def __neg__(self) -> "_Integer":
        return self._made(-self.value)

    __radd__, __rmul__ = __add__, __mul__


def _value(number: Any) -> Any:
    return number.value if isinstance(number, _Integer) else number


def _size(letters: Letters) -> Any:
    """The last window fits into the padded input, and one more would not."""
    axis = letters.axis()
    end = (axis.windows - 1) * axis.stride + axis.extent
    more = axis.windows * axis.stride + axis.extent
    return letters.z3.And(
        axis.windows.value >= 1,
        end.value <= axis.padded.value,
        more.value > axis.padded.value,
    )


def _inside(letters: Letters) -> Any:
    """Every tap of every window reads a cell of the padded input."""
    axis = letters.axis()
    window, tap = letters.integer("o", 0), letters.integer("t", 0)
    windows = axis.windows
    letters.facts += [window.value < windows.value, tap.value < axis.kernel.value]
    # Products grow with their factors, which z3 is told.
    letters.facts += [
        window.value * axis.stride.value <= (windows.value - 1) * axis.stride.value,
        tap.value * axis.dilation.value <= (axis.kernel.value - 1) * axis.dilation.value,
        window.value * axis.stride.value >= 0,
        tap.value * axis.dilation.value >= 0,
    ]
    at = window * axis.stride + tap * axis.dilation
    return letters.z3.And(at.value >= 0, at.value < axis.padded.value)


def _adjoint(letters: Letters) -> Any:
    """Input i is read by window o through tap t exactly if S divides i + P - t D, o times."""
    axis = letters.axis()
    window, tap, cell = letters.integer("o", 0), letters.integer("t", 0), letters.integer("i", 0)
    reads = cell.value == (window * axis.stride + tap * axis.dilation - axis.before).value
    back = cell + axis.before - tap * axis.dilation
    quotient, rest = letters.divided(back.value, axis.stride.value)
    # Two multiples of S less than S apart are the same.
    step = axis.stride.value
    letters.facts += [
        letters.z3.Implies(window.value > quotient, window.value * step >= quotient * step + step),
        letters.z3.Implies(window.value < quotient, window.value * step <= quotient * step - step),
    ]
    sent = letters.z3.And(rest == 0, quotient == window.value)
    return reads == sent


def _transposed(letters: Letters) -> Any:
    """An input of size (N - 1) S + D (K - 1) + 1 + e - P - Q, 0 <= e < S, has N outputs."""
    axis = letters.axis()
    extra = letters.integer("e", 0)
    letters.facts.append(extra.value < axis.stride.value)
    size = (axis.size - 1) * axis.stride + axis.extent + extra - axis.before - axis.after
    back = Axis(
        size=size, kernel=axis.kernel, stride=axis.stride, before=axis.before, after=axis.after,
        dilation=axis.dilation,
    )  # fmt: skip
    windows, step = back.windows, axis.stride.value
    quotient, wanted = windows.value - 1, axis.size.value - 1
    letters.facts += [
        letters.z3.Implies(quotient > wanted, quotient * step >= wanted * step + step),
        letters.z3.Implies(quotient < wanted, quotient * step <= wanted * step - step),
    ]
    return windows.value == axis.size.value


def _same(letters: Letters) -> Any:
    """A total padding of (ceil(N / S) - 1) S + D (K - 1) + 1 - N leaves ceil(N / S) outputs."""
    axis = letters.axis()
    wanted = -((-axis.size) // axis.stride)
    total = (wanted - 1) * axis.stride + axis.extent - axis.size
    letters.facts.append(total.value >= 0)
    padded = Axis(
        size=axis.size, kernel=axis.kernel, stride=axis.stride, before=letters.integer("p", 0),
        after=letters.integer("q", 0), dilation=axis.dilation,
    )  # fmt: skip
    letters.facts.append((padded.before + padded.after).value == total.value)
    windows, step = padded.windows, axis.stride.value
    one, two = windows.value - 1, wanted.value - 1
    letters.facts += [
        letters.z3.Implies(one > two, one * step >= two * step + step),
        letters.z3.Implies(one < two, one * step <= two * step - step),
    ]
    return windows.value == wanted.value


def _valid(letters: Letters) -> Any:
    """Without padding and with a stride of one there are N - D (K - 1) outputs."""
    axis = letters.axis()
    letters.facts += [axis.before.value == 0, axis.after.value == 0, axis.stride.value == 1]
    return axis.windows.value == (axis.size - axis.dilation * (axis.kernel - 1)).value


THEOREMS: dict[str, Callable[[Letters], Any]] = {
    "size": _size,
    "inside": _inside,
    "adjoint": _adjoint,
    "transposed size": _transposed,
    "same padding": _same,
    "no padding": _valid,
}


def told() -> Iterator[str]:
    """The theorems in words, as `toeplitz prove` prints them."""
    for theorem in prove():
        outcome = "proved" if theorem.proved else "not decided"
        yield f"{theorem.name:16} {outcome:12} {theorem.statement}"
