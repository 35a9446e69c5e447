"""Convolutions against PyTorch: on integers both are exact, so they must be equal."""

import numpy as np
import pytest
from geometries import (
    batches,
    conv_transposes,
    convs,
    gaussian_like,
    integers_like,
    item,
    seeds,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz
import toeplitz.functional

pytestmark = pytest.mark.interop
often = settings(max_examples=3 * settings().max_examples)  # where the most meets
warns_about_same = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


@pytest.fixture(scope="module")
def torch(need):
    torch = need("torch")
    torch.set_num_threads(1)
    return torch


def small(shape, seed, dtype=np.float64):
    """Integers from -3 to 3: sums of up to a million of their products are exact in float32."""
    return ((integers_like(shape, seed) % 7) - 3).astype(dtype)


def doubles(shape, seed):
    return integers_like(shape, seed, np.float64)


def floats(shape, seed):
    return small(shape, seed, np.float32)


KINDS = st.sampled_from([doubles, gaussian_like, floats])


def leaf(torch, array):
    return None if array is None else torch.from_numpy(np.array(array)).requires_grad_()


def check(torch, theirs, ours, gradients, arrays, g):
    """Torch's function and ours on the same arrays: value, dtype and every gradient."""
    leaves = [leaf(torch, array) for array in arrays]
    y = theirs(*leaves)
    value = ours(*arrays)
    assert value.dtype == arrays[0].dtype
    same(value, y.detach().numpy())
    y.backward(torch.from_numpy(g))
    for grad, tensor in zip(gradients(g, *arrays[:2]), leaves, strict=True):
        if tensor is not None:
            assert grad.dtype == arrays[0].dtype
            same(grad, tensor.grad.numpy())


def filled(numbers, layer, batch, seed, biased):
    """x, w, b and g for a layer."""
    x = numbers(item(batch, layer.input_shape), seed)
    w = numbers(layer.weight_shape, seed + 1)
    b = numbers(layer.output_shape[:1], seed + 2) if biased else None
    return [x, w, b], numbers(item(batch, layer.output_shape), seed + 3)


def padded(torch, x, pairs, mode="constant"):
    widths = [width for pair in reversed(pairs) for width in pair]
    return torch.nn.functional.pad(x, widths, "constant" if mode == "zeros" else mode)


def function(torch, name, axes):
    return getattr(torch.nn.functional, f"{name}{axes}d")


def by_torch(torch, conv):
    """The convolution in torch's words, each field of the geometry as an operation of its own."""

    def f(x, w, b):
        if max(conv.input_dilation) > 1:  # zeros between the inputs
            one = torch.ones((conv.in_channels, 1, *[1] * conv.ndim), dtype=x.dtype)
            spread = function(torch, "conv_transpose", conv.ndim)
            x = spread(x, one, stride=conv.input_dilation, groups=conv.in_channels)
        x = padded(torch, x, conv.padding, conv.padding_mode)
        return function(torch, "conv", conv.ndim)(
            x, w, b, conv.stride, 0, conv.dilation, conv.groups
        )

    return f


def torch_pads(conv):
    """Whether torch can: its circular padding does not wrap twice, and goes wrong past a crop."""
    return conv.padding_mode != "circular" or all(
        max(pair) <= axis.dilated + sum(min(side, 0) for side in pair)
        for axis, pair in zip(conv.axes, conv.padding, strict=True)
    )


@often
@given(convs().filter(torch_pads), seeds, batches, st.booleans(), KINDS)
def test_conv_and_its_gradients_are_torchs(torch, conv, seed, batch, biased, numbers):
    arrays, g = filled(numbers, conv, batch, seed, biased)
    check(torch, by_torch(torch, conv), conv.apply, conv.gradients, arrays, g)


def plain(torch, *arrays):
    return [None if array is None else torch.from_numpy(array) for array in arrays]


def on_both_sides(layer):
    """The wider side of each axis' padding, for functions that pad both sides alike."""
    return tuple(max(0, *pair) for pair in layer.padding)


ZEROS = convs(modes=["zeros"], names=False, input_dilation=False)


@given(ZEROS, seeds, batches, st.booleans(), KINDS)
def test_functional_conv_takes_torchs_arguments_in_torchs_order(
    torch, conv, seed, batch, biased, numbers
):
    (x, w, b), _ = filled(numbers, conv, batch, seed, biased)
    space = conv.stride, on_both_sides(conv), conv.dilation, conv.groups
    ours = getattr(toeplitz.functional, f"conv{conv.ndim}d")(x, w, b, *space)
    same(ours, function(torch, "conv", conv.ndim)(*plain(torch, x, w, b), *space).numpy())


@warns_about_same
@given(ZEROS, seeds, batches, st.sampled_from(["same", "valid"]), KINDS)
def test_functional_conv_takes_torchs_names_of_paddings(torch, conv, seed, batch, name, numbers):
    wide = conv.input_shape[0], *(axis.padded for axis in conv.axes)  # so that the kernel fits
    x, w = numbers(item(batch, wide), seed), numbers(conv.weight_shape, seed)
    space = conv.stride if name == "valid" else 1, name, conv.dilation, conv.groups
    ours = getattr(toeplitz.functional, f"conv{conv.ndim}d")(x, w, None, *space)
    same(ours, function(torch, "conv", conv.ndim)(*plain(torch, x, w), None, *space).numpy())


@warns_about_same
@given(convs(names=False, input_dilation=False, stride=1), seeds, st.booleans())
def test_conv_pads_as_torchs_layer_with_that_padding_mode(torch, conv, seed, same_size):
    n, mode = conv.ndim, conv.padding_mode
    inputs = conv.in_channels, *(axis.padded + axis.extent for axis in conv.axes)
    padding = "same" if same_size else tuple(axis.extent - 1 for axis in conv.axes)
    ours = toeplitz.Conv(inputs, conv.weight_shape, 1, padding, conv.dilation, conv.groups, mode)
    theirs = getattr(torch.nn, f"Conv{n}d")(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        padding=padding,
        dilation=conv.dilation,
        groups=conv.groups,
        padding_mode=mode,
        dtype=torch.float64,
    )
    x, w, b = (doubles(s, seed) for s in (inputs, conv.weight_shape, (conv.out_channels,)))
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(w))
        theirs.bias.copy_(torch.from_numpy(b))
        same(ours.apply(x, w, b), theirs(torch.from_numpy(x)).numpy())


