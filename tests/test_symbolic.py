"""Letters and formulas: the lectures' matrices literally, the numbers after substitution."""

import itertools
import subprocess
import sys
from string import ascii_lowercase

import loops
import numpy as np
import pytest
import sympy
from geometries import convs, integers_like, keywords, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

import toeplitz
from toeplitz.symbolic import (
    COLOURS,
    C,
    D,
    K,
    L,
    N,
    O,
    P,
    P_out,
    S,
    inputs,
    latex,
    macs,
    matrix,
    output_size,
    parameters,
    product,
    receptive_field,
    transposed_output_size,
    weights,
)

# The lectures


def rows(text):
    """A matrix as it stands on a slide: letters and zeros, one row a line."""
    return [line.split() for line in text.strip().splitlines()]


def written(T):
    return [[str(entry) for entry in T.row(row)] for row in range(T.rows)]


def misprints(slide, T):
    """What is wrong with the rows on a slide, one sentence for each wrong row."""
    found = []
    for number, (shown, true) in enumerate(zip(slide, written(T), strict=True), 1):
        if len(shown) != len(true):
            found.append(f"row {number} has {len(shown)} entries, should have {len(true)}")
        elif shown != true:
            found.append(f"row {number} is {' '.join(shown)}, should be {' '.join(true)}")
    return found


M1 = """
a b c 0 0 0 0 0
0 a b c 0 0 0 0
0 0 a b c 0 0 0
0 0 0 a b c 0 0
0 0 0 0 a b c 0
0 0 0 0 0 a b c
"""
M2 = """
a b c 0 0 0 0
0 0 a b c 0 0
0 0 0 0 a b c
"""
M3 = """
b c 0 0 0 0 0
a b c 0 0 0 0
0 a b c 0 0 0
0 0 a b c 0 0
0 0 0 a b c 0
0 0 0 0 a b c
0 0 0 0 0 a b
"""
M5 = """
b a 0 0 0 0 0
c b a 0 0 0 0
0 c b a 0 0 0
0 0 c b a 0 0
0 0 0 c b a 0
0 0 0 0 c b a
0 0 0 0 0 c b
"""
M5_STRIDE_2 = """
a 0 0
b 0 0
c a 0
0 b 0
0 c a
0 0 b
0 0 c
"""


def kernel_of_3(size, **keywords):
    return toeplitz.Conv((1, size), (1, 1, 3), **keywords).symbolic()


def test_m1_valid():
    assert written(kernel_of_3(8)) == rows(M1)


def test_m2_stride_2_keeps_every_second_row():
    assert written(kernel_of_3(7, stride=2)) == rows(M2)
    assert kernel_of_3(7, stride=2) == kernel_of_3(7)[::2, :]


def test_m3_padding_drops_the_outer_columns():
    assert written(kernel_of_3(7, padding=1)) == rows(M3)
    assert kernel_of_3(7, padding=1) == kernel_of_3(9)[:, 1:-1]


def test_m5_transposed_is_the_transpose():
    assert written(kernel_of_3(7, padding=1).T) == rows(M5)
    assert written(kernel_of_3(7, stride=2).T) == rows(M5_STRIDE_2)
    assert written(toeplitz.ConvTranspose((1, 7), (1, 1, 3), padding=1).symbolic()) == rows(M5)
    upsampling = toeplitz.ConvTranspose((1, 3), (1, 1, 3), stride=2)
    assert written(upsampling.symbolic()) == rows(M5_STRIDE_2)
    assert upsampling.latex() == latex(upsampling.conv, transpose=True)


def test_w6_misprints_are_found():
    assert misprints(rows(M1), kernel_of_3(8)) == []
    assert misprints(rows(M5), kernel_of_3(7, padding=1).T) == []
    nine = rows(M1.replace("0 0 a b c 0 0 0", "0 0 a b c 0 0 0 0"))
    assert misprints(nine, kernel_of_3(8)) == ["row 3 has 9 entries, should have 8"]
    jumbled = rows(M5.replace("0 0 c b a 0 0", "0 a c b a 0 0"))
    assert misprints(jumbled, kernel_of_3(7, padding=1).T) == [
        "row 4 is 0 a c b a 0 0, should be 0 0 c b a 0 0"
    ]


