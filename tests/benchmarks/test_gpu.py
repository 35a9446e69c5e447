"""On a GPU: building beside copying, products beside cupyx and torch's convolution.

Run with: TOEPLITZ_REQUIRE_GPU=1 pytest -m gpu tests/benchmarks/test_gpu.py -s -n 0
Medians of wall time, from the call to the end of the device's work, all calls in turn. The data
are small integers, so every route must give the same numbers, TF32 or not.
"""

import datetime
import os
from importlib import import_module

import numpy as np
import pytest
import scipy
from timed_layers import LAYERS
from timing import alternate

import toeplitz

pytestmark = pytest.mark.gpu

ITEMS = 32
ROUNDS = 9
WARM = 0.05
TF32 = os.environ.get("CUPY_TF32", "0") not in ("", "0")


@pytest.fixture(scope="module", autouse=True)
def header(gpu):
    """What the numbers below belong to."""
    runtime = gpu.cuda.runtime
    name = runtime.getDeviceProperties(gpu.cuda.Device().id)["name"].decode()
    versions = {"toeplitz": toeplitz, "cupy": gpu, "numpy": np, "scipy": scipy, "torch": _torch()}
    listed = [f"{library} {m.__version__}" for library, m in versions.items() if m]
    print(
        f"\n\n{name}; CUDA {runtime.runtimeGetVersion()}, driver {runtime.driverGetVersion()}; "
        f"{', '.join(listed)}; TF32 {'on' if TF32 else 'off'}; "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    )


def _torch():
    """Torch if it is installed and sees the device, at the precision that cupy works in."""
    try:
        torch = import_module("torch")
    except ImportError:
        return None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = TF32
    return torch if torch.cuda.is_available() else None


def milliseconds(gpu, *calls):
    def finished(call):
        def run():
            result = call()
            gpu.cuda.Device().synchronize()
            return result

        return run

    return [1e3 * s for s in alternate(*map(finished, calls), rounds=ROUNDS, warm=WARM)]


def integers(gpu, *shape):
    return gpu.asarray(np.random.default_rng(0).integers(-3, 4, shape).astype(np.float32))


def test_building_against_copying(gpu):
    print("\n| layer | entries | built | refilled | copied | built / copied | GB/s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, conv in LAYERS.items():
        w = integers(gpu, *conv.weight_shape)
        T, pattern = conv.matrix(w), conv.pattern(like=w)
        assert bool((T.data == pattern.matrix(w).data).all())
        built, refilled, copied = milliseconds(
            gpu,
            lambda conv=conv, w=w: conv.matrix(w),
            lambda pattern=pattern, w=w: pattern.matrix(w),
            lambda T=T: (T.data.copy(), T.indices.copy(), T.indptr.copy()),
        )
        rate = (T.data.nbytes + T.indices.nbytes + T.indptr.nbytes) / built / 1e6
        print(
            f"| {name} | {T.nnz} | {built:.3f} ms | {refilled:.3f} ms | {copied:.3f} ms "
            f"| {built / copied:.2f} | {rate:.0f} |"
        )


def test_products_against_cupyx_and_a_convolution(gpu):
    from cupyx.scipy.sparse import csr_array

    print(f"\n{ITEMS} items; - where torch is not installed or sees no device")
    print("| layer | product(w) @ X | bare csr @ X | operator(w) @ X | torch's convolution |")
    print("|---|---:|---:|---:|---:|")
    for name, conv in LAYERS.items():
        x, w = integers(gpu, ITEMS, *conv.input_shape), integers(gpu, *conv.weight_shape)
        X = gpu.ascontiguousarray(x.reshape(ITEMS, -1).T)
        product, operator = conv.product(w), conv.operator(w)
        T = product.matrix
        bare = csr_array((T.data, T.indices, T.indptr), shape=T.shape)
        calls = [lambda P=product, X=X: P @ X, lambda T=bare, X=X: T @ X]
        calls.append(lambda A=operator, x=x: A @ x.reshape(ITEMS, -1).T)
        calls += _convolution(conv, x, w)
        expected, *others = (call() for call in calls)
        for y in others:
            assert bool((gpu.asarray(y).reshape(expected.shape) == expected).all())
        taken = [f"{t:.3f} ms" for t in milliseconds(gpu, *calls)]
        print(f"| {name} | {' | '.join([*taken, '-'][:4])} |")


def _convolution(conv, x, w):
    """Torch's convolution of symmetric padding, as (rows, items)."""
    torch = _torch()
    if torch is None:
        return []
    function = getattr(torch.nn.functional, f"conv{len(conv.kernel_size)}d")
    here, weight = (torch.as_tensor(a, device="cuda") for a in (x, w))
    padding = [before for before, _ in conv.padding]
    rest = conv.stride, padding, conv.dilation, conv.groups
    return [lambda: function(here, weight, None, *rest).reshape(ITEMS, -1).T]
