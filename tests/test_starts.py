"""Where windows start and how many there are: each known mistake of it is named."""

import numpy as np
import pytest

import verify

BUDGET = 60


def pairs_of(padding):
    return [(p, p) for p in padding]


def convolution(late=None, padding=pairs_of, extent=lambda k, d: d * (k - 1) + 1):
    """conv1d … conv3d by loops over the taps and the windows, with an index rule changed.

    late: by how many cells the windows are late on each axis, from the kernel and the dilation.
    padding: before and after the input. extent: of the kernel, in the output size.
    """

    def conv(x, w, b=None, stride=1, given=0, dilation=1, groups=1):
        axes = x.ndim - 2
        s, p, d = (np.broadcast_to(v, axes).tolist() for v in (stride, given, dilation))
        filters, depth, *kernel = w.shape
        if x.shape[1] != depth * groups or filters % groups or (b is not None and b.size - filters):
            raise ValueError("x, w and b do not go together")
        pairs = half(kernel) if padding is half else padding(p)
        room = zip(x.shape[2:], pairs, kernel, d, s, strict=True)
        sizes = [(n + sum(pair) - extent(k, e)) // step + 1 for n, pair, k, e, step in room]
        if min(sizes) < 1:
            raise ValueError("the kernel is larger than the padded input")
        begin = [pair[0] for pair in pairs]
        if late is not None:
            begin = [a - n for a, n in zip(begin, late(kernel, d), strict=True)]
        y = np.zeros((len(x), groups, filters // groups, *sizes), x.dtype)
        x = x.reshape(len(x), groups, depth, *x.shape[2:])
        w = w.reshape(groups, filters // groups, *w.shape[1:])
        for tap in np.ndindex(*kernel):
            for out in np.ndindex(*sizes):
                at = tuple(
                    o * step + t * e - a
                    for o, step, t, e, a in zip(out, s, tap, d, begin, strict=True)
                )
                if all(0 <= i < n for i, n in zip(at, x.shape[3:], strict=True)):
                    read = x[(..., *at)]
                    y[(..., *out)] += np.einsum("ngc,goc->ngo", read, w[(..., *tap)])
        y = y.reshape(len(x), filters, *sizes)
        return (y if b is None else y + b.reshape(-1, *[1] * axes)).astype(x.dtype)

    return lambda x, w, b=None, stride=1, padding=0, dilation=1, groups=1: conv(
        x, w, b, stride, padding, dilation, groups
    )


def half(kernel):
    return [(k // 2, k // 2) for k in kernel]


def along(axis, cells):
    return lambda kernel, dilation: [cells if a == axis else 0 for a in range(len(kernel))]


def sides(change, *axes):
    return lambda padding: [change(p) if a in axes else (p, p) for a, p in enumerate(padding)]


NAMED = {
    "windows start one cell too late": {"late": lambda k, d: [1] * len(k)},
    "windows start one cell too early": {"late": lambda k, d: [-1] * len(k)},
    "windows start two cells too late": {"late": lambda k, d: [2] * len(k)},
    "windows start two cells too early": {"late": lambda k, d: [-2] * len(k)},
    "windows start one cell too late along the height": {"late": along(0, 1)},
    "windows start two cells too early along the width": {"late": along(1, -2)},
    "kernel centred on the cell where it should begin": {
        "late": lambda k, d: [-(a // 2) * b for a, b in zip(k, d, strict=True)]
    },
    "output size computed without the dilation": {"extent": lambda k, d: k},
    "output size computed with dilation * kernel as the extent": {"extent": lambda k, d: k * d},
    "output size computed with dilation * (kernel - 1) as the extent": {
        "extent": lambda k, d: d * (k - 1)
    },
    "half the kernel taken for the padding": {"padding": half},
    "padding before the input only": {"padding": sides(lambda p: (p, 0), 0, 1)},
    "padding before the input only along the height": {"padding": sides(lambda p: (p, 0), 0)},
    "padding after the input only along the width": {"padding": sides(lambda p: (0, p), 1)},
    "all padding before the input along the width": {"padding": sides(lambda p: (2 * p, 0), 1)},
    "all padding after the input along the height": {"padding": sides(lambda p: (0, 2 * p), 0)},
}


@pytest.mark.parametrize("name", NAMED)
def test_the_mistake_is_named(name):
    report = verify.check(convolution(**NAMED[name]), "conv2d", max_examples=BUDGET)
    assert [finding.name for finding in report.findings] == [name], str(report)


@pytest.mark.parametrize("op", ["conv1d", "conv3d"])
@pytest.mark.parametrize("late", [1, -2])
def test_other_numbers_of_axes_too(op, late):
    f = convolution(late=lambda kernel, dilation: [late] * len(kernel))
    report = verify.check(f, op, max_examples=BUDGET, time=20)
    told = "windows start one cell too late" if late == 1 else "windows start two cells too early"
    assert [finding.name for finding in report.findings] == [told], str(report)


@pytest.mark.parametrize("op", ["conv1d", "conv2d"])
def test_without_a_mistake_the_loops_are_right(op):
    report = verify.check(convolution(), op, max_examples=BUDGET)
    assert report.ok, str(report)
