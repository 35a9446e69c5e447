"""Implementations that judge the judge: right ones, and ones broken by hand.

Written without a look at the judge's own list of mistakes. Every module of broken ones has a list
`BROKEN`, every module of right ones a list `RIGHT`; nothing here imports toeplitz or verify.
"""

from importlib import import_module

_BROKEN = (
    "broken_forward",
    "broken_sizes",
    "broken_channels",
    "broken_bias",
    "broken_tiles",
    "broken_memory",
    "broken_transposed",
    "broken_overlaps",
    "broken_padded",
    "broken_modes",
    "broken_backward",
    "broken_gradients",
    "broken_adjoints",
)
_RIGHT = ("right", "right_fast", "right_backward")

BROKEN = [entry for name in _BROKEN for entry in import_module(f"corpus.{name}").BROKEN]
RIGHT = [entry for name in _RIGHT for entry in import_module(f"corpus.{name}").RIGHT]

__all__ = ["BROKEN", "RIGHT"]
