"""What layers of a model learn from the training data before the first step: `layers.preprocess`."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.products import Layer
from jaxann.core.typing import Array, Inputs, Params, State
from jaxann.layers.preprocess import fit_preprocessing, learns_from_data, unfilled
from jaxann.train.batches import Batch, Rows, example_count
from jaxann.train.inputs import check_present
from jaxann.train.recipe import Recipe

__all__ = ["check_missing", "data_to_learn_from", "learned_state"]


def check_missing(function: str, argument: str, model: Layer, x: Inputs) -> None:
    """No number of x, checked but for that, is missing where the model puts nothing in its place.

    Raises:
        InputError: one is NaN.
    """
    if "takes_missing" not in model.traits:
        return check_present(function, argument, x)
    for name, part in unfilled(model, x):
        check_present(function, argument + name, part)
    return None


def data_to_learn_from(recipe: Recipe, data: Batch) -> Batch | None:
    """The data where the model learns from them before it is trained, else None: then no program holds them."""
    return data._replace(y=None) if learns_from_data(recipe.model) else None


def learned_state(recipe: Recipe, params: Params, state: State, data: Batch, rows: Rows | None) -> State:
    """The state with what is learned from the rows that count and whose weight is not 0."""
    counts = _counted(rows, example_count(data.x))
    if data.weights is not None:
        weighed = jnp.any(data.weights.reshape(data.weights.shape[0], -1) != 0, -1)
        counts = weighed if counts is None else counts & weighed
    return fit_preprocessing(recipe.model, params, state, data.x, example_mask=counts)


def _counted(rows: Rows | None, examples: int) -> Array | None:
    if rows is None:
        return None
    real = jnp.ones(rows.index.shape, bool)
    if rows.count is not None:
        real = jnp.arange(rows.index.shape[0], dtype=jnp.int32) < rows.count
    return jnp.zeros(examples, bool).at[rows.index].max(real)
