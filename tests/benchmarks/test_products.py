"""Products of the explicit matrix beside those of other libraries, on the same matrix.

Run with: pytest tests/benchmarks/test_products.py -s -n 0
MKL takes part if sparse_dot_mkl finds it, PyTorch if it is installed.
"""

import os
import warnings
from importlib import import_module
from statistics import median

import numpy as np
import pytest
from timed_layers import LAYERS
from timing import alternating, kept_memory

from toeplitz import blas

ITEMS = 32
ROUNDS = 7
WARM = 0.25  # until the threads of other libraries, which wait in a loop, are asleep


@pytest.fixture(autouse=True, scope="module")
def _memory():
    with kept_memory():
        yield


def peers(matrix, x):
    """The same product by other libraries, as far as they are installed."""
    found = {"scipy": lambda: matrix @ x}
    try:
        torch = import_module("torch")
    except ImportError:
        pass
    else:
        arrays = [torch.from_numpy(a) for a in (matrix.indptr, matrix.indices, matrix.data)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "sparse CSR tensor support is in beta state"
            theirs = torch.sparse_csr_tensor(*arrays, size=matrix.shape)
        tensor = torch.from_numpy(x)
        found["torch"] = lambda: theirs @ tensor
    if blas.mkl():
        os.environ.setdefault("MKL_RT", blas.mkl()._name)  # where it looks for the library
    try:
        multiply = import_module("sparse_dot_mkl").dot_product_mkl
    except (ImportError, OSError):
        pass
    else:
        found["MKL"] = lambda: multiply(matrix, x)
    return found


def ratio(slow, fast):
    """How many times longer: of the best rounds, and of the medians."""
    return f"{min(slow) / min(fast):.2f}x best, {median(slow) / median(fast):.2f}x median"


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_product_against_other_libraries(name, layout):
    conv = LAYERS[name]
    rng = np.random.default_rng(0)
    T = conv.product(rng.standard_normal(conv.weight_shape, np.float32), layout)
    g, x = (rng.standard_normal((size, ITEMS), np.float32) for size in T.shape)
    others = peers(T.matrix, x)
    ours, back, *taken = alternating(
        lambda: T @ x, lambda: T.T @ g, *others.values(), rounds=ROUNDS, warm=WARM
    )
    print(f"\n{name}, {layout}: {T.matrix.nnz} entries, {median(ours) * 1e3:.0f} ms")
    for other, seconds in zip(others, taken, strict=True):
        print(f"  {other:<8} {ratio(seconds, ours)}")
    print(f"  T.T @ G  {ratio(back, ours)}")
    assert min(map(median, taken)) >= 1.5 * median(ours)
    assert median(back) <= 1.3 * median(ours)
