"""Figures of merit for numbers, on whole arrays."""

from __future__ import annotations

from jaxann.core.checks import check_same_shape
from jaxann.core.typing import Array, Scalar
from jaxann.metrics import streaming
from jaxann.metrics.direction import higher_is_better, lower_is_better
from jaxann.metrics.streaming.sums import check_given, check_weights

__all__ = ["explained_variance", "mae", "mape", "median_absolute_error", "mse", "r2", "rmse"]


@lower_is_better
def mse(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """Mean squared difference, sum w (p - y)^2 / sum w, over all elements.

    Args:
        predictions, targets: of the same shape.
        weights: one number an example (the first axis).

    Returns:
        One number; NaN for no examples.

    Peers: as scikit-learn's mean_squared_error and Keras' MeanSquaredError.

    Raises:
        InputError: shapes differ, `(n,)` against `(n, 1)` too.
    """
    return streaming.mse()(predictions, targets, weights)


@lower_is_better
def rmse(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """Root of the mean squared difference, sqrt(sum w (p - y)^2 / sum w), over all elements.

    Args:
        predictions, targets: of the same shape.
        weights: one number an example (the first axis).

    Returns:
        One number; NaN for no examples.

    Peers: as Keras' RootMeanSquaredError; scikit-learn's root_mean_squared_error takes the root of each output and
    averages the roots.

    Raises:
        InputError: shapes differ, `(n,)` against `(n, 1)` too.
    """
    return streaming.rmse()(predictions, targets, weights)


@lower_is_better
def mae(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """Mean absolute difference, sum w |p - y| / sum w, over all elements.

    Args:
        predictions, targets: of the same shape.
        weights: one number an example (the first axis).

    Returns:
        One number; NaN for no examples.

    Peers: as scikit-learn's mean_absolute_error and Keras' MeanAbsoluteError.

    Raises:
        InputError: shapes differ, `(n,)` against `(n, 1)` too.
    """
    return streaming.mae()(predictions, targets, weights)


@lower_is_better
def median_absolute_error(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """median |p - y|, of each output, and the mean over outputs; between two middle ones their mean.

    Args:
        predictions, targets: `(n,)` or `(..., outputs)`, of the same shape.
        weights: one number an example: half of the weight lies on either side.

    Returns:
        One number; NaN for no examples, or if a difference is.

    Peers: as scikit-learn's median_absolute_error.

    Raises:
        InputError: shapes differ, `(n,)` against `(n, 1)` too.
    """
    check_given("median_absolute_error", predictions, targets, weights)
    check_same_shape("median_absolute_error", predictions, targets)
    check_weights("median_absolute_error", weights, targets.shape)
    columns = 1 if targets.ndim < 2 else targets.shape[-1]
    return streaming.median_absolute_error(max(targets.size // max(columns, 1), 1), columns)(
        predictions, targets, weights
    )


@lower_is_better
def mape(
    predictions: Array, targets: Array, weights: Array | None = None, *, eps: Scalar = 2.220446049250313e-16
) -> Array:
    """Mean relative difference, sum w |p - y| / max(|y|, eps) / sum w: a fraction, not a percentage.

    Args:
        predictions, targets: of the same shape.
        weights: one number an example (the first axis).
        eps: above 0, the least a target counts for: a target of 0 makes the figure huge.

    Returns:
        One number; NaN for no examples.

    Peers: as scikit-learn's mean_absolute_percentage_error, eps included; Keras gives percent and takes eps = 1e-7.

    Raises:
        InputError: shapes differ, or eps is not above 0.
    """
    return streaming.mape(eps)(predictions, targets, weights)


@higher_is_better
def r2(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """Share of the spread that is explained, 1 - sum w (y - p)^2 / sum w (y - mean y)^2; at most 1, may be negative.

    Several outputs (the last axis of `(n, outputs)`) are averaged evenly, as scikit-learn does. A constant target
    gives 1 if it is met exactly and else 0; a single example NaN.

    Args:
        predictions, targets: `(n,)` or `(..., outputs)`, of the same shape.
        weights: one number an example, or one for each place of the targets.

    Returns:
        One number.

    Peers: as scikit-learn's r2_score; Keras' R2Score is NaN for a constant target that is met.

    Raises:
        InputError: shapes differ.
    """
    check_given("r2", predictions, targets, weights)
    columns = 1 if targets.ndim < 2 else targets.shape[-1]
    return streaming.r2(columns)(predictions, targets, weights)


@higher_is_better
def explained_variance(predictions: Array, targets: Array, weights: Array | None = None) -> Array:
    """1 - Var(y - p) / Var(y): `r2` once the mean difference is forgiven, and equal to it where that is 0.

    Several outputs (the last axis of `(n, outputs)`) are averaged evenly. A constant target gives 1 if the
    differences are all equal and else 0; a single example NaN.

    Args:
        predictions, targets: `(n,)` or `(..., outputs)`, of the same shape.
        weights: one number an example, or one for each place of the targets.

    Returns:
        One number, at most 1.

    Peers: as scikit-learn's explained_variance_score, but for a single example: there it is 1.

    Raises:
        InputError: shapes differ.
    """
    check_given("explained_variance", predictions, targets, weights)
    columns = 1 if targets.ndim < 2 else targets.shape[-1]
    return streaming.explained_variance(columns)(predictions, targets, weights)
