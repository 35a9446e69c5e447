"""The same laws on a GPU: cupy arrays in, cupy and cupyx arrays out, equal to the CPU's."""

import numpy as np
import pytest
from geometries import convs, gaussian_like, integers_like
from hypothesis import given
from hypothesis import strategies as st

import toeplitz

pytestmark = pytest.mark.gpu

SEEDS = st.integers(0, 2**32 - 1)
FORMATS = st.sampled_from(["csr", "csc", "coo", "dense"])


def _same(on_device, on_host):
    assert type(on_device).__module__.startswith("cupy")
    assert on_device.dtype == on_host.dtype
    np.testing.assert_array_equal(on_device.get(), on_host)


@given(conv=convs(), format=FORMATS, seed=SEEDS)
def test_the_matrix_on_the_gpu_is_the_matrix(gpu, conv, format, seed):
    w = integers_like(conv.weight_shape, seed).astype(np.float64)
    matrix = conv.matrix(gpu.asarray(w), format)
    dense = matrix if format == "dense" else matrix.toarray()
    _same(dense, conv.matrix(w, "dense"))


def _numbers(shape, seed, dtype):
    return (gaussian_like if dtype in "FD" else integers_like)(shape, seed).astype(dtype)


def _same_arrays(on_device, on_host):
    """Entry by entry; cupyx may hold a wider index than scipy, or a narrower one."""
    names = ("row", "col") if on_host.format == "coo" else ("indices", "indptr")
    _same(on_device.data, on_host.data)
    for name in names:
        ours, theirs = getattr(on_device, name), getattr(on_host, name)
        np.testing.assert_array_equal(ours.get(), theirs)


@given(
    conv=convs(),
    format=st.sampled_from(["csr", "csc", "coo"]),
    layout=st.sampled_from(["channels_first", "channels_last"]),
    dtype=st.sampled_from("fdFD"),
    seed=SEEDS,
)
def test_the_arrays_that_the_kernel_writes_are_those_of_the_cpu(
    gpu, conv, format, layout, dtype, seed
):
    first, second = (_numbers(conv.weight_shape, seed + turn, dtype) for turn in (0, 1))
    _same_arrays(
        conv.matrix(gpu.asarray(first), format, layout), conv.matrix(first, format, layout)
    )
    pattern = conv.pattern(format, layout, like=gpu.zeros(1))
    for w in (first, second):
        _same_arrays(pattern.matrix(gpu.asarray(w)), conv.matrix(w, format, layout))
    x = _numbers((2, *conv.input_shape), seed, dtype)
    _same_arrays(conv.unfolded(gpu.asarray(x)), conv.unfolded(x))


def test_a_large_matrix_is_written_on_the_stream_of_its_caller(gpu):
    conv = toeplitz.Conv((64, 28, 28), (64, 64, 3, 3), padding=1)
    w = _numbers(conv.weight_shape, 0, "f")
    with gpu.cuda.Stream(non_blocking=True) as stream:
        T = conv.matrix(gpu.asarray(w))
        stream.synchronize()
    _same_arrays(T, conv.matrix(w))


@given(conv=convs(), format=st.sampled_from(["csr", "csc", "coo"]), seed=SEEDS)
def test_patterns_and_rows_on_the_gpu_are_those_of_the_cpu(gpu, conv, format, seed):
    w = integers_like(conv.weight_shape, seed).astype(np.float64)
    pattern = conv.pattern(format, like=gpu.zeros(1))
    _same(pattern.matrix(gpu.asarray(w)).toarray(), conv.matrix(w, "dense"))
    rows = conv.rows(0, -(-np.prod(conv.output_shape) // 2), "channels_last")
    if rows.nnz:
        _same(rows.matrix(gpu.asarray(w)).toarray(), rows.matrix(w).toarray())


def test_a_pattern_and_weights_of_two_devices_are_refused(gpu):
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    with pytest.raises(ValueError, match=r"^w and the pattern are on different devices"):
        conv.pattern().matrix(gpu.ones((1, 1, 2)))


@given(conv=convs(), seed=SEEDS)
def test_products_and_gradients_on_the_gpu_are_exact_on_integers(gpu, conv, seed):
    x = integers_like((2, *conv.input_shape), seed).astype(np.float64)
    w = integers_like(conv.weight_shape, seed + 1).astype(np.float64)
    g = integers_like((2, *conv.output_shape), seed + 2).astype(np.float64)
    _same(conv.apply(gpu.asarray(x), gpu.asarray(w)), conv.apply(x, w))
    on_device = conv.gradients(gpu.asarray(g), gpu.asarray(x), gpu.asarray(w))
    for device, host in zip(on_device, conv.gradients(g, x, w), strict=True):
        _same(device, host)
    operator, columns = conv.operator(gpu.asarray(w)), gpu.asarray(x.reshape(2, -1).T)
    _same(operator @ columns, conv.matrix(w) @ x.reshape(2, -1).T)


def test_pools_and_pads_on_the_gpu_are_those_of_the_cpu(gpu):
    x = integers_like((2, 3, 7, 5), 0).astype(np.float64)
    for layer in (
        toeplitz.MaxPool((3, 7, 5), (3, 2), padding=1),
        toeplitz.AvgPool((3, 7, 5), (2, 4), stride=(2, 1)),
        toeplitz.AdaptiveMaxPool((3, 7, 5), (2, 3)),
        toeplitz.Pad((3, 7, 5), ((1, 2), (0, 3)), "reflect"),
    ):
        y = layer.apply(x)
        _same(layer.apply(gpu.asarray(x)), y)
        _same(layer.gradient(gpu.asarray(y), gpu.asarray(x)), layer.gradient(y, x))


def test_arrays_of_two_devices_are_refused(gpu):
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    with pytest.raises(ValueError, match=r"^w is in host memory and another argument on the GPU"):
        conv.apply(gpu.ones((1, 3)), np.ones((1, 1, 2)))


def test_a_dtype_that_cupyx_does_not_hold_is_refused(gpu):
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    with pytest.raises(TypeError, match=r"^cupyx\.scipy\.sparse holds no int64"):
        conv.matrix(gpu.ones((1, 1, 2), np.int64))
