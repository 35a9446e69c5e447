"""The demo: what it claims is computed, and a wrong result is told and fails."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import toeplitz
from toeplitz import demo, memory
from verify import oracle

SMALL = toeplitz.Conv((3, 19, 17), (4, 3, 5, 5), stride=4, padding=2)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the demo with a small layer: whether all was right, and the lines it prints."""
    monkeypatch.setattr(demo, "ALEXNET", SMALL)

    def run(oracle, width=80):
        ok = demo.run(Console(width=width, highlight=False), oracle)
        return ok, [line.rstrip() for line in capsys.readouterr().out.splitlines()]

    return run


TOP = """\
The lectures' kernel a, b, c as a sparse matrix T, for y = T x

  M1  valid, 8 inputs      M2  stride 2        M3  padding 1
  ⎡ a b c 0 0 0 0 0 ⎤      ⎡ a b c 0 0 0 0 ⎤   ⎡ b c 0 0 0 0 0 ⎤
  ⎢ 0 a b c 0 0 0 0 ⎥      ⎢ 0 0 a b c 0 0 ⎥   ⎢ a b c 0 0 0 0 ⎥
  ⎢ 0 0 a b c 0 0 0 ⎥      ⎣ 0 0 0 0 a b c ⎦   ⎢ 0 a b c 0 0 0 ⎥
  ⎢ 0 0 0 a b c 0 0 ⎥      as on the slide     ⎢ 0 0 a b c 0 0 ⎥
  ⎢ 0 0 0 0 a b c 0 ⎥                          ⎢ 0 0 0 a b c 0 ⎥
  ⎣ 0 0 0 0 0 a b c ⎦                          ⎢ 0 0 0 0 a b c ⎥
  as on the slide, where                       ⎣ 0 0 0 0 0 a b ⎦
  one row has 9 entries                        as on the slide

  M5  M3 transposed        M5  M2 transposed
  ⎡ b a 0 0 0 0 0 ⎤        ⎡ a 0 0 ⎤
  ⎢ c b a 0 0 0 0 ⎥        ⎢ b 0 0 ⎥
  ⎢ 0 c b a 0 0 0 ⎥        ⎢ c a 0 ⎥
  ⎢ 0 0 c b a 0 0 ⎥        ⎢ 0 b 0 ⎥
  ⎢ 0 0 0 c b a 0 ⎥        ⎢ 0 c a ⎥
  ⎢ 0 0 0 0 c b a ⎥        ⎢ 0 0 b ⎥
  ⎣ 0 0 0 0 0 c b ⎦        ⎣ 0 0 c ⎦
  as on the slide, where   as on the slide
  one row is 0acba00

The lectures' numbers, each a sparse matrix times the flat input

  W1  3x3 input, 2x2 kernel      19 25 / 37 43          as on the slide
      the same, padded by 1      0 3 8 4 / 9 19 25 10 / as on the slide
                                 21 37 43 16 / 6 7 8 0
  W2  padded by 1, stride 2      0 8 / 21 43            the slide has 0 8 / 6 8:
                                                        that is stride (3, 2)
  W3  two channels, y[0, 0]      56                     as on the slide
  W4  vertical edge, 6x6 image   0 30 30 0 in each row  as on the slide
  W5  max pooling 2x2, stride 2  6 8 / 3 4              as on the slide
      max pooling 2x2, stride 1  4 5 / 7 8              as on the slide

AlexNet's first layer against an independent sliding window
""".splitlines()


def test_all_of_it(run):
    ok, lines = run(oracle)
    assert ok
    assert lines[: len(TOP)] == TOP
    rest = [line.split(" s")[0].rsplit(" ", 1)[0] for line in lines[len(TOP) + 1 :]]
    assert lines[len(TOP) + 1] == (
        "  Conv((3, 19, 17), (4, 3, 5, 5), stride=(4, 4), padding=((2, 2), (2, 2)))"
    )
    nnz = SMALL.cost().nnz
    assert rest[2:] == [
        "      the matrix T               100 x 969,             46.8 kB as",
        f"                                 {nnz:,} entries          built in",
        "      forward, T x               100 values,",
        "      gradient to x, Tᵀ g        969 values,",
        "      gradient to w, U(x)ᵀ g     300 values,",
        "",
        "All 16 checks passed",
    ]
    assert sum(line.endswith(" exactly equal") for line in lines) == 3


