"""Each adapter gives what its library computes, and says which part of the space that is."""

import numpy as np
import pytest
from answers import CASE, WRONG, holds_on_cases, name_of, refused, right, unsupported
from hypothesis import given
from hypothesis import strategies as st

from toeplitz import Conv, ConvTranspose, Linear
from verify import adapters
from verify.campaign import run
from verify.case import Case
from verify.data import LAYOUTS, laid_out
from verify.isolation import Isolated
from verify.ops import OPS
from verify.suspect import missing
from verify.targets import load

TRANSPOSED = Case(OPS["conv_transpose2d"], ConvTranspose((2, 3, 4), (2, 3, 2, 2), 3, dilation=2))
TORCH = {
    name: f"torch.nn.functional:{name.removeprefix('padded_').removeprefix('depthwise_')}"
    for name, op in OPS.items()
    if op.weighted
}
LAYERS = [name for name, op in OPS.items() if not op.weighted and not name.startswith("global")]
ONNX = {
    name: f"onnxruntime:{'ConvTranspose' if 'transpose' in name else 'Conv'}"
    for name, op in OPS.items()
    if op.family == "conv"
}
SCIPY = [
    (f"scipy.signal:{function}", f"{kind}{ndim}d")
    for function in ("correlate2d", "convolve2d", "correlate", "convolve", "fftconvolve")
    for kind in ("conv", "padded_conv")
    for ndim in ((2,) if function.endswith("2d") else (1, 2, 3))
]


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch says it once a process
@pytest.mark.parametrize("op", TORCH)
def test_torch_is_right(need, op):
    need("torch")
    dtypes = ("float64", "float32", "int64", "complex64")
    suspect = holds_on_cases(load(TORCH[op], op=op), op, dtypes)
    assert suspect.has_backward


@pytest.mark.interop
@pytest.mark.parametrize("op", LAYERS)
def test_layers_of_torch_are_right(need, op):
    need("torch")
    suspect = load(f"torch.nn.functional:{op}", op=op)
    report = run(suspect, OPS[op], max_examples=60, dtypes=("float64", "float32"))
    assert report.ok, str(report)
    assert suspect.has_backward


def test_a_library_whose_adapter_has_no_pools_says_so():
    with pytest.raises(ValueError, match=r"^the adapter of scipy.signal does not do max_pool2d: "):
        load("scipy.signal:correlate2d", op="max_pool2d")


@pytest.mark.interop
@pytest.mark.parametrize("op", ONNX)
def test_onnxruntime_is_right(need, op):
    need("onnx")
    need("onnxruntime")
    suspect = holds_on_cases(load(ONNX[op], op=op), op, ("float32", "float16"))
    assert not suspect.has_backward


@pytest.mark.interop
@pytest.mark.parametrize("target, op", SCIPY)
def test_scipy_is_right(target, op):
    dtypes = ("float64", "float32", "int64", "complex64")
    # Those of any number of axes choose between direct sums and an FFT, as they document.
    suspect = holds_on_cases(load(target, op=op), op, dtypes, exact=target.endswith("2d"))
    assert {"stride", "dilation"} <= set(missing(suspect, OPS[op]))


@pytest.mark.interop
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensors_lie_in_the_memory_of_the_arrays(need, layout, dtype):
    torch = need("torch")
    from verify.adapters.torch import _array, _tensor

    array = laid_out(np.arange(24.0).reshape(1, 2, 3, 4), dtype, layout)
    tensor = _tensor(array)
    assert tensor.dtype == getattr(torch, dtype)
    back = _array(tensor)
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()
    if layout != "reversed":  # torch has no negative steps
        assert back.strides == array.strides
        assert tensor.data_ptr() == array.__array_interface__["data"][0]


@pytest.mark.interop
def test_bfloat16_goes_through_a_worker(need):
    need("torch")
    case = CASE.but(dtype="bfloat16", layout="channels_last")
    with Isolated("torch.nn.functional:conv2d") as suspect:
        assert right(suspect.forward(case), case.arrays.y, "bfloat16")
        for got, expected in zip(suspect.backward(case).value, case.arrays.gradients, strict=True):
            np.testing.assert_array_equal(got.astype(float), expected)


PADDED = Conv((1, 3, 3), (1, 1, 2, 2), padding=((1, 1), (1, 1)), padding_mode="circular")


