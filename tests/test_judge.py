"""The judge judged: right implementations acquitted, broken ones found and named.

The corpus was written without a look at the judge's list of mistakes. By default every right
implementation is judged with one seed; over 20 seeds, as before a release:

    TOEPLITZ_JUDGE_SEEDS=20 python -m pytest tests/test_judge.py -k acquitted -n 2

and the broken ones with the budget that users have (500 geometries, the default here is BUDGET):

    TOEPLITZ_JUDGE_BUDGET=500 python -m pytest tests/test_judge.py -k broken -n 2
"""

import json
import os
import warnings

import numpy as np
import pytest
from corpus import BROKEN, RIGHT
from hypothesis import given

import verify
from toeplitz import Conv
from verify.case import Case
from verify.ops import OPS
from verify.oracle import fft_conv, sliding_conv
from verify.rounding import bound, scale_forward
from verify.strategies import Space, cases

SEEDS = range(int(os.environ.get("TOEPLITZ_JUDGE_SEEDS", "1")))
BUDGET = int(os.environ.get("TOEPLITZ_JUDGE_BUDGET", "60"))

# Mistakes where no right call shows them: outside what an op promises.
OUTSIDE = {
    "never_crops": "negative padding crops in our layers, PyTorch's argument has no such thing",
    "not_quite_full": "padding='full' is a name of ours that no implementation need know",
    "adds_n_instead_of_modulo": "PyTorch refuses circular padding wider than the input",
}

