"""scipy.signal: correlations and convolutions of one channel, summed over the channels.

The library documents no strides and no dilation, and padding only as far as its modes go: "valid"
none, "same" half of the kernel, "full" the kernel less one, of which less is cropped from "full".
"""

from typing import Any

import numpy as np

from verify.adapters import Function, images, pairs, same
from verify.ops import Op

FLIPPED = {
    "correlate2d": False,
    "convolve2d": True,
    "correlate": False,
    "convolve": True,
    "fftconvolve": True,
    "oaconvolve": True,
}
TWO_AXES = ("correlate2d", "convolve2d")
BOUNDARIES = {"zeros": "fill", "circular": "wrap"}  # the others of ours scipy has not


def adapt(function: Any, op: Op) -> tuple[Function, Function | None]:
    """One of the functions of FLIPPED as a layer without strides; there is no backward pass."""
    name = getattr(function, "__name__", repr(function))
    if name not in FLIPPED:
        raise ValueError(f"the scipy.signal adapter has {', '.join(FLIPPED)}: got {name}")
    if op.transposed or op.linear or (name in TWO_AXES and op.ndim != 2):
        fitting = "conv2d" if name in TWO_AXES else "conv1d, conv2d or conv3d"
        raise ValueError(f"scipy.signal:{name} does not do {op.name}: take op {fitting}")

    def layer(x: Any, w: Any, b: Any, padding: Any, groups: int, padding_mode: str) -> Any:
        _check(name, x)
        images.check(x, w, b, op.ndim, groups)
        kernel = w.shape[2:]
        sides = _sides(padding, kernel, x.shape[2:])
        options: dict[str, Any] = {"mode": _mode(sides, kernel)}
        if name in TWO_AXES:
            options["boundary"] = BOUNDARIES.get(padding_mode)
            if options["boundary"] is None:
                raise NotImplementedError(f"{name} has no padding_mode {padding_mode!r}")
        sizes = images.sizes(x, w, sides)
        axes = tuple(range(2, w.ndim))
        taps = np.flip(w, axes) if FLIPPED[name] else np.conj(w)  # correlate conjugates
        crop = tuple(slice(None) for _ in sizes)
        if options["mode"] == "full":
            crop = images.cropped(tuple(k - 1 for k in kernel), sides, sizes)

        def correlate(image: Any, kernel: Any) -> Any:
            return function(image, kernel, **options)[crop]

        return images.summed(correlate, x, taps, b, sizes, groups)

    def plain(x: Any, w: Any, b: Any = None, padding: Any = 0, groups: int = 1) -> Any:
        return layer(x, w, b, padding, groups, "zeros")

    def padded(
        x: Any, w: Any, b: Any = None, padding: Any = 0, groups: int = 1,
        padding_mode: str = "zeros",
    ) -> Any:  # fmt: skip
        return layer(x, w, b, padding, groups, padding_mode)

    return (padded if op.padded and name in TWO_AXES else plain), None


def _check(name: str, x: Any) -> None:
    """Refuse halves, and in the Fourier domain integers and what is not finite."""
    fourier = name in ("fftconvolve", "oaconvolve")
    if x.dtype.kind not in ("fc" if fourier else "fciu") or x.dtype.name == "float16":
        raise NotImplementedError(f"scipy.signal.{name} does not do {x.dtype.name}")
    if fourier and not np.isfinite(x).all():
        raise NotImplementedError(f"scipy.signal.{name} spreads NaN and infinities")


def _sides(
    padding: Any, kernel: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        axes = zip(kernel, sizes, strict=True)
        sides = tuple(same(padding, k, n, 1) for k, n in axes)
    else:
        sides = pairs(padding, len(kernel))
    if any(not 0 <= side < k for pair, k in zip(sides, kernel, strict=True) for side in pair):
        raise NotImplementedError("scipy.signal pads with less than the kernel, and crops nothing")
    return sides


def _mode(sides: tuple[tuple[int, int], ...], kernel: tuple[int, ...]) -> str:
    """The mode whose padding this is; "full" where the result must be cropped."""
    if not any(map(any, sides)):
        return "valid"
    # Where an even kernel has its middle differs between the functions.
    half = all(
        before == after == (k - 1) / 2 for (before, after), k in zip(sides, kernel, strict=True)
    )
    return "same" if half else "full"
