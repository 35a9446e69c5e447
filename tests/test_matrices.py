"""Conv's matrices against the nested loops: exact integers, every geometry."""

import loops
import numpy as np
import pytest
import scipy.sparse
from geometries import MODES, batches, convs, gaussian_like, integers_like, item, keywords, seeds
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as same

import toeplitz

FORMATS = ("csr", "csc", "coo", "bsr", "dense")
LAYOUTS = ("channels_first", "channels_last")


def dense(matrix):
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def flat_order(shape, layout):
    """Where each entry of the flattened layout stands in channels_first."""
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    return numbers.ravel() if layout == "channels_first" else np.moveaxis(numbers, 0, -1).ravel()


def per_item(f, *arrays, batch):
    """f on each item, stacked; on the arrays themselves without a batch axis."""
    if batch is None:
        return f(*arrays)
    return [f(*items) for items in zip(*arrays, strict=True)]


@given(convs(most_axes=4), seeds)
def test_both_matrices_give_what_the_loops_give(conv, seed):
    x, w = integers_like(conv.input_shape, seed), integers_like(conv.weight_shape, seed)
    y = loops.conv(x, w, **keywords(conv))
    assert conv.output_shape == y.shape
    same((conv.matrix(w) @ x.ravel()).reshape(y.shape), y)
    same((conv.unfolded(x) @ w.ravel()).reshape(y.shape), y)


@given(convs(), seeds, batches, st.booleans())
def test_apply_gives_what_the_loops_give_for_each_item(conv, seed, batch, biased):
    x = integers_like(item(batch, conv.input_shape), seed, float)
    w = integers_like(conv.weight_shape, seed)
    b = integers_like(conv.output_shape[:1], seed) if biased else None
    y = per_item(lambda x: loops.conv(x, w, b, **keywords(conv)), x, batch=batch)
    same(conv.apply(x, w, b), np.reshape(y, item(batch, conv.output_shape)))


def check_gradients(conv, seed, batch, numbers):
    g = numbers(item(batch, conv.output_shape), seed)
    x = numbers(item(batch, conv.input_shape), seed)
    w = numbers(conv.weight_shape, seed)
    space = keywords(conv)
    grads = [
        per_item(lambda g: loops.conv_grad_x(g, w, conv.input_shape, **space), g, batch=batch),
        per_item(
            lambda g, x: loops.conv_grad_w(g, x, conv.weight_shape, **space), g, x, batch=batch
        ),
        per_item(loops.conv_grad_b, g, batch=batch),
    ]
    if batch is not None:
        grads[1:] = [sum(each, np.zeros((), object)) for each in grads[1:]]
    for ours, theirs, like in zip(conv.gradients(g, x, w), grads, (x, w, None), strict=True):
        shape = conv.output_shape[:1] if like is None else like.shape
        assert ours.shape == shape
        same(ours, np.broadcast_to(theirs, shape) if np.size(theirs) else np.zeros(shape))


@given(convs(), seeds, batches)
def test_gradients_are_those_of_the_loops(conv, seed, batch):
    check_gradients(conv, seed, batch, integers_like)


@given(convs(), seeds, batches)
def test_complex_gradients_are_those_of_the_loops(conv, seed, batch):
    check_gradients(conv, seed, batch, gaussian_like)


@given(convs(), seeds)
def test_both_transposes_move_to_the_other_side_of_the_inner_product(conv, seed):
    g, x, w = (gaussian_like(s, seed) for s in (conv.output_shape, conv.input_shape,
                                               conv.weight_shape))  # fmt: skip
    T, U = conv.matrix(w), conv.unfolded(x)
    inner = np.vdot(g, conv.apply(x, w))
    assert inner == np.vdot(T.conj().T @ g.ravel(), x) == np.vdot(U.conj().T @ g.ravel(), w)
    grad_x, grad_w, _ = conv.gradients(g, x, w)
    assert inner == np.vdot(grad_x, x) == np.vdot(grad_w, w)


@given(convs(), seeds, st.sampled_from([integers_like, gaussian_like]))
def test_the_operator_is_the_matrix(conv, seed, numbers):
    w = numbers(conv.weight_shape, seed)
    T, operator = conv.matrix(w), conv.operator(w)
    assert (operator.shape, operator.dtype) == (T.shape, T.dtype)
    O, I = T.shape
    x, X = integers_like((I,), seed), gaussian_like((I, 3), seed)
    g, G = gaussian_like((O,), seed), integers_like((O, 2), seed)
    same(operator.matvec(x), T @ x)
    same(operator.matvec(x[:, None]), (T @ x)[:, None])
    same(operator.rmatvec(g), T.conj().T @ g)
    same(operator.matmat(X), T @ X)
    same(operator.rmatmat(G), T.conj().T @ G)
    same(operator.T @ g, T.T @ g)
    same(operator.T @ G, T.T @ G)
    same(operator.H @ g, T.conj().T @ g)
    same(operator.H @ G, T.conj().T @ G)
    assert (operator @ X[:, :0]).shape == (O, 0)


