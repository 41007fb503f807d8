"""Adafactor: the second moment of a matrix kept as one number a row and one a column."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_count, check_integer, check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.trees import leaf_norm, wide_dtype
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    check_decay_rates,
    check_given,
    check_learning_rate,
    check_not_negative,
    ema_update,
    nonzero,
    zeros_like,
)
from jaxann.optimizers.counting import MOST_STEPS, minus, next_step
from jaxann.optimizers.masking import check_selection, selected
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded, capped
from jaxann.schedules import value_at

__all__ = ["AdafactorState", "adafactor"]


class AdafactorState(NamedTuple):
    """State of `adafactor`."""

    step: Array  # int32 (), updates made so far
    mu: Params | None  # mean of the scaled steps; None without momentum
    nu: Params  # for each leaf a tuple: means of its squares over columns and over rows, or of each square by itself


@factory(Optimizer, static=("min_dim_size_to_factor",), traits=("decays_by_mask", "finite_updates"))
@scheduled("momentum", "weight_decay")
def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    *,
    min_dim_size_to_factor: int | None = 128,
    decay_rate: Scalar = 0.8,
    decay_offset: Scalar = 0,
    multiply_by_parameter_scale: bool = True,
    min_scale: Scalar = 1e-3,
    clipping_threshold: Scalar | None = 1.0,
    momentum: ScheduledScalar | None = None,
    weight_decay: ScheduledScalar = 0.0,
    scale_decay: bool = True,
    eps: Scalar = 1e-30,
    mask: Selection = None,
):
    """u = g / sqrt(R C / mean(R));  u = u / max(1, rms(u) / threshold);  update = -learning_rate max(rms(w), 1e-3) u.

    R = b R + (1-b) mean of g^2 + eps over columns and C the same over rows, with b = 1 - t^-decay_rate, t = 1 for the
    first step: a matrix of r by c costs r + c numbers. The two greatest axes are factored, the later one first where
    axes are equal; leaves without two axes of `min_dim_size_to_factor` keep the mean of every square.

    Args:
        learning_rate: number >= 0, array, or schedule of the step; None for 1. With the parameter's scale it is the
            share of its size by which a parameter moves: 1e-2 is common.
        min_dim_size_to_factor: the least size of both axes of a leaf that is factored; None keeps the mean of every
            square for all leaves.
        decay_rate: in (0, 1], how the means come to forget more slowly.
        decay_offset: steps not to be counted in t, when training goes on from a state.
        multiply_by_parameter_scale: whether a step is in proportion to rms(w).
        min_scale: the least rms a leaf is taken to have, so that weights that begin at 0 can move.
        clipping_threshold: the greatest rms of u; None for any.
        momentum: in [0, 1), the step is a mean of steps: number or schedule of the step; None keeps none.
        weight_decay: decay, of the leaves that `mask` means: number or schedule of the step.
        scale_decay: False takes the decay off as it is, not multiplied by the learning rate.
        eps: added to every square.
        mask: which leaves decay: path patterns, or `(name, leaf) -> bool`; None for all of them.

    Peers: as optax, which says `factored=False` for no factors and takes its weight_decay_rate off as it is,
        `scale_decay=False`. PyTorch factors the last two axes of every leaf that has two, bounds sqrt(v) instead of
        adding eps, takes min(learning_rate, 1/sqrt(t)) as the rate and decays by 1e-2; Keras takes that minimum too, by
        default.

    Source: Shazeer and Stern 2018.

    Raises:
        InputError: a number is out of range, a pattern means no leaf, or `params` is missing in the update.
    """
    if learning_rate is not None:
        check_learning_rate("adafactor", learning_rate)
    if min_dim_size_to_factor is not None:
        check_integer("adafactor", "min_dim_size_to_factor", min_dim_size_to_factor, 1)
    check_range("adafactor", "decay_rate", decay_rate, 0, 1, open_low=True)
    check_count("adafactor", "decay_offset", decay_offset, -MOST_STEPS)
    if clipping_threshold is not None:
        check_range("adafactor", "clipping_threshold", clipping_threshold, 0, open_low=True)
    if momentum is not None:
        check_decay_rates("adafactor", momentum=momentum)
    check_not_negative("adafactor", min_scale=min_scale, weight_decay=weight_decay, eps=eps)
    check_selection("adafactor", "mask", mask)

    def axes_of(p):
        return None if min_dim_size_to_factor is None else _factored_axes(p.shape, min_dim_size_to_factor)

    def init(params):
        check_selection("adafactor", "mask", mask, params)

        def empty(p):
            axes, dtype = axes_of(p), wide_dtype(p.dtype)
            sizes = [p.shape] if axes is None else [p.shape[:a] + p.shape[a + 1 :] for a in axes]
            return tuple(jnp.zeros(size, dtype) for size in sizes)

        mu = None if momentum is None else zeros_like(params)
        return AdafactorState(jnp.zeros((), jnp.int32), mu, jax.tree.map(empty, params))

    def update(grads, state, params):
        check_given("adafactor", "params", params, "their scale is the step's")
        rate = value_at(1.0 if learning_rate is None else learning_rate, state.step)
        counted = jnp.maximum(minus(next_step(state.step), decay_offset), 1)

        def squares(g, nu):
            fresh = counted.astype(g.dtype) ** -jnp.asarray(decay_rate, g.dtype)
            floor = jnp.maximum(jnp.asarray(eps, g.dtype), jnp.finfo(g.dtype).tiny)
            axes = axes_of(g)
            # Not so great that the sum of all is infinite: a row's share of it would be NaN.
            square = jnp.minimum(g * g, jnp.finfo(g.dtype).max / max(g.size, 1))
            moments = (square,) if axes is None else tuple(jnp.mean(square, axis) for axis in axes)
            return tuple((1 - fresh) * old + fresh * (new + floor) for old, new in zip(nu, moments, strict=True))

        def scaled(g, nu, p):
            u = _over_rms(g, nu, axes_of(g))
            factor = rate.astype(u.dtype)
            if clipping_threshold is not None:
                over = _rms(u) / jnp.asarray(clipping_threshold, u.dtype)
                factor = factor / jnp.maximum(over, 1)
            if multiply_by_parameter_scale:
                factor = factor * jnp.maximum(_rms(p), jnp.asarray(min_scale, u.dtype))
            return factor * u

        def taken(u, p, decays):
            if decays:
                share = jnp.asarray(weight_decay, u.dtype) * (rate.astype(u.dtype) if scale_decay else 1)
                u = u + share * p.astype(u.dtype)
            return -u.astype(p.dtype)

        grads = bounded(grads)
        nu = jax.tree.map(squares, grads, state.nu)
        mu = steps = jax.tree.map(scaled, grads, nu, params)
        if momentum is not None:
            share = momentum
            mu = steps = jax.tree.map(lambda m, u: ema_update(share, m, u), state.mu, steps)
        updates = jax.tree.map(taken, steps, params, selected("adafactor", "mask", mask, params))
        return updates, AdafactorState(next_step(state.step), None if momentum is None else mu, nu)

    return init, update


def _factored_axes(shape: tuple[int, ...], min_size: int) -> tuple[int, int] | None:
    """The greatest axis and the second; None where the second is too small to be worth it."""
    if len(shape) < 2:
        return None
    second, first = (int(axis) for axis in np.argsort(shape, kind="stable")[-2:])
    return (first, second) if shape[second] >= min_size else None


def _over_rms(g: Array, nu: tuple[Array, ...], axes: tuple[int, int] | None) -> Array:
    """g over the root of its squares' mean; of rank one where they are kept by rows and columns."""
    if axes is None:
        return g / jnp.sqrt(nonzero(nu[0]))
    first, second = axes
    rows, columns = nu
    within = second - (second > first)  # the second axis, where the first is gone
    rows = rows / nonzero(capped(jnp.mean(rows, within, keepdims=True)))
    rows, columns = nonzero(rows), nonzero(columns)
    return g * lax.expand_dims(1 / jnp.sqrt(rows), (first,)) * lax.expand_dims(1 / jnp.sqrt(columns), (second,))


def _rms(leaf: Array) -> Array:
    return leaf_norm(leaf) / max(leaf.size, 1) ** 0.5
