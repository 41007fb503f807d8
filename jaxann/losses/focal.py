"""Cross entropies reshaped by how sure the prediction is already."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_range, fail
from jaxann.core.domains import UNIT
from jaxann.core.logits import below_greatest, log_softmax, log_sum_exp
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.domains import targets_in
from jaxann.losses.inputs import elementwise, hits, labelled
from jaxann.losses.terms import exp_less_tangent

__all__ = ["poly1", "sigmoid_focal", "softmax_focal"]


@targets_in(UNIT)
@elementwise
def sigmoid_focal(predictions: Array, targets: Array, *, gamma: Scalar = 2.0, alpha: Scalar | None = None) -> Array:
    """a y (1-p)^g (-log p) + (1-a) (1-y) p^g (-log(1-p)), p = sigmoid(z); both factors of a are 1 for alpha None.

    The surer a right prediction, the less it counts: a few hard examples are not drowned by many easy ones. gamma = 0
    is the cross entropy.

    Args:
        predictions: logits z of any shape.
        targets: y in [0, 1], same shape.
        gamma: g >= 0.
        alpha: a in [0, 1], the share of the positive class; the paper takes 0.25.

    Returns:
        The same shape.

    Peers: as optax's sigmoid_focal_loss and Keras's BinaryFocalCrossentropy(from_logits=True), its mean over the last
        axis, for labels 0 and 1; between them both mix p and 1 - p before the power is taken. PyTorch has none.

    Source: Lin and others 2017.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), gamma < 0, alpha outside [0, 1], or the logits are
            not floating point.
    """
    check_range("sigmoid_focal", "gamma", gamma, 0)
    if alpha is not None:
        check_range("sigmoid_focal", "alpha", alpha, 0, 1)
    g = jnp.asarray(gamma, predictions.dtype)
    positive, negative = targets * _discounted(predictions, g), (1 - targets) * _discounted(-predictions, g)
    if alpha is None:
        return positive + negative
    a = jnp.asarray(alpha, predictions.dtype)
    return a * positive + (1 - a) * negative


@jax.custom_jvp
def _discounted(lead: Array, gamma: Array) -> Array:
    """(1 - p)^g (-log p), p = sigmoid(lead)."""
    return _power(lead, gamma) * jax.nn.softplus(-lead)


def _power(lead: Array, gamma: Array) -> Array:
    """(1 - p)^g = exp(-g softplus(lead))."""
    return jnp.exp(-gamma * jax.nn.softplus(lead))


@_discounted.defjvp
def _discounted_slope(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    """Each product in an order in which the factor that vanishes comes before the one that is large."""
    lead, gamma = primals
    p, power, surprise = lax.logistic(lead), _power(lead, gamma), jax.nn.softplus(-lead)
    value = power * surprise
    by_lead = -power * (gamma * (p * surprise) + lax.logistic(-lead))
    return value, by_lead * tangents[0] - value * jax.nn.softplus(lead) * tangents[1]


@labelled()
def softmax_focal(
    predictions: Array, targets: Array, *, gamma: Scalar = 2.0, alpha: Array | Sequence[float] | float | None = None
) -> Array:
    """a_y (1 - p_y)^g (-log p_y), p = softmax(z); a_y = 1 for alpha None.

    Args:
        predictions: logits z, `(..., classes)`, of at least 2 classes.
        targets: integer labels y, `(...)`, each in 0..classes-1.
        gamma: g >= 0; 0 is the cross entropy.
        alpha: a >= 0, one for each class, `(classes,)`, or a number for all.

    Returns:
        `(...)`. A label outside 0..classes-1 gives NaN. 1 - p_y comes from the other logits, so that it is precise
        where p_y is almost 1.

    Peers: as Keras's CategoricalFocalCrossentropy(from_logits=True) with alpha 0.25 for its one-hot targets; PyTorch
        and optax have none.

    Source: Lin and others 2017.

    Raises:
        InputError: shapes do not fit, labels are not integers, gamma or alpha < 0, there is a single class, or the
            logits are not floating point.
    """
    check_range("softmax_focal", "gamma", gamma, 0)
    classes = predictions.shape[-1]
    if alpha is not None:
        check_range("softmax_focal", "alpha", alpha, 0, arrays=True)
        if np.ndim(alpha) and np.shape(alpha) != (classes,):
            fail("softmax_focal", "alpha", f"a number, or of shape {(classes,)}", f" shape {np.shape(alpha)}")
    if classes < 2:
        fail("softmax_focal", "predictions", "logits of at least 2 classes", f" shape {predictions.shape}")
    own = hits(targets, classes)
    shifted = below_greatest(predictions)
    log_rest = log_sum_exp(jnp.where(own, -jnp.inf, shifted))
    # With d = z_y - log sum of the others: log p_y = -softplus(-d) and log(1 - p_y) = -softplus(d).
    lead = jnp.sum(jnp.where(own, shifted, 0), -1) - log_rest
    alone = jnp.isneginf(log_rest)
    lead = jnp.where(alone, 0, lead)
    values = _discounted(lead, jnp.asarray(gamma, predictions.dtype))
    values = jnp.where(alone, 0, values)
    if alpha is not None:
        shares = jnp.asarray(alpha, predictions.dtype)
        wide_shares = lax.expand_dims(shares, tuple(range(own.ndim - shares.ndim)))
        values = values * jnp.sum(jnp.where(own, jnp.broadcast_to(wide_shares, own.shape), 0), -1)
    return jnp.where(jnp.any(own, -1), values, jnp.nan)


@labelled()
def poly1(predictions: Array, targets: Array, *, epsilon: Scalar = 2.0) -> Array:
    """-log p_y + e (1 - p_y), p = softmax(z): the cross entropy with the first term of its series in 1 - p_y changed.

    Args:
        predictions: logits z, `(..., classes)`.
        targets: integer labels y, `(...)`, each in 0..classes-1.
        epsilon: e >= -1; 0 is the cross entropy, a greater one pulls harder at what is almost right.

    Returns:
        `(...)`. A label outside 0..classes-1 gives NaN.

    Peers: as optax's poly_loss_cross_entropy, which takes distributions; PyTorch and Keras have none.

    Source: Leng and others 2022.

    Raises:
        InputError: shapes do not fit, labels are not integers, epsilon < -1, or the logits are not floating point.
    """
    check_range("poly1", "epsilon", epsilon, -1)
    own = hits(targets, predictions.shape[-1])
    log_p = jnp.sum(jnp.where(own, log_softmax(predictions), 0), -1)
    # x + e q = (1 + e) q + (x - q), x = -log p and q = 1 - p: both terms are at least 0 for every e from -1 on.
    near = log_p > -0.5
    rest = -jnp.expm1(log_p)
    beyond = jnp.where(near, exp_less_tangent(jnp.where(near, log_p, 0)), -log_p - rest)
    values = (1 + jnp.asarray(epsilon, predictions.dtype)) * rest + beyond
    return jnp.where(jnp.any(own, -1), values, jnp.nan)


named_functions(poly1, sigmoid_focal, softmax_focal)
