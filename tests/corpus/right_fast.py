"""Correct implementations by fast algorithms, which round; transposed and padded ones."""

from math import prod

import numpy as np

from corpus.around import surrounded
from corpus.entries import entering
from corpus.reading import extents, pairs, read, read_padded, read_transposed
from corpus.right import finished, kernels_of, padded, products_of, split
from corpus.scatter import correlate, flipped, spread

RIGHT = []
right = entering(RIGHT)
U = 2.0**-53


def fft_bound(p, q, terms, u):
    """|error| of a bilinear product of p and q by FFTs in float64.

    One FFT of length L has a normwise relative error of at most e = 7 u log2 L (Higham, ch. 24:
    eta = mu + gamma_4 (sqrt 2 + mu) < 7 u for each of log2 L levels). Two transforms and the
    product: (2 e + 3 u) |p|_2 |q|_2 by Cauchy-Schwarz, to first order; `terms` products are added.
    The way back is off by e times the 2-norm of all outputs, sqrt(n) |p|_2 |q|_2 at most for n
    numbers in the smaller of the two, by Young's inequality. L stays below 2^24 here, the 2 is for
    the higher orders, and u is that of float64: what is narrower is widened first.
    """
    return (
        2
        * ((2 + min(p.size, q.size) ** 0.5) * 7 * 24 + 3 + terms)
        * U
        * np.linalg.norm(p.astype(complex))
        * np.linalg.norm(q.astype(complex))
    )


def winograd_bound(norms, axes):
    """|error| for transforms with these infinity norms of |A^T|, |G| and |B^T|.

    With n operations one after the other on the way to an output, the error is at most gamma_n
    times the same sum of absolute values, and that is at most the product of the norms, once for
    each axis, times C/G max |x| max |w|.
    """

    def bound(p, q, terms, u):
        n = terms + 20 * axes
        largest = abs(p).max(initial=0) * abs(q).max(initial=0) * terms
        return n * u / (1 - n * u) * prod(norms) ** axes * largest

    return bound


def power(n):
    """The next power of two."""
    return 1 << max(0, n - 1).bit_length()


def spectra(a, conjugate_kernel=True):
    """Transforms of the padded input and of the dilated kernel, and the axes and sizes."""
    x, axes = padded(a), tuple(range(-len(a.out), 0))
    w = np.zeros((*a.w.shape[:2], *extents(a)), a.w.dtype)
    w[(..., *(slice(None, None, d) for d in a.dilation))] = a.w
    sizes = tuple(map(power, x.shape[2:]))
    return split(np.fft.fftn(x, sizes, axes), a), np.fft.fftn(w.conj(), sizes, axes).conj(), axes


def rounded(y, a):
    y = y if a.dtype.kind == "c" else y.real
    return np.rint(y) if a.dtype.kind in "iu" else y


def doubled(a):
    """In float64 or complex128: what numpy.fft is fed with."""
    to = np.complex128 if a.dtype.kind == "c" else np.float64
    return a._replace(x=a.x.astype(to), w=a.w.astype(to), b=a.b.astype(to))


