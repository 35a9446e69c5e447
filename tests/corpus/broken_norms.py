"""Broken batch norms, forward."""

import numpy as np

from corpus.layers import always, case, into
from corpus.norms import (
    Moments,
    affected,
    affine,
    batch_norm,
    given,
    moments,
    over,
    per_channel,
    results,
    training,
    wide,
)

BROKEN = []
broken = into(BROKEN)


def by_axes(*axes):
    def find(x):
        these = tuple(a for a in axes if a < x.ndim) if axes else tuple(range(2, x.ndim))
        mean = x.mean(axis=these, keepdims=True)
        var = ((x - mean) ** 2).mean(axis=these, keepdims=True)
        return Moments(mean, var, x.size // x.shape[1])

    return find


def norm(find=moments, **parts):
    """A batch norm whose statistics y is normalised by, and only they, are found otherwise."""

    def f(x, running_mean, running_var, weight, bias, training, momentum, eps):
        y = batch_norm(x, None, None, weight, bias, True, momentum, eps, find, **parts)
        return results(y, moments(wide(x)), running_mean, running_var, True, momentum, x.dtype)

    return f


@broken("batch_norm", "statistics over the items alone", training, case((1, 1, 2), training=True))
def normalises_each_position(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return norm(by_axes(0))(x, *a) if training else batch_norm(x, *a)


@broken("batch_norm", "statistics over the positions alone", training, case((2, 1), training=True))
def normalises_each_item(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return norm(by_axes())(x, *a) if training else batch_norm(x, *a)


@broken("batch_norm", "statistics over all channels", training, case((1, 2, 2), training=True))
def normalises_all_channels(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return norm(by_axes(0, 1, 2, 3, 4))(x, *a) if training else batch_norm(x, *a)


def unbiased(x):
    m = moments(x)
    return m._replace(var=m.var * m.n / (m.n - 1))


@broken("batch_norm", "the unbiased variance normalises", training, case((1, 1, 2), training=True))
def normalises_unbiased(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return norm(unbiased)(x, *a) if training else batch_norm(x, *a)


@broken("batch_norm", "eps added to the root", always, case((1, 1), running=True))
def adds_eps_outside(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, scale=lambda var, eps: 1 / (np.sqrt(var) + eps))


@broken("batch_norm", "eps added twice", always, case((1, 1), running=True))
def adds_eps_twice(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, scale=lambda var, eps: 1 / np.sqrt(var + eps + eps))


@broken("batch_norm", "eps ignored", always, case((1, 1), running=True))
def leaves_eps_out(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, scale=lambda var, eps: 1 / np.sqrt(var))


@broken(
    "batch_norm",
    "eps fixed at 1e-5",
    lambda c: c.get("eps") is not None,
    case((1, 1), eps=0.5, running=True),
)
def knows_one_eps(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    return batch_norm(x, running_mean, running_var, weight, bias, training, momentum, 1e-5)


@broken("batch_norm", "divided by the variance, without a root", always, case((1, 1), running=True))
def divides_by_the_variance(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, scale=lambda var, eps: 1 / (var + eps))


def one_pass(x):
    mean = x.mean(axis=over(x), keepdims=True)
    square = (x * x).mean(axis=over(x), keepdims=True)
    return Moments(mean, np.maximum(square - mean * mean, 0), x.size // x.shape[1])


@broken(
    "batch_norm",
    "in float32 the variance is E[x²] - E[x]², which cancels",
    lambda c: training(c) and c.dtype == "float32",
    case((1, 1, 1, 2), dtype="float32", data="offset", training=True),
)
def cancels_the_variance(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, find=one_pass if x.dtype == np.float32 else moments)


@broken(
    "batch_norm", "weight and bias exchanged", affected, case((1, 1), affine=True, running=True)
)
def exchanges_weight_and_bias(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    return batch_norm(x, running_mean, running_var, bias, weight, training, momentum, eps)


@broken(
    "batch_norm",
    "the bias is scaled by the weight",
    affected,
    case((1, 1), affine=True, running=True),
)
def scales_the_bias(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    def scaled(y, weight, bias):
        return affine(affine(y, None, bias), weight, None)

    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, affine=scaled)


@broken(
    "batch_norm",
    "weight and bias meet the last axis where its size is that of the channels",
    lambda c: affected(c) and c.axes > 0 and c.shape[-1] == c.shape[1],
    case((1, 2, 2), affine=True, training=True),
)
def scales_each_position(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    def broadcast(y, weight, bias):
        if weight is None or y.shape[-1] != len(weight):
            return affine(y, weight, bias)
        return y * weight + bias

    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, affine=broadcast)


def in_halves(x):
    mean = np.zeros(x.shape[1], np.float16)
    for column in np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).T:
        mean += column.astype(np.float16)
    mean = per_channel((mean / (x.size // x.shape[1])).astype(x.dtype), x)
    return moments(x)._replace(mean=mean)


@broken(
    "batch_norm",
    "the mean of halves is summed in halves",
    lambda c: training(c) and c.dtype == "float16",
    case((1, 1, 1, 2), dtype="float16", data="2048 and ones", training=True),
)
def averages_halves_in_halves(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, find=in_halves if x.dtype == np.float16 else moments)


@broken("batch_norm", "the mean is not subtracted", always, case((1, 1), running=True))
def does_not_centre(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    v = wide(x)
    m = moments(v) if training else given(v, running_mean, running_var)
    y = affine(v / np.sqrt(m.var + eps), weight, bias)
    return results(y, m, running_mean, running_var, training, momentum, x.dtype)
