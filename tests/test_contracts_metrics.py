"""What holds for every metric."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.metrics import streaming
from tests.catalogue import METRICS, MetricRow
from tests.contract import assert_input_error
from tests.tolerances import assert_close


def _data(row: Any, shape: tuple[int, ...] = (6, 3), dtype: Any = jnp.float32) -> tuple[jax.Array, jax.Array]:
    a, b = jax.random.split(jax.random.key(7))
    return jax.random.normal(a, shape, dtype), row.targets(b, shape)


@pytest.mark.parametrize("row", METRICS, ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
def test_metric_of_parts_in_any_order_is_that_of_the_whole(row: MetricRow, weighted: bool):
    metric, update = row.build(), jax.jit(lambda m, s, p, t, w: m.update(s, p, t, w))
    predictions, targets = _data(row, (60, 3))
    weights = jax.random.randint(jax.random.key(3), (60,), 0, 4).astype(jnp.float32) if weighted else None
    whole = row.plain(predictions, targets, weights)
    assert whole.shape == () and whole.dtype == jnp.float32
    assert_close(metric(predictions, targets, weights), whole, "reduction")
    assert isinstance(metric.init(), tuple)
    data = [None if a is None else np.asarray(a) for a in (predictions, targets, weights)]
    chooser = np.random.default_rng(5)
    for _ in range(6):
        order, sizes = chooser.permutation(60), chooser.permutation([1, 9, 20, 30])
        parts = [_rows(rows, *data) for rows in np.split(order, np.cumsum(sizes)[:-1])]
        sums = [update(metric, metric.init(), *part) for part in parts]
        while len(sums) > 1:  # a random tree of merges
            i = int(chooser.integers(len(sums) - 1))
            sums[i : i + 2] = [streaming.merge(metric, *sums[i : i + 2][:: chooser.choice([-1, 1])])]
        assert_close(metric.compute(sums[0]), whole, "reduction")
        running = metric.init()
        for part in parts:
            running = update(metric, running, *part)
        assert_close(metric.compute(running), whole, "reduction")


def _rows(rows: np.ndarray, *arrays: np.ndarray | None) -> list[np.ndarray | None]:
    return [None if a is None else a[rows] for a in arrays]


@pytest.mark.parametrize("row", METRICS, ids=str)
def test_metric_leaves_out_what_has_no_weight(row: MetricRow):
    predictions, targets = _data(row, (20, 3))
    weights = jnp.where(jnp.arange(20) < 13, 1.0, 0.0)
    padded = predictions.at[13:].set(jnp.nan)
    assert_close(row.plain(padded, targets, weights), row.plain(predictions[:13], targets[:13]), "reduction")
    twice = jnp.concatenate([predictions[:13], predictions[:5]]), jnp.concatenate([targets[:13], targets[:5]])
    double = jnp.where(jnp.arange(20) < 5, 2.0, weights)
    assert_close(row.plain(predictions, targets, double), row.plain(*twice), "reduction")


@pytest.mark.parametrize("row", METRICS, ids=str)
def test_metric_checks_shapes_and_merges_with_nothing(row: MetricRow):
    metric = row.build()
    predictions, targets = _data(row, (20, 3))
    sums = metric.update(metric.init(), predictions, targets)
    for merged in (streaming.merge(metric, sums, metric.init()), streaming.merge(metric, metric.init(), sums)):
        assert_close(metric.compute(merged), metric.compute(sums), "reduction")
    assert np.isfinite(float(metric.compute(metric.init())))
    deeper, short = targets[None], np.ones(19, np.float32)
    assert_input_error(lambda: row.plain(predictions, deeper), "targets", given=str(deeper.shape))
    assert_input_error(lambda: row.plain(predictions, targets, short), "weights", given="(19,)")
    assert_input_error(lambda: streaming.merge(metric, sums, (1, 2)), "a and b")
