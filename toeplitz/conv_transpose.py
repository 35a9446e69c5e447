"""ConvTranspose: the transpose of a Conv, with no index arithmetic of its own."""

from dataclasses import dataclass, field, fields
from math import prod
from typing import TYPE_CHECKING, Any

from toeplitz import arguments, sparse
from toeplitz.arguments import Padding, Pairs, PerAxis
from toeplitz.arrays import Array, batched, number_dtype, storable, together
from toeplitz.conv import Conv
from toeplitz.cost import Cost
from toeplitz.factors import Factor, channels_transposed, factor, stacked
from toeplitz.matrices import Matrices
from toeplitz.memory import fits
from toeplitz.pattern import Arrangement
from toeplitz.products import Product
from toeplitz.sparse import Sparse

if TYPE_CHECKING:
    import sympy
    from scipy.sparse.linalg import LinearOperator


@dataclass(frozen=True, init=False, repr=False)
class ConvTranspose(Matrices):
    """A transposed convolution: y = T(w)ᵀ x + b with the matrix T(w) of the convolution `.conv`.

    Its output sizes are (N - 1) * stride - before - after + dilation * (K - 1) + 1 +
    output_padding. `.conv` reads that output and gives shape input_shape.

    input_shape: (C, *S). weight_shape: (C, O / groups, *K), as in PyTorch.
    stride, dilation: an integer or one for each spatial axis.
    padding: an integer, one for each axis, or (before, after) pairs: what is cut off the output
        (negative: zeros added to it).
    output_padding: added to the size after; below max(stride, dilation).

    Errors: TypeError, ValueError before any work.
    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, ch. 4.

    >>> import numpy as np, toeplitz
    >>> up = toeplitz.ConvTranspose((1, 3), (1, 1, 3), stride=2)
    >>> up.matrix(np.array([[[1, 2, 3]]])).toarray()
    array([[1, 0, 0],
           [2, 0, 0],
           [3, 1, 0],
           [0, 2, 0],
           [0, 3, 1],
           [0, 0, 2],
           [0, 0, 3]])
    """

    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    conv: Conv = field(init=False)

    def __init__(
        self,
        input_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        stride: PerAxis = 1,
        padding: Padding = 0,
        output_padding: PerAxis = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
    ) -> None:
        inputs = arguments.input_shape(input_shape)
        axes = len(inputs) - 1
        form = "(input channels, output channels / groups, *kernel)"
        weights = arguments.weight_shape(weight_shape, form, inputs)
        steps = arguments.per_axis("stride", stride, axes, 1)
        spread = arguments.per_axis("dilation", dilation, axes, 1)
        extra = arguments.per_axis("output_padding", output_padding, axes, 0)
        groups = arguments.integer("groups", groups, 1)
        arguments.divides(groups, inputs[0], "input")
        if weights[1] < 1:
            raise ValueError(f"weight_shape must have sizes of at least 1, got {weights}")
        if weights[0] != inputs[0]:
            raise ValueError(
                f"weight_shape must be {form}: the input channels are {inputs[0]}, "
                f"got {weights[0]} in {weights}"
            )
        sides = arguments.pairs("padding", padding, axes)
        sizes = []
        cut = []
        for axis in range(axes):
            size, pair = _output(
                axis, inputs[axis + 1], weights[axis + 2], steps[axis], sides[axis], extra[axis],
                spread[axis],
            )  # fmt: skip
            sizes.append(size)
            cut.append(pair)
        conv = Conv((weights[1] * groups, *sizes), weights, steps, tuple(cut), spread, groups)
        canonical = (inputs, weights, steps, sides, extra, spread, groups, conv)
        for one, value in zip(fields(ConvTranspose), canonical, strict=True):
            object.__setattr__(self, one.name, value)

    def __repr__(self) -> str:
        zeros, ones = (0,) * self.ndim, (1,) * self.ndim
        return arguments.call(
            self,
            ("input_shape", "weight_shape"),
            stride=ones,
            padding=((0, 0),) * self.ndim,
            output_padding=zeros,
            dilation=ones,
            groups=1,
        )

    @property
    def ndim(self) -> int:
        """The number of spatial axes."""
        return len(self.input_shape) - 1

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.conv.input_shape

    @property
    def macs(self) -> int:
        """Multiply-adds for one item, those that are cut off by the padding counted too."""
        return self.conv.macs

    @property
    def table_bytes(self) -> int:
        """What the axis tables take while a matrix is written."""
        return self.conv.table_bytes

    @property
    def triple_count(self) -> int:
        """Multiply-adds that reach an output."""
        return self.conv.triple_count

    def matrix(self, w: Any, format: str = "csr", layout: str = "channels_first") -> Sparse:
        """T(w)ᵀ, the transpose of `self.conv.matrix(w)`, in the formats and layouts of Conv."""
        return super().matrix(w, format, layout)

    def arrangement(self, format: str, layout: str) -> Arrangement:
        """The order of T(w)ᵀ's factors and of the weights."""
        return Arrangement(self.conv, True, format, layout)

    def product(self, w: Any, layout: str = "channels_first") -> Product:
        """T(w)ᵀ with faster products: the transpose of `self.conv.product(w)`."""
        return self.conv.product(w, layout).T

    def unfolded(self, x: Any) -> Sparse:
        """The sparse matrix with y.ravel() = unfolded(x) @ w.ravel(), of x's dtype.

        x: (C, *S), or (N, C, *S) for all items below each other. Returns a CSR array
        (N * prod(output_shape), prod(weight_shape)).
        """
        (x,) = together(x=x)
        storable("x", x)
        items = batched("x", x, self.input_shape)
        conv = self.conv
        need = len(items) * self.triple_count * (x.dtype.itemsize + 4) + self.table_bytes
        fits(need, x, "unfolded(x)", self, "take fewer items")
        lead = channels_transposed(conv.in_channels, conv.out_channels, conv.groups)
        # Here the channel's columns are weights and its values are inputs.
        weights = prod(self.weight_shape[:2])
        lead = Factor(weights, lead.value, lead.column, lead.count, repeats=True)
        spatial = [
            factor(input, tap, output, axis.size, axis.kernel, axis.windows)
            for axis, (output, input, tap) in conv.axis_triples()
        ]
        factors = (stacked(len(items)), lead, *spatial)
        return sparse.wrap(sparse.compressed(factors, items))

    def weight_gradient(self, g: Array, x: Array) -> Array:
        """The adjoint of unfolded(x) applied to g: U(g)ᵀ x̄, with the roles of Conv exchanged."""
        if g.dtype.kind == "c" or x.dtype.kind == "c":
            return self.conv.weight_gradient(x, g).conj()
        return self.conv.weight_gradient(x, g)

    def operator(self, w: Any) -> "LinearOperator":
        """T(w)ᵀ as a LinearOperator, the matrix never built."""
        return self.conv.operator(w).T

    def cost(self, dtype: Any = "float32") -> Cost:
        """Stored entries and bytes of T(w)ᵀ in each format, before anything is built."""
        return Cost.of(self.conv, number_dtype(dtype), transposed=True)

    def symbolic(self) -> "sympy.ImmutableSparseMatrix":
        """T(w)ᵀ in letters."""
        return self.conv.symbolic().T

    def latex(self) -> str:
        """symbolic() as LaTeX, each tap in its own colour (needs the xcolor package)."""
        from toeplitz.symbolic import latex  # sympy is slow to import

        return latex(self.conv, transpose=True)


def _output(
    axis: int,
    size: int,
    kernel: int,
    stride: int,
    padding: tuple[int, int],
    extra: int,
    dilation: int,
) -> tuple[int, tuple[int, int]]:
    """The output size on one axis, and the padding with which the Conv gives `size` back."""
    if extra >= max(stride, dilation):
        raise ValueError(
            f"output_padding must be smaller than max(stride, dilation) on spatial axis {axis}: "
            f"{extra} >= max({stride}, {dilation}) = {max(stride, dilation)}"
        )
    before, after = padding
    output = (size - 1) * stride - before - after + dilation * (kernel - 1) + 1 + extra
    if output < 1:
        raise ValueError(
            f"the output is empty on spatial axis {axis}: (input - 1) * stride - padding + "
            f"dilation * (kernel - 1) + 1 + output_padding = ({size} - 1) * {stride} - "
            f"({before} + {after}) + {dilation} * ({kernel} - 1) + 1 + {extra} = {output}; pad less"
        )
    # An output_padding of a stride or more would be room for one more window: crop it again.
    return output, (before, after - extra // stride * stride)