# Transposed


def transposed_by_torch(torch, up):
    """Torch cuts both sides alike, so the whole output is taken and cut afterwards."""
    whole = function(torch, "conv_transpose", up.ndim)

    def f(x, w, b):
        y = whole(x, w, None, up.stride, 0, up.output_padding, up.groups, up.dilation)
        y = padded(torch, y, [(-before, -after) for before, after in up.padding])
        return y if b is None else y + b.reshape(-1, *[1] * up.ndim)

    return f


@often
@given(conv_transposes(), seeds, batches, st.booleans(), KINDS)
def test_conv_transpose_and_its_gradients_are_torchs(torch, up, seed, batch, biased, numbers):
    arrays, g = filled(numbers, up, batch, seed, biased)
    check(torch, transposed_by_torch(torch, up), up.apply, up.gradients, arrays, g)


@given(conv_transposes(), seeds, batches, st.booleans(), KINDS)
def test_functional_conv_transpose_takes_torchs_arguments_in_torchs_order(
    torch, up, seed, batch, biased, numbers
):
    (x, w, b), _ = filled(numbers, up, batch, seed, biased)
    padding = tuple(max(0, min(pair)) for pair in up.padding)
    space = up.stride, padding, up.output_padding, up.groups, up.dilation
    ours = getattr(toeplitz.functional, f"conv_transpose{up.ndim}d")(x, w, b, *space)
    theirs = function(torch, "conv_transpose", up.ndim)
    same(ours, theirs(*plain(torch, x, w, b), *space).numpy())


# Patches


IMAGES = convs(
    most_axes=2, modes=["zeros"], names=False, groups=False, input_dilation=False
).filter(lambda conv: conv.ndim == 2)


@given(IMAGES, seeds, batches)
def test_unfold_and_fold_are_torchs(torch, conv, seed, batch):
    space = conv.kernel_size, conv.dilation, on_both_sides(conv), conv.stride
    x = doubles(item(batch, conv.input_shape), seed)
    tensor = leaf(torch, x)
    patches = torch.nn.functional.unfold(tensor, *space)
    same(toeplitz.functional.unfold(x, *space), patches.detach().numpy())

    p = doubles(patches.shape, seed)
    size = conv.input_shape[1:]
    folded = toeplitz.functional.fold(p, size, *space)
    same(folded, torch.nn.functional.fold(torch.from_numpy(p), size, *space).numpy())
    patches.backward(torch.from_numpy(p))  # each is the other's gradient
    same(folded, tensor.grad.numpy())


