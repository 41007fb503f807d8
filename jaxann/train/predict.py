"""Predictions and figures of a trained model, in batches, without a new program for every number of rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_integer, check_unmasked, fail
from jaxann.core.devices import check_one_place
from jaxann.core.notices import notify
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.typing import Array, Inputs, Params, Predictions, State
from jaxann.layers import as_layer
from jaxann.optimizers import sgd
from jaxann.train.batches import Batch, example_count, one_example
from jaxann.train.blocks import as_model_takes, blocks_of, told_of_all_rows
from jaxann.train.inputs import as_batch, as_inputs
from jaxann.train.learned import check_missing
from jaxann.train.measure import Sums, add_batch, computed, figures, measure, no_sums, with_streams
from jaxann.train.objective import apply_in
from jaxann.train.own_functions import one_figure
from jaxann.train.prepare import canonical
from jaxann.train.recipe import Recipe, as_recipe
from jaxann.train.shaped import in_program, shaped_batch, traced_inputs
from jaxann.train.targets import check_targets
from jaxann.train.weights import model_weights

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


@apart
def predict(model: Layer | Recipe, params: Params, state: State, x: Inputs, *, batch_size: int = 1024) -> Predictions:
    """The model's output for each row of x, in evaluation mode.

    Rows go through in batches padded to a power of two, so that any number of rows runs through a handful of compiled
    programs. 0 rows give an empty array of the output's shape. Inside jit, vmap and grad it is the model's `apply` in
    evaluation mode, on all rows at once, and their values are not looked at.

    Args:
        model: a model, or a recipe, whose compute_dtype its layers then compute in.
        params, state: what `fit` or `load` gave for it.
        x: `(rows, ...features)`, or a tree of arrays as in training.
        batch_size: most rows at a time.

    Returns:
        `(rows, ...)`: logits for a classifier; a tree of them for a model of several heads.

    Raises:
        InputError: x is not finite, or does not have the features the model was made for; or params and state are none
            of this model.
    """
    check_integer("predict", "batch_size", batch_size)
    check_unmasked("predict", "params", params)
    check_unmasked("predict", "state", state)
    layer, dtype = model_of("predict", model)
    if not in_program((params, state), x):
        check_one_place("predict", params=params, state=state)
        return _predicted(layer, params, state, x, dtype, batch_size)
    x = as_model_takes(layer, traced_inputs("predict", x))
    params, state = model_weights("predict", layer, params, state, x)
    return apply_in(layer, params, state, x, dtype=dtype)[0]


def _predicted(layer: Layer, params: Params, state: State, x: Inputs, dtype: str | None, batch_size: int) -> Any:
    fills = "takes_missing" in layer.traits
    x = as_inputs("predict", "x", x, features=True, missing=fills)
    if fills:
        check_missing("predict", "x", layer, x)
    x = as_model_takes(layer, x)
    params, state = model_weights("predict", layer, params, state, x)
    rows = example_count(x)
    if rows == 0:
        empty = _forward.eval_shape(layer, params, state, one_example(x), dtype)
        return jax.tree.map(lambda a: jnp.zeros((0, *a.shape[1:]), a.dtype), empty)
    found = []
    with told_of_all_rows(lambda: _forward.eval_shape(layer, params, state, one_example(x, rows), dtype)):
        for block, count in blocks_of(x, rows, batch_size):
            seen = _forward(layer, params, state, block, dtype)
            found.append(jax.tree.map(lambda a, c=count: np.asarray(a)[:c], seen))
    return jax.device_put(jax.tree.map(lambda *a: np.concatenate(a), *found))


@jit
def _add(recipe: Recipe, params: Params, state: State, sums: Sums, batch: Batch) -> tuple[Sums, Any]:
    return add_batch(recipe, params, state, sums, batch)


@jit
def _computed(recipe: Recipe, sums: Sums) -> dict[str, Array]:
    return computed(recipe, sums)


@apart
def evaluate(recipe: Recipe, params: Params, state: State, data: tuple, *, batch_size: int = 1024) -> dict[str, float]:
    """Mean loss and metrics of a recipe's model on `(x, y)` or `(x, y, weights)`, in evaluation mode, over all rows.

    Batches are padded with weight 0 to a power of two, so that any number of rows runs through a handful of compiled
    programs. A metric given as a plain function of your own is computed on the predictions of all rows at once, with
    the weights if its signature has them, see `recipe`. Inside jit, vmap and grad the figures are traced, and the
    data's values are not looked at.

    Args:
        recipe: the model, the loss and the metrics.
        params, state: what `fit` or `load` gave for it.
        data: as in `fit`.
        batch_size: most rows at a time.

    Returns:
        `{"loss": ..., name: ...}`.

    Raises:
        InputError: as `fit`; or params and state are none of this model.
    """
    check_integer("evaluate", "batch_size", batch_size)
    check_unmasked("evaluate", "params", params)
    check_unmasked("evaluate", "state", state)
    recipe = _measuring(as_recipe("evaluate", recipe))
    if not in_program((recipe, params, state), data):
        check_one_place("evaluate", params=params, state=state)
        return _evaluated(recipe, params, state, data, batch_size)
    batch = jax.tree.map(jnp.asarray, shaped_batch("evaluate", "data", data))
    batch = batch._replace(x=as_model_takes(recipe.model, batch.x))
    params, state = model_weights("evaluate", recipe.model, params, state, batch.x)
    found: list[Any] = measure(recipe, params, state, batch, rows=batch_size)  # traced numbers
    return dict(zip(("loss", *recipe.metrics), found, strict=True))


def _evaluated(recipe: Recipe, params: Params, state: State, given: tuple, batch_size: int) -> dict[str, Any]:
    x, y, weights = as_batch("evaluate", "data", given)
    check_missing("evaluate", "data x", recipe.model, x)
    x = as_model_takes(recipe.model, x)
    params, state = model_weights("evaluate", recipe.model, params, state, x)
    rows = example_count(x)
    spec = one_example(x, rows)
    predictions = _forward.eval_shape(recipe.model, params, state, spec, recipe.compute_dtype)
    check_targets("evaluate", "data", Batch(x, y, weights), predictions, recipe, compiled=False)
    weights = np.ones(rows, np.float32) if weights is None else np.asarray(weights)
    recipe = with_streams(recipe, params, state, x, y)
    sums, seen, data = no_sums(recipe, y), [], Batch(x, y, weights)
    with told_of_all_rows(lambda: _add.eval_shape(recipe, params, state, no_sums(recipe, y), one_example(data, rows))):
        for block, count in blocks_of(data, rows, batch_size):
            sums, predicted = _add(recipe, params, state, sums, block)
            seen.append(jax.tree.map(lambda a, c=count: np.asarray(a)[:c], predicted))
    whole = jax.device_put(jax.tree.map(lambda *a: np.concatenate(a), *seen))
    y, weights = jax.device_put(jax.tree.map(np.asarray, (y, weights)))
    found: list[Array] = figures(recipe, _computed(recipe, sums), y, whole, weights)
    names = ("loss", *recipe.metrics)
    measured = {name: _number(name, figure) for name, figure in zip(names, found, strict=True)}
    if np.isnan(measured["loss"]) and float(sums.weight) == 0:
        notify("evaluate: nothing in the data counts, so the loss is no number.", UserWarning)
    return measured


def _number(name: str, figure: Any) -> float:
    found = np.asarray(one_figure(name, figure))
    if found.shape:
        fail("evaluate", f"metrics[{name!r}]", "a metric that gives one figure", f" one of shape {found.shape}")
    return float(found)


def _measuring(recipe: Recipe) -> Recipe:
    """The recipe without what has no part in a measurement: recipes that differ in it share the program."""
    plain = canonical(recipe).updated(on_nonfinite="stop", shuffle=True, batch_size=None, epochs=None)
    return plain.replace(optimizer=sgd(0.0), penalty=None, augment=(), stopping=None)
