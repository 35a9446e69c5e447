"""Pools against the nested loops: exact integers and fractions, every geometry."""

import itertools
from fractions import Fraction
from functools import lru_cache
from math import inf, nan, prod

import loops
import numpy as np
import pytest
import scipy.sparse
from geometries import batches, integers_like, item, seeds
from hypothesis import given
from hypothesis import strategies as st

import toeplitz
from toeplitz import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
)

# Drawing: each axis takes one of the paddings with which every window touches the input.


def reads(size, kernel, stride, pair, dilation, ceil_mode):
    """For each window of one axis, the inputs that it reads."""
    axis = (size,), (kernel,), (stride,), (pair,), (dilation,), ceil_mode
    return [[i for i in seen if i is not None] for _, seen in loops.windows(*axis)]


@lru_cache(None)
def paddings(size, kernel, stride, dilation, ceil_mode):
    """[those with which every window touches the input, those with which some window does not]."""
    extent = dilation * (kernel - 1) + 1
    found = [], []
    for pair in itertools.product(range(extent + 1), range(extent + stride)):
        windows = reads(size, kernel, stride, pair, dilation, ceil_mode)
        if windows:
            found[not all(windows)].append(pair)
    return [sorted(pairs, key=lambda pair: (sum(pair), pair)) for pairs in found]


@st.composite
def spaces(draw, most_axes=3):
    """(input_shape, (kernel_size, stride, padding, dilation, ceil_mode)), all windows touching."""
    ndim = draw(st.integers(1, most_axes))
    most = {1: 4, 2: 3}.get(ndim, 2)
    ceil_mode = draw(st.booleans())
    axes = []
    for _ in range(ndim):
        size = draw(st.integers(1, most + 2))
        kernel, stride, dilation = (draw(st.integers(1, most)) for _ in range(3))
        touching, _ = paddings(size, kernel, stride, dilation, ceil_mode)
        axes.append((size, kernel, stride, draw(st.sampled_from(touching)), dilation))
    sizes, *space = zip(*axes, strict=True)
    return (draw(st.integers(1, 3)), *sizes), (*space, ceil_mode)


@st.composite
def averages(draw, most_axes=3):
    """As spaces, with count_include_pad and divisor_override."""
    input_shape, space = draw(spaces(most_axes))
    divisor = draw(st.sampled_from([None, 1, 2, 7, -3]))
    return input_shape, (*space, draw(st.booleans()), divisor)


@st.composite
def parts(draw):
    """(input_shape, output_size) of an adaptive pool."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    wanted = [draw(st.none() | st.integers(0, 6)) for _ in sizes]
    return (draw(st.integers(1, 3)), *sizes), tuple(wanted)


@st.composite
def any_max_pool(draw):
    if draw(st.booleans()):
        input_shape, space = draw(spaces())
        return MaxPool(input_shape, *space)
    return AdaptiveMaxPool(*draw(parts()))


@st.composite
def any_avg_pool(draw):
    if draw(st.booleans()):
        input_shape, space = draw(averages())
        return AvgPool(input_shape, *space)
    return AdaptiveAvgPool(*draw(parts()))


def tied_like(shape, seed):
    """Few different integers; with every other seed all of them negative."""
    return np.random.default_rng(seed).integers(-3, 3, shape) - 3 * (seed % 2)


# References


def same(got, wanted):
    """Equal shapes and equal numbers, exactly; NaN equals NaN."""
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape
    np.testing.assert_array_equal(got, wanted.astype(got.dtype))


def each(f, x, batch, shape):
    """f on each item of x, stacked; on x itself without a batch axis."""
    return np.reshape([f(one) for one in ([x] if batch is None else x)], item(batch, shape))


def adaptive(sizes, wanted):
    """(shape of the output, for each of its positions the flat inputs of the window)."""
    wanted = [n if m is None else m for n, m in zip(sizes, wanted, strict=True)]
    axes = [
        [range(*ends) for ends in loops.adaptive_windows(n, m)]
        for n, m in zip(sizes, wanted, strict=True)
    ]
    numbers = np.arange(prod(sizes)).reshape(sizes)
    return wanted, [numbers[np.ix_(*window)].ravel() for window in itertools.product(*axes)]


def largest(plane, window):
    """The first largest of the window's inputs; NaN is larger than all, and the last NaN wins."""
    odd = [i for i in window if plane[i] != plane[i]]
    return odd[-1] if odd else max(window, key=lambda i: plane[i])


