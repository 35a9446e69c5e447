"""What an implementation computes on one geometry, and on geometries like it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from typing import Any

from verify.campaign import Campaign
from verify.case import Case
from verify.claims import space_of
from verify.ops import Layer, Op, of_layer
from verify.report import Report
from verify.suspect import Callables, Suspect
from verify.violation import Violation

HEAVY = 1 << 24  # multiply-adds from which on few calls are made


class Near(Campaign):
    """A run that starts with one geometry and draws the others with no more than it has."""

    def __init__(
        self,
        suspect: Suspect,
        given: Layer,
        algorithm: str,
        seed: int,
        dtypes: tuple[str, ...] | None,
    ) -> None:
        op = of_layer(given)
        space = replace(space_of(op, _only(op, given), suspect), predicate=_like(given))
        super().__init__(suspect, space, algorithm, seed, dtypes)
        self.given = given
        self.calls: list[tuple[Layer, bool]] = []  # each geometry that was asked, and if it failed

    def drawn(self, max_examples: int) -> Iterator[Case]:
        there = list(self._there())
        yield from there
        yield from super().drawn(max(0, max_examples - len(there)))

    def run(
        self,
        max_examples: int,
        seconds: float | None,
        replay: Callable[[Violation], str],
        tell: Callable[[str], None] = lambda text: None,
    ) -> Report:
        report = super().run(max_examples, seconds, replay, tell)
        there_first = sorted(report.findings, key=lambda found: found.case.layer != self.given)
        return replace(report, findings=tuple(there_first), notes=(*self._notes(), *report.notes))

    def _there(self) -> Iterator[Case]:
        """The given geometry: one item and two, with a bias and without, written both ways."""
        layer = self.given
        assert layer is not None
        dtypes = self.drawing.dtypes
        dtype = "float64" if "float64" in dtypes else dtypes[0]
        heavy = prod(layer.weight_shape) * prod(layer.output_shape[1:]) > HEAVY
        for seed in range(1 if heavy else 2):
            for bias in (False,) if heavy or "b" in self.space.without else (False, True):
                for batch in (1, 2):
                    full = not self.space.op.linear and seed == 1
                    yield Case(self.space.op, layer, batch, bias, dtype, seed=seed, full=full)

    def _judge(self, case: Case) -> None:
        answered, failed = self.cases, self._failed()
        super()._judge(case)
        if self.cases > answered:
            self.calls.append((case.layer, self._failed() > failed))

    def _failed(self) -> int:
        return sum(len(failures.violations) for failures in self.failures.values())

    def _notes(self) -> Iterator[str]:
        there = [failed for layer, failed in self.calls if layer == self.given]
        others = {layer for layer, _ in self.calls if layer != self.given}
        wrong = {layer for layer, failed in self.calls if failed and layer != self.given}
        if not there:
            yield f"no answer on {self.given!r}"
        elif any(there):
            yield f"wrong on {self.given!r}, in {sum(there)} of {len(there)} calls"
        else:
            yield f"right on {self.given!r}, in all {len(there)} calls"
        yield f"{len(others)} geometries like it, {len(wrong) or 'none'} of them wrong"


def diagnose(
    f: Callable[..., Any],
    conv: Layer,
    *,
    backward: Callable[..., Any] | None = None,
    algorithm: str = "auto",
    seed: int = 0,
    max_examples: int = 500,
    time: float | None = None,
    dtypes: tuple[str, ...] | None = None,
) -> Report:
    """What f computes on one geometry, and which mistake explains it.

    f, backward and the options: as in check(). conv: a Conv, ConvTranspose or Linear.

    f is judged on this geometry first, with several items and data, then on drawn ones with no
    more than it has: a stride, dilation, padding, groups or padding mode only where conv has one.
    A mistake is named when it alone explains all that was seen on all of them. A finding is told on
    this geometry wherever f fails on it; report.notes say whether it does, and how many geometries
    were looked at.

    Errors: TypeError, ValueError for a wrong argument.

    >>> import numpy as np, toeplitz, verify
    >>> def conv1d(x, w):
    ...     taps = range(w.shape[2])
    ...     n = x.shape[2] - w.shape[2] + 1
    ...     return sum(np.einsum("nci,oc->noi", x[:, :, t : t + n], w[:, :, -1 - t]) for t in taps)
    >>> report = verify.diagnose(conv1d, toeplitz.Conv((2, 6), (1, 2, 3)), max_examples=60)
    >>> report.findings[0].name, report.findings[0].case.layer
    ('kernel flipped', Conv((2, 6), (1, 2, 3)))
    >>> report.notes[0]
    'wrong on Conv((2, 6), (1, 2, 3)), in 4 of 4 calls'
    """
    near = Near(Callables(f, backward), conv, algorithm, seed, dtypes)
    return near.run(max_examples, time, lambda violation: "")


def _only(op: Op, given: Any) -> dict[str, Any]:
    """The arguments that the geometry leaves at their defaults."""
    defaults = {"stride": 1, "dilation": 1, "output_padding": 0}
    only = {
        name: (default,)
        for name, default in defaults.items()
        if name in op.parameters and set(getattr(given, name)) == {default}
    }
    if "groups" in op.parameters and given.groups == 1:
        only["groups"] = (1,)
    if "padding" in op.parameters and not any(map(any, given.padding)):
        only["padding"] = (0,)
    return only


def _like(given: Any) -> Callable[[Case], bool]:
    """Whether a case pads as the geometry does, and in numbers."""
    modes = ("zeros", getattr(given, "padding_mode", "zeros"))

    def like(case: Case) -> bool:
        return case.padding is None and getattr(case.layer, "padding_mode", "zeros") in modes

    return like