# Letters


def test_one_channel_has_letters_up_to_26_taps():
    assert [str(w) for w in weights(toeplitz.Conv((1, 26), (1, 1, 26))).flat] == [*ascii_lowercase]
    assert str(weights(toeplitz.Conv((1, 27), (1, 1, 27)))[0, 0, 26]) == "w_{0,0,26}"


@pytest.mark.parametrize(
    "conv, last",
    [
        (toeplitz.Conv((2, 3), (1, 2, 2)), "w_{0,1,1}"),
        (toeplitz.Conv((1, 3), (2, 1, 2)), "w_{1,0,1}"),
        (toeplitz.Conv((2, 3), (2, 1, 2), groups=2), "w_{1,0,1}"),
        (toeplitz.Conv((1, 3, 3), (2, 1, 2, 3)), "w_{1,0,1,2}"),
    ],
)
def test_several_channels_have_indices(conv, last):
    w = weights(conv)
    assert w.shape == conv.weight_shape
    assert len(set(w.flat)) == w.size
    assert str(w[-1, -1, ..., -1].item() if w.ndim == 3 else w[-1, -1, -1, -1]) == last
    assert sympy.latex(w.flat[-1]) == last


def test_inputs_are_named_by_their_index():
    def names(*shape, transpose=False):
        conv = toeplitz.Conv(shape, (2, shape[0], *[1] * (len(shape) - 1)), stride=2)
        return [str(x) for x in inputs(conv, transpose)]

    assert names(1, 3) == ["x_0", "x_1", "x_2"]
    assert names(1, 1, 2) == ["x_{0,0}", "x_{0,1}"]
    assert names(2, 2) == ["x_{0,0}", "x_{0,1}", "x_{1,0}", "x_{1,1}"]
    assert names(1, 3, transpose=True) == ["x_{0,0}", "x_{0,1}", "x_{1,0}", "x_{1,1}"]
    assert sympy.latex(inputs(toeplitz.Conv((1, 11), (1, 1, 1)))[10]) == "x_{10}"


def test_taps_that_meet_are_added():
    circular = toeplitz.Conv((1, 2), (1, 1, 3), padding=1, padding_mode="circular")
    assert written(circular.symbolic()) == [["b", "a + c"], ["a + c", "b"]]


def test_the_results_are_immutable():
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    assert isinstance(conv.symbolic(), sympy.ImmutableSparseMatrix)
    assert isinstance(inputs(conv), sympy.ImmutableDenseMatrix)
    assert isinstance(product(conv), sympy.ImmutableDenseMatrix)


def test_no_input_channels_make_an_empty_matrix():
    conv = toeplitz.Conv((0, 4), (2, 0, 3))
    assert conv.symbolic().shape == (4, 0)
    assert product(conv) == sympy.zeros(4, 1)


@given(convs(most_axes=2), seeds)
def test_symbols_become_the_numbers(conv, seed):
    w = integers_like(conv.weight_shape, seed)
    values = dict(zip(weights(conv).flat, w.ravel().tolist(), strict=True))
    T = conv.symbolic()
    numeric = conv.matrix(w).tocoo()
    places = list(zip(numeric.row.tolist(), numeric.col.tolist(), strict=True))
    assert T.shape == numeric.shape
    assert sorted(T.todok()) == sorted(places)
    assert [T[place].xreplace(values) for place in places] == numeric.data.tolist()


@given(convs(most_axes=2))
def test_the_product_is_what_nested_loops_write_down(conv):
    x = np.array(inputs(conv).flat(), object).reshape(conv.input_shape)
    written_down = loops.conv(x, weights(conv), **keywords(conv))
    assert [sympy.expand(y) for y in product(conv)] == written_down.ravel().tolist()


@given(convs(most_axes=2))
def test_the_transposed_product_is_the_loops_gradient(conv):
    g = np.array(inputs(conv, transpose=True).flat(), object).reshape(conv.output_shape)
    real = {letter: sympy.Symbol(letter.name, real=True) for letter in weights(conv).flat}
    w = np.vectorize(real.get, otypes=[object])(weights(conv))
    gradient = loops.conv_grad_x(g, w, conv.input_shape, **keywords(conv)).ravel().tolist()
    y = product(conv, transpose=True).xreplace(real)
    assert [sympy.expand(entry) for entry in y] == gradient


