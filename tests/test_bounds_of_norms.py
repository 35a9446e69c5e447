"""The derived bounds of a batch norm, worked out again channel by channel in plain numbers."""

from math import inf, isinf, sqrt
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

from verify.case import Case
from verify.data import gamma, unit
from verify.judgement import judge_forward
from verify.layers import Norm
from verify.normalising import bounds
from verify.ops import OPS
from verify.suspect import Callables

TRAINING = Norm((2, 3, 2), training=True, momentum=0.25, eps=0.5)
CASE = Case(OPS["batch_norm"], TRAINING, batch=2, bias=True, dtype="float32", seed=5)


def mean(values):
    return sum(values) / len(values)


def statistics(x, eps, u, centred):
    """a, v and s of some numbers, and how far these may be off: da, dv and ds."""
    m, a = len(x), mean(x)
    v, square = mean([(value - a) ** 2 for value in x]), mean([value**2 for value in x])
    da = gamma(m, u) * mean([abs(value) for value in x])
    dv = 2 * gamma(3 * m + 8, u) * square
    if centred:
        dv = 2 * gamma(3 * m + 8, u) * sqrt(v * square) + 2 * da**2
    s, r = 1 / sqrt(v + eps), dv / (v + eps)
    return a, v, s, da, dv, s * float(grown(r)) + gamma(4, u) * s


def grown(r):
    """(1 - r)^(-1/2) - 1 in more digits than float64 has."""
    with mpmath.workdps(60):
        return (1 - mpmath.mpf(r)) ** -0.5 - 1 if r < 1 else inf


def of_y(value, w, b, a, s, da, ds, u):
    size = abs(w) * (abs(value) + abs(a)) * (s + ds) + abs(b)
    return abs(w) * (da * (s + ds) + abs(value - a) * ds) + gamma(8, u) * size


def sent_back(x, g, w, eps, u, centred):
    """For each gradient its bound, and the sum of the absolute values of what it is made of."""
    a, _, s, da, _, ds = statistics(x, eps, u, centred)
    m, sums = len(x), gamma(len(x) + 4, u)
    g = [abs(value) for value in g]
    n = [abs(value - a) * s for value in x]
    dn = [of_y(value, 1, 0, a, s, da, ds, u) for value in x]
    along = mean([p * q for p, q in zip(g, n, strict=True)])
    off = mean([p * q for p, q in zip(g, dn, strict=True)])
    off += sums * mean([p * (q + d) for p, q, d in zip(g, n, dn, strict=True)])
    grad_x = []
    for p, q, d in zip(g, n, dn, strict=True):
        inner = p + mean(g) + q * along
        products = d * (along + off) + q * off
        inner_off = sums * mean(g) + products + gamma(6, u) * (inner + products)
        total = ds * (inner + inner_off) + s * inner_off
        total += gamma(6, u) * (s + ds) * (inner + inner_off)
        grad_x.append((abs(w) * total, abs(w) * s * inner))
    return grad_x, (m * off, m * along), (m * sums * mean(g), m * mean(g))


def by_hand(case, eps=None):
    """What bounds() must give, as lists of (bound, size) for each channel."""
    arrays, layer = case.arrays, case.layer
    eps = layer.eps if eps is None else eps
    u = unit("float32" if "float16" in case.dtype else case.dtype)
    made = {name: [] for name in ("y", "new_mean", "new_var", "grad_x", "grad_weight", "grad_bias")}
    for c in range(layer.input_shape[0]):
        x, g = (array[:, c].ravel().tolist() for array in (arrays.x, arrays.g))
        w = 1.0 if arrays.weight is None else arrays.weight[c]
        b = 0.0 if arrays.bias is None else arrays.bias[c]
        a, v, s, da, dv, ds = statistics(x, eps, u, case.data == "long sums")
        old, m, mixing = (arrays.running_mean[c], arrays.running_var[c]), len(x), layer.momentum
        if layer.training:
            factor = m / (m - 1)
            for name, before, new, off in (
                ("new_mean", old[0], a, da),
                ("new_var", old[1], v * factor, dv * factor),
            ):
                size = (1 - mixing) * abs(before) + mixing * (abs(new) + off)
                made[name].append((mixing * off + gamma(8, u) * size, size))
        else:
            made["new_mean"].append((0.0, 0.0))
            made["new_var"].append((0.0, 0.0))
            a, s, da = old[0], 1 / sqrt(old[1] + eps), 0.0
            ds = s * gamma(4, u)
        made["y"].append([
            (of_y(value, w, b, a, s, da, ds, u), abs(w) * (abs(value) + abs(a)) * s + abs(b))
            for value in x
        ])  # fmt: skip
        grads = sent_back(x, g, w, eps, u, case.data == "long sums")
        for name, grad in zip(("grad_x", "grad_weight", "grad_bias"), grads, strict=True):
            made[name].append(grad)
    return made


