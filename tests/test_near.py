"""Runs near one geometry: which cases are asked, in what order mistakes are told, what is noted."""

from dataclasses import replace

import numpy as np
import pytest

import verify
from toeplitz import Conv, ConvTranspose, Linear
from verify.campaign import Campaign
from verify.case import Case
from verify.near import Near
from verify.ops import OPS
from verify.report import Finding
from verify.suspect import Callables
from verify.violation import Violation

OP = OPS["conv1d"]


def near(layer, f=None, dtypes=None):
    run = Near(Callables(f or (lambda x, w, **k: None)), layer, "auto", 3, dtypes)
    assert (run.seed, run.algorithm, run.given) == (3, "auto", layer)
    return run


def test_the_given_geometry_is_asked_in_eight_ways(monkeypatch):
    layer = Conv((2, 5, 6), (3, 2, 2, 3), padding=1)
    run = near(layer, lambda x, w, b=None, stride=1, padding=0, dilation=1, groups=1: None)
    monkeypatch.setattr(Campaign, "drawn", lambda run, count: iter([count]))
    for count, others in ((0, 0), (8, 0), (9, 1), (20, 12)):
        *there, rest = run.drawn(count)
        assert rest == others
    assert all(one.layer == layer and one.dtype == "float64" for one in there)
    assert all(one.op == OPS["conv2d"] for one in there)
    assert [(one.seed, one.bias, one.batch, one.full) for one in there] == [
        (seed, bias, batch, seed == 1)
        for seed in (0, 1) for bias in (False, True) for batch in (1, 2)
    ]  # fmt: skip