def largest_of_each(x, windows, shape):
    """The indices of a max pool of x (C, *S), from the flat inputs of its windows."""
    rows = x.reshape(len(x), -1)
    return np.reshape([[largest(row, window) for window in windows] for row in rows], shape)


def windows_of(input_shape, space):
    """For each output position the flat inputs of the window."""
    return [
        [i for i in seen if i is not None] for _, seen in loops.windows(input_shape[1:], *space[:5])
    ]


# Average pools


@given(averages(most_axes=4), seeds, batches)
def test_averages_are_the_exact_ones_rounded_once(case, seed, batch):
    input_shape, space = case
    pool = AvgPool(input_shape, *space)
    x = integers_like(item(batch, input_shape), seed)
    y = each(lambda one: loops.avg_pool(one, *space), x, batch, pool.output_shape)
    same(pool.apply(x), y.astype(float))
    assert pool.apply(x).dtype == float


@given(averages(most_axes=2))
def test_the_matrix_holds_one_over_the_count_at_the_inputs_of_a_window(case):
    input_shape, space = case
    matrix = AvgPool(input_shape, *space).matrix()
    impulses = np.eye(prod(input_shape[1:]), dtype=int).reshape(-1, 1, *input_shape[1:])
    columns = [loops.avg_pool(one, *space).ravel() for one in impulses]
    of_each_channel = np.array(columns).T.astype(float)
    same(matrix.toarray(), np.kron(np.eye(input_shape[0]), of_each_channel))
    assert matrix.nnz == input_shape[0] * sum(map(len, windows_of(input_shape, space)))
    matrix.check_format(full_check=True)
    assert matrix.has_canonical_format
    assert matrix.format == "csr"


@given(parts(), seeds, batches)
def test_adaptive_averages_are_the_exact_ones_rounded_once(case, seed, batch):
    input_shape, wanted = case
    x = integers_like(item(batch, input_shape), seed)
    out, windows = adaptive(input_shape[1:], wanted)

    def mean(one):
        rows = one.reshape(len(one), -1).tolist()
        return [[float(Fraction(sum(row[i] for i in w), len(w))) for w in windows] for row in rows]

    pool = AdaptiveAvgPool(input_shape, wanted)
    assert pool.output_shape == (input_shape[0], *out)
    same(pool.apply(x), each(mean, x, batch, pool.output_shape))
    of_each_channel = np.zeros((len(windows), prod(input_shape[1:])))
    for row, window in zip(of_each_channel, windows, strict=True):
        row[window] = 1 / len(window)
    same(pool.matrix().toarray(), np.kron(np.eye(input_shape[0]), of_each_channel))


@given(any_avg_pool(), seeds, batches)
def test_the_gradient_of_an_average_is_the_transpose_and_overlaps_add_up(pool, seed, batch):
    # Multiples of every count: each share is an integer, and so is what the transpose gives.
    unit = np.lcm.reduce(pool.counts().ravel(), initial=1)
    x = integers_like(item(batch, pool.input_shape), seed)
    g = unit * integers_like(item(batch, pool.output_shape), seed)
    A = pool.matrix()
    entries = np.repeat([1.0], A.nnz)
    ones = scipy.sparse.csr_array((entries, A.indices, A.indptr), A.shape)
    shares = g / pool.counts()

    def back(one):
        return (ones.T @ one.ravel()).reshape(pool.input_shape)

    same(pool.gradient(g, x), each(back, shares, batch, pool.input_shape))


@given(any_avg_pool(), seeds, batches)
def test_an_average_pool_is_linearized_by_its_matrix_once_for_each_item(pool, seed, batch):
    affine = pool.linearize(integers_like(item(batch, pool.input_shape), seed))
    blocks = np.eye(1 if batch is None else batch)
    same(affine.A.toarray(), np.kron(blocks, pool.matrix().toarray()))
    same(affine.b, np.zeros(affine.A.shape[0]))


