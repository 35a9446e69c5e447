"""The corpus judged without the judge: right is right, broken is broken where it says it is."""

import ast
import contextlib
import dataclasses
import functools
import inspect
from collections import Counter
from pathlib import Path

import corpus
import loops
import numpy as np
import pytest
from corpus.entries import Case, laid_out, numbers

U = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "complex128": 2.0**-53}
EXAMPLES = {1: 90, 2: 70, 3: 40}  # drawn cases, by the number of axes
MODES = ("zeros", "circular", "reflect", "replicate")


def axes_of(op):
    return 0 if op == "linear" else int(op[-2])


def is_transposed(op):
    return op.startswith("conv_transpose")


def is_padded(op):
    return op.startswith("padded")


# What is right


def outputs_of(case, op):
    """The shape of an item's output; any size below 1 where the case is not a valid one."""
    if op == "linear":
        return case.weight_shape[:1]
    if not is_transposed(op):
        return (case.filters, *case.out)
    axes = zip(case.sizes, case.stride, case.padding, case.extent, case.output_padding, strict=True)
    out = ((n - 1) * s - 2 * p + e + extra for n, s, p, e, extra in axes)
    return (case.weight_shape[1] * case.groups, *out)


def is_valid(case, op):
    """Whether the case's arguments have a right answer."""
    if min(case.input_shape + case.weight_shape + case.stride + case.dilation, default=1) < 1:
        return False
    if op == "linear":
        return True
    if case.groups < 1 or min(outputs_of(case, op)) < 1:
        return False
    if is_transposed(op):
        axes = zip(case.output_padding, case.stride, case.dilation, strict=True)
        return case.channels % case.groups == 0 and all(e < max(s, d) for e, s, d in axes)
    for n, (lo, hi) in zip(case.sizes, case.pairs, strict=True):
        crops, widest = min(lo, 0) + min(hi, 0), max(lo, hi)
        if n + crops < 1 or (not is_padded(op) and min(lo, hi) < 0):
            return False
        if case.padding_mode == "reflect" and widest and (crops or widest >= n):
            return False  # the loops crop before they reflect, PyTorch after
    named = case.padding == "same" and max(case.stride) > 1
    return not named and case.filters % case.groups == 0


def arrays_of(case, op, again=0):
    """x, w, b and g, fresh ones; other numbers `again`."""
    return [None if a is None else a.copy() for a in _arrays_of(case, op, again)]


@functools.cache
def _arrays_of(case, op, again):
    shape = outputs_of(case, op)
    x, g = ((case.batch, *case.input_shape), 1 + again), ((case.batch, *shape), 4 + again)
    return (
        numbers(case, *x, special=True),
        numbers(case, case.weight_shape, 2 + again),
        numbers(case, shape[:1], 3 + again) if case.bias else None,
        numbers(case, *g, special=case.data != "large"),  # x g w must stay below 2^53
    )


def geometry_of(case):
    pairs = case.pairs
    return {
        "stride": case.stride,
        "padding": pairs,
        "dilation": case.dilation,
        "groups": case.groups,
        "padding_mode": case.padding_mode,
        "input_dilation": (1,) * case.axes,
    }


def stack(items, *shape):
    return np.array(items, dtype=object).reshape(len(items), *shape)


def total(parts, shape):
    return functools.reduce(np.add, parts, loops.zeros(*shape))


@functools.cache
def forward(case, op):
    """The right output, as Python numbers."""
    x, w, b, _ = arrays_of(case, op)
    if op == "linear":
        y = [loops.conv(i[:, None], w[:, :, None], b, **geometry_of(UNIT)) for i in x]
    elif is_transposed(op):
        names = "stride", "padding", "dilation", "groups"
        arguments = {name: geometry_of(case)[name] for name in names}
        arguments["output_padding"] = case.output_padding
        y = [loops.conv_transpose(item, w, b, **arguments) for item in x]
    else:
        y = [loops.conv(item, w, b, **geometry_of(case)) for item in x]
    return stack(y, *outputs_of(case, op))


UNIT = Case((1, 1), (1, 1, 1))


