"""cupy: functions of arrays on the GPU; those of cupyx.scipy as the ones of scipy.

cupy is imported when a target is loaded, for this module can be read without it.
"""

from functools import wraps
from typing import Any

from verify.adapters import Function, ndimage, scipy
from verify.ops import Op


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """A function of cupy's arrays as one of numpy's; there is no backward pass.

    The functions of cupyx.scipy.signal and cupyx.scipy.ndimage become layers as scipy's do.
    """
    import cupy

    def moved(value: Any, move: Any, kind: Any) -> Any:
        if type(value) in (tuple, list):
            return type(value)(moved(part, move, kind) for part in value)
        return move(value) if isinstance(value, kind) else value

    @wraps(function)
    def on_the_device(*arrays: Any, **arguments: Any) -> Any:
        for array in arrays:
            if array.dtype.name == "bfloat16":
                raise NotImplementedError("cupy has no arrays of bfloat16")
        value = function(*(cupy.asarray(array) for array in arrays), **arguments)
        return moved(value, cupy.asnumpy, cupy.ndarray)

    module = f"{getattr(function, '__module__', '')}."
    if module.startswith("cupyx.scipy.signal."):
        return scipy.adapt(on_the_device, op)
    if module.startswith("cupyx.scipy.ndimage."):
        return ndimage.adapt(on_the_device, op)
    return on_the_device, None
