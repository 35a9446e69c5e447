"""Sparse matrices as files: .npz for scipy.sparse, .mtx for MatrixMarket, .mat for MATLAB."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from toeplitz.memory import readable
from toeplitz.sparse import Sparse

SUFFIXES = (".npz", ".mtx", ".mat")
MAT_BYTES = 1 << 31  # of an array in a .mat file of version 5


def write(file: IO[bytes], suffix: str, name: str, matrix: Sparse) -> None:
    """Write a matrix in the format of a suffix; `name` is MATLAB's name for it."""
    import scipy.io  # slow to import
    import scipy.sparse

    if suffix == ".npz":
        scipy.sparse.save_npz(file, matrix)
    elif suffix == ".mtx":
        scipy.io.mmwrite(file, matrix, symmetry="general")
    else:
        doubles = matrix.astype(complex if matrix.dtype.kind == "c" else float)
        if (doubles.data.astype(matrix.dtype) != matrix.data).any():
            raise ValueError(
                f"a .mat file holds doubles, and some of these {matrix.dtype} are not: "
                f"write .npz or .mtx"
            )
        if doubles.data.nbytes >= MAT_BYTES:
            raise ValueError(
                f"a .mat file holds at most {readable(MAT_BYTES)} an array, and this one has "
                f"{readable(doubles.data.nbytes)}: write .npz or .mtx"
            )
        scipy.io.savemat(file, {name: doubles})  # type: ignore[arg-type]  # it takes files too


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place at `path` once it is written in full."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise OSError(error.errno or 0, error.strerror or str(error), str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
