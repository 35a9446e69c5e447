"""The known mistakes of ops without weights, by family: for y, a gradient or what comes after y."""

from verify.families import (
    move_mistakes,
    norm_gradients,
    norm_mistakes,
    pool_gradients,
    pool_indices,
    pool_mistakes,
)
from verify.judgement import FURTHER
from verify.mistakes import Prediction
from verify.ops import Op

FORWARD = {
    "max_pool": pool_mistakes.suspicions,
    "avg_pool": pool_mistakes.suspicions,
    "move": move_mistakes.suspicions,
    "norm": norm_mistakes.suspicions,
}
BACKWARD = {
    "max_pool": pool_gradients.gradient_suspicions,
    "avg_pool": pool_gradients.gradient_suspicions,
    "move": move_mistakes.gradient_suspicions,
    "norm": norm_gradients.gradient_suspicions,
}
AFTER_Y = {"norm": norm_mistakes.further_suspicions, "max_pool": pool_indices.further_suspicions}


def mistakes(op: Op, which: int | None) -> dict[str, Prediction]:
    """The mistakes that may show in y (None), a gradient (0, 1, 2) or after y (FURTHER on)."""
    if which is None:
        return FORWARD[op.family](op)
    if which >= FURTHER:
        return AFTER_Y[op.family](op, which - FURTHER)
    return BACKWARD[op.family](op, which)