# LaTeX


def test_latex_letter_for_letter():
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    a, b = r"\textcolor{blue}{a}", r"\textcolor{red}{b}"
    body = rf"\left[\begin{{matrix}}{a} & {b} & 0\\0 & {a} & {b}\end{{matrix}}\right]"
    assert conv.latex() == body
    transposed = rf"\left[\begin{{matrix}}{a} & 0\\{b} & {a}\\0 & {b}\end{{matrix}}\right]"
    assert latex(conv, transpose=True) == transposed


def test_latex_of_indexed_taps_and_sums():
    conv = toeplitz.Conv((1, 1), (2, 1, 2), padding=1, padding_mode="replicate", stride=2)
    first = r"\textcolor{blue}{w_{0,0,0}} + \textcolor{red}{w_{0,0,1}}"
    second = r"\textcolor{teal}{w_{1,0,0}} + \textcolor{orange}{w_{1,0,1}}"
    assert conv.latex() == rf"\left[\begin{{matrix}}{first}\\{second}\end{{matrix}}\right]"


def test_latex_above_ten_columns_is_an_array():
    assert r"\begin{matrix}" in toeplitz.Conv((1, 10), (1, 1, 3)).latex()
    assert rf"\begin{{array}}{{{'c' * 11}}}" in toeplitz.Conv((1, 11), (1, 1, 3)).latex()


def test_the_ten_colours_come_round():
    text = toeplitz.Conv((1, 12), (1, 1, 12)).latex()
    for tap, letter in enumerate("abcdefghijkl"):
        assert text.count(rf"\textcolor{{{COLOURS[tap % 10]}}}{{{letter}}}") == 1
    assert len(set(COLOURS)) == 10


# Formulas: sizes


def test_sizes_of_the_lectures():
    assert output_size(stride=1, padding=0, dilation=1) == N - K + 1
    assert output_size(padding=0, dilation=1) == sympy.floor((N - K) / S) + 1
    assert output_size(dilation=1) == sympy.floor((N + 2 * P - K) / S) + 1
    assert output_size() == sympy.floor((N + 2 * P - D * (K - 1) - 1) / S) + 1
    assert [output_size(7, 3, s, 0, 1) for s in (1, 2, 3)] == [5, 3, 2]
    assert output_size(7, 3, 1, 1, 1) == 7
    half = output_size(2 * N, 3, 2, 1, 1)  # L7: K = 3, P = 1, S = 2 halves an even size
    assert half == N


def test_the_formula_prints_as_in_the_books():
    expected = r"\left\lfloor{\frac{- D \left(K - 1\right) + N + 2 P - 1}{S}}\right\rfloor + 1"
    assert sympy.latex(output_size()) == expected


def test_which_padding_keeps_the_size():
    assert sympy.solve(output_size(stride=1) - N, P) == [D * (K - 1) / 2]
    assert sympy.solve(output_size(stride=1, dilation=1) - N, P) == [(K - 1) / 2]
    assert sympy.solve(output_size(kernel=5, stride=1, dilation=1) - N, P) == [2]
    assert sympy.solve(output_size(kernel=4, stride=1, dilation=1) - N, P) == []  # an even kernel


