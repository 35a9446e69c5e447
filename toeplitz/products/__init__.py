"""The explicit matrix with products of its own: by blocks or row by row, on all cores."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from toeplitz import sparse
from toeplitz.arrays import Array, DType, columns, namespace
from toeplitz.compiled import WORTH, loops
from toeplitz.matrices import Matrices
from toeplitz.products.blocks import Blocks, ByBlas
from toeplitz.products.compiled import CompiledBlocks
from toeplitz.products.ranges import Ranges
from toeplitz.products.shifted import Shifted
from toeplitz.sparse import Sparse

SMALL = 1 << 20  # multiply-adds below which the plain product is as fast
# The plain product takes as long as so many columns for an entry, and one more for each column.
READ = 6
RUN = 1 << 20  # such columns times entries of a run of positions from which its steps in Python pay
RANGED = 1 << 25  # the same for all entries, from which ranges of rows pay
SHARED = 32  # entries in a block from which BLAS pays
LONG = 64  # entries in a row from which ranges of rows pay: below, writing the result takes longest


class Product:
    """The sparse matrix T(w), and products with it that are faster than the plain ones.

    `product @ X` equals `product.matrix @ X`, `product.T @ G` equals `product.matrix.T @ G`:
    bit for bit where sums are exact, and for what is not finite too; else sums differ by their
    order. X: (columns,) or (columns, N); what else the matrix takes is left to the matrix.
    Returns (rows,) or (rows, N) of the same dtype.

    matrix: the plain array of scipy.sparse, CSR, of its transpose CSC; shape and dtype are its
        own. Its values may be changed in place; they are not copied, nor transposed.

    The rows of one position and group, one for each output channel of the group, have the same
    columns. Their values stand in CSR as one dense block (O/G, K), which meets the K rows of X
    that were gathered once. That is also why there is no product in BSR: its replicated blocks
    (O/G, C/G) are parts of this one, with the same values stored. Where numba is installed,
    compiled loops go from block to block, for float32 and float64, and a sum stays in a register
    until it is whole; rows of depthwise layers, which share nothing, are told by what the row
    before reads. Without numba BLAS multiplies the blocks, and depthwise layers go the plain way.
    Of complex numbers BLAS makes nan where the plain product has inf. They and integers go through
    the plain product of ranges of rows, one for each core at a time. Small products are the plain
    ones, and so is every product on a GPU, where cupyx's own uses the device.

    Errors: ValueError for an array of another shape; else those of the plain product.

    >>> import numpy as np, toeplitz
    >>> conv = toeplitz.Conv((1, 5), (1, 1, 3))
    >>> T = conv.product(np.array([[[1, 2, 3]]]))
    >>> T @ np.arange(5), T.T @ np.ones((3, 2), int)
    (array([ 8, 14, 20]), array([[1, 1],
           [3, 3],
           [6, 6],
           [5, 5],
           [3, 3]]))
    >>> T.shape, T.matrix.format, T.T.shape, T.T.matrix.format
    ((3, 5), 'csr', (5, 3), 'csc')
    """

    def __init__(self, ways: "Ways", transposed: bool = False) -> None:
        self._ways = ways
        self._transposed = transposed
        matrix = ways.blocks.matrix
        self.matrix: Sparse = matrix.T if transposed else matrix

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.matrix.shape
        return int(rows), int(columns)

    @property
    def dtype(self) -> DType:
        dtype: DType = self.matrix.dtype
        return dtype

    @property
    def T(self) -> "Product":
        """The transpose, of the same arrays."""
        return Product(self._ways, not self._transposed)

    def __matmul__(self, x: Any) -> Array:
        columns("x", x, self.shape[1])
        if np.isscalar(x) or (isinstance(x, np.ndarray) and x.ndim == 0):
            n = self.shape[1]
            raise ValueError(f"x must have shape ({n},) or ({n}, N), got the number {x!r}")
        if not self._ours(x):
            return self.matrix @ x
        wide = x[:, None] if x.ndim == 1 else x
        way = self._ways.way(self._transposed, wide.shape[1], x.dtype)
        if way is None:
            return self.matrix @ x
        y = way(wide)
        return y[:, 0] if x.ndim == 1 else y

    # numpy leaves x @ product to __rmatmul__ instead of making an array of the product.
    __array_ufunc__ = None

    def __rmatmul__(self, x: Any) -> Array:
        return (self.T @ np.asarray(x).T).T

    def _ours(self, x: Any) -> bool:
        """Whether x is an array that the plain product takes, and the product not a small one."""
        return (
            type(x) is np.ndarray
            and namespace(self.matrix.data) is np
            and x.ndim in (1, 2)
            and len(x) == self.matrix.shape[1]
            and x.dtype.char in "bBhHiIlLqQfdgFDG"
            and self.matrix.nnz * (x.size // max(len(x), 1)) > SMALL
        )

    def __getattr__(self, name: str) -> Any:
        """Refuse what only the sparse array has, and say where it is."""
        matrix = self.__dict__.get("matrix")  # missing in a copy that is not filled yet
        hint = ""
        if matrix is not None and not name.startswith("_") and hasattr(matrix, name):
            hint = f", its sparse array has: use .matrix.{name}"
        told = f"{type(self).__name__!r} object has no attribute {name!r}{hint}"
        raise AttributeError(told, name=name, obj=self)

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"<{rows}x{columns} Product of {self.matrix.nnz} stored entries, {self.dtype}>"


class Ways:
    """The products with one matrix, each prepared when it is first asked for."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks

    def way(self, transposed: bool, items: int, dtype: DType) -> Callable[[Array], Array] | None:
        """The fastest product with so many columns of a dtype, if it is not the plain one."""
        way: Any = None
        own = self.blocks.matrix.dtype
        if np.result_type(own, dtype) == own:
            if self.compiled and self.compiled.takes(items, transposed):
                way = self.compiled
            elif self._by_blocks and self._work(items) >= RUN * len(self.blocks.runs()):
                way = self.by_blas
            if way is not None:
                run = way.backward if transposed else way.forward
                return lambda x: run(x.astype(own, copy=False))
        if self._long and self._work(items) >= RANGED:
            return self.ranges.backward if transposed else self.ranges.forward
        return None

    def _work(self, items: int) -> int:
        return int(self.blocks.matrix.nnz) * (READ + items)

    @cached_property
    def _by_blocks(self) -> bool:
        """Whether the blocks are of a kind that BLAS multiplies, and large enough to pay."""
        blocks, entries = self.blocks, self.blocks.matrix.nnz
        of_blas = blocks.matrix.dtype.char in "fd" and blocks.height > 1
        return of_blas and bool(entries >= SHARED * blocks.positions * blocks.groups)

    @cached_property
    def compiled(self) -> CompiledBlocks | Shifted | None:
        blocks, matrix = self.blocks, self.blocks.matrix
        known = matrix.dtype.char in "fd" and matrix.indices.dtype == np.int32
        if not known or loops(WORTH) is None:
            return None
        return Shifted(blocks) if blocks.height == 1 else CompiledBlocks(blocks)

    @property
    def _long(self) -> bool:
        """Whether the rows are long enough for ranges of them."""
        matrix = self.blocks.matrix
        return bool(matrix.nnz >= LONG * matrix.shape[0])

    @cached_property
    def by_blas(self) -> ByBlas:
        return ByBlas(self.blocks)

    @cached_property
    def ranges(self) -> Ranges:
        return Ranges(self.blocks.matrix)


class Explicit(Matrices):
    """A bilinear layer whose matrix has rows that share their columns."""

    groups: int

    def product(self, w: Any, layout: str = "channels_first") -> Product:
        """T(w) with faster products: `T @ X`, `T.T @ G`, and `T.matrix`, the sparse array.

        w and layout are those of matrix(w), and so are the errors. X: (columns, N), one column
        for each item; see Product.

        >>> import numpy as np, toeplitz
        >>> conv = toeplitz.Conv((1, 4), (1, 1, 2))
        >>> conv.product(np.array([[[1.0, 2.0]]])) @ np.arange(8.0).reshape(4, 2)
        array([[ 4.,  7.],
               [10., 13.],
               [16., 19.]])
        """
        matrix = self.matrix(w, layout=layout)
        return Product(Ways(self._shared(matrix, layout == "channels_last")))

    def _shared(self, matrix: Sparse, last: bool = False) -> Blocks:
        height = self.weight_shape[0] // self.groups
        return Blocks(matrix, self.groups, height, self.weight_shape[1], last)

    def times(self, w: Array, items: Array) -> Array:
        """T(w) applied to each row of items (N, columns)."""
        return sparse.times(Product(Ways(self._shared(self.matrix(w)))), items)
