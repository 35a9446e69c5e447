"""The adapters of jax, tensorflow, keras and ONNX's reference evaluator.

The three large ones answer from workers: as a process of their own they bring no warnings here,
and each test of keras chooses its back end.
"""

from importlib.util import find_spec

import numpy as np
import pytest
from answers import (
    CASE,
    WRONG,
    holds_on_cases,
    name_of,
    refused,
    right,
    right_gradients,
    unsupported,
)  # fmt: skip

from toeplitz import Conv, ConvTranspose, Linear
from verify.adapters.calls import Call
from verify.case import Case
from verify.isolation import Isolated
from verify.ops import OPS
from verify.targets import load

LIMIT = 60.0  # seconds: a first call compiles
TRANSPOSED = Case(
    OPS["conv_transpose2d"],
    ConvTranspose((2, 3, 4), (2, 3, 2, 3), (3, 2), (0, 1), (1, 0), (1, 2)),
    batch=2,
    bias=True,
)
EVEN = Case(OPS["padded_conv2d"], Conv((2, 4, 5), (3, 2, 2, 3), padding="same_upper", dilation=2))
LINEAR = Case(OPS["linear"], Linear(5, 3), batch=2, bias=True)
DEPTHWISE = Case(OPS["depthwise_conv2d"], Conv((3, 5, 6), (6, 1, 2, 3), groups=3), batch=2)


