"""Hypothesis strategies for geometries: valid by construction, small first.

Counts come first (windows, taps, steps) and the input size follows from them, so nothing is
thrown away. The numbers that fill the arrays follow from one drawn seed.
"""

from math import prod

import numpy as np
from hypothesis import strategies as st

import toeplitz

MODES = ("zeros", "circular", "reflect", "replicate")
NAMES = ("valid", "same", "same_upper", "same_lower", "full")

seeds = st.integers(0, 999)
batches = st.sampled_from([None, 1, 0, 3])  # None: one item without the batch axis


def integers_like(shape, seed, dtype=np.int64):
    """Distinct integers of both signs, none of them 0, as small as that allows."""
    rng = np.random.default_rng([seed, len(shape), *shape])
    size = prod(shape)
    numbers = rng.permutation(size) + 1
    return (numbers * rng.choice([-1, 1], size)).reshape(shape).astype(dtype)


def gaussian_like(shape, seed):
    """Complex numbers whose parts are integers."""
    return integers_like(shape, seed) + 1j * integers_like(shape, seed + 1000)


def item(batch, shape):
    """The shape of a batch of items; None for no batch axis."""
    return shape if batch is None else (batch, *shape)


def keywords(conv):
    """The geometry as the reference loops take it."""
    names = ("stride", "padding", "dilation", "groups", "padding_mode", "input_dilation")
    return {name: getattr(conv, name) for name in names}


def transpose_keywords(up):
    """The geometry of a transposed convolution as the reference loops take it."""
    names = ("stride", "padding", "output_padding", "dilation", "groups")
    return {name: getattr(up, name) for name in names}


def _sides(padded, apart, mode, crop):
    """Every (size, before, after) that gives `padded` cells, the least padding first.

    At least one cell is kept, and what is kept is wide enough for the mode. (PyTorch, and so
    Conv, also reflect cells that the other side crops; the reference loops do not say so.)
    """
    found = []
    for size in range(1, (padded + crop - 1) // apart + 2):
        dilated = (size - 1) * apart + 1
        total = padded - dilated
        for before in range(min(-crop, total), max(0, total) + crop + 1):
            after = total - before
            kept = dilated + min(before, 0) + min(after, 0)
            narrow = mode != "reflect" or max(before, after) < kept
            if kept >= 1 and narrow and min(before, after) >= -crop:
                found.append((size, before, after))
    return sorted(found, key=lambda side: (abs(side[1]) + abs(side[2]), side))


@st.composite
def _axes(draw, mode, most, apart, names):
    """One axis: (size, kernel, stride, padding, dilation, input_dilation), padding a pair."""
    windows, kernel, stride, dilation = (draw(st.integers(1, most)) for _ in range(4))
    between = draw(st.integers(1, most)) if apart else 1
    unread = draw(st.integers(0, stride - 1))
    padded = (windows - 1) * stride + dilation * (kernel - 1) + 1 + unread
    size, *pair = draw(st.sampled_from(_sides(padded, between, mode, most - 1)))
    return size, kernel, stride, tuple(pair), dilation, between


@st.composite
def _named_axes(draw, mode, most, apart, name):
    """One axis on which the padding is to be worked out from its name."""
    kernel, stride, dilation = (draw(st.integers(1, most)) for _ in range(3))
    between = draw(st.integers(1, most)) if apart else 1
    extent = dilation * (kernel - 1) + 1
    # Without padding the kernel must fit, and nothing is reflected further than the input reaches.
    fewest = -(-(extent - 1) // between) + 1 if name == "valid" or mode == "reflect" else 1
    size = fewest + draw(st.integers(0, most))
    return size, kernel, 1 if name == "same" else stride, name, dilation, between


@st.composite
def channel_counts(draw, groups=True):
    """(groups, inputs per group, outputs per group): plain, grouped, depthwise with multiplier."""
    return draw(st.integers(1, 3)) if groups else 1, *(draw(st.integers(1, 2)) for _ in range(2))


@st.composite
def convs(draw, most_axes=3, modes=MODES, names=True, groups=True, input_dilation=True, **fixed):
    """A Conv; `fixed` arguments (stride=1, …) replace what was drawn for them."""
    ndim = draw(st.integers(1, most_axes))
    mode = draw(st.sampled_from(modes))
    group_count, width, height = draw(channel_counts(groups))
    most = {1: 4, 2: 3}.get(ndim, 2)
    name = draw(st.sampled_from((None, *NAMES))) if names else None
    one = _axes if name is None else _named_axes
    axes = [draw(one(mode, most, input_dilation, name)) for _ in range(ndim)]
    sizes, kernel, stride, padding, dilation, between = zip(*axes, strict=True)
    arguments = {
        "stride": stride,
        "padding": padding if name is None else name,
        "dilation": dilation,
        "groups": group_count,
        "padding_mode": mode,
        "input_dilation": between,
    } | fixed
    x_shape = (group_count * width, *sizes)
    return toeplitz.Conv(x_shape, (group_count * height, width, *kernel), **arguments)


@st.composite
def _transpose_axes(draw, most):
    """One axis: (size, kernel, stride, (before, after), output_padding, dilation)."""
    size, kernel, stride, dilation = (draw(st.integers(1, most)) for _ in range(4))
    extra = draw(st.integers(0, max(stride, dilation) - 1))
    whole = (size - 1) * stride + dilation * (kernel - 1) + 1 + extra
    before = draw(st.integers(1 - most, whole - 1))
    after = draw(st.integers(1 - most, whole - 1 - max(before, 0)))
    return size, kernel, stride, (before, after), extra, dilation


@st.composite
def conv_transposes(draw, most_axes=3):
    """A ConvTranspose; at least one output is kept on each axis, wherever it is cut."""
    ndim = draw(st.integers(1, most_axes))
    groups, width, height = draw(channel_counts())
    most = {1: 4, 2: 3}.get(ndim, 2)
    axes = [draw(_transpose_axes(most)) for _ in range(ndim)]
    sizes, kernel, *rest = zip(*axes, strict=True)
    x_shape = (groups * width, *sizes)
    return toeplitz.ConvTranspose(x_shape, (x_shape[0], height, *kernel), *rest, groups)
