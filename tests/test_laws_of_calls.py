"""The laws of repeated calls: each is broken by what is made for it, in its words, and by no more.

A law that takes several calls is asked to tell *why* a result is wrong, so that a plain mistake
must break none of them.
"""

import numpy as np
import pytest

from toeplitz import Conv
from verify import laws
from verify.case import Case
from verify.judgement import DIRT
from verify.layers import Norm
from verify.ops import OPS
from verify.suspect import Callables

LAYER = Conv((2, 5), (3, 2, 2))
CASE = Case(OPS["conv1d"], LAYER, batch=3, bias=True)
AGAIN = "the same call again gives another result"


def conv1d(x, w, b=None):
    y = Conv(x.shape[1:], w.shape).apply(x.astype(float), w.astype(float))
    return (y if b is None else y + b[:, None]).astype(x.dtype)


def backward(g, x, w):
    return tuple(Conv(x.shape[1:], w.shape).gradients(g, x, w))


def broken(law, f, case=CASE, back=None):
    """The code and the note of a law that is broken; None if it is kept."""
    violation = law(Callables(f, back), case)
    assert violation is None or violation.case.but(layout=case.layout) == case
    return violation and (violation.code, violation.note)


def counting(change, f=conv1d):
    """f with its result changed in a way that depends on how many calls there were."""
    calls = iter(range(10**6))
    return lambda *arrays: change(f(*arrays), next(calls))


def doubled(x, w, b=None):
    return 2 * conv1d(x, w, b)


def refuses(x, w, b=None):
    raise ValueError("not today")


def pair(x, w, b=None):
    return conv1d(x, w, b), conv1d(x, w, b)


FORWARD = (*laws.REASONS, *laws.MORE)


@pytest.mark.parametrize("law", FORWARD)
def test_what_is_right_keeps_every_law(law):
    for case in (CASE, CASE.but(bias=False), CASE.but(batch=1), CASE.but(batch=0)):
        assert broken(law, conv1d, case) is None


@pytest.mark.parametrize("law", laws.REASONS)
@pytest.mark.parametrize("f", [doubled, refuses, pair])
def test_what_is_always_wrong_in_the_same_way_breaks_no_law_of_several_calls(law, f):
    assert broken(law, f) is None


# The same call again


def test_noise_is_no_state():
    rng = np.random.default_rng(0)
    noisy = counting(lambda y, call: y + rng.integers(0, 2, y.shape))
    assert broken(laws.deterministic, noisy) == (
        "CV151", "calls with the same arguments differ",
    )  # fmt: skip


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_one_call_of_three_that_differs_is_noise(odd):
    f = counting(lambda y, call: y + (call == odd))
    assert broken(laws.deterministic, f)[0] == "CV151"


def test_what_each_call_adds_is_a_state_and_no_noise():
    adds = counting(lambda y, call: y + 3 * call)
    assert broken(laws.deterministic, adds) is None
    assert broken(laws.without_history, adds) == ("CV153", AGAIN)


def test_steps_from_infinities_are_steps_too():
    def step(y, call):
        y = y + 3 * call
        y[0, 0, 0] = np.inf  # the difference of two of them is NaN
        return y

    assert broken(laws.deterministic, counting(step)) is None

    def leap(y, call):
        return np.full_like(y, (-1) ** call * 1.5e308)  # further apart than the largest number

    assert broken(laws.deterministic, counting(leap))[0] == "CV151"


def test_results_of_other_shapes_are_noise():
    for odd in range(3):
        f = counting(lambda y, call, odd=odd: y[..., :-1] if call == odd else y)
        assert broken(laws.deterministic, f)[0] == "CV151"


def test_freed_memory_holds_something_else_before_each_call(monkeypatch):
    seen = []
    monkeypatch.setattr(laws, "dirty", lambda case, value: seen.append(value))
    assert broken(laws.deterministic, conv1d) is None
    assert len(set(seen)) == 3
    assert all(seen)
    assert len(np.unique(np.diff(seen))) == 2  # so that what is left over looks like no state
    assert DIRT in seen


