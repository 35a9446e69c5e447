"""OpenCV: filter2D of one image and one kernel, summed over the channels.

It gives as many outputs as inputs, and documents no strides and no dilation: padding is less than
the kernel, and where the kernel lies is its anchor. cv2 is imported when a target is loaded.
"""

from typing import Any

from verify.adapters import Function, images, sides
from verify.ops import Op

MODES = {
    "zeros": "BORDER_CONSTANT",
    "reflect": "BORDER_REFLECT_101",
    "replicate": "BORDER_REPLICATE",
}
DTYPES = ("float32", "float64")  # integers are saturated


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """filter2D as a layer without strides; there is no backward pass."""
    import cv2

    name = getattr(function, "__name__", repr(function))
    if name != "filter2D":
        raise ValueError(f"the cv2 adapter has filter2D: got {name}")
    if op.transposed or op.ndim != 2:
        raise ValueError(f"cv2:filter2D does not do {op.name}: take op conv2d")

    def plain(x: Any, w: Any, b: Any = None, padding: Any = 0, groups: int = 1) -> Any:
        return padded(x, w, b, padding, groups)

    def padded(
        x: Any, w: Any, b: Any = None, padding: Any = 0, groups: int = 1,
        padding_mode: str = "zeros",
    ) -> Any:  # fmt: skip
        if x.dtype.name not in DTYPES:
            raise NotImplementedError(f"cv2.filter2D does not do {x.dtype.name} without saturation")
        if padding_mode not in MODES:
            raise NotImplementedError(f"cv2.filter2D has no padding_mode {padding_mode!r}")
        images.check(x, w, b, op.ndim, groups)
        around = sides(padding, x, w)
        shape = images.sizes(x, w, around)
        anchors = images.anchors("cv2.filter2D", around, w.shape[2:])
        crop = images.cropped(anchors, around, shape)
        border = getattr(cv2, MODES[padding_mode])

        def correlate(image: Any, kernel: Any) -> Any:
            anchor = anchors[::-1]  # as (x, y)
            return function(image, -1, kernel, anchor=anchor, borderType=border)[crop]

        return images.summed(correlate, x, w, b, shape, groups)

    return (padded if op.padded else plain), None
