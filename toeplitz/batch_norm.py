"""Batch normalisation: a diagonal affine map in inference, a full Jacobian in training."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from toeplitz import arguments, sparse
from toeplitz.affine import Affine
from toeplitz.arrays import Array, batched, namespace, real, same_batch, shaped, together, working
from toeplitz.factors import dense, diagonal
from toeplitz.memory import fits
from toeplitz.sparse import Sparse

OPTIONAL = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, init=False, repr=False)
class BatchNorm:
    """Batch normalisation, y = weight * (x - mean) / sqrt(var + eps) + bias for each channel.

    In training, mean and var (the biased variance, over items and positions) are those of x; in
    inference they are given. input_shape: (C,) or (C, *S) of one item; every per-channel argument
    below has shape (C,), weight None is 1 and bias None is 0.

    Source: Ioffe and Szegedy, Batch Normalization, 2015; torch.nn.BatchNorm2d.

    >>> import numpy as np, toeplitz
    >>> norm = toeplitz.BatchNorm((1,), eps=0)
    >>> norm.apply(np.array([[1.0], [3.0]]), training=True)
    array([[-1.],
           [ 1.]])
    """

    input_shape: tuple[int, ...]
    eps: float

    def __init__(self, input_shape: tuple[int, ...], eps: float = 1e-5) -> None:
        shape = arguments.shape("input_shape", input_shape, "(channels, *spatial)", 1)
        if min(shape[1:], default=1) < 1:
            raise ValueError(f"input_shape must have spatial sizes of at least 1, got {shape}")
        eps = arguments.real("eps", eps)
        if not 0 <= eps < np.inf:
            raise ValueError(f"eps must be at least 0 and finite, got {eps}")
        object.__setattr__(self, "input_shape", shape)
        object.__setattr__(self, "eps", eps)

    def __repr__(self) -> str:
        return arguments.call(self, ("input_shape",), eps=1e-5)

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.input_shape

    @property
    def parameters(self) -> int:
        """A weight and a bias for each channel."""
        return 2 * self.input_shape[0]

    def apply(
        self,
        x: Any,
        weight: Any = None,
        bias: Any = None,
        running_mean: Any = None,
        running_var: Any = None,
        training: bool = False,
    ) -> Array:
        """The normalised x, of x's shape (N, C, *S) or (C, *S) and its float dtype.

        With training=True the statistics are those of x, and running_mean, running_var are not
        looked at (see statistics); with training=False both are needed. Integers become float64;
        float16 and bfloat16 are computed in float32 and rounded once.
        """
        y, result = self._applied(x, weight, bias, running_mean, running_var, training)
        return y.astype(result, copy=False)

    def statistics(
        self, x: Any, running_mean: Any, running_var: Any, momentum: float = 0.1
    ) -> tuple[Array, Array]:
        """The running statistics after seeing x: (mean, var), each (C,); no input is changed.

        new = (1 - momentum) * running + momentum * batch, with the unbiased variance of the
        batch, var * m / (m - 1) over the m values of a channel.
        """
        momentum = arguments.real("momentum", momentum)
        arrays = _real(x=x, running_mean=running_mean, running_var=running_var)
        x, *running = arrays
        for name, old in zip(OPTIONAL[2:], running, strict=True):
            self._per_channel(name, old)
        items, _ = self._prepared(x, arrays)
        mean, var = self._batch_statistics(items)
        count = items.size // max(self.input_shape[0], 1)
        unbiased = var * (count / (count - 1))
        updated = []
        for old, new in zip(running, (mean, unbiased), strict=True):
            mixed = (1 - momentum) * old.astype(items.dtype) + momentum * new.ravel()
            updated.append(mixed.astype(_float(old.dtype), copy=False))
        return updated[0], updated[1]

    def gradients(
        self,
        g: Any,
        x: Any,
        weight: Any = None,
        running_mean: Any = None,
        running_var: Any = None,
        training: bool = True,
    ) -> tuple[Array, Array, Array]:
        """What the upstream gradient g sends back: (grad_x, grad_weight, grad_bias).

        grad_x = Jᵀ g with the Jacobian of jacobian(), in training through its factors
        J = diag(weight / sigma) (I - (1 1ᵀ + x̂ x̂ᵀ) / m), which is symmetric in each channel;
        grad_weight = sum of g * x̂ and grad_bias = sum of g over items and positions.
        """
        seen = _seen(training, running_mean, running_var)
        arrays = _real(g=g, x=x, weight=weight, **seen)
        g, x, weight, running_mean, running_var = arrays
        items, result = self._prepared(x, arrays)
        upstream = batched("g", g, self.input_shape).astype(items.dtype, copy=False)
        same_batch(g, x, len(self.input_shape))
        mean, scale = self._mean_and_scale(items, running_mean, running_var, training)
        normal = (items - mean) * scale
        axes = self._summed(items)
        grad_bias = upstream.sum(axis=axes)
        grad_weight = (upstream * normal).sum(axis=axes)
        sent = upstream
        if training:
            count = items.size // max(self.input_shape[0], 1)
            along = self._spread(grad_bias), self._spread(grad_weight)
            sent = upstream - (along[0] + normal * along[1]) / count
        grad_x = sent * scale * self._channelwise("weight", weight, items.dtype, 1)
        grads = (grad_x.reshape(x.shape), grad_weight, grad_bias)
        grad_x, grad_weight, grad_bias = (a.astype(result, copy=False) for a in grads)
        return grad_x, grad_weight, grad_bias

    def jacobian(
        self,
        x: Any,
        weight: Any = None,
        running_mean: Any = None,
        running_var: Any = None,
        training: bool = True,
    ) -> Sparse:
        """dy/dx at x as a CSR matrix on x.ravel(), square of size x.size.

        In training each channel is a full block over items and positions (m² entries for m values
        of a channel); in inference the matrix is diagonal.
        """
        arrays = _real(x=x, weight=weight, **_seen(training, running_mean, running_var))
        x, weight, running_mean, running_var = arrays
        items, _ = self._prepared(x, arrays)
        mean, scale = self._mean_and_scale(items, running_mean, running_var, training)
        slope = scale * self._channelwise("weight", weight, items.dtype, 1)
        xp = namespace(items)
        if not training:
            diagonal_entries = xp.broadcast_to(slope, items.shape).ravel()
            return sparse.wrap(sparse.compressed([diagonal(x.size)], diagonal_entries))
        number, channels, places = len(items), self.input_shape[0], prod(self.input_shape[1:])
        need = x.size * number * places * (items.dtype.itemsize + 4)
        fits(need, x, "the Jacobian", self, "use gradients(g, x)")
        normal = xp.moveaxis(((items - mean) * scale).reshape(number, channels, places), 1, 0)
        normal = normal.reshape(channels, number * places)
        count = number * places
        block = xp.eye(count, dtype=items.dtype) - (
            1 + normal[:, :, None] * normal[:, None, :]
        ) / items.dtype.type(count)
        block = block * slope.reshape(channels, 1, 1)
        # (C, N S, N S) to (N N, C, S S): one axis for each factor, in the order of x.ravel().
        split = block.reshape(channels, number, places, number, places).transpose(1, 3, 0, 2, 4)
        values = split.reshape(number * number, channels, places * places)
        return sparse.wrap(
            sparse.compressed([dense(number), diagonal(channels), dense(places)], values)
        )

    def linearize(
        self,
        x: Any,
        weight: Any = None,
        bias: Any = None,
        running_mean: Any = None,
        running_var: Any = None,
        training: bool = False,
    ) -> Affine:
        """The layer near x as an affine map of x.ravel(); in inference it is one everywhere."""
        (x,) = together(x=x)
        jacobian = self.jacobian(x, weight, running_mean, running_var, training)
        at = x if training else namespace(x).zeros_like(x)
        y, _ = self._applied(at, weight, bias, running_mean, running_var, training)
        shift = y.astype(jacobian.dtype, copy=False).ravel()
        if training:
            shift = shift - jacobian @ x.ravel().astype(jacobian.dtype)
        return Affine(jacobian, shift)

    def _applied(
        self,
        x: Any,
        weight: Any,
        bias: Any,
        running_mean: Any,
        running_var: Any,
        training: bool,
    ) -> tuple[Array, Any]:
        """y before it is rounded to the dtype of the answer, and that dtype."""
        seen = _seen(training, running_mean, running_var)
        arrays = _real(x=x, weight=weight, bias=bias, **seen)
        x, weight, bias, running_mean, running_var = arrays
        items, result = self._prepared(x, arrays)
        mean, scale = self._mean_and_scale(items, running_mean, running_var, training)
        y = (items - mean) * scale * self._channelwise("weight", weight, items.dtype, 1)
        y = y + self._channelwise("bias", bias, items.dtype, 0)
        return y.reshape(x.shape), result

    def _prepared(self, x: Array, arrays: list[Array]) -> tuple[Array, Any]:
        """x as (N, C, *S) in the dtype computed in, and the dtype of the answer."""
        given = [array.dtype for array in arrays if array is not None]
        result = _float(np.result_type(*given))
        items = batched("x", x, self.input_shape)
        return items.astype(working(result), copy=False), result

    def _mean_and_scale(
        self, items: Array, running_mean: Array, running_var: Array, training: bool
    ) -> tuple[Array, Array]:
        """The mean and 1 / sqrt(var + eps), each broadcastable to the items."""
        if training:
            mean, var = self._batch_statistics(items)
        else:
            if running_mean is None or running_var is None:
                raise ValueError(
                    "running_mean and running_var are needed to normalise with training=False: "
                    "give both, or training=True for the statistics of x"
                )
            mean = self._channelwise("running_mean", running_mean, items.dtype, 0)
            var = self._channelwise("running_var", running_var, items.dtype, 0)
        return mean, 1 / namespace(items).sqrt(var + items.dtype.type(self.eps))

    def _batch_statistics(self, items: Array) -> tuple[Array, Array]:
        trainable("x", items)
        if not items.size:
            empty = namespace(items).zeros((1, self.input_shape[0], *[1] * (items.ndim - 2)))
            return empty.astype(items.dtype), empty.astype(items.dtype)
        axes = self._summed(items)
        return items.mean(axis=axes, keepdims=True), items.var(axis=axes, keepdims=True)

    def _summed(self, items: Array) -> tuple[int, ...]:
        return (0, *range(2, items.ndim))

    def _channelwise(self, name: str, values: Array, dtype: Any, default: int) -> Array:
        """Per-channel values as an array that broadcasts against (N, C, *S)."""
        if values is None:
            return dtype.type(default)
        self._per_channel(name, values)
        return self._spread(values.astype(dtype, copy=False))

    def _per_channel(self, name: str, values: Array | None) -> None:
        """Refuse all but one entry per channel."""
        if values is None:
            raise TypeError(
                f"{name} must have one entry per channel, {self.input_shape[:1]}, got None"
            )
        shaped(name, values, self.input_shape[:1], "one entry per channel,")

    def _spread(self, values: Array) -> Array:
        return values.reshape(-1, *[1] * (len(self.input_shape) - 1))


def trainable(name: str, items: Array) -> None:
    """Refuse one value per channel: it has no variance to divide by."""
    if items.size == items.shape[1] > 0:
        raise ValueError(
            f"training needs more than one value per channel, got {name} of shape {items.shape}: "
            f"the variance of one value is 0"
        )


def _seen(training: bool, running_mean: Any, running_var: Any) -> dict[str, Any]:
    """The running statistics as far as they are looked at: in training they are not."""
    if arguments.flag("training", training):
        running_mean = running_var = None
    return {"running_mean": running_mean, "running_var": running_var}


def _real(**arrays: Any) -> list[Array]:
    """The arguments as real arrays of one library; those of OPTIONAL may be None."""
    result = together(optional=OPTIONAL, **arrays)
    for name, array in zip(arrays, result, strict=True):
        if array is not None:
            real(name, array)
    return result


def _float(dtype: Any) -> Any:
    return np.dtype(np.float64) if dtype.kind in "iu" else dtype
