"""Pictures: what stands where, in which colour, how wide, and as LaTeX."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

import toeplitz
from toeplitz import picture as module
from toeplitz.picture import COLOURS, STYLES, number, picture, show

GEOMETRIES = [
    toeplitz.Conv((1, 8), (1, 1, 3)),
    toeplitz.Conv((1, 12), (1, 1, 12), padding="full"),
    toeplitz.Conv((1, 4), (1, 1, 3), padding=2, padding_mode="replicate"),
    toeplitz.Conv((1, 3), (1, 1, 7), padding=3, padding_mode="circular"),
    toeplitz.Conv((1, 3, 4), (1, 1, 2, 2), stride=(2, 1), padding=((1, 0), (0, 1))),
    toeplitz.Conv((1, 6, 6), (1, 1, 5, 6)),
    toeplitz.Conv((4, 3), (2, 2, 2), groups=2),
    toeplitz.Conv((1, 2, 2, 2), (1, 1, 2, 1, 1)),
    toeplitz.ConvTranspose((1, 3), (1, 1, 3), stride=2, output_padding=1),
    toeplitz.ConvTranspose((1, 2, 2), (1, 1, 2, 2), padding=((0, 1), (0, 0))),
]


@pytest.mark.parametrize("layer", GEOMETRIES, ids=repr)
def test_the_numbers_are_those_of_the_matrix(layer):
    w = np.random.default_rng(3).integers(-99, 100, layer.weight_shape)
    texts = picture(layer, w).texts()
    assert np.array_equal(np.array(texts).astype(int), layer.matrix(w).toarray())


@pytest.mark.parametrize("layer", GEOMETRIES, ids=repr)
def test_the_letters_are_those_of_symbolic(layer):
    symbolic = layer.symbolic()
    for row, line in enumerate(picture(layer).texts()):
        for column, text in enumerate(line):
            entry = symbolic[row, column]
            names = sorted(str(letter).replace("{", "").replace("}", "")
                           for letter in entry.free_symbols)  # fmt: skip
            assert sorted(text.split("+")) == (names or ["0"])


@pytest.mark.parametrize("layer", GEOMETRIES, ids=repr)
def test_latex_is_that_of_symbolic(layer):
    assert picture(layer).latex() == layer.latex()


def test_the_colours_are_those_of_the_latex():
    from toeplitz.symbolic import COLOURS as order

    assert tuple(COLOURS) == order


def test_each_tap_has_its_colour_and_zeros_are_dim():
    console = Console(force_terminal=True, color_system="truecolor", width=80)
    (first, *_) = console.render_lines(picture(GEOMETRIES[1]), pad=False)
    styles = {s.text: s.style for s in first if s.text.strip()}
    assert styles["l"] == STYLES["red"]  # the twelfth: the ten colours begin again
    assert [s.style.dim for s in first if "0" in s.text] == [True]


def test_the_colours_of_a_sum():
    (line, *_) = Console().render_lines(picture(GEOMETRIES[2]), pad=False)
    found = [(s.text, s.style) for s in line if s.text.strip() in ("a", "+", "b", "c")]
    assert [text for text, _ in found] == ["a", "+", "b", "+", "c"]
    assert [found[i][1] for i in (0, 2, 4)] == [STYLES[n] for n in ("blue", "red", "teal")]


def test_a_weight_of_zero_is_a_tap_like_any_other():
    console = Console(force_terminal=True, color_system="truecolor", width=80)
    (line, *_) = console.render_lines(picture(toeplitz.Conv((1, 3), (1, 1, 2)), [[[1, 0]]]))
    assert next((s.text, s.style) for s in line if s.text.strip() == "0") == ("0", STYLES["red"])


def test_plain_text():
    assert str(picture(toeplitz.Conv((1, 2, 2), (1, 1, 1, 2)), [[[[2, -0.5]]]])) == (
        "⎡    2 -0.5 │    0    0 ⎤\n⎢ ──────────┼────────── ⎥\n⎣    0    0 │    2 -0.5 ⎦"
    )
    assert str(picture(toeplitz.Conv((1, 2), (1, 1, 2)))) == "[ a b ]"
    # One rule for each change of row or channel.
    assert str(picture(toeplitz.Conv((2, 2), (2, 1, 1), groups=2), [[["p"]], [["q"]]])) == (
        "⎡ p 0 │ 0 0 ⎤\n⎢ 0 p │ 0 0 ⎥\n⎢ ────┼──── ⎥\n⎢ 0 0 │ q 0 ⎥\n⎣ 0 0 │ 0 q ⎦"
    )


def test_where_numbers_meet():
    conv = toeplitz.Conv((1, 1), (1, 1, 3), padding=1, padding_mode="replicate")

    def shown(*taps):
        return picture(conv, [[taps]]).texts()

    assert shown("1/2", "1/3", "1/6") == [["1"]]
    assert shown("0.1", "0.2", "0") == [["0.3"]]
    assert shown(".5", "1/4", "0") == [["3/4"]]
    assert shown("1", "2", "-3") == [["0"]]
    assert shown("0.12345678", "1", "0") == [["1.12345678"]]
    assert shown("12345678901234567890", "1", "0.") == [["12345678901234567891"]]
    assert shown("a", "-2", "a") == [["a-2+a"]]
    assert shown(1, 2, 10**9) == [["1000000003"]]
    assert shown(0.1, 0.2, 0.0) == [["0.3"]]
    assert shown(1j, 2, 0) == [["2+1j"]]


@pytest.mark.parametrize("gap", [0, 1])
@pytest.mark.parametrize("layer", GEOMETRIES[:2] + GEOMETRIES[4:5], ids=repr)
def test_width_is_what_the_lines_need(layer, gap):
    drawn = picture(layer)
    console = Console(file=io.StringIO(), force_terminal=True, width=drawn.width(gap))
    assert drawn.fitting_gap(console.width) == gap
    lines = console.render_lines(drawn, pad=False)
    assert {sum(s.cell_length for s in line) for line in lines} == {drawn.width(gap)}


def test_wide_letters_keep_the_columns():
    assert str(picture(toeplitz.Conv((1, 3), (1, 1, 2)), [[["重", "b"]]])) == (
        "⎡ 重  b  0 ⎤\n⎣  0 重  b ⎦"
    )


def test_a_line_that_does_not_fit():
    drawn = picture(toeplitz.Conv((1, 20), (1, 1, 2)), [[[10, 20]]])
    assert drawn.fitting_gap(63) == 1
    sentence = (
        "the matrix has 20 columns and needs lines of 63 characters, the terminal has 62: "
        "take a smaller size, print it as LaTeX, export it, or send it to a file"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        drawn.fitting_gap(62)


def test_show(capsys):
    show(toeplitz.ConvTranspose((1, 2), (1, 1, 3), stride=2), [[[1, 0, -1]]])
    assert capsys.readouterr().out == "⎡  1  0 ⎤\n⎢  0  0 ⎥\n⎢ -1  1 ⎥\n⎢  0  0 ⎥\n⎣  0 -1 ⎦\n"
    console = Console(file=io.StringIO(), width=10)
    show(toeplitz.Conv((1, 9), (1, 1, 8)), console=console)
    assert console.file.getvalue() == "⎡ a b c d e f g h 0 ⎤\n⎣ 0 a b c d e f g h ⎦\n"


def test_latex_of_names_and_fractions():
    conv = toeplitz.Conv((1, 4), (1, 1, 4))
    assert picture(conv, [[["alpha", "w_10", "-1/2", "0.5"]]]).latex() == (
        r"\left[\begin{matrix}\textcolor{blue}{\alpha} & \textcolor{red}{w_{10}} & "
        r"\textcolor{teal}{-\frac{1}{2}} & \textcolor{orange}{0.5}\end{matrix}\right]"
    )
    twice = toeplitz.Conv((1, 1), (1, 1, 2), padding=((1, 0),), padding_mode="replicate")
    assert picture(twice, [[["1/2", "1/4"]]]).latex() == (
        r"\left[\begin{matrix}\frac{3}{4}\end{matrix}\right]"
    )
    assert picture(twice, [[["_a", "-2"]]]).latex() == (
        r"\left[\begin{matrix}\textcolor{blue}{_a}\textcolor{red}{-2}\end{matrix}\right]"
    )


@pytest.mark.parametrize(
    "layer, taps, sentence",
    [
        (GEOMETRIES[0], [[[1, 2]]], "taps must have the weight shape (1, 1, 3), got (1, 1, 2)"),
        (
            toeplitz.Conv((1, 1001), (1, 1, 2)),
            None,
            "a picture holds at most 1,000,000 entries and 1000 x 1001 = 1,001,000: "
            "take a smaller size, or export the matrix",
        ),
        (toeplitz.Conv((0, 3), (2, 0, 2)), None, "a matrix of 4 x 0 has nothing to show"),
    ],
    ids=["shape", "size", "empty"],
)
def test_refusals(layer, taps, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        picture(layer, taps)


def test_numbers():
    texts = ["1", "-2", "+3", "0.5", ".5", "2.", "1e-3", "1/2", "-1/3"]
    assert [float(number(text)) for text in texts] == [1, -2, 3, 0.5, 0.5, 2, 1e-3, 0.5, -1 / 3]
    for text in ("", "a", "1/0", "1/2/3", "nan", "inf", "1e9999", "1_0", "٣", "1" * 5000):
        assert number(text) is None


def test_a_picture_costs_little(monkeypatch):
    """The work of printing grows with the entries, not with the zeros between them."""
    calls = []
    monkeypatch.setattr(module, "Segment", lambda *args: calls.append(args))
    list(picture(toeplitz.Conv((1, 1000), (1, 1, 1)))._lines(1, False))
    assert len(calls) < 10 * 1000
