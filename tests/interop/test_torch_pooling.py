"""Pools against PyTorch: what is selected or divided exactly is equal, the rest within a bound."""

import numpy as np
import pytest
from geometries import batches, integers_like, item, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz
import toeplitz.functional

pytestmark = pytest.mark.interop

UNIT = 60**3  # divided by 1 … 6 on each of three axes, this is an integer
DTYPES = st.sampled_from([np.float64, np.float32])
often = settings(max_examples=3 * settings().max_examples)  # where the most meets


@pytest.fixture(scope="module")
def torch(need):
    torch = need("torch")
    torch.set_num_threads(1)
    return torch


def ties(shape, seed, dtype=np.float64):
    return (integers_like(shape, seed) % 5 - 2).astype(dtype)


def units(shape, seed, dtype=np.float64):
    """Multiples of UNIT, small enough for exact sums of them in float32."""
    return UNIT * ties(shape, seed, dtype)


def hostile(shape, seed, dtype=np.float64):
    """Ties, NaN and both infinities."""
    x, rng = ties(shape, seed, dtype), np.random.default_rng(seed)
    strange = rng.choice([np.nan, np.inf, -np.inf], shape)
    return np.where(rng.random(shape) < rng.choice([0.0, 0.2, 0.9]), strange, x).astype(dtype)


def function(library, name, axes):
    return getattr(library, f"{name}{axes}d")


def gradient(torch, f, x, g):
    """What torch sends back to x from an upstream gradient g of f(x)."""
    leaf = torch.from_numpy(np.array(x)).requires_grad_()
    f(leaf).backward(torch.from_numpy(g))
    return leaf.grad.numpy()


