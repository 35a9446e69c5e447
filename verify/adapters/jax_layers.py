"""JAX's functions as layers without weights: reduce_window, patches, pad and standardize."""

from math import prod
from typing import Any

import numpy as np

from verify.adapters import Function
from verify.adapters.unweighted import Windows, layer
from verify.ops import Op

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def own(function: Any, op: Op) -> Function | None:
    """One of jax's own functions as a layer without weights; None for another."""
    import jax

    found = {
        "reduce_window": (jax.lax.reduce_window, op.family in ("max_pool", "avg_pool")),
        "conv_general_dilated_patches": (
            jax.lax.conv_general_dilated_patches, op.name == "unfold"
        ),
        "pad": (jax.numpy.pad, op.name == "pad"),
        "standardize": (jax.nn.standardize, op.family == "norm"),
    }  # fmt: skip
    name = next((n for n, (known, _) in found.items() if function is known), None)
    if name is None:
        return None
    if not found[name][1] or op.name.startswith("adaptive"):
        raise ValueError(f"jax's {name} does not do {op.name}")
    makers: dict[str, Function] = {
        "pad": _pad,
        "standardize": _batch_norm,
        "conv_general_dilated_patches": _unfold,
    }
    run = makers.get(name) or (_max_pool if op.family == "max_pool" else _avg_pool)

    def call(x: Any, *given: Any) -> Any:
        if op.name.startswith("global"):
            ones, sizes = (1,) * op.ndim, x.shape[2:]
            given = (Windows(sizes, ones, (0,) * op.ndim, ones),)
        return run(function, x, *given)

    return layer(op, call, ("momentum",))


def _max_pool(reduce_window: Function, x: Any, over: Windows) -> Any:
    import jax

    whole = jax.numpy.issubdtype(x.dtype, jax.numpy.integer)
    least = np.iinfo(x.dtype).min if whole else -np.inf
    return reduce_window(x, np.array(least, x.dtype), jax.lax.max, **_windows(x, over))


def _avg_pool(reduce_window: Function, x: Any, over: Windows) -> Any:
    """The sums are jax's; what they are divided by is said by the op, in float32 at least."""
    import jax

    sums = reduce_window(x, np.array(0, x.dtype), jax.lax.add, **_windows(x, over))
    wide = jax.numpy.promote_types(x.dtype, np.float32)
    return (sums.astype(wide) / over.divisors(x.shape[2:]).astype(wide)).astype(x.dtype)


def _windows(x: Any, over: Windows) -> dict[str, Any]:
    return {
        "window_dimensions": (1, 1, *over.kernel),
        "window_strides": (1, 1, *over.stride),
        "padding": ((0, 0), (0, 0), *over.reach(x.shape[2:])),
        "window_dilation": (1, 1, *over.dilation),
    }


def _unfold(patches: Function, x: Any, over: Windows) -> Any:
    found = patches(x, over.kernel, over.stride, over.pairs, rhs_dilation=over.dilation)
    return found.reshape(*found.shape[:2], prod(found.shape[2:]))


def _pad(pad: Function, x: Any, sides: Any, mode: str, value: float) -> Any:
    if any(min(pair) < 0 for pair in sides):
        raise NotImplementedError("jax.numpy.pad does not crop")
    given = {"constant_values": value} if mode == "constant" else {}
    return pad(x, ((0, 0), (0, 0), *sides), mode=MODES[mode], **given)


def _batch_norm(
    standardize: Function, x: Any, mean: Any, var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    """y alone: there are no running statistics; weight and bias are applied to what it returns."""
    shape = (1, -1, *(1,) * (x.ndim - 2))
    axes = (0, *range(2, x.ndim))
    # The default is documented to lose digits where the mean dwarfs the deviations.
    kept: dict[str, Any] = {"algorithm": "stable"}
    if not training:
        kept = {"mean": mean.reshape(shape), "variance": var.reshape(shape)}
    y = standardize(x, axis=axes, epsilon=eps, **kept)
    return y if weight is None else y * weight.reshape(shape) + bias.reshape(shape)
