"""Right forward passes and the right thirds of backward passes, for what is broken elsewhere."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from corpus.reading import extents, read, read_linear, read_transposed, wide
from corpus.scatter import cut, scattered


def forward(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """A right convolution, any number of axes: sliding windows."""
    a = read(x, w, b, stride, padding, dilation, groups)
    windows, w = split(windows_of(a), a), stacked(a.w, a)
    y = np.einsum("ngctk,gock->ngot", *flat(windows, w, len(a.out)))
    y = y.reshape(len(a.x), len(a.b), *a.out)
    return (y + a.b.reshape(-1, *[1] * len(a.out))).astype(a.dtype)


def forward_transposed(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """A right transposed convolution: what each tap sends is added up."""
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    return cut(scattered(a, extra), a)


def forward_linear(x, w, b=None):
    """A right linear layer."""
    x, w, b, dtype = read_linear(x, w, b)
    return (x @ w.T + b).astype(dtype)


def flat(windows, w, axes):
    """(N, G, C/G, *T, *K), (G, O/G, C/G, *K) -> the same with one axis for T and one for K."""
    positions, taps = windows.shape[3 : 3 + axes], windows.shape[3 + axes :]
    size, count = int(np.prod(positions)), int(np.prod(taps))
    return windows.reshape(*windows.shape[:3], size, count), w.reshape(*w.shape[:3], count)


def flattened(a):
    """One axis for all positions, behind the batch, the group and the channel."""
    return a.reshape(*a.shape[:3], int(np.prod(a.shape[3:])))


def split(a, call):
    """(N, channels, ...) -> (N, G, channels / G, ...)."""
    return a.reshape(len(a), call.groups, a.shape[1] // call.groups, *a.shape[2:])


def stacked(w, call):
    """(O, ...) -> (G, O / G, ...)."""
    return w.reshape(call.groups, len(w) // call.groups, *w.shape[1:])


def padded(call):
    return np.pad(call.x, ((0, 0), (0, 0), *((p, p) for p in call.padding)))


def windows_of(call):
    """(N, C, *T, *K): the windows of the padded input."""
    x = padded(call)
    windows = sliding_window_view(x, extents(call), axis=tuple(range(2, x.ndim)))
    return windows[(..., *(slice(None, None, step) for step in call.stride + call.dilation))]


def cells_of(tap, call):
    """The cells of the padded input that a tap reads, as slices."""
    axes = zip(tap, call.dilation, call.out, call.stride, strict=True)
    return tuple(slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in axes)


def cropped(grad, call):
    """A gradient of the padded input without the padding, in the dtype of the input."""
    inner = (slice(p, p + n) for p, n in zip(call.padding, call.x.shape[2:], strict=True))
    return grad[(..., *inner)].astype(call.dtype)


def grad_x(g, call):
    """The sum over the taps of what each sends back."""
    g, w = split(g, call), stacked(call.w, call).conj()
    x = padded(call)
    grad = np.zeros((len(x), call.groups, w.shape[2], *x.shape[2:]), x.dtype)
    for tap in np.ndindex(*call.kernel):
        part = np.einsum("ngo...,goc->ngc...", g, w[(..., *tap)])
        grad[(..., *cells_of(tap, call))] += part
    return cropped(grad.reshape(x.shape), call)


def grad_w(g, call):
    """The sum over the batch and the positions, for each tap."""
    g, x = split(g, call), split(padded(call), call).conj()
    grad = np.zeros((call.groups, g.shape[2], *call.w.shape[1:]), x.dtype)
    for tap in np.ndindex(*call.kernel):
        part = x[(..., *cells_of(tap, call))]
        grad[(..., *tap)] = np.einsum("ngot,ngct->goc", flattened(g), flattened(part))
    return grad.reshape(call.w.shape).astype(call.dtype)


def grad_b(g, call):
    return g.sum(axis=(0, *range(2, g.ndim))).astype(call.dtype)


def apart(g, steps, sizes):
    """g with its cells `steps` apart, in zeros of these sizes."""
    y = np.zeros((*g.shape[:2], *sizes), g.dtype)
    cut = (slice(None, (n - 1) * s + 1, s) for n, s in zip(g.shape[2:], steps, strict=True))
    y[(..., *cut)] = g
    return y


def correlated(g, w, a):
    """g slides under w (O, C/G, *K) with stride 1 and the call's dilation: (N, C, *T)."""
    out = tuple(n - e + 1 for n, e in zip(g.shape[2:], extents(a), strict=True))
    g, w = split(g, a), stacked(w, a)
    y = np.zeros((len(g), a.groups, w.shape[2], *out), g.dtype)
    for tap in np.ndindex(*a.kernel):
        cut = (slice(t * d, t * d + n) for t, d, n in zip(tap, a.dilation, out, strict=True))
        y += np.einsum("ngo...,goc->ngc...", g[(..., *cut)], w[(..., *tap)])
    return y.reshape(len(g), a.x.shape[1], *out)


def framed(g, a):
    """g with the zeros of a full convolution: e - 1 on each side."""
    return np.pad(g, ((0, 0), (0, 0), *((e - 1, e - 1) for e in extents(a))))


def fitted(grad, sizes):
    """Cut, or filled up with zeros, at the end of each axis."""
    y = np.zeros((*grad.shape[:2], *sizes), grad.dtype)
    cut = (..., *(slice(min(m, n)) for m, n in zip(grad.shape[2:], sizes, strict=True)))
    y[cut] = grad[cut]
    return y


def read_up(g, x, w, stride, padding, output_padding, groups, dilation):
    """The arguments, and g padded and split into groups; x's sizes are what windows count."""
    a, _ = read_transposed(x, w, None, stride, padding, output_padding, groups, dilation)
    g = wide(np.asarray(g), a.dtype)
    if g.shape != (len(x), len(a.b), *a.out):
        raise ValueError(f"g must have the shape of the output, {a.out}: got {g.shape}")
    around = np.pad(g, ((0, 0), (0, 0), *((p, p) for p in a.padding)))
    around = around.reshape(len(g), a.groups, w.shape[1], *around.shape[2:])
    return a._replace(out=x.shape[2:]), g, around


def up_grad_x(around, a):
    """dx[c, i] = sum over o, k of g[o, i s + k d - p] w[c, o, k]."""
    w = a.w.reshape(a.groups, len(a.w) // a.groups, *a.w.shape[1:]).conj()
    dx = np.zeros((len(around), *w.shape[:2], *a.out), a.x.dtype)
    for tap in np.ndindex(*a.kernel):
        part = around[(..., *cells_of(tap, a))]
        dx += np.einsum("ngo...,gco->ngc...", part, w[(..., *tap)])
    return dx.reshape(a.x.shape).astype(a.dtype)


def up_grad_w(around, a):
    """dw[c, o, k] = sum over n, i of g[o, i s + k d - p] x[c, i]."""
    n, positions = len(around), int(np.prod(a.out))
    x = a.x.conj().reshape(n, a.groups, len(a.w) // a.groups, positions)
    dw = np.zeros((a.groups, x.shape[2], *a.w.shape[1:]), a.x.dtype)
    for tap in np.ndindex(*a.kernel):
        part = around[(..., *cells_of(tap, a))].reshape(n, a.groups, a.w.shape[1], positions)
        dw[(..., *tap)] = np.einsum("ngot,ngct->gco", part, x)
    return dw.reshape(a.w.shape).astype(a.dtype)
