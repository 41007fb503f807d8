"""The tables of factories and of plain functions by public name, from which saved models are rebuilt.

A room enters what it holds when it is imported, and most rooms are imported when they are first asked for. So a name
that no table knows may stand in a room that is not there yet: `layers.dense` in `layers`. That room is then loaded, if
it is on a fixed list (see `jaxann/__init__.py`), and nothing else whatever the name is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jaxann.core.checks import check_choice
from jaxann.core.maker import Factory, public_name

__all__ = [
    "enter",
    "factory_called",
    "function_called",
    "has_factory",
    "known_factories",
    "known_functions",
    "made_by",
    "name_of",
    "named_functions",
    "rooms_are_loaded_by",
]

_FACTORIES: dict[str, Factory] = {}
_FUNCTIONS: dict[str, Callable] = {}
_LOADERS: list[Callable[[str | None], object]] = []  # of a room, or of all


def enter(maker: Factory) -> None:
    """Enter a factory under its public name."""
    _FACTORIES[maker.name] = maker


def named_functions(*functions: Callable) -> None:
    """Enter plain functions (activations, losses) in the table, so that a product that holds one can be saved."""
    for function in functions:
        _FUNCTIONS[public_name(function)] = function


def rooms_are_loaded_by(load: Callable[[str | None], object]) -> None:
    """Say what loads a room by its name, where it is one, and all of them for None."""
    _LOADERS.append(load)


def _load(room: str | None) -> None:
    for load in _LOADERS:
        load(room)


def known_factories() -> Mapping[str, Factory]:
    """The table of factories by public name, such as `layers.dense`, of all rooms."""
    _load(None)
    return _FACTORIES


def known_functions() -> Mapping[str, Callable]:
    """The table of plain functions by public name, such as `activations.relu`, of all rooms."""
    _load(None)
    return _FUNCTIONS


def factory_called(name: str) -> Factory:
    """The factory of a public name.

    Raises:
        InputError: there is none; the message has the closest of those that are there.
    """
    if name not in _FACTORIES:
        _load(name.partition(".")[0])
        check_choice("from_config", "factory", name, _FACTORIES)
    return _FACTORIES[name]


def function_called(name: str) -> Callable:
    """The plain function of a public name, as `factory_called`."""
    if name not in _FUNCTIONS:
        _load(name.partition(".")[0])
        check_choice("from_config", "function", name, _FUNCTIONS)
    return _FUNCTIONS[name]


def has_factory(name: str) -> bool:
    """Whether there is a factory of a public name."""
    if name not in _FACTORIES:
        _load(name.partition(".")[0])
    return name in _FACTORIES


def name_of(function: Callable) -> str | None:
    """The public name of a plain function, if it has one; its room is loaded, or it would not be here."""
    return next((name for name, known in _FUNCTIONS.items() if known is function), None)


def made_by(public: Callable) -> Factory:
    """The factory that a public function stands for."""
    return next(maker for maker in _FACTORIES.values() if maker.public is public)
