"""Backward rules of the losses of autoencoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_rule, loss_vjp
from jaxann.core.typing import Array, Scalar
from jaxann.losses.autoencoding import mean_code

__all__ = []

_ANY = losses.half_squared_error  # the rules are those of the kind, whatever loss is inside


def _of_reconstruction(g: Array, loss: Callable, predictions: Mapping[str, Any], targets: Any) -> dict[str, Array]:
    """The sum over the features: each of an example's values gets its g; nothing for the other entries as yet."""
    rule, args, settings = loss_vjp(loss)
    found = predictions["reconstruction"]
    values = loss(found, targets)
    upper = jnp.broadcast_to(_over(g, values), values.shape)
    below = {name: jnp.zeros_like(entry) for name, entry in predictions.items()}
    return below | {"reconstruction": rule(upper, *args, found, targets, **settings)}


def _over(g: Array, x: Array) -> Array:
    return lax.expand_dims(g, range(1, x.ndim))


@loss_rule(losses.negative_elbo(_ANY))
def _negative_elbo(g: Array, loss: Callable, beta: Scalar, predictions: Any, targets: Any) -> Any:
    """KL = sum (m^2 + exp(s) - 1 - s) / 2:  dl/dm = beta m,  dl/ds = beta (exp(s) - 1) / 2."""
    below = _of_reconstruction(g, loss, predictions, targets)
    mean, log_variance = predictions["mean"], predictions["log_variance"]
    upper = jnp.asarray(beta, g.dtype) * g
    by_mean = _over(upper, mean) * mean
    by_log_variance = _over(upper, log_variance) * jnp.expm1(log_variance) / 2
    return below | {"mean": by_mean, "log_variance": by_log_variance}


@loss_rule(losses.sparse_code(_ANY, kind="l1"))
def _l1(g: Array, loss: Callable, weight: Scalar, predictions: Any, targets: Any) -> Any:
    """t_j = |h_j|:  dl/dh_j = weight sign(h_j), 0 at 0."""
    below = _of_reconstruction(g, loss, predictions, targets)
    code = predictions["code"]
    return below | {"code": _over(jnp.asarray(weight, g.dtype) * g, code) * jnp.sign(code)}


@loss_rule(losses.sparse_code(_ANY))
def _share(g: Array, loss: Callable, weight: Scalar, share: Scalar, predictions: Any, targets: Any) -> Any:
    """t_j = KL(p || r_j), r_j = mean of h_ij over the n examples:  dt_j/dr_j = (r_j - p) / (r_j (1 - r_j)), and

        dC/dh_ij = weight (sum over all examples k of g_k) (dt_j/dr_j) / n

    for each value holds the mean code of the whole batch.
    """
    below = _of_reconstruction(g, loss, predictions, targets)
    code = predictions["code"]
    means, number = mean_code(code, None)
    by_mean = (means - jnp.asarray(share, means.dtype)) / (means * (1 - means))
    inside = jnp.abs(means - 0.5) < 0.5 - jnp.finfo(means.dtype).eps  # a mean that is held has no slope
    row = jnp.asarray(weight, g.dtype) * jnp.sum(g) / number * jnp.where(inside, by_mean, 0)
    return below | {"code": jnp.broadcast_to(row.reshape(1, *code.shape[1:]), code.shape)}


@loss_rule(losses.contractive(_ANY))
def _contractive(g: Array, loss: Callable, weight: Scalar, predictions: Any, targets: Any) -> Any:
    """l_i = ... + weight c_i:  dl/dc_i = weight."""
    below = _of_reconstruction(g, loss, predictions, targets)
    return below | {"contraction": jnp.asarray(weight, g.dtype) * g}
