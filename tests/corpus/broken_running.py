"""Batch norms with broken running statistics."""

import numpy as np

from corpus.layers import case, into
from corpus.norms import (
    batch_norm,
    moments,
    results,
    running,
    stepped,
    training,
    wide,
)

BROKEN = []
broken = into(BROKEN)


def steps(mean=stepped, var=stepped, unbiased=True):
    """What finishes a batch norm, with another step of the running statistics."""

    def finish(y, m, running_mean, running_var, training, momentum, dtype):
        if running_mean is None or not training:
            return results(y, m, running_mean, running_var, training, momentum, dtype)
        new = m.var * m.n / (m.n - 1) if unbiased else m.var
        new_mean = mean(running_mean, m.mean, momentum)
        return y.astype(dtype), new_mean, var(running_var, new, momentum)

    return finish


@broken(
    "batch_norm",
    "the biased variance goes into the running variance",
    running,
    case((1, 1, 2), running=True, training=True),
)
def runs_biased(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, finish=steps(unbiased=False))


def reversed_step(old, new, momentum):
    return stepped(old, new, 1 - momentum)


@broken(
    "batch_norm",
    "momentum weighs the old statistics, not the new",
    running,
    case((1, 1, 2), running=True, training=True),
)
def keeps_by_momentum(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, finish=steps(reversed_step, reversed_step))


@broken(
    "batch_norm",
    "the running standard deviation is kept as a variance",
    running,
    case((1, 1, 2), running=True, training=True),
)
def runs_a_deviation(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    def root(old, new, momentum):
        return stepped(old, np.sqrt(new), momentum)

    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, finish=steps(var=root))


@broken(
    "batch_norm",
    "the running statistics are replaced",
    running,
    case((1, 1, 2), running=True, training=True),
)
def replaces_the_statistics(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    def replaced(old, new, momentum):
        return new.ravel().astype(old.dtype)

    a = running_mean, running_var, weight, bias, training, momentum, eps
    return batch_norm(x, *a, finish=steps(replaced, replaced))


@broken(
    "batch_norm",
    "the running statistics normalise in training too",
    running,
    case((1, 1, 2), running=True, training=True),
)
def trains_on_the_past(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    a = running_mean, running_var, weight, bias, training, momentum, eps
    if not training or running_mean is None:
        return batch_norm(x, *a)
    y, *_ = batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return results(y, moments(wide(x)), running_mean, running_var, True, momentum, x.dtype)


@broken(
    "batch_norm",
    "the batch's statistics normalise after training too",
    lambda c: not training(c) and c.per_channel > 1,
    case((1, 1, 1, 2), running=True),
)
def never_stops_training(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if x.size == x.shape[1]:
        return batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    y = batch_norm(x, None, None, weight, bias, True, momentum, eps)
    return results(y, moments(wide(x)), running_mean, running_var, training, momentum, x.dtype)


@broken(
    "batch_norm",
    "the running statistics move after training too",
    lambda c: not training(c),
    case((1, 1, 1, 2), running=True),
)
def never_stops_running(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    y = batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if training or x.size == x.shape[1]:
        return y
    return results(y[0], moments(wide(x)), running_mean, running_var, True, momentum, x.dtype)


@broken(
    "batch_norm",
    "the running statistics are changed in place",
    running,
    case((1, 1, 2), running=True, training=True),
)
def writes_into_the_arguments(
    x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    y = batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    if isinstance(y, tuple):
        running_mean[:], running_var[:] = y[1:]
    return y
