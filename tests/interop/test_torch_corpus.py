"""The corpus's right pools, norms, folds and pads, and the loops, against PyTorch."""

import corpus
import numpy as np
import pytest
from layer_answers import answers, faults, keywords_of
from layer_cases import arrays_of, cases_of

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def torch(need):
    torch = need("torch")
    torch.set_num_threads(1)
    return torch


def tensors(torch, arrays):
    return [None if a is None else torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


def results(torch, c, op, backward):
    """What torch returns for a case, as arrays."""
    options = keywords_of(c, op)
    x, g, mean, var, weight, bias = tensors(torch, arrays_of(c, op))
    leaves = [x.requires_grad_()]
    if op == "batch_norm":
        leaves += [t.requires_grad_() for t in (weight, bias) if t is not None]
        y = torch.nn.functional.batch_norm(x, mean, var, weight, bias, **options)
    elif op.startswith("global"):
        name = op.replace("global", "adaptive")
        y = getattr(torch.nn.functional, name)(x, 1)
    elif "max" in op:
        y, index = getattr(torch.nn.functional, op)(x, **options, return_indices=True)
    else:
        y = getattr(torch.nn.functional, op)(x, **options)
    if backward:
        y.backward(g)
        return [leaf.grad.numpy() for leaf in leaves]
    more = [index] if "max" in op and "global" not in op else [mean, var]
    return [y.detach().numpy(), *(t.numpy() for t in more if t is not None)]


def by_torch(torch):
    """The reference for `faults`: torch errs as much as what it is compared with."""

    def reference(c, op, backward):
        told = zip(results(torch, c, op, backward), answers(c, op, backward), strict=False)
        return [(a.astype(object), 2 * np.asarray(b), dtype) for a, (_, b, dtype) in told]

    return reference


@pytest.mark.parametrize("entry", [pytest.param(e, id=e.name) for e in corpus.RIGHT_LAYERS])
def test_a_right_implementation_is_torchs(torch, entry):
    taken = 0
    for c in cases_of(entry.op, entry.backward is not None):
        if c.dtype not in ("float64", "float32"):
            continue  # torch does not average integers, nor sum every half in float32
        try:
            found = faults(entry, c, by_torch(torch))
        except NotImplementedError:
            continue
        assert not found, c
        taken += 1
    assert taken >= 5 or "pivot" in entry.note, taken
