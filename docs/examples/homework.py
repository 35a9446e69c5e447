"""A student's convolution, with a mistake: `toeplitz verify docs/examples/homework.py:conv2d`."""

import numpy as np


def conv2d(x, w, b=None, stride=1, padding=0):
    (sh, sw), (ph, pw) = ((v, v) if isinstance(v, int) else v for v in (stride, padding))
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    (n, c, height, width), (o, channels, kh, kw) = x.shape, w.shape
    if c != channels:
        raise ValueError(f"x has {c} channels and w has {channels}")
    rows, columns = (height - kh) // sh + 1, (width - kw) // sw + 1
    y = np.zeros((n, o, rows, columns), x.dtype)
    for i in range(rows):
        for j in range(columns):
            patch = x[:, :, i * sh : i * sh + kh, j * sh : j * sh + kw]
            y[:, :, i, j] = np.tensordot(patch, w, ((1, 2, 3), (1, 2, 3)))
    return y if b is None else y + b[:, None, None]
