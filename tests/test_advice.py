"""What a layer costs on a machine: rates kept and read, times from them, and the words."""

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from toeplitz import Conv, ConvTranspose, advice, machine, memory
from toeplitz.machine import EXAMPLE, Rates
from toeplitz.operators import blocks, size, structured

WIDE = Conv((64, 56, 56), (64, 64, 3, 3), padding=1)
SMALL = Conv((1, 8, 8), (1, 1, 3, 3))
FULL = Conv((1, 8, 8), (4, 1, 8, 8))
LARGE = Conv((3, 1000, 1000), (10, 3, 5, 5), padding=2)
NOTHING = Rates(*[0.0] * 9)


@pytest.fixture(autouse=True)
def fixed(monkeypatch, tmp_path):
    """Two threads, numba, 1 GB of memory, and a cache folder of our own that is not there yet."""
    monkeypatch.setenv("TOEPLITZ_NUM_THREADS", "2")
    monkeypatch.setattr(advice, "loops", lambda _: True)
    monkeypatch.setattr(memory, "available", lambda *_: 10**9)
    monkeypatch.setenv("TOEPLITZ_CACHE_DIR", str(tmp_path / "cache"))
    machine.rates.cache_clear()
    yield tmp_path / "cache"
    machine.rates.cache_clear()


@pytest.fixture
def calibrations(monkeypatch):
    """A list that grows with each calibration, which takes no time and gives EXAMPLE."""
    done = []

    def measured():
        done.append(None)
        return EXAMPLE

    monkeypatch.setattr(machine, "measured", measured)
    return done


def again():
    """The rates as another process would get them."""
    machine.rates.cache_clear()
    return machine.rates()


def test_rates_are_measured_once_and_kept_in_one_file(fixed, calibrations):
    assert again() == again() == EXAMPLE
    assert len(calibrations) == 1
    (file,) = fixed.iterdir()
    kept = json.loads(file.read_text())
    assert kept["seconds"] == asdict(EXAMPLE)
    assert kept["machine"][1:3] == ["2 threads", f"numpy {np.__version__}"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: "",
        lambda kept: "[]",
        lambda kept: "[" * 10**6,
        lambda kept: json.dumps(kept | {"machine": "another"}),
        lambda kept: json.dumps(kept | {"seconds": None}),
        lambda kept: json.dumps(kept | {"seconds": kept["seconds"] | {"csr": "fast"}}),
        lambda kept: json.dumps(kept | {"seconds": kept["seconds"] | {"csr": -1}}),
        lambda kept: json.dumps(kept | {"seconds": kept["seconds"] | {"csr": math.nan}}),
        lambda kept: json.dumps(kept | {"seconds": {"csr": 1e-9}}),
    ],
)
def test_a_damaged_file_is_written_anew(fixed, calibrations, damage):
    machine.rates()
    (file,) = fixed.iterdir()
    right = file.read_text()
    file.write_text(damage(json.loads(right)))
    assert again() == EXAMPLE
    assert len(calibrations) == 2
    assert file.read_text() == right
    assert list(fixed.iterdir()) == [file]


def test_a_file_that_is_no_text_is_written_anew(fixed, calibrations):
    machine.rates()
    (file,) = fixed.iterdir()
    file.write_bytes(b"\xff\xfe\x00")
    assert (again(), len(calibrations)) == (EXAMPLE, 2)


def test_another_number_of_threads_is_another_machine(fixed, calibrations, monkeypatch):
    machine.rates()
    monkeypatch.setenv("TOEPLITZ_NUM_THREADS", "3")
    assert (again(), len(calibrations)) == (EXAMPLE, 2)
    assert len(list(fixed.iterdir())) == 2


def test_where_nothing_can_be_written_nothing_is_kept(fixed, calibrations, monkeypatch):
    fixed.write_text("a file where the folder should be")
    assert (again(), again(), len(calibrations)) == (EXAMPLE, EXAMPLE, 2)
    fixed.unlink()

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    assert again() == EXAMPLE
    assert list(fixed.iterdir()) == []


