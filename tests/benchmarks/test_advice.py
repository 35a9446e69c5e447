"""Whether the advice is right here. Run with: pytest tests/benchmarks -s -n 0"""

from functools import partial
from operator import matmul

import numpy as np
import pytest
from timing import alternate

from toeplitz import Conv, ConvTranspose, machine
from toeplitz.advice import ALIKE, MANY

LAYERS = {
    "one channel on 8x8": Conv((1, 8, 8), (1, 1, 3, 3)),
    "64 channels on 28x28": Conv((64, 28, 28), (64, 64, 3, 3), padding=1),
    "depthwise": Conv((64, 28, 28), (64, 1, 3, 3), padding=1, groups=64),
}
MORE = LAYERS | {
    "16 channels on 32x32": Conv((16, 32, 32), (16, 16, 3, 3), padding=1),
    "5x5": Conv((3, 32, 32), (10, 3, 5, 5), padding=2),
    "7x7 with stride 2": Conv((3, 64, 64), (16, 3, 7, 7), stride=2, padding=3),
    "1x1": Conv((32, 28, 28), (64, 32, 1, 1)),
    "one axis": Conv((32, 2000), (32, 32, 5)),
    "three axes": Conv((8, 12, 12, 12), (8, 8, 3, 3, 3), padding=1),
    "one channel on 128x128": Conv((1, 128, 128), (1, 1, 3, 3)),
    "transposed": ConvTranspose((16, 16, 16), (16, 8, 4, 4), 2, 1),
}
LAYOUTS = {"csr": "channels_first", "bsr": "channels_last", "dense": "channels_first"}
MOST = 10**9  # bytes of a matrix that is measured


@pytest.fixture(scope="module")
def rates():
    """Of now, not of a quieter hour."""
    return machine.measured()


def routes(conv, w, x):
    """For each route that is small enough: how to build it, how to multiply with it."""
    calls = {"operator": lambda: conv.operator(w), "product": lambda: conv.product(w)}
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


def test_how_far_off_it_is(rates):
    """Over more layers: told against taken, and the route named against the best."""
    off, lost = [], []
    for conv in MORE.values():
        w = np.ones(conv.weight_shape, np.float32)
        for batch in (1, 8, 32):
            x = np.ones((batch, int(np.prod(conv.input_shape))), np.float32)
            told = conv.cost().advice(batch, rates)
            builds, products = routes(conv, w, x)
            built, taken = medians(builds, 3), medians(products, 5)
            off += [told.routes[route].product / seconds for route, seconds in taken.items()]
            total = {route: built[route] + MANY * taken[route] for route in taken}
            lost.append(total[told.many] / min(total.values()))
    times = np.exp(abs(np.log(off)))
    print(
        f"\n{len(times)} products: {np.mean(times <= 2):.0%} within a factor of 2, "
        f"{np.mean(times <= 3):.0%} within 3, the worst {times.max():.1f}; {len(lost)} times a "
        f"route was named, which took up to {max(lost):.1f} times the best"
    )
