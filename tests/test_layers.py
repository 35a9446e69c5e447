"""Linear, Flatten, ReLU, Pad, and a whole network at x as one affine map: exact integers."""

from math import inf, nan, prod

import loops
import numpy as np
import pytest
import scipy.sparse
from geometries import batches, gaussian_like, integers_like, item, seeds
from hypothesis import given
from hypothesis import strategies as st

import toeplitz
from toeplitz import Affine, BatchNorm, Conv, Flatten, Linear, MaxPool, Pad, ReLU

MODES = ("constant", "reflect", "replicate", "circular")
sizes = st.integers(1, 4)
shapes = st.lists(sizes, min_size=1, max_size=4).map(tuple)


def same(got, wanted):
    """Equal shapes and equal numbers, exactly; NaN equals NaN."""
    wanted = np.asarray(wanted)
    assert got.shape == wanted.shape
    np.testing.assert_array_equal(got, wanted.astype(got.dtype))


def check(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == sentence
    assert type(error.value) is kind


def again(layer):
    return eval(repr(layer), vars(toeplitz).copy())


# Linear


@given(sizes, sizes, batches, seeds, st.sampled_from([integers_like, gaussian_like]), st.booleans())
def test_a_linear_layer_is_the_product_with_its_weights(I, O, batch, seed, numbers, biased):
    layer = Linear(I, O)
    x, w = numbers(item(batch, (I,)), seed), numbers((O, I), seed)
    b = numbers((O,), seed + 1) if biased else None
    wanted = np.zeros(item(batch, (O,)), complex)
    for place in np.ndindex(wanted.shape):
        *n, o = place
        wanted[place] = sum(w[o, i] * x[*n, i] for i in range(I)) + (b[o] if biased else 0)
    y = layer.apply(x, w, b)
    assert np.iscomplexobj(y) == np.iscomplexobj(w)
    same(y, wanted if np.iscomplexobj(w) else wanted.real)
    same(layer.matrix(w).toarray(), w)
    same(layer.unfolded(x) @ w.ravel(), layer.apply(x, w).ravel())
    affine = layer.linearize(x, w, b)
    same(affine(x), y.ravel())
    same(affine.A.toarray(), np.kron(np.eye(1 if batch is None else batch, dtype=int), w))


@given(sizes, sizes, batches, seeds, st.sampled_from([integers_like, gaussian_like]))
def test_the_gradients_of_a_linear_layer_are_products_with_the_transposes(I, O, batch, seed, like):
    layer = Linear(I, O)
    g, x, w = like(item(batch, (O,)), seed), like(item(batch, (I,)), seed), like((O, I), seed)
    grad_x, grad_w, grad_b = layer.gradients(g, x, w)
    same(grad_x, g @ w.conj())
    same(grad_w, (layer.unfolded(x).conj().T @ g.ravel()).reshape(O, I))
    same(grad_w, np.einsum("no,ni->oi", np.atleast_2d(g), np.atleast_2d(x).conj()))
    same(grad_b, np.atleast_2d(g).sum(axis=0))


def test_a_linear_layer_stores_its_zeros_and_counts_its_weights():
    layer = Linear(3, 2)
    assert layer.matrix(np.zeros((2, 3))).nnz == layer.macs == layer.weight_count == 6
    assert layer.parameters == 8
    assert (layer.input_shape, layer.output_shape) == ((3,), (2,))
    assert repr(layer) == "Linear(3, 2)"
    assert len({layer, again(layer), Linear(2, 3)}) == 2


@pytest.mark.parametrize("I, O", [(0, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("batch", [None, 0, 2])
def test_a_linear_layer_may_have_no_features(I, O, batch):
    layer, x, w, b = Linear(I, O), np.ones(item(batch, (I,))), np.ones((O, I)), np.arange(float(O))
    same(layer.apply(x, w, b), np.broadcast_to(b, item(batch, (O,))))
    g = layer.apply(x, w)
    same(layer.unfolded(x) @ w.ravel(), g.ravel())
    for grad, of in zip(layer.gradients(g, x, w), (x, w, b), strict=True):
        same(grad, np.zeros(of.shape))


# Flatten


@given(shapes, batches, seeds)
def test_flattening_is_the_identity_on_the_numbers(shape, batch, seed):
    layer = Flatten(shape)
    x = integers_like(item(batch, shape), seed)
    y = layer.apply(x)
    same(y, x.reshape(item(batch, layer.output_shape)))
    same(layer.gradient(y, x), x)
    same(layer.matrix(dtype=int).toarray(), np.eye(prod(shape), dtype=int))
    affine = layer.linearize(x)
    same(affine.A.toarray(), np.eye(x.size))
    same(affine(x), y.ravel())


@given(shapes, st.sampled_from([0, 1, 3]), seeds)
def test_without_a_shape_the_first_axis_is_the_batch(shape, batch, seed):
    x = integers_like((batch, *shape), seed)
    same(Flatten().apply(x), x.reshape(batch, prod(shape)))
    same(Flatten().gradient(Flatten().apply(x), x), x)
    same(Flatten().matrix(3, int).toarray(), np.eye(3, dtype=int))
    assert Flatten().output_shape is None


# ReLU


@given(shapes, seeds)
def test_the_rectifier_is_its_diagonal_at_x(shape, seed):
    x = integers_like(shape, seed) * np.random.default_rng(seed).integers(0, 2, shape)  # zeros too
    g = integers_like(shape, seed + 1)
    y = ReLU().apply(x)
    same(y, [max(a, 0) for a in x.ravel().tolist()] if len(shape) == 1 else np.maximum(x, 0))
    D = ReLU().matrix(x, int)
    same(D.toarray(), np.diag((x > 0).ravel().astype(int)))
    same(D @ x.ravel(), y.ravel())
    same(ReLU().gradient(g, x), (D.T @ g.ravel()).reshape(shape))
    assert D.nnz == (x > 0).sum()
    D.check_format(full_check=True)
    affine = ReLU().linearize(x)
    same(affine(x), y.ravel())
    same(affine(x + (x > 0)), ReLU().apply(x + (x > 0)).ravel())  # nothing changes its sign


def test_at_zero_the_rectifier_sends_nothing_back_and_at_nan_everything():
    same(ReLU().gradient([5.0, 6, 7, 8], [-1.0, 0, 2, nan]), [0, 0, 7, 8])
    assert ReLU().gradient([1j], [1.0]).dtype == float


def test_the_rectifier_keeps_nan_and_the_dtype():
    same(ReLU().apply(np.array([nan, -inf, inf, -2.0])), [nan, 0, inf, 0])
    for dtype in ("i1", "u1", "f2", "f4"):
        assert ReLU().apply(np.ones(2, dtype)).dtype == dtype
        assert ReLU().gradient(np.ones(2, dtype), np.ones(2, dtype)).dtype == dtype


def test_the_diagonal_gives_what_the_rectifier_gives_at_minus_infinity_and_nan():
    x = np.array([-inf, 1.0, nan])
    same(ReLU().matrix(x) @ x, ReLU().apply(x))


def test_a_rectifier_without_a_shape_takes_any_shape():
    assert ReLU().apply(3.0) == 3


@pytest.mark.parametrize("kind", [Flatten, ReLU])
def test_the_shape_of_an_item_may_be_given(kind):
    for layer in (kind(), kind((2, 3)), kind([2, 3])):
        assert again(layer) == layer
        assert hash(again(layer)) == hash(layer)
    assert kind([2, 3]) == kind((2, 3)) != kind()


# Pad


@st.composite
def pads(draw):
    """(pad, mode, pairs): at least one cell of each axis is kept, and no side crops the other's."""
    mode = draw(st.sampled_from(MODES))
    ndim = draw(st.integers(1, 3))
    axes, pairs = [], []
    for _ in range(ndim):
        size = draw(st.integers(1, 5))
        before = draw(st.integers(1 - size, size - 1 if mode == "reflect" else size + 2))
        kept = size + min(before, 0)
        most = {"reflect": kept - 1, "constant": size + 2}.get(mode, 2 * size)
        after = draw(st.integers(1 - kept, most))
        # (PyTorch, and so Pad, reflects cells that the other side crops; the loops do not.)
        if mode == "reflect" and before >= kept + min(after, 0):
            before = kept + min(after, 0) - 1
        axes.append(size)
        pairs.append((before, after))
    channels = draw(st.integers(1, 3))
    return Pad((channels, *axes), pairs, mode), "zeros" if mode == "constant" else mode


@given(pads(), batches, seeds)
def test_padding_is_that_of_the_loops(case, batch, seed):
    pad, mode = case
    x = integers_like(item(batch, pad.input_shape), seed)
    wanted = [loops.pad(one, pad.padding, mode) for one in ([x] if batch is None else x)]
    y = pad.apply(x)
    same(y, np.reshape(wanted, item(batch, pad.output_shape)))
    assert y.dtype == x.dtype
    g = integers_like(y.shape, seed + 1)
    P = pad.matrix(int)
    P.check_format(full_check=True)
    items = g.reshape(-1, prod(pad.output_shape))
    same(pad.gradient(g, x), np.reshape([P.T @ one for one in items], x.shape))
    affine = pad.linearize(x)
    same(affine.A.toarray(), np.kron(np.eye(1 if batch is None else batch), P.toarray()))
    same(affine(x), y.ravel())


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3)), min_size=1,
                max_size=3), st.sampled_from(MODES), seeds)  # fmt: skip
