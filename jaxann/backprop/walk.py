"""The walk through a model: each layer by its rule, everything noted by name."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.backprop.rules import Back, Call, Step
from jaxann.backprop.table import rule_of
from jaxann.backprop.trace import LayerTrace
from jaxann.core.checks import fail
from jaxann.core.keys import fold_name
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key, Params, State

__all__ = ["Walk"]

_ACTIVATIONS = ("elementwise", "prelu", "rrelu", "swish")


@dataclasses.dataclass
class _Note:
    """What is known of one layer so far."""

    kind: str
    x: Array
    y: Array
    z: Array | None
    back: Back | None = None
    g: Array | None = None


class Walk:
    """One pass forward, and one backward through the same layers."""

    def __init__(self, key: Key | None, train: bool | str, mask: Array | None):
        self._train = train
        self._mask = mask
        self._key = key
        self._notes: dict[str, _Note] = {}

    def forward(self, model: Layer, params: Params, state: State, x: Array) -> Step:
        """The model's own step; its `back` runs the whole model backward."""
        return self._run(model, "", params, state, x, self._key)

    def layers(self) -> OrderedDict[str, LayerTrace]:
        """What was noted. (An ordered dict, for JAX sorts the names of a plain one.)"""
        notes = list(self._notes.values())
        behind = [*notes[1:], None][: len(notes)]
        return OrderedDict(
            (name, _as_trace(note, after)) for (name, note), after in zip(self._notes.items(), behind, strict=True)
        )

    def _run(self, layer: Layer, path: str, params: Params, state: State, x: Array, key: Key | None) -> Step:
        rule = rule_of("backprop.backward", layer, path)

        def child(name: str, inner: Layer, x: Array) -> Step:
            folded = None if key is None else fold_name(key, name)
            where = f"{path}.{name}" if path else name
            for argument, tree in (("params", params), ("state", state)):
                if not isinstance(tree, Mapping) or name not in tree:
                    got = f" {sorted(tree)}" if isinstance(tree, Mapping) else tree
                    hint = "Both come from model.init(key, x)."
                    fail("backprop.backward", argument, f"the model's, with an entry for {where!r}", got, hint=hint)
            with jax.named_scope(name):
                return self._run(inner, where, params[name], state[name], x, folded)

        step = rule.run(Call(layer, params, state, x, key, self._train, self._mask, child))
        if not rule.shown:
            return step
        kind = layer._factory.short_name
        note = self._notes[path or kind] = _Note(kind, x, step.y, step.z)

        def back(g: Array) -> Back:
            note.g, note.back = g, step.back(g)
            return note.back

        return step._replace(back=back)


def _as_trace(note: _Note, after: _Note | None) -> LayerTrace:
    followed = note.z is None and after is not None and after.kind in _ACTIVATIONS and after.x is note.y
    values: dict[str, Any] = {
        "x": note.x,
        "z": note.y if note.z is None else note.z,
        "a": after.y if followed and after is not None else note.y,
        "y": note.y,
    }
    if note.back is not None and note.g is not None:
        floating = jnp.issubdtype(note.x.dtype, jnp.floating)
        values["delta"] = note.g if note.back.delta is None else note.back.delta
        values["output_grad"] = note.g
        values["grads"] = note.back.grads if note.kind not in ("residual", "stochastic_depth") else {}
        values["input_grad"] = note.back.input_grad if floating else None
    return LayerTrace(note.kind, **values)
