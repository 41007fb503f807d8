"""Means of the differences between predicted and true numbers, and their median."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from jaxann.core.checks import check_integer, check_range, check_same_shape, fail
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array, Scalar
from jaxann.metrics.streaming.rows import add_rows, empty_rows, kept
from jaxann.metrics.streaming.sums import add_mean, broadcast_weights, check_weights, mean, no_mean, real

__all__ = ["mae", "mape", "median_absolute_error", "mse", "rmse"]


def _mean_of(
    function: str, value: Callable[[Array, Array], Array], finish: Callable[[Array], Array] = lambda figure: figure
) -> tuple[Callable, Callable, Callable]:
    """The finished mean of `value(prediction, target)` over all elements."""

    def update(sums, predictions, targets, weights):
        check_same_shape(function, predictions, targets)
        check_weights(function, weights, targets.shape)
        return add_mean(sums, value(real(predictions), real(targets)), weights)

    return no_mean, update, lambda sums: finish(mean(sums))


def _squared(p: Array, y: Array) -> Array:
    return (p - y) * (p - y)


@factory(Metric, traits=("lower_is_better",))
def mse():
    """Streaming form of `metrics.mse`."""
    return _mean_of("mse", _squared)


@factory(Metric, traits=("lower_is_better",))
def rmse():
    """Streaming form of `metrics.rmse`."""
    return _mean_of("rmse", _squared, jnp.sqrt)


@factory(Metric, traits=("lower_is_better",))
def mae():
    """Streaming form of `metrics.mae`."""
    return _mean_of("mae", lambda p, y: jnp.abs(p - y))


@factory(Metric, traits=("lower_is_better",))
def mape(eps: Scalar = 2.220446049250313e-16):
    """Streaming form of `metrics.mape`."""
    check_range("mape", "eps", eps, 0, open_low=True)
    return _mean_of("mape", lambda p, y: jnp.abs(p - y) / jnp.maximum(jnp.abs(y), real(eps)))


@factory(Metric, static=("capacity", "columns"), traits=("lower_is_better",))
def median_absolute_error(capacity: int, columns: int = 1):
    """Streaming form of `metrics.median_absolute_error`: it keeps the differences of up to `capacity` examples.

    With more examples than that the figure is NaN, never that of a part. The two states of a merge have one
    capacity, which has to hold the examples of both.
    """
    check_integer("median_absolute_error", "capacity", capacity)
    check_integer("median_absolute_error", "columns", columns)

    def update(sums, predictions, targets, weights):
        check_same_shape("median_absolute_error", predictions, targets)
        check_weights("median_absolute_error", weights, targets.shape)
        width = 1 if targets.ndim < 2 else targets.shape[-1]
        if width != columns:
            fail("median_absolute_error", "columns", f"{width}, the last axis of {targets.shape}", columns)
        apart = jnp.abs(real(predictions) - real(targets)).reshape(-1, columns)
        w = broadcast_weights(weights, targets.shape).reshape(-1, columns)
        # each number with its own weight: one that has none beside some that have takes part in nothing
        return add_rows(sums, jnp.concatenate([jnp.where(w == 0, 0, apart), w], 1), jnp.max(w, 1))

    def compute(rows):
        values, _ = kept(rows)
        values, weights = values[:, :columns], values[:, columns:]
        order = jnp.argsort(values, 0)
        values = jnp.take_along_axis(values, order, 0)
        through = jnp.cumsum(jnp.take_along_axis(weights, order, 0), 0)
        half = through[-1:] / 2
        # weights that sum to the half but for rounding count as meeting it, as one of whole numbers would
        slack = half * 4 * jnp.finfo(half.dtype).eps
        middle = [
            jnp.take_along_axis(values, jnp.argmax(through >= low, 0, keepdims=True), 0)
            for low in (jnp.broadcast_to(half - slack, through.shape), jnp.broadcast_to(half + slack, through.shape))
        ]
        counts = real(through[-1:] != 0)  # a column of no weight has no median; NaN is not 0
        median = jnp.sum(counts * (middle[0] + middle[1]) / 2) / jnp.maximum(jnp.sum(counts), 1)
        return jnp.where(rows.count == 0, jnp.nan, median)

    return lambda: empty_rows(capacity, 2 * columns), update, compute