def test_padding_is_numpys(axes, mode, seed):
    wider = mode == "reflect"  # than either side of its padding
    shape = (2, *(n + wider * max(before, after) for n, before, after in axes))
    pairs = tuple((before, after) for _, before, after in axes)
    x = integers_like(shape, seed)
    pad = Pad(shape, pairs, mode, -7 if mode == "constant" else 0)
    names = {"replicate": "edge", "circular": "wrap"}
    arguments = {"constant_values": -7} if mode == "constant" else {}
    wanted = np.pad(x, ((0, 0), *pairs), names.get(mode, mode), **arguments)
    same(pad.apply(x), wanted)
    same(pad.linearize(x)(x), wanted.ravel())
    assert np.diff(pad.matrix().indptr).max() <= 1


@given(pads())
def test_a_pad_is_written_as_it_is_read(case):
    pad, _ = case
    assert again(pad) == pad
    assert hash(again(pad)) == hash(pad)


def test_only_what_is_not_a_default_is_shown():
    assert repr(Pad((1, 3), 1)) == "Pad((1, 3), ((1, 1),))"
    assert repr(Pad((1, 3), 1, value=2.5)) == "Pad((1, 3), ((1, 1),), value=2.5)"
    assert repr(Pad((1, 3), 1, "circular")) == "Pad((1, 3), ((1, 1),), mode='circular')"


