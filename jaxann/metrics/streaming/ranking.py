"""Area under the ROC curve and average precision: exact from kept scores, or from a histogram of any number of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.logits import log_softmax, log_sum_exp
from jaxann.core.products import Metric
from jaxann.core.typing import Array
from jaxann.metrics.streaming.label_ranking import ranked_labels
from jaxann.metrics.streaming.ranks import binned_precision, binned_wins, precision_of, wins
from jaxann.metrics.streaming.reading import is_nan, is_one_of, no_class, positives, probabilities, scores_form
from jaxann.metrics.streaming.rows import add_rows, empty_rows, kept
from jaxann.metrics.streaming.sums import added, flat_weights, real, summed_by, totals, zeros

__all__ = ["HistogramSums", "average_precision", "roc_auc"]


class HistogramSums(NamedTuple):
    """The weight of each true class by column of scores and bin of probability, `(classes, columns, bins)`."""

    counts: Array
    rest: Any = 0.0  # what rounding has left out

    combined = added


@factory(Metric, static=("classes", "capacity", "bins", "labels"), traits=("higher_is_better", "takes_labels"))
def roc_auc(
    classes: int = 2,
    *,
    capacity: int | None = None,
    bins: int = 1000,
    multi_class: str = "ovr",
    average: str = "macro",
    from_logits: bool = True,
    labels: int | None = None,
):
    """Streaming form of `metrics.roc_auc` for this many classes, or several `labels` an example.

    With `capacity`, the scores of up to so many examples are kept and the figure is exact; with more of them it is
    NaN, never that of a part. Without, it is from a histogram of `bins` bins of equal width: the figure is that of
    the probabilities rounded to bins, off by at most half the share of pairs (of one example of either class) that
    meet in one bin; for scores spread evenly that is half the width 1 / bins. The counts take
    classes x columns x bins numbers, where one column serves two classes.
    """
    check_choice("roc_auc", "multi_class", multi_class, ("ovr", "ovo"))
    choices = ("macro", "weighted") if multi_class == "ovo" else ("macro", "micro", "weighted", "none")
    check_choice("roc_auc", "average", average, choices)
    if labels is not None:
        _check_labels("roc_auc", classes, bins)
        figures = _wins_over, _binned_wins_over
        return ranked_labels("roc_auc", labels, capacity, bins, from_logits, *figures, average)

    def exact(scores, truth):
        own = jnp.sum(truth, 0)
        if classes == 2:
            return wins(scores[:, 0], truth[:, 1], truth[:, :1])[0]
        if average == "micro":
            flat, weight = scores.reshape(-1), _rest(truth).reshape(-1, 1)
            return wins(flat, truth.reshape(-1), weight)[0]
        if multi_class == "ovr":
            each = jax.vmap(_wins_over, 1)(scores, truth, _rest(truth))
            return _over_classes(each, own, average, jnp.nan)
        # one column after another: the weights below each score take (examples, classes) numbers already
        pairs = lax.map(lambda column: wins(column[0], column[1], truth), (scores.T, truth.T))
        return _over_pairs(pairs, own, average)

    def rough(counts):
        own = jnp.sum(counts[:, 0], -1)
        if classes == 2:
            return binned_wins(counts[1, 0], counts[:1, 0])[0]
        mine = jnp.diagonal(counts).T  # (classes, bins)
        rest = jnp.sum(counts, 0) - mine
        if average == "micro":
            return binned_wins(jnp.sum(mine, 0), jnp.sum(rest, 0, keepdims=True))[0]
        if multi_class == "ovr":
            each = jax.vmap(_binned_wins_over)(mine, rest)
            return _over_classes(each, own, average, jnp.nan)
        return _over_pairs(jax.vmap(binned_wins, (0, 1))(mine, counts), own, average)

    return _ranked("roc_auc", classes, capacity, bins, from_logits, exact, rough)


@factory(Metric, static=("classes", "capacity", "bins", "labels"), traits=("higher_is_better", "takes_labels"))
def average_precision(
    classes: int = 2,
    *,
    capacity: int | None = None,
    bins: int = 1000,
    average: str = "macro",
    from_logits: bool = True,
    labels: int | None = None,
):
    """Streaming form of `metrics.average_precision` for this many classes, or several `labels` an example.

    With `capacity`, the scores of up to so many examples are kept and the figure is exact; with more of them it is
    NaN, never that of a part. Without, it is from a histogram of `bins` bins of equal width: the figure is that of
    the probabilities rounded to bins. The counts take classes x columns x bins numbers, where one column serves two
    classes.
    """
    check_choice("average_precision", "average", average, ("macro", "micro", "weighted", "none"))
    if labels is not None:
        _check_labels("average_precision", classes, bins)
        figures = precision_of, binned_precision
        return ranked_labels("average_precision", labels, capacity, bins, from_logits, *figures, average)

    def exact(scores, truth):
        if classes == 2:
            return precision_of(scores[:, 0], truth[:, 1], truth[:, 0])
        if average == "micro":
            return precision_of(scores.reshape(-1), truth.reshape(-1), _rest(truth).reshape(-1))
        each = jax.vmap(precision_of, 1)(scores, truth, _rest(truth))
        return _over_classes(each, jnp.sum(truth, 0), average, jnp.nan)

    def rough(counts):
        if classes == 2:
            return binned_precision(counts[1, 0], counts[0, 0])
        mine = jnp.diagonal(counts).T
        rest = jnp.sum(counts, 0) - mine
        if average == "micro":
            return binned_precision(jnp.sum(mine, 0), jnp.sum(rest, 0))
        return _over_classes(jax.vmap(binned_precision)(mine, rest), jnp.sum(mine, -1), average, jnp.nan)

    return _ranked("average_precision", classes, capacity, bins, from_logits, exact, rough)


def _check_labels(function: str, classes: int, bins: int) -> None:
    check_integer(function, "bins", bins)
    if classes != 2:
        fail(function, "classes", "2 where an example has several labels", classes)


def _wins_over(scores: Array, own: Array, others: Array) -> Array:
    """`wins` over one group, all weights `(n,)`."""
    return wins(scores, own, lax.expand_dims(others, [1]))[0]


def _binned_wins_over(own: Array, others: Array) -> Array:
    return binned_wins(own, lax.expand_dims(others, [0]))[0]


def _ranked(
    function: str,
    classes: int,
    capacity: int | None,
    bins: int,
    from_logits: bool,
    exact: Callable[[Array, Array], Array],
    rough: Callable[[Array], Array],
) -> tuple[Callable, Callable, Callable]:
    """A figure of scores `(n, columns)` and weights by true class `(n, classes)`, or of their histogram."""
    check_integer(function, "classes", classes, 2)
    check_integer(function, "bins", bins)
    columns = 1 if classes == 2 else classes
    if capacity is not None:
        check_integer(function, "capacity", capacity)

    def read(predictions, targets, weights):
        """Scores `(n, columns)`, true classes, weights, and what cannot be placed."""
        kind = scores_form(function, predictions, targets)
        width = predictions.shape[-1] if kind == "classes" else 2
        if width != classes:
            fail(function, "classes", f"{width} for predictions of shape {predictions.shape}", classes)
        w = flat_weights(function, weights, targets.shape)
        if kind == "binary":
            true, shape = positives(targets).astype(jnp.int32), (-1, 1)
            unknown = is_nan(targets)
        else:
            true, shape = targets.astype(jnp.int32), (-1, classes)
            unknown = no_class(targets, classes)
        scores = real(predictions).reshape(shape)
        if columns == 1 and kind == "classes":
            scores = scores[:, 1:] - scores[:, :1] if from_logits else scores[:, 1:]
        return scores, true.reshape(-1), w, unknown.reshape(-1)

    def keep(sums, predictions, targets, weights):
        scores, true, w, unknown = read(predictions, targets, weights)
        label = lax.expand_dims(jnp.where(unknown, jnp.nan, real(true)), [1])
        return add_rows(sums, jnp.concatenate([scores, label], 1), w)

    def of_kept(sums):
        values, w = kept(sums)
        scores, label = values[:, :-1], values[:, -1]
        if columns > 1 and from_logits:
            scores = _against_the_rest(scores)
        lost = jnp.isnan(values[0, 0])
        truth = jnp.where(is_one_of(label, classes), jnp.broadcast_to(lax.expand_dims(w, [1]), (len(w), classes)), 0)
        return jnp.where(lost, jnp.nan, exact(jnp.where(lost, 0, scores), truth))

    def count(sums, predictions, targets, weights):
        scores, true, w, unknown = read(predictions, targets, weights)
        p = probabilities("binary" if columns == 1 else "classes", scores, from_logits)
        unknown = unknown | jnp.any(~((p >= 0) & (p <= 1)), 1)
        place = jnp.minimum(jnp.where(lax.expand_dims(unknown, [1]), 0, p * bins).astype(jnp.int32), bins - 1)
        true, w = jnp.where(unknown, 0, true), lax.expand_dims(w, [1])
        column = lax.broadcasted_iota(jnp.int32, place.shape, 1)
        cell = (lax.expand_dims(true, [1]) * columns + column) * bins + place
        bad, w = lax.expand_dims(unknown, [1]), jnp.broadcast_to(w, place.shape)
        found = summed_by(cell.reshape(-1), jnp.where(bad, 0, w).reshape(-1), classes * columns * bins)
        counts, rest = (a.reshape(classes, columns, bins) for a in found)
        spoilt = jnp.where(jnp.any(bad & (w != 0)), jnp.nan, 0).astype(w.dtype)
        return sums.combined(HistogramSums(counts + spoilt, rest))

    def no_counts():
        return HistogramSums(zeros(classes, columns, bins), zeros(classes, columns, bins))

    if capacity is not None:
        return lambda: empty_rows(capacity, columns + 1), keep, of_kept
    return no_counts, count, lambda sums: rough(totals(sums)[0])


def _rest(truth: Array) -> Array:
    """The weight of each example that is of another class, `(n, classes)`."""
    return jnp.sum(truth, 1, keepdims=True) - truth


def _against_the_rest(logits: Array) -> Array:
    """log(p_k / (1 - p_k)): ordered as the probabilities are, and apart where those round to 0 or 1."""
    logs = log_softmax(logits)
    top = is_one_of(jnp.argmax(logits, 1), logits.shape[1])
    others = lax.expand_dims(log_sum_exp(jnp.where(top, -jnp.inf, logits), 1), [1])
    below = jnp.where(top, -1.0, logs)  # the rest is at most a half: 1 - p does not cancel
    return jnp.where(top, logits - others, below - jnp.log1p(-jnp.exp(below)))


def _over_classes(each: Array, weight: Array, average: str, nothing: float) -> Array:
    """Figures of the classes against the rest, averaged; a class of no weight counts for nothing when weighted."""
    if average == "none":
        return each
    if average == "macro":
        return jnp.mean(each)
    total = jnp.sum(weight)
    found = jnp.sum(jnp.where(weight == 0, 0, weight * each)) / jnp.where(total == 0, 1, total)
    return jnp.where(total == 0, nothing, found)


def _over_pairs(pairs: Array, weight: Array, average: str) -> Array:
    """`pairs[a, b]`, how often a's column puts a above b, averaged over the pairs of classes that are present."""
    here = weight != 0
    both = jnp.triu(jnp.outer(real(here), real(here)), 1)
    if average == "weighted":
        both = both * (lax.expand_dims(weight, [1]) + lax.expand_dims(weight, [0]))
    total = jnp.sum(both)
    even = jnp.where(both == 0, 0, (pairs + pairs.T) / 2)
    return jnp.sum(both * even) / jnp.where(total == 0, jnp.nan, total)
