"""toeplitz.functional: PyTorch's names and argument order, the classes' results, its refusals."""

import inspect
import re

import numpy as np
import pytest
from geometries import integers_like

import toeplitz.functional as F
from toeplitz import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Linear,
    MaxPool,
    Pad,
)

# As the documentation of PyTorch 2.13 lists them (torch.nn.functional).
CONV = "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1"
UP = "input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1"
MAX = (
    "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False"
)
AVG = "input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True"
SIGNATURES = {
    **{f"conv{n}d": CONV for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": UP for n in (1, 2, 3)},
    **{f"max_pool{n}d": MAX for n in (1, 2, 3)},
    "avg_pool1d": AVG,
    **{f"avg_pool{n}d": f"{AVG}, divisor_override=None" for n in (2, 3)},
    **{f"adaptive_avg_pool{n}d": "input, output_size" for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": "input, output_size, return_indices=False" for n in (1, 2, 3)},
    "unfold": "input, kernel_size, dilation=1, padding=0, stride=1",
    "fold": "input, output_size, kernel_size, dilation=1, padding=0, stride=1",
    "batch_norm": "input, running_mean, running_var, weight=None, bias=None, training=False, "
    "momentum=0.1, eps=1e-05",
    "linear": "input, weight, bias=None",
    "pad": "input, pad, mode='constant', value=None",
}


@pytest.mark.parametrize("name, wanted", SIGNATURES.items())
def test_names_order_and_defaults_of_the_arguments_are_pytorchs(name, wanted):
    parameters = inspect.signature(getattr(F, name)).parameters.values()
    assert {p.kind for p in parameters} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    shown = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
    assert ", ".join(shown) == wanted


def test_nothing_is_missing_and_nothing_is_more():
    assert sorted(F.__all__) == sorted(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_docstring_speaks_of_its_own_function(name):
    function = getattr(F, name)
    assert function.__name__ == function.__qualname__ == name
    assert "{" not in function.__doc__
    axes = re.search(r"(\d)d$", name)
    if axes:
        assert re.findall(r"over (\d) spatial axes", function.__doc__) == [axes[1]]
    assert f"toeplitz.functional.{name}(" in function.__doc__  # its example


# The classes' results

SIZES = {1: (7,), 2: (7, 6), 3: (5, 4, 6)}
EACH = [pytest.param(n, batch, id=f"{n}d-{batch}") for n in SIZES for batch in ((), (0,), (2,))]


def functions(name, axes):
    return getattr(F, f"{name}{axes}d")


def numbers(*shape, seed=0):
    return integers_like(shape, seed, float)


def same(got, wanted):
    """Equal shapes, dtypes and numbers, exactly."""
    assert got.shape == wanted.shape
    np.testing.assert_array_equal(got, wanted, strict=True)


@pytest.mark.parametrize("axes, batch", EACH)
def test_conv_is_that_of_the_class(axes, batch):
    x, w, b = numbers(*batch, 4, *SIZES[axes]), numbers(6, 2, *(3, 2, 2)[:axes]), numbers(6)
    stride, padding, dilation = (2, 1, 3)[:axes], (1, 2, 0)[:axes], (1, 3, 2)[:axes]
    conv = Conv((4, *SIZES[axes]), w.shape, stride, padding, dilation, 2)
    got = functions("conv", axes)(x, w, b, stride, padding, dilation, 2)
    same(got, conv.apply(x, w, b))
    same(functions("conv", axes)(x, w, None, *map(list, (stride, padding, dilation)), 2),
         conv.apply(x, w))  # fmt: skip
    for name in ("same", "valid"):
        conv = Conv((4, *SIZES[axes]), w.shape, 1, name, dilation, 2)
        same(functions("conv", axes)(x, w, b, 1, name, dilation, 2), conv.apply(x, w, b))


@pytest.mark.parametrize("axes, batch", EACH)
def test_conv_transpose_is_that_of_the_class(axes, batch):
    x, w, b = numbers(*batch, 4, *SIZES[axes]), numbers(4, 3, *(3, 2, 2)[:axes]), numbers(6)
    stride, padding, dilation = (2, 1, 3)[:axes], (1, 2, 0)[:axes], (1, 3, 2)[:axes]
    extra = (1, 2, 0)[:axes]
    up = ConvTranspose((4, *SIZES[axes]), w.shape, stride, padding, extra, dilation, 2)
    got = functions("conv_transpose", axes)(x, w, b, stride, padding, extra, 2, dilation)
    same(got, up.apply(x, w, b))


@pytest.mark.parametrize("axes, batch", EACH)
def test_max_pool_is_that_of_the_class_and_gives_its_indices(axes, batch):
    x = numbers(*batch, 3, *SIZES[axes])
    arguments = (3, 2, 2)[:axes], (2, 1, 3)[:axes], (1, 0, 1)[:axes], (1, 3, 2)[:axes], True
    pool, function = MaxPool((3, *SIZES[axes]), *arguments), functions("max_pool", axes)
    same(function(x, *arguments), pool.apply(x))
    y, indices = function(x, *arguments, True)
    same(y, pool.apply(x))
    same(indices, pool.indices(x))
    same(function(x, 2), MaxPool((3, *SIZES[axes]), 2).apply(x))


@pytest.mark.parametrize("axes, batch", EACH)
@pytest.mark.parametrize("include", [True, False])
def test_avg_pool_is_that_of_the_class(axes, batch, include):
    x = numbers(*batch, 3, *SIZES[axes])
    kernel, stride, padding = (3, 2, 2)[:axes], (2, 1, 3)[:axes], (1, 0, 1)[:axes]
    pool = AvgPool((3, *SIZES[axes]), kernel, stride, padding, 1, True, include)
    function = functions("avg_pool", axes)
    same(function(x, kernel, stride, padding, True, include), pool.apply(x))
    same(function(x, 2), AvgPool((3, *SIZES[axes]), 2).apply(x))
    if axes > 1:
        pool = AvgPool((3, *SIZES[axes]), kernel, stride, padding, 1, True, include, 5)
        same(function(x, kernel, stride, padding, True, include, 5), pool.apply(x))


@pytest.mark.parametrize("axes, batch", EACH)
def test_adaptive_pools_are_those_of_the_classes(axes, batch):
    x = numbers(*batch, 3, *SIZES[axes])
    for size in (2, (3, 4, 2)[:axes], (1, None, 5)[:axes]):
        average, maximum = (kind((3, *SIZES[axes]), size) for kind in (AdaptiveAvgPool,
                                                                      AdaptiveMaxPool))  # fmt: skip
        same(functions("adaptive_avg_pool", axes)(x, size), average.apply(x))
        same(functions("adaptive_max_pool", axes)(x, size), maximum.apply(x))
        y, indices = functions("adaptive_max_pool", axes)(x, size, True)
        same(y, maximum.apply(x))
        same(indices, maximum.indices(x))


@pytest.mark.parametrize("batch", [(), (0,), (2,)])
def test_unfold_and_fold_are_those_of_the_class(batch):
    x = numbers(*batch, 3, 5, 6)
    conv = Conv((3, 5, 6), (1, 3, 2, 3), (2, 1), (1, 0), (1, 2))
    patches = F.unfold(x, (2, 3), (1, 2), (1, 0), (2, 1))
    same(patches, conv.patches(x))
    same(F.fold(patches, (5, 6), (2, 3), (1, 2), (1, 0), (2, 1)), conv.fold(patches))


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2), (4, 3, 2, 2), (0, 3, 2)])
def test_batch_norm_is_that_of_the_class(shape):
    x, weight, bias, mean = numbers(*shape), numbers(3), numbers(3, seed=1), numbers(3, seed=2)
    norm, var = BatchNorm(shape[1:], 0.5), mean**2
    given = mean, var, weight, bias
    same(F.batch_norm(x, *given, False, 0.3, 0.5), norm.apply(x, weight, bias, mean, var))
    same(F.batch_norm(x, *given, True, eps=0.5), norm.apply(x, weight, bias, training=True))
    same(F.batch_norm(x, mean, var), BatchNorm(shape[1:]).apply(x, None, None, mean, var))


