"""A recurrence that looks into a source at each of its positions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.layers.base import as_layer, composite, init_child, output_spec, run_child, step_child
from jaxann.layers.branches import refuse_mask
from jaxann.layers.dense import dense
from jaxann.layers.source import reading, sequence_of

__all__ = ["attentive_recurrence"]


def _taken_in(name: str):
    return lambda value: as_layer(value, "attentive_recurrence", name)


@factory(
    Layer,
    static=("features",),
    convert={"recurrence": _taken_in("recurrence"), "cross": _taken_in("cross")},
)
def attentive_recurrence(recurrence: Layer, cross: Layer, features: int):
    """h = recurrence(x),  c = cross(h, M),  y = tanh((h, c) W + b): a recurrent decoder that reads a source M.

    Args:
        recurrence: `lstm`, `gru`, or layers of them.
        cross: what reads the source, `cross_attention`, one head of which is Luong's.
        features: of the output.

    Input: `{"x": (batch, time, any), "source": (batch, other time, any)}`, either of them `Padded` where it has
    padding; output such a dict, the source as it came in. Layers by name: `recurrence`, `cross`, `combine`. One
    position at a time, x and y are arrays, and `start(params, batch, source=...)` is given the source.

    Peers: none of PyTorch, Keras and flax has it; PyTorch's tutorial has Bahdanau's form, whose attention comes before
    the recurrence.

    Source: Luong, Pham and Manning 2015, global attention; what they feed back into the recurrence is not.

    Raises:
        InputError: an argument is no layer, the second reads no source, or x is none of these.
    """
    check_integer("attentive_recurrence", "features", features)
    if "reads_source" not in cross.traits:
        hint = "layers.cross_attention is one."
        fail("attentive_recurrence", "cross", "a layer that reads a source", cross, hint=hint)
    layers = {"recurrence": recurrence, "cross": cross, "combine": dense(features)}

    def init(key, spec):
        given = reading("attentive_recurrence", "spec", spec)
        made = {"recurrence": init_child(recurrence, "recurrence", key, given.x)}
        h = output_spec(recurrence, *made["recurrence"], given.x)
        both = {"x": h, "source": given.source}
        made["cross"] = init_child(cross, "cross", key, both)
        c = output_spec(cross, *made["cross"], both)
        joined = jax.ShapeDtypeStruct((*h.shape[:-1], h.shape[-1] + c.shape[-1]), h.dtype)
        made["combine"] = init_child(layers["combine"], "combine", key, joined)
        return tuple({name: pair[i] for name, pair in made.items()} for i in (0, 1))

    def apply(params, state, x, *, sequence_mask=None, **context):
        refuse_mask("attentive_recurrence", sequence_mask)
        given, after = reading("attentive_recurrence", "x", x), {}

        def run(name, u, **masks):
            v, after[name] = run_child(layers[name], name, params, state, u, **masks, **context)
            return v

        h = run("recurrence", given.x, sequence_mask=given.mask)
        c = sequence_of(run("cross", given.back(h)))[0]
        y = jnp.tanh(run("combine", jnp.concatenate([h, c], -1), sequence_mask=given.mask))
        return given.back(y), after

    def step(params, carry, x, *, state=None):
        after = {}

        def run(name, u):
            v, carried = step_child("attentive_recurrence.step", layers[name], name, params, carry, u, state)
            after.update(carried)
            return v

        h = run("recurrence", x)
        return jnp.tanh(run("combine", jnp.concatenate([h, run("cross", h)], -1))), after

    return composite("attentive_recurrence", init, apply, layers, step)
