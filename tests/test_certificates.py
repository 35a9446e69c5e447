"""From testing to proof: certificates, polynomials, and the index arithmetic for all sizes."""

import json

import numpy as np
import pytest
from corpus import BROKEN
from geometries import convs
from hypothesis import given, settings

import toeplitz
import verify
from toeplitz import cli
from toeplitz.functional import conv2d
from verify import certificate, certifying, polynomials, proofs
from verify.certificate import Certificate
from verify.certifying import NotRight, recheck

CONV = toeplitz.Conv((2, 4, 5), (3, 2, 2, 3), stride=(2, 1), padding=(1, 0))
SMALL = {"conv2d": CONV, "conv1d": toeplitz.Conv((2, 6), (3, 2, 3), stride=2, padding=1)}


def right(x, w, **arguments):
    return toeplitz.Conv(x.shape[1:], w.shape, **arguments).apply(x, w)


def test_a_certificate_tells_what_was_checked():
    made = verify.certify(conv2d, CONV)
    assert str(made).splitlines() == [
        f"conv2d is T(w) x on {CONV}",
        "  sums      exact in float64",
        "  bilinear  64 random sums and multiples agree",
        "  pairs     all 1440 pairs of impulses",
        "  probes    3 random points, 19372661 values an entry",
        "  bias      added to each channel, at the probes",
        "  chance    2^-64 that a wrong polynomial of degree 8 passed",
        "  certain   that it is right for all x and w, if it is bilinear",
    ]
    assert Certificate.from_json(made.to_json()).to_json() == made.to_json()
    recheck(made, conv2d)


@pytest.mark.parametrize("dtype", certifying.EXACT)
def test_every_sum_is_exact_in_each_dtype(dtype):
    layers = (CONV, toeplitz.Linear(5, 3), toeplitz.ConvTranspose((2, 3), (2, 1, 2), 2))
    functions = (conv2d, toeplitz.functional.linear, toeplitz.functional.conv_transpose1d)
    for layer, function in zip(layers, functions, strict=True):
        made = verify.certify(function, layer, dtype=dtype)
        assert made.chance >= 60
        assert made.pairs


def test_a_large_geometry_has_probes_alone():
    wide = toeplitz.Conv((8, 16, 16), (8, 8, 3, 3), padding=1)
    made = verify.certify(conv2d, wide)
    assert made.pairs == 0
    assert made.chance >= 60
    assert "  pairs     too many impulses to try" in str(made).splitlines()


@settings(max_examples=25)
@given(convs(names=False))
def test_what_is_right_is_certified(conv):
    if conv.input_dilation != (1,) * conv.ndim:
        return  # no argument of an implementation says it

    def exact(x, w, **arguments):
        return conv.apply(x, w)

    assert verify.certify(exact, conv).chance >= 60


