"""A convolution in letters: its matrix, its products, and the formulas of its sizes and counts.

The letters of a geometry are functions of a Conv; `transpose=True` turns them into those of the
transposed convolution. In a formula an argument left out stays its symbol, so that it prints as
in the books and can be solved. The symbols carry assumptions (integers; all but P and P_out
positive): import them, `sympy.Symbol("N")` is another one.

>>> import sympy
>>> from toeplitz.symbolic import N, P, output_size
>>> output_size()
floor((-D*(K - 1) + N + 2*P - 1)/S) + 1
>>> sympy.solve(output_size(stride=1) - N, P)  # which padding keeps the size?
[D*(K - 1)/2]
"""

from toeplitz.symbolic.formulas import (
    C,
    D,
    K,
    L,
    N,
    O,
    P,
    P_out,
    S,
    macs,
    output_size,
    parameters,
    receptive_field,
    transposed_output_size,
)
from toeplitz.symbolic.letters import COLOURS, inputs, latex, matrix, product, weights

__all__ = [
    "COLOURS",
    "C",
    "D",
    "K",
    "L",
    "N",
    "O",
    "P",
    "P_out",
    "S",
    "inputs",
    "latex",
    "macs",
    "matrix",
    "output_size",
    "parameters",
    "product",
    "receptive_field",
    "transposed_output_size",
    "weights",
]