def test_total_padding_the_other_convention():
    p = sympy.Symbol("p", integer=True, nonnegative=True)
    size = output_size(stride=1, padding=(p // 2, p - p // 2), dilation=1)
    assert size == N - K + p + 1
    assert sympy.solve(size - N, p) == [K - 1]


def test_other_unknowns_are_solved_for():
    assert sympy.solve(output_size(stride=1, padding=0, dilation=1) - 28, K) == [N - 27]
    assert sympy.solve(transposed_output_size(output_padding=0) - O, N) == [
        (-D * K + D + O + 2 * P + S - 1) / S
    ]


def test_the_formula_holds_on_every_small_geometry():
    formula = sympy.lambdify((N, K, S, P, D), output_size(), "math")
    tried = 0
    for n, k, s, p, d in itertools.product(
        range(1, 9), range(1, 5), (1, 2, 3), (0, 1, 2), (1, 2, 3)
    ):
        if n + 2 * p >= d * (k - 1) + 1:
            conv = toeplitz.Conv((1, n), (1, 1, k), stride=s, padding=p, dilation=d)
            assert formula(n, k, s, p, d) == conv.output_shape[1]
            assert output_size(n, k, s, p, d) == conv.output_shape[1]
            tried += 1
    assert tried == 675


@settings(max_examples=300)
@given(*[st.integers(1, 60)] * 2, *[st.integers(1, 9)] * 2, *[st.integers(-5, 30)] * 2)
def test_the_formula_holds_on_large_geometries(size, kernel, stride, dilation, before, after):
    size += max(0, dilation * (kernel - 1) - before - after)
    conv = toeplitz.Conv(
        (1, size), (1, 1, kernel), stride=stride, padding=[(before, after)], dilation=dilation
    )
    assert output_size(size, kernel, stride, (before, after), dilation) == conv.output_shape[1]
    symbols = {N: size, K: kernel, S: stride, D: dilation}
    in_letters = output_size(padding=(before, after)).subs(symbols)
    assert in_letters == conv.output_shape[1]


def test_transposed_size_undoes_the_size():
    assert transposed_output_size() == (N - 1) * S - 2 * P + D * (K - 1) + P_out + 1
    back = output_size(transposed_output_size())
    assert sympy.simplify(back - N - sympy.floor(P_out / S)) == 0
    for extra in range(3):
        assert output_size(transposed_output_size(stride=3, output_padding=extra), stride=3) == N


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.data())
def test_transposed_size_of_nested_loops(size, kernel, stride, dilation, data):
    extra = data.draw(st.integers(0, max(stride, dilation) - 1))
    full = (size - 1) * stride + dilation * (kernel - 1) + extra + 1
    before = data.draw(st.integers(0, (full - 1) // 2))
    after = data.draw(st.integers(0, full - 1 - before))
    y = loops.conv_transpose(
        np.zeros((1, size), int),
        np.zeros((1, 1, kernel), int),
        stride=(stride,),
        padding=((before, after),),
        output_padding=(extra,),
        dilation=(dilation,),
    )
    assert (
        transposed_output_size(size, kernel, stride, (before, after), extra, dilation) == y[0].size
    )


# Formulas: receptive field and counts


def test_receptive_field_of_the_lectures():
    assert receptive_field(stride=1, dilation=1) == 1 + L * (K - 1)
    assert receptive_field(4, 3, 1, 1) == 9
    assert receptive_field(3, 3, 2, 1) == 15
    assert receptive_field(kernel=[3, 3], dilation=[1, 2], stride=1) == 7
    assert receptive_field(0) == receptive_field(kernel=[], stride=[], dilation=[]) == 1


def test_receptive_field_in_letters():
    assert receptive_field(kernel=3, stride=2, dilation=1) == 2 * 2**L - 1
    assert sympy.expand(receptive_field(2, dilation=1)) == sympy.expand(1 + (K - 1) * (1 + S))
    first, second = sympy.symbols("K_1 K_2", integer=True, positive=True)
    two = receptive_field(kernel=(first, second), dilation=1)
    assert sympy.expand(two - (1 + (first - 1) + (second - 1) * S)) == 0
    for layers, stride in itertools.product(range(1, 5), range(1, 4)):
        closed = receptive_field().subs({L: layers, K: 3, S: stride, D: 2})
        assert closed == receptive_field(layers, 3, stride, 2)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)), max_size=3))
def test_receptive_field_is_the_span_of_a_row(layers):
    columns = [[layer[column] for layer in layers] for column in range(3)]
    field = int(receptive_field(kernel=columns[0], stride=columns[1], dilation=columns[2]))
    T, size = np.eye(field, dtype=int), field
    for kernel, stride, dilation in layers:
        conv = toeplitz.Conv((1, size), (1, 1, kernel), stride=stride, dilation=dilation)
        T = conv.matrix(np.ones((1, 1, kernel), int)) @ T
        size = conv.output_shape[1]
    assert size == 1
    assert T[0, 0] > 0
    assert T[0, -1] > 0


