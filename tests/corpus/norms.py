"""The right parts of a batch norm."""

from typing import Any, NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Over items and positions, ready to meet x."""

    mean: Any
    var: Any
    n: int


def wide(a):
    return a.astype(np.float32) if a.dtype == np.float16 else a


def over(x):
    return (0, *range(2, x.ndim))


def per_channel(a, x):
    """(C,) to meet (N, C, *S)."""
    return a.reshape(1, -1, *[1] * (x.ndim - 2))


def moments(x):
    mean = x.mean(axis=over(x), keepdims=True)
    var = ((x - mean) ** 2).mean(axis=over(x), keepdims=True)
    return Moments(mean, var, x.size // x.shape[1])


def affine(y, weight, bias):
    if weight is not None:
        y = y * per_channel(weight, y)
    return y if bias is None else y + per_channel(bias, y)


def given(x, mean, var):
    return Moments(per_channel(mean, x), per_channel(var, x), 1)


def stepped(running, new, momentum):
    return ((1 - momentum) * running + momentum * new.ravel()).astype(running.dtype)


def results(y, m, running_mean, running_var, training, momentum, dtype):
    """y, with the running statistics if there are any."""
    y = y.astype(dtype)
    if running_mean is None:
        return y
    if not training:
        return y, running_mean.copy(), running_var.copy()
    unbiased = m.var * m.n / (m.n - 1)
    return (
        y,
        stepped(running_mean, m.mean, momentum),
        stepped(running_var, unbiased, momentum),
    )


def batch_norm(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
    find=moments,
    scale=lambda var, eps: 1 / np.sqrt(var + eps),
    finish=results,
    affine=affine,
):
    v = wide(x)
    m = find(v) if training else given(v, running_mean, running_var)
    y = affine((v - m.mean) * scale(m.var, eps), weight, bias)
    return finish(y, m, running_mean, running_var, training, momentum, x.dtype)


def normalised(x, eps):
    """(x - mean) / root, and 1 / root."""
    m = moments(wide(x))
    inverse = 1 / np.sqrt(m.var + eps)
    return (wide(x) - m.mean) * inverse, inverse


def gradients(g, x, weight, eps):
    """The three gradients in the dtype that they are summed in."""
    g, (hat, inverse) = wide(g), normalised(x, eps)
    axes = over(x)
    grad = g - g.mean(axis=axes, keepdims=True) - hat * (g * hat).mean(axis=axes, keepdims=True)
    return grad * inverse * per_channel(weight, g), (g * hat).sum(axis=axes), g.sum(axis=axes)


def as_given(grads, x, weight):
    grad_x, grad_weight, grad_bias = grads
    return grad_x.astype(x.dtype), grad_weight.astype(weight.dtype), grad_bias.astype(weight.dtype)


# Where a mistake is seen


def training(c):
    return c.get("training", False)


def running(c):
    return training(c) and c.get("running", False)


def affected(c):
    return c.get("affine", False)
