"""The walk through a model: each layer by its rule, everything noted by name."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.backprop.layers.base import chain
from jaxann.backprop.registry import rule_of
from jaxann.backprop.step import Call, Context, Cotangents, Step
from jaxann.backprop.trace import LayerTrace
from jaxann.core.checks import check_choice, fail
from jaxann.core.keys import fold_name
from jaxann.core.padding import Padded, zero_padding
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Inputs, Key, Params, State

__all__ = ["Walk", "floating"]


@dataclasses.dataclass
class _Note:
    """What is known of one layer so far."""

    layer: Layer
    activation: bool
    x: Any
    y: Any
    z: Array | None
    attention: Array | None
    apart: set[str]  # children that ran with other parameters than their own, and are not noted
    sequence_mask: Array | None
    drawn: Array | None
    cotangents: Cotangents | None = None
    g: Any = None


class Walk:
    """One pass forward, and one backward through the same layers."""

    def __init__(self, key: Key | None, context: Context):
        self._key = key
        self._context = context
        self._notes: dict[str, _Note] = {}

    def forward(self, model: Layer, params: Params, state: State, x: Inputs) -> Step:
        """The model's own step; its `vjp` runs the whole model backward."""
        return self._run(model, "", params, state, x, self._key, self._context)

    def layers(self) -> OrderedDict[str, LayerTrace]:
        """What was noted. (An ordered dict, for JAX sorts the names of a plain one.)"""
        notes = list(self._notes.values())
        behind = [*notes[1:], None][: len(notes)]
        return OrderedDict(
            (name, _as_trace(note, after)) for (name, note), after in zip(self._notes.items(), behind, strict=True)
        )

    def _run(
        self, layer: Layer, path: str, params: Params, state: State, x: Inputs, key: Key | None, context: Context
    ) -> Step:
        layer = layer.resolved
        rule, children, apart = rule_of("backprop.backward", layer, path), layer.children, set()

        def child(
            name: str,
            x: Inputs,
            *,
            ended: bool = False,
            flipped: bool = False,
            mask: Array | None | bool = True,
            block: int | None = None,
            given: Params | None = None,
        ) -> Step:
            check_choice("backprop.backward", "the name of each child that a rule runs", name, children)
            folded = key if key is None or block is None else jax.random.fold_in(key, block)
            folded = None if folded is None else fold_name(folded, name)
            where = f"{path}.{name}" if path else name
            for argument, tree in (("params", params), ("state", state)):
                if not isinstance(tree, Mapping) or name not in tree:
                    got = f" {sorted(tree)}" if isinstance(tree, Mapping) else tree
                    hint = "Both come from model.init(key, x)."
                    fail("backprop.backward", argument, f"the model's, with an entry for {where!r}", got, hint=hint)
            if isinstance(x, Padded):
                x, mask = zero_padding(x.values, x.mask), x.mask
            inner = context._replace(sequence_mask=None) if ended else context
            if mask is not True:
                inner = inner._replace(sequence_mask=None if mask is None else jnp.asarray(mask))
            if flipped and inner.sequence_mask is not None:
                inner = inner._replace(sequence_mask=inner.sequence_mask[:, ::-1])
            own, before = params[name], state[name]
            if block is not None:
                one = lambda leaf: lax.index_in_dim(jnp.asarray(leaf), block, keepdims=False)  # noqa: E731
                own, before, where = jax.tree.map(one, own), jax.tree.map(one, before), f"{where}.{block}"
            with jax.named_scope(name):
                if given is None:
                    return self._run(children[name], where, own, before, x, folded, inner)
                apart.add(name)
                return Walk(folded, inner).forward(children[name], given, before, x)

        run = chain if rule is None else rule.run
        step = run(Call(layer, params, state, x, key, context, child))
        if "chain" in layer.traits:  # it is nothing beside its layers
            return step
        activation = rule is not None and rule.activation
        name = path or layer._factory.short_name
        note = self._notes[name] = _Note(
            layer, activation, x, step.y, step.z, step.attention, apart, context.sequence_mask, step.drawn
        )

        def vjp(g: Any) -> Cotangents:
            note.g, note.cotangents = g, step.vjp(g)
            return note.cotangents

        return step._replace(vjp=vjp)


def floating(x: Inputs) -> bool:
    """Whether inputs have a gradient: they hold a number that is not whole."""
    return any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(x))


def _as_trace(note: _Note, after: _Note | None) -> LayerTrace:
    followed = note.z is None and after is not None and after.activation and after.x is note.y
    values: dict[str, Any] = {
        "x": note.x,
        "z": note.y if note.z is None else note.z,
        "a": after.y if followed and after is not None else note.y,
        "y": note.y,
        "attention": note.attention,
        "sequence_mask": note.sequence_mask,
        "drawn": note.drawn,
    }
    found = note.cotangents
    if found is not None:
        values["delta"] = note.g if found.delta is None else found.delta
        values["output_grad"] = note.g
        values["grads"] = found.grads
        if note.layer.children:  # whose gradients stand with the children
            elsewhere = note.layer.children.keys() - note.apart
            values["grads"] = {name: g for name, g in found.grads.items() if name not in elsewhere}
        values["input_grad"] = found.input_grad if floating(note.x) else None
    return LayerTrace(note.layer._factory.short_name, **values)
