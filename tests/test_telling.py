"""How findings are told: one for each cause, by how much, and of which op the calls may be."""

import re

import numpy as np
import pytest

import toeplitz
import toeplitz.functional as F
import verify
from verify.case import Case
from verify.ops import OPS
from verify.patterns import Seen, describe

BUDGET = 60


def conv1d(x, w, b=None, stride=1):
    starts = range(0, x.shape[2] - w.shape[2] + 1, stride)
    y = [np.einsum("nck,ock->no", x[:, :, i : i + w.shape[2]], w) for i in starts]
    y = np.stack(y, axis=-1)
    return y if b is None else y + b[:, None]


def max_pool1d(x, kernel_size, stride=None):
    (k,), (s,) = np.atleast_1d(kernel_size), np.atleast_1d(stride or kernel_size)
    starts = range(0, x.shape[2] - k + 1, s)
    return np.stack([x[:, :, i : i + k].max(axis=2) for i in starts], axis=2)


@pytest.mark.parametrize(
    "f, op, wanted",
    [(conv1d, "conv2d", "conv1d"), (conv1d, "linear", "conv1d"),
     (max_pool1d, "conv2d", "max_pool1d")],
)  # fmt: skip
def test_what_answers_no_call_is_told_the_op_that_it_answers(f, op, wanted):
    report = verify.check(f, op, max_examples=BUDGET)
    assert [finding.code for finding in report.findings] == ["CV171"]
    assert report.notes == (
        f"no call of {op} was answered in the right shape, those of {wanted} are: "
        f"is it op={wanted!r}?",
    )
    assert str(report).endswith(report.notes[0])


def avg_pool1d(x, kernel_size, stride=None):
    (k,), (s,) = np.atleast_1d(kernel_size), np.atleast_1d(stride or kernel_size)
    starts = range(0, x.shape[2] - k + 1, s)
    return np.stack([x[:, :, i : i + k].mean(axis=2) for i in starts], axis=2)


def test_of_several_ops_the_one_in_the_name_is_told_else_all():
    def pool(x, kernel_size, stride=None):
        return avg_pool1d(x, kernel_size, stride)

    def my_avg_pool1d(x, kernel_size, stride=None):
        return avg_pool1d(x, kernel_size, stride)

    told = "no call of conv2d was answered in the right shape, those of "
    several = "max_pool1d and avg_pool1d are: is it op='max_pool1d' or op='avg_pool1d'?"
    for f, end in ((pool, several), (my_avg_pool1d, "avg_pool1d are: is it op='avg_pool1d'?")):
        assert verify.check(f, "conv2d", max_examples=BUDGET).notes == (told + end,)


def test_what_answers_some_calls_is_told_no_other_op():
    def flipped(x, w, b=None, stride=1):
        return conv1d(x, w[:, :, ::-1], b, stride)

    def nothing(x, w, b=None, stride=1):
        raise ValueError("not today")

    for f in (flipped, nothing):
        report = verify.check(f, "conv1d", max_examples=BUDGET)
        assert (report.ok, report.notes) == (False, ())


