"""The examples in the docstrings run, and whatever is public has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import toeplitz
import verify

MODULES = [
    name
    for package in (toeplitz, verify)
    for name in (
        package.__name__,
        *(m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")),
    )
    if not name.endswith(".__main__")  # importing it would run it
]
PUBLIC = [
    getattr(package, name)
    for package in (toeplitz, toeplitz.functional)
    for name in package.__all__
    if inspect.isclass(getattr(package, name)) or inspect.isfunction(getattr(package, name))
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name):
    if name.startswith("toeplitz.compiled."):
        pytest.importorskip("numba", reason="numba is not installed: pip install '.[numba]'")
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.FAIL_FAST)
    assert failed == 0  # what went wrong is in the captured output


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_whatever_is_public_says_what_it_is_and_shows_an_example(thing):
    text = inspect.getdoc(thing)
    assert text.splitlines()[0].endswith((".", ":"))
    if not (inspect.isclass(thing) and issubclass(thing, Exception)):  # those show a sentence
        assert ">>>" in text


def test_a_wrong_example_is_seen():
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    test = parser.get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert runner.run(test, out=lambda text: None).failed == 1


def test_modules_are_found():
    assert {"toeplitz.conv", "toeplitz.geometry"} <= set(MODULES)