@given(convs(), seeds, st.sampled_from(FORMATS), st.sampled_from(LAYOUTS))
def test_every_format_and_layout_holds_the_same_numbers(conv, seed, format, layout):
    w = integers_like(conv.weight_shape, seed, np.float32)
    matrix = conv.matrix(w, format, layout)
    assert format == getattr(matrix, "format", "dense")
    assert matrix.dtype == np.float32
    rows, columns = (flat_order(s, layout) for s in (conv.output_shape, conv.input_shape))
    same(dense(matrix), conv.matrix(w).toarray()[np.ix_(rows, columns)])
    if (format, layout) == ("bsr", "channels_last"):
        assert matrix.blocksize == (conv.out_channels // conv.groups, conv.weight_shape[1])


def check_canonical(matrix):
    """Sorted, without duplicates, int32: in the flags and in the arrays."""
    matrix.check_format(full_check=True)
    assert matrix.has_canonical_format
    assert matrix.has_sorted_indices
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    starts = np.zeros(len(matrix.indices) + 1, bool)
    starts[matrix.indptr] = True
    assert (np.diff(matrix.indices) > 0)[~starts[1 : len(matrix.indices)]].all()


@given(convs(), seeds, st.sampled_from(LAYOUTS))
def test_compressed_matrices_are_canonical(conv, seed, layout):
    x, w = integers_like(conv.input_shape, seed), integers_like(conv.weight_shape, seed)
    matrices = [conv.matrix(w, format, layout) for format in ("csr", "csc", "bsr")]
    for matrix in (*matrices, conv.unfolded(x), conv.unfolding()):
        check_canonical(matrix)
    coo = conv.matrix(w, "coo", layout)
    assert coo.has_canonical_format
    assert {axis.dtype for axis in coo.coords} == {np.dtype(np.int32)}
    same(np.lexsort(coo.coords[::-1]), np.arange(coo.nnz))


@given(convs(), seeds)
def test_the_pattern_depends_on_the_geometry_alone(conv, seed):
    full = conv.matrix(integers_like(conv.weight_shape, seed))
    empty = conv.matrix(np.zeros(conv.weight_shape))
    same(empty.indices, full.indices)
    same(empty.indptr, full.indptr)
    same(empty.data, 0)
    read = conv.matrix(np.ones(conv.weight_shape)).toarray()  # how many taps meet in each entry
    assert full.nnz == np.count_nonzero(read)
    assert conv.triple_count == read.sum()


@given(convs(), st.sampled_from(["f4", "f8", "c16", "i1"]))
def test_the_cost_is_what_the_arrays_take(conv, dtype):
    w, cost = np.ones(conv.weight_shape, dtype), conv.cost(dtype)
    T = conv.matrix(w)
    assert (cost.nnz, cost.shape, cost.dtype) == (T.nnz, T.shape, T.dtype)
    for format in ("csr", "csc", "bsr"):
        matrix = conv.matrix(w, format, "channels_last")
        stored = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
        assert cost.bytes[format] == stored, format
    coo = conv.matrix(w, "coo")
    assert cost.bytes["coo"] == coo.data.nbytes + sum(axis.nbytes for axis in coo.coords)
    assert cost.bytes["dense"] == conv.matrix(w, "dense").nbytes


@given(convs(most_axes=4), seeds)
def test_the_triples_are_those_of_the_loops_and_add_up_to_the_matrix(conv, seed):
    listed = [
        [np.ravel_multi_index(at, shape) for at, shape in zip(triple, shapes, strict=True)]
        for shapes in [(conv.output_shape, conv.input_shape, conv.weight_shape)]
        for triple in loops.triples(conv.input_shape, conv.weight_shape, **keywords(conv))
    ]
    output, input, weight = triples = conv.triples()
    assert len(output) == conv.triple_count == len(listed)
    assert sorted(zip(*(column.tolist() for column in triples), strict=True)) == sorted(
        map(tuple, listed)
    )
    same(np.lexsort((weight, output)), np.arange(len(output)))
    w = integers_like(conv.weight_shape, seed)
    total = np.zeros((np.prod(conv.output_shape), np.prod(conv.input_shape)), int)
    np.add.at(total, (output, input), w.ravel()[weight])
    same(total, conv.matrix(w).toarray())


def reads(conv):
    """For each row (channel, tap, position) of E the flat input that it reads, -1 for none."""
    channels, taps, windows = conv.in_channels, conv.kernel_size, conv.output_shape[1:]
    table = np.full((channels, *taps, *windows), -1)
    height = conv.out_channels // conv.groups
    for o, i, k in loops.triples(conv.input_shape, conv.weight_shape, **keywords(conv)):
        if o[0] % height == 0:  # each group once
            table[i[0], *k[2:], *o[1:]] = np.ravel_multi_index(i, conv.input_shape)
    return table.ravel()


@given(convs(), seeds)
def test_each_row_of_E_is_the_one_input_that_it_reads(conv, seed):
    read, x = reads(conv), integers_like(conv.input_shape, seed)
    E = conv.unfolding()
    same(E.toarray(), read[:, None] == np.arange(x.size))
    same((E @ E.T).toarray(), (read[:, None] == read) & (read >= 0))
    counts = np.bincount(read[read >= 0], minlength=x.size)
    same((E.T @ E).toarray(), np.diag(counts))
    same(conv.fold(conv.patches(np.ones_like(x))).ravel(), counts)
    same(conv.patches(x).ravel(), np.where(read < 0, 0, x.ravel()[read]))


@given(convs(), seeds)
def test_the_weights_times_E_are_the_matrix(conv, seed):
    w = integers_like(conv.weight_shape, seed)
    blocks = w.reshape(conv.groups, conv.out_channels // conv.groups, -1)
    W = scipy.sparse.block_diag(blocks)
    positions = scipy.sparse.eye_array(np.prod(conv.output_shape[1:]), dtype=int)
    product = scipy.sparse.kron(W, positions) @ conv.unfolding(int)
    same(product.toarray(), conv.matrix(w).toarray())


@given(convs(), seeds, batches)
def test_folding_is_the_adjoint_of_taking_patches(conv, seed, batch):
    rows = conv.in_channels * np.prod(conv.kernel_size)
    shape = item(batch, (rows, np.prod(conv.output_shape[1:])))
    p, x = integers_like(shape, seed), integers_like(item(batch, conv.input_shape), seed)
    patches, folded = conv.patches(x), conv.fold(p)
    assert (patches.shape, folded.shape) == (p.shape, x.shape)
    assert np.vdot(p, patches) == np.vdot(folded, x)


def test_patches_that_do_not_overlap_fold_back_into_themselves():
    conv = toeplitz.Conv((2, 6, 6), (1, 2, 3, 2), stride=(3, 2))
    x = integers_like(conv.input_shape, 0)
    same(conv.fold(conv.patches(x)), x)


@given(convs())
def test_multiply_adds_are_windows_times_the_kernel(conv):
    assert conv.macs == np.prod(conv.output_shape) * np.prod(conv.weight_shape[1:])
    assert conv.weight_count == np.prod(conv.weight_shape)
    assert conv.parameters == conv.weight_count + conv.out_channels
    assert conv.triple_count <= conv.macs
    if conv.padding_mode != "zeros" and set(conv.input_dilation) == {1}:
        assert conv.triple_count == conv.macs


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layer_without_input_channels_gives_its_bias(format, layout):
    conv = toeplitz.Conv((0, 4), (2, 0, 3), padding=1)
    w, x = np.zeros(conv.weight_shape), np.zeros((3, 0, 4))
    assert conv.matrix(w, format, layout).shape == (8, 0)
    assert conv.cost().nnz == conv.triple_count == len(conv.triples().output) == 0
    same(conv.apply(x, w, [1, 2]), np.broadcast_to([[1], [2]], (3, 2, 4)))
    grads = conv.gradients(np.ones((3, 2, 4)), x, w)
    assert [grad.shape for grad in grads] == [x.shape, w.shape, (2,)]
    same(grads[2], [12, 12])


# Dtypes

DTYPES = ["f4", "f8", "c8", "c16", "i1", "i2", "i4", "i8", "u1"]
MERGING = toeplitz.Conv((2, 3, 2), (4, 1, 3, 2), (1, 2), 2, groups=2, padding_mode="replicate")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_values_keep_their_dtype(dtype):
    conv, dtype = MERGING, np.dtype(dtype)
    x = integers_like(conv.input_shape, 0) % 3
    w = integers_like(conv.weight_shape, 0) % 3
    y = loops.conv(x, w, **keywords(conv))
    x, w = x.astype(dtype), w.astype(dtype)
    for format in FORMATS:
        matrix = conv.matrix(w, format)
        assert matrix.dtype == dtype
        same(dense(matrix), conv.matrix(w.astype(complex)).toarray())
    assert conv.unfolded(x).dtype == conv.unfolding(dtype).dtype == dtype
    assert conv.operator(w).dtype == conv.operator(w).matvec(x.ravel()).dtype == dtype
    assert conv.patches(x).dtype == conv.fold(conv.patches(x)).dtype == dtype
    result = conv.apply(x, w)
    assert result.dtype == dtype
    same(result, y)
    small = (result > 0).astype(dtype)
    assert {grad.dtype for grad in conv.gradients(small, x, w)} == {dtype}
    affine = conv.linearize(x, w)
    assert affine.A.dtype == affine.b.dtype == dtype


@pytest.mark.parametrize(
    "x, w, b, result",
    [
        ("f4", "f8", None, "f8"),
        ("i2", "f4", None, "f4"),
        ("i8", "f4", None, "f8"),
        ("u1", "i1", None, "i2"),
        ("f4", "f4", "c8", "c8"),
        ("f2", "i1", "f2", "f2"),
        ("f2", "f4", "f2", "f4"),
    ],
)
def test_mixed_dtypes_give_the_common_one_of_numpy(x, w, b, result):
    conv = MERGING
    x, w = np.ones(conv.input_shape, x), np.ones(conv.weight_shape, w)
    b = None if b is None else np.ones(conv.out_channels, b)
    assert conv.apply(x, w, b).dtype == result


def test_the_gradient_of_a_real_array_is_real():
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    x, w = np.array([[1.0, 2, 4]]), np.array([[[3 + 1j, 5 - 2j]]])
    g = np.array([[1j, 10]])
    grad_x, grad_w, grad_b = conv.gradients(g, x, w)
    same(grad_x, [[1, 28, 50]])
    same(grad_w, [[[20 + 1j, 40 + 2j]]])
    same(grad_b, [10 + 1j])
    grad_x, grad_w, _ = conv.gradients(g, x, w.real)
    assert (grad_x.dtype, grad_w.dtype) == ("f8", "f8")


def half(name, need):
    return np.dtype(name if name == "float16" else getattr(need("ml_dtypes"), name))


# ml_dtypes comes with onnx: where the comparisons run, these run.
HALVES = ["float16", pytest.param("bfloat16", marks=pytest.mark.interop)]


@pytest.mark.parametrize("name", HALVES)
def test_halves_are_summed_in_float32_and_rounded_once(name, need):
    dtype = half(name, need)
    exact = 2 / float(np.finfo(np.float16).eps if name == "float16" else 2**-7)
    n = int(exact)  # from here on only every other integer is a number of this dtype
    conv = toeplitz.Conv((1, n + 1), (1, 1, n + 1))
    ones = np.ones((1, n + 1), dtype)
    assert dtype.type(n) + dtype.type(1) == n  # so a sum in the dtype itself would stop at n
    y = conv.apply(ones, ones[None], np.ones(1, dtype))
    assert y.dtype == dtype
    assert float(y[0, 0]) == n + 2  # n + 1 + 1: rounding before the bias would give n
    g = np.ones((n + 3, 1, 1), dtype)
    x = np.ones((n + 3, 1, n + 1), dtype)
    grad_x, grad_w, grad_b = conv.gradients(g, x, ones[None])
    assert {grad.dtype for grad in (grad_x, grad_w, grad_b)} == {dtype}
    assert float(grad_b[0]) == float(grad_w[0, 0, 0]) == float(np.float32(n + 3).astype(dtype))


@pytest.mark.parametrize("name", HALVES)
def test_halves_are_refused_by_the_matrices_with_the_repair(name, need):
    conv = toeplitz.Conv((1, 3), (1, 1, 2))
    w, x = np.ones(conv.weight_shape, half(name, need)), np.ones((1, 3), half(name, need))
    for argument, call in [
        ("w", lambda: conv.matrix(w)),
        ("w", lambda: conv.operator(w)),
        ("x", lambda: conv.unfolded(x)),
    ]:
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value) == (
            f"scipy.sparse holds no {name}: take {argument}.astype(np.float32), "
            f"or use apply, which sums in float32 and rounds once"
        )


# Inputs are read, never written to, however they lie in memory


@given(convs(), seeds, batches)
def test_arrays_may_be_read_only_and_lie_anyhow_in_memory(conv, seed, batch):
    shapes = item(batch, conv.input_shape), conv.weight_shape, item(batch, conv.output_shape)
    plain = [integers_like(shape, seed) for shape in shapes]
    odd = [np.asfortranarray(np.repeat(a, 2, axis=-1))[..., ::-2][..., ::-1] for a in plain]
    for array in odd:
        array.flags.writeable = False

    def everything(x, w, g):
        b = w.ravel()[:: w.size // conv.out_channels][: conv.out_channels]
        return (
            *(dense(conv.matrix(w, f, l)) for f in FORMATS for l in LAYOUTS),
            conv.unfolded(x).toarray(),
            conv.apply(x, w, b),
            *conv.gradients(g, x, w),
            conv.fold(conv.patches(x)),
            conv.operator(w) @ x.reshape(-1, np.prod(conv.input_shape)).T,
            conv.operator(w).rmatmat(g.reshape(-1, np.prod(conv.output_shape)).T),
            conv.linearize(x, w, b)(x),
        )

    for ours, theirs in zip(everything(*odd), everything(*plain), strict=True):
        same(ours, theirs)


def test_results_share_no_memory_with_the_arguments():
    conv = toeplitz.Conv((1, 1), (1, 1, 1))  # the smallest: here every copy could be forgotten
    x, w, g = np.ones((1, 1)), np.ones((1, 1, 1)), np.ones((1, 1))
    results = [
        conv.matrix(w, "dense"),
        *(conv.matrix(w, f, l).data for f in FORMATS[:4] for l in LAYOUTS),
        conv.unfolded(x).data,
        conv.apply(x, w),
        *conv.gradients(g, x, w),
        conv.patches(x),
        conv.fold(conv.patches(x)),
    ]
    for result in results:
        assert not any(np.shares_memory(result, array) for array in (x, w, g))


def test_the_operator_keeps_the_weights_it_was_given():
    conv = toeplitz.Conv((1, 2), (1, 1, 1))
    w = np.ones((1, 1, 1))
    operator = conv.operator(w)
    w[:] = 2
    same(operator @ np.ones(2), [1, 1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_stays_in_its_entries(mode, odd):
    conv = toeplitz.Conv((1, 3), (1, 1, 3), padding=2, padding_mode=mode)
    T = conv.matrix([[[1, odd, 4]]])
    same(~np.isfinite(T.toarray()), conv.matrix([[[0, 1, 0]]]).toarray() > 0)


def test_a_weight_that_reads_only_padding_adds_nothing_even_if_infinite():
    conv = toeplitz.Conv((1, 1), (1, 1, 2), padding=((1, 0),))
    w = np.array([[[np.inf, 2.0]]])
    same(conv.apply([[3]], w), [[6]])
    same(conv.operator(w) @ np.array([3.0]), [6])


@given(convs(), seeds, st.sampled_from([1, 3, 7]))
def test_work_done_in_blocks_gives_the_same(conv, seed, size):
    x, g = (integers_like((5, *s), seed) for s in (conv.input_shape, conv.output_shape))
    w = integers_like(conv.weight_shape, seed)

    def everything():
        return (
            *(dense(conv.matrix(w, f, l)) for f in FORMATS for l in LAYOUTS),
            conv.unfolded(x).toarray(),
            *conv.gradients(g, x, w),
            conv.operator(w) @ x.reshape(5, -1).T,
            conv.operator(w).rmatmat(g.reshape(5, -1).T),
        )

    whole = everything()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toeplitz.conv.UNFOLDED", size)  # entries held at a time, in each room
        patch.setattr("toeplitz.operators.taps.BLOCK", size)
        patch.setattr("toeplitz.matrices.KEPT", 0)  # nor what was kept
        patch.setattr("toeplitz.pieces.WHOLE", size)
        patch.setattr("toeplitz.pieces.BLOCK", size)
        patch.setattr("toeplitz.pieces.SHORT", size)
        patch.setattr("toeplitz.pieces.FEW", 2)
        patch.setattr("toeplitz.writing.STRIP", size)
        patch.setattr("toeplitz.writing.TASK", size)
        patch.setattr("toeplitz.writing.THREADED", 40)
        in_blocks = everything()
    for ours, theirs in zip(in_blocks, whole, strict=True):
        same(ours, theirs)
