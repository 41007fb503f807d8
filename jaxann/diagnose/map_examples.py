"""A few examples on their way through the model as it predicts: what each layer gives, and the gradient of their loss.

The gradient by an output is found by adding zeros to it and differentiating by these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.programs import jit
from jaxann.core.trees import flatten_named
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.core.watch import watching
from jaxann.diagnose.map_walk import GIVEN, Edges, Place, Values
from jaxann.diagnose.map_watch import Noted, Watch, mark, noted_places
from jaxann.train.batches import Batch, example_count
from jaxann.train.objective import apply_in, example_sums
from jaxann.train.own_losses import compares_examples
from jaxann.train.recipe import Recipe

__all__ = ["MOST_VALUES", "Figures", "Passes", "Traced", "passes", "trace"]

MOST_VALUES = 16  # numbers of an example's output that are all kept


class Figures(NamedTuple):
    """Of an array with an axis of examples: for each the norm and the mean, and of few numbers all; in numpy."""

    norm: Any  # (examples,)
    mean: Any  # (examples,)
    values: Any  # (examples, numbers), None for more than MOST_VALUES or where some are padding


@dataclass(frozen=True)
class Passes:
    """What the examples did.

    Attributes:
        layers: those that ran, in order.
        before: from which outputs each output is made.
        end: from which outputs the predictions are made.
        loss: of each example, `(examples,)`.
        forward, backward: figures of outputs, and of the gradient of each example's loss by them.
        parameters: norms of the gradients of each example's loss by a layer's own parameters, `(examples,)`; empty for
            a loss that compares examples.
    """

    layers: tuple[Noted, ...]
    before: Mapping[Place, frozenset]
    end: frozenset
    loss: np.ndarray
    forward: Mapping[Place, Figures]
    backward: Mapping[Place, Figures]
    parameters: Mapping[Place, np.ndarray]


class Traced(NamedTuple):
    """A model's program for some examples, with its outputs marked.

    Attributes:
        program: of `(params, state, x)`.
        structure: of the predictions.
        layers: those that ran, in order.
        before: from which outputs each output is made.
        end: from which outputs the predictions are made.
    """

    program: Any
    structure: Any
    layers: tuple[Noted, ...]
    before: Mapping[Place, frozenset]
    end: frozenset


def trace(recipe: Recipe, params: Params, state: State, x: Inputs, also: frozenset[str] = frozenset()) -> Traced:
    """What runs for such inputs in evaluation mode, and what goes into what; nothing is computed.

    Args:
        recipe: the model, and what its layers compute in.
        params, state: the model's, or shapes of them.
        x: inputs, or shapes of them.
        also: paths of layers made of others that are looked at in any case.
    """
    seen: list[Any] = []

    def forward(params, state, x):
        watch = Watch(lambda y, layer, mask, number: (mark(y, mask, number), None), also)
        with watching(watch):
            y = apply_in(recipe.model, params, state, mark(x, None, GIVEN[0]), dtype=recipe.compute_dtype)[0]
        seen.append(watch.seen)
        return y

    given = (params, state, x)
    program, shapes = jax.make_jaxpr(forward, return_shape=True)(*given)
    edges, nothing = Edges(), frozenset()
    ends = edges.run(program.jaxpr, [nothing] * len(program.consts), [nothing] * len(jax.tree.leaves(given)))
    return Traced(program, jax.tree.structure(shapes), noted_places(seen[0]), edges.before, nothing.union(*ends))


def passes(recipe: Recipe, params: Params, state: State, batch: Batch, also: frozenset[str] = frozenset()) -> Passes:
    """The passes of all examples of a small batch, in evaluation mode.

    Args:
        recipe: the model, the loss, and what layers compute in.
        params, state: the model's.
        batch: the examples; their weights are not looked at.
        also: paths of layers made of others that are looked at in any case.
    """
    given = (params, state, batch.x)
    program, structure, layers, before, end = trace(recipe, *given, also)

    def summed(added, given, y):
        walk = Values(added)
        leaves = walk.run(program.jaxpr, program.consts, jax.tree.leaves(given))
        losses = _losses(recipe, jax.tree.unflatten(structure, leaves), y)
        return jnp.sum(losses), (losses, walk.found, walk.masks)

    @jit(quickly=True)
    def measured(given, y):
        found = jax.eval_shape(lambda g, y: summed({}, g, y)[1][1], given, y)
        added = {
            place: jnp.zeros(one.shape, one.dtype)
            for place, one in found.items()
            if jnp.issubdtype(one.dtype, jnp.floating)
        }
        grads, (losses, values, masks) = jax.grad(summed, has_aux=True)(added, given, y)
        return losses, _figures(values, masks), _figures(grads, masks), _squares(recipe, given, y, layers)

    rows = example_count(batch.x)
    losses, values, grads, squares = jax.device_get(measured(given, batch.y))
    kept = [{p: f for p, f in one.items() if len(f.norm) == rows} for one in (values, grads)]
    owned = _owned(layers, squares, params)
    return Passes(layers, before, end, losses, kept[0], kept[1], owned)


def _losses(recipe: Recipe, predictions: Any, y: Any) -> Array:
    """Each example's own loss: the mean of its values."""
    sums, counts = example_sums(recipe.loss, predictions, y)
    return sums if counts is None else sums / jnp.where(counts == 0, 1, counts)