@pytest.mark.parametrize(
    "wrong, told",
    [
        (lambda x, w, **a: right(x, w[..., ::-1], **a), "f is not T(w) x: y["),
        (lambda x, w, **a: np.maximum(right(x, w, **a), 0), "f is not additive in w: y["),
        (lambda x, w, **a: right(x, w, **a) + 1, "f is not additive in w: y["),
        (lambda x, w, **a: right(np.sign(x), w, **a), "f is not additive in x: y["),
        (lambda x, w, **a: right(x, w, **a)[..., 1:], "f is not T(w) x: its shape is"),
        (
            lambda x, w, b=None, **a: right(x, w, **a) + (0 if b is None else 2 * b[:, None, None]),
            "f does not add b to each channel: y[",
        ),
        (lambda x, w, **a: None, "f gave no array: wrong type, NoneType"),
        (lambda x, w, **a: 1 / 0, "f gave no array: raised, ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_wrong_is_not_certified(wrong, told):
    with pytest.raises(NotRight, match=r"^f ") as caught:
        verify.certify(wrong, CONV)
    assert str(caught.value).startswith(told)


def test_one_wrong_entry_of_the_matrix_is_seen():
    """A single triple is read through the wrong weight."""
    matrix = CONV.matrix(np.zeros(CONV.weight_shape)).tolil()

    def wrong(x, w, **arguments):
        y = right(x, w, **arguments)
        y[:, 2, 1, 2] += x[:, 1, 2, 3] * (w[2, 1, 0, 1] - w[2, 1, 0, 2])
        return y

    assert matrix.shape == (3 * 3 * 3, 40)
    with pytest.raises(NotRight):
        verify.certify(wrong, CONV)


@pytest.mark.parametrize(
    "entry", [e for e in BROKEN if e.op in SMALL and e.forward], ids=lambda entry: entry.name
)
def test_a_certificate_agrees_with_the_matrix(entry):
    """On a geometry where a broken one is right it may be certified; else it never is."""
    conv = SMALL[entry.op]
    arguments = certifying.case_of(conv, "float64").arguments
    rng = np.random.default_rng(0)
    x, w = (
        rng.integers(-9, 10, s).astype(float) for s in ((1, *conv.input_shape), conv.weight_shape)
    )
    entry.reset()
    try:
        agrees = np.array_equal(entry.forward(x, w, **arguments), conv.apply(x, w))
    except Exception:  # it raises where it should not
        agrees = False
    entry.reset()
    if not agrees:
        with pytest.raises(NotRight):
            verify.certify(entry.forward, conv)


def test_a_certificate_that_was_changed_is_refused():
    made = verify.certify(conv2d, CONV)
    plain = json.loads(made.to_json())
    for name, value in (("chance", 99.0), ("seed", 1), ("layer", "Conv((1, 1), (1, 1, 1))")):
        with pytest.raises(ValueError, match=r"^the certificate was changed after it was written$"):
            Certificate.from_json(json.dumps(plain | {name: value}))
    for text in ("", "[]", "{}", "{", '{"checksum": 1}', "null", "1"):
        with pytest.raises(
            ValueError, match=r"^this is no certificate: a JSON object of `certify`"
        ):
            Certificate.from_json(text)


def forged(plain, **changes):
    """A certificate with changes and the checksum that fits them."""
    changed = {k: v for k, v in (plain | changes).items() if k != "checksum"}
    return json.dumps(changed | {"checksum": certificate.checksum(changed)})


def test_a_forged_certificate_is_refused():
    plain = json.loads(verify.certify(conv2d, CONV).to_json())
    claims_more = Certificate.from_json(forged(plain, chance=500.0))
    with pytest.raises(ValueError, match=r"^the certificate claims a chance of 2\^-500, and "):
        recheck(claims_more, conv2d)
    with pytest.raises(NotRight, match=r"^digest was "):
        recheck(Certificate.from_json(forged(plain, digest="0" * 64)), conv2d)
    with pytest.raises(NotRight, match=r"^pairs was 7 when the certificate was written, and is"):
        recheck(Certificate.from_json(forged(plain, pairs=7)), conv2d)
    with pytest.raises(ValueError, match=r"^the certificate has format 2: this version reads 1$"):
        Certificate.from_json(forged(plain, format=2))


@pytest.mark.parametrize(
    "changes, kind, sentence",
    [
        ({"f": lambda x, w: x}, ValueError,
         f"<lambda> takes no argument stride, padding, which {CONV} needs"),
        ({"bound": 0}, ValueError, "bound must be at least 1, got 0"),
        ({"dtype": "float16"}, ValueError,
         "dtype must be float64, float32, int64 or int32: got 'float16'"),
        ({"conv": toeplitz.MaxPool((1, 4), 2)}, TypeError,
         "certify takes a Conv, ConvTranspose or Linear: got MaxPool"),
        ({"conv": toeplitz.Conv((300, 64, 64), (1, 300, 64, 64)), "dtype": "float32"}, ValueError,
         "sums of 1228800 products leave no room for random integers in float32: take float64"),
    ],
)  # fmt: skip
def test_refusals(changes, kind, sentence):
    with pytest.raises(kind) as caught:
        verify.certify(**({"f": conv2d, "conv": CONV} | changes))
    assert str(caught.value) == sentence


# Polynomials


def summed(x, w, stride=1, padding=0):
    """A student's loops, which take any objects."""
    x = np.pad(x, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2], constant_values=0)
    shape = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], w.shape[2:], stride, strict=True)]
    y = np.zeros((len(x), len(w), *shape), x.dtype)
    for n, o, i, j in np.ndindex(y.shape):
        for c, p, q in np.ndindex(w.shape[1:]):
            y[n, o, i, j] += x[n, c, i * stride[0] + p, j * stride[1] + q] * w[o, c, p, q]
    return y


def test_letters_prove_a_geometry():
    assert verify.prove(summed, CONV) == 27


def test_letters_show_the_first_difference():
    with pytest.raises(AssertionError) as caught:
        verify.prove(lambda x, w: x[:, :, :2] * w[0, 0, 0] * 2, toeplitz.Conv((1, 2), (1, 1, 1)))
    assert str(caught.value) == "y[0, 0, 0] = 2*w0*x0, should be w0*x0"


