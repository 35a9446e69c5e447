"""Each way to write a matrix gives the same arrays: whole, from a kept pattern, by rows, turned."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from geometries import conv_transposes, convs, integers_like, seeds
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz
from toeplitz.pieces import boxes

FORMATS = st.sampled_from(("csr", "csc", "coo", "bsr"))
LAYOUTS = ("channels_first", "channels_last")
layouts = st.sampled_from(LAYOUTS)
layers = convs() | conv_transposes()


@pytest.fixture(params=[1, 3, 7])
def small(request, monkeypatch):
    """All sizes small, so that small matrices are written like large ones."""
    monkeypatch.setattr("toeplitz.matrices.KEPT", 0)
    for name in ("pieces.WHOLE", "pieces.BLOCK", "pieces.SHORT", "writing.STRIP", "writing.TASK"):
        monkeypatch.setattr(f"toeplitz.{name}", request.param)
    monkeypatch.setattr("toeplitz.pieces.FEW", 2)
    monkeypatch.setattr("toeplitz.writing.THREADED", 40)


def arrays(matrix):
    """What a sparse array is made of."""
    if matrix.format == "coo":
        return matrix.data, *matrix.coords
    return matrix.data, matrix.indices, matrix.indptr


def check_same(ours, theirs):
    """The same format, dtypes and arrays, entry by entry."""
    assert type(ours) is type(theirs)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert ours.has_canonical_format
    for mine, other in zip(arrays(ours), arrays(theirs), strict=True):
        assert mine.dtype == other.dtype
        same(mine, other)


# Long enough for rows to repeat, and with everything that interrupts the repetition.
LONG = [
    toeplitz.Conv((2, 23), (4, 1, 3), stride=2, padding=2, groups=2),
    toeplitz.Conv((1, 19), (2, 1, 2), stride=5, padding=1),
    toeplitz.Conv((1, 9), (1, 1, 3), padding=3, input_dilation=3),
    toeplitz.Conv((1, 11), (1, 1, 3), stride=4, padding=2, input_dilation=6),
    toeplitz.Conv((2, 9, 12), (3, 2, 3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 3)),
    toeplitz.Conv((2, 10, 8), (2, 1, 3, 3), padding=2, groups=2, padding_mode="circular"),
    toeplitz.Conv((1, 12, 9), (2, 1, 3, 5), padding=2, padding_mode="reflect"),
    toeplitz.Conv((1, 10, 11), (1, 1, 5, 3), padding=3, padding_mode="replicate"),
    toeplitz.Conv((2, 6, 7, 8), (2, 2, 2, 3, 3), padding=1),
    toeplitz.Conv((1, 6), (1, 1, 3), padding=((9, 8),)),
    toeplitz.Conv((1, 2), (1, 1, 2), padding=1, dilation=2),  # the second row is one back
    toeplitz.Conv((1, 9), (1, 1, 9), padding=8),
    toeplitz.ConvTranspose((4, 9, 7), (4, 1, 3, 4), (2, 3), 1, (1, 2), groups=2),
    toeplitz.ConvTranspose((2, 13), (2, 3, 2), 4),
]


def every(layer, w, x):
    """All the matrices of a layer, in any format and layout."""
    found = [layer.matrix(w, f, l) for f in ("csr", "csc", "coo", "bsr") for l in LAYOUTS]
    return [*found, layer.unfolded(x)]


@pytest.mark.parametrize("layer", LONG, ids=repr)
def test_rows_that_repeat_are_written_as_the_others(layer, small):
    w, x = integers_like(layer.weight_shape, 0), integers_like(layer.input_shape, 1)
    by_pieces = every(layer, w, x)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pieces.WHOLE", "pieces.BLOCK", "writing.THREADED"):
            patch.setattr(f"toeplitz.{name}", 1 << 30)
        as_a_whole = every(layer, w, x)
    for ours, theirs in zip(by_pieces, as_a_whole, strict=True):
        check_same(ours, theirs)
    from_patterns = [
        layer.pattern(m.format, l) for m, l in zip(by_pieces[:-1], 4 * LAYOUTS, strict=True)
    ]
    for pattern, theirs in zip(from_patterns, as_a_whole[:-1], strict=True):
        check_same(pattern.matrix(w), theirs)


@given(layers, seeds, FORMATS, layouts)
def test_a_pattern_gives_the_matrix_of_any_weights(layer, seed, format, layout):
    pattern = layer.pattern(format, layout)
    first = integers_like(layer.weight_shape, seed)
    second = integers_like(layer.weight_shape, seed + 1, np.float32) * 1j
    before = pattern.matrix(first)
    check_same(pattern.matrix(second), layer.matrix(second, format, layout))
    check_same(before, layer.matrix(first, format, layout))
    assert pattern.nnz == before.nnz
    shared = arrays(before)[1:]
    assert not any(array.flags.writeable for array in shared)
    assert pattern.nbytes >= sum(array.nbytes for array in shared)
    x = integers_like((before.shape[1],), seed)
    same(before @ x, before.toarray() @ x)
    same(before.T.toarray(), before.toarray().T)


@given(layers, seeds, FORMATS, layouts)
def test_a_small_layer_keeps_its_patterns_and_its_matrices_nothing_of_them(
    layer, seed, format, layout
):
    weights = [integers_like(layer.weight_shape, seed + turn) for turn in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toeplitz.matrices.KEPT", 0)
        apart = [layer.matrix(w, format, layout) for w in weights]
    kept = [layer.matrix(w, format, layout) for w in weights]
    for ours, theirs in zip(kept, apart, strict=True):
        check_same(ours, theirs)
    for ours, others in zip(kept, [*kept[1:], kept[0]], strict=True):
        for array, other in zip(arrays(ours), arrays(others), strict=True):
            assert array.flags.writeable
            assert array.size == 0 or not np.shares_memory(array, other)
    again = pickle.loads(pickle.dumps(layer))
    assert (again, hash(again)) == (layer, hash(layer))
    check_same(again.matrix(weights[0], format, layout), apart[0])


@given(convs(), seeds, layouts)
def test_the_transpose_is_written_from_the_transposed_geometry(conv, seed, layout):
    w = integers_like(conv.weight_shape, seed)
    turned = conv.matrix(w, "csc", layout).T
    check_same(turned, conv.matrix(w, "csr", layout).T.tocsr())


@given(conv_transposes(), seeds, FORMATS, layouts)
def test_a_transposed_convolution_is_the_transpose_in_every_format(up, seed, format, layout):
    w = integers_like(up.weight_shape, seed)
    matrix = up.matrix(w, format, layout)
    assert (matrix.format, matrix.has_canonical_format) == (format, True)
    same(matrix.toarray(), up.conv.matrix(w, layout=layout).toarray().T)
    theirs = up.conv.matrix(w, "coo", layout).T.asformat("csr")
    theirs.sort_indices()
    same(matrix.tocsr().sorted_indices().indices, theirs.indices)
    if (format, layout) == ("bsr", "channels_last"):
        assert matrix.blocksize == (up.weight_shape[1], up.conv.out_channels // up.groups)


@given(layers, seeds, layouts, st.data())
def test_blocks_of_rows_below_each_other_are_the_matrix(layer, seed, layout, data):
    w = integers_like(layer.weight_shape, seed)
    whole = layer.matrix(w, layout=layout)
    cuts = data.draw(st.lists(st.integers(0, whole.shape[0]), max_size=4).map(sorted))
    below = []
    for start, stop in zip([0, *cuts], [*cuts, whole.shape[0]], strict=True):
        rows = layer.rows(start, stop, layout)
        block = rows.matrix(w)
        assert (block.shape, block.nnz) == (rows.shape, rows.nnz)
        check_same(block, whole[start:stop, rows.halo])
        inside = whole[start:stop].indices  # the halo is as narrow as can be
        expected = slice(inside.min(), inside.max() + 1) if len(inside) else slice(0, 0)
        assert rows.halo == expected
        padded = scipy.sparse.lil_array((stop - start, whole.shape[1]), dtype=whole.dtype)
        padded[:, rows.halo] = block
        below.append(padded)
    same(scipy.sparse.vstack(below).toarray(), whole.toarray())


def test_blocks_of_rows_are_the_matrix_however_they_are_written(small):
    for layer in LONG:
        w = integers_like(layer.weight_shape, 0)
        whole = layer.matrix(w, layout="channels_last")
        for start in range(0, whole.shape[0], 17):
            rows = layer.rows(start, min(start + 17, whole.shape[0]), "channels_last")
            check_same(rows.matrix(w), whole[rows.start : rows.stop, rows.halo])


def test_the_last_channel_first_reads_a_narrow_halo():
    conv = toeplitz.Conv((8, 100, 100), (8, 8, 3, 3), padding=1)
    rows = conv.rows(40 * 800, 50 * 800, "channels_last")  # ten lines of a hundred
    assert rows.halo == slice(39 * 800, 51 * 800)
    assert repr(rows) == f"<rows 32000 to 40000 of {conv}: {rows.nnz} entries>"


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_boxes_are_the_numbers_of_a_range_in_order(sizes, data):
    numbers = np.arange(np.prod(sizes)).reshape(sizes)
    start, stop = sorted(data.draw(st.integers(0, numbers.size)) for _ in range(2))
    cut = [tuple(slice(*side) for side in box) for box in boxes(sizes, start, stop)]
    found = [number for box in cut for number in numbers[box].ravel()]
    assert found == list(range(start, stop))
    assert len(cut) <= 2 * len(sizes) - 1


def test_a_pattern_holds_little_beyond_its_index_arrays():
    conv = toeplitz.Conv((16, 40, 40), (16, 16, 3, 3), padding=1)
    pattern = conv.pattern()
    indices = pattern.indices.nbytes + pattern.indptr.nbytes
    assert indices < pattern.nbytes <= 1.05 * indices
    assert repr(pattern) == (
        f"<pattern of {conv}: format='csr', layout='channels_first', {pattern.nnz} entries>"
    )


def refusal(call):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    return str(error.value)


def test_what_a_pattern_refuses(monkeypatch):
    conv = toeplitz.Conv((1, 5), (1, 1, 3))
    assert refusal(lambda: conv.pattern("dense")) == (
        "format must be 'csr', 'csc', 'coo' or 'bsr', got 'dense'"
    )
    assert refusal(lambda: conv.pattern(layout="last")) == (
        "layout must be 'channels_first' or 'channels_last', got 'last'"
    )
    pattern = conv.pattern()
    assert refusal(lambda: pattern.matrix(np.ones((1, 1, 2)))) == (
        "w must have the weight shape (1, 1, 3), got (1, 1, 2)"
    )
    assert refusal(lambda: pattern.matrix(np.ones((1, 1, 3), np.float16))).startswith(
        "scipy.sparse holds no float16"
    )
    large = toeplitz.Conv((64, 512, 512), (64, 64, 3, 3))
    monkeypatch.setattr("toeplitz.memory.available", lambda array: 10**9)
    assert refusal(large.pattern) == (
        f"the csr pattern of {large} needs 76.8 GB and 1 GB are free: use operator(w)"
    )


def test_what_rows_refuse(monkeypatch):
    conv = toeplitz.Conv((1, 5), (1, 1, 3))
    for start, stop in ((-1, 2), (2, 1), (0, 4)):
        assert refusal(lambda start=start, stop=stop: conv.rows(start, stop)) == (
            f"rows must be 0 <= start <= stop <= 3, got start {start} and stop {stop}"
        )
    assert refusal(lambda: conv.rows(0, 1.5)) == "stop must be an integer, got 1.5"
    assert refusal(lambda: conv.rows(0, 3).matrix(np.ones(3))) == (
        "w must have the weight shape (1, 1, 3), got (3,)"
    )
    large = toeplitz.Conv((64, 512, 512), (64, 64, 3, 3))
    rows = large.rows(0, 10**6)
    monkeypatch.setattr("toeplitz.memory.available", lambda array: 10**9)
    assert refusal(lambda: rows.matrix(np.ones(large.weight_shape, np.float32))) == (
        f"rows(…).matrix(w) of {large} needs 4.61 GB and 1 GB are free: take fewer rows"
    )
