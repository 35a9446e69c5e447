"""Batch normalisation."""

from toeplitz.arrays import Array, together
from toeplitz.batch_norm import BatchNorm


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
    so momentum has no effect here.

    >>> import numpy as np, toeplitz
    >>> x = np.array([[1.0], [3.0]])
    >>> toeplitz.functional.batch_norm(x, None, None, training=True, eps=0)
    array([[-1.],
           [ 1.]])
    """
    (input,) = together(input=input)
    if input.ndim < 2:
        raise ValueError(f"input must be (N, C, *S), got {input.shape}")
    norm = BatchNorm(input.shape[1:], eps)
    return norm.apply(input, weight, bias, running_mean, running_var, training)