@pytest.mark.parametrize(
    "f, conv, kind, sentence",
    [
        (conv2d, CONV, TypeError, "f cannot compute with letters: input must hold numbers"),
        (summed, toeplitz.Linear(2, 2), TypeError, "conv must be a Conv, got Linear"),
        (summed, toeplitz.Conv((1, 99, 99), (1, 1, 3, 3)), ValueError,
         "Conv((1, 99, 99), (1, 1, 3, 3)) has 84681 triples, more than 20000: use certify"),
        (lambda x, w, **a: [x], CONV, TypeError, "f must return an array, got list"),
        (lambda x, w, **a: np.ones(3), CONV, TypeError,
         "f turned the letters into float64: it cannot be proved this way"),
        (lambda x, w, **a: x, CONV, AssertionError,
         "f returns the shape (1, 2, 4, 5), should be (1, 3, 3, 3)"),
    ],
)  # fmt: skip
def test_what_letters_cannot_prove(f, conv, kind, sentence):
    with pytest.raises(kind) as caught:
        polynomials.prove(f, conv)
    assert str(caught.value).startswith(sentence)


# All sizes


@pytest.mark.interop
def test_the_index_arithmetic_holds_for_all_sizes(need):
    need("z3")
    assert [theorem.name for theorem in proofs.prove() if theorem.proved] == [*proofs.THEOREMS]


@pytest.mark.interop
@pytest.mark.parametrize("name", proofs.THEOREMS)
def test_no_theorem_holds_for_want_of_sizes(need, name):
    """What is assumed can be true, so nothing follows from it that is false."""
    z3 = need("z3")
    letters = proofs.Letters(z3)
    proofs.THEOREMS[name](letters)
    solver = z3.Solver()
    solver.add(*letters.facts)
    assert solver.check() == z3.sat


@pytest.mark.interop
def test_a_wrong_formula_is_found_out(need, monkeypatch):
    need("z3")

    class Ceiling(proofs.Axis):
        @property
        def windows(self):
            return (self.padded - self.extent + self.stride - 1) // self.stride + 1

    monkeypatch.setattr(proofs, "Axis", Ceiling)
    with pytest.raises(AssertionError, match=r"^size fails for "):
        proofs.prove()


# The command line


def test_the_commands(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("from toeplitz.functional import conv2d\n")
    (tmp_path / "wrong.py").write_text(
        "import toeplitz.functional as f\ndef conv2d(x, w, **a):\n    return -f.conv2d(x, w, **a)\n"
    )
    shape = ["--input", "2x4x5", "--weight", "3x2x2x3", "--stride", "2x1", "--padding", "1x0"]
    assert cli.main(["certify", "mine.py:conv2d", *shape, "--out", "it.json"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("conv2d is T(w) x on Conv((2, 4, 5)")
    assert cli.main(["check-certificate", "it.json", "mine.py:conv2d"]) == 0
    assert capsys.readouterr().out == told
    assert cli.main(["check-certificate", "it.json", "wrong.py:conv2d"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("wrong.py:conv2d is not what it.json says\n  f is not T(w) x: y[")
    assert cli.main(["certify", "wrong.py:conv2d", *shape]) == 1
    out = capsys.readouterr().out
    assert out.startswith("wrong.py:conv2d is not right on Conv((2, 4, 5)")
    changed = (tmp_path / "it.json").read_text().replace('"seed": 0', '"seed": 1')
    (tmp_path / "it.json").write_text(changed)
    assert cli.main(["check-certificate", "it.json", "mine.py:conv2d"]) == 2
    err = capsys.readouterr().err
    assert "the certificate was changed after it was written" in err


def test_examples_of_the_help_texts(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "homework.py").write_text("from toeplitz.functional import conv1d, conv2d\n")
    texts = [cli.group.commands[name].help for name in ("certify", "check-certificate")]
    lines = [line.strip() for text in texts for line in text.splitlines() if "toeplitz c" in line]
    assert len(lines) == 3
    for line in lines:
        assert cli.main(line.split()[1:]) == 0
        assert " is T(w) x on Conv((" in capsys.readouterr().out


@pytest.mark.interop
def test_the_command_prove(need, capsys):
    need("z3")
    assert cli.main(["prove"]) == 0
    assert all(" proved " in line for line in capsys.readouterr().out.splitlines())