@functools.cache
def gradients(case, op):
    """The right gradients, as Python numbers."""
    x, w, _, g = arrays_of(case, op)
    shape, geometry = (case.batch, *case.input_shape), geometry_of(UNIT if op == "linear" else case)
    if op == "linear":
        x, w, g = x[..., None], w[..., None], g[..., None]
    if is_transposed(op):  # the convolution of g, whose last windows may find no input
        dx = [loops.conv(item, w.conj(), **geometry) for item in g]
        more = [(0, m - n) for m, n in zip(dx[0].shape[1:], case.sizes, strict=True)] if dx else []
        dx = [item[(slice(None), *map(slice, case.sizes))] for item in dx]
        x = [np.pad(item, [(0, 0), *more]) for item in x]
        pairs = zip(x, g, strict=True)
        dw = [loops.conv_grad_w(item, error, w.shape, **geometry).conj() for item, error in pairs]
    else:
        dx = [loops.conv_grad_x(error, w, x.shape[1:], **geometry) for error in g]
        pairs = zip(x, g, strict=True)
        dw = [loops.conv_grad_w(error, item, w.shape, **geometry) for item, error in pairs]
    db = [loops.conv_grad_b(error) for error in g]
    dw, db = total(dw, w.shape).reshape(case.weight_shape), total(db, outputs_of(case, op)[:1])
    return stack(dx, *case.input_shape).reshape(shape), dw, db


# How it is called


def keywords_of(case, op):
    """The options as the case writes them."""
    if op == "linear":
        return {}
    names = ["stride", "padding", "dilation", "groups"]
    names += ["output_padding"] * is_transposed(op) + ["padding_mode"] * is_padded(op)
    options = {}
    for name in names:
        value = getattr(case, name)
        single = isinstance(value, tuple) and len(set(value)) == 1 and isinstance(value[0], int)
        short = value[0] if single and (case.call == "short" or case.axes == 1) else value
        default = {"padding": 0, "output_padding": 0, "padding_mode": "zeros"}.get(name, 1)
        if case.call == "full" or short != default:
            options[name] = short
    return options


def results_of(entry, case, again=0):
    """([arguments], [results]) of one call: of backward where there is one, else of forward."""
    x, w, b, g = arrays_of(case, entry.op, again)
    x, g = laid_out(x, case.layout), laid_out(g, case.layout)
    options = keywords_of(case, entry.op)
    with np.errstate(all="ignore"):
        if entry.backward is not None:
            return [g, x, w], list(entry.backward(g, x, w, **options))
        if case.call == "short" and b is None:
            return [x, w], [entry.forward(x, w, **options)]
        return [x, w, b], [entry.forward(x, w, b, **options)]


def differ(got, right, dtype, tolerance):
    """What differs: "shape", "dtype", "value", or nothing."""
    if got.shape != right.shape:
        yield "shape"
        return
    if got.dtype != dtype:
        yield "dtype"
    with np.errstate(all="ignore"):
        rounded = right.astype(dtype)
        bad = ~((got == rounded) | (got != got) & (rounded != rounded))
        if tolerance and bad.any():
            exact = right.astype(complex)  # and not `rounded`: an error may decide a tie
            bad &= abs(got - exact) > tolerance + U.get(np.dtype(dtype).name, 0) * abs(exact)
    if bad.any():
        yield "value"


def faults(entry, case, tolerances=(0, 0, 0)):
    """All that is wrong with an implementation on a case."""
    getattr(entry, "reset", lambda: None)()
    if case.refused:
        try:
            results_of(entry, case)
        except ValueError:
            return set()
        return {"accepted"}
    if case.before is not None:
        results_of(entry, case.before)
    backward = entry.backward is not None
    right = gradients(case, entry.op) if backward else [forward(case, entry.op)]
    try:
        given, got = results_of(entry, case)
    except NotImplementedError:
        raise
    except Exception:
        return {"crash"}
    found = set()
    for result, wanted, tolerance in zip(got, right, tolerances, strict=False):
        found.update(differ(result, wanted, case.dtype, tolerance))
    x, w, b, g = arrays_of(case, entry.op)
    untouched = [g, x, w] if backward else [x, w, b][: len(given)]
    for is_now, was in zip(given, untouched, strict=True):
        if was is not None and not np.array_equal(is_now, was, equal_nan=True):
            found.add("input modified")
    kept = [result.copy() for result in got]
    results_of(entry, case, again=10)
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(kept, got, strict=True)):
        found.add("result overwritten")
    return found


# Cases drawn, and cases made smaller