@pytest.mark.interop
@pytest.mark.parametrize(
    "target, case, sentence",
    [
        ("torch.nn.functional:conv2d",
         CASE.but(dtype="int8", layer=Conv((1, 5, 5), (1, 1, 2, 2), dilation=2)),
         "\"slow_conv_dilated<>\" not implemented for 'Char'"),
        ("torch.nn.functional:conv2d",
         CASE.but(op=OPS["padded_conv2d"],
                  layer=Conv((1, 2, 2), (1, 1, 2, 2), padding=3, padding_mode="circular")),
         "torch does not wrap around more than once"),
        ("torch.nn.functional:conv2d",
         CASE.but(op=OPS["padded_conv2d"],
                  layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=-1, padding_mode="circular")),
         "torch does not crop with padding_mode 'circular'"),
        ("onnxruntime:Conv", CASE, "onnxruntime has no Conv for float64"),
        ("onnxruntime:Conv", CASE.but(dtype="int8"), "ONNX's Conv does not do int8"),
        ("onnxruntime:Conv", CASE.but(op=OPS["padded_conv2d"], layer=PADDED),
         "ONNX's Conv has no padding_mode 'circular'"),
        ("onnxruntime:Conv",
         CASE.but(op=OPS["padded_conv2d"], layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=-1)),
         "ONNX allows no negative padding"),
        ("onnxruntime:Conv",
         CASE.but(op=OPS["padded_conv2d"], padding="same_lower",
                  layer=Conv((1, 5, 5), (1, 1, 2, 2), padding="same_lower", dilation=2)),
         "onnxruntime has no dilation with auto_pad SAME"),
        ("onnxruntime:ConvTranspose",
         CASE.but(op=OPS["conv_transpose2d"],
                  layer=ConvTranspose((1, 3, 3), (1, 1, 2, 2), 1, 0, 1, dilation=2)),
         "onnxruntime wants output_padding smaller than the stride"),
        ("scipy.signal:correlate2d", CASE.but(dtype="float16"),
         "scipy.signal.correlate2d does not do float16"),
        ("scipy.signal:fftconvolve", CASE.but(dtype="int8"),
         "scipy.signal.fftconvolve does not do int8"),
        ("scipy.signal:fftconvolve", CASE.but(data="nan", at=(1,)),
         "scipy.signal.fftconvolve spreads NaN and infinities"),
        ("scipy.signal:correlate2d", CASE.but(layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=2)),
         "scipy.signal pads with less than the kernel, and crops nothing"),
        ("scipy.signal:correlate2d",
         CASE.but(op=OPS["padded_conv2d"],
                  layer=Conv((1, 5, 5), (1, 1, 2, 2), padding=1, padding_mode="reflect")),
         "correlate2d has no padding_mode 'reflect'"),
    ],
)  # fmt: skip
def test_what_a_library_does_not_do_is_unsupported(need, target, case, sentence):
    need(name_of(target))
    outcome = load(target, op=case.op).forward(case)
    unsupported(outcome, sentence)


@pytest.mark.interop
def test_torch_has_no_gradients_of_integers(need):
    need("torch")
    outcome = load("torch.nn.functional:conv2d").backward(CASE.but(dtype="int64"))
    assert (outcome.kind, outcome.message) == ("unsupported", "torch has no gradients of int64")


@pytest.mark.interop
@pytest.mark.parametrize(
    "target, op, sentence",
    [
        ("torch.nn.functional:conv1d", "conv2d", "torch's conv1d does not do conv2d: take conv2d"),
        ("torch:conv2d", "linear", "torch's conv2d does not do linear: take linear"),
        ("onnxruntime:Conv", "conv_transpose2d",
         "onnxruntime:Conv does not do conv_transpose2d: take onnxruntime:ConvTranspose"),
        ("onnxruntime:Conv", "linear",
         "onnxruntime:Conv does not do linear: take a convolution"),
        ("onnxruntime:Gemm", "linear",
         "the onnxruntime adapter has Conv and ConvTranspose: got Gemm"),
        ("scipy.signal:medfilt2d", "conv2d",
         "the scipy.signal adapter has correlate2d, convolve2d, correlate, convolve, fftconvolve, "
         "oaconvolve: got medfilt2d"),
        ("scipy.signal:correlate2d", "conv1d",
         "scipy.signal:correlate2d does not do conv1d: take op conv2d"),
        ("scipy.signal:correlate", "linear",
         "scipy.signal:correlate does not do linear: take op conv1d, conv2d or conv3d"),
    ],
)  # fmt: skip
def test_a_function_of_another_op_is_refused(need, target, op, sentence):
    need(name_of(target))
    refused(lambda: load(target, op=op), sentence)


