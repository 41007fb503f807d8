"""A layer over a sequence in both directions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_floating, fail
from jaxann.core.factories import factory
from jaxann.core.padding import Padded, is_padded
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.typing import Inputs, Params, Predictions, State
from jaxann.layers.base import as_layer, init_child, output_spec, run_child
from jaxann.layers.class_token import first_position
from jaxann.layers.recurrent import last_position

__all__ = ["MERGES", "bidirectional", "both_ends", "flipped", "keeps_positions", "one_output"]

MERGES = {
    "concatenate": lambda a, b: jnp.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "mean": lambda a, b: (a + b) / 2,
}


@factory(Layer, static=("merge",), convert={"layer": lambda v: as_layer(v, "bidirectional", "layer")})
def bidirectional(layer: Layer, *, merge: str = "concatenate"):
    """One layer from the beginning to the end of a sequence, another of its kind from the end to the beginning.

        layers.bidirectional(layers.lstm(64))
        layers.bidirectional(layers.sequential({"lstm": layers.lstm(64), "last": layers.last_position()}))

    The second is given each sequence turned round, padding first, and what it gives is turned back, so that both speak
    of the same position; one that ends the sequence, as in the second line, gives what it has at its own end.

    Args:
        layer: of which both have the form. One that heeds a sequence_mask starts within each sequence.
        merge: "concatenate" the features of both, or their "sum" or "mean".

    Input: `(batch, time, ...)`. Parameters and state: `forward` and `backward`, each as of the layer. It cannot go one
    position at a time.

    Peers: Keras' Bidirectional, and bidirectional=True in PyTorch.

    Source: Schuster and Paliwal 1997.

    Raises:
        InputError: the layer is none, or merge is unknown.
    """
    check_choice("bidirectional", "merge", merge, MERGES)
    ends = "ends_sequence" in layer.traits

    def init(key, spec):
        pairs = {name: init_child(layer, name, key, spec) for name in ("forward", "backward")}
        return tuple({name: pair[i] for name, pair in pairs.items()} for i in (0, 1))

    def apply(params, state, x, *, sequence_mask=None, **context):
        first, one = run_child(layer, "forward", params, state, x, sequence_mask=sequence_mask, **context)
        turned = None if sequence_mask is None else sequence_mask[:, ::-1]
        second, two = run_child(layer, "backward", params, state, flipped(x), sequence_mask=turned, **context)
        keeps = keeps_positions(layer, params["forward"], state["forward"], x)
        return one_output(merge, first, flipped(second) if keeps else second), {"forward": one, "backward": two}

    children = {"forward": layer, "backward": layer}
    return LayerFunctions(init, apply, children, traits=("ends_sequence",) if ends else ())


def flipped(x: Inputs) -> Inputs:
    """Sequences `(batch, time, ...)` from the end to the beginning."""
    return jax.tree.map(lambda leaf: leaf[:, ::-1], x)


def one_output(merge: str, first: Predictions, second: Predictions) -> Predictions:
    """Both outputs as one; what is Padded keeps the mask that both have."""

    def one(a: Predictions, b: Predictions) -> Predictions:
        return Padded(MERGES[merge](a.values, b.values), a.mask) if is_padded(a) else MERGES[merge](a, b)

    return jax.tree.map(one, first, second, is_leaf=is_padded)


def keeps_positions(layer: Layer, params: Params, state: State, x: Inputs) -> bool:
    """Whether what comes out, `(batch, time, ...)`, still has the positions of x: those of a shorter x are fewer."""
    if "ends_sequence" not in layer.traits:
        return True

    def places(cut: int) -> int | None:
        given = jax.tree.map(lambda a: jax.ShapeDtypeStruct((a.shape[0], a.shape[1] - cut, *a.shape[2:]), a.dtype), x)
        shape = jax.tree.leaves(output_spec(layer, params, state, given))[0].shape
        return shape[1] if len(shape) > 2 else None

    time = jax.tree.leaves(x)[0].shape[1]  # of which one is the same in both directions
    return time > 1 and places(0) == time and places(1) == time - 1


@factory(Layer, traits=("ends_sequence",))
def both_ends():
    """Of a sequence read in both directions what each has at its own end, `(batch, time, 2 n) -> (batch, 2 n)`.

    The first n features at the last position, which have seen all of the sequence from its beginning, and the other n
    at the first. No parameters; of a sequence of padding alone it is 0.

    Peers: Keras' Bidirectional with return_sequences=False; in PyTorch one joins both of h_n.

    Source: Schuster and Paliwal 1997.

    Raises:
        InputError: x has no positions, an odd number of features, or holds no floating numbers.
    """

    def init(key, spec):
        return {}, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        check_floating("both_ends", "x", x)
        if x.ndim != 3 or x.shape[2] % 2 or x.shape[1] == 0:
            fail("both_ends", "x", "of shape (batch, time, 2 n), the features of both directions", f" shape {x.shape}")
        half = x.shape[2] // 2
        last, _ = last_position().apply({}, {}, x[..., :half], sequence_mask=sequence_mask)
        first, _ = first_position().apply({}, {}, x[..., half:], sequence_mask=sequence_mask)
        return jnp.concatenate([last, first], -1), state

    return init, apply
