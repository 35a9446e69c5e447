"""What the mistakes of pools are made of."""

from typing import Any

from verify.families import reading
from verify.mistakes import Mistaken, Prediction


def pooled(m: Mistaken, x: Any = None, **changes: Any) -> Any:
    """The output of a pool with other arguments, on another input."""
    layer = m.layer if not changes else m.rebuilt(**changes)
    return None if layer is None else layer.apply(m.x if x is None else x)


def with_changes(**changes: Any) -> Prediction:
    """The output of a pool with other arguments."""
    return lambda m: pooled(m, **changes)


def tables_of(m: Mistaken) -> list[Any]:
    """The tables of what a pool's windows read."""
    if hasattr(m.layer, "kernel_size"):
        return reading.tables(m.layer)
    return list(m.layer.sources)


def over(m: Mistaken, reduce: Any, fill: float) -> Any:
    """What windows read reduced to one value, with fill where they read nothing."""
    return reduce(reading.read(m.x, tables_of(m), fill), axis=-1)
