"""scipy.ndimage: correlations and convolutions of one channel, summed over the channels.

The library gives as many outputs as inputs, and documents no strides and no dilation: padding is
less than the kernel, and where the kernel lies is its origin.
"""

from typing import Any

import numpy as np

from verify.adapters import Function, images, sides
from verify.ops import Op

NAMES = ("correlate", "convolve")
MODES = {"zeros": "constant", "circular": "wrap", "reflect": "mirror", "replicate": "nearest"}


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """One of the functions of NAMES as a layer without strides; there is no backward pass."""
    name = getattr(function, "__name__", repr(function))
    if name not in NAMES:
        raise ValueError(f"the scipy.ndimage adapter has {' and '.join(NAMES)}: got {name}")
    if op.transposed or op.linear:
        raise ValueError(
            f"scipy.ndimage:{name} does not do {op.name}: take op conv1d, conv2d or conv3d"
        )

    def plain(x: Any, w: Any, b: Any = None, padding: Any = 0, groups: int = 1) -> Any:
        return padded(x, w, b, padding, groups)

    def padded(
        x: Any, w: Any, b: Any = None, padding: Any = 0, groups: int = 1,
        padding_mode: str = "zeros",
    ) -> Any:  # fmt: skip
        if x.dtype.name not in ("float32", "float64") and x.dtype.kind not in "iu":
            raise NotImplementedError(f"scipy.ndimage.{name} does not do {x.dtype.name}")
        if padding_mode not in MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(MODES)}: got {padding_mode}")
        images.check(x, w, b, op.ndim, groups)
        kernel, around = w.shape[2:], sides(padding, x, w)
        shape = images.sizes(x, w, around)
        anchors = images.anchors(f"scipy.ndimage.{name}", around, kernel)
        crop = images.cropped(anchors, around, shape)
        if name == "correlate":
            taps, origin = w, [a - k // 2 for a, k in zip(anchors, kernel, strict=True)]
        else:  # from the kernel's other end
            taps = np.flip(w, tuple(range(2, w.ndim)))
            origin = [(k - 1) // 2 - a for a, k in zip(anchors, kernel, strict=True)]

        def correlate(image: Any, kernel: Any) -> Any:
            return function(image, kernel, mode=MODES[padding_mode], cval=0, origin=origin)[crop]

        return images.summed(correlate, x, taps, b, shape, groups)

    return (padded if op.padded else plain), None