def test_nothing_is_said_of_a_call_that_gives_no_array():
    for odd in range(3):
        calls = iter(range(10))

        def f(x, w, b=None, odd=odd, calls=calls):
            return pair(x, w, b) if next(calls) == odd else conv1d(x, w, b)

        assert broken(laws.deterministic, f) is None


# Calls before


def keeps(part):
    """f that takes for one array what the first call had, where the shapes agree."""
    kept = {}

    def f(x, w, b=None):
        given = {"x": x, "w": w, "b": b}
        if given[part] is not None:
            given[part] = kept.setdefault((x.shape, w.shape), given[part].copy())
        return conv1d(*given.values())

    return f


def after(told, wrong):
    """f that is wrong once, in the call after one that `told` holds for."""
    state = {"wrong": False}

    def f(x, w, b=None):
        y = conv1d(x, w, b)
        y = wrong(y) if state["wrong"] else y
        state["wrong"] = told(x, b)
        return y

    return f


@pytest.mark.parametrize(
    ("told", "note"),
    [
        (lambda x, b: b is None, "no bias"),
        (lambda x, b: len(x) == 4, "another batch"),
        (
            lambda x, b: len(x) == 3 and b is not None and not np.array_equal(x, CASE.arrays.x),
            "other data of the same shapes",
        ),
    ],
)
def test_a_state_is_told_with_the_call_that_left_it(told, note):
    sentence = f"the result differs after a call with {note}"
    for wrong in (np.negative, lambda y: y[..., :-1]):
        assert broken(laws.without_history, after(told, wrong)) == ("CV153", sentence)


def test_the_calls_between_have_other_numbers_of_their_own():
    met = []

    def f(x, w, b=None):
        met.append((len(x), b is None, x[:1].tobytes(), w.tobytes()))
        return conv1d(x, w, b)

    assert broken(laws.without_history, f) is None
    mine, same, data, mine2, bare, mine3, more, mine4 = met
    assert mine == same == mine2 == mine3 == mine4
    assert (data[:2], bare[:2], more[:2]) == ((3, False), (3, True), (4, False))
    assert bare[2:] == mine[2:]
    for call, other in ((data, CASE.but(seed=1)), (more, CASE.but(seed=2, batch=4))):
        assert call[3] == other.arrays.w.tobytes()
    met.clear()
    assert broken(laws.without_history, f, CASE.but(bias=False)) is None
    assert [bare for _, bare, _, _ in met] == [True] * 6  # a bias it may not know


def test_a_result_that_the_next_call_writes_to_is_told():
    buffer = {}

    def f(x, w, b=None):
        y = buffer.setdefault(x.shape, np.empty((len(x), *LAYER.output_shape)))
        y[...] = conv1d(x, w, b)
        return y

    note = "a result that was returned changed with the next call"
    assert broken(laws.without_history, f) == ("CV153", note)


def test_a_call_between_that_is_refused_says_nothing():
    def f(x, w, b=None):
        if b is None or len(x) != 3:
            raise ValueError("only three items, with a bias")
        return conv1d(x, w, b)

    assert broken(laws.without_history, f) is None
    once = counting(lambda y, call: (y, y) if call == 1 else y)
    assert broken(laws.without_history, once) is None
    late = counting(lambda y, call: (y, y) if call == 3 else y)
    assert broken(laws.without_history, late) is None


# Layouts


def in_memory_order(x, w, b=None):
    """Reads x as it lies in memory, as C code does that knows of no strides."""
    return conv1d(x.T.reshape(x.shape) if x.flags.f_contiguous and x.ndim > 1 else x, w, b)


def writes(x, w, b=None):
    y = conv1d(x, w, b)
    x[...] = x
    return y


def test_what_depends_on_the_layout_is_told_with_it():
    code, note = broken(laws.layout_independent, in_memory_order)
    assert (code, note) == ("CV152", "transposed arguments; right with contiguous ones.")
    law = laws.layout_independent(Callables(in_memory_order), CASE)
    assert law.case.layout == "transposed"


