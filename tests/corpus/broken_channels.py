"""Broken forward convolutions: channels, groups, batches; depthwise and linear."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from corpus.entries import Case, into
from corpus.reading import read, read_linear

BROKEN = []
broken = into(BROKEN)


def patches_of(x, kernel, stride, padding, dilation):
    """(N, C, *T, *K): every window of the padded input."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    windows = sliding_window_view(x, extent, axis=tuple(range(2, x.ndim)))
    return windows[(..., *(slice(None, None, step) for step in stride + dilation))]


def contract(patches, w):
    """(N, C, *T, *K) and (O, C, *K) -> (N, O, *T), one group."""
    axes = tuple(range(patches.ndim - w.ndim + 2, patches.ndim))
    y = np.tensordot(patches, w, ((1, *axes), tuple(range(1, w.ndim))))
    return np.moveaxis(y, -1, 1)


@broken(
    "conv2d",
    "channels of the weight transposed: w is read as (C, O, H, W)",
    "several input channels and several output channels in a group",
    lambda c: c.width > 1 and c.filters > c.groups,
    Case((2, 1, 1), (2, 2, 1, 1)),
)
def keras_has_them_the_other_way(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    per, width = len(a.w) // a.groups, a.w.shape[1]
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    y = []
    for i in range(a.groups):
        kernels = a.w[i * per : (i + 1) * per].reshape(width, per, *a.kernel).swapaxes(0, 1)
        y.append(contract(patches[:, i * width : (i + 1) * width], kernels))
    return (np.concatenate(y, axis=1) + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv1d",
    "groups ignored: every output reads the first input channels",
    "groups > 1",
    lambda c: c.groups > 1,
    Case((2, 1), (2, 1, 1), groups=2),
)
def knows_no_groups(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    patches = patches_of(a.x[:, : a.w.shape[1]], a.kernel, a.stride, a.padding, a.dilation)
    return (contract(patches, a.w) + a.b[:, None]).astype(a.dtype)


@broken(
    "conv2d",
    "groups interleaved: input channel c belongs to group c % G",
    "groups > 1 and several input channels in a group",
    lambda c: c.groups > 1 and c.width > 1,
    Case((4, 1, 1), (2, 2, 1, 1), groups=2),
)
def deals_channels_like_cards(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    per = len(a.w) // a.groups
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    y = [contract(patches[:, i :: a.groups], a.w[i * per : (i + 1) * per]) for i in range(a.groups)]
    return (np.concatenate(y, axis=1) + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv2d",
    "outputs interleaved: filter o belongs to group o % G",
    "groups > 1 and several filters in a group",
    lambda c: c.groups > 1 and c.filters > c.groups,
    Case((2, 1, 1), (4, 1, 1, 1), groups=2),
)
def filters_take_turns(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    width = a.w.shape[1]
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    y = np.empty((len(a.x), len(a.w), *a.out), a.x.dtype)
    for o in range(len(a.w)):
        first = o % a.groups * width
        y[:, o] = contract(patches[:, first : first + width], a.w[o : o + 1])[:, 0] + a.b[o]
    return y.astype(a.dtype)


@broken(
    "conv2d",
    "wrong group slice: group g starts at channel g, not at g C/G",
    "groups > 1 and several input channels in a group",
    lambda c: c.groups > 1 and c.width > 1,
    Case((4, 1, 1), (2, 2, 1, 1), groups=2),
)
def slices_overlap(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    per, width = len(a.w) // a.groups, a.w.shape[1]
    y = []
    for i in range(a.groups):
        patches = patches_of(a.x[:, i : i + width], a.kernel, a.stride, a.padding, a.dilation)
        y.append(contract(patches, a.w[i * per : (i + 1) * per]))
    return (np.concatenate(y, axis=1) + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv3d",
    "group 0's weights reused for all groups",
    "groups > 1",
    lambda c: c.groups > 1,
    Case((2, 1, 1, 1), (2, 1, 1, 1, 1), groups=2),
)
def one_set_of_filters(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    kernels = a.w.reshape(a.groups, len(a.w) // a.groups, *a.w.shape[1:])
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    y = [contract(part, kernels[0]) for part in np.split(patches, a.groups, axis=1)]
    return (np.concatenate(y, axis=1) + a.b[:, None, None, None]).astype(a.dtype)


@broken(
    "conv2d",
    "dilation ignored where groups > 1: the loop over the groups does not pass it on",
    "groups > 1, dilation > 1 and a kernel longer than 1 along that axis",
    lambda c: (
        c.groups > 1 and any(d > 1 and k > 1 for d, k in zip(c.dilation, c.kernel, strict=True))
    ),
    Case((2, 1, 3), (2, 1, 1, 2), dilation=(1, 2), groups=2),
)
def groups_forget_dilation(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    if a.groups > 1:
        per, width = len(a.w) // a.groups, a.w.shape[1]
        parts = [
            groups_forget_dilation(
                x[:, i * width : (i + 1) * width],
                w[i * per : (i + 1) * per],
                None if b is None else b[i * per : (i + 1) * per],
                stride,
                padding,
            )
            for i in range(a.groups)
        ]
        return np.concatenate(parts, axis=1)
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    return (contract(patches, a.w) + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv2d",
    "batch items and channels mixed: (O, N L) is reshaped to (N, O, L) without a transpose",
    "a batch of several, and several output channels",
    lambda c: c.batch > 1 and c.filters > 1,
    Case((1, 1, 1), (2, 1, 1, 1), batch=2),
)
def reshapes_instead_of_transposing(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    per, width = len(a.w) // a.groups, a.w.shape[1]
    taps = width * int(np.prod(a.kernel))
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    rows = []
    for i in range(a.groups):
        part = patches[:, i * width : (i + 1) * width].transpose(1, 4, 5, 0, 2, 3)
        columns = part.reshape(taps, len(a.x) * int(np.prod(a.out)))
        rows.append(a.w[i * per : (i + 1) * per].reshape(per, taps) @ columns)
    y = np.concatenate(rows) + a.b[:, None]
    return y.reshape(len(a.x), len(a.w), *a.out).astype(a.dtype)


@broken(
    "conv1d",
    "last batch item unwritten: items come in pairs, and an odd one stays zero",
    "a batch of an odd number",
    lambda c: c.batch % 2 == 1,
    Case((1, 1), (1, 1, 1)),
)
def items_in_pairs(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    y = np.zeros((len(a.x), len(a.w), *a.out), a.x.dtype)
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    kernels = np.split(a.w, a.groups)
    for n in range(0, len(a.x) - 1, 2):
        parts = np.split(patches[n : n + 2], a.groups, axis=1)
        done = [contract(part, kernel) for part, kernel in zip(parts, kernels, strict=True)]
        y[n : n + 2] = np.concatenate(done, axis=1) + a.b[:, None]
    return y.astype(a.dtype)


@broken(
    "conv1d",
    "the first item's result is given for the whole batch",
    "a batch of several",
    lambda c: c.batch > 1,
    Case((1, 1), (1, 1, 1), batch=2),
)
def the_first_speaks_for_all(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    patches = patches_of(a.x[:1], a.kernel, a.stride, a.padding, a.dilation)
    parts = zip(np.split(patches, a.groups, axis=1), np.split(a.w, a.groups), strict=True)
    y = np.concatenate([contract(part, kernels) for part, kernels in parts], axis=1)
    y = np.broadcast_to(y + a.b[:, None], (len(a.x), len(a.w), *a.out))
    return y.astype(a.dtype)


@broken(
    "conv2d",
    "a wrong call is accepted: input channels that the weight does not have are dropped",
    "x with more channels than w takes",
    lambda c: c.refused,
    Case((2, 1, 1), (1, 1, 1, 1), refused=True),
)
def zips_channels(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    x = x[:, : w.shape[1] * groups]
    a = read(x, w, b, stride, padding, dilation, groups)
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    parts = zip(np.split(patches, a.groups, axis=1), np.split(a.w, a.groups), strict=True)
    y = np.concatenate([contract(part, kernels) for part, kernels in parts], axis=1)
    return (y + a.b[:, None, None]).astype(a.dtype)


@broken(
    "depthwise_conv2d",
    "multiples interleaved: output m C + c belongs to input channel c, not c M + m",
    "several channels and a multiplier > 1",
    lambda c: c.channels > 1 and c.filters > c.channels,
    Case((2, 1, 1), (4, 1, 1, 1), groups=2),
)
def multiplies_in_the_wrong_order(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    patches = np.tile(patches, (1, len(a.w) // a.groups, 1, 1, 1, 1))
    y = np.einsum("nchwij,cij->nchw", patches, a.w[:, 0])
    return (y + a.b[:, None, None]).astype(a.dtype)


@broken(
    "depthwise_conv1d",
    "the first channel's kernel is used for all channels",
    "several channels, or a multiplier > 1",
    lambda c: c.filters > 1,
    Case((1, 1), (2, 1, 1)),
)
def one_kernel_slides_everywhere(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    patches = patches_of(a.x, a.kernel, a.stride, a.padding, a.dilation)
    y = np.einsum("nctk,k->nct", patches, a.w[0, 0])
    y = np.repeat(y, len(a.w) // a.groups, axis=1)
    return (y + a.b[:, None]).astype(a.dtype)


@broken(
    "linear",
    "weight transposed: it is read as (in, out)",
    "several inputs and several outputs",
    lambda c: min(c.weight_shape) > 1,
    Case((2,), (2, 2)),
)
def multiplies_from_the_other_side(x, w, b=None):
    x, w, b, dtype = read_linear(x, w, b)
    return (x @ w.reshape(w.shape[::-1]) + b).astype(dtype)
