"""Negative log likelihoods of distributions other than the normal one of fixed variance."""

from __future__ import annotations

import math

import jax.numpy as jnp

from jaxann.core.checks import check_flag, check_range
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.domains import targets_in
from jaxann.losses.inputs import elementwise, structured
from jaxann.losses.terms import held_above

__all__ = ["gaussian_nll", "poisson_nll"]


@targets_in(low=0)
@elementwise
def poisson_nll(
    predictions: Array, targets: Array, *, log_input: bool = True, full: bool = False, eps: Scalar = 1e-8
) -> Array:
    """exp(z) - y z for the log rate z, or for a rate m (log_input=False) m - y log(m + eps); slope exp(z) - y.

    Args:
        predictions: log rates z of any shape (exp(z) overflows from z = 88 in float32), or rates m >= 0.
        targets: counts y >= 0, the same shape.
        log_input: whether the predictions are logarithms. Fixed when the program is traced.
        full: whether to add Stirling's y log y - y + log(2 pi y) / 2 where y > 1, which no prediction changes.
        eps: > 0, keeps log(m + eps) finite at m = 0; of no use with log_input.

    Returns:
        The same shape.

    Peers: as PyTorch's PoissonNLLLoss; Keras's Poisson is log_input=False with eps 1e-7; optax has none.

    Source: Poisson 1837; as a loss: Nelder and Wedderburn 1972.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), eps <= 0, or the predictions are not floating point.
    """
    check_flag("poisson_nll", "log_input", log_input)
    check_flag("poisson_nll", "full", full)
    check_range("poisson_nll", "eps", eps, 0, open_low=True)
    if log_input:
        values = jnp.exp(predictions) - targets * predictions
    else:
        values = predictions - targets * jnp.log(predictions + jnp.asarray(eps, predictions.dtype))
    if not full:
        return values
    y = jnp.where(targets > 1, targets, 1)
    stirling = y * jnp.log(y) - y + jnp.log(2 * math.pi * y) / 2
    return values + jnp.where(targets > 1, stirling, 0)


@structured(2)
def gaussian_nll(predictions: Array, targets: Array, *, full: bool = False, eps: Scalar = 1e-6) -> Array:
    """(log v + (m - y)^2 / v) / 2, v = max(exp(s), eps), for a prediction [m, s] of mean and log variance.

    The network says how sure it is: two outputs for a number. Slopes (m - y) / v by m and (1 - (m - y)^2 / v) / 2 by s,
    under the floor eps too, so that a variance that fell below it can come back.

    Args:
        predictions: `(..., 2)`, the last axis holds the mean m and the log variance s.
        targets: y, `(...)`.
        full: whether to add log(2 pi) / 2. Fixed when the program is traced.
        eps: > 0, the smallest variance.

    Returns:
        `(...)`.

    Peers: as PyTorch's GaussianNLLLoss with var = exp(s), floor too; below the floor PyTorch's slope by s is smaller
        by the factor exp(s) / eps; Keras and optax have none.

    Source: Nix and Weigend 1994.

    Raises:
        InputError: shapes do not fit, eps <= 0, or the predictions are not floating point.
    """
    check_flag("gaussian_nll", "full", full)
    check_range("gaussian_nll", "eps", eps, 0, open_low=True)
    floor = jnp.log(jnp.asarray(eps, predictions.dtype))
    mean, log_variance = predictions[..., 0], predictions[..., 1]
    s = held_above(log_variance, floor)
    r = mean - targets
    deviations = r * jnp.exp(-s / 2)  # the square of r alone may overflow
    values = s / 2 + deviations * (deviations / 2)
    return values + math.log(2 * math.pi) / 2 if full else values


named_functions(gaussian_nll, poisson_nll)
