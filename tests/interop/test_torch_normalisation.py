"""Batch normalisation, padding, relu and flatten against PyTorch."""

import numpy as np
import pytest
from geometries import batches, gaussian_like, integers_like, item, seeds
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz
import toeplitz.functional

pytestmark = pytest.mark.interop

DTYPES = st.sampled_from([np.float64, np.float32])


@pytest.fixture(scope="module")
def torch(need):
    torch = need("torch")
    torch.set_num_threads(1)
    return torch


def tensors(torch, *arrays):
    return [None if array is None else torch.from_numpy(np.array(array)) for array in arrays]


def leaves(torch, *arrays):
    return [
        None if tensor is None else tensor.requires_grad_() for tensor in tensors(torch, *arrays)
    ]


def gradients_by_torch(torch, f, arrays, g):
    """What f sends back to each array that is not None."""
    inputs = leaves(torch, *arrays)
    f(*inputs).backward(torch.from_numpy(g))
    return [None if leaf is None else leaf.grad.numpy() for leaf in inputs]


# Batch normalisation of numbers with which every step is exact

EPS = 3  # with the variances below the square roots are 2, 4 and 8, and dividing by them is exact
LEVEL = st.sampled_from(  # batch, item: a power of two of values in each channel
    [(4, (2,)), (8, (3,)), (1, (2, 4)), (4, (2, 2)), (2, (3, 2, 2)), (1, (2, 2, 2, 2))]
)


