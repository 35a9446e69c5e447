"""What is right for a case of a pool, norm, fold or pad, told by loops, and who differs from it."""

import contextlib
import functools

import loops_layers as loops
import numpy as np
from layer_cases import ARRAYS, arrays_of, places_of

U = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "int64": 0.0}
SUMMED = U | {"float16": 2.0**-24}  # the unit in which sums are taken


# How it is called


def keywords_of(c, op, backward=False):
    options = {name: value for name, value in c.options if name not in ARRAYS}
    if op == "fold":
        options["output_size"] = c.sizes
    if op == "batch_norm" and backward:
        options = {"eps": options["eps"]} if "eps" in options else {}
    return options


def call(entry, c, a):
    """A tuple of results, for what is right too."""
    backward = entry.backward is not None
    options = keywords_of(c, entry.op, backward)
    with np.errstate(all="ignore"):
        if backward:
            weight = (a.weight,) if entry.op == "batch_norm" else ()
            got = entry.backward(a.g, a.x, *weight, **options)
        elif entry.op == "batch_norm":
            got = entry.forward(*a[:1], *a[2:], **options)
        else:
            got = entry.forward(a.x, **options)
    return got if isinstance(got, tuple) else (got,)


# What is right: a list of (exact array, bound of the error or 0, dtype or None)


def gamma(n, c):
    u = SUMMED[c.dtype]
    return n * u / (1 - n * u)


def floats(a):
    return np.array([float(v) for v in a.ravel()]).reshape(a.shape)


@functools.lru_cache(maxsize=4096)
def answers(c, op, backward):
    a = arrays_of(c, op)
    if op == "batch_norm":
        return norm_answers(c, a, backward)
    if op == "pad":
        widths, mode = c.get("pad"), c.mode
        if backward:
            return [(loops.padded_grad(a.g, a.x, widths, mode), 0, c.dtype)]
        return [(loops.padded(a.x, widths, mode, c.get("value", 0.0)), 0, c.dtype)]
    if op in ("unfold", "fold"):
        geometry = c.kernel, c.step, c.padding, c.dilation
        if (op == "unfold") == backward:
            return [(loops.fold(a.g if backward else a.x, c.shape, *geometry), 0, c.dtype)]
        return [(loops.unfold(a.g if backward else a.x, *geometry), 0, c.dtype)]
    out, places = places_of(c, op)
    if "max" in op:
        if backward:
            return [(loops.max_pool_grad(a.g, a.x, places), 0, c.dtype)]
        y, index = loops.max_pool(a.x, out, places)
        return [(y, 0, c.dtype), (index, 0, None)]
    by = loops.divisors(places, c.get("count_include_pad", True), c.get("divisor_override"))
    if not backward:
        y = loops.avg_pool(a.x, out, places, by)
        return [(y, gamma(8, c) * abs(floats(y)), c.dtype)]  # exact sums, then at most 8 roundings
    sizes = floats(loops.avg_pool_grad(abs(a.g), a.x, places, [abs(n) for n in by]))
    grad = loops.avg_pool_grad(a.g, a.x, places, by)
    return [(grad, gamma(len(places) + 8, c) * sizes, c.dtype)]