@st.composite
def windows(draw, average=False, wide=False):
    """(item's shape, [kernel, stride, padding, dilation]) as torch takes them.

    Every window reads an input, for a size of at least the dilation leaves no gap to fall into.
    wide: padding in pairs, and as wide as that allows.
    """
    ndim = draw(st.integers(1, 3))
    most = {1: 4, 2: 3}.get(ndim, 2)
    sizes, axes = [], []
    for _ in range(ndim):
        kernel, stride = draw(st.integers(1, most)), draw(st.integers(1, most + 1))
        dilation = 1 if average and not wide else draw(st.integers(1, most))
        reach = dilation * (kernel - 1)
        if wide:
            padding = draw(st.integers(0, reach)), draw(st.integers(0, reach))
            least = max(dilation, reach + 1 - sum(padding))
        else:
            padding = draw(st.integers(0, kernel // 2))
            least = max(dilation, reach + 1 - 2 * padding)
        if average and ndim == 3:
            least = max(least, kernel)  # avg_pool3d wants the window inside the unpadded input
        sizes.append(least + draw(st.integers(0, most)))
        axes.append((kernel, stride, padding, dilation))
    return (draw(st.integers(1, 2)), *sizes), list(zip(*axes, strict=True))


# Max pools


@often
@given(windows(), st.booleans(), seeds, batches, DTYPES)
def test_max_pools_and_their_indices_and_gradients_are_torchs(
    torch, drawn, ceil_mode, seed, batch, dtype
):
    shape, space = drawn
    space = *space, ceil_mode
    axes = len(shape) - 1
    ours = function(toeplitz.functional, "max_pool", axes)
    theirs = function(torch.nn.functional, "max_pool", axes)
    x = hostile(item(batch, shape), seed, dtype)
    y, index = ours(x, *space, True)
    assert y.dtype == dtype
    for one, other in zip((y, index), theirs(torch.from_numpy(x), *space, True), strict=True):
        same(one, other.numpy())
    same(ours(x, *space), theirs(torch.from_numpy(x), *space).numpy())

    pool = toeplitz.MaxPool(shape, *space)
    g = integers_like(y.shape, seed, dtype)
    same(pool.gradient(g, x), gradient(torch, lambda x: theirs(x, *space), x, g))
    if np.isfinite(x).all():
        same(pool.selection(x) @ x.ravel(), y.ravel())


def padded(torch, x, pairs, value):
    widths = [width for pair in reversed(pairs) for width in pair]
    return torch.nn.functional.pad(x, widths, value=value)


@given(windows(wide=True), seeds, batches)
def test_max_pools_pad_each_side_as_torch_pads_with_minus_infinity(torch, drawn, seed, batch):
    shape, (kernel, stride, padding, dilation) = drawn
    theirs = function(torch.nn.functional, "max_pool", len(shape) - 1)

    def f(x):
        return theirs(padded(torch, x, padding, -np.inf), kernel, stride, 0, dilation)

    pool = toeplitz.MaxPool(shape, kernel, stride, padding, dilation)
    x = ties(item(batch, shape), seed)
    y = pool.apply(x)
    same(y, f(torch.from_numpy(x)).numpy())
    g = integers_like(y.shape, seed, np.float64)
    same(pool.gradient(g, x), gradient(torch, f, x, g))


@given(windows(), seeds, st.sampled_from([None, 1, 3]))
def test_unpooling_is_torchs_where_windows_do_not_overlap(torch, drawn, seed, batch):
    shape, (kernel, stride, padding, _) = drawn
    axes = len(shape) - 1
    stride = tuple(map(max, kernel, stride))
    x = ties(item(batch, shape), seed)
    _, index = function(torch.nn.functional, "max_pool", axes)(
        torch.from_numpy(x), kernel, stride, padding, return_indices=True
    )
    y = integers_like(index.shape, seed, np.float64)
    theirs = function(torch.nn.functional, "max_unpool", axes)(
        torch.from_numpy(y), index, kernel, stride, padding, output_size=shape[1:]
    )
    same(toeplitz.MaxPool(shape, kernel, stride, padding).unpool(y, x), theirs.numpy())


# Average pools

divisors = st.none() | st.sampled_from([1, 2, -3, 5])


@st.composite
def averages(draw):
    """An item's shape and the arguments of avg_pool after its input."""
    shape, (kernel, stride, padding, _) = draw(windows(average=True))
    arguments = kernel, stride, padding, draw(st.booleans()), draw(st.booleans())
    return shape, arguments if len(shape) == 2 else (*arguments, draw(divisors))


def avg_pool_of(shape, arguments):
    kernel, stride, padding, *rest = arguments
    return toeplitz.AvgPool(shape, kernel, stride, padding, 1, *rest)


@often
@given(averages(), seeds, batches, DTYPES)
def test_average_pools_and_their_gradients_are_torchs_where_the_division_is_exact(
    torch, drawn, seed, batch, dtype
):
    shape, arguments = drawn
    theirs = function(torch.nn.functional, "avg_pool", len(shape) - 1)
    x = units(item(batch, shape), seed, dtype)
    y = function(toeplitz.functional, "avg_pool", len(shape) - 1)(x, *arguments)
    assert y.dtype == dtype
    same(y, theirs(torch.from_numpy(x), *arguments).numpy())
    g = units(y.shape, seed, dtype)
    ours = avg_pool_of(shape, arguments).gradient(g, x)
    same(ours, gradient(torch, lambda x: theirs(x, *arguments), x, g))


@given(windows(average=True, wide=True), st.booleans(), seeds)
def test_dilated_average_pools_are_torchs_convolution_with_ones(torch, drawn, include, seed):
    shape, (kernel, stride, padding, dilation) = drawn
    ones = torch.ones((shape[0], 1, *kernel), dtype=torch.float64)
    x = units(shape, seed)

    def sums(x):
        x = padded(torch, torch.from_numpy(x), padding, 0)
        conv = function(torch.nn.functional, "conv", len(kernel))
        return conv(x, ones, None, stride, 0, dilation, shape[0])

    pool = toeplitz.AvgPool(shape, kernel, stride, padding, dilation, False, include)
    count = int(np.prod(kernel)) if include else sums(np.ones(shape))
    same(pool.apply(x), (sums(x) / count).numpy())


def gamma(n, dtype):
    """Higham, Accuracy and Stability of Numerical Algorithms, lemma 3.1: n u / (1 - n u)."""
    nu = n * np.finfo(dtype).eps / 2
    return nu / (1 - nu)


def check_rounded(ours, theirs, terms, divisions, scale, dtype):
    """Both within their own distance of the exact sum over `terms` terms, each divided.

    Higham (3.5) with n = terms - 1 additions and 1 division of ours, `divisions` of torch's:
    each is within gamma_n of the sum of absolute values, `scale`. Ours of scale is a sum of
    nonnegative terms, so at least (1 - gamma_terms) of the exact one.
    """
    bound = (gamma(terms, dtype) + gamma(terms - 1 + divisions, dtype)) * scale
    assert (abs(ours - theirs) <= bound / (1 - gamma(terms, dtype))).all()


def normal(shape, seed, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@given(averages(), seeds, DTYPES)
def test_average_pools_of_any_numbers_are_torchs_within_the_derived_bound(
    torch, drawn, seed, dtype
):
    shape, arguments = drawn
    theirs = function(torch.nn.functional, "avg_pool", len(shape) - 1)
    pool = avg_pool_of(shape, arguments)
    x = normal(shape, seed, dtype)
    y, scale = pool.apply(x), abs(pool.apply(abs(x)))
    terms = int(np.prod(arguments[0]))
    check_rounded(y, theirs(torch.from_numpy(x), *arguments).numpy(), terms, 1, scale, dtype)

    g = normal(y.shape, seed, dtype)
    grad, scale = pool.gradient(g, x), abs(pool.gradient(abs(g), x))
    theirs_grad = gradient(torch, lambda x: theirs(x, *arguments), x, g)
    check_rounded(grad, theirs_grad, terms, 1, scale, dtype)  # no input is in more windows


# Adaptive and global pools


@st.composite
def adaptive(draw):
    """An item's shape and an output size, with windows of at most 6 on each axis."""
    ndim = draw(st.integers(1, 3))
    sizes = [draw(st.integers(1, 6 if ndim < 3 else 4)) for _ in range(ndim)]
    output = [draw(st.integers(0, 7) | st.none()) for _ in range(ndim)]
    if ndim == 1:
        output = [draw(st.integers(0, 7))]  # torch takes None from two axes on
    return (draw(st.integers(1, 2)), *sizes), tuple(output)


@given(adaptive(), seeds, batches, DTYPES)
def test_adaptive_max_pools_and_their_indices_and_gradients_are_torchs(
    torch, drawn, seed, batch, dtype
):
    shape, output = drawn
    axes = len(shape) - 1
    theirs = function(torch.nn.functional, "adaptive_max_pool", axes)
    x = hostile(item(batch, shape), seed, dtype)
    y, index = function(toeplitz.functional, "adaptive_max_pool", axes)(x, output, True)
    assert y.dtype == dtype
    for one, other in zip((y, index), theirs(torch.from_numpy(x), output, True), strict=True):
        same(one, other.numpy())
    g = integers_like(y.shape, seed, dtype)
    pool = toeplitz.AdaptiveMaxPool(shape, output)
    ours = pool.gradient(g, x)
    if 0 not in output:  # torch sends nothing back from no windows
        same(ours, gradient(torch, lambda x: theirs(x, output), x, g))


@given(adaptive(), seeds, batches, DTYPES)
def test_adaptive_average_pools_and_their_gradients_are_torchs_where_the_division_is_exact(
    torch, drawn, seed, batch, dtype
):
    shape, output = drawn
    axes = len(shape) - 1
    theirs = function(torch.nn.functional, "adaptive_avg_pool", axes)
    x = units(item(batch, shape), seed, dtype)
    y = function(toeplitz.functional, "adaptive_avg_pool", axes)(x, output)
    assert y.dtype == dtype
    same(y, theirs(torch.from_numpy(x), output).numpy())
    g = units(y.shape, seed, dtype)
    ours = toeplitz.AdaptiveAvgPool(shape, output).gradient(g, x)
    if 0 not in output:  # torch sends nothing back from no windows
        same(ours, gradient(torch, lambda x: theirs(x, output), x, g))


@given(adaptive(), seeds, DTYPES)
def test_adaptive_average_pools_of_any_numbers_are_torchs_within_the_derived_bound(
    torch, drawn, seed, dtype
):
    shape, output = drawn
    theirs = function(torch.nn.functional, "adaptive_avg_pool", len(shape) - 1)
    pool = toeplitz.AdaptiveAvgPool(shape, output)
    x = normal(shape, seed, dtype)
    y, scale = pool.apply(x), pool.apply(abs(x))
    terms = int(pool.counts().max(initial=1))
    axes = len(shape) - 1  # torch divides by each axis' width in turn
    check_rounded(y, theirs(torch.from_numpy(x), output).numpy(), terms, axes, scale, dtype)


@given(adaptive(), seeds, batches)
def test_global_pools_are_torchs_mean_and_maximum(torch, drawn, seed, batch):
    shape, _ = drawn
    over = tuple(range(-len(shape) + 1, 0))
    x = units(item(batch, shape), seed)
    tensor = torch.from_numpy(x)
    same(toeplitz.GlobalAvgPool(shape).apply(x), tensor.mean(over, keepdim=True).numpy())
    same(toeplitz.GlobalMaxPool(shape).apply(x), tensor.amax(over, keepdim=True).numpy())
