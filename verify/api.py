"""What users call: check, assert_conforms, diagnose, recover, recover_triples."""

from collections.abc import Callable, Mapping
from typing import Any

from verify.campaign import run
from verify.case import Case
from verify.dependence import recover_triples
from verify.near import diagnose
from verify.ops import named
from verify.recovery import recover
from verify.report import Report
from verify.suspect import Callables

__all__ = ["assert_conforms", "check", "diagnose", "recover", "recover_triples"]


def check(
    f: Callable[..., Any],
    op: str = "conv2d",
    *,
    backward: Callable[..., Any] | None = None,
    supports: Mapping[str, Any] | Callable[[Case], bool] | None = None,
    algorithm: str = "auto",
    seed: int = 0,
    max_examples: int = 500,
    time: float | None = None,
    dtypes: tuple[str, ...] | None = None,
) -> Report:
    """Test an implementation on drawn geometries against the layer's matrix.

    f: called as f(x, w, b=None, stride=1, padding=0, dilation=1, groups=1) with numpy arrays, and
    so for the other ops. An argument that f does not take is left out, and said so; a call that
    raises NotImplementedError is counted, not judged. backward: called as backward(g, x, w,
    stride=…, …), returns (grad_x, grad_w, grad_b). supports: the part of the space that f claims,
    as {"groups": 1, "stride": (1, 2)} or a predicate on a case. algorithm: "direct", "fft",
    "winograd", "tf32", or "auto": integer data decide. max_examples: cases drawn at large, at
    least 20; some hundred more follow, for pairs of features that those missed and for data that
    are harder. time: seconds after which no new case is tried. dtypes: some of float64, float32,
    float16, bfloat16, int8 … int64, complex64 and complex128, by name; None for float64, float32
    and a few cases in float16.

    Returns a Report: report.ok, report.findings, str(report), report.to_json().
    Errors: TypeError, ValueError for a wrong argument.

    >>> import numpy as np, verify
    >>> def flipped(x, w):
    ...     return np.stack([[np.convolve(item[0], w[0, 0], "valid")] for item in x])
    >>> one = lambda case: case.layer.weight_shape[:2] == (1, 1) and case.batch
    >>> kernel = lambda case: case.layer.weight_shape[2] <= case.layer.input_shape[1]
    >>> report = verify.check(flipped, "conv1d", supports=lambda case: one(case) and kernel(case))
    >>> report.ok
    False
    >>> report.findings[0].name
    'kernel flipped'
    """
    suspect = Callables(f, backward)
    return run(
        suspect,
        named(op),
        supports=supports,
        algorithm=algorithm,
        seed=seed,
        max_examples=max_examples,
        seconds=time,
        dtypes=dtypes,
    )


def assert_conforms(f: Callable[..., Any], op: str = "conv2d", **options: Any) -> None:
    """check() for a test function: AssertionError with the report where anything is found."""
    report = check(f, op, **options)
    if not report.ok:
        raise AssertionError(f"\n{report}")