@pytest.mark.parametrize("lead", [(), (2,), (0,), (2, 3)])
def test_linear_is_that_of_the_class_over_the_last_axis(lead):
    x, w, b = numbers(*lead, 3), numbers(2, 3), numbers(2)
    y = F.linear(x, w, b)
    assert y.shape == (*lead, 2)
    same(y.reshape(-1, 2), Linear(3, 2).apply(x.reshape(-1, 3), w, b))
    same(F.linear(x, w), y - b)


@pytest.mark.parametrize("lead", [(), (2,), (0,)])
def test_linear_with_one_row_of_weights_has_no_axis_for_it(lead):
    x, w = numbers(*lead, 3), numbers(3)
    same(F.linear(x, w, np.array(5.0)), np.asarray(x @ w + 5))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_is_that_of_the_class_from_the_last_axis_on(mode):
    x = numbers(2, 3, 4, 5)
    pad = Pad((3, 4, 5), ((3, -1), (1, 2)), mode)
    same(F.pad(x, (1, 2, 3, -1), mode), pad.apply(x))
    same(F.pad(x[0], (1, 2, 3, -1), mode), pad.apply(x[0]))
    last = Pad((4, 5), ((1, 2),), mode)
    same(F.pad(x[0], [1, 2], mode), last.apply(x[0]))


