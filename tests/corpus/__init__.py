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

# Pools, norms, folds and pads: entries of another kind, told in layers.py.
_BROKEN_LAYERS = (
    "broken_max_pools",
    "broken_max_indices",
    "broken_max_gradients",
    "broken_avg_pools",
    "broken_avg_gradients",
    "broken_adaptive",
    "broken_global",
    "broken_unfolds",
    "broken_folds",
    "broken_pads",
    "broken_norms",
    "broken_running",
    "broken_norm_gradients",
)
_RIGHT_LAYERS = ("right_pools", "right_averages", "right_layers")

BROKEN_LAYERS = [e for name in _BROKEN_LAYERS for e in import_module(f"corpus.{name}").BROKEN]
RIGHT_LAYERS = [e for name in _RIGHT_LAYERS for e in import_module(f"corpus.{name}").RIGHT]

__all__ = ["BROKEN", "BROKEN_LAYERS", "RIGHT", "RIGHT_LAYERS"]
