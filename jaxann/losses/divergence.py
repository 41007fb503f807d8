"""How far one distribution is from another; the prediction is log q, the end of a network is a `log_softmax`."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.factories import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.inputs import over_classes
from jaxann.losses.probabilities import floor_of

__all__ = ["jensen_shannon_divergence", "kl_divergence", "reverse_kl_divergence"]


@over_classes
def kl_divergence(predictions: Array, targets: Array) -> Array:
    """KL(p || q) = sum_k p_k (log p_k - log q_k), 0 log 0 = 0; slope -p by log q.

    Args:
        predictions: log q, `(..., classes)`.
        targets: distributions p over the classes, same shape.

    Returns:
        `(...)`, >= 0, 0 if and only if p = q.

    Peers: as optax's kl_divergence and PyTorch's KLDivLoss summed over the classes: its reduction "batchmean" is the
        mean of these, its "mean" divides by the classes as well; Keras's KLDivergence takes q and clips both.

    Source: Kullback and Leibler 1951.

    Raises:
        InputError: shapes differ, or the predictions are not floating point.
    """
    absent = targets == 0
    log_p = jnp.log(jnp.where(absent, 1, targets))
    log_q = jnp.where(absent & jnp.isneginf(predictions), 0, predictions)
    return jnp.sum(targets * (log_p - log_q), -1)


@over_classes
def reverse_kl_divergence(predictions: Array, targets: Array, *, eps: Scalar | None = None) -> Array:
    """KL(q || p) = sum_k q_k (log q_k - log p_k), p at least eps; slope q (log q - log p + 1) by log q.

    It asks q to stay where p is: one mode of p is enough, where `kl_divergence` asks for all.

    Args:
        predictions: log q, `(..., classes)`.
        targets: distributions p over the classes, same shape.
        eps: in (0, 1), what a class with less of p counts as; 1e-7, or 1e-12 in float64, when not given.

    Returns:
        `(...)`.

    Peers: PyTorch's KLDivLoss(log_target=True) with its arguments changed over, where p > 0 everywhere; optax's
        kl_divergence likewise.

    Source: Kullback and Leibler 1951.

    Raises:
        InputError: shapes differ, eps is outside (0, 1), or the predictions are not floating point.
    """
    floor = floor_of("reverse_kl_divergence", eps, predictions)
    log_p = jnp.log(jnp.where(targets < floor, floor, targets))
    absent = jnp.isneginf(predictions)
    log_q = jnp.where(absent, 0, predictions)
    return jnp.sum(jnp.where(absent, 0, jnp.exp(log_q) * (log_q - log_p)), -1)


@over_classes
def jensen_shannon_divergence(predictions: Array, targets: Array) -> Array:
    """(KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2; slope q (log q - log m) / 2 by log q.

    Symmetric in p and q, finite for any two distributions, at most log 2.

    Args:
        predictions: log q, `(..., classes)`.
        targets: distributions p over the classes, same shape.

    Returns:
        `(...)`, in [0, log 2].

    Peers: the square of SciPy's jensenshannon (which divides by the sums first); PyTorch, Keras and optax have none.

    Source: Lin 1991.

    Raises:
        InputError: shapes differ, or the predictions are not floating point.
    """
    q = jnp.exp(predictions)
    no_p, no_q = targets == 0, q == 0
    log_p, log_q = jnp.log(jnp.where(no_p, 1, targets)), jnp.where(no_q, 0, predictions)
    log_middle = jnp.log(jnp.where(no_p & no_q, 1, (targets + q) / 2))
    return jnp.sum(targets * (log_p - log_middle) + q * (log_q - log_middle), -1) / 2


named_functions(jensen_shannon_divergence, kl_divergence, reverse_kl_divergence)
