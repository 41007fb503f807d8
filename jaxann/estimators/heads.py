"""What the last layer of an estimator's net means: how many outputs, which loss, and how predictions come of them.

A net is trained on targets in units of their own: t = (y - centre) / scale. `Head` goes there and back in float64.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import losses
from jaxann.core.checks import check_choice, check_range, fail
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array

__all__ = [
    "REGRESSOR_LOSSES",
    "Head",
    "classifier_loss",
    "gaussian",
    "half_squared",
    "of_labels",
    "ordered",
    "poisson",
    "quantiles",
    "regressor_head",
    "regressor_loss",
    "tweedie",
]


class Head(NamedTuple):
    """Of a regression."""

    loss: Callable  # (predictions (rows, width), targets (rows, outputs)) -> values
    width: int  # of the last layer
    link: str  # "identity", "exp" (the mean is e^z), "gaussian" (mean and log variance), "quantile" (several levels)
    centre: np.ndarray  # float64 (outputs,)
    scale: np.ndarray  # float64 (outputs,)


def half_squared(predictions: Array, targets: Array) -> Array:
    """(prediction - target)^2 / 2, scikit-learn's squared error."""
    return losses.half_squared_error(predictions, targets)


def of_labels(predictions: Array, targets: Array) -> Array:
    """Sum over the labels of `losses.sigmoid_cross_entropy`, `(rows,)`."""
    return losses.sigmoid_cross_entropy(predictions, targets).sum(-1)


def gaussian(predictions: Array, targets: Array) -> Array:
    """`losses.gaussian_nll` of a mean and a log variance for each output, side by side."""
    return losses.gaussian_nll(predictions.reshape(*targets.shape, 2), targets)


def poisson(predictions: Array, targets: Array) -> Array:
    """e^z - y z, half the deviance but for what does not depend on z."""
    return losses.poisson_nll(predictions, targets)


def tweedie(predictions: Array, targets: Array, *, power: Any) -> Array:
    """e^((2 - p) z) / (2 - p) - y e^((1 - p) z) / (1 - p), 1 < p < 2: half the deviance of a mean e^z (Tweedie)."""
    p = jnp.asarray(power, predictions.dtype)
    return jnp.exp((2 - p) * predictions) / (2 - p) - targets * jnp.exp((1 - p) * predictions) / (1 - p)


def quantiles(predictions: Array, targets: Array, *, levels: Any) -> Array:
    """`losses.quantile` of levels that cannot cross: the lowest, and how much each lies above the one before."""
    return losses.quantile(ordered(predictions, targets.shape[-1]), targets, q=jnp.asarray(levels, predictions.dtype))


def ordered(z: Array, targets: int) -> Array:
    """`(rows, targets, levels)`: the first level as it is, then sums of softplus."""
    z = z.reshape(*z.shape[:-1], targets, -1)
    steps = jnp.concatenate([z[..., :1], jax.nn.softplus(z[..., 1:])], -1)
    return jnp.cumsum(steps, -1)


named_functions(gaussian, half_squared, of_labels, poisson, quantiles, tweedie)

REGRESSOR_LOSSES = ("absolute_error", "gaussian", "huber", "poisson", "quantile", "squared_error", "tweedie")


def classifier_loss(function: str, loss: Any, width: int, multilabel: bool) -> Callable:
    """The loss of logits, `width` a row: one for two classes, else one a class; one for each label.

    Raises:
        InputError: there is none of that name.
    """
    alone = multilabel or width == 1
    if callable(loss):
        return loss
    if loss == "log_loss":
        return of_labels if alone else losses.softmax_cross_entropy
    if loss == "focal":
        return losses.sigmoid_focal if alone else losses.softmax_focal
    check_choice(function, "loss", loss, ("focal", "log_loss"))
    raise AssertionError  # a name that is neither was refused


def regressor_loss(estimator: Any, targets: int) -> tuple[Callable, int, str]:
    """Loss, width of the last layer and link of a regression of so many numbers.

    Raises:
        InputError: there is no such loss, or its number is out of range.
    """
    name, loss = type(estimator).__name__, estimator.loss
    if callable(loss):
        return loss, targets, "identity"
    check_choice(name, "loss", loss, REGRESSOR_LOSSES)
    if loss == "poisson":
        return poisson, targets, "exp"
    if loss == "tweedie":
        check_range(name, "power", estimator.power, 1, 2, open_low=True, open_high=True)
        return functools.partial(tweedie, power=np.float32(estimator.power)), targets, "exp"
    if loss == "gaussian":
        return gaussian, 2 * targets, "gaussian"
    if loss == "quantile":
        given: Any = estimator.quantiles
        plain = isinstance(given, list | tuple | np.ndarray) and np.asarray(given).dtype.kind in "fi"
        levels = np.asarray(given if plain else (), np.float32)
        rising = levels.ndim == 1 and levels.size and (np.diff(levels) > 0).all()
        if not (rising and levels[0] > 0 and levels[-1] < 1):
            fail(name, "quantiles", "rising levels in (0, 1), such as (0.05, 0.5, 0.95)", estimator.quantiles)
        return functools.partial(quantiles, levels=levels), targets * levels.size, "quantile"
    alone = {"squared_error": half_squared, "absolute_error": losses.absolute_error, "huber": losses.huber}
    return alone[loss], targets, "identity"


def regressor_head(estimator: Any, y: np.ndarray, weights: np.ndarray | None) -> Head:
    """The head of a regression, with the units of its targets `(rows, outputs)` in float64.

    Raises:
        InputError: as `regressor_loss`; or targets are negative where a mean e^z is fit.
    """
    name, count = type(estimator).__name__, y.shape[1]
    loss, width, link = regressor_loss(estimator, count)
    zero, one = np.zeros(count), np.ones(count)
    if link == "exp":
        if (y < 0).any():
            row = int(np.argmax((y < 0).any(1)))
            fail(name, "y", f"at least 0 for the loss {estimator.loss!r}", f" {y[row].min():g} at row {row}")
        mean = np.average(y, axis=0, weights=weights)
        return Head(loss, width, link, zero, np.where(mean > 0, mean, 1))
    if not estimator.scale_target or callable(estimator.loss):
        return Head(loss, width, link, zero, one)
    units = _robust_units if estimator.loss in ("absolute_error", "huber", "quantile") else _units
    return Head(loss, width, link, *units(y, weights))


def _robust_units(y: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Median and distance of the quartiles / 1.349, which is the deviation of a normal distribution.

    What these losses pass over, a few wild targets, does not set the units either. Where half of the targets are the
    same, mean and deviation.
    """
    kept = y if weights is None else y[weights > 0]
    low, middle, high = np.quantile(kept, [0.25, 0.5, 0.75], axis=0)
    mean, deviation = _units(y, weights)
    is_wide = high - low > 1e-6 * deviation
    return np.where(is_wide, middle, mean), np.where(is_wide, (high - low) / 1.349, deviation)


def _units(y: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each target; 1 where all are the same."""
    greatest = np.maximum(np.abs(y).max(0), np.finfo(np.float64).tiny)  # squares of 1e300 are infinite
    shares = y / greatest
    mean = np.average(shares, axis=0, weights=weights)
    deviation = np.sqrt(np.average((shares - mean) ** 2, axis=0, weights=weights))
    scale = greatest * deviation
    return mean * greatest, np.where(scale > 1e-12 * greatest, scale, 1.0)
