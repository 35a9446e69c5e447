"""ConvTranspose: the literal transpose of a Conv, against loops that know no Conv."""

import loops
import numpy as np
import pytest
from geometries import (
    batches,
    conv_transposes,
    gaussian_like,
    integers_like,
    item,
    seeds,
    transpose_keywords,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz

FORMATS = ("csr", "csc", "coo", "bsr", "dense")
LAYOUTS = ("channels_first", "channels_last")


def dense(matrix):
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


@given(conv_transposes(most_axes=4), seeds)
def test_both_matrices_give_what_the_loops_give(up, seed):
    x, w = integers_like(up.input_shape, seed), integers_like(up.weight_shape, seed)
    y = loops.conv_transpose(x, w, **transpose_keywords(up))
    assert up.output_shape == y.shape
    same((up.matrix(w) @ x.ravel()).reshape(y.shape), y)
    same((up.unfolded(x) @ w.ravel()).reshape(y.shape), y)


@given(conv_transposes(), seeds, batches, st.booleans())
def test_apply_gives_what_the_loops_give_for_each_item(up, seed, batch, biased):
    x = integers_like(item(batch, up.input_shape), seed)
    w = integers_like(up.weight_shape, seed)
    b = integers_like(up.output_shape[:1], seed) if biased else None
    items = x[None] if batch is None else x
    y = [loops.conv_transpose(one, w, b, **transpose_keywords(up)) for one in items]
    same(up.apply(x, w, b), np.reshape(y, item(batch, up.output_shape)))


@given(conv_transposes(), seeds, st.sampled_from([1, 3]))
def test_gradients_are_the_adjoints_of_the_loops(up, seed, batch):
    shapes = (batch, *up.output_shape), (batch, *up.input_shape), up.weight_shape
    g, x, w = (gaussian_like(shape, seed) for shape in shapes)
    grad_x, grad_w, grad_b = up.gradients(g, x, w)
    assert (grad_x.shape, grad_w.shape) == (x.shape, w.shape)
    same(grad_b, g.sum(axis=(0, *range(2, g.ndim))))
    for probe in (1, 2):  # ⟨g, A v⟩ = ⟨Aᴴ g, v⟩ for any v: A by the loops, Aᴴ g ours
        other_x, other_w = (gaussian_like(a.shape, seed + probe) for a in (x, w))
        space = transpose_keywords(up)
        y = [loops.conv_transpose(one, w, **space) for one in other_x]
        assert np.vdot(g, np.array(y, complex)) == np.vdot(grad_x, other_x)
        y = [loops.conv_transpose(one, other_w, **space) for one in x]
        assert np.vdot(g, np.array(y, complex)) == np.vdot(grad_w, other_w)


@given(conv_transposes(), seeds)
def test_gradients_without_a_batch_axis_are_those_of_a_batch_of_one(up, seed):
    g, x = integers_like(up.output_shape, seed), integers_like(up.input_shape, seed)
    w = integers_like(up.weight_shape, seed)
    alone, batched = up.gradients(g, x, w), up.gradients(g[None], x[None], w)
    same(alone[0], batched[0][0])
    same(alone[1], batched[1])
    same(alone[2], batched[2])


@given(conv_transposes())
def test_an_empty_batch_has_zero_gradients(up):
    g, x = np.zeros((0, *up.output_shape)), np.zeros((0, *up.input_shape))
    grad_x, grad_w, grad_b = up.gradients(g, x, np.ones(up.weight_shape))
    assert grad_x.shape == x.shape
    same(grad_w, np.zeros(up.weight_shape))
    same(grad_b, np.zeros(up.output_shape[0]))


@given(conv_transposes(most_axes=4), seeds, st.sampled_from(FORMATS), st.sampled_from(LAYOUTS))
def test_the_matrix_is_the_transpose_of_the_convolutions(up, seed, format, layout):
    w = integers_like(up.weight_shape, seed, np.float32)
    matrix = up.matrix(w, format, layout)
    assert getattr(matrix, "format", "dense") == format
    assert matrix.dtype == np.float32
    assert up.conv.output_shape == up.input_shape
    assert up.conv.input_shape == up.output_shape
    assert up.conv.weight_shape == up.weight_shape
    same(dense(matrix), dense(up.conv.matrix(w, layout=layout)).T)
    if format in ("csr", "csc", "bsr"):
        matrix.check_format(full_check=True)
        assert matrix.has_canonical_format
        assert matrix.has_sorted_indices


def as_conv(up):
    """The same map as a Conv: zeros between the inputs, and padding for what a tap reaches."""
    extents = [d * (k - 1) for d, k in zip(up.dilation, up.weight_shape[2:], strict=True)]
    padding = [
        (reach - before, reach - after + extra)
        for reach, (before, after), extra in zip(
            extents, up.padding, up.output_padding, strict=True
        )
    ]
    C, height, *kernel = up.weight_shape
    shape = (height * up.groups, C // up.groups, *kernel)
    return toeplitz.Conv(
        up.input_shape,
        shape,
        padding=padding,
        dilation=up.dilation,
        groups=up.groups,
        input_dilation=up.stride,
    )


@given(conv_transposes(most_axes=4), seeds)
def test_it_is_the_convolution_of_the_spread_input_with_the_flipped_kernel(up, seed):
    C, height, *kernel = up.weight_shape
    w = integers_like(up.weight_shape, seed)
    grouped = w.reshape(up.groups, C // up.groups, height, *kernel)
    conv = as_conv(up)
    swapped = np.flip(grouped.swapaxes(1, 2).reshape(conv.weight_shape), range(2, w.ndim))
    assert conv.output_shape == up.output_shape
    same(up.matrix(w).toarray(), conv.matrix(swapped).toarray())
    assert conv.triple_count == up.triple_count


@given(conv_transposes(), seeds)
def test_the_operator_is_the_matrix(up, seed):
    w = gaussian_like(up.weight_shape, seed)
    T, operator = up.matrix(w), up.operator(w)
    assert (operator.shape, operator.dtype) == (T.shape, T.dtype)
    O, I = T.shape
    X, G = gaussian_like((I, 2), seed), gaussian_like((O, 3), seed)
    same(operator @ X[:, 0], T @ X[:, 0])
    same(operator @ X, T @ X)
    same(operator.rmatvec(G[:, 0]), T.conj().T @ G[:, 0])
    same(operator.rmatmat(G), T.conj().T @ G)
    same(operator.T @ G, T.T @ G)
    same(operator.H @ G, T.conj().T @ G)


def stored(matrix):
    """The bytes of a matrix's arrays."""
    if isinstance(matrix, np.ndarray):
        return matrix.nbytes
    rest = matrix.coords if matrix.format == "coo" else (matrix.indices, matrix.indptr)
    return sum(array.nbytes for array in (matrix.data, *rest))


@given(conv_transposes())
def test_the_cost_is_what_the_arrays_take(up):
    w, cost = np.ones(up.weight_shape, "f8"), up.cost("f8")
    assert (cost.nnz, cost.shape) == (up.matrix(w).nnz, up.matrix(w).shape)
    for format in ("csr", "csc", "coo", "dense"):
        matrix = up.matrix(w, format)
        assert cost.bytes[format] == stored(matrix), format
    assert cost.bytes["bsr"] == stored(up.matrix(w, "bsr", "channels_last"))


@given(conv_transposes())
def test_counts_are_those_of_the_convolution(up):
    assert up.weight_count == np.prod(up.weight_shape)
    assert up.parameters == up.weight_count + up.output_shape[0]
    assert up.macs == np.prod(up.input_shape) * np.prod(up.weight_shape[1:])
    assert up.triple_count == up.matrix(np.ones(up.weight_shape)).sum() <= up.macs


@given(conv_transposes())
def test_it_is_canonical_hashable_and_written_as_it_is_read(up):
    again = eval(repr(up), {"ConvTranspose": toeplitz.ConvTranspose})
    assert again == up
    assert hash(again) == hash(up)
    assert again.conv == up.conv


@given(conv_transposes(), seeds)
def test_it_linearizes_to_its_matrix_and_bias(up, seed):
    x, w = integers_like((2, *up.input_shape), seed), integers_like(up.weight_shape, seed)
    b = integers_like(up.output_shape[:1], seed)
    affine = up.linearize(x, w, b)
    same(affine(x).reshape(2, *up.output_shape), up.apply(x, w, b))
    one = up.linearize(x[0], w, b)
    same(one.A.toarray(), up.matrix(w).toarray())


# Corners, by hand

KERNEL = np.array([[[1, 10, 100]]])


def columns(*arguments, **keywords):
    return toeplitz.ConvTranspose(*arguments, **keywords).matrix(KERNEL).toarray().T.tolist()


def test_output_padding_may_reach_the_stride_where_the_dilation_is_larger():
    # (2 - 1) 1 + 3 (3 - 1) + 1 + 2 = 10 outputs: the last two see no input.
    assert columns((1, 2), (1, 1, 3), output_padding=2, dilation=3) == [
        [1, 0, 0, 10, 0, 0, 100, 0, 0, 0],
        [0, 1, 0, 0, 10, 0, 0, 100, 0, 0],
    ]


def test_output_padding_adds_outputs_after_which_less_padding_would_have_shown():
    assert columns((1, 2), (1, 1, 3), stride=2, padding=1) == [[10, 100, 0], [0, 1, 10]]
    assert columns((1, 2), (1, 1, 3), stride=2, padding=1, output_padding=1) == [
        [10, 100, 0, 0],
        [0, 1, 10, 100],
    ]


def test_padding_wider_than_the_kernel_cuts_into_the_output():
    assert columns((1, 5), (1, 1, 3), padding=3) == [[0], [100], [10], [1], [0]]


def test_padding_of_two_sides_cuts_each_side_by_its_own():
    assert columns((1, 2), (1, 1, 3), padding=((2, 0),)) == [[100, 0], [10, 100]]
    assert columns((1, 2), (1, 1, 3), padding=((0, 2),)) == [[1, 10], [0, 1]]


def test_negative_padding_adds_zeros():
    assert columns((1, 1), (1, 1, 3), padding=((-1, -2),)) == [[0, 1, 10, 100, 0, 0]]


@pytest.mark.parametrize("padding", [1, (1, 1), [1, 1], ((1, 1), (1, 1)), np.array([1, 1])])
def test_padding_may_be_written_in_any_way(padding):
    up = toeplitz.ConvTranspose((1, 3, 3), (1, 1, 3, 3), padding=padding)
    assert up.padding == ((1, 1), (1, 1))
    assert up == toeplitz.ConvTranspose((1, 3, 3), (1, 1, 3, 3), padding=1)
