"""The command line: what is printed, what is refused, what the files hold."""

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

import toeplitz
from toeplitz import advice, cli, export, machine, memory

SETTINGS = ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS", "PYTHONSAFEPATH")


@pytest.fixture(autouse=True)
def plain(monkeypatch, tmp_path, tmp_path_factory):
    """An empty folder, none of the user's settings, and a machine whose rates are known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOEPLITZ_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(machine, "rates", lambda: machine.EXAMPLE)
    monkeypatch.setenv("TOEPLITZ_NUM_THREADS", "2")
    monkeypatch.setattr(advice, "loops", lambda _: True)  # with numba
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(capsys):
    """Run a command line in this process: its exit status, its output, its errors."""

    def run(line):
        _, *arguments = shlex.split(line)
        status = cli.main(arguments)
        return (status, *capsys.readouterr())

    return run


def python(*arguments, **options):
    """Run Python in another process, without the user's settings."""
    env = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    env |= {"PYTHONIOENCODING": "utf-8"} | options.pop("env", {})
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, encoding="utf-8", env=env, **options
    )


SHOWN = {
    "toeplitz show --size 8 --kernel a,b,c": """\
Conv((1, 8), (1, 1, 3))
y = T x with T (6, 8), x (1, 8), y (1, 6)

⎡ a b c 0 0 0 0 0 ⎤
⎢ 0 a b c 0 0 0 0 ⎥
⎢ 0 0 a b c 0 0 0 ⎥
⎢ 0 0 0 a b c 0 0 ⎥
⎢ 0 0 0 0 a b c 0 ⎥
⎣ 0 0 0 0 0 a b c ⎦
""",
    "toeplitz show --size 7 --kernel a,b,c --stride 2": """\
Conv((1, 7), (1, 1, 3), stride=(2,))
y = T x with T (3, 7), x (1, 7), y (1, 3)

⎡ a b c 0 0 0 0 ⎤
⎢ 0 0 a b c 0 0 ⎥
⎣ 0 0 0 0 a b c ⎦
""",
    "toeplitz show --size 3 --kernel a,b,c --stride 2 --transpose": """\
ConvTranspose((1, 3), (1, 1, 3), stride=(2,))
the transpose of Conv((1, 7), (1, 1, 3), stride=(2,))
y = Tᵀ x with Tᵀ (7, 3), x (1, 3), y (1, 7)

⎡ a 0 0 ⎤
⎢ b 0 0 ⎥
⎢ c a 0 ⎥
⎢ 0 b 0 ⎥
⎢ 0 c a ⎥
⎢ 0 0 b ⎥
⎣ 0 0 c ⎦
""",
    "toeplitz show --size 2 --kernel a,b --transpose --stride 2 --output-padding 1": """\
ConvTranspose((1, 2), (1, 1, 2), stride=(2,), output_padding=(1,))
the transpose of Conv((1, 5), (1, 1, 2), stride=(2,))
y = Tᵀ x with Tᵀ (5, 2), x (1, 2), y (1, 5)

⎡ a 0 ⎤
⎢ b 0 ⎥
⎢ 0 a ⎥
⎢ 0 b ⎥
⎣ 0 0 ⎦
""",
    'toeplitz show --size 3x3 --kernel "a, b; c, d"': """\
Conv((1, 3, 3), (1, 1, 2, 2))
y = T x with T (4, 9), x (1, 3, 3), y (1, 2, 2)

⎡ a b 0 │ c d 0 │ 0 0 0 ⎤
⎢ 0 a b │ 0 c d │ 0 0 0 ⎥
⎢ ──────┼───────┼────── ⎥
⎢ 0 0 0 │ a b 0 │ c d 0 ⎥
⎣ 0 0 0 │ 0 a b │ 0 c d ⎦
""",
    "toeplitz show --size 2,3 --kernel 1,-1 --stride 1,2": """\
Conv((1, 2, 3), (1, 1, 1, 2), stride=(1, 2))
y = T x with T (2, 6), x (1, 2, 3), y (1, 2, 1)

⎡  1 -1  0 │  0  0  0 ⎤
⎢ ─────────┼───────── ⎥
⎣  0  0  0 │  1 -1  0 ⎦
""",
    "toeplitz show --size 5 --kernel -1,0,x_1 --padding 1:0 --dilation 2": """\
Conv((1, 5), (1, 1, 3), padding=((1, 0),), dilation=(2,))
y = T x with T (2, 5), x (1, 5), y (1, 2)

⎡   0   0   0 x_1   0 ⎤
⎣  -1   0   0   0 x_1 ⎦
""",
    "toeplitz show --size 3 --kernel a,b,c --padding 2 --padding-mode replicate": """\
Conv((1, 3), (1, 1, 3), padding=((2, 2),), padding_mode='replicate')
y = T x with T (5, 3), x (1, 3), y (1, 5)

⎡ a+b+c     0     0 ⎤
⎢   a+b     c     0 ⎥
⎢     a     b     c ⎥
⎢     0     a   b+c ⎥
⎣     0     0 a+b+c ⎦
""",
    "toeplitz show --size 2 --kernel 1,.5,-1/2 --padding same --padding-mode circular": """\
Conv((1, 2), (1, 1, 3), padding=((1, 1),), padding_mode='circular')
y = T x with T (2, 2), x (1, 2), y (1, 2)

⎡  .5 1/2 ⎤
⎣ 1/2  .5 ⎦
""",
    "toeplitz show --size 2 --kernel a --input-dilation 2": """\
Conv((1, 2), (1, 1, 1), input_dilation=(2,))
y = T x with T (3, 2), x (1, 2), y (1, 3)

⎡ a 0 ⎤
⎢ 0 0 ⎥
⎣ 0 a ⎦
""",
    "toeplitz show --size 2 --kernel a,b --latex": (
        r"\left[\begin{matrix}\textcolor{blue}{a} & \textcolor{red}{b}\end{matrix}\right]" "\n"
    ),
}


