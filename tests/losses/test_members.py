"""The loss of each member: its values, that equal settings share a program, and its errors."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import losses
from jaxann.losses import each_member
from tests.catalogue import LOSSES, LossRow
from tests.contract import assert_input_error, compiles

A, B = jax.random.split(jax.random.key(0))


def _draw(row: LossRow, lead: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    raw = random.normal(size=(*lead, *row.event)).astype(np.float32)
    return raw, row.targets(random, (lead[0], *lead[2:], *row.event))


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_each_member_has_a_value(row: LossRow):
    given = _draw(row, (6, 4) if row.whole_batch else (6, 4, 2))
    assert jax.eval_shape(each_member(row.build), *given).shape == (6, 4)


@pytest.mark.parametrize("name", ["squared_error", "softmax_cross_entropy", "gaussian_nll", "info_nce"])
def test_each_member_has_its_own_value(name: str):
    (row,) = (row for row in LOSSES if row.name == f"losses.{name}")
    predictions, targets = _draw(row, (6, 4) if row.whole_batch else (6, 4, 2))

    @jax.jit
    def program(predictions):
        alone = [row.build(predictions[:, k], targets) for k in range(4)]
        return each_member(row.build)(predictions, targets), alone

    values, alone = program(predictions)
    for k in range(4):
        np.testing.assert_allclose(values[:, k], alone[k].reshape(6, -1).mean(1), rtol=1e-6)


def test_each_member_hands_on_what_its_values_weigh():
    labels = np.array([[0, 1], [1, -1]], np.int32)
    loss = each_member(functools.partial(losses.softmax_cross_entropy, class_weights=(1.0, 3.0), ignore_index=-1))
    np.testing.assert_allclose(losses.target_weights(loss, labels), [[2.0], [1.5]])
    assert losses.target_weights(each_member(losses.squared_error), labels) is None


def test_each_member_takes_one_number_an_example():
    predictions, targets = jax.random.normal(A, (6, 4)), jax.random.normal(B, (6,))
    values = each_member(losses.squared_error)(predictions, targets)
    np.testing.assert_allclose(values, (predictions - targets[:, None].repeat(4, 1)) ** 2, rtol=1e-6)


def _fit(loss, seed=0):
    x = np.asarray(jax.random.normal(A, (20, 3)))
    y = (x[:, 0] > 0).astype(np.int32)
    model = ja.models.tabm((4, 2), members=3)
    recipe = ja.recipe(model, loss, ja.optimizers.sgd(0.1))
    return ja.fit(recipe, (x, y), key=jax.random.key(seed), epochs=2, batch_size=8)


def test_equal_losses_share_one_program_and_a_bound_number_compiles_nothing():
    first = _fit(each_member(functools.partial(losses.softmax_cross_entropy, label_smoothing=0.1)))
    before = compiles()
    again = _fit(each_member(functools.partial(losses.softmax_cross_entropy, label_smoothing=0.1)))
    other = _fit(each_member(functools.partial(losses.softmax_cross_entropy, label_smoothing=0.3)))
    assert compiles() == before
    assert again.history["loss"][0] == first.history["loss"][0] != other.history["loss"][0]
    _fit(each_member(losses.softmax_cross_entropy))
    before = compiles()
    _fit(each_member(losses.softmax_cross_entropy), seed=1)
    assert compiles() == before


def test_each_member_is_a_static_function_of_its_parts():
    one, two = (jax.tree_util.tree_structure(each_member(losses.squared_error)) for _ in range(2))
    assert one == two and hash(one) == hash(two)
    assert one != jax.tree_util.tree_structure(each_member(losses.softmax_cross_entropy))
    bound = each_member(functools.partial(losses.softmax_cross_entropy, label_smoothing=0.25))
    assert jax.tree.leaves(bound) == [0.25]
    assert jax.tree.leaves(each_member(jax.tree_util.Partial(losses.softmax_cross_entropy, label_smoothing=0.5))) == [
        0.5
    ]


def test_each_member_refuses_what_does_not_fit():
    loss = each_member(losses.softmax_cross_entropy)
    labels = np.zeros(6, np.int32)
    assert_input_error(lambda: loss(np.zeros((6,), np.float32), labels), "predictions", given="(6,)")
    assert_input_error(lambda: loss(np.zeros((5, 4, 3), np.float32), labels), "targets", given="(6,)")
    column, row = jax.ShapeDtypeStruct((6, 4, 1), jnp.float32), jax.ShapeDtypeStruct((6,), jnp.float32)
    assert_input_error(lambda: jax.eval_shape(each_member(losses.squared_error), column, row), "targets", given="(6,)")
    for bad in ("softmax_cross_entropy", None, 3):
        assert_input_error(lambda bad=bad: each_member(bad), "loss")
    whole = each_member(lambda p, t: jnp.mean(p))
    assert_input_error(lambda: jax.eval_shape(whole, column, row), "values of the loss")
    out_of_range = np.full(20, 2, np.int32)  # a label the model has no output for
    assert np.isnan(np.asarray(loss(jnp.zeros((20, 3, 2)), jnp.asarray(out_of_range)))).all()