def levelled(batch, shape, seed):
    """Integers (batch, *shape) whose mean is an integer and whose variance is 1, 13 or 61.

    Each channel holds mean ± a and mean ± b, m = 4, 8 … numbers shuffled: the variance is
    (a a + b b) / 2, and dividing by m is exact.
    """
    rng = np.random.default_rng(seed)
    channels = []
    for _ in range(shape[0]):
        a, b = [(1, 1), (1, 5), (1, 11)][rng.integers(3)]
        some = np.tile([a, -a, b, -b], batch * int(np.prod(shape[1:])) // 4)
        channels.append(rng.permutation(some) + rng.integers(-3, 4))
    return np.moveaxis(np.reshape(channels, (shape[0], batch, *shape[1:])), 0, 1)


def per_channel(shape, seed, dtype, given=True):
    """Weight and bias, or None twice."""
    if not given:
        return None, None
    return [(integers_like(shape[:1], seed + i) * 5 % 7 - 3).astype(dtype) for i in range(2)]


@given(LEVEL, seeds, st.booleans(), DTYPES)
def test_in_training_all_is_torchs_where_every_step_is_exact(torch, drawn, seed, given, dtype):
    batch, shape = drawn
    x, norm = levelled(batch, shape, seed).astype(dtype), toeplitz.BatchNorm(shape, EPS)
    weight, bias = per_channel(shape, seed, dtype, given)

    def f(x, weight, bias):
        return torch.nn.functional.batch_norm(x, None, None, weight, bias, True, 0.1, EPS)

    y = toeplitz.functional.batch_norm(x, None, None, weight, bias, True, 0.1, EPS)
    assert y.dtype == dtype
    same(y, f(*tensors(torch, x, weight, bias)).numpy())
    g = integers_like(x.shape, seed, dtype)
    theirs = gradients_by_torch(torch, f, (x, weight, bias), g)
    for ours, other in zip(norm.gradients(g, x, weight), theirs, strict=True):
        if other is not None:
            assert ours.dtype == dtype
            same(ours, other)
    inputs = tensors(torch, x, weight, bias)
    jacobian = torch.autograd.functional.jacobian(lambda x: f(x, *inputs[1:]), inputs[0])
    same(norm.jacobian(x, weight).toarray(), jacobian.reshape(x.size, x.size).numpy())


@given(LEVEL, seeds, st.sampled_from([0, 1, 3]), st.booleans(), DTYPES)
def test_in_inference_all_is_torchs_where_every_step_is_exact(
    torch, drawn, seed, batch, given, dtype
):
    _, shape = drawn
    x = integers_like((batch, *shape), seed, dtype)
    weight, bias = per_channel(shape, seed, dtype, given)
    mean, _ = per_channel(shape, seed + 2, dtype)
    var = 4 ** (1 + integers_like(shape[:1], seed) % 3).astype(dtype) - EPS

    def f(x, weight, bias):
        statistics = tensors(torch, mean, var)
        return torch.nn.functional.batch_norm(x, *statistics, weight, bias, False, 0.1, EPS)

    y = toeplitz.functional.batch_norm(x, mean, var, weight, bias, False, 0.1, EPS)
    assert y.dtype == dtype
    same(y, f(*tensors(torch, x, weight, bias)).numpy())
    g, norm = integers_like(x.shape, seed, dtype), toeplitz.BatchNorm(shape, EPS)
    theirs = gradients_by_torch(torch, f, (x, weight, bias), g)
    ours = norm.gradients(g, x, weight, mean, var, training=False)
    for one, other in zip(ours, theirs, strict=True):
        if other is not None:
            same(one, other)
    inputs = tensors(torch, x, weight, bias)
    matrix = norm.jacobian(x, weight, mean, var, training=False)
    if batch:  # torch stacks the rows of a Jacobian, of which there are none otherwise
        jacobian = torch.autograd.functional.jacobian(lambda x: f(x, *inputs[1:]), inputs[0])
        same(matrix.toarray(), jacobian.reshape(x.size, x.size).numpy())


# Batch normalisation of any numbers


class Rounded:
    """The value of a formula, and how far from it rounding may have put it.

    `error` bounds the distance between what the formula is and what floating point with unit
    roundoff u makes of it, sums in any order: a running error analysis, Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.3. Each operation passes on the errors of its
    operands (to all orders) and adds one rounding, u times what is rounded.
    """

    def __init__(self, value, u, error=0.0):
        self.value, self.u, self.error = np.asarray(value, np.float64), u, error

    @property
    def most(self):
        """At least the size of the formula's value."""
        return abs(self.value) + self.error

    @property
    def least(self):
        """At most the size of the formula's value and of what is computed for it."""
        least = abs(self.value) - 2 * self.error
        assert (least > 0).all()
        return least

    def _made(self, value, passed):
        # What is rounded is at most |value| / (1 - u) + 2 passed: value is one such rounding.
        return Rounded(value, self.u, passed + self.u * (abs(value) / (1 - self.u) + 2 * passed))

    def __add__(self, other):
        return self._made(self.value + other.value, self.error + other.error)

    def __sub__(self, other):
        return self._made(self.value - other.value, self.error + other.error)

    def __mul__(self, other):
        a, b = self, other
        return a._made(a.value * b.value, a.most * b.error + b.most * a.error + a.error * b.error)

    def __truediv__(self, other):
        a, b = self, other
        return a._made(a.value / b.value, a.error / b.least + a.most * b.error / b.least**2)

    def sqrt(self):
        return self._made(np.sqrt(self.value), self.error / np.sqrt(self.least))

    def sum(self, n):
        """Over items and positions, n of them: the errors, and gamma_{n-1} of what is added."""
        axes = (0, *range(2, self.value.ndim))
        gamma = (n - 1) * self.u / (1 - (n - 1) * self.u)
        passed = (self.error + gamma * (abs(self.value) + 2 * self.error)) * np.ones_like(
            self.value
        )
        value = self.value.sum(axes, keepdims=True)
        return Rounded(value, self.u, passed.sum(axes, keepdims=True))


def within(ours, theirs, our_way, their_way):
    """Both as near to the exact value as their way of computing it must come.

    The bounds are computed in float64 too: 2**-40 is more than all their own roundings.
    """
    bound = (our_way.error + their_way.error) * (1 + 2.0**-40)
    assert (abs(our_way.value - their_way.value) <= bound).all()  # two ways to the same value
    assert (abs(ours.astype(np.float64) - theirs) <= bound.reshape(ours.shape)).all()


class Training:
    """Batch normalisation in training, as we and as torch compute it."""

    def __init__(self, x, weight, bias, dtype):
        self.u = np.finfo(dtype).eps / 2
        self.n = x.size // x.shape[1]
        self.x = self.number(x)
        self.w, self.b = (self.channelwise(values) for values in (weight, bias))
        n, one = self.number(self.n), self.number(1)
        self.mean = self.x.sum(self.n) / n
        self.centred = self.x - self.mean
        self.squares = (self.centred * self.centred).sum(self.n)
        self.scale = one / (self.squares / n + self.number(1e-5, self.u * 1e-5)).sqrt()
        self.normal = self.centred * self.scale

    def number(self, value, error=0.0):
        return Rounded(value, self.u, error)

    def channelwise(self, values):
        return self.number(np.reshape(values, (-1, *[1] * (self.x.value.ndim - 2))))

    def our_y(self):
        return self.normal * self.w + self.b

    def their_y(self):
        slope = self.scale * self.w
        return self.x * slope + (self.b - self.mean * slope)

    def our_gradients(self, g):
        g, n = self.number(g), self.number(self.n)
        grad_b, grad_w = g.sum(self.n), (g * self.normal).sum(self.n)
        sent = g - (grad_b + self.normal * grad_w) / n
        return sent * self.scale * self.w, grad_w, grad_b

    def their_gradients(self, g):
        g, n = self.number(g), self.number(self.n)
        along = (g * self.centred).sum(self.n)
        slope = along * self.scale * self.scale / n
        sent = (g - g.sum(self.n) / n - self.centred * slope) * self.scale * self.w
        return sent, along * self.scale, g.sum(self.n)

    def our_statistics(self, mean, var, momentum):
        unbiased = (
            self.squares / self.number(self.n) * (self.number(self.n) / self.number(self.n - 1))
        )
        return self.mixed(mean, self.mean, momentum), self.mixed(var, unbiased, momentum)

    def their_statistics(self, mean, var, momentum):
        unbiased = self.squares / self.number(self.n - 1)
        return self.mixed(mean, self.mean, momentum), self.mixed(var, unbiased, momentum)

    def mixed(self, old, new, momentum):
        new_share = self.number(momentum, self.u * momentum)
        old_share = self.number(1 - momentum, 2 * self.u)
        return old_share * self.channelwise(old) + new_share * new


ITEMS = st.sampled_from([(2,), (3, 5), (1, 3), (2, 2, 3), (2, 1, 2, 2)])


@given(st.integers(2, 4), ITEMS, seeds, DTYPES)
def test_in_training_all_is_torchs_within_the_derived_bounds(torch, batch, shape, seed, dtype):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((batch, *shape)) * 3 + 2).astype(dtype)
    g = rng.standard_normal(x.shape).astype(dtype)
    weight, bias, mean, var = rng.standard_normal((4, shape[0])).astype(dtype)
    var, norm = abs(var), toeplitz.BatchNorm(shape)
    way = Training(x, weight, bias, dtype)
    running = tensors(torch, mean, var)

    def f(x, weight, bias, running=(None, None)):
        return torch.nn.functional.batch_norm(x, *running, weight, bias, training=True)

    y = f(*tensors(torch, x, weight, bias), running).numpy()  # writes to the running statistics
    within(norm.apply(x, weight, bias, training=True), y, way.our_y(), way.their_y())
    bounds = way.our_statistics(mean, var, 0.1), way.their_statistics(mean, var, 0.1)
    for ours, theirs, *ways in zip(norm.statistics(x, mean, var), running, *bounds, strict=True):
        assert ours.dtype == dtype
        within(ours, theirs.numpy(), *ways)

    theirs = gradients_by_torch(torch, f, (x, weight, bias), g)
    bounds = way.our_gradients(g), way.their_gradients(g)
    for ours, other, *ways in zip(norm.gradients(g, x, weight), theirs, *bounds, strict=True):
        within(ours, other, *ways)


