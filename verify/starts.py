"""Known mistakes with where windows start, and with how many the dilation leaves room for."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from verify.mistakes import Mistaken, Prediction, axis_name
from verify.ops import Op


def of_starts(op: Op) -> Iterator[tuple[str, Prediction]]:
    """Mistakes of a convolution that leave its steps and the sum of its padding as they are."""
    places = {"": range(op.ndim)}
    if op.ndim > 1:
        for axis in range(op.ndim):
            places[f" along the {axis_name(op, axis)}"] = range(axis, axis + 1)
    for along, axes in places.items():
        for cells, told in ((1, "one cell"), (2, "two cells")):
            yield f"windows start {told} too late{along}", partial(_late, axes, cells)
            yield f"windows start {told} too early{along}", partial(_late, axes, -cells)
    yield "kernel centred on the cell where it should begin", _centred
    yield "output size computed without the dilation", partial(_room, _undilated)
    yield "output size computed with dilation * kernel as the extent", partial(_room, _product)
    yield "output size computed with dilation * (kernel - 1) as the extent", partial(_room, _reach)


def _late(axes: range, cells: int, m: Mistaken) -> Any:
    """Every window so many cells later on some axes, what it misses there being padding."""
    return _from(m, [cells if axis in axes else 0 for axis in range(m.case.op.ndim)])


def _centred(m: Mistaken) -> Any:
    steps = zip(m.w.shape[2:], m.layer.dilation, strict=True)
    return _from(m, [-(taps // 2) * dilation for taps, dilation in steps])


def _from(m: Mistaken, late: list[int]) -> Any:
    sides = zip(m.layer.padding, late, strict=True)
    return m.y(padding=tuple((before - n, after + n) for (before, after), n in sides))


def _room(extent: Any, m: Mistaken) -> Any:
    """As many windows as fit with another extent of the kernel: more of the padding, or less."""
    pairs = []
    steps = zip(m.layer.padding, m.w.shape[2:], m.layer.dilation, strict=True)
    for (before, after), taps, dilation in steps:
        pairs.append((before, after + dilation * (taps - 1) + 1 - extent(taps, dilation)))
    return m.y(padding=tuple(pairs))


def _undilated(taps: int, dilation: int) -> int:
    return taps


def _product(taps: int, dilation: int) -> int:
    return taps * dilation


def _reach(taps: int, dilation: int) -> int:
    return dilation * (taps - 1)
