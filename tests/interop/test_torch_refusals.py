"""What PyTorch refuses, toeplitz.functional refuses; what PyTorch accepts, it accepts, and equally.

Each function has a table: for each of its arguments, in order, a right value and many wrong or
borderline ones. Where the two differ on purpose, DEPARTURES says why.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

import toeplitz.functional

pytestmark = pytest.mark.interop

UNIT = 60**3  # divided by the windows below, this is an integer


@dataclass(frozen=True)
class Of:
    """An array argument."""

    shape: tuple
    dtype: str = "float64"


def of(*shape):
    return Of(shape)


# The tables


def dtypes(*shape):
    names = "float32 float16 complex128 complex64 int64 int32 int8 uint8 bool"
    return [Of(shape, dtype) for dtype in names.split()]


def inputs(n, channels, size):
    """Right and wrong ranks, empty axes, other sizes, dtypes."""
    full = (size,) * n
    return [
        *(of(2, channels, *full), of(channels, *full), of(1, 2, channels, *full), of(*full), of()),
        *(of(0, channels, *full), of(2, 0, *full), of(0, 0, *full), of(0, *full)),
        *(of(2, channels, *full[1:], 0), of(0, channels, *full[1:], 0), of(2, channels, *[0] * n)),
        *(of(2, channels, *full[1:], k) for k in (1, 2, 3, size + 1)),
        *(of(2, channels, *[1] * n), of(2, channels + 1, *full), of(2, 1, *full)),
        *dtypes(2, channels, *full),
    ]


def per_axis(n, *good):
    """The good values in every spelling, and bad ones."""
    k = good[-1]
    spelled = [v for g in good for v in (g, (g,) * n, [g] * n)]
    lengths = [(k,), (k,) * (n + 1), (k,) * (n - 1), (), ((k,) * n,)]
    numbers = [0, -1, (k,) * (n - 1) + (0,), (k,) * (n - 1) + (-1,), 9]
    return [*spelled, *lengths, *numbers, 1.0, (1.0,) * n, True, (True,) * n, None, "1"]


FLAGS = [False, True, 0, 1, None, "yes"]


def conv(n):
    full = (3,) * n
    channels = [(4, 4), (4, 2), (4, 1), (8, 2), (3, 4), (4, 3), (0, 4), (4, 0)]
    kernels = [(*full[1:], 0), (*full[1:], 6), (*full[1:], 1), full[1:], (*full, 3)]
    pairs = [((1, 1),) * n, ((1, 2),) * n]
    names = ["same", "valid", "full", "SAME", "same_upper", ""]
    return {
        "input": inputs(n, 4, 5),
        "weight": [
            *(of(*pair, *full) for pair in channels),
            *(of(4, 4, *kernel) for kernel in kernels),
            *(of(), None, *dtypes(4, 4, *full)),
        ],
        "bias": [None, *map(of, (4, 3, 1, 0, 8)), of(4, 1), of(1, 4), of(), *dtypes(4)],
        "stride": per_axis(n, 1, 2),
        "padding": [*per_axis(n, 0, 1), 7, *names, *pairs],
        "dilation": per_axis(n, 1, 2),
        "groups": [1, 2, 4, 3, 0, -1, 9, 1.0, True, None, (1,), "1"],
    }


def conv_transpose(n):
    table = conv(n)
    table["padding"] += [2, 3, (3,) * n]
    table["stride"] += [3]
    table["dilation"] += [3]
    table["output_padding"] = [*per_axis(n, 0, 1), 2]
    order = "input weight bias stride padding output_padding groups dilation"
    return {name: table[name] for name in order.split()}


def pool(n):
    return {
        "input": inputs(n, 4, 6),
        "kernel_size": [*per_axis(n, 2, 3), 1, 6, 7],
        "stride": [None, *per_axis(n, 1, 2), 3],
        "padding": [*per_axis(n, 0, 1), 2],
    }


def max_pool(n):
    return pool(n) | {
        "dilation": [*per_axis(n, 1, 2), 3],
        "ceil_mode": FLAGS,
        "return_indices": [False, True],
    }


def avg_pool(n):
    table = pool(n) | {"ceil_mode": FLAGS, "count_include_pad": [True, *FLAGS]}
    if n > 1:
        table["divisor_override"] = [None, 1, 3, -2, 0, 1.0, True, "1", (2,)]
    return table


def adaptive(n, largest):
    nones = [(None,) * n, (2,) * (n - 1) + (None,), (None,) * (n + 1), (None,) * (n - 1), None]
    table = {"input": inputs(n, 4, 6), "output_size": [*per_axis(n, 2, 3), 1, 7, (0,) * n, *nones]}
    return table | ({"return_indices": [False, True]} if largest else {})


def moved(first):
    space = {
        "kernel_size": [*per_axis(2, 2), 1, 3, 6, (2, 4)],
        "dilation": per_axis(2, 1, 2),
        "padding": per_axis(2, 0, 1),
        "stride": per_axis(2, 1, 2),
    }
    return first | space


UNFOLD = moved({"input": inputs(2, 4, 5) + inputs(1, 4, 5) + inputs(3, 4, 5)})
FOLD = moved(
    {
        "input": [
            *(of(2, 8, 16), of(8, 16), of(0, 8, 16), of(2, 2, 8, 16), of(16), of()),
            *(of(2, 8, columns) for columns in (0, 4, 9, 15, 36, 49)),
            *(of(2, rows, 16) for rows in (0, 4, 7, 9)),
            *(of(0, 16), *dtypes(2, 8, 16)),
        ],
        "output_size": [*per_axis(2, 5), (4, 5), (5, 0), 1, 2],
    }
)
LINEAR = {
    "input": [of(2, 3), of(3), of(4, 2, 3), of(), of(0, 3), of(2, 0), of(0), of(2, 4), of(2, 1)]
    + dtypes(2, 3),
    "weight": [of(4, 3), of(3), of(1, 3), of(0, 3), of(4, 0), of(0), of(), of(4, 4), of(2, 4, 3)]
    + [of(1), None, *dtypes(4, 3)],
    "bias": [None, of(4), of(1), of(), of(2, 4), of(1, 4), of(3), of(0), of(4, 1), *dtypes(4)],
}
PER_CHANNEL = [of(3), None, of(2), of(3, 1), of(1), of(0), of(), *dtypes(3)]
BATCH_NORM = {
    "input": [
        *(of(2, 3, 4), of(2, 3), of(2, 3, 4, 5), of(2, 3, 2, 2, 2), of(2, 3, 2, 2, 2, 2)),
        *(of(1, 3, 4), of(1, 3), of(1, 3, 1), of(2, 3, 1), of(0, 3, 4), of(0, 3), of(1, 0)),
        *(of(2, 0, 4), of(2, 3, 0), of(2, 2, 4), of(3), of(), *dtypes(2, 3, 4)),
    ],
    "running_mean": PER_CHANNEL,
    "running_var": PER_CHANNEL,
    "weight": PER_CHANNEL,
    "bias": PER_CHANNEL,
    "training": FLAGS,
    "momentum": [0.1, 0, 1, 2, -1, None, "a", True],
    "eps": [0.25, 1e-5, 1, 0, -1, float("nan"), float("inf"), None, "a", True],
}
PAD = {
    "input": [
        *(of(2, 3, 4, 5), of(3, 4, 5), of(4, 5), of(5), of(), of(2, 3, 4, 5, 6), of(1, 1, 1, 1)),
        *(of(0, 3, 4, 5), of(2, 0, 4, 5), of(2, 3, 0, 5), of(2, 3, 4, 0), *dtypes(2, 3, 4, 5)),
    ],
    "pad": [
        *((1, 1), (1, 2), [1, 1], (1, 2, 2, 1), (1,) * 6, (1,) * 8, (1,) * 10, (1,), (1,) * 3, ()),
        *((0, 0), (-1, 0), (-1, -1), (-2, -2), (-2, -3), (-3, -3), (-5, 0), (-6, 0), (2, -6)),
        *((4, 0), (5, 0), (6, 0), (5, 5), (10, 0), (-1, 4), (4, -1), (5, -1), (-1, 5), (2, -4)),
        *((0, 0, 3, 0), (0, 0, 4, 0), (0, 0, 5, 0), (0, 0, -4, 0), (0, 0, -4, 4)),
        *(1, 1.0, (1.0, 1.0), (True, True), (None, None), ("a", "b"), ((1, 1),), None, "1"),
    ],
    "mode": ["constant", "reflect", "replicate", "circular", "zeros", "edge", "", None, 1],
    "value": [None, 0, 0.0, 2, 2.5, -1, 1j, True, "a", float("nan"), float("inf")],
}
AXES = (1, 2, 3)
TABLES = {
    **{f"conv{n}d": conv(n) for n in AXES},
    **{f"conv_transpose{n}d": conv_transpose(n) for n in AXES},
    **{f"max_pool{n}d": max_pool(n) for n in AXES},
    **{f"avg_pool{n}d": avg_pool(n) for n in AXES},
    **{f"adaptive_max_pool{n}d": adaptive(n, True) for n in AXES},
    **{f"adaptive_avg_pool{n}d": adaptive(n, False) for n in AXES},
    "unfold": UNFOLD,
    "fold": FOLD,
    "linear": LINEAR,
    "batch_norm": BATCH_NORM,
    "pad": PAD,
}


# One call, judged by both


class Case(NamedTuple):
    """A call on which the two differ, and what each made of it: arrays, or an error."""

    name: str
    call: dict
    ours: object
    theirs: object
    difference: str
    torch: object

    @property
    def only_we_refuse(self):
        return isinstance(self.ours, Exception)

    @property
    def only_torch_refuses(self):
        return isinstance(self.theirs, Exception)


def numbers(name, argument, array):
    """What fills an array: integers with which every accepted call is exact."""
    if argument == "running_var":
        return np.full(array.shape, 3.75, array.dtype)  # + eps = 4
    few = np.random.default_rng([len(argument), *array.shape]).integers(0, 3, array.shape)
    wide = np.dtype(array.dtype).itemsize >= 4 and "avg" in name
    return np.asarray(few * UNIT if wide else few, array.dtype)


def attempt(function, arguments):
    try:
        result = function(*arguments)
    except Exception as error:
        return error
    return result if isinstance(result, tuple) else (result,)


def called(function, name, call, convert=lambda array: array):
    """The function's results on the call's arguments, in their order; or its error."""
    return attempt(
        function,
        [
            convert(numbers(name, argument, value)) if isinstance(value, Of) else value
            for argument, value in call.items()
        ],
    )


def by_torch(torch, name, call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch thinks of its own ways is not our matter
        results = called(getattr(torch.nn.functional, name), name, call, torch.from_numpy)
    return results if isinstance(results, Exception) else [tensor.numpy() for tensor in results]


def differing(torch, name, call):
    """The Case of a call on which we and torch differ, or None."""
    ours = called(getattr(toeplitz.functional, name), name, call)
    theirs = by_torch(torch, name, call)
    refused = [isinstance(results, Exception) for results in (ours, theirs)]
    if not any(refused):
        difference = first_difference(name, call, ours, theirs)
    elif refused[0] and not isinstance(ours, ValueError | TypeError):
        difference = "kind of our error"
    else:
        difference = None if all(refused) else "refusal"
    return difference and Case(name, call, ours, theirs, difference, torch)


def first_difference(name, call, ours, theirs):
    if len(ours) != len(theirs):
        return "number of results"
    for one, other in zip(ours, theirs, strict=True):
        if one.shape != other.shape:
            return "shape"
        if one.dtype != other.dtype:
            return "dtype"
        # Other normalisations than this one round: test_torch_normalisation has their values.
        exact = name != "batch_norm" or (call["eps"] == 0.25 and not call["training"])
        if exact and not np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"):
            return "value"
    return None


# Where we differ on purpose


class Departure(NamedTuple):
    """A reason to differ from torch, an example, and the cases that it covers."""

    reason: str
    name: str
    example: dict
    covers: Callable[[Case], bool]


def told(case, words):
    return case.only_we_refuse and words in str(case.ours)


def is_empty(case):
    return 0 in case.call["input"].shape


def refused_when_filled(case):
    shape = tuple(size or 2 for size in case.call["input"].shape)
    filled = case.call | {"input": Of(shape, case.call["input"].dtype)}
    return isinstance(by_torch(case.torch, case.name, filled), Exception)


def kernel_missing(case):
    words = "not implemented for", "could not infer output dtype"
    return case.only_torch_refuses and any(word in str(case.theirs) for word in words)


EMPTY = "leaves nothing of spatial axis", "at least one channel", "out_features must be at least 1"
DEPARTURES = [
    Departure(
        "torch has no kernel for this dtype; we compute with every number",
        "max_pool1d",
        {"input": Of((2, 4, 6), "int64")},
        kernel_missing,
    ),
    Departure(
        "integers are averaged in float64, not cut off to integers",
        "avg_pool1d",
        {"input": Of((2, 4, 6), "int64")},
        lambda case: case.difference == "dtype" and "avg" in case.name,
    ),
    Departure(
        "torch sums halves in halves; we sum them in float32 and round once",
        "adaptive_avg_pool3d",
        {"input": Of((2, 4, 6, 6, 6), "float16")},
        lambda case: case.difference == "value" and case.call["input"].dtype == "float16",
    ),
    Departure(
        "truth values are no numbers",
        "unfold",
        {"input": Of((2, 4, 5, 5), "bool")},
        lambda case: told(case, "must hold numbers, got bool"),
    ),
    Departure(
        "a boolean is no number",
        "pad",
        {"value": True},
        lambda case: told(case, "must be a number, got True"),
    ),
    Departure(
        "an eps that is not finite gives no numbers",
        "batch_norm",
        {"eps": float("nan")},
        lambda case: told(case, "eps must be at least 0 and finite"),
    ),
    Departure(
        "nothing is silently truncated",
        "pad",
        {"input": Of((2, 3, 4, 5), "int64"), "value": 2.5},
        lambda case: case.name == "pad" and told(case, "pad x in a wider dtype"),
    ),
    Departure(
        "a sum that the integers do not hold is refused, where torch lets it wrap",
        "conv3d",
        {"input": Of((2, 4, 5, 5, 5), "int8"), "weight": Of((4, 4, 3, 3, 3), "int8")},
        lambda case: told(case, "does not fit into"),
    ),
    Departure(
        "torch reads nothing of an empty input, so a mistake in the call passes unseen",
        "conv1d",
        {"input": of(0, 4, 5), "weight": Of((4, 4, 3), "float32")},
        lambda case: case.only_we_refuse and is_empty(case) and refused_when_filled(case),
    ),
    Departure(
        "torch gives no output channels where there are no input channels",
        "conv1d",
        {"input": of(2, 0, 5), "weight": of(4, 0, 3)},
        lambda case: case.difference == "shape" and case.name[:4] == "conv" and is_empty(case),
    ),
    Departure(
        "a layer has channels and leaves something (torch's own pools disagree about that)",
        "pad",
        {"input": of(2, 4, 5), "pad": (-2, -3), "mode": "circular"},
        lambda case: (
            any(told(case, words) for words in EMPTY)
            and all(result.size == 0 for result in case.theirs)
        ),
    ),
    Departure(
        "a spatial axis has at least one entry",
        "adaptive_avg_pool1d",
        {"input": of(2, 4, 0), "output_size": 1},
        lambda case: told(case, "must have spatial sizes of at least 1"),
    ),
    Departure(
        "a max pool's window reads an input: torch answers -inf, at a place outside the input",
        "max_pool1d",
        {"input": of(2, 4, 2), "kernel_size": 2, "dilation": 3, "padding": 1, "stride": 1},
        lambda case: told(case, "reads only padding") and any(np.isinf(case.theirs[0].ravel())),
    ),
    Departure(
        "torch converts a bias, but only of transposed convolutions and where padding has a name",
        "conv_transpose1d",
        {"bias": Of((4,), "float32")},
        lambda case: (
            told(case, "bias must have the dtype of input")
            and ("transpose" in case.name or isinstance(case.call.get("padding"), str))
        ),
    ),
    Departure(
        "torch takes the mean of any number of axes, but only for output size 1",
        "adaptive_avg_pool2d",
        {"input": of(6, 6), "output_size": 1},
        lambda case: "adaptive_avg" in case.name and told(case, "axes, (C, *S), or"),
    ),
    Departure(
        "torch broadcasts linear's bias, which its documentation has as (out,)",
        "linear",
        {"bias": of(1)},
        lambda case: case.name == "linear" and told(case, "bias must have the shape"),
    ),
    Departure(
        "torch adds a bias to x @ w for every rank of x but 2",
        "linear",
        {"weight": of(3), "bias": of()},
        lambda case: case.only_torch_refuses and "mat2 must be a matrix" in str(case.theirs),
    ),
    Departure(
        "torch counts the entries per channel and does not look at their shape",
        "batch_norm",
        {"weight": of(3, 1)},
        lambda case: case.name == "batch_norm" and told(case, "(3,), got (3, 1)"),
    ),
    Departure(
        "stride=() is how torch writes None inside",
        "max_pool1d",
        {"stride": ()},
        lambda case: case.only_we_refuse and case.call.get("stride") == (),
    ),
    Departure(
        "torch fills complex arrays with real numbers only",
        "pad",
        {"input": Of((2, 3, 4, 5), "complex128"), "value": 1j},
        lambda case: case.only_torch_refuses and case.call.get("value") == 1j,
    ),
    Departure(
        "torch repeats cells that a crop has left none of",
        "pad",
        {"pad": (0, 0, -4, 4), "mode": "circular"},
        lambda case: told(case, "leaves nothing to repeat"),
    ),
]


# What depends on one another, and is taken in every combination
CROSSED = [
    *(("input", "weight"), ("weight", "bias"), ("input", "training"), ("running_mean", "training")),
    *(("running_var", "training"), ("running_mean", "running_var"), ("training", "eps")),
    *(("stride", "padding"), ("stride", "output_padding"), ("dilation", "output_padding")),
    *(("kernel_size", "padding"), ("kernel_size", "output_size"), ("input", "output_size")),
    *(("input", "kernel_size"), ("pad", "mode"), ("input", "pad"), ("input", "value")),
]


def base(name):
    return {argument: values[0] for argument, values in TABLES[name].items()}


def unwritten(call):
    """Whether torch repeats cells that a crop has taken away: it reads memory not written yet.

    What it answers then differs from call to call, so nothing can be compared.
    """
    pad, shape = call["pad"], getattr(call["input"], "shape", ())
    numbers = isinstance(pad, tuple) and all(isinstance(side, int) for side in pad)
    if call["mode"] != "circular" or not numbers:
        return False
    pairs = zip(shape[::-1], pad[::2], pad[1::2], strict=False)
    return any(min(pair) < 0 and max(pair) > size + min(pair) > 0 for size, *pair in pairs)


def found_in(torch, name, calls):
    """What the two make of each call on which they differ without a reason."""
    found = []
    for call in calls:
        if name == "pad" and unwritten(call):
            continue
        case = differing(torch, name, call)
        if case and not any(departure.covers(case) for departure in DEPARTURES):
            changed = {key: value for key, value in call.items() if value is not base(name)[key]}
            sides = f"ours: {told_of(case.ours)}\ntorch: {told_of(case.theirs)}"
            found.append(f"{name}({changed}): {case.difference} differs\n{sides}")
    return found and "\n".join([f"{len(found)} of {len(calls)} calls", *found[:5]])


def told_of(results):
    if isinstance(results, Exception):
        return f"{type(results).__name__}: {str(results).splitlines()[0]}"
    return [(result.shape, str(result.dtype)) for result in results]


@pytest.fixture(scope="module")
def torch(need):
    torch = need("torch")
    torch.set_num_threads(1)
    return torch


@pytest.mark.parametrize("name", TABLES)
def test_one_wrong_or_borderline_argument_is_taken_as_torch_takes_it(torch, name):
    calls = [base(name)]
    for argument, values in TABLES[name].items():
        calls += [base(name) | {argument: value} for value in values[1:]]
    found = found_in(torch, name, calls)
    assert not found, found


@pytest.mark.parametrize(
    "name, first, second",
    [(name, *pair) for name, table in TABLES.items() for pair in CROSSED if {*pair} <= {*table}],
)
def test_two_arguments_that_meet_are_taken_as_torch_takes_them(torch, name, first, second):
    calls = [
        base(name) | {first: one, second: other}
        for one in TABLES[name][first]
        for other in TABLES[name][second]
    ]
    found = found_in(torch, name, calls)
    assert not found, found


@pytest.mark.parametrize("dtype", [array.dtype for array in dtypes()])
@pytest.mark.parametrize("name", TABLES)
def test_arrays_of_one_dtype_are_taken_as_torch_takes_them(torch, name, dtype):
    call = base(name)
    if "bias" in call:
        call["bias"] = of(3) if name == "batch_norm" else of(4)
    arrays = {key: Of(array.shape, dtype) for key, array in call.items() if isinstance(array, Of)}
    found = found_in(torch, name, [call | arrays])
    assert not found, found


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
def test_several_wrong_or_borderline_arguments_are_taken_as_torch_takes_them(torch, name, data):
    table = TABLES[name]
    changed = data.draw(st.sets(st.sampled_from(list(table)), min_size=2, max_size=4))
    call = base(name) | {
        argument: data.draw(st.sampled_from(table[argument])) for argument in sorted(changed)
    }
    note(f"{name}({call})")
    found = found_in(torch, name, [call])
    assert not found, found


def test_batch_norm_takes_halves_with_parameters_in_float32(torch):
    call = {
        key: Of(value.shape, "float16" if key == "input" else "float32")
        if isinstance(value, Of)
        else value
        for key, value in base("batch_norm").items()
    }
    found = found_in(torch, "batch_norm", [call])
    assert not found, found


@pytest.mark.parametrize("departure", DEPARTURES, ids=lambda departure: departure.reason)
def test_where_we_depart_from_torch_on_purpose_we_still_do(torch, departure):
    case = differing(torch, departure.name, base(departure.name) | departure.example)
    assert case
    assert departure.covers(case)
