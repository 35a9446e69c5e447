"""Targets name callables; what names none is told in one sentence."""

import sys
from pathlib import Path

import numpy as np
import pytest

from toeplitz import Conv
from verify.adapters import LIBRARIES
from verify.case import Case
from verify.ops import OPS
from verify.targets import Target, find, load, parse

CASE = Case(OPS["conv2d"], Conv((1, 3, 3), (1, 1, 2, 2)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = dict(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def refused(call, *arguments, **named):
    with pytest.raises((ValueError, ImportError)) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_a_target_has_a_module_or_a_file_and_a_dotted_name():
    assert parse("torch.nn.functional:conv2d") == Target("torch.nn.functional", "conv2d")
    assert parse("torch.nn.functional:conv2d").path is None
    assert parse("a/b.py:C.d") == Target("a/b.py", "C.d")
    assert parse("a/b.py:C.d").path == Path("a/b.py")


@pytest.mark.parametrize(
    "text", ["", "conv2d", "my:", ":f", "my:f()", "my mod:f", "a..b:f", "a/b:f"]
)
def test_a_text_that_is_no_target_is_refused(text):
    assert refused(parse, text) == (
        f"ValueError: a target is written module:callable or path/to/file.py:callable: got {text!r}"
    )


def test_what_is_no_text_is_refused():
    assert refused(parse, 3) == "ValueError: a target is a text, module:callable: got 3"


def test_a_module_in_the_current_folder_is_found(folder):
    (folder / "mine_1.py").write_text("class Net:\n    def conv(x, w): return x + 1")
    suspect = load("mine_1:Net.conv")
    assert suspect.name == "Net.conv"
    assert suspect.parameters() == {"x", "w"}
    assert not suspect.has_backward
    assert (suspect.forward(CASE).value == CASE.arrays.x + 1).all()


def test_a_file_anywhere_is_found_with_its_neighbours(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "mine_2.py").write_text("from beside_2 import f, back")
    (folder / "deep" / "beside_2.py").write_text(
        "def f(x, w): return x\ndef back(g, x, w): return g, x, w"
    )
    suspect = load("deep/mine_2.py:f", backward="deep/mine_2.py:back")
    assert suspect.forward(CASE).ok
    assert (suspect.backward(CASE).value[0] == CASE.arrays.g).all()
    assert find("deep/mine_2.py:f") is find(f"{folder}/deep/mine_2.py:f")  # loaded once


def test_a_file_may_have_the_name_of_a_module(folder):
    (folder / "json.py").write_text("def f(x, w): return x")
    assert find("json.py:f").__module__ == "json_of_target"
    assert hasattr(__import__("json"), "loads")


@pytest.mark.parametrize(
    "text, target, sentence",
    [
        (None, "nowhere_3:f",
         "ImportError: there is no module 'nowhere_3' in this folder or on Python's path"),
        (None, "json.nowhere_3:f",
         "ImportError: there is no module 'json.nowhere_3' in this folder or on Python's path"),
        (None, "nowhere_3.py:f", "ImportError: there is no file {folder}/nowhere_3.py"),
        ("import nowhere_3.sub", "mine_3:f",
         "ImportError: mine_3 imports 'nowhere_3', which is not installed"),
        ("import nowhere_3", "mine_3.py:f",
         "ImportError: mine_3.py imports 'nowhere_3', which is not installed"),
        ("from json import nothing", "mine_3:f",
         "ImportError: mine_3 raised ImportError: cannot import name 'nothing' from 'json' "
         "({json}) (mine_3.py, line 1) when it was imported"),
        ("x = 1\n\ny = x / 0", "mine_3:f",
         "ImportError: mine_3 raised ZeroDivisionError: division by zero (mine_3.py, line 3) when "
         "it was imported"),
        ("raise ValueError('two\\nlines')", "mine_3:f",
         "ImportError: mine_3 raised ValueError: two (mine_3.py, line 1) when it was imported"),
        ("def f(:", "mine_3:f",
         "ImportError: mine_3 raised SyntaxError: invalid syntax (mine_3.py, line 1) when it was "
         "imported"),
        ("import sys; sys.exit('bye')", "mine_3:f",
         "ImportError: mine_3 called sys.exit('bye') when it was imported"),
        ("def conv2d(): pass", "mine_3:conv_2d",
         "ValueError: mine_3 has no 'conv_2d': did you mean conv2d?"),
        ("from json import loads\ndef g(): pass\nclass H: pass", "mine_3:conv2d",
         "ValueError: mine_3 has no 'conv2d': it has H, g"),
        ("", "mine_3.py:f", "ValueError: mine_3.py has no 'f'"),
        ("class A:\n    def run(): pass", "mine_3:A.ran",
         "ValueError: mine_3.A has no 'ran': did you mean run?"),
        ("f = 3", "mine_3:f", "ValueError: mine_3:f is not callable: it is of type int"),
        ("def __getattr__(name): raise RuntimeError('no GPU')", "mine_3:f",
         "ImportError: mine_3.f raised RuntimeError: no GPU"),
    ],
)  # fmt: skip
def test_a_target_that_names_nothing_callable_is_one_sentence(folder, text, target, sentence):
    if text is not None:
        (folder / "mine_3.py").write_text(text)
    import json

    wanted = sentence.replace("{folder}", str(folder)).replace("{json}", json.__file__)
    assert refused(load, target) == wanted


@pytest.mark.parametrize(
    "missing, target, sentence",
    [
        ("torch", "torch.nn.functional:conv2d",
         "ImportError: torch is not installed: pip install 'conv-toeplitz[torch]'"),
        ("onnx", "onnxruntime:Conv",
         "ImportError: onnx is not installed: pip install 'conv-toeplitz[onnx]'"),
        ("onnx", "onnx.reference:Conv",
         "ImportError: onnx is not installed: pip install 'conv-toeplitz[onnx]'"),
        ("jax", "jax.lax:conv_general_dilated",
         "ImportError: jax is not installed: pip install 'conv-toeplitz[jax]'"),
        ("tensorflow", "tensorflow.nn:conv2d",
         "ImportError: tensorflow is not installed: pip install 'conv-toeplitz[tensorflow]'"),
        ("keras", "keras.ops:conv",
         "ImportError: keras is not installed: pip install 'conv-toeplitz[keras]'"),
        ("cv2", "cv2:filter2D",
         "ImportError: cv2 is not installed: pip install 'conv-toeplitz[opencv]'"),
        ("cv2", "cv2.dnn:Conv",
         "ImportError: cv2 is not installed: pip install 'conv-toeplitz[opencv]'"),
        ("cupyx", "cupyx.scipy.signal:correlate2d",
         "ImportError: cupyx is not installed: pip install 'conv-toeplitz[gpu]'"),
        ("mlx", "mlx.core:conv2d",
         "ImportError: mlx is not installed: pip install 'conv-toeplitz[mlx]'"),
        ("openvino", "openvino:Conv",
         "ImportError: openvino is not installed: pip install 'conv-toeplitz[openvino]'"),
        ("paddle", "paddle.nn.functional:conv2d",
         "ImportError: paddle is not installed: pip install 'conv-toeplitz[paddle]'"),
        ("tinygrad", "tinygrad:Tensor.conv2d",
         "ImportError: tinygrad is not installed: pip install 'conv-toeplitz[tinygrad]'"),
    ],
)  # fmt: skip
def test_a_library_that_is_missing_is_told_with_its_extra(monkeypatch, missing, target, sentence):
    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if f"{name}.".startswith(f"{missing}."):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in [n for n in sys.modules if f"{n}.".startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])
    assert refused(load, target) == sentence


def test_an_adapter_can_be_named_or_given_or_switched_off(folder):
    (folder / "mine_4.py").write_text(
        "def f(x, w): return x\n"
        "def twice(function, op): return lambda x, w: 2 * function(x, w), None\n"
        "def f_back(g, x, w): return g\n"
    )
    x = CASE.arrays.x
    assert (load("mine_4:f", adapter="mine_4:twice").forward(CASE).value == 2 * x).all()
    assert (load("mine_4:f", adapter="numpy").forward(CASE).value == x).all()
    both = load("mine_4:f", "mine_4:f_back", adapter=find("mine_4:twice"))
    assert (both.forward(CASE).value == 2 * x).all()
    assert both.has_backward


@pytest.mark.parametrize(
    "text, adapter, sentence",
    [
        ("", "jaxx",
         f"ValueError: adapter must be one of {', '.join(LIBRARIES)}, numpy, or module:callable: "
         "got 'jaxx'"),
        ("a = 1", "mine_5:a", "ValueError: mine_5:a is not callable: it is of type int"),
        ("def a(function, op): return function", "mine_5:a",
         "ValueError: an adapter returns (forward, backward), or None for the second"),
        ("def a(function, op): return function, 3", "mine_5:a",
         "ValueError: an adapter returns (forward, backward), or None for the second"),
        ("def a(function): return function, None", "mine_5:a",
         "ValueError: the adapter raised TypeError: a() takes 1 positional argument but 2 were "
         "given"),
        ("def a(function, op): import nowhere_5", "mine_5:a",
         "ImportError: the adapter imports 'nowhere_5', which is not installed"),
    ],
)  # fmt: skip
def test_an_adapter_that_is_none_is_one_sentence(folder, text, adapter, sentence):
    (folder / "mine_5.py").write_text(text + "\ndef f(x, w): return x")
    assert refused(load, "mine_5:f", adapter=adapter) == sentence


def test_an_op_that_is_none_is_refused():
    assert refused(load, "json:loads", op="conv9d").startswith("ValueError: op must be one of ")


def test_loading_imports_no_library_that_is_not_named():
    import subprocess

    code = (
        "import sys, verify, verify.targets, verify.isolation; verify.targets.load('json:loads'); "
        "print([n for n in (*verify.adapters.LIBRARIES, 'onnx') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_arguments_that_say_nothing_are_left_out_where_a_function_does_not_take_them():
    from verify.suspect import Callables

    def f(x, w):
        return x

    full = CASE.but(full=True)
    assert Callables(f).forward(full).ok
    other = full.but(layer=Conv((1, 3, 3), (1, 1, 2, 2), stride=(1, 2)))
    assert "unexpected keyword argument 'stride'" in Callables(f).forward(other).message
    assert Callables(lambda x, w, **rest: np.array(len(rest))).forward(full).value == 4
