"""What users call: check, assert_conforms, diagnose, recover."""

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.campaign import run
from verify.case import Case
from verify.ops import OPS, Layer, named
from verify.report import Report
from verify.suspect import Callables

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CHUNK = 1 << 22  # entries of x that one call of recover gets


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
    dtypes: tuple[str, ...] = ("float64", "float32"),
) -> Report:
    """Test an implementation on drawn geometries against the layer's matrix.

    f: called as f(x, w, b=None, stride=1, padding=0, dilation=1, groups=1) with numpy arrays, and
    so for the other ops. An argument that f does not take is left out, and said so; a call that
    raises NotImplementedError is counted, not judged. backward: called as backward(g, x, w,
    stride=…, …), returns (grad_x, grad_w, grad_b). supports: the part of the space that f claims,
    as {"groups": 1, "stride": (1, 2)} or a predicate on a case. algorithm: "direct", "fft",
    "winograd", "tf32", or "auto": integer data decide. time: seconds after which no new case is
    tried.

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


def recover(f: Callable[..., Any], conv: Layer, w: Any = None) -> "csr_array":
    """The matrix that f really applies on a geometry, from impulses.

    w: the weights it is asked for; distinct integers by default. Each column of the matrix is the
    output for one impulse; the impulses are items of a batch, so that few calls are needed.

    >>> import numpy as np, toeplitz, verify
    >>> def valid(x, w):
    ...     return np.stack([[np.correlate(item[0], w[0, 0], "valid")] for item in x])
    >>> verify.recover(valid, toeplitz.Conv((1, 4), (1, 1, 2))).toarray()
    array([[1., 2., 0., 0.],
           [0., 1., 2., 0.],
           [0., 0., 1., 2.]])
    """
    from scipy.sparse import csr_array, hstack

    if w is None:
        w = np.arange(1.0, 1 + prod(conv.weight_shape)).reshape(conv.weight_shape)
    size = prod(conv.input_shape)
    step = max(1, CHUNK // max(1, size))
    op = _op_of(conv)
    arguments = op.arguments(conv, full=False)
    columns = []
    for first in range(0, size, step):
        count = min(step, size - first)
        x = np.eye(count, size, first).reshape(count, *conv.input_shape)
        y = np.asarray(f(x, w, **arguments))
        columns.append(csr_array(y.reshape(count, y.size // count).T))
    return csr_array(hstack(columns))


def diagnose(f: Callable[..., Any], conv: Layer, **options: Any) -> Report:
    """What f computes near a geometry: check() on geometries with no more than it has.

    Only features that the geometry has (stride, dilation, padding, groups beyond their defaults)
    are drawn, so that a mistake which it cannot show is not looked for.
    """
    op = _op_of(conv)
    supports = {
        name: (default,)
        for name, default in (("stride", 1), ("dilation", 1), ("output_padding", 0))
        if name in op.parameters and set(getattr(conv, name)) == {default}
    }
    if not op.linear and getattr(conv, "groups", 1) == 1 and not op.depthwise:
        supports["groups"] = (1,)
    if not op.linear and not any(map(any, getattr(conv, "padding", ()))):
        supports["padding"] = (0,)
    return check(f, op.name, supports=supports, **options)


def _op_of(layer: Layer) -> Any:
    kind = type(layer).__name__
    if kind == "Linear":
        return OPS["linear"]
    ndim = len(layer.input_shape) - 1
    if kind == "ConvTranspose":
        return named(f"conv_transpose{ndim}d")
    lopsided = any(before != after for before, after in layer.padding)  # type: ignore[union-attr]  # a Conv
    plain = layer.padding_mode == "zeros" and not lopsided  # type: ignore[union-attr]  # a Conv
    return named(f"conv{ndim}d" if plain else f"padded_conv{ndim}d")
