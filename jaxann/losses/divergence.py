"""How far one distribution is from another; the prediction is log q, the end of a network is a `log_softmax`."""

from __future__ import annotations

import math
from functools import reduce

import jax.numpy as jnp

from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.domains import DISTRIBUTIONS, targets_in
from jaxann.losses.inputs import over_classes
from jaxann.losses.probabilities import floor_of
from jaxann.losses.terms import at_least_zero, exp_less_tangent, quotient, without_rounding

__all__ = ["jensen_shannon_divergence", "kl_divergence", "reverse_kl_divergence"]

# (1 + d) log(1 + d) + (1 - d) log(1 - d) = d^2 (1 + d^2 / 6 + d^4 / 15 + ...)
_SERIES = tuple(1 / ((k + 1) * (2 * k + 1)) for k in range(16, -1, -1))


@targets_in(DISTRIBUTIONS)
@over_classes
def kl_divergence(predictions: Array, targets: Array) -> Array:
    """KL(p || q) = sum_k p_k (log p_k - log q_k), 0 log 0 = 0; slope -p by log q.

    Args:
        predictions: log q, `(..., classes)`.
        targets: distributions p over the classes, same shape.

    Returns:
        `(...)`, >= 0, 0 if and only if p = q, to the relative precision of the differences log p - log q. (Sums over
        the classes that differ by no more than rounding count as equal.)

    Peers: as optax's kl_divergence and PyTorch's KLDivLoss summed over the classes: its reduction "batchmean" is the
        mean of these, its "mean" divides by the classes as well; Keras's KLDivergence takes q and clips both.

    Source: Kullback and Leibler 1951.

    Raises:
        InputError: shapes differ, or the predictions are not floating point.
    """
    targets = _not_below_zero(targets)
    absent = targets == 0
    log_p = jnp.log(jnp.where(absent, 1, targets))
    log_q = jnp.where(absent & jnp.isneginf(predictions), 0, predictions)
    q = _shares(predictions)
    return _sum(targets * (log_p - log_q), log_q - log_p, targets, q, q, predictions)


@targets_in(DISTRIBUTIONS)
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
    held = jnp.where(targets < floor, floor, targets)
    log_p = jnp.log(held)
    absent = jnp.isneginf(predictions)
    log_q = jnp.where(absent, 0, predictions)
    plain = jnp.where(absent, 0, jnp.exp(log_q) * (log_q - log_p))
    return _sum(plain, log_p - log_q, _shares(predictions), targets, held, predictions)


@targets_in(DISTRIBUTIONS)
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
    targets = _not_below_zero(targets)
    q = jnp.exp(jnp.minimum(predictions, math.log(float(jnp.finfo(predictions.dtype).max) / 4)))
    both = targets + q
    nothing = both == 0
    whole = jnp.where(nothing, 1, both)
    apart = quotient(targets - q, whole)
    near = jnp.abs(apart) < 0.3
    square = jnp.where(near, apart, 0) ** 2
    close = both * square * reduce(lambda total, c: total * square + c, _SERIES, jnp.zeros_like(square))
    no_p, no_q = targets == 0, q == 0
    share = jnp.maximum(quotient(2 * targets, whole), jnp.finfo(q.dtype).tiny)
    far_p = jnp.where(no_p, 0, targets) * jnp.log(jnp.where(no_p, 1, share))
    far_q = jnp.where(no_q, 0, q) * jnp.log(jnp.where(no_q, 1, quotient(2 * q, whole)))
    return jnp.sum(jnp.where(near, close, 2 * (far_p + far_q)), -1) / 4


def _not_below_zero(p: Array) -> Array:
    """Probabilities with 0 for what rounding has put below it."""
    return jnp.where(p < 0, 0, p)


def _shares(log_q: Array) -> Array:
    """q, and 0 for what is no logarithm of a probability and would overflow."""
    return jnp.where(log_q > 1, 0, jnp.exp(jnp.where(log_q > 1, 0, log_q)))


def _sum(plain: Array, u: Array, a: Array, b: Array, held: Array, log_q: Array) -> Array:
    """The sum of plain = a log(a / b), u = log(b / a), `held` the b in the logarithm.

    The terms are of both signs, and of like distributions nearly nothing is left of them. As a and b sum to 1 each,
    sum(b - a) may be added: a log(a / b) + b - a = a (exp(u) - 1 - u) is at least 0 for each class. Where the sums
    differ by more than rounding it is taken off again.
    """
    usable = log_q <= 1
    near = usable & (a > 0) & (jnp.abs(u) < 0.5)
    small = a * exp_less_tangent(jnp.where(near, u, 0)) + (b - held)
    a, b = jnp.where(usable, a, 0), jnp.where(usable, b, 0)
    terms = jnp.where(near, small, plain + (b - a))
    return at_least_zero(jnp.sum(terms, -1) + without_rounding(jnp.sum(a, -1) - jnp.sum(b, -1)))


named_functions(jensen_shannon_divergence, kl_divergence, reverse_kl_divergence)
