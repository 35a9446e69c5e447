"""When a mistake is named: it explains all, and more than zeros; else a pattern is told."""

import numpy as np
import pytest

import verify
from toeplitz import Conv
from verify.case import Case
from verify.diagnosis import diagnose_seen, explains, follows
from verify.ops import OPS
from verify.oracle import sliding_conv
from verify.patterns import Seen


def conv1d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    if x.shape[1] != w.shape[1] * groups:
        raise ValueError("x and w have other numbers of channels")
    y = sliding_conv(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return y.astype(x.dtype)


def backward(g, x, w, stride=1, padding=0, dilation=1, groups=1):
    shapes = x.shape[1:], w.shape
    return Conv(*shapes, stride, padding, dilation, groups).gradients(g, x, w)


def like(change):
    """conv1d, and what becomes of its result."""
    return lambda x, w, b=None, **k: change(conv1d(x, w, b, **k), x, w).astype(x.dtype)


def judged(f, **options):
    return verify.check(f, "conv1d", max_examples=60, **options)


def odd_one_out(y, x, w):
    """The first output doubled."""
    y[..., :1] *= 2
    return y


def longer(y, x, w):
    return y + (y.shape[2] > 2)


def alternating(y, x, w):
    return y * (-1) ** np.arange(y.shape[2])


def neighbours(y, x, w):
    """Each second output is that of the place before it."""
    y[..., 1::2] = y[..., :-1:2]
    return y


UNKNOWN = {
    "odd_one_out": (like(odd_one_out), "only the first place wrong"),
    "longer": (like(longer), "wrong exactly where the output's last axis is more than 2"),
    "alternating": (
        like(alternating),
        "wrong only where the output's last axis is more than 1, but not always there",
    ),
    "neighbours": (
        like(neighbours),
        "wrong only where the output's last axis is more than 1, but not always there",
    ),
    "weights_without_signs": (lambda x, w, b=None, **k: conv1d(x, abs(w), b, **k), ""),
    "squares": (lambda x, w, b=None, **k: conv1d(x * abs(x), w, b, **k), ""),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_table_lacks_gets_no_name_but_a_pattern(name):
    f, pattern = UNKNOWN[name]
    (finding,) = judged(f).findings
    assert finding.name == ""
    assert finding.diagnosis.pattern == pattern


def seen(case, value):
    return Seen(case, value, np.array_equal(value, case.arrays.y))


def test_zeros_are_no_evidence():
    """Blocks of 4 channels, of 8 rows, of 16 columns: all give zeros on a small case."""
    small = Case(OPS["conv2d"], Conv((3, 5, 5), (2, 3, 2, 2)), bias=True)
    bias = np.zeros_like(small.arrays.y) + small.arrays.b[:, None, None]
    assert diagnose_seen([seen(small, bias)]).names == ("nothing but the bias",)
    large = Case(OPS["conv2d"], Conv((6, 5, 5), (2, 6, 2, 2)))
    x = large.arrays.x.copy()
    x[:, 4:] = 0
    four = seen(large, large.layer.apply(x, large.arrays.w))
    told = diagnose_seen([seen(small, bias), four]).names
    assert told == ("input channels left out: those behind the last whole block of 4",)


def test_a_result_of_the_right_size_is_told_so():
    case = Case(OPS["conv1d"], Conv((1, 9), (1, 1, 2), stride=3, dilation=2))
    dense = Conv((1, 9), (1, 1, 2), dilation=2).apply(case.arrays.x, case.arrays.w)
    assert diagnose_seen([seen(case, dense[..., :3])]).names == (
        "stride ignored, though the output size is right",
    )
    assert "stride ignored" in diagnose_seen([seen(case, dense)]).names


def test_a_name_with_a_condition_explains_what_holds_it():
    told = "kernel flipped, only where stride > 1 and the taps are more than 2"
    for stride, taps in ((1, 3), (2, 2), (2, 3)):
        case = Case(OPS["conv1d"], Conv((1, 9), (1, 1, taps), stride=stride))
        flipped = case.layer.apply(case.arrays.x, case.arrays.w[..., ::-1])
        holds = (stride, taps) == (2, 3)
        assert explains(told, seen(case, flipped), None) is holds
        assert explains(told, seen(case, case.arrays.y), None) is not holds


def flipped(x, w, b=None, **k):
    return conv1d(x, w[:, :, ::-1], b, **k)


def flipped_backward(g, x, w, **k):
    grad_x, grad_w, grad_b = backward(g, x, w[:, :, ::-1], **k)
    return grad_x, np.ascontiguousarray(grad_w[:, :, ::-1]), grad_b


def test_a_mistake_in_both_passes_is_told_once():
    (finding,) = judged(flipped, backward=flipped_backward).findings
    assert finding.name == "kernel flipped"
    assert set(finding.also) == {"CV140", "CV141"}


def test_a_gradient_that_follows_another_mistake_is_told_apart():
    case = Case(OPS["conv1d"], Conv((1, 4), (1, 1, 2)), batch=2)
    arrays = case.arrays
    grad_x = case.layer.gradients(arrays.g, arrays.x, arrays.w[..., ::-1])[0]
    assert follows("kernel flipped", Seen(case, grad_x, False), 0)
    assert not follows("bias missing", Seen(case, grad_x, False), 0)
    assert follows("stride one too large", Seen(case, grad_x, False), 0) is None  # another shape
    assert follows("no such mistake", Seen(case, grad_x, False), 0) is None


def test_one_mistake_in_two_gradients_is_told_once():
    def averaged(g, x, w, **k):
        grad_x, grad_w, grad_b = backward(g, x, w, **k)
        return grad_x, grad_w / max(1, len(x)), grad_b / max(1, len(x))

    (finding,) = judged(conv1d, backward=averaged).findings
    assert (finding.name, finding.also) == ("grad_w averaged over the batch", ("CV142",))


def test_three_mistakes_are_told_three_times():
    def both(g, x, w, **k):
        grad_x, grad_w, grad_b = backward(g, x, w, **k)
        return grad_x, 2 * grad_w, -grad_b

    told = [finding.name for finding in judged(flipped, backward=both).findings]
    assert told == [
        "kernel flipped",
        "grad_w doubled",
        "grad_b has the wrong sign",
    ]
