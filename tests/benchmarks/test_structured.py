"""The structured product beside torch's convolution. Run with: pytest tests/benchmarks -s -n 0

Each line is one run: all calls in turn, medians, as many threads for each, memory that was used
before (TOEPLITZ_MEMORY=fresh: as malloc gives it). A ratio is torch's time in its better layout
over ours: above 1 ours is faster.
"""

import mmap
import os
import tracemalloc

import numpy as np
import pytest
from timed_layers import LAYERS, channels_last, drawn, torch_convolutions
from timing import alternate, kept_memory

from toeplitz import blas
from toeplitz.threads import threads

BATCHES = [int(n) for n in os.environ.get("TOEPLITZ_BATCHES", "1,32").split(",")]
ROUNDS = 7
WARM = 0.03


@pytest.fixture(autouse=True, scope="module")
def _memory():
    with kept_memory():
        yield


def test_the_roofline_of_the_machine():
    """A product of square matrices on every thread, and a copy on one."""
    size, count = 1024, threads()
    matrices = [[drawn(size, size, seed=seed) for seed in range(3)] for _ in range(count)]
    gemm = blas.Gemm(np.dtype("f4"), size, size, size, (size,) * 3)
    source, target = np.ones(1 << 26, np.float32), np.ones(1 << 26, np.float32)

    def multiply(parts):
        for part in parts:
            gemm(*(matrix.ctypes.data for matrix in matrices[part]), False)

    products, *copies = alternate(
        lambda: blas.side_by_side(multiply, range(count), count), lambda: np.copyto(target, source),
        lambda: np.copyto(np.frombuffer(mmap.mmap(-1, source.nbytes), source.dtype), source),
        rounds=ROUNDS, warm=WARM,
    )  # fmt: skip
    rate = 2 * size**3 * count / products / 1e9
    width, fresh = (2 * source.nbytes / seconds / 1e9 for seconds in copies)
    by = "mkl" if blas.mkl() else "scipy's OpenBLAS"
    print(
        f"\n{count} threads, {by}: sgemm {rate:.0f} GFLOP/s; one thread: copy {width:.1f} GB/s, "
        f"{fresh:.1f} GB/s to fresh memory",
        end="",
    )


@pytest.mark.parametrize("items", BATCHES)
@pytest.mark.parametrize("name", LAYERS)
def test_the_structured_product_against_a_convolution(name, items):
    conv = LAYERS[name]
    x, w = drawn(items, *conv.input_shape), drawn(*conv.weight_shape, seed=1)
    g = drawn(items, *conv.output_shape, seed=2)
    theirs = torch_convolutions(conv, x, w)
    calls = []
    for layout in ("channels_first", "channels_last"):
        order = channels_last if layout == "channels_last" else np.asarray
        X, G = (order(a).reshape(items, -1).T for a in (x, g))
        T = conv.operator(w, layout)
        calls += [lambda T=T, X=X: T @ X, lambda T=T, G=G: T.rmatmat(G)]
    U = conv.unfolded_operator(x)
    calls.append(lambda: U.rmatvec(g.ravel()))
    seconds = alternate(*theirs.values(), *calls, rounds=ROUNDS, warm=WARM)
    best = min(seconds[: len(theirs)])
    first, first_back, last, last_back, weights = seconds[len(theirs) :]
    rate = 2 * conv.macs * items / min(first, last) / 1e9
    print(
        f"\n| {name} | {items} | {best * 1e3:.1f} ms | {best / first:.2f} | {best / last:.2f} "
        f"| {first_back / first:.2f} | {last_back / last:.2f} | {weights / first:.2f} "
        f"| {rate:.0f} |",
        end="",
    )


@pytest.mark.parametrize("name", LAYERS)
def test_the_structured_product_holds_a_few_blocks(name):
    conv = LAYERS[name]
    operator = conv.operator(drawn(*conv.weight_shape))
    for run, shape in ((operator.matmat, conv.input_shape), (operator.rmatmat, conv.output_shape)):
        columns = np.zeros((8, int(np.prod(shape))), np.float32).T
        tracemalloc.start()
        y = run(columns)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"\n{name}: {(most - y.nbytes) / 1e6:.1f} MB beside input and output", end="")
        assert most <= y.nbytes + 32e6
