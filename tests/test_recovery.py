"""What an implementation really applies: its matrix, its weights, and what it is told instead."""

import warnings
from math import prod

import numpy as np
import pytest
from corpus import BROKEN, RIGHT
from geometries import integers_like, seeds
from hypothesis import given, settings

import verify
from toeplitz import Conv, ConvTranspose, Linear
from verify import colours, recovery
from verify.ops import OPS
from verify.strategies import Space, cases

ENTRIES = {entry.name: entry for entry in (*BROKEN, *RIGHT)}
CONV = Conv((1, 4), (1, 1, 2))
FEWER = settings().max_examples // 5  # each recovery is dozens of calls


class Counted:
    """An implementation that counts its calls and the items that it gets."""

    def __init__(self, f):
        self.f = f
        self.calls = self.items = 0

    def __call__(self, x, w, **arguments):
        self.calls += 1
        self.items += len(x)
        return self.f(x, w, **arguments)


def right(layer):
    """The layer itself as an implementation."""
    return Counted(lambda x, w, **arguments: layer.apply(x, w))


def numbered(layer):
    return np.arange(1.0, 1 + prod(layer.weight_shape)).reshape(layer.weight_shape)


def same(one, two):
    return one.shape == two.shape and abs(one - two).count_nonzero() == 0


@pytest.mark.parametrize(
    "op", [name for name, op in OPS.items() if op.weighted and not op.depthwise]
)
def test_a_right_implementation_applies_the_layers_matrix(op):
    @settings(max_examples=FEWER)
    @given(cases(Space(OPS[op])), seeds)
    def recovers(case, seed):
        layer = case.layer
        assert same(verify.recover(right(layer), layer), layer.matrix(numbered(layer)))
        w = integers_like(layer.weight_shape, seed).astype(float)
        assert same(verify.recover(right(layer), layer, w), layer.matrix(w))
        w = w / 7  # products with ones and zeros do not round
        assert same(verify.recover(right(layer), layer, w), layer.matrix(w))

    recovers()


@pytest.mark.parametrize("op", [name for name, op in OPS.items() if op.weighted and op.ndim < 3])
def test_a_right_implementation_reads_the_layers_triples(op):
    @settings(max_examples=FEWER)
    @given(cases(Space(OPS[op])), seeds)
    def recovers(case, seed):
        layer = case.layer
        found = verify.recover_triples(right(layer), layer)
        assert not list(found.departures())
        assert (found.times == 1).all()
        w = integers_like(layer.weight_shape, seed)
        assert same(found.matrix(w), layer.matrix(w))
        if isinstance(layer, Conv):
            columns = zip(found.output, found.input, found.weight, strict=True)
            assert sorted(columns) == sorted(zip(*layer.triples(), strict=True))

    recovers()


LARGE = [
    Conv((8, 64, 64), (8, 8, 3, 3), padding=1),
    Conv((3, 90, 71), (4, 3, 5, 3), (3, 2), ((1, 2), (3, 0)), (1, 2), padding_mode="circular"),
    Conv((4, 50, 61), (4, 2, 3, 2), padding=((2, 1), (0, 1)), groups=2, padding_mode="reflect"),
    Conv((2, 3001), (3, 2, 4), 2, ((5, 2),), 3, padding_mode="replicate"),
    Conv((1, 14, 15, 16), (2, 1, 2, 3, 1), (1, 2, 3), (0, 1, 2), (2, 1, 1)),
    ConvTranspose((4, 40, 31), (4, 3, 5, 3), (2, 3), 1, 1, (2, 1)),
]


@pytest.mark.parametrize("layer", LARGE, ids=repr)
def test_a_large_layer_takes_few_calls(layer):
    f = right(layer)
    assert same(verify.recover(f, layer), layer.matrix(numbered(layer)))
    assert f.calls <= 12
    assert f.items < prod(layer.input_shape) / 10


def test_impulses_of_one_colour_lie_apart_around_the_ends_too():
    for size, least in ((7, 3), (12, 4), (5, 9), (100, 7)):
        colouring = colours.coloured((size,), (least,))
        assert sorted(colouring.order) == list(range(size))
        for colour in range(colouring.count):
            places = np.sort(colouring.members(colour))
            gaps = np.diff([*places, places[0] + size])
            assert len(places) == 1 or gaps.min() >= least


def everywhere(x, w, **arguments):
    """Reads the whole input in its first output, and only there."""
    y = CONV_LONG.apply(x, w)
    y[:, 0, 0] += w.ravel()[0] * x.sum(axis=(1, 2))
    return y


CONV_LONG = Conv((1, 2500), (1, 1, 2))


