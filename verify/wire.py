"""The protocol in which a program is asked and answers: one line of words, then raw bytes.

>>> from toeplitz import Conv
>>> from verify.case import Case
>>> from verify.ops import OPS
>>> case = Case(OPS["conv2d"], Conv((1, 2, 2), (1, 1, 1, 2), stride=(2, 1)))
>>> request("forward", case, {}).partition(b"\\n")[0].decode()
'toeplitz 1 conv2d forward float64 stride=2,1 padding=0,0 dilation=1,1 groups=1 x=1,1,2,2 w=1,1,1,2 b=0 bytes=48'
"""  # noqa: E501  # the line that a program reads

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np

from verify.case import Case
from verify.data import numpy_dtype
from verify.suspect import Outcome, inputs

MAGIC, VERSION = "toeplitz", 1
BEGIN = f"{MAGIC} {VERSION}"
DTYPES = ("float64", "float32", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
          "uint16", "uint32", "uint64", "complex64", "complex128")  # fmt: skip
INDICES = "int64"  # whatever the dtype of the values
LINE = 4096  # bytes that the first line of an answer may have
LARGEST = 1 << 26  # bytes that an answer may have, if the right one has fewer


class Wrong(Exception):
    """An answer that breaks the protocol: a sentence."""


def request(role: str, case: Case, changes: Mapping[str, Any]) -> bytes:
    """The bytes of a call: its line, and its arrays in C order, little-endian."""
    arrays, _ = inputs(role, case, changes)
    words = [f"{name}={value}" for name, value in written(role, case, changes)]
    data = []
    for name, array in arrays.items():
        shape = (0,) if array is None else array.shape
        words.append(f"{name}={','.join(map(str, shape))}")
        if array is not None:
            data.append((array.byteswap() if sys.byteorder == "big" else array).tobytes())
    size = sum(map(len, data))
    line = " ".join([BEGIN, case.op.name, role, case.dtype, *words, f"bytes={size}"])
    return b"".join([line.encode(), b"\n", *data])


