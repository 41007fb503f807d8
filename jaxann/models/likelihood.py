"""How likely examples are under a variational autoencoder: its bound, and the estimate by importance sampling."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_count, check_key, fail
from jaxann.core.keys import fold_name
from jaxann.core.logits import log_mean_exp
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Inputs, Key, Loss, Params, State, Targets

__all__ = ["elbo", "importance_log_likelihood"]


def elbo(
    model: Layer,
    params: Params,
    state: State,
    x: Inputs,
    key: Key,
    *,
    loss: Loss,
    targets: Targets | None = None,
    samples: int = 1,
) -> Array:
    """mean_k of log p(x | z_k) + log p(z_k) - log q(z_k | x), z_k ~ q(z | x): the evidence lower bound of each example.

    Args:
        model: of `layers.encode_sample_decode`, such as `models.variational_autoencoder`.
        params, state: of the model.
        x: examples, `(examples, ...)`.
        key: from which the codes are drawn.
        loss: the negative logarithm of p(x | z), as `losses.negative_elbo` was given it, summed over the features.
        targets: what the reconstruction is compared with; x when None.
        samples: codes drawn for each example.

    Returns:
        `(examples,)` in nats. It is a plain function of arrays: jit it.

    Source: Kingma and Welling 2014.

    Raises:
        InputError: the model has no encoder and decoder, or an argument is wrong.
    """
    weights = _log_weights("elbo", model, params, state, x, key, loss, targets, samples)
    return jnp.mean(weights, 0)


def importance_log_likelihood(
    model: Layer,
    params: Params,
    state: State,
    x: Inputs,
    key: Key,
    *,
    loss: Loss,
    targets: Targets | None = None,
    samples: int = 500,
) -> Array:
    """log p(x) estimated by log mean_k p(x | z_k) p(z_k) / q(z_k | x), z_k ~ q(z | x).

    In the mean it lies below log p(x), above the bound of `elbo`, and rises to log p(x) with more samples.

    Args:
        model, params, state, x, key, loss, targets: as of `elbo`.
        samples: codes drawn for each example.

    Returns:
        `(examples,)` in nats.

    Source: Burda, Grosse and Salakhutdinov 2016.

    Raises:
        InputError: as `elbo`.
    """
    weights = _log_weights("importance_log_likelihood", model, params, state, x, key, loss, targets, samples)
    return log_mean_exp(weights, 0)


def _log_weights(
    function: str,
    model: Layer,
    params: Params,
    state: State,
    x: Inputs,
    key: Key,
    loss: Loss,
    targets: Targets | None,
    samples: int,
) -> Array:
    """log p(x | z) + log p(z) - log q(z | x), `(samples, examples)`; one sample at a time."""
    check_key(function, key)
    check_count(function, "samples", samples, 1)
    if not {"encoder", "decoder"} <= set(model.children):
        fail(function, "model", "one with an encoder and a decoder", model)
    encoder, decoder = (model.children[name] for name in ("encoder", "decoder"))
    both = encoder.apply(params["encoder"], state["encoder"], x)[0]
    mean, log_variance = jnp.split(both, 2, -1)
    wanted = x if targets is None else targets

    def one(key: Key) -> Array:
        noise = jax.random.normal(fold_name(key, "sample"), mean.shape, mean.dtype)
        z = mean + jnp.exp(log_variance / 2) * noise
        found = decoder.apply(params["decoder"], state["decoder"], z)[0]
        missed = loss(found, wanted)
        gain = (noise * noise + log_variance - z * z) / 2  # log p(z) - log q(z | x)
        return -jnp.sum(missed, tuple(range(1, missed.ndim))) + jnp.sum(gain, tuple(range(1, gain.ndim)))

    return lax.map(one, jax.random.split(key, samples))
