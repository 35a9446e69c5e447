"""How many channels and outputs a case has."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

Draw: TypeAlias = Callable[[Sequence[Any]], Any]

CHANNELS = (*range(1, 18), 24, 25, 32, 33)
TILES = (16, 17, 32, 33, 65)
TRIPLES = 1 << 22  # multiply-adds of one item; a layer of more is no matter of milliseconds


def counted(
    draw: Draw, groups: Sequence[int] | None, inputs: int, outputs: int
) -> tuple[int, int, int]:
    """Groups, and input and output channels of each, for so many channels.

    groups: what they may be, None for a group for each input. Where none divides both, the
    channels are more.
    """
    if groups is None:
        return inputs, 1, draw((1, 2))
    chosen = draw([g for g in groups if inputs % g == outputs % g == 0] or groups)
    return chosen, -(-inputs // chosen), -(-outputs // chosen)


def affordable(outputs: list[int], weights: int) -> list[int]:
    """The outputs of each axis, the largest halved while they are too many for the weights."""
    fewer = list(outputs)
    while prod(fewer) > 1 and prod(fewer) * weights > TRIPLES:
        fewer[fewer.index(max(fewer))] //= 2
    return fewer
