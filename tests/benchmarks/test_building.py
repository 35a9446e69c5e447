"""How long a matrix takes to build. Run with: pytest tests/benchmarks -s -n 0"""

import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from timing import alternate

import toeplitz


def test_a_matrix_of_113_million_entries_is_built_at_the_pace_of_copying_it(benchmark):
    conv = toeplitz.Conv((64, 56, 56), (64, 64, 3, 3), padding=1)
    w = np.random.default_rng(0).standard_normal(conv.weight_shape, np.float32)
    finished, pattern = conv.matrix(w), conv.pattern()

    def copied():
        return finished.data.copy(), finished.indices.copy()

    built, refilled, copying = alternate(
        lambda: conv.matrix(w), lambda: pattern.matrix(w), copied, rounds=7
    )
    benchmark.pedantic(conv.matrix, args=(w,), rounds=3)
    benchmark.extra_info["against copying"] = built / copying
    benchmark.extra_info["refill against copying"] = refilled / copying
    print(
        f"\n{finished.nnz} entries: built in {built / copying:.2f}x the time of copying them, "
        f"refilled with new weights in {refilled / copying:.2f}x"
    )
    assert finished.nnz == 112_869_376
    assert built <= 0.8 * copying
    assert refilled <= 0.5 * copying


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_building_needs_little_more_memory_than_the_matrix(format, layout):
    conv = toeplitz.Conv((32, 56, 56), (32, 32, 3, 3), padding=1)
    w = np.zeros(conv.weight_shape, np.float32)
    if (format, layout) == ("bsr", "channels_first"):
        pytest.skip("blocks of one entry: the same arrays as csr")
    tracemalloc.start()
    matrix = conv.matrix(w, format, layout)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = conv.cost().bytes[format]
    print(f"\n{format}, {layout}: peak {peak / size:.2f}x the matrix")
    assert matrix.nnz == conv.cost().nnz
    assert peak <= 1.15 * size


def by_taps(w, height, width):
    """A plain COO builder, as a loop over the taps: 3x3, padding 1, one channel."""
    y, x = np.divmod(np.arange(height * width), width)
    rows, columns, values = [], [], []
    for i, j in np.ndindex(3, 3):
        above, left = y + i - 1, x + j - 1
        inside = (above >= 0) & (above < height) & (left >= 0) & (left < width)
        rows.append(np.flatnonzero(inside))
        columns.append((above * width + left)[inside])
        values.append(np.full(len(rows[-1]), w[i, j]))
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.coo_array(entries, shape=(height * width,) * 2).tocsr()


def by_diagonals(w, height, width):
    """Toeplitz blocks on block diagonals, by scipy.sparse.kron."""
    blocks = [
        scipy.sparse.kron(
            scipy.sparse.eye_array(height, k=i - 1, dtype=w.dtype),
            scipy.sparse.diags_array(w[i], offsets=[-1, 0, 1], shape=(width, width)),
        )
        for i in range(3)
    ]
    return sum(blocks[1:], blocks[0]).tocsr()


def test_one_channel_is_built_three_times_as_fast_as_by_plain_builders():
    conv = toeplitz.Conv((1, 128, 128), (1, 1, 3, 3), padding=1)
    w = np.arange(1, 10, dtype=np.float32).reshape(conv.weight_shape)
    finished = conv.matrix(w)
    for peer in (by_taps, by_diagonals):
        assert abs(peer(w[0, 0], 128, 128) - finished).max() == 0
    ours, taps, diagonals = alternate(
        lambda: conv.matrix(w),
        lambda: by_taps(w[0, 0], 128, 128),
        lambda: by_diagonals(w[0, 0], 128, 128),
        rounds=41,
    )
    print(
        f"\n{finished.nnz / ours / 1e6:.0f} million entries a second: {taps / ours:.1f}x a loop "
        f"over taps into COO, {diagonals / ours:.1f}x scipy.sparse.kron of diagonals"
    )
    assert 3 * ours <= min(taps, diagonals)


def test_one_channel_is_built_faster_than_by_sparse_convolution():
    peer = pytest.importorskip("sparse_convolution", reason="sparse-convolution is not installed")
    conv = toeplitz.Conv((1, 128, 128), (1, 1, 3, 3), padding=1)
    w = np.arange(1, 10, dtype=np.float32).reshape(conv.weight_shape)
    ours, theirs = alternate(
        lambda: conv.matrix(w),
        lambda: peer.Toeplitz_convolution2d(
            (128, 128), w[0, 0], mode="same", dtype=np.float32, method="precomputed"
        ),
        rounds=21,
    )
    print(f"\n128x128: {theirs / ours:.0f}x as fast as sparse-convolution")
    assert 3 * ours <= theirs


def test_one_channel_is_built_faster_than_by_pylops():
    peer = pytest.importorskip("pylops", reason="pylops is not installed")
    conv = toeplitz.Conv((1, 32, 32), (1, 1, 3, 3), padding=1)
    w = np.arange(1, 10, dtype=np.float32).reshape(conv.weight_shape)
    operator = peer.signalprocessing.Convolve2D((32, 32), h=w[0, 0], offset=(1, 1), method="direct")
    ours, theirs = alternate(lambda: conv.matrix(w), operator.tosparse, rounds=5)
    print(f"\n32x32: {theirs / ours:.0f}x as fast as pylops' tosparse")
    assert 3 * ours <= theirs


def test_a_small_matrix_on_an_existing_conv_takes_little():
    conv = toeplitz.Conv((1, 8, 8), (1, 1, 3, 3), padding=1)
    w, x = np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 8, 8), np.float32)

    def often(call):
        return lambda: [call() for _ in range(50)]

    calls = often(lambda: conv.matrix(w)), often(lambda: conv.apply(x, w))
    matrix, apply = (seconds / 50 for seconds in alternate(*calls, rounds=21))
    print(f"\nmatrix(w) {matrix * 1e6:.0f} µs, apply(x, w) {apply * 1e6:.0f} µs")
    assert matrix <= 150e-6
    assert apply <= 200e-6


# Channels grow, the image stays: 10⁴, 10⁵, … 10⁸ entries.
GROWTH = [
    toeplitz.Conv((1, 35, 35), (1, 1, 3, 3), padding=1),
    toeplitz.Conv((3, 36, 36), (3, 3, 3, 3), padding=1),
    toeplitz.Conv((10, 36, 36), (10, 10, 3, 3), padding=1),
    toeplitz.Conv((30, 36, 36), (30, 30, 3, 3), padding=1),
    toeplitz.Conv((96, 36, 36), (96, 96, 3, 3), padding=1),
]


def test_the_time_grows_linearly_with_the_entries(monkeypatch):
    monkeypatch.setattr("toeplitz.matrices.KEPT", 0)  # the smallest would keep its pattern
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