@given(st.integers(2, 3), ITEMS.filter(lambda shape: len(shape) < 3), seeds)
def test_the_jacobian_in_training_is_torchs_within_the_derived_bounds(torch, batch, shape, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, *shape)) * 3 + 2
    weight = rng.standard_normal(shape[0])

    def f(x):
        return torch.nn.functional.batch_norm(x, None, None, *tensors(torch, weight), training=True)

    theirs = torch.autograd.functional.jacobian(f, torch.from_numpy(x)).numpy()
    ours = toeplitz.BatchNorm(shape).jacobian(x, weight).toarray().reshape(theirs.shape)
    way = Training(x, weight, np.zeros_like(weight), np.float64)
    for output in np.ndindex(x.shape):
        unit = np.zeros_like(x)
        unit[output] = 1
        # Ours for one output: (unit - (1 + normal[output] normal) / n) (scale weight), in its
        # channel; the sums of our_gradients over a single 1 are exact, its last two products
        # are made in the other order.
        within(
            ours[output], theirs[output], way.our_gradients(unit)[0], way.their_gradients(unit)[0]
        )


# Padding


@st.composite
def pads(draw, mode, lead):
    """An input shape and widths for its last axes, (before, after) from the last one on."""
    axes = draw(st.integers(0 if mode == "constant" else 1, 3))
    sizes, pairs = [], []
    for _ in range(axes):
        size = draw(st.integers(1, 5))
        before = draw(st.integers(1 - size, size - 1 if mode == "reflect" else 4))
        after = draw(st.integers(1 - size - min(before, 0), size - 1 if mode == "reflect" else 4))
        if mode == "circular":
            # Where more is repeated than a crop leaves, torch copies cells onto themselves: an
            # error, or cells that were never written.
            kept = size + min(before, 0) + min(after, 0)
            before, after = min(before, kept), min(after, kept)
        sizes.append(size)
        pairs.append((before, after))
    return (*lead, *sizes), [width for pair in reversed(pairs) for width in pair]