# The words that the judge has for each mistake; told with less, ", only where …" is left out.
NAMED = {
    "convolves_like_a_mathematician": "kernel flipped",
    "counts_columns_down": "kernel flipped along the width only",
    "fft_of_a_convolution": "kernel flipped",
    "kernel_lies_on_its_side": "kernel height and width swapped",
    "strides_from_the_last_axis": "stride of depth and width swapped",
    "pads_width_by_height": "padding of height and width swapped",
    "dilates_the_other_axis": "dilation of height and width swapped",
    "one_stride_is_enough": "height stride used for both axes",
    "one_dilation_is_enough": "depth dilation used for all axes",
    "arguments_in_another_order": "stride and dilation exchanged",
    "starts_in_every_cell": "stride ignored",
    "reads_neighbours": "dilation ignored, though the output size is right",
    "as_strided_without_stride": "stride ignored, though the output size is right",
    "dilation_counts_holes": "dilation one too large",
    "stride_counts_the_skipped": "stride one too large",
    "frames_the_picture_askew": "input put one cell too early along the width",
    "pads_pictures_not_volumes": "padding ignored along the depth",
    "causal_padding": "padding before the input only",
    "pads_twice": "padding doubled",
    "rounds_the_size_up": "output size rounded up",
    "range_without_plus_one": "last output row missing where the windows end with the input",
    "columns_in_pairs": (
        "last output column not written, only where the output's last axis is not a multiple of 2"
    ),
    "fft_too_short": "padding filled with the other end of the input: it wraps around",
    "forgets_that_minus_one_is_last": "an index below zero reads from the other end of the input",
    "keras_has_them_the_other_way": "weights read with input and output channels exchanged",
    "knows_no_groups": "every group reads the first group's channels",
    "deals_channels_like_cards": "groups interleaved",
    "filters_take_turns": "filter o belongs to group o modulo the groups",
    "slices_overlap": "group g reads from channel g, not from its own first",
    "one_set_of_filters": "group 0's weights used for every group",
    "groups_forget_dilation": "dilation ignored, only where groups > 1",
    "reshapes_instead_of_transposing": (
        "batch and output channels mixed: reshaped without a transpose"
    ),
    "items_in_pairs": "items of the batch not written: those behind the last whole block of 2",
    "the_first_speaks_for_all": "first item of the batch used for all",
    "zips_channels": "shapes that do not fit are cut to fit",
    "multiplies_in_the_wrong_order": "filter o belongs to group o modulo the groups",
    "one_kernel_slides_everywhere": "first filter used for every output channel",
    "multiplies_from_the_other_side": "weights read with input and output channels exchanged",
    "takes_the_bias_and_forgets_it": "bias missing",
    "groups_return_early": "bias missing, only where groups > 1",
    "starts_with_the_bias_too": "bias doubled",
    "adds_the_bias_inside_the_loop": "bias added once for each tap",
    "a_bias_for_each_group": "bias of the group used for each of its channels",
    "first_biases_again": "group 0's bias used for every group",
    "bias_by_the_flat_index": "bias taken by the flat index of the output, modulo the channels",
    "bias_as_a_column": "bias along the items of the batch instead of the channels",
    "fused_with_relu": "negative outputs set to zero",
    "strides_like_a_pool": (
        "kernel size taken for the stride, only where stride is left to its default"
    ),
    "an_integer_is_for_rows": (
        "stride ignored along the width, only where stride is written as one number"
    ),
    "shortcut_without_padding": "padding ignored, only where the kernel is a single tap",
    "shortcut_without_stride": "stride ignored, only where the kernel is a single tap",
    "multiplies_by_a_mask": "padding made by multiplying with zero",
    "means_well_with_nan": "a NaN or an infinity taken for a number",
    "blocks_do_not_accumulate": (
        "sums over blocks of 8 input channels not added up: the last block alone counts"
    ),
    "filters_in_fours": (
        "output channels without anything but their bias: those behind the last whole "
        "block of 4, only where the output channels are more than 4"
    ),
    "four_channels_at_a_time": "input channels left out: those behind the last whole block of 4",
    "last_tile_overlaps": "last block of 4 outputs moved back to fit, its inputs not",
    "tiles_of_eight": (
        "last output row not written, only where the output's first axis is not a multiple of 8 "
        "and the output's first axis is more than 8"
    ),
    "halo_of_four": "taps more than 4 cells from the first left out",
    "winograd_without_a_tail": "outputs not written: those behind the last whole block of 2",
    "channels_in_pairs": (
        "output channels without anything but their bias: those behind the last whole block of 2"
    ),
    "taps_unrolled_by_two": (
        "last tap of the kernel missing, only where the taps are not a multiple of 2"
    ),
    "zeros_without_a_dtype": "computes in a dtype of its own",
    "sums_in_half_precision": "low-precision accumulation",
    "single_precision_will_do": "low-precision accumulation",
    "reads_memory_in_order": "memory read as if it were contiguous",
    "strides_by_the_itemsize": "memory read as if it were contiguous",
    "stacks_the_items": "an empty batch taken for a wrong call",
    "lends_its_buffer": "state kept between calls",
    "buffer_with_a_dirty_border": "state kept between calls",
    "cache_with_too_small_a_key": "state kept between calls",
    "saves_an_allocation": "an argument changed in place",
    "adds_up_in_half_precision": "low-precision accumulation",
    "knows_one_size_only": "output_padding ignored",
    "pads_the_output_in_front": "output_padding before the output",
    "more_rows_for_more_columns": "output_padding of height and width swapped",
    "slides_without_turning": "kernel flipped",
    "weight_of_a_convolution": "weights read with input and output channels exchanged",
    "one_zero_too_many": "stride one too large",
    "upsamples_and_convolves": "inputs repeated where zeros belong",
    "cuts_nothing_off": "padding ignored",
    "cuts_the_end_only": "all padding after the input",
    "later_windows_win": "overlapping windows overwrite instead of adding",
    "stamps_close_together": "dilation ignored, though the output size heeds it",
    "inner_padding_without_dilation": "inner padding without the dilation: k - 1 - p",
    "never_pads_less_than_nothing": "inner padding below zero taken for zero",
    "outputs_take_turns": "output channels of the groups dealt out in turn",
    "allocates_without_clearing": "outputs that no window covers not written",
    "bias_with_every_stamp": "bias added once for each contribution to an output",
    "stops_a_row_early": "last input row not read",
    "adds_to_the_last_result": "state kept between calls",
    "upper_means_first": "same_upper and same_lower exchanged",
    "after_comes_before": "padding sides swapped, only where padding is given in numbers",
    "same_as_in_another_framework": "same padding computed without the stride",
    "same_for_the_bare_kernel": "same padding computed without the dilation",
    "same_without_a_maximum": "same padding may be negative, and crops",
    "reads_half_a_pair": "padding before the input used on both sides",
    "last_axis_first": "pairs of padding read from the last axis to the first",
    "rounds_the_size_down": "output size without the last window where input is left over",
    "one_same_for_all": "same padding of the last axis used for all axes",
    "wraps_one_too_many": "circular padding off by one",
    "mirror_between_the_cells": "reflection repeats the edge",
    "edge_of_zeros": "replicate padding filled with zeros",
    "the_earth_is_a_cylinder": "height padded with zeros whatever the padding_mode",
    "empty_corners": "corners of the padding filled with zeros",
    "one_table_for_all_modes": "state kept between calls",
    "names_mean_zeros": "padding_mode ignored where the padding has a name",
    "last_item_wins": "only the last item's gradient counted in grad_w",
    "means_not_sums": "grad_w averaged over the batch",
    "bias_of_one_item": "only the first item's gradient counted in grad_b",
    "mean_bias": "grad_b averaged over the positions",
    "gradient_is_not_spread": "grad_x ignores the stride",
    "keeps_the_padding": "grad_x not cropped by the padding",
    "crops_the_wrong_end": "grad_x ignores the padding",
    "does_not_turn_the_kernel": "grad_x with the kernel flipped",
    "assigns_instead_of_adding": "grad_x overwrites where windows overlap",
    "buffered_addition": "grad_x overwrites where windows overlap",
    "forgets_what_was_not_read": "grad_x too short: cells behind the last window left out",
    "sends_back_to_neighbours": "grad_x ignores the dilation",
    "gradient_with_one_stride": "grad_x uses the first axis's stride for all",
    "channels_come_back_shuffled": "groups dealt out in turn in grad_x",
    "weight_gradient_of_a_convolution": "grad_w flipped",
    "same_roles_in_the_weight_gradient": "grad_w exchanges stride and dilation",
    "weight_gradient_of_neighbours": "grad_w ignores the dilation",
    "weight_gradient_without_padding": "grad_w ignores the padding",
    "keeps_the_last_taps": "grad_w read from the wrong end, where input is left over",
    "weight_gradient_on_its_side": "grad_w with input and output channels exchanged",
    "weight_gradient_of_group_0": "grad_w uses the first group's channels for every group",
    "counts_one_tap_twice": "grad_w doubled, only where the kernel is a single tap",
    "nobody_trains_the_bias": "grad_b is all zeros",
    "half_a_bias": "low-precision accumulation",
    "reads_the_gradient_in_order": "memory read as if it were contiguous",
    "turns_the_callers_kernel": "an argument changed in place",
    "never_zeroes_the_gradient": "state kept between calls",
    "one_multiple_for_all": "grad_w of a group's first filter used for all of its filters",
    "averages_like_a_loss": "grad_w averaged over the batch",
    "turns_the_weight_gradient": "grad_w flipped",
    "reads_g_without_padding": "grad_x ignores the padding",
    "weight_gradient_at_stride_1": "grad_w ignores the stride",
    "comes_back_through_group_0": "grad_x uses group 0's weights for every group",
    "loses_what_wrapped": "grad_x takes circular padding for zeros",
    "crops_by_the_other_side": "grad_x swaps the padding sides",
}