def _figures(arrays: Mapping[Place, Array], masks: Mapping[Place, Array]) -> dict[Place, Figures]:
    found = {}
    for place, array in arrays.items():
        if array.ndim == 0 or array.size == 0:
            continue
        wide = array.astype(jnp.float32) if array.dtype != jnp.float64 else array
        mask = masks.get(place)
        count = jnp.asarray(math.prod(array.shape[1:]), wide.dtype)
        whole = mask is None or mask.shape != array.shape[: mask.ndim]
        if mask is not None and not whole:
            real = lax.expand_dims(mask.astype(bool), range(mask.ndim, array.ndim))
            wide = jnp.where(real, wide, 0)
            count = jnp.maximum(jnp.sum(mask.astype(wide.dtype), 1), 1) * math.prod(array.shape[2:])
        flat = wide.reshape(array.shape[0], -1)
        norm = jnp.sqrt(jnp.sum(jnp.square(flat), 1))
        few = whole and flat.shape[1] <= MOST_VALUES
        found[place] = Figures(norm, jnp.sum(flat, 1) / count, flat if few else None)
    return found


def _squares(recipe: Recipe, given: Any, y: Any, layers: tuple[Noted, ...]) -> dict[str, Array]:
    """For each leaf of the parameters the square of its gradient's norm, `(examples, *rounds)`."""
    params, state, x = given
    if compares_examples(recipe.loss):
        return {}
    loops = _loops(layers, params)

    def one(row):
        x, y = jax.tree.map(lambda a: a[None], row)

        def loss(params):
            predictions = apply_in(recipe.model, params, state, x, dtype=recipe.compute_dtype)[0]
            return _losses(recipe, predictions, y)[0]

        named = flatten_named(jax.grad(loss)(params))
        return {
            name: jnp.sum(jnp.square(leaf.astype(jnp.float32)), tuple(range(loops[name], leaf.ndim)))
            for name, leaf in named.items()
        }

    return lax.map(one, (x, y))


def _loops(layers: tuple[Noted, ...], params: Params) -> dict[str, int]:
    """How many loops run over each leaf, as many as it has axes of rounds."""
    inside = {path for layer in layers for path in layer.loops}
    return {name: sum(name.startswith(f"{path}.") for path in inside) for name in flatten_named(params)}


def _owned(layers: tuple[Noted, ...], squares: Mapping[str, np.ndarray], params: Params) -> dict[Place, np.ndarray]:
    """The norms over each layer's own parameters."""
    paths = sorted({layer.seen.path for layer in layers}, key=len, reverse=True)
    owner = {
        name: next((path for path in paths if not path or name.startswith(f"{path}.")), None)
        for name in flatten_named(params)
    }
    found = {}
    for layer in layers:
        own = [squares[name] for name in squares if owner[name] == layer.seen.path]
        index = (slice(None), *layer.key[1])
        terms = [square[index] for square in own if square.ndim == len(index)]
        if terms:
            found[layer.key] = np.sqrt(np.sum(terms, 0))
    return found
