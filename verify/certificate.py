"""A certificate: what was checked of an implementation on one geometry, and what follows."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import log2
from typing import Any

import toeplitz
from verify.ops import Layer

FORMAT = 1
DEGREE = 8  # of the polynomials that the probes would tell from T(w) x


@dataclass(frozen=True)
class Certificate:
    """What was checked of an implementation on one geometry.

    layer, geometry: of what layer, as Python and as plain values. pairs: of impulses, all tried,
    or 0 where there were too many. probes: random points, each of `values` values an entry.
    trials: of additivity and multiples. bias: whether one was given to the probes. chance: minus
    the binary logarithm of the chance that a wrong polynomial of degree DEGREE at most passed.
    digest: of what f returned for the probes.
    """

    suspect: str
    op: str
    layer: str
    geometry: list[Any]
    dtype: str
    pairs: int
    probes: int
    values: int
    trials: int
    bias: bool
    chance: float
    seed: int
    digest: str
    versions: dict[str, str]
    format: int = FORMAT

    def to_json(self) -> str:
        """The certificate as JSON text, with a checksum."""
        plain = asdict(self)
        return json.dumps(plain | {"checksum": checksum(plain)}, indent=2, sort_keys=True)

    @property
    def conv(self) -> Layer:
        """The geometry."""
        kind, arguments = self.geometry
        made: Layer = getattr(toeplitz, kind)(**arguments)
        return made

    @staticmethod
    def from_json(text: str) -> "Certificate":
        """The certificate that to_json wrote.

        Errors: ValueError for what is none, or was changed.
        """
        try:
            plain = json.loads(text)
            given = plain.pop("checksum")
            made = Certificate(**plain)
            right = repr(made.conv) == made.layer
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError("this is no certificate: a JSON object of `certify` is") from None
        if given != checksum(plain) or not right:
            raise ValueError("the certificate was changed after it was written")
        if made.format != FORMAT:
            raise ValueError(f"the certificate has format {made.format}: this version reads 1")
        return made

    def __str__(self) -> str:
        pairs = f"all {self.pairs} pairs of impulses" if self.pairs else "too many impulses to try"
        lines = [
            f"{self.suspect} is T(w) x on {self.layer}",
            f"  sums      exact in {self.dtype}",
            f"  bilinear  {self.trials} random sums and multiples agree",
            f"  pairs     {pairs}",
            f"  probes    {self.probes} random points, {self.values} values an entry",
            f"  bias      {'added to each channel, at the probes' if self.bias else 'not taken'}",
            f"  chance    2^-{self.chance:.0f} that a wrong polynomial of degree {DEGREE} passed",
        ]
        if self.pairs:
            lines.append("  certain   that it is right for all x and w, if it is bilinear")
        return "\n".join(lines)


def chance(probes: int, values: int) -> float:
    """Minus the binary logarithm of (DEGREE / values) ** probes."""
    return probes * log2(values / DEGREE)


def checksum(plain: dict[str, Any]) -> str:
    """What changes with any of the values."""
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
