"""The derived bounds, number for number: neither looser nor tighter than their derivation says."""

from math import inf, isinf, sqrt

import numpy as np
import pytest

from toeplitz import Conv, ConvTranspose, Linear
from verify.case import Case
from verify.data import gamma, unit
from verify.ops import OPS
from verify.rounding import (
    Scale,
    allowed,
    arithmetic,
    bound,
    copies,
    direct_bound,
    fft_bound,
    least_broken,
    lengths,
    may_be_rounding,
    scale_forward,
    scales_backward,
    tf32_bound,
    transform_error,
    winograd_bound,
)
from verify.winograd import HALF, choices, grown, growth, matrices

U = 2.0**-24
SCALE = Scale(4, np.array([2.0, 6.0]), 3.0, taps=9, lengths=(8, 4), growth=5.0, tiled=2.5)


def close(got, wanted):
    """Equal but for the rounding of the bound itself."""
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=0)


# Units and sums


def test_gamma_of_numbers_that_are_exact():
    assert gamma(1, 0.125) == 0.125 / 0.875
    assert gamma(4, 0.125) == 1
    assert gamma(7, 0.125) == 7
    assert isinf(gamma(8, 0.125))
    assert isinf(gamma(9, 0.125))
    assert gamma(9, 0.0) == 0


def test_the_unit_roundoff_of_each_dtype():
    bits = {"float16": 11, "bfloat16": 8, "float32": 24, "complex64": 24, "float64": 53}
    assert {name: unit(name) for name in bits} == {name: 2.0**-b for name, b in bits.items()}
    assert unit("complex128") == 2.0**-53
    assert unit("int8") == unit("int64") == 0


def test_the_direct_bound_of_each_kind_of_dtype():
    def times(factor):
        return factor * SCALE.magnitude

    close(direct_bound(SCALE, "float32"), times(gamma(4, U)))
    close(direct_bound(SCALE, "float64"), times(gamma(4, 2.0**-53)))
    for name, u in (("float16", 2.0**-11), ("bfloat16", 2.0**-8)):  # summed in float32
        close(direct_bound(SCALE, name), times(gamma(4, U) + u * (1 + gamma(4, U))))
    close(direct_bound(SCALE, "complex64"), times(sqrt(2) * gamma(8, U)))
    close(direct_bound(SCALE, "complex128"), times(sqrt(2) * gamma(8, 2.0**-53)))
    assert not direct_bound(SCALE, "int32").any()


def test_the_bound_of_sums_of_products_rounded_to_tf32():
    product = (1 + 2.0**-11) ** 2 - 1  # both factors rounded
    close(tf32_bound(SCALE, "float32"), (product + gamma(4, U) * (1 + product)) * SCALE.magnitude)


# Fast algorithms


def test_the_error_of_transforms_by_hand():
    def level(radix):
        return sqrt(radix) * (radix + 4) + 5

    two = 6 * sqrt(2) + 5
    close(transform_error(1), 10 + two)  # radix 1 needs more than no bits
    close(transform_error(8), 3 * two + two)  # three levels of 2, and one for real data
    close(transform_error(11), sqrt(11) * 15 + 5 + two)  # one level of 11
    close(transform_error(49), 7 * 53 + 5 + two)
    # From 50 on Bluestein's: transforms of 256 = 4 * 64 for 64, that is 8 bits of 16 u.
    close(transform_error(64), (sqrt(2) + 4) * 8 * 16 * 8 + 2 * 8 * 5 + 2 * 5)
    assert transform_error(50) > level(50) + two
    close(transform_error(4096), level(4096) + two)


def test_the_bound_of_a_convolution_by_fft():
    e = (1 + gamma(transform_error(8), U)) * (1 + gamma(transform_error(4), U)) - 1
    before = (1 + e) ** 2 * (1 + 5 * U) * (1 + gamma(8, U)) - 1
    back = e * (3 + before * sqrt(32))  # 3: the root of 9 taps
    error = (before + back) * 3
    close(fft_bound(SCALE, "float32"), error + (gamma(1, U) + U) * (SCALE.magnitude + error))
    kept = error + (gamma(1, U) + 2.0**-11) * (SCALE.magnitude + error)
    close(fft_bound(SCALE, "float16"), kept)


def test_the_bound_of_winograds_algorithm():
    def stored(error):
        return error + (gamma(1, U) + U) * (SCALE.magnitude + error)

    # 4 products and a multiplication, and 3 transforms of 8 products on each of 2 axes.
    close(winograd_bound(SCALE, "float32"), stored(5 * gamma(5 + 3 * 9 * 2, U) * 2.5))
    close(winograd_bound(SCALE, "complex64"), stored(sqrt(2) * 5 * gamma(2 * 59, U) * 2.5))
    untiled = Scale(4, SCALE.magnitude, 3.0, 9, (8, 4), 5.0)
    close(winograd_bound(untiled, "float32"), stored(5 * gamma(59, U) * 3))