def test_a_constant_fills_the_padding_and_sends_nothing_back():
    pad = Pad((1, 2), 1, value=-inf)
    x = np.array([[1.0, 2.0]])
    same(pad.apply(x), [[-inf, 1, 2, -inf]])
    same(pad.gradient(np.array([[10.0, 3, 4, 20]]), x), [[3, 4]])
    same(Pad((1, 2), ((1, -1),), value=9).apply(x), [[9, 1]])


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "f2", "f4", "f8", "c8"])
def test_padding_keeps_the_dtype(dtype):
    pad, x = Pad((1, 2), 1, value=3), np.array([[1, 2]], dtype)
    assert pad.apply(x).dtype == dtype
    same(pad.apply(x), [[3, 1, 2, 3]])
    assert pad.gradient(pad.apply(x), x).dtype == dtype


@pytest.mark.parametrize(
    "value, dtype",
    [(0.5, "i8"), (300, "u1"), (-1, "u1"), (nan, "i8"), (inf, "i8"), (1j, "f8"), (1j, "i8"),
     (1e6, "f2"), (1e300, "f4"), (10**400, "f8"), (10**400, "D")],
)  # fmt: skip
def test_a_value_that_the_dtype_cannot_hold_is_refused(value, dtype):
    pad = Pad((1, 1), 1, value=value)
    sentence = f"value {value} is no {np.dtype(dtype)}: pad x in a wider dtype"
    check(lambda: pad.apply(np.ones((1, 1), dtype)), ValueError, sentence)
    check(lambda: pad.linearize(np.ones((1, 1), dtype)), ValueError, sentence)


@pytest.mark.parametrize(
    "value", [-inf, np.float64(2), np.int64(2), np.float32(0.1), 2**63, 1 + 2j, complex(inf, -1)]
)
def test_a_pad_with_any_value_is_written_as_it_is_read(value):
    assert again(Pad((1, 2), 1, value=value)) == Pad((1, 2), 1, value=value)


