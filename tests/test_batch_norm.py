"""Batch normalisation: exact where var + eps is the square of a power of two, else within a bound.

With a power of two of values in each channel, every mean, x̂ and entry of the Jacobian is then a
short sum of powers of two: floats hold it exactly, in whatever order it is computed.
"""

from fractions import Fraction
from math import prod

import mpmath
import numpy as np
import pytest
import sympy
from geometries import integers_like, seeds
from hypothesis import given
from hypothesis import strategies as st

import toeplitz
from toeplitz import BatchNorm

# Cases


@st.composite
def shapes(draw):
    """(batch or None, channels, spatial sizes) with 2, 4, 8 or 16 values in each channel."""
    sizes = draw(st.sampled_from([(2,), (4,), (2, 2), (2, 1, 2), ()]))
    batch = draw(st.sampled_from([2, 4] + [1, None] * bool(sizes)))
    return batch, draw(st.integers(1, 3)), sizes


def drawn(batch, channels, sizes, values, seed):
    """(N, C, *S): in each channel these values in another order, mirrored and moved."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice([-1, 1]) * rng.permutation(values) + 5 * c for c in range(1, channels + 1)]
    x = np.moveaxis(np.reshape(rows, (channels, batch or 1, *sizes)), 0, 1).astype(float)
    return x[0] if batch is None else x


@st.composite
def trainings(draw):
    """(norm, x, the root of var + eps): all channels have the same variance and another mean."""
    batch, channels, sizes = draw(shapes())
    seed = draw(seeds)
    values = np.random.default_rng(seed).integers(-4, 5, (batch or 1) * prod(sizes))
    variance = Fraction(int(values @ values), len(values)) - Fraction(
        int(values.sum()) ** 2, len(values) ** 2
    )
    root = 1
    while root * root < variance + draw(st.integers(0, 1)):
        root *= 2
    norm = BatchNorm((channels, *sizes), eps=float(root * root - variance))
    return norm, drawn(batch, channels, sizes, values, seed), root


@st.composite
def inferences(draw, dtype=float):
    """(norm, x, running_mean, running_var, the root of var + eps for each channel)."""
    batch, channels, sizes = draw(shapes())
    seed = draw(seeds)
    norm = BatchNorm((channels, *sizes), eps=0.25)
    x = integers_like(norm.input_shape if batch is None else (batch, *norm.input_shape), seed)
    root = np.random.default_rng(seed).choice([0.5, 1, 2, 4], channels)
    mean = integers_like((channels,), seed)
    return norm, x.astype(dtype), mean.astype(dtype), (root**2 - 0.25).astype(dtype), root


def weights(norm, seed):
    """A weight and a bias for each channel."""
    return integers_like(norm.input_shape[:1], seed, float), integers_like(
        norm.input_shape[:1], seed + 1, float
    )


# References, one row for each channel


def rows(array, norm):
    """(C, N S), from (N, C, *S) or (C, *S)."""
    items = array if array.ndim > len(norm.input_shape) else array[None]
    return np.moveaxis(items, 1, 0).reshape(norm.input_shape[0], -1)


def exact(array):
    return np.reshape([Fraction(float(a)) for a in np.ravel(array)], np.shape(array)).astype(object)


def standard(x, norm, root):
    """x̂ as fractions, from the statistics of x."""
    values = exact(rows(x, norm))
    return (values - values.sum(axis=1, keepdims=True) / values.shape[1]) / Fraction(root)


def slopes(x, norm, root, weight):
    """dy/dx by the chain rule: d mean/dx_j = 1/m and d root/dx_j = (x_j - mean) / (m root)."""
    size = x.size
    numbers = rows(np.arange(size).reshape(x.shape), norm)
    jacobian = np.zeros((size, size), object)
    for where, normal, w in zip(numbers, standard(x, norm, root), exact(weight), strict=True):
        m, root = len(where), Fraction(root)
        centred = normal * root
        through_mean = np.eye(m, dtype=int) - Fraction(1, m)
        through_root = np.multiply.outer(centred, centred) / (m * root**2)
        jacobian[np.ix_(where, where)] = w / root * (through_mean - through_root)
    return jacobian


def same(got, wanted):
    """Equal shapes and equal numbers, exactly."""
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape
    np.testing.assert_array_equal(got, wanted.astype(float))


# Training


@given(trainings(), seeds)
def test_training_normalises_with_the_mean_and_the_biased_variance(case, seed):
    norm, x, root = case
    weight, bias = weights(norm, seed)
    y = standard(x, norm, root) * exact(weight)[:, None] + exact(bias)[:, None]
    got = norm.apply(x, weight, bias, training=True)
    assert got.shape == x.shape
    same(rows(got, norm), y)
    same(rows(norm.apply(x, training=True), norm), standard(x, norm, root))


def test_eps_stands_inside_the_root():
    x = np.array([[0.0], [0], [0], [4]])  # variance 3
    same(BatchNorm((1,), eps=1).apply(x, training=True), [[-0.5], [-0.5], [-0.5], [1.5]])


@given(trainings(), seeds)
def test_the_jacobian_is_the_chain_rule_through_mean_and_variance(case, seed):
    norm, x, root = case
    weight, _ = weights(norm, seed)
    J = norm.jacobian(x, weight)
    same(J.toarray(), slopes(x, norm, root, weight))
    assert J.nnz == x.size**2 / norm.input_shape[0]  # a full block for each channel
    J.check_format(full_check=True)
    assert J.has_canonical_format


def test_the_jacobian_is_what_sympy_differentiates():
    norm = BatchNorm((2, 2), eps=1)
    x = np.array([[[0, 0], [7, 3]], [[0, 4], [7, 7]]])  # variance 3 in both channels: root 2
    weight, bias = [3, -5], [1, 2]
    letters = np.array(sympy.symbols("x:8")).reshape(x.shape)
    outputs = np.empty(x.shape, object)
    for c in range(2):
        mean = sum(letters[:, c].ravel()) / sympy.Integer(4)
        variance = sum((a - mean) ** 2 for a in letters[:, c].ravel()) / 4
        for place in np.ndindex(2, 2):
            n, s = place
            standard = (letters[n, c, s] - mean) / sympy.sqrt(variance + 1)
            outputs[n, c, s] = weight[c] * standard + bias[c]
    values = dict(zip(letters.ravel(), x.ravel().tolist(), strict=True))
    jacobian = sympy.Matrix(outputs.ravel()).jacobian(letters.ravel().tolist()).subs(values)
    assert norm.jacobian(x, weight).toarray().tolist() == np.array(jacobian, float).tolist()
    y = [float(output.subs(values)) for output in outputs.ravel()]
    assert norm.apply(x, weight, bias, training=True).ravel().tolist() == y


@given(trainings(), seeds)
def test_the_gradients_are_those_of_the_jacobian_and_of_weight_and_bias(case, seed):
    norm, x, root = case
    weight, _ = weights(norm, seed)
    g = integers_like(x.shape, seed, float)
    grad_x, grad_weight, grad_bias = norm.gradients(g, x, weight)
    assert grad_x.shape == x.shape
    same(grad_x.ravel(), slopes(x, norm, root, weight).T @ exact(g).ravel())
    same(grad_x.ravel(), norm.jacobian(x, weight).T @ g.ravel())
    same(grad_weight, (exact(rows(g, norm)) * standard(x, norm, root)).sum(axis=1))
    same(grad_bias, rows(g, norm).sum(axis=1))


@given(trainings(), seeds)
def test_what_is_sent_back_has_no_mean_and_of_x_hat_only_the_share_of_eps(case, seed):
    norm, x, root = case
    weight, _ = weights(norm, seed)
    values = rows(x, norm)
    # Neither centred nor orthogonal to x̂: the multiple of x outweighs the integers that follow.
    g = 32 * (x - x.min()) + np.random.default_rng(seed).integers(1, 3, x.shape)
    normal = standard(x, norm, root)
    along = (exact(rows(g, norm)) * normal).sum(axis=1)
    constant = (values == values[:, :1]).all()
    assert (rows(g, norm).sum(axis=1) != 0).all()
    assert constant or (along != 0).all()
    sent = exact(rows(norm.gradients(g, x, weight)[0], norm))
    same(sent.sum(axis=1), np.zeros(len(sent)))
    share = Fraction(norm.eps) / root**2
    same((sent * normal).sum(axis=1), exact(weight) / root * along * share)


@pytest.mark.parametrize("values, root", [([4, -2, -2, -2, 2, 0, 0, 0], 2), ([1, 1, -1, -1], 1)])
def test_without_eps_what_is_sent_back_is_orthogonal_to_x_hat(values, root):
    norm = BatchNorm((2, 2), eps=0)
    x = drawn(len(values) // 2, 2, (2,), values, 3)
    g = 8 * x + integers_like(x.shape, 1)
    normal = rows(norm.apply(x, training=True), norm)
    same(normal, standard(x, norm, root))
    assert ((rows(g, norm) * normal).sum(axis=1) != 0).all()
    sent = rows(norm.gradients(g, x)[0], norm)
    same((sent * normal).sum(axis=1), [0, 0])
    same(sent.sum(axis=1), [0, 0])
    assert (sent != 0).any()


@given(trainings(), seeds)
def test_training_is_linearized_by_its_jacobian_and_meets_y_at_x(case, seed):
    norm, x, _ = case
    weight, bias = weights(norm, seed)
    affine = norm.linearize(x, weight, bias, training=True)
    same(affine.A.toarray(), norm.jacobian(x, weight).toarray())
    same(affine(x), norm.apply(x, weight, bias, training=True).ravel())


@given(
    st.integers(2, 6), st.integers(1, 4), st.sampled_from([0, 1000]), st.sampled_from("fd"), seeds
)
def test_training_is_within_the_derived_bound_for_any_numbers(batch, size, offset, char, seed):
    """Sums of m numbers are off by γ_m = m u / (1 - m u) at most (Higham, ch. 3).

    So mean' is off by e = γ_m mean|x|, and x - mean' by u|c| + (1 + u) e with c = x - mean. The
    mean of (x - mean')² is var + (mean' - mean)², in floats off by γ_{m+6} with eps added, so
    var + eps is off by the factor 1 + ρ; its inverse root, for ρ < 0.3, by less than 1 + ρ, then
    rounded twice. The product with x - mean' and weight is rounded twice, the sum with bias once.
    """
    norm = BatchNorm((2, size), eps=0.125)
    x = (integers_like((batch, 2, size), seed) + offset).astype(char)
    weight, bias = (w.astype(char) for w in weights(norm, seed))
    got = rows(norm.apply(x, weight, bias, training=True), norm)
    m = batch * size

    with mpmath.workdps(60):
        u = mpmath.mpf(float(np.finfo(char).eps)) / 2

        def gamma(n):
            return n * u / (1 - n * u)

        for ours, values, w, b in zip(got, rows(x, norm), weight, bias, strict=True):
            numbers = [mpmath.mpf(float(value)) for value in values]
            w, b = mpmath.mpf(float(w)), mpmath.mpf(float(b))
            mean = sum(numbers) / m
            centred = [a - mean for a in numbers]
            square = sum(c * c for c in centred) / m + norm.eps
            e = gamma(m) * sum(map(abs, numbers)) / m
            rho = (gamma(m + 6) * (square + e * e) + e * e) / square
            assert rho < 0.3
            for y, c in zip(ours, centred, strict=True):
                slope = abs(w) / mpmath.sqrt(square)
                off = u * abs(c) + (1 + u) * e
                large = slope * (abs(c) + off) * (1 + rho) * (1 + gamma(4))
                bound = large - slope * abs(c) + u * (large + abs(b))
                right = w * c / mpmath.sqrt(square) + b
                assert abs(mpmath.mpf(float(y)) - right) <= bound


# Inference


@given(inferences(), seeds)
def test_inference_is_a_diagonal_map(case, seed):
    norm, x, mean, var, root = case
    weight, bias = weights(norm, seed)
    normal = (exact(rows(x, norm)) - exact(mean)[:, None]) / exact(root)[:, None]
    y = norm.apply(x, weight, bias, mean, var)
    same(rows(y, norm), normal * exact(weight)[:, None] + exact(bias)[:, None])
    J = norm.jacobian(x, weight, mean, var, training=False)
    assert J.nnz == x.size
    slope = (weight / root).reshape(-1, *[1] * (len(norm.input_shape) - 1))
    same(J.toarray(), np.diag(np.broadcast_to(slope, x.shape).ravel()))
    affine = norm.linearize(x, weight, bias, mean, var)
    same(affine.A.toarray(), J.toarray())
    same(affine(x), y.ravel())
    same(affine(2 * x), norm.apply(2 * x, weight, bias, mean, var).ravel())


@given(inferences(), seeds)
def test_the_gradients_in_inference_see_the_statistics_as_constants(case, seed):
    norm, x, mean, var, root = case
    weight, _ = weights(norm, seed)
    g = integers_like(x.shape, seed, float)
    grad_x, grad_weight, grad_bias = norm.gradients(g, x, weight, mean, var, training=False)
    J = norm.jacobian(x, weight, mean, var, training=False)
    same(grad_x, (J.T @ g.ravel()).reshape(x.shape))
    normal = (exact(rows(x, norm)) - exact(mean)[:, None]) / exact(root)[:, None]
    same(grad_weight, (exact(rows(g, norm)) * normal).sum(axis=1))
    same(grad_bias, rows(g, norm).sum(axis=1))


@given(inferences(dtype=np.float16), seeds)
def test_halves_are_rounded_once(case, seed):
    norm, x, mean, var, root = case
    weight, bias = (w.astype(np.float16) for w in weights(norm, seed))
    x *= 37  # so that some products are no float16
    normal = (exact(rows(x, norm)) - exact(mean)[:, None]) / exact(root)[:, None]
    y = normal * exact(weight)[:, None] + exact(bias)[:, None]
    got = norm.apply(x, weight, bias, mean, var)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(rows(got, norm), y.astype(float).astype(np.float16))


@pytest.mark.parametrize("name", ["float16", pytest.param("bfloat16", marks=pytest.mark.interop)])
def test_a_half_is_not_rounded_on_the_way(name, need):
    dtype = np.dtype(name if name == "float16" else need("ml_dtypes").bfloat16)
    big = 2048 if name == "float16" else 256  # big + 1 is no number of this dtype
    norm = BatchNorm((1,), eps=0)
    x, minus, one = (np.array(a, dtype) for a in ([[big], [0]], [-1], [1]))
    y = norm.apply(x, bias=minus, running_mean=minus, running_var=one)
    assert (y.dtype, y.astype(float).tolist()) == (dtype, [[big], [0]])
    ones = np.ones((big + 2, 1), dtype)
    grads = norm.gradients(ones, ones, None, minus * 0, one, training=False)
    assert [grad.dtype for grad in grads] == [dtype] * 3
    assert float(grads[1][0]) == float(grads[2][0]) == big + 2


# Running statistics


@given(st.sampled_from([2, 3, 5, 9]), st.sampled_from([0, 0.25, 0.5, 1]), seeds)
def test_running_statistics_move_towards_the_mean_and_the_unbiased_variance(m, momentum, seed):
    batch, *sizes = (3, 3) if m == 9 else (m,)
    norm = BatchNorm((2, *sizes))
    x = m * integers_like((batch, 2, *sizes), seed) + 1  # so that mean and variance are integers
    values = exact(rows(x, norm))
    means = values.sum(axis=1) / m
    variances = ((values - means[:, None]) ** 2).sum(axis=1) / (m - 1)
    running = integers_like((2,), seed, float), integers_like((2,), seed, float) ** 2
    got = norm.statistics(x, *running, momentum=momentum)
    for ours, old, new in zip(got, running, (means, variances), strict=True):
        same(ours, (1 - Fraction(momentum)) * exact(old) + Fraction(momentum) * new)


def test_the_momentum_is_a_tenth_by_default():
    norm, x = BatchNorm((1,)), np.array([[10.0], [30]])  # mean 20, unbiased variance 200
    mean, var = norm.statistics(x, np.zeros(1), np.zeros(1))
    same(mean, [0.1 * 20])
    same(var, [0.1 * 200])


def test_what_was_normalised_with_its_own_statistics_is_inference_with_the_biased_ones():
    norm = BatchNorm((2, 2), eps=1)
    x = drawn(2, 2, (2,), [0, 0, 0, 4], 5)
    values = rows(x, norm)
    own = values.mean(axis=1), values.var(axis=1)
    same(norm.apply(x, running_mean=own[0], running_var=own[1]), norm.apply(x, training=True))


def test_running_statistics_keep_their_dtype_and_are_not_written_to():
    norm, x = BatchNorm((1,)), np.array([[1], [3]])
    mean, var = np.zeros(1, np.float32), np.ones(1, int)
    mean.flags.writeable = var.flags.writeable = x.flags.writeable = False
    new_mean, new_var = norm.statistics(x, mean, var, momentum=0.5)
    assert (new_mean.dtype, new_var.dtype) == (np.float32, np.float64)
    same(new_mean, [1])
    same(new_var, [1.5])


# Dtypes, shapes


@pytest.mark.parametrize(
    "x, weight, result",
    [("i8", None, "f8"), ("f4", None, "f4"), ("f8", None, "f8"), ("f2", None, "f2"),
     ("f4", "f8", "f8"), ("f2", "f4", "f4"), ("i4", "f4", "f8"), ("u1", "i1", "f8")],
)  # fmt: skip
def test_the_dtype_is_numpys_common_one_and_integers_become_float64(x, weight, result):
    norm = BatchNorm((1,), eps=0)
    weight = None if weight is None else np.ones(1, weight)
    x = np.array([[1], [3]], x)
    y = norm.apply(x, weight, training=True)
    assert y.dtype == result
    same(y, [[-1], [1]])
    assert {grad.dtype for grad in norm.gradients(x, x, weight)} == {np.dtype(result)}


def test_training_does_not_look_at_the_running_statistics():
    running = np.zeros(1, "f8")
    y = BatchNorm((1,)).apply(
        np.array([[1], [3]], "f4"), running_mean=running, running_var=running, training=True
    )
    assert y.dtype == np.float32


@pytest.mark.parametrize("batch", [(), (1,), (0,), (3,)])
def test_inference_takes_any_number_of_items(batch):
    norm = BatchNorm((2, 3), eps=0)
    x = integers_like((*batch, 2, 3), 0)
    y = norm.apply(x, running_mean=[1, 2], running_var=[1, 4])
    same(y, (x - [[1], [2]]) / [[1], [2]])
    affine = norm.linearize(x, running_mean=[1, 2], running_var=[1, 4])
    same(affine(x), y.ravel())


@pytest.mark.parametrize("shape", [(0, 2), (0, 2, 3), (3, 0), (3, 0, 2)])
def test_nothing_can_be_trained_on(shape):
    norm = BatchNorm(shape[1:])
    x = np.ones(shape)
    same(norm.apply(x, training=True), x)
    assert [grad.tolist() for grad in norm.gradients(x, x)] == [x.tolist(), *[[0] * shape[1]] * 2]
    assert norm.jacobian(x).shape == (0, 0)
    assert norm.linearize(x, training=True)(x).shape == (0,)


@given(trainings(), seeds)
def test_arrays_may_be_read_only_and_lie_anyhow_in_memory(case, seed):
    norm, x, _ = case
    weight, bias = weights(norm, seed)
    odd = [np.asfortranarray(np.repeat(a, 2, axis=-1))[..., ::-2][..., ::-1]
           for a in (x, weight, bias)]  # fmt: skip
    for array in odd:
        array.flags.writeable = False
    same(norm.apply(*odd, training=True), norm.apply(x, weight, bias, training=True))
    for ours, theirs in zip(norm.gradients(odd[0], *odd[:2]), norm.gradients(x, x, weight),
                            strict=True):  # fmt: skip
        same(ours, theirs)


@pytest.mark.parametrize(
    "norm", [BatchNorm((2,)), BatchNorm([2, 3], 0.5), BatchNorm((0, 1), eps=0)]
)
def test_a_norm_is_written_as_it_is_read(norm):
    assert eval(repr(norm), vars(toeplitz).copy()) == norm
    assert len({norm, eval(repr(norm), vars(toeplitz).copy())}) == 1
    assert norm.output_shape == norm.input_shape
    assert norm.parameters == 2 * norm.input_shape[0]


# Refusals

norm, x, one = BatchNorm((2, 3)), np.ones((4, 2, 3)), np.ones(2)
MISSING = (
    "running_mean and running_var are needed to normalise with training=False: "
    "give both, or training=True for the statistics of x"
)
REFUSED = [
    (lambda: BatchNorm(2), TypeError, "input_shape must be the tuple (channels, *spatial), got 2"),
    (
        lambda: BatchNorm(()),
        ValueError,
        "input_shape must be (channels, *spatial), at least 1 axes: got ()",
    ),
    (
        lambda: BatchNorm((2, 0)),
        ValueError,
        "input_shape must have spatial sizes of at least 1, got (2, 0)",
    ),
    (lambda: BatchNorm((2,), True), TypeError, "eps must be a number, got True"),
    (lambda: BatchNorm((2,), np.True_), TypeError, "eps must be a number, got np.True_"),
    (lambda: BatchNorm((2,), "1e-5"), TypeError, "eps must be a number, got '1e-5'"),
    (lambda: BatchNorm((2,), -1.0), ValueError, "eps must be at least 0 and finite, got -1.0"),
    (lambda: BatchNorm((2,), np.nan), ValueError, "eps must be at least 0 and finite, got nan"),
    (lambda: BatchNorm((2,), np.inf), ValueError, "eps must be at least 0 and finite, got inf"),
    (lambda: norm.apply(x), ValueError, MISSING),
    (lambda: norm.apply(x, running_mean=one), ValueError, MISSING),
    (lambda: norm.gradients(x, x, training=False), ValueError, MISSING),
    (lambda: norm.jacobian(x, training=False), ValueError, MISSING),
    (lambda: norm.linearize(x), ValueError, MISSING),
    (
        lambda: BatchNorm((2,)).apply(np.ones((1, 2)), training=True),
        ValueError,
        "training needs more than one value per channel, got x of shape (1, 2): "
        "the variance of one value is 0",
    ),
    (
        lambda: BatchNorm((2,)).statistics(np.ones((1, 2)), one, one),
        ValueError,
        "training needs more than one value per channel, got x of shape (1, 2): "
        "the variance of one value is 0",
    ),
    (lambda: norm.apply(x, training=1), TypeError, "training must be True or False, got 1"),
    (
        lambda: norm.apply(np.ones((4, 3, 2)), training=True),
        ValueError,
        "x must have shape (N, 2, 3) or (2, 3), got (4, 3, 2)",
    ),
    (
        lambda: norm.apply(x, np.ones(3), training=True),
        ValueError,
        "weight must have one entry per channel, (2,), got (3,)",
    ),
    (
        lambda: norm.apply(x, one, np.ones((2, 1)), training=True),
        ValueError,
        "bias must have one entry per channel, (2,), got (2, 1)",
    ),
    (
        lambda: norm.apply(x, running_mean=np.ones(()), running_var=one),
        ValueError,
        "running_mean must have one entry per channel, (2,), got ()",
    ),
    (
        lambda: norm.statistics(x, one, np.ones(3)),
        ValueError,
        "running_var must have one entry per channel, (2,), got (3,)",
    ),
    (
        lambda: norm.gradients(np.ones((4, 2)), x),
        ValueError,
        "g must have shape (N, 2, 3) or (2, 3), got (4, 2)",
    ),
    (
        lambda: norm.gradients(x[:3], x),
        ValueError,
        "g and x must have the same batch axis: got g (3, 2, 3) and x (4, 2, 3)",
    ),
    (lambda: norm.apply(1j * x, training=True), TypeError, "x must be real, got complex128"),
    (
        lambda: norm.apply(x > 0, training=True),
        TypeError,
        "x must hold numbers, got bool: convert it with x.astype(int)",
    ),
    (
        lambda: norm.apply(x, one > 0, training=True),
        TypeError,
        "weight must hold numbers, got bool: convert it with weight.astype(int)",
    ),
]


def check(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == sentence
    assert type(error.value) is kind


@pytest.mark.parametrize("call, kind, sentence", REFUSED)
def test_wrong_arguments_are_refused(call, kind, sentence):
    check(call, kind, sentence)


UNSAID = [
    (lambda: norm.apply(x, 1j * one, training=True), "weight must be real, got complex128"),
    (lambda: norm.apply(x, one, 1j * one, training=True), "bias must be real, got complex128"),
    (
        lambda: norm.apply(x, running_mean=one, running_var=1j * one),
        "running_var must be real, got complex128",
    ),
    (lambda: norm.gradients(1j * x, x), "g must be real, got complex128"),
    (lambda: BatchNorm((2,), np.complex128(1)), "eps must be a number, got np.complex128(1+0j)"),
    (lambda: norm.statistics(x, one, one, "0.1"), "momentum must be a number, got '0.1'"),
    (lambda: norm.statistics(x, one, one, None), "momentum must be a number, got None"),
    (lambda: norm.statistics(x, one, one, True), "momentum must be a number, got True"),
]


@pytest.mark.parametrize("call, sentence", UNSAID)
def test_what_is_not_real_is_refused_by_its_name(call, sentence):
    check(call, TypeError, sentence)


def test_statistics_without_the_old_ones_are_refused():
    sentence = "running_mean must have one entry per channel, (2,), got None"
    check(lambda: norm.statistics(x, None, None), TypeError, sentence)


def test_halves_are_linearized_in_float32():
    halves = [np.array(a, np.float16) for a in ([1000], [1000], [0])]
    affine = BatchNorm((1,)).linearize(halves[0], running_mean=halves[1], running_var=halves[2])
    assert affine.A.dtype == affine.b.dtype == np.float32
    assert np.isfinite(affine.b).all()  # -1000 / sqrt(1e-5), more than float16 holds
