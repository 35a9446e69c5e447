"""Winograd's fast convolution: its matrices, exactly, and how much they let rounding errors grow.

F(m, r) computes m outputs of r taps with n = m + r - 1 products, one for each of n points:

    y = A^T ((G w) * (B^T x))

x is a polynomial that is evaluated at the points, w too, and the product is interpolated (Toom and
Cook). The points are distinct numbers and often "infinity", which takes the leading coefficient.
Sources: Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, 2016; Barabasz et al., Error Analysis and Improving the Accuracy of
Winograd Convolution for Deep Neural Networks, 2020.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from math import ceil, prod, sqrt
from typing import TypeAlias

Row: TypeAlias = list[Fraction]
Matrix: TypeAlias = list[Row]

INFINITY = None
HALF = Fraction(1, 2)
# The points of the usual tiles of up to 8 cells, in the two usual orders; infinity is the last one
# of a tile, or none is.
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-2), HALF, -HALF)
ORDERS = (POINTS, (*POINTS[:3], HALF, -HALF, *POINTS[3:5]))
CELLS = 8


def matrices(m: int, r: int, points: Sequence[Fraction | None]) -> tuple[Matrix, Matrix, Matrix]:
    """A (n, m), G (n, r) and B (n, n), a row for each of n = m + r - 1 points.

    With N_p the product of the differences of p from the other finite points, and M_p the
    polynomial with a root at each of these:

        A_p = 1, p, …, p^(m-1)    G_p = (1, p, …, p^(r-1)) / N_p    B_p = coefficients of M_p

    At infinity A and G take the last coefficient, and M has all the finite points.

    >>> A, G, B = matrices(2, 3, [Fraction(0), Fraction(1), Fraction(-1), INFINITY])
    >>> [[int(b) for b in row] for row in B]
    [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    """
    finite = [p for p in points if p is not None]
    a, g, b = [], [], []
    for p in points:
        others = [q for q in finite if q != p]
        a.append(_powers(p, m))
        scale = Fraction(1) if p is None else prod((p - q for q in others), start=Fraction(1))
        g.append([power / scale for power in _powers(p, r)])
        roots = _with_roots(others)
        b.append(roots + [Fraction(0)] * (m + r - 1 - len(roots)))
    return a, g, b


@cache
def growth(taps: int, backward: bool = False) -> float:
    """How much the errors of a sum of products may grow, for one axis of a kernel of some taps.

    To first order an output of F(m, r) is off by a number of roundings times

        sum over p of |A_pi| |G_p w| |B_p x|  <=  |w|₂ |x|₂ sum over p of |A_pi| |G_p|₂ |B_p|₂

    This is the largest of these sums over the usual tiles, for kernels of up to so many taps.
    Scaling the rows of the matrices does not change it. Nested over axes the matrices are
    Kronecker products, and the sums multiply. The gradients have the same matrices, with their
    parts exchanged (backward); there ceil(n / m) tiles overlap at most, which costs the square
    root by the inequality of Cauchy and Schwarz, and so it is with longer kernels, which are cut
    into blocks of 7 taps.

    >>> round(growth(3), 1), round(growth(3, backward=True), 1)
    (24.6, 46.5)
    """
    if taps < 2:
        return 1.0
    blocks = ceil(taps / (CELLS - 1))
    tiles = [(m, r) for r in range(2, min(taps, CELLS - 1) + 1) for m in range(2, CELLS - r + 2)]
    return sqrt(blocks) * max(
        grown(m, r, points, backward) for m, r in tiles for points in choices(m + r - 1)
    )


def choices(cells: int) -> list[tuple[Fraction | None, ...]]:
    """The usual points of a tile of some cells."""
    with_infinity = [(*order[: cells - 1], INFINITY) for order in ORDERS]
    return with_infinity + [order[:cells] for order in ORDERS if cells <= len(order)]


@cache
def grown(m: int, r: int, points: tuple[Fraction | None, ...], backward: bool = False) -> float:
    """The growth of one F(m, r), or the larger of its two backward passes."""
    a, g, b = (list(map(_floats, matrix)) for matrix in matrices(m, r, points))
    if not backward:
        return max(_sums(a, g, b))
    return sqrt(ceil((m + r - 1) / m)) * max(*_sums(g, a, b), *_sums(b, a, g))


def _sums(
    outer: list[list[float]], first: list[list[float]], second: list[list[float]]
) -> Iterator[float]:
    sizes = [_norm(f) * _norm(s) for f, s in zip(first, second, strict=True)]
    for column in zip(*outer, strict=True):
        yield sum(abs(c) * size for c, size in zip(column, sizes, strict=True))


def _norm(row: Iterable[float]) -> float:
    return sqrt(sum(value * value for value in row))


def _floats(row: Row) -> list[float]:
    return [float(value) for value in row]


def _powers(p: Fraction | None, count: int) -> Row:
    """1, p, p², …; at infinity the last alone counts."""
    if p is None:
        return [Fraction(0)] * (count - 1) + [Fraction(1)]
    return [p**i for i in range(count)]


def _with_roots(roots: Iterable[Fraction]) -> Row:
    """The coefficients of the product of (t - root), the constant one first."""
    polynomial = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *polynomial]
        polynomial = [
            s - root * p for s, p in zip(shifted, [*polynomial, Fraction(0)], strict=True)
        ]
    return polynomial
