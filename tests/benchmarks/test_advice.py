"""Whether the advice is right here. Run with: pytest tests/benchmarks -s -n 0"""

from functools import partial
from operator import matmul

import numpy as np
import pytest
from timing import alternate

from toeplitz import Conv, machine
from toeplitz.advice import ALIKE, MANY

LAYERS = {
    "one channel on 8x8": Conv((1, 8, 8), (1, 1, 3, 3)),
    "64 channels on 28x28": Conv((64, 28, 28), (64, 64, 3, 3), padding=1),
    "depthwise": Conv((64, 28, 28), (64, 1, 3, 3), padding=1, groups=64),
}
LAYOUTS = {"csr": "channels_first", "bsr": "channels_last", "dense": "channels_first"}
MOST = 10**9  # bytes of a matrix that is measured


@pytest.fixture(scope="module")
def rates():
    """Of now, not of a quieter hour."""
    return machine.measured()


def routes(conv, w, x):
    """For each route that is small enough: how to build it, how to multiply with it."""
    calls = {"operator": lambda: conv.operator(w)}
    for name, layout in LAYOUTS.items():
        if conv.cost().bytes[name] <= MOST:
            calls[name] = partial(conv.matrix, w, name, layout)
    return calls, {name: partial(matmul, build(), x.T) for name, build in calls.items()}


def medians(calls, rounds):
    return dict(zip(calls, alternate(*calls.values(), rounds=rounds), strict=True))


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("name", LAYERS)
def test_the_routes_come_in_the_order_that_was_told(rates, name, batch):
    conv = LAYERS[name]
    rng = np.random.default_rng(0)
    w = rng.standard_normal(conv.weight_shape, np.float32)
    x = rng.standard_normal((batch, int(np.prod(conv.input_shape))), np.float32)
    told = conv.cost().advice(batch, rates)
    builds, products = routes(conv, w, x)
    built, taken = medians(builds, 3), medians(products, 5)
    print(f"\n{name}, batch {batch}: {told.why}")
    for route, seconds in taken.items():
        said = told.routes[route].product
        print(f"  {route:8}  told {said * 1e3:8.3f} ms a product, taken {seconds * 1e3:8.3f} ms")
    # Estimates that are right to a factor of ALIKE keep the order of what is further apart.
    for fast, slow in ((a, b) for a in taken for b in taken):
        if told.routes[slow].product > ALIKE**2 * told.routes[fast].product:
            assert taken[slow] > taken[fast], (slow, fast)
    total = {route: built[route] + MANY * taken[route] for route in taken}
    assert total[told.many] <= ALIKE**2 * min(total.values())
