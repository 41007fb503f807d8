"""What a product knows of its maker: the factory's function, its signature, and how a call is bound to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxann.core.checks import check_choice

__all__ = ["Factory", "public_name"]


class Factory:
    """What a product knows of its maker: the function, its signature, and the product's class."""

    def __init__(
        self,
        function: Callable,
        product: type,
        static: tuple[str, ...],
        convert: Mapping[str, Callable],
        traits: tuple[str, ...] = (),
    ):
        self.function = function
        self.signature = inspect.signature(function)
        self.product = product
        self.static = static
        self.traits = frozenset(traits)
        self.convert = dict(convert)
        self.short_name = function.__name__
        self.name = public_name(function)
        self.public: Callable = function
        parameters = self.signature.parameters.values()
        self.flags = tuple(p.name for p in parameters if isinstance(p.default, bool))  # take nothing but True and False
        self._defaults = {p.name: p.default for p in parameters}
        self._positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        self._is_plain = len(self._positional) + sum(p.kind is p.KEYWORD_ONLY for p in parameters) == len(parameters)
        for name in (*static, *convert):
            if name not in self.signature.parameters:
                raise TypeError(f"factory {self.short_name}: no argument is called {name!r}")
        known = getattr(product, "TRAITS", frozenset())
        for trait in traits:
            check_choice(f"factory {self.short_name}", "each of traits", trait, known)

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The call's arguments by name, defaults filled in; an unknown keyword points at the closest known one."""
        values = self._bind_plain(args, kwargs)
        if values is None:
            values = self._bind_checked(args, kwargs)
        return {n: self.convert[n](v) if n in self.convert else v for n, v in values.items()}

    def _bind_plain(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """As `_bind_checked` for a call without fault or star, several times faster; None for any other."""
        given = self._positional[: len(args)]
        if not self._is_plain or len(args) > len(given) or not kwargs.keys() <= self._defaults.keys():
            return None
        if not kwargs.keys().isdisjoint(given):
            return None
        values = self._defaults | dict(zip(given, args, strict=True)) | kwargs
        return None if any(v is inspect.Parameter.empty for v in values.values()) else values

    def _bind_checked(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        parameters = self.signature.parameters
        named = [n for n, p in parameters.items() if p.kind is not p.VAR_POSITIONAL]
        for name in kwargs:
            if name not in named:
                check_choice(self.short_name, "each keyword", name, named)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.short_name}: {error}") from None
        bound.apply_defaults()
        return bound.arguments

    def build(self, arguments: Mapping[str, Any]) -> Any:
        """Run the factory's body on the arguments."""
        args, kwargs = [], {}
        for name, parameter in self.signature.parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                args.extend(arguments[name])
            elif parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[name] = arguments[name]
            else:
                args.append(arguments[name])
        return self.function(*args, **kwargs)


def public_name(function: Callable) -> str:
    """The name in the tables and in files, such as `layers.dense`."""
    module, _, _ = function.__module__.partition(":")
    pieces = module.split(".")
    room = pieces[1] if pieces[0] == "jaxann" and len(pieces) > 1 else module
    return f"{room}.{function.__qualname__}"