def test_the_real_one():
    done = subprocess.run(
        [sys.executable, "-m", "toeplitz", "demo"], capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[: len(TOP)] == TOP
    rest = "\n".join(lines[len(TOP) :])
    for fact in (
        "Conv((3, 224, 224), (96, 3, 11, 11), stride=(4, 4), padding=((2, 2), (2, 2)))",
        "290,400 x 150,528,     836 MB as CSR,",
        "104,372,352 entries    built in ",
        "forward, T x               290,400 values, ",
        "gradient to x, Tᵀ g        150,528 values, ",
        "gradient to w, U(x)ᵀ g     34,848 values, ",
        "All 16 checks passed (",
    ):
        assert fact in rest
    assert rest.count("exactly equal") == 3


@pytest.mark.parametrize(
    "name, what",
    [
        ("sliding_conv", "forward, T x"),
        ("sliding_grad_x", "gradient to x, Tᵀ g"),
        ("sliding_grad_w", "gradient to w, U(x)ᵀ g"),
    ],
)
def test_one_wrong_value_fails(run, name, what):
    def wrong(*args, **geometry):
        y = getattr(oracle, name)(*args, **geometry)
        y.flat[-1] += 1
        return y

    names = ("sliding_conv", "sliding_grad_x", "sliding_grad_w")
    others = {each: getattr(oracle, each) for each in names}
    ok, lines = run(SimpleNamespace(**others | {name: wrong}))
    assert not ok
    (failed,) = (line for line in lines if line.endswith("NOT equal"))
    assert failed.startswith(f"      {what} ")
    assert lines[-1].startswith("1 of 16 checks failed (")


def test_a_wrong_matrix_fails(run, monkeypatch):
    real = demo.picture
    monkeypatch.setattr(
        demo, "picture", lambda layer: real(layer, np.full(layer.weight_shape, "a"))
    )
    ok, lines = run(oracle)
    assert not ok
    assert sum(line.count("NOT as on the slide") for line in lines) == 5
    assert lines[-1].startswith("5 of 16 checks failed (")


def test_a_wrong_number_fails(run, monkeypatch):
    monkeypatch.setattr(demo, "DIGITS", demo.DIGITS + 1)
    ok, lines = run(oracle)
    assert not ok
    failed = [line.split("  ")[-1].strip() for line in lines if "NOT as on the slide" in line]
    assert len(failed) == 4  # W1 twice, W3, the second of W5
    assert lines[-1].startswith("5 of 16 checks failed (")  # and W2


def test_the_exit_status_is_that_of_the_checks(monkeypatch, capsys):
    from toeplitz import cli

    monkeypatch.setattr(demo, "ALEXNET", SMALL)
    assert cli.main(["demo"]) == 0
    monkeypatch.setattr(demo, "DIGITS", demo.DIGITS + 1)
    assert cli.main(["demo"]) == 1
    assert capsys.readouterr().err == ""


def test_a_machine_too_small_for_the_matrix_still_checks_the_products(run, monkeypatch):
    monkeypatch.setattr(memory, "UNASKED", 10_000)
    monkeypatch.setattr(memory, "available", lambda array: 30_000)
    ok, lines = run(oracle)
    assert ok
    first = next(n for n, line in enumerate(lines) if "the matrix T" in line)
    told = " ".join(line[56:] for line in lines[first:-5])
    assert told == (
        f"not built: the csr matrix of {SMALL} needs 50.4 kB and 30 kB are free: use operator(w)"
    )
    assert sum(line.endswith(" exactly equal") for line in lines) == 3


def test_a_narrow_terminal_gets_fewer_columns(run):
    ok, lines = run(oracle, width=50)
    assert ok
    assert "  M1  valid, 8 inputs      M2  stride 2" in lines
    assert "  M3  padding 1            M5  M3 transposed" in lines
