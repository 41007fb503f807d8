"""Layers made of layers: `sequential`, `residual`, `elementwise`, and `custom` for a pair of your own.

A child is reached by its name, once, in `run_child`: its parameters and state are `params[name]` and `state[name]`, its
randomness is the parent's key folded with its name. So inserting a layer moves no other layer's numbers, and the names
of a model are the dotted paths of its parameters. The order of execution lives in the layer table, not in the
parameters (JAX sorts the keys of a dict).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.activations import by_name
from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key, Params, Spec, State

__all__ = [
    "Stack",
    "as_layer",
    "custom",
    "elementwise",
    "init_child",
    "output_spec",
    "residual",
    "run_child",
    "sequential",
]


@factory(Layer, static=("init", "apply"))
def custom(init: Callable, apply: Callable):
    """A layer from two functions of your own, `init(key, spec)` and `apply(params, state, x, *, key, train)`.

    Two products are equal, and share one compiled program, when they hold the same two functions. It cannot be saved
    to a file; make a factory with `jaxann.core.factory` for that.

    Peers: Keras has Lambda, for a function without parameters; in PyTorch and flax one writes a class.
    """
    return init, apply


def as_layer(value: Any, function: str = "layer", argument: str = "model") -> Layer:
    """A layer as it is; anything else with callable `.init` and `.apply` as a `custom` layer."""
    if isinstance(value, Layer):
        return value
    init, apply = getattr(value, "init", None), getattr(value, "apply", None)
    if callable(init) and callable(apply) and not isinstance(value, type):
        return custom(init, apply)
    fail(function, argument, "a layer or model with .init and .apply", value)


def output_spec(layer: Layer, params: Params, state: State, spec: Spec) -> jax.ShapeDtypeStruct:
    """Shape and dtype of a layer's output, found by tracing its `apply`: the only shape rule there is."""
    shape = jax.ShapeDtypeStruct(spec.shape, spec.dtype)
    return jax.eval_shape(lambda p, s, x: layer.apply(p, s, x)[0], params, state, shape)


def init_child(layer: Layer, name: str, key: Key, spec: Spec) -> tuple[Params, State]:
    """Parameters and state of the child called `name`."""
    return layer.init(fold_name(key, name), spec)


def run_child(
    layer: Layer, name: str, params: Params, state: State, x: Array, *, key: Key | None, train: bool, mask: Array | None
) -> tuple[Array, State]:
    """Output and new state of the child called `name`, given the parent's parameters, state and key."""
    folded = None if key is None else fold_name(key, name)
    with jax.named_scope(name):
        return layer.apply(params[name], state[name], x, key=folded, train=train, mask=mask)


def _table(layers: Any) -> dict[str, Layer]:
    if not isinstance(layers, Mapping):
        fail("sequential", "layers", "a dict from name to layer", layers, hint='sequential({"dense0": dense(64), ...})')
    for name in layers:
        if not isinstance(name, str) or not name or "." in name:
            fail("sequential", "each name", "a string without a dot", name)
    return {name: as_layer(layer, "sequential", f"layers[{name!r}]") for name, layer in layers.items()}


class Stack(NamedTuple):
    """What the body of `sequential` returns: the pair of functions, and the table for those who look inside."""

    init: Callable
    apply: Callable
    layers: Mapping[str, Layer]


@factory(Layer, convert={"layers": _table})
def sequential(layers: Mapping[str, Layer]):
    """One layer after the other, in the order of the table.

    Args:
        layers: from name to layer. Names become part of every parameter's path and must not hold a dot.

    Peers: as the Sequential of PyTorch, given an OrderedDict; those of Keras and flax take layers without names.

    Raises:
        InputError: not a table, a bad name, or an entry that is no layer.
    """

    def init(key, spec):
        params, state = {}, {}
        for name, layer in layers.items():
            params[name], state[name] = init_child(layer, name, key, spec)
            spec = output_spec(layer, params[name], state[name], spec)
        return params, state

    def apply(params, state, x, *, key=None, train=False, mask=None):
        after = {}
        for name, layer in layers.items():
            x, after[name] = run_child(layer, name, params, state, x, key=key, train=train, mask=mask)
        return x, after

    return Stack(init, apply, layers)


@factory(
    Layer,
    convert={
        "body": lambda v: as_layer(v, "residual", "body"),
        "skip": lambda v: v if v is None else as_layer(v, "residual", "skip"),
    },
)
def residual(body: Layer, skip: Layer | None = None):
    """y = skip(x) + body(x), skip being the identity when None. Source: He et al. 2016.

    The Jacobian holds the identity, so a gradient reaches the layers below whatever the body does.

    Peers: none of PyTorch, Keras and flax has it.

    Raises:
        InputError: the two sides have different shapes (the message shows both).
    """
    sides = {"body": body} if skip is None else {"body": body, "skip": skip}

    def init(key, spec):
        pairs = {name: init_child(layer, name, key, spec) for name, layer in sides.items()}
        return {name: p for name, (p, _) in pairs.items()}, {name: s for name, (_, s) in pairs.items()}

    def apply(params, state, x, *, key=None, train=False, mask=None):
        results = {
            name: run_child(layer, name, params, state, x, key=key, train=train, mask=mask)
            for name, layer in sides.items()
        }
        y = results["body"][0]
        straight = x if skip is None else results["skip"][0]
        if y.shape != straight.shape:
            fail("residual", "body", f"of the same output shape as the skip, {straight.shape}", f" {y.shape}",
                 hint="Give skip= a layer that changes the shape, such as dense(units, use_bias=False).")  # fmt: skip
        return straight + y, {name: after for name, (_, after) in results.items()}

    return init, apply


@factory(Layer)
def elementwise(activation: str | Callable[[Array], Array]):
    """y = f(x) for an activation, by name or as a function `x -> y`; no parameters.

    Peers: Keras calls it Activation; in PyTorch each activation is a module of its own.

    Raises:
        InputError: no activation has that name.
    """
    function = by_name(activation)

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False):
        return function(jnp.asarray(x)), state

    return init, apply
