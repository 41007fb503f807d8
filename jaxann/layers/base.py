"""Layers made of layers: `sequential`, `residual`, `elementwise`, and `custom` for functions of your own.

A child is reached by its name, once, in `run_child`: its parameters and state are `params[name]` and `state[name]`, its
randomness is the parent's key folded with its name. So inserting a layer moves no other layer's numbers, and the names
of a model are the dotted paths of its parameters. The order of execution lives in the layer table, not in the
parameters (JAX sorts the keys of a dict).

The context of a call (key, train, example_mask, sequence_mask) is handed down whole, as `**context`: a container does
not take it apart, so nothing in it can be lost on the way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.activations import by_name
from jaxann.core.checks import check_choice, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import Padded
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.typing import Array, Inputs, Key, Params, Spec, State
from jaxann.core.where import told_where
from jaxann.ops.once import computed_once

__all__ = [
    "as_layer",
    "composite",
    "custom",
    "elementwise",
    "init_child",
    "named_layers",
    "output_spec",
    "residual",
    "run_child",
    "sequential",
    "start_children",
    "stateless",
    "step_child",
]


def _declared(traits: Any) -> tuple[str, ...]:
    found = tuple(traits) if isinstance(traits, list | tuple | frozenset | set) else (traits,)
    for trait in found:
        check_choice("custom", "each of traits", trait, sorted(Layer.TRAITS))
    return tuple(sorted(found))


@factory(
    Layer,
    static=("init", "apply", "start", "step", "traits"),
    convert={"children": lambda v: v if v is None else named_layers("custom", v, "children"), "traits": _declared},
)
def custom(
    init: Callable,
    apply: Callable,
    *,
    start: Callable | None = None,
    step: Callable | None = None,
    children: Mapping[str, Layer] | None = None,
    traits: tuple[str, ...] = (),
):
    """A layer from functions of your own, `init(key, spec)` and `apply(params, state, x, *, key, train)`.

    Args:
        init, apply: as of `Layer`. What is padding reaches an `apply` that takes `example_mask` or `sequence_mask`.
        start, step: `start(params, batch)` and `step(params, carry, x)` of a layer that carries something from one
            position of a sequence to the next; either may take `state` too.
        children: the layers inside by name, whose parameters are `params[name]`, for everything that looks inside.
        traits: what it declares of itself, of `Layer.TRAITS`: "positionwise" for one that needs no sequence_mask,
            "outputs_last" or "outputs_before_last" for the axis of the outputs in a parameter `weight`.

    Two products are equal, and share one compiled program, when they hold the same functions. It cannot be saved
    to a file; make a factory with `jaxann.core.factory` for that.

    Peers: Keras has Lambda, for a function without parameters; in PyTorch and flax one writes a class.

    Raises:
        InputError: one of start and step comes without the other, children are no layers by name, or a trait is
            unknown.
    """
    if (start is None) != (step is None):
        alone, missing = ("step", "start") if start is None else ("start", "step")
        fail("custom", missing, f"given where {alone} is", None)
    for argument, function, call in (
        ("init", init, "(key, spec)"),
        ("apply", apply, "(params, state, x, *, key, train)"),
    ):
        named = ("key", "train") if argument == "apply" else ()
        if not callable(function) or not _takes(function, 3 if named else 2, named):
            fail("custom", argument, f"a function {call}", function)
    return LayerFunctions(init, apply, {} if children is None else children, start, step, traits)


def _takes(function: Callable, positional: int, named: tuple[str, ...]) -> bool:
    """Whether a function may be called with so many values and these names; one without a signature may."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * positional, **dict.fromkeys(named))
    except TypeError:
        return False
    return True