def test_the_folder_is_the_users_cache(monkeypatch):
    monkeypatch.delenv("TOEPLITZ_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.abspath("/somewhere"))
    assert machine.folder() == Path(os.path.abspath("/somewhere")) / "conv-toeplitz"
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        for system, place in (
            ("linux", ".cache"), ("darwin", "Library/Caches"), ("win32", "AppData/Local")
        ):  # fmt: skip
            monkeypatch.setattr(machine.sys, "platform", system)
            assert machine.folder() == Path.home() / place / "conv-toeplitz"
    monkeypatch.setenv("LOCALAPPDATA", "C:local")
    assert machine.folder() == Path("C:local") / "conv-toeplitz"


def test_without_a_home_nothing_is_kept(monkeypatch, calibrations):
    def fails():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TOEPLITZ_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(machine.Path, "home", fails)
    assert machine.folder() is None
    assert again() == EXAMPLE


def test_measured_rates_are_seconds():
    rates = machine.measured()
    assert all(0 < value < 1 for value in asdict(rates).values())


def test_the_bytes_are_told_without_measuring_or_writing_anything(fixed):
    code = (
        "import sys, toeplitz; print(toeplitz.Conv((1, 8), (1, 1, 3)).cost());"
        "print([n for n in ('toeplitz.machine', 'scipy.linalg') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert not fixed.exists()


def columns(batch):
    """Columns of a product with 32 that take as long in CSR: to read an entry takes 6 more."""
    return (6 + batch) * 32 / 38


# One step at a time takes a second, all others none: the times, to build and for a product, are
# numbers of steps. The layer: 8 x 16, of which 16 are stored in 4 blocks, times 4 columns.
STEPS = {
    "call": {"csr": (0, 1), "bsr": (0, 1), "dense": (0, 1)},
    "start": {"csr": (1, 0), "bsr": (1, 0), "dense": (1, 0), "operator": (0, 1)},
    "item": {"operator": (0, 4)},
    "byte": {"csr": (0, 164), "bsr": (0, 100), "dense": (2 * 512, 512)},
    "written": {"csr": (164, 0), "bsr": (100, 0), "dense": (164, 0)},
    "csr": {"csr": (0, 16 * columns(4))},
    "block": {"bsr": (0, 2.5 * 16 * 4)},  # two channels: to start a sum takes 3 terms more
    "multiply": {"dense": (0, 8 * 16 * 4)},
    "number": {},
}


for expected in STEPS.values():
    if "csr" in expected:
        expected["product"] = expected["csr"]  # of so few entries it is the plain one


def times(cost, batch, step):
    """What each route takes, to build and for a product, if one step takes a second."""
    rates = replace(NOTHING, **{step: 1.0})
    return {name: of(cost, batch, rates) for name, of in advice.ROUTES.items()}


@pytest.mark.parametrize("step", STEPS)
def test_the_times_are_counts_of_steps(step):
    cost = Conv((2, 8), (2, 2, 1), stride=2).cost()
    assert (cost.shape, cost.nnz) == ((8, 16), 16)
    told = times(cost, 4, step)
    if step == "multiply":  # with what it takes to lay out the inputs
        assert told.pop("operator")[1] >= 16 * 4
    taken = {name: pair for name, pair in told.items() if any(pair)}
    assert taken == {name: pytest.approx(pair) for name, pair in STEPS[step].items()}


def test_a_depthwise_layer_has_blocks_of_one_entry_and_a_product_without_blas():
    cost = Conv((64, 56, 56), (64, 1, 3, 3), padding=1, groups=64).cost()
    assert times(cost, 8, "block")["bsr"] == (0, 0)
    entries = pytest.approx((0, cost.nnz * columns(8)))
    assert times(cost, 8, "csr")["bsr"] == times(cost, 8, "csr")["csr"] == entries
    product = 16 * 64 * 9 * 56 * 56
    assert times(cost, 16, "number")["operator"] == (0, product / 2)  # on two threads


def test_the_product_of_a_large_matrix_is_counted_in_multiply_adds_of_every_core():
    cost = WIDE.cost()
    assert times(cost, 32, "multiply")["product"] == (0, 2.5 * cost.nnz * 32 / 2)
    assert times(cost, 1, "byte")["product"] == (0, cost.bytes["csr"] / 2)  # they are read once
    assert times(cost, 32, "csr")["product"] == (0, 0)
    assert times(WIDE.cost("i8"), 32, "csr")["product"] == (0, cost.nnz * 32 * 2)
    cost = Conv((64, 56, 56), (64, 1, 3, 3), padding=1, groups=64).cost()
    assert times(cost, 32, "multiply")["product"] == (0, 7 * cost.nnz * 32 / 2)


def test_without_loops_blas_multiplies_large_blocks_and_shares_the_work_less_well(monkeypatch):
    before = times(WIDE.cost(), 32, "multiply")["operator"][1]
    monkeypatch.setattr(advice, "loops", lambda _: None)
    cost = WIDE.cost()
    told = times(cost, 32, "multiply")
    assert told["product"] == (0, 6 * cost.nnz * 32 / 2)
    assert told["operator"][1] == pytest.approx(before * 2 / 1.5)
    small = Conv((3, 32, 32), (10, 3, 5, 5), padding=2)
    depthwise = Conv((64, 56, 56), (64, 1, 3, 3), padding=1, groups=64)
    for layer, step in ((a, b) for a in (small, depthwise) for b in STEPS):
        told = times(layer.cost(), 8, step)
        assert told["product"] == told["csr"]


def test_a_small_depthwise_layer_is_multiplied_by_numpy():
    cost = Conv((4, 8, 8), (4, 1, 3, 3), groups=4).cost()
    assert times(cost, 2, "csr")["operator"] == (0, 2 * 10 * 4 * 9 * 36)


def test_values_of_eight_bytes_take_twice_as_long():
    one, two = (times(WIDE.cost(dtype), 4, "csr")["csr"] for dtype in ("f4", "f8"))
    assert two == (0, 2 * one[1]) == pytest.approx((0, 2 * columns(4) * 112_869_376))


def test_integers_have_no_blas():
    told = times(SMALL.cost("i8"), 1, "csr")
    gathered = math.prod(SMALL.output_shape[1:]) * math.prod(SMALL.weight_shape[1:])
    # Of eight bytes; a number that is gathered is moved as a whole.
    assert told["operator"] == (0, 2 * 2 * SMALL.macs + 10 * gathered)
    assert told["dense"] == (0, 2 * 2 * 36 * 64)
    assert times(SMALL.cost("i8"), 1, "multiply")["operator"] == (0, 0)


WORDS = {
    "many channels": (WIDE.cost(), 32, """\
estimated for this machine, a product with 32 columns:
                   to build   a product
  csr                400 ms      700 ms
  conv.product       400 ms       60 ms
  bsr                200 ms         2 s
  dense           too large           -
  operator                -       30 ms
  many products  operator: conv.product would take 904 MB and be about as fast
  one product    operator or a convolution library; a matrix is the wrong tool: 10x the time"""),
    "nine taps": (SMALL.cost(), 1, """\
estimated for this machine, a product with 1 column:
                   to build   a product
  csr                200 µs        5 µs
  conv.product       200 µs        5 µs
  bsr                200 µs        5 µs
  dense              200 µs        5 µs
  operator                -      200 µs
  many products  csr: 2.74 kB, built once; the operator takes 40x as long
  one product    operator or a convolution library; a matrix would not pay"""),
    "no zeros": (FULL.cost(), 1, """\
estimated for this machine, a product with 1 column:
                   to build   a product
  csr                200 µs        5 µs
  conv.product       200 µs        5 µs
  bsr                200 µs        6 µs
  dense              200 µs        5 µs
  operator                -      200 µs
  many products  dense: 100% of its entries are stored anyway
  one product    dense or a convolution library: 200 µs with its building"""),
    "larger than the memory": (LARGE.cost("f8"), 1, """\
estimated for this machine, a product with 1 column:
                   to build   a product
  csr             too large           -
  conv.product    too large           -
  bsr             too large           -
  dense           too large           -
  operator                -       20 ms
  many products  operator: no matrix fits: 6.09 GB at least, 1 GB are free
  one product    operator or a convolution library; a matrix is the wrong tool"""),
    "not even the input": (LARGE.cost("f8"), 32, """\
estimated for this machine, a product with 32 columns:
                   to build   a product
  csr             too large           -
  conv.product    too large           -
  bsr             too large           -
  dense           too large           -
  operator        too large           -
  many products  no route: x and y take 3.33 GB, 1 GB are free
  one product    no route: x and y take 3.33 GB, 1 GB are free"""),
}  # fmt: skip

REASONS = [
    (Conv((1, 8, 8), (1, 1, 7, 7), padding=3).cost(), 10**4,
     "dense: 16.4 kB, small enough for all its zeros",
     "dense or a convolution library: 500 µs with its building"),
    (Conv((4, 16, 16), (4, 4, 3, 3)).cost(), 1,
     "bsr: 121 kB in layout channels_last, built once; the operator takes 8x as long",
     "operator or a convolution library; a matrix would not pay"),
    (ConvTranspose((16, 16, 16), (16, 8, 4, 4), 2, 1).cost(), 8,
     "operator: conv.product would take 3.97 MB and be about as fast",
     "operator or a convolution library; a matrix is the wrong tool: 6x the time"),
]  # fmt: skip


@pytest.mark.parametrize("cost, batch, why, once", REASONS)
def test_each_route_has_its_reason(cost, batch, why, once):
    told = cost.advice(batch, EXAMPLE)
    assert (told.why, told.once) == (why, once)
    assert (told.many, told.one) == (why.split(":")[0], once.split()[0])


@pytest.mark.parametrize("name", WORDS)
def test_the_advice_is_told_whole(name):
    cost, batch, words = WORDS[name]
    assert str(cost.advice(batch, EXAMPLE)) == words


def test_where_nothing_fits_no_route_is_named():
    told = LARGE.cost("f8").advice(32, EXAMPLE)
    assert (told.many, told.one) == (None, None)
    assert not any(route.fits for route in told.routes.values())


@pytest.mark.parametrize("dtype", ["f4", "f8", "F", "i8", "f2"])
def test_every_layer_gets_advice(dtype):
    for layer in (
        Conv((0, 4), (2, 0, 3), padding=1),
        Conv((1, 1), (1, 1, 1), padding=((-1, 3),)),
        Conv((1, 10**6), (2, 1, 3)),
        ConvTranspose((2, 3, 3), (2, 2, 2, 2), stride=2),
    ):
        told = layer.cost(dtype).advice(4, EXAMPLE)
        assert told.many in told.routes
        assert str(told).endswith(told.once)


@pytest.mark.parametrize(
    "batch, error, sentence",
    [
        (0, ValueError, "batch must be at least 1, got 0"),
        (1.5, TypeError, "batch must be an integer, got 1.5"),
        (True, TypeError, "batch must be an integer, got the boolean True"),
    ],
)
def test_a_batch_is_a_positive_integer(fixed, batch, error, sentence):
    with pytest.raises(error) as caught:
        SMALL.cost().advice(batch)
    assert str(caught.value) == sentence
    assert not fixed.exists()


def test_times_are_told_to_one_digit():
    told = {0.0: "1 µs", 4e-7: "1 µs", 2.4e-5: "20 µs", 9.6e-4: "1 ms", 0.951: "1 s", 59: "60 s",
            60: "minutes", 3600: "hours", 1e6: "days"}  # fmt: skip
    assert {seconds: advice.about(seconds) for seconds in told} == told


def test_an_operator_beyond_the_sizes_of_blas_needs_its_patches():
    conv = Conv((3, 10**5, 10**5), (10, 3, 5, 5))
    assert conv.cost().bytes["operator"] > 4 * 3 * 25 * math.prod(conv.output_shape[1:])


# What an operator needs, in the memory of the blocks that it makes: exactly.
BLOCKED = [
    Conv((1, 32, 32), (6, 1, 5, 5)),
    Conv((3, 20, 21), (4, 3, 5, 5), stride=(2, 1), padding=2, dilation=(1, 2)),
    Conv((8, 9, 9), (4, 2, 3, 3), groups=4, padding=1, padding_mode="reflect"),
    Conv((8, 14, 14), (4, 8, 1, 1)),
    Conv((8, 40), (8, 8, 3), stride=2),
    Conv((4, 6, 6, 6), (4, 4, 3, 3, 3), padding=1),
]


@pytest.mark.parametrize("block", [1 << 20, 5000])
@pytest.mark.parametrize("conv", BLOCKED, ids=repr)
def test_the_bytes_of_an_operator_are_those_of_its_blocks(monkeypatch, conv, block):
    made = []

    class Spied(structured.Stage):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.extend(part.nbytes for part in (self.lanes, self.sheet) if part.ndim)

    monkeypatch.setattr(structured, "Stage", Spied)
    monkeypatch.setattr(blocks, "BLOCK", block)
    x = np.ones(math.prod(conv.input_shape), "f4")
    conv.operator(np.ones(conv.weight_shape, "f4")) @ x
    assert conv.macs < blocks.THREADED  # one thread
    assert size._stages(size.plan_of(conv), 4) == sum(made)
