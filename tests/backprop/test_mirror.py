"""The room mirrors the rooms it differentiates: one file beside each file, each rule where one would look for it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import jaxann as ja
from jaxann import backprop
from jaxann.backprop.registry import ACTIVATIONS, LAYERS, LOSSES
from jaxann.core.binding import bound

ROOM = Path(backprop.__file__).parent
WORDS = {"layers": ("layer_rule",), "activations": ("activation_rule", "activation_derivative"),
         "losses": ("loss_rule", "loss_derivative")}  # fmt: skip
TABLES = {"layers": LAYERS, "activations": ACTIVATIONS, "losses": LOSSES}


def _decorated(path: Path, room: str) -> list[ast.expr]:
    """What the decorators in a file are given."""
    found = []
    for node in ast.parse(path.read_text()).body:
        for decorator in getattr(node, "decorator_list", ()):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) in WORDS[room]:
                found.append(decorator.args[0])
    return found


@pytest.mark.parametrize("room", sorted(WORDS))
def test_each_rule_stands_in_the_file_beside_its_function_s(room: str):
    entered = 0
    for path in sorted((ROOM / room).glob("*.py")):
        if path.stem == "__init__":
            continue
        given = _decorated(path, room)
        assert given, f"{path.name} enters no rule"
        for argument in given:
            made = argument.func if isinstance(argument, ast.Call) else argument
            function = getattr(getattr(ja, room), ast.unparse(made).removeprefix(f"{room}."))
            assert function.__module__ == f"jaxann.{room}.{path.stem}", f"{ast.unparse(argument)} in {path.name}"
            entered += 1
    assert entered == len([key for key in TABLES[room] if bound(key)[0].__module__.startswith("jaxann.")])


@pytest.mark.parametrize("room", sorted(WORDS))
def test_every_file_is_imported(room: str):
    """So that its rules enter themselves; a function added to a file that is there needs no other edit."""
    files = {path.stem for path in (ROOM / room).glob("*.py")} - {"__init__"}
    assert set(getattr(backprop, room).__all__) == files
