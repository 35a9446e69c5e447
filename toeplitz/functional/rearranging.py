"""Unfold, fold and pad: functions that move values without weighing them."""

from collections.abc import Sequence
from math import prod

from toeplitz import arguments
from toeplitz.arguments import Pairs, PerAxis, per_axis
from toeplitz.arrays import Array, batched, namespace, together
from toeplitz.conv import Conv
from toeplitz.functional.checks import item
from toeplitz.padding import Pad


def unfold(
    input: Array,
    kernel_size: PerAxis,
    dilation: PerAxis = 1,
    padding: PerAxis = 0,
    stride: PerAxis = 1,
) -> Array:
    """The sliding windows of images as columns, E @ x: (N, C, H, W) to (N, C * prod(K), L).

    An input (C, H, W) gives (C * prod(K), L). L is the number of windows; see Conv.unfolding.

    >>> import numpy as np, toeplitz
    >>> toeplitz.functional.unfold(np.arange(6).reshape(1, 2, 3), (2, 1))
    array([[0, 1, 2],
           [3, 4, 5]])
    """
    (input,) = together(input=input)
    one = item("unfold", input, 2, least=1)
    return _windows(one, kernel_size, dilation, padding, stride).patches(input)


def fold(
    input: Array,
    output_size: PerAxis,
    kernel_size: PerAxis,
    dilation: PerAxis = 1,
    padding: PerAxis = 0,
    stride: PerAxis = 1,
) -> Array:
    """Columns put back where unfold took them from, overlaps added, Eᵀ @ columns.

    input: (N, C * prod(K), L) or (C * prod(K), L). Returns (N, C, *output_size), or without N.

    >>> import numpy as np, toeplitz
    >>> toeplitz.functional.fold(np.array([[1, 2], [3, 4]]), (1, 3), (1, 2))
    array([[[1, 5, 4]]])
    """
    (input,) = together(input=input)
    size = per_axis("output_size", output_size, 2, 1)
    taps = prod(per_axis("kernel_size", kernel_size, 2, 1))
    if input.ndim not in (2, 3):
        raise ValueError(
            f"input must be (N, C * prod(kernel_size), L) or without N, got {input.shape}"
        )
    if not input.shape[-2]:
        raise ValueError(f"input of fold must have at least one channel, got shape {input.shape}")
    if input.shape[-2] % taps:
        raise ValueError(
            f"the rows of input must be a multiple of prod(kernel_size): "
            f"{input.shape[-2]} % {taps} = {input.shape[-2] % taps}"
        )
    one = (input.shape[-2] // taps, *size)
    conv = _windows(one, kernel_size, dilation, padding, stride)
    batched("input", input, (input.shape[-2], prod(conv.output_shape[1:])))
    return conv.fold(input)


def pad(
    input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Array:
    """Padding of the last axes; pad lists (before, after) from the last axis on, as in PyTorch.

    mode "constant" pads any number of axes; "reflect", "replicate" and "circular" the last 1, 2
    or 3 of an input with one or two axes more. Negative entries crop. See toeplitz.Pad.

    >>> import numpy as np, toeplitz
    >>> toeplitz.functional.pad(np.array([[1, 2, 3]]), (1, -1), value=9)
    array([[9, 1, 2]])
    """
    (input,) = together(input=input)
    widths = tuple(
        arguments.integer("pad", width)
        for width in arguments.sequence("pad", pad, "a tuple of integers")
    )
    mode = arguments.choice("mode", mode, ("constant", "reflect", "replicate", "circular"))
    axes = len(widths) // 2
    if len(widths) % 2:
        raise ValueError(f"pad must hold (before, after) for each axis, got {len(widths)} entries")
    if axes > input.ndim:
        raise ValueError(f"pad must not name more axes than input has: {axes} > {input.ndim}")
    if mode != "constant" and (axes not in (1, 2, 3) or input.ndim - axes not in (1, 2)):
        raise ValueError(
            f'mode="{mode}" pads the last 1, 2 or 3 axes of an input with one or two axes more: '
            f"got {axes} for input {input.shape}"
        )
    if not axes:
        return input.copy()
    pairs = tuple((widths[i], widths[i + 1]) for i in range(len(widths) - 2, -1, -2))
    lead, sizes = input.shape[: input.ndim - axes], input.shape[input.ndim - axes :]
    value = 0 if value is None else value
    if mode == "constant" and not _kept(sizes, pairs):
        xp = namespace(input)
        (filled,) = Pad((1, 1), ((-1, 2),), value=value).apply(xp.zeros((1, 1), input.dtype))
        padded = (size + sum(pair) for size, pair in zip(sizes, pairs, strict=True))
        return xp.full((*lead, *padded), filled[0])
    if mode == "circular" and any(max(p) > n for p, n in zip(pairs, sizes, strict=True)):
        raise ValueError(f"circular padding must not be wider than the input: {pairs} for {sizes}")
    layer = Pad((1, *sizes), pairs, mode, value)
    return layer.apply(input.reshape(prod(lead), 1, *sizes)).reshape(*lead, *layer.output_shape[1:])


def _kept(sizes: tuple[int, ...], pairs: Pairs) -> bool:
    """Whether a cell is left of each axis; PyTorch crops before it fills, and not below 0."""
    fewest = 1
    for axis, (size, (before, after)) in enumerate(zip(sizes, pairs, strict=True)):
        crops = min(before, 0), min(after, 0)
        kept = size + sum(crops)
        if kept < 0:
            raise ValueError(
                f"padding leaves nothing of spatial axis {axis}: "
                f"{size} + {crops[0]} + {crops[1]} = {kept}; crop less"
            )
        fewest = min(fewest, kept)
    return fewest > 0


def _windows(
    one: tuple[int, ...],
    kernel_size: PerAxis,
    dilation: PerAxis,
    padding: PerAxis,
    stride: PerAxis,
) -> Conv:
    """The Conv whose windows unfold and fold go over."""
    return Conv(
        one,
        (1, one[0], *per_axis("kernel_size", kernel_size, 2, 1)),
        per_axis("stride", stride, 2, 1),
        per_axis("padding", padding, 2, 0),
        per_axis("dilation", dilation, 2, 1),
    )
