"""The order of the source: floors, size of files, `__all__`, what may never be imported, and a quiet import."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "jaxann"
FOLDERS = tuple(name for name in ("jaxann", "tests", "benchmarks", "scripts") if (ROOT / name).is_dir())
MOST_LINES = 400

FLOORS = {
    "core": 0,
    **dict.fromkeys(("activations", "initializers", "schedules", "ops", "losses", "metrics", "neuron"), 1),
    **dict.fromkeys(("layers", "optimizers", "regularizers", "preprocessing", "data", "io"), 2),
    **dict.fromkeys(("models", "backprop", "train"), 3),
    **dict.fromkeys(("advice", "diagnose", "teach", "tune"), 4),
    **dict.fromkeys(("estimators", "plot", "cli"), 5),
}
TOP = ("__init__", "__main__")  # the front door sees all floors

FORBIDDEN = frozenset(
    "pickle marshal shelve dill cloudpickle joblib importlib subprocess socket urllib requests http ftplib "
    "multiprocessing yaml ctypes".split()
)
FORBIDDEN_CALLS = frozenset(("eval", "exec", "compile", "__import__"))
FORBIDDEN_ATTRIBUTES = frozenset(("os.system", "os.popen", "os.execv", "tempfile.mktemp", "jax.config.update"))
# The number of devices has to be set before JAX starts, and only when asked to.
SETTINGS = {
    "jaxann/core/setup.py": {"jax.config.update"},
    "jaxann/core/programs_on_disk.py": {"jax.config.update"},  # where programs are kept, when the first is asked for
}
# Reading a data set over the network is what the first is for; loading what is asked for, by a fixed table, the others.
ALLOWED = {
    "jaxann/data/download.py": {"urllib", "http"},
    "jaxann/__init__.py": {"importlib"},
    "jaxann/estimators/__init__.py": {"importlib"},
}

NEVER = frozenset(("optax", "flax", "torch", "keras", "tensorflow", "equinox", "haiku"))  # oracles of the tests
LAZY = frozenset(
    ("sklearn", "pandas", "pyarrow", "matplotlib", "optuna", "typer", "rich", "pooch", "scipy", "tokenizers")
)


def _files(folder: str = "jaxann") -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _module(path: Path) -> str:
    return _name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _room(module: str) -> str:
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def _imports(node: ast.AST) -> Iterator[tuple[str, list[str]]]:
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, []) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield child.module or "", [alias.name for alias in child.names]


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs, or is looked up, when the module is imported: all but the bodies of functions."""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))


@functools.cache
def _trees() -> dict[str, ast.Module]:
    """Of every file by its module; not when this file is read, as every worker reads it."""
    return {_module(path): ast.parse(path.read_text(), str(path)) for path in _files()}


def _inner(tree: ast.AST) -> set[str]:
    """Modules of the package that the tree imports."""
    found = set()
    for module, names in _imports(tree):
        if module.split(".")[0] == "jaxann":
            found |= {f"{module}.{n}" if f"{module}.{n}" in _trees() else module for n in names} or {module}
    return found


def test_every_room_stands_on_a_floor():
    rooms = {_room(module) for module in _trees()} - set(TOP)
    assert not rooms - set(FLOORS), "rooms without a floor in the design"
    assert all(re.fullmatch("[a-z0-9_]+", part) for module in _trees() for part in module.split("."))
    unpublished = {"utils", "util", "helpers", "misc", "common", "_src"}
    assert not unpublished & {module.split(".")[-1] for module in _trees()}


def test_imports_point_down():
    wrong = []
    for module, tree in _trees().items():
        room = _room(module)
        if room in TOP:
            continue
        for target in _inner(tree):
            other = _room(target)
            same = other == room
            if not same and (other in TOP or FLOORS[other] >= FLOORS[room]):
                wrong.append(f"{module} (floor {FLOORS[room]}) imports {target} (floor {FLOORS.get(other)})")
            if {room, other} == {"layers", "optimizers"}:
                wrong.append(f"{module} imports {target}: the two rooms never meet")
    assert not wrong, "\n".join(wrong)


def test_imports_have_no_circles():
    graph = {m: {t for t in _inner(ast.Module(list(_at_import(tree)), [])) if t != m} for m, tree in _trees().items()}
    # A room's face imports its files; a file that imports its own room's face closes a circle.
    while graph:
        free = {module for module, targets in graph.items() if not targets & graph.keys()}
        assert free, f"imports in a circle among {sorted(graph)}"
        graph = {module: targets for module, targets in graph.items() if module not in free}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_long(folder: str):
    long = {_name(p): n for p in _files(folder) if (n := len(p.read_text().splitlines())) > MOST_LINES}
    assert not long