@pytest.fixture
def library(need, monkeypatch):
    """A function that skips the test where a library or its back end is missing."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def chosen(name, backend=None):
        for wanted in (name, backend):
            if wanted is not None and find_spec(wanted) is None:
                need(wanted)
        if backend is not None:
            monkeypatch.setenv("KERAS_BACKEND", backend)

    return chosen


TARGETS = [
    ("jax.lax:conv_general_dilated", CASE),
    ("jax.lax:conv_general_dilated", EVEN),
    ("jax.lax:conv_general_dilated", TRANSPOSED),
    ("jax.lax:conv_general_dilated",
     CASE.but(op=OPS["conv1d"], layer=Conv((2, 5), (3, 2, 2)), bias=False)),
    ("jax.lax:conv_transpose", TRANSPOSED),
    ("jax.lax:conv_transpose",
     TRANSPOSED.but(layer=ConvTranspose((2, 3, 4), (2, 3, 2, 2), 3, output_padding=1))),
    ("jax.numpy:dot", LINEAR),
    ("jax.numpy:matmul", LINEAR),
    ("tensorflow.nn:conv2d", CASE.but(layer=Conv((4, 5, 6), (6, 4, 2, 3), (1, 2), (1, 2)))),
    ("tensorflow.nn:conv2d", EVEN.but(layer=Conv((2, 4, 5), (3, 2, 2, 3), 2, "same_upper"))),
    ("tensorflow.nn:conv1d", CASE.but(op=OPS["conv1d"], layer=Conv((2, 5), (3, 2, 2), 2))),
    ("tensorflow.nn:conv3d",
     CASE.but(op=OPS["conv3d"], layer=Conv((2, 3, 4, 5), (3, 2, 1, 2, 3), (1, 2, 3)))),
    ("tensorflow.nn:convolution", CASE.but(layer=Conv((4, 5, 6), (6, 4, 2, 3)))),
    ("tensorflow.nn:depthwise_conv2d", DEPTHWISE),
    ("tensorflow.nn:conv2d_transpose",
     TRANSPOSED.but(layer=ConvTranspose((2, 3, 4), (2, 3, 2, 3), (3, 2), (0, 1), (1, 0)))),
    ("tensorflow.nn:conv_transpose",
     TRANSPOSED.but(layer=ConvTranspose((2, 3, 4), (2, 3, 2, 3), 2, 0, (1, 0)))),
    ("tensorflow.linalg:matmul", LINEAR),
    ("onnx.reference:Conv", CASE),
    ("onnx.reference:Conv", EVEN),
    ("onnx.reference:ConvTranspose", TRANSPOSED),
]  # fmt: skip


@pytest.mark.interop
@pytest.mark.parametrize("target, case", TARGETS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_target_answers_rightly(library, target, case, dtype):
    library(name_of(target))
    if dtype == "bfloat16":
        library("ml_dtypes")
    case = case.but(dtype=dtype, layout="channels_last")
    with Isolated(target, op=case.op, limit=LIMIT) as suspect:
        outcome = suspect.forward(case)
        assert outcome.ok, outcome
        assert outcome.mutated == ()
        assert right(outcome, case.arrays.y, dtype)
        assert suspect.has_backward == (name_of(target) != "onnx")
        if suspect.has_backward:
            assert right_gradients(suspect.backward(case), case)


KERAS = [
    ("keras.ops:conv", CASE),
    ("keras.ops:conv", CASE.but(layer=Conv((4, 6, 5), (6, 2, 3, 3), 1, (2, 1), (2, 1), 2))),
    ("keras.ops:conv_transpose",
     TRANSPOSED.but(layer=ConvTranspose((2, 3, 4), (2, 3, 2, 3), 2, 0, (1, 0)))),
    ("keras.ops:conv_transpose",
     TRANSPOSED.but(layer=ConvTranspose((2, 3, 4), (2, 3, 3, 3), 1, 1))),
    ("keras.ops:depthwise_conv", DEPTHWISE),
    ("keras.ops:matmul", LINEAR),
]  # fmt: skip


@pytest.mark.interop
@pytest.mark.parametrize("target, case", KERAS)
@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch", "numpy"])
def test_keras_answers_rightly_with_each_back_end(library, target, case, backend):
    library("keras", backend)
    case = case.but(dtype="float32")
    with Isolated(target, op=case.op, limit=LIMIT) as suspect:
        outcome = suspect.forward(case)
        assert outcome.ok, outcome
        assert right(outcome, case.arrays.y, "float32")
        assert suspect.has_backward == (backend != "numpy")
        if suspect.has_backward:
            assert right_gradients(suspect.backward(case), case)


@pytest.mark.interop
@pytest.mark.parametrize("op", ["conv1d", "padded_conv2d", "depthwise_conv3d", "conv_transpose2d"])
def test_jax_is_right_on_drawn_cases(library, op):
    library("jax")
    with Isolated("jax.lax:conv_general_dilated", op=op, limit=LIMIT) as suspect:
        holds_on_cases(suspect, op, ("float64", "float32"))


@pytest.mark.interop
@pytest.mark.parametrize("op", ["conv1d", "padded_conv2d", "depthwise_conv2d"])
def test_tensorflow_is_right_on_drawn_cases(library, op):
    library("tensorflow")
    name = op.removeprefix("padded_").removeprefix("depthwise_")
    with Isolated(f"tensorflow.nn:{name}", op=op, limit=LIMIT) as suspect:
        # tensorflow 2.21 gives an empty batch the shape of x.
        holds_on_cases(suspect, op, ("float64", "float32"), claimed=lambda case: case.batch > 0)


@pytest.mark.interop
@pytest.mark.parametrize("op", ["conv1d", "padded_conv2d", "conv_transpose2d"])
def test_the_reference_evaluator_is_right_on_drawn_cases(library, op):
    library("onnx")
    transposed = OPS[op].transposed
    suspect = load(f"onnx.reference:{'ConvTranspose' if transposed else 'Conv'}", op=op)

    def claimed(case):  # transposed, onnx 1.23 is wrong with groups and has no empty batches
        return not transposed or (case.batch > 0 and case.layer.groups == 1)

    holds_on_cases(suspect, op, ("float64", "float32"), claimed=claimed)


@pytest.mark.interop
def test_gradients_of_complex_arrays_are_conjugate_as_those_of_torch(library):
    library("jax")
    case = CASE.but(dtype="complex64")
    with Isolated("jax.lax:conv_general_dilated", limit=LIMIT) as suspect:
        assert right(suspect.forward(case), case.arrays.y, "complex64")
        assert right_gradients(suspect.backward(case), case)


PADDED = CASE.but(
    op=OPS["padded_conv2d"],
    layer=Conv((1, 3, 3), (1, 1, 2, 2), padding=1, padding_mode="circular"),
    bias=False,
)
CROPPED = PADDED.but(layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=-1))
LARGE_EXTRA = TRANSPOSED.but(layer=ConvTranspose((1, 3, 3), (1, 1, 2, 2), 1, 0, 1, dilation=2))
SIDES = CASE.but(layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=2), bias=False)


@pytest.mark.interop
@pytest.mark.parametrize(
    "target, case, sentence",
    [
        ("jax.lax:conv_general_dilated", PADDED,
         "jax.lax.conv_general_dilated has no padding_mode 'circular'"),
        ("jax.lax:conv_transpose",
         TRANSPOSED.but(layer=ConvTranspose((2, 3, 3), (2, 1, 2, 2), groups=2)),
         "jax.lax.conv_transpose has no groups"),
        ("tensorflow.nn:conv2d", PADDED, "tf.nn.conv2d has no padding_mode 'circular'"),
        ("tensorflow.nn:conv2d", CROPPED, "TensorFlow allows no negative padding"),
        ("tensorflow.nn:convolution", SIDES, "tf.nn.convolution pads by SAME or VALID"),
        ("tensorflow.nn:convolution",
         SIDES.but(layer=Conv((1, 5, 5), (1, 1, 2, 2), 2, dilation=2)),
         "`strides > 1` not supported in conjunction with `dilation_rate > 1`. Received: "
         "strides=[2 2] and dilation_rate=[2 2]"),
        ("tensorflow.nn:depthwise_conv2d",
         DEPTHWISE.but(layer=Conv((3, 5, 6), (3, 1, 2, 2), 2, 0, 2, 3)),
         "tf.nn.depthwise_conv2d has no strides with dilation"),
        ("tensorflow.nn:conv2d_transpose", LARGE_EXTRA,
         "tf.nn.conv2d_transpose wants output_padding smaller than the stride"),
        ("tensorflow.nn:conv2d_transpose",
         TRANSPOSED.but(layer=ConvTranspose((2, 3, 3), (2, 1, 2, 2), groups=2)),
         "tf.nn.conv2d_transpose has no groups"),
        ("keras.ops:conv", SIDES,
         "keras.ops pads by valid, or by same as much on both sides"),
        ("keras.ops:conv_transpose", LARGE_EXTRA,
         "Keras wants output_padding smaller than the stride"),
        ("keras.ops:conv_transpose",
         TRANSPOSED.but(layer=ConvTranspose((1, 3, 3), (1, 1, 2, 2), 1, (1, 0))),
         "keras.ops.conv_transpose pads by valid, or by same on both sides"),
        ("onnx.reference:Conv", CASE.but(dtype="int8"), "ONNX's Conv does not do int8"),
        ("onnx.reference:Conv", PADDED, "ONNX's Conv has no padding_mode 'circular'"),
        ("onnx.reference:Conv", CROPPED, "ONNX allows no negative padding"),
    ],
)  # fmt: skip
def test_what_a_library_does_not_do_is_unsupported(library, target, case, sentence):
    name = name_of(target)
    library(name, "jax" if name == "keras" else None)
    with Isolated(target, op=case.op, limit=LIMIT) as suspect:
        outcome = suspect.forward(case)
        unsupported(outcome, sentence)


@pytest.mark.interop
@pytest.mark.parametrize("target", ["jax.lax:conv_general_dilated", "tensorflow.nn:conv2d"])
def test_there_are_no_gradients_of_integers(library, target):
    library(name_of(target))
    with Isolated(target, limit=LIMIT) as suspect:
        outcome = suspect.backward(CASE.but(dtype="int32"))
        told = f"{name_of(target)} has no gradients of int32"
        assert (outcome.kind, outcome.message) == ("unsupported", told)


@pytest.mark.interop
@pytest.mark.parametrize(
    "target, op, sentence",
    [
        ("jax.lax:conv_transpose", "conv2d", "jax's conv_transpose does not do conv2d"),
        ("jax.numpy:dot", "conv2d", "jax's dot does not do conv2d"),
        ("tensorflow.nn:conv1d", "conv2d", "tf.nn.conv1d does not do conv2d"),
        ("tensorflow.nn:depthwise_conv2d", "conv2d", "tf.nn.depthwise_conv2d does not do conv2d"),
        ("tensorflow.linalg:matmul", "conv2d",
         "tensorflow's matmul does not do conv2d: take linear"),
        ("keras.ops:depthwise_conv", "depthwise_conv3d",
         "keras.ops.depthwise_conv does not do depthwise_conv3d"),
        ("onnx.reference:Conv", "conv_transpose2d",
         "onnx.reference:Conv does not do conv_transpose2d: take onnx.reference:ConvTranspose"),
        ("onnx.reference:Gemm", "linear",
         "the onnx.reference adapter has Conv and ConvTranspose: got Gemm"),
    ],
)  # fmt: skip
def test_a_function_of_another_op_is_refused(library, target, op, sentence):
    name = name_of(target)
    library(name, "jax" if name == "keras" else None)
    refused(lambda: Isolated(target, op=op), sentence)


WRONG_HERE = {n: c for n, c in WRONG.items() if n != "kernel"} | {
    "padding by name": {"padding": "same_upper"}
}
BY_NAME = [{"padding": "bogus"}, {"padding_mode": "bogus"}, {"padding": "same", "stride": 2}]


@pytest.mark.interop
@pytest.mark.parametrize(
    "target", ["jax.lax:conv_general_dilated", "tensorflow.nn:conv2d", "keras.ops:conv"]
)
def test_wrong_calls_stay_wrong(library, target):
    name = name_of(target)
    library(name, "jax" if name == "keras" else None)
    case = CASE.but(dtype="float32")
    with Isolated(target, limit=LIMIT) as suspect:
        for told, changes in WRONG_HERE.items():
            assert suspect.forward(case, **changes).kind in ("raised", "unsupported"), told
    with Isolated(target, op="padded_conv2d", limit=LIMIT) as suspect:
        for changes in BY_NAME:
            outcome = suspect.forward(case.but(op=OPS["padded_conv2d"]), **changes)
            assert outcome.kind in ("raised", "unsupported"), changes


MINE = """
import {library} as lib

