"""Hypothesis profiles, and the doors to the libraries that not everybody has."""

import importlib
import os
import warnings

import pytest
from hypothesis import settings

# In CI Hypothesis loads its own profile first: derandomised, no database, blobs printed.
# Each of ours starts from what is loaded, so it keeps that and only sets the effort.
_base = settings()
for _name, _examples in (("quick", 20), ("default", 100), ("thorough", 2000)):
    settings.register_profile(_name, _base, max_examples=_examples, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


# Those that CI does not install: large ones, and many.
OTHERS = (
    "cupy", "cv2", "jax", "keras", "mlx", "openvino", "paddle", "tensorflow", "tinygrad",
)  # fmt: skip


def _missing(reason, required_by):
    """Skip with the reason, or fail with it where the environment wants nothing missing."""
    if os.environ.get(required_by, "0") not in ("", "0"):
        pytest.fail(f"{reason}, and {required_by} is set", pytrace=False)
    pytest.skip(reason)


def _need(name):
    """Return the module `name`; where it is not installed, skip the test.

    With TOEPLITZ_REQUIRE_INTEROP=1 the test fails instead, for one of OTHERS only if it is "all".
    A module that is installed but broken raises its own error.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a library says while it loads is not about us
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
    reason = f"{name} is not installed"
    if name.partition(".")[0] in OTHERS and os.environ.get("TOEPLITZ_REQUIRE_INTEROP") != "all":
        pytest.skip(reason)
    return _missing(reason, "TOEPLITZ_REQUIRE_INTEROP")


@pytest.fixture(scope="session")
def need():
    """`torch = need("torch")`: the module, or a skip; TOEPLITZ_REQUIRE_INTEROP=1: a failure."""
    return _need


@pytest.fixture(scope="session")
def gpu():
    """`cupy` where a CUDA device answers, or a skip; TOEPLITZ_REQUIRE_GPU=1: a failure."""
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
        return cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise
        reason = "cupy is not installed"
    except RuntimeError as error:  # CUDARuntimeError: no driver, or no device
        reason = f"no CUDA device answers: {error}"
    return _missing(reason, "TOEPLITZ_REQUIRE_GPU")


@pytest.fixture
def run(capsys):
    """Run a command line in this process: its exit status, its output, its errors."""

    from toeplitz import cli  # which most tests do not need

    def run(*arguments):
        status = cli.main(arguments)
        return (status, *capsys.readouterr())

    return run
