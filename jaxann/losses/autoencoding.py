"""Losses of autoencoders: what the reconstruction misses, and what the code costs.

Predictions are a dict, as `layers.encode_decode` and its kin give it; the targets are what `"reconstruction"` is
compared with, most often x itself. What a reconstruction loss gives is summed over everything but the examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.binding import as_partial
from jaxann.core.checks import check_choice, check_range, fail
from jaxann.core.domains import Domain
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Loss, Scalar
from jaxann.losses.domains import domain_of, targets_in
from jaxann.losses.terms import exp_less_tangent

__all__ = ["contractive", "gaussian_divergence", "mean_code", "negative_elbo", "sparse_code", "term_of_share"]


def negative_elbo(reconstruction: Loss, *, beta: Scalar = 1.0) -> Loss:
    """l_i = sum over the features of reconstruction(...) + beta KL_i,  KL = (m^2 + exp(s) - 1 - s) / 2 summed.

    With the reconstruction loss a negative log likelihood (`sigmoid_cross_entropy` of logits; `half_squared_error`, up
    to a constant, of a mean with variance 1) and beta 1 it is the negative of a lower bound of log p(x), in nats.

    Args:
        reconstruction: a loss of `predictions["reconstruction"]` and the targets.
        beta: >= 0; above 1 for a code whose numbers mean more by themselves (beta-VAE).

    Returns:
        A loss of predictions `{"reconstruction", "mean", "log_variance"}`, as `layers.encode_sample_decode` gives them;
        values `(examples,)`.

    Peers: none of PyTorch, Keras and optax has it.

    Source: Kingma and Welling 2014; beta: Higgins et al. 2017.

    Raises:
        InputError: the reconstruction is no loss, or beta is negative; or, when called, an entry is missing.
    """
    check_range("negative_elbo", "beta", beta, 0)
    return jax.tree_util.Partial(_elbo, _loss("negative_elbo", reconstruction), beta)


def sparse_code(reconstruction: Loss, *, weight: Scalar = 1e-3, share: Scalar = 0.05, kind: str = "kl") -> Loss:
    """l_i = sum over the features of reconstruction(...) + weight sum_j t_j,  t the cost of a code that is seldom 0.

    "l1": t_j = |h_ij|. "kl": t_j = KL(share || r_j) = p log(p / r_j) + (1 - p) log((1 - p) / (1 - r_j)), r_j the mean
    of code j over the batch: each unit answers a share p of the examples. It asks for a code in (0, 1), by a sigmoid.

    Args:
        reconstruction: a loss of `predictions["reconstruction"]` and the targets.
        weight: >= 0.
        share: p in (0, 1); "l1" has no use for it.
        kind: "kl" or "l1".

    Returns:
        A loss of predictions `{"reconstruction", "code"}`, as `layers.encode_decode` gives them; values `(examples,)`.
        With "kl" all examples of a batch have the same second term; examples that do not count are in no mean.

    Peers: none of PyTorch, Keras and optax has it.

    Source: Ng 2011 ("kl"); Olshausen and Field 1996 ("l1").

    Raises:
        InputError: an argument is wrong; or, when called, an entry is missing.
    """
    check_range("sparse_code", "weight", weight, 0)
    check_range("sparse_code", "share", share, 0, 1, open_low=True, open_high=True)
    check_choice("sparse_code", "kind", kind, ("kl", "l1"))
    inner = _loss("sparse_code", reconstruction)
    if kind == "l1":
        return jax.tree_util.Partial(_l1, inner, weight)
    return jax.tree_util.Partial(_share, inner, weight, share)


def contractive(reconstruction: Loss, *, weight: Scalar = 0.1) -> Loss:
    """l_i = sum over the features of reconstruction(...) + weight |dh/dx|^2 of example i.

    Args:
        reconstruction: a loss of `predictions["reconstruction"]` and the targets.
        weight: >= 0.

    Returns:
        A loss of predictions `{"reconstruction", "contraction"}`, as `layers.contractive_encode_decode` gives them;
        values `(examples,)`.

    Peers: none of PyTorch, Keras and optax has it.

    Source: Rifai et al. 2011.

    Raises:
        InputError: an argument is wrong; or, when called, an entry is missing.
    """
    check_range("contractive", "weight", weight, 0)
    return jax.tree_util.Partial(_contraction, _loss("contractive", reconstruction), weight)


def gaussian_divergence(mean: Array, log_variance: Array) -> Array:
    """KL(N(m, exp s) || N(0, 1)) = (m^2 + exp(s) - 1 - s) / 2 of each number, >= 0."""
    near = jnp.abs(log_variance) < 0.5
    small = exp_less_tangent(jnp.where(near, log_variance, 0))
    return (mean * mean + jnp.where(near, small, jnp.exp(log_variance) - 1 - log_variance)) / 2


def mean_code(code: Array, where: Array | None) -> tuple[Array, Array]:
    """The mean of each number of the code over the examples that count, held inside of (0, 1), and their count."""
    rows = code.reshape(code.shape[0], -1)
    counted = jnp.ones(rows.shape[:1], rows.dtype) if where is None else where.astype(rows.dtype)
    number = jnp.maximum(jnp.sum(counted), 1)
    kept = jnp.where(jnp.expand_dims(counted, 1) > 0, rows, 0)
    tiny = jnp.finfo(rows.dtype).eps
    return jnp.clip(jnp.sum(kept, 0) / number, tiny, 1 - tiny), number


def term_of_share(share: Array, means: Array) -> Array:
    """KL(share || mean) of each number of the code."""
    return share * jnp.log(share / means) + (1 - share) * jnp.log((1 - share) / (1 - means))


def _loss(function: str, reconstruction: Any) -> Callable:
    if isinstance(reconstruction, str) or not callable(reconstruction):
        fail(function, "reconstruction", "a loss (predictions, targets) -> values", reconstruction)
    return as_partial(reconstruction)


def _inner_domain(reconstruction: Callable, *others: Any, **settings: Any) -> Domain | None:
    return domain_of(reconstruction)


def _read(function: str, predictions: Any, names: tuple[str, ...]) -> list[Array]:
    """Entries of the predictions, in float32 or better."""
    found = []
    for name in names:
        if not isinstance(predictions, Mapping) or name not in predictions:
            got = f" {list(predictions)}" if isinstance(predictions, Mapping) else predictions
            fail(function, "predictions", f"a dict with an entry {name!r}", got)
        found.append(predictions[name].astype(wide_dtype(predictions[name].dtype)))
    return found


def _missed(function: str, reconstruction: Callable, predictions: Any, targets: Any) -> Array:
    """What the reconstruction misses, summed over everything but the examples."""
    _read(function, predictions, ("reconstruction",))
    values = reconstruction(predictions["reconstruction"], targets)
    if values.ndim == 0:
        fail(function, "values of the reconstruction", "one or more for each example", " shape ()")
    return _summed(values.astype(wide_dtype(values.dtype)))


def _summed(values: Array) -> Array:
    return jnp.sum(values, tuple(range(1, values.ndim)))


@targets_in(_inner_domain)
def _elbo(reconstruction: Callable, beta: Scalar, predictions: Any, targets: Any) -> Array:
    missed = _missed("negative_elbo", reconstruction, predictions, targets)
    mean, log_variance = _read("negative_elbo", predictions, ("mean", "log_variance"))
    cost = _summed(gaussian_divergence(mean, log_variance))
    return missed + jnp.asarray(beta, missed.dtype) * cost.astype(missed.dtype)


@targets_in(_inner_domain)
def _l1(reconstruction: Callable, weight: Scalar, predictions: Any, targets: Any) -> Array:
    missed = _missed("sparse_code", reconstruction, predictions, targets)
    (code,) = _read("sparse_code", predictions, ("code",))
    return missed + jnp.asarray(weight, missed.dtype) * _summed(jnp.abs(code)).astype(missed.dtype)


@targets_in(_inner_domain)
def _share(
    reconstruction: Callable,
    weight: Scalar,
    share: Scalar,
    predictions: Any,
    targets: Any,
    *,
    where: Array | None = None,
) -> Array:
    missed = _missed("sparse_code", reconstruction, predictions, targets)
    (code,) = _read("sparse_code", predictions, ("code",))
    cost = jnp.sum(term_of_share(jnp.asarray(share, code.dtype), mean_code(code, where)[0]))
    return missed + jnp.broadcast_to(jnp.asarray(weight, missed.dtype) * cost.astype(missed.dtype), missed.shape)


@targets_in(_inner_domain)
def _contraction(reconstruction: Callable, weight: Scalar, predictions: Any, targets: Any) -> Array:
    missed = _missed("contractive", reconstruction, predictions, targets)
    (contraction,) = _read("contractive", predictions, ("contraction",))
    return missed + jnp.asarray(weight, missed.dtype) * contraction.astype(missed.dtype)