def laid(values, like):
    """A value for each number of a channel, in the layout of x; or one for each channel."""
    wanted = np.array([list(one) for one in values], float)
    if wanted.ndim == 2:  # a pair for each channel
        return np.moveaxis(wanted, -1, 0)
    shape = (like.shape[1], like.shape[0], *like.shape[2:])
    return [np.moveaxis(wanted[..., i].reshape(shape), 0, 1) for i in (0, 1)]


@pytest.mark.parametrize("eps", [None, 0.125])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "case",
    [
        CASE,
        CASE.but(bias=False, seed=6),
        CASE.but(layer=Norm((2, 3), False, 0.1, 0.25), batch=3),
        CASE.but(layer=Norm((3,), True, 0.75, 2.0), batch=4, bias=False),
        CASE.but(data="rounding"),
        CASE.but(layer=Norm((3,), True), batch=2, seed=1),
        CASE.but(layer=Norm((1, 5), True, 0.1, 0.5), batch=1),
        CASE.but(data="long sums", batch=1),
    ],
)
def test_each_bound_is_what_its_derivation_says(case, dtype, eps):
    case = case.but(dtype=dtype) if dtype != "bfloat16" else case.but(dtype="float16")
    if dtype == "bfloat16":  # in the numbers of float16, which need no other package
        arrays = case.arrays
        case = SimpleNamespace(arrays=arrays, layer=case.layer, dtype=dtype, data=case.data)
        arrays.case = case
    found, wanted = bounds(case.arrays, eps), by_hand(case, eps)
    assert found.keys() == wanted.keys()
    once = gamma(12, unit(dtype)) if "float16" in dtype else 0
    for name, values in wanted.items():
        off, size = laid(values, case.arrays.x)
        both = 2 * off + once * (size + off)
        got = np.broadcast_to(found[name], both.shape)
        np.testing.assert_allclose(got, both, rtol=1e-9, atol=0, err_msg=name)


def test_where_nothing_can_be_said_any_value_is_right():
    # Equal numbers, no eps: no variance to divide by.
    layer = Norm((1, 4), True, 0.1, 1e-300)
    case = Case(OPS["batch_norm"], layer, dtype="float32")
    case.arrays.x[...] = 3.0
    found = bounds(case.arrays)
    for name in ("y", "grad_x", "grad_weight"):
        assert isinf(np.max(found[name])), name
        assert not np.isnan(found[name]).any()
    assert np.isfinite(found["grad_bias"]).all()
    assert np.isfinite(found["new_mean"]).all()
    assert np.isfinite(found["new_var"]).all()


def in_one_pass(x, *statistics, eps=1e-5, **arguments):
    """Right, and of no use where the numbers are nearly equal: mean x² - a² falls below zero."""
    a = x.mean(axis=(0, 2), keepdims=True)
    v = (x * x).mean(axis=(0, 2), keepdims=True) - a * a
    with np.errstate(invalid="ignore"):
        return (x - a) / np.sqrt(v + np.float32(eps))


def judged_on(values, f):
    layer = Norm((1, len(values)), True, 0.1, 1e-5)
    case = Case(OPS["batch_norm"], layer, dtype="float32", data="rounding")
    case.arrays.x[...] = np.float32(values)
    return judge_forward(Callables(f), case)


def test_a_norm_that_may_fail_is_not_accused_where_it_does():
    near = [13.0, 13.00001, 13.0, 13.0, 13.00002, 13.0, 13.0]
    for nothing in (np.nan, np.inf):
        judged = judged_on(near, lambda x, *_, nothing=nothing, **k: np.full_like(x, nothing))
        assert judged.violation is None
        judged = judged_on([1.0, 2.0], lambda x, *_, nothing=nothing, **k: np.full_like(x, nothing))
        assert judged.violation.code == "CV101"
    assert judged_on(near, in_one_pass).violation is None
    assert judged_on([1.0, 2.0, 4.5], in_one_pass).violation is None
