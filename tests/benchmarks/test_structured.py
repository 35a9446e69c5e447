"""The structured product beside torch's convolution. Run with: pytest tests/benchmarks -s -n 0

Each line is one run: all calls in turn, medians, as many threads for each. A ratio is torch's time
in its better layout over ours: above 1 ours is faster.
"""

import os
import tracemalloc

import numpy as np
import pytest
from timed_layers import LAYERS, channels_last, drawn, torch_convolutions
from timing import alternate

BATCHES = [int(n) for n in os.environ.get("TOEPLITZ_BATCHES", "1,32").split(",")]
ROUNDS = 7
WARM = 0.03


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