@given(spaces(), seeds, batches)
def test_an_average_is_its_matrix_times_the_input(case, seed, batch):
    input_shape, space = case
    pool = AvgPool(input_shape, *space, divisor_override=4)  # x / 4 is exact
    x = integers_like(item(batch, input_shape), seed, float)
    same(each(lambda one: pool.matrix() @ one.ravel(), x, batch, pool.output_shape), pool.apply(x))
    same(pool.linearize(x)(x), pool.apply(x).ravel())


def test_ceil_mode_drops_a_window_that_starts_in_the_padding_after():
    pool = AvgPool((1, 1), 1, padding=((0, 1),), ceil_mode=True)
    assert pool.output_shape == (1, *loops.pooled_shape((1,), (1,), (1,), ((0, 1),), (1,), True))


def test_the_count_knows_the_padding_and_not_what_ceil_mode_adds():
    x = np.array([[6.0, 12, 18, 24]])
    space = {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}
    same(AvgPool((1, 4), **space).apply(x), [[6, 14]])
    same(AvgPool((1, 3), **space).apply(x[:, :3]), [[6, 9]])  # the last window: 18, one padding
    same(AvgPool((1, 3), **space, count_include_pad=False).apply(x[:, :3]), [[9, 18]])
    same(AvgPool((1, 3), **space, divisor_override=6).apply(x[:, :3]), [[3, 3]])


# Max pools


@given(spaces(most_axes=4), seeds, batches)
def test_maxima_are_those_of_the_loops_and_the_first_of_equals_is_taken(case, seed, batch):
    input_shape, space = case
    pool = MaxPool(input_shape, *space)
    x = tied_like(item(batch, input_shape), seed)
    values = each(lambda one: loops.max_pool(one, *space)[0], x, batch, pool.output_shape)
    indices = each(lambda one: loops.max_pool(one, *space)[1], x, batch, pool.output_shape)
    same(pool.apply(x), values)
    same(pool.indices(x), indices)
    assert pool.apply(x).dtype == x.dtype


@given(parts(), seeds, batches)
def test_adaptive_maxima_are_the_first_largest_of_their_windows(case, seed, batch):
    input_shape, wanted = case
    x = tied_like(item(batch, input_shape), seed)
    out, windows = adaptive(input_shape[1:], wanted)
    pool = AdaptiveMaxPool(input_shape, wanted)
    assert pool.output_shape == (input_shape[0], *out)
    indices = each(
        lambda one: largest_of_each(one, windows, pool.output_shape), x, batch, pool.output_shape
    )
    same(pool.indices(x), indices)
    same(pool.apply(x).ravel(), pool.selection(x, int) @ x.ravel())


@given(spaces(), seeds)
def test_the_last_nan_wins_and_padding_never_does(case, seed):
    input_shape, space = case
    odd = [[-inf], [nan, 1.0], [-inf, -0.0, 0.0], [nan, nan, -inf, inf, 0.0]][seed % 4]
    x = np.random.default_rng(seed).choice(odd, input_shape)
    pool = MaxPool(input_shape, *space)
    indices = largest_of_each(x, windows_of(input_shape, space), pool.output_shape)
    same(pool.indices(x), indices)
    rows = x.reshape(len(x), -1)
    y = np.take_along_axis(rows, indices.reshape(len(x), -1), 1).reshape(indices.shape)
    same(pool.apply(x), y)
    same(np.signbit(pool.apply(x)), np.signbit(y))


@given(any_max_pool(), seeds, batches)
def test_at_x_a_max_pool_selects_one_input_for_each_output(pool, seed, batch):
    x = tied_like(item(batch, pool.input_shape), seed)
    S = pool.selection(x, np.int8)
    assert S.dtype == np.int8
    S.check_format(full_check=True)
    same(S.data, np.ones(S.shape[0]))
    same(np.diff(S.indptr), np.ones(S.shape[0]))
    same(S @ x.ravel(), pool.apply(x).ravel())
    affine = pool.linearize(x)
    same(affine.A.toarray(), S.toarray())
    same(affine.b, np.zeros(S.shape[0]))
    if batch:
        blocks = [pool.selection(one, np.int8) for one in x]
        same(S.toarray(), scipy.sparse.block_diag(blocks).toarray())


