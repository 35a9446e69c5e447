"""What layers have in common whose matrix comes from the factors of a convolution."""

from abc import abstractmethod
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from toeplitz.arguments import choice, integer
from toeplitz.arrays import namespace
from toeplitz.bilinear import Bilinear
from toeplitz.cost import LAYOUTS, Cost, checked_weights
from toeplitz.memory import fits
from toeplitz.pattern import Arrangement, Pattern, Rows, own_indices, written
from toeplitz.sparse import Sparse, available_format

FORMATS = ("csr", "csc", "coo", "bsr")
KEPT = 1 << 14  # multiply-adds up to which a layer keeps the patterns of its matrices


class Matrices(Bilinear):
    """A layer whose matrix T(w) is written from the factors of a convolution."""

    @property
    @abstractmethod
    def macs(self) -> int:
        """Multiply-adds for one item."""

    @property
    @abstractmethod
    def table_bytes(self) -> int:
        """What the axis tables take while a matrix is written."""

    @abstractmethod
    def arrangement(self, format: str, layout: str) -> Arrangement:
        """The order of the factors and of the weights."""

    @abstractmethod
    def cost(self, dtype: Any = np.float32) -> Cost:
        """Stored entries and bytes of T(w) in each format, before anything is built."""

    def matrix(self, w: Any, format: str = "csr", layout: str = "channels_first") -> Sparse:
        """T(w), the sparse matrix with y.ravel() = T(w) @ x.ravel().

        w: weights (O, C/G, *K), of a dtype that scipy.sparse holds. format: "csr", "csc", "coo",
        "bsr" or "dense" (a plain array). layout: how x and y are flattened, "channels_first"
        (C, *S) or "channels_last" (*S, C); there "bsr" has one block (O/G, C/G) for each tap
        and position, in "channels_first" its blocks are single entries.

        Returns an array (O * prod(P), C * prod(S)) of w's dtype, P being the output's spatial
        sizes. The pattern depends on the geometry alone: zeros of w are stored. Where two taps
        meet on one input their weights are added. For a cupy array w, an array of cupyx.
        T(w)ᵀ in CSR is `matrix(w, "csc").T`, written from the transposed geometry and not
        converted.

        Errors: ValueError for a shape, format or layout; TypeError for a dtype; TooLarge (a
        MemoryError and ValueError) where memory would not suffice.

        >>> import numpy as np, toeplitz
        >>> conv = toeplitz.Conv((1, 5), (1, 1, 3))
        >>> conv.matrix(np.array([[[1, 2, 3]]])).toarray()
        array([[1, 2, 3, 0, 0],
               [0, 1, 2, 3, 0],
               [0, 0, 1, 2, 3]])
        """
        w = checked_weights(self, w, format, layout)
        arrangement = self.arrangement(format, layout)
        if self.macs > KEPT or format == "dense" or namespace(w) is not np:
            return written(arrangement, w)
        key = format, layout
        if key not in self._patterns:
            self._patterns[key] = None
            return written(arrangement, w)
        pattern = self._patterns[key] or Pattern(self, arrangement)
        self._patterns[key] = pattern
        return own_indices(pattern.filled(w))

    @cached_property
    def _patterns(self) -> dict[tuple[str, str], Pattern | None]:
        """Of a small layer the patterns that were asked for; kept from the second time on."""
        return {}

    def pattern(
        self, format: str = "csr", layout: str = "channels_first", like: Any = None
    ) -> Pattern:
        """The structure of matrix(w, format, layout), to make matrices of many weights.

        format: "csr", "csc", "coo" or "bsr". like: an array of the library whose matrices are
        wanted, such as a cupy array; numpy by default. Layers of up to 2**14 multiply-adds keep
        a pattern by themselves; a larger one lives as long as you hold it.

        Errors: ValueError for a format or layout; TooLarge where memory would not suffice.

        >>> import numpy as np, toeplitz
        >>> conv = toeplitz.Conv((1, 5), (1, 1, 3))
        >>> pattern = conv.pattern()
        >>> [float(pattern.matrix(np.full((1, 1, 3), a)).sum()) for a in (1.0, 2.0)]
        [9.0, 18.0]
        """
        choice("format", format, FORMATS)
        choice("layout", layout, LAYOUTS)
        one = np.zeros(1, np.int8) if like is None else like
        available_format(format, one)
        cost = self.cost(np.int8)
        need = cost.bytes[format] - cost.nnz + self.table_bytes
        fits(need, one, f"the {format} pattern", self, "use operator(w)")
        return Pattern(self, self.arrangement(format, layout), namespace(one))

    def rows(self, start: int, stop: int, layout: str = "channels_first") -> Rows:
        """The rows start to stop of matrix(w, layout=layout), for a matrix too large as a whole.

        Errors: ValueError unless 0 <= start <= stop <= rows, or for a layout; TypeError.

        >>> import numpy as np, toeplitz
        >>> conv = toeplitz.Conv((1, 5), (1, 1, 3))
        >>> x, w = np.array([[1, 2, 3, 4, 5]]), np.array([[[1, 0, 2]]])
        >>> blocks = [conv.rows(a, a + 1) for a in range(3)]
        >>> [(b.matrix(w) @ x.ravel()[b.halo]).tolist() for b in blocks]
        [[7], [10], [13]]
        """
        choice("layout", layout, LAYOUTS)
        count = prod(self.output_shape)
        start, stop = integer("start", start), integer("stop", stop)
        if not 0 <= start <= stop <= count:
            raise ValueError(
                f"rows must be 0 <= start <= stop <= {count}, got start {start} and stop {stop}"
            )
        return Rows(self, self.arrangement("csr", layout), start, stop)
