"""The arrows of the house, read from the import statements: geometry at the bottom, cli on top."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import toeplitz
import verify

ROOTS = [Path(package.__file__).parent for package in (toeplitz, verify)]
BOTTOM = {
    "toeplitz.arguments",
    "toeplitz.axis",
    "toeplitz.factors",
    "toeplitz.geometry",
    "toeplitz.windows",
}
TOP = {
    f"toeplitz.{name}"
    for name in (
        "__main__", "calling", "certifying", "cli", "demo", "explaining", "export", "judging",
        "options", "picture", "pytest_child", "pytest_plugin",
    )
}  # fmt: skip
KNOWS_VERIFY = {
    f"toeplitz.{name}"
    for name in (
        "__main__", "calling", "certifying", "cli", "demo", "judging", "pytest_child",
        "pytest_plugin",
    )
}  # fmt: skip
PUBLIC = {*toeplitz.__all__, "__version__"}


def dotted(root, path):
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {dotted(root, path): path for root in ROOTS for path in sorted(root.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def only_for_types(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(node, inside_functions=True):
    """All import statements that run, those of functions too if asked for."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif only_for_types(child):
            continue
        elif inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from statements(child, inside_functions)


def imports(tree, inside_functions=True):
    """The full names imported: modules, and what is taken from modules."""
    for statement in statements(tree, inside_functions):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        else:
            assert statement.level == 0, f"write the whole name: {ast.unparse(statement)}"
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def modules(names):
    """Our modules that these names are, or are taken from."""
    for name in names:
        if name.split(".")[0] in ("toeplitz", "verify"):
            yield name if name in FILES else name.rpartition(".")[0]


def package(name):
    return name.split(".")[0]


OF_TOEPLITZ = [name for name in FILES if package(name) == "toeplitz"]
OF_VERIFY = [name for name in FILES if package(name) == "verify"]


def test_every_import_of_ours_is_a_file_of_ours():
    for name, tree in TREES.items():
        for module in modules(imports(tree)):
            assert module in FILES, f"{name} imports {module}"


def test_what_is_loaded_first_never_needs_what_is_loaded_later():
    graph = {name: set(modules(imports(tree, False))) for name, tree in TREES.items()}
    list(TopologicalSorter(graph).static_order())  # CycleError names the modules in a circle


@pytest.mark.parametrize("name", sorted(BOTTOM))
def test_the_geometry_layer_imports_only_itself(name):
    assert set(modules(imports(TREES[name]))) <= BOTTOM | {"toeplitz"}
    taken = {full for full in imports(TREES[name]) if full.startswith("toeplitz.")}
    assert all(any(full == b or full.startswith(f"{b}.") for b in BOTTOM) for full in taken)


@pytest.mark.parametrize("name", sorted(set(OF_TOEPLITZ) - TOP))
def test_nothing_below_the_top_floor_imports_it(name):
    assert not set(modules(imports(TREES[name]))) & TOP


@pytest.mark.parametrize("name", sorted(set(OF_TOEPLITZ) - KNOWS_VERIFY))
def test_the_matrices_do_not_know_their_judge(name):
    assert not [full for full in imports(TREES[name]) if package(full) == "verify"]
    text = [node.value for node in ast.walk(TREES[name]) if isinstance(node, ast.Constant)]
    assert not [t for t in text if isinstance(t, str) and (t == "verify" or t[:7] == "verify.")]


@pytest.mark.parametrize("name", sorted(OF_VERIFY))
def test_the_judge_knows_the_matrices_by_their_public_names_only(name):
    for full in imports(TREES[name]):
        if package(full) == "toeplitz" and full != "toeplitz":
            assert full.split(".")[1] in PUBLIC, full
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "toeplitz":
            assert node.attr in PUBLIC, ast.unparse(node)


@pytest.mark.parametrize("name", [n for n in OF_VERIFY if f"{n}.".startswith("verify.oracle.")])
def test_the_oracle_shares_nothing_with_what_it_judges(name):
    assert not [full for full in imports(TREES[name]) if package(full) == "toeplitz"]
    below = [full for full in modules(imports(TREES[name])) if package(full) == "verify"]
    assert all(full.startswith("verify.oracle") for full in below)


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_module_is_longer_than_300_lines(name):
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= 300


def test_importing_toeplitz_imports_nothing_slow():
    slow = (
        "numpy", "scipy", "sympy", "matplotlib", "hypothesis", "click", "rich", "torch", "cupy",
        "verify",
    )  # fmt: skip
    code = f"import sys, toeplitz; print([n for n in {slow} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_all_public_names_are_found_when_they_are_asked_for():
    for name in dir(toeplitz):
        assert getattr(toeplitz, name).__name__.rpartition(".")[2] == name
    assert set(dir(toeplitz)) == {*toeplitz.__all__, "symbolic"}
    typed = next(node for node in TREES["toeplitz"].body if only_for_types(node))
    imported = {alias.name for line in typed.body for alias in line.names}
    assert imported == set(toeplitz.__all__)


def test_a_circle_and_an_unwanted_arrow_are_seen():
    tree = ast.parse("def f():\n    from toeplitz.cli import main\nimport toeplitz.conv")
    assert set(modules(imports(tree))) == {"toeplitz.cli", "toeplitz.conv"}
    assert set(modules(imports(tree, False))) == {"toeplitz.conv"}
    typed = ast.parse("if TYPE_CHECKING:\n    import toeplitz.cli")
    assert not list(imports(typed))
