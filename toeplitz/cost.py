"""What a matrix would cost, known from the axis tables before it is built."""

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from toeplitz import memory
from toeplitz.arguments import choice, integer
from toeplitz.arrays import Array, shaped, storable, together
from toeplitz.memory import fits, readable
from toeplitz.sparse import available_format, index_dtype

if TYPE_CHECKING:
    from toeplitz.advice import Advice
    from toeplitz.conv import Conv
    from toeplitz.machine import Rates
    from toeplitz.matrices import Matrices

LAYOUTS = ("channels_first", "channels_last")


@dataclass(frozen=True)
class Cost:
    """Stored entries of T(w) and the bytes of its arrays in each format, of a dtype.

    bytes["operator"] is what operator(w) and a product of one item take beside item and output.

    >>> import toeplitz
    >>> print(toeplitz.Conv((16, 32, 32), (16, 16, 3, 3), padding=1).cost())
    16384 x 16384, 2262016 stored entries, float32
      csr       18.2 MB
      csc       18.2 MB
      coo       27.1 MB
      bsr       9.09 MB
      dense     1.07 GB
      operator  181 kB
    """

    shape: tuple[int, int]
    nnz: int
    dtype: np.dtype[Any]
    bytes: dict[str, int]
    geometry: "Conv" = field(repr=False)

    @classmethod
    def of(cls, geometry: "Conv", dtype: np.dtype[Any], transposed: bool = False) -> "Cost":
        """The cost of T(w), or of its transpose."""
        from toeplitz.operators.size import needed  # which imports Conv, and that us

        outputs, inputs = prod(geometry.output_shape), prod(geometry.input_shape)
        rows, columns = (inputs, outputs) if transposed else (outputs, inputs)
        row_channels = geometry.in_channels if transposed else geometry.out_channels
        pairs = prod(pairs for _, pairs in geometry.counts)
        nnz = geometry.out_channels * geometry.weight_shape[1] * pairs
        blocks = pairs * geometry.groups
        block_rows = rows // max(row_channels, 1) * geometry.groups
        value = dtype.itemsize
        index = index_dtype(nnz, rows, columns).itemsize
        sizes = {
            "csr": nnz * (value + index) + (rows + 1) * index,
            "csc": nnz * (value + index) + (columns + 1) * index,
            "coo": nnz * (value + 2 * index),
            "bsr": nnz * value + (blocks + block_rows + 1) * index,
            "dense": rows * columns * value,
            "operator": needed(geometry, dtype),
        }
        return cls((rows, columns), nnz, dtype, sizes, geometry)

    def advice(self, batch: int = 1, rates: "Rates | None" = None) -> "Advice":
        """Which route to products with (inputs, batch) arrays is the right one, and why.

        Seconds to build and for one product by "csr", "product" (which is conv.product), "bsr",
        "dense" and "operator", estimated from a few rates of this machine. The first time they are
        measured (about 0.3 s) and kept in the user's cache folder; rates: others instead
        (`toeplitz.machine.Rates`). Where only outputs are wanted a convolution library does as
        well, and needs no matrix.

        Errors: TypeError, ValueError for a batch that is no integer of at least 1.

        >>> import toeplitz
        >>> from toeplitz.machine import EXAMPLE
        >>> conv = toeplitz.Conv((1, 28, 28), (8, 1, 3, 3))
        >>> print(conv.cost().advice(rates=EXAMPLE))
        estimated for this machine, a product with 1 column:
                           to build   a product
          csr                400 µs       60 µs
          conv.product       400 µs       60 µs
          bsr                300 µs      100 µs
          dense                2 ms      900 µs
          operator                -      200 µs
          many products  bsr: 222 kB in layout channels_last, built once; the operator takes 2x as long
          one product    operator or a convolution library; a matrix would not pay
        """  # noqa: E501  # the line that is printed
        from toeplitz import advice, machine  # which import Conv, and that us

        batch = integer("batch", batch, 1)
        return advice.advise(self, batch, machine.rates() if rates is None else rates)

    def __str__(self) -> str:
        width = max(map(len, self.bytes))
        rows = [f"  {name:<{width}}  {readable(size)}" for name, size in self.bytes.items()]
        return "\n".join(
            [f"{self.shape[0]} x {self.shape[1]}, {self.nnz} stored entries, {self.dtype}", *rows]
        )


def checked_weights(layer: "Matrices", w: Any, format: str, layout: str) -> Array:
    """w as an array, if the layer's matrix of it can be written in this format and layout."""
    (w,) = together(w=w)
    shaped("w", w, layer.weight_shape, "the weight shape")
    storable("w", w)
    available_format(format, w)
    choice("layout", layout, LAYOUTS)
    rows, columns = prod(layer.output_shape), prod(layer.input_shape)
    most = rows * columns if format == "dense" else layer.macs
    if most * (w.dtype.itemsize + 24) + layer.table_bytes + 16 * (rows + columns) < memory.UNASKED:
        return w  # small whatever its exact size, which takes longer to count than to write
    need = layer.cost(w.dtype).bytes[format] + layer.table_bytes
    fits(need, w, f"the {format} matrix", layer, "use operator(w)")
    return w
