"""What a wrong argument is told: whole sentences, and never another exception than ours."""

import tracemalloc
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import toeplitz
from toeplitz import Affine, Conv, ConvTranspose

NAN = float("nan")
X, W = (1, 5), (1, 1, 3)  # a geometry that is right
CONV = Conv((2, 5), (4, 1, 3), padding=1, groups=2)
x, w, g = (np.ones(s) for s in (CONV.input_shape, CONV.weight_shape, CONV.output_shape))
UP = ConvTranspose((2, 5), (2, 3, 3), stride=2)
up_x, up_w = np.ones(UP.input_shape), np.ones(UP.weight_shape)
POOL = toeplitz.MaxPool((2, 5), 2)
AFFINE = Affine(scipy.sparse.csr_array(np.ones((2, 3))), np.ones(2))

FORM = "(output channels, input channels / groups, *kernel)"
UP_FORM = "(input channels, output channels / groups, *kernel)"
HALF = (
    "scipy.sparse holds no float16: take {}.astype(np.float32), "
    "or use apply, which sums in float32 and rounds once"
)
MODES = "padding_mode must be 'zeros', 'circular', 'reflect' or 'replicate', got "
FORMATS = "format must be 'csr', 'csc', 'coo', 'bsr' or 'dense', got "
LAYOUTS = "layout must be 'channels_first' or 'channels_last', got "
PADDING = "padding must be an integer, integers or (before, after) pairs, got "
SIDES = "padding must give (before, after) for an axis, got "