@given(any_max_pool(), seeds, batches)
def test_the_gradient_of_a_maximum_is_the_transposed_selection(pool, seed, batch):
    x = tied_like(item(batch, pool.input_shape), seed)
    g = integers_like(item(batch, pool.output_shape), seed)
    grad = pool.gradient(g, x)
    same(grad, (pool.selection(x, int).T @ g.ravel()).reshape(x.shape))
    same(pool.unpool(g, x), grad)
    # The same by hand: each entry of g is added where its index points, overlaps add up.
    planes = np.zeros((prod(x.shape[: x.ndim - pool_axes(pool)]), prod(pool.input_shape[1:])), int)
    rows = np.arange(len(planes))[:, None]
    where = pool.indices(x).reshape(len(planes), prod(pool.output_shape[1:]))
    np.add.at(planes, (rows, where), g.reshape(where.shape))
    same(grad, planes.reshape(x.shape))


def pool_axes(pool):
    return len(pool.input_shape) - 1


@given(any_max_pool(), seeds)
def test_near_x_a_max_pool_is_its_selection(pool, seed):
    x = integers_like(pool.input_shape, seed, float)  # no ties: each maximum leads by 1
    near = x + np.random.default_rng(seed).integers(-3, 4, x.shape) / 8
    same(pool.selection(x) @ near.ravel(), pool.apply(near).ravel())


def test_overlapping_windows_send_their_gradients_to_the_maximum_they_share():
    pool = MaxPool((1, 5), 3, stride=1)
    x = np.array([[1, 2, 9, 3, 4]])
    same(pool.gradient([[1, 10, 100]], x), [[0, 0, 111, 0, 0]])


def test_ties_go_to_the_first_in_every_direction():
    pool = MaxPool((1, 2, 2), 2)
    same(pool.indices(np.ones((1, 2, 2))), [[[0]]])
    same(pool.indices([[[1, 2], [2, 2]]]), [[[1]]])
    same(pool.indices([[[1, 1], [2, 2]]]), [[[2]]])


def test_padding_never_wins():
    pool = MaxPool((1, 2), 3, stride=1, padding=1)
    same(pool.indices([[nan, nan]]), [[1, 1]])
    same(pool.apply([[-5, -7]]), [[-5, -5]])
    same(pool.apply([[-inf, -inf]]), [[-inf, -inf]])
    same(pool.indices([[-inf, -inf]]), [[0, 0]])
    lowest = np.iinfo(np.int64).min
    same(pool.indices([[lowest, lowest]]), [[0, 0]])


def test_unpooling_puts_the_maxima_back_and_zeros_elsewhere():
    pool = MaxPool((1, 2, 4), 2)
    x = np.array([[[1, 2, 8, 7], [4, 3, 5, 6]]])
    same(pool.unpool(pool.apply(x), x), [[[0, 0, 8, 0], [4, 0, 0, 0]]])


@given(spaces(), seeds, batches)
def test_pooling_what_was_unpooled_gives_it_back_where_no_windows_overlap(case, seed, batch):
    input_shape, (kernel, _, padding, _, ceil_mode) = case
    apart = [k + before + after for k, (before, after) in zip(kernel, padding, strict=True)]
    pool = MaxPool((input_shape[0], *(3 * n for n in apart)), kernel, apart, 0, 1, ceil_mode)
    x = integers_like(item(batch, pool.input_shape), seed)
    y = np.abs(integers_like(item(batch, pool.output_shape), seed))
    same(pool.apply(pool.unpool(y, x)), y)


def test_max_pooling_does_not_see_small_shifts():
    pool = MaxPool((1, 6, 6), 2)
    image = np.zeros((1, 6, 6))
    image[0, 0, 2], image[0, 4, 0], image[0, 2, 4] = 7, 5, 3  # in the corner of their windows
    for shift in itertools.product((0, 1), repeat=2):
        moved = np.roll(image, shift, axis=(1, 2))
        same(pool.apply(moved), [[[0, 7, 0], [0, 0, 3], [5, 0, 0]]])
    assert (pool.apply(np.roll(image, 2, axis=2)) != pool.apply(image)).any()


