"""One call of a program: right answers are arrays, whatever else it does is one sentence."""

import time

import numpy as np
import pytest
from programs.calling import CASE, LIMIT, RIGHT, SAID, called

from verify import wire
from verify.program import Program
from verify.suspect import Outcome


def test_a_right_answer_is_an_array(bad):
    for how in ("right", "slowly", "talk"):
        outcome = called(f"{bad} {how}", limit=20)
        assert (outcome.kind, outcome.message) == ("value", "")
        np.testing.assert_array_equal(outcome.value, RIGHT)
        assert outcome.value.dtype == np.float64


def test_another_dtype_and_another_shape_are_arrays_for_the_judge(bad):
    assert called(f"{bad} other_dtype").value.dtype == np.float32
    assert called(f"{bad} other_shape").value.shape == (2,)
    assert called(f"{bad} scalar").value.shape == ()


def test_a_backward_pass_answers_with_three_arrays(bad):
    outcome = called(f"{bad} grads", role="backward")
    assert [part.shape for part in outcome.value] == [(1, 1, 2, 2), (1, 1, 1, 2), (1,)]
    assert [part.ravel().tolist() for part in outcome.value] == [[1, 2, 1, 2], [1, 2], [1]]
    told = "answered with dx grad_w grad_b, should be grad_x grad_w grad_b"
    assert called(f"{bad} swapped", role="backward") == Outcome("wrong type", message=told)


DTYPES = ", ".join(wire.DTYPES)


SENTENCES = {
    "segfault": ("crash", "killed by signal SIGSEGV before its answer: index out of range"),
    "status": ("crash", "exited with status 3 before its answer"),
    "polite": ("crash", "exited with status 0 before its answer"),
    "child": ("crash", "exited with status 4 before its answer"),
    "half": ("crash", "exited with status 0 after 5 of the 16 bytes of its arrays"),
    "half_line": ("crash", "exited with status 2 in the first line of its answer"),
    "loop": ("hang", "no answer within 0.4 s"),
    "sleep_loudly": ("hang", "no answer within 0.4 s: waiting for the device"),
    "half_forever": (
        "hang",
        "no whole answer within 0.4 s: it stopped after 5 of the 16 bytes of its arrays",
    ),
    "drip": ("hang", "no whole answer within 0.4 s: it stopped in the first line of its answer"),
    "to_stderr": ("hang", "no answer within 0.4 s: it went to stderr, and belongs on stdout"),
    "unflushed": (
        "hang",
        "no answer within 0.4 s: it came when stdin was closed (flush stdout after each answer)",
    ),
    "garbage": ("wrong type", f"wrote 'result: 1 2' {SAID}"),
    "binary": (
        "wrong type",
        r"wrote '\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@' " + SAID,
    ),
    "magic_alone": ("wrong type", f"wrote 'toeplitz' {SAID}"),
    "much": ("wrong type", "wrote more than its answer, whose arrays have 16 bytes by its line"),
    "flood": ("wrong type", "wrote more than its answer, whose arrays have 16 bytes by its line"),
    "endless_line": ("wrong type", "the first line of its answer has no end within 4096 bytes"),
    "version": ("wrong type", "answered in version '2' of the protocol, should be '1'"),
    "nothing_said": ("wrong type", "answered '', should be ok, unsupported or refused"),
    "other_word": ("wrong type", "answered 'yes', should be ok, unsupported or refused"),
    "no_dtype": ("wrong type", f"answered with dtype '', should be one of {DTYPES}"),
    "double": ("wrong type", f"answered with dtype 'double', should be one of {DTYPES}"),
    "no_array": ("wrong type", "answered with no array, should be y"),
    "other_name": ("wrong type", "answered with x, should be y"),
    "negative": ("wrong type", "answered with 'y=1,1,-2,1', should be y= and the sizes: y=2,3,4"),
    "bomb": (
        "wrong type",
        "announced 8000000000000000000 bytes (y=1000000000,1000000000): at most 67108864 are read",
    ),
    "empty_bomb": (
        "wrong type",
        "announced 8000000000000000000 bytes (y=0,1000000000,1000000000): at most 67108864 are "
        "read",
    ),
    "unsupported": ("unsupported", "unsupported: no dilation yet"),
    "refused": ("raised", "refused: 3 channels, weights for 2"),
    "bare": ("raised", "refused"),
}  # fmt: skip


@pytest.mark.parametrize("how", SENTENCES)
def test_whatever_a_program_does_is_one_sentence(bad, how):
    kind, message = SENTENCES[how]
    with Program(f"{bad} {how}" if kind != "hang" else f"{bad} right,{how}", limit=20) as program:
        if kind == "hang":
            assert program.forward(CASE).ok  # the limit is no longer that of its start
            program.limit = LIMIT
        started = time.monotonic()
        assert program.forward(CASE) == Outcome(kind, message=message)
        assert kind != "hang" or time.monotonic() - started >= LIMIT


@pytest.mark.parametrize("how", ["segfault", "loop", "garbage", "much", "half", "close_stdout"])
def test_after_a_bad_answer_the_program_is_started_again(bad, how):
    with Program(f"{bad} right,{how}", limit=2) as program:
        kinds = [program.forward(CASE).kind for _ in range(4)]
    assert kinds[0] == kinds[2] == "value"
    assert kinds[1] == kinds[3] != "value"


def test_closing_stdout_is_a_crash(bad):
    told = "closed its stdout before its answer"
    assert called(f"{bad} close_stdout", limit=20) == Outcome("crash", message=told)


def test_words_after_an_answer_are_told_at_the_next_call(bad):
    with Program(f"{bad} more_later", limit=20) as program:
        assert program.forward(CASE).ok
        time.sleep(0.3)
        told = "wrote 'done\\n' to stdout after its answer to the call before"
        assert program.forward(CASE) == Outcome("wrong type", message=told)


def test_once_holds_a_program_to_its_end(bad):
    told = "exited with status 5 after its answer"
    assert called(f"{bad} badly_ended", "once", 20) == Outcome("crash", message=told)
    told = "answered, and did not end within 2 s"
    assert called(f"{bad} stays", "once", 2) == Outcome("hang", message=told)
    told = "wrote more than its answer, whose arrays have 16 bytes by its line"
    assert called(f"{bad} more_later", "once", 20) == Outcome("wrong type", message=told)
    assert called(f"{bad} unflushed", "once", 20).ok  # the end of stdin ends it
