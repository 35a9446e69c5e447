"""The corpus of pools, norms, folds and pads, judged without the judge."""

import ast
from collections import Counter
from pathlib import Path

import corpus
import pytest
from corpus.layers import always
from layer_answers import faults, finds
from layer_cases import cases_of, is_valid, kind, smaller


def by_name(entries):
    return [pytest.param(entry, id=entry.name) for entry in entries]


def supported(entry, cases, reference=None):
    """Each case that an implementation takes, with what is wrong there."""
    for c in cases:
        try:
            yield c, faults(entry, c, reference)
        except NotImplementedError:
            continue


@pytest.mark.parametrize("entry", by_name(corpus.RIGHT_LAYERS))
def test_a_right_implementation_is_right(entry):
    cases = cases_of(entry.op, entry.backward is not None)
    found = list(supported(entry, cases))
    assert not [(c, wrong) for c, wrong in found if wrong]
    assert len(found) >= 8, len(found)


@pytest.mark.parametrize("entry", by_name(corpus.BROKEN_LAYERS))
def test_a_broken_implementation_is_wrong_on_its_smallest_case(entry):
    assert is_valid(entry.smallest, entry.op, entry.backward is not None)
    assert finds(entry, entry.smallest)


@pytest.mark.parametrize("entry", by_name(corpus.BROKEN_LAYERS))
def test_nothing_one_step_smaller_shows_the_mistake(entry):
    for c in smaller(entry.smallest, entry.op, entry.backward is not None):
        assert not finds(entry, c), c


@pytest.mark.parametrize("entry", by_name(corpus.BROKEN_LAYERS))
def test_a_broken_implementation_is_right_elsewhere(entry):
    seen = Counter()
    for c, wrong in supported(entry, cases_of(entry.op, entry.backward is not None)):
        assert entry.seen(c) or not wrong, (c, wrong)
        seen[bool(wrong)] += 1
    assert seen[False] or entry.seen is always
    assert seen[True], "the drawn cases do not meet it"


def test_there_are_enough_layers_of_each_kind():
    entries = corpus.BROKEN_LAYERS
    forward = Counter(kind(entry.op) for entry in entries if entry.backward is None)
    backward = Counter(kind(entry.op) for entry in entries if entry.backward is not None)
    kinds = "max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "unfold", "fold"
    assert min(forward[kind] for kind in kinds) >= 4
    assert min(backward[kind] for kind in kinds) >= 1
    assert min(forward["pad"], backward["pad"]) >= 5
    assert min(forward["batch_norm"], backward["batch_norm"]) >= 12
    assert min(forward["global_avg_pool"], forward["global_max_pool"]) >= 3
    assert len(entries) >= 100
    assert len(corpus.RIGHT_LAYERS) >= 40
    right, broken = (
        {(kind(entry.op), entry.backward is None) for entry in many}
        for many in (corpus.RIGHT_LAYERS, entries)
    )
    assert right == broken
    assert {entry.op for entry in corpus.RIGHT_LAYERS} >= {entry.op for entry in entries}
    every = [*entries, *corpus.BROKEN, *corpus.RIGHT, *corpus.RIGHT_LAYERS]
    assert len({entry.name for entry in every}) == len(every)


def test_every_mistake_is_one_short_sentence():
    for entry in corpus.BROKEN_LAYERS:
        assert 5 < len(entry.mistake) < 90, entry.name
        assert entry.mistake[-1] != "."


def test_the_references_know_neither_the_product_nor_its_judge():
    for name in ("loops_layers", "layer_cases", "layer_answers"):
        text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in getattr(node, "names", ()) if hasattr(alias, "name")]
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not {"toeplitz", "verify"} & {name.split(".")[0] for name in names}, name
