"""What an ensemble knows: its prediction, and how much of the uncertainty is noise in the data and how much ignorance.

The members' axis comes first, as `vmap` over runs gives it; `axis=1` for a model with members inside, such as `tabm`.
Aleatoric uncertainty is the members' own and stays however many examples there are. Epistemic uncertainty is their
disagreement and shrinks with examples: a row unlike all training rows shows there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_floating, fail
from jaxann.core.logits import log_mean_exp, log_softmax
from jaxann.core.reading import read_array
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["Classification", "Mixture", "Regression", "classify", "mixture", "regress"]


class Classification(NamedTuple):
    """What an ensemble says about the classes of some rows; entropies in nats, from 0 to log(classes)."""

    probabilities: Array  # (..., classes), mean of the members' probabilities
    entropy: Array  # (...), H[mean p], all the uncertainty
    aleatoric: Array  # (...), mean H[p], uncertainty within the members
    epistemic: Array  # (...), entropy - aleatoric, the mutual information of class and member
    agreement: Array  # (...), share of members whose class is the ensemble's, in [0, 1]


class Regression(NamedTuple):
    """What an ensemble says about numbers."""

    mean: Array
    std: Array  # sample standard deviation over the members (n - 1)


class Mixture(NamedTuple):
    """What an ensemble says whose members predict a mean and a variance; the whole variance is the sum of the two."""

    mean: Array
    aleatoric: Array  # mean of the members' variances
    epistemic: Array  # variance of the members' means (n)


def classify(logits: Any, *, axis: int = 0) -> Classification:
    """Mean probabilities of an ensemble of classifiers, and their uncertainty split in two.

        p = mean_k p_k,  p_k = softmax(z_k);   H[p] = mean_k H[p_k] + mean_k KL(p_k || p),   H[p] = -sum p log p

    The last term, the disagreement, is computed as it stands and not as a difference of two entropies, so that it keeps
    its digits when the members nearly agree; it is never negative.

    Args:
        logits: `(members, ..., classes)`, floating point. For binary logits z of one output stack (0, z).
        axis: where the members are.

    Returns:
        A `Classification` of arrays `(...)`, in float32 or better; finite for every finite logit.

    Source: Lakshminarayanan et al. 2017 (deep ensembles); Depeweg et al. 2018 (the split).

    Raises:
        InputError: logits are not floating point, or have no axes of members and classes.
    """
    z = _members_first("classify", "logits", logits, axis, smallest=2, members=1)
    log_p = log_softmax(z)
    p = jnp.exp(log_p)
    log_mean = log_mean_exp(log_p, 0)
    mean = jnp.exp(log_mean)
    surprise = jnp.where(p == 0, 0, log_p - jnp.broadcast_to(log_mean, z.shape))  # -inf - -inf for a class ruled out
    epistemic = jnp.maximum(jnp.mean(jnp.sum(p * surprise, -1), 0), 0)
    chosen = jnp.argmax(mean, -1)
    votes = jnp.argmax(z, -1) == jnp.broadcast_to(chosen, z.shape[:-1])
    return Classification(
        probabilities=mean,
        entropy=_entropy(mean, log_mean),
        aleatoric=jnp.mean(_entropy(p, log_p), 0),
        epistemic=epistemic,
        agreement=jnp.mean(votes.astype(z.dtype), 0),
    )


def regress(predictions: Any, *, axis: int = 0) -> Regression:
    """Mean of an ensemble's predictions and their standard deviation over the members, with n - 1.

    The deviation is the epistemic uncertainty alone: members that predict a number say nothing of the noise around it.

    Args:
        predictions: `(members, ...)`, floating point, two members or more.
        axis: where the members are.

    Returns:
        A `Regression` of arrays `(...)`, in float32 or better.

    Source: Lakshminarayanan et al. 2017.

    Raises:
        InputError: predictions are not floating point, or of fewer than two members.
    """
    y = _members_first("regress", "predictions", predictions, axis, smallest=1, members=2)
    return Regression(jnp.mean(y, 0), jnp.std(y, 0, ddof=1))


def mixture(means: Any, variances: Any, *, axis: int = 0) -> Mixture:
    """Mean and variance of an even mixture of the members' distributions, by the law of total variance.

        mean = mean_k m_k,   variance = mean_k v_k (aleatoric) + mean_k (m_k - mean)^2 (epistemic)

    The members are the whole mixture and not a sample of it, so the second term divides by n; `regress` estimates what
    further members would do, and divides by n - 1.

    Args:
        means: m_k, `(members, ...)`, floating point.
        variances: v_k, same shape; not standard deviations and not their logarithms.
        axis: where the members are.

    Returns:
        A `Mixture` of arrays `(...)`, in float32 or better.

    Source: Lakshminarayanan et al. 2017.

    Raises:
        InputError: the two are not floating point, or their shapes differ.
    """
    if np.shape(means) != np.shape(variances):
        fail("mixture", "variances", f"of the means' shape {np.shape(means)}", f" shape {np.shape(variances)}")
    m = _members_first("mixture", "means", means, axis, smallest=1, members=1)
    v = _members_first("mixture", "variances", variances, axis, smallest=1, members=1)
    return Mixture(jnp.mean(m, 0), jnp.mean(v, 0), jnp.var(m, 0))


def _entropy(p: Array, log_p: Array) -> Array:
    return -jnp.sum(p * jnp.where(p == 0, 0, log_p), -1)


def _members_first(function: str, argument: str, value: Any, axis: int, *, smallest: int, members: int) -> Array:
    """The array with its members' axis first, in float32 or better."""
    value = value if isinstance(value, jax.Array) else read_array(function, argument, value)
    check_floating(function, argument, value)
    if value.ndim < smallest or not -value.ndim <= axis < value.ndim:
        expected = "of shape (members, ..., classes)" if smallest > 1 else "of shape (members, ...)"
        fail(function, argument, f"{expected} with members at axis {axis}", f" shape {value.shape}")
    if value.shape[axis] < members:
        fail(function, argument, f"of at least {members} members", f" {value.shape[axis]} at axis {axis}")
    array = jnp.moveaxis(jnp.asarray(value), axis, 0)
    return array.astype(wide_dtype(array.dtype))
