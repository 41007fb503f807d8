"""What holds for every metric, over its rows and further settings: any split of the data gives the oracle's figure."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.metrics import streaming
from tests.catalogue import METRICS, MetricRow
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.rows.metrics import VARIANTS
from tests.tolerances import assert_close

ROWS, PART = 60, 30  # examples, and the size parts are padded to: one program for all of them

every = pytest.mark.parametrize("row", [*METRICS, *VARIANTS], ids=str)


@jax.jit
def _update(metric, sums, predictions, targets, weights):
    return metric.update(sums, predictions, targets, weights)


@jax.jit
def _merge(metric, a, b):
    return streaming.merge(metric, a, b)


@jax.jit
def _compute(metric, sums):
    return metric.compute(sums)


@functools.cache
def _data(row: MetricRow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions of three columns, targets of the row's kind, and whole weights (none 0)."""
    draw = np.random.default_rng(7)
    targets = np.asarray(row.targets(jax.random.key(7), (ROWS, 3)))
    targets = targets.astype(np.float64) if targets.dtype.kind == "f" else targets
    predictions = draw.normal(size=(ROWS, 3))
    if targets.ndim == 1:
        predictions[np.arange(ROWS), targets] += 0.7
    return row.predictions(predictions), targets, draw.integers(1, 4, ROWS).astype(np.float64)


def _part(row: MetricRow, index: np.ndarray, times: float = 1.0, *, even: bool = False) -> tuple[jax.Array, ...]:
    """Some examples, filled up with NaN (or a label) of weight 0."""
    predictions, targets, weights = _data(row)
    weights = np.ones_like(weights) if even else weights
    spare = PART - len(index)
    pieces = (
        np.concatenate([predictions[index], np.full((spare, 3), np.nan)]),
        np.concatenate([targets[index], np.ones((spare, *targets.shape[1:]), targets.dtype)]),
        np.concatenate([times * weights[index], np.zeros(spare)]),
    )
    real = jnp.result_type(float)
    return tuple(jnp.asarray(a, real if a.dtype == np.float64 else jnp.int32) for a in pieces)


def _oracle(row: MetricRow, even: bool = False) -> Any:
    predictions, targets, weights = _data(row)
    assert row.reference is not None
    return row.reference(predictions, targets, np.ones_like(weights) if even else weights)


@every
@pytest.mark.usefixtures("x64")
def test_any_split_merged_in_any_order_gives_the_figure_of_the_oracle(row: MetricRow):
    metric, chooser = row.build(), np.random.default_rng(5)
    for even in (True, False):
        expected = _oracle(row, even)
        for _ in range(3):
            order, sizes = chooser.permutation(ROWS), chooser.permutation([1, 9, 20, 30])
            pieces = [_part(row, index, even=even) for index in np.split(order, np.cumsum(sizes)[:-1])]
            sums = [_update(metric, metric.init(), *part) for part in pieces]
            while len(sums) > 1:  # a random tree of merges
                i = int(chooser.integers(len(sums) - 1))
                sums[i : i + 2] = [_merge(metric, *sums[i : i + 2][:: chooser.choice([-1, 1])])]
            figure = _compute(metric, sums[0])
            assert figure.shape == row.shape and figure.dtype == jnp.float64
            assert_close(figure, expected, "reduction")
        running = metric.init()
        for part in pieces:
            running = _update(metric, running, *part)
        assert_close(_compute(metric, running), expected, "reduction")


@pytest.mark.parametrize("row", [row for row in [*METRICS, *VARIANTS] if row.plain is not None], ids=str)
@pytest.mark.usefixtures("x64")
def test_whole_arrays_give_the_figure_of_the_oracle(row: MetricRow):
    predictions, targets, weights = map(jnp.asarray, _data(row))
    plain = row.plain
    assert plain is not None

    @quick_jit
    def figures(predictions, targets, weights):
        return plain(predictions, targets, weights), plain(predictions, targets) if row in METRICS else None

    weighted, even = figures(predictions, targets, weights)
    assert_close(weighted, _oracle(row), "reduction")
    if even is not None:
        assert_close(even, _oracle(row, even=True), "reduction")


@every
@pytest.mark.usefixtures("x64")
def test_nan_in_is_nan_out(row: MetricRow):
    """Whichever score it is, and whatever the targets: also where all of them are equal."""
    metric = row.build()
    predictions, targets, weights = map(np.asarray, _part(row, np.arange(25)))
    for column, labels in ((0, targets), (1, targets), (2, targets), (1, np.ones_like(targets))):
        bad = predictions.copy()
        bad[3, column] = np.nan
        found = _compute(metric, _update(metric, metric.init(), bad, labels, weights))
        assert np.isnan(found).all(), column


@every
@pytest.mark.usefixtures("x64")
def test_weight_two_is_an_example_twice_and_nothing_merges_without_trace(row: MetricRow):
    metric, some = row.build(), np.arange(25)
    once = _update(metric, metric.init(), *_part(row, some, even=True))
    twice = _update(metric, _update(metric, metric.init(), *_part(row, some, even=True)), *_part(row, some, even=True))
    double = _update(metric, metric.init(), *_part(row, some, 2.0, even=True))
    assert_close(_compute(metric, double), _compute(metric, twice), "reduction")
    for pair in ((once, metric.init()), (metric.init(), once)):
        assert_close(_compute(metric, _merge(metric, *pair)), _compute(metric, once), "reduction")
    assert isinstance(once, tuple) and jax.tree.structure(once) == jax.tree.structure(metric.init())
    nothing = _compute(metric, _update(metric, metric.init(), *_part(row, some[:0])))
    np.testing.assert_array_equal(nothing, np.full(row.shape, row.empty))
    np.testing.assert_array_equal(_compute(metric, metric.init()), nothing)


@pytest.mark.parametrize("row", [*METRICS, *[row for row in VARIANTS if row.plain is None]], ids=str)
def test_members_and_batches_go_through_vmap_and_scan(row: MetricRow):
    metric = row.build()
    pieces = [_part(row, index) for index in (np.arange(30), np.arange(30, 60))]

    @quick_jit
    @jax.vmap
    def figures(members):
        return metric.compute(jax.lax.scan(lambda s, b: (metric.update(s, *b), None), metric.init(), members)[0])

    batches = [jnp.stack(column) for column in zip(*pieces, strict=True)]
    other = [batches[0][..., ::-1], *batches[1:]]
    members = [jnp.stack(pair) for pair in zip(batches, other, strict=True)]
    found = figures(members)
    assert found.shape == (2, *row.shape) and found.dtype == jnp.float32
    if row.reference is not None:
        assert_close(found[0], _oracle(row), "reduction")
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("row", METRICS, ids=str)
def test_metric_refuses_other_shapes_and_other_sums(row: MetricRow):
    predictions, targets, _ = _data(row)
    predictions = predictions.astype(np.float32)
    deeper, short = targets[None], np.ones(59, np.float32)
    assert row.plain is not None
    assert_input_error(lambda: row.plain(predictions, deeper), "targets", given=str(deeper.shape))
    assert_input_error(lambda: row.plain(predictions, targets, short), "weights", given="(59,)")
    metric, sums = row.build(), row.build().init()
    assert_input_error(lambda: streaming.merge(metric, sums, (1, 2)), "a and b")
