"""The structured products: the matrices' own, on every route, however the work is cut up."""

import gc
import tracemalloc
import weakref
from math import prod

import numpy as np
import pytest
from geometries import convs, integers_like
from hypothesis import given
from hypothesis import strategies as st

import toeplitz
from toeplitz import blas
from toeplitz.operators import in_place, lanes
from toeplitz.operators.structured import Structured

LAYOUTS = ("channels_first", "channels_last")
DTYPES = ("float32", "float64", "complex64", "complex128", "int64")
seeds = st.integers(0, 9)


def numbers(shape, seed, dtype):
    """Integers from -4 to 4, all sums of which are exact in the dtype; complex ones too."""
    parts = [integers_like(shape, seed + apart) % 9 - 4 for apart in (0, 1000)]
    return (parts[0] + 1j * parts[1] if np.dtype(dtype).kind == "c" else parts[0]).astype(dtype)


def cut(patch, block, innermost, count, compiled=True):
    """Cut work into small blocks for so many threads; compiled: where it can be."""
    patch.setattr("toeplitz.compiled.WORTH", 0 if compiled else 1 << 62)
    patch.setenv("TOEPLITZ_NUM_THREADS", str(count))
    patch.setattr("toeplitz.operators.blocks.BLOCK", block)
    patch.setattr("toeplitz.operators.structured.INNERMOST", innermost)
    patch.setattr("toeplitz.operators.blocks.THREADED", 1)
    patch.setattr("toeplitz.operators.COLUMNS", innermost)


sizes = st.sampled_from([(1, 1, 1), (1, 2, 3), (300, 1, 2), (5000, 3, 3), (1 << 20, 64, 2)])
cuts = st.tuples(sizes, st.booleans()).map(lambda pair: (*pair[0], pair[1]))


@given(convs(), seeds, st.sampled_from(DTYPES), st.sampled_from(LAYOUTS), st.integers(1, 4), cuts)
def test_products_are_those_of_the_matrix(conv, seed, dtype, layout, items, parts):
    w = numbers(conv.weight_shape, seed, dtype)
    T = conv.matrix(w, layout=layout)
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, *parts)
        operator = conv.operator(w, layout)
        for A, O in ((T, operator), (T.conj().T, operator.H), (T.T, operator.T)):
            X = numbers((items, A.shape[1]), seed, dtype)
            assert np.array_equal(O @ X.T, A @ X.T)  # each item lies by itself
            assert np.array_equal(O @ np.ascontiguousarray(X.T), A @ X.T)
            assert np.array_equal(O @ X[0], A @ X[0])


@given(convs(), seeds, st.sampled_from(DTYPES), st.sampled_from([None, 1, 3]), cuts)
def test_products_with_the_unfolded_inputs(conv, seed, dtype, items, parts):
    shape = conv.input_shape if items is None else (items, *conv.input_shape)
    x = numbers(shape, seed, dtype)
    U = conv.unfolded(x)
    w, g = (numbers((size,), seed, dtype) for size in U.shape[::-1])
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, *parts)
        operator = conv.unfolded_operator(x)
        assert operator.shape == U.shape
        assert np.array_equal(operator @ w, U @ w)
        assert np.array_equal(operator.H @ g, U.conj().T @ g)
        assert np.array_equal(operator @ np.stack([w, -w], 1), U @ np.stack([w, -w], 1))


@given(convs(modes=("zeros",)), st.booleans())
def test_lanes_are_the_table_of_an_axis(conv, merged):
    for axis in conv.axes:
        one = lanes.Lanes.of(axis, merged)
        outputs = np.arange(axis.windows)[:, None]
        assert np.array_equal(one.position[one.lane, one.start + outputs], axis.source())


@given(convs())
def test_boxes_hold_every_output_once_with_all_that_it_reads(conv):
    plan, found = lanes.Plan.apart(conv), []
    for box in in_place.boxes(plan, range(plan.axes[0].outputs)):
        for first, before in zip(*np.broadcast_arrays(box.outputs, box.inputs), strict=True):
            for number in range(box.length):
                output, further = first + number * box.output_step, before + number * box.input_step
                found += [
                    (output, t, i + further) for t, i in zip(box.taps, box.reads, strict=True)
                ]
    wanted = [(0, 0, 0)]
    for axis in conv.axes:
        source, sizes = axis.source(), (axis.windows, axis.kernel, axis.size)
        each = [(o, t, source[o, t]) for o, t in np.argwhere(source >= 0)]
        wanted = [
            tuple(a * size + b for a, size, b in zip(one, sizes, other, strict=True))
            for one in wanted
            for other in each
        ]
    assert sorted(found) == sorted(wanted)


