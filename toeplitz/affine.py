"""Affine maps y = A x + b with a sparse A: what every layer is near a point."""

from dataclasses import dataclass

from toeplitz.arrays import Array, numeric, sparse_namespace, together
from toeplitz.sparse import Sparse


@dataclass(frozen=True, eq=False)
class Affine:
    """The map x -> A x + b on flattened arrays.

    A is a sparse array (outputs, inputs), b has shape (outputs,). `second @ first` composes:
    (A₂, b₂) @ (A₁, b₁) = (A₂ A₁, A₂ b₁ + b₂).

    >>> import numpy as np, scipy.sparse, toeplitz
    >>> double = toeplitz.Affine(scipy.sparse.csr_array(2 * np.eye(3)), np.ones(3))
    >>> double(np.arange(3.0))
    array([1., 3., 5.])
    >>> (double @ double)(np.arange(3.0))
    array([ 3.,  7., 11.])
    """

    A: Sparse
    b: Array

    __array_ufunc__ = None  # array @ affine is refused, not tried entry by entry

    def __post_init__(self) -> None:
        for name, axes in (("A", 2), ("b", 1)):
            if getattr(getattr(self, name), "ndim", None) != axes:
                raise TypeError(
                    f"{name} must be an array of {axes} axes, got {getattr(self, name)!r}"
                )
            numeric(name, getattr(self, name).dtype)
        if self.b.shape != (self.A.shape[0],):
            raise ValueError(
                f"b must have one entry per row of A: got b {self.b.shape} for A {self.A.shape}"
            )

    def __call__(self, x: Array) -> Array:
        """A x + b for x of any shape with as many entries as A has columns; flat."""
        (x,) = together(x=x)
        if x.size != self.A.shape[1]:
            raise ValueError(
                f"x must have {self.A.shape[1]} entries, one per column of A: "
                f"got {x.size} in shape {x.shape}"
            )
        return self.A @ x.ravel() + self.b

    def __matmul__(self, first: "Affine") -> "Affine":
        if not isinstance(first, Affine):
            return NotImplemented
        if self.A.shape[1] != first.A.shape[0]:
            raise ValueError(
                f"the second map reads {self.A.shape[1]} entries and the first gives "
                f"{first.A.shape[0]}: their shapes are {self.A.shape} and {first.A.shape}"
            )
        return Affine(self.A @ first.A, self.A @ first.b + self.b)


def repeated(matrix: Sparse, times: int | None) -> Sparse:
    """The matrix of `times` independent items, block diagonal; None for a single item."""
    if times is None:
        return matrix
    library = sparse_namespace(matrix.data)
    if times == 0:
        return library.csr_array((0, 0), dtype=matrix.dtype)
    eye = library.eye_array(times, dtype=matrix.dtype)
    return library.csr_array(library.kron(eye, matrix, format="csr"))