@pytest.mark.parametrize("line", SHOWN)
def test_show(run, line):
    assert run(line) == (0, SHOWN[line], "")


def test_show_to_a_pipe_neither_folds_nor_colours(run):
    status, out, err = run("toeplitz show --size 200 --kernel a,b")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 3 + 199
    assert {len(line) for line in lines[3:]} == {403}
    assert "\x1b" not in out


def test_a_long_geometry_stays_on_its_line(run):
    _, out, _ = run(
        'toeplitz show --size 5x5 --kernel "a,b;c,d" --stride 2x1 --padding 1:0x0:1 '
        "--dilation 2x1 --padding-mode circular --input-dilation 1x2"
    )
    first = out.splitlines()[0]
    assert first == (
        "Conv((1, 5, 5), (1, 1, 2, 2), stride=(2, 1), padding=((1, 0), (0, 1)), "
        "dilation=(2, 1), padding_mode='circular', input_dilation=(1, 2))"
    )


def test_latex_of_letters_is_that_of_the_library(run):
    _, out, _ = run('toeplitz show --size 4x4 --kernel "a,b;c,d" --padding 1')
    assert out
    conv = toeplitz.Conv((1, 4, 4), (1, 1, 2, 2), padding=1)
    latex = run('toeplitz show --size 4x4 --kernel "a,b;c,d" --padding 1 --latex')
    assert latex == (0, conv.latex() + "\n", "")


INFO = {
    "toeplitz info --input 3x32x32 --weight 10x3x5x5 --padding 2 --batch 32": """\
Conv((3, 32, 32), (10, 3, 5, 5), padding=((2, 2), (2, 2)))

  input             (3, 32, 32)
  output           (10, 32, 32)
  parameters                760  750 weights, 10 biases
  multiply-adds         768,000  counting those with padded zeros
                        711,480  that touch an input
  matrix         10,240 x 3,072
  entries               711,480  stored, of 31,457,280
  csr                   5.73 MB  with values of float32
  csc                    5.7 MB
  coo                   8.54 MB
  bsr                   2.94 MB  in layout channels_last: a block for each tap and position
  dense                  126 MB  with all its zeros
  operator              82.7 kB  not built, only multiplied by

estimated for this machine, a product with 32 columns:
                   to build   a product
  csr                  2 ms        5 ms
  conv.product         2 ms      600 µs
  bsr                  1 ms       20 ms
  dense               20 ms        7 ms
  operator                -        2 ms
  many products  conv.product: 5.73 MB, built once; the operator takes 3x as long
  one product    operator or a convolution library; a matrix is the wrong tool: 2x the time
""",
    "toeplitz info --input 1x3 --weight 1x1x3 --transpose --stride 2 --dtype int64": """\
ConvTranspose((1, 3), (1, 1, 3), stride=(2,))

  input             (1, 3)
  output            (1, 7)
  parameters             4  3 weights, 1 biases
  multiply-adds          9  counting those cut off
                         9  that reach an output
  matrix             7 x 3
  entries                9  stored, of 21
  csr            140 bytes  with values of int64
  csc            124 bytes
  coo            144 bytes
  bsr            140 bytes  in layout channels_last: a block for each tap and position
  dense          168 bytes  with all its zeros
  operator       472 bytes  not built, only multiplied by

estimated for this machine, a product with 1 column:
                   to build   a product
  csr                200 µs        5 µs
  conv.product       200 µs        5 µs
  bsr                200 µs        5 µs
  dense              200 µs        5 µs
  operator                -      200 µs
  many products  csr: 140 bytes, built once; the operator takes 40x as long
  one product    csr or a convolution library: 200 µs with its building
""",
}


