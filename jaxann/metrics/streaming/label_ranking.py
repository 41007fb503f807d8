"""Figures of the order of scores for several labels an example: one for each label, averaged over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_integer, fail
from jaxann.core.typing import Array
from jaxann.metrics.streaming.reading import is_nan, positives, probabilities, scores_form
from jaxann.metrics.streaming.rows import add_rows, empty_rows, kept
from jaxann.metrics.streaming.sums import added, broadcast_weights, check_weights, real, summed_by, totals, zeros

__all__ = ["LabelHistogramSums", "ranked_labels"]


class LabelHistogramSums(NamedTuple):
    """The weight of the examples without and with each label by bin of probability, `(2, labels, bins)`."""

    counts: Array
    rest: Any = 0.0  # what rounding has left out

    combined = added


def ranked_labels(
    function: str,
    labels: int,
    capacity: int | None,
    bins: int,
    from_logits: bool,
    exact: Callable[[Array, Array, Array], Array],
    rough: Callable[[Array, Array], Array],
    average: str,
) -> tuple[Callable, Callable, Callable]:
    """The figure of each label from kept scores, or from their histogram, and the mean of these.

    Args:
        function: for messages.
        labels: how many each example has.
        capacity: of how many examples the scores are kept; None for a histogram.
        bins: of the histogram.
        from_logits: whether predictions are logits.
        exact: scores, weights of the positive and of the negative examples, `(n,)` each -> figure.
        rough: weights of the positive and of the negative examples, `(bins,)` each -> figure.
        average: `"macro"`, `"weighted"` by how often a label is true, `"none"`, or `"micro"`, all labels pooled.
    """
    check_integer(function, "labels", labels)

    def read(predictions, targets, weights):
        """Scores, flags, weights and what is no flag, `(n, labels)` each."""
        scores_form(function, predictions, targets)
        if predictions.shape != targets.shape or targets.shape[-1:] != (labels,):
            expected = f"of shape (..., {labels}), one for each label, as the targets {targets.shape}"
            fail(function, "predictions", expected, f" shape {predictions.shape}")
        check_weights(function, weights, targets.shape)
        arrays = real(predictions), positives(targets), broadcast_weights(weights, targets.shape), is_nan(targets)
        return tuple(a.reshape(-1, labels) for a in arrays)

    def averaged(each, own):
        if average in ("none", "micro"):
            return each if average == "none" else each[0]
        total = jnp.sum(own)
        if average == "macro":
            return jnp.mean(each)
        weighted = jnp.sum(jnp.where(own == 0, 0, own * each)) / jnp.where(total == 0, 1, total)
        return jnp.where(total == 0, jnp.mean(each), weighted)

    def keep(sums, predictions, targets, weights):
        scores, flags, w, unknown = read(predictions, targets, weights)
        flags = jnp.where(unknown, jnp.nan, real(flags))
        rows = jnp.concatenate([jnp.where(w == 0, 0, a) for a in (scores, flags, w)], 1)
        return add_rows(sums, rows, real(jnp.any(w != 0, 1)))

    def of_kept(sums):
        values, _ = kept(sums)
        lost = jnp.isnan(values[0, 0])
        scores, flags, w = jnp.split(jnp.where(lost, 0, values), 3, 1)
        if average == "micro":
            scores, flags, w = (a.reshape(-1, 1) for a in (scores, flags, w))
        each = jax.vmap(exact, 1)(scores, w * flags, w * (1 - flags))
        return jnp.where(lost, jnp.nan, averaged(each, jnp.sum(w * flags, 0)))

    def count(sums, predictions, targets, weights):
        scores, flags, w, unknown = read(predictions, targets, weights)
        p = probabilities("binary", scores, from_logits)
        bad = unknown | ~((p >= 0) & (p <= 1))
        place = jnp.minimum(jnp.where(bad, 0, p * bins).astype(jnp.int32), bins - 1)
        cell = (flags.astype(jnp.int32) * labels + lax.broadcasted_iota(jnp.int32, place.shape, 1)) * bins + place
        found = summed_by(cell.reshape(-1), jnp.where(bad, 0, w).reshape(-1), 2 * labels * bins)
        counts, rest = (a.reshape(2, labels, bins) for a in found)
        spoilt = jnp.where(jnp.any(bad & (w != 0)), jnp.nan, 0).astype(w.dtype)
        return sums.combined(LabelHistogramSums(counts + spoilt, rest))

    def of_counts(sums):
        counts = totals(sums)[0]
        if average == "micro":
            counts = jnp.sum(counts, 1, keepdims=True)
        each = jax.vmap(rough)(counts[1], counts[0])
        return averaged(each, jnp.sum(counts[1], -1))

    def no_counts():
        return LabelHistogramSums(zeros(2, labels, bins), zeros(2, labels, bins))

    if capacity is not None:
        check_integer(function, "capacity", capacity)
        return lambda: empty_rows(capacity, 3 * labels), keep, of_kept
    return no_counts, count, of_counts
