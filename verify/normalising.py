"""How far a right batch norm may be off, derived as for sums (verify.rounding).

With m values x of a channel, mean a, biased variance v, s = 1 / sqrt(v + eps), first-order terms
gathered in gamma_n = n u / (1 - n u) (Higham, 2002, chapter 3):

    |â - a|  <=  da = gamma_m mean|x|
    |v̂ - v|  <=  dv = 2 gamma_(3m + 8) mean x²         of mean x² - a², and so of mean (x - a)²
    |v̂ - v|  <=  dv = 2 gamma_(3m + 8) (v mean x²)^(1/2) + 2 da²    in two passes, or updated value
                                          by value (Chan, Golub and LeVeque, 1983)
    |ŝ - s|  <=  ds = s ((1 - r)^(-1/2) - 1) + gamma_4 s,  r = dv / (v + eps)

since 1 / sqrt falls and is convex: the error is largest towards smaller v. Where r >= 1 nothing can
be said. In inference da = dv = 0. Then, also for y = x (w s) + (b - a w s),

    |ŷ - y|  <=  |w| (da (s + ds) + |x - a| ds) + gamma_8 (|w| (|x| + |a|) (s + ds) + |b|).

The gradients are sums of products with n = (x - a) s, off by dn, the bound of y at w = 1, b = 0.
"""

from math import prod
from typing import Any

import numpy as np

from verify.data import gamma, unit

HALVES = ("float16", "bfloat16")
STEPS = 12  # statistics and scale stored, subtracted, multiplied, added: fewer than these


def bounds(arrays: Any, eps: float | None = None) -> dict[str, Any]:
    """For y, the running statistics and the gradients of verify.references.Normalised.

    Each is twice the bound of one computation, for the reference rounds too; in float16 and
    bfloat16 the sums are in float32, and up to STEPS operations on each value round to halves.
    eps: another than the layer's.
    """
    case, layer = arrays.case, arrays.case.layer
    eps = layer.eps if eps is None else eps
    u = unit("float32") if case.dtype in HALVES else unit(case.dtype)
    once = gamma(STEPS, unit(case.dtype)) if case.dtype in HALVES else 0.0
    axes = (0, *range(2, arrays.x.ndim))
    weight = _spread(arrays.weight, arrays.x, 1.0)
    bias = abs(_spread(arrays.bias, arrays.x))
    # Of data whose mean dwarfs the deviations, mean x² - a² is too imprecise to be right.
    batch = _Statistics(arrays.x, axes, eps, u, centred=case.data == "long sums")
    kept = _Given(arrays, eps, u)
    seen = batch if layer.training else kept
    y = _affine(arrays.x, weight, bias, seen, u)
    size = abs(weight) * (abs(arrays.x) + abs(seen.mean)) * seen.scale + bias
    made = {"y": (y, size)}
    made |= _running(arrays, batch, kept, u)
    made |= _gradients(arrays, batch, weight, u)
    # Where nothing can be said (infinity, or nothing times infinity) any value is right.
    found = {
        name: 2 * off + once * (size + off) if once else 2 * off
        for name, (off, size) in made.items()
    }
    return {name: np.where(np.isnan(off), np.inf, off) for name, off in found.items()}


class _Statistics:
    """The statistics of x, and how far computed ones may be off."""

    def __init__(self, x: Any, axes: tuple[int, ...], eps: float, u: float, centred: bool) -> None:
        count = _count(x.shape)
        self.count = count
        self.mean = _mean(x, axes)
        squares = _mean(x**2, axes)
        var = _mean((x - self.mean) ** 2, axes)
        self.var, self.axes = var, axes
        self.scale = 1 / np.sqrt(var + eps)
        self.mean_off = gamma(count, u) * _mean(abs(x), axes)
        self.var_off = 2 * gamma(3 * count + 8, u) * squares
        if centred:
            self.var_off = 2 * gamma(3 * count + 8, u) * np.sqrt(var * squares)
            self.var_off = self.var_off + 2 * self.mean_off**2
        rest = np.minimum(self.var_off / (var + eps), 1)
        with np.errstate(divide="ignore"):
            # (1 - r)^(-1/2) - 1, which for small r the difference would lose; infinite from 1 on.
            grown = np.expm1(-np.log1p(-rest) / 2)
        self.scale_off = self.scale * (grown + gamma(4, u))


