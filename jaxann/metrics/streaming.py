"""Metrics gathered batch by batch: `init() -> sums`, `update(sums, predictions, targets, weights)`, `compute(sums)`.

The sums of any split of the data, merged in any order, give the figure of the whole: batches are never averaged.
`weights` has one number an example (0 leaves it out).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_same_shape, fail
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array

__all__ = ["MeanSums", "R2Sums", "accuracy", "merge", "r2", "rmse"]


class MeanSums(NamedTuple):
    """A weighted mean in the making."""

    total: Array
    weight: Array


class R2Sums(NamedTuple):
    """Weight, mean and spread of the targets and the squared residuals, each `(outputs,)` but the weight."""

    weight: Array
    mean: Array
    spread: Array
    residual: Array


def merge(metric: Metric, a: NamedTuple, b: NamedTuple) -> NamedTuple:
    """The sums of two parts as the sums of the whole; in any order and grouping."""
    if isinstance(a, R2Sums) and isinstance(b, R2Sums):
        weight = a.weight + b.weight
        share = b.weight / jnp.where(weight == 0, 1, weight)
        step = b.mean - a.mean
        spread = a.spread + b.spread + step * step * a.weight * share
        return R2Sums(weight, a.mean + step * share, spread, a.residual + b.residual)
    if isinstance(a, MeanSums) and isinstance(b, MeanSums):
        return MeanSums(a.total + b.total, a.weight + b.weight)
    fail("metrics.streaming.merge", "a and b", f"two sums of {metric!r}", f" {type(a).__name__} and {type(b).__name__}")


def _real(value) -> Array:
    return jnp.asarray(value, jnp.result_type(float))


def _check_weights(function: str, weights: Array | None, shape: tuple[int, ...]) -> None:
    if weights is not None and weights.shape != shape[: weights.ndim]:
        fail(function, "weights", f"of shape {shape[:1]}, one an example", f" shape {weights.shape}")


def _weights(weights: Array | None, shape: tuple[int, ...]) -> Array:
    """One weight an example, spread over whatever follows the batch axis; scalar weights for no axes."""
    if weights is None:
        return jnp.ones(shape, jnp.result_type(float))
    return jnp.broadcast_to(lax.expand_dims(_real(weights), range(weights.ndim, len(shape))), shape)


def _add(sums: MeanSums, values: Array, weights: Array | None) -> MeanSums:
    weight = _weights(weights, values.shape)
    # where, not a product alone: a NaN in padding must not leak
    total = jnp.sum(jnp.where(weight == 0, 0, weight * _real(values)))
    return MeanSums(sums.total + total, sums.weight + jnp.sum(weight))


def _mean(sums: MeanSums) -> Array:
    return jnp.where(sums.weight == 0, 0, sums.total / jnp.where(sums.weight == 0, 1, sums.weight))


def _empty() -> MeanSums:
    return MeanSums(_real(0.0), _real(0.0))


@factory(Metric)
def accuracy():
    """Streaming form of `metrics.accuracy`."""

    def update(sums, predictions, targets, weights):
        _check_weights("accuracy", weights, targets.shape)
        if predictions.shape == (*targets.shape, 1):
            expected = f"of shape {predictions.shape}: one logit an example is binary, not one class"
            fail("accuracy", "targets", expected, f" shape {targets.shape}")
        if predictions.ndim == targets.ndim + 1 and predictions.shape[:-1] == targets.shape:
            hit = jnp.argmax(predictions, -1).astype(jnp.int32) == targets.astype(jnp.int32)
        elif predictions.shape == targets.shape:
            positive = targets.astype(predictions.dtype) > 0.5 if targets.dtype != bool else targets
            hit = (predictions > 0) == positive
        else:
            expected = f"of shape {predictions.shape[:-1]} (labels) or {predictions.shape} (binary, from logits)"
            fail("accuracy", "targets", expected, f" shape {targets.shape}")
        return _add(sums, hit, weights)

    return _empty, update, _mean


@factory(Metric)
def rmse():
    """Streaming form of `metrics.rmse`."""

    def update(sums, predictions, targets, weights):
        check_same_shape("rmse", predictions, targets)
        _check_weights("rmse", weights, targets.shape)
        difference = _real(predictions) - _real(targets)
        return _add(sums, difference * difference, weights)

    return _empty, update, lambda sums: jnp.sqrt(_mean(sums))


@factory(Metric, static=("outputs",))
def r2(outputs: int = 1):
    """Streaming form of `metrics.r2` for targets with this many outputs."""

    def init():
        nothing = jnp.zeros((outputs,), jnp.result_type(float))
        return R2Sums(_real(0.0), nothing, nothing, nothing)

    def update(sums, predictions, targets, weights):
        check_same_shape("r2", predictions, targets)
        _check_weights("r2", weights, targets.shape)
        width = 1 if targets.ndim == 1 else targets.shape[-1]
        if width != outputs:
            fail("r2", "outputs", f"{width}, the last axis of the targets {targets.shape}", outputs)
        y, p = _real(targets).reshape(-1, outputs), _real(predictions).reshape(-1, outputs)
        rows = targets.shape[:1] if targets.ndim == 1 else targets.shape[:-1]
        w = lax.expand_dims(_weights(weights, rows).reshape(-1), [1])
        w = jnp.broadcast_to(w, y.shape)
        y, p = jnp.where(w == 0, 0, y), jnp.where(w == 0, 0, p)
        weight = jnp.sum(w[:, 0])
        # From one of the targets on: the mean of equal numbers is then that number, to the last bit.
        anchor = jnp.max(jnp.where(w == 0, -jnp.inf, y), 0, initial=-jnp.inf)
        anchor = jnp.where(weight == 0, 0, anchor)
        rise = jnp.where(w == 0, 0, y - jnp.broadcast_to(anchor, y.shape))
        step = jnp.sum(w * rise, 0) / jnp.where(weight == 0, 1, weight)
        mean = anchor + step
        off = rise - jnp.broadcast_to(step, y.shape)
        part = R2Sums(weight, mean, jnp.sum(w * off * off, 0), jnp.sum(w * (y - p) ** 2, 0))
        return merge(r2(outputs), sums, part)

    def compute(sums):
        flat = sums.spread == 0
        ratio = sums.residual / jnp.where(flat, 1, sums.spread)
        return jnp.mean(jnp.where(flat, jnp.where(sums.residual == 0, 1.0, 0.0), 1 - ratio))

    return init, update, compute
