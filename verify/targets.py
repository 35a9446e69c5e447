"""Targets: what "module:callable" names, loaded into this process.

>>> parse("torch.nn.functional:conv2d")
Target(module='torch.nn.functional', attribute='conv2d')
>>> parse("homework/my.py:Net.conv").path
PosixPath('homework/my.py')
"""

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from verify import adapters
from verify.adapters import Adapter
from verify.ops import Op, named
from verify.suspect import Callables, described

PLAIN = "numpy"  # the adapter that changes nothing


@dataclass(frozen=True)
class Target:
    """A callable by name: a module, or the path of a file, and a dotted name in it."""

    module: str
    attribute: str

    @property
    def path(self) -> Path | None:
        return Path(self.module) if self.module.endswith(".py") else None


def parse(target: Any) -> Target:
    """The parts of "module:callable" or "path/to/file.py:callable", if it has that form."""
    if not isinstance(target, str):
        raise ValueError(f"a target is a text, module:callable: got {target!r}")
    module, _, attribute = target.rpartition(":")
    parsed = Target(module, attribute)
    dotted = attribute if parsed.path else f"{module}.{attribute}"
    if not module or not all(part.isidentifier() for part in dotted.split(".")):
        raise ValueError(
            f"a target is written module:callable or path/to/file.py:callable: got {target!r}"
        )
    return parsed


def load(
    target: str,
    backward: str | None = None,
    adapter: str | Adapter | None = None,
    op: str | Op = "conv2d",
) -> Callables:
    """The callable that a target names, ready to be called in this process.

    backward: the target of the backward pass; if None, the adapter's. adapter: a name in
    adapters.LIBRARIES, "numpy" for none, a target of your own or the adapter itself; if None,
    the one of the library that the target's module belongs to.

    The current folder is put on Python's path, as by `python -m`, or that of a target's file.

    Errors: ValueError for a target that is not written as one, names nothing or names what is not
    callable; ImportError where importing fails. One line each.
    """
    op = named(op) if isinstance(op, str) else op
    goal = parse(target)
    library = adapters.library(goal.module) if adapter is None else None
    if library is not None and not (op.weighted or adapters.LIBRARIES[library].unweighted):
        raise ValueError(f"the adapter of {library} does not do {op.name}: take a convolution")
    adapt, by_name = _adapter(library if adapter is None else adapter)
    function: Any = goal.attribute if by_name else find(target)
    derived = None
    if adapt is not None:
        function, derived = _adapted(adapt, function, op)
    if backward is not None:
        derived = find(backward)
        if adapter is None:
            adapt, by_name = _adapter(adapters.library(parse(backward).module) or library)
        if adapt is not None and not by_name:
            derived, _ = _adapted(adapt, derived, op)
    return Callables(function, derived, name=goal.attribute)


def find(target: str) -> Any:
    """The callable that a target names, as it is."""
    goal = parse(target)
    module = _module_of(goal.path) if goal.path else _module(goal.module)
    found: Any = module
    where = goal.path.name if goal.path else goal.module
    for part in goal.attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ValueError(f"{where} has no {part!r}{_near(found, part)}") from None
        except Exception as error:  # a module may compute its attributes
            raise ImportError(f"{where}.{part} raised {described(error)}") from error
        where = f"{where}.{part}"
    if not callable(found):
        raise ValueError(f"{target} is not callable: it is of type {type(found).__name__}")
    return found


def _near(found: Any, name: str) -> str:
    names = [n for n in dir(found) if not n.startswith("_")]
    near = get_close_matches(name, names, n=3)
    if not near:
        own = getattr(found, "__name__", None)
        near = [n for n in names if getattr(getattr(found, n, None), "__module__", None) == own][:6]
        return f": it has {', '.join(near)}" if near else ""
    return f": did you mean {' or '.join(near)}?"


def _module(name: str) -> ModuleType:
    reachable(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not f"{name}.".startswith(f"{missing}."):
            raise ImportError(f"{name} imports {missing!r}, which is not installed") from error
        library = adapters.library(name)
        if library == missing:
            raise ImportError(_install(library, missing)) from error
        raise ImportError(
            f"there is no module {missing!r} in this folder or on Python's path"
        ) from error
    except (Exception, SystemExit) as error:
        raise ImportError(_failed(name, error)) from error


def _module_of(path: Path) -> ModuleType:
    """The module of a file, whose folder is put on Python's path as by `python file.py`."""
    path = path.resolve()
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    if not path.is_file():
        raise ImportError(f"there is no file {path}")
    reachable(path.parent)
    name = name if loaded is None else f"{name}_of_target"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, ModuleNotFoundError):
            raise ImportError(
                f"{path.name} imports {error.name!r}, which is not installed"
            ) from error
        if isinstance(error, Exception | SystemExit):
            raise ImportError(_failed(path.name, error)) from error
        raise
    return module


def reachable(folder: Path) -> None:
    """Put a folder on Python's path, first, unless it is on it."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _failed(name: str, error: BaseException) -> str:
    """Why a module could not be imported, and where in it."""
    if isinstance(error, SystemExit):
        return f"{name} called sys.exit({error.code!r}) when it was imported"
    frames = [f for f in extract_tb(error.__traceback__) if "importlib" not in f.filename]
    place = ""
    if not isinstance(error, SyntaxError) and frames and frames[-1].filename != __file__:
        place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
    return f"{name} raised {described(error)}{place} when it was imported"


def _install(library: str, missing: str) -> str:
    extra = adapters.LIBRARIES[library].extra
    return f"{missing} is not installed: pip install 'conv-toeplitz[{extra}]'"


def _adapter(given: str | Adapter | None) -> tuple[Adapter | None, bool]:
    """An adapter, and whether it wants the target's name rather than what that names."""
    if given is None or given == PLAIN:
        return None, False
    if not isinstance(given, str):
        return given, False
    if given in adapters.LIBRARIES:
        return adapters.adapter(given), adapters.LIBRARIES[given].by_name
    if ":" not in given:
        names = ", ".join([*adapters.LIBRARIES, PLAIN])
        raise ValueError(f"adapter must be one of {names}, or module:callable: got {given!r}")
    own: Adapter = find(given)
    return own, False


def _adapted(adapt: Adapter, function: Any, op: Op) -> tuple[Any, Any]:
    try:
        made = adapt(function, op)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        library = {"onnx": "onnxruntime"}.get(missing, missing)
        if library in adapters.LIBRARIES:
            raise ImportError(_install(library, missing)) from error
        raise ImportError(f"the adapter imports {error.name!r}, which is not installed") from error
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"the adapter raised {described(error)}") from error
    match made:
        case (forward, (None | object()) as backward) if callable(forward):
            if backward is None or callable(backward):
                return forward, backward
    raise ValueError("an adapter returns (forward, backward), or None for the second")
