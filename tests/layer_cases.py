"""Cases of pools, norms, folds and pads: valid ones drawn, and made smaller."""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import loops_layers as loops
import numpy as np
from corpus.layers import case, values

EXAMPLES = 80
PLAIN = "integers", "negative", "equal", "small"  # data, the plainest first
PADS = ("constant", "constant", "reflect", "replicate", "circular")
ARRAYS = ("affine", "running")  # options that are told by which arrays are given


class Arrays(NamedTuple):
    """What a call is given, apart from keywords."""

    x: Any
    g: Any
    mean: Any = None
    var: Any = None
    weight: Any = None
    bias: Any = None


def kind(op):
    return op.rstrip("123d_") if op[-1] == "d" and op[-2] in "123" else op


def is_sum(op):
    """Whether the result is divided or scaled, and so a float."""
    return "avg" in op or op == "batch_norm"


def places_of(c, op):
    """(out, places) of what reads windows."""
    if kind(op).startswith(("adaptive", "global")):
        return loops.adaptive_places(c.sizes, c.out)
    stride = c.step if op in ("fold", "unfold") else c.stride
    return loops.pool_places(c.sizes, c.kernel, stride, c.padding, c.dilation, c.ceils)


def output_shape(c, op):
    if op == "batch_norm":
        return c.shape
    if op == "pad":
        widths = c.get("pad")
        pairs = loops.pairs_of(len(c.shape), widths)
        return tuple(n + lo + hi for n, (lo, hi) in zip(c.shape, pairs, strict=True))
    out, places = places_of(c, op)
    if op == "unfold":
        return (c.shape[0], c.shape[1] * math.prod(c.kernel), len(places))
    return c.shape if op == "fold" else (*c.shape[:2], *out)