def test_public_names_are_listed_sorted_and_exist():
    for module, tree in _trees().items():
        if module in ("jaxann", "jaxann.__main__"):
            continue
        lists = [
            node.value for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ]  # fmt: skip
        assert len(lists) == 1, f"{module} has no __all__"
        names = ast.literal_eval(lists[0])
        assert len(set(names)) == len(names), f"{module}: a name twice in __all__"
        assert names == sorted(names, key=lambda n: (not n.isupper(), not n[:1].isupper(), n)) or names == sorted(names)
        body = [*tree.body, *(inner for n in tree.body if isinstance(n, ast.If) for inner in n.body)]  # type checkers'
        bound = {alias.asname or alias.name for n in body if isinstance(n, ast.ImportFrom) for alias in n.names}
        made = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        values = {
            ast.unparse(target) for n in tree.body if isinstance(n, ast.Assign | ast.AnnAssign)
            for target in (n.targets if isinstance(n, ast.Assign) else [n.target])
        }  # fmt: skip
        assert not set(names) - bound - made - values, f"{module}: in __all__ and not in the file"
        assert not any(name.startswith("_") for name in names), f"{module}: a private name in __all__"
        package = any(other.startswith(module + ".") for other in _trees())
        hidden = {name for name in made if not name.startswith("_")} - set(names)
        assert package or not hidden, f"{module}: {hidden} neither private nor in __all__"


def test_no_name_is_defined_public_in_two_rooms_of_one_kind():
    for module, tree in _trees().items():
        assert not any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree)), (
            module
        )


def test_source_has_nothing_that_runs_code_from_data():
    for path in _files():
        tree, allowed = _trees()[_module(path)], ALLOWED.get(_name(path), set())
        modules = {module.split(".")[0] for module, _ in _imports(tree)}
        assert not (modules & FORBIDDEN) - allowed, f"{_name(path)} imports {modules & FORBIDDEN}"
        assert not modules & NEVER, f"{_name(path)} imports {modules & NEVER}, which only tests and benchmarks may"
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                forbidden = (FORBIDDEN_CALLS | FORBIDDEN_ATTRIBUTES) - SETTINGS.get(_name(path), set())
                assert called not in forbidden, f"{_name(path)}: {called}"
                assert not called.endswith((".extract", ".extractall")), f"{_name(path)} unpacks an archive"
                assert not any(word.arg == "allow_pickle" for word in node.keywords), _name(path)


def test_optional_packages_are_imported_where_they_are_used():
    for module, tree in _trees().items():
        modules = {name.split(".")[0] for node in _at_import(tree) for name, _ in _imports(node)}
        if _room(module) == "estimators":  # loaded when first asked for
            modules -= {"sklearn", "scipy"}
        assert not modules & LAZY, f"{module} imports {modules & LAZY} when it is imported"


def test_no_logarithm_of_a_rounded_probability():
    for module, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and re.search(r"(^|\.)log$", ast.unparse(node.func)):
                inside = ast.unparse(node.args[0]) if node.args else ""
                assert not re.search(r"\b(softmax|sigmoid|logistic)\(", inside), f"{module}: log({inside})"


def test_text_speaks_of_the_program_alone():
    words = re.compile(r"\bissue\s*#?\d|#\d{2,}\b|\bsession\b|\bTODO\b|\bFIXME\b|\bXXX\b|/work/|/home/", re.IGNORECASE)
    for folder in ("jaxann", "tests"):
        for path in _files(folder):
            if path == Path(__file__).resolve():
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                found = words.search(line)
                fixture = "scope=" in line or "pytest" in line  # pytest's word for a fixture's life
                assert not found or fixture, f"{_name(path)}:{number}: {line.strip()}"


QUIET = """
import sys
import jax, jaxlib, numpy, chex, safetensors.numpy
before = {name: getattr(jax.config, name, None) for name in jax.config.values}
seen = []
def hook(event, args):
    if event.startswith(("socket.", "subprocess.", "os.system", "pickle.")):
        seen.append((event, str(args)))
    if event == "open" and not str(args[0]).endswith((".py", ".pyc", ".so", ".pth")) and "pycache" not in str(args[0]):
        seen.append((event, str(args[0])))
sys.addaudithook(hook)
import jaxann
import jaxann.core, jaxann.layers, jaxann.optimizers, jaxann.models, jaxann.losses, jaxann.metrics, jaxann.train
from jax._src import xla_bridge
assert not xla_bridge._backends, "a backend was started"
assert not [s for s in seen if not s[1].startswith("/proc")], seen
assert {name: getattr(jax.config, name, None) for name in jax.config.values} == before, "the configuration changed"
for name in "optax flax torch sklearn pandas matplotlib typer".split():
    assert name not in sys.modules, name + " was imported"
print("quiet")
"""


def test_import_touches_no_device_file_or_socket():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.stdout.strip() == "quiet", done.stderr


def _tool(*command: str) -> None:
    if importlib.util.find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; it is in the extra 'test'")
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_ruff_finds_nothing():
    _tool("ruff", "check", "--no-cache", *FOLDERS)


def test_ruff_would_format_nothing():
    _tool("ruff", "format", "--check", "--no-cache", *FOLDERS)


def test_pyright_finds_nothing():
    _tool("pyright", "--pythonpath", sys.executable, "jaxann")
