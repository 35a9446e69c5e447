"""Laws that a convolution must obey whatever its numbers: Fourier, shifts, composition."""

import itertools

import numpy as np
from geometries import convs, integers_like, seeds
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz


def tensor(conv, w):
    """T(w) with its axes apart: (O, *P, C, *S)."""
    return conv.matrix(w).toarray().reshape(*conv.output_shape, *conv.input_shape)


@given(convs(), seeds)
def test_the_matrices_are_linear_in_what_they_are_made_of(conv, seed):
    v, w = (integers_like(conv.weight_shape, s) for s in (seed, seed + 1))
    same(conv.matrix(2 * v - 3 * w).toarray(), (2 * conv.matrix(v) - 3 * conv.matrix(w)).toarray())
    x, y = (integers_like(conv.input_shape, s) for s in (seed, seed + 1))
    U, V = conv.unfolded(x), conv.unfolded(y)
    same(conv.unfolded(2 * x - 3 * y).toarray(), (2 * U - 3 * V).toarray())


# Fourier

rings = convs(
    modes=["circular"], names=False, groups=False, input_dilation=False, stride=1,
    padding="same",
)  # fmt: skip


def rolled_kernel(conv, w):
    """The kernel on the ring of the input, each tap where output 0 meets it, opposite taps added.

    Output p reads input p + k d - before: the ring holds w[k] at k d - before.
    """
    ring = np.zeros((*w.shape[:2], *conv.input_shape[1:]), w.dtype)
    for k in np.ndindex(conv.kernel_size):
        steps = zip(k, conv.dilation, conv.padding, conv.input_shape[1:], strict=True)
        at = tuple((tap * d - before) % n for tap, d, (before, _), n in steps)
        ring[:, :, *at] += w[:, :, *k]
    return ring


@given(rings, seeds)
def test_circular_convolution_is_a_product_of_fourier_transforms(conv, seed):
    assert conv.output_shape[1:] == conv.input_shape[1:]
    x, w = integers_like(conv.input_shape, seed), integers_like(conv.weight_shape, seed)
    space = tuple(range(-conv.ndim, 0))
    # Cross-correlation: the transform of the kernel is conjugated.
    kernel = np.fft.fftn(rolled_kernel(conv, w), axes=space).conj()
    y = np.fft.ifftn(np.einsum("oc...,c...->o...", kernel, np.fft.fftn(x, axes=space)), axes=space)
    same(np.rint(y.real), conv.apply(x, w))  # integers, and the rounding is far below a half


@given(rings, seeds)
def test_the_fourier_transform_diagonalises_a_circular_matrix(conv, seed):
    conv = toeplitz.Conv(
        (1, *conv.input_shape[1:]), (1, 1, *conv.kernel_size), padding="same",
        dilation=conv.dilation, padding_mode="circular",
    )  # fmt: skip
    w = integers_like(conv.weight_shape, seed)
    sizes = conv.input_shape[1:]
    eigenvalues = np.fft.fftn(rolled_kernel(conv, w)[0, 0]).conj().ravel()
    n = len(eigenvalues)
    waves = np.fft.ifftn(np.eye(n).reshape(n, *sizes), axes=range(1, 1 + len(sizes)))
    waves = n * waves.reshape(n, n)  # row f: the wave of frequency f, entries of modulus 1
    # |fl(T v) - λ v| ≤ (taps + 2 log₂ n + 2) · 8 u · Σ|w|: a sum of `taps` products and an FFT.
    taps = w.size
    bound = (taps + 2 * np.log2(n) + 2) * 8 * 2.0**-53 * np.abs(w).sum()
    for wave, eigenvalue in zip(waves, eigenvalues, strict=True):
        assert np.abs(conv.matrix(w) @ wave - eigenvalue * wave).max() <= bound


# Shifts