def test_a_constant_pads_any_axes_with_any_value():
    x = numbers(2, 3)
    same(F.pad(x, (1, 0, 0, 2), value=7), np.pad(x, ((0, 2), (1, 0)), constant_values=7))
    same(F.pad(x, (1, 0, 0, 2)), np.pad(x, ((0, 2), (1, 0))))
    same(F.pad(x, ()), x)


# One call of each, on arrays that cannot be written to


def fixed(array):
    """The array, read-only."""
    array.flags.writeable = False
    return array


x, columns = fixed(numbers(1, 2, 6, 6)), fixed(numbers(1, 8, 25))
b, mean, var = fixed(numbers(2)), fixed(numbers(2, seed=1)), fixed(numbers(2) ** 2)


def one_of_each(axes):
    x, w = fixed(numbers(1, 2, *[4] * axes)), fixed(numbers(2, 2, *[2] * axes))
    return [
        (functions("conv", axes), (x, w, b)),
        (functions("conv_transpose", axes), (x, w, b)),
        (functions("max_pool", axes), (x, 1)),
        (functions("avg_pool", axes), (x, 1)),
        (functions("adaptive_avg_pool", axes), (x, 4)),
        (functions("adaptive_max_pool", axes), (x, 4)),
    ]


CALLS = [
    *(call for axes in (1, 2, 3) for call in one_of_each(axes)),
    (F.unfold, (x, 1)),
    (F.fold, (columns, 6, 2)),
    (F.batch_norm, (x, mean, var, b, b)),
    (F.batch_norm, (x, mean, var, b, b, True)),
    (F.linear, (x, fixed(numbers(2, 6)), b)),
    (F.linear, (x, fixed(numbers(6)))),
    (F.pad, (x, (0, 0))),
    (F.pad, (x, ())),
]


@pytest.mark.parametrize("function, arguments", CALLS)
def test_nothing_is_written_to_and_nothing_is_shared(function, arguments):
    before = [np.copy(a) for a in arguments if isinstance(a, np.ndarray)]
    y = function(*arguments)
    assert y.flags.writeable
    given = [a for a in arguments if isinstance(a, np.ndarray)]
    for array, copy in zip(given, before, strict=True):
        assert not np.shares_memory(y, array)
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("function, arguments", CALLS)
def test_lists_and_keywords_are_taken(function, arguments):
    plain = [a.tolist() if isinstance(a, np.ndarray) else a for a in arguments]
    names = list(inspect.signature(function).parameters)
    same(function(**dict(zip(names, plain, strict=False))), function(*arguments))


# Refusals


