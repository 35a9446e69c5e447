"""A finding as a few lines of Python that show it without the judge."""

from typing import Any

import numpy as np

from verify.suspect import inputs
from verify.violation import WROTE, Violation

SHOWN = 64  # entries of an array that are written out
SHOWING = ("CV101", "CV102", "CV103", "CV104", "CV105", "CV110", "CV140", "CV141", "CV142",
           "CV150", "CV152", "CV154", "CV160", "CV161", "CV171", "CV190", "CV191")  # fmt: skip
LAID_OUT = {
    "contiguous": (),
    "transposed": ("{0} = np.asfortranarray({0})",),
    "sliced": ("{0} = np.repeat({0}, 2, axis=-1)[..., ::2]",),
    "reversed": ("{0} = {0}[..., ::-1].copy()[..., ::-1]",),
    "channels_last": ("{0} = np.moveaxis(np.moveaxis({0}, 1, -1).copy(), -1, 1)",),
    "readonly": ("{0}.flags.writeable = False",),
}


def snippet(violation: Violation, name: str) -> str:
    """Lines that call an implementation as the violation did; empty where they show nothing.

    name: what the implementation is called in them; a backward pass is called `backward`.

    >>> from toeplitz import Linear
    >>> from verify.case import Case
    >>> from verify.ops import OPS
    >>> case = Case(OPS["linear"], Linear(2, 1), data="impulses", at=(0, 1))
    >>> print(snippet(Violation("CV101", case, "y", (0, 0), 1.0, 0.0), "mine"))
    import numpy as np
    x = np.array([[1.0, 0.0]])
    w = np.array([[0.0, 1.0]])
    y = mine(x, w)
    print(y[0, 0], "should be", 0.0)
    """
    case = violation.case
    role, results = "forward", "y"
    if violation.backward:
        role, results, name = "backward", ", ".join(case.op.arrays.gradients), "backward"
    arrays, arguments = inputs(role, case, {})
    given = {key: value for key, value in arrays.items() if value is not None}
    if not name.replace(".", "_").isidentifier():  # a program's command
        return ""
    if violation.code not in SHOWING or any(array.size > SHOWN for array in given.values()):
        return ""
    lines = ["import numpy as np"]
    if case.dtype == "bfloat16":
        lines.append("from ml_dtypes import bfloat16")
    if not all(np.isfinite(_wide(array)).all() for array in given.values()):
        lines.append("from numpy import inf, nan")
    for key, array in given.items():
        lines.append(f"{key} = {_literal(array, case.dtype)}")
        if case.layout != "channels_last" or array.ndim > 2:
            lines += [line.format(key) for line in LAID_OUT[case.layout]]
    called = ", ".join([*given, *(f"{key}={value!r}" for key, value in arguments.items())])
    call = [f"{results} = {name}({called})", *_shown(violation)]
    if violation.code == "CV150":
        call = _kept(call[0], violation.note)
    elif violation.code == "CV154" and violation.where is not None:
        item = violation.where[0]
        call = [call[0], f"alone = {name}({called.replace('x', f'x[{item}:{item + 1}]', 1)})"]
        call.append(_alone(violation))
    return "\n".join([*lines, *call])


def _kept(call: str, note: str) -> list[str]:
    """A call between two looks at what it writes to; the call alone where it raises before."""
    _, writes, written = note.partition(WROTE)
    names = written.split(", ") if writes else []
    before = [f"{name}_before = {name}.copy()" for name in names]
    return [*before, call, *(f'print({n}, "should be", {n}_before)' for n in names)]


def _alone(violation: Violation) -> str:
    """A place of a batch, beside the same one of an item alone."""
    assert violation.where is not None
    whole = ", ".join(map(str, violation.where))
    alone = ", ".join(map(str, (0, *violation.where[1:])))
    return f'print({violation.what}[{whole}], "in the batch,", alone[{alone}], "alone")'


def _literal(array: Any, dtype: str) -> str:
    kind = {"float64": "", "bfloat16": ", bfloat16"}.get(dtype, f", np.{dtype}")
    if not array.size:
        return f"np.zeros({array.shape}{kind})"
    return f"np.array({_wide(array).tolist()}{kind})"


def _wide(array: Any) -> Any:
    """An array of bfloat16 in a dtype that numpy knows."""
    return array.astype(np.float64) if array.dtype.kind == "V" else array


def _shown(violation: Violation) -> list[str]:
    what = violation.what
    if violation.where is not None:
        what = f"{what}[{', '.join(map(str, violation.where))}]"
    elif violation.code in ("CV102", "CV103"):
        what = f"{what}.{'shape' if violation.code == 'CV102' else 'dtype'}"
    else:
        return []
    return [f'print({what}, "should be", {violation.should!r})']
