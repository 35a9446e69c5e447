"""The product of the explicit matrix against the plain one: bit for bit on integers."""

import copy
import os
import pickle
from contextlib import ExitStack
from unittest import mock

import numpy as np
import pytest
import scipy.sparse
from geometries import conv_transposes, convs, gaussian_like, integers_like, seeds
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz
from toeplitz import products, results
from toeplitz.compiled import WORTH, loops
from toeplitz.products import blocks, compiled, ranges, shifted

LAYOUTS = st.sampled_from(("channels_first", "channels_last"))
DTYPES = tuple(map(np.dtype, "bBhHiIlLqQfdgFDG"))  # what scipy.sparse holds, bool excepted
BLAS = tuple(map(np.dtype, "fd"))
COMPLEX = tuple(map(np.dtype, "FDG"))
columns = st.sampled_from([None, 0, 1, 2, 5])  # None: a vector


WAYS = ["compiled", "blocks", "ranges"] if loops(WORTH) else ["blocks", "ranges"]
ways = st.sampled_from(WAYS)


def small(way=WAYS[0], cores=3):
    """Every product goes a way of ours, in pieces that are as small as the geometries."""
    never = 1 << 62
    stack = ExitStack()
    for module, name, value in (
        (products, "SMALL", 0),
        (ranges, "ROWS", 5),
        (products, "loops", loops if way == "compiled" else lambda macs: None),
        (products, "RUN", never if way == "ranges" else 0),
        (products, "SHARED", 0),
        (products, "RANGED", 0),
        (products, "LONG", 0),
        (blocks, "GATHERED", 6),
        (blocks, "SENT", 7),
        (blocks, "WIDTH", 16),
        (blocks, "ALONE", 4),
        (compiled, "WIDTH", 16),
        (compiled, "THREADED", 0),
        (compiled, "PARTS", (5, 4, 3)),
        (shifted, "FEW", 0),
        (shifted, "THREADED", 0),
        (results, "LARGE", 0),
    ):
        stack.enter_context(mock.patch.object(module, name, value))
    stack.enter_context(mock.patch.dict(os.environ, TOEPLITZ_NUM_THREADS=str(cores)))
    return stack


def wide(shape, n):
    return shape if n is None else (*shape, n)


def numbers(shape, seed, dtype):
    """Integers that a float holds exactly, also if they come from an unsigned dtype."""
    integers = integers_like(shape, seed)
    return (abs(integers) if dtype.kind == "u" else integers).astype(dtype)


def agree(ours, plain):
    assert (ours.dtype, ours.shape) == (plain.dtype, plain.shape)
    if ours.dtype.kind == "c":
        agree(ours.real, plain.real)
        agree(ours.imag, plain.imag)
    else:
        same(ours, plain)


def check(T, x, g):
    agree(T @ x, T.matrix @ x)
    agree(T.T @ g, T.matrix.T @ g)
    agree(T.T.T @ x, T.matrix @ x)


@given(
    convs(),
    seeds,
    LAYOUTS,
    st.sampled_from(DTYPES),
    st.sampled_from(DTYPES),
    columns,
    ways,
    st.integers(1, 3),
)
def test_it_is_the_plain_product(conv, seed, layout, of_w, of_x, n, way, cores):
    w = numbers(conv.weight_shape, seed, of_w)
    with small(way, cores):
        T = conv.product(w, layout)
        O, I = T.shape
        x, g = (numbers(wide((size,), n), seed, of_x) for size in (I, O))
        check(T, x, g)
    assert T.dtype == of_w


@given(convs(), seeds, LAYOUTS, st.sampled_from(COMPLEX), columns)
def test_it_is_the_plain_product_of_complex_numbers(conv, seed, layout, dtype, n):
    w = gaussian_like(conv.weight_shape, seed).astype(dtype)
    with small():
        T = conv.product(w, layout)
        O, I = T.shape
        check(T, *(gaussian_like(wide((size,), n), seed).astype(dtype) for size in (I, O)))
        check(T, *(gaussian_like(wide((size,), n), seed).astype(dtype)[::-1] for size in (I, O)))


