"""What holds for every activation, initializer, schedule, loss and metric."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.metrics import streaming
from tests.catalogue import (
    ACTIVATIONS,
    INITIALIZERS,
    LOSSES,
    METRICS,
    SCHEDULES,
    ActivationRow,
    LossRow,
    MetricRow,
    Row,
    ScheduleRow,
)
from tests.contract import assert_input_error
from tests.tolerances import assert_close

DTYPES = [jnp.float32, jnp.bfloat16, jnp.float16]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: jnp.dtype(d).name)


@pytest.mark.parametrize("row", ACTIVATIONS, ids=str)
@every_dtype
def test_activation_keeps_shape_and_dtype(row: ActivationRow, dtype: Any):
    for shape in ((), (5,), (2, 3), (0, 4)):
        x = jnp.ones(shape, dtype)
        if row.limits is None and not shape:
            continue  # softmax needs an axis
        y = jax.eval_shape(row.build, x)
        assert (y.shape, y.dtype) == (shape, dtype)


@pytest.mark.parametrize("row", ACTIVATIONS, ids=str)
def test_activation_takes_floating_point_alone(row: ActivationRow):
    for dtype in (jnp.int32, jnp.uint8, jnp.bool_, jnp.complex64):
        x = np.ones((3,), dtype)
        assert_input_error(lambda x=x: row.build(x), "x", given=x.dtype.name, expected="floating-point")


@pytest.mark.parametrize("row", INITIALIZERS, ids=str)
def test_initializer_is_a_function_of_key_shape_and_dtype(row: Row, key: jax.Array):
    draw, shape = row.build(), (6, 5)
    for dtype in DTYPES:
        w = draw(key, shape, dtype)
        assert (w.shape, w.dtype) == (shape, dtype)
        np.testing.assert_array_equal(w, draw(key, shape, dtype))
        np.testing.assert_array_equal(w, jax.jit(draw, static_argnums=(1, 2))(key, shape, dtype))
    random = draw(key, shape).any()
    assert random == (np.asarray(draw(key, shape)) != np.asarray(draw(jax.random.key(1), shape))).any()
    assert random == (row.name != "initializers.zeros")
    keys = jax.random.split(key, 3)
    many = jax.vmap(lambda k: draw(k, shape, jnp.float32))(keys)
    assert_close(many[2], draw(keys[2], shape), "program")
    assert_input_error(lambda: draw(3, shape), "key", given="3")


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_takes_steps_of_any_shape_and_kind(row: ScheduleRow):
    schedule = row.build()
    steps = jnp.arange(-2, 14).reshape(4, 4)
    table = jax.jit(lambda s, t: s(t))(schedule, steps)
    assert (table.shape, table.dtype) == (steps.shape, jnp.float32)
    one_by_one = [float(schedule(int(step))) for step in steps.ravel()]
    assert_close(table.ravel(), one_by_one, "program")
    assert_close(jax.jit(schedule)(steps), table, "program")
    assert_close(jax.vmap(jax.vmap(schedule))(steps), table, "program")
    np.testing.assert_array_equal(schedule(steps.astype(jnp.float32)), schedule(steps))
    assert float(schedule(jnp.uint32(3))) == one_by_one[5]


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_is_exact_at_its_boundaries_and_constant_outside(row: ScheduleRow):
    schedule = row.build()
    compiled = jax.jit(lambda s, step: s(step))
    for step, value in (row.values or {}).items():
        assert float(schedule(step)) == np.float32(value), f"at step {step}"
        assert float(compiled(schedule, step)) == np.float32(value), f"compiled, at step {step}"
    after = schedule(jnp.array([row.last, row.last + 1, 10**6, 2**31 - 1]))
    assert (after == after[0]).all()
    before = schedule(jnp.array([0, -1, -1000]))
    assert (before == before[0]).all()


@pytest.mark.parametrize("row", SCHEDULES, ids=str)
def test_schedule_numbers_may_be_traced(row: ScheduleRow):
    schedule = row.build()
    numbers = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), schedule)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), numbers)
    np.testing.assert_array_equal(jax.vmap(lambda s: s(3))(many)[1], schedule(3))
    slope = jax.grad(lambda s: s(3))(numbers)
    chex.assert_tree_all_finite(slope)
    assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(slope))


def _data(row: Any, shape: tuple[int, ...] = (6, 3), dtype: Any = jnp.float32) -> tuple[jax.Array, jax.Array]:
    a, b = jax.random.split(jax.random.key(7))
    return jax.random.normal(a, shape, dtype), row.targets(b, shape)


@pytest.mark.parametrize("row", LOSSES, ids=str)
@pytest.mark.parametrize("shape", [(6, 3), (2, 4, 5), (3,), (0, 3)], ids=str)
def test_loss_keeps_the_leading_axes(row: LossRow, shape: tuple[int, ...]):
    predictions, targets = _data(row, shape)
    values = jax.eval_shape(row.build, predictions, targets)
    assert values.shape == (shape[:-1] if row.class_axis else shape)
    if predictions.ndim > 1:
        values = row.build(predictions, targets)
        for i in range(shape[0]):
            assert_close(values[i], row.build(predictions[i], targets[i]), "program")


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_loss_refuses_shapes_that_do_not_fit(row: LossRow):
    predictions, targets = _data(row)
    column = predictions[:, :1]
    for p, t in ((predictions, targets[:-1]), (predictions[:-1], targets), (predictions, targets[None])):
        assert_input_error(lambda p=p, t=t: row.build(p, t), "targets", given=str(t.shape))
    if not row.class_axis:
        for p, t in ((column, column[:, 0]), (column[:, 0], column)):
            message = assert_input_error(lambda p=p, t=t: row.build(p, t), "targets", given=str(t.shape))
            assert "last axis" in message
    labels = np.zeros(6, np.int32)
    assert_input_error(lambda: row.build(labels, labels), "predictions", given="int32")


@pytest.mark.parametrize("row", LOSSES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_loss_is_finite_at_huge_predictions(row: LossRow, dtype: str):
    bound = 100.0 if row.name == "losses.squared_error" and dtype == "float16" else 1e4  # float16 ends at 65,504
    with jax.enable_x64(dtype == "float64"):
        signs = np.array(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3)).reshape(3, -1).T
        predictions = jnp.asarray(bound * signs).astype(dtype)
        for seed in range(3):
            targets = row.targets(jax.random.key(seed), predictions.shape)
            values, slope = _value_and_slope(row, predictions, targets)
            assert values.dtype == jnp.dtype(dtype)
            assert np.isfinite(np.asarray(values, np.float64)).all()
            assert np.isfinite(np.asarray(slope, np.float64)).all()


def _value_and_slope(row: LossRow, predictions: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
    values, back = jax.vjp(lambda p: row.build(p, targets), predictions)
    return values, back(jnp.ones_like(values))[0]


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_loss_under_jit_and_vmap(row: LossRow):
    predictions, targets = _data(row)
    values = row.build(predictions, targets)
    assert_close(jax.jit(row.build)(predictions, targets), values, "program")
    assert_close(jax.vmap(row.build)(predictions, targets), values, "program")


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
