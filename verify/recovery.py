"""The matrix that an implementation really applies, from impulses."""

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.asking import Answers, Probes
from verify.case import Case
from verify.colours import CHUNK, Colouring, colourings
from verify.ops import Layer, of_layer
from verify.suspect import Callables

if TYPE_CHECKING:
    from scipy.sparse import csr_array

LIMIT = 1 << 33  # numbers that are asked for, one impulse at a time


class Recovery:
    """The matrices of one implementation on one geometry."""

    def __init__(self, f: Callable[..., Any], layer: Layer) -> None:
        op = of_layer(layer)
        self.suspect = Callables(f)
        self.layer = layer
        self.case = Case(op, layer)
        self.left = colourings(layer)  # the ones that have not failed yet
        self.shape: tuple[int, ...] = ()  # of f's output

    def matrix(self, w: Any = None) -> "csr_array":
        """The matrix for some weights; distinct integers by default.

        Where an output reads is told by integer weights, for their products do not round.
        """
        probes = self.probes(self.numbered() if w is None else self._checked(w))
        plain = answers = probes.answers
        if not answers.exact:
            plain = Answers(self.suspect, answers.case, self.numbered().astype(answers.w.dtype))
        while True:
            found = self._coloured(plain, answers, probes.together)
            if found is not None and probes.agree(found):
                return found
            if len(self.left) > 1:
                del self.left[0]
            elif plain is not answers:
                plain = answers
            else:
                raise ValueError("f is not linear in x: f(x) must be the sum of its impulses")

    def probes(self, w: Any) -> Probes:
        """f with some weights, seen to be linear in x."""
        case = self.case.but(dtype=str(w.dtype))
        probes = Probes(Answers(self.suspect, case, w))
        self.shape = probes.y.shape[1:]
        return probes

    def numbered(self) -> Any:
        """Weights that are all different: 1, 2, 3 …"""
        shape = self.layer.weight_shape
        return np.arange(1.0, 1 + prod(shape)).reshape(shape)

    def _checked(self, w: Any) -> Any:
        w = np.asarray(w)
        if w.shape != self.layer.weight_shape:
            raise ValueError(
                f"w must have the weight shape {self.layer.weight_shape}, got {w.shape}"
            )
        if w.dtype.kind not in "biufc":
            raise TypeError(f"w must hold numbers, got an array of {w.dtype}")
        if not np.isfinite(w).all():
            raise ValueError("w must be finite")
        kept = w.dtype.kind in "fc" and w.dtype.itemsize >= 4
        return w if kept else w.astype(np.float64)

    def _coloured(self, plain: Answers, answers: Answers, together: bool) -> "csr_array | None":
        """The matrix as one colouring tells it; None where impulses of a colour met."""
        from scipy.sparse import csr_array

        colours = self.left[0]
        size, rows = prod(self.layer.input_shape), prod(self.shape)
        self._affordable(colours, size, rows)
        items = self.layer.input_shape[0] * colours.count
        per_call = CHUNK // max(1, size, rows) // (2 if colours.most > 1 else 1)
        step = max(1, per_call) if together else 1
        parts: list[tuple[Any, ...]] = []
        for first in range(0, items, step):
            some = range(first, min(first + step, items))
            part = self._part(colours, some, plain, answers, together)
            if part is None:
                return None
            parts.append(part)
        if not parts:
            return csr_array((rows, size))
        value, row, column = (np.concatenate(list(p)) for p in zip(*parts, strict=True))
        matrix = csr_array((value, (row, column)), shape=(rows, size))
        matrix.eliminate_zeros()
        return matrix

    def _affordable(self, colours: Colouring, size: int, rows: int) -> None:
        if colours.most <= 1 and size * max(size, rows) > LIMIT:
            raise ValueError(
                f"f reads further than the kernel reaches, and one impulse at a time takes "
                f"{size} outputs of {rows} values: take a smaller input_shape"
            )

    def _part(
        self, colours: Colouring, some: range, plain: Answers, answers: Answers, together: bool
    ) -> tuple[Any, ...] | None:
        """Values, rows and columns of some items: each channel in each colour is one."""
        ones, numbers = self._impulses(colours, some)
        if colours.most <= 1:
            y = _flat(plain(ones))
            item, row = np.nonzero(y)
            number = np.ones(len(item), np.intp)
        else:
            asked = [ones, numbers]
            both = (
                plain(np.concatenate(asked)) if together else np.concatenate([*map(plain, asked)])
            )
            y, tagged = np.split(_flat(both), 2)
            found = _numbers(y, tagged, plain.room(numbers, both))
            if found is None:
                return None
            item, row, number = found
        channel, colour = np.divmod(np.asarray(some)[item], colours.count)
        if (number > np.diff(colours.starts)[colour]).any():
            return None
        place = colours.order[colours.starts[colour] + number - 1]
        value = (y if plain is answers else _flat(answers(ones)))[item, row]
        return value, row, channel * len(colours.order) + place

    def _impulses(self, colours: Colouring, some: range) -> tuple[Any, Any]:
        """Items with ones at the positions of a colour, and with 1, 2, 3 … there."""
        shape = self.layer.input_shape
        ones = np.zeros((len(some), shape[0], prod(shape[1:])))
        numbers = np.zeros_like(ones if colours.most > 1 else ones[:0])
        for row, item in enumerate(some):
            channel, colour = divmod(item, colours.count)
            members = colours.members(colour)
            ones[row, channel, members] = 1
            if colours.most > 1:
                numbers[row, channel, members] = np.arange(1, 1 + len(members))
        return ones.reshape(-1, *shape), numbers.reshape(-1, *shape)