def test_counts_of_the_lectures():
    assert parameters(3, 10, (5, 5)) == 760
    assert macs(3, 10, (32, 32), (5, 5), 1, 2, 1) == 768_000
    assert parameters(1, 128, 256) == 128 * (65_536 + 1)  # L5: fully connected on 256 x 256
    assert parameters(1, 128, 3, bias=False) == 1152
    assert parameters() == O * (C * K**2 + 1)
    assert parameters(ndim=3) == O * (C * K**3 + 1)
    assert macs(kernel=1, stride=1, padding=0, dilation=1) == C * O * N**2
    assert macs(stride=1, padding=0, dilation=1, ndim=1) == C * K * O * (N - K + 1)
    assert sympy.solve(parameters(3, O, 5) - 760, O) == [10]


@given(convs(most_axes=2))
def test_counts_are_those_of_the_geometry(conv):
    channels = (conv.in_channels, conv.out_channels)
    assert parameters(*channels, conv.kernel_size, conv.groups) == conv.parameters
    dilated = tuple(axis.dilated for axis in conv.axes)
    counted = macs(
        *channels,
        dilated,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
    )
    assert counted == conv.macs


def test_numbers_of_numpy_and_sympy_are_taken():
    expected = output_size(7, 3, 2, 0, 1)
    assert isinstance(expected, sympy.Integer)
    assert output_size(np.int64(7), sympy.Integer(3), np.uint8(2), sympy.S.Zero, 1) == expected
    assert receptive_field(sympy.Integer(2), 3, 1, 1) == 5


def test_plain_symbols_are_taken_with_the_floor_left_standing():
    n = sympy.Symbol("n")
    assert output_size(n, 3, 1, 0, 1) == sympy.floor(n - 3) + 1


# Refusals