def no_long_strides(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    if np.max(stride) > 2:
        raise IndexError("stride out of range")
    return F.conv2d(x, w, b, stride, padding, dilation, groups)


def gradients(g, x, w, **given):
    return toeplitz.Conv(x.shape[1:], w.shape, **given).gradients(g, x, w)


def test_an_error_of_both_passes_is_told_once():
    def backward(g, x, w, **given):
        no_long_strides(x, w, **given)
        return gradients(g, x, w, **given)

    report = verify.check(no_long_strides, backward=backward, max_examples=BUDGET)
    (finding,) = report.findings
    assert (finding.code, finding.both) == ("CV171", True)
    assert "\n  also        the backward pass, on the same cases\n" in str(finding)


def test_errors_of_both_passes_that_differ_are_two():
    def backward(g, x, w, stride=1, **given):
        if np.max(stride) > 1:
            raise IndexError("no such stride")
        return gradients(g, x, w, stride=stride, **given)

    report = verify.check(no_long_strides, backward=backward, max_examples=BUDGET)
    assert [(one.code, one.violation.backward) for one in report.findings] == [
        ("CV171", False), ("CV171", True),
    ]  # fmt: skip


def test_low_precision_says_how_far_it_is_off():
    def single(x, w, b=None, **given):
        x, w, b = (None if a is None else a.astype(np.float32) for a in (x, w, b))
        return F.conv2d(x, w, b, **given).astype(np.float64)

    report = verify.check(single, dtypes=("float64",), max_examples=BUDGET)
    (finding,) = report.findings
    assert finding.code == "CV105"
    assert finding.violation.wrong > 0
    note = re.fullmatch(r"off by (\S+), where rounding explains at most (\S+)",
                        finding.violation.note)  # fmt: skip
    assert float(note[1]) > 1000 * float(note[2])


AVERAGED = {
    (0,): ["grad_x averaged over the batch"],
    (1,): ["grad_w averaged over the batch"],
    (2,): ["grad_b averaged over the batch"],
    (1, 2): ["grad_w averaged over the batch"],  # one mistake, and grad_b has it too
}


@pytest.mark.parametrize(
    "which, positions",
    [*((which, False) for which in AVERAGED), *((which, True) for which in AVERAGED if any(which))],
)
def test_gradients_that_are_averages_are_named(which, positions):
    def backward(g, x, w, **given):
        count = max(1, len(g)) * (g[0, 0].size if positions and len(g) else 1)
        parts = enumerate(gradients(g, x, w, **given))
        return tuple((p / count if i in which else p).astype(x.dtype) for i, p in parts)

    report = verify.check(F.conv2d, backward=backward, max_examples=BUDGET)
    end = " and the positions" if positions else ""
    assert [one.name for one in report.findings] == [name + end for name in AVERAGED[which]]
    assert [(one.code, *one.also) for one in report.findings] == [
        tuple(f"CV14{index}" for index in which)
    ]


def test_the_mean_of_an_empty_batch_is_explained_too():
    def backward(g, x, w, **given):
        *rest, _ = gradients(g, x, w, **given)
        with np.errstate(invalid="ignore"):
            mean = g.sum((0, 2, 3)) / np.float64(len(g) * g.shape[2] * g.shape[3])
        return *rest, mean.astype(x.dtype)

    report = verify.check(F.conv2d, backward=backward, max_examples=BUDGET)
    assert [one.name for one in report.findings] == [
        "grad_b averaged over the batch and the positions"
    ]


BIASES = {
    "bias missing": lambda b: 0 * b,
    "bias doubled": lambda b: 2 * b,
    "bias in reverse order": lambda b: b[::-1],
    "bias of the channel before used": lambda b: np.roll(b, 1),
    "bias of the channel after used": lambda b: np.roll(b, -1),
}


@pytest.mark.parametrize("name", BIASES)
def test_a_mistake_and_one_of_the_bias_are_both_named(name):
    def both(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        one = np.broadcast_to(stride, 2)[0]
        y = F.conv2d(x, w, None, (int(one),) * 2, padding, dilation, groups)
        return y if b is None else y + BIASES[name](b)[:, None, None]

    report = verify.check(both, max_examples=BUDGET)
    assert [one.name for one in report.findings] == ["height stride used for both axes", name]
    assert [one.code for one in report.findings] == ["CV102", "CV110"]


def test_two_mistakes_of_the_geometry_are_at_least_described():
    def both(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
        s, d = np.broadcast_to(stride, 2).tolist(), np.broadcast_to(dilation, 2).tolist()
        return F.conv2d(x, w, b, s[::-1], 0, (d[0], d[0]), groups)

    report = verify.check(both, max_examples=BUDGET)
    assert report.findings
    assert all(finding.told for finding in report.findings)
    assert "none of the known mistakes" not in str(report)


def test_a_window_that_loses_its_last_row_is_named():
    def short(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        pool = toeplitz.MaxPool(x.shape[1:], kernel_size, stride, padding, dilation, ceil_mode)
        y = np.full((len(x), *pool.output_shape), -np.inf)
        for i, j in np.ndindex(*pool.kernel_size):
            if i and i == pool.kernel_size[0] - 1:
                continue
            for row, column in np.ndindex(*pool.output_shape[1:]):
                at = (
                    row * pool.stride[0] - pool.padding[0][0] + i * pool.dilation[0],
                    column * pool.stride[1] - pool.padding[1][0] + j * pool.dilation[1],
                )
                if all(0 <= a < n for a, n in zip(at, x.shape[2:], strict=True)):
                    read = x[:, :, at[0], at[1]]
                    y[:, :, row, column] = np.maximum(y[:, :, row, column], read)
        return y.astype(x.dtype)

    report = verify.check(short, "max_pool2d", max_examples=BUDGET, dtypes=("float64",))
    named = "last tap of each window along the height not read"
    assert [finding.name for finding in report.findings] == [named]


def test_a_pool_in_a_narrower_dtype_is_one_mistake_and_no_sum():
    def narrow(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        y = F.max_pool2d(x.astype("f4"), kernel_size, stride, padding, dilation, ceil_mode)
        return y.astype(x.dtype)

    (finding,) = verify.check(narrow, "max_pool2d", max_examples=BUDGET).findings
    assert (finding.code, finding.name) == (
        "CV101", "large numbers cut off, or kept in too few bits",
    )  # fmt: skip


def test_no_condition_is_told_that_the_shown_case_contradicts():
    def clipped(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        y = F.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
        return np.maximum(y, -100) if y.dtype.kind == "f" else y

    finding = verify.check(clipped, "max_pool2d").findings[0]
    assert finding.case.layer == toeplitz.MaxPool((1, 1, 1), (1, 1))
    assert finding.told == "none of the known mistakes"


SHOWN = Case(OPS["conv2d"], toeplitz.Conv((1, 2, 2), (1, 1, 1, 1)))
STRIDED = SHOWN.but(layer=toeplitz.Conv((1, 3, 3), (1, 1, 1, 1), stride=2))


def seen(case, value=None):
    return Seen(case, case.arrays.y if value is None else value, value is None)


def test_a_shape_that_is_wrong_now_and_then_is_told_so():
    both = [seen(STRIDED, STRIDED.arrays.y[..., 1:]), seen(SHOWN, SHOWN.arrays.y + 1)]
    assert describe(both) == "wrong always; its shape is wrong, but not always"
    assert describe(both[:1]) == "wrong always; its shape is wrong"


def test_indices_of_wrong_maxima_are_no_second_mistake():
    def undilated(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        return F.max_pool2d(x, kernel_size, stride, padding, 1, ceil_mode, return_indices=True)

    report = verify.check(undilated, "max_pool2d", max_examples=BUDGET)
    (finding,) = report.findings
    assert finding.name == "dilation ignored"
    assert finding.also == ("CV101", "CV106") or finding.also == ("CV102", "CV106")