def as_layer(value: Any, function: str = "layer", argument: str = "model") -> Layer:
    """A layer as it is; anything else with callable `.init` and `.apply` as a `custom` layer.

    Its `.start` and `.step`, `.children` and `.traits` are those of the layer where it has them.
    """
    if isinstance(value, Layer):
        return value
    init, apply = getattr(value, "init", None), getattr(value, "apply", None)
    if hasattr(value, "init_with_output"):  # flax.linen
        hint = (
            "A flax module returns its variables in one: custom(lambda key, x: (module.init(key, x), {}), "
            "lambda params, state, x, *, key, train: (module.apply(params, x), state)) takes it in."
        )
        fail(function, argument, "a layer or model with .init and .apply of (params, state)", value, hint=hint)
    if callable(init) and callable(apply) and not isinstance(value, type):
        start, step = (getattr(value, name, None) for name in ("start", "step"))
        carries = {"start": start, "step": step} if callable(start) and callable(step) else {}
        children = getattr(value, "children", None)
        inside = {"children": children} if isinstance(children, Mapping) else {}
        return custom(init, apply, traits=tuple(getattr(value, "traits", ())), **carries, **inside)
    fail(function, argument, "a layer or model with .init and .apply", value)


def named_layers(function: str, layers: Any, argument: str = "layers") -> dict[str, Layer]:
    """Layers by name, each taken in by `as_layer`.

    Raises:
        InputError: not a table, a bad name, or an entry that is no layer.
    """
    if not isinstance(layers, Mapping):
        fail(function, argument, "a dict from name to layer", layers, hint=f'{function}({{"dense0": dense(64), ...}})')
    for name in layers:
        if not isinstance(name, str) or not name or "." in name:
            fail(function, "each name", "a string without a dot", name)
    return {name: as_layer(layer, function, f"{argument}[{name!r}]") for name, layer in layers.items()}


def output_spec(layer: Layer, params: Params, state: State, spec: Spec | Mapping[str, Any]) -> Any:
    """Shapes and dtypes of a layer's output, found by tracing its `apply`: the only shape rule there is."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), spec)
    return jax.eval_shape(lambda p, s, x: layer.apply(p, s, x)[0], params, state, shapes)


def init_child(layer: Layer, name: str, key: Key, spec: Spec | Mapping[str, Any]) -> tuple[Params, State]:
    """Parameters and state of the child called `name`."""
    with told_where(name):
        params, state = layer.init(fold_name(key, name), spec)  # pyright: ignore[reportArgumentType]
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        if not hasattr(leaf, "dtype") and not isinstance(leaf, float | int):
            argument = f"params{jax.tree_util.keystr(path)}"
            fail(f"{layer._factory.short_name}.init", argument, "an array", leaf)
    return params, state


def run_child(
    layer: Layer, name: str, params: Params, state: State, x: Inputs, *, key: Key | None = None, **context: Any
) -> tuple[Any, State]:
    """Output and new state of the child called `name`, given the parent's parameters, state and context."""
    folded = None if key is None else fold_name(key, name)
    with jax.named_scope(name), told_where(name):
        own = _entry("params", params, name), _entry("state", state, name)
        return layer.apply(*own, x, key=folded, **context)


def _entry(argument: str, tree: Any, name: str) -> Any:
    """What a child has of the parent's parameters or state."""
    if not isinstance(tree, Mapping) or name not in tree:
        got = f" {list(tree)}" if isinstance(tree, Mapping) else tree
        hint = "Both come from model.init(key, x)."
        fail("apply", argument, f"the model's, with an entry for {name!r}", got, hint=hint)
    return tree[name]


def start_children(
    function: str,
    layers: Mapping[str, Layer],
    params: Params,
    batch: int,
    state: State | None,
    source: Inputs | Padded | None = None,
) -> dict[str, Any]:
    """What the children carry before the first step, by name, of those that carry something; those that read a source
    are given it.

    Raises:
        InputError: a child neither carries nor declares that it computes each position by itself.
    """
    for name, layer in layers.items():
        _check_steps(function, name, layer)
    return {
        name: layer.start(
            params[name],
            batch,
            state=None if state is None else state[name],
            source=source if "reads_source" in layer.traits else None,
        )
        for name, layer in layers.items()
        if layer.carries
    }


def step_child(
    function: str, layer: Layer, name: str, params: Params, carry: Any, x: Inputs, state: State | None
) -> tuple[Any, dict[str, Any]]:
    """Output of the child called `name` at one position, and what it carries on, by its name.

    One that carries nothing is applied to the one position as to any input, in evaluation mode.

    Raises:
        InputError: as `start_children`; or the child has a state and none is given.
    """
    _check_steps(function, name, layer)
    with jax.named_scope(name):
        if layer.carries:
            y, after = layer.step(params[name], carry[name], x, state=None if state is None else state[name])
            return y, {name: after}
        if state is None and jax.tree.leaves(jax.eval_shape(layer.init, jax.random.key(0), x)[1]):
            fail(function, "state", f"given, for {name!r} has one", None)
        own = stateless(layer) if state is None else state[name]
        return layer.apply(params[name], own, x)[0], {}


