"""Known mistakes of batch norms, and of their gradients."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from verify.mistakes import Mistaken, Prediction
from verify.ops import Op

Statistics = Callable[[Any], tuple[Any, Any]]  # x to (mean, var), to be broadcast


def suspicions(op: Op) -> dict[str, Prediction]:
    """The mistakes that the forward pass may have."""
    return dict(_forward())


def further_suspicions(op: Op, which: int) -> dict[str, Prediction]:
    """The mistakes that the running statistics may have, the mean's or the variance's."""
    return dict(_of_running(which))


def _forward() -> Iterator[tuple[str, Prediction]]:
    yield "unbiased variance used to normalise", _training(lambda x: (mean_of(x), var_of(x, 1)))
    for told, axes in (
        ("statistics of each item alone", lambda x: tuple(range(2, x.ndim))),
        ("statistics of each position alone, over the items", lambda x: (0,)),
        ("statistics over the channels too", lambda x: tuple(range(x.ndim))),
        ("statistics over channels and positions of each item",
         lambda x: tuple(range(1, x.ndim))),
        ("statistics of the last axis in place of the channels",
         lambda x: tuple(range(x.ndim - 1))),
    ):  # fmt: skip
        yield told, _training(partial(_over, axes))
    yield "batch statistics used in inference", _inference(lambda x: (mean_of(x), var_of(x)))
    yield "running statistics used in training", _trained_on_running
    yield "eps added to the root, not inside it", _scaled(lambda v, e: 1 / (np.sqrt(v) + e))
    yield "eps ignored", _scaled(lambda v, e: 1 / np.sqrt(v))
    yield "eps added twice", _scaled(lambda v, e: 1 / np.sqrt(v + 2 * e))
    yield "eps taken for 1e-5 always", _scaled(lambda v, e: 1 / np.sqrt(v + 1e-5))
    yield "eps squared", _scaled(lambda v, e: 1 / np.sqrt(v + e * e))
    yield "variance taken for a standard deviation", _scaled(lambda v, e: 1 / (v + e))
    yield "multiplied with the root", _scaled(lambda v, e: np.sqrt(v + e))
    yield "mean not subtracted", lambda m: _out(m, *_seen(m, mean=False))
    yield "variance about zero", _training(lambda x: (mean_of(x), mean_of(x**2)))
    yield "weight ignored", lambda m: _out(m, *_seen(m), weight=None)
    yield "bias ignored", lambda m: _out(m, *_seen(m), bias=None)
    yield "one added to the weight", lambda m: _out(m, *_seen(m), weight=_plus_one(m))
    yield "bias added before the scaling", _bias_first
    yield "bias subtracted", lambda m: _out(m, *_seen(m), bias=_minus(m))
    yield "weight and bias exchanged", _exchanged
    yield "running mean and variance exchanged", _swapped_running
    yield "momentum mixed into the output: normalised by the new running statistics", _new_running
    yield "weight and bias along the last axis", _last_axis


def _of_running(which: int) -> Iterator[tuple[str, Prediction]]:
    name = ("mean", "variance")[which]
    yield f"running {name} not updated", lambda m: _running(m)[which]
    yield f"momentum reversed in the running {name}", partial(_mixed, which, reverse=True)
    yield f"running {name} replaced by the batch's", partial(_mixed, which, momentum=1.0)
    yield (
        f"momentum taken for 0.1 always in the running {name}",
        partial(_mixed, which, momentum=0.1),
    )
    yield f"the batch's {name} added to the running one whole", partial(_added, which)
    yield f"running {name} updated in inference too", partial(_mixed, which, always=True)
    if which:
        yield "biased variance in the running variance", partial(_mixed, 1, ddof=0)
        yield "standard deviation in the running variance", _deviation
        yield "unbiased by m + 1 in the running variance", partial(_mixed, 1, ddof=-1)


def axes_of(x: Any) -> tuple[int, ...]:
    """The axes of the items and positions: all but the channels."""
    return (0, *range(2, x.ndim))


def mean_of(x: Any) -> Any:
    """The mean of each channel, to be broadcast."""
    return x.mean(axes_of(x), keepdims=True)


def var_of(x: Any, ddof: int = 0) -> Any:
    """The variance of each channel, to be broadcast."""
    return x.var(axes_of(x), keepdims=True, ddof=ddof)


def _over(axes: Any, x: Any) -> tuple[Any, Any]:
    return x.mean(axes(x), keepdims=True), x.var(axes(x), keepdims=True)


def spread(values: Any, m: Mistaken, default: float = 0.0) -> Any:
    """One value for each channel, to be broadcast; the default where there is none."""
    shape = (1, m.x.shape[1], *[1] * (m.x.ndim - 2))
    return np.full(shape, default) if values is None else np.reshape(values, shape)


def _weight(m: Mistaken) -> Any:
    return spread(m.case.arrays.weight, m, 1.0)


def _running(m: Mistaken) -> tuple[Any, Any]:
    return m.case.arrays.running_mean, m.case.arrays.running_var


def _seen(m: Mistaken, mean: bool = True) -> tuple[Any, Any]:
    """The statistics that y is normalised by."""
    if m.layer.training:
        found = mean_of(m.x), var_of(m.x)
    else:
        found = spread(_running(m)[0], m), spread(_running(m)[1], m)
    return (found[0], found[1]) if mean else (np.zeros_like(found[0]), found[1])


def _out(m: Mistaken, mean: Any, var: Any, weight: Any = ..., bias: Any = ...,
         scale: Any = None) -> Any:  # fmt: skip
    weight = m.case.arrays.weight if weight is ... else weight
    bias = m.case.arrays.bias if bias is ... else bias
    scale = 1 / np.sqrt(var + m.layer.eps) if scale is None else scale
    return (m.x - mean) * scale * spread(weight, m, 1.0) + spread(bias, m)


def _training(statistics: Statistics) -> Prediction:
    """Other statistics, which only training computes."""
    return lambda m: _out(m, *statistics(m.x)) if m.layer.training else m.case.arrays.y


def _inference(statistics: Statistics) -> Prediction:
    return lambda m: m.case.arrays.y if m.layer.training else _out(m, *statistics(m.x))


def _scaled(scale: Any) -> Prediction:
    def predicted(m: Mistaken) -> Any:
        mean, var = _seen(m)
        with np.errstate(divide="ignore", invalid="ignore"):
            return _out(m, mean, var, scale=scale(var, m.layer.eps))

    return predicted


def _trained_on_running(m: Mistaken) -> Any:
    mean, var = (spread(values, m) for values in _running(m))
    return _out(m, mean, var) if m.layer.training else m.case.arrays.y


def _swapped_running(m: Mistaken) -> Any:
    if m.layer.training:
        return m.case.arrays.y
    mean, var = (spread(values, m) for values in _running(m))
    with np.errstate(invalid="ignore", divide="ignore"):
        return _out(m, var, mean)


def _new_running(m: Mistaken) -> Any:
    if not m.layer.training:
        return m.case.arrays.y
    return _out(m, *(spread(values, m) for values in m.case.arrays.further))


def _plus_one(m: Mistaken) -> Any:
    return None if m.case.arrays.weight is None else m.case.arrays.weight + 1


def _minus(m: Mistaken) -> Any:
    return None if m.case.arrays.bias is None else -m.case.arrays.bias


def _exchanged(m: Mistaken) -> Any:
    if m.case.arrays.weight is None:
        return m.case.arrays.y
    return _out(m, *_seen(m), weight=m.case.arrays.bias, bias=m.case.arrays.weight)


def _bias_first(m: Mistaken) -> Any:
    mean, var = _seen(m)
    scale = 1 / np.sqrt(var + m.layer.eps)
    return ((m.x - mean) * scale + spread(m.case.arrays.bias, m)) * _weight(m)


def _last_axis(m: Mistaken) -> Any:
    weight, bias = m.case.arrays.weight, m.case.arrays.bias
    if weight is None or m.x.ndim < 3:
        return m.case.arrays.y
    if m.x.shape[-1] != len(weight):
        return m.case.arrays.y
    mean, var = _seen(m)
    return (m.x - mean) / np.sqrt(var + m.layer.eps) * weight + bias


def _mixed(
    which: int, m: Mistaken, momentum: float | None = None, reverse: bool = False, ddof: int = 1,
    always: bool = False,
) -> Any:  # fmt: skip
    old = _running(m)[which]
    if not (m.layer.training or always):
        return old
    mixing = m.layer.momentum if momentum is None else momentum
    mixing = 1 - mixing if reverse else mixing
    with np.errstate(divide="ignore", invalid="ignore"):
        new = (var_of(m.x, ddof) if which else mean_of(m.x)).ravel()
    return (1 - mixing) * old + mixing * new


def _added(which: int, m: Mistaken) -> Any:
    old = _running(m)[which]
    if not m.layer.training:
        return old
    new = (var_of(m.x, 1) if which else mean_of(m.x)).ravel()
    return m.layer.momentum * old + new


def _deviation(m: Mistaken) -> Any:
    old, mixing = _running(m)[1], m.layer.momentum
    if not m.layer.training:
        return old
    return (1 - mixing) * old + mixing * np.sqrt(var_of(m.x, 1)).ravel()
