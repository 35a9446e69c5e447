"""Pools, batch norms, unfold, fold and pad as a program: right, or with one mistake.

layers.py MISTAKE answers the requests on stdin; layers.py MISTAKE OP ROLE REQUEST ANSWER … the one
in a file. What it does with bytes and files is written from docs/programs.md.
"""

import sys
from pathlib import Path

import numpy as np

import toeplitz
import toeplitz.functional as F

ARRAYS = ("g", "x", "running_mean", "running_var", "weight", "bias")
FLOATS = ("value", "momentum", "eps")
MODES = ("constant", "circular", "reflect", "replicate")


def words(given):
    """The arguments of a line."""
    for name, text in given.items():
        if name == "mode":
            yield name, text
        else:
            yield name, tuple(map(float if name in FLOATS else int, text.split(",")))


def prepared(given):
    """The arguments as toeplitz takes them: flags, numbers, tuples."""
    made = dict(given)
    for name in ("ceil_mode", "count_include_pad", "training"):
        if name in made:
            made[name] = bool(made[name][0])
    for name in FLOATS:
        if name in made:
            made[name] = made[name][0]
    if "divisor_override" in made:
        made["divisor_override"] = made["divisor_override"][0] or None
    return made


def layer(op, x, given):
    """The layer that a backward pass is of."""
    if op == "pad":
        pairs = list(zip(given["pad"][::2], given["pad"][1::2], strict=True))
        pairs += [(0, 0)] * (x.ndim - 2 - len(pairs))
        return toeplitz.Pad(x.shape[1:], tuple(pairs[::-1]), given["mode"], given["value"])
    name = "".join(part.capitalize() for part in op[:-2].split("_"))
    return getattr(toeplitz, name)(x.shape[1:], **given)


def forward(op, x, running_mean=None, running_var=None, weight=None, bias=None, **given):
    """y and what may come after it."""
    if op == "batch_norm":
        y = F.batch_norm(x, running_mean, running_var, weight, bias, **given)
        if not given["training"]:
            return y, running_mean, running_var
        norm = toeplitz.BatchNorm(x.shape[1:], given["eps"])
        return y, *norm.statistics(x, running_mean, running_var, given["momentum"])
    if "max_pool" in op:
        pool = layer(op, x, given)
        return pool.apply(x), pool.indices(x)
    if op.startswith("global"):
        return (layer(op, x, given).apply(x),)
    return (getattr(F, op)(x, **given),)


def backward(op, g, x, weight=None, **given):
    """The gradients."""
    if op == "batch_norm":
        return toeplitz.BatchNorm(x.shape[1:], given["eps"]).gradients(g, x, weight)
    if op == "unfold":
        return (F.fold(g, x.shape[2:], **given),)
    if op == "fold":
        del given["output_size"]
        return (F.unfold(g, **given),)
    return (layer(op, x, given).gradient(g, x),)


# Mistakes: in what is asked for, and in what is answered.

ASKED = {
    "undilated": lambda given: {"dilation": (1,) * len(given["dilation"])},
    "undivided": lambda given: {"divisor_override": None},
    "exchanged": lambda given: {"stride": given["dilation"], "dilation": given["stride"]},
    "swapped": lambda given: {"output_size": given["output_size"][::-1]},
    "worthless": lambda given: {"value": 0.0},
    "zero_mode": lambda given: {"mode": "constant"},
    "one_eps": lambda given: {"eps": 1e-5},
    "reversed": lambda given: {"momentum": 1 - given["momentum"]},
}
GIVEN = {
    "taps_first": lambda arrays, given: {"x": taps_first(arrays["x"], given)},
}
ANSWERED = {
    "positive": lambda x, y, *rest: (np.maximum(y, 0), *rest),
    "squeezed": lambda x, y: (y.reshape(y.shape[:2]),),
    "scattered": lambda x, y, at: (y, at + plane_of(x, at)),
    "averaged": lambda x, *grads: (*grads[:2], grads[2] / (x.size // x.shape[1])),
}


def taps_first(columns, given):
    """Rows in the order (taps, channels)."""
    taps = int(np.prod(given["kernel_size"]))
    n, rows, windows = columns.shape
    split = columns.reshape(n, taps, rows // taps, windows)
    return split.transpose(0, 2, 1, 3).reshape(columns.shape)


def plane_of(x, at):
    """How many cells lie before each channel."""
    channels = np.arange(x.shape[1]).reshape(-1, *[1] * (x.ndim - 2))
    return np.broadcast_to(channels * int(np.prod(x.shape[2:])), at.shape)


def answered(mistake, op, role, arrays, given):
    """The arrays of an answer."""
    given = prepared(given)
    if mistake in ASKED:
        given |= ASKED[mistake](given)
    if mistake in GIVEN:
        arrays = arrays | GIVEN[mistake](arrays, given)
    found = {"forward": forward, "backward": backward}[role](op, **arrays, **given)
    if mistake in ANSWERED:
        found = ANSWERED[mistake](arrays["x"], *found)
    kept = arrays["x"].dtype
    return [part if part.dtype.kind == "i" else part.astype(kept) for part in found]


NAMES = {"batch_norm": ("y", "new_mean", "new_var")}
GRADIENTS = {"batch_norm": ("grad_x", "grad_weight", "grad_bias")}


def by_bytes(mistake):
    """Answer requests until stdin ends."""
    while line := sys.stdin.buffer.readline().decode():
        _, _, op, role, dtype, *rest = line.split()
        given = dict(word.split("=") for word in rest)
        data = sys.stdin.buffer.read(int(given.pop("bytes")))
        arrays, at = {}, 0
        for name in [name for name in ARRAYS if name in given]:
            shape = tuple(map(int, given.pop(name).split(",")))
            if shape == (0,):
                continue  # not given
            count = int(np.prod(shape))
            flat = np.frombuffer(data, dtype, count, at) if count else np.zeros(0, dtype)
            arrays[name] = flat.reshape(shape)
            at += flat.nbytes
        try:
            found = answered(mistake, op, role, arrays, dict(words(given)))
        except ValueError as error:
            print("toeplitz 1 refused", error, flush=True)
            continue
        if role == "backward":
            names = GRADIENTS.get(op, ("grad_x",))
        else:
            names = NAMES.get(op, ("y", "indices"))
        told = [
            f"{name}={','.join(map(str, part.shape))}"
            for name, part in zip(names, found, strict=False)
        ]
        line = f"toeplitz 1 ok {dtype} {' '.join(told)}\n"
        sys.stdout.buffer.write(b"".join([line.encode(), *(part.tobytes() for part in found)]))
        sys.stdout.flush()


def by_files(mistake, op, role, request, *answers):
    """Answer the request in a file."""
    with np.load(request) as file:  # without pickle: numbers only
        given = dict(file)
    arrays = {name: given.pop(name) for name in ARRAYS if name in given}
    given = {name: tuple(values.tolist()) for name, values in given.items()}
    if "mode" in given:
        given["mode"] = MODES[given["mode"][0]]
    found = answered(mistake, op, role, arrays, given)
    for path, part in zip(answers, found, strict=False):
        np.save(Path(path), part)


if __name__ == "__main__":
    (by_files if len(sys.argv) > 2 else by_bytes)(*sys.argv[1:])