def written(role: str, case: Case, changes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The arguments of a call as words: numbers with a comma between, or a name."""
    for name, value in arguments(role, case, changes).items():
        yield name, value if isinstance(value, str) else ",".join(map(repr, numbers(value)))


def arguments(role: str, case: Case, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, none left out."""
    given = case.op.arguments(case.layer, True, case.padding)
    if role == "backward":
        given = {name: given[name] for name in case.op.backward_parameters}
    return given | {name: v for name, v in changes.items() if name not in given_to(case, role)}


def given_to(case: Case, role: str) -> tuple[str, ...]:
    """The names of the arrays that a call gets."""
    return case.op.arrays.given if role == "forward" else case.op.arrays.sent_back


def answered(case: Case, role: str) -> tuple[str, ...]:
    """The names of the arrays that a call answers with."""
    return ("y",) if role == "forward" else case.op.arrays.gradients


def further(case: Case, role: str) -> tuple[str, ...]:
    """The names of the arrays that an answer may have after those."""
    return case.op.arrays.further if role == "forward" else ()


def numbers(value: Any) -> list[Any]:
    """The numbers of an argument in order, those of pairs too; true is 1, none is 0."""
    flat: list[Any] = np.ravel(0 if value is None else value).tolist()
    return [int(number) if isinstance(number, bool) else number for number in flat]


def largest(case: Case, given: int) -> int:
    """The bytes that an answer to a request of `given` bytes may have: more than the right one."""
    return max(LARGEST, 16 * (prod((case.batch, *case.layer.output_shape)) + given))


class Answer:
    """An answer as it comes in, piece by piece.

    names: of its arrays; further: of those that may come after them, all or none. most: the bytes
    that its arrays may have. `feed` raises Wrong as soon as it cannot become an
    answer; `complete` says that it is one, and outcome() is what became of the call.
    """

    def __init__(self, names: tuple[str, ...], most: int, further: tuple[str, ...] = ()) -> None:
        self._names = names
        self._further = further
        self._most = most
        self._got = bytearray()
        self._after = 0  # where the arrays begin; 0 before the line has come
        self._arrays: list[tuple[Any, tuple[int, ...]]] = []  # dtypes and shapes
        self._size = 0
        self._outcome: Outcome | None = None

    @property
    def begun(self) -> bool:
        return bool(self._got)

    @property
    def complete(self) -> bool:
        return bool(self._after) and len(self._got) == self._after + self._size

    def feed(self, part: bytes) -> None:
        """Take some more bytes."""
        self._got += part
        if not self._after:
            self._look()
        if self._after and len(self._got) > self._after + self._size:
            raise Wrong(
                f"wrote more than its answer, whose arrays have {self._size} bytes by its line"
            )

    def progress(self) -> str:
        """How much of it has come."""
        if not self._after:
            return "in the first line of its answer"
        return f"after {len(self._got) - self._after} of the {self._size} bytes of its arrays"

    def outcome(self) -> Outcome:
        """What became of the call."""
        if self._outcome is not None:
            return self._outcome
        arrays, at = [], self._after
        for dtype, shape in self._arrays:
            count = prod(shape)
            flat = np.frombuffer(self._got, dtype, count, at) if count else np.zeros(0)
            array = flat.astype(dtype, copy=False).reshape(shape)
            arrays.append(array.byteswap() if sys.byteorder == "big" else array)
            at += count * dtype.itemsize
        return Outcome("value", arrays[0] if len(arrays) == 1 else tuple(arrays))

    def _look(self) -> None:
        """Read the line, once it is there."""
        line, end, _ = self._got[: LINE + 1].partition(b"\n")
        start = f"{MAGIC} ".encode()
        if not line.startswith(start[: len(line)]) or (end and len(line) < len(start)):
            raise Wrong(
                f"wrote {shown(line)} to stdout, where an answer begins with {BEGIN!r} "
                f"(print other things to stderr)"
            )
        if not end:
            if len(line) > LINE:
                raise Wrong(f"the first line of its answer has no end within {LINE} bytes")
            return
        self._after = len(line) + 1
        self._read(line.decode("ascii", "backslashreplace"))

    def _read(self, line: str) -> None:
        version, kind, dtype, *given = [*line.split()[1:], "", "", ""]
        if version != str(VERSION):
            raise Wrong(f"answered in version {version!r} of the protocol, should be '{VERSION}'")
        if kind in ("unsupported", "refused"):
            told = line.partition(kind)[2].strip()
            told = "".join(c if c.isprintable() else " " for c in told)[:120]
            name = "raised" if kind == "refused" else kind
            self._outcome = Outcome(name, message=f"{kind}: {told}" if told else kind)
            return
        if kind != "ok":
            raise Wrong(f"answered {kind!r}, should be ok, unsupported or refused")
        given = [word for word in given if word]
        if dtype not in DTYPES or (dtype == "bfloat16" and find_spec("ml_dtypes") is None):
            raise Wrong(f"answered with dtype {dtype!r}, should be one of {', '.join(DTYPES)}")
        names = tuple(word.partition("=")[0] for word in given)
        if names not in (self._names, self._names + self._further):
            told = " ".join(names) or "no array"
            more = f", or {' '.join(self._names + self._further)}" if self._further else ""
            raise Wrong(f"answered with {told}, should be {' '.join(self._names)}{more}")
        self._arrays = [
            (numpy_dtype(INDICES if name == "indices" else dtype), _shape(word))
            for name, word in zip(names, given, strict=True)
        ]
        self._size = sum(prod(shape) * kind.itemsize for kind, shape in self._arrays)
        room = sum(prod(n or 1 for n in shape) * kind.itemsize for kind, shape in self._arrays)
        if room > self._most:  # numpy refuses a shape of so many bytes even where one size is 0
            raise Wrong(
                f"announced {room} bytes ({' '.join(given)}): at most {self._most} are read"
            )


def shown(output: bytes | bytearray) -> str:
    """The first bytes of an output, quoted."""
    return repr(bytes(output[:40]))[1:]


def _shape(word: str) -> tuple[int, ...]:
    name, _, sizes = word.partition("=")
    if not re.fullmatch(r"([0-9]{1,18}(,[0-9]{1,18}){0,31})?", sizes):
        raise Wrong(f"answered with {word!r}, should be {name}= and the sizes: {name}=2,3,4")
    return tuple(map(int, sizes.split(","))) if sizes else ()
