"""The loss of an ensemble inside one network: every member answers for its own prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.binding import as_partial
from jaxann.core.checks import fail
from jaxann.core.typing import Array
from jaxann.losses.domains import domain_of, targets_in
from jaxann.losses.reduce import counted_targets, ignored_targets, labels_to_check, target_weights, weighed_by

__all__ = ["each_member"]


def each_member(loss: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """A loss of predictions with an axis of members: values[:, k] = loss(predictions[:, k], targets), for each member.

    The trainer averages what follows the batch axis, so it minimizes the mean of the members' own losses. (The loss of
    the members' mean prediction is another thing: it trains them to be good together and not each by itself.)

        fit(tabm((64, 10)), each_member(softmax_cross_entropy), ...)

    Args:
        loss: `(predictions, targets) -> values`, one or more an example; numbers, names and flags may be bound to it
            with `functools.partial`.

    Returns:
        A loss `(predictions, targets) -> values`: predictions `(batch, members, ...)`, targets `(batch, ...)` as one
        member has them, values `(batch, members)`, the mean over whatever more a member has for an example; its
        `target_weights` are `(batch, 1)`, the same for every member. It is a pytree: two of equal parts share one
        compiled program, and a number bound to the loss may change without compiling.

    Raises:
        InputError: loss is no function; or, when called, predictions have no axis of members, or a member's
            predictions do not fit the targets (as `loss` says it).
    """
    if isinstance(loss, str) or not callable(loss):
        fail("each_member", "loss", "a function (predictions, targets) -> values", loss)
    return jax.tree_util.Partial(_values, as_partial(loss))


def _member_weights(targets: Any, loss: Callable) -> Array | None:
    weights = target_weights(loss, targets)
    if weights is None or weights.ndim == 0:
        return None
    return jnp.mean(weights.reshape(weights.shape[0], -1), -1, keepdims=True)


def _member_labels(targets: Any, loss: Callable) -> Any:
    return labels_to_check(loss, targets)


def _member_ignored(targets: Any, loss: Callable) -> Array | None:
    return ignored_targets(loss, targets)


def _member_counted(targets: Any, loss: Callable) -> Any:
    return counted_targets(loss, targets)


@targets_in(domain_of)
@weighed_by(_member_weights, labels=_member_labels, ignored=_member_ignored, counted=_member_counted)
def _values(loss: Callable[[Array, Array], Array], predictions: Array, targets: Array) -> Array:
    if predictions.ndim < 2:
        fail("each_member", "predictions", "of shape (batch, members, ...)", f" shape {predictions.shape}")

    def own(predictions: Array) -> Array:
        values = loss(predictions, targets)
        if values.ndim == 0 or values.shape[0] != targets.shape[0]:
            expected = f"one for each example ({targets.shape[0]},)"
            fail("each_member", "values of the loss", expected, f" shape {values.shape}")
        return jnp.mean(values.reshape(values.shape[0], -1), -1) if values.ndim > 1 else values

    return jax.vmap(own, in_axes=1, out_axes=1)(predictions)
