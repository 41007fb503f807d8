"""The cost and its derivative by the predictions: where every backward pass begins.

    C = sum_i w_i l_i / sum_i w_i,   l_i the mean of example i's values

which is the mean that training minimizes: what a loss says about the weight of its targets (class weights, labels to be
ignored) counts in both sums, and an example of weight 0 is left out. Where each value has a weight of its own, and
where targets are `Padded`, so that positions of a sequence count 1 or 0, the sums run over the values:

    C = sum_v w_v v / sum_v w_v
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.backprop.registry import loss_vjp
from jaxann.core.augmentation import Mixed
from jaxann.core.checks import fail
from jaxann.core.padding import is_padded, zero_padding
from jaxann.core.typing import Array, Loss, Targets
from jaxann.losses import target_weights
from jaxann.losses.places import keeps_to_places

__all__ = ["cost_and_gradient"]


class _Sums(NamedTuple):
    """What the examples have of a cost."""

    sums: Array  # (batch,), of each example's values, or their mean
    counts: Array | None  # (batch,), what it counts for; None where each counts 1
    vjp: Callable[[Array], Any]  # from dC/dsums to dC/dpredictions


def cost_and_gradient(
    loss: Loss, predictions: Any, targets: Targets, weights: Array | None = None
) -> tuple[Array, Any]:
    """`(C, G)`: the cost and dC/dpredictions.

    With T = sum_i w_i (of the targets' own weights too) every value v of example i has dC/dv = w_i / T, or
    w_i / (T values an example) where an example counts once with their mean. The rules of the losses have the rest.

    Args:
        loss: a function that has a rule, settings bound to it by `functools.partial` or not.
        predictions: the model's output.
        targets: as the loss takes them; `Padded`, of which the real positions count; or `Mixed`, the weighted mean of
            the costs of both.
        weights: `(batch,)`, or of the shape of the loss's values, or None for ones.

    Raises:
        InputError: the loss has no rule, is a mean already, or does not fit the shapes.
    """
    weights = None if weights is None else jnp.asarray(_array(weights))
    by_value = weights is not None and weights.ndim > 1
    left_in = None if weights is None else _left_in(loss, predictions, targets, weights)
    if left_in is not None:  # what an example of weight 0 holds may overflow, and infinity times 0 is not 0
        predictions, targets = _left_out(predictions, left_in), _left_out(targets, left_in)
    sums, counts, vjp = _example_sums(loss, predictions, targets, weights if by_value else None)
    if weights is None or by_value:
        total = jnp.asarray(sums.shape[0], sums.dtype) if counts is None else jnp.sum(counts)
        cost, by_sum = jnp.sum(sums), jnp.ones_like(sums)
    else:
        if weights.shape != sums.shape:
            fail("loss", "weights", f"one for each example {sums.shape}", f" shape {weights.shape}")
        by_sum = weights.astype(sums.dtype)
        total = jnp.sum(by_sum if counts is None else by_sum * counts)
        cost = jnp.sum(jnp.where(by_sum == 0, 0, by_sum * sums))
    total = jnp.where(total == 0, 1, total)
    gradient = vjp(by_sum / total)
    return cost / total, gradient if left_in is None else _left_out(gradient, left_in)


def _left_in(loss: Loss, predictions: Any, targets: Targets, weights: Array) -> Array:
    """Where something counts: of weights of values each of them, if the loss looks at its own place alone."""
    counts = weights != 0
    targets = targets.values if is_padded(targets) else targets
    if weights.ndim < 2 or keeps_to_places(loss, predictions, targets, weights.shape):
        return counts
    return jnp.any(counts, tuple(range(1, counts.ndim)))


def _left_out(tree: Any, left_in: Array) -> Any:
    """0 where nothing has a weight; what does not fit is left for the checks of shapes."""

    def one(leaf: Any) -> Any:
        return zero_padding(_array(leaf), left_in) if np.shape(leaf)[: left_in.ndim] == left_in.shape else leaf

    return jax.tree.map(one, tree)


def _example_sums(loss: Loss, predictions: Any, targets: Targets, weights: Array | None) -> _Sums:
    """The sums of each example; `weights`: of each value."""
    if isinstance(targets, Mixed):
        return _mixed(loss, predictions, targets, weights)
    mask = jnp.asarray(targets.mask) if is_padded(targets) else None
    if mask is not None:
        predictions, targets = _without_padding(predictions, mask), _without_padding(targets.values, mask)
    rule, args, settings = loss_vjp(loss)
    targets = targets if _is_tree(targets) else _array(targets)
    values = loss(predictions, targets)
    rows = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(targets)}
    if values.ndim == 0 or rows != {values.shape[:1]}:
        expected = f"one for each example {np.shape(jax.tree.leaves(targets)[0])[:1]}"
        hint = "A loss never averages; the cost is the weighted mean."
        fail("loss", "values", expected, f" shape {values.shape}", hint=hint)
    counts = target_weights(loss, targets)
    own = _weights_of_values(values, weights, mask)
    if own is not None:
        values = jnp.where(own == 0, 0, own * values)
        counts = own if counts is None else own * jnp.broadcast_to(counts.astype(values.dtype), values.shape)
    each = math.prod(values.shape[1:])
    by_example = (values.shape[0], each)

    def vjp(by_sum: Array) -> Any:
        share = by_sum if counts is not None or values.ndim < 2 else by_sum / each
        g = jnp.broadcast_to(lax.expand_dims(share, range(1, values.ndim)), values.shape)
        return rule(g if own is None else g * own, *args, predictions, targets, **settings)

    if counts is not None:
        counts = jnp.broadcast_to(counts.astype(values.dtype), values.shape)
        return _Sums(jnp.sum(values.reshape(by_example), -1), jnp.sum(counts.reshape(by_example), -1), vjp)
    return _Sums(jnp.mean(values.reshape(by_example), -1) if values.ndim > 1 else values, None, vjp)


def _without_padding(tree: Any, mask: Array) -> Any:
    return jax.tree.map(lambda leaf: zero_padding(jnp.asarray(leaf), mask), tree)


def _is_tree(targets: Any) -> bool:
    """Whether targets are several arrays; a list of numbers is one."""
    return isinstance(targets, dict) or (isinstance(targets, tuple) and all(map(np.shape, targets)))


def _array(targets: Any) -> Any:
    return targets if isinstance(targets, jax.Array) else np.asarray(targets)


def _weights_of_values(values: Array, weights: Array | None, mask: Array | None) -> Array | None:
    """What each value is multiplied by, beside what the loss does itself; None for 1."""
    own = None
    if weights is not None:
        if weights.shape != values.shape:
            expected = f"one for each example {values.shape[:1]}, or for each value of the loss {values.shape}"
            fail("loss", "weights", expected, f" shape {weights.shape}")
        own = weights.astype(values.dtype)
    if mask is not None:
        if values.shape[:2] != mask.shape:
            fail("loss", "values", f"one or more for each position {mask.shape} of Padded targets",
                 f" shape {values.shape}")  # fmt: skip
        real = jnp.broadcast_to(lax.expand_dims(mask.astype(values.dtype), range(2, values.ndim)), values.shape)
        own = real if own is None else own * real
    return own


def _mixed(loss: Loss, predictions: Any, targets: Mixed, weights: Array | None) -> _Sums:
    """s l(first) + (1 - s) l(second) for each example: the rule of each loss gets its share of the gradient."""
    sums, counts, vjp = _example_sums(loss, predictions, targets.first, weights)
    others, other_counts, other_vjp = _example_sums(loss, predictions, targets.second, weights)
    share = targets.share.astype(sums.dtype)
    if counts is not None and other_counts is not None:
        counts = share * counts + (1 - share) * other_counts
    whole = share == 1  # the other one is left out, also where it is not finite
    sums = jnp.where(whole, sums, share * sums + (1 - share) * jnp.where(whole, 0, others))

    def both(by_sum: Array) -> Any:
        first = vjp(by_sum * share)
        second = other_vjp(by_sum * (1 - share))
        return jax.tree.map(lambda a, b: a + zero_padding(b, ~whole), first, second)

    return _Sums(sums, counts, both)
