"""Weights of examples and of single places: what has weight 0 changes nothing, over all the metrics."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from jaxann import metrics
from jaxann.core import padded, unpadded
from jaxann.metrics import streaming
from tests.catalogue import METRICS, MetricRow
from tests.programs import quick_jit
from tests.rows.metrics import VARIANTS
from tests.tolerances import assert_close

BATCH, TIME = 6, 5
ROWS = [*METRICS, *VARIANTS]
# Whose last axis are the columns of one example: a sequence has positions before it.
COLUMNS = ("r2", "explained_variance", "median_absolute_error")

every = pytest.mark.parametrize("row", ROWS, ids=str)


@jax.jit
def _figure(metric, predictions, targets, weights):
    return metric.compute(metric.update(metric.init(), predictions, targets, weights))


@functools.cache
def _data(row: MetricRow) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(7)
    targets = np.asarray(row.targets(jax.random.key(7), (BATCH * TIME, 3)))
    predictions = draw.normal(size=(BATCH * TIME, 3)).astype(np.float32)
    if targets.ndim == 1:
        predictions[np.arange(BATCH * TIME), targets] += 0.7
    predictions = row.predictions(predictions)
    return predictions.reshape(BATCH, TIME, 3), targets.reshape(BATCH, TIME, *targets.shape[1:])


def _junk(array: np.ndarray, mask: np.ndarray, content: float) -> np.ndarray:
    keep = np.broadcast_to(mask.reshape(*mask.shape, *(1,) * (array.ndim - mask.ndim)), array.shape)
    return np.where(keep, array, np.asarray(content).astype(array.dtype))


@every
def test_places_of_weight_zero_change_nothing(row: MetricRow):
    predictions, targets = _data(row)
    mask = np.arange(TIME) < np.array([5, 0, 3, 1, 5, 2])[:, None]
    weights = np.where(mask, np.random.default_rng(1).integers(1, 4, mask.shape), 0).astype(np.float32)
    metric = row.build()
    found = [
        _figure(metric, _junk(predictions, mask, p), _junk(targets, mask, t), weights)
        for p, t in ((0.0, 0), (1e3, 1), (np.nan, 7 if targets.dtype.kind == "i" else np.nan))
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    alone = _figure(metric, predictions[mask], targets[mask], weights[mask])
    assert_close(found[0], alone, "reduction")
    assert np.isfinite(found[0]).all()


@every
def test_examples_of_weight_zero_change_nothing(row: MetricRow):
    predictions, targets = _data(row)
    rows = np.array([1.0, 2.0, 0.0, 3.0, 0.0, 1.0], np.float32)
    metric = row.build()
    found = [
        _figure(metric, _junk(predictions, rows != 0, p), _junk(targets, rows != 0, 1), rows) for p in (0.0, np.nan)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert_close(found[0], _figure(metric, predictions[rows != 0], targets[rows != 0], rows[rows != 0]), "reduction")


@every
def test_padded_targets_count_at_their_real_positions(row: MetricRow):
    predictions, targets = _data(row)
    given = padded(targets, np.array([5, 0, 3, 1, 5, 2]))
    spoiled = _junk(predictions, np.asarray(given.mask), np.nan)
    found = _figure(row.build(), *unpadded(spoiled, given))
    mask = np.asarray(given.mask)
    assert_close(found, _figure(row.build(), predictions[mask], targets[mask], None), "reduction")


@pytest.mark.parametrize("row", [r for r in ROWS if r.plain is not None and "metrics." in r.name], ids=str)
def test_weights_of_every_number_count(row: MetricRow):
    """Targets of several columns whose numbers have weights of their own: an integer weight is a number repeated."""
    predictions, targets = (a.reshape(-1, *a.shape[2:]) for a in _data(row))
    if targets.ndim == 1 or row.name == "metrics.token_error_rate":
        return  # a label is one number, and its weight the example's; so is that of a sequence of labels
    weights = np.random.default_rng(3).integers(0, 3, targets.shape).astype(np.float32)
    weights[:, 1] = 0  # a column that has no weight at all
    metric = row.build()
    found = _figure(metric, np.where(weights == 0, np.nan, predictions), targets, weights)
    repeated = [
        [np.repeat(a[:, c], weights[:, c].astype(int)) for a in (predictions, targets)] for c in range(targets.shape[1])
    ]
    plain = quick_jit(lambda *columns: [row.plain(*column) for column in columns])
    name = row.name.rpartition(".")[2]
    if name not in COLUMNS:
        whole = [np.concatenate(column) for column in zip(*repeated, strict=True)]
        assert_close(found, plain(whole)[0], "reduction")
        return
    each = plain(*[column for column in repeated if len(column[0])])
    assert len(each) == 2
    assert_close(found, np.mean(each), "reduction")


def test_streaming_forms_by_name_cover_the_room():
    assert {r.name.rpartition(".")[2] for r in METRICS} == {n for n in streaming.__all__ if n.islower()} - {
        "merge",
        "merge_across",
    }
    assert len(METRICS) == 24 and hasattr(metrics, "of_head")
