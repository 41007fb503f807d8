"""Cosines: half of one down, once or with restarts, whole ones that grow; and the three-part schedule of one decay."""

from __future__ import annotations

import numbers

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_choice, check_count, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Schedule
from jaxann.core.typing import Array, Scalar
from jaxann.schedules.base import (
    blend,
    counted,
    cycles,
    half_cosine,
    place_in_cycle,
    reached,
    real,
    share,
    since,
    together,
)

__all__ = ["cosine", "cosine_log", "cosine_restarts", "wsd"]


@factory(Schedule)
def cosine(
    peak: Scalar,
    steps: Scalar,
    *,
    warmup: Scalar = 0,
    start: Scalar = 0.0,
    end: Scalar = 0.0,
    exponent: Scalar = 1.0,
):
    """f(c) = end + (peak - end) ((1 + cos(pi p)) / 2)^exponent, p = (c - warmup) / (steps - warmup);
    start + (peak - start) c / warmup while c < warmup.

    Args:
        peak: greatest value, reached exactly at step `warmup`.
        steps: length of the whole schedule, warmup included; from there on the value is `end`.
        warmup: steps of the linear rise; 0 for none.
        start: value at step 0 when there is a warmup.
        end: last value, absolute (optax's `alpha` is the fraction end / peak).
        exponent: positive; above 1 the value falls earlier.

    Peers: as optax's warmup_cosine_decay_schedule and cosine_decay_schedule (alpha = end / peak); Keras' CosineDecay
    adds warmup_steps to decay_steps; PyTorch's CosineAnnealingLR rises again after its last step.

    Source: Loshchilov and Hutter 2017.

    Raises:
        InputError: steps < 1, warmup < 0, warmup > steps, or exponent <= 0.
    """
    check_range("cosine", "peak", peak)
    check_range("cosine", "start", start)
    check_range("cosine", "end", end)
    check_range("cosine", "exponent", exponent, 0, open_low=True)
    check_count("cosine", "steps", steps, 1)
    check_count("cosine", "warmup", warmup, 0)
    if isinstance(steps, numbers.Real) and isinstance(warmup, numbers.Real) and warmup > steps:
        fail("cosine", "warmup", f"at most steps ({steps})", warmup)

    def value(step):
        high, low, first = real(peak), real(end), real(start)
        now = since(step)
        climbing = first + (high - first) * real(now) / jnp.maximum(real(warmup), 1.0)
        length = real(since(counted(steps), warmup))
        p = jnp.clip(real(since(now, warmup)) / jnp.maximum(length, 1.0), 0.0, 1.0)
        falling = low + (high - low) * _raised(0.5 * (1.0 + jnp.cos(jnp.pi * p)), real(exponent))
        falling = jnp.where(p <= 0.0, high, falling)  # low + (high - low) is high in exact arithmetic only
        falling = jnp.where(p >= 1.0, low, falling)  # and cos(pi) is exactly -1
        return jnp.where(reached(now, warmup), jnp.where(reached(now, steps), low, falling), climbing)

    return value


@factory(Schedule)
def cosine_log(peak: Scalar, steps: Scalar, *, cycles: Scalar = 4):
    """f(c) = peak (1 - cos(2 pi log2(1 + (2^cycles - 1) t))) / 2, t = c / steps: waves from 0 to peak and back, each
    twice as long as the one before.

    The first waves are short trials at the whole rate, the last takes half of the steps.

    Args:
        peak: greatest value, in the middle of each wave on the scale of the logarithm.
        steps: length of the whole schedule; at step 0 and from there on the value is 0.
        cycles: how many waves, a whole number up to 30.

    Peers: coslog4 of pytabkit, which has 4 waves; PyTorch, Keras and optax have none by that name.

    Source: Holzmüller, Grinsztajn and Steinwart 2024.

    Raises:
        InputError: steps < 1, or cycles is no whole number from 1 to 30.
    """
    check_range("cosine_log", "peak", peak)
    check_count("cosine_log", "steps", steps, 1)
    check_count("cosine_log", "cycles", cycles, 1)
    check_range("cosine_log", "cycles", cycles, 1, 30)

    def value(step):
        now, doublings = since(step), real(cycles)
        wave = jnp.log1p((jnp.exp2(doublings) - 1.0) * share(now, steps)) / jnp.log(real(2.0))
        sine = jnp.sin(jnp.pi * (wave - lax.stop_gradient(jnp.round(wave))))  # a sine far from 0 has fewer digits
        return jnp.where(reached(now, steps), 0.0, real(peak) * sine * sine)

    return value