def spoiled(shape, seed, dtype):
    """Integers, some of them exchanged for what is not finite."""
    array = integers_like(shape, seed).astype(dtype)
    rng = np.random.default_rng(seed)
    bad = rng.choice([np.nan, np.inf, -np.inf], shape).astype(dtype)
    if array.dtype.kind == "c":
        bad = bad + 1j * rng.integers(-2, 3, shape)
    return np.where(rng.random(shape) < 0.1, bad, array).astype(dtype)


@given(convs(), seeds, LAYOUTS, st.sampled_from(BLAS + COMPLEX), columns, st.booleans(), ways)
def test_what_is_not_finite_stays_where_the_plain_product_has_it(
    conv, seed, layout, dtype, n, zeros, way
):
    w = spoiled(conv.weight_shape, seed, dtype)
    if zeros:
        w = np.zeros_like(w)
    # Where taps meet, the matrix adds up infinite weights.
    with small(way), np.errstate(invalid="ignore"):
        T = conv.product(w, layout)
        O, I = T.shape
        check(T, *(spoiled(wide((size,), n), seed, dtype) for size in (I, O)))


@given(conv_transposes(), seeds, LAYOUTS, columns, ways)
def test_a_transposed_convolution_has_the_transposed_product(up, seed, layout, n, way):
    w = integers_like(up.weight_shape, seed, float)
    with small(way):
        T = up.product(w, layout)
        same(T.matrix.toarray(), up.matrix(w, layout=layout).toarray())
        O, I = T.shape
        check(T, *(integers_like(wide((size,), n), seed, float) for size in (I, O)))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize(
    "conv",
    [
        toeplitz.Conv((16, 20, 20), (32, 16, 3, 3), padding=1),
        toeplitz.Conv((3, 30, 30), (48, 3, 7, 7), stride=2, padding=3),
        toeplitz.Conv((32, 24, 24), (32, 8, 3, 3), padding=1, groups=4, padding_mode="circular"),
        toeplitz.Conv((96, 30, 30), (96, 1, 3, 3), padding=1, groups=96),
    ],
    ids=["plain", "stride", "groups", "depthwise"],
)
def test_it_is_the_plain_product_at_a_size_at_which_it_is_used(conv, layout):
    rng = np.random.default_rng(0)
    w = rng.integers(-4, 5, conv.weight_shape).astype(np.float32)
    T = conv.product(w, layout)
    x, g = (rng.integers(-4, 5, (size, 70)).astype(np.float32) for size in T.shape[::-1])
    assert T._ours(x)
    if loops(WORTH):
        assert all(T._ways.compiled.takes(70, back) for back in (False, True))
    check(T, x, g)
    check(T, x[:, ::2], np.asfortranarray(g))
    with mock.patch.object(products, "loops", return_value=None):
        T = conv.product(w, layout)
        assert all(bool(T._ways.way(back, 70, x.dtype)) == (conv.groups < 96) for back in (0, 1))
        check(T, x, g)


def test_the_transpose_of_a_matrix_that_is_one_part_has_one_turn():
    """Every output reads every input, so none can be added to beside another."""
    conv = toeplitz.Conv((2, 3), (2, 2, 3))
    with small(cores=1):
        T = conv.product(np.arange(12.0).reshape(conv.weight_shape))
        check(T, np.eye(6)[:, :5], np.eye(2))


def test_sums_do_not_depend_on_the_number_of_cores():
    conv = toeplitz.Conv((16, 20, 20), (32, 16, 3, 3), padding=1)
    rng = np.random.default_rng(0)
    T = conv.product(rng.standard_normal(conv.weight_shape))
    x, g = (rng.standard_normal((size, 16)) for size in T.shape[::-1])
    found = []
    for cores in (1, 2, 5, 16):
        with mock.patch.dict(os.environ, TOEPLITZ_NUM_THREADS=str(cores)):
            found.append((T @ x, T.T @ g))
    for forward, backward in found[1:]:
        same(forward, found[0][0])
        same(backward, found[0][1])


