"""What a function reads by name: globals of its module, and attributes of modules of one's own."""

from __future__ import annotations

import dis
import os
import sys
from collections.abc import Mapping, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any

from jaxann.core.checks import fail

__all__ = ["importable", "is_own", "module_name", "read_by"]

_LIBRARIES = frozenset(("jaxann", "jax", "jaxlib", "numpy", "scipy", "sklearn", "optax", "builtins"))
_INSTALLED = ("site-packages", "dist-packages")


def module_name(value: Any) -> str:
    """The module of a module, a function (that whose globals it reads, whatever its name says), or a class."""
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, FunctionType):
        return str(value.__globals__.get("__name__", ""))
    return str(getattr(value, "__module__", ""))


def is_own(value: Any) -> bool:
    """Whether a module, function or class belongs to no library: not to Python, and to nothing that is installed."""
    name = module_name(value)
    top = name.split(".")[0]
    if top in _LIBRARIES or (top in sys.stdlib_module_names and top != "__main__"):
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return not any(folder in file for folder in _INSTALLED)


def importable(function: Any) -> bool:
    """Whether a function is what its module holds under its name."""
    found: Any = sys.modules.get(str(getattr(function, "__module__", "")))
    for name in str(getattr(function, "__qualname__", "")).split("."):
        found = getattr(found, name, None)
    return found is function


def read_by(code: CodeType, known: Mapping[str, Any], held: Sequence[Any] = ()) -> dict[str, Any]:
    """By name, the globals that a function reads, and the attributes that it names of modules of one's own.

    Args:
        code: the function's, with that of the functions inside it.
        known: its globals.
        held: what its closure holds.

    Raises:
        InputError: it imports a module of one's own, which is not imported yet.
    """
    found: dict[str, Any] = {}
    names: list[str] = []
    modules = [one for one in held if isinstance(one, ModuleType)]
    waiting = [code]
    while waiting:
        one = waiting.pop()
        names += one.co_names
        waiting += [inner for inner in one.co_consts if isinstance(inner, CodeType)]
        for step in dis.get_instructions(one):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in known:
                found[step.argval] = known[step.argval]
            elif step.opname == "IMPORT_NAME":
                modules += _imported(str(step.argval), known)
    modules += [one for one in found.values() if isinstance(one, ModuleType)]
    visited: list[ModuleType] = []
    while modules:
        module = modules.pop()
        if module in visited or not is_own(module):
            continue
        visited.append(module)
        for name in names:
            if name in vars(module):
                value = vars(module)[name]
                found[f"{module.__name__}.{name}"] = value
                modules += [value] if isinstance(value, ModuleType) else []
    return dict(sorted(found.items()))


def _imported(name: str, known: Mapping[str, Any]) -> list[ModuleType]:
    """What a function imports when it runs."""
    if name not in sys.modules:
        name = f"{known.get('__package__') or ''}.{name}".strip(".")  # from . import
    if name in sys.modules:
        return [sys.modules[one] for one in {name, name.split(".")[0]} if one in sys.modules]
    top = name.split(".")[0]
    folders = [folder for folder in sys.path if any(one in folder for one in _INSTALLED)]
    there = any(os.path.exists(os.path.join(folder, top + end)) for folder in folders for end in ("", ".py"))
    if top not in _LIBRARIES | sys.stdlib_module_names and not there:
        expected = "made of functions whose modules are imported at the top of a file, so that they can be compared"
        fail("study", "recipe", expected, f" one that imports {name} when it runs")
    return []