@factory(Schedule)
def cosine_restarts(peak: Scalar, period: Scalar, *, growth: Scalar = 1, end: Scalar = 0.0, decay: Scalar = 1.0):
    """f(c) = end + (peak decay^i - end) (1 + cos(pi t / T_i)) / 2, T_i = period growth^i,
    t the steps since cycle i began, i = floor(log_growth(1 + c (growth - 1) / period)).

    It never settles: after its last cycle comes another.

    Args:
        peak: value at step 0.
        period: length of the first cycle.
        growth: each cycle is so many times as long as the one before; at least 1.
        end: the value each cycle falls to.
        decay: each cycle's peak is so many times the one before; positive.

    Peers: as PyTorch's CosineAnnealingWarmRestarts (T_0, T_mult, eta_min; no decay); Keras' CosineDecayRestarts has
    t_mul 2 unless given, alpha = end / peak, and lets m_mul scale peak - end, not the peak; optax's sgdr_schedule takes
    a list of cycles.

    Source: Loshchilov and Hutter 2017.

    Raises:
        InputError: period < 1, growth < 1, or decay <= 0.
    """
    check_range("cosine_restarts", "peak", peak)
    check_count("cosine_restarts", "period", period, 1)
    check_range("cosine_restarts", "growth", growth, 1)
    check_range("cosine_restarts", "end", end)
    check_range("cosine_restarts", "decay", decay, 0, open_low=True)

    def value(step):
        now, low = since(step), real(end)
        number, place, length = _cycle(now, period, real(growth))
        high = real(peak) * jnp.power(real(decay), number)
        return blend(low, high, half_cosine(place / length))

    return value


def _cycle(step: Array, each: Scalar, growth: Array) -> tuple[Array, Array, Array]:
    """Number, steps since its first and length of the cycle that holds a step, cycles being each growth^i long."""
    grows, now, period = growth > 1.0, real(step), real(each)
    safe = jnp.where(grows, growth, 2.0)
    # Half a step is far more than the rounding of a boundary that is a whole number, and steps are whole.
    slack = jnp.minimum(0.5, 4 * jnp.finfo(now.dtype).eps * now)

    def power(i):
        found = jnp.power(safe, i)
        whole = found + lax.stop_gradient(jnp.round(found) - found)
        return jnp.where(safe == jnp.floor(safe), whole, found)

    def first(i):
        return period * (power(i) - 1.0) / (safe - 1.0)

    i = jnp.floor(jnp.log1p(now * (safe - 1.0) / period) / jnp.log(safe))
    i = jnp.maximum(jnp.where(first(i) > now + slack, i - 1.0, i), 0.0)
    i = jnp.where(first(i + 1.0) <= now + slack, i + 1.0, i)
    return (
        jnp.where(grows, i, cycles(step, each)),
        jnp.where(grows, now - first(i), real(place_in_cycle(step, each))),
        jnp.where(grows, period * power(i), period),
    )


@factory(Schedule)
def wsd(
    peak: Scalar,
    warmup: Scalar,
    stable: Scalar,
    decay: Scalar,
    *,
    start: Scalar = 0.0,
    end: Scalar = 0.0,
    shape: str = "linear",
):
    """f(c) = start + (peak - start) c / warmup, peak for `stable` steps, then end + (peak - end) s(p),
    s = 1 - p, 1 - sqrt(p) or (1 + cos(pi p)) / 2, p = (c - warmup - stable) / decay.

    Warmup, stable, decay: the length of the middle need not be known when training begins, for every decay branches
    off the same run.

    Args:
        peak: the value in the middle.
        warmup, stable, decay: steps of the three parts; warmup and stable may be 0.
        start: value at step 0 when there is a warmup.
        end: last value.
        shape: "linear", "1-sqrt" or "cosine".

    Peers: PyTorch, Keras and optax have none by that name; it is their join of a rise, a constant and a decay.

    Source: Hu et al. 2024 (MiniCPM); Hägele et al. 2024 (1-sqrt).

    Raises:
        InputError: a length is out of range, or the shape is unknown.
    """
    check_range("wsd", "peak", peak)
    check_count("wsd", "warmup", warmup, 0)
    check_count("wsd", "stable", stable, 0)
    check_count("wsd", "decay", decay, 1)
    check_range("wsd", "start", start)
    check_range("wsd", "end", end)
    check_choice("wsd", "shape", shape, ("linear", "1-sqrt", "cosine"))

    def value(step):
        now, high = since(step), real(peak)
        climbing = blend(real(start), high, share(now, warmup))
        p = share(since(now, together(warmup, stable)), decay)
        if shape == "1-sqrt":
            left = jnp.where(p > 0.0, 1.0 - jnp.sqrt(jnp.where(p > 0.0, p, 1.0)), 1.0)  # the slope of sqrt at 0
        else:
            left = half_cosine(p) if shape == "cosine" else 1.0 - p
        return jnp.where(reached(now, warmup), blend(real(end), high, left), climbing)

    return value


def _raised(share: Array, exponent: Array) -> Array:
    """share^exponent for share in [0, 1], with a finite slope at 0, and share itself for the exponent 1."""
    inside = share > 0.0
    power = jnp.where(inside, jnp.power(jnp.where(inside, share, 1.0), exponent), 0.0)
    return jnp.where(exponent == 1.0, share, power)