@st.composite
def whole_rings(draw):
    """A circular Conv whose strides divide its input, so that it closes on itself."""
    conv = draw(convs(modes=["circular"], names=False, input_dilation=False))
    sizes = [s * draw(st.integers(1, 3)) for s in conv.stride]
    return toeplitz.Conv(
        (conv.in_channels, *sizes), conv.weight_shape, conv.stride, "same_upper",
        conv.dilation, conv.groups, "circular",
    )  # fmt: skip


@given(whole_rings(), seeds)
def test_shifting_the_ring_by_a_stride_shifts_the_output_by_one(conv, seed):
    T = tensor(conv, integers_like(conv.weight_shape, seed))
    for axis, stride in enumerate(conv.stride):
        output, input = 1 + axis, 2 + conv.ndim + axis
        same(np.roll(T, (1, stride), axis=(output, input)), T)  # shift_out T shift_in⁻¹ = T


@given(whole_rings(), seeds)
def test_a_shifted_image_gives_a_shifted_output(conv, seed):
    x, w = integers_like(conv.input_shape, seed), integers_like(conv.weight_shape, seed)
    space = range(1, 1 + conv.ndim)
    shifted = np.roll(x, conv.stride, axis=space)
    same(conv.apply(shifted, w), np.roll(conv.apply(x, w), (1,) * conv.ndim, axis=space))


@given(convs(modes=["zeros"]), seeds)
def test_with_zeros_around_the_matrix_is_constant_along_its_diagonals(conv, seed):
    # Entry (p + e, i + s) is entry (p, i): s inputs of e steps each are e outputs of s steps.
    T = tensor(conv, integers_like(conv.weight_shape, seed))
    for axis, (stride, apart) in enumerate(zip(conv.stride, conv.input_dilation, strict=True)):
        moved = np.moveaxis(T, (1 + axis, 2 + conv.ndim + axis), (0, 1))
        same(moved[apart:, stride:], moved[:-apart, :-stride])


@given(convs(), seeds)
def test_what_stands_around_matters_only_to_windows_that_reach_it(conv, seed):
    other = toeplitz.Conv(
        conv.input_shape,
        conv.weight_shape,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        input_dilation=conv.input_dilation,
    )
    inside = other.matrix(np.ones(conv.weight_shape)).sum(axis=1) == np.prod(conv.weight_shape[1:])
    w = integers_like(conv.weight_shape, seed)
    same(conv.matrix(w).toarray()[inside], other.matrix(w).toarray()[inside])


# Composition


def composed_kernel(first, second, v, w):
    """The kernel of second after first: w[k] and v[j] meet at tap k s₁ d₂ + j d₁."""
    steps = [
        (s * d, e) for s, d, e in zip(first.stride, second.dilation, first.dilation, strict=True)
    ]
    sizes = [
        a * (k - 1) + b * (j - 1) + 1
        for (a, b), k, j in zip(steps, second.kernel_size, first.kernel_size, strict=True)
    ]
    kernel = np.zeros((len(w), v.shape[1], *sizes), int)
    for k, j in itertools.product(np.ndindex(w.shape[2:]), np.ndindex(v.shape[2:])):
        at = tuple(a * p + b * q for (a, b), p, q in zip(steps, k, j, strict=True))
        kernel[:, :, *at] += w[:, :, *k] @ v[:, :, *j]
    return kernel