# Linear


@given(
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(1, 5),
    st.integers(1, 5),
    seeds,
    st.booleans(),
    KINDS,
)
def test_linear_and_its_gradients_are_torchs(torch, lead, inputs, outputs, seed, biased, numbers):
    x, w = numbers((*lead, inputs), seed), numbers((outputs, inputs), seed + 1)
    b = numbers((outputs,), seed + 2) if biased else None
    g = numbers((*lead, outputs), seed + 3)

    def gradients(g, x, w):
        rows = [a.reshape(int(np.prod(lead)), a.shape[-1]) for a in (g, x)]
        grad_x, *others = toeplitz.Linear(inputs, outputs).gradients(*rows, w)
        return grad_x.reshape(x.shape), *others

    theirs, ours = torch.nn.functional.linear, toeplitz.functional.linear
    check(torch, theirs, ours, gradients, [x, w, b], g)


@given(st.lists(st.integers(0, 3), max_size=3), st.integers(1, 5), seeds, st.booleans())
def test_linear_with_a_vector_of_weights_is_torchs(torch, lead, inputs, seed, biased):
    x, w = doubles((*lead, inputs), seed), doubles((inputs,), seed + 1)
    b = np.array(float(seed)) if biased and len(lead) != 1 else None  # torch fails on a matrix x
    ours = toeplitz.functional.linear(x, w, b)
    same(ours, torch.nn.functional.linear(*plain(torch, x, w, b)).numpy())


# Half precision


def halves(torch, need):
    """Torch's dtype and numpy's, and the unit roundoff: half the distance from 1 to the next."""
    return {
        "float16": (torch.float16, np.dtype(np.float16), 2.0**-11),
        "bfloat16": (torch.bfloat16, np.dtype(need("ml_dtypes").bfloat16), 2.0**-8),
    }


def rounded(tensor, dtype):
    """A float64 tensor rounded once to a half, as float64."""
    return tensor.detach().to(dtype).to(tensor.dtype).numpy()


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@given(layer=convs().filter(torch_pads) | conv_transposes(), seed=seeds, batch=batches)
def test_halves_are_the_float64_result_rounded_once(torch, need, name, layer, seed, batch):
    half, dtype, _ = halves(torch, need)[name]

    # |x| <= 15: sums of fewer than 2**24 / 15**2 products are integers that float32 holds, so
    # ours rounds once, at the end; up to 65504 / 15**2 = 291 of them no float16 overflows.
    def numbers(shape, seed):
        return (integers_like(shape, seed) % 31 - 15).astype(np.float64)

    arrays, _ = filled(numbers, layer, batch, seed, True)
    by = by_torch if isinstance(layer, toeplitz.Conv) else transposed_by_torch
    y = by(torch, layer)(*plain(torch, *arrays))
    ours = layer.apply(*(array.astype(dtype) for array in arrays))
    assert ours.dtype == dtype
    same(ours.astype(np.float64), rounded(y, half))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@given(conv=convs().filter(torch_pads), seed=seeds)
def test_halves_that_are_no_integers_stay_within_the_derived_bound(torch, need, name, conv, seed):
    half, dtype, u = halves(torch, need)[name]
    rng = np.random.default_rng(seed)
    shapes = conv.input_shape, conv.weight_shape, (conv.out_channels,)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    exact = [array.astype(np.float64) for array in arrays]
    f = by_torch(torch, conv)
    y, scale = (f(*plain(torch, *some)).numpy() for some in (exact, [abs(a) for a in exact]))
    # An output is a sum of at most n products and a bias in float32: by Higham (3.5) it is
    # within gamma_{n+1} (|T||x| + |b|), gamma_k = k v / (1 - k v), v = 2**-24, whatever the
    # order. (+1: a tap that falls together with others is added to them first.) Then it is
    # rounded once, by at most u times itself, or half a subnormal step. In float64 the same
    # happens with v = 2**-53: the 1 % more on gamma covers that.
    n = np.prod(conv.weight_shape[1:]) + 1
    gamma = 1.01 * n * 2.0**-24 / (1 - n * 2.0**-24)
    step = float(torch.finfo(half).smallest_normal) * u
    bound = gamma * scale + u * (abs(y) + gamma * scale) + step
    assert (abs(conv.apply(*arrays).astype(np.float64) - y) <= bound).all()
