"""What compiled loops do with sizes that small geometries never have."""

from itertools import product

import numpy as np
import pytest
from geometries import convs, integers_like
from hypothesis import given
from hypothesis import strategies as st

import toeplitz
from toeplitz.compiled import WORTH, loops
from toeplitz.operators.backward import sent_back
from toeplitz.operators.structured import Structured

compiled = loops(WORTH)
needs_numba = pytest.mark.skipif(compiled is None, reason="numba is not installed")
LAYOUTS = ("channels_first", "channels_last")


def integers(shape, seed, dtype):
    """From -2 to 2: sums of some thousand products are exact."""
    return (integers_like(shape, seed) % 5 - 2).astype(dtype)


few, some = st.sampled_from([1, 2, 3]), st.integers(1, 40)
columns = st.integers(1, 80) | st.sampled_from([128, 150, 300])
sizes = st.tuples(few | some, st.sampled_from([1, 5, 127, 129, 300]), columns)


@needs_numba
def test_inputs_are_read_where_they_are_unless_lines_are_short(monkeypatch):
    monkeypatch.setattr("toeplitz.compiled.WORTH", 0)

    def in_place(*sizes, **keywords):
        return Structured(toeplitz.Conv(*sizes, **keywords), LAYOUTS[1], np.dtype("f4")).in_place

    assert in_place((64, 56, 56), (64, 64, 3, 3), padding=1)
    assert in_place((64, 55, 56), (64, 32, 3, 3), padding=1, stride=2, groups=2)
    assert in_place((64, 56, 56), (64, 1, 3, 3), padding=1, groups=64)
    assert not in_place((64, 5, 5), (64, 64, 5, 5), padding=2)
    assert not in_place((64, 5, 5), (64, 64, 1, 1), padding=1)  # the border reads nothing


@needs_numba
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@given(sizes, st.integers(1, 4), st.sampled_from([0, 1, 2]), st.booleans())
def test_sums_are_those_of_products_and_touch_nothing_else(dtype, sizes, terms, along, add):
    rows, inner, columns = sizes
    a = integers((terms, rows, inner), 0, dtype)
    b = integers((terms, inner, columns), 1, dtype)
    c = integers((rows + 1, columns + 2), 2, dtype)
    wanted = c.copy()
    wanted[:-1, :-2] = (a @ b).sum(axis=0) + (wanted[:-1, :-2] if add else 0)
    length = sizes[along]
    compiled.sums(
        c.ravel(), a.ctypes.data, b.ctypes.data, c.ctypes.data,
        np.array([[0, 0, 0, int(add)]]),
        np.array([[0, 0, 0, 0, terms, length, inner, inner, columns + 2]]),
        np.stack([np.arange(terms) * rows * inner, np.arange(terms) * inner * columns]),
        sizes, (1, columns, 1), along, False,
    )  # fmt: skip
    assert np.array_equal(c, wanted)


