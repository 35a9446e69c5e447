"""The table of known mistakes of a backward pass, each with the gradient that it would give."""

from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from math import prod
from typing import Any

import numpy as np

from verify.mistakes import (
    Mistaken,
    Prediction,
    axis_name,
    cleared,
    dealt,
    first_for_all,
    fitted,
    flipped,
    interleaved,
    last_for_all,
    one_at,
    shifted,
    swapped,
    transposed_weights,
)
from verify.ops import Op

NAMES = ("grad_x", "grad_w", "grad_b")


def gradient_suspicions(op: Op, which: int) -> dict[str, Prediction]:
    """The mistakes that the backward pass of an op may have in one of its three gradients."""
    return dict(_common(op, which)) | dict((_of_x, _of_w, _of_b)[which](op))


def _common(op: Op, which: int) -> Iterator[tuple[str, Prediction]]:
    name = NAMES[which]
    yield f"{name} averaged over the batch", partial(_averaged, which)
    yield f"{name} is all zeros", lambda m: np.zeros_like(m.case.arrays.gradients[which])
    yield f"{name} has the wrong sign", lambda m: -m.case.arrays.gradients[which]
    yield f"{name} doubled", lambda m: 2 * m.case.arrays.gradients[which]
    yield f"only the first item's gradient counted in {name}", partial(_one_item, which, 0)
    yield f"only the last item's gradient counted in {name}", partial(_one_item, which, -1)
    if which < 2:
        yield (
            f"{name} without the complex conjugate",
            lambda m: _part(which, m.gradients(x=m.x.conj(), w=m.w.conj())),
        )
    if op.linear or which == 2:
        return
    for step in ("stride", "dilation"):
        changes: dict[str, Any] = {f"ignores the {step}": _ones}
        if op.ndim > 1:
            changes |= {
                f"uses the first axis's {step} for all": first_for_all,
                f"uses the last axis's {step} for all": last_for_all,
                f"swaps the {step} of the axes": swapped,
            }
            for axis in range(op.ndim):
                changes[f"ignores the {step} along the {axis_name(op, axis)}"] = one_at(axis, 1)
        for told, change in changes.items():
            yield f"{name} {told}", partial(_with, which, step, change)
    yield f"{name} exchanges stride and dilation", partial(_exchanged_steps, which)
    changes = {
        "ignores the padding": _zero_pairs,
        "takes one padding too much": partial(shifted, before=1, after=1),
        "takes one padding too little": partial(shifted, before=-1, after=-1),
        "swaps the padding sides": _sides_swapped,
    }
    if op.ndim > 1:
        changes["uses the first axis's padding for all"] = first_for_all
        changes["swaps the padding of the axes"] = swapped
    for told, change in changes.items():
        yield f"{name} {told}", partial(_with, which, "padding", change)
    yield f"{name} read from the wrong end, where input is left over", partial(_late, which)
    if op.padded:
        for mode in ("circular", "reflect", "replicate"):
            told = f"{name} takes {mode} padding for zeros"
            yield told, partial(_with, which, "padding_mode", partial(_zeros_for, mode))


def _of_x(op: Op) -> Iterator[tuple[str, Prediction]]:
    if op.linear:
        return
    yield "grad_x with the kernel flipped", lambda m: _part(0, m.gradients(w=_turned(m)))
    yield (
        "grad_x with input and output channels exchanged",
        lambda m: _part(0, m.gradients(w=transposed_weights(m, m.w))),
    )
    yield "grad_x from the first group only", lambda m: _part(0, m.gradients(w=_first_group(m)))
    yield "grad_x overwrites where windows overlap", _overwritten
    yield "grad_x lacks the last row", lambda m: cleared(m.case.arrays.gradients[0], 2, -1)
    yield (
        "grad_x lacks the last column",
        lambda m: cleared(m.case.arrays.gradients[0], m.x.ndim - 1, -1),
    )
    for told, change in (("interleaved", interleaved), ("dealt out in turn", dealt)):
        yield f"groups {told} in grad_x", partial(_rearranged, change)
    if not op.transposed:
        yield "grad_x not cropped by the padding", _uncropped
        yield "grad_x cropped at the end only", _cropped_behind
        yield "grad_x too short: cells behind the last window left out", _too_short
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
    yield "grad_w with input and output channels exchanged", _exchanged_gradient
    yield (
        "grad_w read with input and output channels exchanged",
        lambda m: transposed_weights(m, m.case.arrays.gradients[1]),
    )
    yield from _over_positions(1)
    yield "grad_w of a group's first filter used for all of its filters", _first_filter
    yield "grad_w uses the first group's channels for every group", _first_channels


