"""The judge: does a convolution compute what its geometry says?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verify.api import assert_conforms, check, diagnose, recover, recover_triples
    from verify.certificate import Certificate
    from verify.certifying import certify
    from verify.dependence import Recovered
    from verify.polynomials import prove
    from verify.report import Finding, Report

__all__ = [
    "Certificate",
    "Finding",
    "Recovered",
    "Report",
    "assert_conforms",
    "certify",
    "check",
    "diagnose",
    "prove",
    "recover",
    "recover_triples",
]

_HOMES = {
    "Certificate": "verify.certificate",
    "certify": "verify.certifying",
    "prove": "verify.polynomials",
    "Finding": "verify.report",
    "Recovered": "verify.dependence",
    "Report": "verify.report",
}


def __getattr__(name: str) -> Any:
    # A worker process needs none of these, and they bring Hypothesis along.
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "verify.api")), name)
    raise AttributeError(f"module 'verify' has no attribute {name!r}")