@given(st.lists(st.integers(-1, 6), max_size=12))
def test_stretches_say_every_position_once(positions):
    found = np.full(len(positions), -1)
    for inside, source in lanes.stretches(np.array(positions, int)):
        assert (found[inside] == -1).all()
        found[inside] = np.arange(7)[source]
    assert found.tolist() == positions


SEVERAL_BLOCKS = [
    toeplitz.Conv((4, 33, 9), (6, 2, 3, 3), padding=1, stride=(1, 2), groups=2),
    toeplitz.Conv((16, 33, 9), (24, 16, 3, 3), padding=1),  # weights weigh more than an item
    toeplitz.Conv((16, 33, 40), (16, 8, 3, 3), padding=1, dilation=(2, 1), groups=2),
    toeplitz.Conv((16, 33, 40), (16, 1, 3, 3), padding=1, groups=16),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("conv", SEVERAL_BLOCKS, ids=repr)
def test_rounded_results_do_not_depend_on_the_threads(conv, layout, monkeypatch):
    rng = np.random.default_rng(0)
    w = rng.standard_normal(conv.weight_shape, np.float32)
    X = rng.standard_normal((prod(conv.input_shape), 3), np.float32)
    G = rng.standard_normal((prod(conv.output_shape), 3), np.float32)
    monkeypatch.setattr("toeplitz.compiled.WORTH", 0)
    monkeypatch.setattr("toeplitz.operators.blocks.THREADED", 1)
    monkeypatch.setattr("toeplitz.operators.blocks.BLOCK", 5000)
    results = []
    for count in ("1", "2", "5"):
        monkeypatch.setenv("TOEPLITZ_NUM_THREADS", count)
        operator = conv.operator(w, layout)
        U = conv.unfolded_operator(X.T.reshape(3, *conv.input_shape))
        results.append((operator @ X, operator.T @ G, U.T @ G.T.ravel()))
    for others in results[1:]:
        for ours, first in zip(others, results[0], strict=True):
            assert np.array_equal(ours, first)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_not_finite_stays_where_the_matrix_has_it(odd, stride):
    conv = toeplitz.Conv((2, 5, 4), (3, 2, 3, 2), padding=1, stride=stride)
    w = integers_like(conv.weight_shape, 0).astype(float)
    x = integers_like((2, *conv.input_shape), 1).astype(float)
    g = integers_like((2, *conv.output_shape), 2).astype(float)

    def agree(w, x, g):
        T, U = conv.matrix(w), conv.unfolded(x)
        X, G = x.reshape(2, -1).T, g.reshape(2, -1).T
        with np.errstate(invalid="ignore"):
            pairs = [
                (conv.operator(w) @ X, T @ X),
                (conv.operator(w).T @ G, T.T @ G),
                (conv.unfolded_operator(x) @ w.ravel(), U @ w.ravel()),
                (conv.unfolded_operator(x).T @ g.ravel(), U.T @ g.ravel()),
            ]
        for ours, theirs in pairs:
            assert np.array_equal(ours, theirs, equal_nan=True)

    for array in (w, x, g):
        for place in (0, array.size // 2, array.size - 1):
            before = array.flat[place]
            array.flat[place] = odd
            agree(w, x, g)
            array.flat[place] = before


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("groups", [1, 8])
def test_what_a_product_was_given_and_gave_is_let_go(groups, layout):
    conv = toeplitz.Conv((8, 64, 64), (8, 8 // groups, 3, 3), padding=1, groups=groups)
    operator = conv.operator(np.ones(conv.weight_shape, np.float32), layout)
    for product in (operator.matmat, operator.rmatmat):
        x = np.ones((2, operator.shape[1]), np.float32)
        y = product(x.T)
        left = weakref.ref(x), weakref.ref(y if y.base is None else y.base)
        del x, y
        gc.collect()
        assert [array() for array in left] == [None, None]


def test_memory_is_input_output_and_a_few_blocks():
    conv = toeplitz.Conv((32, 112, 112), (32, 32, 3, 3), padding=1)
    x = np.ones((8, *conv.input_shape), np.float32)
    operator = conv.operator(np.ones(conv.weight_shape, np.float32))
    columns = x.reshape(8, -1).T
    for run in (operator.matmat, operator.rmatmat):
        tracemalloc.start()
        y = run(columns)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < y.nbytes + 32e6


def test_integers_wrap_nowhere_and_halves_are_refused():
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    operator = conv.operator(np.array([[[1, 2]]], np.int64))
    assert (operator @ np.array([2**53 + 1, 0, 1])).tolist() == [2**53 + 1, 2]
    with pytest.raises(TypeError, match=r"scipy\.sparse holds no float16"):
        conv.unfolded_operator(np.ones((1, 3), np.float16))
    with pytest.raises(
        ValueError, match=r"layout must be 'channels_first' or 'channels_last', got"
    ):
        conv.operator(np.ones((1, 1, 2)), "nchw")
    with pytest.raises(ValueError, match=r"x must have shape \(N, 1, 3\) or \(1, 3\)"):
        conv.unfolded_operator(np.ones((1, 4)))


@pytest.mark.parametrize("dtype", DTYPES[:4])
@pytest.mark.parametrize("turned", ["NN", "TN", "NT", "CN", "NC"])
def test_gemm_multiplies_and_adds(dtype, turned):
    rng = np.random.default_rng(1)
    op = {"N": lambda a: a, "T": lambda a: a.T, "C": lambda a: a.conj().T}
    a, b, c = (numbers(shape, int(rng.integers(9)), dtype) for shape in ((3, 4), (4, 5), (3, 5)))
    a, b = (np.ascontiguousarray(op[t](m)) for t, m in zip(turned, (a, b), strict=True))
    gemm = blas.Gemm(np.dtype(dtype), 3, 4, 5, (a.shape[1], b.shape[1], 5), turned)
    expected = op[turned[0]](a) @ op[turned[1]](b)
    total = expected + c
    gemm(a.ctypes.data, b.ctypes.data, c.ctypes.data, True)
    assert np.array_equal(c, total)
    gemm(a.ctypes.data, b.ctypes.data, c.ctypes.data, False)
    assert np.array_equal(c, expected)


def test_blas_has_its_threads_back_afterwards():
    before = [get() for get, _ in blas._libraries()]
    with blas.single_threaded(), blas.single_threaded():
        assert all(get() == 1 for get, _ in blas._libraries())
    assert [get() for get, _ in blas._libraries()] == before


def test_axes_are_merged_where_channels_are_few():
    few = toeplitz.Conv((3, 32, 32), (64, 3, 7, 7), stride=2, padding=3)
    many = toeplitz.Conv((64, 56, 56), (64, 64, 3, 3), padding=1)
    assert any(axis.merged for axis in Structured(few, LAYOUTS[0], np.dtype("f")).plan.axes)
    assert not Structured(many, LAYOUTS[0], np.dtype("f")).plan.axes[0].merged


def test_arrays_of_another_shape_are_refused_with_the_repair():
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    w = np.ones(conv.weight_shape)
    whole = r"^x must have shape \(3,\) or \(3, N\), got \(1, 3\): pass x\.ravel\(\)$"
    turned = r"got \(2, 1, 3\): items are columns, x\.reshape\(-1, 3\)\.T$"
    for T in (conv.operator(w), conv.product(w)):
        with pytest.raises(ValueError, match=whole):
            T @ np.ones((1, 3))
        with pytest.raises(ValueError, match=turned):
            T @ np.ones((2, 1, 3))
    with pytest.raises(ValueError, match=r"^x must have shape \(2,\) or \(2, N\), got \(1, 1, 2\)"):
        conv.unfolded_operator(np.ones((1, 3))) @ w
    assert np.array_equal(np.array([1.0, 2.0]) @ conv.product(w), [1, 3, 2])
    assert np.array_equal(2 * conv.operator(w) @ np.array([1.0, 2.0, 3.0]), [6, 10])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_transpose_of_real_weights_takes_complex_numbers(layout):
    conv = toeplitz.Conv((2, 5, 4), (3, 2, 3, 2), padding=1, stride=(2, 1))
    w = numbers(conv.weight_shape, 0, "float64")
    T, operator = conv.matrix(w, layout=layout), conv.operator(w, layout)
    g = numbers((T.shape[0], 2), 1, "complex128")
    for back in (operator.T, operator.H):
        with pytest.raises(ValueError, match=r"^x must have shape \(\d+,\) or .*: pass x\.ravel"):
            back @ g[:, :1].reshape(3, -1)
        assert np.array_equal(back @ g, T.T @ g)
        assert np.array_equal(back.T @ (x := numbers((T.shape[1],), 2, "float64")), T @ x)
