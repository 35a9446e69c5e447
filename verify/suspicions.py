"""The table of known mistakes of a forward pass, each with the output that it would give."""

from collections.abc import Iterator
from functools import partial
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

STEPS = ("stride", "dilation", "output_padding")
SIDES = ("height", "width")


def suspicions(op: Op) -> dict[str, Prediction]:
    """The mistakes that an implementation of an op may have, by the sentence that names them."""
    table = dict(_channels_and_bias())
    if op.linear:
        return table
    table |= dict(_kernel(op))
    for name in op.parameters:
        if name in STEPS:
            table |= dict(_steps(name, op))
    table |= dict(_padding(op))
    table |= dict(_groups())
    table |= dict(_sizes(op))
    if op.transposed:
        table |= dict(_transposed())
    if op.padded:
        table |= dict(_modes())
    return table


def _kernel(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "kernel flipped", lambda m: m.y(w=flipped(m.w, m.spatial))
    for axis in range(op.ndim):
        if op.ndim > 1:
            yield (
                f"kernel flipped along {_axis(op, axis)} only",
                partial(_flipped_along, axis),
            )
    if op.ndim > 1:
        yield "kernel height and width swapped", _kernel_swapped
        yield "input height and width swapped", _input_swapped
    yield "last tap of the kernel missing", lambda m: m.y(w=_without(m.w, m.spatial, -1))
    yield "first tap of the kernel missing", lambda m: m.y(w=_without(m.w, m.spatial, 0))


def _steps(name: str, op: Op) -> Iterator[tuple[str, Prediction]]:
    ignored = 0 if name == "output_padding" else 1
    yield f"{name} ignored", lambda m: _kept(m, **{name: ignored})
    yield (
        f"{name} one too large",
        lambda m: _kept(m, **{name: tuple(v + 1 for v in getattr(m.layer, name))}),
    )
    yield (
        f"{name} one too small",
        lambda m: _kept(m, **{name: tuple(max(v - 1, ignored) for v in getattr(m.layer, name))}),
    )
    if name != "output_padding":
        other = "dilation" if name == "stride" else "stride"
        yield f"{other} taken for the {name}", lambda m: _kept(m, **{name: getattr(m.layer, other)})
    if op.ndim > 1:
        first, last = _axis(op, 0), _axis(op, op.ndim - 1)
        yield f"{name} of {first} and {last} swapped", _changed(name, swapped)
        yield f"{first} {name} used for {_all(op)} axes", _changed(name, first_for_all)
        yield f"{last} {name} used for {_all(op)} axes", _changed(name, last_for_all)
        for axis in range(op.ndim):
            yield f"{name} ignored along {_axis(op, axis)}", _changed(name, _one_at(axis, ignored))
    if name == "stride" and not op.transposed:
        yield (
            "stride and dilation exchanged",
            lambda m: m.y(stride=m.layer.dilation, dilation=m.layer.stride),
        )


def _padding(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "padding ignored", lambda m: _kept(m, padding=0)
    yield "padding one too large", lambda m: _kept(m, padding=shifted(m.layer.padding, 1, 1))
    yield "padding one too small", lambda m: _kept(m, padding=shifted(m.layer.padding, -1, -1))
    yield (
        "padding doubled",
        lambda m: _kept(m, padding=tuple((2 * a, 2 * b) for a, b in m.layer.padding)),
    )
    yield (
        "padding before the input only",
        lambda m: m.y(padding=tuple((a, 0) for a, _ in m.layer.padding)),
    )
    yield (
        "padding after the input only",
        lambda m: m.y(padding=tuple((0, b) for _, b in m.layer.padding)),
    )
    yield (
        "all padding before the input",
        lambda m: m.y(padding=tuple((a + b, 0) for a, b in m.layer.padding)),
    )
    yield (
        "all padding after the input",
        lambda m: m.y(padding=tuple((0, a + b) for a, b in m.layer.padding)),
    )
    yield "padding sides swapped", lambda m: m.y(padding=tuple((b, a) for a, b in m.layer.padding))
    if op.ndim > 1:
        first, last = _axis(op, 0), _axis(op, op.ndim - 1)
        yield f"padding of {first} and {last} swapped", _changed("padding", swapped)
        yield f"{first} padding used for {_all(op)} axes", _changed("padding", first_for_all)
        yield f"{last} padding used for {_all(op)} axes", _changed("padding", last_for_all)
        for axis in range(op.ndim):
            yield (
                f"padding ignored along {_axis(op, axis)}",
                _changed("padding", _one_at(axis, (0, 0))),
            )


def _groups() -> Iterator[tuple[str, Prediction]]:
    yield "groups interleaved", lambda m: m.y(x=_interleaved(m.x, m.layer.groups))
    yield (
        "output channels of the groups interleaved",
        lambda m: _outputs(m, lambda y: _interleaved(y, m.layer.groups)),
    )
    yield (
        "output channels of the groups dealt out in turn",
        lambda m: _outputs(m, lambda y: _dealt(y, m.layer.groups)),
    )
    yield (
        "input channels of the groups dealt out in turn",
        lambda m: m.y(x=_dealt(m.x, m.layer.groups)),
    )
    yield "every group reads the first group's channels", _first_group_read
    yield (
        "groups in reverse order",
        lambda m: m.y(x=_blocks(m.x, m.layer.groups, slice(None, None, -1))),
    )
    yield (
        "each group reads the next group's channels",
        lambda m: m.y(x=_rolled(m.x, m.layer.groups, 1)),
    )
    yield (
        "each group reads the previous group's channels",
        lambda m: m.y(x=_rolled(m.x, m.layer.groups, -1)),
    )
    yield "group 0's weights used for every group", lambda m: m.y(w=_repeated(m.w, m.layer.groups))
    yield (
        "group 0's bias used for every group",
        lambda m: None if m.b is None else m.y(b=_repeated(m.b, m.layer.groups)),
    )
    yield (
        "only the first group computed",
        lambda m: _outputs(m, lambda y: fitted(y[:, : y.shape[1] // m.layer.groups], y.shape)),
    )
    yield "only the last group computed", _last_group_only


def _channels_and_bias() -> Iterator[tuple[str, Prediction]]:
    yield "bias missing", lambda m: None if m.b is None else m.y(b=None)
    yield "bias doubled", lambda m: None if m.b is None else m.y(b=2 * m.b)
    yield "bias subtracted", lambda m: None if m.b is None else m.y(b=-m.b)
    yield "bias in reverse order", lambda m: None if m.b is None else m.y(b=m.b[::-1])
    yield (
        "first bias used for every channel",
        lambda m: None if m.b is None else m.y(b=np.full_like(m.b, m.b[0])),
    )
    yield "bias added to the first item only", _bias_first_item
    yield "bias added once for each tap or input channel", _bias_repeated
    yield "bias along the last axis instead of the channels", _bias_last_axis
    yield "last input channel missing", lambda m: m.y(x=_cleared(m.x, 1, -1))
    yield "first input channel missing", lambda m: m.y(x=_cleared(m.x, 1, 0))
    yield "only the first input channel read", lambda m: m.y(x=fitted(m.x[:, :1], m.x.shape))
    yield "last output channel missing", lambda m: _outputs(m, lambda y: _cleared(y, 1, -1))
    yield "last item of the batch missing", lambda m: _outputs(m, lambda y: _cleared(y, 0, -1))
    yield (
        "first item of the batch used for all",
        lambda m: _outputs(m, lambda y: np.repeat(y[:1], len(y), axis=0) if len(y) else y),
    )
    yield "input channels in reverse order", lambda m: m.y(x=m.x[:, ::-1])
    yield "weights read with input and output channels exchanged", _weights_exchanged
    yield "all zeros", lambda m: np.zeros_like(m.case.arrays.y)


def _sizes(op: Op) -> Iterator[tuple[str, Prediction]]:
    yield "last output row missing", lambda m: _outputs(m, lambda y: _cut(y, 2))
    yield "last output row not written", lambda m: _outputs(m, lambda y: _cleared(y, 2, -1))
    if op.ndim > 1:
        yield "last output column missing", lambda m: _outputs(m, lambda y: _cut(y, y.ndim - 1))
        yield (
            "last output column not written",
            lambda m: _outputs(m, lambda y: _cleared(y, y.ndim - 1, -1)),
        )
        yield (
            "output height and width swapped",
            lambda m: _outputs(m, lambda y: np.swapaxes(y, 2, 3)),
        )
    if not op.transposed:
        yield "output size rounded up", _rounded_up
        yield "last input row not read", lambda m: m.y(x=_cleared(m.x, 2, -1))


def _transposed() -> Iterator[tuple[str, Prediction]]:
    yield "overlapping windows overwrite instead of adding", _overwritten
    yield "output_padding before the output", lambda m: _outputs(m, lambda y: _moved(m, y))
    yield (
        "output_padding on both sides",
        lambda m: m.y(output_padding=tuple(2 * v for v in m.layer.output_padding)),
    )


def _modes() -> Iterator[tuple[str, Prediction]]:
    for mode in ("zeros", "circular", "reflect", "replicate"):
        yield (
            f"padding_mode taken for {mode}",
            partial(_moded, mode),
        )
    yield (
        "same_upper and same_lower exchanged",
        lambda m: (
            m.y(padding=tuple((b, a) for a, b in m.layer.padding))
            if m.case.padding in ("same", "same_upper", "same_lower")
            else m.y()
        ),
    )
    yield "reflection repeats the edge", _symmetric
    yield "circular padding off by one", _wrapped_off
    yield (
        "padding of the modes taken as symmetric",
        lambda m: m.y(padding=tuple((a, a) for a, _ in m.layer.padding)),
    )


# How arrays and layers are changed.


def _axis(op: Op, axis: int) -> str:
    if op.ndim == 2:
        return SIDES[axis]
    return ("depth", "height", "width")[axis] if op.ndim == 3 else "the axis"


def _all(op: Op) -> str:
    return "both" if op.ndim == 2 else "all"


def _flipped_along(axis: int, m: Mistaken) -> Any:
    return m.y(w=flipped(m.w, (2 + axis,)))


def _moded(mode: str, m: Mistaken) -> Any:
    return m.y(padding_mode=mode)


def _kept(m: Mistaken, **changes: Any) -> Any:
    """The output with changed arguments, whatever its size."""
    return m.y(**changes)


def _changed(name: str, change: Any) -> Prediction:
    return lambda m: m.y(**{name: change(getattr(m.layer, name))})


def _one_at(axis: int, value: Any) -> Any:
    def change(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*values[:axis], value, *values[axis + 1 :])

    return change


def _outputs(m: Mistaken, change: Any) -> Any:
    """The right output, rearranged."""
    return change(m.case.arrays.y)


def _cleared(array: Any, axis: int, index: int) -> Any:
    if not array.shape[axis]:
        return array
    result = array.copy()
    result[(slice(None),) * axis + (index,)] = 0
    return result


def _cut(array: Any, axis: int) -> Any:
    return array[(slice(None),) * axis + (slice(0, -1),)]


def _without(w: Any, axes: tuple[int, ...], index: int) -> Any:
    result = w.copy()
    result[(slice(None), slice(None)) + (index,) * len(axes)] = 0
    return result


def _kernel_swapped(m: Mistaken) -> Any:
    w = np.swapaxes(m.w, 2, 3)
    return m.y(w=w.reshape(m.w.shape)) if w.shape != m.w.shape else m.y(w=w)


def _input_swapped(m: Mistaken) -> Any:
    return m.y(x=np.swapaxes(m.x, 2, 3))


def _split(array: Any, groups: int) -> Any:
    return array.reshape(array.shape[0], groups, array.shape[1] // groups, *array.shape[2:])


def _interleaved(array: Any, groups: int) -> Any:
    """Channels c of group g at c * groups + g, read back in order."""
    return np.swapaxes(_split(array, groups), 1, 2).reshape(array.shape)


def _dealt(array: Any, groups: int) -> Any:
    """Channel c given to group c % groups."""
    width = array.shape[1] // groups
    parts = array.reshape(array.shape[0], width, groups, *array.shape[2:])
    return np.swapaxes(parts, 1, 2).reshape(array.shape)


def _blocks(array: Any, groups: int, order: Any) -> Any:
    return _split(array, groups)[:, order].reshape(array.shape)


def _rolled(array: Any, groups: int, by: int) -> Any:
    return np.roll(_split(array, groups), -by, axis=1).reshape(array.shape)


def _repeated(array: Any, groups: int) -> Any:
    part = array[: len(array) // groups]
    return np.concatenate([part] * groups)


def _first_group_read(m: Mistaken) -> Any:
    width = m.x.shape[1] // m.layer.groups
    return m.y(x=np.concatenate([m.x[:, :width]] * m.layer.groups, axis=1))


def _last_group_only(m: Mistaken) -> Any:
    y = m.case.arrays.y.copy()
    y[:, : y.shape[1] - y.shape[1] // m.layer.groups] = 0
    return y


def _bias_first_item(m: Mistaken) -> Any:
    if m.b is None or not len(m.x):
        return None
    y = m.y(b=None)
    y[0] = m.case.arrays.y[0]
    return y


def _bias_repeated(m: Mistaken) -> Any:
    return None if m.b is None else m.y(b=m.w[0, ...].size * m.b)


def _bias_last_axis(m: Mistaken) -> Any:
    y = m.y(b=None)
    if m.b is None or len(m.b) not in (1, y.shape[-1]):
        return None
    return y + m.b


def _weights_exchanged(m: Mistaken) -> Any:
    """(O, C, …) read as if it were (C, O, …): the same memory, other axes."""
    w = m.w
    return m.y(w=np.swapaxes(w.reshape(w.shape[1], w.shape[0], *w.shape[2:]), 0, 1))


def _rounded_up(m: Mistaken) -> Any:
    """One more window where the input does not end with the last one."""
    more = tuple(
        (before, after + axis.stride - rest) if (rest := _rest(axis)) else (before, after)
        for (before, after), axis in zip(m.layer.padding, m.layer.axes, strict=True)
    )
    return m.y(padding=more) if m.layer.padding_mode == "zeros" else None


def _rest(axis: Any) -> int:
    return int((axis.padded - axis.extent) % axis.stride)


def _overwritten(m: Mistaken) -> Any:
    """Each output keeps only what the last window wrote: the largest input position wins."""
    matrix = m.layer.matrix(np.ones_like(m.w)).tocsr()
    order = m.layer.matrix(m.w).tocsr()
    del matrix
    channels = m.layer.input_shape[0]
    places = order.shape[1] // channels
    y = np.zeros((len(m.x), order.shape[0]))
    for row in range(order.shape[0]):
        some = slice(order.indptr[row], order.indptr[row + 1])
        columns, weights = order.indices[some], order.data[some]
        if len(columns):
            last = columns % places == (columns % places).max()
            y[:, row] = m.x.reshape(len(m.x), -1)[:, columns[last]] @ weights[last]
    y = y.reshape(m.case.arrays.y.shape)
    return y if m.b is None else y + m.b.reshape(-1, *[1] * m.case.op.ndim)


def _moved(m: Mistaken, y: Any) -> Any:
    """The output rolled by its output_padding, which comes first instead of last."""
    layer = m.layer
    pairs = tuple(
        (before - extra, after + extra)
        for (before, after), extra in zip(layer.padding, layer.output_padding, strict=True)
    )
    moved = m.y(padding=pairs)
    return None if moved is None or moved.shape != y.shape else moved


def _symmetric(m: Mistaken) -> Any:
    return _padded_by(m, "reflect", "symmetric")


def _wrapped_off(m: Mistaken) -> Any:
    if m.layer.padding_mode != "circular":
        return m.y()
    widths = [(0, 0), (0, 0), *m.layer.padding]
    source = np.pad(m.x, widths)
    inner = tuple(
        slice(before, before + size) for (before, _), size in zip(widths, m.x.shape, strict=True)
    )
    for axis, (before, after) in enumerate(widths):
        if before or after:
            size = m.x.shape[axis]
            index = np.arange(-before, size + after)
            outside = (index < 0) | (index >= size)
            index = np.where(index < 0, index - 1, np.where(index >= size, index + 1, index))
            source = np.where(
                outside.reshape([-1 if a == axis else 1 for a in range(source.ndim)]),
                np.take(source, before + index % size, axis=axis),
                source,
            )
    del inner
    return m.y(x=source, padding=0, padding_mode="zeros")


def _padded_by(m: Mistaken, mode: str, numpy_mode: Any) -> Any:
    """The output with the padding of one mode made by another of numpy's."""
    if m.layer.padding_mode != mode:
        return m.y()
    padded = np.pad(m.x, [(0, 0), (0, 0), *m.layer.padding], mode=numpy_mode)
    return m.y(x=padded, padding=0, padding_mode="zeros")
