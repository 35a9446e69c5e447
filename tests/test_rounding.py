"""The derived bounds: kept by real implementations, also on hard data, and by no mistake."""

from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

import verify
from toeplitz import Conv
from verify.case import Case
from verify.data import UNITS, unit
from verify.judgement import judge_forward
from verify.ops import OPS, named
from verify.oracle import fft_grad_w, fft_grad_x
from verify.rounding import (
    Scale,
    arithmetic,
    bound,
    may_be_rounding,
    scale_forward,
    scales_backward,
    transform_error,
)
from verify.strategies import Space, cases
from verify.suspect import Callables
from verify.winograd import choices, grown, growth, matrices

DATA = ("mixed", "one sign", "cancelling", "one large")


def harder(case, kind):
    """The case with data on which sums lose much; in the dtype's numbers."""
    rng = np.random.default_rng(case.seed)
    arrays = case.arrays
    for name in "xwg":
        a = rng.uniform(0.5, 1.5, getattr(arrays, name).shape)
        if kind == "mixed":
            a *= rng.choice([-1, 1], a.shape)
        elif kind == "cancelling":
            a = 1e3 + a / 1e3
            a[..., 1::2] *= -1
        elif kind == "one large" and a.size:
            a.flat[case.seed % a.size] = 1e4
        setattr(arrays, name, a.astype(case.dtype).astype(a.dtype))
    return case


def geometry(layer):
    names = ("stride", "padding", "dilation", "groups")
    return {name: getattr(layer, name) for name in names}


# The bounds are kept


def recursive(case):
    """Product after product in the dtype's own arithmetic: the longest way to an output."""
    layer, dtype = case.layer, np.dtype(case.dtype)
    x, w = (a.astype(dtype) for a in (case.arrays.x, case.arrays.w))
    sums = np.float32 if dtype == np.float16 else dtype
    y = []
    for item in x:
        columns = layer.patches(item).reshape(layer.groups, prod(w.shape[1:]), -1).astype(sums)
        filters = w.reshape(layer.groups, -1, columns.shape[1]).astype(sums)
        total = np.zeros((*filters.shape[:2], columns.shape[2]), sums)
        for tap in range(columns.shape[1]):
            total = total + filters[:, :, tap, None] * columns[:, None, tap]
        y.append(total.reshape(layer.output_shape))
    b = 0 if case.arrays.b is None else case.arrays.b.astype(sums).reshape(-1, *[1] * case.op.ndim)
    return (np.stack(y) + b if y else np.zeros((0, *layer.output_shape))).astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("op", ["conv1d", "conv2d", "conv3d"])
def test_recursive_sums_keep_the_direct_bound(op, dtype):
    @settings(max_examples=30)
    @given(cases(Space(OPS[op]), dtypes=(dtype,)), st.sampled_from(DATA[:2]))
    def kept(case, kind):
        harder(case, kind)
        error = abs(recursive(case).astype(float) - case.arrays.y)
        assert (error <= bound(scale_forward(case), dtype, "direct")).all()

    kept()


def test_complex_sums_keep_the_direct_bound():
    rng = np.random.default_rng(0)
    for n in (1, 7, 300):
        x, w = (
            (rng.normal(size=n) + 1j * rng.normal(size=n)).astype("complex64") for _ in range(2)
        )
        total = np.complex64(0)
        for a, b in zip(x, w, strict=True):
            total = np.complex64(total + a * b)
        exact = np.sum(x.astype(complex) * w.astype(complex))
        scale = Scale(n + 1, np.sum(abs(x) * abs(w)), 0.0)
        assert abs(total - exact) <= bound(scale, "complex64", "direct")


def transforms(dtype):
    """fftn and ifftn that stay in a dtype, as scipy's do."""
    wide = np.complex64 if dtype == "float32" else np.complex128
    return (
        lambda a, sizes, axes: scipy.fft.fftn(a.astype(wide), sizes, axes),
        lambda a, sizes, axes: scipy.fft.ifftn(a, sizes, axes),
    )


def spread(a, steps):
    shape = [(n - 1) * s + 1 for n, s in zip(a.shape[2:], steps, strict=True)]
    wide = np.zeros((*a.shape[:2], *shape), a.dtype)
    wide[(..., *(slice(None, None, s) for s in steps))] = a
    return wide