def check(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == sentence
    assert type(error.value) is kind


ONE, TWO = numbers(1, 4), numbers(1, 4, 4)  # one channel, on one and two axes
K1, K2 = numbers(1, 1, 2), numbers(1, 1, 2, 2)
HALF = "padding must be at most half the window: {} > {} // 2 = {}"
AXES = "input of {} must have {} axes, (C, *S), or {}, (N, C, *S): got shape {}"
PER_AXIS = "{} must be one integer or {}, one per spatial axis: got {} in {}"
PER_ONE = "{} must be one integer or a tuple of 1: got {} in {}"
FORM = "weight_shape must be (output channels, input channels / groups, *kernel)"
NO_CHANNEL = "input of {} must have at least one channel, got shape {}"
VALUE_ERRORS = [
    (F.conv2d, (ONE, K1), AXES.format("conv2d", 3, 4, (1, 4))),
    (F.conv_transpose3d, (TWO, K2), AXES.format("conv_transpose3d", 4, 5, (1, 4, 4))),
    (F.max_pool1d, (numbers(4), 2), AXES.format("max_pool1d", 2, 3, (4,))),
    (F.avg_pool3d, (TWO, 2), AXES.format("avg_pool3d", 4, 5, (1, 4, 4))),
    (F.adaptive_avg_pool2d, (ONE, 2), AXES.format("adaptive_avg_pool2d", 3, 4, (1, 4))),
    (F.adaptive_max_pool3d, (ONE, 2), AXES.format("adaptive_max_pool3d", 4, 5, (1, 4))),
    (F.unfold, (ONE, 2), AXES.format("unfold", 3, 4, (1, 4))),
    (
        F.conv1d,
        (ONE, K2),
        f"{FORM}, 3 axes for input_shape (1, 4) (one item, without a batch axis): "
        "got 4 in (1, 1, 2, 2)",
    ),
    (
        F.conv1d,
        (ONE, numbers(1, 2, 2)),
        f"{FORM}: input channels / groups = 1 / 1 = 1, got 2 in (1, 2, 2)",
    ),
    (
        F.conv_transpose1d,
        (ONE, numbers(2, 1, 2)),
        "weight_shape must be (input channels, output channels / groups, *kernel): "
        "the input channels are 1, got 2 in (2, 1, 2)",
    ),
    (
        F.conv1d,
        (ONE, K1, numbers(2)),
        "bias must have one entry per output channel, (1,), got (2,)",
    ),
    (
        F.conv_transpose1d,
        (ONE, K1, numbers(1, 1)),
        "bias must have one entry per output channel, (1,), got (1, 1)",
    ),
    (F.conv1d, (ONE, K1, None, 0), "stride must be at least 1, got 0"),
    (F.conv1d, (ONE, K1, None, (1, 1)), PER_ONE.format("stride", 2, (1, 1))),
    (F.conv1d, (ONE, K1, None, 1, -1), "padding must be at least 0, got -1"),
    (F.conv2d, (TWO, K2, None, 1, (1, 2, 3)), PER_AXIS.format("padding", 2, 3, (1, 2, 3))),
    (F.conv1d, (ONE, K1, None, 1, "full"), "padding must be 'valid' or 'same', got 'full'"),
    (F.conv1d, (ONE, K1, None, 1, 0, 0), "dilation must be at least 1, got 0"),
    (F.conv1d, (ONE, K1, None, 1, 0, 1, 2), "groups must divide the input channels: 1 % 2 = 1"),
    (
        F.conv1d,
        (ONE, numbers(1, 1, 5)),
        "the kernel is wider than the padded input on spatial axis 0: dilation * (kernel - 1) + 1 "
        "= 1 * (5 - 1) + 1 = 5 > 4 + 0 + 0 = 4; pad more or take a smaller kernel",
    ),
    (
        F.conv_transpose1d,
        (ONE, K1, None, 2, 0, 2),
        "output_padding must be smaller than max(stride, dilation) on spatial axis 0: "
        "2 >= max(2, 1) = 2",
    ),
    (
        F.conv_transpose1d,
        (ONE, K1, None, 1, 3),
        "the output is empty on spatial axis 0: (input - 1) * stride - padding + dilation * "
        "(kernel - 1) + 1 + output_padding = (4 - 1) * 1 - (3 + 3) + 1 * (2 - 1) + 1 + 0 = -1; "
        "pad less",
    ),
    (F.max_pool1d, (ONE, 0), "kernel_size must be at least 1, got 0"),
    (F.max_pool2d, (TWO, (2, 3, 2)), PER_AXIS.format("kernel_size", 2, 3, (2, 3, 2))),
    (F.max_pool1d, (ONE, 2, 0), "stride must be at least 1, got 0"),
    (F.max_pool1d, (ONE, 3, 1, 2), HALF.format((2,), (3,), (1,))),
    (F.avg_pool2d, (TWO, (1, 2), 1, 1), HALF.format((1, 1), (1, 2), (0, 1))),
    (F.max_pool1d, (ONE, 3, 1, 2, 2), HALF.format((2,), (3,), (1,))),  # dilation does not count
    (F.max_pool1d, (numbers(0, 4), 2), NO_CHANNEL.format("max_pool1d", (0, 4))),
    (F.avg_pool1d, (numbers(2, 0, 4), 2), NO_CHANNEL.format("avg_pool1d", (2, 0, 4))),
    (F.unfold, (numbers(0, 4, 4), 2), NO_CHANNEL.format("unfold", (0, 4, 4))),
    (F.avg_pool2d, (TWO, 2, 1, 0, False, True, 0), "divisor_override must not be 0"),
    (
        F.avg_pool3d,
        (numbers(1, 1, 4, 4), 2, 1, 1),
        "kernel_size must not exceed the unpadded input in avg_pool3d: (2, 2, 2) > (1, 4, 4)",
    ),
    (F.adaptive_avg_pool1d, (ONE, -1), "output_size must be at least 0, got -1"),
    (F.adaptive_max_pool2d, (TWO, (1, 2, 3)), PER_AXIS.format("output_size", 2, 3, (1, 2, 3))),
    (F.adaptive_max_pool2d, (TWO, (2,)), PER_AXIS.format("output_size", 2, 1, (2,))),
    (F.unfold, (TWO, (1, 2, 3)), PER_AXIS.format("kernel_size", 2, 3, (1, 2, 3))),
    (
        F.fold,
        (numbers(3, 4), 4, 2),
        "the rows of input must be a multiple of prod(kernel_size): 3 % 4 = 3",
    ),
    (
        F.fold,
        (numbers(4), 4, 2),
        "input must be (N, C * prod(kernel_size), L) or without N, got (4,)",
    ),
    (F.fold, (numbers(4, 9), 0, 2), "output_size must be at least 1, got 0"),
    (F.fold, (numbers(0, 9), 4, 2), NO_CHANNEL.format("fold", (0, 9))),
    (F.batch_norm, (numbers(3), b, b), "input must be (N, C, *S), got (3,)"),
    (
        F.batch_norm,
        (x, None, None),
        "running_mean and running_var are needed to normalise with training=False: "
        "give both, or training=True for the statistics of x",
    ),
    (
        F.batch_norm,
        (numbers(1, 2), None, None, None, None, True),
        "training needs more than one value per channel, got input of shape (1, 2): "
        "the variance of one value is 0",
    ),
    (
        F.batch_norm,
        (x, mean, var, numbers(3)),
        "weight must have one entry per channel, (2,), got (3,)",
    ),
    (
        F.linear,
        (ONE, numbers(2, 3)),
        "input must end with the weight's input features: 4 != 3",
    ),
    (
        F.linear,
        (ONE, numbers(1, 2, 4)),
        "weight must be (out, in) or (in,) and input (*, in): "
        "got weight (1, 2, 4) and input (1, 4)",
    ),
    (F.linear, (ONE, numbers(2, 4), numbers(3)), "bias must have the shape (2,), got (3,)"),
    (F.linear, (ONE, numbers(4), numbers(1)), "bias must have the shape (), got (1,)"),
    (F.pad, (ONE, (1,)), "pad must hold (before, after) for each axis, got 1 entries"),
    (F.pad, (ONE, (0,) * 6), "pad must not name more axes than input has: 3 > 2"),
    (
        F.pad,
        (ONE, (1, 1), "edge"),
        "mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'edge'",
    ),
    (
        F.pad,
        (numbers(4), (1, 1), "reflect"),
        'mode="reflect" pads the last 1, 2 or 3 axes of an input with one or two axes more: '
        "got 1 for input (4,)",
    ),
    (
        F.pad,
        (ONE, (1, 1), "replicate", 2),
        'value must be 0 unless mode="constant": got 2 for "replicate"',
    ),
    (
        F.pad,
        (ONE, (5, 0), "circular"),
        "circular padding must not be wider than the input: ((5, 0),) for (4,)",
    ),
    (
        F.pad,
        (ONE, (-2, -3)),
        "padding leaves nothing of spatial axis 0: 4 + -2 + -3 = -1; crop less",
    ),
]
FLAG = "{} must be True or False, got {}"
INTEGER = "{} must be an integer, got {}"
TYPE_ERRORS = [
    (F.conv1d, (None, K1), "input must be an array, got None"),
    (F.conv_transpose1d, (ONE, None), "weight must be an array, got None"),
    (F.max_pool1d, (None, 2), "input must be an array, got None"),
    (F.pad, (None, (1, 1)), "input must be an array, got None"),
    (F.conv1d, (ONE, K1, None, 1.5), INTEGER.format("stride", 1.5)),
    (F.conv1d, (ONE, K1, None, True), "stride must be an integer, got the boolean True"),
    (F.conv1d, (ONE, K1, None, 1, 0, 1, 1.0), INTEGER.format("groups", 1.0)),
    (F.max_pool1d, (ONE, 2, 1, 0, 1, 1), FLAG.format("ceil_mode", 1)),
    (F.max_pool1d, (ONE, 2, 1, 0, 1, False, None), FLAG.format("return_indices", None)),
    (F.adaptive_max_pool1d, (ONE, 2, 1), FLAG.format("return_indices", 1)),
    (F.avg_pool1d, (ONE, 2, 1, 0, False, 0), FLAG.format("count_include_pad", 0)),
    (F.avg_pool2d, (TWO, 2, 1, 0, False, True, 2.5), INTEGER.format("divisor_override", 2.5)),
    (F.adaptive_avg_pool1d, (ONE, None), INTEGER.format("output_size", None)),
    (F.batch_norm, (x, mean, var, b, b, 1), FLAG.format("training", 1)),
    (F.batch_norm, (x, mean, var, b, b, False, 0.1, "1e-5"), "eps must be a number, got '1e-5'"),
    (F.pad, (ONE, 1), "pad must be a tuple of integers, got 1"),
    (F.pad, (ONE, (1, 0.5)), INTEGER.format("pad", 0.5)),
    (F.pad, (ONE, (1, 1), "constant", "0"), "value must be a number, got '0'"),
    (
        F.conv1d,
        (ONE > 0, K1),
        "input must hold numbers, got bool: convert it with input.astype(int)",
    ),
    (
        F.max_pool1d,
        (1j * ONE, 2),
        "input must be real, complex numbers have no maximum: got complex128",
    ),
]


@pytest.mark.parametrize(
    "function, arguments, kind, sentence",
    [(f, a, ValueError, s) for f, a, s in VALUE_ERRORS]
    + [(f, a, TypeError, s) for f, a, s in TYPE_ERRORS],
)
def test_wrong_arguments_are_refused(function, arguments, kind, sentence):
    check(lambda: function(*arguments), kind, sentence)


def check_mixed(function, **arrays):
    for name in list(arrays)[1:]:
        mixed = arrays | {name: arrays[name].astype(np.float32)}
        sentence = (
            f"{name} must have the dtype of input, float64: got float32; "
            f"convert with {name}.astype(input.dtype)"
        )
        check(lambda: function(**mixed), TypeError, sentence)  # noqa: B023


def test_arrays_of_different_dtypes_are_refused():
    check_mixed(F.conv1d, input=ONE, weight=K1, bias=numbers(1))
    check_mixed(F.conv_transpose2d, input=TWO, weight=K2, bias=numbers(1))
    check_mixed(F.linear, input=ONE, weight=numbers(2, 4), bias=numbers(2))


def test_statistics_of_another_dtype_are_refused():
    check_mixed(F.batch_norm, input=x, running_mean=mean, running_var=var, weight=b, bias=b)


def test_batch_norm_of_halves_takes_all_the_others_in_float32():
    half, singles = x.astype("f2"), [a.astype("f4") for a in (mean, var, b, b)]
    for training in (False, True):
        y = F.batch_norm(half, *singles, training)
        whole = F.batch_norm(half.astype("f4"), *singles, training)
        same(y, whole.astype("f2"))
    same(F.batch_norm(half, *(a.astype("f2") for a in singles)), F.batch_norm(half, *singles))
    singles[2] = singles[2].astype("f2")
    with pytest.raises(TypeError, match=r"^running_mean must have the dtype of input, float16"):
        F.batch_norm(half, *singles)


def test_padding_of_half_the_window_is_taken_whatever_the_dilation():
    assert F.max_pool1d(ONE, 2, 1, 1, 3).shape == (1, 3)
    assert F.avg_pool2d(TWO, (2, 3), 1, 1).shape == (1, 5, 4)


# Where it is PyTorch and not the class

TAKEN = [
    (F.pad, (ONE, (-2, -2)), np.ones((1, 0))),
    (F.pad, (np.ones((2, 0)), (1, 1)), np.zeros((2, 2))),
    (F.linear, (np.ones((2, 3)), np.ones((0, 3))), np.ones((2, 0))),
    (F.linear, (np.ones((2, 0)), np.ones((3, 0))), np.zeros((2, 3))),
    (F.pad, (ONE[:, :0].astype("i4"), (1, 0, 0, 1), "constant", 7), np.full((2, 1), 7, "i4")),
    (F.linear, (np.ones(0), np.ones(0)), np.zeros(())),
    (F.adaptive_avg_pool1d, (np.ones((2, 0, 4)), 2), np.ones((2, 0, 2))),
    (F.adaptive_avg_pool2d, (np.ones((0, 4, 4)), 2), np.ones((0, 2, 2))),
]


@pytest.mark.parametrize("function, arguments, y", TAKEN)
def test_what_pytorch_takes_is_taken(function, arguments, y):
    same(function(*arguments), y)


SCALAR = numbers(2, 1)
TRAINING = SCALAR, None, None, None, None, True
REFUSED = [
    (F.batch_norm, (*TRAINING, "x"), TypeError, "momentum must be a number, got 'x'"),
    (F.batch_norm, (*TRAINING, None), TypeError, "momentum must be a number, got None"),
    (F.batch_norm, (*TRAINING, 0.1, 0.0), ValueError, "eps must be above 0 in training, got 0"),
    (
        F.batch_norm,
        (SCALAR, numbers(2), numbers(2), None, None, True),
        ValueError,
        "running_mean must have one entry per channel, (1,), got (2,)",
    ),
    (
        F.batch_norm,
        (SCALAR, numbers(1), None, None, None, True),
        ValueError,
        "running_mean and running_var must both be given, or both be None",
    ),
    (F.batch_norm, (1j * SCALAR, None, None), TypeError, "input must be real, got complex128"),
    (F.adaptive_avg_pool1d, (ONE, (None,)), TypeError, INTEGER.format("output_size", None)),
    (F.adaptive_max_pool1d, (ONE, (None,)), TypeError, INTEGER.format("output_size", None)),
    (
        F.adaptive_avg_pool3d,
        (np.ones((0, 4, 4, 4)), 2),
        ValueError,
        NO_CHANNEL.format("adaptive_avg_pool3d", (0, 4, 4, 4)),
    ),
    (
        F.conv1d,
        (ONE, K1, None, ((1,),)),
        TypeError,
        "stride must hold integers, got (1,) in ((1,),)",
    ),
    (F.unfold, (TWO, (2,)), ValueError, PER_AXIS.format("kernel_size", 2, 1, (2,))),
    (
        F.pad,
        (ONE, (5, -6)),
        ValueError,
        "padding leaves nothing of spatial axis 0: 4 + 0 + -6 = -2; crop less",
    ),
]


@pytest.mark.parametrize("function, arguments, kind, sentence", REFUSED)
def test_what_pytorch_refuses_is_refused(function, arguments, kind, sentence):
    check(lambda: function(*arguments), kind, sentence)


UNCLEAR = [
    (
        lambda: F.conv1d(ONE, K1, None, 2, "same"),
        ValueError,
        'padding="same" needs stride 1, got (2,): '
        'toeplitz.Conv has "same_upper" and "same_lower" for ceil(input / stride) outputs',
    ),
    (
        lambda: F.pad(ONE, (4, 0), "reflect"),
        ValueError,
        "reflect padding must be narrower than the input on spatial axis 0: "
        '4 >= 4; take mode="replicate" or "circular"',
    ),
    (
        lambda: F.max_pool1d(1j * ONE, 2),
        TypeError,
        "input must be real, complex numbers have no maximum: got complex128",
    ),
    (
        lambda: F.fold(numbers(4, 5), 4, 2),
        ValueError,
        "input must have shape (N, 4, 9) or (4, 9), got (4, 5)",
    ),
    (
        lambda: F.batch_norm(numbers(1, 2), None, None, None, None, True),
        ValueError,
        "training needs more than one value per channel, got input of shape (1, 2): "
        "the variance of one value is 0",
    ),
]


@pytest.mark.parametrize("call, kind, sentence", UNCLEAR)
def test_a_refusal_speaks_of_what_was_given(call, kind, sentence):
    check(call, kind, sentence)
