"""The families of ops that have no weights: one module each, with the same functions.

layer(draw, space, wanted, large) draws a layer; smaller(case, given) yields changes that leave a
smaller one; features(op, omitted) are the names of FEATURES that layers of an op can have, and
IMPOSSIBLE the pairs of them that none has.
"""

from types import ModuleType

from verify.families import moves, norms, pools

FAMILIES: dict[str, ModuleType] = {
    "max_pool": pools,
    "avg_pool": pools,
    "move": moves,
    "norm": norms,
}
