"""Every number and matrix of the lectures; the names of the tests are their bullets."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal as same

from toeplitz import AvgPool, Conv, ConvTranspose, Linear, MaxPool

A, B, C = 1, 10, 100  # the kernel (a, b, c): every sum of some of them is recognised
ABC = np.array([[[A, B, C]]])
NINE = np.arange(9).reshape(1, 3, 3)
FOUR = np.arange(4).reshape(1, 1, 2, 2)


def matrix(*arguments, **keywords):
    return Conv(*arguments, **keywords).matrix(ABC).toarray()


def outputs(n, k, **keywords):
    """The output size of a square layer, which is the same on both axes."""
    _, height, width = Conv((1, n, n), (1, 1, k, k), **keywords).output_shape
    assert height == width
    return height


# Shapes and counts


@pytest.mark.parametrize(
    "n, k, s, p, d, out",
    [
        (7, 3, 1, 0, 1, 5),
        (7, 3, 2, 0, 1, 3),
        (7, 3, 3, 0, 1, 2),  # 2.33: the window does not fit
        (7, 3, 1, 1, 1, 7),
        (7, 3, 1, 0, 2, 3),
        (7, 3, 2, 2, 3, 3),
    ],
)
def test_L1_output_size(n, k, s, p, d, out):
    assert outputs(n, k, stride=s, padding=p, dilation=d) == out
    assert out == (n + 2 * p - (d * (k - 1) + 1)) // s + 1


@pytest.mark.parametrize("k", [1, 3, 5, 7])
def test_L1_same_padding_of_an_odd_kernel_is_half_of_it(k):
    conv = Conv((1, 9), (1, 1, k), padding="same")
    assert conv.padding == (((k - 1) // 2, (k - 1) // 2),)
    assert conv.output_shape == (1, 9)


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_L2_a_total_padding_of_one_less_than_the_kernel_keeps_the_size(k):
    total = k - 1
    conv = Conv((1, 8, 6), (1, 1, k, k), padding=((total // 2, total - total // 2),) * 2)
    assert conv.output_shape[1:] == (8 - k + total + 1, 6 - k + total + 1) == (8, 6)
    assert conv == Conv((1, 8, 6), (1, 1, k, k), padding="same")
    before, after = conv.padding[0]
    assert (before != after) == (k % 2 == 0)


def test_L3_ten_filters_on_a_colour_image():
    conv = Conv((3, 32, 32), (10, 3, 5, 5), stride=1, padding=2)
    assert conv.output_shape == (10, 32, 32)
    assert conv.weight_count == 750
    assert conv.parameters == 10 * (5 * 5 * 3 + 1) == 760
    assert conv.macs == 10 * 32 * 32 * 75 == 768_000
    assert conv.triple_count == conv.cost().nnz == 711_480


def test_L4_six_activation_maps():
    conv = Conv((3, 32, 32), (6, 3, 5, 5))
    assert conv.output_shape == (6, 28, 28)
    assert conv.parameters == 6 * 3 * 5 * 5 + 6
    y = conv.apply(np.ones((2, 3, 32, 32)), np.ones((6, 3, 5, 5)), np.arange(6))
    same(y, np.broadcast_to(75 + np.arange(6)[:, None, None], (2, 6, 28, 28)))


def test_L4_two_layers_without_a_nonlinearity_between_are_one():
    first, second = Conv((1, 6), (1, 1, 3)), Conv((1, 4), (1, 1, 2))
    both = second.matrix([[[1, 2]]]) @ first.matrix([[[1, 10, 100]]])
    same(both.toarray(), Conv((1, 6), (1, 1, 4)).matrix([[[1, 12, 120, 200]]]).toarray())


def test_L5_a_fully_connected_layer_has_a_weight_for_every_pixel():
    dense = Conv((1, 256, 256), (128, 1, 256, 256))  # a kernel as large as the image
    assert dense.output_shape == (128, 1, 1)
    assert dense.weight_count == 128 * 65_536 == 8_388_608  # "9 M" on the slide
    assert Conv((1, 256, 256), (1, 1, 256, 256)).weight_count == 65_536
    assert Conv((1, 256, 256), (128, 1, 3, 3)).parameters == 1_280
    assert np.prod(Conv((3, 32, 32), (10, 3, 5, 5)).input_shape) == 3_072


def test_L5_each_output_of_a_linear_layer_is_a_row_times_the_stretched_image():
    conv = Conv((2, 3, 4), (5, 2, 3, 4))
    w = np.arange(120).reshape(conv.weight_shape)
    same(conv.matrix(w).toarray(), w.reshape(5, 24))


def test_L6_a_1x1_convolution_is_a_linear_layer_at_every_position():
    conv = Conv((3, 4, 5), (2, 3, 1, 1))
    w, x = np.arange(6).reshape(conv.weight_shape), np.arange(60).reshape(3, 4, 5)
    same(conv.apply(x, w), np.einsum("oi,ihw->ohw", w[:, :, 0, 0], x))
    same(conv.matrix(w).toarray(), np.kron(w[:, :, 0, 0], np.eye(20)))


@pytest.mark.parametrize(
    "k, p, s, n, out", [(3, 1, 1, 8, 8), (5, 2, 1, 8, 8), (1, 0, 1, 8, 8), (3, 1, 2, 8, 4)]
)
def test_L7_common_settings(k, p, s, n, out):
    assert outputs(n, k, padding=p, stride=s) == out


def test_L7_whatever_fits():
    # F = 5, S = 2 on 8: no equal padding fits without remainder, one row more on one side does.
    conv = Conv((1, 8, 8), (1, 1, 5, 5), stride=2, padding=((1, 2), (1, 2)))
    assert conv.output_shape == (1, 4, 4)
    assert [(8 + 2 * p - 5) % 2 for p in range(4)] == [1, 1, 1, 1]


def test_L8_from_128_to_192_channels():
    conv = Conv((128, 26, 26), (192, 128, 3, 3), padding=1)
    assert conv.output_shape == (192, 26, 26)
    assert conv.weight_shape == (192, 128, 3, 3)
    assert outputs(26, 3) == 24  # without the padding
    code = Conv((128, 26, 26), (192, 128, 1, 1))
    assert code.output_shape == (192, 26, 26)
    assert AvgPool(code.output_shape, 3, 2, 1).output_shape == (192, 13, 13)


def test_L9_arguments_are_an_int_or_one_per_axis_height_first():
    conv = Conv((1, 9, 20), (1, 1, 3, 5), (2, 3), (1, 0), (1, 2))
    assert conv.output_shape == (1, 5, 4)
    assert Conv((1, 9, 9), (1, 1, 3, 3), 2, 1, 1).output_shape == (1, 5, 5)


def test_L9_the_bias_is_added_to_each_output_channel():
    conv = Conv((2, 3), (2, 2, 2))
    x, w = np.arange(6).reshape(2, 3), np.arange(8).reshape(2, 2, 2)
    channels = [
        bias + sum(np.correlate(x[k], w[j, k], "valid") for k in range(2))
        for j, bias in enumerate((7, 9))
    ]
    same(conv.apply(x, w, [7, 9]), channels)


def test_L9_two_groups_are_two_layers_side_by_side():
    conv, half = Conv((4, 5), (6, 2, 3), groups=2), Conv((2, 5), (3, 2, 3))
    x, w = np.arange(20).reshape(4, 5), np.arange(36).reshape(6, 2, 3)
    same(conv.apply(x, w), np.concatenate([half.apply(x[:2], w[:3]), half.apply(x[2:], w[3:])]))


def test_L9_as_many_groups_as_channels_is_depthwise():
    conv, one = Conv((3, 5), (3, 1, 3), groups=3), Conv((1, 5), (1, 1, 3))
    x, w = np.arange(15).reshape(3, 5), np.arange(9).reshape(3, 1, 3)
    same(
        conv.apply(x, w), np.concatenate([one.apply(x[c : c + 1], w[c : c + 1]) for c in range(3)])
    )


# The matrix form


def test_M1_a_valid_convolution_is_a_band():
    same(
        matrix((1, 8), (1, 1, 3)),
        [
            [A, B, C, 0, 0, 0, 0, 0],
            [0, A, B, C, 0, 0, 0, 0],
            [0, 0, A, B, C, 0, 0, 0],
            [0, 0, 0, A, B, C, 0, 0],
            [0, 0, 0, 0, A, B, C, 0],
            [0, 0, 0, 0, 0, A, B, C],
        ],
    )


def test_M2_a_stride_of_two_keeps_every_second_row():
    strided = [[A, B, C, 0, 0, 0, 0], [0, 0, A, B, C, 0, 0], [0, 0, 0, 0, A, B, C]]
    same(matrix((1, 7), (1, 1, 3), stride=2), strided)
    same(matrix((1, 7), (1, 1, 3))[::2], strided)


def test_M3_padding_drops_columns_of_the_padded_inputs_matrix():
    padded = matrix((1, 7), (1, 1, 3), padding=1)
    same(padded, matrix((1, 9), (1, 1, 3))[:, 1:-1])
    assert padded.shape == (7, 7)
    same(padded[0], [B, C, 0, 0, 0, 0, 0])
    same(padded[-1], [0, 0, 0, 0, 0, A, B])


def test_M4_it_is_a_convolution_with_the_flipped_filter():
    x = np.arange(8)
    y = Conv((1, 8), (1, 1, 3)).apply(x[None], ABC)[0]
    same(y, np.convolve(x, [C, B, A], "valid"))
    same(y, np.correlate(x, [A, B, C], "valid"))


def test_M5_a_transposed_convolution_is_the_transpose():
    same(
        ConvTranspose((1, 7), (1, 1, 3), padding=1).matrix(ABC).toarray(),
        [
            [B, A, 0, 0, 0, 0, 0],
            [C, B, A, 0, 0, 0, 0],
            [0, C, B, A, 0, 0, 0],
            [0, 0, C, B, A, 0, 0],
            [0, 0, 0, C, B, A, 0],
            [0, 0, 0, 0, C, B, A],
            [0, 0, 0, 0, 0, C, B],
        ],
    )
    up = ConvTranspose((1, 3), (1, 1, 3), stride=2).matrix(ABC).toarray()
    same(up.T, [[A, B, C, 0, 0, 0, 0], [0, 0, A, B, C, 0, 0], [0, 0, 0, 0, A, B, C]])


def colours():
    """A small layer on a batch: conv, g, x, w."""
    conv = Conv((3, 5, 4), (2, 3, 3, 2), stride=(2, 1), padding=1)
    rng = np.random.default_rng(0)
    shapes = (4, *conv.output_shape), (4, *conv.input_shape), conv.weight_shape
    return conv, *(rng.integers(-9, 10, shape) for shape in shapes)


def test_M6_a_convolution_is_unfold_then_a_product():
    conv, _, x, w = colours()
    y = w.reshape(2, -1) @ conv.patches(x)
    same(y.reshape(4, *conv.output_shape), conv.apply(x, w))


def test_M6_a_transposed_convolution_is_a_product_then_fold():
    conv, g, _, w = colours()
    up = ConvTranspose(conv.output_shape, w.shape, conv.stride, 1)
    assert up.output_shape == conv.input_shape
    columns = w.reshape(2, -1).T @ g.reshape(4, 2, -1)
    same(up.apply(g, w), conv.fold(columns))


def test_M7_the_gradients_are_products_with_the_transposes():
    conv, g, x, w = colours()
    grad_x, grad_w, grad_b = conv.gradients(g, x, w)
    rows = g.reshape(4, 2, -1)
    same(grad_x, conv.fold(w.reshape(2, -1).T @ rows))
    same(grad_w.reshape(2, -1), (rows @ conv.patches(x).transpose(0, 2, 1)).sum(axis=0))
    same(grad_b, rows.sum(axis=(0, 2)))
    same(grad_x, ConvTranspose(conv.output_shape, w.shape, conv.stride, 1).apply(g, w))


@pytest.mark.parametrize("layers, k", [(1, 3), (2, 3), (4, 3), (3, 5)])
def test_M8_the_receptive_field_grows_by_a_kernel_less_one(layers, k):
    size, product = 40, None
    for _ in range(layers):
        conv = Conv((1, size), (1, 1, k))
        T = conv.matrix(np.ones(conv.weight_shape, int))
        product, size = T if product is None else T @ product, conv.output_shape[1]
    assert set(np.count_nonzero(product.toarray(), axis=1)) == {1 + layers * (k - 1)}


def test_M8_strides_make_it_grow_faster():
    first, second = Conv((1, 11), (1, 1, 3), stride=2), Conv((1, 5), (1, 1, 3))
    product = second.matrix(ABC) @ first.matrix(ABC)
    assert set(np.diff(product.indptr)) == {7}  # 3 in the layer before, 7 in the input


# Worked numbers


def test_W1_the_first_example():
    same(Conv((1, 3, 3), (1, 1, 2, 2)).apply(NINE, FOUR), [[[19, 25], [37, 43]]])
    padded = Conv((1, 3, 3), (1, 1, 2, 2), padding=1).apply(NINE, FOUR)
    same(padded, [[[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]])


def test_W2_the_slide_says_stride_2_and_shows_stride_3_and_2():
    two = Conv((1, 3, 3), (1, 1, 2, 2), stride=2, padding=1).apply(NINE, FOUR)
    same(two, [[[0, 8], [21, 43]]])
    shown = Conv((1, 3, 3), (1, 1, 2, 2), stride=(3, 2), padding=1).apply(NINE, FOUR)
    same(shown, [[[0, 8], [6, 8]]])


def test_W3_two_channels_are_added():
    x, w = np.concatenate([NINE, NINE + 1]), np.concatenate([FOUR, FOUR + 1], axis=1)
    y = Conv((2, 3, 3), (1, 2, 2, 2)).apply(x, w)
    assert y[0, 0, 0] == (1 * 1 + 2 * 2 + 4 * 3 + 5 * 4) + (0 * 0 + 1 * 1 + 3 * 2 + 4 * 3) == 56
    same(y, [[[56, 72], [104, 120]]])


def test_W4_a_vertical_edge():
    image = np.repeat([[10, 0]], 3, axis=1).repeat(6, axis=0)[None]
    kernel = np.array([[[[1, 0, -1]] * 3]])
    same(Conv((1, 6, 6), (1, 1, 3, 3)).apply(image, kernel), [[[0, 30, 30, 0]] * 4])


def test_W5_max_pooling():
    x = np.array([[[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]])
    same(MaxPool((1, 4, 4), 2, 2).apply(x), [[[6, 8], [3, 4]]])
    same(MaxPool((1, 3, 3), 2, 1).apply(NINE), [[[4, 5], [7, 8]]])


def test_W6_misprints_differ_from_the_matrix():
    assert {len(row) for row in matrix((1, 8), (1, 1, 3))} == {8}  # the slide has a row of nine
    transposed = ConvTranspose((1, 7), (1, 1, 3), padding=1).matrix(ABC).toarray().tolist()
    assert [0, 0, C, B, A, 0, 0] in transposed
    assert [0, A, C, B, A, 0, 0] not in transposed


# Networks


def test_N3_the_shapes_of_LeNet():
    first = Conv((1, 28, 28), (20, 1, 5, 5), padding=2)
    assert first.output_shape == (20, 28, 28)
    half = MaxPool(first.output_shape, 2, 2)
    assert half.output_shape == (20, 14, 14)
    second = Conv(half.output_shape, (50, 20, 5, 5), padding=2)
    assert second.output_shape == (50, 14, 14)
    quarter = MaxPool(second.output_shape, 2, 2)
    assert quarter.output_shape == (50, 7, 7)
    assert np.prod(quarter.output_shape) == 2450
    hidden, scores = Linear(2450, 500), Linear(500, 10)
    layers = first, second, hidden, scores
    assert [layer.parameters for layer in layers] == [520, 25_050, 1_225_500, 5_010]


def test_N4_every_variant_is_a_convolution():
    assert Conv((3, 10), (4, 3, 3)).output_shape == (4, 8)
    assert Conv((3, 10, 9, 8), (4, 3, 3, 3, 3)).output_shape == (4, 8, 7, 6)
    assert Conv((3, 10), (6, 1, 3), groups=3).output_shape == (6, 8)  # depthwise, multiplier 2
    assert Conv((96, 27, 27), (256, 48, 5, 5), padding=2, groups=2).output_shape == (256, 27, 27)
    assert Conv((1, 10), (1, 1, 3), dilation=2).output_shape == (1, 6)
    assert ConvTranspose((4, 8), (4, 3, 3), stride=2).output_shape == (3, 17)


# Claims


def test_C2_shifting_the_input_shifts_the_output_away_from_the_border():
    conv, x = Conv((1, 9), (1, 1, 3), stride=2), np.arange(1, 10)
    y, shifted = conv.apply(x[None], ABC)[0], conv.apply(np.roll(x, 2)[None], ABC)[0]
    same(shifted[1:], y[:-1])


def test_C3_local_correlations_first_are_a_band():
    T = matrix((1, 40), (1, 1, 3), padding=1)
    output, input = np.nonzero(T)
    assert np.abs(output - input).max() == 1


def test_C6_the_matrix_has_no_more_distinct_entries_than_weights():
    conv = Conv((3, 8, 8), (4, 3, 3, 3), padding=1)
    w = np.arange(1, 1 + conv.weight_count).reshape(conv.weight_shape)
    T = conv.matrix(w)
    assert len(np.unique(T.data)) == conv.weight_count == 108
    assert T.shape[0] * T.shape[1] == 49_152