@pytest.mark.interop
@pytest.mark.parametrize("target", [TORCH["conv2d"], ONNX["conv2d"], "scipy.signal:correlate2d"])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_calls_stay_wrong(need, target, wrong):
    need(name_of(target))
    outcome = load(target).forward(CASE.but(dtype="float32"), **WRONG[wrong])
    assert outcome.kind in ("raised", "unsupported")


@pytest.mark.interop
@pytest.mark.parametrize("target", [TORCH["conv2d"], ONNX["conv2d"], "scipy.signal:correlate2d"])
@pytest.mark.parametrize(
    "changes",
    [{"padding": "bogus"}, {"padding_mode": "bogus"}, {"padding": "same", "stride": 2},
     {"padding": ((1, 1),)}],
)  # fmt: skip
def test_wrong_padding_stays_wrong(need, target, changes):
    need(name_of(target))
    case = CASE.but(op=OPS["padded_conv2d"], dtype="float32")
    assert load(target, op="padded_conv2d").forward(case, **changes).kind in (
        "raised", "unsupported",
    )  # fmt: skip


MINE = """
import torch

def flipped(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    return torch.conv2d(x, w.flip(-1, -2), b, stride, padding, dilation, groups)

def without_bias(x, w, groups=1):
    return torch.conv2d(x, w, groups=groups)

def backward(g, x, w, groups=1):
    grad_x = torch.nn.grad.conv2d_input(x.shape, w, g, groups=groups)
    return grad_x, torch.nn.grad.conv2d_weight(x, w.shape, g, groups=groups), g.sum((0, 2, 3))

def no_tensor(x, w, b=None, **rest):
    return [x]
"""


@pytest.fixture
def mine(tmp_path, need):
    need("torch")
    (tmp_path / "mine.py").write_text(MINE)
    return f"{tmp_path}/mine.py"


@pytest.mark.interop
def test_functions_of_tensors_of_ones_own_are_called_with_tensors(mine):
    suspect = load(f"{mine}:flipped", adapter="torch")
    outcome = suspect.forward(CASE)
    assert outcome.ok
    assert not right(outcome, CASE.arrays.y, "float64")  # a mistake shows
    flipped = np.ascontiguousarray(CASE.arrays.w[:, :, ::-1, ::-1])
    assert right(suspect.forward(CASE, w=flipped), CASE.arrays.y, "float64")
    assert load(f"{mine}:no_tensor", adapter="torch").forward(CASE).message == "a list of ndarray"


@pytest.mark.interop
def test_autograd_takes_functions_without_bias(mine):
    suspect = load(f"{mine}:without_bias", adapter="torch")
    assert suspect.parameters() == {"x", "w", "groups"}
    outcome = suspect.backward(CASE.but(full=True))
    for got, expected in zip(outcome.value, CASE.arrays.gradients, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.interop
def test_a_backward_pass_of_ones_own_goes_through_the_adapter_too(mine):
    for adapter in ("torch", None):  # None: that of torch.nn.functional
        suspect = load("torch.nn.functional:conv2d", f"{mine}:backward", adapter=adapter)
        outcome = suspect.backward(CASE)
        for got, expected in zip(outcome.value, CASE.arrays.gradients, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.interop
def test_linear_layers_of_torch(need):
    need("torch")
    case = Case(OPS["linear"], Linear(5, 3), batch=2, bias=True)
    assert right(load(TORCH["linear"], op="linear").forward(case), case.arrays.y, "float64")


@given(
    st.sampled_from(["same_upper", "same_lower"]),
    st.integers(1, 7),
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_padding_by_name_is_that_of_the_matrices(name, extent, size, stride):
    layer = Conv((1, size), (1, 1, extent), stride, name)
    assert adapters.same(name, extent, size, stride) == layer.padding[0]


def test_padding_by_another_name_is_refused():
    for name, stride in (("bogus", 1), ("same", 2)):
        with pytest.raises(ValueError, match=f"^padding must be .*: '{name}'$"):
            adapters.same(name, 3, 5, stride)
    assert adapters.same("same", 2, 5, 1) == Conv((1, 5), (1, 1, 2), padding="same").padding[0]


def test_one_value_for_each_axis():
    assert adapters.each_axis(2, 3) == (2, 2, 2)
    with pytest.raises(ValueError, match=r"^one value for each of 2 axes: got \(1, 2, 3\)$"):
        adapters.pairs((1, 2, 3), 2)


def test_libraries_are_known_by_the_first_part_of_a_module():
    assert adapters.library("torch.nn.functional") == "torch"
    assert adapters.library("torchvision.ops") is None
    assert adapters.library("scipy.signal") == "scipy.signal"
    assert adapters.library("scipy.linalg") is None
