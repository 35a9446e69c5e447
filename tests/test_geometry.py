"""Conv's arguments: canonical however they are written, and sizes by the formula."""

import copy
import pickle
from math import ceil

import numpy as np
import pytest
from geometries import NAMES, convs
from hypothesis import given
from hypothesis import strategies as st

import toeplitz
from toeplitz import Conv


@given(convs(most_axes=4))
def test_a_geometry_is_written_as_it_is_read(conv):
    again = eval(repr(conv), {"Conv": Conv})
    assert again == conv
    assert hash(again) == hash(conv)
    assert {conv: 1}[again] == 1


@given(convs(most_axes=4))
def test_every_field_is_a_tuple_of_ints(conv):
    def plain(value):
        return type(value) in (int, str) or (type(value) is tuple and all(map(plain, value)))

    assert plain(
        (conv.input_shape, conv.weight_shape, conv.stride, conv.padding, conv.dilation,
         conv.groups, conv.padding_mode, conv.input_dilation, conv.output_shape)
    )  # fmt: skip
    assert all(len(pair) == 2 for pair in conv.padding)
    assert len(conv.padding) == len(conv.stride) == len(conv.dilation) == conv.ndim


@given(convs())
def test_a_used_geometry_equals_a_fresh_one_and_survives_pickling(conv):
    fresh = eval(repr(conv), {"Conv": Conv})
    conv.cost()
    conv.matrix(np.ones(conv.weight_shape))
    for other in (fresh, pickle.loads(pickle.dumps(conv)), copy.deepcopy(conv)):
        assert other == conv
        assert hash(other) == hash(conv)


@given(convs(most_axes=4))
def test_the_output_size_is_the_formula(conv):
    axes = zip(
        conv.input_shape[1:], conv.kernel_size, conv.stride, conv.padding, conv.dilation,
        conv.input_dilation, strict=True,
    )  # fmt: skip
    sizes = []
    for n, k, s, (lo, hi), d, e in axes:
        padded = (n - 1) * e + 1 + lo + hi
        sizes.append((padded - (d * (k - 1) + 1)) // s + 1)
    assert conv.output_shape == (conv.out_channels, *sizes)


def test_only_what_is_not_a_default_is_shown():
    assert repr(Conv((1, 3), (1, 1, 2))) == "Conv((1, 3), (1, 1, 2))"
    conv = Conv((2, 3), (2, 1, 2), 2, 1, 3, 2, "circular", 4)
    assert repr(conv) == (
        "Conv((2, 3), (2, 1, 2), stride=(2,), padding=((1, 1),), dilation=(3,), groups=2, "
        "padding_mode='circular', input_dilation=(4,))"
    )


def test_a_geometry_cannot_be_changed():
    conv = Conv((1, 3), (1, 1, 2))
    with pytest.raises(AttributeError):
        conv.stride = (2,)


def test_geometries_that_differ_are_not_equal():
    arguments = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2,
                 "padding_mode": "circular", "input_dilation": 2}  # fmt: skip
    plain = Conv((2, 5), (2, 2, 2))
    for name, value in arguments.items():
        shape = (2, 1, 2) if name == "groups" else (2, 2, 2)
        assert Conv((2, 5), shape, **{name: value}) != plain
    assert plain != toeplitz.ConvTranspose((2, 5), (2, 2, 2))
    assert plain != "Conv((2, 5), (2, 2, 2))"


@pytest.mark.parametrize(
    "padding, pairs",
    [
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        (-1, ((-1, -1), (-1, -1))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 2), (3, 0)), ((1, 2), (3, 0))),
        ([[1, 2], [3, 0]], ((1, 2), (3, 0))),
        ((1, (3, 0)), ((1, 1), (3, 0))),
        (np.int64(2), ((2, 2), (2, 2))),
        (np.array(2), ((2, 2), (2, 2))),
        (np.array([1, 2]), ((1, 1), (2, 2))),
        (np.array([[1, 2], [3, 0]], np.int8), ((1, 2), (3, 0))),
        (range(1, 3), ((1, 1), (2, 2))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((1, 1), (1, 2))),
        ("same_upper", ((1, 1), (1, 2))),
        ("same_lower", ((1, 1), (2, 1))),
        ("full", ((2, 2), (3, 3))),
    ],
)
def test_padding_may_be_written_in_any_way(padding, pairs):
    conv = Conv((1, 7, 8), (1, 1, 3, 4), padding=padding)
    assert conv.padding == pairs
    assert conv == Conv((1, 7, 8), (1, 1, 3, 4), padding=pairs)


