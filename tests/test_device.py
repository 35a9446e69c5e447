"""The kernel that writes matrices on a GPU, run on the host: its arrays are those of numpy."""

import shutil
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from geometries import conv_transposes, convs, gaussian_like, integers_like, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from on_host import compiled

import toeplitz
from toeplitz import device

DTYPES = "fdFD"
FORMATS = ("csr", "csc", "coo")
EXAMPLES = settings().max_examples // 4  # each new combination of types is compiled


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="session")
def on_device(folder):
    """`with on_device(): …` writes by the kernel, compiled for the host."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")

    @contextmanager
    def writing(**changes):
        fake = SimpleNamespace(
            RawKernel=compiled(compiler, folder, **changes),
            asarray=np.asarray,
            zeros=np.zeros,
            ndarray=(),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "cupy", fake)
            patch.setattr("toeplitz.sparse._writer", lambda xp: device)
            device.kernel.cache_clear()
            yield
        device.kernel.cache_clear()

    return writing


def numbers(shape, seed, dtype):
    return (gaussian_like if dtype in "FD" else integers_like)(shape, seed).astype(dtype)


def arrays(matrix):
    coo = matrix.format == "coo"
    return matrix.data, *(matrix.coords if coo else (matrix.indices, matrix.indptr))


def matrices(layer, seed, dtype, format, layout):
    """All that is written of a layer: whole, refilled, by rows; U(x) too."""
    w = numbers(layer.weight_shape, seed, dtype)
    size = int(np.prod(layer.output_shape))
    yield layer.matrix(w, format, layout)
    yield layer.pattern(format, layout).matrix(w)
    yield layer.rows(size // 3, size - size // 4, layout).matrix(w)
    yield layer.unfolded(numbers((2, *layer.input_shape), seed, dtype))


def check_same(ours, theirs):
    for mine, other in zip(map(arrays, ours), map(arrays, theirs), strict=True):
        for a, b in zip(mine, other, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@settings(max_examples=EXAMPLES)
@given(
    layer=convs() | conv_transposes(),
    seed=seeds,
    dtype=st.sampled_from(DTYPES),
    format=st.sampled_from(FORMATS),
    layout=st.sampled_from(("channels_first", "channels_last")),
    spread=st.sampled_from(((device.EACH, device.FEW), (1, 0), (1, device.FEW))),
    wide=st.sampled_from(((), ("number",), ("number", "index"))),
)
def test_the_kernel_writes_the_arrays_that_numpy_writes(
    on_device, layer, seed, dtype, format, layout, spread, wide
):
    case = layer, seed, dtype, format, layout
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toeplitz.matrices.KEPT", 0)
        if "index" in wide:
            patch.setattr("toeplitz.sparse.index_dtype", lambda *_: np.dtype(np.int64))
        theirs = list(matrices(*case))
        patch.setattr("toeplitz.device.EACH", spread[0])
        patch.setattr("toeplitz.device.FEW", spread[1])
        if "number" in wide:
            patch.setattr("toeplitz.device.INT32_UNTIL", 0)
        with on_device():
            ours = list(matrices(*case))
    check_same(ours, theirs)


def test_a_kernel_that_forgets_to_carry_is_seen(on_device):
    conv = toeplitz.Conv((2, 9, 9), (1, 2, 3, 3))
    case = conv, 0, "f", "csr", "channels_first"
    with on_device(change=lambda source: source.replace("step[k] + carry", "step[k]")):
        ours = list(matrices(*case))
    with pytest.raises(AssertionError, match="Mismatched elements"):
        check_same(ours, matrices(*case))


def test_a_complex_view_that_begins_between_two_numbers_is_read(on_device):
    conv = toeplitz.Conv((1, 5), (1, 1, 2))
    w = np.arange(5, dtype=np.float32)[1:].view(np.complex64).reshape(1, 1, 2)
    with on_device():
        T = conv.matrix(w)
    np.testing.assert_array_equal(T.toarray(), conv.matrix(w.copy()).toarray())