def test_the_growth_of_one_axis_by_hand():
    assert growth(0) == growth(1) == growth(1, True) == 1
    # F(m, 2) at up to 8 points, and the best known tile: A = (1 0; 1 1; 0 1), three products.
    a, g, b = (np.array(m, float) for m in matrices(2, 2, [0, 1, None]))
    assert a.tolist() == [[1, 0], [1, 1], [0, 1]]
    assert g.tolist() == [[-1, 0], [1, 1], [0, 1]]
    assert b.tolist() == [[-1, 1, 0], [0, 1, 0], [0, -1, 1]]
    for taps in range(2, 8):  # the usual tiles of up to 8 cells, for up to so many taps
        tiles = [(m, r) for r in range(2, taps + 1) for m in range(2, 8) if m + r - 1 <= 8]
        for back in (False, True):
            every = [grown(m, r, p, back) for m, r in tiles for p in choices(m + r - 1)]
            assert growth(taps, back) == max(every)
    for taps, blocks in ((7, 1), (8, 2), (14, 2), (15, 3)):
        close(growth(taps), sqrt(blocks) * growth(7))
        close(growth(taps, True), sqrt(blocks) * growth(7, True))


def test_the_usual_points_of_a_tile():
    assert choices(3) == [(0, 1, None), (0, 1, None), (0, 1, -1), (0, 1, -1)]
    assert choices(5)[:2] == [(0, 1, -1, 2, None), (0, 1, -1, HALF, None)]
    assert choices(7)[2:] == [(0, 1, -1, 2, -2, HALF, -HALF), (0, 1, -1, HALF, -HALF, 2, -2)]
    assert choices(8) == [(*points, None) for points in choices(7)[2:]]


def test_the_growth_of_a_tile_by_hand():
    # At 0, 1 and infinity A, G and B are as above; |G_p|₂ |B_p|₂ is √2 each.
    points = (0, 1, None)
    close(grown(2, 2, points), 2 * sqrt(2))
    # |A_p|₂ |G_p|₂ is 1, 2 and 1, and the middle column of B has no zero. Two tiles overlap.
    close(grown(2, 2, points, True), sqrt(2) * (1 + 2 + 1))
    # At 0, 1 and -1 the gradient to w grows more: G is (-1 0; ½ ½; ½ -½), |A_p|₂ |B_p|₂ √2, 2, 2.
    close(grown(2, 2, (0, 1, -1), True), sqrt(2) * (sqrt(2) + 1 + 1))


def test_what_toeplitz_itself_rounds_is_added():
    for dtype, wide in (
        ("float64", "float64"),
        ("float32", "float64"),
        ("float16", "float64"),
        ("complex64", "complex128"),
        ("complex128", "complex128"),
    ):
        own = direct_bound(SCALE, wide)
        for name, of in (
            ("direct", direct_bound),
            ("fft", fft_bound),
            ("winograd", winograd_bound),
        ):
            assert (bound(SCALE, dtype, name) == of(SCALE, dtype) + own).all()


# What the bounds are made of


def test_a_transform_is_as_long_as_padded_input_and_kernel_to_a_power_of_two():
    def of(layer, op="conv1d"):
        return lengths(Case(OPS[op], layer))

    found = [of(Conv((1, n), (1, 1, 1))) for n in range(1, 10)]
    assert found == [(n,) for n in (1, 2, 4, 4, 8, 8, 8, 8, 16)]
    assert of(Conv((1, 4), (1, 1, 2))) == (8,)  # 5 numbers
    assert of(Conv((1, 4), (1, 1, 2), padding=((0, 1),))) == (8,)
    assert of(Conv((1, 4), (1, 1, 2), dilation=3, padding=2)) == (16,)  # 8 and 4: 11
    up = ConvTranspose((1, 3), (1, 1, 2), stride=3)
    assert of(up, "conv_transpose1d") == (16,)  # the 8 outputs and 2
    assert of(Linear(5, 3), "linear") == ()


def test_how_often_a_padded_input_has_a_number():
    def of(mode, padding=((2, 1), (0, 3))):
        layer = Conv((1, 4, 5), (1, 1, 2, 2), padding=padding, padding_mode=mode)
        return copies(Case(OPS["padded_conv2d"], layer))

    assert of("zeros") == 1
    assert of("replicate") == of("circular") == (1 + 2 + 1) * (1 + 0 + 3)
    assert of("replicate", ((2, -1), (-2, 0))) == 3  # what is cut off is no copy
    assert copies(Case(OPS["conv2d"], Conv((1, 4, 5), (1, 1, 2, 2), padding=1))) == 1
    up = ConvTranspose((1, 4), (1, 1, 3), padding=2)
    assert copies(Case(OPS["conv_transpose1d"], up)) == 1
    assert copies(Case(OPS["linear"], Linear(5, 3))) == 1