def _of_b(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "grad_b summed over the batch only", lambda m: _shaped(m, m.g.sum(axis=0))
    if not op.linear:
        yield from _over_positions(2)
    yield "grad_b not summed over the batch", lambda m: m.g.sum(axis=tuple(range(2, m.g.ndim)))
    yield (
        "grad_b from the first position only",
        lambda m: m.g[(slice(None), slice(None)) + (0,) * op.ndim].sum(axis=0),
    )


def _shaped(m: Mistaken, value: Any) -> Any:
    return value if value.shape == m.case.arrays.gradients[2].shape else None


def _over_positions(which: int) -> Iterator[tuple[str, Prediction]]:
    told = f"{NAMES[which]} averaged over the"
    yield f"{told} positions", lambda m: m.case.arrays.gradients[which] / _places(m)
    yield f"{told} batch and the positions", lambda m: _averaged(which, m) / _places(m)


def _places(m: Mistaken) -> Any:
    return max(1, prod(m.g.shape[2:]))


def _averaged(which: int, m: Mistaken) -> Any:
    return m.case.arrays.gradients[which] / (m.case.batch or np.nan)  # the mean of nothing is NaN


def _one_item(which: int, index: int, m: Mistaken) -> Any:
    if not m.case.batch:
        return m.case.arrays.gradients[which]
    keep = np.zeros((m.case.batch,) + (1,) * (m.g.ndim - 1))
    keep[index] = 1
    return _part(which, m.gradients(g=m.g * keep))


def _part(which: int, gradients: Any) -> Any:
    return None if gradients is None else gradients[which]


def _with(which: int, name: str, change: Any, m: Mistaken) -> Any:
    """The gradient of a layer with a changed argument."""
    return _changed(which, {name: change(getattr(_conv(m), name))}, m)


def _conv(m: Mistaken) -> Any:
    """The convolution: of a transposed one, the one that it is the transpose of."""
    return m.layer.conv if m.case.op.transposed else m.layer


def _changed(which: int, changes: dict[str, Any], m: Mistaken) -> Any:
    """The gradient of a changed layer, which reads zeros beyond the input where it goes on."""
    conv, big, small = _conv(m), m.x, m.g
    if m.case.op.transposed:
        big, small = small, big
    given = {field.name: getattr(conv, field.name) for field in fields(conv)} | changes
    pairs = []
    for axis, (before, after) in enumerate(given["padding"]):
        extent = given["dilation"][axis] * (m.w.shape[2 + axis] - 1) + 1
        reach = (small.shape[2 + axis] - 1) * given["stride"][axis] + extent
        beyond = max(0, reach - big.shape[2 + axis] - before - after)
        pairs.append((before, after + (beyond if given["padding_mode"] == "zeros" else 0)))
    changed = type(conv)(**(given | {"padding": tuple(pairs)}))
    if m.case.op.transposed and which == 0:
        return fitted(changed.apply(big, m.w, None), m.x.shape)
    small = fitted(small, (m.case.batch, *changed.output_shape))
    return changed.gradients(small, big, m.w)[which]


def _exchanged_steps(which: int, m: Mistaken) -> Any:
    conv = _conv(m)
    return _changed(which, {"stride": conv.dilation, "dilation": conv.stride}, m)


def _late(which: int, m: Mistaken) -> Any:
    conv = _conv(m)
    rests = [(axis.padded - axis.extent) % axis.stride for axis in conv.axes]
    pairs = zip(conv.padding, rests, strict=True)
    return _changed(which, {"padding": tuple((a - r, b + r) for (a, b), r in pairs)}, m)


def _zeros_for(mode: str, given: str) -> str:
    return "zeros" if given == mode else given


def _uncropped(m: Mistaken) -> Any:
    """The gradient to the padded input."""
    if m.layer.padding_mode != "zeros":
        return None
    x = np.pad(m.x, [(0, 0), (0, 0), *m.layer.padding])
    whole = m.rebuilt(input_shape=x.shape[1:], padding=0)
    return None if whole is None else whole.gradients(m.g, x, m.w)[0]


def _cropped_behind(m: Mistaken) -> Any:
    whole = _uncropped(m)
    return None if whole is None else fitted(whole, m.x.shape)


def _too_short(m: Mistaken) -> Any:
    whole = _uncropped(m)
    if whole is None:
        return None
    cuts = []
    for axis, (before, after) in zip(m.layer.axes, m.layer.padding, strict=True):
        read = (axis.windows - 1) * axis.stride + axis.extent
        cuts.append(slice(before, max(before, read - after)))
    return whole[(..., *cuts)]


def _rearranged(change: Any, m: Mistaken) -> Any:
    return change(m.case.arrays.gradients[0], m.layer.groups)


def _exchanged_gradient(m: Mistaken) -> Any:
    """(O, C) given as (C, O) in each group."""
    grad, groups = m.case.arrays.gradients[1], m.layer.groups
    parts = grad.reshape(groups, grad.shape[0] // groups, *grad.shape[1:])
    return np.ascontiguousarray(np.swapaxes(parts, 1, 2)).reshape(grad.shape)


def _first_filter(m: Mistaken) -> Any:
    grad, groups = m.case.arrays.gradients[1], m.layer.groups
    parts = grad.reshape(groups, grad.shape[0] // groups, *grad.shape[1:])
    return np.repeat(parts[:, :1], parts.shape[1], axis=1).reshape(grad.shape)


def _ones(values: tuple[Any, ...]) -> tuple[int, ...]:
    return (1,) * len(values)


def _zero_pairs(values: tuple[Any, ...]) -> tuple[tuple[int, int], ...]:
    return ((0, 0),) * len(values)


def _sides_swapped(values: Any) -> Any:
    return tuple((after, before) for before, after in values)


def _turned(m: Mistaken) -> Any:
    return flipped(m.w, m.spatial)


def _first_group(m: Mistaken) -> Any:
    w = m.w.copy()
    w[len(w) // m.layer.groups :] = 0
    return w


def _first_channels(m: Mistaken) -> Any:
    width = m.x.shape[1] // m.layer.groups
    return _part(1, m.gradients(x=np.concatenate([m.x[:, :width]] * m.layer.groups, axis=1)))


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
