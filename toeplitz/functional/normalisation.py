"""Batch normalisation."""

import numpy as np

from toeplitz import arguments
from toeplitz.arrays import Array, is_half, real, shaped, together
from toeplitz.batch_norm import OPTIONAL, BatchNorm, trainable
from toeplitz.functional.checks import alike


def batch_norm(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    """Batch normalisation of input (N, C, *S); see toeplitz.BatchNorm.

    In training with the statistics of input; running_mean and running_var are never written to,
    so momentum has no effect here. With an input of halves all the others may be float32.

    >>> import numpy as np, toeplitz
    >>> x = np.array([[1.0], [3.0]])
    >>> toeplitz.functional.batch_norm(x, None, None, training=True, eps=3)
    array([[-0.5],
           [ 0.5]])
    """
    statistics = {"running_mean": running_mean, "running_var": running_var}
    arrays = statistics | {"weight": weight, "bias": bias}
    input, *given = together(optional=OPTIONAL, input=input, **arrays)
    if not (is_half(input.dtype) and all(a is None or a.dtype == np.float32 for a in given)):
        alike(optional=OPTIONAL, input=input, **arrays)
    real("input", input)
    if input.ndim < 2:
        raise ValueError(f"input must be (N, C, *S), got {input.shape}")
    norm = BatchNorm(input.shape[1:], eps)
    arguments.real("momentum", momentum)
    if arguments.flag("training", training):
        _check_training(input, norm.eps, dict(zip(statistics, given, strict=False)))
    y = norm.apply(input, weight, bias, running_mean, running_var, training)
    return y.astype(input.dtype, copy=False) if is_half(input.dtype) else y


def _check_training(input: Array, eps: float, statistics: dict[str, Array | None]) -> None:
    """What PyTorch refuses in training although it computes without it."""
    if eps == 0:
        raise ValueError("eps must be above 0 in training, got 0")
    trainable("input", input)
    if len([None for array in statistics.values() if array is None]) == 1:
        raise ValueError("running_mean and running_var must both be given, or both be None")
    for name, array in statistics.items():
        if array is not None:
            shaped(name, array, input.shape[1:2], "one entry per channel,")