def test_a_pad_with_nan_is_written_in_plain_python():
    assert repr(Pad((1, 2), 1, value=nan)) == "Pad((1, 2), ((1, 1),), value=float('nan'))"
    same(again(Pad((1, 1), 1, value=nan)).apply([[2.0]]), [[nan, 2, nan]])


def test_an_integer_is_filled_in_exactly():
    y = Pad((1, 1), ((0, 1),), value=2**64 - 1).apply(np.zeros((1, 1), np.uint64))
    assert y.tolist() == [[0, 2**64 - 1]]


def test_no_channels_can_be_padded():
    same(Pad((0, 3), 1).apply(np.ones((2, 0, 3))), np.ones((2, 0, 5)))


# All of them


def layers(shape):
    w = integers_like((3, prod(shape)), 0)
    return [
        (ReLU(shape), ()),
        (Flatten(shape), ()),
        (Pad((1, *shape), 1, value=2), ()),
        (Linear(prod(shape), 3), (w,)),
    ]


@pytest.mark.parametrize("layer, w", layers((2, 3)))
def test_arrays_may_be_read_only_and_lie_anyhow_in_memory(layer, w):
    shape = (2, *layer.input_shape)
    plain = [integers_like(shape, 1), integers_like(layer.apply(np.ones(shape), *w).shape, 2)]
    odd = [np.asfortranarray(np.repeat(a, 2, axis=-1))[..., ::-2][..., ::-1] for a in plain]
    for array in odd:
        array.flags.writeable = False
    same(layer.apply(odd[0], *w), layer.apply(plain[0], *w))
    same(layer.linearize(odd[0], *w)(odd[0]), layer.linearize(plain[0], *w)(plain[0]))
    back = "gradients" if w else "gradient"
    ours, theirs = (getattr(layer, back)(g, x, *w) for x, g in (odd, plain))
    for a, b in zip(ours, theirs, strict=True):
        same(a, b)


# Affine maps, a network


def test_an_affine_map_composes_right_to_left():
    first = Affine(scipy.sparse.csr_array([[1, 2], [3, 4], [5, 6]]), np.array([1, 0, -1]))
    second = Affine(scipy.sparse.csr_array([[1, -1, 2]]), np.array([10]))
    x = np.array([[7], [8]])  # any shape of two entries
    same(first(x), [24, 53, 82])
    same((second @ first)(x), second(first(x)))
    same((second @ first).A.toarray(), [[8, 10]])
    same((second @ first).b, [9])


def lenet(seed):
    """The kinds of LeNet-5 on 8x8: (layers, arguments of each after x), all integers."""

    def numbers(*shape):
        return np.random.default_rng([seed, *shape]).integers(-3, 4, shape).astype(float)

    norm = BatchNorm((3, 4, 4), eps=0.25)
    root = np.array([0.5, 1, 2])
    return [
        (Conv((1, 8, 8), (2, 1, 5, 5), padding=2), (numbers(2, 1, 5, 5), numbers(2))),
        (ReLU((2, 8, 8)), ()),
        (MaxPool((2, 8, 8), 2), ()),
        (Conv((2, 4, 4), (3, 2, 3, 3), padding=1), (numbers(3, 2, 3, 3), numbers(3))),
        (norm, (numbers(3), numbers(3), numbers(3), root**2 - 0.25)),
        (ReLU((3, 4, 4)), ()),
        (MaxPool((3, 4, 4), 2), ()),
        (Flatten((3, 2, 2)), ()),
        (Linear(12, 5), (numbers(5, 12), numbers(5))),
        (ReLU((5,)), ()),
        (Linear(5, 4), (numbers(4, 5), numbers(4))),
    ]


def forward(network, x):
    """What each layer is given, and at last the output."""
    through = [x]
    for layer, arguments in network:
        through.append(layer.apply(through[-1], *arguments))
    return through


def linearized(network, x):
    """The product of the layers' affine maps at x."""
    whole = None
    for (layer, arguments), at in zip(network, forward(network, x), strict=False):
        affine = layer.linearize(at, *arguments)
        whole = affine if whole is None else affine @ whole
    return whole


