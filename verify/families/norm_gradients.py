"""Known mistakes of the backward pass of batch norms, in training."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from verify.families.norm_mistakes import axes_of, mean_of, spread, var_of
from verify.mistakes import Mistaken, Prediction
from verify.ops import Op


def gradient_suspicions(op: Op, which: int) -> dict[str, Prediction]:
    """The mistakes that one of the three gradients of training may have."""
    return dict((_of_x, _of_weight, _of_bias)[which]())


def _of_x() -> Iterator[tuple[str, Prediction]]:
    yield "grad_x takes mean and variance for constants", partial(_grad, mean=0, var=0)
    yield "grad_x without what flows through the mean", partial(_grad, mean=0)
    yield "grad_x without what flows through the variance", partial(_grad, var=0)
    yield "grad_x with what flows through the variance doubled", partial(_grad, var=2)
    yield "grad_x with what flows through the variance of the wrong sign", partial(_grad, var=-1)
    yield "grad_x without the weight", lambda m: _grad(m, weight=1.0)
    yield "grad_x without the scale", lambda m: _grad(m) / _scale(m)
    yield "grad_x scaled twice", lambda m: _grad(m) * _scale(m)
    yield "grad_x of statistics over each item alone", lambda m: _grad(m, axes=_items(m.x))
    yield "grad_x of statistics over the items alone", lambda m: _grad(m, axes=(0,))
    yield "grad_x of statistics over the channels too", lambda m: _grad(
        m, axes=tuple(range(m.x.ndim)))  # fmt: skip
    yield "grad_x with the unbiased variance", lambda m: _grad(m, ddof=1)
    yield "grad_x divided by one value less", lambda m: _grad(m, less=1)
    yield (
        "grad_x divided by one value less in what flows through the variance",
        lambda m: _grad(m, var=_count(m.x) / max(1, _count(m.x) - 1)),
    )
    yield "grad_x with sums over the items alone", lambda m: _grad(m, sums=(0,))
    yield "grad_x averaged over the values of a channel", lambda m: _grad(m) / _count(m.x)
    yield "grad_x summed, not averaged, over the values of a channel", partial(_grad, summed=True)
    yield from _about_eps(lambda m, scale: _grad(m, scale=scale), "grad_x")


def _of_weight() -> Iterator[tuple[str, Prediction]]:
    yield "grad_weight of x as it is, not normalised", lambda m: _sum(m.g * m.x)
    yield "grad_weight of x centred, not scaled", lambda m: _sum(m.g * (m.x - mean_of(m.x)))
    yield "grad_weight averaged over the values of a channel", lambda m: mean_of(
        m.g * _normal(m)).ravel()  # fmt: skip
    yield "grad_weight averaged over the batch", lambda m: _sum(m.g * _normal(m)) / max(1, len(m.x))
    yield (
        "grad_weight summed over the items alone, one position",
        lambda m: _first(m.g * _normal(m)),
    )
    yield "grad_weight of the first item only", lambda m: _sum((m.g * _normal(m))[:1])
    yield "grad_weight of the last item only", lambda m: _sum((m.g * _normal(m))[-1:])
    yield "grad_weight multiplied by the weight", lambda m: _sum(m.g * _normal(m) * _weight(m))
    yield "grad_weight and grad_bias exchanged", lambda m: _sum(m.g)
    yield "grad_weight with the unbiased variance", lambda m: _sum(
        m.g * (m.x - mean_of(m.x)) / np.sqrt(var_of(m.x, 1) + m.layer.eps))  # fmt: skip
    yield from _about_eps(lambda m, scale: _sum(m.g * (m.x - mean_of(m.x)) * scale), "grad_weight")


def _of_bias() -> Iterator[tuple[str, Prediction]]:
    yield "grad_bias averaged over the values of a channel", lambda m: mean_of(m.g).ravel()
    yield "grad_bias averaged over the batch", lambda m: _sum(m.g) / max(1, len(m.x))
    yield "grad_bias of the first item only", lambda m: _sum(m.g[:1])
    yield "grad_bias of the last item only", lambda m: _sum(m.g[-1:])
    yield "grad_bias summed over the items alone, one position", lambda m: _first(m.g)
    yield "grad_bias multiplied by the weight", lambda m: _sum(m.g * _weight(m))
    yield "grad_bias is all zeros", lambda m: np.zeros(m.x.shape[1])
    yield "grad_weight and grad_bias exchanged", lambda m: _sum(m.g * _normal(m))


def _about_eps(make: Any, name: str) -> Iterator[tuple[str, Prediction]]:
    for told, scale in (
        ("eps ignored", lambda v, e: 1 / np.sqrt(v)),
        ("eps added to the root, not inside it", lambda v, e: 1 / (np.sqrt(v) + e)),
        ("eps taken for 1e-5 always", lambda v, e: 1 / np.sqrt(v + 1e-5)),
    ):
        yield f"{told} in {name}", partial(_with_eps, make, scale)


def _with_eps(make: Any, scale: Any, m: Mistaken) -> Any:
    return make(m, scale(var_of(m.x), m.layer.eps))


def _items(x: Any) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _count(x: Any) -> int:
    return int(max(1, x.size // max(1, x.shape[1])))


def _sum(x: Any) -> Any:
    return x.sum(axes_of(x))


def _first(x: Any) -> Any:
    """Summed over the items at the first position alone."""
    summed = x.sum(0)
    return summed.reshape(len(summed), -1)[:, 0]


def _weight(m: Mistaken) -> Any:
    return spread(m.case.arrays.weight, m, 1.0)


def _scale(m: Mistaken) -> Any:
    return 1 / np.sqrt(var_of(m.x) + m.layer.eps)


def _normal(m: Mistaken) -> Any:
    return (m.x - mean_of(m.x)) * _scale(m)


def _grad(
    m: Mistaken, mean: float = 1, var: float = 1, weight: Any = None, axes: Any = None,
    ddof: int = 0, less: int = 0, summed: bool = False, scale: Any = None, sums: Any = None,
) -> Any:  # fmt: skip
    """w s (g - mean g - n mean(g n)), with the two means weighed."""
    axes = axes_of(m.x) if axes is None else axes
    weight = _weight(m) if weight is None else weight
    if scale is None:
        scale = 1 / np.sqrt(m.x.var(axes, keepdims=True, ddof=ddof) + m.layer.eps)
    normal = (m.x - m.x.mean(axes, keepdims=True)) * scale
    axes = axes if sums is None else sums
    count = max(1, m.x.size // max(1, normal.sum(axes, keepdims=True).size))
    divisor = 1 if summed else max(1, count - less)
    g_mean = m.g.sum(axes, keepdims=True) / divisor
    along = (m.g * normal).sum(axes, keepdims=True) / divisor
    return weight * scale * (m.g - mean * g_mean - var * normal * along)