CONVS = [
    toeplitz.Conv((40, 9, 17), (64, 40, 3, 3), padding=1),
    toeplitz.Conv((130, 5, 6), (33, 130, 3, 2), padding=(1, 2), dilation=(2, 1)),
    toeplitz.Conv((3, 23, 30), (48, 3, 5, 7), stride=2, padding=(2, 3)),
    toeplitz.Conv((64, 12, 15), (96, 32, 1, 3), groups=2, stride=(1, 2)),
    toeplitz.Conv((66, 40, 40), (32, 66, 1, 1)),
    toeplitz.Conv((9, 20, 15), (70, 9, 1, 1)),
    toeplitz.Conv((17, 600), (18, 17, 3), padding=((4, 0),), stride=3),
    toeplitz.Conv((16, 7, 8, 9), (16, 16, 3, 3, 3), padding=1),
    toeplitz.Conv((32, 20, 18), (32, 32, 3, 3), padding=1, padding_mode="circular"),
    toeplitz.Conv((16, 31, 34), (24, 8, 4, 3), groups=2, stride=(2, 3), padding=((3, 1), (-1, 2)),
                  dilation=(1, 2)),
    toeplitz.Conv((8, 30, 33), (12, 8, 3, 3), padding=1, padding_mode="replicate"),
    toeplitz.Conv((37, 25, 26), (37, 1, 3, 4), groups=37, stride=(2, 1), padding=(1, 2)),
    # All that a lane has of an item is one row: contiguous, but not beside the next item's.
    toeplitz.Conv((16, 2, 15), (8, 16, 3, 2), stride=(2, 1), padding=((1, 4), (2, 1))),
    # The lanes of g are g itself, for both parts.
    toeplitz.Conv((17, 66), (3, 17, 4), stride=2, padding=2),
    toeplitz.Conv((20, 30), (20, 1, 11), groups=20, dilation=2),
    toeplitz.Conv((1, 1), (1, 1, 2), stride=2, padding=1, dilation=2),  # reads padding alone
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("conv", CONVS, ids=repr)
def test_products_of_wide_layers_are_those_of_the_matrix(conv, layout, dtype, monkeypatch):
    monkeypatch.setattr("toeplitz.compiled.WORTH", 0)
    monkeypatch.setenv("TOEPLITZ_NUM_THREADS", "2")
    monkeypatch.setattr("toeplitz.operators.blocks.THREADED", 1)
    w = integers(conv.weight_shape, 0, dtype)
    T, operator = conv.matrix(w, layout=layout), conv.operator(w, layout)
    for items, block in product((1, 3, 20), (5 << 18, 20000)):
        monkeypatch.setattr("toeplitz.operators.blocks.BLOCK", block)
        for A, O in ((T, operator), (T.T, operator.T)):
            X = integers((items, A.shape[1]), items, dtype)
            assert np.array_equal(O @ X.T, A @ X.T)
            if items == 3:
                assert np.array_equal(O @ np.ascontiguousarray(X.T), A @ X.T)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("conv", CONVS, ids=repr)
def test_weight_sides_of_wide_layers_are_those_of_the_matrix(conv, dtype, monkeypatch):
    monkeypatch.setattr("toeplitz.compiled.WORTH", 0)
    x = integers((3, *conv.input_shape), 0, dtype)
    U, operator = conv.unfolded(x), conv.unfolded_operator(x)
    g = integers(U.shape[:1], 1, dtype)
    assert np.array_equal(operator.T @ g, U.T @ g)


@needs_numba
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("conv", CONVS, ids=repr)
def test_explicit_products_of_wide_layers_are_the_plain_ones(conv, layout, dtype, monkeypatch):
    monkeypatch.setattr("toeplitz.products.SMALL", 0)
    monkeypatch.setattr("toeplitz.compiled.WORTH", 0)
    monkeypatch.setenv("TOEPLITZ_NUM_THREADS", "2")
    T = conv.product(integers(conv.weight_shape, 0, dtype), layout)
    for large, items in product((0, 1 << 23), (1, 3, 16, 33, 80)):
        monkeypatch.setattr("toeplitz.results.LARGE", large)
        for A in (T, T.T):
            X = integers((A.shape[1], items), items, dtype)
            assert np.array_equal(A @ X, A.matrix @ X)


@needs_numba
def test_loops_are_compiled_once_for_a_dtype(monkeypatch):
    monkeypatch.setattr("toeplitz.compiled.WORTH", 0)
    monkeypatch.setattr("toeplitz.products.SMALL", 0)
    for conv, layout in product(CONVS[4:12], LAYOUTS):  # of one to three axes
        operator = conv.operator(np.ones(conv.weight_shape, "f4"), layout)
        operator.T @ (operator @ np.ones((operator.shape[1], 2), "f4"))
        T = conv.product(np.ones(conv.weight_shape, "f4"), layout)
        X = np.ones((T.shape[1], 40), "f4")
        T.T @ (T @ X)
        for array in (X, T.matrix.data, T.matrix.indices):
            array.flags.writeable = False
        T @ X
    for name in ("sums", "move", "clear", "side_by_side", "forward", "backward", "shifted"):
        assert 0 < len(getattr(compiled, name).signatures) <= 2, name  # float32 and float64


@given(convs(modes=("zeros",)))
def test_what_is_sent_back_is_what_was_read(conv):
    for axis in conv.axes:
        if axis.input_dilation > 1:
            continue
        sent = set()
        for lane in sent_back(axis):
            inputs = range(axis.size)[lane.inputs]
            assert len(inputs) == lane.axis.windows
            for (place, tap), output in np.ndenumerate(lane.axis.source()):
                if output >= 0:
                    sent.add((int(output), int(lane.taps[tap]), inputs[place]))
        read = {
            (output, tap, int(input))
            for (output, tap), input in np.ndenumerate(axis.source())
            if input >= 0
        }
        assert sent == read
