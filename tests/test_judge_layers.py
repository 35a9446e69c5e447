"""The judge judged on pools, batch norms, unfold, fold and pad; see test_judge.py."""

import os
import warnings

import numpy as np
import pytest
from corpus import BROKEN_LAYERS, RIGHT_LAYERS

import verify

SEEDS = range(int(os.environ.get("TOEPLITZ_JUDGE_SEEDS", "1")))
BUDGET = int(os.environ.get("TOEPLITZ_JUDGE_BUDGET", "120"))


# The words that the judge has for each mistake; told with less, ", only where …" is left out.
NAMED_LAYERS = {
    "pads_maxima_with_zeros": (
        "padding filled with zeros, which can win, what ceil_mode adds is not"
    ),
    "pads_with_minus_a_billion": "padding filled with -1e9, which can win",
    "starts_at_the_smallest_number": "a NaN or an infinity taken for a number",
    "starts_at_zero": "negative outputs set to zero",
    "strides_by_one": "stride one where it is left to its default, which is the kernel size",
    "pools_undilated": "dilation ignored",
    "dilates_only_the_size": "dilation ignored, though the output size is right",
    "never_rounds_up": "ceil_mode ignored",
    "starts_windows_in_the_padding": "ceil_mode keeps windows that start behind the input",
    "drops_a_window_too_many": "ceil_mode drops windows by where they start without the padding",
    "drops_nan": "a NaN or an infinity taken for a number",
    "compares_with_nan": "a NaN or an infinity taken for a number",
    "strides_by_the_height": "height stride used for both axes",
    "window_lies_on_its_side": "kernel size of height and width swapped",
    "pads_in_front_only": "padding before the input only",
    "pads_from_the_last_axis": "padding of depth and width swapped",
    "compares_integers_as_floats": "large numbers cut off, or kept in too few bits",
    "integers_become_floats": "computes in a dtype of its own",
    "trusts_the_memory": "memory read as if it were contiguous",
    "last_maximum_wins": "indices of the last of equal maxima",
    "indices_within_the_window": "indices within the window, not in the plane",
    "indices_of_the_padded_plane": "indices in the padded plane",
    "indices_over_all_channels": "indices counted over the channels too",
    "indices_down_the_columns": "indices numbered down the columns",
    "rewards_all_tied": "gradient sent to every one of equal maxima",
    "shares_among_tied": "gradient shared among equal maxima",
    "rewards_the_last": "gradient sent to the last of equal maxima",
    "overwrites_at_overlaps": "grad_x overwrites where windows overlap",
    "adds_by_fancy_index": "grad_x overwrites where windows overlap",
    "forgets_the_channel": "gradient of all channels sent to the first",
    "mistakes_the_index": "index within the window taken for one in the plane",
    "loses_to_zero_padding": (
        "maximum found among zeros of the padding, whose gradient is lost, "
        "what ceil_mode adds aside"
    ),
    "ignores_the_last_windows": "grad_x leaves out the windows that ceil_mode adds",
    "looks_for_nan": "a NaN or an infinity taken for a number",
    "adds_halves_to_halves": "low-precision accumulation",
    "takes_the_stride_for_the_kernel": "windows laid side by side, the kernel size for the stride",
    "goes_back_undilated": "grad_x ignores the dilation",
    "counts_what_is_not_there": (
        "divided by the whole window, also where ceil_mode makes it overhang"
    ),
    "never_counts_padding": "padding never counted",
    "always_counts_padding": "divided by the whole window always, only where padding not counted",
    "excludes_padding_behind_only": "only the padding behind the input left out of the count",
    "ignores_the_divisor": "divisor_override ignored",
    "divides_twice": "divisor_override applied to the average",
    "prefers_the_count": "divisor_override ignored, only where padding not counted",
    "averages_whole_windows_only": "ceil_mode ignored",
    "averages_the_padding": "ceil_mode keeps windows that start behind the input",
    "averages_at_every_step": (
        "stride one where it is left to its default, which is the kernel size"
    ),
    "averages_the_edge_again": "padding filled with the edge",
    "averages_on_its_side": "kernel size of height and width swapped",
    "sums_halves_in_halves": "low-precision accumulation",
    "does_not_count_zeros": "inputs that are zero not counted",
    "divides_by_an_area": "divided by the window without its depth",
    "returns_it_undivided": "gradient not divided",
    "divides_by_the_kernel": "gradient divided by the whole window always",
    "keeps_the_last_share": "grad_x overwrites where windows overlap",
    "includes_the_padding": "gradient counts padding where count_include_pad=False",
    "returns_by_the_count": "gradient ignores divisor_override",
    "returns_halves_to_halves": "low-precision accumulation",
    "floors_both_ends": "windows end at floor((i + 1) n / m) where they end at the ceiling",
    "slides_a_fixed_window": "windows of one size at one stride, n // m",
    "cuts_equal_pieces": "windows of one size, ceil(n / m), the last one shorter",
    "rounds_to_the_nearest": "window edges rounded to the nearest cell",
    "starts_too_late": "windows start at the ceiling where they start at the floor",
    "swaps_the_output_size": "output size of height and width swapped",
    "divides_by_the_first_size": "averages divided by the size of the first window",
    "uses_the_height_twice": "windows of the height used for the width",
    "adapts_around_nan": "a NaN or an infinity taken for a number",
    "adapts_the_index": "indices within the window, not in the plane",
    "adapts_to_the_last": "indices of the last of equal maxima",
    "adapts_the_last_share": "grad_x overwrites where windows overlap",
    "divides_by_the_ratio": "gradient divided by n / m, whatever the window holds",
    "repeats_the_gradient": "gradient of the nearest window alone, overlaps left out",
    "adapts_to_all_tied": "gradient sent to every one of equal maxima",
    "squeezes_the_axes": "spatial axes dropped",
    "averages_the_channels": "pooled over the channels too",
    "averages_the_batch": "pooled over the batch too",
    "averages_in_halves": "low-precision accumulation",
    "is_never_negative": "negative outputs set to zero",
    "overlooks_nan": "a NaN or an infinity taken for a number",
    "stays_at_the_surface": "only the first place along the depth read",
    "rewards_everyone": "gradient sent to every one of equal maxima",
    "divides_by_the_height": "gradient divided by the window's height only",
    "puts_taps_first": "rows in the order (taps, channels) where it is (channels, taps)",
    "reads_taps_downwards": "taps numbered down the columns",
    "slides_downwards": "windows numbered down the columns",
    "reads_taps_backwards": "taps numbered from the last to the first",
    "exchanges_stride_and_dilation": "stride and dilation exchanged",
    "lies_across": "rows and columns exchanged",
    "pads_by_the_height": "height padding used for both axes",
    "unfolds_the_edge": "padding filled with the edge",
    "unfolds_undilated": "dilation ignored",
    "unfold_keeps_the_last": "grad_x: overlapping windows overwrite instead of adding",
    "unfold_averages": "grad_x: overlapping windows averaged instead of added",
    "unfold_cuts_behind": "grad_x: padding cut off behind the image only",
    "unfold_mixes_rows": "grad_x: rows in the order (taps, channels) where it is (channels, taps)",
    "fold_overwrites": "overlapping windows overwrite instead of adding",
    "fold_averages": "overlapping windows averaged instead of added",
    "fold_exchanges_stride_and_dilation": "stride and dilation exchanged",
    "folds_undilated": "dilation ignored, though the number of windows heeds it",
    "fold_mixes_rows": "rows in the order (taps, channels) where it is (channels, taps)",
    "fold_cuts_behind": "padding cut off behind the image only",
    "folds_downwards": "windows numbered down the columns",
    "folds_halves_in_halves": "low-precision accumulation",
    "fold_divides_the_gradient": "grad_x: divided by how many windows read a cell",
    "fold_turns_the_taps": "grad_x: taps numbered from the last to the first",
    "fold_swaps_the_stride": "grad_x: stride of height and width swapped",
    "reads_the_first_axis_first": "pairs read from the first axis on",
    "exchanges_the_sides": "padding sides swapped",
    "pads_both_sides_alike": "padding before the input used on both sides",
    "repeats_the_edge": "reflection repeats the edge",
    "fills_the_edge": "replicate padding filled with the value",
    "wraps_the_wrong_way": "circular padding filled from the same side",
    "fills_with_zeros": "value ignored",
    "takes_no_negative_width": "negative padding taken for zero",
    "crops_the_other_end": "negative padding crops at the other end",
    "pads_integers_as_floats": "computes in a dtype of its own",
    "loses_the_reflection": "grad_x: what reflect padding copied is lost",
    "overwrites_the_edge": "grad_x: what replicate padding copied overwrites instead of adding",
    "unwraps_the_wrong_way": "grad_x: circular padding taken from the same side",
    "forgets_what_was_cropped": "grad_x too short: what was cropped is left out",
    "cuts_the_first_axis_first": "grad_x cut by the pairs from the first axis on",
    "normalises_each_position": "statistics of each position alone, over the items",
    "normalises_each_item": "statistics of each item alone",
    "normalises_all_channels": "statistics over the channels too",
    "normalises_unbiased": "unbiased variance used to normalise",
    "adds_eps_outside": "eps added to the root, not inside it",
    "adds_eps_twice": "eps added twice",
    "leaves_eps_out": "eps ignored",
    "knows_one_eps": "eps taken for 1e-5 always",
    "divides_by_the_variance": "variance taken for a standard deviation",
    "cancels_the_variance": "low-precision accumulation",
    "exchanges_weight_and_bias": "weight and bias exchanged",
    "scales_the_bias": "bias added before the scaling",
    "scales_each_position": "weight and bias along the last axis",
    "averages_halves_in_halves": "low-precision accumulation",
    "does_not_centre": "mean not subtracted",
    "runs_biased": "biased variance in the running variance",
    "keeps_by_momentum": "momentum reversed in the running mean and variance",
    "runs_a_deviation": "standard deviation in the running variance",
    "replaces_the_statistics": "running mean and variance replaced by the batch's",
    "trains_on_the_past": "running statistics used in training",
    "never_stops_training": "batch statistics used in inference",
    "never_stops_running": "running mean and variance updated in inference too",
    "writes_into_the_arguments": "an argument changed in place",
    "holds_the_mean_fixed": "grad_x without what flows through the mean",
    "holds_the_variance_fixed": "grad_x without what flows through the variance",
    "holds_both_fixed": "grad_x takes mean and variance for constants",
    "adds_the_variance_part": "grad_x with what flows through the variance of the wrong sign",
    "divides_by_one_less": "grad_x divided by one value less in what flows through the variance",
    "weighs_raw_inputs": "grad_weight of x as it is, not normalised",
    "weighs_centred_inputs": "grad_weight of x centred, not scaled",
    "forgets_the_weight": "grad_x without the weight",
    "weighs_twice": "grad_weight multiplied by the weight",
    "averages_the_bias": "grad_bias averaged over the values of a channel",
    "learns_from_one_item": "grad_weight of the first item only",
    "exchanges_its_gradients": "grad_weight and grad_bias exchanged",
    "goes_back_by_one_eps": "eps taken for 1e-5 always in grad_x",
    "goes_back_with_eps_outside": "eps added to the root, not inside it in grad_x",
    "learns_in_halves": "low-precision accumulation",
    "sums_over_the_items": "grad_x with sums over the items alone",
}


