"""What a public function may ask of its caller: few parameters, and types with a name."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from jaxann.core.tables import known_factories
from tests.test_architecture import FLOORS, PACKAGE

MOST_PARAMETERS = 12
WHOLE = {"train.recipe", "recipe"}  # what is trained, all of it: it has one more
ROOMS = [
    "jaxann",
    *sorted(f"jaxann.{room}" for room in FLOORS if (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()),
    "jaxann.metrics.streaming",
]

_TREE = "any pytree"
_VALUE = "looks at what it is given, whatever that is"
_OPTION = "a setting is whatever `build` takes"
# Where nothing narrower than Any is true: function -> (parameter, "return" for what comes back) -> why.
ANY = {
    "core.factory": {"return": "a decorator of functions with any arguments"},
    "core.flatten_named": {"tree": _TREE, "return": "leaves of any kind"},
    "core.from_config": {"config": "JSON", "return": "a product of any kind"},
    "core.is_product": {"value": _VALUE},
    "core.map_named": {"function": "leaves of any kind", "tree": _TREE, "return": _TREE},
    "core.to_config": {"return": "JSON"},
    "core.unflatten_named": {"named": "leaves of any kind", "return": "the same"},
    "layers.as_layer": {"value": _VALUE},
    "metrics.streaming.merge": {"a": "the sums of any metric", "b": "the same", "return": "the same"},
    "metrics.streaming.merge_across": {"sums": "the sums of any metric", "return": "the same"},
    "optimizers.as_optimizer": {"value": _VALUE},
    "optimizers.from_optax": {"args": "those of any constructor", "hyperparameters": "the same"},
    "tune.choice": {"options": _OPTION},
    "tune.conditional": {"dimension": _OPTION, "otherwise": _OPTION, "when": _OPTION},
    "tune.decode": {"return": _OPTION, "space": _OPTION},
    "tune.encode": {"setting": _OPTION, "space": _OPTION},
    "tune.grid": {"return": _OPTION, "space": _OPTION},
    "tune.random": {"return": _OPTION, "space": _OPTION},
    "tune.sobol": {"return": _OPTION, "space": _OPTION},
}


def _functions() -> Iterator[tuple[str, Any]]:
    """Every public function with the name of its room, factories among them; of types the methods of estimators."""
    for room in ROOMS:
        module = importlib.import_module(room)
        for name in module.__all__:
            function = getattr(module, name)
            if room == "jaxann.estimators":  # a room of classes
                for method in (method for method in dir(function) if not method.startswith("_")):
                    found = getattr(function, method)
                    if inspect.isfunction(found) and found.__module__.startswith(room):
                        yield f"estimators.{name}.{method}", found
            elif callable(function) and not isinstance(function, type) and not inspect.ismodule(function):
                yield f"{room}.{name}".removeprefix("jaxann."), function


FUNCTIONS = dict(_functions())


def _untyped(function: Any) -> set[str]:
    """Parameters whose annotation says `Any` or nothing; "return" for what comes back."""
    signature = inspect.signature(function)
    told = {name: parameter.annotation for name, parameter in signature.parameters.items() if name != "self"}
    if not any(function is made.public for made in known_factories().values()):  # whose kind stands in `@factory`
        told["return"] = signature.return_annotation
    return {name for name, kind in told.items() if kind is inspect.Signature.empty or re.search(r"\bAny\b", str(kind))}


def test_there_are_functions_in_every_room():
    assert len(FUNCTIONS) > 300
    assert {name.rpartition(".")[0] for name in FUNCTIONS} >= {room.removeprefix("jaxann.") for room in ROOMS[1:]} - {
        "estimators"
    }
    assert "estimators.Standard.fit" in FUNCTIONS and "estimators.Standard.partial_fit" in FUNCTIONS


def test_no_public_function_has_many_parameters():
    numbers = {name: len(inspect.signature(function).parameters) for name, function in FUNCTIONS.items()}
    many = {name: n for name, n in numbers.items() if n > MOST_PARAMETERS + (name in WHOLE)}
    assert not many, f"more than {MOST_PARAMETERS} parameters: {many}"


def test_public_signatures_say_what_they_take():
    wrong = {
        name: sorted(left)
        for name, function in FUNCTIONS.items()
        if (left := _untyped(function) - set(ANY.get(name, {})))
    }
    assert not wrong, "Any, or nothing, where a type can be named (see core/typing.py):\n" + "\n".join(
        f"{name}: {', '.join(left)}" for name, left in wrong.items()
    )


@pytest.mark.parametrize("name", ANY)
def test_exception_is_needed(name: str):
    assert name in FUNCTIONS and all(ANY[name].values())
    assert not set(ANY[name]) - _untyped(FUNCTIONS[name])