def is_valid(c, op, backward=False):
    """Whether the case has a right answer."""
    if min(c.shape) < 1:
        return False
    if op == "batch_norm":
        given = c.get("training", False) or c.get("running", False)
        known = not backward or (c.get("training", False) and c.get("affine", False))
        return given and known and (not c.get("training", False) or c.per_channel > 1)
    if op == "pad":
        return pad_is_valid(c)
    if min(c.kernel + c.out + c.dilation + c.step) < 1 or min(c.padding) < 0:
        return False
    if kind(op).startswith(("adaptive", "global")):
        return True
    if op not in ("fold", "unfold"):
        if any(p > k // 2 for p, k in zip(c.padding, c.kernel, strict=True)):
            return False
        if op == "avg_pool3d" and any(k > n for k, n in zip(c.kernel, c.sizes, strict=True)):
            return False
        if op.endswith("1d") and c.get("divisor_override") is not None:
            return False
        axes = zip(c.kernel, c.dilation, c.sizes, c.padding, strict=True)
        if any(d * (k - 1) >= n + 2 * p for k, d, n, p in axes):
            return False  # ceil_mode makes a window of less than that
    out, places = places_of(c, op)
    if not places or min(out) < 1:
        return False
    return op in ("fold", "unfold") or all(any(i is not None for i in p) for p in places)


def pad_is_valid(c):
    if not c.get("pad"):
        return False
    pairs = loops.pairs_of(len(c.shape), c.get("pad"))
    if c.mode == "constant":
        kept = (n + min(0, lo) + min(0, hi) for n, (lo, hi) in zip(c.shape, pairs, strict=True))
        return min(kept) >= 1 and min(output_shape(c, "pad")) >= 1
    room = {"reflect": -1, "circular": 0, "replicate": 9}[c.mode]
    full = len(c.get("pad")) == 2 * c.axes
    axes = zip(c.shape, pairs, strict=True)
    return full and all(min(pair) >= 0 and max(pair) <= n + room for n, pair in axes)


def arrays_of(c, op, seed=0):
    """Fresh arrays of a case."""
    shape = output_shape(c, op)
    if op == "fold":
        taps, columns = math.prod(c.kernel), len(places_of(c, op)[1])
        x = values(c, (c.shape[0], c.shape[1] * taps, columns), 1 + seed, special=True)
    else:
        x = values(c, c.shape, 1 + seed, special=True)
    ordinary = dataclasses.replace(c, data=c.data if c.data[:4] == "2048" else "integers")
    g = values(ordinary, shape, 4 + seed, special=True)
    if op != "batch_norm":
        return Arrays(x, g)
    more = dataclasses.replace(c, data="integers", dtype="float32" if is_half(c) else c.dtype)
    mean, var, weight, bias = (values(more, c.shape[1:2], n + seed) for n in (2, 3, 5, 6))
    return Arrays(
        x,
        g,
        *((mean, abs(var)) if c.get("running") else (None, None)),
        *((weight, bias) if c.get("affine") else (None, None)),
    )


def is_half(c):
    return c.dtype == "float16"


# Drawn, and made smaller


def some(rng, *choices):
    return choices[rng.integers(len(choices))]


def drawn_case(op, rng):
    """A case of the op, valid or not."""
    axes = int(op[-2]) if op[-2:] in ("1d", "2d", "3d") else 2
    if op in ("pad", "batch_norm"):
        axes = int(rng.integers(1 - (op == "batch_norm"), 4 if op == "pad" else 3))
    ints = lambda low, high: tuple(map(int, rng.integers(low, high + 1, axes)))  # noqa: E731, local shorthand
    sizes = ints(1, {0: 1, 1: 9, 2: 5, 3: 4}[axes])
    shape = (some(rng, 1, 1, 2), some(rng, 1, 1, 2, 3), *sizes)
    data = some(rng, "integers", "integers", "integers", "small", "negative", "ends in nan")
    told = {
        "dtype": some(rng, "float64", "float64", "float64", "float32", "float16"),
        "layout": some(rng, "contiguous", "contiguous", "transposed", "sliced", "backwards"),
        "data": data,
    }
    if told["dtype"] == "float16":
        told["data"] = some(rng, "integers", "2048 and ones")
    elif "max" in op:
        told["data"] = some(rng, data, data, "far below", "minus infinity", "equal")
    if not is_sum(op) and rng.integers(4) == 0:
        told |= {"dtype": "int64", "data": some(rng, "integers", "small", "large", "negative")}
    options = drawn_options(op, axes, sizes, rng, ints)
    if op == "batch_norm":
        half = told["dtype"] == "float16"
        told["data"] = some(rng, "integers", "2048 and ones" if half else "offset", "small")
        told["dtype"] = "float32" if told["data"] == "offset" else told["dtype"]
    if told["data"] == "2048 and ones" and "kernel_size" in options:
        options |= {"kernel_size": 3, "stride": 1, "padding": 1}  # with many overlaps
    return case(shape, **told, **options)


def drawn_options(op, axes, sizes, rng, ints):
    if op == "batch_norm":
        names = "affine", "running", "training"
        flags = {name: True for name in names if rng.integers(3)}
        eps, momentum = some(rng, {}, {"eps": 0.5}), some(rng, {}, {"momentum": 0.25})
        return flags | eps | momentum
    if op == "pad":
        most = 2 * some(rng, axes, axes, axes + 2)
        widths = tuple(map(int, rng.integers(some(rng, -1, 0), 4, most)))
        mode = some(rng, *PADS)
        if mode != "constant":
            return {"pad": tuple(map(abs, widths))[: 2 * axes], "mode": mode}
        return {"pad": widths} | some(rng, {}, {"value": 7})
    if kind(op).startswith("global"):
        return {}
    if kind(op).startswith("adaptive"):
        return {"output_size": some(rng, ints(1, 5), ints(1, 3), 2)}
    kernel = ints(1, 3)
    options = {"kernel_size": some(rng, kernel, kernel, kernel, 2)}
    options |= some(rng, {}, {"stride": ints(1, 3)}, {"stride": ints(1, 3)})
    padding = ints(0, 1)
    if op not in ("fold", "unfold"):
        options |= some(rng, {}, {"ceil_mode": True})
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    options |= some(rng, {}, {"padding": padding})
    if "avg" not in op:
        options |= some(rng, {}, {"dilation": ints(1, 3)})
        return options
    options |= some(rng, {}, {"count_include_pad": False})
    return options | (some(rng, {}, {}, {"divisor_override": 3}) if axes > 1 else {})


@functools.cache
def cases_of(op, backward):
    """Valid cases of the op, always the same."""
    rng, found = np.random.default_rng([*op.encode(), backward]), []
    while len(found) < EXAMPLES:
        c = drawn_case(op, rng)
        asked = not backward or c.data not in ("ends in nan", "minus infinity") or "max" in op
        if asked and is_valid(c, op, backward):
            found.append(c)
    return found


def nearer(value, least):
    """An option's value with one number moved towards `least`, in every way."""
    if isinstance(value, tuple):
        for i, n in enumerate(value):
            for m in nearer(n, least):
                yield (*value[:i], m, *value[i + 1 :])
    elif not isinstance(value, bool) and isinstance(value, int) and value != least:
        yield value - 1 if value > least else value + 1


def smaller(c, op, backward=False):
    """Every valid case that is smaller or simpler by one step."""
    found = [dataclasses.replace(c, shape=shape) for shape in nearer(c.shape, 1)]
    for name in ("dtype", "layout"):
        found.append(dataclasses.replace(c, **{name: getattr(type(c), name)}))
    plainer = PLAIN[: PLAIN.index(c.data)] if c.data in PLAIN else PLAIN
    found += [dataclasses.replace(c, data=data) for data in plainer]
    options = dict(c.options)
    if op in ("pad", "batch_norm") and c.axes > (op == "pad"):
        less = {"pad": c.get("pad")[2:]} if op == "pad" else {}
        found.append(replaced(dataclasses.replace(c, shape=c.shape[:-1]), options | less))
    if op == "pad":
        found.append(replaced(c, options | {"pad": c.get("pad")[:-2]}))
    for name, value in c.options:
        if name not in ("kernel_size", "output_size", "pad"):
            found.append(replaced(c, {k: v for k, v in options.items() if k != name}))
        for other in nearer(value, 0 if name in ("padding", "pad", "value") else 1):
            found.append(replaced(c, options | {name: other}))
    for simpler in found:
        if simpler != c and is_valid(simpler, op, backward):
            yield simpler


def replaced(c, options):
    return dataclasses.replace(c, options=tuple(sorted(options.items())))