def norm_answers(c, a, backward):
    """Bounds to first order in u, doubled for the higher ones.

    The mean of n numbers of at most M errs by gamma_n M. The variance errs by n u k v, where
    k = M / sqrt(v) at most, in the worst of the stable algorithms, updating (Chan, Golub and
    LeVeque 1983, Algorithms for computing the sample variance, table 1), and by the square of the
    mean's error.
    """
    training, eps = c.get("training", False), c.get("eps", 1e-5)
    x = a.x.astype(float)
    axes, line = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    n, top = c.per_channel, abs(x).max(axis=axes, keepdims=True)
    weight = 1.0 if a.weight is None else abs(a.weight.astype(float)).reshape(line)
    bias = 0.0 if a.bias is None else abs(a.bias.astype(float)).reshape(line)
    if training:
        mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
        off = gamma(n + 3, c) * 2 * top
        off_var = gamma(4 * n + 8, c) * (var + np.sqrt(var) * top) + off**2
    else:
        mean, var = a.mean.astype(float).reshape(line), a.var.astype(float).reshape(line)
        off, off_var = gamma(3, c) * (top + abs(mean)), 0 * var
    s = np.sqrt(var + eps)
    hat, off_root = abs(x - mean) / s, off_var / s**2 + gamma(8, c)
    off_hat = off / s + hat * off_root
    if backward:
        return norm_gradients(c, a, weight / s, off_root, hat, off_hat, axes)
    y, means, variances = loops.batch_norm(*a[:1], *a[2:], training, c.get("momentum", 0.1), eps)
    found = [(y, 2 * (weight * off_hat + gamma(4, c) * (weight * hat + bias)), c.dtype)]
    if means is None:
        return found
    momentum, kept = abs(c.get("momentum", 0.1)), gamma(8, c)
    sizes = [abs(a.mean.astype(float)), abs(a.var.astype(float))]
    if not training:
        return [*found, (means, 0, a.mean.dtype), (variances, 0, a.var.dtype)]
    bounds = [
        kept * (sizes[0] + abs(mean).ravel()) + momentum * off.ravel(),
        kept * (sizes[1] + 2 * var.ravel()) + 2 * momentum * off_var.ravel(),
    ]
    return [*found, (means, 2 * bounds[0], a.mean.dtype), (variances, 2 * bounds[1], a.var.dtype)]


def norm_gradients(c, a, scale, off_root, hat, off_hat, axes):
    g = abs(a.g.astype(float))
    top, hats = (v.max(axis=axes, keepdims=True) for v in (g, hat))
    off = off_hat.max(axis=axes, keepdims=True)
    n = gamma(c.per_channel + 8, c)
    bound = scale * top * ((n + off_root) * 2 * (1 + hats**2) + 2 * (1 + hats) * off)
    by_weight = n * (g * hat).sum(axis=axes) + (g * off).sum(axis=axes)
    grads = loops.batch_norm_grad(a.g, a.x, a.weight, c.get("eps", 1e-5))
    bounds = 2 * bound + 0 * g, 2 * by_weight, n * g.sum(axis=axes)
    dtypes = c.dtype, a.weight.dtype, a.weight.dtype
    return list(zip(grads, bounds, dtypes, strict=True))


# Judged


def differ(got, right, bound, dtype):
    """What differs: "shape", "dtype", "value", or nothing."""
    got = np.asarray(got)
    if got.shape != right.shape:
        yield "shape"
        return
    if dtype is not None and got.dtype != dtype:
        yield "dtype"
    if dtype is None or got.dtype.kind in "iu":
        if any(g != r for g, r in zip(got.ravel().tolist(), right.ravel().tolist(), strict=True)):
            yield "value"
        return
    with np.errstate(all="ignore"):
        exact, rounded = floats(right), floats(right).astype(dtype)
        bad = ~((got == rounded) | (got != got) & (rounded != rounded))
        if np.any(bound):
            tolerance = bound + U[np.dtype(dtype).name] * abs(exact)
            bad &= ~(abs(got.astype(float) - exact) <= tolerance)
    if bad.any():
        yield "value"


def faults(entry, c, reference=None):
    """All that is wrong with an implementation on a case."""
    backward = entry.backward is not None
    right = (reference or answers)(c, entry.op, backward)
    a = arrays_of(c, entry.op)
    try:
        got = call(entry, c, a)
    except NotImplementedError:
        raise
    except Exception:
        return {"crash"}
    found = set()
    for result, wanted in zip(got, right, strict=False):
        found.update(differ(result, *wanted))
    for is_now, was in zip(a, arrays_of(c, entry.op), strict=True):
        if was is not None and not np.array_equal(is_now, was, equal_nan=True):
            found.add("input modified")
    return found


def finds(entry, c):
    """The same, where what is not supported is not wrong."""
    with contextlib.suppress(NotImplementedError):
        return faults(entry, c)
    return set()
