"""Shares of hits: is the target the first, or one of the first, of the predicted classes."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_count, fail
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Scalar
from jaxann.metrics.streaming.reading import form, is_nan, is_one_of, no_class, positives
from jaxann.metrics.streaming.sums import add_mean, check_weights, mean, no_mean, real

__all__ = ["accuracy", "top_k_accuracy"]


@factory(Metric, traits=("higher_is_better", "takes_labels"))
def accuracy():
    """Streaming form of `metrics.accuracy`."""

    def update(sums, predictions, targets, weights):
        check_weights("accuracy", weights, targets.shape)
        kind = form("accuracy", predictions, targets)
        if kind == "classes":
            hit = jnp.argmax(predictions, -1).astype(jnp.int32) == targets.astype(jnp.int32)
            unknown = jnp.any(jnp.isnan(predictions), -1) | no_class(targets, predictions.shape[-1])
        elif kind == "binary":
            hit = (predictions > 0) == positives(targets)
            unknown = jnp.isnan(predictions) | is_nan(targets)
        else:
            hit = predictions.astype(jnp.int32) == targets.astype(jnp.int32)
            unknown = is_nan(targets)
        return add_mean(sums, jnp.where(unknown, jnp.nan, real(hit)), weights)

    return no_mean, update, mean


@factory(Metric, traits=("higher_is_better", "takes_classes"))
def top_k_accuracy(k: Scalar = 5):
    """Streaming form of `metrics.top_k_accuracy`."""
    check_count("top_k_accuracy", "k", k, 1)

    def update(sums, predictions, targets, weights):
        check_weights("top_k_accuracy", weights, targets.shape)
        if form("top_k_accuracy", predictions, targets) != "classes":
            expected = f"of shape {(*targets.shape, 'classes')}, scores of classes"
            fail("top_k_accuracy", "predictions", expected, f" shape {predictions.shape}")
        scores = real(predictions)
        own = is_one_of(targets, scores.shape[-1])
        score = jnp.broadcast_to(jnp.sum(jnp.where(own, scores, 0), -1, keepdims=True), scores.shape)
        label = jnp.broadcast_to(lax.expand_dims(targets.astype(jnp.int32), [targets.ndim]), scores.shape)
        number = lax.broadcasted_iota(jnp.int32, scores.shape, targets.ndim)
        ahead = (scores > score) | ((scores == score) & (number < label))
        hit = (jnp.sum(ahead, -1).astype(score.dtype) < real(k)) & jnp.any(own, -1)
        unknown = jnp.any(jnp.isnan(scores), -1) | no_class(targets, scores.shape[-1])
        return add_mean(sums, jnp.where(unknown, jnp.nan, real(hit)), weights)

    return no_mean, update, mean
