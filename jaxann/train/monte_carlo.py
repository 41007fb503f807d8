"""Monte Carlo dropout: one trained network as an ensemble of the thinned networks that its dropout draws."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_integer, check_key, check_unmasked
from jaxann.core.devices import check_one_place
from jaxann.core.modes import TrainMode
from jaxann.core.products import Layer
from jaxann.core.programs import jit
from jaxann.core.results import apart
from jaxann.core.typing import Inputs, Key, Params, Predictions, State
from jaxann.train.batches import example_count, one_example
from jaxann.train.blocks import as_model_takes, blocks_of, told_of_all_rows
from jaxann.train.inputs import as_inputs
from jaxann.train.learned import check_missing
from jaxann.train.objective import apply_in
from jaxann.train.predict import model_of
from jaxann.train.recipe import Recipe
from jaxann.train.shaped import in_program, traced_inputs
from jaxann.train.weights import model_weights

__all__ = ["monte_carlo_predict"]


@jit(static_argnames=("dtype",))
def _passes(model: Layer, params: Params, state: State, x: Inputs, keys: Key, dtype: str | None) -> Any:
    def one(key):
        return apply_in(model, params, state, x, key=key, train=TrainMode.NOISE, dtype=dtype)[0]

    return lax.map(one, keys)


@apart
def monte_carlo_predict(
    model: Layer | Recipe,
    params: Params,
    state: State,
    x: Inputs,
    *,
    key: Key,
    samples: int,
    batch_size: int = 1024,
) -> Predictions:
    """y_s = model(x) with the dropout of training drawn anew for each sample s; normalizations keep their statistics.

    The spread of the samples is what the network does not know:
    `ja.train.ensemble.classify(monte_carlo_predict(...))` splits the uncertainty of a classifier, `ensemble.regress`
    gives mean and standard deviation. Inside jit, vmap and grad it is part of the program, with the same noise, and the
    values of x are not looked at.

    Args:
        model: a model with dropout, or a recipe, whose compute_dtype its layers then compute in.
        params, state: what `fit` or `load` gave for it.
        x: `(rows, ...features)`, or a tree of arrays as in training.
        key: randomness; the same key and batch size give the same numbers.
        samples: passes, at least 1.
        batch_size: most rows at a time.

    Returns:
        `(samples, rows, ...)`; samples all alike for a model without dropout.

    Peers: PyTorch and Keras leave it to the caller, who sets the dropout layers to training one by one.

    Source: Gal and Ghahramani 2016.

    Raises:
        InputError: x is not finite, or does not have the features the model was made for.
    """
    check_integer("monte_carlo_predict", "samples", samples)
    check_integer("monte_carlo_predict", "batch_size", batch_size)
    check_key("monte_carlo_predict", key)
    check_unmasked("monte_carlo_predict", "params", params)
    check_unmasked("monte_carlo_predict", "state", state)
    layer, dtype = model_of("monte_carlo_predict", model)
    inside = in_program((params, state, key), x)
    if inside:
        x = traced_inputs("monte_carlo_predict", x)
    else:
        check_one_place("monte_carlo_predict", params=params, state=state, key=key)
        fills = "takes_missing" in layer.traits
        x = as_inputs("monte_carlo_predict", "x", x, features=True, missing=fills)
        if fills:
            check_missing("monte_carlo_predict", "x", layer, x)
    x = as_model_takes(layer, x)
    params, state = model_weights("monte_carlo_predict", layer, params, state, x)
    rows = example_count(x)
    if rows == 0:
        empty = jax.eval_shape(lambda p, s, v: apply_in(layer, p, s, v, dtype=dtype)[0], params, state, one_example(x))
        return jax.tree.map(lambda a: jnp.zeros((samples, 0, *a.shape[1:]), a.dtype), empty)
    found = []
    some = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), samples))
    with told_of_all_rows(lambda: _passes.eval_shape(layer, params, state, one_example(x, rows), some, dtype)):
        for number, (block, count) in enumerate(blocks_of(x, rows, batch_size)):
            keys = jax.random.split(jax.random.fold_in(key, number), samples)
            seen = _passes(layer, params, state, block, keys, dtype)
            found.append(jax.tree.map(lambda a, c=count: (a if inside else np.asarray(a))[:, :c], seen))
    if inside:
        return jax.tree.map(lambda *a: jnp.concatenate(a, axis=1), *found)
    return jax.device_put(jax.tree.map(lambda *a: np.concatenate(a, axis=1), *found))
