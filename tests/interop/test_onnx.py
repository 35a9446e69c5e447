"""One-node ONNX models against our layers: on integers both are exact, so they must be equal.

onnxruntime runs them, except where it does not do what ONNX says: then ONNX's own reference does.
"""

from math import prod

import numpy as np
import pytest
from geometries import conv_transposes, convs, integers_like, seeds
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz

pytestmark = pytest.mark.interop

UNIT = 60**3  # divided by 1 … 6 on each of three axes, this is an integer
batches = st.sampled_from([1, 0, 3])


@pytest.fixture(scope="module")
def node(need):
    """node("Conv", x, w, strides=[2]): the outputs of a model with this one node."""
    onnx, reference_of, runtime = map(need, ("onnx", "onnx.reference", "onnxruntime"))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4

    def run(operator, *arrays, outputs=1, reference=False, **attributes):
        names = [f"input{i}" for i in range(len(arrays))], [f"output{i}" for i in range(outputs)]
        kinds = [onnx.TensorProto.FLOAT] * len(arrays), [onnx.TensorProto.FLOAT] * outputs
        if operator == "MaxPool" and outputs == 2:
            kinds[1][1] = onnx.TensorProto.INT64
        inputs, results = (
            [onnx.helper.make_tensor_value_info(*entry, None) for entry in zip(*each, strict=True)]
            for each in zip(names, kinds, strict=True)
        )
        nodes = [onnx.helper.make_node(operator, *names, **attributes)]
        model = onnx.helper.make_model(
            onnx.helper.make_graph(nodes, operator, inputs, results),
            opset_imports=[onnx.helper.make_opsetid("", 22)],
            ir_version=10,
        )
        feed = dict(zip(names[0], arrays, strict=True))
        if reference:
            found = reference_of.ReferenceEvaluator(model).run(None, feed)
        else:
            session = runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            found = session.run(None, feed)
        return found[0] if outputs == 1 else found

    return run


def small(shape, seed):
    """Integers from -3 to 3: sums of up to a million of their products are exact in float32."""
    return (integers_like(shape, seed) % 7 - 3).astype(np.float32)


def filled(layer, batch, seed):
    shapes = (batch, *layer.input_shape), layer.weight_shape, layer.output_shape[:1]
    return [small(shape, seed + i) for i, shape in enumerate(shapes)]


def ends(pairs):
    """Padding in ONNX's order: all begins, then all ends."""
    return [before for before, _ in pairs] + [after for _, after in pairs]


def positive(pairs):
    """onnxruntime does not crop."""
    return [(max(0, before), max(0, after)) for before, after in pairs]


# Convolutions

ZEROS = convs(modes=["zeros"], names=False, input_dilation=False)


@given(ZEROS, seeds, batches)
def test_conv_is_onnxs_with_any_pads(node, conv, seed, batch):
    padding = positive(conv.padding)
    conv = toeplitz.Conv(
        conv.input_shape, conv.weight_shape, conv.stride, padding, conv.dilation, conv.groups
    )
    x, w, b = filled(conv, batch, seed)
    y = node(
        "Conv",
        x,
        w,
        b,
        pads=ends(padding),
        strides=conv.stride,
        dilations=conv.dilation,
        group=conv.groups,
    )
    same(conv.apply(x, w, b), y)


