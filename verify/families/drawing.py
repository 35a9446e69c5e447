"""What the strategies of several families draw alike: windows over an input."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Draw = Callable[[Sequence[Any]], Any]

CHANNELS = (*range(1, 10), 16, 17, 32, 33)
TILES = (17, 33, 65)
TRIES = 24  # layers drawn until one has what is wanted


class Windows(NamedTuple):
    """Windows over an input, one entry for each axis."""

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


def windows(
    draw: Draw, space: Any, ndim: int, wanted: frozenset[str], large: bool, pooled: bool
) -> Windows:
    """Windows that fit; of a pool they are padded by half a window at most, as in PyTorch."""
    kernel, stride, padding, dilation, sizes = [], [], [], [], []
    long = draw(range(ndim)) if large else -1
    like_kernel = pooled and draw((False, True))
    for axis in range(ndim):
        k = draw([v for v in space.values("kernel", 1, 3 if ndim > 2 else 4) if v > 0])
        if "even kernel" in wanted and axis == ndim - 1 and k % 2:
            k += 1
        if wanted & {"window > input", "padding > 0", "paddings differ"} and axis == 0 and k < 2:
            k = 2
        steps = space.values("stride", 1, 4)
        if "windows overlap" in wanted and axis == 0:
            k, steps = max(2, k), [s for s in steps if s < max(2, k)] or steps
        if "stride > kernel" in wanted and axis == 0:
            steps = [s for s in steps if s > k] or steps
        s = k if like_kernel and k in steps else draw(steps)
        d = draw(space.values("dilation", 1, 3))
        most = k // 2 if pooled else 2
        p = draw([v for v in space.values("padding", 0, most) if v <= most] or [0])
        if wanted & {"padding > 0", "window > input"} and axis == 0 and most:
            p = max(p, 1) if "padding" not in space.without else 0
        extent = d * (k - 1) + 1
        outputs = draw((4, 5, 7, 8, 9, *TILES)) if axis == long else draw(range(1, 4))
        unread = draw(range(s))
        if wanted & {"input left unread", "ceil_mode adds a window"} and axis == ndim - 1:
            unread = s - 1
        if "window > input" in wanted and axis == 0:
            outputs, unread = 1, 0
        kernel.append(k)
        stride.append(s)
        padding.append(p)
        dilation.append(d)
        sizes.append(max(1, (outputs - 1) * s + extent + unread - 2 * p))
    return Windows(*map(tuple, (sizes, kernel, stride, padding, dilation)))


def until(make: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    """The first layer of some that has enough of what is wanted, or the last that there was."""
    made = None
    for _ in range(TRIES):
        try:
            layer = make()
        except ValueError:  # a window that reads only padding, an input that is cropped away
            continue
        made = layer
        if enough(layer):
            return layer
    if made is None:
        raise ValueError("what is supported leaves no layer")
    return made
