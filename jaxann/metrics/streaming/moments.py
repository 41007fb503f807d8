"""Means and squared deviations gathered in parts, and the share of the targets' that predictions explain."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import jax.numpy as jnp

from jaxann.core.checks import check_integer, check_same_shape, fail
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array
from jaxann.metrics.streaming.sums import broadcast_weights, check_weights, real, two_sum, zeros

__all__ = ["R2Sums", "VarianceSums", "explained_variance", "r2"]


class R2Sums(NamedTuple):
    """Weight, mean and squared deviations of the targets, squared residuals, each `(columns,)`; then their rests."""

    weight: Array
    mean: Array
    squares: Array
    residual: Array
    weight_rest: Any = 0.0  # what rounding has left out
    mean_rest: Any = 0.0
    squares_rest: Any = 0.0
    residual_rest: Any = 0.0
    count: Any = 2.0  # examples that have weight, 2 for more

    def combined(self, other: Self) -> Self:
        """Both parts: the deviations grow by that between the two means."""
        (weight, mean, squares), rests = _joined(self[:3], self[4:7], other[:3], other[4:7])
        residual, rest = two_sum(self.residual, self.residual_rest, other.residual, other.residual_rest)
        count = jnp.minimum(self.count + other.count, 2)
        return type(self)(weight, mean, squares, residual, rests[0], rests[1], rests[2], rest, count)


class VarianceSums(NamedTuple):
    """Weight, and mean and squared deviations of the targets (row 0) and of the residuals (row 1), `(2, columns)`."""

    weight: Array
    mean: Array
    squares: Array
    weight_rest: Any = 0.0  # what rounding has left out
    mean_rest: Any = 0.0
    squares_rest: Any = 0.0
    count: Any = 2.0  # examples that have weight, 2 for more

    def combined(self, other: Self) -> Self:
        """Both parts: the deviations grow by that between the two means."""
        (weight, mean, squares), rests = _joined(self[:3], self[3:6], other[:3], other[3:6])
        count = jnp.minimum(self.count + other.count, 2)
        return type(self)(weight, mean, squares, rests[0], rests[1], rests[2], count)


def _joined(a: tuple, a_rests: tuple, b: tuple, b_rests: tuple) -> tuple[tuple, tuple]:
    """Weight, mean and squared deviations of both, and their rests."""
    weight, weight_rest = two_sum(a[0], a_rests[0], b[0], b_rests[0])
    share = b[0] / jnp.where(weight == 0, 1, weight)
    step = (b[1] - a[1]) + (b_rests[1] - a_rests[1])
    mean, mean_rest = two_sum(a[1], a_rests[1], step * share)
    between = step * step * a[0] * share
    squares, squares_rest = two_sum(*two_sum(a[2], a_rests[2], b[2], b_rests[2]), between)
    return (weight, mean, squares), (weight_rest, mean_rest, squares_rest)


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


def _examples(w: Array) -> Array:
    """How many examples have weight, 2 for more, `(columns,)`."""
    return jnp.minimum(jnp.sum(w != 0, 0, dtype=jnp.int32), 2).astype(w.dtype)


def _share(left: Array, squares: Array, weight: Array, count: Array) -> Array:
    """1 - left / squares, the mean over columns that have weight; of no deviation 1 where nothing is left and else 0.

    Of one example, which has no deviation to explain, and of nothing at all it is NaN.
    """
    flat = squares == 0
    ratio = left / jnp.where(flat, 1, squares)
    figures = jnp.where(flat & ~jnp.isnan(left), jnp.where(left == 0, 1.0, 0.0), 1 - ratio)
    figures = jnp.where(count == 1, jnp.nan, figures)
    columns = jnp.sum(real(weight != 0))
    return jnp.sum(jnp.where(weight != 0, figures, 0)) / jnp.where(columns == 0, jnp.nan, columns)


@factory(Metric, static=("columns",), traits=("higher_is_better",))
def r2(columns: int = 1):
    """Streaming form of `metrics.r2` for targets with this many columns."""
    check_integer("r2", "columns", columns)

    def init():
        return R2Sums(*(zeros(columns) for _ in range(9)))

    def update(sums, predictions, targets, weights):
        y, p, w = _read("r2", predictions, targets, weights, columns)
        weight, mean, squares = _moments(y, w)
        found = R2Sums(weight, mean, squares, jnp.sum(w * (y - p) ** 2, 0), count=_examples(w))
        return sums.combined(found)

    return init, update, lambda sums: _share(sums.residual, sums.squares, sums.weight, sums.count)


@factory(Metric, static=("columns",), traits=("higher_is_better",))
def explained_variance(columns: int = 1):
    """Streaming form of `metrics.explained_variance` for targets with this many columns."""
    check_integer("explained_variance", "columns", columns)

    def init():
        return VarianceSums(*(zeros(2, columns) for _ in range(6)), count=zeros(columns))

    def update(sums, predictions, targets, weights):
        y, p, w = _read("explained_variance", predictions, targets, weights, columns)
        found = _moments(jnp.concatenate([y, y - p], 1), jnp.concatenate([w, w], 1))
        weight, mean, squares = (a.reshape(2, columns) for a in found)
        return sums.combined(VarianceSums(weight, mean, squares, count=_examples(w)))

    return init, update, lambda sums: _share(sums.squares[1], sums.squares[0], sums.weight[0], sums.count)
