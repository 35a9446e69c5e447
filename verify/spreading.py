"""Where a NaN that spreads comes from: from padding, or from how a right algorithm works."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from verify.case import Case
from verify.judgement import judge_forward
from verify.layers import arguments_of
from verify.suspect import Suspect


def from_padding(suspect: Suspect, case: Case) -> bool:
    """Whether a NaN spreads because padding is x times 0.

    It is not said of what spreads a NaN without padding too: a transform, or zeros between the
    taps of a dilated kernel. Nor of what spreads it only where the kernel is larger than the
    input: there the two may change places, and the kernel is what gets the padding. On a wider
    input what comes from padding comes from cells near the edge alone.
    """
    if case.op.family != "conv" or case.op.transposed:
        return False
    layer: Any = case.layer
    if not any(map(any, layer.padding)):
        return False
    shapes = layer.input_shape, _wider(layer)
    plain = (_changed(case, {"padding": 0, "input_shape": shape}) for shape in shapes)
    if any(_spreads(suspect, other, _places) for changed in plain for other in changed):
        return False
    return any(
        _spreads(suspect, other, _places) and not _spreads(suspect, other, _middle)
        for other in _changed(case, {"input_shape": _wider(layer)})
    )


def _spreads(suspect: Suspect, case: Case, places: Callable[[list[int]], Iterator[int]]) -> bool:
    """Whether a NaN at some place of the first channel shows where it is not read."""
    _, _, *sizes = case.arrays.x.shape
    found = (judge_forward(suspect, case.but(at=(place,))).violation for place in places(sizes))
    return any(broken is not None and broken.code == "CV161" for broken in found)


def _middle(sizes: list[int]) -> Iterator[int]:
    """The flat place of the cell in the middle of each axis."""
    yield _flat(tuple(size // 2 for size in sizes), sizes)


def _flat(cell: tuple[int, ...], sizes: list[int]) -> int:
    place = 0
    for size, index in zip(sizes, cell, strict=True):
        place = place * size + index
    return place


def _places(sizes: list[int]) -> Iterator[int]:
    """The flat places of the first cells of each axis, of one in the middle and of the last."""
    some = (sorted({0, 1, 2, size // 2, size - 1} & {*range(size)}) for size in sizes)
    for cell in product(*some):
        yield _flat(cell, sizes)


def _wider(layer: Any) -> tuple[int, ...]:
    """An input that is wider than the kernel and than the padded input."""
    sizes = (axis.size + abs(axis.before) + abs(axis.after) + axis.extent for axis in layer.axes)
    return (layer.input_shape[0], *sizes)


def _changed(case: Case, changes: dict[str, Any]) -> Iterator[Case]:
    """The case with another layer; none if there is no such layer."""
    layer: Any = case.layer
    arguments = arguments_of(layer)
    try:
        changed = type(layer)(**(arguments | changes))
    except ValueError:
        return
    yield case.but(layer=changed, padding=None, data="nan", batch=max(1, case.batch))