def linear(x, w, b=None):
    y = lib.matmul(x, lib.transpose(w))
    return y if b is None else y + b

def without_bias(x, w):
    return lib.matmul(x, lib.transpose(w))

def no_tensor(x, w, b=None):
    return [x, w]
"""


@pytest.mark.interop
@pytest.mark.parametrize("name, module", [("jax", "jax.numpy"), ("tensorflow", "tensorflow")])
def test_functions_of_ones_own_are_called_with_the_librarys_arrays(library, tmp_path, name, module):
    library(name)
    (tmp_path / "mine.py").write_text(MINE.format(library=module))
    for function in ("linear", "without_bias"):
        case = LINEAR.but(bias=function == "linear")
        with Isolated(f"{tmp_path}/mine.py:{function}", adapter=name, op="linear") as suspect:
            assert right(suspect.forward(case), case.arrays.y, "float64")
            assert right_gradients(suspect.backward(case), case)
    with Isolated(f"{tmp_path}/mine.py:no_tensor", adapter=name, op="linear") as suspect:
        assert suspect.forward(LINEAR).message == "a list of ndarray"


def test_padding_in_numbers():
    w = np.ones((3, 2, 2, 3))
    named = Call(OPS["padded_conv2d"], (1, 2), "same_upper", (2, 1), (0, 0), 1)
    assert named.extents(w) == (3, 3)
    layer = Conv((2, 4, 5), w.shape, (1, 2), "same_upper", (2, 1))
    assert named.sides(np.ones((1, 2, 4, 5)), w) == layer.padding
