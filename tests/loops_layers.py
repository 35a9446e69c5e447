"""The oracle of pools, folds, pads and batch norms: nested loops on exact numbers, as in loops.py.

Arrays are whole batches, (N, C, *S); results are object arrays of ints, Fractions and floats.
PyTorch's definitions hold.
"""

import itertools
import math
from fractions import Fraction

import numpy as np
from loops import adaptive_windows, cells, exact, pad, pooled_shape, source, windows, zeros

ROOT_BITS = 160  # a root is cut off after so many bits behind the point


def number(v):
    """Exact where it is finite."""
    return Fraction(v) if math.isfinite(v) else v


def rows(x):
    """(N, C, *S) as N * C planes."""
    return exact(x).reshape(x.shape[0] * x.shape[1], -1)


# Pools: `places` is a list of windows, each a list of flat inputs, None for padding


def pool_places(sizes, kernel, stride, padding, dilation, ceil_mode):
    """(out, places) of a pool."""
    pairs = tuple((p, p) for p in padding)
    geometry = sizes, kernel, stride, pairs, dilation, ceil_mode
    return pooled_shape(*geometry), [seen for _, seen in windows(*geometry)]


def adaptive_places(sizes, out):
    """(out, places) of an adaptive pool; of a global one if out is 1."""
    axes = [adaptive_windows(n, m) for n, m in zip(sizes, out, strict=True)]
    places = []
    for window in itertools.product(*axes):
        ranges = itertools.product(*(range(lo, hi) for lo, hi in window))
        places.append([int(np.ravel_multi_index(cell, sizes)) for cell in ranges])
    return out, places


def winner(row, seen):
    """The first cell of the largest value; a NaN is larger than anything."""
    best = None
    for i in seen:
        if i is not None and (
            best is None or row[i] > row[best] or (row[i] != row[i] and row[best] == row[best])
        ):
            best = i
    return best


def max_pool(x, out, places):
    """y and the flat position of each maximum."""
    values, best = [], []
    for row in rows(x):
        for seen in places:
            best.append(winner(row, seen))
            values.append(row[best[-1]])
    shape = (*x.shape[:2], *out)
    return objects(values, shape), objects(best, shape)


def max_pool_grad(g, x, places):
    """grad_x: every g goes to one cell."""
    grad = zeros(*rows(x).shape)
    for r, (row, errors) in enumerate(zip(rows(x), rows(g), strict=True)):
        for seen, error in zip(places, errors, strict=True):
            grad[r, winner(row, seen)] += error
    return grad.reshape(x.shape)


def divisors(places, include=True, override=None):
    """What each window's sum is divided by: cells beyond the padding are not in it."""
    if override is not None:
        return [override] * len(places)
    return [len(seen) if include else sum(i is not None for i in seen) for seen in places]


def avg_pool(x, out, places, by):
    """y[t] = (sum of x[i] over the window) / divisor."""
    y = []
    for row in rows(x):
        for seen, divisor in zip(places, by, strict=True):
            y.append(sum(number(row[i]) for i in seen if i is not None) / Fraction(divisor))
    return objects(y, (*x.shape[:2], *out))


def avg_pool_grad(g, x, places, by):
    """grad_x[i] = sum of g[t] / divisor over the windows that read i."""
    grad = zeros(*rows(x).shape)
    for r, errors in enumerate(rows(g)):
        for seen, error, divisor in zip(places, errors, by, strict=True):
            for i in seen:
                if i is not None:
                    grad[r, i] += number(error) / Fraction(divisor)
    return grad.reshape(x.shape)


def objects(values, shape):
    """A flat list as an object array."""
    y = zeros(math.prod(shape))
    for i, v in enumerate(values):
        y[i] = v
    return y.reshape(shape)


# Unfold and fold


def unfold(x, kernel, stride, padding, dilation):
    """(N, C * K, L)."""
    _, places = pool_places(x.shape[2:], kernel, stride, padding, dilation, False)
    n, c, taps = *x.shape[:2], math.prod(kernel)
    y = zeros(n, c * taps, len(places))
    for (item, channel), (column, seen) in itertools.product(cells((n, c)), enumerate(places)):
        plane = exact(x[item, channel]).ravel()
        for k, i in enumerate(seen):
            y[item, channel * taps + k, column] = 0 if i is None else plane[i]
    return y