def stateless(layer: Layer) -> State:
    """The state of a layer that has none: its nesting of names."""
    return {name: stateless(child) for name, child in layer.children.items()}


def _check_steps(function: str, name: str, layer: Layer) -> None:
    if not layer.carries and "positionwise" not in layer.traits:
        hint = 'Such a layer has start and step, or declares traits=("positionwise",).'
        fail(function, f"layers[{name!r}]", "one that can take one position after the other", layer, hint=hint)


def composite(
    function: str,
    init: Callable,
    apply: Callable,
    children: Mapping[str, Layer],
    step: Callable,
    traits: tuple[str, ...] = (),
) -> LayerFunctions:
    """The functions of a layer made of layers: it carries something where a child does, and each position is computed
    by itself where all children do so.

    Args:
        function: the layer's name, for messages.
        init, apply, children, traits: as of `LayerFunctions`.
        step: `step(params, carry, x, *, state)`, the carry being that of the children by name.
    """

    def start(params, batch, *, state=None, source=None):
        return start_children(f"{function}.start", children, params, batch, state, source)

    carries = any(layer.carries for layer in children.values())
    if any("reads_source" in layer.traits for layer in children.values()):
        traits = (*traits, "reads_source")
    if all("positionwise" in layer.traits for layer in children.values()):
        traits = (*traits, "positionwise")
    return LayerFunctions(init, apply, children, start if carries else None, step if carries else None, traits)


@factory(Layer, convert={"layers": lambda v: named_layers("sequential", v)})
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
            with told_where(name):
                spec = output_spec(layer, params[name], state[name], spec)
        return params, state

    def apply(params, state, x, **context):
        after, mask = {}, None  # the mask of what came out Padded inside
        for name, layer in layers.items():
            if isinstance(x, Padded):
                x, mask = x
                context["sequence_mask"] = mask
            x, after[name] = run_child(layer, name, params, state, x, **context)
            if "ends_sequence" in layer.traits:
                mask = context["sequence_mask"] = None
        return (x if mask is None else Padded(x, mask)), after

    def step(params, carry, x, *, state=None):
        after = {}
        for name, layer in layers.items():
            x, carried = step_child("sequential.step", layer, name, params, carry, x, state)
            after |= carried
        return x, after

    ends = any("ends_sequence" in layer.traits for layer in layers.values())
    fills = any("takes_missing" in layer.traits for layer in list(layers.values())[:1])
    traits = ("chain", *(("ends_sequence",) if ends else ()), *(("takes_missing",) if fills else ()))
    return composite("sequential", init, apply, layers, step, traits)


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

    def added(straight, y):
        if y.shape != straight.shape:
            fail("residual", "body", f"of the same output shape as the skip, {straight.shape}", f" {y.shape}",
                 hint="Give skip= a layer that changes the shape, such as dense(units, use_bias=False).")  # fmt: skip
        return straight + y

    def apply(params, state, x, **context):
        x = jax.tree.map(computed_once, x)
        results = {name: run_child(layer, name, params, state, x, **context) for name, layer in sides.items()}
        straight = x if skip is None else results["skip"][0]
        return added(straight, results["body"][0]), {name: after for name, (_, after) in results.items()}

    def step(params, carry, x, *, state=None):
        found, after = {"skip": x}, {}
        for name, layer in sides.items():
            found[name], carried = step_child("residual.step", layer, name, params, carry, x, state)
            after |= carried
        return added(found["skip"], found["body"]), after

    ends = skip is not None and all("ends_sequence" in layer.traits for layer in sides.values())
    return composite("residual", init, apply, sides, step, ("ends_sequence",) if ends else ())


@factory(Layer, traits=("positionwise", "activation"))
def elementwise(activation: str | Callable[[Array], Array]):
    """y = f(x) for an activation, by name or as a function `x -> y`; no parameters.

    A function of your own may look at the last axis, but not across examples or the positions of a sequence.

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
