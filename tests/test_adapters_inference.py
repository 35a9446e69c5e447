"""The adapters of inference and image libraries: each gives what its library computes.

CI installs none of these libraries: the tests run where they are installed.
"""

import importlib
from itertools import islice
from random import Random

import numpy as np
import pytest
from answers import CASE, WRONG, name_of, refused, unsupported
from hypothesis import given
from hypothesis import strategies as st

from toeplitz import Conv, ConvTranspose
from verify import adapters
from verify.adapters import images
from verify.case import Case
from verify.ops import OPS
from verify.strategies import Space, drawn_case
from verify.suspect import missing
from verify.targets import load

FEW = 10
TRANSPOSED = Case(
    OPS["conv_transpose2d"], ConvTranspose((4, 3, 4), (4, 3, 2, 2), 2, 1, 1), batch=2, bias=True
)
AXES = (1, 2, 3)


def every(kind, name, transposed=None):
    """A library's targets with their ops: (module:name, op)."""
    found = [(name.format(n), f"{k}conv{n}d") for n in AXES for k in ("", "depthwise_", kind)]
    if transposed:
        found += [(transposed.format(n), f"conv_transpose{n}d") for n in AXES]
    return list(dict.fromkeys(found))


# By the module that is needed: targets with ops, dtypes, and whether there is a backward pass.
KNOWN = {
    "scipy": (
        every("padded_", "scipy.ndimage:correlate") + every("padded_", "scipy.ndimage:convolve"),
        ("float64", "float32", "int64"), False,
    ),
    "cv2": (
        [("cv2:filter2D", op) for op in ("conv2d", "padded_conv2d", "depthwise_conv2d")]
        + every("padded_", "cv2.dnn:Conv", "cv2.dnn:ConvTranspose"),
        ("float64", "float32"), False,
    ),
    "mlx.core": (
        every("padded_", "mlx.core:conv{}d", "mlx.core:conv_transpose{}d")
        + every("padded_", "mlx.core:conv_general"),
        ("float32", "float16", "bfloat16"), True,
    ),
    "openvino": (
        every("padded_", "openvino:Conv", "openvino:ConvTranspose")
        + [("openvino:group_convolution", "conv2d")],
        ("float32", "float16"), False,
    ),
    "paddle": (
        [*every("padded_", *(f"paddle.nn.functional:conv{{}}d{t}" for t in ("", "_transpose"))),
         ("paddle.nn.functional:linear", "linear")],
        ("float64", "float32"), True,
    ),
    "tinygrad": (
        [*every("padded_", "tinygrad:Tensor.conv2d", "tinygrad:Tensor.conv_transpose2d"),
         ("tinygrad:Tensor.linear", "linear")],
        ("float64", "float32"), True,
    ),
}  # fmt: skip
TARGETS = [(module, *target) for module, (targets, _, _) in KNOWN.items() for target in targets]


def wrong_there(module, case):
    """Whether the library is known to be wrong on a case; see each reason."""
    layer = case.layer
    if module in ("cv2", "mlx.core") and case.batch == 0:
        return True  # cv2.dnn gives None; MLX dies of a division by zero
    if case.op.linear:
        return False
    if module == "tinygrad" and case.batch == 0 and case.op.padded:
        return True  # its pad refuses reflect and the other modes there
    if module == "tinygrad" and case.op.transposed and max(layer.dilation) > 1:
        return True  # the gradient may come out of memory that nothing was written to
    if module in ("cv2", "paddle") and case.padding and max(layer.dilation) > 1:
        return True  # padding by name as without dilation
    if module == "cv2" and case.padding == "same_lower":
        return True  # as same_upper
    if case.op.transposed:
        ends = [d * (k - 1) for d, k in zip(layer.dilation, layer.weight_shape[2:], strict=True)]
        wide = any(p > end for (p, _), end in zip(layer.padding, ends, strict=True))
        more = zip(layer.output_padding, layer.stride, strict=True)
        if module == "paddle":
            return any(o >= s for o, s in more)  # refused, though less than the dilation
        return module == "mlx.core" and (wide or max(layer.output_padding) > 0)
    kernel, inputs = layer.weight_shape[2:], layer.input_shape[1:]
    one = any(k == 1 and any(pair) for k, pair in zip(kernel, layer.padding, strict=True))
    if module == "cv2":
        return one  # a kernel of length 1 is taken for one without padding
    # OpenVINO dies of some of these, and is wrong where a kernel is wider than the input.
    wider = any(k > n for k, n in zip(kernel, inputs, strict=True))
    return module == "openvino" and (one or wider)


