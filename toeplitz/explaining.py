"""The judge's laws, each kept and broken on a small matrix."""

from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from toeplitz.batch_norm import BatchNorm
from toeplitz.conv import Conv
from toeplitz.max_pool import MaxPool
from toeplitz.picture import picture

W, X, G = np.array([1, 2]), np.array([1, 2, 3, 4]), np.array([1, 0, 2])
CONV = Conv((1, 4), (1, 1, 2))


class Row(NamedTuple):
    """A computation, what comes of it, and what there is to say about it."""

    formula: str
    value: str
    remark: str = ""


class Example(NamedTuple):
    """A law on a layer: how it is kept and how broken. w, x: what the matrix and T x are of.

    A layer that is no convolution is shown without weights, and a max pool with its S(x).
    """

    right: Row
    wrong: Row
    w: Any = W
    x: Any = X
    layer: Any = CONV


def example(code: str) -> Example:
    """The example of a law."""
    return EXAMPLES[code]


def vector(values: Any) -> str:
    """Numbers in a row, whole ones without a point.

    >>> vector([1.0, float("nan")])
    '[1 nan]'
    """
    return f"[{' '.join(f'{value:g}' for value in np.ravel(values))}]"


def explain(code: str, law: Any) -> None:
    """Print a law of verify.codes, and its example."""
    shown = example(code)
    rows = (("right", shown.right), ("wrong", shown.wrong))
    width = max(len(row.formula) for _, row in rows)
    lines = [
        f"{name}  {row.formula:{width}} = {row.value}   {row.remark}".rstrip() for name, row in rows
    ]
    given = f"x = {vector(shown.x)}"
    drawn: Any = ""
    if isinstance(shown.layer, Conv):
        taps = np.array([str(tap) for tap in shown.w])[None, None]
        given, drawn = f"w = {vector(shown.w)}, {given}, T =", picture(shown.layer, taps)
    elif isinstance(shown.layer, MaxPool):
        given, drawn = f"{given}, S(x) =", _selection(shown.layer, shown.x)
    console = Console(highlight=False)
    for part in (
        Text(f"{code} {law.title}: f {law.sentence}", "bold"),
        Text(f"{law.meaning}\n\n{shown.layer}\n{given}"),
        drawn,
        Text("\n".join(["", *lines])),
    ):
        console.print(part, soft_wrap=True)


def _selection(pool: MaxPool, x: Any) -> Text:
    """S(x), a row on each line."""
    rows = pool.selection(np.reshape(x, pool.input_shape), int).toarray().tolist()
    return Text("\n".join(f"  {' '.join(map(str, row))}" for row in rows))


def _times(w: Any, x: Any, layer: Conv = CONV) -> Any:
    return layer.matrix(np.reshape(w, layer.weight_shape)) @ x


def _back(w: Any) -> Any:
    return CONV.matrix(np.reshape(w, CONV.weight_shape)).T @ G


def _half(w: Any, x: Any) -> float:
    """The first output, summed in float16."""
    total = np.float16(0)
    for product in w * x[: len(w)]:
        total = np.float16(total + np.float16(product))
    return float(total)


