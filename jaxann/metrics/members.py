"""Metrics of an ensemble inside one network: the figure of what its members predict together.

Predictions are `(batch, members, ...)`; the members' mean is handed to an ordinary streaming metric.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.logits import log_mean_exp, log_softmax
from jaxann.core.metric_functions import MetricFunctions
from jaxann.core.products import Metric
from jaxann.core.typing import Array

__all__ = ["of_mean", "of_mean_sigmoid", "of_mean_softmax"]


@factory(Metric)
def of_mean(metric: Metric):
    """The metric of the members' mean prediction: regression.

        metrics={"rmse": of_mean(streaming.rmse())}

    Args:
        metric: a streaming metric, which sees predictions `(batch, ...)`.

    Peers: scikit-learn, Keras and PyTorch have none.

    Raises:
        InputError: metric is no streaming metric, or predictions have no axis of members.
    """
    return _applied("of_mean", metric, lambda p: jnp.mean(p, 1))


@factory(Metric)
def of_mean_softmax(metric: Metric):
    """The metric of the members' mean probabilities, mean_k softmax(z_k): classification from logits.

    The metric sees the logarithms of the mean probabilities, so one that takes logits takes them too.

        metrics={"accuracy": of_mean_softmax(streaming.accuracy())}

    Args:
        metric: a streaming metric, which sees `(batch, ..., classes)`.

    Peers: scikit-learn, Keras and PyTorch have none.

    Raises:
        InputError: metric is no streaming metric, or predictions have no axis of members.
    """
    return _applied("of_mean_softmax", metric, lambda z: log_mean_exp(log_softmax(z), 1))


@factory(Metric)
def of_mean_sigmoid(metric: Metric):
    """The metric of the members' mean probability p = mean_k sigmoid(z_k): binary labels, from logits.

    The metric sees log(p / (1 - p)), the logit of the mean.

    Args:
        metric: a streaming metric, which sees `(batch, ...)`.

    Peers: scikit-learn, Keras and PyTorch have none.

    Raises:
        InputError: metric is no streaming metric, or predictions have no axis of members.
    """
    return _applied(
        "of_mean_sigmoid",
        metric,
        lambda z: log_mean_exp(jax.nn.log_sigmoid(z), 1) - log_mean_exp(jax.nn.log_sigmoid(-z), 1),
    )


def _applied(function: str, metric: Any, combine: Callable[[Array], Array]) -> MetricFunctions:
    if not isinstance(metric, Metric):
        hint = "Its streaming form: metrics.streaming.accuracy() for metrics.accuracy."
        fail(function, "metric", "a streaming metric", metric, hint=hint)

    def update(sums, predictions, targets, weights):
        if predictions.ndim < 2:
            fail(function, "predictions", "of shape (batch, members, ...)", f" shape {predictions.shape}")
        return metric.update(sums, combine(predictions), targets, weights)

    return MetricFunctions(metric.init, update, metric.compute, metric, members=True)