def differ(got, expected, dtype):
    assert got.dtype.name == dtype
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got.astype(float), expected)


@pytest.mark.interop
@pytest.mark.parametrize("module, target, op", TARGETS)
def test_the_library_is_right(need, module, target, op):
    need(module)
    _, dtypes, backward = KNOWN[module]
    suspect = load(target, op=op)
    assert suspect.has_backward == backward
    space = Space(OPS[op], without=frozenset(missing(suspect, OPS[op])))
    chance = Random(op)  # always the same: what else is wrong in a library is for the judge
    drawn = (drawn_case(chance.choice, space, dtypes=dtypes) for _ in range(100 * FEW))
    fitting = (case for case in drawn if not wrong_there(module, case))
    assert len(list(islice((case for case in fitting if answered(suspect, case)), FEW))) == FEW


def answered(suspect, case):
    """Whether there is an answer; it must be right, forward and backward."""
    outcome = suspect.forward(case)
    assert outcome.kind in ("value", "unsupported"), outcome
    assert outcome.mutated == ()
    if outcome.ok:
        differ(outcome.value, case.arrays.y, case.dtype)
    outcome = suspect.backward(case)
    assert outcome.kind in ("value", "unsupported"), outcome
    for got, expected in zip(outcome.value or (), case.arrays.gradients, strict=False):
        differ(got, expected, case.dtype)
    return outcome.ok or suspect.forward(case).ok


UNSUPPORTED = [
    ("scipy.ndimage:correlate", CASE.but(dtype="float16"),
     "scipy.ndimage.correlate does not do float16"),
    ("scipy.ndimage:convolve", CASE.but(layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=1)),
     "scipy.ndimage.convolve gives as many outputs as inputs: no more, and no crop"),
    ("cv2:filter2D", CASE.but(dtype="int8"),
     "cv2.filter2D does not do int8 without saturation"),
    ("cv2:filter2D", CASE.but(op=OPS["padded_conv2d"],
                              layer=Conv((1, 5, 5), (1, 1, 3, 3), padding=1,
                                         padding_mode="circular")),
     "cv2.filter2D has no padding_mode 'circular'"),
    ("cv2:filter2D", CASE.but(op=OPS["padded_conv2d"],
                              layer=Conv((1, 5, 5), (1, 1, 3, 3), padding=-1)),
     "cv2.filter2D gives as many outputs as inputs: no more, and no crop"),
    ("cv2.dnn:Conv", CASE, "cv2.dnn reads blobs of float32 only: got float64"),
    ("cv2.dnn:Conv", CASE.but(op=OPS["padded_conv2d"], dtype="float32",
                              layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=-1)),
     "ONNX allows no negative padding"),
    ("mlx.core:conv2d", CASE.but(dtype="int8"), "mlx has no convolution of int8"),
    ("mlx.core:conv3d",
     CASE.but(op=OPS["conv3d"], layer=Conv((2, 2, 2, 2), (2, 1, 1, 1, 1), groups=2)),
     "mlx documents groups=1 only for conv3d"),
    ("mlx.core:conv2d", CASE.but(op=OPS["padded_conv2d"], dtype="float32",
                                 layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=((0, 1), (0, 0)))),
     "mlx's conv2d pads both sides alike: take conv_general"),
    ("mlx.core:conv_general",
     CASE.but(op=OPS["padded_conv2d"],
              layer=Conv((1, 5, 5), (1, 1, 3, 3), padding=1, padding_mode="reflect")),
     "mlx has no padding_mode 'reflect'"),
    ("openvino:Conv", CASE, "OpenVINO's CPU plugin does not infer in float64"),
    ("openvino:convolution", CASE.but(dtype="float32"),
     "OpenVINO's convolution has no groups: take group_convolution"),
    ("paddle.nn.functional:conv2d", CASE.but(dtype="int8"),
     "paddle documents no convolution of int8"),
    ("paddle.nn.functional:conv2d",
     CASE.but(op=OPS["padded_conv2d"], layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=-1)),
     "paddle documents no negative padding"),
    ("tinygrad:Tensor.conv2d", CASE.but(dtype="int8"),
     "the tinygrad adapter does no convolution of dtypes.char"),
]  # fmt: skip


