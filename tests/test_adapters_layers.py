"""The adapters of layers without weights: each gives what its library computes.

The judge's own bounds decide, for averages and batch norms round. Where a library is known to be
wrong it is not asked; docs/conformance.md tells of it.
"""

from itertools import islice
from random import Random

import numpy as np
import pytest
from answers import name_of, refused, unsupported

from toeplitz import AvgPool, MaxPool
from verify.adapters.unweighted import Windows
from verify.case import Case
from verify.isolation import Isolated
from verify.judgement import judge_backward, judge_forward
from verify.layers import Norm
from verify.ops import OPS
from verify.strategies import Space, drawn_case
from verify.suspect import Callables, missing
from verify.targets import load

FEW = 4
LIMIT = 60.0  # seconds: a first call compiles
ISOLATED = ("jax", "tensorflow", "keras")  # as a process of their own they bring no warnings here
ONNX = {
    "MaxPool": "max_pool2d", "AveragePool": "avg_pool2d", "GlobalMaxPool": "global_max_pool2d",
    "GlobalAveragePool": "global_avg_pool2d", "Pad": "pad", "BatchNormalization": "batch_norm",
}  # fmt: skip
TARGETS = [
    *((f"onnxruntime:{name}", op) for name, op in (ONNX | {"Col2Im": "fold"}).items()),
    *((f"onnx.reference:{name}", op) for name, op in (ONNX | {"Col2Im": "fold"}).items()),
    *((f"cv2.dnn:{name}", op) for name, op in ONNX.items()),
    ("jax.lax:reduce_window", "max_pool2d"),
    ("jax.lax:reduce_window", "avg_pool1d"),
    ("jax.lax:reduce_window", "global_avg_pool2d"),
    ("jax.lax:conv_general_dilated_patches", "unfold"),
    ("jax.numpy:pad", "pad"),
    ("jax.nn:standardize", "batch_norm"),
    ("tensorflow.nn:max_pool2d", "max_pool2d"),
    ("tensorflow.nn:max_pool1d", "max_pool1d"),
    ("tensorflow.nn:avg_pool3d", "avg_pool3d"),
    ("tensorflow.nn:pool", "max_pool2d"),
    ("tensorflow.image:extract_patches", "unfold"),
    ("tensorflow:pad", "pad"),
    ("tensorflow.nn:batch_normalization", "batch_norm"),
    ("keras.ops:max_pool", "max_pool2d"),
    ("keras.ops:average_pool", "avg_pool2d"),
    ("keras.ops:adaptive_average_pool", "adaptive_avg_pool2d"),
    ("keras.ops:unfold", "unfold"),
    ("keras.ops:pad", "pad"),
    ("keras.ops:batch_normalization", "batch_norm"),
    *((f"paddle.nn.functional:{op}", op)
      for op in ("max_pool1d", "max_pool2d", "avg_pool2d", "avg_pool3d", "adaptive_max_pool2d",
                 "adaptive_avg_pool1d", "unfold", "fold", "pad", "batch_norm")),
    ("openvino:max_pool", "max_pool2d"),
    ("openvino:avg_pool", "avg_pool2d"),
    ("openvino:adaptive_max_pool", "adaptive_max_pool2d"),
    ("openvino:adaptive_avg_pool", "adaptive_avg_pool2d"),
    ("openvino:pad", "pad"),
    ("openvino:col2im", "fold"),
    ("openvino:batch_norm_inference", "batch_norm"),
    ("mlx.nn:MaxPool1d", "max_pool1d"),
    ("mlx.nn:AvgPool2d", "avg_pool2d"),
    ("mlx.core:pad", "pad"),
    ("mlx.nn:BatchNorm", "batch_norm"),
    ("tinygrad:Tensor.max_pool2d", "max_pool2d"),
    ("tinygrad:Tensor.avg_pool2d", "avg_pool2d"),
    ("tinygrad:Tensor.pad", "pad"),
    ("tinygrad:Tensor.batchnorm", "batch_norm"),
]  # fmt: skip


