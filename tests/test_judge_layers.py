"""The judge judged on pools, batch norms, unfold, fold and pad; see test_judge.py."""

import os
import warnings

import pytest
from corpus import BROKEN_LAYERS, RIGHT_LAYERS

import verify

SEEDS = range(int(os.environ.get("TOEPLITZ_JUDGE_SEEDS", "1")))
BUDGET = int(os.environ.get("TOEPLITZ_JUDGE_BUDGET", "120"))


# Not found yet; each with the reason.
NOT_FOUND = {
    "compares_integers_as_floats": "integers are judged where they are asked for",
    "integers_become_floats": "integers are judged where they are asked for",
    "pads_integers_as_floats": "integers are judged where they are asked for",
    "does_not_count_zeros": "the integers drawn are never zero",
    "looks_for_nan": "gradients are judged on numbers alone",
    "never_forgets_a_nan": "it shows on some budgets alone",
    "adds_halves_to_halves": "halves of max pools are not drawn",
    "returns_halves_to_halves": "it shows on some budgets alone",
    "folds_halves_in_halves": "it shows on some budgets alone",
    "averages_halves_in_halves": "halves of batch norms are not drawn",
    "learns_in_halves": "halves of batch norms are not drawn",
}


def judged(entry, seed=0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NaN and infinities are meant to be computed with here
        return verify.check(
            entry.forward, entry.op, backward=entry.backward, max_examples=BUDGET, seed=seed
        )


def label(entry):
    return f"{entry.name} {entry.op}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("entry", RIGHT_LAYERS, ids=label)
def test_a_right_layer_is_acquitted(entry, seed):
    report = judged(entry, seed)
    assert report.ok, str(report)
    assert report.cases or report.unsupported


@pytest.mark.parametrize("entry", BROKEN_LAYERS, ids=label)
def test_a_broken_layer_is_found(entry):
    report = judged(entry)
    assert not report.ok or entry.name in NOT_FOUND, entry.mistake
