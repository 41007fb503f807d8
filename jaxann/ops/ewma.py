"""The exponentially weighted average: of a whole array at once, and as a state that takes one value at a time.

    v_t = beta v_(t-1) + (1 - beta) x_t, v_0 = 0   so that   v_t = (1 - beta) sum_s beta^(t - s) x_s

The weights sum to 1 - beta^t; divided by that sum (debias) the average is a weighted mean from the first value on. It
looks back over about 1 / (1 - beta) values (after so many the weight has fallen to 1 / e); half of the weight lies on
the last log(1/2) / log(beta), the mean lag is beta / (1 - beta), and its variance is that of a plain mean of
(1 + beta) / (1 - beta) values.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_flag, check_floating, check_range, fail
from jaxann.core.programs import jit
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar

__all__ = ["EwmaState", "ewma", "ewma_init", "ewma_read", "ewma_update"]


class EwmaState(NamedTuple):
    """What the average remembers."""

    value: Array  # v, not debiased, in float32 or better
    step: Array  # int32, values taken in, for each place


def ewma(x: Array, beta: Scalar, *, axis: int = 0, debias: bool = True, skip_nan: bool = False) -> Array:
    """v_t = beta v_(t-1) + (1 - beta) x_t along an axis, v_0 = 0; divided by 1 - beta^t when debias.

    Args:
        x: floating point, any shape with the axis; sums are kept in float32 or better.
        beta: share of the old value, in [0, 1).
        axis: the axis of time.
        debias: whether to divide by the sum of the weights, which makes it a weighted mean.
        skip_nan: whether a NaN leaves the average as it is; else it makes this and all later ones NaN. Before the first
            number a debiased average is NaN.

    Returns:
        The shape and dtype of x. All prefixes are computed at once, in log2(length) passes.

    Peers: as optax's ema (debias too) given one value after the other; PyTorch and Keras have none for arrays.

    Raises:
        InputError: beta is out of range, x is not floating point, or has no such axis.
    """
    check_range("ewma", "beta", beta, 0, 1, open_high=True)
    check_flag("ewma", "debias", debias)
    check_flag("ewma", "skip_nan", skip_nan)
    check_floating("ewma", "x", x)
    shape = np.shape(x)
    if not -len(shape) <= axis < len(shape):
        fail("ewma", "axis", f"an axis of x, of shape {shape}", axis)
    return _averages(jnp.asarray(x), beta, axis % len(shape), debias, skip_nan)


@jit(nested=True, static_argnums=(2, 3, 4))
def _averages(x: Array, beta: Scalar, axis: int, debias: bool, skip_nan: bool) -> Array:
    wide = x.astype(wide_dtype(x.dtype))
    decay = jnp.broadcast_to(jnp.asarray(beta, wide.dtype), wide.shape)
    fresh = 1 - decay
    if skip_nan:
        missing = jnp.isnan(wide)
        wide, decay, fresh = jnp.where(missing, 0, wide), jnp.where(missing, 1, decay), jnp.where(missing, 0, fresh)

    def combine(early, late):
        (a, v, w), (b, u, z) = early, late
        return a * b, b * v + u, b * w + z

    # The sum of the weights comes from the same recurrence as the average: 1 - beta^t would lose digits near beta = 1.
    _, value, weight = lax.associative_scan(combine, (decay, fresh * wide, fresh), axis=axis)
    if debias:
        value = _divided(value, weight)
    return value.astype(x.dtype)


def ewma_init(x: Array) -> EwmaState:
    """Nothing taken in yet, for values like `x`.

    Peers: as optax's ema, one value after the other; PyTorch and Keras have none for arrays.

    Raises:
        InputError: x is not floating point.
    """
    check_floating("ewma_init", "x", x)
    return EwmaState(jnp.zeros(x.shape, wide_dtype(x.dtype)), jnp.zeros(x.shape, jnp.int32))


def ewma_update(state: EwmaState, x: Array, beta: Scalar, *, skip_nan: bool = False) -> EwmaState:
    """v <- beta v + (1 - beta) x, t <- t + 1; with skip_nan a NaN leaves its place as it is.

    Args:
        state: from `ewma_init` or the update before.
        x: the next value, of the state's shape.
        beta: share of the old value, in [0, 1), the same at every update.
        skip_nan: as in `ewma`.

    Peers: as optax's ema, one value after the other; PyTorch and Keras have none for arrays.

    Raises:
        InputError: beta is out of range, or x has another shape.
    """
    check_range("ewma_update", "beta", beta, 0, 1, open_high=True)
    check_flag("ewma_update", "skip_nan", skip_nan)
    check_floating("ewma_update", "x", x)
    if jnp.shape(x) != state.value.shape:
        fail("ewma_update", "x", f"of the state's shape {state.value.shape}", f" shape {jnp.shape(x)}")
    decay = jnp.asarray(beta, state.value.dtype)
    x = jnp.asarray(x).astype(state.value.dtype)
    taken = ~jnp.isnan(x) if skip_nan else jnp.ones(x.shape, bool)
    value = jnp.where(taken, decay * state.value + (1 - decay) * jnp.where(taken, x, 0), state.value)
    return EwmaState(value, state.step + taken.astype(jnp.int32))


def ewma_read(state: EwmaState, beta: Scalar, *, debias: bool = True) -> Array:
    """v / (1 - beta^t), or v as it is without debias; NaN where nothing was taken in.

    Peers: as optax's ema, one value after the other; PyTorch and Keras have none for arrays.

    Raises:
        InputError: beta is out of range.
    """
    check_range("ewma_read", "beta", beta, 0, 1, open_high=True)
    check_flag("ewma_read", "debias", debias)
    if not debias:
        return state.value
    decay = jnp.asarray(beta, state.value.dtype)
    some = decay > 0
    power = state.step.astype(decay.dtype) * jnp.log(jnp.where(some, decay, 0.5))
    return _divided(state.value, jnp.where(some, -jnp.expm1(power), jnp.minimum(state.step, 1).astype(decay.dtype)))


def _divided(value: Array, weight: Array) -> Array:
    """value / weight; NaN where there is no weight."""
    return jnp.where(weight > 0, value / jnp.where(weight > 0, weight, 1), jnp.nan)
