"""Broken backward passes of a batch norm in training."""

import numpy as np

from corpus.layers import always, case, into
from corpus.norms import (
    as_given,
    batch_norm,
    gradients,
    moments,
    normalised,
    over,
    per_channel,
    wide,
)

BROKEN = []
broken = into(BROKEN)


def mean(v):
    return v.mean(axis=over(v), keepdims=True)


@broken(
    "batch_norm",
    "grad_x without what flows through the mean",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def holds_the_mean_fixed(g, x, weight, eps=1e-5):
    _, grad_weight, grad_bias = gradients(g, x, weight, eps)
    v, (hat, inverse) = wide(g), normalised(x, eps)
    grad = (v - hat * mean(v * hat)) * inverse * per_channel(weight, v)
    return as_given((grad, grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_x without what flows through the variance",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def holds_the_variance_fixed(g, x, weight, eps=1e-5):
    _, grad_weight, grad_bias = gradients(g, x, weight, eps)
    v, (_, inverse) = wide(g), normalised(x, eps)
    grad = (v - mean(v)) * inverse * per_channel(weight, v)
    return as_given((grad, grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_x as after training: both statistics held fixed",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def holds_both_fixed(g, x, weight, eps=1e-5):
    _, grad_weight, grad_bias = gradients(g, x, weight, eps)
    _, inverse = normalised(x, eps)
    grad = wide(g) * inverse * per_channel(weight, x)
    return as_given((grad, grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_x with the wrong sign of the variance's part",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def adds_the_variance_part(g, x, weight, eps=1e-5):
    _, grad_weight, grad_bias = gradients(g, x, weight, eps)
    v, (hat, inverse) = wide(g), normalised(x, eps)
    grad = (v - mean(v) + hat * mean(v * hat)) * inverse * per_channel(weight, v)
    return as_given((grad, grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_x divides the sums by n - 1",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def divides_by_one_less(g, x, weight, eps=1e-5):
    _, grad_weight, grad_bias = gradients(g, x, weight, eps)
    v, (hat, inverse) = wide(g), normalised(x, eps)
    n = x.size // x.shape[1]
    grad = v - mean(v) - hat * mean(v * hat) * n / (n - 1)
    return as_given((grad * inverse * per_channel(weight, v), grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_weight with x as it came, not normalised",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def weighs_raw_inputs(g, x, weight, eps=1e-5):
    grad_x, _, grad_bias = gradients(g, x, weight, eps)
    grad_weight = (wide(g) * wide(x)).sum(axis=over(x))
    return as_given((grad_x, grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_weight with x centred but not scaled",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def weighs_centred_inputs(g, x, weight, eps=1e-5):
    grad_x, _, grad_bias = gradients(g, x, weight, eps)
    grad_weight = (wide(g) * (wide(x) - moments(wide(x)).mean)).sum(axis=over(x))
    return as_given((grad_x, grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_x without the weight",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def forgets_the_weight(g, x, weight, eps=1e-5):
    _, grad_weight, grad_bias = gradients(g, x, weight, eps)
    grad_x, _, _ = gradients(g, x, np.ones_like(weight), eps)
    return as_given((grad_x, grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_weight carries the weight",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def weighs_twice(g, x, weight, eps=1e-5):
    grad_x, grad_weight, grad_bias = gradients(g, x, weight, eps)
    return as_given((grad_x, grad_weight * weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "grad_bias is a mean",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def averages_the_bias(g, x, weight, eps=1e-5):
    grad_x, grad_weight, _ = gradients(g, x, weight, eps)
    return as_given((grad_x, grad_weight, wide(g).mean(axis=over(g))), x, weight)


@broken(
    "batch_norm",
    "grad_weight and grad_bias of the first item only",
    lambda c: c.shape[0] > 1,
    case((2, 1), affine=True, training=True),
    batch_norm,
)
def learns_from_one_item(g, x, weight, eps=1e-5):
    grad_x, _, _ = gradients(g, x, weight, eps)
    v, (hat, _) = wide(g)[:1], normalised(x, eps)
    return as_given((grad_x, (v * hat[:1]).sum(axis=over(v)), v.sum(axis=over(v))), x, weight)


@broken(
    "batch_norm",
    "grad_weight and grad_bias exchanged",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def exchanges_its_gradients(g, x, weight, eps=1e-5):
    grad_x, grad_weight, grad_bias = gradients(g, x, weight, eps)
    return as_given((grad_x, grad_bias, grad_weight), x, weight)


@broken(
    "batch_norm",
    "eps fixed at 1e-5",
    lambda c: c.get("eps") is not None,
    case((1, 1, 2), affine=True, eps=0.5, training=True),
    batch_norm,
)
def goes_back_by_one_eps(g, x, weight, eps=1e-5):
    return as_given(gradients(g, x, weight, 1e-5), x, weight)


@broken(
    "batch_norm",
    "eps added to the root",
    always,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def goes_back_with_eps_outside(g, x, weight, eps=1e-5):
    v, m = wide(g), moments(wide(x))
    inverse = 1 / (np.sqrt(m.var) + eps)
    hat = (wide(x) - m.mean) * inverse
    grad = (v - mean(v) - hat * mean(v * hat)) * inverse * per_channel(weight, v)
    sums = (v * hat).sum(axis=over(v)), v.sum(axis=over(v))
    return as_given((grad, *sums), x, weight)


@broken(
    "batch_norm",
    "the gradients of halves are summed in halves",
    lambda c: c.dtype == "float16",
    case((1, 1, 2), dtype="float16", data="2048 and ones", affine=True, training=True),
    batch_norm,
)
def learns_in_halves(g, x, weight, eps=1e-5):
    grad_x, grad_weight, _ = gradients(g, x, weight, eps)
    grad_bias = np.zeros(x.shape[1], g.dtype)
    for column in np.moveaxis(g, 1, 0).reshape(x.shape[1], -1).T:
        grad_bias += column
    return as_given((grad_x, grad_weight, grad_bias), x, weight)


@broken(
    "batch_norm",
    "the sums run over the items alone",
    lambda c: c.axes > 0,
    case((1, 1, 2), affine=True, training=True),
    batch_norm,
)
def sums_over_the_items(g, x, weight, eps=1e-5):
    _, grad_weight, grad_bias = gradients(g, x, weight, eps)
    v, (hat, inverse) = wide(g), normalised(x, eps)
    grad = v - v.mean(axis=0, keepdims=True) - hat * (v * hat).mean(axis=0, keepdims=True)
    return as_given((grad * inverse * per_channel(weight, v), grad_weight, grad_bias), x, weight)