class _Given:
    """The running statistics, which are exact."""

    def __init__(self, arrays: Any, eps: float, u: float) -> None:
        self.mean = _spread(arrays.running_mean, arrays.x)
        self.var = _spread(arrays.running_var, arrays.x)
        self.scale = 1 / np.sqrt(self.var + eps)
        self.mean_off = np.zeros_like(self.mean)
        self.scale_off = self.scale * gamma(4, u)


def _affine(x: Any, weight: Any, bias: Any, seen: Any, u: float) -> Any:
    """The bound of y."""
    largest = seen.scale + seen.scale_off
    with np.errstate(invalid="ignore"):  # nothing times infinity
        spread = seen.mean_off * largest + abs(x - seen.mean) * seen.scale_off
        size = abs(weight) * (abs(x) + abs(seen.mean)) * largest + bias
        return abs(weight) * spread + gamma(8, u) * size


def _running(arrays: Any, batch: Any, kept: Any, u: float) -> dict[str, Any]:
    """The bounds of (1 - momentum) * running + momentum * batch, m / (m - 1) in the variance."""
    layer = arrays.case.layer
    if not layer.training:
        return {"new_mean": (0.0, 0.0), "new_var": (0.0, 0.0)}
    mixing, factor = layer.momentum, batch.count / (batch.count - 1)
    made = {}
    for name, old, new, off in (
        ("new_mean", kept.mean, batch.mean, batch.mean_off),
        ("new_var", kept.var, batch.var * factor, batch.var_off * factor),
    ):
        size = (1 - mixing) * abs(old) + mixing * (abs(new) + off)
        made[name] = ((mixing * off + gamma(8, u) * size).ravel(), size.ravel())
    return made


def _gradients(arrays: Any, batch: Any, weight: Any, u: float) -> dict[str, Any]:
    """The bounds of the gradients of training.

    grad_bias = Σ g; grad_weight = Σ g n; grad_x = w s (g - mean g - n mean(g n)).
    """
    with np.errstate(invalid="ignore"):
        return _sent_back(arrays, batch, weight, u)


def _sent_back(arrays: Any, batch: Any, weight: Any, u: float) -> dict[str, Any]:
    g, axes, count = abs(arrays.g), batch.axes, batch.count
    normal = abs(arrays.x - batch.mean) * batch.scale
    normal_off = _affine(arrays.x, 1.0, 0.0, batch, u)
    sums = gamma(count + 4, u)
    along = _mean(g * normal, axes)
    along_off = _mean(g * normal_off, axes) + sums * _mean(g * (normal + normal_off), axes)
    plain = _mean(g, axes)
    inner = g + plain + normal * along
    inner_off = (
        sums * plain
        + normal_off * (along + along_off)
        + normal * along_off
        + gamma(6, u) * (inner + normal_off * (along + along_off) + normal * along_off)
    )
    x_off = abs(weight) * (batch.scale_off * (inner + inner_off) + batch.scale * inner_off) + gamma(
        6, u
    ) * abs(weight) * (batch.scale + batch.scale_off) * (inner + inner_off)
    return {
        "grad_x": (x_off, abs(weight) * batch.scale * inner),
        "grad_weight": ((along_off * count).ravel(), (along * count).ravel()),
        "grad_bias": ((sums * plain * count).ravel(), (plain * count).ravel()),
    }


def _count(shape: tuple[int, ...]) -> int:
    """How many values a channel has, and 1 where it has none."""
    return max(1, shape[0] * prod(shape[2:]))


def _mean(values: Any, axes: tuple[int, ...]) -> Any:
    """The mean of each channel; 0 where it has no values, of which numpy would warn."""
    with np.errstate(invalid="ignore"):  # both infinities
        return values.sum(axes, keepdims=True) / _count(values.shape)


def _spread(values: Any, x: Any, default: float = 0.0) -> Any:
    """One value for each channel, to be multiplied with x; one for all where there is none."""
    shape = (1, x.shape[1], *[1] * (x.ndim - 2))
    return np.full(shape, default) if values is None else values.reshape(shape)
