"""`@factory`: a function whose product remembers how it was made, and is a pytree.

Everything a user builds (a layer, an optimizer, a schedule, an initializer, a metric) is the product of a lower-case
factory function. The product keeps the factory and its arguments:

- **numbers and arrays are its leaves** (learning rate, decay, dropout rate), so that they can be traced, batched with
  `vmap`, differentiated, and changed without compiling anew;
- **the rest is its static structure** (sizes, names, flags, functions): two products with equal structure share one
  compiled program, however often they are rebuilt;
- products nest: a model holds layers, a chain holds optimizers, an optimizer holds a schedule.

The functions behind the product (`init` and `apply`, `init` and `update`, ...) are built from the arguments when they
are first asked for. Flattening and unflattening never builds anything, so it is safe with tracers, shapes, `None`, or
whatever `jax.tree.map` puts in the place of a number. Calling a factory builds once, at once: that is when the checks
in its body speak. While numbers are traced, the functions are built once for each trace that uses them: what a body
computes of such numbers belongs to the program being traced, and is not met again in another.

An array in the place of one number makes a product of many members, for `vmap` to take apart (`batch_axes`). It can be
made, mapped and asked what it declares; used as one it is refused, by the check of the number (`check_range`).

An argument whose default is True or False takes nothing else: any other object would count as one of them.

A value is static when its name is listed in `static=`, or when it is a string, a flag, `None`, a dtype, or a function.
Which arguments are static is decided when the product is made and kept from then on.

**What a product can or needs is declared**, never looked up by its factory's name: `@factory(Optimizer, traits=(...))`,
or a field `traits` of what the body returns where it depends on the arguments. So a user's own product has every right
that ours have.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Self, TypeVar

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import get_opaque_trace_state

from jaxann.core.binding import bound
from jaxann.core.checks import check_choice, check_flag, fail, is_concrete, members_pass
from jaxann.core.maker import Factory
from jaxann.core.tables import enter, made_by

__all__ = [
    "Factory",
    "Product",
    "batch_axes",
    "every_declares",
    "factory",
    "is_product",
    "product_class",
    "some_declares",
]

P = TypeVar("P", bound="Product")
# Of values of exactly these types: whether they are structure.
_COMMON: dict[type, bool] = {float: False, int: False, bool: True, str: True, type(None): True, FunctionType: True}


class Product:
    """What a factory returns: an immutable pytree of the arguments it was made from.

    Products compare by value, print as the call that makes them, and pickle. `arguments` shows what they were made
    of; `replace(**changes)` makes another.
    """

    __slots__ = ("__weakref__", "_arguments", "_built", "_built_here", "_dynamic", "_factory")

    _factory: Factory
    _arguments: dict[str, Any]
    _dynamic: tuple[str, ...]
    _built: Any
    _built_here: tuple[Any, Any] | None  # the trace, and what was built in it of traced numbers

    @classmethod
    def _make(cls, maker: Factory, arguments: dict[str, Any], dynamic: tuple[str, ...]) -> Self:
        self = object.__new__(cls)
        object.__setattr__(self, "_factory", maker)
        object.__setattr__(self, "_arguments", arguments)
        object.__setattr__(self, "_dynamic", dynamic)
        object.__setattr__(self, "_built", None)
        object.__setattr__(self, "_built_here", None)
        return self

    def __init__(self, *args: Any, **kwargs: Any):
        raise TypeError(f"{type(self).__name__} is made by a factory function, see jaxann.core.factory")

    def __setattr__(self, name: str, value: Any):
        raise AttributeError(f"{self._factory.short_name}: products are immutable; use .replace({name}=...)")

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments it was made of, defaults included, in the order of the signature (a copy)."""
        return {name: _ordered(value) for name, value in self._arguments.items()}

    @property
    def functions(self) -> Any:
        """What the factory's body returns for these arguments; built once, when first asked for.

        With traced numbers once for each trace: what a body computes of them belongs to the program being traced.

        Raises:
            InputError: an array stands for one number: its members are for `vmap` to take apart.
        """
        known = self._known()
        return self._build() if known is None else known

    @property
    def declared(self) -> Any:
        """The functions for what they declare (traits, children), which a product of many members does too."""
        known = self._known()
        if known is not None:
            return known
        with members_pass() as met:
            return self._build(met)

    def _known(self) -> Any:
        """What has been built and holds here, if anything."""
        if self._built is None and self._built_here is not None and self._built_here[0] == get_opaque_trace_state():
            return self._built_here[1]
        return self._built

    def _build(self, members: Sequence[str] = ()) -> Any:
        here = get_opaque_trace_state()
        with jax.ensure_compile_time_eval():  # no number computed here may belong to the program around
            built = self._factory.build(self._arguments)
        if not members and not _is_traced(self):
            object.__setattr__(self, "_built", built)
        elif not members:
            object.__setattr__(self, "_built_here", (here, built))
        return built

    @property
    def traits(self) -> frozenset[str]:
        """What it declares of itself, not of the products inside; see `TRAITS` of its class for what there is."""
        return self._factory.traits | frozenset(getattr(self.declared, "traits", ()))

    def replace(self, **changes: Any) -> Self:
        """The same product with some arguments changed; checked like a new call."""
        maker = self._factory
        for name in changes:
            check_choice(f"{maker.short_name}.replace", "each keyword", name, self._arguments)
        changes = {n: maker.convert[n](v) if n in maker.convert else v for n, v in changes.items()}
        return _make_checked(maker, self._arguments | changes)

    def __repr__(self) -> str:
        shown = []
        for name, parameter in self._factory.signature.parameters.items():
            value = self._arguments[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                shown.extend(_show(v) for v in value)
            elif parameter.default is parameter.empty or not _same(value, parameter.default):
                shown.append(f"{name}={_show(value)}")
        return f"{self._factory.short_name}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        mine, my_tree = jax.tree.flatten(self)
        theirs, their_tree = jax.tree.flatten(other)
        return my_tree == their_tree and all(map(_same, mine, theirs))

    def __hash__(self) -> int:
        return hash(jax.tree.structure(self))

    def __reduce__(self):
        return _restore, (self._factory.public, self._arguments, self._dynamic)

    def _flatten_with_keys(self):
        children = [(jax.tree_util.GetAttrKey(n), self._arguments[n]) for n in self._dynamic]
        return children, self._structure()

    def _flatten(self):
        return [self._arguments[n] for n in self._dynamic], self._structure()

    def _structure(self):
        fixed = tuple((n, v) for n, v in self._arguments.items() if n not in self._dynamic)
        return self._factory, fixed, self._dynamic

    @classmethod
    def _unflatten(cls, structure, children):
        maker, fixed, dynamic = structure
        values = dict(fixed) | dict(zip(dynamic, children, strict=True))
        return cls._make(maker, {n: values[n] for n in maker.signature.parameters}, dynamic)


def product_class(cls: type[P]) -> type[P]:
    """Class decorator that registers a subclass of Product as a pytree."""
    jax.tree_util.register_pytree_with_keys(cls, cls._flatten_with_keys, cls._unflatten, cls._flatten)
    return cls


def factory(
    product: type[P],
    *,
    static: tuple[str, ...] = (),
    convert: Mapping[str, Callable] | None = None,
    traits: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., P]]:
    """Decorate a function so that calling it returns a `product` that knows how it was made.

    Args:
        product: the class of the result (`Layer`, `Optimizer`, `Schedule`, `Initializer`, `Metric`).
        static: names of arguments that belong to the structure although they are numbers: sizes, axes, counts that
            decide shapes. They must be hashable; lists become tuples.
        convert: functions applied to an argument by name before anything else (say, to accept foreign objects).
        traits: what the products declare of themselves, of those that the class knows (`Layer.TRAITS`,
            `Optimizer.TRAITS`).

    The decorated function checks its arguments and returns what the product class documents. Its name enters the
    table that `from_config` reads; a function of a module outside jaxann is entered as `module.name`.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., P]:
        maker = Factory(function, product, static, convert or {}, traits)

        @functools.wraps(function)
        def make(*args: Any, **kwargs: Any) -> P:
            return _make_checked(maker, maker.bind(args, kwargs))

        maker.public = make
        enter(maker)
        return make

    return decorate


def is_product(value: Any) -> bool:
    """Whether a value was made by a factory."""
    return isinstance(value, Product)


def some_declares(product: Product, trait: str) -> bool:
    """Whether a product, or one of its kind inside it, declares a trait."""
    return trait in product.traits or any(some_declares(one, trait) for one in _inside(product))


def every_declares(product: Product, trait: str) -> bool:
    """Whether a product and all of its kind inside it declare a trait."""
    return trait in product.traits and all(every_declares(one, trait) for one in _inside(product))


def _inside(product: Product) -> list[Product]:
    """The products of the same kind among the arguments, at any depth of plain containers."""
    found = jax.tree.leaves(list(product.arguments.values()), is_leaf=is_product)
    return [one for one in found if isinstance(one, type(product))]


def batch_axes(product: P) -> P:
    """Axes for `jax.vmap` over a product: 0 for every leaf that is an array of members, None for the plain numbers.

    rates = adam(jnp.array([1e-3, 1e-2]))
    jax.vmap(train, in_axes=(batch_axes(rates),))(rates)
    """
    return jax.tree.map(lambda leaf: 0 if np.ndim(leaf) else None, product)


def _make_checked(maker: Factory, arguments: dict[str, Any]) -> Any:
    values, dynamic = {}, []
    for name in maker.flags:
        check_flag(maker.short_name, name, arguments[name])
    for name, value in arguments.items():
        if name in maker.static:
            values[name] = _hashable(maker.short_name, name, value)
        elif _is_fixed(value):
            values[name] = _hashable(maker.short_name, name, value)
        else:
            values[name] = _ordered(value)
            dynamic.append(name)
    product = maker.product._make(maker, values, tuple(dynamic))
    _ = product.declared  # the body's checks speak now, not when the product is first used
    return product


def _is_traced(value: Any) -> bool:
    """Whether a traced number is anywhere inside; a product that has kept what it built holds none."""
    if isinstance(value, Product):
        return value._built is None and any(_is_traced(value._arguments[name]) for name in value._dynamic)
    if type(value) in _COMMON or isinstance(value, np.ndarray):
        return False
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value))


def _is_fixed(value: Any) -> bool:
    """Whether a value is structure by its kind."""
    if type(value) in _COMMON:  # nearly all values: no walk through the abstract classes below
        return _COMMON[type(value)]
    if isinstance(value, Product | Tracer):
        return False
    if isinstance(value, Mapping):
        return False
    if isinstance(value, list | tuple):
        return len(value) == 0 or all(_is_fixed(v) for v in value)
    if value is None or isinstance(value, str | bytes | bool | np.bool_ | np.dtype | type):
        return True
    leaves = jax.tree.leaves(value) if callable(value) else []
    return len(leaves) == 1 and leaves[0] is value  # a function, not a pytree that can be called


def _hashable(function: str, name: str, value: Any) -> Any:
    if type(value) in _COMMON or isinstance(value, Product):
        return value
    if isinstance(value, list | tuple):
        return tuple(_hashable(function, name, v) for v in value)
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, Tracer | jax.Array | np.ndarray | Mapping):
        fail(
            function, name, "known when the function is built (an int, a string, a function or a tuple of them)", value
        )
    return value


def _ordered(value: Any) -> Any:
    """Mappings keep their insertion order; a plain dict would be sorted by JAX."""
    if type(value) in _COMMON:
        return value
    if isinstance(value, Mapping):
        return OrderedDict((name, _ordered(v)) for name, v in value.items())
    if type(value) is list:
        return tuple(_ordered(v) for v in value)
    return value


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if not (is_concrete(a) and is_concrete(b)):
        return False
    if isinstance(a, Product) or isinstance(b, Product) or callable(a) or callable(b):
        return bool(a == b)
    try:
        return bool(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f"))
    except (TypeError, ValueError):
        return False


def _show(value: Any) -> str:
    if isinstance(value, Product):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_show(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_show, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, jax.tree_util.Partial):
        function, args, keywords = bound(value)
        given = [*map(_show, args), *(f"{name}={_show(v)}" for name, v in keywords.items())]
        shown = getattr(function, "__name__", repr(function))
        return f"partial({', '.join([shown, *given])})" if given else shown
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    if isinstance(value, jax.Array | np.ndarray | np.generic) and is_concrete(value):
        return (
            f"{value.item():.7g}"
            if np.ndim(value) == 0
            else np.array2string(np.asarray(value), separator=", ", threshold=8)
        )
    return repr(value)


def _restore(public: Callable, arguments: dict[str, Any], dynamic: tuple[str, ...]) -> Any:
    maker = made_by(public)
    return maker.product._make(maker, arguments, dynamic)