# All pools


@given(any_max_pool() | any_avg_pool())
def test_a_pool_is_written_as_it_is_read(pool):
    again = eval(repr(pool), vars(toeplitz).copy())
    assert again == pool
    assert hash(again) == hash(pool)
    assert len({again, pool}) == 1


def test_only_what_is_not_a_default_is_shown():
    assert repr(AvgPool([1, 4], 2)) == "AvgPool((1, 4), (2,))"
    assert repr(MaxPool((1, 4), 2, stride=2, padding=(0,))) == "MaxPool((1, 4), (2,))"
    assert repr(MaxPool((1, 4, 4), 2, 1, ((0, 1), 1), 2, True)) == (
        "MaxPool((1, 4, 4), (2, 2), stride=(1, 1), padding=((0, 1), (1, 1)), dilation=(2, 2), "
        "ceil_mode=True)"
    )
    assert repr(AvgPool((1, 4), 2, count_include_pad=False, divisor_override=3)) == (
        "AvgPool((1, 4), (2,), count_include_pad=False, divisor_override=3)"
    )
    assert repr(AdaptiveAvgPool((1, 4, 5), (None, 2))) == "AdaptiveAvgPool((1, 4, 5), (4, 2))"
    assert repr(AdaptiveMaxPool((1, 4, 5), 2)) == "AdaptiveMaxPool((1, 4, 5), (2, 2))"
    assert repr(GlobalAvgPool((1, 4))) == "GlobalAvgPool((1, 4))"
    assert repr(GlobalMaxPool((1, 4))) == "GlobalMaxPool((1, 4))"


def test_pools_that_differ_are_not_equal():
    different = {
        AvgPool((1, 4), 2),
        AvgPool((1, 4), 2, 1),
        AvgPool((1, 4), 2, count_include_pad=False),
        AvgPool((1, 4), 2, divisor_override=2),
        MaxPool((1, 4), 2),
        AdaptiveMaxPool((1, 4), 1),
        AdaptiveAvgPool((1, 4), 1),
        GlobalAvgPool((1, 4)),
        GlobalMaxPool((1, 4)),
    }
    assert len(different) == 9


@given(parts(), seeds, batches)
def test_a_global_pool_is_an_adaptive_one_to_a_single_position(case, seed, batch):
    input_shape, _ = case
    x = integers_like(item(batch, input_shape), seed)
    axes = tuple(range(x.ndim - len(input_shape) + 1, x.ndim))
    ours = (GlobalAvgPool, AdaptiveAvgPool), (GlobalMaxPool, AdaptiveMaxPool)
    for (whole, split), reduce in zip(ours, (np.mean, np.max), strict=True):
        same(whole(input_shape).apply(x), reduce(x, axis=axes, keepdims=True))
        same(whole(input_shape).apply(x), split(input_shape, 1).apply(x))


@given(any_max_pool() | any_avg_pool(), seeds, batches)
def test_arrays_may_be_read_only_and_lie_anyhow_in_memory(pool, seed, batch):
    plain = [tied_like(item(batch, s), seed) for s in (pool.input_shape, pool.output_shape)]
    odd = [np.asfortranarray(np.repeat(a, 2, axis=-1))[..., ::-2][..., ::-1] for a in plain]
    for array in odd:
        array.flags.writeable = False
    (x, g), (like_x, like_g) = plain, odd
    same(pool.apply(like_x), pool.apply(x))
    same(pool.gradient(like_g, like_x), pool.gradient(g, x))
    same(pool.linearize(like_x)(like_x), pool.linearize(x)(x))


# Dtypes