def fold(columns, shape, kernel, stride, padding, dilation):
    """The transpose of unfold: (N, C * K, L) to `shape`, (N, C, H, W)."""
    _, places = pool_places(shape[2:], kernel, stride, padding, dilation, False)
    n, c, taps = *shape[:2], math.prod(kernel)
    y, columns = zeros(n, c, math.prod(shape[2:])), exact(columns)
    for (item, channel), (column, seen) in itertools.product(cells((n, c)), enumerate(places)):
        for k, i in enumerate(seen):
            if i is not None:
                y[item, channel, i] += columns[item, channel * taps + k, column]
    return y.reshape(shape)


# Pad


def pairs_of(axes, widths):
    """(before, after) of each axis; `widths` begins with the last axis, and may name fewer."""
    both = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    return ((0, 0),) * (axes - len(both)) + tuple(both)


def padded(x, widths, mode, value):
    """x padded on its last axes."""
    pairs = pairs_of(x.ndim, widths)
    if mode != "constant":
        return pad(exact(x)[None], pairs, mode)[0]
    y = pad(exact(x)[None], pairs)[0]
    inside = pad(np.ones((1, *x.shape), int), pairs)[0]
    y[inside == 0] = value
    return y


def padded_grad(g, x, widths, mode):
    """Every cell of g is added to the input that it copied."""
    pairs, grad, g = pairs_of(x.ndim, widths), zeros(*x.shape), exact(g)
    mode = "zeros" if mode == "constant" else mode
    for p in cells(g.shape):
        axes = zip(p, x.shape, pairs, strict=True)
        s = tuple(source(*axis, mode) for axis in axes)
        if None not in s:
            grad[s] += g[p]
    return grad


# Batch norm


def root(q):
    """The square root of a Fraction, as a Fraction."""
    scaled = math.isqrt((q.numerator * q.denominator) << (2 * ROOT_BITS))
    return Fraction(scaled, q.denominator << ROOT_BITS)


def moments(values):
    """Mean and biased variance."""
    mean = sum(map(Fraction, values)) / len(values)
    return mean, sum((Fraction(v) - mean) ** 2 for v in values) / len(values)


def batch_norm(x, mean, var, weight, bias, training, momentum, eps):
    """y, and what the running statistics become (None where there are none)."""
    y, x = zeros(*x.shape), exact(x)
    means, variances = (None if a is None else exact(a) for a in (mean, var))
    for c in range(x.shape[1]):
        values, n = x[:, c].ravel(), x[:, c].size
        m, v = moments(values) if training else (Fraction(means[c]), Fraction(variances[c]))
        scale = 1 if weight is None else Fraction(exact(weight)[c])
        shift = 0 if bias is None else Fraction(exact(bias)[c])
        s = root(v + Fraction(eps))
        y[:, c] = objects([(Fraction(u) - m) / s * scale + shift for u in values], x[:, c].shape)
        if training and means is not None:
            keep, new = 1 - Fraction(momentum), Fraction(momentum)
            means[c] = keep * Fraction(means[c]) + new * m
            variances[c] = keep * Fraction(variances[c]) + new * v * n / (n - 1)
    return y, means, variances


def batch_norm_grad(g, x, weight, eps):
    """grad_x through the whole Jacobian, grad_weight, grad_bias; in training."""
    grad, x, g = zeros(*x.shape), exact(x), exact(g)
    weights, grad_weight, grad_bias = exact(weight), zeros(x.shape[1]), zeros(x.shape[1])
    for c in range(x.shape[1]):
        errors, values, n = g[:, c].ravel(), x[:, c].ravel(), x[:, c].size
        m, v = moments(values)
        s = root(v + Fraction(eps))
        d = [Fraction(u) - m for u in values]
        errors = [Fraction(e) for e in errors]
        grad_bias[c] = sum(errors)
        grad_weight[c] = sum(e * a / s for e, a in zip(errors, d, strict=True))
        column = []
        for i in range(n):
            total = Fraction(0)
            for j in range(n):  # d y[j] / d x[i]
                total += errors[j] * (((i == j) - Fraction(1, n)) - d[j] * d[i] / (n * s * s))
            column.append(total * Fraction(weights[c]) / s)
        grad[:, c] = objects(column, x[:, c].shape)
    return grad, grad_weight, grad_bias
