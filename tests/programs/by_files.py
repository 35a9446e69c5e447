"""A program that reads and writes files; what it computes is right unless it is told otherwise."""

import os
import sys
from pathlib import Path

import numpy as np

how, (request, *answers) = sys.argv[1], sys.argv[2:]
given = dict(np.load(request))


def conv2d(x, w, b=None, stride=None, padding=None, dilation=None, groups=None):
    if x.shape[1] != w.shape[1] * groups[0]:
        sys.exit("x and w have other numbers of channels")
    wide = np.pad(x, [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(wide, extents, (2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    split = np.split(windows, groups[0], axis=1), np.split(w, groups[0])
    y = [np.einsum("ncpqij,ocij->nopq", *pair) for pair in zip(*split, strict=True)]
    return np.concatenate(y, axis=1) + (0 if b is None else b[:, None, None])


answer, data = answers[0], b""
if how == "right":
    y = conv2d(**given)
    np.save(answer, y.astype(given["x"].dtype))
elif how == "columns":
    np.save(answer, np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]).astype(">f8"))
elif how == "backward":
    for name, part in zip(answers, "gxw", strict=True):
        np.save(name, given[part])
elif how == "nothing":
    print("done")
elif how == "text":
    Path(answer).write_text("1 2\n")
elif how == "short":
    np.save(answer, np.ones(4))
    os.truncate(answer, os.path.getsize(answer) - 8)
elif how == "bomb":
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)}
    with open(answer, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
elif how == "empty_bomb":
    header = {"descr": "<f8", "fortran_order": False, "shape": (0, 10**9, 10**9)}
    with open(answer, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
elif how == "objects":
    np.save(answer, np.array([{}]), allow_pickle=True)
elif how == "crash":
    sys.stderr.write("out of memory\n")
    os.abort()
elif how == "status":
    os._exit(3)
elif how == "raises":
    raise KeyError("no such layer")
elif how == "unsupported":
    print("no dilation yet", file=sys.stderr)
    sys.exit(77)
elif how == "loop":
    while True:
        pass