def norms(case):
    return {name: float(np.linalg.norm(getattr(case.arrays, name))) for name in "xwg"}


def test_the_scale_of_a_convolution():
    layer = Conv((4, 5, 6), (6, 2, 3, 2), (2, 1), ((1, 0), (0, 2)), groups=2)
    case = Case(OPS["conv2d"], layer, batch=2, bias=True, seed=3)
    arrays, scale = case.arrays, scale_forward(case)
    size = norms(case)
    assert scale.terms == 2 * 3 * 2 + 1
    magnitude = layer.apply(abs(arrays.x), abs(arrays.w), abs(arrays.b))
    assert np.array_equal(scale.magnitude, magnitude)
    close(scale.norm, size["x"] * size["w"])
    assert (scale.taps, scale.lengths) == (6, (8, 16))
    close(scale.growth, growth(3) * growth(2))
    largest = max(np.linalg.norm(w) for w in arrays.w)
    close(scale.tiled, sqrt(2 * 8 * 8 * 2) * abs(arrays.x).max() * largest)


def test_the_scale_of_a_convolution_whose_padding_copies():
    layer = Conv((1, 2), (1, 1, 9), padding=((3, 4),), padding_mode="replicate")
    case = Case(OPS["padded_conv1d"], layer, dtype="float32", seed=1)
    scale, size = scale_forward(case), norms(case)
    close(scale.norm, sqrt(8) * size["x"] * size["w"])
    assert scale.taps == 9  # fewer than 2 * 8 padded inputs
    assert isinf(scale.tiled)  # nine taps are cut into blocks
    wide = Case(OPS["padded_conv1d"], Conv((1, 1), (1, 1, 9), padding=((3, 5),),
                padding_mode="replicate"))  # fmt: skip
    assert scale_forward(wide).taps == 9
    assert scale_forward(Case(OPS["conv1d"], Conv((1, 1), (1, 1, 9), padding=4))).taps == 1


def test_tiles_are_known_for_kernels_of_up_to_seven_taps():
    def of(layer, op="conv1d", **more):
        return scale_forward(Case(OPS[op], layer, **more)).tiled

    assert of(Conv((1, 9), (1, 1, 7))) < inf
    assert of(Conv((1, 9), (1, 1, 8))) == inf
    assert of(Conv((1, 9, 9), (1, 1, 1, 8)), "conv2d") == inf
    assert of(Conv((1, 9), (1, 1, 7)), batch=0) == inf
    assert of(ConvTranspose((1, 9), (1, 1, 2)), "conv_transpose1d") == inf
    linear = Case(OPS["linear"], Linear(5, 3), batch=2)
    rows = max(np.linalg.norm(w) for w in linear.arrays.w)
    close(scale_forward(linear).tiled, sqrt(5) * abs(linear.arrays.x).max() * rows)
    assert scale_forward(linear).growth == 1


def test_the_scale_of_a_transposed_convolution():
    layer = ConvTranspose((4, 3), (4, 1, 5), stride=2, groups=2)
    case = Case(OPS["conv_transpose1d"], layer, batch=2, seed=2)
    scale, size = scale_forward(case), norms(case)
    assert scale.terms == 4 * 5 + 1
    assert scale.taps == 3  # fewer inputs than taps
    close(scale.norm, size["x"] * size["w"])
    close(scale.growth, growth(5, True))
    assert not case.bias
    assert np.array_equal(scale.magnitude, layer.apply(abs(case.arrays.x), abs(case.arrays.w)))


def test_the_scales_of_the_gradients():
    layer = Conv((2, 4), (3, 2, 3), padding=((2, 1),), padding_mode="circular")
    case = Case(OPS["padded_conv1d"], layer, batch=2, seed=4)
    arrays, size = case.arrays, norms(case)
    to_x, to_w, to_b = scales_backward(case)
    outputs, inputs, often = 5, 4, 4
    assert to_x.terms == 3 * 2 * 3 * often + 1
    assert to_w.terms == 2 * max(outputs, inputs) + 1
    assert to_b.terms == 2 * outputs + 1
    close(to_x.norm, size["g"] * size["w"] * often)
    close(to_w.norm, size["g"] * size["x"] * sqrt(often))
    close(to_b.norm, size["g"] * sqrt(2 * outputs))
    assert (to_x.taps, to_w.taps, to_b.taps) == (3, outputs, 1)
    assert to_x.lengths == to_w.lengths == lengths(case) == (16,)
    assert to_b.lengths == ()
    close(to_x.growth, growth(3, True))
    close(to_w.growth, growth(3, True))
    assert to_b.growth == 1
    assert to_x.tiled == to_w.tiled == to_b.tiled == inf
    sums = layer.gradients(abs(arrays.g), abs(arrays.x), abs(arrays.w))
    for scale, magnitude in zip((to_x, to_w, to_b), sums, strict=True):
        assert np.array_equal(scale.magnitude, magnitude)


