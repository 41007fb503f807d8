"""Means and squared deviations gathered in parts, and the share of the targets' that predictions explain."""

from __future__ import annotations

from typing import NamedTuple, Self

import jax.numpy as jnp

from jaxann.core.checks import check_integer, check_same_shape, fail
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array
from jaxann.metrics.streaming.sums import broadcast_weights, check_weights, real, zeros

__all__ = ["R2Sums", "VarianceSums", "explained_variance", "r2"]


class R2Sums(NamedTuple):
    """Weight, mean and squared deviations of the targets, squared residuals, each `(columns,)`."""

    weight: Array
    mean: Array
    squares: Array
    residual: Array

    def combined(self, other: Self) -> Self:
        """Both parts: the deviations grow by that between the two means."""
        weight, mean, squares = _joined(self[:3], other[:3])
        return type(self)(weight, mean, squares, self.residual + other.residual)


class VarianceSums(NamedTuple):
    """Weight, and mean and squared deviations of the targets (row 0) and of the residuals (row 1), `(2, columns)`."""

    weight: Array
    mean: Array
    squares: Array

    def combined(self, other: Self) -> Self:
        """Both parts: the deviations grow by that between the two means."""
        return type(self)(*_joined(self, other))


def _joined(a: tuple, b: tuple) -> tuple[Array, Array, Array]:
    weight = a[0] + b[0]
    share = b[0] / jnp.where(weight == 0, 1, weight)
    step = b[1] - a[1]
    return weight, a[1] + step * share, a[2] + b[2] + step * step * a[0] * share


def _moments(values: Array, w: Array) -> tuple[Array, Array, Array]:
    """Weight, mean and squared deviations, each `(columns,)`, of `(n, columns)`."""
    weight = jnp.sum(w, 0)
    # From one of the values on: the mean of equal numbers is then that number, to the last bit.
    anchor = jnp.max(jnp.where(w == 0, -jnp.inf, values), 0, initial=-jnp.inf)
    anchor = jnp.where(weight == 0, 0, anchor)
    rise = jnp.where(w == 0, 0, values - jnp.broadcast_to(anchor, values.shape))
    step = jnp.sum(w * rise, 0) / jnp.where(weight == 0, 1, weight)
    off = rise - jnp.broadcast_to(step, values.shape)
    return weight, anchor + step, jnp.sum(w * off * off, 0)


def _read(function: str, predictions: Array, targets: Array, weights: Array | None, columns: int) -> tuple:
    """Targets, predictions and weights as `(n, columns)`, 0 where the weight is."""
    check_same_shape(function, predictions, targets)
    check_weights(function, weights, targets.shape)
    width = 1 if targets.ndim == 1 else targets.shape[-1]
    if width != columns:
        fail(function, "columns", f"{width}, the last axis of the targets {targets.shape}", columns)
    y, p = real(targets).reshape(-1, columns), real(predictions).reshape(-1, columns)
    w = broadcast_weights(weights, targets.shape).reshape(-1, columns)
    return jnp.where(w == 0, 0, y), jnp.where(w == 0, 0, p), w


def _share(left: Array, squares: Array, weight: Array) -> Array:
    """1 - left / squares, the mean over columns that have weight; of no deviation 1 where nothing is left and else 0.

    Of nothing at all it is 1.
    """
    flat = squares == 0
    ratio = left / jnp.where(flat, 1, squares)
    figures = jnp.where(flat & ~jnp.isnan(left), jnp.where(left == 0, 1.0, 0.0), 1 - ratio)
    counts = (weight != 0) | jnp.all(weight == 0)
    return jnp.sum(jnp.where(counts, figures, 0)) / jnp.sum(real(counts))


@factory(Metric, static=("columns",), traits=("higher_is_better",))
def r2(columns: int = 1):
    """Streaming form of `metrics.r2` for targets with this many columns."""
    check_integer("r2", "columns", columns)

    def init():
        return R2Sums(*(zeros(columns) for _ in range(4)))

    def update(sums, predictions, targets, weights):
        y, p, w = _read("r2", predictions, targets, weights, columns)
        return sums.combined(R2Sums(*_moments(y, w), jnp.sum(w * (y - p) ** 2, 0)))

    return init, update, lambda sums: _share(sums.residual, sums.squares, sums.weight)


@factory(Metric, static=("columns",), traits=("higher_is_better",))
def explained_variance(columns: int = 1):
    """Streaming form of `metrics.explained_variance` for targets with this many columns."""
    check_integer("explained_variance", "columns", columns)

    def init():
        return VarianceSums(*(zeros(2, columns) for _ in range(3)))

    def update(sums, predictions, targets, weights):
        y, p, w = _read("explained_variance", predictions, targets, weights, columns)
        found = _moments(jnp.concatenate([y, y - p], 1), jnp.concatenate([w, w], 1))
        return sums.combined(VarianceSums(*(a.reshape(2, columns) for a in found)))

    return init, update, lambda sums: _share(sums.squares[1], sums.squares[0], sums.weight[0])
