"""The table of losses: from dC/d(values of the loss) to dC/dpredictions.

An entry is a function `pull(g, predictions, targets, **settings) -> dC/dpredictions`, g having the shape of the loss's
values. A loss of each number by itself gives `g * slope`; one whose last axis (or axes) belong to one value gives each
row of slopes its g; a loss of a whole batch (pairs, triplets) has a formula of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop import (
    deltas_batch,
    deltas_ctc,
    deltas_labels,
    deltas_laws,
    deltas_numbers,
    deltas_pairs,
    deltas_robust,
    deltas_scores,
)
from jaxann.core.binding import bound
from jaxann.core.checks import fail
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["LOSSES", "loss_pull", "loss_rule"]

F = TypeVar("F", bound=Callable[..., Any])
Pull = Callable[..., Array]


def _formula(slope: Callable[..., Array], *, whole: bool = False) -> Pull:
    """The entry of a formula: computed in float32 or better, given in the dtype of the predictions.

    Args:
        slope: the slopes `(predictions, targets, **settings)`, or with `whole` the pull itself.
        whole: whether it takes g as its first argument.
    """

    def pull(g: Array, predictions: Array, targets: Any, **settings: Any) -> Array:
        wide = wide_dtype(predictions.dtype)
        targets = jnp.asarray(targets)
        if not jnp.issubdtype(targets.dtype, jnp.integer):
            targets = targets.astype(wide)
        elif targets.dtype.itemsize < 4:
            targets = targets.astype(jnp.int32)  # int8 cannot count 300 classes
        p, g = predictions.astype(wide), g.astype(wide)
        if whole:
            return slope(g, p, targets, **settings).astype(predictions.dtype)
        slopes = slope(p, targets, **settings)
        return (lax.expand_dims(g, range(g.ndim, slopes.ndim)) * slopes).astype(predictions.dtype)

    return pull


def _each_member(g: Array, loss: Callable, predictions: Array, targets: Any) -> Array:
    """values[:, k] = the mean of loss(predictions[:, k], targets) over what an example has: each member its own."""
    inner, args, settings = loss_pull(loss)

    def own(g: Array, predictions: Array) -> Array:
        values = jax.eval_shape(loss, predictions, targets)
        each = values.size // max(values.shape[0], 1)
        upper = lax.expand_dims(g / each, range(1, len(values.shape)))
        return inner(jnp.broadcast_to(upper, values.shape), *args, predictions, targets, **settings)

    return jax.vmap(own, in_axes=1, out_axes=1)(g, predictions)


_MEMBERS = bound(losses.each_member(losses.half_squared_error))[0]
_FAMILIES = (deltas_ctc, deltas_labels, deltas_laws, deltas_numbers, deltas_pairs, deltas_robust, deltas_scores)
LOSSES: dict[Callable, Pull] = {
    **{getattr(losses, name): _formula(slope) for family in _FAMILIES for name, slope in family.SLOPES.items()},
    **{getattr(losses, name): _formula(pull, whole=True) for name, pull in deltas_batch.PULLS.items()},
    _MEMBERS: _each_member,
}


def loss_rule(loss: Callable) -> Callable[[F], F]:
    """Decorate the backward rule of a loss of your own, `pull(g, predictions, targets, **settings) -> dC/dpredictions`.

        @ja.backprop.loss_rule(cubic_error)
        def cubic_error_back(g, predictions, targets):
            return g * 3 * (predictions - targets) ** 2

    Args:
        loss: `(predictions, targets) -> values`. What `functools.partial` binds to it by name comes to the rule as
            `settings`.

    g has the shape of the values and holds dC/d(each of them): all weights and factors of the mean are in it.

    Raises:
        InputError: it is no function.
    """
    if not callable(loss):
        fail("backprop.loss_rule", "loss", "a function (predictions, targets) -> values", loss)

    def enter(pull: F) -> F:
        LOSSES[bound(loss)[0]] = pull
        return pull

    return enter


def loss_pull(loss: Any, verb: str = "backprop.backward") -> tuple[Pull, tuple, dict[str, Any]]:
    """The entry of a loss, and what is bound to it.

    Raises:
        InputError: it is no function, or has no entry.
    """
    if isinstance(loss, str) or not callable(loss):
        fail(verb, "loss", "a function (predictions, targets) -> values", loss)
    inner, args, settings = bound(loss)
    pull = LOSSES.get(inner) if isinstance(inner, Hashable) else None
    if pull is None:
        hint = "Write its rule: @ja.backprop.loss_rule(loss) over pull(g, predictions, targets) -> dC/dpredictions."
        name = getattr(inner, "__qualname__", None) or repr(inner)
        fail(verb, "loss", "one that has a backward rule", f" {name}", hint=hint)
    for part in args:
        if callable(part):  # the loss that each_member makes its own of
            loss_pull(part, verb)
    return pull, args, settings
