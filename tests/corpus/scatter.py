"""The right parts of transposed convolutions: products, sums, zeros between and around."""

import numpy as np

from corpus.reading import extents


def products(a):
    """(N, O, *S, *K): what every input sends through every tap, all groups."""
    n, c = a.x.shape[:2]
    x = a.x.reshape(n, a.groups, c // a.groups, *a.x.shape[2:])
    w = a.w.reshape(a.groups, c // a.groups, *a.w.shape[1:])
    xyz, ijk = "xyz"[: len(a.out)], "ijk"[: len(a.out)]
    y = np.einsum(f"ngc{xyz},gco{ijk}->ngo{xyz}{ijk}", x, w)
    return y.reshape(n, len(a.b), *y.shape[3:])


def whole(a, extra):
    """Sizes before the padding is cut off."""
    axes = zip(a.x.shape[2:], a.stride, extents(a), extra, strict=True)
    return tuple((n - 1) * s + e + more for n, s, e, more in axes)


def scattered(a, extra):
    """The sum of all products, not yet cut: the right part."""
    y = np.zeros((len(a.x), len(a.b), *whole(a, extra)), a.x.dtype)
    sent, sizes = products(a), a.x.shape[2:]
    for tap in np.ndindex(*a.kernel):
        axes = zip(tap, a.dilation, sizes, a.stride, strict=True)
        cut = (slice(t * d, t * d + (n - 1) * s + 1, s) for t, d, n, s in axes)
        y[(..., *cut)] += sent[(..., *tap)]
    return y


def cut(y, a):
    """Without the padding, with the bias."""
    inner = (slice(p, p + n) for p, n in zip(a.padding, a.out, strict=True))
    return (y[(..., *inner)] + a.b.reshape(-1, *[1] * len(a.out))).astype(a.dtype)


def spread(a, gaps=0):
    """x with stride - 1 (+ gaps) zeros between neighbours."""
    steps = [s + gaps for s in a.stride]
    sizes = ((n - 1) * s + 1 for n, s in zip(a.x.shape[2:], steps, strict=True))
    y = np.zeros((*a.x.shape[:2], *sizes), a.x.dtype)
    y[(..., *(slice(None, None, s) for s in steps))] = a.x
    return y


def correlate(x, a, w):
    """Stride 1 over an input that is padded, w (C, O/G, *K) as it comes; (N, O, *T)."""
    n, c = x.shape[:2]
    out = tuple(max(0, m - e + 1) for m, e in zip(x.shape[2:], extents(a), strict=True))
    x = x.reshape(n, a.groups, c // a.groups, *x.shape[2:])
    w = w.reshape(a.groups, c // a.groups, *w.shape[1:])
    y = np.zeros((n, a.groups, w.shape[2], *out), x.dtype)
    for tap in np.ndindex(*a.kernel):
        shift = (slice(t * d, t * d + m) for t, d, m in zip(tap, a.dilation, out, strict=True))
        y += np.einsum("ngc...,gco->ngo...", x[(..., *shift)], w[(..., *tap)])
    return y.reshape(n, len(a.b), *out)


def flipped(a):
    return np.flip(a.w, tuple(range(2, a.w.ndim)))


def surrounded(x, before, after):
    """Zeros around x; where a number is negative, x is cut."""
    for axis, (lo, hi) in enumerate(zip(before, after, strict=True), 2):
        kept = np.arange(max(0, -lo), x.shape[axis] - max(0, -hi))
        x = np.take(x, kept, axis)
        x = np.pad(x, [(max(0, lo), max(0, hi)) if i == axis else (0, 0) for i in range(x.ndim)])
    return x
