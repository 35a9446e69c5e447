"""BLAS: products that add to what is there, called with addresses and outside the interpreter lock.

numpy's matmul does not add and scipy.linalg.blas holds the lock, so the routines are called through
ctypes: those of the package mkl if it is installed, else those that scipy gives to Cython.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from importlib import metadata
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from toeplitz.arrays import Array, DType
from toeplitz.threads import on_threads

T = TypeVar("T")

ROUTINES = {"f": "sgemm", "d": "dgemm", "F": "cgemm", "D": "zgemm"}
NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads",
         "openblas_{}_num_threads")  # fmt: skip

LARGEST = 2**31 - 1  # sizes and steps are C ints

_limited = Lock()
_users = 0
_before: list[tuple[Callable[[int], Any], int]] = []


def side_by_side(work: Callable[[Iterator[T]], Any], parts: Sequence[T], count: int) -> None:
    """The same as on_threads, each thread with a single-threaded BLAS.

    One thread, too: those of a BLAS wait for each other in a loop at every product, which on a busy
    machine takes a hundred times as long as the product.
    """
    with single_threaded():
        on_threads(partial(_alone, work), parts, count)


def _alone(work: Callable[[T], Any], parts: T) -> None:
    """work(parts) with MKL on one thread, of which it keeps a number for each of ours."""
    own = mkl()
    if own is None:
        work(parts)
        return
    before = own.MKL_Set_Num_Threads_Local(1)
    try:
        work(parts)
    finally:
        own.MKL_Set_Num_Threads_Local(before)


@contextmanager
def single_threaded() -> Iterator[None]:
    """BLAS on one thread for each caller, as long as somebody wants it so."""
    global _users
    with _limited:
        if _users == 0:
            _before[:] = [(put, get()) for get, put in _libraries()]
            for put, _ in _before:
                put(1)
        _users += 1
    try:
        yield
    finally:
        with _limited:
            _users -= 1
            if _users == 0:
                for put, count in _before:
                    put(count)


@cache
def _libraries() -> list[tuple[Callable[[], int], Callable[[int], Any]]]:
    """How each OpenBLAS behind numpy and scipy tells and takes its number of threads."""
    import scipy.linalg.cython_blas as blas

    core = getattr(np, "_core", None)
    found = []
    for module in (blas, getattr(core, "_multiarray_umath", None)):
        if module is None:
            continue
        library = ctypes.CDLL(module.__file__)  # finds what it is linked with, too
        for name in NAMES:
            if hasattr(library, name.format("set")):
                found.append((getattr(library, name.format("get")),
                              getattr(library, name.format("set"))))  # fmt: skip
                break
    return found


@cache
def mkl() -> Any:
    """The library of the package mkl, if it is installed: float32 is about 1.4 times as fast."""
    try:
        files = metadata.files("mkl") or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name.startswith(("libmkl_rt.", "mkl_rt.")) and ".lib" not in file.name:
            try:
                return ctypes.CDLL(str(file.locate()))
            except OSError:
                return None
    return None


@cache
def routine(dtype: DType) -> Callable[..., None] | None:
    """The gemm of a dtype, by addresses alone; None where there is no such BLAS."""
    at = address(dtype)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(at) if at else None


@cache
def address(dtype: DType) -> int | None:
    """Where the gemm of a dtype stands; None where there is no such BLAS."""
    name = ROUTINES.get(dtype.char)
    if name is None:
        return None
    own = mkl()
    if own is not None:
        return ctypes.cast(getattr(own, name), ctypes.c_void_p).value
    import scipy.linalg.cython_blas as blas  # scipy.linalg is slow to import

    routines: dict[str, Any] = dict(blas.__pyx_capi__)
    capsule, api = routines[name], ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature = api.PyCapsule_GetName(capsule)
    if signature.count(b"int *") != 6:
        return None  # built with sizes of 64 bits
    return api.PyCapsule_GetPointer(capsule, signature)  # type: ignore[no-any-return]  # of ctypes


class Gemm:
    """c = op(a) @ op(b), or added to c, for row-major matrices of one size given by address.

    rows, inner, columns: the sizes of op(a) (rows, inner) and op(b) (inner, columns).
    steps: from row to row of a, b and c as they are stored. turned: for a and for b, "N" as
    stored, "T" transposed, "C" conjugate transposed.
    """

    def __init__(
        self, dtype: DType, rows: int, inner: int, columns: int, steps: tuple[int, int, int],
        turned: str = "NN",
    ) -> None:  # fmt: skip
        self._call: Any = routine(dtype)
        self._address = address(dtype)
        ints = [ctypes.c_int(n) for n in (columns, rows, inner, *steps)]
        one, zero = np.ones((), dtype), np.zeros((), dtype)
        letters = [ctypes.create_string_buffer(letter.encode()) for letter in turned]
        self._kept = (ints, one, zero, letters)  # what the addresses point at
        n, m, k, step_a, step_b, step_c = (ctypes.addressof(number) for number in ints)
        turned_a, turned_b = (ctypes.addressof(letter) for letter in letters)
        self._factors = (zero.ctypes.data, one.ctypes.data)
        # BLAS counts column by column: it sees all three transposed, so b comes first.
        self._fixed = (turned_b, turned_a, n, m, k, one.ctypes.data, step_b, step_a, step_c)

    def __call__(self, a: int, b: int, c: int, /, add: bool) -> None:
        *first, step_b, step_a, step_c = self._fixed
        self._call(*first, b, step_b, a, step_a, self._factors[add], c, step_c)

    def series(
        self, offsets: Array, add: Array, compiled: Any = None
    ) -> Callable[[int, int, int], None]:
        """Products in turn, as a function of the addresses of a, b and c.

        offsets: (n, 3), bytes from these. add: (n,), whether a product is added to c. compiled:
        the loops, if they are to be used.
        """
        if compiled is None:
            each = list(zip(*offsets.T.tolist(), add.tolist(), strict=True))

            def in_turn(a: int, b: int, c: int) -> None:
                for from_a, from_b, from_c, one in each:
                    self(a + from_a, b + from_b, c + from_c, one)

            return in_turn
        factors = np.array(self._factors)[add.astype(int)]

        def without_the_lock(a: int, b: int, c: int) -> None:
            compiled.gemms(self._address, self._fixed, a, b, c, offsets, factors)

        return without_the_lock