def by_fft(a):
    a = doubled(a)
    fx, fw, axes = spectra(a)
    fw = fw.reshape(a.groups, len(a.w) // a.groups, *fw.shape[1:])
    y = np.fft.ifftn(np.einsum("ngc...,goc...->ngo...", fx, fw), axes=axes)
    cut = (slice(None, (n - 1) * s + 1, s) for n, s in zip(a.out, a.stride, strict=True))
    return rounded(y[(..., *cut)], a)


@right(
    "conv2d",
    "FFT of a length beyond the padded input, in float64",
    algorithm="fft",
    rounding=fft_bound,
)
def fft(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    return finished(by_fft(a), a)


@right(
    "conv1d", "FFT; NotImplementedError for what is not finite", algorithm="fft", rounding=fft_bound
)
def fft_of_finite_numbers(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    if not (np.isfinite(a.x).all() and np.isfinite(a.w).all()):
        raise NotImplementedError("inf and nan spread over everything")
    return finished(by_fft(a), a)


F23 = (
    np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
    np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
    np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
)
F43 = (
    np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
    np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24,
    np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ]
    ),
)


def norms(matrices):
    return [abs(m).sum(axis=1).max() for m in matrices]


def winograd(a, matrices):
    """One transform along each axis, one product per cell of a tile, one transform back."""
    m, r = matrices[0].shape[0], 3
    plain = set(a.kernel) == {r} and set(a.stride + a.dilation) == {1}
    if not plain or a.dtype.kind in "iu":
        raise NotImplementedError("Winograd has 3 taps, stride 1, dilation 1, floats")
    a_t, g, b_t = (matrix.astype(a.x.dtype) for matrix in matrices)
    x, w, axes = split(padded(a), a), kernels_of(a), len(a.out)
    # Tiles of m + r - 1 inputs, m apart; zeros behind the input for the last.
    tiles = [-(-n // m) for n in a.out]
    more = [(0, t * m + r - 1 - n) for t, n in zip(tiles, x.shape[3:], strict=True)]
    x = np.pad(x, [(0, 0)] * 3 + more)
    for axis in range(axes):  # (N, G, C/G, *tiles, *cells)
        where = m * np.arange(tiles[axis])[:, None] + np.arange(m + r - 1)
        x = np.moveaxis(np.take(x, where, 3 + axis), 4 + axis, -1)
    for axis in range(-axes, 0):
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ b_t.T, -1, axis)
        w = np.moveaxis(np.moveaxis(w, axis, -1) @ g.T, -1, axis)
    t, e = "xyz"[:axes], "ijk"[:axes]
    y = np.einsum(f"ngc{t}{e},goc{e}->ngo{t}{e}", x, w)
    for axis in range(-axes, 0):
        y = np.moveaxis(np.moveaxis(y, axis, -1) @ a_t.T, -1, axis)
    for axis in range(axes):  # tiles beside their cells, then joined
        y = np.moveaxis(y, 3 + axes, 4 + axis)
        y = y.reshape(*y.shape[: 3 + axis], tiles[axis] * m, *y.shape[5 + axis :])
    return y[(..., *map(slice, a.out))]


@right(
    "conv1d",
    "Winograd F(2, 3)",
    algorithm="winograd",
    rounding=winograd_bound(norms(F23), 1),
)
def winograd_2_3(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    return finished(winograd(a, F23), a)


@right(
    "conv2d",
    "Winograd F(2x2, 3x3), nested",
    algorithm="winograd",
    rounding=winograd_bound(norms(F23), 2),
)
def winograd_2x2_3x3(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    return finished(winograd(a, F23), a)


@right(
    "conv2d",
    "Winograd F(4x4, 3x3), nested",
    algorithm="winograd",
    rounding=winograd_bound(norms(F43), 2),
)
def winograd_4x4_3x3(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    return finished(winograd(a, F43), a)


@right(
    "conv1d",
    "Winograd F(4, 3)",
    algorithm="winograd",
    rounding=winograd_bound(norms(F43), 1),
)
def winograd_4_3(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    a = read(x, w, b, stride, padding, dilation, groups)
    return finished(winograd(a, F43), a)


@right("conv_transpose2d", "zeros between the inputs, then the turned kernel slides with stride 1")
def zero_insertion(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    a, extra = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    x = spread(a)
    around = ((e - 1, e - 1 + more) for e, more in zip(extents(a), extra, strict=True))
    y = correlate(np.pad(x, ((0, 0), (0, 0), *around)), a, flipped(a))
    inner = (slice(p, p + n) for p, n in zip(a.padding, a.out, strict=True))
    return (y[(..., *inner)] + a.b[:, None, None]).astype(a.dtype)


def scatter(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """y[o, i s + k d - p] += x[c, i] w[c, o, k], input by input."""
    a, _ = read_transposed(x, w, b, stride, padding, output_padding, groups, dilation)
    width, per = len(a.w) // a.groups, a.w.shape[1]
    y = np.zeros((len(a.x), per * a.groups, *a.out), a.x.dtype)
    for c, *i in np.ndindex(*a.x.shape[1:]):
        outputs = slice(c // width * per, (c // width + 1) * per)
        for k in np.ndindex(*a.kernel):
            axes = zip(i, a.stride, k, a.dilation, a.padding, strict=True)
            cell = tuple(m * s + t * d - p for m, s, t, d, p in axes)
            if all(0 <= m < n for m, n in zip(cell, a.out, strict=True)):
                value = a.x[(slice(None), c, *i)][:, None] * a.w[(c, slice(None), *k)]
                y[(slice(None), outputs, *cell)] += value
    return (y + a.b.reshape(-1, *[1] * len(a.out))).astype(a.dtype)


@right("conv_transpose1d", "scatters input by input; NotImplementedError where output_padding > 0")
def scatter_of_one_axis(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    if output_padding not in (0, (0,)):
        raise NotImplementedError("output_padding")
    return scatter(x, w, b, stride, padding, output_padding, groups, dilation)


@right("conv_transpose3d", "scatters input by input")
def scatter_of_three_axes(
    x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return scatter(x, w, b, stride, padding, output_padding, groups, dilation)


def by_np_pad(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    """np.pad on each axis; cropping comes last, but before a wrap, as PyTorch has it."""
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    x = surrounded(a.x, pairs(padding, a), padding_mode)
    a = read(x, w, b, stride, 0, dilation, groups)._replace(dtype=a.dtype)
    return finished(sum(products_of(a)), a)


for _axes in (1, 2, 3):
    right(f"padded_conv{_axes}d", "np.pad, then tap by tap", name=f"np_pad_{_axes}d")(by_np_pad)