@st.composite
def stacks(draw, **first_arguments):
    """Two layers, the second reading what the first gives; the second without padding."""
    first = draw(convs(groups=False, **first_arguments))
    kernel = [draw(st.integers(1, n)) for n in first.output_shape[1:]]
    dilation = [
        draw(st.integers(1, (n - 1) // max(k - 1, 1) if k > 1 else 3))
        for n, k in zip(first.output_shape[1:], kernel, strict=True)
    ]
    stride = [draw(st.integers(1, 3)) for _ in kernel]
    weights = (draw(st.integers(1, 2)), first.out_channels, *kernel)
    return first, toeplitz.Conv(first.output_shape, weights, stride, 0, dilation)


@given(stacks(), seeds)
def test_two_layers_are_one_whose_kernel_is_composed(layers, seed):
    first, second = layers
    v, w = integers_like(first.weight_shape, seed), integers_like(second.weight_shape, seed)
    kernel = composed_kernel(first, second, v, w)
    stride = [a * b for a, b in zip(first.stride, second.stride, strict=True)]
    both = toeplitz.Conv(
        first.input_shape, kernel.shape, stride, first.padding,
        padding_mode=first.padding_mode, input_dilation=first.input_dilation,
    )  # fmt: skip
    assert both.output_shape == second.output_shape
    same((second.matrix(w) @ first.matrix(v)).toarray(), both.matrix(kernel).toarray())


@given(
    convs(groups=False, names=False, modes=["zeros"], input_dilation=False, stride=1,
          padding="full"),
    seeds, st.integers(1, 3), st.integers(0, 3),
)  # fmt: skip
def test_after_full_padding_the_second_layer_may_be_padded_too(first, seed, size, padding):
    # Beyond what the first layer gives in full there are only zeros, as the padding says.
    weights = (2, first.out_channels, *(min(size, n) for n in first.output_shape[1:]))
    second = toeplitz.Conv(first.output_shape, weights, padding=padding)
    v, w = integers_like(first.weight_shape, seed), integers_like(weights, seed)
    kernel = composed_kernel(first, second, v, w)
    sides = [(lo + padding, hi + padding) for lo, hi in first.padding]
    both = toeplitz.Conv(first.input_shape, kernel.shape, padding=sides)
    same((second.matrix(w) @ first.matrix(v)).toarray(), both.matrix(kernel).toarray())


@given(stacks(), seeds)
def test_affine_maps_compose_as_their_layers_do(layers, seed):
    first, second = layers
    x = integers_like(first.input_shape, seed)
    v, w = integers_like(first.weight_shape, seed), integers_like(second.weight_shape, seed)
    a, b = integers_like(first.output_shape[:1], seed), integers_like(second.output_shape[:1], seed)
    hidden = first.apply(x, v, a)
    map = second.linearize(hidden, w, b) @ first.linearize(x, v, a)
    same(map(x).reshape(second.output_shape), second.apply(hidden, w, b))
    same(map.A.toarray(), (second.matrix(w) @ first.matrix(v)).toarray())


@given(convs(), seeds, st.sampled_from([0, 1, 3]))
def test_a_batch_linearizes_to_one_block_for_each_item(conv, seed, batch):
    x, w = integers_like((batch, *conv.input_shape), seed), integers_like(conv.weight_shape, seed)
    b = integers_like(conv.output_shape[:1], seed)
    affine = conv.linearize(x, w, b)
    same(affine.A.toarray(), np.kron(np.eye(batch), conv.matrix(w).toarray()))
    same(affine(x).reshape(batch, *conv.output_shape), conv.apply(x, w, b))


# Counterexamples: each law is seen to fail where it must


def test_without_a_ring_a_shift_is_not_a_shift():
    conv = toeplitz.Conv((1, 4), (1, 1, 3), padding="same")
    T = tensor(conv, np.array([[[1, 2, 3]]]))
    assert (np.roll(T, (1, 1), axis=(1, 3)) != T).any()


def test_a_stride_that_does_not_divide_the_ring_breaks_the_shift():
    conv = toeplitz.Conv((1, 5), (1, 1, 1), 2, padding_mode="circular")
    T = tensor(conv, np.array([[[1]]]))
    assert (np.roll(T, (1, 2), axis=(1, 3)) != T).any()


def test_padding_between_two_layers_is_not_padding_before_them():
    first = toeplitz.Conv((1, 3), (1, 1, 3), padding=1)
    second = toeplitz.Conv((1, 3), (1, 1, 3), padding=1)
    v = w = np.array([[[1, 2, 3]]])
    both = toeplitz.Conv((1, 3), (1, 1, 5), padding=2)
    kernel = composed_kernel(first, second, v, w)
    assert ((second.matrix(w) @ first.matrix(v)).toarray() != both.matrix(kernel).toarray()).any()