@pytest.mark.interop
@pytest.mark.parametrize("target, case, sentence", UNSUPPORTED)
def test_what_a_library_does_not_do_is_unsupported(need, target, case, sentence):
    need(name_of(target))
    outcome = load(target, op=case.op).forward(case)
    unsupported(outcome, sentence)


@pytest.mark.interop
@pytest.mark.parametrize(
    "target, op, sentence",
    [
        ("scipy.ndimage:median_filter", "conv2d",
         "the scipy.ndimage adapter has correlate and convolve: got median_filter"),
        ("scipy.ndimage:correlate", "linear",
         "scipy.ndimage:correlate does not do linear: take op conv1d, conv2d or conv3d"),
        ("cv2:blur", "conv2d", "the cv2 adapter has filter2D: got blur"),
        ("cv2:filter2D", "conv1d", "cv2:filter2D does not do conv1d: take op conv2d"),
        ("cv2.dnn:Conv", "conv_transpose2d",
         "cv2.dnn:Conv does not do conv_transpose2d: take cv2.dnn:ConvTranspose"),
        ("cv2.dnn:Gemm", "linear", "the cv2.dnn adapter has Conv and ConvTranspose: got Gemm"),
        ("mlx.core:conv1d", "conv2d",
         "mlx's conv1d does not do conv2d: take conv2d or conv_general"),
        ("mlx.core:conv_general", "conv_transpose2d",
         "mlx's conv_general does not do conv_transpose2d: take conv_transpose2d"),
        ("mlx.core:conv2d", "linear", "mlx's conv2d does not do linear: take a convolution"),
        ("openvino:Conv", "conv_transpose2d",
         "openvino:Conv does not do conv_transpose2d: take openvino:ConvTranspose"),
        ("openvino:MatMul", "linear",
         "the openvino adapter has Conv, ConvTranspose, convolution, group_convolution, "
         "convolution_backprop_data, group_convolution_backprop_data: got MatMul"),
        ("paddle.nn.functional:conv2d", "conv_transpose2d",
         "paddle's conv2d does not do conv_transpose2d: take conv2d_transpose"),
        ("tinygrad:Tensor.conv2d", "conv_transpose3d",
         "tinygrad's conv2d does not do conv_transpose3d: take Tensor.conv_transpose2d"),
    ],
)  # fmt: skip
def test_a_function_of_another_op_is_refused(need, target, op, sentence):
    need(name_of(target))
    refused(lambda: load(target, op=op), sentence)


# The others may hang, or end the process, in one of these libraries.
ASKED = ("channels of x", "channels of w", "no groups", "length of b", "three paddings",
         "axes of x", "kernel")  # fmt: skip


DEADLY = {
    ("mlx.core:conv2d", "no groups"),  # divides by them
    ("paddle.nn.functional:conv2d", "kernel"),  # a result of negative sizes
}


@pytest.mark.interop
@pytest.mark.parametrize("wrong", ASKED)
@pytest.mark.parametrize(
    "target",
    ["scipy.ndimage:correlate", "cv2:filter2D", "mlx.core:conv2d", "openvino:Conv",
     "paddle.nn.functional:conv2d", "tinygrad:Tensor.conv2d"],
)  # fmt: skip
def test_wrong_calls_stay_wrong(need, target, wrong):
    need(target.partition(":")[0])
    if (target, wrong) in DEADLY:
        pytest.skip(f"{target} takes the whole process with it")
    outcome = load(target).forward(CASE.but(dtype="float32"), **WRONG[wrong])
    assert outcome.kind in ("raised", "unsupported")


OWN = """
import {module} as library

def mine(x, w, stride=1):
    return {call}

def pair(g, x, w, stride=1):
    return x, w, g
"""
CALLS = {
    "mlx": ("mlx.core", "library.conv2d(x, w, stride)"),
    "paddle": ("paddle.nn.functional", "library.conv2d(x, w, stride=stride)"),
    "tinygrad": ("tinygrad", "x.conv2d(w, stride=stride)"),
}