def test_what_is_no_plain_array_is_left_to_the_matrix():
    conv = toeplitz.Conv((1, 4), (1, 1, 2))
    with small():
        T = conv.product(np.ones(conv.weight_shape))
        for x in ([1, 2, 3, 4], np.ones((4, 2), bool), np.ones((4, 2), np.float16)):
            agree(T @ x, T.matrix @ x)
        assert isinstance(T @ scipy.sparse.eye_array(4), scipy.sparse.sparray)
        with pytest.raises(ValueError, match=r"x must have shape \(4,\) or \(4, N\), got \(3,\)$"):
            T @ np.ones(3)
        wanted = r"shape \(4,\) or \(4, N\), got"
        for number in (2, 1.5, np.float64(1), np.array(3)):
            with pytest.raises(ValueError, match=rf"^x must have {wanted} the number .*\d\)?$"):
                T @ number
        for nothing in ("abc", None):
            with pytest.raises(TypeError, match=f"^x must be an array of {wanted} {nothing!r}$"):
                T @ nothing
    with pytest.raises(ValueError, match="the weight shape"):
        conv.product(np.ones(3))
    with pytest.raises(ValueError, match="layout"):
        conv.product(np.ones(conv.weight_shape), "last")


def test_values_that_are_changed_in_place_count():
    conv = toeplitz.Conv((2, 5), (3, 2, 2))
    with small():
        T = conv.product(np.ones(conv.weight_shape))
        x = np.arange(10.0)
        first = T @ x
        T.matrix.data *= 2
        same(T @ x, 2 * first)


def test_text_is_refused_by_all_products():
    conv, w = toeplitz.Conv((1, 4), (1, 1, 2)), np.ones((1, 1, 2))
    for route in (conv.product(w), conv.product(w).T, conv.operator(w)):
        with pytest.raises(TypeError, match=r"^x must hold numbers, got an array of <U1$"):
            route @ np.full(route.shape[1], "a")


def test_it_says_what_it_is():
    T = toeplitz.Conv((1, 4), (1, 1, 2)).product(np.ones((1, 1, 2)))
    assert repr(T) == "<3x4 Product of 6 stored entries, float64>"
    assert repr(T.T) == "<4x3 Product of 6 stored entries, float64>"


@given(convs(), seeds, columns.filter(lambda n: n is not None))
def test_apply_goes_through_it(conv, seed, n):
    w, x = integers_like(conv.weight_shape, seed), integers_like((n, *conv.input_shape), seed)
    plain = conv.matrix(w) @ x.reshape(n, int(np.prod(conv.input_shape))).T
    with small():
        same(conv.apply(x, w), plain.T.reshape(n, *conv.output_shape))


@pytest.mark.parametrize("name", ["toarray", "todense", "data", "indices", "nnz", "sum"])
def test_what_only_the_matrix_has_is_told_where_it_is(name):
    T = toeplitz.Conv((1, 5), (1, 1, 3)).product(np.ones((1, 1, 3)))
    assert hasattr(T.matrix, name)
    assert not hasattr(T, name)
    for one in T, T.T:
        with pytest.raises(AttributeError) as refusal:
            getattr(one, name)
        assert str(refusal.value) == (
            f"'Product' object has no attribute {name!r}, its sparse array has: use .matrix.{name}"
        )
        assert (refusal.value.name, refusal.value.obj) == (name, one)


@pytest.mark.parametrize("name", ["to_array", "__array__", "_shape", "__setstate__"])
def test_what_the_matrix_has_not_either_is_refused_as_ever(name):
    T = toeplitz.Conv((1, 5), (1, 1, 3)).product(np.ones((1, 1, 3)))
    for one in T, object.__new__(type(T)):  # the other is empty, as in a copy
        with pytest.raises(AttributeError) as refusal:
            getattr(one, name)
        assert str(refusal.value) == f"'Product' object has no attribute {name!r}"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_a_copy_multiplies_as_the_product_does(copied):
    T = toeplitz.Conv((1, 5), (1, 1, 3)).product(np.array([[[1.0, 2.0, 3.0]]]))
    again = copied(T)
    same(again @ np.arange(5.0), T @ np.arange(5.0))
    same(again.T @ np.ones(3), T.T @ np.ones(3))
