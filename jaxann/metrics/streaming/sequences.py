"""How far sequences of labels are from those they should be, by the labels to be put in, taken out or changed."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_array, check_int32, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.products import Metric
from jaxann.core.programs import jit
from jaxann.core.typing import Array
from jaxann.metrics.streaming.sums import MeanSums, broadcast_weights, check_weights, mean, no_mean, real

__all__ = ["check_sequences", "edits", "token_error_rate"]


@factory(Metric, static=("blank",), traits=("lower_is_better",))
def token_error_rate(blank: int | None = None):
    """Streaming form of `metrics.token_error_rate`."""

    def update(sums, predictions, targets, weights):
        check_sequences("token_error_rate", predictions, targets, blank)
        if targets.ndim < 2:
            hint = "Of Padded targets a metric gets whole sequences where its signature has weights, which it hands on."
            expected = "of shape (examples, time)"
            fail("token_error_rate", "targets", expected, f" shape {targets.shape}", hint=hint)
        if weights is not None and weights.shape == targets.shape:  # of each position
            away = weights == 0
            targets = jnp.where(away, -1, targets)
            if predictions.shape == targets.shape:
                predictions = jnp.where(away, -jnp.ones((), predictions.dtype), predictions)
            weights = jnp.max(weights, -1)
        check_weights("token_error_rate", weights, targets.shape[:-1])
        distance, length = edits(predictions, targets, blank=blank)
        weight = broadcast_weights(weights, targets.shape[:-1])
        total = jnp.sum(jnp.where(weight == 0, 0, weight * distance))
        return sums.combined(MeanSums(total, jnp.sum(weight * real(length))))

    if blank is not None:
        check_integer("token_error_rate", "blank", blank, 0)
    return no_mean, update, mean


def check_sequences(function: str, predictions: Any, targets: Any, blank: Any) -> None:
    """Two arrays of labels `(..., time)`, whose times may differ.

    Raises:
        InputError: they are none, other axes differ, or blank is no label.
    """
    for argument, value in (("predictions", predictions), ("targets", targets)):
        check_array(function, argument, value)
        check_int32(function, argument, value)
    for argument, value, kinds in (
        ("predictions", predictions, (jnp.integer, jnp.floating)),
        ("targets", targets, (jnp.integer,)),
    ):
        if not any(jnp.issubdtype(value.dtype, kind) for kind in kinds):
            hint = "ops.ctc_greedy, argmax or the like make labels of scores." if argument == "predictions" else None
            fail(function, argument, "labels, whole numbers", f" {value.dtype}", hint=hint)
    if predictions.ndim < 1 or targets.shape[:-1] != predictions.shape[:-1] or targets.ndim != predictions.ndim:
        expected = f"of shape {(*predictions.shape[:-1], 'time')} for predictions {predictions.shape}"
        fail(function, "targets", expected, f" shape {targets.shape}")
    if blank is not None:
        check_integer(function, "blank", blank, 0)


@jit(nested=True, static_argnames=("blank",))
def edits(predictions: Array, targets: Array, *, blank: int | None) -> tuple[Array, Array]:
    """The edit distance of each pair of sequences, NaN of what is no label, and how many labels the target has.

    Row i of the table, from row i - 1, in one step for all of its entries, the last of its terms being a running
    minimum:

        D[i, j] = min(D[i - 1, j] + 1, D[i - 1, j - 1] + (prediction i differs from target j), D[i, j - 1] + 1)

    Args:
        predictions, targets: labels `(..., time)`; negative ones are left out.
        blank: a label that is left out too.
    """
    outer = targets.shape[:-1]
    found, strange = _labels(predictions, blank)
    wanted, _ = _labels(targets, blank)
    count, length = (jnp.sum(a >= 0, -1, dtype=jnp.int32) for a in (found, wanted))
    places = jnp.arange(wanted.shape[1] + 1, dtype=jnp.int32)[None]

    def row(before: Array, given: tuple[Array, Array]) -> tuple[Array, None]:
        i, label = given
        changed = before[:, :-1] + (label[:, None] != wanted).astype(jnp.int32)
        shorter = jnp.minimum(before[:, 1:] + 1, changed)
        now = jnp.concatenate([before[:, :1] + 1, shorter], 1)
        now = lax.cummin(now - places, axis=1) + places
        return jnp.where((i < count)[:, None], now, before), None

    first = jnp.broadcast_to(places, (len(wanted), wanted.shape[1] + 1))
    last, _ = lax.scan(row, first, (jnp.arange(found.shape[1], dtype=jnp.int32), found.T))
    distance = real(jnp.take_along_axis(last, length[:, None], 1)[:, 0])
    return jnp.where(strange, jnp.nan, distance).reshape(outer), length.reshape(outer)


def _labels(values: Array, blank: int | None) -> tuple[Array, Array]:
    """Labels `(rows, time)` with what is left out behind them as -1, and in which rows there is something else."""
    values = values.reshape(math.prod(values.shape[:-1]), values.shape[-1])
    strange = jnp.zeros(len(values), bool)
    if jnp.issubdtype(values.dtype, jnp.floating):
        whole = (jnp.floor(values) == values) & (jnp.abs(values) < 2.0**31)  # neither is true of NaN
        strange = ~whole.all(-1)
        values = jnp.where(whole, values, -1)
    labels = jnp.maximum(values.astype(jnp.int32), -1)
    if blank is not None:
        labels = jnp.where(labels == blank, -1, labels)
    order = jnp.argsort(labels < 0, axis=-1, stable=True)
    return jnp.take_along_axis(labels, order, -1), strange