def test_what_refuses_read_only_arguments_wants_to_write_to_them():
    code, note = broken(laws.layout_independent, writes)
    assert code == "CV150"
    assert note == (
        "readonly arguments; right with contiguous ones. "
        "ValueError: assignment destination is read-only"
    )


def test_another_refusal_is_a_matter_of_the_layout():
    def f(x, w, b=None):
        if not x.flags.c_contiguous:
            raise TypeError("only contiguous arrays")
        return conv1d(x, w, b)

    assert broken(laws.layout_independent, f) == (
        "CV152",
        "transposed arguments; right with contiguous ones. TypeError: only contiguous arrays",
    )


def test_read_only_arguments_that_give_another_value_are_a_matter_of_the_layout():
    def f(x, w, b=None):
        return conv1d(x, w, b) + (not x.flags.writeable)

    assert broken(laws.layout_independent, f)[0] == "CV152"


def test_another_shape_for_another_layout_is_told():
    def f(x, w, b=None):
        y = conv1d(x, w, b)
        return y if x.flags.c_contiguous else y[..., :-1]

    code, note = broken(laws.layout_independent, f)
    assert code == "CV152"
    assert note.endswith("y has shape (3, 3, 3), should be (3, 3, 4)")


def test_what_is_wrong_now_and_then_is_no_matter_of_the_layout():
    for wrong in ({1}, {1, 2}):  # right with contiguous ones at first only, or with others too
        f = counting(lambda y, call, wrong=wrong: y + (call in wrong))
        assert broken(laws.layout_independent, f) is None
    assert broken(laws.layout_independent, counting(lambda y, call: y + (call == 0))) is None


# Items and bias


def test_items_that_are_mixed_are_told():
    def rolled(x, w, b=None):
        return np.roll(conv1d(x, w, b), 1, axis=0)

    note = "item 0 of 3 alone gives another result"
    assert broken(laws.items_independent, rolled) == ("CV154", note)

    def last(x, w, b=None):
        y = conv1d(x, w, b)
        y[-1, 0, 1] += 0.5 * (len(x) > 1)
        return y

    violation = laws.items_independent(Callables(last), CASE)
    assert violation.note == "item 2 of 3 alone gives another result"
    assert (violation.what, violation.where) == ("y", (2, 0, 1))
    assert violation.got - violation.should == 0.5


def test_items_are_the_same_to_less_than_a_half():
    def near(x, w, b=None):
        return conv1d(x, w, b) + 0.499 * (len(x) > 1)

    assert broken(laws.items_independent, near) is None


def test_an_item_alone_has_the_weights_and_the_bias_of_the_batch():
    met = []

    def f(x, w, b=None):
        met.append((x, w.copy(), b.copy()))
        return conv1d(x, w, b)

    assert broken(laws.items_independent, f, CASE.but(layout="transposed")) is None
    (whole, w, b), *alone = met
    assert len(alone) == 3
    for item, (x, one, bias) in enumerate(alone):
        assert np.array_equal(x, whole[item : item + 1])
        assert x.flags.c_contiguous
        assert np.array_equal(one, w)
        assert np.array_equal(bias, b)


def test_nothing_is_said_where_one_item_is_no_part_of_the_result():
    def other_shape(x, w, b=None):
        return conv1d(x, w, b) if len(x) > 1 else conv1d(x, w, b)[..., :-1]

    def too_few(x, w, b=None):
        return conv1d(x, w, b)[:2] + (len(x) > 1)

    def refuses_one(x, w, b=None):
        return refuses(x, w, b) if len(x) == 1 else conv1d(x, w, b)

    def one(x, w, b=None):
        return conv1d(x, w, b) + (len(x) == 1)

    for f in (other_shape, too_few, refuses_one):
        assert broken(laws.items_independent, f) is None
    assert broken(laws.items_independent, one, CASE.but(batch=1)) is None
    assert broken(laws.items_independent, one, CASE.but(batch=2))[0] == "CV154"


def test_items_share_the_statistics_in_training_only():
    def norm(x, *_, **__):
        return x - x.mean((0, 2), keepdims=True)

    def of(training):
        return Case(OPS["batch_norm"], Norm((2, 3), training), batch=2)

    assert broken(laws.items_independent, norm, of(True)) is None
    assert broken(laws.items_independent, norm, of(False))[0] == "CV154"


