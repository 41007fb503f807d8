"""The loss of several outputs by name: the heads of one network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import as_partial, bound
from jaxann.core.checks import check_range, fail
from jaxann.core.padding import Padded, zero_padding
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Loss, Scalar
from jaxann.losses.reduce import masked, target_weights, weighed_by

__all__ = ["Head", "by_head", "check_heads", "heads_of", "of_head"]


def by_head(losses: Mapping[str, Loss], *, weights: Mapping[str, Scalar] | None = None) -> Loss:
    """l_i = sum over the heads h of weight_h * (the mean of what head h's loss gives for example i).

        by_head({"digit": softmax_cross_entropy, "parity": sigmoid_cross_entropy}, weights={"parity": 0.5})

    Args:
        losses: a loss for each output by its name, such as those of `layers.branch`; numbers, names and flags may be
            bound to it with `functools.partial`.
        weights: what a head counts for, a number >= 0; 1 for one that is not named.

    Returns:
        A loss `(predictions, targets) -> values`: both dicts of these names, each entry as its loss takes it, values
        `(examples,)`. Where a head has several values an example, their mean counts, over the places that the loss
        does not ignore; 0 where there is none. Targets that are `Padded` count at their real positions alone. It is a
        pytree: two of equal losses share one compiled program, and a weight, or a
        number bound to a loss, may change without compiling.

    Peers: as Keras' compile(loss={...}, loss_weights={...}) for losses of one value an example; PyTorch and optax have
    none.

    Raises:
        InputError: losses are no functions by name, or a weight is negative or names no head; or, when called, an
            entry is missing (the message names it: `targets['parity']`), or does not fit its loss.
    """
    if not isinstance(losses, Mapping) or not losses:
        fail("by_head", "losses", "a dict from the name of a head to its loss", losses)
    for name, loss in losses.items():
        if not isinstance(name, str):
            fail("by_head", "each name", "a string", name)
        if isinstance(loss, str) or not callable(loss):
            fail("by_head", f"losses[{name!r}]", "a function (predictions, targets) -> values", loss)
    given = {} if weights is None else weights
    if not isinstance(given, Mapping):
        fail("by_head", "weights", "a dict from the name of a head to a number", given)
    for name, weight in given.items():
        if name not in losses:
            fail("by_head", "weights", f"of the heads {', '.join(map(repr, losses))}", f" {name!r}")
        check_range("by_head", f"weights[{name!r}]", weight, 0)
    order = sorted(losses)
    table = {name: as_partial(losses[name]) for name in order}
    return jax.tree_util.Partial(_values, table, {name: given.get(name, 1.0) for name in order})


def _each_counts_one(targets: Any, losses: Mapping[str, Callable], weights: Any) -> None:
    """What a place counts for inside a head is in the mean of its example."""


def _no_classes(targets: Any, losses: Mapping[str, Callable], weights: Any) -> None:
    """Labels of several heads, of which no one output is the score."""


def check_heads(function: str, names: Any, predictions: Any, targets: Any) -> None:
    """Both are dicts with an entry for each of the names.

    Raises:
        InputError: one is not; the message names the entry that is missing.
    """
    for argument, tree in (("predictions", predictions), ("targets", targets)):
        if not isinstance(tree, Mapping):
            fail(function, argument, f"a dict with the names {', '.join(map(repr, names))}",
                 f" shape {tree.shape}" if hasattr(tree, "shape") else tree)  # fmt: skip
        for name in names:
            if name not in tree:
                fail(function, f"{argument}[{name!r}]", "there, one for each head",
                     f" the names {', '.join(map(repr, tree)) or 'of nothing'}")  # fmt: skip


@weighed_by(_each_counts_one, labels=_no_classes)
def _values(losses: Mapping[str, Callable], weights: Mapping[str, Scalar], predictions: Any, targets: Any) -> Array:
    check_heads("by_head", losses, predictions, targets)
    total: Any = None
    for name, loss in losses.items():
        head = of_head(name, loss, predictions[name], targets[name])
        part = jnp.sum((head.values * head.shares).reshape(head.values.shape[0], -1), 1)
        if total is not None and part.shape != total.shape:
            expected = f"of {total.shape[0]} examples, as many as those of the other heads"
            fail("by_head", f"predictions[{name!r}]", expected, f" {part.shape[0]}")
        part = jnp.asarray(weights[name], part.dtype) * part
        total = part if total is None else total + part.astype(total.dtype)
    return total


def heads_of(loss: Callable) -> Mapping[str, Callable] | None:
    """The losses that a loss is made of, by the names of its heads; None for a loss of one output."""
    function, args, _ = bound(loss)
    return args[0] if function is _values else None


class Head(NamedTuple):
    """One head: what its loss was given, its values, and what each counts for in the mean of its example."""

    predictions: Array  # 0 where the mask is
    targets: Array
    values: Array
    shares: Array


def of_head(name: str, loss: Callable, predictions: Any, targets: Any) -> Head:
    """The values of one head, in float32 or better, and their shares, which add up to 1 for each example or are all 0.

    Raises:
        InputError: values, or a mask, do not fit.
    """
    mask = None
    if isinstance(targets, Padded):
        targets, mask = targets
    if isinstance(predictions, Padded):
        predictions, mask = predictions.values, predictions.mask if mask is None else mask
    if mask is not None:
        predictions, targets = masked(predictions, targets, where=mask)
    values = loss(predictions, targets)
    if values.ndim == 0 or values.shape[0] != np.shape(targets)[0]:
        expected = f"one for each example ({np.shape(targets)[0]},)"
        fail("by_head", f"values of losses[{name!r}]", expected, f" shape {values.shape}")
    values = values.astype(wide_dtype(values.dtype))
    own = target_weights(loss, targets)
    counts = jnp.ones(values.shape, values.dtype)
    if own is not None:
        counts = (jnp.broadcast_to(own, values.shape) != 0).astype(values.dtype)
    if mask is not None:
        if values.shape[: mask.ndim] != mask.shape:
            expected = f"of the mask's shape {mask.shape} in the first axes, for targets that are Padded"
            fail("by_head", f"values of losses[{name!r}]", expected, f" shape {values.shape}")
        counts, values = zero_padding(counts, mask), zero_padding(values, mask)
    number = jnp.sum(counts, tuple(range(1, counts.ndim)), keepdims=True)
    shares = counts / jnp.broadcast_to(jnp.maximum(number, 1), counts.shape)
    return Head(predictions, targets, values, shares)
