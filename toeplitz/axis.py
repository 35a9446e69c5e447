"""One spatial axis: which input position each (output position, tap) reads.

This is the only place where the index arithmetic of a convolution is written down.
"""

from dataclasses import dataclass
from math import gcd
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Indices: TypeAlias = npt.NDArray[np.intp]

COUNTED = 1 << 16  # entries of a table that are counted at a time
LARGEST = 2**62  # positions up to this one are computed without overflow


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution.

    Output position o reads, through tap t, the position `o * stride + t * dilation - before` of
    the dilated input (`input_dilation - 1` zeros between neighbours); what lies outside it is
    padding, and the mode says which input position stands there.
    """

    size: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    input_dilation: int = 1
    mode: str = "zeros"

    @property
    def dilated(self) -> int:
        """Size of the input with the zeros of input_dilation between its entries."""
        return (self.size - 1) * self.input_dilation + 1

    @property
    def padded(self) -> int:
        return self.dilated + self.before + self.after

    @property
    def extent(self) -> int:
        """How far the dilated kernel reaches: dilation * (kernel - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def windows(self) -> int:
        """Output size: floor((padded - extent) / stride) + 1."""
        return (self.padded - self.extent) // self.stride + 1

    @property
    def period(self) -> int:
        """After so many windows inside the input the same taps read again, further on."""
        return self.input_dilation // gcd(self.input_dilation, self.stride)

    @property
    def input_period(self) -> int:
        """After so many inputs the same taps read them again, from further windows."""
        return self.stride // gcd(self.input_dilation, self.stride)

    def source(self, first: int = 0, last: int | None = None) -> Indices:
        """The table (windows, kernel) of input positions, -1 where a tap reads a zero.

        first, last: the range of windows, all of them by default.
        """
        windows = np.arange(first, self.windows if last is None else min(last, self.windows))
        starts = windows * self.stride - self.before
        taps = np.arange(self.kernel) * self.dilation
        return self._read(starts[:, None] + taps)

    def lanes(self) -> tuple[Indices, Indices, Indices]:
        """source() in fewer numbers: through each tap, successive outputs read one stretch.

        Returns (position, lane, start): output o reads, through tap t, the input position
        position[lane[t], start[t] + o]. A stride of s has s lanes at most: lane r holds every
        s-th position, from r on.
        """
        step, rest = np.divmod(np.arange(self.kernel) * self.dilation - self.before, self.stride)
        rests, lane = np.unique(rest, return_inverse=True)
        first = np.array([step[lane == each].min() for each in range(len(rests))])
        start = step - first[lane]
        cells = np.arange(self.windows + start.max())
        position = self._read(rests[:, None] + (first[:, None] + cells) * self.stride)
        length = [self.windows + start[lane == each].max() for each in range(len(rests))]
        return np.where(cells < np.array(length)[:, None], position, -1), lane, start

    def counts(self) -> tuple[int, int]:
        """The numbers of (output, tap) and of (output, input) pairs.

        Windows that lie inside the input repeat after `period`: they are counted once.
        """
        inside = -(-self.before // self.stride)
        beyond = (self.dilated - self.extent + self.before) // self.stride + 1
        first = min(max(inside, 0), self.windows)
        last = max(min(beyond, self.windows), first)
        period = self.period
        times, rest = divmod(last - first, period)
        parts = [
            (self._counted(0, first), 1),
            (self._counted(first, min(first + period, last)), times),
            (self._counted(first, first + rest), 1),
            (self._counted(last, self.windows), 1),
        ]
        return (
            sum(times * reads for (reads, _), times in parts),
            sum(times * pairs for (_, pairs), times in parts),
        )

    def _counted(self, first: int, last: int) -> tuple[int, int]:
        """counts() of the windows from first to last, a part of the table at a time."""
        step = max(1, COUNTED // self.kernel)
        reads = pairs = 0
        for start in range(first, last, step):
            source = np.sort(self.source(start, min(start + step, last)), axis=1)
            filled = int((source >= 0).sum())
            again = (source[:, 1:] == source[:, :-1]) & (source[:, 1:] >= 0)
            reads += filled
            pairs += filled - int(again.sum())
        return reads, pairs

    def _read(self, position: Indices) -> Indices:
        """The input positions that stand at positions of the dilated input, -1 for a zero."""
        position = self._inside(position)
        if self.input_dilation == 1:
            return position
        return np.where(position % self.input_dilation == 0, position // self.input_dilation, -1)

    def _inside(self, position: Indices) -> Indices:
        """Map positions in the padding to the dilated input, or to -1."""
        last = self.dilated - 1
        if self.mode == "circular":
            # A crop comes first: what is left is the period.
            first = max(0, -self.before)
            period = self.padded - max(0, self.before) - max(0, self.after)
            return first + (position - first) % period
        if self.mode == "reflect":
            return np.asarray(last - np.abs(last - np.abs(position)))
        if self.mode == "replicate":
            return position.clip(0, last)
        position[(position < 0) | (position > last)] = -1
        return position


@dataclass(frozen=True)
class AdaptiveAxis:
    """One axis of an adaptive pool: output o reads floor(o N / M) up to ceil((o + 1) N / M)."""

    size: int
    windows: int

    def source(self) -> Indices:
        """The table (windows, widest window) of input positions, -1 past the end of a window."""
        output = np.arange(self.windows)
        start = output * self.size // max(self.windows, 1)
        stop = -(-(output + 1) * self.size // max(self.windows, 1))
        taps = np.arange(np.max(stop - start, initial=0))
        position = start[:, None] + taps
        return np.where(position < stop[:, None], position, -1)