def test_what_reads_further_than_the_kernel_is_recovered_one_impulse_at_a_time():
    f = Counted(everywhere)
    matrix = verify.recover(f, CONV_LONG).tolil()
    assert (matrix[0].toarray() == 1 + np.eye(1, 2500) + 2 * np.eye(1, 2500, 1)).all()
    matrix[0] = CONV_LONG.matrix(numbered(CONV_LONG)).tolil()[0]
    assert same(matrix.tocsr(), CONV_LONG.matrix(numbered(CONV_LONG)))
    assert f.items >= 2500


def test_what_would_take_too_many_impulses_is_refused(monkeypatch):
    monkeypatch.setattr(recovery, "LIMIT", 10**6)
    refuses(
        lambda: verify.recover(everywhere, CONV_LONG),
        ValueError,
        "f reads further than the kernel reaches, and one impulse at a time takes 2500 outputs of "
        "2499 values: take a smaller input_shape",
    )


def test_what_mixes_the_items_of_a_batch_is_asked_for_one_at_a_time():
    def last_item(x, w):
        return np.repeat(CONV.apply(x[-1:], w), len(x), axis=0)

    assert same(verify.recover(last_item, CONV), CONV.matrix(numbered(CONV)))


def test_rounding_of_a_fast_algorithm_is_none_of_the_matrix():
    layer = Conv((2, 9, 6), (3, 2, 3, 3), padding=1)
    for name in ("fft", "winograd_2x2_3x3", "winograd_4x4_3x3"):
        f = ENTRIES[name].forward
        assert same(verify.recover(f, layer), layer.matrix(numbered(layer)))
        assert not list(verify.recover_triples(f, layer).departures())
        w = np.random.default_rng(0).normal(size=layer.weight_shape)
        found, expected = verify.recover(f, layer, w), layer.matrix(w)
        assert found.nnz == expected.nnz
        # Its probes hold f to its derived bound; here all digits but the last few.
        assert abs(found - expected).max() < 2**-40


def test_weights_may_be_complex_or_in_float32():
    w = np.array([[[1 + 2j, 3 - 1j]]])
    assert same(verify.recover(right(CONV), CONV, w), CONV.matrix(w))
    w = np.array([[[1.5, 3]]], np.float32)

    def same_dtypes(x, w):
        assert x.dtype == w.dtype == np.float32
        return CONV.apply(x, w)

    assert same(verify.recover(same_dtypes, CONV, w), CONV.matrix(w))


