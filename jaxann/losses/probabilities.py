"""Cross entropies of probabilities that are already formed. From logits the losses of `classification` are sharper."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.domains import UNIT
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.domains import targets_in
from jaxann.losses.inputs import elementwise, over_classes

__all__ = ["binary_cross_entropy_probs", "cross_entropy_probs", "floor_of"]


@targets_in(low=0)
@over_classes
def cross_entropy_probs(predictions: Array, targets: Array, *, eps: Scalar | None = None) -> Array:
    """-sum_k y_k log p_k, p clipped to [eps, 1]; slope -y / p inside, 0 where it is clipped.

    Args:
        predictions: probabilities p, `(..., classes)`, summing to 1 over the last axis (not checked, not enforced).
        targets: distributions y over the classes, same shape.
        eps: in (0, 1); 1e-7, or 1e-12 in float64, when not given.

    Returns:
        `(...)`. A class of weight 0 adds 0 whatever its probability.

    Peers: as Keras's CategoricalCrossentropy, which first divides p by its sum and clips to
        [eps, 1 - eps]; PyTorch's NLLLoss takes log p.

    Source: Shannon 1948.

    Raises:
        InputError: shapes differ, eps is outside (0, 1), or the predictions are not floating point.
    """
    floor = floor_of("cross_entropy_probs", eps, predictions)
    p = jnp.where(predictions < floor, floor, jnp.where(predictions > 1, 1, predictions))
    return -jnp.sum(targets * jnp.log(p), -1)


@targets_in(UNIT)
@elementwise
def binary_cross_entropy_probs(predictions: Array, targets: Array, *, eps: Scalar | None = None) -> Array:
    """-y log p - (1 - y) log(1 - p), either logarithm at least log eps; slope (p - y) / (p (1 - p)).

    Args:
        predictions: probabilities p of any shape.
        targets: y in [0, 1], same shape.
        eps: in (0, 1); 1e-7, or 1e-12 in float64, when not given. A logarithm held at log eps has the slope 0.

    Returns:
        The same shape.

    Peers: as Keras's BinaryCrossentropy; PyTorch's BCELoss stops its logarithms at -100 and not at log eps.

    Source: Shannon 1948.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), eps is outside (0, 1), or the predictions are not
            floating point.
    """
    floor = floor_of("binary_cross_entropy_probs", eps, predictions)
    p = jnp.where(predictions < 0, 0, jnp.where(predictions > 1, 1, predictions))
    rest = 1 - p
    log_p = jnp.log(jnp.where(p < floor, floor, p))
    log_rest = jnp.where(rest < floor, jnp.log(floor), jnp.log1p(-jnp.where(rest < floor, 0, p)))
    return -targets * log_p - (1 - targets) * log_rest


def floor_of(function: str, eps: Scalar | None, like: Array) -> Array:
    """The smallest probability that counts: eps, or what suits the dtype."""
    if eps is None:
        return jnp.asarray(1e-12 if like.dtype.itemsize == 8 else 1e-7, like.dtype)
    check_range(function, "eps", eps, 0, 1, open_low=True, open_high=True)
    return jnp.asarray(eps, like.dtype)


named_functions(binary_cross_entropy_probs, cross_entropy_probs)