def by_fft(case, powers):
    """A convolution by FFTs in the dtype, of the smallest length or the next power of two."""
    layer, dtype = case.layer, np.dtype(case.dtype)
    x, w = (a.astype(dtype) for a in (case.arrays.x, case.arrays.w))
    there, back = transforms(case.dtype)
    w, axes = spread(w, layer.dilation), tuple(range(2, x.ndim))
    x = np.pad(x, ((0, 0), (0, 0), *layer.padding))
    sizes = [n + k - 1 for n, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    if powers:
        sizes = [1 << (n - 1).bit_length() for n in sizes]
    fx, fw = there(x, sizes, axes), there(w, sizes, axes).conj()
    fx = fx.reshape(len(x), layer.groups, -1, *sizes)
    fw = fw.reshape(layer.groups, len(w) // layer.groups, -1, *sizes)
    product = np.einsum("ngc...,goc...->ngo...", fx, fw).reshape(len(x), len(w), *sizes)
    y = back(product, sizes, axes).real.astype(dtype)
    outputs = zip(layer.output_shape[1:], layer.stride, strict=True)
    cut = (slice(0, (n - 1) * s + 1, s) for n, s in outputs)
    return y[(..., *cut)]


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", ["conv1d", "conv2d", "conv3d"])
def test_convolutions_by_fft_keep_the_bound(op, dtype, kind):
    @settings(max_examples=20)
    @given(cases(Space(OPS[op]), dtypes=(dtype,)), st.booleans())
    def kept(case, powers):
        case = case.but(batch=max(1, case.batch), bias=False)
        harder(case, kind)
        error = abs(by_fft(case, powers).astype(float) - case.arrays.y)
        assert (error <= bound(scale_forward(case), dtype, "fft")).all()

    kept()


@pytest.mark.parametrize("size", [67, 127, 509, 1021])  # primes, which numpy has Bluestein for
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_transforms_of_prime_lengths_keep_the_bound(dtype, size):
    layer = Conv((3, size - 4), (2, 3, 5))
    for kind in DATA:
        case = harder(Case(named("conv1d"), layer, 2, dtype=dtype, seed=size), kind)
        error = abs(by_fft(case, False).astype(float) - case.arrays.y)
        assert (error <= bound(scale_forward(case), dtype, "fft")).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transforms_of_all_lengths_keep_their_error(dtype):
    there, _ = transforms(dtype)
    rng = np.random.default_rng(0)
    for length in (*range(1, 140), 251, 256, 509):
        x = rng.normal(size=length).astype(dtype)
        k = np.arange(length)
        angles = 2 * np.pi * (np.outer(k, k) % length) / np.longdouble(length)
        exact = (np.exp(-1j * angles.astype(np.clongdouble)) * x).sum(axis=1)
        off = np.linalg.norm((there(x, (length,), (0,)) - exact).astype(complex))
        assert off <= unit(dtype) * transform_error(length) * np.linalg.norm(exact.astype(complex))


@pytest.mark.parametrize("op", ["conv1d", "conv2d"])
def test_gradients_by_fft_keep_the_bound(op):
    @settings(max_examples=30)
    @given(cases(Space(OPS[op]), dtypes=("float64",)), st.sampled_from(DATA))
    def kept(case, kind):
        harder(case, kind)
        arrays, layer = case.arrays, case.layer
        found = (
            fft_grad_x(arrays.g, arrays.x.shape, arrays.w, **geometry(layer)),
            fft_grad_w(arrays.g, arrays.x, arrays.w.shape, **geometry(layer)),
        )
        for got, right, scale in zip(found, arrays.gradients, scales_backward(case), strict=False):
            assert (abs(got - right) <= bound(scale, "float64", "fft")).all()

    kept()


def test_padding_that_copies_makes_larger_norms():
    copied = Conv((1, 1), (1, 1, 3), padding=2, padding_mode="replicate")
    case = Case(named("padded_conv1d"), copied, dtype="float32", seed=3)
    plain = Case(named("conv1d"), Conv((1, 1), (1, 1, 3), padding=2), dtype="float32", seed=3)
    padded = np.full(5, case.arrays.x.item())
    assert np.linalg.norm(padded) <= scale_forward(case).norm / np.linalg.norm(case.arrays.w)
    assert np.isclose(scale_forward(case).norm, scale_forward(plain).norm * 5**0.5)


def test_sums_have_no_more_terms_than_their_scale_says():
    @given(st.sampled_from(["padded_conv1d", "padded_conv2d", "conv_transpose2d"]), st.data())
    def counted(op, data):
        case = data.draw(cases(Space(OPS[op])))
        arrays = case.arrays
        g, x, w = (np.ones_like(a) for a in (arrays.g, arrays.x, arrays.w))
        assert case.layer.apply(x, w).max(initial=0) < scale_forward(case).terms
        for one, scale in zip(case.layer.gradients(g, x, w), scales_backward(case), strict=True):
            assert one.max(initial=0) < scale.terms

    counted()


# Winograd's matrices and their growth


TILES = [(m, r) for m in range(2, 7) for r in range(2, 6) if m + r - 1 <= 8]


@pytest.mark.parametrize(("m", "r"), TILES)
def test_winograd_computes_exactly_what_it_should_on_any_points(m, r):
    rng = np.random.default_rng(m + 10 * r)
    for points in choices(m + r - 1):
        a, g, b = (np.array(matrix) for matrix in matrices(m, r, points))
        x, w = ([Fraction(int(v)) for v in rng.integers(-9, 10, n)] for n in (m + r - 1, r))
        y = a.T @ ((g @ w) * (b @ x))
        assert list(y) == [sum(x[i + j] * w[j] for j in range(r)) for i in range(m)]


def test_the_growth_of_the_usual_tiles():
    # |A| |G|₂ |B|₂ by hand, at 0, 1 and -1: √2 + 2 (√3 / 2) √2
    assert grown(2, 3, choices(4)[0]) == pytest.approx(2**0.5 + 6**0.5)
    for m, r in TILES:
        for points in choices(m + r - 1):
            assert 1 <= grown(m, r, points) <= growth(r) <= growth(r + 1)
    assert growth(1) == 1
    assert growth(8) == pytest.approx(growth(7) * 2**0.5)


def by_winograd(x, w, m, points):
    """One channel of two axes, x (h, w) and w (r, r), in the dtype of both."""
    r, dtype = len(w), x.dtype
    a, g, b = (np.array(matrix, float).astype(dtype) for matrix in matrices(m, r, points))
    outputs = [n - r + 1 for n in x.shape]
    tiles = [-(-n // m) for n in outputs]
    x = np.pad(x, [(0, t * m + r - 1 - n) for t, n in zip(tiles, x.shape, strict=True)])
    filters, y = g @ w @ g.T, np.zeros([t * m for t in tiles], dtype)
    for i, j in np.ndindex(*tiles):
        rows, columns = slice(i * m, i * m + m + r - 1), slice(j * m, j * m + m + r - 1)
        cells = filters * (b @ x[rows, columns] @ b.T)
        y[i * m : (i + 1) * m, j * m : (j + 1) * m] = a.T @ cells @ a
    return y[tuple(map(slice, outputs))]


@pytest.mark.parametrize(("m", "r"), [(2, 3), (4, 3), (6, 3), (2, 5), (4, 5), (3, 2)])
def test_nested_winograd_keeps_the_bound(m, r):
    for number, (points, kind) in enumerate(product(choices(m + r - 1), DATA)):
        layer = Conv((1, 11, 10), (1, 1, r, r))
        case = harder(Case(named("conv2d"), layer, dtype="float32", seed=number), kind)
        x, w = (a[0, 0].astype(np.float32) for a in (case.arrays.x, case.arrays.w))
        error = abs(by_winograd(x, w, m, points).astype(float) - case.arrays.y[0, 0])
        assert (error <= bound(scale_forward(case), "float32", "winograd")).all()


# What the bounds are for


def noisy(share, dtypes):
    """A right convolution whose results in some dtypes are off by a share of the FFT's bound."""

    def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        layer = Conv(x.shape[1:], w.shape, stride, padding, dilation, groups)
        y = layer.apply(x.astype(float), w.astype(float), b)
        if x.dtype in dtypes:
            y = y + share * np.linalg.norm(x) * np.linalg.norm(w) * UNITS["float32"]
        return y.astype(x.dtype)

    return Callables(conv2d)


LARGE = Case(OPS["conv2d"], Conv((9, 40, 40), (2, 9, 3, 3), padding=1), dtype="float32")


def test_rounding_by_more_than_a_half_is_no_mistake_if_a_wider_dtype_has_none():
    off = scale_forward(LARGE).norm * UNITS["float32"] * 2000
    assert off > 0.5  # on these integers
    assert judge_forward(noisy(2000, ["float32"]), LARGE).violation is None
    assert judge_forward(noisy(2000, ["float32", "float64"]), LARGE).violation.code == "CV101"


def test_a_dtype_without_a_wider_one_is_tried_on_smaller_numbers():
    def off_by(wrong):
        def only_single(x, w, padding):
            if x.dtype != np.float32:
                raise NotImplementedError(x.dtype)
            y = Conv(x.shape[1:], w.shape, padding=1).apply(x.astype(float), w.astype(float))
            y[0, 0, 0, 0] += wrong
            return y.astype(np.float32)

        return judge_forward(Callables(only_single), smaller).violation

    smaller = LARGE.but(layer=Conv((4, 12, 12), (2, 4, 3, 3), padding=1))
    assert may_be_rounding(np.ones(1), scale_forward(smaller), "float32", "auto")
    assert off_by(1).code == "CV101"
    assert off_by(0) is None


def test_a_mistake_of_one_unit_is_no_rounding_of_integers():
    scale = scale_forward(LARGE.but(dtype="float64"))
    error = np.zeros(LARGE.arrays.y.shape)
    error[0, 0, 0, 0] = 1
    for algorithm in ("auto", "direct", "fft", "winograd"):
        assert arithmetic(error, scale, "float64", algorithm, exact=True) is None
    assert arithmetic(error * 1e-9, scale, "float64", "auto", exact=True) == "fft"
    assert arithmetic(error * 1e-9, scale, "float64", "direct", exact=True) is None
    assert arithmetic(error * np.nan, scale, "float64", "auto", exact=False) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fast_algorithm_with_a_mistake_is_found(dtype):
    def fft_too_short(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        case = Case(OPS["conv1d"], Conv(x.shape[1:], w.shape, stride, padding, dilation, groups))
        if groups > 1 or stride > 1 or dilation > 1 or padding:
            raise NotImplementedError
        y = scipy.fft.ifft(
            np.einsum("ncl,ocl->nol", scipy.fft.fft(x), scipy.fft.fft(w, x.shape[2]))
        )
        y = y.real[..., : case.layer.output_shape[1]].astype(x.dtype)
        return y if b is None else y + b[:, None]

    report = verify.check(fft_too_short, "conv1d", max_examples=60, dtypes=(dtype,))
    assert report.findings[0].code == "CV101"


def by_einsum(x, w):
    views = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("nchwij,ocij->nohw", views, w)  # rounds to half after each of its inner sums


def test_halves_that_are_rounded_on_the_way_are_told_so():
    case = Case(OPS["conv2d"], Conv((9, 4, 4), (1, 9, 3, 3)), dtype="float16", data="half sums")
    violation = judge_forward(Callables(by_einsum), case).violation
    assert violation.note == (
        "float16 values summed in float32 and rounded once are off by at most 1.05: "
        "this is off by 24, so sums were rounded on the way"
    )
    assert judge_forward(Callables(by_einsum), case.but(data="integers")).violation is None


def test_halves_may_be_off_by_what_float32_is_off():
    def lossy(x, w):
        return (by_einsum(x.astype(float), w.astype(float)) + 4).astype(x.dtype)

    case = Case(OPS["conv2d"], Conv((9, 3, 3), (1, 9, 3, 3)), dtype="float16", data="half sums")
    assert judge_forward(Callables(lossy), case).violation is None
    assert judge_forward(Callables(lossy), case.but(data="integers")).violation.code == "CV101"
