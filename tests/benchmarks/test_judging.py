"""What judging costs beside the implementation. Run with: pytest tests/benchmarks -s -n 0"""

import time
from functools import wraps

import numpy as np

import verify
from verify.features import pairs

ROUNDS = 5  # the best counts: other work on the machine only ever adds


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """A product of matrices for each tap."""
    (sh, sw), (ph, pw), (dh, dw) = (
        (value, value) if isinstance(value, int) else value for value in (stride, padding, dilation)
    )
    items, channels, *_ = x.shape
    filters, width, kh, kw = w.shape
    if width * groups != channels or filters % groups or (b is not None and len(b) != filters):
        raise ValueError("channels and groups do not fit")
    dtype, wide = x.dtype, np.float32 if x.dtype == np.float16 else x.dtype
    x = np.pad(x.astype(wide), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    rows = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    columns = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    if rows < 1 or columns < 1:
        raise ValueError("the kernel does not fit")
    x = x.reshape(items, groups, width, *x.shape[2:])
    w = w.reshape(groups, filters // groups, width, kh, kw).astype(wide)
    y = np.zeros((items, groups, filters // groups, rows * columns), wide)
    for i, j in np.ndindex(kh, kw):
        top, left = i * dh, j * dw
        part = x[..., top : top + rows * sh - sh + 1 : sh, left : left + columns * sw - sw + 1 : sw]
        with np.errstate(invalid="ignore"):
            y += w[..., i, j] @ part.reshape(*x.shape[:3], rows * columns)
    y = y.reshape(items, filters, rows, columns)
    return (y if b is None else y + b[:, None, None]).astype(dtype)


class Timed:
    """An implementation, and the processor seconds spent inside."""

    def __init__(self, f):
        self.seconds = 0.0
        self.calls = 0

        @wraps(f)
        def timed(*arrays, **arguments):
            start = time.process_time()
            try:
                return f(*arrays, **arguments)
            finally:
                self.seconds += time.process_time() - start
                self.calls += 1

        self.call = timed


def test_a_small_case_costs_two_milliseconds_at_most():
    costs = []
    for _ in range(ROUNDS):
        timed = Timed(conv2d)
        start = time.process_time()
        report = verify.check(timed.call)
        costs.append((time.process_time() - start - timed.seconds) / report.cases)
        assert report.ok, str(report)
    calls = timed.calls / report.cases
    print(f"\n{min(costs) * 1e3:.2f} ms a case beside its {calls:.1f} calls: {report.cases} cases")
    assert min(costs) <= 2e-3


def test_a_default_run_meets_every_pair_on_500_geometries_within_20_seconds():
    geometries = set()

    def seen(case):
        geometries.add(case.layer)
        return True

    start = time.process_time()
    report = verify.check(conv2d, supports=seen)
    seconds = time.process_time() - start
    met = [pair for pair in pairs(report.coverage.names) if report.coverage.double[pair]]
    print(f"\n{len(geometries)} geometries, {len(met)} pairs of features, {seconds:.1f} s")
    assert report.ok, str(report)
    assert len(geometries) >= 500
    assert not report.coverage.unmet()
    assert seconds <= 20
