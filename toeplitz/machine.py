"""How fast this machine is at what the routes do: measured once when asked for, then kept."""

import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cache
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from toeplitz import blas
from toeplitz.compiled import WORTH, loops
from toeplitz.conv import Conv
from toeplitz.operators.lanes import START
from toeplitz.threads import threads

VARIABLE = "TOEPLITZ_CACHE_DIR"
WIDE = 32  # columns of a product by which rates are measured
TURNS = 3  # the best counts: other work on the machine only ever adds


@dataclass(frozen=True)
class Rates:
    """Seconds, above zero, for the small steps of all routes, in float32 and on one core.

    call: a product with a tiny sparse matrix. start: one with a tiny operator, or to write a tiny
    matrix. item: each further item of an operator. byte: to read one, far from the cache. written:
    a byte of a new matrix. csr: an entry of CSR times a number of a wide product. block: the same
    of a large block of BSR. multiply: a multiply-add in BLAS. number: one multiply-add of a
    depthwise operator, which has no BLAS.
    """

    call: float
    start: float
    item: float
    byte: float
    written: float
    csr: float
    block: float
    multiply: float
    number: float


# Two cores of an Intel Xeon (Sapphire Rapids), for examples that are the same everywhere.
EXAMPLE = Rates(5e-6, 2e-4, 3e-5, 5e-11, 4e-10, 2e-10, 5e-10, 1.3e-11, 2e-9)


@cache
def rates() -> Rates:
    """The rates of this machine: kept from before, or measured (0.3 s) and kept.

    They are kept in one small file of the user's cache folder, or of $TOEPLITZ_CACHE_DIR. A file
    that is damaged is written anew; where none can be written, nothing is kept.
    """
    path = _path()
    kept = _read(path) if path else None
    if kept is None:
        kept = measured()
        if path:
            _write(path, kept)
    return kept


def measured() -> Rates:
    """The rates, from products that take some tens of milliseconds in all."""
    tiny, dense, deep = (
        Conv((1, 8, 8), (1, 1, 3, 3)),
        Conv((16, 16, 16), (16, 16, 3, 3), padding=1),
        Conv((20, 16, 16), (20, 20, 3, 3), padding=1),
    )
    depthwise = Conv((128, 32, 32), (128, 1, 3, 3), padding=1, groups=128)
    call = _product(tiny.matrix(_weights(tiny)), 1)
    start = _product(tiny.operator(_weights(tiny)), 1)
    item = max(_product(tiny.operator(_weights(tiny)), 17) - start, 0) / 16
    nnz, columns = dense.cost().nnz, WIDE
    csr = dense.matrix(_weights(dense))
    bsr = dense.matrix(_weights(dense), "bsr", "channels_last")
    w = _weights(deep)
    written = _seconds(lambda: deep.matrix(w)) / deep.cost().bytes["csr"]
    source, target = np.ones(1 << 23, np.float32), np.ones(1 << 23, np.float32)
    a = np.ones((512, 512), np.float32)
    with blas.single_threaded():
        multiply = _seconds(lambda: a @ a) / a.shape[0] ** 3
    spent = _product(depthwise.operator(_weights(depthwise)), 1) - start
    found = Rates(
        call=call,
        start=start,
        item=item,
        byte=_seconds(lambda: np.copyto(target, source)) / (2 * source.nbytes),
        written=written,
        csr=_product(csr, columns) / (nnz * columns),
        block=_product(bsr, columns) / (nnz * columns * (1 + START / dense.in_channels)),
        multiply=multiply,
        number=spent / depthwise.macs,
    )
    # A clock may stand still, or a difference of two times be negative.
    return Rates(**{name: max(value, 1e-13) for name, value in asdict(found).items()})


def _weights(conv: Conv) -> Any:
    return np.ones(conv.weight_shape, np.float32)


def _product(T: Any, columns: int) -> float:
    """Seconds of a product with so many columns, each an item that lies by itself."""
    x = np.ones((columns, T.shape[1]), np.float32)
    return _seconds(lambda: T @ x[0] if columns == 1 else T @ x.T)


def _seconds(run: Callable[[], object]) -> float:
    """The best of some turns, after one that does not count."""
    best = float("inf")
    for turn in range(TURNS + 1):
        start = time.perf_counter()
        result = run()
        stop = time.perf_counter()
        del result
        if turn:
            best = min(best, stop - start)
    return best


def folder() -> Path | None:
    """$TOEPLITZ_CACHE_DIR, or conv-toeplitz in the user's cache folder; None without a home."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not cache.is_absolute():  # as the XDG specification says
        local = os.environ.get("LOCALAPPDATA", "")
        try:
            if sys.platform == "win32":
                cache = Path(local) if local else Path.home() / "AppData" / "Local"
            elif sys.platform == "darwin":
                cache = Path.home() / "Library" / "Caches"
            else:
                cache = Path.home() / ".cache"
        except RuntimeError:
            return None
    return cache / "conv-toeplitz"


def _machine() -> list[str]:
    """What the rates depend on."""
    versions = [f"numpy {np.__version__}", f"scipy {scipy.__version__}"]
    libraries = ["mkl" if blas.mkl() else "OpenBLAS", *(["numba"] if loops(WORTH) else [])]
    return [_cpu(), f"{threads()} threads", *versions, *libraries, ", ".join(_names())]


def _cpu() -> str:
    """The processor's name, where the system tells it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _names() -> list[str]:
    return [one.name for one in fields(Rates)]


def _path() -> Path | None:
    where = folder()
    key = sha256("\n".join(_machine()).encode()).hexdigest()[:12]
    return where / f"rates-{key}.json" if where else None


def _read(path: Path) -> Rates | None:
    """The rates in a file, if they are what `_write` wrote for this machine."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        values = {name: float(kept["seconds"][name]) for name in _names()}
        right = kept["machine"] == _machine()
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if right and all(isfinite(value) and value > 0 for value in values.values()):
        return Rates(**values)
    return None


def _write(path: Path, kept: Rates) -> None:
    text = json.dumps({"machine": _machine(), "seconds": asdict(kept)}, indent=1)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
