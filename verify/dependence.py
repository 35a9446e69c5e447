"""Which weight stands in each entry of the matrix that an implementation really applies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.asking import LARGEST, Answers, first_place, told
from verify.colours import Colouring
from verify.ops import Layer
from verify.recovery import Recovery

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SHOWN = 8  # departures that are told
DRAWN = 4  # random weights that must give what f gives: one hides a difference once in 2001
ONE_BY_ONE = 4096  # weights that are asked for singly at most


@dataclass(frozen=True, eq=False)
class Recovered:
    """What an implementation reads: output o reads input i through weight k, so many times.

    output, input, weight: flat numbers as in `Conv.triples()`, ordered by output, then input, then
    weight. times: how often, 1.0 for each triple of a right implementation. An entry of the matrix
    that is a sum of weights has several triples. output_shape: that of f, which may be wrong.

    print() says how it departs from the layer; see recover_triples.
    """

    layer: Layer
    output_shape: tuple[int, ...]
    output: Any
    input: Any
    weight: Any
    times: Any

    def matrix(self, w: Any) -> "csr_array":
        """The matrix that f applies with these weights, from the triples alone."""
        from scipy.sparse import csr_array

        w = np.asarray(w)
        if w.shape != self.layer.weight_shape:
            raise ValueError(
                f"w must have the weight shape {self.layer.weight_shape}, got {w.shape}"
            )
        shape = prod(self.output_shape), prod(self.layer.input_shape)
        value = self.times * w.ravel()[self.weight]
        return csr_array((value, (self.output, self.input)), shape=shape)

    def departures(self) -> Iterator[str]:
        """What f reads otherwise than the layer, a sentence for each output and input."""
        expected = tuple(self.layer.output_shape)
        if self.output_shape != expected:
            yield f"y has shape {self.output_shape} for one item, should be {expected}"
        reads = _reads(self.layer)
        for o, i in self._departing(reads):
            mine = _numbers_of(self.output, self.input, o, i)
            right = np.nonzero((reads[0] == o) & (reads[1] == i))[0]
            got = [(int(self.weight[n]), float(self.times[n])) for n in mine]
            yield self._sentence(o, i, got, [(int(reads[2][n]), 1.0) for n in right])

    def _sentence(
        self, o: int, i: int, got: list[tuple[int, float]], right: list[tuple[int, float]]
    ) -> str:
        y = f"y{_place(o, self.output_shape)}"
        x = f"x{_place(i, self.layer.input_shape)}"
        if not got:
            return f"{y} does not read {x}, should read it through {self._sum(right)}"
        should = f"should be {self._sum(right)}" if right else "should not"
        return f"{y} reads {x} through {self._sum(got)}, {should}"

    def _sum(self, terms: list[tuple[int, float]]) -> str:
        said = (
            f"{'' if times == 1 else f'{times:g} '}w{_place(k, self.layer.weight_shape)}"
            for k, times in terms
        )
        return " + ".join(said)

    def _departing(self, reads: tuple[Any, Any, Any]) -> Iterator[tuple[int, int]]:
        """The pairs (output, input) that are not the layer's, where shapes agree."""
        if self.output_shape != tuple(self.layer.output_shape):
            return
        size, count = prod(self.layer.input_shape), prod(self.layer.weight_shape)

        def keys(output: Any, input: Any, weight: Any) -> Any:
            return (output * size + input) * count + weight

        mine, right = keys(self.output, self.input, self.weight), keys(*reads)
        wrong = np.concatenate([mine[self.times != 1], np.setxor1d(mine, right)])
        for pair in np.unique(wrong // count).tolist():
            yield divmod(pair, size)

    def __str__(self) -> str:
        told = list(islice(self.departures(), SHOWN + 1))
        if not told:
            return f"f reads what {self.layer!r} reads"
        lines = [f"f does not read what {self.layer!r} reads"]
        lines += [f"  {line}" for line in told[:SHOWN]]
        return "\n".join([*lines, "  …"] if len(told) > SHOWN else lines)


def recover_triples(f: Callable[..., Any], conv: Layer) -> Recovered:
    """Which weight each output of f really reads each input through.

    f, conv: as for recover(). The matrices that f applies with all weights at 1 and at 1, 2, 3 …
    tell by their ratio which weight stands in an entry; where weights add up, those of one tap or
    single ones are asked for. The triples must then give what f gives for random integer weights
    and inputs; ones that differ pass with a chance of at most 2**-39.

    Errors: as recover(), and ValueError where f is not linear in w.

    >>> import numpy as np, toeplitz, verify
    >>> def flipped(x, w):
    ...     return np.stack([[np.convolve(item[0], w[0, 0], "valid")] for item in x])
    >>> found = verify.recover_triples(flipped, toeplitz.Conv((1, 3), (1, 1, 2)))
    >>> list(zip(found.output.tolist(), found.input.tolist(), found.weight.tolist()))
    [(0, 0, 1), (0, 1, 0), (1, 1, 1), (1, 2, 0)]
    >>> print(found)
    f does not read what Conv((1, 3), (1, 1, 2)) reads
      y[0, 0] reads x[0, 0] through w[0, 0, 1], should be w[0, 0, 0]
      y[0, 0] reads x[0, 1] through w[0, 0, 0], should be w[0, 0, 1]
      y[0, 1] reads x[0, 1] through w[0, 0, 1], should be w[0, 0, 0]
      y[0, 1] reads x[0, 2] through w[0, 0, 0], should be w[0, 0, 1]
    """
    layer = conv
    recovery = Recovery(f, layer)
    drawn = [recovery.probes(w) for w in _random(layer.weight_shape, DRAWN)]
    _linear_in_weights(recovery)
    for colours in _colourings(layer):
        if colours.most == 1 and colours.count > ONE_BY_ONE:
            raise ValueError(
                f"f adds up weights, and one weight at a time takes {colours.count} matrices: "
                f"take a smaller weight_shape"
            )
        found = _triples(recovery, colours)
        if found and all(probes.agree(found.matrix(probes.answers.w)) for probes in drawn):
            return found
    raise ValueError("f is not linear in w: f(x, w) must be the sum of what single weights give")


def _colourings(layer: Layer) -> list[Colouring]:
    """Weights asked for in one go: all of them, those of one tap, single ones."""
    count = prod(layer.weight_shape)
    taps = prod(layer.weight_shape[2:])
    numbers = np.arange(count)
    together = [
        Colouring(numbers, np.array([0, count])),
        Colouring(numbers.reshape(-1, taps).T.ravel(), np.arange(taps + 1) * (count // taps)),
        Colouring(numbers, np.arange(count + 1)),
    ]
    return list({one.count: one for one in together}.values())


def _triples(recovery: Recovery, colours: Colouring) -> Recovered | None:
    """The triples, if each entry reads at most one weight of each colour."""
    parts: list[tuple[Any, ...]] = []
    for colour in range(colours.count):
        members = colours.members(colour)
        one = recovery.matrix(_weights(recovery.layer, members, 1.0)).tocoo()
        number = np.ones(one.nnz, np.intp)
        if colours.most > 1:
            numbers = np.arange(1.0, 1 + len(members))
            many = recovery.matrix(_weights(recovery.layer, members, numbers)).tocoo()
            same = one.nnz == many.nnz and (one.row == many.row).all()
            if not same or (one.col != many.col).any():
                return None
            number = np.rint((many.data / one.data).real).astype(np.intp)
        if ((number < 1) | (number > len(members))).any():
            return None
        parts.append((one.row, one.col, members[number - 1], one.data))
    columns = [np.concatenate(list(p)) for p in zip(*parts, strict=True)]
    order = np.lexsort(columns[2::-1])
    output, input, weight, times = (column[order] for column in columns)
    at = output.astype(np.intp), input.astype(np.intp), weight
    return Recovered(recovery.layer, recovery.shape, *at, times)


def _weights(layer: Layer, members: Any, values: Any) -> Any:
    w = np.zeros(prod(layer.weight_shape))
    w[members] = values
    return w.reshape(layer.weight_shape)


def _random(shape: tuple[int, ...], count: int) -> Any:
    return np.random.default_rng(1).integers(-LARGEST, LARGEST + 1, (count, *shape)).astype(float)


def _linear_in_weights(recovery: Recovery) -> None:
    """ValueError where f(x, 0) is not 0, or f(x, w + w') not the sum of f(x, w) and f(x, w')."""
    layer = recovery.layer
    x = np.random.default_rng(2).integers(-9, 10, (1, *layer.input_shape)).astype(float)
    first, second = _random(layer.weight_shape, 2)
    asked = [Answers(recovery.suspect, recovery.case, w) for w in (first, second, first + second)]
    nothing = Answers(recovery.suspect, recovery.case, np.zeros_like(first))(x)
    if nothing.any():
        where = first_place(nothing != 0)
        raise ValueError(f"f is not linear in w: f(x, 0) must be 0, got {told(nothing, where)}")
    one, two, total = (answers(x) for answers in asked)
    differ = np.abs(one + two - total) > asked[2].room(x, one, two, total)
    if differ.any():
        where = first_place(differ)
        raise ValueError(
            f"f is not linear in w: f(x, w + w') must be f(x, w) + f(x, w'), "
            f"got {told(total, where)}, should be {(one + two)[where].item()!r}"
        )


def _reads(layer: Layer) -> tuple[Any, Any, Any]:
    """The layer's own triples, read off U(x) for an x that numbers the inputs."""
    numbers = np.arange(1, 1 + prod(layer.input_shape)).reshape(layer.input_shape)
    table = layer.unfolded(numbers).tocoo()
    there = table.data > 0
    output, weight = (a[there].astype(np.intp) for a in (table.row, table.col))
    return output, table.data[there].astype(np.intp) - 1, weight


def _numbers_of(output: Any, input: Any, o: int, i: int) -> Any:
    return np.nonzero((output == o) & (input == i))[0]


def _place(number: int, shape: tuple[int, ...]) -> list[int]:
    return [int(n) for n in np.unravel_index(number, shape)]
