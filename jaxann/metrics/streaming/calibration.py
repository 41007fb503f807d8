"""Whether confidence can be believed: the gap between it and the share of hits, bin by bin."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.typing import Array
from jaxann.metrics.streaming.ranks import around
from jaxann.metrics.streaming.reading import check_shares, is_nan, no_class, positives, probabilities, scores_form
from jaxann.metrics.streaming.rows import add_rows, empty_rows, kept
from jaxann.metrics.streaming.sums import added, flat_weights, real, summed_by, totals, zeros

__all__ = ["CalibrationSums", "expected_calibration_error"]


class CalibrationSums(NamedTuple):
    """Weight, weight of the hits and weighted confidence of each bin, `(bins,)`."""

    weight: Array
    hits: Array
    confidence: Array
    weight_rest: Any = 0.0  # what rounding has left out
    hits_rest: Any = 0.0
    confidence_rest: Any = 0.0

    combined = added


@factory(Metric, static=("bins", "capacity"), traits=("lower_is_better", "takes_labels"))
def expected_calibration_error(
    bins: int = 15, *, from_logits: bool = True, adaptive: bool = False, capacity: int | None = None
):
    """Streaming form of `metrics.expected_calibration_error`.

    `adaptive` bins depend on all examples, so it needs a `capacity`: up to so many of them are kept, and with more the
    figure is NaN, never that of a part.
    """
    function = "expected_calibration_error"
    check_integer(function, "bins", bins)
    if adaptive and capacity is None:
        fail(function, "capacity", "given for adaptive bins", None, hint="The greatest number of examples.")
    if capacity is not None:
        check_integer(function, "capacity", capacity)
    # (l, u]: the first edge a confidence does not exceed; an edge itself belongs to the bin below it
    edges = np.linspace(0, 1, bins + 1)[1:-1]

    def read(predictions, targets, weights):
        kind = scores_form(function, predictions, targets)
        check_shares(function, predictions, targets, weights, from_logits)
        w = flat_weights(function, weights, targets.shape)
        p = probabilities(kind, predictions, from_logits)
        if kind == "binary":
            confidence, hit = jnp.maximum(p, 1 - p), (p > 0.5) == positives(targets)
            unknown = is_nan(targets)
        else:
            confidence, hit = jnp.max(p, -1), jnp.argmax(p, -1).astype(jnp.int32) == targets.astype(jnp.int32)
            unknown = no_class(targets, p.shape[-1])
        unknown = unknown.reshape(-1) & (w != 0)
        return confidence.reshape(-1), jnp.where(unknown, jnp.nan, real(hit).reshape(-1)), w

    def gathered(place, confidence, hit, w):
        columns = jnp.stack([w, w * hit, w * confidence], 1)
        found, rest = summed_by(place, columns, bins)
        return CalibrationSums(*found.T, *rest.T)

    def init():
        return CalibrationSums(*(zeros(bins) for _ in range(6)))

    def update(sums, predictions, targets, weights):
        confidence, hit, w = read(predictions, targets, weights)
        confidence = jnp.where(w == 0, 0, confidence)
        place = jnp.searchsorted(real(edges), confidence, side="left")
        return sums.combined(gathered(place, confidence, hit, w))

    def compute(sums):
        gap = jnp.abs((sums.hits - sums.confidence) + (sums.hits_rest - sums.confidence_rest))
        total = jnp.sum(totals(sums)[0])
        return jnp.where(total == 0, jnp.nan, jnp.sum(gap) / jnp.where(total == 0, 1, total))

    def keep(sums, predictions, targets, weights):
        confidence, hit, w = read(predictions, targets, weights)
        return add_rows(sums, jnp.stack([confidence, hit], 1), w)

    def of_kept(rows):
        values, w = kept(rows)
        order, below, through = around(values[:, 0], lax.expand_dims(w, [1]))
        middle = (below + through)[:, 0] / 2
        total = jnp.sum(w)
        share = jnp.where(total == 0, 0, middle / jnp.where(total == 0, 1, total))
        place = jnp.minimum((share * bins).astype(jnp.int32), bins - 1)
        return compute(gathered(place, values[order, 0], values[order, 1], w[order]))

    return (lambda: empty_rows(capacity or 1, 2), keep, of_kept) if adaptive else (init, update, compute)
