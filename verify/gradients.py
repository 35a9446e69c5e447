"""The table of known mistakes of a backward pass, each with the gradient that it would give."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from verify.mistakes import (
    Mistaken,
    Prediction,
    first_for_all,
    fitted,
    flipped,
    last_for_all,
    shifted,
    swapped,
)
from verify.ops import Op

NAMES = ("grad_x", "grad_w", "grad_b")


def gradient_suspicions(op: Op, which: int) -> dict[str, Prediction]:
    """The mistakes that the backward pass of an op may have in one of its three gradients."""
    return dict(_common(op, which)) | dict((_of_x, _of_w, _of_b)[which](op))


def _common(op: Op, which: int) -> Iterator[tuple[str, Prediction]]:
    name = NAMES[which]
    yield f"{name} not divided among the batch but averaged over it", partial(_averaged, which)
    yield f"{name} is all zeros", lambda m: np.zeros_like(m.case.arrays.gradients[which])
    yield f"{name} has the wrong sign", lambda m: -m.case.arrays.gradients[which]
    yield f"{name} doubled", lambda m: 2 * m.case.arrays.gradients[which]
    yield f"only the first item's gradient counted in {name}", partial(_one_item, which, 0)
    yield f"only the last item's gradient counted in {name}", partial(_one_item, which, -1)
    if op.linear or which == 2:
        return
    for step in ("stride", "dilation"):
        if step not in op.parameters:
            continue
        yield f"{name} ignores the {step}", partial(_with, which, step, _ones)
        if op.ndim > 1:
            yield (
                f"{name} uses the first axis's {step} for all",
                partial(_with, which, step, first_for_all),
            )
            yield (
                f"{name} uses the last axis's {step} for all",
                partial(_with, which, step, last_for_all),
            )
            yield f"{name} swaps the {step} of the axes", partial(_with, which, step, swapped)
    yield f"{name} ignores the padding", partial(_with, which, "padding", _zero_pairs)
    yield f"{name} takes one padding too much", partial(_with, which, "padding", _more)
    yield f"{name} takes one padding too little", partial(_with, which, "padding", _less)
    yield f"{name} swaps the padding sides", partial(_with, which, "padding", _sides_swapped)
    if op.ndim > 1:
        yield (
            f"{name} uses the first axis's padding for all",
            partial(_with, which, "padding", first_for_all),
        )
        yield f"{name} swaps the padding of the axes", partial(_with, which, "padding", swapped)


def _of_x(op: Op) -> Iterator[tuple[str, Prediction]]:
    if op.linear:
        return
    yield "grad_x with the kernel flipped", lambda m: _part(0, m.gradients(w=_turned(m)))
    yield (
        "grad_x with input and output channels exchanged",
        lambda m: _part(0, m.gradients(w=_exchanged(m.w))),
    )
    yield "grad_x from the first group only", lambda m: _part(0, m.gradients(w=_first_group(m)))
    yield "grad_x overwrites where windows overlap", _overwritten
    yield "grad_x lacks the last row", lambda m: _cleared(m.case.arrays.gradients[0], 2)
    yield (
        "grad_x lacks the last column",
        lambda m: _cleared(m.case.arrays.gradients[0], m.x.ndim - 1),
    )
    yield (
        "grad_x uses group 0's weights for every group",
        lambda m: _part(
            0, m.gradients(w=np.concatenate([m.w[: len(m.w) // m.layer.groups]] * m.layer.groups))
        ),
    )


def _of_w(op: Op) -> Iterator[tuple[str, Prediction]]:
    if op.linear:
        yield "grad_w transposed", lambda m: m.case.arrays.gradients[1].T
        return
    yield "grad_w flipped", lambda m: flipped(m.case.arrays.gradients[1], m.spatial)
    yield (
        "grad_w with height and width swapped",
        lambda m: np.swapaxes(m.case.arrays.gradients[1], -1, -2) if op.ndim > 1 else None,
    )
    yield (
        "grad_w with input and output channels exchanged",
        lambda m: _exchanged(m.case.arrays.gradients[1]),
    )
    yield "grad_w uses the first group's channels for every group", _first_channels


def _of_b(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "grad_b summed over the batch only", lambda m: _shaped(m, m.g.sum(axis=0))
    yield (
        "grad_b averaged over the positions",
        lambda m: m.case.arrays.gradients[2] / max(1, prod(m.g.shape[2:])),
    )
    yield "grad_b not summed over the batch", lambda m: m.g.sum(axis=tuple(range(2, m.g.ndim)))
    yield (
        "grad_b from the first position only",
        lambda m: m.g[(slice(None), slice(None)) + (0,) * op.ndim].sum(axis=0),
    )


def _shaped(m: Mistaken, value: Any) -> Any:
    return value if value.shape == m.case.arrays.gradients[2].shape else None


def _averaged(which: int, m: Mistaken) -> Any:
    return m.case.arrays.gradients[which] / max(1, m.case.batch)


def _one_item(which: int, index: int, m: Mistaken) -> Any:
    if not m.case.batch:
        return None
    keep = np.zeros((m.case.batch,) + (1,) * (m.g.ndim - 1))
    keep[index] = 1
    return _part(which, m.gradients(g=m.g * keep))


def _part(which: int, gradients: Any) -> Any:
    return None if gradients is None else gradients[which]


def _with(which: int, name: str, change: Any, m: Mistaken) -> Any:
    """The gradient of a layer with a changed argument; what does not fit is cut or filled up."""
    layer = m.rebuilt(**{name: change(getattr(m.layer, name))})
    if layer is None:
        return None
    g = fitted(m.g, (m.case.batch, *layer.output_shape))
    return layer.gradients(g, m.x, m.w)[which]


def _ones(values: tuple[Any, ...]) -> tuple[int, ...]:
    return (1,) * len(values)


def _zero_pairs(values: tuple[Any, ...]) -> tuple[tuple[int, int], ...]:
    return ((0, 0),) * len(values)


def _more(values: Any) -> Any:
    return shifted(values, 1, 1)


def _less(values: Any) -> Any:
    return shifted(values, -1, -1)


def _sides_swapped(values: Any) -> Any:
    return tuple((after, before) for before, after in values)


def _turned(m: Mistaken) -> Any:
    return flipped(m.w, m.spatial)


def _exchanged(w: Any) -> Any:
    return (
        np.swapaxes(w, 0, 1)
        if w.shape[0] == w.shape[1]
        else w.reshape(w.shape[1], w.shape[0], *w.shape[2:]).swapaxes(0, 1)
    )


def _first_group(m: Mistaken) -> Any:
    w = m.w.copy()
    w[len(w) // m.layer.groups :] = 0
    return w


def _first_channels(m: Mistaken) -> Any:
    width = m.x.shape[1] // m.layer.groups
    return _part(1, m.gradients(x=np.concatenate([m.x[:, :width]] * m.layer.groups, axis=1)))


def _cleared(array: Any, axis: int) -> Any:
    result = array.copy()
    result[(slice(None),) * axis + (-1,)] = 0
    return result


def _overwritten(m: Mistaken) -> Any:
    """Each input keeps only what the last window sent it."""
    if m.case.op.transposed or m.layer.padding_mode != "zeros":
        return None
    matrix = m.layer.matrix(m.w, "csc")
    places = prod(m.layer.output_shape[1:])
    grad = np.zeros((len(m.g), matrix.shape[1]))
    flat = m.g.reshape(len(m.g), matrix.shape[0])
    for column in range(matrix.shape[1]):
        some = slice(matrix.indptr[column], matrix.indptr[column + 1])
        rows, weights = matrix.indices[some], matrix.data[some]
        if len(rows):
            last = rows % places == (rows % places).max()
            grad[:, column] = flat[:, rows[last]] @ weights[last]
    return grad.reshape(m.x.shape)