@pytest.mark.interop
@pytest.mark.parametrize("library", CALLS)
def test_functions_of_ones_own_are_called_with_the_librarys_arrays(need, tmp_path, library):
    module, call = CALLS[library]
    need(module)
    (tmp_path / "mine.py").write_text(OWN.format(module=module, call=call))
    case = Case(OPS["conv2d"], Conv((2, 5, 4), (3, 2, 2, 1), (2, 1)), dtype="float32")
    suspect = load(f"{tmp_path}/mine.py:mine", adapter=library)
    assert "padding" not in (suspect.parameters() or ())
    differ(suspect.forward(case).value, case.arrays.y, "float32")
    for got, expected in zip(suspect.backward(case).value, case.arrays.gradients, strict=True):
        differ(got, expected, "float32")


@pytest.mark.interop
@pytest.mark.parametrize("library", ["mlx", "paddle", "tinygrad"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_arrays_come_back_as_they_went(need, library, dtype):
    need(library)
    adapter = importlib.import_module(f"verify.adapters.{library}")
    there = getattr(adapter, "_tensor", None) or adapter._array
    array = CASE.but(dtype=dtype, layout="reversed").given("x")["x"]
    back = (getattr(adapter, "_numpy", None) or adapter._array)(there(array))
    assert back.dtype == array.dtype
    assert back.tobytes() == np.ascontiguousarray(array).tobytes()


def test_functions_of_the_device_get_arrays_there_and_give_ones_of_numpy(gpu):
    import cupy

    import toeplitz

    def conv(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        assert type(x) is type(w) is cupy.ndarray
        return toeplitz.functional.conv2d(x, w, b, stride, padding, dilation, groups)

    from verify.adapters.cupy import adapt

    forward, backward = adapt(conv, OPS["conv2d"])
    arrays = CASE.given("x", "w", "b").values()
    differ(forward(*arrays, groups=2), CASE.arrays.y, "float64")
    assert backward is None
    for name in ("scipy.signal:correlate2d", "scipy.ndimage:correlate"):
        case = CASE.but(layer=Conv((4, 5, 6), (6, 2, 3, 3), padding=1, groups=2))
        outcome = load(f"cupyx.{name}").forward(case)
        differ(outcome.value, case.arrays.y, "float64")


@pytest.mark.interop
def test_the_functions_of_cupyx_are_those_of_scipy(need):
    need("cupy")
    signal, images = need("cupyx.scipy.signal"), need("cupyx.scipy.ndimage")
    from verify.adapters import cupy, ndimage, scipy

    for library, names, adapter in (
        (signal, scipy.FLIPPED, scipy), (images, ndimage.NAMES, ndimage)
    ):  # fmt: skip
        for name in names:
            forward, backward = cupy.adapt(getattr(library, name), OPS["conv2d"])
            assert forward.__module__ == adapter.__name__
            assert backward is None
    with pytest.raises(ValueError, match=r"^scipy\.signal:correlate2d does not do conv1d: take "):
        cupy.adapt(signal.correlate2d, OPS["conv1d"])


@given(st.integers(1, 5), st.data())
def test_anchors_leave_room_for_the_padding_asked_for(k, data):
    before = data.draw(st.integers(0, k - 1))
    after = data.draw(st.integers(0, k - 1 - before))
    (anchor,) = images.anchors("f", ((before, after),), (k,))
    assert before <= anchor <= k - 1 - after
    middle = k // 2
    assert abs(anchor - middle) == max(0, before - middle, middle - (k - 1 - after))
    size = 7
    outputs = size + before + after - k + 1
    (crop,) = images.cropped((anchor,), ((before, after),), (outputs,))
    assert 0 <= crop.start <= crop.stop <= size


def test_paddings_by_name_and_number_are_pairs():
    x, w = np.ones((1, 1, 5, 6)), np.ones((1, 1, 2, 3))
    assert adapters.sides("valid", x, w) == ((0, 0), (0, 0))
    assert adapters.sides((1, 2), x, w) == ((1, 1), (2, 2))
    layer = Conv((1, 5, 6), (1, 1, 2, 3), (2, 1), "same_lower", (1, 2))
    assert adapters.sides("same_lower", x, w, (2, 1), (1, 2)) == layer.padding


def test_libraries_are_known_by_the_first_part_of_a_module():
    assert adapters.library("cv2") == "cv2"
    assert adapters.library("cv2.dnn") == "cv2.dnn"
    assert adapters.library("cupyx.scipy.signal") == "cupyx"
    assert adapters.library("mlx.core") == "mlx"
    assert adapters.library("scipy.ndimage") == "scipy.ndimage"