def test_no_bias_is_asked_of_who_takes_none_and_large_layers_are_asked_twice():
    plain = list(near(Conv((1, 5), (1, 1, 2)), lambda x, w: None)._there())
    assert [(one.seed, one.bias, one.batch) for one in plain] == [
        (0, False, 1), (0, False, 2), (1, False, 1), (1, False, 2),
    ]  # fmt: skip

    def full(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        return None

    for cells, calls in ((1 << 16, 8), ((1 << 16) + 1, 2)):  # 2**8 multiply-adds each
        layer = Conv((16, cells), (16, 16, 1))
        there = list(near(layer, full)._there())
        assert len(there) == calls
        assert [one.batch for one in there[:2]] == [1, 2]
    linear = list(near(Linear(3, 2), lambda x, w, b=None: None)._there())
    assert not any(one.full for one in linear)
    assert len(linear) == 8


def test_the_dtype_of_the_given_geometry_is_float64_if_it_may_be():
    layer = Conv((1, 5), (1, 1, 2))
    for dtypes, told in (
        (("float32", "float64"), "float64"),
        (("float32", "int8"), "float32"),
        (("int8", "float32"), "int8"),
    ):
        assert {one.dtype for one in near(layer, dtypes=dtypes)._there()} == {told}


@pytest.mark.parametrize(
    ("layer", "op", "only"),
    [
        (Conv((2, 9), (2, 2, 3)), "conv1d", {"stride", "dilation", "groups", "padding"}),
        (Conv((2, 9), (2, 2, 3), stride=2), "conv1d", {"dilation", "groups", "padding"}),
        (Conv((2, 9), (2, 1, 3), groups=2), "conv1d", {"stride", "dilation", "padding"}),
        (
            Conv((2, 9), (2, 2, 3), padding=((0, 1),)),
            "padded_conv1d",
            {"stride", "dilation", "groups"},
        ),
        (Conv((2, 9, 9), (2, 2, 3, 3), dilation=(1, 2)), "conv2d", {"stride", "groups", "padding"}),
        (
            ConvTranspose((2, 9), (2, 2, 3), stride=2),
            "conv_transpose1d",
            {"dilation", "groups", "padding", "output_padding"},
        ),
        (
            ConvTranspose((2, 9), (2, 2, 3), stride=2, output_padding=1, padding=1),
            "conv_transpose1d",
            {"dilation", "groups"},
        ),
    ],
)
def test_what_the_geometry_leaves_at_its_default_is_not_drawn(layer, op, only):
    run = near(layer, lambda x, w, b=None, **k: None)
    assert run.space.op.name == op
    defaults = {"stride": (1,), "dilation": (1,), "groups": (1,), "padding": (0,)}
    defaults["output_padding"] = (0,)
    assert run.space.allowed == {name: defaults[name] for name in only}


def test_modes_and_names_of_padding_are_those_of_the_geometry():
    ring = Conv((1, 6), (1, 1, 3), padding=1, padding_mode="circular")
    like = near(ring, lambda x, w, b=None, **k: None).space.predicate
    op = OPS["padded_conv1d"]

    def of(mode, **more):
        return Case(op, Conv((1, 6), (1, 1, 3), padding=1, padding_mode=mode), **more)

    assert like(of("circular"))
    assert like(of("zeros"))
    assert not like(of("reflect"))
    assert not like(of("circular", padding="same"))
    plain = near(Conv((1, 6), (1, 1, 3), padding=1), lambda x, w, b=None, **k: None)
    assert not plain.space.predicate(of("circular"))
    assert plain.space.predicate(Case(OP, Conv((1, 6), (1, 1, 3), padding=1)))
    up = ConvTranspose((1, 4), (1, 1, 2))  # which has no modes
    like = near(up, lambda x, w, b=None, **k: None).space.predicate
    assert like(Case(OPS["conv_transpose1d"], up))


def test_the_notes_tell_the_given_geometry_and_those_like_it():
    layer, one, two = (Conv((1, cells), (1, 1, 2)) for cells in (5, 6, 7))
    run = near(layer)
    like = " geometries like it, "
    for calls, notes in (
        ([], [f"no answer on {layer!r}", f"0{like}none of them wrong"]),
        (
            [(layer, True), (layer, False), (one, False), (one, True), (two, False)],
            [f"wrong on {layer!r}, in 1 of 2 calls", f"2{like}1 of them wrong"],
        ),
        (
            [(layer, False), (layer, False), (one, True), (one, True), (two, True)],
            [f"right on {layer!r}, in all 2 calls", f"2{like}2 of them wrong"],
        ),
    ):
        run.calls = calls
        assert list(run._notes()) == notes


def test_each_geometry_that_answers_is_noted_with_what_came_of_it():
    def f(x, w):
        if x.shape[2] == 7:
            raise NotImplementedError
        y = Conv(x.shape[1:], w.shape).apply(x, w)
        return y + (x.shape[2] == 6)

    layers = [Conv((1, cells), (1, 1, 2)) for cells in (5, 6, 7)]
    run = near(layers[0], f)
    for one in layers:
        run._judge(Case(OP, one))
    assert run.calls == [(layers[0], False), (layers[1], True)]


# What is told


def reported(monkeypatch, layers):
    """Runs of the judge that find one mistake on each layer, and what they were asked."""
    asked = []

    def run(self, *arguments):
        asked.append((self, *arguments))
        found = (Finding(Violation("CV101", Case(OP, layer)), "f") for layer in layers)
        return replace(right, findings=tuple(found), notes=("halves are rounded",))

    plain = Near(Callables(lambda x, w: Conv(x.shape[1:], w.shape).apply(x, w)), layers[0], "auto",
                 0, ("float64",))  # fmt: skip
    monkeypatch.setattr(Campaign, "drawn", lambda self, count: iter([]))
    right = Campaign.run(plain, 20, None, lambda violation: "")
    monkeypatch.setattr(Campaign, "run", run)
    return asked


SMALL, GIVEN, LARGE = (Conv((1, cells), (1, 1, 2)) for cells in (4, 5, 6))


def test_what_is_wrong_on_the_given_geometry_is_told_first(monkeypatch):
    asked = reported(monkeypatch, [SMALL, GIVEN, LARGE, GIVEN])
    run = near(GIVEN)
    run.calls = [(GIVEN, True), (SMALL, True)]

    def replay(violation):
        raise AssertionError("nothing is kept here")

    report = run.run(30, 1.5, replay, print)
    assert asked == [(run, 30, 1.5, replay, print)]
    assert [found.case.layer for found in report.findings] == [GIVEN, GIVEN, SMALL, LARGE]
    assert report.notes == (
        f"wrong on {GIVEN!r}, in 1 of 1 calls",
        "1 geometries like it, 1 of them wrong",
        "halves are rounded",
    )
    assert (report.suspect, report.op) == ("<lambda>", "conv1d")
    run.run(30, None, replay)
    *_, tell = asked[-1]
    assert tell("so far") is None


def test_a_diagnosis_starts_from_the_geometry(monkeypatch):
    asked = reported(monkeypatch, [GIVEN])

    def f(x, w):
        return None

    def backward(g, x, w):
        return g, x, w

    assert verify.diagnose(f, GIVEN).findings[0].case.layer == GIVEN
    options = {"algorithm": "fft", "seed": 7, "max_examples": 40, "dtypes": ("int8",)}
    verify.diagnose(f, GIVEN, backward=backward, time=2.5, **options)
    (first, *plain), (second, *given) = asked
    assert plain[:2] == [500, None]
    assert given[:2] == [40, 2.5]
    for run, algorithm, seed, dtypes in (
        (first, "auto", 0, ("float64", "float32")),
        (second, "fft", 7, ("int8",)),
    ):
        assert isinstance(run, Near)
        assert run.given is GIVEN
        assert (run.algorithm, run.seed, run.drawing.dtypes) == (algorithm, seed, dtypes)
        assert run.suspect.name == "f"
        assert run.suspect.has_backward is (run is second)
    for _, _, replay, _ in (plain, given):
        assert replay(Violation("CV101", Case(OP, GIVEN))) == ""  # nothing is kept
    one = Case(OP, GIVEN)
    assert np.array_equal(second.suspect.backward(one).value[0], one.arrays.g)