def test_the_scales_of_gradients_count_the_smaller_array_and_the_more_places():
    few = scales_backward(Case(OPS["conv1d"], Conv((1, 7), (1, 1, 6), stride=1)))
    assert [scale.taps for scale in few] == [2, 2, 1]
    assert few[1].terms == 7 + 1  # more inputs than outputs
    many = scales_backward(Case(OPS["conv1d"], Conv((1, 3), (1, 1, 2), padding=3)))
    assert [scale.taps for scale in many] == [2, 3, 1]


# What a claim allows


def test_what_each_claim_allows():
    assert allowed("float32", "auto") == ("direct", "fft", "winograd", "tf32")
    assert allowed("float64", "auto") == ("direct", "fft", "winograd")
    assert allowed("float32", "direct") == ("direct",)
    assert allowed("float32", "tf32") == ("direct", "tf32")
    assert allowed("float64", "tf32") == ("direct",)
    assert allowed("float64", "winograd") == ("direct", "winograd")


LOOSE = Scale(4, np.array(1.0), 1e6, 9, (8, 4))  # by FFT and Winograd off by more than a unit


@pytest.mark.parametrize(
    ("error", "exact", "seen"),
    [
        ([], True, "direct"),
        ([0.0, 0.0], True, "direct"),
        ([0.0, 0.25], True, "fft"),
        ([0.0, 0.5], True, None),
        ([0.0, 0.5], False, "fft"),
        ([0.0, 1e-9], True, "fft"),  # exact sums leave no room for a direct one
        ([0.0, 1e-9], False, "direct"),
        ([0.0, 1e9], False, None),
        ([0.0, inf], False, None),
        ([np.nan, 0.0], False, None),
    ],
)
def test_the_arithmetic_that_explains_an_error(error, exact, seen):
    assert arithmetic(np.array(error), LOOSE, "float32", "auto", exact) == seen


def test_an_error_is_explained_by_the_first_bound_that_it_keeps():
    scale = Scale(4, np.array(1.0), 1.0, 9, (8, 4), 1e9)
    names = ("direct", "fft", "winograd")
    by = {name: float(bound(scale, "float32", name)) for name in names}
    assert sorted(by, key=by.get) == list(names)
    for name, most in by.items():
        assert arithmetic(np.array(most), scale, "float32", "auto", False) == name
        assert arithmetic(np.array(most), scale, "float32", name, False) == name
        assert arithmetic(np.array(most * 1.001), scale, "float32", name, False) is None
    flat = Scale(4, np.array(1.0), 1e-9)
    most = float(bound(flat, "float32", "tf32"))
    assert arithmetic(np.array(most), flat, "float32", "auto", False) == "tf32"
    assert arithmetic(np.array(most), flat, "float32", "auto", True) is None
    assert arithmetic(np.array(most), flat, "float64", "auto", False) is None
    assert arithmetic(np.array(most * 1.001), flat, "float32", "auto", False) is None


def test_of_several_bounds_the_one_that_the_fewest_errors_break_is_told():
    scale = Scale(4, np.array(1.0), 1.0, 9, (8, 4), 1e9)
    fft = float(bound(scale, "float32", "fft"))
    assert float(least_broken(np.array([fft, fft]), scale, "float32", "auto")) == fft
    flat = Scale(4, np.array(1.0), 1e-9)
    most = float(bound(flat, "float32", "tf32"))
    assert float(least_broken(np.array([most, 2.0]), flat, "float32", "auto")) == most


def test_where_a_fast_algorithm_may_be_off_by_a_unit_the_data_tell_nothing():
    one = np.array([0.0, 1.0])
    assert may_be_rounding(one, LOOSE, "float32", "auto")
    assert may_be_rounding(one, LOOSE, "float32", "fft")
    assert not may_be_rounding(one, LOOSE, "float32", "direct")
    assert not may_be_rounding(one, LOOSE, "float32", "tf32")
    assert not may_be_rounding(one, LOOSE, "float64", "auto")
    direct = Scale(10**6, np.array(1e6), 1e-9)
    assert not may_be_rounding(one, direct, "float32", "auto")  # but for a direct sum
