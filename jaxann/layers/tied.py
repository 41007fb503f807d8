"""One table for what goes in and for what comes out."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_flag, fail
from jaxann.core.factories import factory
from jaxann.core.padding import Padded
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Params
from jaxann.layers.base import as_layer, composite, init_child, output_spec, sequential

__all__ = ["tied_embedding"]


def _taken_in(name: str):
    return lambda value: as_layer(value, "tied_embedding", name)


@factory(Layer, static=("use_bias",), convert={"embed": _taken_in("embed"), "body": _taken_in("body")})
def tied_embedding(embed: Layer, body: Layer, *, use_bias: bool = False):
    """y = body(E[id]) E^T + b: logits of ids from the table that ids are embedded with.

    Args:
        embed: a layer with a table `weight` `(vocabulary, features)`, `embedding` above all.
        body: everything in between, `(batch, time, features)` to the same.
        use_bias: whether there is a b, `bias` `(vocabulary,)`, zeros at first, as in BERT.

    Input: what embed takes; output `(batch, time, vocabulary)`. The gradient of E has both uses in it. Layers by name:
    `embed` and `body`.

    Peers: GPT-2 and BERT do so; Keras' ReversibleEmbedding(tie_weights=True); in PyTorch one assigns the weight.

    Source: Press and Wolf 2017; Inan, Khosravi and Socher 2017.

    Raises:
        InputError: an argument is no layer, the first has no such table, or what the body gives has not its features.
    """
    check_flag("tied_embedding", "use_bias", use_bias)
    if "ends_sequence" in body.traits:
        fail("tied_embedding", "body", "a layer that keeps the positions", body)
    layers = {"embed": embed, "body": body}
    both = sequential(layers)

    def init(key, spec):
        params, state = {}, {}
        for name, layer in layers.items():
            params[name], state[name] = init_child(layer, name, key, spec)
            spec = output_spec(layer, params[name], state[name], spec)
        table = _table(params)
        if spec.shape[-1:] != table.shape[1:]:
            fail("tied_embedding", "body", f"of {table.shape[1]} features, as the table", f" shape {tuple(spec.shape)}")
        if use_bias:
            params["bias"] = jnp.zeros(table.shape[0], table.dtype)
        return params, state

    def logits(params, x):
        return ops.dense(x, _table(params).T, params.get("bias"))

    def apply(params, state, x, **context):
        y, after = both.apply(params, state, x, **context)
        if isinstance(y, Padded):
            return Padded(logits(params, y.values), y.mask), after
        return logits(params, y), after

    def step(params, carry, x, *, state=None):
        y, after = both.step(params, carry, x, state=state)
        return logits(params, y), after

    return composite("tied_embedding", init, apply, layers, step)


def _table(params: Params) -> Array:
    own = params.get("embed") if isinstance(params, dict) else None
    weight = own.get("weight") if isinstance(own, dict) else None
    if weight is None or weight.ndim != 2:
        fail(
            "tied_embedding", "embed", "a layer with a table `weight` (vocabulary, features)", f" {own and sorted(own)}"
        )
    return weight