def wrong_bias(x, w, b=None):
    return conv1d(x, w) if b is None else conv1d(x, w, 2 * b)


def test_a_bias_that_alone_is_wrong_is_told():
    assert broken(laws.bias_added, wrong_bias) == ("CV110", "right without the bias")
    assert broken(laws.bias_added, wrong_bias, CASE.but(bias=False)) is None

    def wrong_shape(x, w, b=None):
        return conv1d(x, w) if b is None else conv1d(x, w)[..., 1:]

    assert broken(laws.bias_added, wrong_shape) is None
    assert broken(laws.bias_added, lambda x, w, b=None: 2 * conv1d(x, w, b)) is None


# Gradients


def back(change):
    calls = iter(range(10**6))

    def f(g, x, w):
        return change(list(backward(g, x, w)), next(calls), g, x)

    return f


def tupled(gradients, which, by):
    gradients[which] = gradients[which] + by
    return tuple(gradients)


@pytest.mark.parametrize(("which", "name"), [(0, "grad_x"), (1, "grad_w"), (2, "grad_b")])
def test_a_gradient_that_grows_with_each_call_is_told(which, name):
    adds = back(lambda gradients, call, g, x: tupled(gradients, which, call))
    assert broken(laws.backward_without_history, conv1d, back=adds) == (
        "CV153", f"{name} differs when the same call is made again",
    )  # fmt: skip


def test_gradients_that_are_always_wrong_or_right_have_no_history():
    wrong = back(lambda gradients, call, g, x: tupled(gradients, 0, 1))
    heals = back(lambda gradients, call, g, x: tupled(gradients, 0, call == 0))
    refused = back(lambda gradients, call, g, x: 1 / 0 if call else tuple(gradients))
    other = back(lambda gradients, call, g, x: (gradients[0][..., call:], *gradients[1:]))
    for f in (wrong, heals, refused, backward, None):
        assert broken(laws.backward_without_history, conv1d, back=f) is None
    assert broken(laws.backward_without_history, conv1d, back=other)[0] == "CV153"


def test_gradients_that_depend_on_the_layout_are_told():
    case = CASE.but(layout="transposed")

    def wants_contiguous(gradients, call, g, x):
        return tupled(gradients, 1, not g.flags.c_contiguous)

    f = back(wants_contiguous)
    assert broken(laws.backward_layout_independent, conv1d, case, f) == (
        "CV152", "transposed arguments; right with contiguous ones.",
    )  # fmt: skip
    assert broken(laws.backward_layout_independent, conv1d, CASE, f) is None
    second = back(lambda gradients, call, g, x: tupled(gradients, 1, call == 1))
    assert broken(laws.backward_layout_independent, conv1d, CASE, second) is None
    wrong = back(lambda gradients, call, g, x: tupled(gradients, 1, 1))
    assert broken(laws.backward_layout_independent, conv1d, case, wrong) is None
    assert broken(laws.backward_layout_independent, conv1d, case, backward) is None


def test_a_backward_pass_that_wants_to_write_is_told():
    def writes_to_g(gradients, call, g, x):
        g[...] = g
        return tuple(gradients)

    code, note = broken(
        laws.backward_layout_independent, conv1d, CASE.but(layout="readonly"), back(writes_to_g)
    )
    assert code == "CV150"
    assert note.startswith("readonly arguments; right with contiguous ones. ValueError: ")


# The tables


def test_each_law_is_asked_again_by_its_code():
    assert laws.BY_CODE["CV110"] is laws.bias_added
    assert laws.BY_CODE["CV151"] is laws.deterministic
    assert laws.BY_CODE["CV152"] is laws.layout_independent
    assert laws.BY_CODE["CV153"] is laws.without_history
    assert laws.BY_CODE["CV154"] is laws.items_independent
    assert laws.BY_CODE_BACKWARD["CV152"] is laws.backward_layout_independent
    assert laws.BY_CODE_BACKWARD["CV153"] is laws.backward_without_history