networks = st.tuples(seeds, batches)


@given(networks)
def test_a_network_at_x_is_the_product_of_its_layers(case):
    seed, batch = case
    network, x = lenet(seed), integers_like(item(batch, (1, 8, 8)), seed, float)
    y = forward(network, x)[-1]
    assert y.shape == item(batch, (4,))
    affine = linearized(network, x)
    assert affine.A.shape == (y.size, x.size)
    same(affine(x), y.ravel())


@given(networks)
def test_the_product_holds_as_long_as_nothing_switches(case):
    seed, batch = case
    network, x = lenet(seed), integers_like(item(batch, (1, 8, 8)), seed, float)
    near = x + np.random.default_rng(seed).integers(-1, 2, x.shape) * 2.0**-20
    affine, affine_near = linearized(network, x), linearized(network, near)
    if (affine.A != affine_near.A).nnz == 0:  # no rectifier or maximum between x and near
        same(affine(near), forward(network, near)[-1].ravel())
        same(affine.b, affine_near.b)


@given(networks)
def test_the_transposed_product_is_what_the_layers_send_back_one_after_the_other(case):
    seed, batch = case
    network, x = lenet(seed), integers_like(item(batch, (1, 8, 8)), seed, float)
    through = forward(network, x)
    g = grad = integers_like(through[-1].shape, seed, float)
    for (layer, arguments), at in reversed(list(zip(network, through, strict=False))):
        if isinstance(layer, Conv | Linear):
            grad = layer.gradients(grad, at, arguments[0])[0]
        elif isinstance(layer, BatchNorm):
            weight, _, mean, var = arguments
            grad = layer.gradients(grad, at, weight, mean, var, training=False)[0]
        else:
            grad = layer.gradient(grad, at)
    same(grad.ravel(), linearized(network, x).A.T @ g.ravel())


# Refusals

