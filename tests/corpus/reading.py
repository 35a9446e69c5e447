"""Arguments read and refused: the part that the implementations of the corpus share."""

from typing import Any, NamedTuple

import numpy as np

INT = (int, np.integer)


class Call(NamedTuple):
    """A convolution's arguments: float16 is widened to sum in, b is 0 where there is none."""

    x: Any
    w: Any
    b: Any
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int
    kernel: tuple
    out: tuple
    dtype: Any


def per_axis(name, value, axes, least):
    many = (value,) * axes if isinstance(value, INT) else tuple(value)
    if len(many) != axes or not all(isinstance(v, INT) and v >= least for v in many):
        raise ValueError(f"{name} must be {axes} integers of at least {least}: got {value!r}")
    return many


def wide(a, dtype):
    """To sum in: two bytes of a float are too few."""
    return a.astype(np.float32 if dtype.itemsize == 2 and dtype.kind not in "iu" else dtype)


def _arrays(x, w, b, filters):
    x, w = np.asarray(x), np.asarray(w)
    dtype = np.result_type(x, w)
    b = np.zeros(filters, dtype) if b is None else np.asarray(b)
    if b.shape != (filters,):
        raise ValueError(f"b must be of shape ({filters},): got {b.shape}")
    return wide(x, dtype), wide(w, dtype), wide(b, dtype), dtype


def grouped(x, w, groups, inputs, filters):
    if x.ndim != w.ndim or x.ndim < 3:
        raise ValueError(f"x and w must be (N, C, *S) and (O, C/G, *K): got {x.shape}, {w.shape}")
    if not isinstance(groups, INT) or groups < 1 or x.shape[1] != inputs or filters % groups:
        raise ValueError(f"groups and channels do not fit: {x.shape}, {w.shape}, {groups}")


def read(x, w, b, stride, padding, dilation, groups):
    """A convolution's arguments, each per axis."""
    grouped(x, w, groups, w.shape[1] * groups, w.shape[0])
    axes = x.ndim - 2
    stride, dilation = per_axis("stride", stride, axes, 1), per_axis("dilation", dilation, axes, 1)
    if isinstance(padding, str):
        raise NotImplementedError("padding by name")
    padding = per_axis("padding", padding, axes, 0)
    kernel = w.shape[2:]
    out = sizes(x.shape[2:], kernel, stride, padding, padding, dilation)
    x, w, b, dtype = _arrays(x, w, b, w.shape[0])
    return Call(x, w, b, stride, padding, dilation, groups, kernel, out, dtype)


def sizes(full, kernel, stride, before, after, dilation):
    axes = zip(full, kernel, stride, before, after, dilation, strict=True)
    out = tuple((n + p + q - d * (k - 1) - 1) // s + 1 for n, k, s, p, q, d in axes)
    if min(out) < 1 or min(full) < 1:
        raise ValueError(f"the kernel does not fit into the input: output sizes {out}")
    return out


def read_transposed(x, w, b, stride, padding, output_padding, groups, dilation):
    """A transposed convolution's arguments, each per axis, and its output_padding."""
    grouped(x, w, groups, w.shape[0], w.shape[0])
    axes = x.ndim - 2
    stride, dilation = per_axis("stride", stride, axes, 1), per_axis("dilation", dilation, axes, 1)
    padding = per_axis("padding", padding, axes, 0)
    extra = per_axis("output_padding", output_padding, axes, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(f"output_padding must be below stride or dilation: got {extra}")
    kernel = w.shape[2:]
    ranges = zip(x.shape[2:], kernel, stride, padding, extra, dilation, strict=True)
    out = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, e, d in ranges)
    if min(out) < 1:
        raise ValueError(f"the output is empty: {out}")
    x, w, b, dtype = _arrays(x, w, b, w.shape[1] * groups)
    return Call(x, w, b, stride, padding, dilation, groups, kernel, out, dtype), extra


def read_padded(x, w, b, stride, dilation, groups, padding_mode):
    """A padded convolution's arguments; its padding is left to read."""
    if padding_mode not in ("zeros", "circular", "reflect", "replicate"):
        raise ValueError(f"unknown padding_mode {padding_mode!r}")
    grouped(x, w, groups, w.shape[1] * groups, w.shape[0])
    axes = x.ndim - 2
    stride, dilation = per_axis("stride", stride, axes, 1), per_axis("dilation", dilation, axes, 1)
    x, w, b, dtype = _arrays(x, w, b, w.shape[0])
    return Call(x, w, b, stride, (), dilation, groups, w.shape[2:], (), dtype)


def pairs(padding, call):
    """(before, after) of each axis, from a number, numbers, pairs or a name."""
    full, extent = call.x.shape[2:], extents(call)
    if isinstance(padding, str):
        if padding == "same" and max(call.stride) > 1:
            raise ValueError("padding='same' needs stride 1")
        named = {
            "valid": lambda n, e, s: (0, 0),
            "full": lambda n, e, s: (e - 1, e - 1),
            "same": lambda n, e, s: halves(total(n, e, s)),
            "same_upper": lambda n, e, s: halves(total(n, e, s)),
            "same_lower": lambda n, e, s: halves(total(n, e, s))[::-1],
        }
        if padding not in named:
            raise ValueError(f"unknown padding {padding!r}")
        return tuple(map(named[padding], full, extent, call.stride))
    many = (padding,) * len(full) if isinstance(padding, INT) else tuple(padding)
    both = tuple((p, p) if isinstance(p, INT) else tuple(p) for p in many)
    if len(both) != len(full) or not all(len(p) == 2 for p in both):
        raise ValueError(f"padding must be numbers or pairs, one per axis: got {padding!r}")
    return both


def extents(call):
    return tuple(d * (k - 1) + 1 for k, d in zip(call.kernel, call.dilation, strict=True))


def total(n, extent, stride):
    """The padding with which ceil(n / stride) windows fit."""
    return max(0, (-(-n // stride) - 1) * stride + extent - n)


def halves(amount):
    return amount // 2, amount - amount // 2


def read_linear(x, w, b):
    """The arrays of a linear layer, widened, and the dtype of its result."""
    x, w = np.asarray(x), np.asarray(w)
    if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise ValueError(f"x must be (N, in) and w (out, in): got {x.shape}, {w.shape}")
    return _arrays(x, w, b, w.shape[0])


def read_gradient(g, x, w, stride, padding, dilation, groups):
    """A backward pass's arguments; g is widened, and has the shape of the output."""
    call = read(x, w, None, stride, padding, dilation, groups)
    g = np.asarray(g)
    if g.shape != (len(call.x), len(call.w), *call.out):
        raise ValueError(f"g must have the shape of the output, {call.out}: got {g.shape}")
    return call, wide(g, call.dtype)
