"""Mean and spread gathered in parts, and the shares of the targets' spread that predictions explain."""

from __future__ import annotations

from typing import NamedTuple, Self

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_integer, check_same_shape, fail
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array
from jaxann.metrics.streaming.sums import check_weights, real, spread_weights, zeros

__all__ = ["R2Sums", "VarianceSums", "explained_variance", "r2"]


class R2Sums(NamedTuple):
    """Weight, mean and spread of the targets and the squared residuals, each `(outputs,)` but the weight."""

    weight: Array
    mean: Array
    spread: Array
    residual: Array

    def merged(self, other: Self) -> Self:
        """Both parts: the spread grows by that between the two means."""
        weight, mean, spread = _joined(self[:3], other[:3])
        return type(self)(weight, mean, spread, self.residual + other.residual)


class VarianceSums(NamedTuple):
    """Weight, and mean and spread of the targets (row 0) and of the residuals (row 1), `(2, outputs)`."""

    weight: Array
    mean: Array
    spread: Array

    def merged(self, other: Self) -> Self:
        """Both parts: the spread grows by that between the two means."""
        return type(self)(*_joined(self, other))


def _joined(a: tuple, b: tuple) -> tuple[Array, Array, Array]:
    weight = a[0] + b[0]
    share = b[0] / jnp.where(weight == 0, 1, weight)
    step = b[1] - a[1]
    return weight, a[1] + step * share, a[2] + b[2] + step * step * a[0] * share


def _moments(values: Array, w: Array) -> tuple[Array, Array, Array]:
    """Weight `()`, mean and spread `(outputs,)` of `(n, outputs)`; `w` is spread over the outputs."""
    weight = jnp.sum(w[:, 0])
    # From one of the values on: the mean of equal numbers is then that number, to the last bit.
    anchor = jnp.max(jnp.where(w == 0, -jnp.inf, values), 0, initial=-jnp.inf)
    anchor = jnp.where(weight == 0, 0, anchor)
    rise = jnp.where(w == 0, 0, values - jnp.broadcast_to(anchor, values.shape))
    step = jnp.sum(w * rise, 0) / jnp.where(weight == 0, 1, weight)
    off = rise - jnp.broadcast_to(step, values.shape)
    return weight, anchor + step, jnp.sum(w * off * off, 0)


def _read(function: str, predictions: Array, targets: Array, weights: Array | None, outputs: int) -> tuple:
    """Targets, predictions and weights as `(n, outputs)`, 0 where the weight is."""
    check_same_shape(function, predictions, targets)
    check_weights(function, weights, targets.shape)
    width = 1 if targets.ndim == 1 else targets.shape[-1]
    if width != outputs:
        fail(function, "outputs", f"{width}, the last axis of the targets {targets.shape}", outputs)
    y, p = real(targets).reshape(-1, outputs), real(predictions).reshape(-1, outputs)
    rows = targets.shape[:1] if targets.ndim == 1 else targets.shape[:-1]
    w = lax.expand_dims(spread_weights(weights, rows).reshape(-1), [1])
    w = jnp.broadcast_to(w, y.shape)
    return jnp.where(w == 0, 0, y), jnp.where(w == 0, 0, p), w


def _share(left: Array, spread: Array) -> Array:
    """1 - left / spread, the mean over outputs; without any spread 1 where nothing is left and else 0."""
    flat = spread == 0
    ratio = left / jnp.where(flat, 1, spread)
    return jnp.mean(jnp.where(flat, jnp.where(left == 0, 1.0, 0.0), 1 - ratio))


@factory(Metric, static=("outputs",))
def r2(outputs: int = 1):
    """Streaming form of `metrics.r2` for targets with this many outputs."""
    check_integer("r2", "outputs", outputs)

    def init():
        return R2Sums(zeros(), zeros(outputs), zeros(outputs), zeros(outputs))

    def update(sums, predictions, targets, weights):
        y, p, w = _read("r2", predictions, targets, weights, outputs)
        return sums.merged(R2Sums(*_moments(y, w), jnp.sum(w * (y - p) ** 2, 0)))

    return init, update, lambda sums: _share(sums.residual, sums.spread)


@factory(Metric, static=("outputs",))
def explained_variance(outputs: int = 1):
    """Streaming form of `metrics.explained_variance` for targets with this many outputs."""
    check_integer("explained_variance", "outputs", outputs)

    def init():
        return VarianceSums(zeros(), zeros(2, outputs), zeros(2, outputs))

    def update(sums, predictions, targets, weights):
        y, p, w = _read("explained_variance", predictions, targets, weights, outputs)
        weight, mean, spread = _moments(jnp.concatenate([y, y - p], 1), jnp.concatenate([w, w], 1))
        return sums.merged(VarianceSums(weight, mean.reshape(2, outputs), spread.reshape(2, outputs)))

    return init, update, lambda sums: _share(sums.spread[1], sums.spread[0])