WRONG = {
    "convolves_like_a_mathematician": Conv((2, 7, 6), (4, 1, 3, 2), (2, 1), (1, 0), 1, 2),
    "strides_from_the_last_axis": Conv((2, 4, 5, 6), (3, 2, 1, 2, 2), (1, 2, 3)),
    "kernel_lies_on_its_side": Conv((2, 7, 9), (3, 2, 3, 2)),
    "pads_width_by_height": Conv((1, 5, 6), (1, 1, 3, 2), (1, 2), (1, 2)),
    "forgets_that_minus_one_is_last": None,
    "fft_too_short": None,
    "wraps_one_too_many": Conv((2, 5), (3, 2, 3), padding=((1, 2),), padding_mode="circular"),
    "mirror_between_the_cells": Conv((1, 5), (1, 1, 3), padding=((1, 2),), padding_mode="reflect"),
    "knows_no_groups": None,
    "deals_channels_like_cards": None,
}
PLAIN = {
    "conv1d": Conv((4, 8), (6, 2, 3), 2, 1, 1, 2),
    "conv2d": Conv((4, 8, 7), (6, 2, 3, 2), (2, 1), (1, 2), (1, 2), 2),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_matrix_of_a_broken_implementation_is_what_it_does(name):
    entry = ENTRIES[name]
    layer = WRONG[name] or PLAIN[entry.op]
    arguments = OPS[entry.op].arguments(layer, full=True)
    found = verify.recover(entry.forward, layer)
    triples = verify.recover_triples(entry.forward, layer)
    assert not same(found, layer.matrix(numbered(layer)))
    assert list(triples.departures())
    for seed in range(3):
        x = integers_like((1, *layer.input_shape), seed).astype(float)
        y = np.rint(entry.forward(x, numbered(layer), **arguments)).ravel()
        assert np.array_equal(found @ x.ravel(), y)
        w = integers_like(layer.weight_shape, seed).astype(float)
        y = np.rint(entry.forward(x, w, **arguments)).ravel()
        assert np.array_equal(triples.matrix(w) @ x.ravel(), y)


def test_sums_of_weights_are_told_with_their_times():
    ring = Conv((1, 2), (1, 1, 3), padding=1, padding_mode="circular")
    found = verify.recover_triples(right(ring), ring)
    assert len(found.output) == 6
    assert str(found) == f"f reads what {ring!r} reads"

    def half(x, w, **arguments):
        return ring.apply(x, w) - ring.apply(x, w * np.array([0, 0.5, 0]))

    assert str(verify.recover_triples(half, ring)).splitlines() == [
        f"f does not read what {ring!r} reads",
        "  y[0, 0] reads x[0, 0] through 0.5 w[0, 0, 1], should be w[0, 0, 1]",
        "  y[0, 1] reads x[0, 1] through 0.5 w[0, 0, 1], should be w[0, 0, 1]",
    ]


def test_what_is_read_too_much_and_too_little_is_told():
    def no_last_tap(x, w):
        return CONV.apply(x, w * np.array([1.0, 0]))

    told = list(verify.recover_triples(no_last_tap, CONV).departures())
    assert told[0] == "y[0, 0] does not read x[0, 1], should read it through w[0, 0, 1]"

    def adds_the_first(x, w):
        return CONV.apply(x, w) + x[:, :, :1] * w[0, 0, 0]

    told = list(verify.recover_triples(adds_the_first, CONV).departures())
    assert told == [
        "y[0, 0] reads x[0, 0] through 2 w[0, 0, 0], should be w[0, 0, 0]",
        "y[0, 1] reads x[0, 0] through w[0, 0, 0], should not",
        "y[0, 2] reads x[0, 0] through w[0, 0, 0], should not",
    ]

    def one_output_less(x, w):
        return CONV.apply(x, w)[:, :, :-1]

    told = list(verify.recover_triples(one_output_less, CONV).departures())
    assert told == ["y has shape (1, 2) for one item, should be (1, 3)"]


def test_only_the_first_departures_are_printed():
    layer = Conv((1, 12), (1, 1, 2))
    found = verify.recover_triples(lambda x, w: layer.apply(x, w[:, :, ::-1]), layer)
    lines = str(found).splitlines()
    assert len(lines) == 10
    assert lines[-1] == "  …"


def refuses(call, kind, sentence):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == sentence


def raises(error):
    def f(x, w):
        raise error

    return f


def with_bias(x, w):
    return CONV.apply(x, w) + 1


def rectified(x, w):
    return np.maximum(CONV.apply(x, w), 0)


def not_a_number(x, w):
    y = CONV.apply(x, w)
    y[..., 1] = np.nan
    return y


def grows(x, w):
    return np.zeros((len(x), 1, 3 if x.any() else 4))


CALLS = iter(range(1, 1000))


def counts(x, w):
    return CONV.apply(x, w) * next(CALLS)


ANSWERS = "f must return one numpy array, got "
REFUSED = [
    (lambda x, w: None, ANSWERS + "NoneType"),
    (lambda x, w: [CONV.apply(x, w)], ANSWERS + "a list of ndarray"),
    (lambda x, w: (CONV.apply(x, w), w), ANSWERS + "a tuple of 2"),
    (lambda x, w: np.full((1, 1, 3), None), ANSWERS + "an array of Python objects"),
    (lambda x, w: np.full((1, 1, 3), "a"), "f must return numbers, got an array of <U1"),
    (lambda x, w: CONV.apply(x, w)[0][:0], "f must return 1 items for 1, got shape (0, 3)"),
    (lambda x, w: np.array(3.0), "f must return 1 items for 1, got shape ()"),
    (grows, "f must return items of one shape, got (1, 3) and then (1, 4)"),
    (not_a_number, "f must return finite numbers, got y[0, 0, 1] = nan"),
    (raises(KeyError("pad")), "f raised KeyError: 'pad'"),
    (raises(NotImplementedError("later")), "f raised NotImplementedError: later"),
    (raises(NotImplementedError()), "f raised NotImplementedError"),
    (raises(SystemExit(3)), "f exited with status 3"),
    (with_bias, "f is not linear in x: f(0) must be 0, got y[0, 0, 0] = 1.0"),
    (
        rectified,
        "f is not linear in x: f(x + x') must be f(x) + f(x'), got y[0, 0, 0] = 0.0, "
        "should be 1250.0",
    ),
    (
        counts,
        "f must give the same for the same call, got y[0, 0, 0] = 1250.0 and then 6250.0",
    ),
]


@pytest.mark.parametrize(("f", "sentence"), REFUSED)
@pytest.mark.parametrize("call", [verify.recover, verify.recover_triples])
def test_what_does_not_answer_is_told_what_it_did(f, sentence, call):
    if call is verify.recover or f not in (counts, rectified):  # their numbers follow from w
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refuses(lambda: call(f, CONV), ValueError, sentence)


def test_what_is_not_linear_in_w_is_refused():
    refuses(
        lambda: verify.recover_triples(lambda x, w: CONV.apply(x, w + 1), CONV),
        ValueError,
        "f is not linear in w: f(x, 0) must be 0, got y[0, 0, 0] = 1.0",
    )
    refuses(
        lambda: verify.recover_triples(lambda x, w: CONV.apply(x, abs(w)), CONV),
        ValueError,
        "f is not linear in w: f(x, w + w') must be f(x, w) + f(x, w'), got y[0, 0, 0] = -1883.0, "
        "should be -1235.0",
    )


W_SHAPE = "w must have the weight shape (1, 1, 2), got (1, 2)"
ARGUMENTS = [
    ((CONV, np.ones((1, 2))), ValueError, W_SHAPE),
    (
        (CONV, np.full(CONV.weight_shape, "a")),
        TypeError,
        "w must hold numbers, got an array of <U1",
    ),
    ((CONV, np.full(CONV.weight_shape, np.inf)), ValueError, "w must be finite"),
    (("conv",), TypeError, "conv must be a Conv, a ConvTranspose or a Linear, got 'conv'"),
    (
        (Conv((1, 2, 2, 2, 2), (1, 1, 1, 1, 1, 1)),),
        ValueError,
        "conv must have 1, 2 or 3 spatial axes to be called, got 4",
    ),
    (
        (ConvTranspose((1, 3), (1, 1, 3), padding=((1, 0),)),),
        ValueError,
        "a transposed convolution is called with one padding for each axis, got ((1, 0),)",
    ),
    (
        (Conv((1, 3), (1, 1, 3), input_dilation=2),),
        ValueError,
        "no call has an input_dilation, got (2,)",
    ),
]


@pytest.mark.parametrize(("arguments", "kind", "sentence"), ARGUMENTS)
def test_a_wrong_argument_is_refused(arguments, kind, sentence):
    refuses(lambda: verify.recover(right(CONV), *arguments), kind, sentence)


def test_f_must_be_callable():
    refuses(lambda: verify.recover(3, CONV), TypeError, "f must be callable, got 3")


def test_the_weights_of_a_recovered_matrix_must_fit():
    found = verify.recover_triples(right(CONV), CONV)
    refuses(lambda: found.matrix(np.ones((1, 2))), ValueError, W_SHAPE)


def test_a_linear_layer_without_inputs_has_an_empty_matrix():
    assert verify.recover(right(Linear(0, 2)), Linear(0, 2)).shape == (2, 0)


# diagnose: the given geometry first.

GIVEN = Conv((4, 9, 7), (6, 2, 3, 2), (2, 1), (1, 2), groups=2)
NAMES = {
    "convolves_like_a_mathematician": ("kernel flipped", GIVEN),
    "one_stride_is_enough": ("height stride used for both axes", GIVEN),
    "pads_width_by_height": ("padding of height and width swapped", GIVEN),
    "deals_channels_like_cards": ("groups interleaved", GIVEN),
    "wraps_one_too_many": (
        "circular padding off by one",
        Conv((2, 7), (3, 2, 3), padding=((1, 2),), padding_mode="circular"),
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_named_and_told_on_the_given_geometry(name):
    mistake, layer = NAMES[name]
    report = verify.diagnose(ENTRIES[name].forward, layer, max_examples=60)
    found = report.findings[0]
    assert (found.name, found.case.layer) == (mistake, layer)
    assert report.notes[0].startswith(f"wrong on {layer!r}, in ")


def test_what_is_right_on_the_given_geometry_and_wrong_near_it_is_told():
    layer = Conv((4, 9, 7), (6, 4, 3, 2), stride=2)
    report = verify.diagnose(ENTRIES["one_stride_is_enough"].forward, layer, max_examples=60)
    assert report.findings[0].name == "height stride used for both axes"
    assert report.notes[0] == f"right on {layer!r}, in all 8 calls"
    others, wrong = (int(word) for word in report.notes[1].split() if word.isdigit())
    assert 0 < wrong <= others
    assert report.notes[1] == f"{others} geometries like it, {wrong} of them wrong"
    assert f"  note        {report.notes[0]}" in str(report).splitlines()


@pytest.mark.parametrize("name", ["fft", "winograd_2x2_3x3", "without_groups"])
def test_a_right_implementation_is_acquitted_near_a_geometry(name):
    report = verify.diagnose(ENTRIES[name].forward, GIVEN, max_examples=60)
    assert report.ok, str(report)
    right_there = f"right on {GIVEN!r}, in all 8 calls"
    no_answer = f"no answer on {GIVEN!r}"
    assert report.notes[0] == (right_there if name == "fft" else no_answer)
    assert report.notes[1].endswith(" geometries like it, none of them wrong")


def test_only_what_the_geometry_has_is_drawn():
    asked = []

    def f(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        asked.append((stride, padding, dilation, groups))
        raise NotImplementedError

    verify.diagnose(f, Conv((2, 5, 6), (3, 2, 2, 3), padding=1), max_examples=60)
    strides, paddings, dilations, groups = ({*map(str, one)} for one in zip(*asked, strict=True))
    assert strides == dilations == {"1", "(1, 1)"}
    assert groups == {"1"}
    assert len(paddings) > 4
