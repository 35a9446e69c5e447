"""What `toeplitz demo` computes and prints: the lectures' matrices, numbers and a real layer."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product, zip_longest
from textwrap import wrap
from time import perf_counter
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from rich.columns import Columns
from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from toeplitz.conv import Conv
from toeplitz.conv_transpose import ConvTranspose
from toeplitz.max_pool import MaxPool
from toeplitz.memory import TooLarge, readable
from toeplitz.picture import Picture, picture

SLIDE = "as on the slide"
EQUAL = "exactly equal"
ALEXNET = Conv((3, 224, 224), (96, 3, 11, 11), stride=4, padding=2)
DIGITS = np.arange(9).reshape(1, 3, 3)


class Drawing(NamedTuple):
    """A matrix of the lectures, and whether it is the one on the slide."""

    source: str
    what: str
    picture: Picture
    verdict: str
    ok: bool


class Check(NamedTuple):
    """One result: where it is from, what was computed, how it compares."""

    source: str
    what: str
    result: str
    verdict: str
    ok: bool


def matrices() -> Iterator[Drawing]:
    """M1, M2, M3 and M5: the matrices of the kernel (a, b, c)."""

    def drawing(
        source: str, what: str, layer: Conv | ConvTranspose, slide: str, verdict: str = SLIDE
    ) -> Drawing:
        drawn = picture(layer)
        ok = ["".join(row) for row in drawn.texts()] == slide.split()
        return Drawing(source, what, drawn, verdict if ok else f"NOT {SLIDE}", ok)

    kernel = (1, 1, 3)
    yield drawing(
        "M1", "valid, 8 inputs", Conv((1, 8), kernel),
        "abc00000 0abc0000 00abc000 000abc00 0000abc0 00000abc",
        f"{SLIDE}, where\none row has 9 entries",
    )  # fmt: skip
    yield drawing("M2", "stride 2", Conv((1, 7), kernel, stride=2), "abc0000 00abc00 0000abc")
    yield drawing(
        "M3", "padding 1", Conv((1, 7), kernel, padding=1),
        "bc00000 abc0000 0abc000 00abc00 000abc0 0000abc 00000ab",
    )  # fmt: skip
    yield drawing(
        "M5", "M3 transposed", ConvTranspose((1, 7), kernel, padding=1),
        "ba00000 cba0000 0cba000 00cba00 000cba0 0000cba 00000cb",
        f"{SLIDE}, where\none row is 0acba00",
    )  # fmt: skip
    yield drawing(
        "M5",
        "M2 transposed",
        ConvTranspose((1, 3), kernel, stride=2),
        "a00 b00 ca0 0b0 0ca 00b 00c",
    )


def worked_numbers() -> Iterator[Check]:
    """W1 to W5, each a sparse matrix times the flattened input."""

    def convolved(x: Any, w: Any, **geometry: Any) -> Any:
        conv = Conv(x.shape, w.shape, **geometry)
        return (conv.matrix(w) @ x.ravel()).reshape(conv.output_shape)[0]

    def pooled(x: Any, stride: int) -> Any:
        pool = MaxPool(x.shape, 2, stride)
        return (pool.selection(x, int) @ x.ravel()).reshape(pool.output_shape)[0]

    kernel = np.arange(4).reshape(1, 1, 2, 2)
    yield _compared("W1", "3x3 input, 2x2 kernel", convolved(DIGITS, kernel), [[19, 25], [37, 43]])
    padded = [[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]
    yield _compared("", "the same, padded by 1", convolved(DIGITS, kernel, padding=1), padded)

    slide = [[0, 8], [6, 8]]
    strided = {
        stride: convolved(DIGITS, kernel, padding=1, stride=stride)
        for stride in product((1, 2, 3), repeat=2)
    }
    really = [stride for stride, y in strided.items() if np.array_equal(y, slide)]
    ok = strided[2, 2].tolist() == [[0, 8], [21, 43]] and really == [(3, 2)]
    verdict = f"the slide has {_row_by_row(slide)}:\nthat is stride {', '.join(map(str, really))}"
    yield Check("W2", "padded by 1, stride 2", _row_by_row(strided[2, 2]), verdict, ok)

    channels = np.concatenate([DIGITS, DIGITS + 1])
    kernels = np.concatenate([kernel, kernel + 1], axis=1)
    first = convolved(channels, kernels)
    yield _compared("W3", "two channels, y[0, 0]", first[:1, :1], [[56]])
    edge = np.repeat([[[10, 0]]], 3, axis=2).repeat(6, axis=1)
    vertical = np.array([[[[1, 0, -1]] * 3]])
    found = convolved(edge, vertical)
    check = _compared("W4", "vertical edge, 6x6 image", found, [[0, 30, 30, 0]] * 4)
    yield check._replace(result="0 30 30 0 in each row") if check.ok else check

    square = np.array([[[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]])
    yield _compared("W5", "max pooling 2x2, stride 2", pooled(square, 2), [[6, 8], [3, 4]])
    yield _compared("", "max pooling 2x2, stride 1", pooled(DIGITS, 1), [[4, 5], [7, 8]])


def real_layer(conv: Conv, oracle: ModuleType) -> Iterator[Check]:
    """A layer's matrix, its forward pass and both gradients, against the sliding window.

    The data are small integers: every sum is exact in float32, so the comparison is too.
    """
    draw = partial(np.random.default_rng(0).integers, -8, 9)
    x, w, g = (
        draw(shape).astype(np.float32)
        for shape in ((1, *conv.input_shape), conv.weight_shape, (1, *conv.output_shape))
    )
    geometry = {"stride": conv.stride, "padding": conv.padding}
    cost = conv.cost(np.float32)
    start = perf_counter()
    try:
        T = conv.matrix(w)
        ok = T.nnz == cost.nnz
        built = f"{readable(cost.bytes['csr'])} as CSR,\nbuilt in {perf_counter() - start:.2f} s"
    except TooLarge as error:
        T, ok, built = conv.operator(w), True, f"not built: {error}"
    size = f"{cost.shape[0]:,} x {cost.shape[1]:,},\n{cost.nnz:,} entries"
    yield Check("", "the matrix T", size, built, ok)

    passes: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "forward, T x": (
            lambda: T @ x.ravel(),
            lambda: oracle.sliding_conv(x, w, **geometry),
        ),
        "gradient to x, Tᵀ g": (
            lambda: T.T @ g.ravel(),
            lambda: oracle.sliding_grad_x(g, x.shape, w, **geometry),
        ),
        "gradient to w, U(x)ᵀ g": (
            lambda: conv.weight_gradient(g, x),
            lambda: oracle.sliding_grad_w(g, x, w.shape, **geometry),
        ),
    }
    for what, (matrix_product, sliding_window) in passes.items():
        start = perf_counter()
        mine = matrix_product().ravel()
        seconds = perf_counter() - start
        ok = np.array_equal(mine, sliding_window().ravel())
        verdict = EQUAL if ok else "NOT equal"
        yield Check("", what, f"{mine.size:,} values, {seconds:.2f} s", verdict, ok)


def run(console: Console, oracle: ModuleType) -> bool:
    """Print the whole demo; whether all of it is right."""
    start = perf_counter()
    results = []

    console.print(Text("The lectures' kernel a, b, c as a sparse matrix T, for y = T x\n", "bold"))
    drawings = list(matrices())
    results += [drawing.ok for drawing in drawings]
    console.print(Padding(Columns(map(_captioned, drawings), padding=(0, 3)), (0, 0, 0, 2)))

    console.print(
        Text("The lectures' numbers, each a sparse matrix times the flat input\n", "bold")
    )
    for check in worked_numbers():
        results.append(check.ok)
        console.print(_row(check), soft_wrap=True)

    console.print(Text("\nAlexNet's first layer against an independent sliding window", "bold"))
    console.print(Text(f"\n  {ALEXNET}\n"), soft_wrap=True)
    for check in real_layer(ALEXNET, oracle):
        results.append(check.ok)
        console.print(_row(check), soft_wrap=True)

    wrong = results.count(False)
    verdict = (
        f"{wrong} of {len(results)} checks failed" if wrong else f"All {len(results)} checks passed"
    )
    style = "bold red" if wrong else "bold green"
    console.print(
        Text(f"\n{verdict}", style).append(f" ({perf_counter() - start:.1f} s)", "not bold")
    )
    return not wrong


def _compared(source: str, what: str, y: Any, slide: list[list[int]]) -> Check:
    ok = y.tolist() == slide
    return Check(source, what, _row_by_row(y), SLIDE if ok else f"NOT {SLIDE}", ok)


def _row_by_row(y: Any) -> str:
    """19 25 / 37 43."""
    return " / ".join(" ".join(str(entry) for entry in row) for row in y)


def _captioned(drawing: Drawing) -> Group:
    caption = Text(f"{drawing.source}  ", "bold").append(drawing.what, "not bold")
    verdict = Text(f"{drawing.verdict}\n", _style(drawing.verdict, drawing.ok))
    return Group(caption, drawing.picture, verdict)


def _row(check: Check) -> Text:
    """The columns of a check, each over as many lines as it needs."""
    wrapped = [
        [line for part in text.splitlines() for line in wrap(part, width)]
        for text, width in zip(check[:4], (3, 26, 22, 26), strict=True)
    ]
    lines = [
        Text("  ")
        .append(f"{source:4}", "bold")
        .append(f"{what:27}{result:23}")
        .append(verdict, _style(check.verdict, check.ok))
        for source, what, result, verdict in zip_longest(*wrapped, fillvalue="")
    ]
    return Text("\n").join(lines)


def _style(verdict: str, ok: bool) -> str:
    if not ok:
        return "bold red"
    return "green" if verdict.startswith((SLIDE, EQUAL)) else "yellow" if "slide" in verdict else ""