def _flat(y: Any) -> Any:
    return y.reshape(len(y), prod(y.shape[1:]))


def _numbers(ones: Any, tagged: Any, room: float) -> tuple[Any, Any, Any] | None:
    """Where something is, and its number there; None where that is not one number."""
    item, row = np.nonzero(np.abs(ones) > room)
    one, many = ones[item, row], tagged[item, row]
    number = np.rint((many / one).real)
    if (np.abs(many - number * one) > room).any() or (number < 1).any():
        return None
    if (np.abs(tagged[np.abs(ones) <= room]) > room).any():
        return None
    return item, row, number.astype(np.intp)


def recover(f: Callable[..., Any], conv: Layer, w: Any = None) -> "csr_array":
    """The matrix that f really applies on a geometry, from impulses.

    f: called as f(x, w, stride=…, …), as in check(). conv: a Conv, ConvTranspose or Linear.
    w: the weights that f is given, distinct integers (1, 2, 3 …) by default.

    Each column is the output for one impulse. A large input takes few calls: impulses that are too
    far apart for one output to read share an item, and a second item numbers them, so that it does
    not matter where f reads. The matrix must then give what f gives for random integers; one that
    differs passes with a chance of at most 2**-40. Where impulses did meet they are set further
    apart, in the end each in an item of its own; where f mixes the items of a batch, each in a
    call of its own.

    Returns a csr_array (outputs of one item, inputs of one item) without stored zeros; its rows
    follow the output that f returns, whose shape may be wrong. It is exact where w holds integers
    and f rounds by less than a half.
    Errors: ValueError where f does not answer, returns no finite array of one item for each, or is
    not linear in x; TypeError for a conv or w of another kind.

    >>> import numpy as np, toeplitz, verify
    >>> def valid(x, w):
    ...     return np.stack([[np.correlate(item[0], w[0, 0], "valid")] for item in x])
    >>> verify.recover(valid, toeplitz.Conv((1, 4), (1, 1, 2))).toarray()
    array([[1., 2., 0., 0.],
           [0., 1., 2., 0.],
           [0., 0., 1., 2.]])
    """
    return Recovery(f, conv).matrix(w)
