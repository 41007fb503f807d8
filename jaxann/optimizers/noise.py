"""Noise on the gradient."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.products import Optimizer
from jaxann.core.trees import map_named, wide_dtype
from jaxann.core.typing import Array, Scalar
from jaxann.optimizers.base import check_given
from jaxann.optimizers.counting import next_step

__all__ = ["NoiseState", "add_noise"]


class NoiseState(NamedTuple):
    """State of `add_noise`."""

    step: Array  # int32 (), updates made so far


@factory(Optimizer, traits=("finite_updates",))
def add_noise(eta: Scalar, *, gamma: Scalar = 0.55):
    """g + sqrt(eta / t^gamma) z,  z ~ N(0, 1) for every number;  t = 1 for the first step.

    The randomness is the `key` given to the update, so that every run, and every member of a population, has noise of
    its own. It is folded with the step and with each leaf's name: freezing one leaf changes no other leaf's noise.

    Args:
        eta: variance of the first step's noise, >= 0.
        gamma: how fast the variance falls, >= 0.

    Peers: as optax, which keeps a key of its own in the state and has no default for gamma; PyTorch and Keras have
    none.

    Source: Neelakantan et al. 2015.

    Raises:
        InputError: a number is out of range, or `key` is missing in the update.
    """
    check_range("add_noise", "eta", eta, 0)
    check_range("add_noise", "gamma", gamma, 0)

    def init(params):
        return NoiseState(jnp.zeros((), jnp.int32))

    def update(grads, state, params, *, key=None):
        check_given("add_noise", "key", key, "the noise is drawn from it")
        assert key is not None
        own = jax.random.fold_in(fold_name(key, "add_noise"), state.step)

        def one(name, g):
            dtype = wide_dtype(g.dtype)
            t = next_step(state.step).astype(dtype)
            deviation = jnp.sqrt(jnp.asarray(eta, dtype)) * t ** (-jnp.asarray(gamma, dtype) / 2)
            z = jax.random.normal(fold_name(own, name), g.shape, dtype)
            return (g.astype(dtype) + deviation * z).astype(g.dtype)

        return map_named(one, grads), NoiseState(next_step(state.step))

    return init, update
