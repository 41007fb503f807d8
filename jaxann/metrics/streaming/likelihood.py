"""How probable the targets were: log loss, perplexity, and the squared distance of Brier."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array
from jaxann.metrics.streaming.reading import (
    check_shares,
    clipped,
    is_one_of,
    log_probabilities,
    probabilities,
    scores_form,
)
from jaxann.metrics.streaming.sums import add_mean, check_weights, mean, no_mean, real

__all__ = ["brier", "log_loss", "perplexity"]


def _surprise(function: str, predictions: Array, targets: Array, from_logits: bool) -> Array:
    """-log of the probability of the target, one an example; NaN for a label that is no class."""
    if scores_form(function, predictions, targets) == "binary":
        y = real(targets)
        if from_logits:
            z = real(predictions)
            halves = jax.nn.softplus(-z), jax.nn.softplus(z)
        else:
            p = clipped(predictions)
            halves = -jnp.log(p), -jnp.log1p(-p)
        # a half that has no share must add nothing, infinite or not
        return jnp.where(y == 0, 0, y * halves[0]) + jnp.where(y == 1, 0, (1 - y) * halves[1])
    logs = log_probabilities(predictions, from_logits)
    own = is_one_of(targets, logs.shape[-1])
    found = -jnp.sum(jnp.where(own, logs, 0), -1)
    return jnp.where(jnp.any(own, -1), found, jnp.nan)


def _mean_surprise(
    function: str, from_logits: bool, finish: Callable[[Array], Array]
) -> tuple[Callable, Callable, Callable]:
    def update(sums, predictions, targets, weights):
        check_weights(function, weights, targets.shape)
        scores_form(function, predictions, targets)
        check_shares(function, predictions, targets, weights, from_logits)
        return add_mean(sums, _surprise(function, predictions, targets, from_logits), weights)

    return no_mean, update, lambda sums: finish(mean(sums))


@factory(Metric, traits=("lower_is_better", "takes_probabilities"))
def log_loss(*, from_logits: bool = True):
    """Streaming form of `metrics.log_loss`."""
    return _mean_surprise("log_loss", from_logits, lambda figure: figure)


@factory(Metric, traits=("lower_is_better", "takes_probabilities"))
def perplexity(*, from_logits: bool = True):
    """Streaming form of `metrics.perplexity`: the exponential is taken of the mean over all parts."""
    return _mean_surprise("perplexity", from_logits, jnp.exp)


@factory(Metric, traits=("lower_is_better", "takes_probabilities"))
def brier(*, from_logits: bool = True):
    """Streaming form of `metrics.brier`."""

    def update(sums, predictions, targets, weights):
        check_weights("brier", weights, targets.shape)
        kind = scores_form("brier", predictions, targets)
        check_shares("brier", predictions, targets, weights, from_logits)
        p = probabilities(kind, predictions, from_logits)
        if kind == "binary":
            return add_mean(sums, (p - real(targets)) ** 2, weights)
        own = is_one_of(targets, p.shape[-1])
        apart = jnp.sum((p - real(own)) ** 2, -1)
        return add_mean(sums, jnp.where(jnp.any(own, -1), apart, jnp.nan), weights)

    return no_mean, update, mean
