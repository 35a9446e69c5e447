"""PyTorch's functions on numpy or cupy arrays: names, argument order, semantics and refusals.

Each builds the geometry and calls it. As in PyTorch the arrays of one call share a dtype; unlike
it, integers are accepted everywhere, and nothing is written to (batch_norm leaves the running
statistics alone: BatchNorm.statistics gives the new ones).

>>> import numpy as np
>>> import toeplitz.functional as F
>>> x = np.arange(9.0).reshape(1, 1, 3, 3)
>>> F.conv2d(x, np.arange(4.0).reshape(1, 1, 2, 2))
array([[[[19., 25.],
         [37., 43.]]]])
"""

from toeplitz.functional.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    linear,
)
from toeplitz.functional.normalisation import (
    batch_norm,
)
from toeplitz.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from toeplitz.functional.rearranging import (
    fold,
    pad,
    unfold,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "linear",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "pad",
    "unfold",
]