@pytest.mark.parametrize("line", INFO)
def test_info(run, monkeypatch, line):
    monkeypatch.setattr(memory, "available", lambda *_: 10**9)
    assert run(line) == (0, INFO[line], "")


def test_info_of_what_no_machine_could_build(run):
    status, out, err = run("toeplitz info --input 3x100000x100000 --weight 10x3x5x5")
    assert (status, err) == (0, "")
    assert "  entries                      7,499,400,012,000  stored, of" in out


REFUSED = {
    "toeplitz quux": "No such command 'quux' (see toeplitz --help)",
    "toeplitz show --size 8": "Missing option '--kernel' (see toeplitz show --help)",
    "toeplitz show --size 8x --kernel a": (
        "--size must be integers with an x between, such as 3x32x32: got '8x' "
        "(see toeplitz show --help)"
    ),
    "toeplitz show --size '' --kernel a": (
        "--size must be integers with an x between, such as 3x32x32: got '' "
        "(see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel a --stride 1.5": (
        "--stride must be an integer, or one per axis such as 2x1: got '1.5' "
        "(see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel a --padding 1:x": (
        "--padding must be a name, an integer, one per axis such as 1x2, or before:after such as "
        "1:0: got '1:x' (see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel a,,b": (
        "--kernel must have a number or a name in each place: got '' in 'a,,b' "
        "(see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel 1/0": (
        "--kernel must have a number or a name in each place: got '1/0' in '1/0' "
        "(see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel 1e999999999": (
        "--kernel must have a number or a name in each place: got '1e999999999' in '1e999999999' "
        "(see toeplitz show --help)"
    ),
    "toeplitz show --size 4x4 --kernel 'a,b;c'": (
        "--kernel must have rows of equal length: got [2, 1] in 'a,b;c' (see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel 'a,b;c,d'": (
        "--size must have two axes, such as 4x5, for a kernel of 2 rows: got (8,) "
        "(see toeplitz show --help)"
    ),
    "toeplitz show --size 2x2x2 --kernel a": (
        "--size must have one or two axes, 8 or 4x5: got 3 (see toeplitz show --help)"
    ),
    "toeplitz show --size -5 --kernel a": (
        "--size must be at least 1: got -5 in (-5,) (see toeplitz show --help)"
    ),
    "toeplitz show --kernel a --size=4,0": (
        "--size must be at least 1: got 0 in (4, 0) (see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel a --output-padding 1": (
        "--output-padding goes only with --transpose (see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel a --transpose --padding-mode circular": (
        "--padding-mode does not go with --transpose (see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel a --transpose --input-dilation 2": (
        "--input-dilation does not go with --transpose (see toeplitz show --help)"
    ),
    "toeplitz show --size 8 --kernel a,b,c --stride 0": "stride must be at least 1, got 0",
    "toeplitz show --size 8 --kernel a,b --padding sane": (
        "padding must be 'valid', 'same', 'same_upper', 'same_lower' or 'full', got 'sane'"
    ),
    "toeplitz show --size 2 --kernel a,b,c": (
        "the kernel is wider than the padded input on spatial axis 0: "
        "dilation * (kernel - 1) + 1 = 1 * (3 - 1) + 1 = 3 > 2 + 0 + 0 = 2; "
        "pad more or take a smaller kernel"
    ),
    "toeplitz show --size 2000 --kernel a": (
        "a picture holds at most 1,000,000 entries and 2000 x 2000 = 4,000,000: "
        "take a smaller size, or export the matrix"
    ),
    "toeplitz info --input 3x32x32 --weight 10x3x5x5 --groups 2": (
        "groups must divide the input channels: 3 % 2 = 1"
    ),
    "toeplitz info --input 3x32x32 --weight 10x3x5x5 --batch 0": (
        "Invalid value for '--batch': 0 is not in the range x>=1 (see toeplitz info --help)"
    ),
    "toeplitz info --input 3x32x32 --weight 10x3x5x5 --groups two": (
        "Invalid value for '--groups': 'two' is not a valid integer (see toeplitz info --help)"
    ),
    "toeplitz info --input 3x32x32 --weight 10x3x5x5 --dtype float16": (
        "--dtype must be a type of numbers that scipy.sparse holds, such as float32: "
        "got 'float16' (see toeplitz info --help)"
    ),
    "toeplitz info --input 3x32x32 --weight 10x3x5x5 --dtype 'f4,,'": (
        "--dtype must be a type of numbers that scipy.sparse holds, such as float32: "
        "got 'f4,,' (see toeplitz info --help)"
    ),
    "toeplitz export T.csv --input 1x8 --kernel 1,2": (
        "OUT must end in .npz (scipy.sparse), .mtx (MatrixMarket) or .mat (MATLAB): got 'T.csv' "
        "(see toeplitz export --help)"
    ),
    "toeplitz export T.mtx --input 1x8 --kernel 1,2 --format csr": (
        "--format is for .npz: .mtx has only one (see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8": (
        "the weights must come from one of --weights w.npy, --kernel 1,2,1 and --seed 0: got none "
        "(see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8 --kernel 1,2 --seed 0": (
        "the weights must come from one of --weights w.npy, --kernel 1,2,1 and --seed 0: "
        "got --kernel and --seed (see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8 --seed 0": (
        "--seed needs the shape of the weights: add --weight 10x3x5x5 (see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8 --kernel 1,a": (
        "--kernel must hold numbers here: got '1,a' (see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8 --kernel 1,99999999999999999999": (
        "--kernel must hold numbers that fit into int64 or float64: "
        "got '1,99999999999999999999' (see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8 --kernel 1,2 --weight 1x1x3": (
        "w must have the weight shape (1, 1, 3), got (1, 1, 2)"
    ),
    "toeplitz export T.npz --input 1x8 --unfolding": (
        "--unfolding needs the shape of the weights: add --weight (see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8 --weight 1x1x3 --unfolding --seed 0": (
        "--seed does not go with --unfolding (see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8 --weight 1x1x3 --unfolding --transpose": (
        "--transpose does not go with --unfolding (see toeplitz export --help)"
    ),
    "toeplitz export T.npz --input 1x8 --weights none.npy": "none.npy: No such file or directory",
    "toeplitz export none/T.npz --input 1x8 --kernel 1": "none/T.npz: No such file or directory",
    "toeplitz export T.mat --input 1x8 --kernel 9007199254740993": (
        "a .mat file holds doubles, and some of these int64 are not: write .npz or .mtx"
    ),
}


@pytest.mark.parametrize("line", REFUSED)
def test_refusals(run, line):
    assert run(line) == (2, "", f"toeplitz: {REFUSED[line]}\n")
    assert os.listdir() == []


def test_an_option_that_does_not_exist(run):
    status, out, err = run("toeplitz show --sizes 8")
    assert (status, out) == (2, "")
    assert err.startswith("toeplitz: No such option")  # the rest differs between click's versions
    assert err.endswith(" (see toeplitz show --help)\n")
    assert err.count("\n") == 1


def test_weights_that_are_no_array(run):
    Path("w.npy").write_text("not an array")
    status, out, err = run("toeplitz export T.npz --input 1x8 --weights w.npy")
    assert (status, out) == (2, "")
    assert err.startswith("toeplitz: w.npy is not an array that np.save wrote: ")
    assert err.count("\n") == 1


def test_a_matrix_that_does_not_fit(run, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda array: 10**8)
    line = "toeplitz export T.npz --input 64x56x56 --weight 64x64x3x3 --seed 0"
    assert run(line) == (
        2,
        "",
        "toeplitz: the csr matrix of Conv((64, 56, 56), (64, 64, 3, 3)) needs 861 MB and "
        "100 MB are free: use operator(w)\n",
    )


def exported(line, run):
    status, _, err = run(line)
    assert (status, err) == (0, "")
    return Path(shlex.split(line)[2])


def same(one, other):
    assert one.shape == other.shape
    assert one.nnz == other.nnz
    assert (one.toarray() == other.toarray()).all()


GEOMETRY = "--input 2x6x5 --stride 2x1 --padding 1:0x0:2 --dilation 1x2 --groups 2"


@pytest.fixture
def layer():
    """The convolution of GEOMETRY, and weights that are in w.npy."""
    w = np.random.default_rng(5).standard_normal((4, 1, 2, 2), np.float32)
    np.save("w.npy", w)
    conv = toeplitz.Conv(
        (2, 6, 5), (4, 1, 2, 2), stride=(2, 1), padding=((1, 0), (0, 2)), dilation=(1, 2), groups=2
    )
    return conv, w


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_npz(run, layer, form, layout):
    conv, w = layer
    file = exported(
        f"toeplitz export T.npz {GEOMETRY} --weights w.npy --format {form} --layout {layout}", run
    )
    T = scipy.sparse.load_npz(file)
    assert (T.format, T.dtype) == (form, np.float32)
    same(T, conv.matrix(w, form, layout))


def test_mtx(run, layer):
    conv, w = layer
    file = exported(f"toeplitz export T.mtx {GEOMETRY} --weights w.npy", run)
    same(scipy.io.mmread(file, spmatrix=False).astype(np.float32), conv.matrix(w))


def test_mat(run, layer):
    conv, w = layer
    file = exported(f"toeplitz export T.MAT {GEOMETRY} --weights w.npy", run)
    T = scipy.io.loadmat(file)["T"]
    assert T.dtype == np.float64
    same(T, conv.matrix(w))


def test_complex_weights(run):
    w = np.array([[[1 + 2j, 3 - 1j]]])
    np.save("w.npy", w)
    T = toeplitz.Conv((1, 5), (1, 1, 2)).matrix(w)
    for name in ("T.npz", "T.mtx", "T.mat"):
        exported(f"toeplitz export {name} --input 1x5 --weights w.npy", run)
    same(scipy.sparse.load_npz("T.npz"), T)
    same(scipy.io.mmread("T.mtx", spmatrix=False), T)
    same(scipy.io.loadmat("T.mat")["T"], T)


def test_integers_stay_integers_and_zeros_stay(run):
    file = exported('toeplitz export T.npz --input 1x4x4 --kernel "1,0;0,-1"', run)
    T = scipy.sparse.load_npz(file)
    assert T.dtype == np.int64
    same(T, toeplitz.Conv((1, 4, 4), (1, 1, 2, 2)).matrix(np.array([[[[1, 0], [0, -1]]]])))


def test_fractions_become_floats(run):
    file = exported("toeplitz export T.npz --input 1x4 --kernel 1/2,0.25", run)
    kernel = np.array([[[0.5, 0.25]]])
    same(scipy.sparse.load_npz(file), toeplitz.Conv((1, 4), (1, 1, 2)).matrix(kernel))


def test_unfolding(run):
    line = "toeplitz export E.npz --input 2x5x4 --weight 3x2x2x3 --unfolding --padding 1"
    conv = toeplitz.Conv((2, 5, 4), (3, 2, 2, 3), padding=1)
    same(scipy.sparse.load_npz(exported(line, run)), conv.unfolding())
    same(
        scipy.io.loadmat(exported(line.replace(".npz", ".mat"), run))["E"],
        conv.unfolding(),
    )


def test_transposed_convolution(run):
    w = np.arange(18.0).reshape(2, 1, 3, 3)
    np.save("w.npy", w)
    file = exported(
        "toeplitz export T.npz --input 2x4x4 --weights w.npy --transpose --stride 2 "
        "--output-padding 1 --format csc",
        run,
    )
    up = toeplitz.ConvTranspose((2, 4, 4), (2, 1, 3, 3), stride=2, output_padding=1)
    same(scipy.sparse.load_npz(file), up.matrix(w))


def test_a_seed_gives_the_same_numbers_again(run):
    line = "toeplitz export {}.npz --input 2x5 --weight 3x2x3 --seed 7"
    one, other = (scipy.sparse.load_npz(exported(line.format(name), run)) for name in "ab")
    assert one.dtype == np.float32
    same(one, other)
    w = np.random.default_rng(7).standard_normal((3, 2, 3), np.float32)
    same(one, toeplitz.Conv((2, 5), (3, 2, 3)).matrix(w))


def test_export_says_what_it_wrote(run):
    assert run("toeplitz export T.mtx --input 1x8 --kernel 1,2,1") == (
        0,
        "T.mtx: the matrix of Conv((1, 8), (1, 1, 3)), 6 x 8, 18 stored entries, int64, "
        f"{Path('T.mtx').stat().st_size} bytes\n",
        "",
    )
    assert run("toeplitz export E.mtx --input 1x3 --weight 1x1x2 --unfolding")[1] == (
        "E.mtx: the unfolding E of Conv((1, 3), (1, 1, 2)), 4 x 3, 4 stored entries, float64, "
        f"{Path('E.mtx').stat().st_size} bytes\n"
    )


def test_nothing_is_overwritten_unless_asked(run):
    Path("T.npz").write_text("precious")
    line = "toeplitz export T.npz --input 1x8 --kernel 1,2,1"
    sentence = "toeplitz: T.npz is there already: add --force to replace it"
    assert run(line) == (2, "", f"{sentence} (see toeplitz export --help)\n")
    assert Path("T.npz").read_text() == "precious"
    assert run(f"{line} --force")[0] == 0
    assert scipy.sparse.load_npz("T.npz").shape == (6, 8)


def test_a_failed_replacement_leaves_the_old_file(run, monkeypatch):
    Path("T.npz").write_text("precious")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scipy.sparse, "save_npz", full)
    line = "toeplitz export T.npz --input 1x8 --kernel 1,2,1 --force"
    assert run(line) == (2, "", "toeplitz: T.npz: No space left on device\n")
    assert os.listdir() == ["T.npz"]
    assert Path("T.npz").read_text() == "precious"


def test_a_matrix_too_large_for_matlab(run, monkeypatch):
    monkeypatch.setattr(export, "MAT_BYTES", 100)
    assert run("toeplitz export T.mat --input 1x8 --kernel 1,2,1") == (
        2,
        "",
        "toeplitz: a .mat file holds at most 100 bytes an array, and this one has 144 bytes: "
        "write .npz or .mtx\n",
    )


# These need a target: test_verify_cli.py, test_certificates.py.
TARGETED = ("verify", "certify", "check-certificate")


def examples():
    """The command lines in the help texts."""
    texts = [cli.group.help, *(command.help for command in cli.group.commands.values())]
    lines = [line.strip() for text in texts for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("toeplitz ")]


@pytest.mark.parametrize("line", [line for line in examples() if line.split()[1] not in TARGETED])
def test_examples_of_the_help_texts(run, need, monkeypatch, line):
    from toeplitz import demo

    if line == "toeplitz prove":
        need("z3")
    small = toeplitz.Conv((3, 23, 23), (4, 3, 11, 11), stride=4, padding=2)
    monkeypatch.setattr(demo, "ALEXNET", small)
    status, out, err = run(line)
    assert (status, err) == (0, "")
    assert out


def test_every_command_has_an_example():
    for name in cli.group.commands:
        assert any(line.split()[1] == name for line in examples())


def test_no_arguments_print_the_help(run):
    assert run("toeplitz") == run("toeplitz --help")
    assert run("toeplitz")[1].startswith("Usage: toeplitz [OPTIONS] COMMAND [ARGS]...")


def test_version(run):
    assert run("toeplitz --version") == (0, f"toeplitz {toeplitz.__version__}\n", "")


def test_python_m_toeplitz():
    line = "toeplitz show --size 7 --kernel a,b,c --stride 2"
    done = python("-m", *line.split())
    assert (done.returncode, done.stdout, done.stderr) == (0, SHOWN[line], "")
    done = python("-m", "toeplitz", "show")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "toeplitz: Missing option '--size' (see toeplitz show --help)\n"


def test_help_imports_nothing_slow():
    code = (
        "import sys; from toeplitz.cli import main; main(['--help']); "
        "print(sorted({'sympy', 'hypothesis', 'rich', 'matplotlib', 'torch', 'verify'} "
        "& set(sys.modules)))"
    )
    done = python("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_verify_of_the_user_is_not_taken_for_ours(tmp_path):
    (tmp_path / "verify.py").write_text("raise SystemExit('the wrong verify ran')")
    done = python("-m", "toeplitz", "demo", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"toeplitz: 'verify' is shadowed by {tmp_path / 'verify.py'}: rename it, or keep its "
        f"folder off the path (python -P -m toeplitz keeps the current one off)\n"
    )
    ours = "from toeplitz.cli import judge; print(judge('verify.oracle').__name__)"
    done = python("-P", "-c", ours, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "verify.oracle\n", "")


def test_a_folder_verify_shadows_too(tmp_path, monkeypatch):
    package = tmp_path / "verify"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "verify"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=re.escape(f"shadowed by {package / '__init__.py'}: ")):
        cli.judge("verify.oracle")


def test_verify_may_be_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError) as refusal:
        cli.judge("verify.oracle")
    assert str(refusal.value) == (
        "the package 'verify' is missing beside toeplitz: install both again"
    )


posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal, pipe or device")


@posix
def test_a_closed_pipe_is_quiet():
    code = (
        "import os, sys; os.close(0); read, write = os.pipe(); os.close(read); os.dup2(write, 1); "
        "from toeplitz.cli import main; sys.exit(main({}))"
    )
    for line in ("show --size 300 --kernel a", "show --size 9 --kernel a --latex", "--help"):
        done = python("-c", code.format(line.split()))
        assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_takes_one_line():
    for line in ("show --size 9 --kernel a", "info --input 1x8 --weight 1x1x2"):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "toeplitz", *line.split()],
                stdout=full, stderr=subprocess.PIPE, encoding="utf-8",
            )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr == "toeplitz: cannot print: No space left on device\n"


def test_an_interrupt_takes_one_line(run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "replacing", interrupted)
    status, out, err = run("toeplitz export T.npz --input 1x8 --kernel 1,2,1")
    assert (status, out, err.strip()) == (130, "", "toeplitz: interrupted")


def test_out_of_memory_takes_one_line(run, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(cli, "replacing", exhausted)
    line = "toeplitz export T.npz --input 1x8 --kernel 1,2,1"
    assert run(line) == (2, "", "toeplitz: out of memory\n")


def test_an_output_that_knows_no_unicode(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["show", "--size", "2x2", "--kernel", "α,b;c,d", "--padding", "1:0x1:0"]) == 0
    out.seek(0)
    assert out.read() == (
        "Conv((1, 2, 2), (1, 1, 2, 2), padding=((1, 0), (1, 0)))\n"
        "y = T x with T (4, 4), x (1, 2, 2), y (1, 2, 2)\n"
        "\n"
        "[ d 0 | 0 0 ]\n"
        "[ c d | 0 0 ]\n"
        "[ ----+---- ]\n"
        "[ b 0 | d 0 ]\n"
        "[ ? b | c d ]\n"
    )


def in_a_terminal(line, columns):
    """Run a command line in a pseudo-terminal: its exit status, and all that it prints."""
    import pty

    main, other = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    env |= {"TERM": "xterm-256color", "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(line)], stdin=other, stdout=other, stderr=other, env=env
    )
    os.close(other)
    printed = b""
    try:
        while chunk := os.read(main, 4096):
            printed += chunk
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(main)
    return process.wait(), printed.decode().replace("\r\n", "\n")


@posix
def test_a_terminal_gets_the_same_in_colour():
    line = "toeplitz show --size 8 --kernel a,b,c"
    status, printed = in_a_terminal(line, 80)
    assert status == 0
    assert "\x1b[" in printed
    assert re.sub(r"\x1b\[[0-9;]*m", "", printed) == SHOWN[line]


@posix
def test_a_terminal_that_is_too_narrow():
    status, printed = in_a_terminal("toeplitz show --size 30 --kernel a,b", 40)
    assert status == 0
    rows = re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines()[3:]
    assert rows[0] == "⎡ ab0000000000000000000000000000 ⎤"
    assert len(rows) == 29
    assert in_a_terminal("toeplitz show --size 50 --kernel a,b", 40) == (
        2,
        "toeplitz: the matrix has 50 columns and needs lines of 103 characters, "
        "the terminal has 40: take a smaller size, print it as LaTeX, export it, "
        "or send it to a file\n",
    )
