"""Broken padded convolutions: what stands outside the input, and what state is kept of it."""

import numpy as np

from corpus.around import cells, finish, gathered, surrounded
from corpus.entries import Case, into
from corpus.reading import pairs, read_padded

BROKEN = []
broken = into(BROKEN)


def pads(c, mode, some=lambda lo, hi: max(lo, hi) > 0):
    return c.padding_mode == mode and any(some(lo, hi) for lo, hi in c.pairs)


@broken(
    "padded_conv1d",
    "circular padding off by one: it wraps to one cell too far",
    "circular padding > 0",
    lambda c: pads(c, "circular"),
    Case((1, 2), (1, 1, 1), padding=((0, 1),), padding_mode="circular"),
)
def wraps_one_too_many(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    (both,), n = pairs(padding, a), a.x.shape[2]
    where = cells(n, *both, padding_mode)
    if padding_mode == "circular":
        lo, hi = max(0, both[0]), max(0, both[1])
        first, kept = max(0, -both[0]), n + min(0, both[0]) + min(0, both[1])
        where[:lo] = first + (where[:lo] - first - 1) % kept
        where[len(where) - hi :] = first + (where[len(where) - hi :] - first + 1) % kept
    return finish(gathered(a.x, where, 2), a)


@broken(
    "padded_conv1d",
    "reflect padding repeats the edge: it is numpy's symmetric",
    "reflect padding > 0",
    lambda c: pads(c, "reflect"),
    Case((1, 2), (1, 1, 1), padding=((0, 1),), padding_mode="reflect"),
)
def mirror_between_the_cells(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    ((lo, hi),), n = pairs(padding, a), a.x.shape[2]
    if padding_mode != "reflect":
        return finish(surrounded(a.x, ((lo, hi),), padding_mode), a)
    if max(lo, hi) >= n:
        raise ValueError("reflect padding must be narrower than the input")
    x = np.pad(a.x, ((0, 0), (0, 0), (max(0, lo), max(0, hi))), mode="symmetric")
    return finish(x[:, :, max(0, -lo) : x.shape[2] - max(0, -hi)], a)


@broken(
    "padded_conv2d",
    "replicate padding fills with zeros",
    "replicate padding > 0",
    lambda c: pads(c, "replicate"),
    Case((1, 1, 1), (1, 1, 1, 1), padding=((0, 0), (0, 1)), padding_mode="replicate"),
)
def edge_of_zeros(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    mode = "zeros" if padding_mode == "replicate" else padding_mode
    return finish(surrounded(a.x, pairs(padding, a), mode), a)


@broken(
    "padded_conv2d",
    "padding_mode heeded on the width only: the height is padded with zeros",
    "a padding_mode other than zeros, and padding of the height > 0",
    lambda c: c.padding_mode != "zeros" and max(c.pairs[0]) > 0,
    Case((1, 1, 1), (1, 1, 1, 1), padding=((0, 1), (0, 0)), padding_mode="circular"),
)
def the_earth_is_a_cylinder(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    rows, columns = pairs(padding, a)
    if padding_mode == "reflect" and max(rows) >= a.x.shape[2]:
        raise ValueError("reflect padding must be narrower than the input")
    x = surrounded(a.x, ((0, 0), columns), padding_mode)
    return finish(surrounded(x, (rows, (0, 0)), "zeros"), a)


@broken(
    "padded_conv2d",
    "the corners stay zero: each side is padded from the input itself",
    "a padding_mode other than zeros, and both axes padded",
    lambda c: c.padding_mode != "zeros" and min(map(max, c.pairs)) > 0,
    Case((1, 1, 1), (1, 1, 1, 1), padding=((0, 1), (0, 1)), padding_mode="circular"),
)
def empty_corners(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    both = pairs(padding, a)
    x = surrounded(a.x, both, padding_mode)
    inside = []
    for length, (lo, hi) in zip(x.shape[2:], both, strict=True):
        cell = np.arange(length)
        inside.append((cell >= max(0, lo)) & (cell < length - max(0, hi)))
    corners = ~inside[0][:, None] & ~inside[1]
    return finish(np.where(corners, np.zeros((), x.dtype), x), a)


@broken(
    "padded_conv1d",
    "circular padding wraps once only: beyond the length of the input the edge is repeated",
    "circular padding wider than the input",
    lambda c: (
        pads(c, "circular") and max(c.pairs[0]) > c.sizes[0] + sum(min(0, p) for p in c.pairs[0])
    ),
    Case((1, 2), (1, 1, 1), padding=((0, 3),), padding_mode="circular"),
)
def adds_n_instead_of_modulo(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    ((lo, hi),), n = pairs(padding, a), a.x.shape[2]
    where = cells(n, lo, hi, padding_mode)
    if padding_mode == "circular":
        first, last = max(0, -lo), n - max(0, -hi)
        cell = np.arange(-lo, n + hi)
        cell = np.where(cell < first, cell + last - first, cell)
        cell = np.where(cell >= last, cell - (last - first), cell)
        where = cell.clip(first, last - 1)
    return finish(gathered(a.x, where, 2), a)


@broken(
    "padded_conv1d",
    "padding_mode ignored where the padding has a name",
    "a padding_mode other than zeros, and same or full padding",
    lambda c: isinstance(c.padding, str) and c.padding_mode != "zeros" and max(c.pairs[0]) > 0,
    Case((1, 1), (1, 1, 2), padding="same_upper", padding_mode="circular"),
)
def names_mean_zeros(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    mode = "zeros" if isinstance(padding, str) else padding_mode
    return finish(surrounded(a.x, pairs(padding, a), mode), a)


_tables = {}


@broken(
    "padded_conv2d",
    "state kept between calls: the table of padded cells is cached without the padding_mode",
    "an earlier call with the same sizes and padding and another padding_mode",
    lambda c: c.before is not None,
    Case(
        (1, 1, 1),
        (1, 1, 1, 1),
        padding=((0, 0), (0, 1)),
        padding_mode="circular",
        before=Case((1, 1, 1), (1, 1, 1, 1), padding=((0, 0), (0, 1))),
    ),
    reset=_tables.clear,
)
def one_table_for_all_modes(
    x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"
):
    a = read_padded(x, w, b, stride, dilation, groups, padding_mode)
    x = a.x
    for axis, both in enumerate(pairs(padding, a), 2):
        key = x.shape[axis], both
        if key not in _tables:
            _tables[key] = cells(x.shape[axis], *both, padding_mode)
        x = gathered(x, _tables[key], axis)
    return finish(x, a)