@pytest.mark.parametrize("name", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@given(conv=ZEROS, seed=seeds, batch=batches)
def test_conv_is_onnxs_with_auto_pad(node, name, conv, seed, batch):
    wide = conv.input_shape[0], *(axis.padded for axis in conv.axes)  # so that the kernel fits
    conv = toeplitz.Conv(
        wide, conv.weight_shape, conv.stride, name.lower(), conv.dilation, conv.groups
    )
    # onnxruntime refuses to find the pads of a dilated kernel, and crops for one that is
    # smaller than the stride.
    odd = max(conv.dilation) > 1 or any(axis.stride > axis.kernel for axis in conv.axes)
    x, w, b = filled(conv, batch, seed)
    y = node(
        "Conv",
        x,
        w,
        b,
        reference=name != "VALID" and odd,
        auto_pad=name,
        strides=conv.stride,
        dilations=conv.dilation,
        group=conv.groups,
    )
    same(conv.apply(x, w, b), y)


@given(conv_transposes(), seeds, batches)
def test_conv_transpose_is_onnxs(node, up, seed, batch):
    # Both sides at least 0; and ONNX, too, lets output_padding reach the dilation, but neither
    # onnxruntime nor the reference can.
    padding = positive(up.padding)
    extra = tuple(map(min, up.output_padding, (s - 1 for s in up.stride)))
    longer = np.add(up.input_shape[1:], np.sum(padding, axis=1)).tolist()  # something is left
    up = toeplitz.ConvTranspose(
        (up.input_shape[0], *longer),
        up.weight_shape,
        up.stride,
        padding,
        extra,
        up.dilation,
        up.groups,
    )
    x, w, b = filled(up, batch, seed)
    y = node(
        "ConvTranspose",
        x,
        w,
        b,
        pads=ends(padding),
        output_padding=extra,
        strides=up.stride,
        dilations=up.dilation,
        group=up.groups,
    )
    same(up.apply(x, w, b), y)


# Pools


@st.composite
def windows(draw):
    """(item's shape, (kernel, stride, padding, dilation, ceil_mode)).

    Every window reads an input, for a size of at least the dilation leaves no gap to fall into.
    """
    ndim = draw(st.integers(1, 3))
    most = {1: 4, 2: 3}.get(ndim, 2)
    sizes, axes = [], []
    for _ in range(ndim):
        kernel, stride, dilation = (draw(st.integers(1, most)) for _ in range(3))
        pair = tuple(draw(st.integers(0, kernel - 1)) for _ in range(2))
        least = max(dilation, dilation * (kernel - 1) + 1 - sum(pair))
        sizes.append(least + draw(st.integers(0, most)))
        axes.append((kernel, stride, pair, dilation))
    return (draw(st.integers(1, 2)), *sizes), (*zip(*axes, strict=True), draw(st.booleans()))


def attributes(kernel, stride, padding, dilation, ceil_mode):
    return {
        "kernel_shape": kernel,
        "strides": stride,
        "pads": ends(padding),
        "dilations": dilation,
        "ceil_mode": int(ceil_mode),
    }


@given(windows(), seeds, batches)
def test_max_pool_is_onnxs_with_any_pads_dilations_and_ceil_mode(node, drawn, seed, batch):
    shape, space = drawn
    x = small((batch, *shape), seed)
    same(toeplitz.MaxPool(shape, *space).apply(x), node("MaxPool", x, **attributes(*space)))


@given(windows(), seeds, batches)
def test_the_places_of_maxima_are_onnxs(node, drawn, seed, batch):
    shape, space = drawn
    x = small((batch, *shape), seed)
    _, places = node("MaxPool", x, outputs=2, **attributes(*space))
    ours = toeplitz.MaxPool(shape, *space).indices(x)
    planes = np.arange(batch * shape[0]).reshape(batch, shape[0], *[1] * (len(shape) - 1))
    same(ours + planes * prod(shape[1:]), places)  # ONNX counts through all planes


@given(windows(), st.booleans(), seeds, batches)
def test_average_pool_is_onnxs_with_the_count_of_pytorch(node, drawn, include, seed, batch):
    # With ceil_mode, onnxruntime counts what PyTorch counts: the cells of the padded input, not
    # those past its end. (ONNX's reference counts otherwise there, and strides wrongly.)
    shape, space = drawn
    x = UNIT * small((batch, *shape), seed)
    y = node("AveragePool", x, count_include_pad=int(include), **attributes(*space))
    same(toeplitz.AvgPool(shape, *space, count_include_pad=include).apply(x), y)


SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(lambda sizes: (2, *sizes))


@given(SHAPES, seeds, batches)
def test_global_pools_are_onnxs(node, shape, seed, batch):
    x = UNIT * small((batch, *shape), seed)
    same(toeplitz.GlobalAvgPool(shape).apply(x), node("GlobalAveragePool", x))
    same(toeplitz.GlobalMaxPool(shape).apply(x), node("GlobalMaxPool", x))


# Batch normalisation

EPS = 3.0  # with the variances below the square roots are 2, 4 and 8, and dividing by them is exact


@given(SHAPES, seeds, batches)
def test_batch_normalization_in_inference_is_onnxs(node, shape, seed, batch):
    x = small((batch, *shape), seed)
    weight, bias, mean = (small(shape[:1], seed + i) for i in range(3))
    var = (4.0 ** (1 + integers_like(shape[:1], seed) % 3) - EPS).astype(np.float32)
    y = node("BatchNormalization", x, weight, bias, mean, var, epsilon=EPS)
    same(toeplitz.BatchNorm(shape, EPS).apply(x, weight, bias, mean, var), y)


@given(st.sampled_from([(2, (3,)), (4, (2, 2)), (1, (2, 2, 4))]), seeds)
def test_batch_normalization_in_training_is_onnxs(node, drawn, seed):
    batch, shape = drawn  # each channel holds mean ± 1 in turn: its variance is 1
    signs = np.resize([1, -1], (shape[0], batch * prod(shape[1:])))
    split = (signs + small((shape[0], 1), seed)).reshape(shape[0], batch, *shape[1:])
    x = np.moveaxis(split, 0, 1).astype(np.float32)
    weight, bias, mean, var = (small(shape[:1], seed + i) for i in range(4))
    y, *_ = node(  # onnxruntime trains only in builds of its own
        "BatchNormalization",
        x,
        weight,
        bias,
        mean,
        var,
        outputs=3,
        reference=True,
        training_mode=1,
        epsilon=EPS,
    )
    same(toeplitz.BatchNorm(shape, EPS).apply(x, weight, bias, training=True), y)
