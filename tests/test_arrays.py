"""Which library arrays belong to, which dtypes are computed with, and what fits into memory.

What needs a GPU is in test_gpu.py: no cupy is made up here.
"""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse

import toeplitz
from toeplitz import arrays, memory

NEVER_CUPY = """
import sys

class Watch:
    asked = []

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cupy", "cupyx"):
            self.asked.append(name)

sys.meta_path.insert(0, Watch())
import numpy as np
import toeplitz, toeplitz.functional as F

x, w = np.ones((1, 2, 4, 4)), np.ones((2, 2, 3, 3))
conv = toeplitz.Conv((2, 4, 4), w.shape)
y = conv.apply(x, w)
conv.gradients(y, x, w), conv.operator(w), conv.linearize(x, w), conv.cost()
for pool in (toeplitz.MaxPool((2, 4, 4), 2), toeplitz.AvgPool((2, 4, 4), 2)):
    pool.gradient(pool.apply(x), x), pool.linearize(x)
toeplitz.BatchNorm((2, 4, 4)).linearize(x, training=True)
toeplitz.ReLU().linearize(x), toeplitz.Pad((2, 4, 4), 1).linearize(x)
F.batch_norm(F.conv2d(x, w), None, None, training=True)
assert not Watch.asked, Watch.asked
assert not {"cupy", "cupyx"} & set(sys.modules)
"""


def test_numpy_arrays_never_ask_for_cupy():
    subprocess.run([sys.executable, "-c", NEVER_CUPY], check=True)


def test_numpy_arrays_stay_with_numpy_and_scipy():
    x = np.ones(2)
    assert arrays.namespace(x, None, [1], 2) is np
    assert arrays.sparse_namespace(x) is scipy.sparse


def check(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == sentence
    assert type(error.value) is kind


# Arguments to arrays


def test_arrays_stay_themselves_and_only_what_is_optional_may_be_none():
    x = np.ones(2)
    same_x, b = arrays.together(optional=("b",), x=x, b=None)
    assert same_x is x
    assert b is None
    check(lambda: arrays.together(x=None), TypeError, "x must be an array, got None")


def test_lists_of_different_lengths_are_no_array():
    with pytest.raises(ValueError, match=r"^x must be an array: "):
        arrays.together(x=[[1], [1, 2]])


def test_whatever_numpy_reads_as_numbers_is_taken():
    x, w, b = arrays.together(x=[[1, 2]], w=range(3), b=2.5)
    assert (x.shape, w.shape, b.shape) == ((1, 2), (3,), ())
    assert (x.dtype.kind, w.dtype.kind, b.dtype.kind) == ("i", "i", "f")


@pytest.mark.parametrize("dtype", ["i1", "i8", "u1", "u8", "f2", "f4", "f8", "g", "F", "D"])
def test_numbers_are_taken_in_any_dtype(dtype):
    (x,) = arrays.together(x=np.ones(2, dtype))
    assert x.dtype == dtype


@pytest.mark.parametrize(
    "x, sentence",
    [
        (True, "x must hold numbers, got bool: convert it with x.astype(int)"),
        ([True, False], "x must hold numbers, got bool: convert it with x.astype(int)"),
        ([1, None], "x must hold numbers, got Python objects: symbolic() gives letters"),
        (10**30, "x must hold numbers, got Python objects: symbolic() gives letters"),
        ("ab", "x must hold numbers, got dtype <U2"),
        (b"ab", "x must hold numbers, got dtype |S2"),
        (np.zeros(1, "M8[s]"), "x must hold numbers, got dtype datetime64[s]"),
        (np.zeros(1, "m8[s]"), "x must hold numbers, got dtype timedelta64[s]"),
        (np.zeros(1, "V2"), "x must hold numbers, got dtype |V2"),
    ],
)
def test_what_is_no_number_is_refused_by_the_name_of_its_argument(x, sentence):
    check(lambda: arrays.together(g=np.ones(1), x=x), TypeError, sentence)


# Dtypes


@pytest.mark.parametrize("dtype", ["i8", "u8", "f4", "f8", "g", "F", "D"])
def test_sums_are_accumulated_in_the_dtype_itself(dtype):
    dtype = np.dtype(dtype)
    assert not arrays.is_half(dtype)
    assert arrays.working(dtype) == dtype


@pytest.mark.parametrize("dtype", ["i1", "u2", "i4"])
def test_sums_of_narrow_integers_are_accumulated_in_int64_and_refused_if_too_large(dtype):
    assert arrays.working(np.dtype(dtype)) == np.int64
    largest = np.iinfo(dtype).max
    kept = arrays.returned(np.array([largest]), np.dtype(dtype))
    assert kept.dtype == dtype
    assert kept[0] == largest
    check(
        lambda: arrays.returned(np.array([largest + 1]), np.dtype(dtype)),
        ValueError,
        f"the result {largest + 1} does not fit into {np.dtype(dtype)}: "
        "convert the arguments with .astype(np.int64)",
    )


def test_a_mask_is_refused():
    x = np.ma.array([1.0, 2.0], mask=[False, True])
    sentence = "x has a mask, which no product keeps: fill it, x.filled(0)"
    check(lambda: arrays.together(x=x), TypeError, sentence)


def test_sums_of_halves_are_accumulated_in_float32():
    assert arrays.is_half(np.dtype("f2"))
    assert arrays.working(np.dtype("f2")) == np.float32


@pytest.mark.interop
def test_the_short_floats_of_ml_dtypes_are_halves(need):
    names = ["bfloat16", "float8_e4m3fn", "float8_e5m2"]
    for dtype in (np.dtype(getattr(need("ml_dtypes"), name)) for name in names):
        assert arrays.is_half(dtype)
        assert arrays.working(dtype) == np.float32
        (x,) = arrays.together(x=np.ones(1, dtype))
        assert x.dtype == dtype
    int4 = np.ones(1, need("ml_dtypes").int4)
    check(lambda: arrays.together(x=int4), TypeError, "x must hold numbers, got dtype int4")


@pytest.mark.parametrize("dtype", ["i1", "i8", "u1", "f4", "f8", "g", "F", "D"])
def test_scipy_holds_every_dtype_that_is_let_through(dtype):
    arrays.storable("w", np.ones(1, dtype))
    assert scipy.sparse.csr_array(np.ones((1, 1), dtype)).toarray() == 1


def test_halves_are_refused_where_a_sparse_array_holds_them():
    half = np.ones(1, "f2")
    check(
        lambda: arrays.storable("w", half),
        TypeError,
        "scipy.sparse holds no float16: take w.astype(np.float32), "
        "or use apply, which sums in float32 and rounds once",
    )
    check(
        lambda: arrays.storable_dtype(half),
        TypeError,
        "scipy.sparse holds no float16: take dtype=np.float32",
    )


# Shapes


def test_one_item_is_a_batch_of_one():
    x = np.ones((2, 3))
    assert arrays.batched("x", x, (2, 3)).shape == (1, 2, 3)
    assert arrays.batched("x", x[None], (2, 3)) is not x
    assert arrays.batched("x", x, (3,)) is x
    assert arrays.batched("x", x[:0], (3,)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(), (3,), (3, 2), (1, 1, 2, 3), (2, 3, 1)])
