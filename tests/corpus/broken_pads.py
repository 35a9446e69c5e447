"""Broken pads, forward and backward."""

import numpy as np

from corpus.layers import case, into
from corpus.pads import copied, returned, taken
from corpus.pads import pad as right

BROKEN = []
broken = into(BROKEN)


def pairs(pad):
    return list(zip(pad[::2], pad[1::2], strict=True))


def flat(pairs):
    return tuple(width for pair in pairs for width in pair)


def lopsided(c):
    return any(lo != hi for lo, hi in pairs(c.get("pad")))


def crops(c):
    return min(c.get("pad"), default=0) < 0


def mode_is(mode):
    return lambda c: c.mode == mode


@broken(
    "pad",
    "the widths are read from the first of the axes on",
    lambda c: len(set(pairs(c.get("pad")))) > 1,
    case((1, 1, 1, 1), pad=(0, 0, 0, 1)),
)
def reads_the_first_axis_first(x, pad, mode="constant", value=0.0):
    return right(x, flat(pairs(pad)[::-1]), mode, value)


@broken(
    "pad",
    "before and after exchanged",
    lopsided,
    case((1, 1, 1, 1), pad=(1, 0)),
)
def exchanges_the_sides(x, pad, mode="constant", value=0.0):
    return right(x, flat(pair[::-1] for pair in pairs(pad)), mode, value)


@broken(
    "pad",
    "the first width used on both sides",
    lopsided,
    case((1, 1, 1, 1), pad=(1, 0)),
)
def pads_both_sides_alike(x, pad, mode="constant", value=0.0):
    return right(x, flat((lo, lo) for lo, _ in pairs(pad)), mode, value)


@broken(
    "pad",
    "reflect repeats the edge",
    mode_is("reflect"),
    case((1, 1, 2), mode="reflect", pad=(0, 1)),
)
def repeats_the_edge(x, pad, mode="constant", value=0.0):
    if mode != "reflect":
        return right(x, pad, mode, value)
    return np.pad(x, [(0, 0)] * (x.ndim - len(pad) // 2) + pairs(pad)[::-1], mode="symmetric")


@broken(
    "pad",
    "replicate fills with the value",
    mode_is("replicate"),
    case((1, 1, 1), mode="replicate", pad=(0, 1)),
)
def fills_the_edge(x, pad, mode="constant", value=0.0):
    return right(x, pad, "constant" if mode == "replicate" else mode, value)


@broken(
    "pad",
    "circular copies from the near side",
    mode_is("circular"),
    case((1, 1, 1, 2), mode="circular", pad=(0, 1, 0, 0)),
)
def wraps_the_wrong_way(x, pad, mode="constant", value=0.0):
    where = copied(x.shape, pad, mode)
    if mode == "circular":
        axes = zip(x.shape, [(0, 0)] * (x.ndim - len(pad) // 2) + pairs(pad)[::-1], strict=True)
        where = [np.r_[:lo, :n, n - hi : n] for n, (lo, hi) in axes]
    return taken(x, where, value)


@broken(
    "pad",
    "the value is ignored: zeros",
    lambda c: c.get("value") is not None,
    case((1, 1, 1), pad=(1, 0), value=1),
)
def fills_with_zeros(x, pad, mode="constant", value=0.0):
    return right(x, pad, mode, 0)


@broken(
    "pad",
    "negative widths do nothing",
    crops,
    case((1, 1, 2), pad=(-1, 0)),
)
def takes_no_negative_width(x, pad, mode="constant", value=0.0):
    return right(x, [max(0, width) for width in pad], mode, value)


@broken(
    "pad",
    "negative widths crop at the other end",
    crops,
    case((1, 1, 2), pad=(-1, 0)),
)
def crops_the_other_end(x, pad, mode="constant", value=0.0):
    def crossed(lo, hi):
        return max(lo, 0) + min(hi, 0), max(hi, 0) + min(lo, 0)

    return right(x, flat(crossed(*pair) for pair in pairs(pad)), mode, value)


@broken(
    "pad",
    "integers come back as float64",
    lambda c: c.dtype == "int64",
    case((1, 1, 1), dtype="int64", pad=(0, 0)),
)
def pads_integers_as_floats(x, pad, mode="constant", value=0.0):
    y = right(x, pad, mode, value)
    return y.astype(float) if x.dtype.kind == "i" else y


@broken(
    "pad",
    "the gradient of reflected cells is lost",
    mode_is("reflect"),
    case((1, 1, 2), mode="reflect", pad=(1, 0)),
    right,
)
def loses_the_reflection(g, x, pad, mode="constant", value=0.0):
    return returned(g, x, copied(x.shape, pad, "constant" if mode == "reflect" else mode))


@broken(
    "pad",
    "the gradient of the edge's copies overwrites the edge's own",
    mode_is("replicate"),
    case((1, 1, 1), mode="replicate", pad=(1, 0)),
    right,
)
def overwrites_the_edge(g, x, pad, mode="constant", value=0.0):
    where = copied(x.shape, pad, mode)
    if mode != "replicate":
        return returned(g, x, where)
    grad = np.zeros_like(x, dtype=g.dtype)
    grad[np.ix_(*where)] = g
    return grad


@broken(
    "pad",
    "the gradient of wrapped cells is added on the near side",
    mode_is("circular"),
    case((1, 1, 2), mode="circular", pad=(1, 0)),
    right,
)
def unwraps_the_wrong_way(g, x, pad, mode="constant", value=0.0):
    where = copied(x.shape, pad, mode)
    if mode == "circular":
        axes = zip(x.shape, [(0, 0)] * (x.ndim - len(pad) // 2) + pairs(pad)[::-1], strict=True)
        where = [np.r_[:lo, :n, n - hi : n] for n, (lo, hi) in axes]
    return returned(g, x, where)


@broken(
    "pad",
    "the gradient leaves out the cells that were cropped",
    crops,
    case((1, 1, 2), pad=(0, -1)),
    right,
)
def forgets_what_was_cropped(g, x, pad, mode="constant", value=0.0):
    grad = returned(g, x, copied(x.shape, pad, mode))
    both = [(0, 0)] * (x.ndim - len(pad) // 2) + pairs(pad)[::-1]
    kept = (slice(-min(lo, 0), n + min(hi, 0)) for n, (lo, hi) in zip(x.shape, both, strict=True))
    return grad[tuple(kept)]


@broken(
    "pad",
    "the gradient is cut by the widths in the wrong order of axes",
    lambda c: len(set(pairs(c.get("pad")))) > 1,
    case((1, 1, 1, 1), pad=(1, 0, 0, 0)),
    right,
)
def cuts_the_first_axis_first(g, x, pad, mode="constant", value=0.0):
    if mode != "constant" or min(pad) < 0:
        raise NotImplementedError("more than padding with constants")
    starts = (0,) * (x.ndim - len(pad) // 2) + tuple(pad[::2])
    axes = zip(starts, x.shape, strict=True)
    return g[tuple(slice(start, start + n) for start, n in axes)].copy()
