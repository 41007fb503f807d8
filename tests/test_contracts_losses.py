"""What holds for every loss."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import LOSSES, LossRow
from tests.contract import assert_input_error
from tests.tolerances import assert_close


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