def test_another_shape_is_refused(shape):
    check(
        lambda: arrays.batched("x", np.ones(shape), (2, 3)),
        ValueError,
        f"x must have shape (N, 2, 3) or (2, 3), got {shape}",
    )


def test_g_and_x_have_the_same_batch_axis():
    arrays.same_batch(np.ones((4, 2)), np.ones((4, 7)), 1)
    arrays.same_batch(np.ones(2), np.ones(7), 1)
    for g, x in ((4, 5), (0, 1)):
        check(
            lambda: arrays.same_batch(np.ones((g, 2)), np.ones((x, 7)), 1),  # noqa: B023
            ValueError,
            f"g and x must have the same batch axis: got g ({g}, 2) and x ({x}, 7)",
        )
    check(
        lambda: arrays.same_batch(np.ones(2), np.ones((1, 7)), 1),
        ValueError,
        "g and x must have the same batch axis: got g (2,) and x (1, 7)",
    )


# Memory


@pytest.mark.parametrize(
    "size, text",
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1_000_000_000, "1 GB"),
        (12_345 * 10**9, "12.3 TB"),
        (10**17, "100 PB"),
        (4 * 10**20, "400 EB"),
        (4 * 10**26, "400000 ZB"),
    ],
)
def test_bytes_are_written_in_the_unit_a_person_would_use(size, text):
    assert memory.readable(size) == text


def test_this_machine_says_how_much_is_free():
    free = memory.available(np.ones(1))
    assert free is None or 2**20 < free < 2**60


def test_what_is_small_asks_nobody(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda array=None: pytest.fail("asked"))
    memory.fits(memory.UNASKED - 1, None, "it", "this", "do that")


def test_what_cannot_be_known_is_let_through(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda array=None: None)
    memory.fits(10**20, None, "it", "this", "do that")


def test_what_just_fits_is_let_through_and_one_byte_more_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda array=None: 10**9)
    memory.fits(10**9, None, "it", "this", "do that")
    check(
        lambda: memory.fits(10**9 + 1, None, "it", "this", "do that"),
        toeplitz.TooLarge,
        "it of this needs 1 GB and 1 GB are free: do that",
    )


@pytest.fixture
def tiny(monkeypatch):
    """A machine with ten bytes free, where every matrix counts."""
    monkeypatch.setattr(memory, "UNASKED", 0)
    monkeypatch.setattr(memory, "available", lambda array=None: 10)


WIDE, NORM = toeplitz.Linear(3, 2), toeplitz.BatchNorm((1, 3))


@pytest.mark.parametrize(
    "call, sentence",
    [
        (
            lambda: WIDE.matrix(np.ones((2, 3))),
            "the csr matrix of Linear(3, 2) needs 72 bytes and 10 bytes are free: use w itself",
        ),
        (
            lambda: WIDE.unfolded(np.ones(3)),
            "unfolded(x) of Linear(3, 2) needs 72 bytes and 10 bytes are free: take fewer items",
        ),
        (
            lambda: NORM.jacobian(np.ones((1, 3), np.float32)),
            "the Jacobian of BatchNorm((1, 3)) needs 72 bytes and 10 bytes are free: "
            "use gradients(g, x)",
        ),
    ],
)
def test_matrices_ask_before_they_are_built(tiny, call, sentence):
    check(call, toeplitz.TooLarge, sentence)


def test_a_linear_layer_asks_before_it_makes_its_table(tiny, monkeypatch):
    monkeypatch.setattr("toeplitz.layers.channels", lambda *a: pytest.fail("worked first"))
    with pytest.raises(toeplitz.TooLarge):
        toeplitz.Linear(3, 2).unfolded(np.ones(3))