def _dense(w: Any, x: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return CONV.matrix(np.reshape(w, CONV.weight_shape), "dense") @ x


def _refusal() -> str:
    try:
        Conv((1, 4), (1, 2, 2))
    except ValueError as error:
        return str(error)
    raise AssertionError("a wrong call is refused")


Y = _times(W, X)
FLIPPED = W[::-1]
HALVES = Conv((1, 5), (1, 1, 2), stride=2)
LONG, ONES = np.array([2048, 1, 1, 1]), np.array([1, 1, 1])
THREE = Conv((1, 4), (1, 1, 3))
INF, NAN = np.array([np.inf, 2, 3, 4]), np.array([1, np.nan, 3, 4])
SECOND = np.array([1, 77, 2, 77])  # the memory of X laid out with a gap after each entry
TIED, POOL = np.array([1, 5, 7, 7]), MaxPool((1, 4), 2)
U, G2 = np.stack([X[:3], X[1:]], 1), 10 * G

EXAMPLES = {
    "CV101": Example(
        Row("T x", vector(Y)), Row("f(x, w)", vector(_times(FLIPPED, X)), "the kernel is flipped")
    ),
    "CV102": Example(
        Row("floor((5 + 0 - 1 (2 - 1) - 1) / 2) + 1", str(HALVES.output_shape[1])),
        Row("f(x, w).shape[-1]", "3", "ceil in place of floor"),
        x=np.arange(1, 6),
        layer=HALVES,
    ),
    "CV103": Example(
        Row("T x", f"{vector(Y)} float32", "of float32"),
        Row("f(x, w)", f"{vector(Y)} float64", "of float32 too"),
    ),
    "CV104": Example(
        Row("T x", f"array({Y.tolist()})"), Row("f(x, w)", str(Y.tolist()), "a list")
    ),
    "CV105": Example(
        Row("T x", vector(_times(ONES, LONG, THREE)), "in float32"),
        Row("f(x, w)", f"[{_half(ONES, LONG):g} 3]", "2048 + 1 = 2048 in float16"),
        w=ONES,
        x=LONG,
        layer=THREE,
    ),
    "CV106": Example(
        Row("indices of the maxima", vector(POOL.indices(TIED[None]))),
        Row("f(x)[1]", "[1 0]", "counted within each window"),
        x=TIED,
        layer=POOL,
    ),
    "CV107": Example(
        Row("(1 - 0.5) 1 + 0.5 Σ(x - 2.5)² / 3", f"{0.5 + 0.5 * np.var(X, ddof=1):.4g}"),
        Row("f(x, 0, 1)[2]", f"{0.5 + 0.5 * np.var(X):.4g}", "the biased variance, / 4"),
        layer=BatchNorm((1, 4)),
    ),
    "CV110": Example(
        Row("T x + b", vector(Y + 10), "b = [10]"),
        Row("f(x, w, b)", vector(Y + 20), "b is added twice"),
    ),
    "CV120": Example(
        Row("T(x - x), T x + T(-x)", f"{vector(Y - Y)}, {vector(Y + _times(W, -X))}"),
        Row("f(x - x), f(x) + f(-x)", f"{vector(Y - Y)}, {vector(Y)}", "f cuts off below 0"),
    ),
    "CV121": Example(
        Row("T(w - w) x, T(w) x + T(-w) x", f"{vector(Y - Y)}, {vector(Y + _times(-W, X))}"),
        Row("f(x, w - w), f(x, w) + f(x, -w)", f"{vector(Y - Y)}, {vector(Y)}",
            "f cuts off below 0"),
    ),
    "CV130": Example(
        Row("<T x, g>, <x, Tᵀ g>", f"{Y @ G}, {X @ _back(W)}", f"g = {vector(G)}"),
        Row("<f(x, w), g>, <x, grad_x>", f"{Y @ G}, {X @ _back(FLIPPED)}",
            "backward has the kernel flipped"),
    ),
    "CV140": Example(
        Row("Tᵀ g", vector(_back(W)), f"g = {vector(G)}"),
        Row("grad_x", vector(_back(FLIPPED)), "the kernel is flipped"),
    ),
    "CV141": Example(
        Row("U(x)ᵀ g + U(x)ᵀ 10 g", vector(U.T @ (G + G2)), f"two items, g = {vector(G)}"),
        Row("grad_w", vector(U.T @ G2), "the last item's only"),
    ),
    "CV142": Example(
        Row("sum of g", vector([G.sum()]), f"g = {vector(G)}"),
        Row("grad_b", vector([G.mean()]), "averaged"),
    ),
    "CV143": Example(
        Row("S(x)ᵀ g", vector(POOL.gradient(np.array([[10, 1]]), TIED[None])), "g = [10 1]"),
        Row("grad_x", "[0 10 1 1]", "each of the two sevens gets it all"),
        x=TIED,
        layer=POOL,
    ),
    "CV150": Example(
        Row("x after T x", vector(X)), Row("x after f(x, w)", vector(X - 1), "f works in place")
    ),
    "CV151": Example(
        Row("T x, again T x", f"{vector(Y)}, {vector(Y)}"),
        Row("f(x, w), again f(x, w)", f"{vector(Y)}, [5 8 0]", "the last place is not written"),
    ),
    "CV152": Example(
        Row("T x", vector(Y), "x lies as [1 77 2 77 3 77 4 77]"),
        Row("f(x, w)", vector(_times(W, SECOND)), f"x is read as {vector(SECOND)}"),
    ),
    "CV153": Example(
        Row("T x, later T x", f"{vector(Y)}, {vector(Y)}"),
        Row("f(x, w), later f(x, w)", f"{vector(Y)}, {vector(2 * Y)}",
            "f adds to what it has kept"),
    ),
    "CV154": Example(
        Row("T x, T 10 x", f"{vector(Y)}, {vector(_times(W, 10 * X))}"),
        Row("f of both", f"{vector(Y)}, {vector(Y)}", "the first item's twice"),
    ),
    "CV160": Example(
        Row("T x", vector(_times(W, NAN))),
        Row("f(x, w)", vector(_times(W, np.nan_to_num(NAN))), "nan is taken for 0"),
        x=NAN,
    ),
    "CV161": Example(
        Row("T x", vector(_times(W, INF))),
        Row("f(x, w)", vector(_dense(W, INF)), "with 0 inf, which is nan"),
        x=INF,
    ),
    "CV170": Example(
        Row("w of shape (1, 2, 2)", "refused", _refusal()),
        Row("f(x, w)", vector(Y), "a channel is left out"),
    ),
    "CV171": Example(Row("T x", vector(Y)), Row("f(x, w)", "IndexError")),
    "CV190": Example(Row("T x", vector(Y)), Row("f(x, w)", "killed by signal SIGSEGV")),
    "CV191": Example(Row("T x", vector(Y)), Row("f(x, w)", "no answer within 10 s")),
}  # fmt: skip