def some(rng, *choices):
    return choices[rng.integers(len(choices))]


def drawn_case(op, rng):
    """A case of the op, valid or not."""
    axes = axes_of(op)
    ints = lambda high, low=1: tuple(int(i) for i in rng.integers(low, high + 1, axes))  # noqa: E731, local shorthand
    large = rng.integers(6) == 0 and axes < 3
    width, per = some(rng, 1, 1, 2, 3), some(rng, 1, 1, 2, 3)
    if large:
        width, per = some(rng, 1, 4, 5, 9), some(rng, 1, 4, 5)
    groups = some(rng, 1, 1, 2, 3) if axes < 3 else some(rng, 1, 2)
    options = {
        "batch": some(rng, 0, 1, 1, 2, 3),
        "bias": bool(rng.integers(2)),
        "dtype": some(rng, "float64", "float64", "float32", "float16", "int64", "complex128"),
        "layout": some(rng, "contiguous", "contiguous", "transposed", "sliced", "backwards"),
        "call": some(rng, "full", "short"),
    }
    if options["dtype"] == "float64":
        options["data"] = some(rng, "integers", "positive", "ends in inf", "ends in nan", "large")
    elif options["dtype"] == "float16":
        options["data"] = some(rng, "integers", "2048 and ones")
    if op == "linear":
        return Case((width,), (per, width), **options)
    steps = 1 if rng.integers(3) == 0 else 3
    options |= {"stride": ints(steps), "dilation": ints(steps), "groups": groups}
    kernel = some(rng, ints(3), ints(1), (3,) * axes)
    if rng.integers(6) == 0:  # what Winograd's algorithm can do
        kernel = (3,) * axes
        options |= {"stride": 1, "dilation": 1}
    sizes = ints({1: 12, 2: 5, 3: 3}[axes])
    if large:
        sizes = (int(rng.integers(6, 12)), *sizes[1:])
    options["padding"] = some(rng, ints(2, 0), (0,) * axes)
    if op.startswith("depthwise"):
        groups, width = groups if axes == 3 else some(rng, 1, 2, 3), 1
        options["groups"] = groups
    if is_transposed(op):
        options["output_padding"] = ints(2, 0)
        return Case((groups * width, *sizes), (groups * width, per, *kernel), **options)
    if is_padded(op):
        names = "valid", "same", "same_upper", "same_upper", "same_lower", "full"
        both = tuple((int(lo), int(hi)) for lo, hi in rng.integers(-1, 3, (axes, 2)))
        wide = tuple((lo, hi + 4) for lo, hi in both)
        options["padding"] = some(rng, *names, both, both, both, wide)
        options["padding_mode"] = some(rng, *MODES)
    return Case((groups * width, *sizes), (groups * per, width, *kernel), **options)


@functools.cache
def cases_of(op):
    """Valid cases of the op, always the same."""
    rng = np.random.default_rng(list(op.encode()))
    found = []
    while len(found) < EXAMPLES.get(axes_of(op), 40):
        case = drawn_case(op, rng)
        if is_valid(case, op):
            found.append(case)
    return found


def lowered(numbers, least):
    """The tuple with one number moved towards `least`, in every way."""
    for i, n in enumerate(numbers):
        if n != least:
            yield (*numbers[:i], n - 1 if n > least else n + 1, *numbers[i + 1 :])