@pytest.mark.parametrize("two", [2, (2, 2), [2, 2], np.uint8(2), np.array(2), np.array([2, 2])])
@pytest.mark.parametrize("name", ["stride", "dilation", "input_dilation"])
def test_steps_may_be_written_in_any_way(name, two):
    conv = Conv((1, 7, 8), (1, 1, 3, 4), **{name: two})
    assert getattr(conv, name) == (2, 2)
    assert conv == Conv((1, 7, 8), (1, 1, 3, 4), **{name: (2, 2)})


def test_shapes_may_be_lists_or_arrays_of_any_integers():
    conv = Conv([np.int32(2), 7], np.array([4, 1, 3]), groups=np.int64(2))
    assert conv == Conv((2, 7), (4, 1, 3), groups=2)
    assert repr(conv) == "Conv((2, 7), (4, 1, 3), groups=2)"


# Names of padding, worked out axis by axis: rows of (n, k, s, d)

axis = st.tuples(st.integers(1, 20), st.integers(1, 6), st.integers(1, 5), st.integers(1, 3))


def worked_out(name, *rows):
    sizes, kernel, stride, dilation = zip(*rows, strict=True)
    conv = Conv((1, *sizes), (1, 1, *kernel), stride, name, dilation)
    return conv.padding, conv.output_shape[1:]


@given(st.lists(axis, min_size=1, max_size=3))
def test_same_is_PyTorchs(rows):
    # torch.nn.functional.conv2d: total = d (k - 1), half of it before, the odd one after;
    # stride 1 only; the size stays.
    rows = [(n, k, 1, d) for n, k, s, d in rows]
    padding, out = worked_out("same", *rows)
    totals = [d * (k - 1) for n, k, s, d in rows]
    assert padding == tuple((total // 2, total - total // 2) for total in totals)
    assert out == tuple(n for n, *_ in rows)


@given(st.lists(axis, min_size=1, max_size=3), st.sampled_from(["same_upper", "same_lower"]))
def test_same_upper_and_lower_are_those_of_ONNX(rows, name):
    # auto_pad: ceil(n / s) outputs with the least padding, the odd one at the end (TensorFlow's
    # "SAME") or at the beginning.
    padding, out = worked_out(name, *rows)
    for (before, after), size, (n, k, s, d) in zip(padding, out, rows, strict=True):
        assert size == ceil(n / s)
        total = max((size - 1) * s + d * (k - 1) + 1 - n, 0)
        small, large = total // 2, total - total // 2
        assert (before, after) == ((small, large) if name == "same_upper" else (large, small))


@given(st.lists(axis, min_size=1, max_size=3))
def test_full_lets_every_tap_meet_every_input(rows):
    padding, _ = worked_out("full", *rows)
    assert padding == tuple((d * (k - 1),) * 2 for n, k, s, d in rows)
    conv = Conv((1, *(n for n, *_ in rows)), (1, 1, *(k for _, k, *_ in rows)), padding="full",
                dilation=[d for *_, d in rows])  # fmt: skip
    assert conv.triple_count == np.prod([n * k for n, k, *_ in rows])


@given(st.lists(axis, min_size=1, max_size=3))
def test_valid_adds_nothing(rows):
    rows = [(n + d * (k - 1), k, s, d) for n, k, s, d in rows]
    padding, out = worked_out("valid", *rows)
    assert padding == ((0, 0),) * len(rows)
    assert out == tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in rows)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_counts_the_zeros_between_the_inputs(name):
    conv = Conv((1, 4), (1, 1, 3), padding=name, input_dilation=3)
    plain = Conv((1, 10), (1, 1, 3), padding=name)  # (4 - 1) 3 + 1 = 10
    assert conv.padding == plain.padding
    assert conv.output_shape == plain.output_shape


@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("between", [1, 2, 3, 6])
def test_the_counts_are_those_of_the_whole_table(mode, stride, between):
    for dilation, padding in [(1, (0, 0)), (2, (3, 1)), (3, (-2, 4)), (5, (7, -3))]:
        conv = Conv(
            (1, 41), (1, 1, 3), stride, (padding,), dilation, 1, mode, input_dilation=between
        )
        (axis,), (source,) = conv.axes, conv.sources
        reads = (source >= 0).sum()
        pairs = sum(len(set(row[row >= 0].tolist())) for row in source)
        assert axis.counts() == (reads, pairs)
        assert conv.triple_count == reads
        assert conv.cost().nnz == pairs
