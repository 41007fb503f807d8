"""Predictions and figures of a trained model, in batches, without a new program for every number of rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_integer
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Inputs, Params, Predictions, State
from jaxann.layers import as_layer
from jaxann.optimizers import sgd
from jaxann.train.batches import Batch, example_count, one_example
from jaxann.train.blocks import as_model_takes, blocks_of
from jaxann.train.inputs import as_batch, as_inputs, check_labels
from jaxann.train.measure import Sums, add_batch, computed, figures, no_sums, with_streams
from jaxann.train.objective import apply_in
from jaxann.train.prepare import canonical
from jaxann.train.recipe import Recipe, as_recipe

__all__ = ["evaluate", "model_of", "predict"]


def model_of(function: str, value: Any) -> tuple[Layer, str | None]:
    """`(model, compute dtype)` of a recipe, or of a model by itself; its numbers canonical.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, Recipe):
        return canonical(value.model), value.compute_dtype
    return canonical(as_layer(value, function, "model")), None


@jit(static_argnames=("dtype",))
def _forward(model: Layer, params: Params, state: State, x: Inputs, dtype: str | None) -> Any:
    return apply_in(model, params, state, x, dtype=dtype)[0]


def predict(model: Layer | Recipe, params: Params, state: State, x: Inputs, *, batch_size: int = 1024) -> Predictions:
    """The model's output for each row of x, in evaluation mode.

    Rows go through in batches padded to a power of two, so that any number of rows runs through a handful of compiled
    programs. 0 rows give an empty array of the output's shape.

    Args:
        model: a model, or a recipe, whose compute_dtype its layers then compute in.
        params, state: what `fit` or `load` gave for it.
        x: `(rows, ...features)`, or a tree of arrays as in training.
        batch_size: most rows at a time.

    Returns:
        `(rows, ...)`: logits for a classifier; a tree of them for a model of several heads.

    Raises:
        InputError: x is not finite, or does not have the features the model was made for.
    """
    check_integer("predict", "batch_size", batch_size)
    layer, dtype = model_of("predict", model)
    x = as_model_takes(layer, as_inputs("predict", "x", x, features=True))
    rows = example_count(x)
    if rows == 0:
        empty = jax.eval_shape(lambda m, p, s, v: _forward(m, p, s, v, dtype), layer, params, state, one_example(x))
        return jax.tree.map(lambda a: jnp.zeros((0, *a.shape[1:]), a.dtype), empty)
    found = []
    for block, count in blocks_of(x, rows, batch_size):
        found.append(jax.tree.map(lambda a, c=count: np.asarray(a)[:c], _forward(layer, params, state, block, dtype)))
    return jax.device_put(jax.tree.map(lambda *a: np.concatenate(a), *found))


@jit
def _add(recipe: Recipe, params: Params, state: State, sums: Sums, batch: Batch) -> tuple[Sums, Any]:
    return add_batch(recipe, params, state, sums, batch)


@jit
def _computed(recipe: Recipe, sums: Sums) -> dict[str, Array]:
    return computed(recipe, sums)


def evaluate(recipe: Recipe, params: Params, state: State, data: tuple, *, batch_size: int = 1024) -> dict[str, float]:
    """Mean loss and metrics of a recipe's model on `(x, y)` or `(x, y, weights)`, in evaluation mode, over all rows.

    Batches are padded with weight 0 to a power of two, so that any number of rows runs through a handful of compiled
    programs. A metric given as a plain function of your own is computed on the predictions of all rows at once.

    Args:
        recipe: the model, the loss and the metrics.
        params, state: what `fit` or `load` gave for it.
        data: as in `fit`.
        batch_size: most rows at a time.

    Returns:
        `{"loss": ..., name: ...}`.

    Raises:
        InputError: as `fit`.
    """
    check_integer("evaluate", "batch_size", batch_size)
    recipe = _measuring(as_recipe("evaluate", recipe))
    x, y, weights = as_batch("evaluate", "data", data)
    x = as_model_takes(recipe.model, x)
    predictions = jax.eval_shape(
        lambda p, s, v: apply_in(recipe.model, p, s, v, dtype=recipe.compute_dtype)[0], params, state, one_example(x)
    )
    check_labels("evaluate", "data", y, predictions, recipe.loss)
    rows = example_count(x)
    weights = np.ones(rows, np.float32) if weights is None else np.asarray(weights)
    recipe = with_streams(recipe, params, state, x, y)
    sums, seen = no_sums(recipe, y), []
    for block, count in blocks_of(Batch(x, y, weights), rows, batch_size):
        sums, predicted = _add(recipe, params, state, sums, block)
        seen.append(jax.tree.map(lambda a, c=count: np.asarray(a)[:c], predicted))
    whole = jax.device_put(jax.tree.map(lambda *a: np.concatenate(a), *seen))
    found: list[Array] = figures(recipe, _computed(recipe, sums), jax.device_put(jax.tree.map(np.asarray, y)), whole)
    return dict(zip(("loss", *recipe.metrics), (float(f) for f in found), strict=True))


def _measuring(recipe: Recipe) -> Recipe:
    """The recipe without what has no part in a measurement: recipes that differ in it share the program."""
    plain = canonical(recipe).updated(on_nonfinite="stop", shuffle=True, batch_size=None, epochs=None)
    return plain.replace(optimizer=sgd(0.0), penalty=None, augment=(), stopping=None)
