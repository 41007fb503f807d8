"""Monte Carlo dropout: one trained network as an ensemble of the thinned networks that its dropout draws."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_integer, check_key
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Key, Params, State
from jaxann.layers import as_layer
from jaxann.layers.norm import NOISE
from jaxann.train.inputs import as_array
from jaxann.train.objective import apply_in
from jaxann.train.plan import strong
from jaxann.train.predict import as_model_takes, padded_block, rows_bucket

__all__ = ["monte_carlo_predict"]


@functools.partial(jax.jit, static_argnames=("compute_dtype",))
def _passes(model: Layer, params: Params, state: State, x: Array, keys: Key, compute_dtype: str | None) -> Array:

    def one(key):
        return apply_in(model, params, state, x, key=key, train=NOISE, compute_dtype=compute_dtype)[0]

    return lax.map(one, keys)


def monte_carlo_predict(
    model: Any,
    params: Params,
    state: State,
    x: Any,
    *,
    key: Key,
    samples: int,
    batch_size: int = 1024,
    compute_dtype: str | None = None,
) -> Array:
    """y_s = model(x) with the dropout of training drawn anew for each sample s; normalizations keep their statistics.

    The spread of the samples is what the network does not know:
    `ja.train.ensemble.classify(monte_carlo_predict(...))` splits the doubt of a classifier, `ensemble.regress` gives
    mean and standard deviation.

    Args:
        model, params, state: a model with dropout and what `fit` or `load` gave for it.
        x: `(rows, ...features)`.
        key: randomness; the same key and batch size give the same numbers.
        samples: passes, at least 1.
        batch_size: most rows at a time.
        compute_dtype: as in `fit`.

    Returns:
        `(samples, rows, ...outputs)`; samples all alike for a model without dropout.

    Peers: PyTorch and Keras leave it to the caller, who sets the dropout layers to training one by one.

    Source: Gal and Ghahramani 2016.

    Raises:
        InputError: x is not finite, or does not have the features the model was made for.
    """
    check_integer("monte_carlo_predict", "samples", samples)
    check_integer("monte_carlo_predict", "batch_size", batch_size)
    check_key("monte_carlo_predict", key)
    if compute_dtype is not None:
        check_choice("monte_carlo_predict", "compute_dtype", compute_dtype, ("bfloat16", "float16", "float32"))
    model = strong(as_layer(model, "monte_carlo_predict", "model"))
    x = as_array("monte_carlo_predict", "x", x, features=True)
    if np.dtype(x.dtype).kind in "iub":
        x = as_model_takes(model, params, state, x)
    if x.shape[0] == 0:
        spec = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
        out = jax.eval_shape(
            lambda p, s, v: apply_in(model, p, s, v, compute_dtype=compute_dtype)[0], params, state, spec
        )
        return jnp.zeros((samples, 0, *out.shape[1:]), out.dtype)
    outputs = []
    for number, first in enumerate(range(0, x.shape[0], batch_size)):
        block = np.asarray(x[first : first + batch_size])
        padded = padded_block(block, rows_bucket(len(block), batch_size))
        keys = jax.random.split(jax.random.fold_in(key, number), samples)
        outputs.append(np.asarray(_passes(model, params, state, padded, keys, compute_dtype))[:, : len(block)])
    return jax.device_put(np.concatenate(outputs, axis=1))
