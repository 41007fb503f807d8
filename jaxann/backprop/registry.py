"""The rules of layers, activations and losses, and how one is entered.

A rule enters itself where it is written, by the decorators below: those of this library in the sub-packages
`activations`, `layers` and `losses`, one file beside each file that they differentiate, and yours wherever you like.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, NoReturn, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.backprop.step import Call, Step
from jaxann.core.binding import bound
from jaxann.core.checks import fail
from jaxann.core.factories import is_product
from jaxann.core.products import Layer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Loss

__all__ = [
    "ACTIVATIONS",
    "LAYERS",
    "LOSSES",
    "LayerRule",
    "activation_derivative",
    "activation_rule",
    "activation_vjp",
    "check_rules",
    "layer_rule",
    "loss_derivative",
    "loss_rule",
    "loss_vjp",
    "rule_of",
    "through_activation",
]

F = TypeVar("F", bound=Callable[..., Any])
Vjp = Callable[..., Any]


class LayerRule(NamedTuple):
    """What is known of a kind of layer."""

    run: Callable[[Call], Step]
    activation: bool = False  # what it gives is the `a` of the layer right before it
    function: Callable[[Layer], Callable] | None = None  # the activation that it applies, which has a rule of its own


LAYERS: dict[Any, LayerRule] = {}  # by the factory, or by the apply function of a `layers.custom`
ACTIVATIONS: dict[Callable, Vjp] = {}
LOSSES: dict[Callable, Vjp] = {}


def layer_rule(
    layer: Callable, *, activation: bool = False, function: Callable[[Layer], Callable] | None = None
) -> Callable[[F], F]:
    """Decorate the backward rule of a layer, `rule(call) -> Step`.

        @ja.backprop.layer_rule(scale)
        def scale_rule(call):
            "y = s x:  dC/dx = s G,  dC/ds = sum of x G."
            y, state = call.apply()
            s = call.params["s"]
            return Step(y, state, lambda g: Cotangents(s * g, {"s": (call.x * g).sum()}))

    A layer made of layers declares its children (`LayerFunctions`), and its rule runs each of them by
    `call.child(name, x)`, or with other parameters than their own by `call.child(name, x, given=params)`; one whose
    children run one after the other (the trait "chain") needs no rule.

    Args:
        layer: the factory that makes it, or the `apply` function of a `layers.custom`.
        activation: whether it is an activation, so that what it gives is the `a` of the layer right before it.
        function: for a layer that applies an activation with a rule of its own, which one; a model is refused before
            anything is computed where that rule is missing.

    Raises:
        InputError: it is neither.
    """
    if not callable(layer) or is_product(layer):
        fail("backprop.layer_rule", "layer", "a factory of layers, or the apply function of layers.custom", layer)

    def enter(rule: F) -> F:
        LAYERS[layer] = LayerRule(rule, activation, function)
        return rule

    return enter


def activation_rule(function: Callable) -> Callable[[F], F]:
    """Decorate the backward rule of an activation, `vjp(g, x, y, **settings) -> dC/dx`.

        @ja.backprop.activation_rule(normalized)
        def normalized_vjp(g, x, y):
            return ...

    y = function(x) and g = dC/dy; the result is the product of the Jacobian's transpose with g. For a function of each
    number by itself there is `activation_derivative`.

    Args:
        function: the activation `x -> y` as `elementwise` is given it. What `functools.partial` binds to it by name
            comes to the rule as `settings`.

    Arrays are float32 or better; what comes back is cast to the dtype of x.

    Raises:
        InputError: it is no function.
    """
    if not callable(function):
        fail("backprop.activation_rule", "function", "an activation x -> y", function)

    def enter(vjp: F) -> F:
        ACTIVATIONS[bound(function)[0]] = vjp
        return vjp

    return enter


def activation_derivative(function: Callable) -> Callable[[F], F]:
    """Decorate the derivative of an activation of each number by itself, `derivative(x, y, **settings) -> f'(x)`.

        @ja.backprop.activation_derivative(cube)
        def cube_derivative(x, y):
            return 3 * x * x

    Its Jacobian is diagonal: dC/dx = g f'(x). At a kink f' is what the activation's documentation says.

    Args:
        function: as in `activation_rule`.

    Raises:
        InputError: it is no function.
    """
    if not callable(function):
        fail("backprop.activation_derivative", "function", "an activation x -> y", function)

    def enter(derivative: F) -> F:
        activation_rule(function)(lambda g, x, y, **settings: g * derivative(x, y, **settings))
        return derivative

    return enter


def loss_rule(loss: Loss) -> Callable[[F], F]:
    """Decorate the backward rule of a loss, `vjp(g, predictions, targets, **settings) -> dC/dpredictions`.

        @ja.backprop.loss_rule(farthest_pair)
        def farthest_pair_vjp(g, predictions, targets):
            return ...

    g has the shape of the values and holds dC/d(each of them): all weights and factors of the mean are in it. Where
    each value belongs to predictions of its own there is `loss_derivative`.

    Args:
        loss: `(predictions, targets) -> values`. What `functools.partial` binds to it by name comes to the rule as
            `settings`.

    Arrays are float32 or better; what comes back is cast to the dtype of the predictions.

    Raises:
        InputError: it is no function.
    """
    if not callable(loss):
        fail("backprop.loss_rule", "loss", "a function (predictions, targets) -> values", loss)

    def enter(vjp: F) -> F:
        LOSSES[bound(loss)[0]] = _in_wide(vjp)
        return vjp

    return enter


def loss_derivative(loss: Loss) -> Callable[[F], F]:
    """Decorate the derivative of a loss, `derivative(predictions, targets, **settings) -> dl/dpredictions`.

        @ja.backprop.loss_derivative(cubic_error)
        def cubic_error_derivative(predictions, targets):
            return 3 * (predictions - targets) ** 2

    For a loss of each number by itself, or of each row: dC/dpredictions = g dl/dpredictions, every row of derivatives
    multiplied by the g of its value.

    Args:
        loss: as in `loss_rule`.

    Raises:
        InputError: it is no function.
    """
    if not callable(loss):
        fail("backprop.loss_derivative", "loss", "a function (predictions, targets) -> values", loss)

    def enter(derivative: F) -> F:
        def vjp(g: Array, predictions: Array, targets: Any, **settings: Any) -> Array:
            by_prediction = derivative(predictions, targets, **settings)
            return lax.expand_dims(g, range(g.ndim, by_prediction.ndim)) * by_prediction

        loss_rule(loss)(vjp)
        return derivative

    return enter


def _in_wide(vjp: Vjp) -> Vjp:
    """The rule computed in float32 or better, and given in the dtypes of the predictions."""

    def wide(g: Array, *given: Any, **settings: Any) -> Any:
        *others, predictions, targets = given  # others: what is bound to the loss by position, such as a loss inside
        floats = [
            p for p in jax.tree.leaves(predictions) if jnp.issubdtype(p.dtype, jnp.floating)
        ]  # no mask of padding
        dtype = jnp.result_type(*(wide_dtype(p.dtype) for p in floats))
        found = vjp(
            g.astype(dtype), *others,
            jax.tree.map(lambda p: p.astype(wide_dtype(p.dtype)), predictions),
            jax.tree.map(lambda t: _wide_target(jnp.asarray(t), dtype), targets),
            **settings,
        )  # fmt: skip
        return jax.tree.map(lambda by, p: by.astype(p.dtype), found, predictions)

    return wide


def _wide_target(targets: Array, dtype: Any) -> Array:
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        return targets.astype(dtype)
    return targets.astype(jnp.int32) if targets.dtype.itemsize < 4 else targets  # int8 cannot count 300 classes


def rule_of(verb: str, layer: Layer, path: str = "") -> LayerRule | None:
    """The rule of a layer; None for a chain of layers without one, which needs none.

    Raises:
        InputError: it has none; the message names it and its path.
    """
    layer = layer.resolved
    apply = layer.functions[1]
    found = LAYERS.get(layer._factory.public)
    if found is None and isinstance(apply, Hashable):
        found = LAYERS.get(apply)
    if found is None and "chain" not in layer.traits:
        own = layer.arguments.get("apply")  # of a layer from two functions, whose name says nothing
        shown = layer._factory.name + ("" if own is None else f" of {_named(own)}")
        hint = "Write its rule: @ja.backprop.layer_rule(factory) over rule(call) -> Step."
        _no_rule(verb, "model", "made of layers that have a backward rule", f" {shown}", path, hint)
    return found


def check_rules(verb: str, layer: Layer, path: str = "") -> None:
    """Every layer and activation of a model has a rule, looked at before anything is computed.

    Raises:
        InputError: one has none; the message names it and its path.
    """
    layer = layer.resolved
    found = rule_of(verb, layer, path)
    if found is not None and found.function is not None:
        activation_vjp(found.function(layer), verb, f"activation at {path!r}" if path else "activation")
    for name, inner in layer.children.items():
        check_rules(verb, inner, f"{path}.{name}" if path else name)


def activation_vjp(function: Callable, verb: str, where: str) -> tuple[Vjp, dict[str, Any]]:
    """The rule of an activation, and the settings bound to it.

    Args:
        function: `x -> y`.
        verb, where: who asks, and where the activation stands, for the message.

    Raises:
        InputError: it has none.
    """
    inner, args, settings = bound(function)
    vjp = ACTIVATIONS.get(inner) if isinstance(inner, Hashable) and callable(inner) and not args else None
    if vjp is None:
        hint = "Write its rule: @ja.backprop.activation_rule(function) over vjp(g, x, y) -> dC/dx."
        _no_rule(verb, where, "an activation that has a backward rule", f" {_named(inner)}", "", hint)
    return vjp, settings


def through_activation(function: Callable, vjp: Vjp, settings: dict[str, Any], x: Array, y: Array, g: Array) -> Array:
    """dC/dx from dC/dy, y = function(x), computed in float32 or better and given in the dtype of x."""
    wide = x.astype(wide_dtype(x.dtype))
    if wide.dtype != x.dtype:
        y = function(wide)  # the y that was put out has been rounded
    return vjp(g.astype(wide.dtype), wide, y, **settings).astype(x.dtype)


def loss_vjp(loss: Any, verb: str = "backprop.backward") -> tuple[Vjp, tuple, dict[str, Any]]:
    """The rule of a loss, and what is bound to it.

    Raises:
        InputError: it is no function, or has no rule.
    """
    if isinstance(loss, str) or not callable(loss):
        fail(verb, "loss", "a function (predictions, targets) -> values", loss)
    inner, args, settings = bound(loss)
    vjp = LOSSES.get(inner) if isinstance(inner, Hashable) else None
    if vjp is None:
        hint = "Write its rule: @ja.backprop.loss_rule(loss) over vjp(g, predictions, targets) -> dC/dpredictions."
        _no_rule(verb, "loss", "one that has a backward rule", f" {_named(inner)}", "", hint)
    for inside in jax.tree.leaves(args, is_leaf=callable):
        if callable(inside):  # a loss that is made of others: each_member, by_head
            loss_vjp(inside, verb)
    return vjp, args, settings


def _named(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _no_rule(verb: str, argument: str, expected: str, got: str, path: str, hint: str) -> NoReturn:
    fail(verb, argument, expected, got + (f" at {path!r}" if path else ""), hint=hint)
