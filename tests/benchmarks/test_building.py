"""How long a matrix takes to build. Run with: pytest tests/benchmarks -s -n 0"""

import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from timing import alternate

import toeplitz


def test_a_matrix_of_113_million_entries_is_built_at_the_pace_of_copying_it(benchmark):
    conv = toeplitz.Conv((64, 56, 56), (64, 64, 3, 3), padding=1)
    w = np.random.default_rng(0).standard_normal(conv.weight_shape, np.float32)
    finished = conv.matrix(w)

    def copied():
        return finished.data.copy(), finished.indices.copy()

    built, copying = alternate(lambda: conv.matrix(w), copied, rounds=7)
    benchmark.pedantic(conv.matrix, args=(w,), rounds=3)
    benchmark.extra_info["against copying"] = built / copying
    print(f"\n{finished.nnz} entries: built in {built / copying:.2f}x the time of copying them")
    assert finished.nnz == 112_869_376
    assert built <= 1.5 * copying


def test_building_needs_little_more_memory_than_the_matrix():
    conv = toeplitz.Conv((64, 56, 56), (64, 64, 3, 3), padding=1)
    w = np.zeros(conv.weight_shape, np.float32)
    tracemalloc.start()
    matrix = conv.matrix(w)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    print(f"\npeak {peak / size:.2f}x the matrix")
    assert peak <= 1.3 * size


# Channels grow, the image stays: 10⁴, 10⁵, … 10⁸ entries.
GROWTH = [
    toeplitz.Conv((1, 35, 35), (1, 1, 3, 3), padding=1),
    toeplitz.Conv((3, 36, 36), (3, 3, 3, 3), padding=1),
    toeplitz.Conv((10, 36, 36), (10, 10, 3, 3), padding=1),
    toeplitz.Conv((30, 36, 36), (30, 30, 3, 3), padding=1),
    toeplitz.Conv((96, 36, 36), (96, 96, 3, 3), padding=1),
]


def test_the_time_grows_linearly_with_the_entries():
    rows = []
    for conv in GROWTH:
        w = np.zeros(conv.weight_shape, np.float32)
        (seconds,) = alternate(lambda conv=conv, w=w: conv.matrix(w), rounds=9)
        rows.append((conv.cost().nnz, seconds))
    print("\n|   entries | milliseconds | ns per entry |\n|---:|---:|---:|")
    for nnz, seconds in rows:
        print(f"| {nnz:>9} | {seconds * 1e3:12.3f} | {seconds / nnz * 1e9:12.2f} |")
    # Linear at most: an entry never costs much more in a larger matrix than in a smaller one.
    per_entry = [seconds / nnz for nnz, seconds in rows]
    for smaller, larger in pairwise(per_entry):
        assert larger <= 1.5 * smaller


@pytest.mark.parametrize(
    ("shape", "weight_shape", "limit"),
    [((16, 32, 32), (16, 16, 3, 3), 5e-3), ((1, 8, 8), (1, 1, 3, 3), 300e-6)],
    ids=["16 channels on 32x32", "one channel on 8x8"],
)
def test_a_small_matrix_is_built_within(shape, weight_shape, limit, benchmark):
    w = np.random.default_rng(0).standard_normal(weight_shape, np.float32)
    benchmark(lambda: toeplitz.Conv(shape, weight_shape, padding=1).matrix(w))
    assert benchmark.stats["median"] <= limit


def test_importing_costs_no_more_than_numpy_and_scipy_sparse():
    def run(line):
        return lambda: subprocess.run([sys.executable, "-c", line], check=True)

    plain, ours = alternate(run("import numpy, scipy.sparse"), run("import toeplitz"), rounds=11)
    print(f"\nimport toeplitz: {ours / plain:.2f}x the time of import numpy, scipy.sparse")
    assert ours <= 1.3 * plain
