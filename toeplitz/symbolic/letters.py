"""The matrix of a convolution in letters, and its products."""

from collections.abc import Sequence
from math import prod
from string import ascii_lowercase
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import sympy

from toeplitz.conv import Conv
from toeplitz.memory import fits

Letters: TypeAlias = npt.NDArray[np.object_]

# Base names of the xcolor package that are names of CSS too: MathJax, KaTeX and LaTeX know them.
COLOURS = ("blue", "red", "teal", "orange", "violet", "brown", "magenta", "olive", "cyan", "gray")


def weights(conv: Conv) -> Letters:
    """The taps as symbols, an object array of conv.weight_shape.

    One input and one output channel with up to 26 taps: a, b, c … in the order of w.ravel().
    Else the symbol at w[o, i, k, …] is named by its index, w_{o,i,k}.

    >>> import toeplitz
    >>> weights(toeplitz.Conv((1, 3, 3), (1, 1, 2, 2)))[0, 0]
    array([[a, b],
           [c, d]], dtype=object)
    >>> weights(toeplitz.Conv((2, 5), (1, 2, 2)))[0, 1, 0]
    w_{0,1,0}
    """
    shape = _conv(conv).weight_shape
    if shape[:2] == (1, 1) and conv.weight_count <= len(ascii_lowercase):
        return _letters(shape, ascii_lowercase)
    return _letters(shape, [f"w_{_index(index)}" for index in np.ndindex(shape)])


def inputs(conv: Conv, transpose: bool = False) -> sympy.ImmutableDenseMatrix:
    """The flat input as a column of symbols: x_0, x_1 … or x_{p,q} for several spatial axes.

    Several channels come first in the name, x_{i,p}. transpose: the input of the transposed
    convolution, which has conv.output_shape.

    >>> import toeplitz
    >>> inputs(toeplitz.Conv((1, 2, 2), (1, 1, 1, 1))).T
    Matrix([[x_{0,0}, x_{0,1}, x_{1,0}, x_{1,1}]])
    """
    shape = _conv(conv).output_shape if transpose else _conv(conv).input_shape
    fits(1000 * prod(shape), None, "the symbolic input", conv, "take a smaller input_shape")
    named = shape[1:] if shape[0] == 1 else shape
    names = [f"x_{_index(index)}" for index in np.ndindex(named)]
    return sympy.ImmutableDenseMatrix(len(names), 1, [sympy.Symbol(name) for name in names])


def matrix(conv: Conv) -> sympy.ImmutableSparseMatrix:
    """T in letters: `weights(conv)` at the places of conv.triples(), added where they meet.

    Returns a matrix (O * prod(P), C * prod(S)), so that y.ravel() = T @ x.ravel(). Numbers
    are put in by `T.xreplace(dict(zip(weights(conv).flat, w.flat)))`.

    Errors: TypeError for anything but a Conv; TooLarge where memory would not suffice.

    >>> import toeplitz
    >>> matrix(toeplitz.Conv((1, 4), (1, 1, 3), padding=1, padding_mode="replicate"))
    Matrix([
    [a + b, c, 0,     0],
    [    a, b, c,     0],
    [    0, a, b,     c],
    [    0, 0, a, b + c]])
    """
    shape = (prod(_conv(conv).output_shape), prod(conv.input_shape))
    fits(1500 * conv.triple_count, None, "the symbolic matrix", conv, "use matrix(w)")
    letters = weights(conv).ravel()
    taps: dict[tuple[int, int], list[sympy.Symbol]] = {}
    for output, input, weight in zip(*(flat.tolist() for flat in conv.triples()), strict=True):
        taps.setdefault((output, input), []).append(letters[weight])
    entries = {place: sympy.Add(*met) for place, met in taps.items()}
    return sympy.ImmutableSparseMatrix(sympy.SparseMatrix(*shape, entries))


def product(conv: Conv, transpose: bool = False) -> sympy.ImmutableDenseMatrix:
    """T x, or Tᵀ x, as a column of expressions.

    >>> import toeplitz
    >>> product(toeplitz.Conv((1, 4), (1, 1, 3)))
    Matrix([
    [a*x_0 + b*x_1 + c*x_2],
    [a*x_1 + b*x_2 + c*x_3]])
    """
    x = inputs(conv, transpose)
    T = matrix(conv)
    return sympy.ImmutableDenseMatrix((T.T if transpose else T) * x)


def latex(conv: Conv, transpose: bool = False) -> str:
    r"""T, or Tᵀ, as LaTeX for MathJax, KaTeX and LaTeX with the xcolor package.

    Each tap has its own colour, the ten of COLOURS over and over; zeros have none.

    >>> import toeplitz
    >>> print(latex(toeplitz.Conv((1, 2), (1, 1, 2))))
    \left[\begin{matrix}\textcolor{blue}{a} & \textcolor{red}{b}\end{matrix}\right]
    """
    cells = prod(_conv(conv).output_shape) * prod(conv.input_shape)
    fits(100 * cells, None, "the LaTeX text", conv, "take a smaller input_shape")
    names = {
        letter: rf"\textcolor{{{COLOURS[tap % len(COLOURS)]}}}{{{sympy.latex(letter)}}}"
        for tap, letter in enumerate(weights(conv).flat)
    }
    T = matrix(conv)
    return str(sympy.latex(T.T if transpose else T, symbol_names=names))


def _conv(conv: Conv) -> Conv:
    if not isinstance(conv, Conv):
        raise TypeError(f"conv must be a Conv (of a ConvTranspose, its .conv), got {conv!r}")
    return conv


def _letters(shape: tuple[int, ...], names: Sequence[str]) -> Letters:
    letters = np.empty(prod(shape), object)
    letters[:] = [sympy.Symbol(name) for name in names[: letters.size]]
    return letters.reshape(shape)


def _index(index: tuple[int, ...]) -> str:
    """An index as a subscript: 3, or {0,1,2}."""
    inner = ",".join(map(str, index))
    return inner if len(index) == 1 else f"{{{inner}}}"
