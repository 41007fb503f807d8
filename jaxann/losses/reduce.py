"""The weighted mean of a loss's values, what each value counts for in it, and masks that leak nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.binding import bound
from jaxann.core.checks import check_host_leaves, fail
from jaxann.core.domains import check_known_weights
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Targets

__all__ = [
    "counted_targets",
    "ignored_targets",
    "labels_to_check",
    "masked",
    "mean",
    "target_weights",
    "weighed_by",
]

F = TypeVar("F", bound=Callable[..., Any])


def target_weights(loss: Callable, targets: Targets) -> Array | None:
    """What each value of a loss counts for in the mean, or None when each counts 1.

    A label that is ignored counts 0 and one with a class weight w counts w, so that the mean of a loss is

        C = sum(values) / sum(target_weights(loss, targets)).

    Args:
        loss: a loss, or one with arguments bound by `functools.partial` or `jax.tree_util.Partial`. (What a lambda
            has bound cannot be seen: each value counts 1.)
        targets: what the loss will be called with.

    Returns:
        An array of the values' shape (or with axes of length 1 in it), or None.
    """
    function, args, keywords = bound(loss)
    weigh = getattr(function, "weigh", None)
    return None if weigh is None else weigh(targets, *args, **keywords)


def labels_to_check(loss: Callable, targets: Targets) -> Targets | None:
    """Targets to be compared with the number of outputs; None when this loss takes no class numbers.

    A loss declares that it does; whole numbers as targets of any other are numbers (ages, counts).
    """
    function, args, keywords = bound(loss)
    labels = getattr(function, "labels", None)
    return None if labels is None else labels(targets, *args, **keywords)


def ignored_targets(loss: Callable, targets: Targets) -> Array | None:
    """Which targets a loss is told to ignore, for metrics to leave out too; None where it ignores none."""
    function, args, keywords = bound(loss)
    ignored = getattr(function, "ignored", None)
    return None if ignored is None else ignored(targets, *args, **keywords)


def counted_targets(loss: Callable, targets: Any) -> np.ndarray | None:
    """Which known targets count for something in a loss's mean, found on the host; None where all do."""
    function, args, keywords = bound(loss)
    counted = getattr(function, "counted", None)
    return None if counted is None else counted(targets, *args, **keywords)


def weighed_by(
    weigh: Callable[..., Any] | None = None,
    *,
    labels: Callable[..., Any] | None = None,
    ignored: Callable[..., Any] | None = None,
    counted: Callable[..., Any] | None = None,
) -> Callable[[F], F]:
    """Note at a loss how `target_weights`, `labels_to_check`, `ignored_targets` and `counted_targets` find theirs."""

    def note(loss: F) -> F:
        answers = {"weigh": weigh, "labels": labels, "ignored": ignored, "counted": counted}
        loss.__dict__.update({name: answer for name, answer in answers.items() if answer is not None})
        return loss

    return note


def mean(values: Array, *, where: Array | None = None, weights: Array | None = None) -> Array:
    """sum w m l / sum w m over all values l, m in {0, 1} the mask and w >= 0 the weights; 0 when the sum below is 0.

    A value that is masked, or has the weight 0, may be NaN or infinite: neither the mean nor its gradient by the
    values sees it. (The loss's own gradient may: 0 times infinity. `masked` takes care of that.)

    Args:
        values: of a loss, any shape.
        where: True for the values that count; the values' shape, or that of their leading axes.
        weights: as `where`; both may be given.

    Returns:
        A scalar in the values' dtype, summed in float32 or better; in float32 for flags and whole numbers.

    Raises:
        InputError: the mask or the weights do not fit the values, or a known weight is below 0 or not finite.
    """
    for argument, given in (("values", values), ("where", where), ("weights", weights)):
        check_host_leaves("losses.mean", argument, given)
    check_known_weights("losses.mean", weights)
    values = jnp.asarray(values)
    if not jnp.issubdtype(values.dtype, jnp.inexact):
        values = values.astype(jnp.result_type(float))
    wide = values.astype(wide_dtype(values.dtype))
    counts = jnp.ones(values.shape, wide.dtype)
    for name, given in (("where", where), ("weights", weights)):
        if given is None:
            continue
        shape = np.shape(given)
        if shape != values.shape[: len(shape)]:
            fail("losses.mean", name, f"of the values' shape {values.shape} or its first axes", f" shape {shape}")
        factor = jnp.asarray(given).astype(bool if name == "where" else wide.dtype)
        factor = lax.expand_dims(factor, tuple(range(len(shape), values.ndim)))
        counts = counts * jnp.broadcast_to(factor, values.shape).astype(wide.dtype)
    total = jnp.sum(counts)
    summed = jnp.sum(counts * jnp.where(counts == 0, 0, wide))
    return (summed / jnp.where(total == 0, 1, total)).astype(values.dtype)


def masked(predictions: Array, targets: Array, *, where: Array) -> tuple[Array, Array]:
    """Predictions and targets with zeros where the mask is False, so that no NaN among them reaches a gradient.

        values = loss(*masked(predictions, targets, where=keep))
        mean(values, where=keep)

    Args:
        predictions, targets: of a loss.
        where: True for what counts; the shape of the first axes of both.

    Returns:
        Both, in their shapes and dtypes.

    Raises:
        InputError: the mask does not fit.
    """
    for argument, given in (("predictions", predictions), ("targets", targets), ("where", where)):
        check_host_leaves("losses.masked", argument, given)
    shape = np.shape(where)
    kept = []
    for name, value in (("predictions", predictions), ("targets", targets)):
        if np.shape(value)[: len(shape)] != shape:
            fail("losses.masked", "where", f"of the first axes of the {name} {np.shape(value)}", f" shape {shape}")
        value = jnp.asarray(value)
        keep = lax.expand_dims(jnp.asarray(where).astype(bool), tuple(range(len(shape), value.ndim)))
        kept.append(jnp.where(keep, value, jnp.zeros((), value.dtype)))
    return kept[0], kept[1]