def wrong_there(library, case):
    """Whether a library is known to be wrong on a case; see each reason."""
    layer = case.layer
    ceil, padded = getattr(layer, "ceil_mode", False), bool(np.any(getattr(layer, "padding", 0)))
    if library in ("onnx", "cv2", "mlx", "openvino", "tensorflow", "keras") and not case.batch:
        return True  # refused, divided by, or given back as None
    if library == "onnx" and case.op.family in ("max_pool", "avg_pool"):
        return ceil or padded
    if library == "onnx" and case.op.name == "pad":
        return min(layer.pad) < 0  # passed on to numpy, which does not crop
    if library == "onnxruntime" and case.op.name == "pad":
        return not case.batch and layer.mode == "circular"  # an "unexpected mode"
    if library == "openvino":
        return case.op.family == "avg_pool" and ceil and padded  # divided by the whole window
    if library == "paddle" and getattr(layer, "divisor_override", None):
        return (
            True  # divided by the cells of the input first, and multiplied by those of the kernel
        )
    if library == "paddle" and case.dtype == "float64":
        return case.op.family in ("avg_pool", "norm")  # factors of 32 bits
    return False


@pytest.fixture
def there(need, monkeypatch):
    """A function that loads a target, or skips the test where its library is missing."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def loaded(target, op):
        library = name_of(target)
        need(library)
        if library == "keras":
            monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
            need("tensorflow")
        return Isolated(target, op=op, limit=LIMIT) if library in ISOLATED else load(target, op=op)

    return loaded


def answered(suspect, case):
    """Whether there is an answer; it must be right, forward and backward."""
    judged = judge_forward(suspect, case)
    assert judged.violation is None, judged.violation
    assert all(part.violation is None for part in judged.further)
    if suspect.has_backward:
        for part in judge_backward(suspect, case):
            assert part.violation is None, part.violation
    return judged.outcome.ok


@pytest.mark.interop
def test_what_the_adapter_divides_by_is_not_rounded_in_jax(there):
    layer = AvgPool((1, 1, 8), (1, 1), divisor_override=3)  # no sums: nothing else may round
    suspect = there("jax.lax:reduce_window", "avg_pool2d")
    for seed in range(FEW):
        assert answered(suspect, Case(OPS["avg_pool2d"], layer, 4, dtype="float16", seed=seed))


@pytest.mark.interop
@pytest.mark.parametrize("target, op", TARGETS)
def test_the_library_is_right(there, target, op):
    suspect = there(target, op)
    space = Space(OPS[op], without=frozenset(missing(suspect, OPS[op])))
    chance = Random(op)  # always the same: what else is wrong in a library is for the judge
    dtypes = ("float32",) if name_of(target) in ("cv2", "openvino") else ("float64", "float32")
    drawn = (drawn_case(chance.choice, space, dtypes=dtypes) for _ in range(60 * FEW))
    fitting = (case for case in drawn if not wrong_there(name_of(target), case))
    try:
        right = list(islice((case for case in fitting if answered(suspect, case)), FEW))
    finally:
        if isinstance(suspect, Isolated):
            suspect.close()
    assert len(right) == FEW


@pytest.mark.interop
@pytest.mark.parametrize(
    "target, op, arguments, sentence",
    [
        ("onnxruntime:BatchNormalization", "batch_norm", {"eps": 1e-5},
         "ONNX's epsilon has 32 bits: 1e-05 is none of them"),
        ("tensorflow.nn:avg_pool2d", "avg_pool2d",
         {"kernel_size": 3, "padding": 1, "count_include_pad": True},
         "tf.nn.avg_pool2d does not count padding"),
        ("tensorflow.nn:max_pool3d", "max_pool3d", {"kernel_size": 2, "padding": 1},
         "tf.nn.max_pool3d pads by SAME or VALID"),
        ("tensorflow.nn:pool", "max_pool2d", {"kernel_size": 2, "dilation": 2},
         "tf.nn.pool has no strides with dilation"),
        ("tensorflow:pad", "pad", {"pad": (1, 1), "mode": "circular"},
         "tf.pad has no mode 'circular'"),
        ("jax.numpy:pad", "pad", {"pad": (-1, 0)}, "jax.numpy.pad does not crop"),
        ("keras.ops:average_pool", "avg_pool2d", {"kernel_size": 3, "padding": 1, "stride": 1},
         "keras.ops.average_pool does not say whether it counts padding"),
        ("paddle.nn.functional:max_pool2d", "max_pool2d",
         {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True},
         "paddle's ceil_mode has windows that start in padding"),
        ("mlx.core:pad", "pad", {"pad": (1, 1), "mode": "circular"},
         "mlx.core.pad has no mode 'circular'"),
        ("openvino:pad", "pad", {"pad": (1, 1), "mode": "circular"},
         "OpenVINO's pad has no mode 'circular'"),
    ],
)  # fmt: skip
def test_what_a_library_does_not_do_is_unsupported(there, target, op, arguments, sentence):
    suspect = there(target, op)
    plain = Space(OPS[op], without=frozenset(missing(suspect, OPS[op])))
    case = drawn_case(Random(1).choice, plain, dtypes=("float64",)).but(batch=1)
    sizes = (3,) * (OPS[op].ndim or 2)
    changes = {"x": np.ones((1, 2, *sizes))}
    if op == "batch_norm":
        changes |= {name: np.ones(2) for name in ("running_mean", "running_var")}
        case = case.but(bias=False)
    outcome = suspect.forward(case, **changes, **arguments)
    if isinstance(suspect, Isolated):
        suspect.close()
    unsupported(outcome, sentence)


@pytest.mark.interop
@pytest.mark.parametrize(
    "target, op, sentence",
    [
        ("onnxruntime:MaxPool", "avg_pool2d",
         "onnxruntime:MaxPool does not do avg_pool2d: take onnxruntime:AveragePool"),
        ("onnxruntime:MaxPool", "adaptive_max_pool2d",
         "onnxruntime:MaxPool does not do adaptive_max_pool2d"),
        ("onnxruntime:LpPool", "max_pool1d",
         "the onnxruntime adapter has MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool, "
         "BatchNormalization, Pad, Col2Im for max_pool1d: got LpPool"),
        ("cv2.dnn:Col2Im", "fold", "cv2.dnn has no Col2Im"),
        ("jax.numpy:pad", "max_pool2d", "jax's pad does not do max_pool2d"),
        ("tensorflow.nn:max_pool2d", "max_pool1d", "tf.nn.max_pool2d does not do max_pool1d"),
        ("keras.ops:pad", "unfold", "keras.ops.pad does not do unfold"),
        ("paddle.nn.functional:max_pool2d", "max_pool1d",
         "paddle's max_pool2d does not do max_pool1d: take max_pool1d"),
        ("openvino:max_pool", "pad", "openvino:max_pool does not do pad"),
        ("mlx.nn:MaxPool1d", "max_pool2d",
         "mlx's MaxPool1d does not do max_pool2d: take MaxPool2d"),
        ("tinygrad:Tensor.pad", "avg_pool2d", "tinygrad's pad does not do avg_pool2d"),
    ],
)  # fmt: skip
def test_a_function_of_another_op_is_refused(there, target, op, sentence):
    refused(lambda: there(target, op), sentence)


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("kernel", range(1, 5))
def test_windows_are_those_of_the_pools(size, kernel):
    for stride in range(1, 5):
        for padding in range(kernel // 2 + 1):
            for ceil_mode in (False, True):
                _compared(size, kernel, stride, padding, ceil_mode)


def _compared(size, kernel, stride, padding, ceil_mode):
    over = Windows((kernel,), (stride,), (padding,), (1,), ceil_mode, False)
    try:
        pool = AvgPool((1, size), kernel, stride, padding, 1, ceil_mode, False)
    except ValueError:
        return
    assert over.outputs((size,)) == pool.output_shape[1:]
    assert over.pairs == pool.padding
    np.testing.assert_array_equal(over.divisors((size,)), pool.counts())
    ((before, after),) = over.reach((size,))
    reached = MaxPool((1, size + before + after), kernel, stride)
    assert reached.output_shape[1] >= pool.output_shape[1]


def test_windows_larger_than_the_input_are_refused():
    with pytest.raises(ValueError, match=r"^a window must not be larger than the padded input$"):
        Windows((4,), (1,), (0,), (1,)).outputs((3,))


def test_no_gradients_of_the_statistics_of_an_empty_batch_are_asked():
    def backward(g, x, weight, eps=1e-5):
        raise AssertionError("called")

    suspect = Callables(lambda x, running_mean, running_var: x, backward)
    (judged,) = judge_backward(suspect, Case(OPS["batch_norm"], Norm((2, 3)), batch=0))
    unsupported(judged.outcome, "an empty batch has no statistics, whose gradients are asked")