SPACE = "the kernel is wider than the padded input: dilation * (kernel - 1) + 1 = "
REFUSALS = [
    (
        lambda: weights(3),
        TypeError,
        "conv must be a Conv (of a ConvTranspose, its .conv), got 3",
    ),
    (
        lambda: inputs("x"),
        TypeError,
        "conv must be a Conv (of a ConvTranspose, its .conv), got 'x'",
    ),
    (
        lambda: matrix(None),
        TypeError,
        "conv must be a Conv (of a ConvTranspose, its .conv), got None",
    ),
    (
        lambda: product(1),
        TypeError,
        "conv must be a Conv (of a ConvTranspose, its .conv), got 1",
    ),
    (lambda: latex(1), TypeError, "conv must be a Conv (of a ConvTranspose, its .conv), got 1"),
    (lambda: output_size("N"), TypeError, "size must be an integer, got 'N'"),
    (lambda: output_size(7.0), TypeError, "size must be an integer, got 7.0"),
    (lambda: output_size(True), TypeError, "size must be an integer, got the boolean True"),
    (lambda: output_size(sympy.Rational(7, 2)), TypeError, "size must be an integer, got 7/2"),
    (
        lambda: output_size(sympy.Float(7)),
        TypeError,
        "size must be an integer, got 7.00000000000000",
    ),
    (lambda: output_size(sympy.nan), TypeError, "size must be an integer, got nan"),
    (lambda: output_size(0), ValueError, "size must be at least 1, got 0"),
    (lambda: output_size(-N), ValueError, "size must be at least 1, got -N"),
    (lambda: output_size(kernel=0), ValueError, "kernel must be at least 1, got 0"),
    (lambda: output_size(stride=0), ValueError, "stride must be at least 1, got 0"),
    (lambda: output_size(dilation=-1), ValueError, "dilation must be at least 1, got -1"),
    (
        lambda: output_size(padding="same"),
        TypeError,
        "padding must be an integer or the pair (before, after), got 'same'",
    ),
    (
        lambda: output_size(padding=(1, 2, 3)),
        ValueError,
        "padding must give (before, after) for an axis, got (1, 2, 3)",
    ),
    (
        lambda: output_size(3, 4, 1, (1, -1), 2),
        ValueError,
        SPACE + "2 * 3 + 1 = 7 > 3 + 1 + -1 = 3; pad more or take a smaller kernel",
    ),
    (
        lambda: output_size(2, K + 3, 1, 0, 1),
        ValueError,
        SPACE + "1 * (K + 2) + 1 = K + 3 > 2 + 0 + 0 = 2; pad more or take a smaller kernel",
    ),
    (
        lambda: transposed_output_size(output_padding=-1),
        ValueError,
        "output_padding must be at least 0, got -1",
    ),
    (
        lambda: transposed_output_size(4, 3, 2, 1, 2, 1),
        ValueError,
        "output_padding must be smaller than max(stride, dilation): 2 >= max(2, 1) = 2",
    ),
    (
        lambda: transposed_output_size(2, 3, 2, 3, 1, 1),
        ValueError,
        "the output is empty: (size - 1) * stride - padding + dilation * (kernel - 1) + 1 + "
        "output_padding = 1 * 2 - (3 + 3) + 1 * 2 + 1 + 1 = 0; pad less",
    ),
    (
        lambda: receptive_field(2, kernel=(3, 3, 3)),
        ValueError,
        "kernel must have one entry per layer: got 3 in (3, 3, 3) for 2",
    ),
    (
        lambda: receptive_field(kernel=(3, 3), stride=[1]),
        ValueError,
        "stride must have one entry per layer: got 1 in (1,) for 2",
    ),
    (
        lambda: receptive_field(L, kernel=(3, 3)),
        ValueError,
        "layers must be the number of entries where kernel is a sequence: 2, got L",
    ),
    (lambda: receptive_field(-1), ValueError, "layers must be at least 0, got -1"),
    (lambda: receptive_field(2.0), TypeError, "layers must be an integer, got 2.0"),
    (lambda: receptive_field(kernel=[3, 0]), ValueError, "kernel must be at least 1, got 0"),
    (
        lambda: receptive_field(kernel="33"),
        TypeError,
        "kernel must be an integer or a sequence of integers, got '33'",
    ),
    (
        lambda: receptive_field(L, kernel="33"),
        TypeError,
        "kernel must be an integer or a sequence of integers, got '33'",
    ),
    (lambda: parameters(bias=1), TypeError, "bias must be True or False, got 1"),
    (
        lambda: parameters(6, 4, groups=4),
        ValueError,
        "groups must divide the input channels: 6 % 4 = 2",
    ),
    (
        lambda: parameters(4, 6, groups=4),
        ValueError,
        "groups must divide the output channels: 6 % 4 = 2",
    ),
    (lambda: parameters(-1), ValueError, "in_channels must be at least 0, got -1"),
    (lambda: parameters(out_channels=0), ValueError, "out_channels must be at least 1, got 0"),
    (lambda: parameters(groups=0), ValueError, "groups must be at least 1, got 0"),
    (lambda: parameters(ndim=0), ValueError, "ndim must be at least 1, got 0"),
    (lambda: parameters(kernel=()), ValueError, "ndim must be at least 1, got 0"),
    (
        lambda: macs(kernel=(3, 3), stride=(1, 1, 1)),
        ValueError,
        "stride must have one entry per spatial axis: got 3 in (1, 1, 1) for 2",
    ),
    (
        lambda: macs(padding=(1, 1, 1), ndim=2),
        ValueError,
        "padding must have one entry per spatial axis: got 3 in (1, 1, 1) for 2",
    ),
]


@pytest.mark.parametrize("wrong, kind, sentence", REFUSALS, ids=[r[2] for r in REFUSALS])
def test_refusals(wrong, kind, sentence):
    with pytest.raises(kind) as refusal:
        wrong()
    assert type(refusal.value) is kind
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    "letters, what, repair",
    [
        (matrix, "the symbolic matrix", "use matrix(w)"),
        (latex, "the LaTeX text", "take a smaller input_shape"),
        (inputs, "the symbolic input", "take a smaller input_shape"),
    ],
)
def test_what_would_not_fit_is_refused(letters, what, repair):
    conv = toeplitz.Conv((64, 9000, 9000), (64, 64, 3, 3))
    with pytest.raises(toeplitz.TooLarge) as refusal:
        letters(conv)
    assert str(refusal.value).startswith(f"{what} of {conv!r} needs ")
    assert str(refusal.value).endswith(f" are free: {repair}")


def test_sympy_is_not_imported_before_it_is_needed():
    code = "import sys, toeplitz; assert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
