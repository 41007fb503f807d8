"""The table of layers: each has one rule that runs it forward and backward; and how to add one of your own."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeVar

from jaxann import activations
from jaxann.backprop import (
    rules_activation,
    rules_dense,
    rules_ensemble,
    rules_norm,
    rules_random,
    rules_structure,
)
from jaxann.backprop.rules import Call, Step
from jaxann.backprop.slopes import activation_pull
from jaxann.core.checks import fail
from jaxann.core.factories import known_factories
from jaxann.core.products import Layer
from jaxann.layers.base import Stack

__all__ = ["LAYERS", "LayerRule", "check_rules", "layer_rule", "rule_of"]

F = TypeVar("F", bound=Callable[[Call], Step])


class LayerRule(NamedTuple):
    """What the table knows of a kind of layer."""

    run: Callable[[Call], Step]
    children: Callable[[Layer], Mapping[str, Layer]] | None = None  # the layers inside that the rule runs, by name
    shown: bool = True  # whether it stands in a trace itself: a sequence is nothing beside its layers


def _stacked(layer: Layer) -> Mapping[str, Layer]:
    return layer.functions.layers


def _sides(layer: Layer) -> Mapping[str, Layer]:
    sides = {name: layer.arguments[name] for name in ("body", "skip")}
    return {name: side for name, side in sides.items() if side is not None}


_SEQUENTIAL = LayerRule(rules_structure.sequential, _stacked, shown=False)
LAYERS: dict[Any, LayerRule] = {
    "layers.alpha_dropout": LayerRule(rules_random.alpha_dropout),
    "layers.batch_ensemble_dense": LayerRule(rules_ensemble.batch_ensemble_dense),
    "layers.batch_norm": LayerRule(rules_norm.batch_norm),
    "layers.dense": LayerRule(rules_dense.dense),
    "layers.drop_block": LayerRule(rules_random.drop_block),
    "layers.drop_connect_dense": LayerRule(rules_dense.drop_connect_dense),
    "layers.dropout": LayerRule(rules_random.dropout),
    "layers.elementwise": LayerRule(rules_activation.elementwise),
    "layers.flatten": LayerRule(rules_dense.flatten),
    "layers.gated_dense": LayerRule(rules_activation.gated_dense),
    "layers.gaussian_dropout": LayerRule(rules_random.gaussian_dropout),
    "layers.gaussian_noise": LayerRule(rules_random.gaussian_noise),
    "layers.maxout": LayerRule(rules_activation.maxout),
    "layers.packed_dense": LayerRule(rules_ensemble.packed_dense),
    "layers.prelu": LayerRule(rules_activation.prelu),
    "layers.residual": LayerRule(rules_structure.residual, _sides),
    "layers.rrelu": LayerRule(rules_activation.rrelu),
    "layers.sequential": _SEQUENTIAL,
    "layers.spatial_dropout": LayerRule(rules_random.spatial_dropout),
    "layers.spread": LayerRule(rules_ensemble.spread),
    "layers.stochastic_depth": LayerRule(rules_structure.stochastic_depth, _sides),
    "layers.swish": LayerRule(rules_activation.swish),
}


def layer_rule(layer: Callable, *, children: Callable[[Layer], Mapping[str, Layer]] | None = None) -> Callable[[F], F]:
    """Decorate the backward rule of a layer of your own, `rule(call) -> Step`.

        @ja.backprop.layer_rule(scale)
        def scale_rule(call):
            "y = s x:  dC/dx = s G,  dC/ds = sum of x G."
            y, state = call.apply()
            s = call.params["s"]
            return Step(y, state, lambda g: Back(s * g, {"s": (call.x * g).sum()}))

    Args:
        layer: the factory that makes it, or the `apply` function of a `layers.custom`.
        children: the layers inside by name, for a rule that runs them by `call.child(name, layer, x)`.

    Raises:
        InputError: it is neither.
    """
    if not callable(layer) or isinstance(layer, Layer):
        fail("backprop.layer_rule", "layer", "a factory of layers, or the apply function of layers.custom", layer)
    names = [name for name, maker in known_factories().items() if maker.public is layer]

    def enter(rule: F) -> F:
        LAYERS[names[0] if names else layer] = LayerRule(rule, children)
        return rule

    return enter


def rule_of(verb: str, layer: Layer, path: str = "") -> LayerRule:
    """The entry of a layer. A model that is a sequence inside has that of `sequential`.

    Raises:
        InputError: it has none; the message names it and its path.
    """
    name, apply = layer._factory.name, layer.arguments.get("apply")
    found = LAYERS.get(name)
    if found is None and name == "layers.custom" and isinstance(apply, Hashable):
        found = LAYERS.get(apply)
    if found is None and isinstance(layer.functions, Stack):
        found = _SEQUENTIAL
    if found is None:
        shown = f"{name} of {getattr(apply, '__qualname__', apply)}" if name == "layers.custom" else name
        where = f" at {path!r}" if path else ""
        hint = "Write its rule: @ja.backprop.layer_rule(factory) over rule(call) -> Step."
        fail(verb, "model", "made of layers that have a backward rule", f" {shown}{where}", hint=hint)
    return found


def check_rules(verb: str, layer: Layer, path: str = "") -> None:
    """Every layer and activation of a model has a rule, looked at before anything is computed.

    Raises:
        InputError: one has none; the message names it and its path.
    """
    found = rule_of(verb, layer, path)
    if layer._factory.name == "layers.elementwise":
        function: Any = activations.by_name(layer.arguments["activation"])
        activation_pull(function, verb, f"activation at {path!r}" if path else "activation")
    for name, inner in ({} if found.children is None else found.children(layer)).items():
        check_rules(verb, inner, f"{path}.{name}" if path else name)
