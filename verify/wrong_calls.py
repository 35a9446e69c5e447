"""Calls that no layer answers, each derived from a right one.

Only what is wrong whatever the algorithm: not stride 0 (a loop that steps by it never ends, and in
this process nothing stops it), no negative stride (numpy's slices take it), no dilation 0 (a kernel
of one tap, summed), no bias of length 1 (numpy spreads it) or longer than the channels (what is
behind them may go unread), no single item without its batch. An
empty result is no answer: where a kernel does not fit there are no outputs.
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from verify.case import Case
from verify.strategies import Space
from verify.suspect import Suspect
from verify.violation import Violation

ASKED = 3  # of those that a case has
LARGEST = 100_000  # weights of a kernel that does not fit


class Wrong(NamedTuple):
    """A wrong call: what to say of it, and what it changes in the call of a case."""

    told: str
    changes: dict[str, Any]


def wrong_call_refused(suspect: Suspect, case: Case) -> Violation | None:
    """A call that no layer answers is refused: the one that the case names, or some of them."""
    kinds = (case.wrong,) if case.wrong else some(case)
    for kind in kinds:
        asked = case.but(wrong=kind, layout="contiguous")
        wrong = KINDS[kind](asked)
        if wrong is None or not asked.batch:
            continue
        outcome = suspect.forward(asked, **wrong.changes)
        if outcome.ok and _numbers(outcome.value):
            note = f"{wrong.told} gave a result, and should be refused"
            return Violation("CV170", asked, note=note)
    return None


def claimed(space: Space, kind: str) -> bool:
    """Whether an implementation claims what a kind of wrong call is about.

    What a function of the case claims is not known beyond the cases that it is asked about.
    """
    if space.predicate is not None:
        return False
    needs = {"groups": "groups", "filters": "groups", "kernel": "kernel"}
    return needs.get(kind) not in space.allowed


def some(case: Case) -> tuple[str, ...]:
    """A few kinds of wrong calls that can be derived from a case, others for another seed."""
    if not case.op.weighted:
        return ()
    having = tuple(kind for kind, made in KINDS.items() if made(case) is not None)
    first = case.seed % len(having)
    return (having[first:] + having[:first])[:ASKED]


def _numbers(value: Any) -> bool:
    parts = value if isinstance(value, tuple) else (value,)
    return any(part.size for part in parts)


def _weight_channels(case: Case) -> Wrong:
    shape = list(case.layer.weight_shape)
    shape[0 if case.op.transposed else 1] += 1
    x = (case.batch, *case.layer.input_shape)
    return Wrong(f"weights of shape {tuple(shape)} for x {x}", {"w": np.ones(shape)})


def _input_channels(case: Case) -> Wrong:
    inputs, *sizes = case.layer.input_shape
    shape = (case.batch, inputs + 1, *sizes)
    told = f"x of shape {shape} for weights {case.layer.weight_shape}"
    return Wrong(told, {"x": np.ones(shape)})


def _weight_axes(case: Case) -> Wrong | None:
    if case.op.linear:
        return None  # x @ w.T takes it for a stack of matrices
    shape = (*case.layer.weight_shape, 2)
    x = (case.batch, *case.layer.input_shape)
    return Wrong(f"weights of shape {shape} for x {x}", {"w": np.ones(shape)})


def _bias(case: Case) -> Wrong | None:
    outputs: int = case.layer.output_shape[0]
    if not case.bias or outputs < 3:
        return None
    shape = (outputs - 1,)
    return Wrong(f"a bias of shape {shape} for {outputs} output channels", {"b": np.ones(shape)})


def _groups(case: Case) -> Wrong | None:
    if getattr(case.layer, "groups", 1) < 2:
        return None  # whether it knows groups at all is not seen
    channels = case.layer.input_shape[0]
    groups = 0 if case.seed % 2 else channels + 1
    return Wrong(f"groups={groups} for {channels} channels", {"groups": groups})


def _filters(case: Case) -> Wrong | None:
    groups = getattr(case.layer, "groups", 1)
    if groups < 2 or case.op.transposed or case.bias:
        return None
    outputs, *rest = case.layer.weight_shape
    told = f"weights of shape {(outputs + 1, *rest)} in {groups} groups"
    return Wrong(told, {"w": np.ones((outputs + 1, *rest))})


def _kernel(case: Case) -> Wrong | None:
    if case.op.linear or case.op.transposed or case.padding is not None:
        return None
    layer: Any = case.layer
    # The extent d (k - 1) + 1 is larger than the padded input, by more than a stride.
    axes = zip(layer.axes, layer.stride, layer.dilation, strict=True)
    kernel = tuple((axis.padded + s) // d + 2 for axis, s, d in axes)
    shape = (*layer.weight_shape[:2], *kernel)
    if prod(shape) > LARGEST:
        return None
    padded = tuple(axis.padded for axis in layer.axes)
    told = f"weights of shape {shape} for a padded input of {padded}"
    return Wrong(told, {"w": np.ones(shape)})


KINDS: dict[str, Callable[[Case], Wrong | None]] = {
    "weight channels": _weight_channels,
    "input channels": _input_channels,
    "weight axes": _weight_axes,
    "bias": _bias,
    "groups": _groups,
    "filters": _filters,
    "kernel": _kernel,
}
