"""Broken transposed convolutions: overlaps, holes, groups, bias, state."""

import numpy as np

from corpus.entries import Case, into
from corpus.reading import extents, read_transposed
from corpus.scatter import correlate, cut, flipped, products, scattered, spread, surrounded, whole

BROKEN = []
broken = into(BROKEN)
FILL = 0xCD  # what an allocator that helps with debugging leaves in fresh memory


@broken(
    "conv_transpose2d",
    "overlapping windows overwrite rather than add",
    "kernels of neighbouring inputs that overlap",
    lambda c: any(n > 1 and k > 1 for n, k in zip(c.sizes, c.kernel, strict=True)),
    Case((1, 1, 2), (1, 1, 1, 2)),
)
def later_windows_win(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = np.zeros((len(a.x), len(a.b), *whole(a, extra)), a.x.dtype)
    sent, (dh, dw), (eh, ew) = products(a), a.dilation, extents(a)
    for i, j in np.ndindex(*a.x.shape[2:]):
        top, left = i * a.stride[0], j * a.stride[1]
        y[:, :, top : top + eh : dh, left : left + ew : dw] = sent[:, :, i, j]
    return cut(y, a)


@broken(
    "conv_transpose2d",
    "dilation ignored between the taps, though the output size heeds it",
    "dilation > 1 and a kernel longer than 1 along that axis",
    lambda c: any(d > 1 and k > 1 for d, k in zip(c.dilation, c.kernel, strict=True)),
    Case((1, 1, 1), (1, 1, 1, 2), dilation=(1, 2)),
)
def stamps_close_together(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = np.zeros((len(a.x), len(a.b), *whole(a, extra)), a.x.dtype)
    sent, (kh, kw) = products(a), a.kernel
    for i, j in np.ndindex(*a.x.shape[2:]):
        top, left = i * a.stride[0], j * a.stride[1]
        y[:, :, top : top + kh, left : left + kw] += sent[:, :, i, j]
    return cut(y, a)


@broken(
    "conv_transpose1d",
    "the inner padding is k - 1 - p, not d (k - 1) - p: the dilation is missing in it",
    "dilation > 1 and a kernel longer than 1",
    lambda c: c.dilation[0] > 1 and c.kernel[0] > 1,
    Case((1, 1), (1, 1, 2), dilation=2),
)
def inner_padding_without_dilation(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    before = a.kernel[0] - 1 - a.padding[0]
    y = correlate(surrounded(spread(a), [before], [before + extra[0]]), a, flipped(a))
    return (y + a.b[:, None]).astype(a.dtype)


@broken(
    "conv_transpose2d",
    "padding beyond d (k - 1) is not cut off: a negative inner padding becomes 0",
    "padding > dilation * (kernel - 1)",
    lambda c: any(p > e - 1 for p, e in zip(c.padding, c.extent, strict=True)),
    Case((1, 1, 3), (1, 1, 1, 1), padding=(0, 1)),
)
def never_pads_less_than_nothing(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    inner = [e - 1 - p for e, p in zip(extents(a), a.padding, strict=True)]
    before = [max(0, n) for n in inner]
    after = [max(0, n + more) for n, more in zip(inner, extra, strict=True)]
    y = correlate(surrounded(spread(a), before, after), a, flipped(a))
    return (y + a.b[:, None, None]).astype(a.dtype)


@broken(
    "conv_transpose1d",
    "groups interleaved: output channel o belongs to group o % G",
    "groups > 1 and several output channels in a group",
    lambda c: c.groups > 1 and c.weight_shape[1] > 1,
    Case((2, 1), (2, 2, 1), groups=2),
)
def outputs_take_turns(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = scattered(a, extra)
    n, _, length = y.shape
    y = y.reshape(n, a.groups, a.w.shape[1], length).swapaxes(1, 2).reshape(y.shape)
    return cut(y, a)


@broken(
    "conv_transpose2d",
    "outputs that no window covers are unwritten: memory is not cleared",
    "an output that no tap reaches: stride beyond the kernel, dilation, output_padding",
    lambda c: any(
        more or (s > 1 and n > 1) or (d > 1 and k > 1)
        for more, s, n, d, k in zip(
            c.output_padding, c.stride, c.sizes, c.dilation, c.kernel, strict=True
        )
    ),
    Case((1, 1, 1), (1, 1, 1, 1), stride=(1, 2), output_padding=(0, 1)),
)
def allocates_without_clearing(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = np.empty((len(a.x), len(a.b), *whole(a, extra)), a.x.dtype)
    y.view(np.uint8)[...] = FILL
    sent, written = products(a), np.zeros(y.shape[2:], bool)
    for tap in np.ndindex(*a.kernel):
        for i in np.ndindex(*a.x.shape[2:]):
            axes = zip(i, a.stride, tap, a.dilation, strict=True)
            cell = tuple(m * s + t * d for m, s, t, d in axes)
            value = sent[(slice(None), slice(None), *i, *tap)]
            where = (slice(None), slice(None), *cell)
            y[where] = y[where] + value if written[cell] else value
            written[cell] = True
    return cut(y, a)


@broken(
    "conv_transpose1d",
    "bias added once per contribution, where windows overlap several times",
    "a bias, and an output that none or several contributions reach",
    lambda c: c.bias,
    Case((1, 1), (1, 1, 1), stride=2, output_padding=1, bias=True),
)
def bias_with_every_stamp(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = np.zeros((len(a.x), len(a.b), *whole(a, extra)), a.x.dtype)
    sent, (s,), (d,), (k,) = products(a), a.stride, a.dilation, a.kernel
    for i in range(a.x.shape[2]):
        y[:, :, i * s : i * s + d * (k - 1) + 1 : d] += sent[:, :, i] + a.b[:, None]
    return cut(y, a._replace(b=0 * a.b))


@broken(
    "conv_transpose2d",
    "last row of the input is not scattered",
    "more than one row",
    lambda c: c.sizes[0] > 1,
    Case((1, 2, 1), (1, 1, 1, 1)),
)
def stops_a_row_early(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = np.zeros((len(a.x), len(a.b), *whole(a, extra)), a.x.dtype)
    sent, (dh, dw), (eh, ew), (rows, columns) = products(a), a.dilation, extents(a), a.x.shape[2:]
    for i in range(max(1, rows - 1)):
        for j in range(columns):
            top, left = i * a.stride[0], j * a.stride[1]
            y[:, :, top : top + eh : dh, left : left + ew : dw] += sent[:, :, i, j]
    return cut(y, a)


_sums = {}


@broken(
    "conv_transpose2d",
    "state kept between calls: sums are added up in a buffer that is not cleared",
    "an earlier call with a result of the same shape",
    lambda c: c.before is not None,
    Case((1, 1, 1), (1, 1, 1, 1), before=Case((1, 1, 1), (1, 1, 1, 1))),
    reset=_sums.clear,
)
def adds_to_the_last_result(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    y = scattered(a, extra)
    total = _sums.setdefault((y.shape, y.dtype.str), np.zeros_like(y))
    total += y
    return cut(total, a)