NUMBERS = st.sampled_from([integers_like, gaussian_like])


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@given(data=st.data(), lead=st.sampled_from([(1,), (2, 3), (0, 2)]), seed=seeds, numbers=NUMBERS)
def test_pad_is_torchs_in_every_mode_and_for_crops(torch, mode, data, lead, seed, numbers):
    shape, widths = data.draw(pads(mode, lead))
    value = data.draw(st.sampled_from([None, 2.0, np.inf])) if mode == "constant" else None
    x = (numbers(shape, seed) + 0.0).astype(complex if numbers is gaussian_like else float)
    ours = toeplitz.functional.pad(x, widths, mode, value)
    same(ours, torch.nn.functional.pad(torch.from_numpy(x), widths, mode, value).numpy())


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@given(data=st.data(), batch=batches, seed=seeds)
def test_the_gradient_of_pad_is_torchs(torch, mode, data, batch, seed):
    shape, widths = data.draw(pads(mode, (2,)).filter(lambda drawn: drawn[1]))
    pairs = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    pad = toeplitz.Pad(shape, pairs, mode)
    x = integers_like(item(batch, shape), seed, np.float64)
    g = integers_like(item(batch, pad.output_shape), seed, np.float64)

    def f(x):
        return torch.nn.functional.pad(x, widths, mode)

    same(pad.gradient(g, x), gradients_by_torch(torch, f, [x], g)[0])


# Small layers


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), seeds, DTYPES)
def test_relu_and_its_gradient_are_torchs(torch, shape, seed, dtype):
    choices = [-1.0, -0.0, 0.0, 2.0, np.nan, np.inf, -np.inf]
    x = np.random.default_rng(seed).choice(choices, shape).astype(dtype)
    g = integers_like(shape, seed, dtype)
    relu, layer = torch.nn.functional.relu, toeplitz.ReLU()
    same(layer.apply(x), relu(torch.from_numpy(x)).numpy())
    same(layer.gradient(g, x), gradients_by_torch(torch, relu, [x], g)[0])


@given(batches, st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), seeds)
def test_flatten_is_torchs(torch, batch, shape, seed):
    x = integers_like(item(batch, shape), seed)
    start = 0 if batch is None else 1
    same(toeplitz.Flatten(shape).apply(x), torch.flatten(torch.from_numpy(x), start).numpy())
