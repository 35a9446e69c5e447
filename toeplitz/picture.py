"""The matrix of a convolution as a picture: each tap in its own colour, zeros dim.

>>> import toeplitz
>>> from toeplitz.picture import picture
>>> print(picture(toeplitz.Conv((1, 5), (1, 1, 3), stride=2)))
⎡ a b c 0 0 ⎤
⎣ 0 0 a b c ⎦
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import prod
from string import ascii_lowercase
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from toeplitz.arrays import shaped
from toeplitz.conv import Conv
from toeplitz.conv_transpose import ConvTranspose

# xcolor's names in the order of the LaTeX in `symbolic`, each with a shade of it that can be
# read on black and on white.
COLOURS = {
    "blue": "#3b82f6",
    "red": "#ef4444",
    "teal": "#12a594",
    "orange": "#f08c00",
    "violet": "#8b5cf6",
    "brown": "#a9714b",
    "magenta": "#d946ba",
    "olive": "#8a9a1f",
    "cyan": "#0fa3cc",
    "gray": "#8a8f98",
}
NAMES = list(COLOURS)
STYLES = {name: Style(color=shade, bold=True) for name, shade in COLOURS.items()}
FAINT, PLAIN = Style(dim=True), Style()
NUMBER = re.compile(
    r"[+-]?(\d+(/\d+)?|(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?)", re.ASCII | re.IGNORECASE
)
CELLS = 1_000_000  # of which a text is still a picture

Line: TypeAlias = list[Segment]


class Tap(NamedTuple):
    """What stands for one weight: its text, and its number if it is not a letter."""

    text: str
    number: Any = None


class Piece(NamedTuple):
    """A part of an entry: its text, and the flat number of the weight whose colour it has."""

    text: str
    weight: int | None = None


class Picture:
    """A matrix to be printed: str() gives it plain, a rich console in colour.

    rows, columns: its size. entries: for each (row, column) of the pattern its pieces.
    row_block, column_block: after so many rows or columns comes a rule.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        entries: dict[tuple[int, int], list[Piece]],
        row_block: int,
        column_block: int,
    ) -> None:
        self.rows = rows
        self.columns = columns
        self.entries = entries
        self.row_block = row_block
        self.column_block = column_block
        self._places: list[list[int]] = [[] for _ in range(rows)]
        for row, column in sorted(entries):
            self._places[row].append(column)
        self._cell = max((sum(cell_len(p.text) for p in e) for e in entries.values()), default=1)

    def width(self, gap: int = 1) -> int:
        """The characters of a line, with `gap` spaces between neighbours (0 or 1)."""
        rules = (self.columns - 1) // self.column_block
        return self.columns * (self._cell + gap) + rules * (1 + gap) + 4 - gap

    def texts(self) -> list[list[str]]:
        """The entries as text, row by row."""
        return [
            ["".join(p.text for p in self._entry(row, column)) for column in range(self.columns)]
            for row in range(self.rows)
        ]

    def latex(self) -> str:
        r"""The matrix as LaTeX in the same colours (needs the xcolor package)."""
        from sympy import Symbol, latex  # slow to import

        def coloured(piece: Piece) -> str:
            text = piece.text
            if text[0].isalpha() or text[0] == "_":
                text = latex(Symbol(text))
            elif "/" in text:
                sign = "-" if text[0] == "-" else ""
                text = sign + r"\frac{{{}}}{{{}}}".format(*text.lstrip("+-").split("/"))
            if piece.weight is None:
                return f" {text} " if text == "+" else text
            return rf"\textcolor{{{_colour(piece.weight)}}}{{{text}}}"

        rows = [
            " & ".join(
                "".join(map(coloured, self._entry(row, column))) for column in range(self.columns)
            )
            for row in range(self.rows)
        ]
        # LaTeX's matrix has at most ten columns.
        kind = "matrix" if self.columns <= 10 else "array"
        align = "" if kind == "matrix" else f"{{{'c' * self.columns}}}"
        return rf"\left[\begin{{{kind}}}{align}" + r"\\".join(rows) + rf"\end{{{kind}}}\right]"

    def __str__(self) -> str:
        return "\n".join(
            "".join(segment.text for segment in line) for line in self._lines(1, ascii=False)
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        gap = self.fitting_gap(options.max_width) if console.is_terminal else 1
        for line in self._lines(gap, options.ascii_only):
            yield from line
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.width(), self.width())

    def fitting_gap(self, width: int) -> int:
        """How many spaces fit between neighbours in lines of this width; ValueError for none."""
        if self.width() <= width:
            return 1
        if self._cell == 1 and self.width(0) <= width:
            return 0
        raise ValueError(
            f"the matrix has {self.columns} columns and needs lines of {self.width()} characters, "
            f"the terminal has {width}: take a smaller size, print it as LaTeX, "
            f"export it, or send it to a file"
        )

    def _entry(self, row: int, column: int) -> list[Piece]:
        return self.entries.get((row, column), [Piece("0")])

    def _lines(self, gap: int, ascii: bool) -> Iterator[Line]:
        """The lines: each is cut out of a line of zeros, wherever an entry stands."""
        zero = f"{'0':>{self._cell}}"
        block = [(" " * gap).join([zero] * self.column_block)]
        blocks = block * (self.columns // self.column_block)
        bar, dash, cross = "|-+" if ascii else "│─┼"
        zeros = bar.center(1 + 2 * gap).join(blocks)
        rule = zeros.translate({ord(" "): dash, ord("0"): dash, ord(bar): cross})
        lines = []
        for row in range(self.rows):
            if row and row % self.row_block == 0:
                lines.append([Segment(rule, FAINT)])
            lines.append(self._segments(row, zeros, gap))
        for position, line in enumerate(lines):
            left, right = ("[", "]") if ascii else _brackets(position, len(lines))
            yield [Segment(f"{left} "), *line, Segment(f" {right}")]

    def _segments(self, row: int, zeros: str, gap: int) -> Line:
        line = []
        done = 0
        for column in self._places[row]:
            pieces = self.entries[row, column]
            start = column * (self._cell + gap) + column // self.column_block * (1 + gap)
            before = self._cell - sum(cell_len(piece.text) for piece in pieces)
            line.append(Segment(zeros[done:start], FAINT))
            line.append(Segment(" " * before))
            line += [
                Segment(text, PLAIN if weight is None else STYLES[_colour(weight)])
                for text, weight in pieces
            ]
            done = start + self._cell
        return [*line, Segment(zeros[done:], FAINT)]


def picture(layer: Conv | ConvTranspose, taps: Any = None) -> Picture:
    """The matrix of a layer as a Picture.

    taps: the numbers or texts of the weights, an array of layer.weight_shape (floats are shown to
    six digits, texts as they are); without it the letters of `layer.symbolic()`. Where several
    letters meet their sum is shown, of numbers its value. Rules part the rows and columns that
    belong to different rows of an image or to different channels.

    Errors: ValueError for another shape of taps, and for a matrix with no entries or with more
    than a million.
    """
    transposed = isinstance(layer, ConvTranspose)
    conv = layer.conv if isinstance(layer, ConvTranspose) else layer
    rows, columns = prod(layer.output_shape), prod(layer.input_shape)
    if rows * columns > CELLS:
        raise ValueError(
            f"a picture holds at most {CELLS:,} entries and {rows} x {columns} = "
            f"{rows * columns:,}: take a smaller size, or export the matrix"
        )
    if rows * columns == 0:
        raise ValueError(f"a matrix of {rows} x {columns} has nothing to show")
    known = _letters(conv) if taps is None else _taps(conv, taps)
    met: dict[tuple[int, int], list[int]] = {}
    for output, input, weight in zip(*(flat.tolist() for flat in conv.triples()), strict=True):
        place = (input, output) if transposed else (output, input)
        met.setdefault(place, []).append(weight)
    entries = {place: _pieces(known, weights) for place, weights in met.items()}
    return Picture(rows, columns, entries, layer.output_shape[-1], layer.input_shape[-1])


def show(layer: Conv | ConvTranspose, w: Any = None, console: Console | None = None) -> None:
    """Print the matrix of a layer in colour: of weights w (layer.weight_shape), or in letters.

    >>> import toeplitz
    >>> toeplitz.picture.show(toeplitz.ConvTranspose((1, 2), (1, 1, 3), stride=2), [[[1, 0, -1]]])
    ⎡  1  0 ⎤
    ⎢  0  0 ⎥
    ⎢ -1  1 ⎥
    ⎢  0  0 ⎥
    ⎣  0 -1 ⎦
    """
    drawn = picture(layer, w)
    (console or Console()).print(drawn, soft_wrap=True)


def number(text: str) -> Fraction | None:
    """The number that a text such as -2, 0.5, 1e-3 or 1/2 stands for, exactly."""
    if not NUMBER.fullmatch(text):
        return None
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None


def _letters(conv: Conv) -> list[Tap]:
    """The names that `symbolic` gives to the weights."""
    shape = conv.weight_shape
    if shape[:2] == (1, 1) and conv.weight_count <= len(ascii_lowercase):
        return [Tap(letter) for letter in ascii_lowercase[: conv.weight_count]]
    return [Tap(f"w_{','.join(map(str, index))}") for index in np.ndindex(shape)]


def _taps(conv: Conv, taps: Any) -> list[Tap]:
    array = np.asarray(taps)
    shaped("taps", array, conv.weight_shape, "the weight shape")
    if array.dtype.kind == "U":
        return [Tap(text, number(text)) for text in array.ravel().tolist()]
    return [Tap(_spelled(value), value) for value in array.ravel().tolist()]


def _pieces(taps: Sequence[Tap], weights: Sequence[int]) -> list[Piece]:
    """One entry: the tap, or the sum of those that meet here."""
    met = [taps[weight] for weight in weights]
    if len(met) == 1:
        return [Piece(met[0].text, weights[0])]
    if all(tap.number is not None for tap in met):
        total = sum(tap.number for tap in met)
        if isinstance(total, Fraction) and all("/" not in tap.text for tap in met):
            return [Piece(str(total if total.denominator == 1 else float(total)))]
        return [Piece(_spelled(total))]
    pieces: list[Piece] = []
    for tap, weight in zip(met, weights, strict=True):
        if pieces and not tap.text.startswith("-"):
            pieces.append(Piece("+"))
        pieces.append(Piece(tap.text, weight))
    return pieces


def _spelled(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | complex) else str(value)


def _colour(weight: int) -> str:
    return NAMES[weight % len(NAMES)]


def _brackets(position: int, count: int) -> tuple[str, str]:
    if count == 1:
        return "[", "]"
    if position in (0, count - 1):
        return ("⎡", "⎤") if position == 0 else ("⎣", "⎦")
    return "⎢", "⎥"