OVERLAPPING = ((1, 4), 3, 1)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u8", "f2", "f4", "f8", "g"])
def test_a_max_pool_keeps_the_dtype(dtype):
    pool = MaxPool(*OVERLAPPING)
    x, g = np.array([[1, 3, 2, 0]], dtype), np.array([[4, 5]], dtype)
    assert pool.apply(x).dtype == pool.gradient(g, x).dtype == pool.unpool(g, x).dtype == dtype
    same(pool.apply(x), [[3, 3]])
    same(pool.gradient(g, x), [[0, 9, 0, 0]])
    assert pool.indices(x).dtype == np.intp
    assert pool.selection(x).dtype == float


@pytest.mark.parametrize(
    "dtype, result",
    [(i, "f8") for i in ("i1", "i4", "i8", "u1", "u8")]
    + [(f, f) for f in ("f2", "f4", "f8", "F", "D")],
)
def test_an_average_keeps_a_float_dtype_and_makes_integers_float64(dtype, result):
    pool = AvgPool(*OVERLAPPING)
    x, g = np.array([[120, 123, 126, 0]], dtype), np.array([[3, 6]], dtype)
    assert pool.apply(x).dtype == pool.gradient(g, x).dtype == result
    same(pool.apply(x), [[123, 83]])
    same(pool.gradient(g, x), [[1, 3, 3, 2]])


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "D"])
def test_the_matrix_of_an_average_is_of_the_dtype_asked_for(dtype):
    matrix = AvgPool(*OVERLAPPING).matrix(dtype)
    assert matrix.dtype == dtype
    same(matrix.data, np.ones(6, dtype) / np.array(3, dtype))


HALVES = ["float16", pytest.param("bfloat16", marks=pytest.mark.interop)]


@pytest.mark.parametrize("name", HALVES)
def test_halves_are_summed_in_float32_and_rounded_once(name, need):
    dtype = np.dtype(name if name == "float16" else need("ml_dtypes").bfloat16)
    big = 2048 if name == "float16" else 256  # big + 1 is no number of this dtype
    x = np.array([[big, 1, 1, 2]], dtype)
    mean = AvgPool((1, 4), 4)
    assert (mean.apply(x).dtype, float(mean.apply(x)[0, 0])) == (dtype, big / 4 + 1)
    pool = MaxPool((1, 5), 3, 1)
    g = np.array([[big, 1, 1]], dtype)
    grad = pool.gradient(g, np.array([[0, 0, 9, 0, 0]], dtype))
    assert (grad.dtype, float(grad[0, 2])) == (dtype, big + 2)
    shared = AvgPool((1, 5), 3, 1, divisor_override=1)
    grad = shared.gradient(g, np.zeros((1, 5), dtype))
    assert (grad.dtype, float(grad[0, 2])) == (dtype, big + 2)
    same(pool.apply(np.array([[1, 3, 2, 4, 0]], dtype)), [[3, 4, 4]])


# Refusals