FLIPPED = [
    "CV101 flipped is not T(w) x + b",
    "  case        Conv((1, 2), (1, 1, 2)), one impulse in x and one in w",
    "  where       y[0, 0, 0] = 0.0, should be 1.0",
    "              1 of 1 values differ; exact integers, no rounding possible",
    "  looks like  kernel flipped",
    "              explains all 102 results compared",
    "  not         last tap of the kernel missing, first tap of the kernel missing …",
    "  reproduce   import numpy as np",
    "              x = np.array([[[1.0, 0.0]]])",
    "              w = np.array([[[1.0, 0.0]]])",
    "              y = flipped(x, w)",
    '              print(y[0, 0, 0], "should be", 1.0)',
]


# Mistakes that float16 alone shows: it is judged where it is asked for.
IN_HALVES = {"sums_in_half_precision", "adds_up_in_half_precision", "half_a_bias"}


def judged(entry, seed=0, budget=BUDGET):
    dtypes = ("float64", "float32", "float16") if entry.name in IN_HALVES else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NaN and infinities are meant to be multiplied here
        return verify.check(
            entry.forward, entry.op, backward=entry.backward, max_examples=budget, seed=seed,
            dtypes=dtypes,
        )  # fmt: skip


def names(entries):
    return [entry.name for entry in entries]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("entry", RIGHT, ids=names(RIGHT))
