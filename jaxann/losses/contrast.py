"""Each example against the rest of its batch: its own partner is to be found among all.

The values belong to a whole batch: every other example is a negative, a padded one too unless `where` tells which are
real. Choose a batch size that divides the number of examples.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_flag, check_range
from jaxann.core.logits import log_softmax
from jaxann.core.padding import zero_padding
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.embedding import unit
from jaxann.losses.inputs import real_rows, structured

__all__ = ["info_nce", "nt_xent"]

_EPS = 1e-8  # least length an embedding is divided by


@structured(2, "features", batch=True)
def info_nce(
    predictions: Array,
    targets: Array,
    *,
    temperature: Scalar = 0.07,
    symmetric: bool = False,
    where: Array | None = None,
) -> Array:
    """-log(exp(s_ii / t) / sum_j exp(s_ij / t)), s_ij = cos(a_i, b_j): a_i must find its b_i in the batch.

    Args:
        predictions: pairs of embeddings a_i, b_i: `(batch, 2, features)`.
        targets: `(batch,)`, not looked at: the pairs say it all. (Ones will do.)
        temperature: t > 0.
        symmetric: whether to take the mean with the same loss for b_i among all a_j (CLIP). Fixed when the program is
            traced.
        where: `(batch,)`, 0 or False for padding, which is nobody's negative and has the value 0; None for none.

    Returns:
        `(batch,)`, log(batch) when all embeddings are alike.

    Peers: PyTorch, Keras and optax have none; the cross entropy of the cosines over t, labels 0..batch-1.

    Source: van den Oord, Li and Vinyals 2018; symmetric: Radford and others 2021.

    Raises:
        InputError: shapes do not fit, temperature <= 0, or the predictions are not floating point.
    """
    check_range("info_nce", "temperature", temperature, 0, open_low=True)
    check_flag("info_nce", "symmetric", symmetric)
    real = real_rows("info_nce", where, predictions)
    units = unit(predictions if where is None else zero_padding(predictions, real), _EPS)
    scores = _cosines(units[:, 0], units[:, 1]) / jnp.asarray(temperature, units.dtype)
    scores = scores if where is None else _among(real, scores)
    values = -jnp.diagonal(log_softmax(scores, 1))
    return (values - jnp.diagonal(log_softmax(scores, 0))) / 2 if symmetric else values


@structured(2, "features", batch=True)
def nt_xent(predictions: Array, targets: Array, *, temperature: Scalar = 0.07, where: Array | None = None) -> Array:
    """Mean over both views i of a pair (i, j) of -log(exp(s_ij / t) / sum_{k != i} exp(s_ik / t)), s the cosine.

    Each of the 2 batch views must find its partner among all others; itself is left out.

    Args:
        predictions: pairs of views of an example: `(batch, 2, features)`.
        targets: `(batch,)`, not looked at: the pairs say it all. (Ones will do.)
        temperature: t > 0; the paper takes 0.1 to 0.5.
        where: `(batch,)`, 0 or False for padding, which is nobody's negative and has the value 0; None for none.

    Returns:
        `(batch,)`, log(2 batch - 1) when all embeddings are alike.

    Peers: the mean is optax's ntxent with one label for each pair; PyTorch and Keras have none.

    Source: Chen and others 2020 (SimCLR).

    Raises:
        InputError: shapes do not fit, temperature <= 0, or the predictions are not floating point.
    """
    check_range("nt_xent", "temperature", temperature, 0, open_low=True)
    batch = predictions.shape[0]
    real = real_rows("nt_xent", where, predictions)
    units = unit(predictions if where is None else zero_padding(predictions, real), _EPS)
    views = jnp.concatenate([units[:, 0], units[:, 1]])
    scores = _cosines(views, views) / jnp.asarray(temperature, units.dtype)
    others = jnp.where(jnp.eye(2 * batch, dtype=bool), -jnp.inf, scores)
    if where is not None:
        both = jnp.concatenate([real, real])
        pair = jnp.eye(2 * batch, k=batch, dtype=bool) | jnp.eye(2 * batch, k=-batch, dtype=bool)
        others = jnp.where(_pairs(both) | pair, others, -jnp.inf)
    logs = log_softmax(others, 1)
    return -(jnp.diagonal(logs, batch) + jnp.diagonal(logs, -batch)) / 2


def _pairs(real: Array) -> Array:
    """Whether both are real, `(n, n)`."""
    return lax.expand_dims(real, [0]) & lax.expand_dims(real, [1])


def _among(real: Array, scores: Array) -> Array:
    """Scores of real examples with real ones; of padding with itself alone."""
    return jnp.where(_pairs(real) | jnp.eye(len(real), dtype=bool), scores, -jnp.inf)


def _cosines(a: Array, b: Array) -> Array:
    """a_i . b_j in full precision: divided by a small temperature, a rounded product would show."""
    return jnp.matmul(a, b.T, precision="highest")


named_functions(info_nce, nt_xent)