def check(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == sentence
    assert type(error.value) is kind


@st.composite
def untouched(draw):
    """Arguments of a 1-D pool with a window that reads only padding."""
    size, kernel, stride, dilation = (draw(st.integers(1, 3)) for _ in range(4))
    ceil_mode = draw(st.booleans())
    _, pairs = paddings(size, kernel, stride, dilation, ceil_mode)
    return size, kernel, stride, draw(st.sampled_from(pairs)), dilation, ceil_mode


@given(untouched(), st.sampled_from([MaxPool, AvgPool]))
def test_a_window_that_reads_only_padding_is_refused(axis, kind):
    size, kernel, stride, pair, dilation, ceil_mode = axis
    window = [bool(inputs) for inputs in reads(*axis)].index(False)
    start = window * stride - pair[0]
    taps = f"its taps are at {start}, …, {start + dilation * (kernel - 1)} in steps of {dilation}"
    if kernel == 1:
        taps = f"its only tap is at {start}"
    sentence = (
        f"window {window} of spatial axis 1 reads only padding: {taps} and the input is "
        f"at 0, …, {size - 1}; pad less"
    )
    arguments = (1, 5, size), (1, kernel), (1, stride), (0, pair), (1, dilation), ceil_mode
    check(lambda: kind(*arguments), ValueError, sentence)


ONE = (1, 4)
BOTH = [
    (((4,), 2), ValueError, "input_shape must be (channels, *spatial), at least 2 axes: got (4,)"),
    ((4, 2), TypeError, "input_shape must be the tuple (channels, *spatial), got 4"),
    (((1, 0), 2), ValueError, "input_shape must have spatial sizes of at least 1, got (1, 0)"),
    ((ONE, 0), ValueError, "kernel_size must be at least 1, got 0"),
    ((ONE, 2.0), TypeError, "kernel_size must be an integer, got 2.0"),
    ((ONE, True), TypeError, "kernel_size must be an integer, got the boolean True"),
    (
        (ONE, (2, 2)),
        ValueError,
        "kernel_size must be one integer or a tuple of 1: got 2 in (2, 2)",
    ),
    ((ONE, 2, 0), ValueError, "stride must be at least 1, got 0"),
    ((ONE, 2, False), TypeError, "stride must be an integer, got the boolean False"),
    ((ONE, 2, 2, -1), ValueError, "padding must be at least 0, got -1"),
    ((ONE, 2, 2, ((0, -1),)), ValueError, "padding must be at least 0, got -1"),
    (
        (ONE, 2, 2, "same"),
        TypeError,
        "padding must be an integer, integers or (before, after) pairs, got 'same'",
    ),
    (
        (ONE, 2, 2, (0, 1)),
        ValueError,
        "padding must have one entry per spatial axis: got 2 in (0, 1) for 1; "
        "for two sides write ((0, 1),)",
    ),
    ((ONE, 2, 2, 0, 0), ValueError, "dilation must be at least 1, got 0"),
    ((ONE, 2, 2, 0, 1, 1), TypeError, "ceil_mode must be True or False, got 1"),
    (
        ((2, 4, 4), (2, 3), 1, (0, 1), (1, 3)),
        ValueError,
        "the window is wider than the padded input on spatial axis 1: dilation * (kernel - 1) + 1 "
        "= 3 * (3 - 1) + 1 = 7 > 4 + 1 + 1 = 6; pad more or take a smaller window",
    ),
]
AVERAGE = [
    ((ONE, 2, 2, 0, 1, False, 0), TypeError, "count_include_pad must be True or False, got 0"),
    ((ONE, 2, 2, 0, 1, False, True, 0), ValueError, "divisor_override must not be 0"),
    (
        (ONE, 2, 2, 0, 1, False, True, 2.5),
        TypeError,
        "divisor_override must be an integer, got 2.5",
    ),
]
ADAPTIVE = [
    ((ONE, -1), ValueError, "output_size must be at least 0, got -1"),
    ((ONE, None), TypeError, "output_size must be an integer, got None"),
    ((ONE, 1.5), TypeError, "output_size must be an integer, got 1.5"),
    ((ONE, "2"), TypeError, "output_size must be an integer or a tuple of integers, got '2'"),
    (
        (ONE, (1, 2)),
        ValueError,
        "output_size must be one integer or a tuple of 1: got 2 in (1, 2)",
    ),
    (
        ((1, 4, 4), (None,)),
        ValueError,
        "output_size must be one integer or 2, one per spatial axis: got 1 in (4,)",
    ),
]


@pytest.mark.parametrize(
    "kind, arguments, error, sentence",
    [(kind, *row) for kind in (MaxPool, AvgPool) for row in BOTH]
    + [(AvgPool, *row) for row in AVERAGE]
    + [(kind, *row) for kind in (AdaptiveMaxPool, AdaptiveAvgPool) for row in ADAPTIVE],
)
def test_wrong_geometries_are_refused(kind, arguments, error, sentence):
    check(lambda: kind(*arguments), error, sentence)


BATCH = "g and x must have the same batch axis: got g {} and x {}"
SHAPE = "{} must have shape (N, {}) or {}, got {}"
ARRAYS = [
    (MaxPool, "apply", [(4,)], SHAPE.format("x", "1, 4", ONE, (4,))),
    (AvgPool, "apply", [(2, 1, 5)], SHAPE.format("x", "1, 4", ONE, (2, 1, 5))),
    (AvgPool, "linearize", [(2, 4)], SHAPE.format("x", "1, 4", ONE, (2, 4))),
    (MaxPool, "selection", [(2, 4)], SHAPE.format("x", "1, 4", ONE, (2, 4))),
    (MaxPool, "indices", [(2, 4)], SHAPE.format("x", "1, 4", ONE, (2, 4))),
    (MaxPool, "gradient", [(1, 3), ONE], SHAPE.format("g", "1, 2", (1, 2), (1, 3))),
    (AvgPool, "gradient", [(1, 3), ONE], SHAPE.format("g", "1, 2", (1, 2), (1, 3))),
    (MaxPool, "gradient", [(3, 1, 2), (2, 1, 4)], BATCH.format((3, 1, 2), (2, 1, 4))),
    (AvgPool, "gradient", [(1, 1, 2), ONE], BATCH.format((1, 1, 2), ONE)),
]


@pytest.mark.parametrize("kind, method, shapes, sentence", ARRAYS)
def test_arrays_of_a_wrong_shape_are_refused(kind, method, shapes, sentence):
    arrays = [np.ones(shape) for shape in shapes]
    check(lambda: getattr(kind(ONE, 2), method)(*arrays), ValueError, sentence)


def test_complex_numbers_have_no_maximum():
    sentence = "x must be real, complex numbers have no maximum: got complex128"
    check(lambda: MaxPool(ONE, 2).apply(np.ones(ONE) * 1j), TypeError, sentence)


def test_an_average_is_no_integer():
    sentence = "dtype must be a float or complex dtype, got int64"
    check(lambda: AvgPool(ONE, 2).matrix(np.int64), TypeError, sentence)


def test_booleans_are_refused():
    sentence = "x must hold numbers, got bool: convert it with x.astype(int)"
    for pool in (MaxPool(ONE, 2), AvgPool(ONE, 2)):
        check(lambda: pool.apply(np.ones(ONE, bool)), TypeError, sentence)  # noqa: B023


def test_matrices_of_halves_are_refused_with_the_repair():
    sentence = "scipy.sparse holds no float16: take dtype=np.float32"
    check(lambda: AvgPool(ONE, 2).matrix(np.float16), TypeError, sentence)
    check(lambda: MaxPool(ONE, 2).selection(np.ones(ONE), np.float16), TypeError, sentence)


def test_unpool_speaks_of_its_own_argument():
    sentence = SHAPE.format("y", "1, 2", (1, 2), (1, 3))
    check(lambda: MaxPool(ONE, 2).unpool(np.ones((1, 3)), np.ones(ONE)), ValueError, sentence)
    sentence = "y and x must have the same batch axis: got y (1, 1, 2) and x (1, 4)"
    check(lambda: MaxPool(ONE, 2).unpool(np.ones((1, 1, 2)), np.ones(ONE)), ValueError, sentence)


def test_the_gradient_to_a_real_input_is_real_and_unpooled_values_are_kept():
    for pool in (AvgPool(ONE, 2), MaxPool(ONE, 2)):
        grad = pool.gradient(np.array([[2 + 4j, 6]]), np.array([[1.0, 0, 0, 0]]))
        assert grad.dtype == float
        same(grad.sum(axis=1), [8])
    y = np.array([[2 + 4j, 6]])
    same(MaxPool(ONE, 2).unpool(y, np.array([[1.0, 0, 0, 0]])), [[2 + 4j, 0, 6, 0]])
    same(AvgPool(ONE, 2).gradient(y, np.ones(ONE) * 1j), [[1 + 2j, 1 + 2j, 3, 3]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: AvgPool(ONE, 2).matrix(),
        lambda: AvgPool(ONE, 2).apply(np.ones(ONE)),
        lambda: MaxPool(ONE, 2).apply(np.ones(ONE)),
        lambda: MaxPool(ONE, 2).selection(np.ones(ONE)),
    ],
)
def test_what_does_not_fit_into_memory_is_refused(monkeypatch, call):
    monkeypatch.setattr("toeplitz.memory.UNASKED", 0)
    monkeypatch.setattr("toeplitz.memory.available", lambda array=None: 10)
    with pytest.raises(toeplitz.TooLarge):
        call()