# Mistakes that float16 alone shows: it is judged where it is asked for.
IN_HALVES = {
    "adds_halves_to_halves",
    "averages_halves_in_halves",
    "averages_in_halves",
    "folds_halves_in_halves",
    "learns_in_halves",
    "returns_halves_to_halves",
    "sums_halves_in_halves",
}


# What numbers alone do not show: outside what an op promises.
OUTSIDE = {"never_forgets_a_nan": "running sums are a right algorithm, and spread a NaN"}


def judged(entry, seed=0):
    dtypes = ("float64", "float32", "float16") if entry.name in IN_HALVES else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NaN and infinities are meant to be computed with here
        return verify.check(
            entry.forward, entry.op, backward=entry.backward, max_examples=BUDGET, seed=seed,
            dtypes=dtypes,
        )  # fmt: skip


def label(entry):
    return f"{entry.name} {entry.op}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("entry", RIGHT_LAYERS, ids=label)
def test_a_right_layer_is_acquitted(entry, seed):
    report = judged(entry, seed)
    assert report.ok, str(report)
    assert report.cases or report.unsupported


@pytest.mark.parametrize("entry", BROKEN_LAYERS, ids=label)
def test_a_broken_layer_is_found_and_named(entry):
    report = judged(entry)
    if entry.name in OUTSIDE:
        assert report.ok, str(report)
        return
    assert not report.ok, entry.mistake
    wanted, _, only = NAMED_LAYERS[entry.name].partition(", only where ")
    for finding in report.findings:
        told, _, where = finding.name.partition(", only where ")
        assert (told, where) in ((wanted, only), (wanted, "")), str(report)
    assert len(report.findings) == 1, str(report)


def test_every_broken_layer_has_its_words():
    assert {*NAMED_LAYERS, *OUTSIDE} == {entry.name for entry in BROKEN_LAYERS}
    assert len(NAMED_LAYERS) + len(OUTSIDE) == len(BROKEN_LAYERS)


def maxima(x, kernel_size, stride=None):
    (k,), (s,) = np.atleast_1d(kernel_size), np.atleast_1d(stride or kernel_size)
    starts = range(0, x.shape[2] - k + 1, s)
    return np.stack([x[:, :, i : i + k].max(axis=2) for i in starts], axis=2)


def no_integers(x, kernel_size, stride=None):
    if x.dtype.kind == "i":
        raise TypeError("max_pool1d is for floats")
    return maxima(x, kernel_size, stride)


def floats_of_integers(x, kernel_size, stride=None):
    return maxima(x.astype(float) if x.dtype.kind == "i" else x, kernel_size, stride)


def test_who_refuses_integers_is_acquitted_and_who_changes_them_is_not():
    def code(f):
        return [one.code for one in verify.check(f, "max_pool1d", max_examples=BUDGET).findings]

    assert code(maxima) == code(no_integers) == []
    assert code(floats_of_integers) == ["CV103"]
