"""The matrices of a convolution and of its transpose: whole, with a kept pattern, or by rows."""

from copy import copy
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from toeplitz import sparse
from toeplitz.arrays import Array, namespace, shaped, storable, together
from toeplitz.factors import Factor, channels, channels_transposed, diagonal
from toeplitz.memory import fits
from toeplitz.pieces import COLUMN, ROW, VALUE
from toeplitz.sparse import Compressed, Sparse, Structure

if TYPE_CHECKING:
    from toeplitz.conv import Conv
    from toeplitz.matrices import Matrices


@dataclass(frozen=True)
class Arrangement:
    """The order of T(w)'s factors, or of its transpose's, and of the weights that they number."""

    conv: "Conv"
    transposed: bool
    format: str
    layout: str

    @property
    def last(self) -> bool:
        return self.layout == "channels_last"

    @property
    def blocks(self) -> bool:
        """Whether a value is the block (O/G, C/G) of a tap."""
        return self.format == "bsr" and self.last and self.conv.in_channels > 0

    def factors(self) -> tuple[Factor, ...]:
        """Rows are outputs; inputs where transposed, or compressed by columns, but not both."""
        conv = self.conv
        turned = self.transposed != (self.format == "csc")
        spatial = conv.transposed_factors if turned else conv.forward_factors
        if self.blocks:
            return (*spatial, diagonal(conv.groups))
        lead = (channels_transposed if turned else channels)(
            conv.in_channels, conv.out_channels, conv.groups
        )
        return (*spatial, lead) if self.last else (lead, *spatial)

    def values(self, w: Array) -> Array:
        """The weights, one axis for each factor and two more for blocks."""
        xp, conv = namespace(w), self.conv
        if self.blocks:
            grouped = w.reshape(conv.groups, conv.out_channels // conv.groups, *w.shape[1:])
            axes = (2, 1) if self.transposed else (1, 2)
            return xp.moveaxis(xp.moveaxis(grouped, axes, (-2, -1)), 0, -3)
        taps = w.reshape(prod(w.shape[:2]), *conv.kernel_size)
        taps = xp.moveaxis(taps, 0, -1) if self.last else taps
        return taps[..., None, None] if self.format == "bsr" else taps

    def structure(self) -> Structure:
        """Where the entries stand; for "csc" those of the matrix turned over."""
        sizes = self.values(np.empty(self.conv.weight_shape, np.bool_)).shape
        factors = self.factors()
        return Structure.of(factors, sizes[: len(factors)])


def written(arrangement: Arrangement, w: Array) -> Sparse:
    """The matrix of checked weights."""
    factors, values = arrangement.factors(), arrangement.values(w)
    structure = Structure.of(factors, values.shape[: len(factors)])
    values = sparse.merged(factors, values)
    if arrangement.format == "coo":
        xp = namespace(w)
        row, column, data = structure.arrays((ROW, COLUMN, VALUE), xp, values)
        return sparse.wrap(Compressed(data, column, row, structure.shape), "coo")
    return sparse.wrap(sparse.filled(structure, values), arrangement.format)


class Pattern:
    """The structure of a layer's matrices, kept: for new weights only the values are written.

    Made by `layer.pattern(format, layout)`. indices, indptr: the index arrays, read-only and
    shared by all matrices made from this pattern; for "coo" indptr is the row of each entry.
    Beside them it keeps 8 bytes for each entry of the templates that values are written from:
    little where rows repeat, at most 8 bytes an entry where none does. nbytes counts it all.

    >>> import numpy as np, toeplitz
    >>> pattern = toeplitz.Conv((1, 4), (1, 1, 2)).pattern()
    >>> T = pattern.matrix(np.array([[[1, 2]]]))
    >>> T.toarray()
    array([[1, 2, 0, 0],
           [0, 1, 2, 0],
           [0, 0, 1, 2]])
    >>> pattern.matrix(np.array([[[3.0, 4.0]]])).data, T.indices is pattern.indices
    (array([3., 4., 3., 4., 3., 4.]), True)
    """

    indices: Array
    indptr: Array

    def __init__(self, layer: "Matrices", arrangement: Arrangement, xp: Any = np) -> None:
        self.layer = layer
        self.format = arrangement.format
        self.layout = arrangement.layout
        self._arrangement = arrangement
        self._factors = arrangement.factors()
        self._structure = arrangement.structure()
        kinds = (COLUMN, ROW) if self.format == "coo" else (COLUMN,)
        self.indices, *row = self._structure.arrays(kinds, xp)
        self.indptr = row[0] if row else self._structure.indptr(xp)
        self._templates = self._structure.templates(xp)
        self._empty: Sparse = None  # a matrix without values, to make others of
        if xp is np:
            self.indices.flags.writeable = self.indptr.flags.writeable = False

    def __repr__(self) -> str:
        shown = f"format={self.format!r}, layout={self.layout!r}"
        return f"<pattern of {self.layer}: {shown}, {self.nnz} entries>"

    @property
    def nnz(self) -> int:
        """Stored entries of each matrix."""
        blocks = self._arrangement.blocks
        conv = self._arrangement.conv
        size = conv.out_channels // conv.groups * conv.weight_shape[1] if blocks else 1
        return self._structure.total * size

    @property
    def nbytes(self) -> int:
        """Bytes that the pattern holds."""
        templates = sum(int(numbers[0].nbytes) for _, numbers in self._templates)
        return int(self.indices.nbytes) + int(self.indptr.nbytes) + templates

    def matrix(self, w: Any) -> Sparse:
        """The layer's matrix of weights w; its index arrays are the pattern's own.

        Errors: as `layer.matrix(w)`, and ValueError for weights of another device.
        """
        w = weights(self.layer, w)
        if namespace(w) is not namespace(self.indices):
            raise ValueError("w and the pattern are on different devices: pattern(…, like=w)")
        fits(self.nnz * w.dtype.itemsize, w, "pattern.matrix(w)", self.layer, "use operator(w)")
        return self.filled(w)

    def filled(self, w: Array) -> Sparse:
        """matrix() of checked weights."""
        values = sparse.merged(self._factors, self._arrangement.values(w))
        data = self._structure.refilled(values, self._templates)
        arrays = Compressed(data, self.indices, self.indptr, self._structure.shape)
        if namespace(w) is not np:
            return sparse.wrap(arrays, self.format)
        if self._empty is None:
            self._empty = sparse.wrap(arrays, self.format)
            self._empty.data = data[:0].copy()
            if self.format != "coo":  # scipy took views
                self._empty.indices, self._empty.indptr = self.indices, self.indptr
        # A shallow copy: the constructor would look at the index arrays again.
        matrix = copy(self._empty)
        matrix.data = data
        return matrix


class Rows:
    """Some rows of a layer's matrix, and the part of the flat input that they read.

    Made by `layer.rows(start, stop, layout)`. halo: the slice of the flattened input from the
    first to the last entry that these rows read, so that
    `y.ravel()[start:stop] == rows.matrix(w) @ x.ravel()[rows.halo]`. In "channels_last" a block
    of rows reads a narrow halo; in "channels_first" one that spans the channels of its group.
    shape: (stop - start, halo.stop - halo.start). nnz: stored entries.

    >>> import numpy as np, toeplitz
    >>> rows = toeplitz.Conv((1, 6), (1, 1, 3)).rows(1, 3)
    >>> rows.halo, rows.nnz
    (slice(1, 5, None), 6)
    >>> rows.matrix(np.array([[[1, 2, 3]]])).toarray()
    array([[1, 2, 3, 0],
           [0, 1, 2, 3]])
    """

    def __init__(self, layer: "Matrices", arrangement: Arrangement, start: int, stop: int) -> None:
        self.layer = layer
        self.start = start
        self.stop = stop
        self.layout = arrangement.layout
        self._arrangement = arrangement
        self._structure = arrangement.structure().within(start, stop)
        self.shape = self._structure.shape
        self.nnz = self._structure.total
        self.halo = slice(self._structure.base, self._structure.base + self.shape[1])

    def __repr__(self) -> str:
        return f"<rows {self.start} to {self.stop} of {self.layer}: {self.nnz} entries>"

    def matrix(self, w: Any) -> Sparse:
        """These rows of the layer's matrix in CSR, with the halo's columns only.

        Errors: as `layer.matrix(w)`.
        """
        w = weights(self.layer, w)
        index = self._structure.index_type.itemsize
        need = self.nnz * (w.dtype.itemsize + index) + (self.shape[0] + 1) * index
        fits(need, w, "rows(…).matrix(w)", self.layer, "take fewer rows")
        values = sparse.merged(self._arrangement.factors(), self._arrangement.values(w))
        return sparse.wrap(sparse.filled(self._structure, values))


def weights(layer: "Matrices", w: Any) -> Array:
    """w as an array of the layer's weights that a sparse matrix can hold."""
    (w,) = together(w=w)
    shaped("w", w, layer.weight_shape, "the weight shape")
    storable("w", w)
    return w


def own_indices(matrix: Sparse) -> Sparse:
    """The matrix with index arrays that nothing else holds."""
    if matrix.format == "coo":
        matrix.coords = tuple(axis.copy() for axis in matrix.coords)
    else:
        matrix.indices, matrix.indptr = matrix.indices.copy(), matrix.indptr.copy()
    return matrix
