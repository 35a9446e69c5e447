"""The layers on which speed is measured, and what torch computes them with."""

from functools import partial

import numpy as np
import pytest

import toeplitz
from toeplitz.threads import threads

LAYERS = {
    "64→64, 3x3, 56²": toeplitz.Conv((64, 56, 56), (64, 64, 3, 3), padding=1),
    "128→128, 3x3, 28²": toeplitz.Conv((128, 28, 28), (128, 128, 3, 3), padding=1),
    "256→256, 3x3, 14²": toeplitz.Conv((256, 14, 14), (256, 256, 3, 3), padding=1),
    "16→16, 3x3, 56²": toeplitz.Conv((16, 56, 56), (16, 16, 3, 3), padding=1),
    "3→64, 7x7 stride 2, 224²": toeplitz.Conv((3, 224, 224), (64, 3, 7, 7), stride=2, padding=3),
    "depthwise 128, 3x3, 56²": toeplitz.Conv((128, 56, 56), (128, 1, 3, 3), padding=1, groups=128),
    "256→64, 1x1, 56²": toeplitz.Conv((256, 56, 56), (64, 256, 1, 1)),
    "64→64, 3, 16000": toeplitz.Conv((64, 16000), (64, 64, 3), padding=1),
    "16→16, 3x3x3, 32³": toeplitz.Conv((16, 32, 32, 32), (16, 16, 3, 3, 3), padding=1),
}


def drawn(*shape, seed=0):
    """Float32 numbers."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def channels_last(batch):
    """(N, C, *S) as (N, *S, C) in memory."""
    return np.ascontiguousarray(np.moveaxis(batch, 1, -1))


def torch_convolutions(conv, x, w):
    """torch's own convolution of a batch, channels first and last, on as many threads as ours."""
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[torch]'")
    torch.set_num_threads(threads())
    function = getattr(torch.nn.functional, f"conv{conv.ndim}d")
    arguments = {
        "stride": conv.stride,
        "padding": [before for before, _ in conv.padding],
        "dilation": conv.dilation,
        "groups": conv.groups,
    }
    batch, weights = torch.from_numpy(x), torch.from_numpy(w)
    found = {"channels_first": partial(function, batch, weights, **arguments)}
    if conv.ndim > 1:
        form = torch.channels_last if conv.ndim == 2 else torch.channels_last_3d
        last = [tensor.contiguous(memory_format=form) for tensor in (batch, weights)]
        found["channels_last"] = partial(function, *last, **arguments)
    return found