ONE = (1, 3)
x = np.ones(ONE)
REFUSED = [
    (lambda: Linear(-1, 1), ValueError, "in_features must be at least 0, got -1"),
    (lambda: Linear(1, -1), ValueError, "out_features must be at least 0, got -1"),
    (lambda: Linear(2.0, 1), TypeError, "in_features must be an integer, got 2.0"),
    (lambda: Linear(2, True), TypeError, "out_features must be an integer, got the boolean True"),
    (
        lambda: Linear(3, 2).apply(np.ones(2), np.ones((2, 3))),
        ValueError,
        "x must have shape (N, 3) or (3,), got (2,)",
    ),
    (
        lambda: Linear(3, 2).apply(np.ones(3), np.ones((3, 2))),
        ValueError,
        "w must have the weight shape (2, 3), got (3, 2)",
    ),
    (
        lambda: Linear(3, 2).apply(np.ones(3), np.ones((2, 3)), np.ones(3)),
        ValueError,
        "b must have one entry per output channel, (2,), got (3,)",
    ),
    (
        lambda: Linear(3, 2).gradients(np.ones((4, 2)), np.ones((5, 3)), np.ones((2, 3))),
        ValueError,
        "g and x must have the same batch axis: got g (4, 2) and x (5, 3)",
    ),
    (
        lambda: Linear(3, 2).matrix(np.ones((2, 3), "f2")),
        TypeError,
        "scipy.sparse holds no float16: take w.astype(np.float32), "
        "or use apply, which sums in float32 and rounds once",
    ),
    (
        lambda: Linear(3, 2).unfolded(np.ones(3, "f2")),
        TypeError,
        "scipy.sparse holds no float16: take x.astype(np.float32), "
        "or use apply, which sums in float32 and rounds once",
    ),
    (lambda: Flatten().apply(3.0), ValueError, "x must have a batch axis, got a single number"),
    (
        lambda: Flatten(ONE).apply(np.ones(3)),
        ValueError,
        "x must have shape (N, 1, 3) or (1, 3), got (3,)",
    ),
    (
        lambda: Flatten(ONE).gradient(x, x),
        ValueError,
        "g must have the output's shape (3,), got (1, 3)",
    ),
    (
        lambda: Flatten().matrix(),
        ValueError,
        "size is needed: Flatten() does not know its input_shape",
    ),
    (lambda: Flatten().matrix(-1), ValueError, "size must be at least 0, got -1"),
    (lambda: Flatten((2, -1)), ValueError, "input_shape must be at least 0, got -1"),
    (
        lambda: ReLU(ONE).apply(np.ones((3, 1))),
        ValueError,
        "x must have shape (N, 1, 3) or (1, 3), got (3, 1)",
    ),
    (
        lambda: ReLU().gradient(np.ones(3), x),
        ValueError,
        "g must have the shape of x (1, 3), got (3,)",
    ),
    (lambda: ReLU().apply(1j * x), TypeError, "x must be real, got complex128"),
    (
        lambda: ReLU().apply(x > 0),
        TypeError,
        "x must hold numbers, got bool: convert it with x.astype(int)",
    ),
    (
        lambda: Pad((3,), 1),
        ValueError,
        "input_shape must be (channels, *spatial), at least 2 axes: got (3,)",
    ),
    (
        lambda: Pad(ONE, (1, 2)),
        ValueError,
        "padding must have one entry per spatial axis: got 2 in (1, 2) for 1; "
        "for two sides write ((1, 2),)",
    ),
    (lambda: Pad(ONE, 1.5), TypeError, "padding must be an integer, got 1.5"),
    (
        lambda: Pad(ONE, 1, "edge"),
        ValueError,
        "mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'edge'",
    ),
    (lambda: Pad(ONE, 1, value="0"), TypeError, "value must be a number, got '0'"),
    (lambda: Pad(ONE, 1, value=True), TypeError, "value must be a number, got True"),
    (
        lambda: Pad(ONE, 1, "circular", 2),
        ValueError,
        'value must be 0 unless mode="constant": got 2 for "circular"',
    ),
    (
        lambda: Pad((1, 5, 3), ((0, 0), (-1, -2))),
        ValueError,
        "padding leaves nothing of spatial axis 1: 3 + -1 + -2 = 0; crop less",
    ),
    (
        lambda: Pad(ONE, ((-3, 1),), "circular"),
        ValueError,
        "negative padding leaves nothing to repeat on spatial axis 0: 3 + -3 + 0 = 0; crop less",
    ),
    (
        lambda: Pad(ONE, 1).apply(np.ones((3, 1))),
        ValueError,
        "x must have shape (N, 1, 3) or (1, 3), got (3, 1)",
    ),
    (
        lambda: Pad(ONE, 1).gradient(x, x),
        ValueError,
        "g must have shape (N, 1, 5) or (1, 5), got (1, 3)",
    ),
    (
        lambda: Pad(ONE, 1).gradient(np.ones((2, 1, 5)), np.ones((3, 1, 3))),
        ValueError,
        "g and x must have the same batch axis: got g (2, 1, 5) and x (3, 1, 3)",
    ),
]


@pytest.mark.parametrize("call, kind, sentence", REFUSED)
def test_wrong_arguments_are_refused(call, kind, sentence):
    check(call, kind, sentence)


UNCLEAR = [
    (
        lambda: Pad(ONE, 3, "reflect"),
        ValueError,
        "reflect padding must be narrower than the input on spatial axis 0: "
        '3 >= 3; take mode="replicate" or "circular"',
    ),
    (
        lambda: Pad(ONE, 1).matrix("f2"),
        TypeError,
        "scipy.sparse holds no float16: take dtype=np.float32",
    ),
    (lambda: Flatten(3), TypeError, "input_shape must be a tuple of integers, got 3"),
    (lambda: Flatten(()), ValueError, "input_shape must have at least one axis, got ()"),
]


@pytest.mark.parametrize("call, kind, sentence", UNCLEAR)
def test_a_refusal_speaks_of_what_was_given(call, kind, sentence):
    check(call, kind, sentence)


@pytest.mark.parametrize(
    "call",
    [lambda: Flatten().matrix(2, "f2"), lambda: ReLU().matrix(x, "f2")],
)
def test_a_matrix_of_halves_is_refused(call):
    with pytest.raises(TypeError):
        call()


def test_an_identity_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr("toeplitz.memory.UNASKED", 0)
    monkeypatch.setattr("toeplitz.memory.available", lambda array=None: 10)
    with pytest.raises(toeplitz.TooLarge):
        Flatten().matrix(3)