def check(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == sentence
    assert type(error.value) is kind


SHAPES = [
    ((5, W), TypeError, "input_shape must be the tuple (channels, *spatial), got 5"),
    ((None, W), TypeError, "input_shape must be the tuple (channels, *spatial), got None"),
    (("15", W), TypeError, "input_shape must be the tuple (channels, *spatial), got '15'"),
    (({1, 5}, W), TypeError, "input_shape must be the tuple (channels, *spatial), got {1, 5}"),
    ((5.0, W), TypeError, "input_shape must be the tuple (channels, *spatial), got 5.0"),
    (((), W), ValueError, "input_shape must be (channels, *spatial), at least 2 axes: got ()"),
    (((5,), W), ValueError, "input_shape must be (channels, *spatial), at least 2 axes: got (5,)"),
    (((1, 0), W), ValueError, "input_shape must have spatial sizes of at least 1, got (1, 0)"),
    (((1, -5), W), ValueError, "input_shape must be at least 0, got -5 in (1, -5)"),
    (((-1, 5), W), ValueError, "input_shape must be at least 0, got -1 in (-1, 5)"),
    (((1, NAN), W), TypeError, "input_shape must hold integers, got nan in (1, nan)"),
    (((1, 5.0), W), TypeError, "input_shape must hold integers, got 5.0 in (1, 5.0)"),
    (((1, "5"), W), TypeError, "input_shape must hold integers, got '5' in (1, '5')"),
    (((1, None), W), TypeError, "input_shape must hold integers, got None in (1, None)"),
    (((True, 5), W), TypeError, "input_shape must hold integers, got True in (True, 5)"),
    (
        ((np.True_, 5), W),
        TypeError,
        "input_shape must hold integers, got np.True_ in (np.True_, 5)",
    ),
    (
        (np.ones(2), W),
        TypeError,
        "input_shape must hold integers, got np.float64(1.0) in (np.float64(1.0), np.float64(1.0))",
    ),
    ((X, 3), TypeError, f"weight_shape must be the tuple {FORM}, got 3"),
    ((X, None), TypeError, f"weight_shape must be the tuple {FORM}, got None"),
    ((X, (1, 3)), ValueError, f"weight_shape must be {FORM}, at least 3 axes: got (1, 3)"),
    (
        (X, (1, 1, 3, 3)),
        ValueError,
        f"weight_shape must be {FORM}, 3 axes for input_shape (1, 5) "
        "(one item, without a batch axis): got 4 in (1, 1, 3, 3)",
    ),
    ((X, (1, 1, 0)), ValueError, "weight_shape must have sizes of at least 1, got (1, 1, 0)"),
    ((X, (0, 1, 3)), ValueError, "weight_shape must have sizes of at least 1, got (0, 1, 3)"),
    ((X, (1, 1, -3)), ValueError, "weight_shape must be at least 0, got -3 in (1, 1, -3)"),
    (
        (np.ones((3, 4, 5)), W),
        TypeError,
        "input_shape must hold integers, got arrays of shape (4, 5): pass the shape, not the array",
    ),
    ((X, (1, 1, 2.5)), TypeError, "weight_shape must hold integers, got 2.5 in (1, 1, 2.5)"),
    ((X, (1, 1, NAN)), TypeError, "weight_shape must hold integers, got nan in (1, 1, nan)"),
    ((X, (1, 1, True)), TypeError, "weight_shape must hold integers, got True in (1, 1, True)"),
    (
        ((3, 5), (6, 1, 3)),
        ValueError,
        f"weight_shape must be {FORM}: input channels / groups = 3 / 1 = 3, got 1 in (6, 1, 3)",
    ),
]


@pytest.mark.parametrize("shapes, kind, sentence", SHAPES)
def test_a_wrong_shape_is_refused(shapes, kind, sentence):
    check(lambda: Conv(*shapes), kind, sentence)


@pytest.mark.parametrize("name", ["stride", "dilation", "input_dilation"])
@pytest.mark.parametrize(
    "value, kind, sentence",
    [
        (0, ValueError, "must be at least 1, got 0"),
        (-1, ValueError, "must be at least 1, got -1"),
        ((1, 0), ValueError, "must be at least 1, got 0 in (1, 0)"),
        (1.5, TypeError, "must be an integer, got 1.5"),
        (NAN, TypeError, "must be an integer, got nan"),
        (True, TypeError, "must be an integer, got the boolean True"),
        ((1, np.False_), TypeError, "must hold integers, got np.False_ in (1, np.False_)"),
        (None, TypeError, "must be an integer, got None"),
        ((1, "2"), TypeError, "must hold integers, got '2' in (1, '2')"),
        ("2", TypeError, "must be an integer or a tuple of integers, got '2'"),
        ({1: 2}, TypeError, "must be an integer or a tuple of integers, got {1: 2}"),
        ((1,), ValueError, "must be one integer or 2, one per spatial axis: got 1 in (1,)"),
        ((), ValueError, "must be one integer or 2, one per spatial axis: got 0 in ()"),
        ([1] * 3, ValueError, "must be one integer or 2, one per spatial axis: got 3 in (1, 1, 1)"),
    ],
)
def test_wrong_steps_are_refused(name, value, kind, sentence):
    check(lambda: Conv((1, 9, 9), (1, 1, 3, 3), **{name: value}), kind, f"{name} {sentence}")
    if name != "input_dilation":
        up = lambda: ConvTranspose((1, 9, 9), (1, 1, 3, 3), **{name: value})  # noqa: E731 - as above
        check(up, kind, f"{name} {sentence}")


@pytest.mark.parametrize(
    "call, kind, sentence",
    [
        (lambda: Conv(X, W, groups=0), ValueError, "groups must be at least 1, got 0"),
        (lambda: Conv(X, W, groups=-1), ValueError, "groups must be at least 1, got -1"),
        (lambda: Conv(X, W, groups=1.0), TypeError, "groups must be an integer, got 1.0"),
        (lambda: Conv(X, W, groups=None), TypeError, "groups must be an integer, got None"),
        (lambda: Conv(X, W, groups="1"), TypeError, "groups must be an integer, got '1'"),
        (lambda: Conv(X, W, groups=(1,)), TypeError, "groups must be an integer, got (1,)"),
        (
            lambda: Conv(X, W, groups=True),
            TypeError,
            "groups must be an integer, got the boolean True",
        ),
        (
            lambda: Conv((6, 5), (4, 1, 3), groups=4),
            ValueError,
            "groups must divide the input channels: 6 % 4 = 2",
        ),
        (
            lambda: Conv((4, 5), (6, 1, 3), groups=4),
            ValueError,
            "groups must divide the output channels: 6 % 4 = 2",
        ),
        (
            lambda: Conv((4, 5), (6, 4, 3), groups=2),
            ValueError,
            f"weight_shape must be {FORM}: input channels / groups = 4 / 2 = 2, got 4 in (6, 4, 3)",
        ),
        (
            lambda: ConvTranspose((3, 5), (3, 3, 3), groups=2),
            ValueError,
            "groups must divide the input channels: 3 % 2 = 1",
        ),
        (
            lambda: ConvTranspose((2, 5), (2, 3, 3), groups=0),
            ValueError,
            "groups must be at least 1, got 0",
        ),
    ],
)
def test_wrong_groups_are_refused(call, kind, sentence):
    check(call, kind, sentence)


@pytest.mark.parametrize(
    "padding, kind, sentence",
    [
        (None, TypeError, "padding must be an integer, got None"),
        (0.5, TypeError, "padding must be an integer, got 0.5"),
        (True, TypeError, "padding must be an integer, got the boolean True"),
        ((1, None), TypeError, "padding must be an integer, got None"),
        (((1, NAN), 1), TypeError, "padding must be an integer, got nan"),
        (("same", 1), TypeError, f"{PADDING}'same'"),
        ({"same": 1}, TypeError, f"{PADDING}{{'same': 1}}"),
        (
            ((1, 2, 3), 1),
            ValueError,
            "padding must give (before, after) for an axis, got (1, 2, 3)",
        ),
        (
            (1, 2, 3, 4),
            ValueError,
            "padding must have one entry per spatial axis: got 4 in (1, 2, 3, 4) for 2",
        ),
        (
            ((1, 2),),
            ValueError,
            "padding must have one entry per spatial axis: got 1 in ((1, 2),) for 2",
        ),
    ],
)
def test_padding_of_a_wrong_kind_is_refused(padding, kind, sentence):
    for make in (Conv, ConvTranspose):
        check(lambda make=make: make((1, 9, 9), (1, 1, 3, 3), padding=padding), kind, sentence)


@pytest.mark.parametrize(
    "arguments, kind, sentence",
    [
        (
            {"padding": "none"},
            ValueError,
            "padding must be 'valid', 'same', 'same_upper', 'same_lower' or 'full', got 'none'",
        ),
        (
            {"padding": (1, 2)},
            ValueError,
            "padding must have one entry per spatial axis: got 2 in (1, 2) for 1; "
            "for two sides write ((1, 2),)",
        ),
        (
            {"padding": "same", "stride": 2},
            ValueError,
            'padding="same" needs stride 1, got (2,): '
            'write "same_upper" or "same_lower" for ceil(input / stride) outputs',
        ),
        (
            {"dilation": 3},
            ValueError,
            "the kernel is wider than the padded input on spatial axis 0: dilation * (kernel - 1) "
            "+ 1 = 3 * (3 - 1) + 1 = 7 > 5 + 0 + 0 = 5; pad more or take a smaller kernel",
        ),
        (
            {"padding": ((-2, -1),)},
            ValueError,
            "the kernel is wider than the padded input on spatial axis 0: dilation * (kernel - 1) "
            "+ 1 = 1 * (3 - 1) + 1 = 3 > 5 + -2 + -1 = 2; pad more or take a smaller kernel",
        ),
        (
            {"padding": ((0, 5),), "padding_mode": "reflect"},
            ValueError,
            "reflect padding must be narrower than the input on spatial axis 0: 5 >= 5; "
            'take padding_mode="replicate" or "circular"',
        ),
        (
            {"padding": ((-5, 9),), "padding_mode": "circular"},
            ValueError,
            "negative padding leaves nothing to repeat on spatial axis 0: 5 + -5 + 0 = 0; "
            "crop less",
        ),
        (
            {"input_dilation": 2**62},
            ValueError,
            "sizes and steps must stay below 2**62 on spatial axis 0: got 18446744073709551617",
        ),
        ({"padding_mode": "constant"}, ValueError, f"{MODES}'constant'"),
        ({"padding_mode": None}, TypeError, f"{MODES}None"),
        ({"padding_mode": 0}, TypeError, f"{MODES}0"),
    ],
)
def test_padding_that_does_not_fit_is_refused(arguments, kind, sentence):
    check(lambda: Conv(X, W, **arguments), kind, sentence)


def test_the_axis_that_does_not_fit_is_named():
    check(
        lambda: Conv((1, 9, 9, 2), (1, 1, 3, 3, 3)),
        ValueError,
        "the kernel is wider than the padded input on spatial axis 2: dilation * (kernel - 1) + 1 "
        "= 1 * (3 - 1) + 1 = 3 > 2 + 0 + 0 = 2; pad more or take a smaller kernel",
    )


@pytest.mark.parametrize(
    "arguments, kind, sentence",
    [
        (
            {"output_padding": 1},
            ValueError,
            "output_padding must be smaller than max(stride, dilation) on spatial axis 0: "
            "1 >= max(1, 1) = 1",
        ),
        (
            {"output_padding": 3, "stride": 2, "dilation": 3},
            ValueError,
            "output_padding must be smaller than max(stride, dilation) on spatial axis 0: "
            "3 >= max(2, 3) = 3",
        ),
        ({"output_padding": -1}, ValueError, "output_padding must be at least 0, got -1"),
        (
            {"output_padding": True},
            TypeError,
            "output_padding must be an integer, got the boolean True",
        ),
        ({"output_padding": None}, TypeError, "output_padding must be an integer, got None"),
        (
            {"padding": ((4, 3),)},
            ValueError,
            "the output is empty on spatial axis 0: (input - 1) * stride - padding + "
            "dilation * (kernel - 1) + 1 + output_padding = (5 - 1) * 1 - (4 + 3) + "
            "1 * (3 - 1) + 1 + 0 = 0; pad less",
        ),
        ({"padding": "same"}, TypeError, f"{PADDING}'same'"),
        ({"weight_shape": (1, 3)}, ValueError, f"weight_shape must be {UP_FORM}, at least 3 axes: "
         "got (1, 3)"),
        ({"weight_shape": (2, 1, 3)}, ValueError, f"weight_shape must be {UP_FORM}: the input "
         "channels are 1, got 2 in (2, 1, 3)"),
        ({"weight_shape": (1, 0, 3)}, ValueError, "weight_shape must have sizes of at least 1, "
         "got (1, 0, 3)"),
        ({"input_shape": (5,)}, ValueError, "input_shape must be (channels, *spatial), at least 2 "
         "axes: got (5,)"),
    ],
)  # fmt: skip
def test_a_wrong_transposed_convolution_is_refused(arguments, kind, sentence):
    arguments = {"input_shape": X, "weight_shape": W} | arguments
    check(lambda: ConvTranspose(**arguments), kind, sentence)


# Arrays


@pytest.mark.parametrize("make", [CONV.matrix, CONV.operator, lambda w: CONV.apply(x, w),
                                  lambda w: CONV.gradients(g, x, w),
                                  lambda w: CONV.linearize(x, w)])  # fmt: skip
@pytest.mark.parametrize(
    "w, kind, sentence",
    [
        (w[0], ValueError, "w must have the weight shape (4, 1, 3), got (1, 3)"),
        (w[None], ValueError, "w must have the weight shape (4, 1, 3), got (1, 4, 1, 3)"),
        (w[:2], ValueError, "w must have the weight shape (4, 1, 3), got (2, 1, 3)"),
        (2.0, ValueError, "w must have the weight shape (4, 1, 3), got ()"),
        ("w", TypeError, "w must hold numbers, got dtype <U1"),
        (w > 0, TypeError, "w must hold numbers, got bool: convert it with w.astype(int)"),
        (w.astype("M8[s]"), TypeError, "w must hold numbers, got dtype datetime64[s]"),
        (
            w.astype(object),
            TypeError,
            "w must hold numbers, got Python objects: symbolic() gives letters",
        ),
    ],
)
def test_wrong_weights_are_refused(make, w, kind, sentence):
    check(lambda: make(w), kind, sentence)


@pytest.mark.parametrize("make", [CONV.unfolding, CONV.cost, UP.cost,
                                  toeplitz.AvgPool((1, 4), 2).matrix,
                                  toeplitz.Pad((1, 4), 1).matrix,
                                  lambda dtype: toeplitz.Flatten((2,)).matrix(dtype=dtype),
                                  lambda dtype: toeplitz.ReLU().matrix(x, dtype),
                                  lambda dtype: POOL.selection(x, dtype)])  # fmt: skip
@pytest.mark.parametrize(
    "dtype, got",
    [
        (3, ", such as np.float32: got 3"),
        ("nope", ", such as np.float32: got 'nope'"),
        ("f4,,", ", such as np.float32: got 'f4,,'"),
        ((1, 2), ", such as np.float32: got (1, 2)"),
        ({"a": 1}, ", such as np.float32: got {'a': 1}"),
        (x, ", such as np.float32: got an array of shape (2, 5)"),
        (bool, ", got bool"),
        (object, ", got object"),
        ("S3", ", got |S3"),
    ],
)
def test_what_is_no_dtype_of_numbers_is_refused(make, dtype, got):
    check(lambda: make(dtype), TypeError, f"dtype must be a dtype of numbers{got}")


@pytest.mark.parametrize("make", [CONV.unfolded, CONV.patches, lambda x: CONV.apply(x, w),
                                  lambda x: CONV.gradients(g, x, w),
                                  lambda x: CONV.linearize(x, w)])  # fmt: skip
@pytest.mark.parametrize(
    "x, kind, sentence",
    [
        (x[0], ValueError, "x must have shape (N, 2, 5) or (2, 5), got (5,)"),
        (x[:1], ValueError, "x must have shape (N, 2, 5) or (2, 5), got (1, 5)"),
        (x[None, None], ValueError, "x must have shape (N, 2, 5) or (2, 5), got (1, 1, 2, 5)"),
        (x.T[None], ValueError, "x must have shape (N, 2, 5) or (2, 5), got (1, 5, 2)"),
        (1, ValueError, "x must have shape (N, 2, 5) or (2, 5), got ()"),
        ("x", TypeError, "x must hold numbers, got dtype <U1"),
        (x > 0, TypeError, "x must hold numbers, got bool: convert it with x.astype(int)"),
    ],
)
def test_wrong_inputs_are_refused(make, x, kind, sentence):
    check(lambda: make(x), kind, sentence)


@pytest.mark.parametrize(
    "call, kind, sentence",
    [
        (
            lambda: CONV.apply(x, w, np.ones(3)),
            ValueError,
            "b must have one entry per output channel, (4,), got (3,)",
        ),
        (
            lambda: CONV.linearize(x, w, np.ones((4, 1))),
            ValueError,
            "b must have one entry per output channel, (4,), got (4, 1)",
        ),
        (lambda: CONV.apply(x, w, "b"), TypeError, "b must hold numbers, got dtype <U1"),
        (
            lambda: CONV.gradients(x, x, w),
            ValueError,
            "g must have shape (N, 4, 5) or (4, 5), got (2, 5)",
        ),
        (
            lambda: CONV.gradients(g[None], x, w),
            ValueError,
            "g and x must have the same batch axis: got g (1, 4, 5) and x (2, 5)",
        ),
        (
            lambda: CONV.gradients(np.ones((3, 4, 5)), np.ones((2, 2, 5)), w),
            ValueError,
            "g and x must have the same batch axis: got g (3, 4, 5) and x (2, 2, 5)",
        ),
        (
            lambda: CONV.fold(np.ones((6, 4))),
            ValueError,
            "patches must have shape (N, 6, 5) or (6, 5), got (6, 4)",
        ),
        (lambda: CONV.matrix(w.astype("f2")), TypeError, HALF.format("w")),
        (lambda: CONV.operator(w.astype("f2")), TypeError, HALF.format("w")),
        (lambda: CONV.linearize(x, w.astype("f2")), TypeError, HALF.format("w")),
        (lambda: CONV.unfolded(x.astype("f2")), TypeError, HALF.format("x")),
        (lambda: UP.matrix(up_w.astype("f2")), TypeError, HALF.format("w")),
        (lambda: UP.operator(up_w.astype("f2")), TypeError, HALF.format("w")),
        (lambda: UP.unfolded(up_x.astype("f2")), TypeError, HALF.format("x")),
        (lambda: CONV.matrix(w, "lil"), ValueError, f"{FORMATS}'lil'"),
        (lambda: CONV.matrix(w, None), TypeError, f"{FORMATS}None"),
        (
            lambda: CONV.matrix(w, "channels_last"),
            ValueError,
            "'channels_last' is no format but a layout: layout='channels_last'",
        ),
        (lambda: CONV.matrix(w, layout="NHWC"), ValueError, f"{LAYOUTS}'NHWC'"),
        (lambda: CONV.matrix(w, layout=1), TypeError, f"{LAYOUTS}1"),
        (lambda: UP.matrix(up_w, "lil"), ValueError, f"{FORMATS}'lil'"),
        (lambda: UP.matrix(up_w, layout="NHWC"), ValueError, f"{LAYOUTS}'NHWC'"),
        (
            lambda: UP.matrix(up_w[:, :2]),
            ValueError,
            "w must have the weight shape (2, 3, 3), got (2, 2, 3)",
        ),
        (
            lambda: UP.unfolded(g),
            ValueError,
            "x must have shape (N, 2, 5) or (2, 5), got (4, 5)",
        ),
        (
            lambda: UP.apply(up_x, up_w, np.ones(2)),
            ValueError,
            "b must have one entry per output channel, (3,), got (2,)",
        ),
        (
            lambda: UP.gradients(up_x, up_x, up_w),
            ValueError,
            "g must have shape (N, 3, 11) or (3, 11), got (2, 5)",
        ),
        (lambda: CONV.matrix(None), TypeError, "w must be an array, got None"),
        (lambda: CONV.operator(None), TypeError, "w must be an array, got None"),
        (lambda: CONV.apply(None, w), TypeError, "x must be an array, got None"),
        (lambda: CONV.gradients(None, x, w), TypeError, "g must be an array, got None"),
        (lambda: CONV.fold(None), TypeError, "patches must be an array, got None"),
        (
            lambda: CONV.cost("nope"),
            TypeError,
            "dtype must be a dtype of numbers, such as np.float32: got 'nope'",
        ),
        (
            lambda: UP.cost(x),
            TypeError,
            "dtype must be a dtype of numbers, such as np.float32: got an array of shape (2, 5)",
        ),
        (lambda: CONV.cost(object), TypeError, "dtype must be a dtype of numbers, got object"),
        (lambda: UP.cost("U3"), TypeError, "dtype must be a dtype of numbers, got <U3"),
        (
            lambda: CONV.unfolding("M8[s]"),
            TypeError,
            "dtype must be a dtype of numbers, got datetime64[s]",
        ),
        (
            lambda: CONV.unfolding("f2"),
            TypeError,
            "scipy.sparse holds no float16: take dtype=np.float32",
        ),
        (
            lambda: Affine(None, np.ones(3)),
            TypeError,
            "A must be an array of 2 axes, got None",
        ),
        (lambda: Affine(AFFINE.A, [1, 2]), TypeError, "b must be an array of 1 axes, got [1, 2]"),
        (
            lambda: Affine(AFFINE.A, np.array(["a", "b"])),
            TypeError,
            "b must hold numbers, got dtype <U1",
        ),
        (
            lambda: Affine(AFFINE.A, np.ones(3)),
            ValueError,
            "b must have one entry per row of A: got b (3,) for A (2, 3)",
        ),
        (
            lambda: AFFINE(np.ones((2, 2))),
            ValueError,
            "x must have 3 entries, one per column of A: got 4 in shape (2, 2)",
        ),
        (
            lambda: AFFINE @ AFFINE,
            ValueError,
            "the second map reads 3 entries and the first gives 2: "
            "their shapes are (2, 3) and (2, 3)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(call, kind, sentence):
    check(call, kind, sentence)


# Memory

LARGE = Conv((64, 56, 56), (64, 64, 3, 3), padding=1)
LONG = Conv((1, 10**6), (1, 1, 50))
LARGE_UP = ConvTranspose((64, 56, 56), (64, 64, 3, 3), padding=1)
LARGE_UP_NAME = "ConvTranspose((64, 56, 56), (64, 64, 3, 3), padding=((1, 1), (1, 1)))"
LARGE_NAME = "Conv((64, 56, 56), (64, 64, 3, 3), padding=((1, 1), (1, 1)))"


@contextmanager
def traced():
    """Inside, a function that tells the most bytes allocated so far."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def little(monkeypatch):
    """A machine with 1 MB free."""
    monkeypatch.setattr(toeplitz.memory, "available", lambda array=None: 10**6)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (
            lambda: LARGE.matrix(np.ones(LARGE.weight_shape, "f4")),
            f"the csr matrix of {LARGE_NAME} needs 904 MB and 1 MB are free: use operator(w)",
        ),
        (
            lambda: LARGE.matrix(np.ones(LARGE.weight_shape), "dense"),
            f"the dense matrix of {LARGE_NAME} needs 322 GB and 1 MB are free: use operator(w)",
        ),
        (
            lambda: LARGE.unfolded(np.ones(LARGE.input_shape, "f4")),
            f"unfolded(x) of {LARGE_NAME} needs 903 MB and 1 MB are free: "
            "use patches(x), or fewer items",
        ),
        (
            lambda: LARGE.triples(),
            f"triples() of {LARGE_NAME} needs 2.71 GB and 1 MB are free: use operator(w)",
        ),
        (
            lambda: LONG.unfolding(),
            "unfolding() of Conv((1, 1000000), (1, 1, 50)) needs 5.6 GB and 1 MB are free: "
            "take a smaller input_shape",
        ),
        (
            lambda: LARGE_UP.unfolded(np.ones(LARGE_UP.input_shape)),
            f"unfolded(x) of {LARGE_UP_NAME} needs 1.35 GB and 1 MB are free: take fewer items",
        ),
        (
            lambda: LARGE_UP.matrix(np.ones(LARGE_UP.weight_shape, "f4")),
            f"the csr matrix of {LARGE_UP_NAME} needs 904 MB and 1 MB are free: use operator(w)",
        ),
        (
            lambda: LARGE.apply(np.ones(LARGE.input_shape), np.ones(LARGE.weight_shape)),
            f"the csr matrix of {LARGE_NAME} needs 1.36 GB and 1 MB are free: use operator(w)",
        ),
    ],
)
def test_what_does_not_fit_into_memory_is_refused_with_its_size(little, call, sentence):
    check(call, toeplitz.TooLarge, sentence)
    assert issubclass(toeplitz.TooLarge, MemoryError)
    assert issubclass(toeplitz.TooLarge, ValueError)


def test_a_matrix_is_refused_only_where_it_does_not_fit(monkeypatch):
    monkeypatch.setattr(toeplitz.memory, "UNASKED", 0)
    need = CONV.cost(w.dtype).bytes["csr"]
    monkeypatch.setattr(toeplitz.memory, "available", lambda array=None: need - 1)
    with pytest.raises(toeplitz.TooLarge):
        CONV.matrix(w)
    monkeypatch.setattr(toeplitz.memory, "available", lambda array=None: 10 * need)
    CONV.matrix(w)
    monkeypatch.setattr(toeplitz.memory, "available", lambda array=None: None)  # not to be known
    CONV.matrix(w)


@pytest.mark.parametrize(
    "call",
    [
        lambda conv: conv.matrix(np.ones(conv.weight_shape)),
        lambda conv: conv.operator(np.ones(conv.weight_shape)),
        lambda conv: conv.unfolded(np.ones(conv.input_shape)),
        lambda conv: conv.unfolding(),
        lambda conv: conv.patches(np.ones(conv.input_shape)),
        lambda conv: conv.fold(np.ones((50, 10**5 - 49))),
        lambda conv: conv.triples(),
    ],
    ids=["matrix", "operator", "unfolded", "unfolding", "patches", "fold", "triples"],
)
def test_a_refusal_comes_before_any_work(monkeypatch, little, call):
    monkeypatch.setattr(toeplitz.memory, "UNASKED", 0)
    conv = Conv((1, 10**5), (1, 1, 50))  # 60 MB in CSR
    with traced() as peak:
        with pytest.raises(toeplitz.TooLarge):
            call(conv)
        assert peak() < 45e6  # its argument, 40 MB at most, and what the refusal itself takes


def test_the_cost_of_a_matrix_takes_less_memory_than_the_matrix():
    conv = Conv((1, 10**6), (1, 1, 3))
    with traced() as peak:
        cost = conv.cost()
        assert peak() < cost.bytes["csr"]


@pytest.mark.parametrize(
    "make, matrix",
    [
        (lambda: Conv((1, 1), (1, 1, 1), padding=1, input_dilation=2**63), [[0], [1], [0]]),
        (
            lambda: Conv((1, 1), (1, 1, 2), 2**64, ((2, 0),), padding_mode="circular"),
            [[1 + 10]],
        ),
        (
            lambda: Conv((1, 4), (1, 1, 2), stride=2**61, input_dilation=2**62),
            [[1, 0, 0, 0], [0] * 4, [0, 1, 0, 0], [0] * 4, [0, 0, 1, 0], [0] * 4],
        ),
        (
            lambda: Conv((1, 2), (1, 1, 3), 2, ((2**63 - 1, 1),), dilation=2**62),
            [[0, 100]],
        ),
    ],
)
def test_steps_beyond_what_an_index_holds_are_refused_or_right(make, matrix):
    try:
        conv = make()
    except ValueError:
        return
    w = 10 ** np.arange(conv.weight_count).reshape(conv.weight_shape)
    assert conv.matrix(w).toarray().tolist() == matrix


# Junk: whatever comes, the exception is one that a caller expects, and names the argument

JUNK = [
    None, True, np.True_, 1.5, NAN, float("inf"), 2j, "junk", "", b"junk", bytearray(b"12"), {},
    {1: 2}, set(), {1, 5}, frozenset({1, 5}), {2: 0, 5: 0}.keys(), object(), object, list, len, ...,
    slice(3), iter([1]), [[1, 2], [3]], [None], ["1", "2"], [True, True, True], [NAN] * 7,
    [[1.5]] * 7, Decimal(1), Fraction(1, 2), date(2026, 1, 1), np.datetime64("2026-01-01"),
    np.array("junk"), np.array(None), np.array(1.5), np.ones((2, 2), bool), np.zeros(0, object),
    np.ones((4, 1, 3), "U1"), np.ones((2, 5), object), scipy.sparse.eye_array(3),
]  # fmt: skip
CALLS = [
    (Conv, {"input_shape": (2, 5), "weight_shape": (4, 1, 3), "stride": 1, "padding": 1,
            "dilation": 1, "groups": 2, "padding_mode": "zeros", "input_dilation": 1}),
    (ConvTranspose, {"input_shape": (2, 5), "weight_shape": (2, 3, 3), "stride": 2, "padding": 1,
                     "output_padding": 1, "dilation": 1, "groups": 1}),
    (Affine, {"A": AFFINE.A, "b": AFFINE.b}),
    (AFFINE, {"x": np.ones(3)}),
    *(
        call
        for conv, x, w, g in [(CONV, x, w, g), (UP, up_x, up_w, np.ones(UP.output_shape))]
        for call in [
            (conv.matrix, {"w": w, "format": "csr", "layout": "channels_first"}),
            (conv.operator, {"w": w}),
            (conv.unfolded, {"x": x}),
            (conv.apply, {"x": x, "w": w, "b": np.ones(len(g))}),
            (conv.gradients, {"g": g, "x": x, "w": w}),
            (conv.linearize, {"x": x, "w": w, "b": np.ones(len(g))}),
        ]
    ),
    (CONV.patches, {"x": x}),
    (CONV.fold, {"patches": np.ones((6, 5))}),
]  # fmt: skip


@pytest.mark.parametrize(
    "call, right, name",
    [
        pytest.param(call, right, name, id=f"{getattr(call, '__qualname__', 'Affine()')}-{name}")
        for call, right in CALLS
        for name in right
    ],
)
def test_junk_is_refused_by_the_name_of_its_argument(call, right, name):
    call(**right)
    wrong = []
    for junk in JUNK:
        if junk is None and name == "b" and call is not Affine:
            continue  # the bias may be left out
        try:
            result = call(**right | {name: junk})
        except (TypeError, ValueError) as error:
            if name not in str(error):
                wrong.append(f"{junk!r} got {type(error).__name__}: {error}")
        except Exception as error:
            wrong.append(f"{junk!r} got {type(error).__name__}: {error}")
        else:
            wrong.append(f"{junk!r} was accepted: {result!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("call", [CONV.cost, UP.cost, CONV.unfolding])
def test_a_dtype_that_is_no_number_is_refused(call):
    for junk in ("junk", 1.5, "U3", object, "M8[s]", [("a", int)]):
        with pytest.raises((TypeError, ValueError)):
            call(junk)


@pytest.mark.parametrize("other", [None, 2, np.ones((3, 2)), AFFINE.A, "A"])
def test_an_affine_map_composes_with_affine_maps_only(other):
    with pytest.raises(TypeError):
        AFFINE @ other


numbers = st.sampled_from([-(10**30), -7, -2, -1, 0, 1, 2, 3, 5, 6, 10**30, 1.5, NAN, True, None])
anything = st.one_of(
    numbers,
    st.lists(numbers, max_size=4),
    st.lists(st.lists(numbers, min_size=1, max_size=3), max_size=3),
    st.sampled_from(["same", "valid", "circular", "reflect", "junk", ""]),
    st.sampled_from(range(len(JUNK))).map(JUNK.__getitem__),
)


def mostly_right(right):
    """Keyword arguments, each drawn from anything or right."""
    return st.fixed_dictionaries({k: st.just(v) | anything for k, v in right.items()})


def plain(value):
    """Whether a value is made of ints, strings and tuples only."""
    return type(value) in (int, str) or (type(value) is tuple and all(map(plain, value)))


@pytest.mark.parametrize("make, right", CALLS[:2])
@given(data=st.data())
def test_any_arguments_give_a_geometry_or_a_refusal(make, right, data):
    arguments = data.draw(mostly_right(right))
    try:
        made = make(**arguments)
    except (TypeError, ValueError):
        return  # in which words is told above
    assert eval(repr(made), {make.__name__: make}) == made
    assert plain(tuple(getattr(made, name) for name in right))
    assert min(made.output_shape[1:]) >= 1