def test_a_right_implementation_is_acquitted(entry, seed):
    report = judged(entry, seed)
    assert report.ok, str(report)
    assert report.cases or report.unsupported


@pytest.mark.parametrize("entry", BROKEN, ids=names(BROKEN))
def test_a_broken_implementation_is_found_shrunk_and_named(entry):
    entry.reset()
    report = judged(entry)
    if entry.name in OUTSIDE:
        return  # the table below says why; that it is reached at all is tested, not what is found
    assert not report.ok, entry.mistake
    wanted, _, only = NAMED[entry.name].partition(", only where ")
    for finding in report.findings:
        told, _, where = finding.name.partition(", only where ")
        assert (told, where) in ((wanted, only), (wanted, "")), str(report)
    assert len(report.findings) == 1, str(report)
    arrays, stated = report.findings[0].violation.case.arrays, entry.smallest
    found = sum(arrays.x.shape) + sum(arrays.w.shape)
    assert found <= stated.batch + sum(stated.input_shape) + sum(stated.weight_shape), str(report)


def test_every_broken_implementation_has_its_words():
    assert {*NAMED, *OUTSIDE} == set(names(BROKEN))
    assert len(NAMED) + len(OUTSIDE) == len(BROKEN)


def flipped(x, w):
    return np.stack([[np.convolve(item[0], w[0, 0], "valid")] for item in x])


def check_flipped():
    def one_channel(case):
        kernel, size = case.layer.weight_shape, case.layer.input_shape[1]
        return kernel[:2] == (1, 1) and case.batch and kernel[2] <= size

    return verify.check(flipped, "conv1d", supports=one_channel)


def test_a_finding_is_told_whole():
    finding = check_flipped().findings[0]
    assert str(finding).splitlines() == FLIPPED


def test_a_report_is_json():
    report = check_flipped()
    plain = json.loads(report.to_json())
    assert plain["suspect"] == "flipped"
    assert plain["ok"] is False
    assert plain["findings"][0]["name"] == "kernel flipped"
    assert Case.from_json(plain["findings"][0]["case"]).layer == Conv((1, 2), (1, 1, 2))


@pytest.mark.parametrize("op", ["conv1d", "conv2d", "conv3d"])
def test_four_witnesses_agree(op):
    """T(w) x, U(x) w, the sliding window and the FFT."""

    @given(cases(Space(OPS[op]), dtypes=("float64",)))
    def agree(case):
        layer, arrays = case.layer, case.arrays
        geometry = {
            name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")
        }
        expected = sliding_conv(arrays.x, arrays.w, arrays.b, **geometry)
        assert np.array_equal(layer.apply(arrays.x, arrays.w, arrays.b), expected)
        near = fft_conv(arrays.x, arrays.w, arrays.b, **geometry)
        within = bound(scale_forward(case), "float64", "fft")
        assert (abs(near - expected) <= within).all()
        assert (within < 0.5).all()  # integers: a mistake is off by one
        bias = 0 if arrays.b is None else arrays.b.reshape(-1, *[1] * case.op.ndim)
        for x, y in zip(arrays.x, expected, strict=True):
            assert np.array_equal((layer.matrix(arrays.w) @ x.ravel()).reshape(y.shape) + bias, y)
            unfolded = layer.unfolded(x) @ arrays.w.ravel()
            assert np.array_equal(unfolded.reshape(y.shape) + bias, y)

    agree()
