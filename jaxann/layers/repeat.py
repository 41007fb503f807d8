"""Many equal blocks, one after the other, as one loop: the program does not grow with the depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer, LayerFunctions
from jaxann.core.watch import note_rounds, noted_aside
from jaxann.layers.base import as_layer, init_child, output_spec, run_child

__all__ = ["WRITTEN_OUT", "check_block_shapes", "repeat"]


WRITTEN_OUT = 8  # blocks that a program has one after the other, and not as rounds of a loop


@factory(Layer, static=("times",), convert={"layer": lambda v: as_layer(v, "repeat", "layer")})
def repeat(layer: Layer, times: int):
    """y = f_L(... f_2(f_1(x))), L = `times` blocks of one kind, each with parameters, state and randomness of its own.

        layers.repeat(layers.residual(layers.sequential({"norm": ..., "conv": layers.conv(64, 3)})), 32)

    The blocks are the rounds of one loop (`lax.scan`), so that 32 compile as fast as 9, and a block is written, and
    printed by `summary`, once. Up to 8 the program has them one after the other: what the way back needs of each would
    have to be gathered in a loop, a third of the time of a small transformer. A table of layers in `sequential` is the
    way where blocks differ.

    Args:
        layer: one block, whose output has the shape and dtype of its input.
        times: L, how many.

    Input and output: what the block takes. Parameters and state: the block's under `block`, each array with a leading
    axis of L: entry l is that of block l, drawn as if it stood alone, so that fans are the block's own.

    Optimizers see an array of L blocks as one leaf. Those of each number by itself (sgd, adam and their kin) do the
    same as for single blocks, and so do masks by name, weight decay's `matrices` among them. Those of a whole leaf
    (lars, lamb, muon, shampoo, soap, adafactor, `centralize`, clips by unit) need `optimizers.per_block`.

    Peers: flax's nn.scan with variable_axes={"params": 0}; PyTorch and Keras unroll.

    Raises:
        InputError: times is no positive integer, the layer is none, or its output has another shape or dtype than its
            input; the message shows both.
    """
    check_integer("repeat", "times", times)
    ends = "ends_sequence" in layer.traits

    def init(key, spec):
        params, state = jax.eval_shape(lambda k: init_child(layer, "block", k, spec), key)
        check_block_shapes(spec, output_spec(layer, params, state, spec))
        keys = jax.vmap(lambda block: jax.random.fold_in(key, block))(jnp.arange(times))
        params, state = jax.vmap(lambda k: init_child(layer, "block", k, spec))(keys)
        return {"block": params}, {"block": state}

    def apply(params, state, x, *, key=None, **context):
        _check_stacked(params, times)
        if ends and context.get("sequence_mask") is not None:
            hint = "Its next block would have no positions. Inputs that are sequences may be Padded, by name."
            fail("repeat", "sequence_mask", "None for blocks that end a sequence", context["sequence_mask"], hint=hint)

        def round_of(x, one):
            block, own, before = one
            folded = None if key is None else jax.random.fold_in(key, block)
            (y, after), notes = noted_aside(lambda: run_child(layer, "block", own, before, x, key=folded, **context))
            check_block_shapes(x, y)
            return y, (after, notes)

        given = (jnp.arange(times), _inside(params), _inside(state))
        y, (after, notes) = lax.scan(round_of, x, given, unroll=times <= WRITTEN_OUT)
        note_rounds(notes, times)
        return y, {"block": after}

    traits = ("stacked", *layer.traits & {"positionwise", "ends_sequence", "reads_source"})
    if not layer.carries:
        return LayerFunctions(init, apply, {"block": layer}, traits=traits)

    def start(params, batch, *, state=None, source=None):
        one = lambda own, before: layer.start(own, batch, state=before, source=source)  # noqa: E731
        return {"block": jax.vmap(one)(params["block"], None if state is None else state["block"])}

    def step(params, carry, x, *, state=None):
        def round_of(x, one):
            own, carried, before = one
            y, after = layer.step(own, carried, x, state=before)
            check_block_shapes(x, y)
            return y, after

        before = None if state is None else state["block"]
        y, after = lax.scan(round_of, x, (params["block"], carry["block"], before))
        return y, {"block": after}

    return LayerFunctions(init, apply, {"block": layer}, start, step, traits)


def _inside(tree: Any) -> Any:
    """What the blocks have of it, by the child's name."""
    if not isinstance(tree, Mapping) or "block" not in tree:
        return tree  # which is what `run_child` says, in its words
    return {"block": tree["block"]}


def _check_stacked(params: Any, times: int) -> None:
    for leaf in jax.tree.leaves(params):
        shape = jnp.shape(leaf)
        if shape[:1] != (times,):
            fail("repeat", "params", f"of {times} blocks along the first axis of each array", f" shape {shape}")


def check_block_shapes(x: Any, y: Any) -> None:
    """A block's output is of the kind of its input.

    Raises:
        InputError: it has another shape, dtype or nesting; the message shows both.
    """
    given, found = (jax.tree.map(lambda leaf: (tuple(leaf.shape), jnp.dtype(leaf.dtype).name), t) for t in (x, y))
    if given != found:
        hint = "Blocks that change the shape stand one by one, in layers.sequential."
        fail("repeat", "layer", f"of the output shape of its input, {_told(x)}", f" {_told(y)}", hint=hint)


def _told(tree: Any) -> str:
    return ", ".join(f"{tuple(leaf.shape)} {jnp.dtype(leaf.dtype).name}" for leaf in jax.tree.leaves(tree))
