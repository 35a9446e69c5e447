"""The references judged: loops against PyTorch, then sliding windows and FFT against the loops."""

import ast
import doctest
import sys
from pathlib import Path

import loops
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verify import oracle
from verify.oracle import fourier, plan, sliding

ORACLE = (fourier, plan, sliding)
MODES = ("zeros", "circular", "reflect", "replicate")


# Drawing cases: counts come first and the sizes follow, so that every case is valid.


@st.composite
def axes(draw, mode, most, in_torch):
    """One axis as (n, k, stride, (lo, hi), dilation, input_dilation)."""
    k, s, d = (draw(st.integers(1, most)) for _ in range(3))
    extent = d * (k - 1) + 1
    windows = draw(st.integers(1, most))
    if not in_torch and draw(st.integers(0, 11)) == 11:
        windows = 0  # the kernel reaches over everything
    unread = draw(st.integers(max(0, s - extent) if windows == 0 else 0, s - 1))
    padded = (windows - 1) * s + extent + unread

    # padded = lo + kept + hi. PyTorch wraps and reflects once; the references any number of times.
    once = in_torch and mode in ("circular", "reflect")
    edge = 1 if mode == "reflect" else 0  # the cell that reflecting does not repeat
    fewest = -(-(padded + 2 * edge) // 3) if once else min(1, padded)
    if mode == "zeros" and not in_torch:
        fewest = 0
    filled = draw(st.integers(0, padded - fewest))
    kept = padded - filled
    widest = kept - edge if once else filled
    lo = draw(st.integers(max(0, filled - widest), min(filled, widest)))
    hi = filled - lo

    # A side that pads nothing may crop.
    lo = lo or -draw(st.integers(0, 2))
    hi = hi or -draw(st.integers(0, 2))
    dilated = kept - min(lo, 0) - min(hi, 0)
    between = draw(st.sampled_from([e for e in (1, 2, 3) if max(0, dilated - 1) % e == 0]))
    n = (dilated - 1) // between + 1 if dilated else 0
    return n, k, s, (lo, hi), d, between


@st.composite
def cases(draw, in_torch=False):
    """(x_shape, w_shape, geometry, seed); x_shape without the batch."""
    rank = draw(st.integers(1, 3))
    mode = draw(st.sampled_from(MODES))
    most = 3 if rank < 3 else 2
    drawn = [draw(axes(mode, most, in_torch)) for _ in range(rank)]
    sizes, kernel, stride, pairs, dilation, between = zip(*drawn, strict=True)
    groups, per_group, filters = (draw(st.integers(1, 2)) for _ in range(3))
    geometry = {
        "stride": stride,
        "padding": pairs,
        "dilation": dilation,
        "groups": groups,
        "padding_mode": mode,
        "input_dilation": between,
    }
    x_shape, w_shape = (groups * per_group, *sizes), (groups * filters, per_group, *kernel)
    return x_shape, w_shape, geometry, draw(st.integers(0, 999))


@st.composite
def pools(draw, dilated):
    """(sizes, kernel, stride, pairs, dilation, ceil_mode) that PyTorch takes."""
    drawn = []
    rank = draw(st.integers(1, 3))
    for _ in range(rank):
        k, s = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        d = draw(st.integers(1, 3)) if dilated else 1
        p = draw(st.integers(0, k // 2))
        windows, unread = draw(st.integers(1, 3)), draw(st.integers(0, s - 1))
        least = k if rank == 3 and not dilated else 1  # avg_pool3d wants this much, padding or no
        n = max(least, (windows - 1) * s + d * (k - 1) + 1 + unread - 2 * p)
        drawn.append((n, k, s, (p, p), d))
    return *zip(*drawn, strict=True), draw(st.booleans())


def numbers(seed, *shapes):
    """Different small integers in each array."""
    rng = np.random.default_rng(seed)
    return [
        rng.permutation(np.prod(shape, dtype=int)).reshape(shape) - np.prod(shape, dtype=int) // 2
        for shape in shapes
    ]


batches = st.integers(0, 2)


# Comparing


def same(got, wanted):
    """Equal shapes and equal numbers, exactly."""
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape
    assert np.all(got == wanted), f"got {got.tolist()}, but should be {wanted.tolist()}"


def rounds_to(got, wanted):
    """Floating point whose nearest integers are right, and nowhere near the next."""
    assert got.dtype == np.float64
    same(np.rint(got), wanted)
    assert np.all(abs(got - np.rint(got)) < 1e-3)


def each(f, items, shape):
    """The items' results stacked, (N, *shape), also for no items."""
    return np.array([f(item) for item in items], dtype=object).reshape(len(items), *shape)


@pytest.fixture(scope="session")
def torch(need):
    return need("torch")


def tensors(torch, *arrays, dtype="float64"):
    return [torch.tensor(a, dtype=getattr(torch, dtype), requires_grad=True) for a in arrays]


def torch_pad(torch, x, pairs, mode):
    name = "constant" if mode == "zeros" else mode
    flat = [side for pair in reversed(pairs) for side in pair]  # PyTorch names the last axis first
    return torch.nn.functional.pad(x[None], flat, mode=name)[0]


def torch_conv(torch, x, w, b, geometry):
    """PyTorch's convolution of one item, which it has no input dilation for."""
    spread = [(n - 1) * d + 1 for n, d in zip(x.shape[1:], geometry["input_dilation"], strict=True)]
    dilated = torch.zeros((x.shape[0], *spread), dtype=x.dtype)
    dilated[(..., *(slice(None, None, d) for d in geometry["input_dilation"]))] = x
    padded = torch_pad(torch, dilated, geometry["padding"], geometry["padding_mode"])
    function = getattr(torch.nn.functional, f"conv{x.ndim - 1}d")
    steps = geometry["stride"], 0, geometry["dilation"], geometry["groups"]
    return function(padded[None], w, b, *steps)[0]


# The loops are PyTorch's definitions


@pytest.mark.interop
@given(case=cases(in_torch=True))
def test_the_loops_convolve_as_torch_does(torch, case):
    x_shape, w_shape, geometry, seed = case
    x, w, b = numbers(seed, x_shape, w_shape, w_shape[:1])
    wanted = torch_conv(torch, *tensors(torch, x, w, b), geometry).detach().numpy()
    same(loops.conv(x, w, b, **geometry), wanted)


@pytest.mark.interop
@given(case=cases(in_torch=True))
def test_the_loops_gradients_are_those_of_autograd(torch, case):
    x_shape, w_shape, geometry, seed = case
    x, w, b = numbers(seed, x_shape, w_shape, w_shape[:1])
    inputs = tensors(torch, x, w, b)
    y = torch_conv(torch, *inputs, geometry)
    (g,) = numbers(seed + 1, tuple(y.shape))
    y.backward(torch.tensor(g, dtype=torch.float64))
    grad_x, grad_w, grad_b = (a.grad.numpy() for a in inputs)
    same(loops.conv_grad_x(g, w, x_shape, **geometry), grad_x)
    same(loops.conv_grad_w(g, x, w_shape, **geometry), grad_w)
    same(loops.conv_grad_b(g), grad_b)


@pytest.mark.interop
@given(case=cases(in_torch=True))
def test_the_loops_pad_as_torch_does(torch, case):
    x_shape, _, geometry, seed = case
    (x,) = numbers(seed, x_shape)
    x = loops.dilate(x, geometry["input_dilation"]).astype(int)
    pairs, mode = geometry["padding"], geometry["padding_mode"]
    same(loops.pad(x, pairs, mode), torch_pad(torch, torch.tensor(x), pairs, mode).numpy())


@pytest.mark.interop
@given(data=st.data())
def test_the_loops_transpose_as_torch_does(torch, data):
    drawn = []
    for _ in range(data.draw(st.integers(1, 3))):
        n, k, s, d = (data.draw(st.integers(1, 3)) for _ in range(4))
        extra = data.draw(st.integers(0, max(s, d) - 1))
        full = (n - 1) * s + d * (k - 1) + 1 + extra
        p = data.draw(st.integers(0, min(3, (full - 1) // 2)))
        drawn.append((n, k, s, p, extra, d))
    sizes, kernel, stride, padding, extra, dilation = zip(*drawn, strict=True)
    groups, inputs, filters, seed = (data.draw(st.integers(1, 2)) for _ in range(4))
    shapes = (groups * inputs, *sizes), (groups * inputs, filters, *kernel), (groups * filters,)
    x, w, b = numbers(seed, *shapes)
    function = getattr(torch.nn.functional, f"conv_transpose{len(sizes)}d")
    steps = stride, padding, extra, groups, dilation
    wanted = function(*tensors(torch, x, w, b), *steps).detach().numpy()
    got = loops.conv_transpose(
        x,
        w,
        b,
        stride=stride,
        padding=tuple((p, p) for p in padding),
        output_padding=extra,
        dilation=dilation,
        groups=groups,
    )
    same(got, wanted)


@given(case=cases(in_torch=True))
def test_the_transposed_loop_is_the_gradient_of_the_loop(case):
    x_shape, w_shape, geometry, seed = case
    x_shape = loops.dilate(loops.zeros(*x_shape), geometry["input_dilation"]).shape
    steps = {name: geometry[name] for name in ("stride", "padding", "dilation", "groups")}
    plain = steps | {"padding_mode": "zeros", "input_dilation": (1,) * len(steps["stride"])}
    g, w = numbers(seed, loops.output_shape(x_shape, w_shape, **plain), w_shape)
    sides = zip(x_shape[1:], steps["padding"], strict=True)
    rows = zip(sides, w_shape[2:], steps["stride"], steps["dilation"], strict=True)
    unread = tuple((n + lo + hi - (d * (k - 1) + 1)) % s for (n, (lo, hi)), k, s, d in rows)
    got = loops.conv_transpose(g, w, **steps, output_padding=unread)
    same(got, loops.conv_grad_x(g, w, x_shape, **plain))


@pytest.mark.interop
@given(pool=pools(dilated=True), seed=st.integers(0, 99))
@example(pool=((2,), (2,), (1,), ((1, 1),), (3,), False), seed=0)  # a window of padding alone
def test_the_loops_pool_the_maximum_as_torch_does(torch, pool, seed):
    sizes, kernel, stride, pairs, dilation, ceil_mode = pool
    x = np.random.default_rng(seed).integers(-2, 3, (2, *sizes))  # with ties
    function = getattr(torch.nn.functional, f"max_pool{len(sizes)}d")
    padding = tuple(lo for lo, _ in pairs)
    values, indices = function(
        *tensors(torch, x), kernel, stride, padding, dilation, ceil_mode, return_indices=True
    )
    got, where = loops.max_pool(x, kernel, stride, pairs, dilation, ceil_mode)
    same(got, values.detach().numpy())
    # PyTorch gives a window of padding alone an index beyond the input.
    same(where, np.where(where < 0, -1, indices.numpy()))


@pytest.mark.interop
@given(
    pool=pools(dilated=False),
    seed=st.integers(0, 99),
    include=st.booleans(),
    override=st.none() | st.integers(1, 5),
)
def test_the_loops_pool_the_mean_as_torch_does(torch, pool, seed, include, override):
    sizes, kernel, stride, pairs, dilation, ceil_mode = pool
    (x,) = numbers(seed, (2, *sizes))
    function = getattr(torch.nn.functional, f"avg_pool{len(sizes)}d")
    override = None if len(sizes) == 1 else override  # which avg_pool1d does not take
    options = {} if override is None else {"divisor_override": override}
    padding = tuple(lo for lo, _ in pairs)
    wanted = function(*tensors(torch, x), kernel, stride, padding, ceil_mode, include, **options)
    got = loops.avg_pool(x, kernel, stride, pairs, dilation, ceil_mode, include, override)
    same(got.astype(float), wanted.detach().numpy())


@pytest.mark.interop
@given(data=st.data(), seed=st.integers(0, 99))
def test_the_loops_unfold_as_torch_does(torch, data, seed):
    drawn = []
    for _ in range(2):  # the only rank that PyTorch unfolds
        k, s, d, windows = (data.draw(st.integers(1, 3)) for _ in range(4))
        padded = (windows - 1) * s + d * (k - 1) + 1 + data.draw(st.integers(0, s - 1))
        p = data.draw(st.integers(0, (padded - 1) // 2))
        drawn.append((padded - 2 * p, k, s, p, d))
    sizes, kernel, stride, padding, dilation = zip(*drawn, strict=True)
    (x,) = numbers(seed, (2, *sizes))
    wanted = torch.nn.functional.unfold(*tensors(torch, x), kernel, dilation, padding, stride)
    got = loops.unfold(x, kernel, stride, tuple((p, p) for p in padding), dilation)
    same(got, wanted.detach().numpy())


@pytest.mark.interop
@given(n=st.integers(1, 20), out=st.integers(1, 20))
def test_the_adaptive_windows_are_those_of_torch(torch, n, out):
    rising = torch.arange(float(n))[None]
    pool = torch.nn.functional.adaptive_max_pool1d
    last, first = (pool(x, out, return_indices=True)[1][0] for x in (rising, -rising))
    wanted = zip(first.tolist(), (last + 1).tolist(), strict=True)
    assert loops.adaptive_windows(n, out) == list(wanted)


# Sliding windows and FFT are the loops


@given(case=cases(), batch=batches)
def test_sliding_windows_convolve_as_the_loops_do(case, batch):
    x_shape, w_shape, geometry, seed = case
    x, w, b = numbers(seed, (batch, *x_shape), w_shape, w_shape[:1])
    out = loops.output_shape(x_shape, w_shape, **geometry)
    wanted = each(lambda item: loops.conv(item, w, b, **geometry), x, out)
    same(oracle.sliding_conv(x, w, b, **geometry), wanted)


@given(case=cases(), batch=batches)
def test_fft_convolves_as_the_loops_do(case, batch):
    x_shape, w_shape, geometry, seed = case
    x, w, b = numbers(seed, (batch, *x_shape), w_shape, w_shape[:1])
    out = loops.output_shape(x_shape, w_shape, **geometry)
    wanted = each(lambda item: loops.conv(item, w, b, **geometry), x, out)
    rounds_to(oracle.fft_conv(x, w, b, **geometry), wanted)


@given(case=cases(), batch=batches)
def test_both_gradients_to_the_input_are_the_loops(case, batch):
    x_shape, w_shape, geometry, seed = case
    out = loops.output_shape(x_shape, w_shape, **geometry)
    g, w = numbers(seed, (batch, *out), w_shape)
    wanted = each(lambda item: loops.conv_grad_x(item, w, x_shape, **geometry), g, x_shape)
    same(oracle.sliding_grad_x(g, wanted.shape, w, **geometry), wanted)
    rounds_to(oracle.fft_grad_x(g, wanted.shape, w, **geometry), wanted)


@given(case=cases(), batch=batches)
def test_both_gradients_to_the_weight_are_the_loops(case, batch):
    x_shape, w_shape, geometry, seed = case
    out = loops.output_shape(x_shape, w_shape, **geometry)
    g, x = numbers(seed, (batch, *out), (batch, *x_shape))
    items = zip(g, x, strict=True)
    wanted = sum(
        (loops.conv_grad_w(*item, w_shape, **geometry) for item in items), loops.zeros(*w_shape)
    )
    same(oracle.sliding_grad_w(g, x, w_shape, **geometry), wanted)
    rounds_to(oracle.fft_grad_w(g, x, w_shape, **geometry), wanted)


@given(case=cases(), batch=batches)
def test_the_gradient_to_the_bias_is_the_loops(case, batch):
    x_shape, w_shape, geometry, seed = case
    (g,) = numbers(seed, (batch, *loops.output_shape(x_shape, w_shape, **geometry)))
    same(oracle.grad_b(g), sum(map(loops.conv_grad_b, g), loops.zeros(w_shape[0])))


@pytest.mark.interop
@given(case=cases(in_torch=True))
def test_complex_gradients_are_those_of_autograd(torch, case):
    x_shape, w_shape, geometry, seed = case
    shapes = x_shape, w_shape, loops.output_shape(x_shape, w_shape, **geometry)
    pairs = zip(numbers(seed, *shapes), numbers(seed + 1, *shapes), strict=True)
    x, w, g = (real + 1j * imaginary for real, imaginary in pairs)
    inputs = tensors(torch, x, w, dtype="complex128")
    y = torch_conv(torch, *inputs, None, geometry)
    y.backward(torch.tensor(g))
    results = y.detach().numpy(), *(a.grad.numpy() for a in inputs)

    same(loops.conv(x, w, **geometry), results[0])
    same(loops.conv_grad_x(g, w, x_shape, **geometry), results[1])
    same(loops.conv_grad_w(g, x, w_shape, **geometry), results[2])
    x, g = x[None], g[None]
    results = results[0][None], results[1][None], results[2]
    for way, compare in (("sliding", same), ("fft", lambda a, b: same(np.round(a), b))):
        conv, grad_x, grad_w = (getattr(oracle, f"{way}_{f}") for f in ("conv", "grad_x", "grad_w"))
        compare(conv(x, w, **geometry), results[0])
        compare(grad_x(g, x.shape, w, **geometry), results[1])
        compare(grad_w(g, x, w.shape, **geometry), results[2])


# Fixed cases


UNEVEN = {
    "stride": (2, 1),
    "padding": ((1, 2), (2, -1)),
    "dilation": (1, 2),
    "padding_mode": "circular",
    "input_dilation": (1, 2),
}


@pytest.mark.parametrize(
    "planted",
    [
        pytest.param(lambda f, x, w: f(x, w[..., ::-1], **UNEVEN), id="kernel flipped"),
        pytest.param(lambda f, x, w: f(x, w[::-1], **UNEVEN), id="filters swapped"),
        pytest.param(lambda f, x, w: f(x, w, **UNEVEN | {"stride": (2, 2)}), id="one stride"),
        pytest.param(
            lambda f, x, w: f(x, w, **UNEVEN | {"padding": ((2, 1), (2, -1))}), id="sides swapped"
        ),
        pytest.param(
            lambda f, x, w: f(x, w, **UNEVEN | {"dilation": (2, 1)}), id="dilation transposed"
        ),
        pytest.param(
            lambda f, x, w: f(x, w, **UNEVEN | {"input_dilation": 1}), id="inputs not dilated"
        ),
        *(
            pytest.param(lambda f, x, w, m=m: f(x, w, **UNEVEN | {"padding_mode": m}), id=m)
            for m in ("zeros", "reflect", "replicate")
        ),
    ],
)
@pytest.mark.parametrize("f", [oracle.sliding_conv, oracle.fft_conv])
def test_a_planted_mistake_is_seen(f, planted):
    x, w = numbers(0, (1, 2, 5, 5), (2, 2, 3, 2))
    wanted = loops.conv(x[0], w, **UNEVEN)[None]
    same(np.rint(f(x, w, **UNEVEN)), wanted)
    with pytest.raises(AssertionError):
        same(np.rint(planted(f, x, w)), wanted)


@pytest.mark.parametrize("way", ["sliding", "fft"])
def test_a_planted_mistake_in_a_gradient_is_seen(way):
    grad_x, grad_w = (getattr(oracle, f"{way}_{f}") for f in ("grad_x", "grad_w"))
    x_shape, w_shape = (2, 2, 5, 5), (2, 2, 3, 2)
    out = loops.output_shape(x_shape[1:], w_shape, **UNEVEN)
    g, x, w = numbers(0, (2, *out), x_shape, w_shape)
    wanted_x = each(lambda item: loops.conv_grad_x(item, w, x_shape[1:], **UNEVEN), g, x_shape[1:])
    wanted_w = sum(loops.conv_grad_w(*item, w_shape, **UNEVEN) for item in zip(g, x, strict=True))
    same(np.rint(grad_x(g, x_shape, w, **UNEVEN)), wanted_x)
    same(np.rint(grad_w(g, x, w_shape, **UNEVEN)), wanted_w)
    unwrapped = UNEVEN | {"padding_mode": "zeros"}
    for wrong in (
        grad_x(g, x_shape, w[..., ::-1, :], **UNEVEN),  # the kernel flipped
        grad_x(g, x_shape, w.swapaxes(0, 1), **UNEVEN),  # channels for filters
        grad_x(g, x_shape, w, **unwrapped),  # what was padded not added back
    ):
        with pytest.raises(AssertionError):
            same(np.rint(wrong), wanted_x)
    for wrong in (
        grad_w(g[:1], x[:1], w_shape, **UNEVEN),  # the rest of the batch forgotten
        grad_w(g, x[::-1], w_shape, **UNEVEN),  # the batch mixed up
        grad_w(g, x, w_shape, **unwrapped),  # what was padded not read
    ):
        with pytest.raises(AssertionError):
            same(np.rint(wrong), wanted_w)


@pytest.mark.parametrize(
    ("dtype", "factor", "kind"),
    [(np.int8, 1, np.int64), (np.uint64, 2**40, object), (object, 10**30, object)],
)
def test_no_integer_overflows(dtype, factor, kind):
    x, w = (np.array(a, dtype) * factor for a in ([[[100, 90, 80]]], [[[120, 7]]]))
    y = oracle.sliding_conv(x, w, np.array([1], dtype))
    assert y.dtype == kind
    same(y, np.array([[[factor**2 * (12_000 + 630) + 1, factor**2 * (10_800 + 560) + 1]]], object))


def test_the_dtype_is_kept_by_windows_and_widened_by_fft():
    for dtype, wide in [("f2", "f8"), ("f4", "f8"), ("c8", "c16")]:
        x, w = np.ones((1, 1, 4), dtype), np.ones((1, 1, 2), dtype)
        g = oracle.sliding_conv(x, w)
        assert g.dtype == oracle.sliding_grad_x(g, x.shape, w).dtype == dtype
        assert oracle.sliding_grad_w(g, x, w.shape).dtype == oracle.grad_b(g).dtype == dtype
        assert oracle.fft_conv(x, w).dtype == oracle.fft_grad_x(g, x.shape, w).dtype == wide
        assert oracle.fft_grad_w(g, x, w.shape).dtype == wide


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        (1, ((1, 1), (1, 1))),
        ((1, 0), ((1, 1), (0, 0))),
        ([[0, 2], -1], ((0, 2), (-1, -1))),
        (np.array([[0, 2], [1, 0]]), ((0, 2), (1, 0))),
    ],
)
def test_padding_may_be_an_int_or_one_per_axis(padding, pairs):
    x, w = numbers(0, (1, 1, 3, 4), (1, 1, 2, 2))
    wanted = oracle.sliding_conv(x, w, padding=pairs, stride=(2, 2))
    same(oracle.sliding_conv(x, w, padding=padding, stride=np.int64(2)), wanted)


X, W = np.ones((1, 4, 5)), np.ones((2, 2, 3))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: oracle.sliding_conv(X[0], W),
            "x must be (N, C, *S) and w (O, C/G, *K), with the same number of axes: "
            "got (4, 5) and (2, 2, 3)",
        ),
        (
            lambda: oracle.fft_conv(X, W),
            "groups must divide C and O, and w must be (O, C/G, *K): "
            "got C = 4, O = 2, G = 1, w of shape (2, 2, 3)",
        ),
        (
            lambda: oracle.sliding_conv(X, W, groups=2, padding_mode="mirror"),
            "padding_mode must be one of zeros, circular, reflect, replicate: got 'mirror'",
        ),
        (
            lambda: oracle.sliding_conv(X, W, groups=2, stride=0),
            "stride must be a positive int or 1 of them: got 0",
        ),
        (
            lambda: oracle.sliding_conv(X, W, groups=2, dilation=(1, 2)),
            "dilation must be a positive int or 1 of them: got (1, 2)",
        ),
        (
            lambda: oracle.sliding_conv(X, W, groups=2, padding=(1, 2)),
            "padding must be an int, or 1 ints or pairs: got (1, 2)",
        ),
        (
            lambda: oracle.sliding_conv(X, W, groups=2, padding=[(-4, -2)]),
            "padding (-4, -2) crops more than the 5 cells of its axis",
        ),
        (
            lambda: oracle.sliding_conv(X, W, [1, 2, 3], groups=2),
            "b must have shape (2,): got (3,)",
        ),
        (
            lambda: oracle.fft_grad_x(X, X.shape, W, groups=2),
            "g must have the shape of the output, (1, 2, 3): got (1, 4, 5)",
        ),
        (lambda: oracle.grad_b([1, 2]), "g must be (N, O, *T): got shape (2,)"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole sentence is compared below
        call()
    assert str(error.value) == sentence


def test_an_unknown_keyword_is_refused():
    with pytest.raises(TypeError, match="strides"):
        oracle.sliding_conv(X, W, strides=2)


@pytest.mark.parametrize("module", [loops, *ORACLE])
def test_a_reference_shares_nothing_with_what_it_judges(module):
    imported = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add("." * node.level + (node.module or ""))
    ours = {name for name in imported if not name.startswith("verify.oracle")}
    assert {name.split(".")[0] for name in ours} <= {*sys.stdlib_module_names, "numpy"}


def test_the_examples_run():
    results = [doctest.testmod(module) for module in ORACLE]
    assert sum(result.attempted for result in results) == 7
    assert not any(result.failed for result in results)