def smaller(case, op):
    """Every valid case that is smaller or simpler by one step."""
    (c, *sizes), (rows, columns, *kernel) = case.input_shape, case.weight_shape
    g, up = case.groups, is_transposed(op)
    found = [{"input_shape": (c, *n)} for n in lowered(sizes, 1)]
    found += [{"weight_shape": (rows, columns, *n)} for n in lowered(kernel, 1)]
    for name, least in (("stride", 1), ("dilation", 1), ("output_padding", 0)):
        found += [{name: value} for value in lowered(getattr(case, name), least)]
    if isinstance(case.padding, str):
        found.append({"padding": "valid"})
    elif is_padded(op):
        flat = [n for pair in case.pairs for n in pair]
        found += [{"padding": tuple(zip(n[::2], n[1::2], strict=True))} for n in lowered(flat, 0)]
    else:
        found += [{"padding": value} for value in lowered(case.padding, 0)]
    inputs, outputs = (rows // g, columns) if up else (columns, rows // g)
    for n, i, o in ((g - 1, inputs, outputs), (g, inputs - 1, outputs), (g, inputs, outputs - 1)):
        w = (n * i, o) if up else (n * o, i)
        found.append({"input_shape": (n * i, *sizes), "weight_shape": (*w, *kernel), "groups": n})
    for name in ("bias", "dtype", "layout", "data", "call", "padding_mode", "before"):
        found.append({name: getattr(UNIT, name)})
    found.append({"batch": max(1, case.batch - 1) if case.batch else 1})
    for change in found:
        simpler = dataclasses.replace(case, **change)
        if simpler != case and is_valid(simpler, op):
            yield simpler


# The tests


def by_name(entries):
    return [pytest.param(entry, id=entry.name) for entry in entries]


def near(entry):
    """Tolerances for a broken fast algorithm on integers: a mistake is off by a whole unit."""
    return (0, 0, 0) if entry.algorithm == "direct" else (0.25,) * 3


def finite(entry, case):
    """Whether a case is asked for: inf spreads in transforms, and backward it meets zeros."""
    spreads = getattr(entry, "spreads", entry.algorithm != "direct")
    return not (spreads or entry.backward) or case.data[:4] != "ends"


@pytest.mark.parametrize("entry", by_name(corpus.RIGHT))
def test_a_right_implementation_is_right(entry):
    f = entry.forward if entry.backward is None else entry.backward
    takes = inspect.signature(f).parameters
    supported = 0
    for case in filter(lambda case: finite(entry, case), cases_of(entry.op)):
        if keywords_of(case, entry.op).keys() - takes.keys():
            continue
        x, w, _, g = arrays_of(case, entry.op)
        terms, u = (
            w[0].size,
            U.get("float32" if case.dtype == "float16" else case.dtype, U["float64"]),
        )
        factors = [(x, w)] if entry.backward is None else [(g, w), (g, x)]
        bounds = [entry.rounding(p, q, terms, u) for p, q in factors]
        try:
            found = faults(entry, case, (*bounds, 0))
        except NotImplementedError:
            continue
        assert not found, case
        supported += 1
    assert supported >= 2, supported


@pytest.mark.parametrize("entry", by_name(corpus.BROKEN))
def test_a_broken_implementation_is_wrong_on_its_smallest_case(entry):
    assert entry.smallest.refused or is_valid(entry.smallest, entry.op)
    assert faults(entry, entry.smallest, near(entry))


@pytest.mark.parametrize("entry", by_name(corpus.BROKEN))
def test_nothing_one_step_smaller_shows_the_mistake(entry):
    if not entry.smallest.refused:
        for case in smaller(entry.smallest, entry.op):
            with contextlib.suppress(NotImplementedError):
                assert not faults(entry, case, near(entry)), case


@pytest.mark.parametrize("entry", by_name(corpus.BROKEN))
def test_a_broken_implementation_is_right_elsewhere(entry):
    seen = Counter()
    for case in filter(lambda case: finite(entry, case), cases_of(entry.op)):
        try:
            found = faults(entry, case, near(entry))
        except NotImplementedError:
            continue
        assert entry.seen(case) or not found, (case, found)
        seen[bool(found)] += 1
    assert seen[False] or entry.where_seen in ("always", "two calls with results of one shape")
    if entry.smallest.before is None and not entry.smallest.refused:
        assert seen[True], "the drawn cases do not meet it"


def test_there_are_enough_of_each_kind():
    backward = [entry for entry in corpus.BROKEN if entry.backward]
    ops = Counter(entry.op.rstrip("123d") for entry in corpus.BROKEN if not entry.backward)
    assert ops["conv"] + ops["depthwise_conv"] >= 25
    assert ops["conv_transpose"] >= 12
    assert ops["padded_conv"] >= 12
    assert len(backward) >= 20
    assert len(corpus.RIGHT) >= 16
    names = [entry.name for entry in corpus.BROKEN + corpus.RIGHT]
    assert len(set(names)) == len(names)


def test_the_corpus_knows_neither_the_product_nor_its_judge():
    for path in sorted(Path(corpus.__file__).parent.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                assert not any(alias.name.split(".")[0] in OURS for alias in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert node.module.split(".")[0] not in OURS, path


OURS = ("toeplitz", "verify")
