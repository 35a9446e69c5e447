"""Without a GPU: every name of numpy in shared code exists in cupy too, and the kernel compiles."""

import ast
from pathlib import Path

import pytest

import toeplitz
from toeplitz import device

SOURCES = sorted(Path(toeplitz.__file__).parent.rglob("*.py"))


def _names(owners):
    """The attributes that the sources take of the given names or calls, as in xp.full."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            owner = node.value
            if isinstance(owner, ast.Call):
                owner = owner.func
            if isinstance(owner, ast.Name) and owner.id in owners:
                found.add(node.attr)
    return found


def test_every_array_function_in_use_exists_in_cupy(need):
    cupy = need("cupy")
    used = _names({"xp", "namespace"})
    assert {"full", "moveaxis", "repeat"} <= used
    assert not {name for name in used if not hasattr(cupy, name)}


def test_every_sparse_name_in_use_exists_in_cupyx(need):
    need("cupy")
    import cupyx.scipy.sparse

    used = _names({"library"}) - {"__name__", "bsr_array"}  # cupyx has no BSR: refused before
    assert {"csr_array", "csc_array", "coo_array", "kron", "eye_array"} <= used
    assert not {name for name in used if not hasattr(cupyx.scipy.sparse, name)}
    for kind in (cupyx.scipy.sparse.csr_array, cupyx.scipy.sparse.csc_array):
        assert kind.has_canonical_format.fset, "set by toeplitz.sparse.wrap"


def test_nothing_is_fetched_from_the_device():
    """No call of the shared code copies an array to the host."""
    fetched = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("asnumpy", "toDlpack"):
                fetched.add((path.name, node.attr))
            call = node.func if isinstance(node, ast.Call) and not node.args else None
            if isinstance(call, ast.Attribute) and call.attr == "get":  # a dict's takes a key
                fetched.add((path.name, "get"))
    assert not fetched


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("data", "fdFD")
def test_the_kernel_compiles(need, data, arch):
    """For every combination of types; its small arrays stay in registers."""
    need("cupy")
    from cupy_backends.cuda.libs import nvrtc

    for factors in (1, 5, 6):
        for index, number in ((4, 4), (4, 8), (8, 8)):
            text = device.source(factors, index, number, data)
            program = nvrtc.createProgram(text, "write_product.cu", (), ())
            try:
                nvrtc.compileProgram(program, (f"--gpu-architecture={arch}",))
                assert nvrtc.getCUBIN(program)
                ptx = nvrtc.getPTX(program).decode()
            finally:
                log = nvrtc.getProgramLog(program)
                nvrtc.destroyProgram(program)
            assert log == ""
            assert ".entry write_product(" in ptx
            assert ".local" not in ptx
