"""The loss of several heads, and what targets that are padded count for."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import losses
from jaxann.backprop.registry import loss_vjp
from jaxann.core import Padded, padded, unpadded
from tests.catalogue import LOSSES, LossRow
from tests.contract import assert_input_error, compiles
from tests.programs import quick_jit
from tests.test_contracts_losses import draw

BATCH, TIME = 4, 5


def _heads() -> tuple[dict, dict]:
    random = np.random.default_rng(0)
    shapes = {"digit": (BATCH, 3), "tags": (BATCH, TIME, 3), "size": (BATCH, 2)}
    z = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    tags = padded(random.integers(0, 3, (BATCH, TIME), np.int32), np.array([5, 0, 2, 3]))
    return z, {"digit": np.array([0, 2, 1, 2], np.int32), "tags": tags, "size": np.ones((BATCH, 2), np.float32)}


def _loss(weight: float = 0.5):
    return losses.by_head(
        {
            "digit": partial(losses.softmax_cross_entropy, class_weights=[1.0, 2.0, 3.0]),
            "tags": partial(losses.softmax_cross_entropy, ignore_index=1),
            "size": losses.squared_error,
        },
        weights={"size": weight, "tags": 2.0},
    )


@quick_jit
def _values(loss, z, y):
    return loss(z, y)


def _log_softmax(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def _by_hand(z, y):
    total = np.zeros(BATCH)
    for i in range(BATCH):
        log_p = _log_softmax(z["digit"][i])
        total[i] += -log_p[int(y["digit"][i])] * [1.0, 2.0, 3.0][int(y["digit"][i])]
        logs = _log_softmax(z["tags"][i])
        labels, real = y["tags"].values[i], y["tags"].mask[i]
        found = [-logs[t, labels[t]] for t in range(TIME) if real[t] and labels[t] != 1]
        total[i] += 2.0 * (np.mean(found) if found else 0.0)
        total[i] += 0.5 * np.mean((z["size"][i] - 1) ** 2)
    return total


def test_by_head_is_the_weighted_sum_of_the_means_of_each_example():
    z, y = _heads()
    found = _values(_loss(), z, y)
    np.testing.assert_allclose(found, _by_hand(z, y), rtol=1e-5)
    assert losses.target_weights(_loss(), y) is None and losses.labels_to_check(_loss(), y) is None
    inside = z | {"tags": Padded(z["tags"], y["tags"].mask)}
    np.testing.assert_array_equal(_values(_loss(), inside, y), found)


def test_by_head_takes_another_number_without_compiling():
    z, y = _heads()
    program = jax.jit(lambda loss: loss(z, y))
    program(_loss(0.5))
    before = compiles()
    other = program(_loss(0.75))
    assert compiles() == before
    more = np.asarray(other) - np.asarray(program(_loss(0.5)))
    np.testing.assert_allclose(more, 0.25 * np.mean((z["size"] - 1) ** 2, 1), rtol=1e-4)
    assert jax.tree.structure(_loss()) == jax.tree.structure(_loss())


def test_by_head_in_reverse_by_hand_is_that_of_autodiff():
    z, y = _heads()
    g = np.array([0.3, 1.0, -0.5, 0.2], np.float32)

    @quick_jit
    def backwards(predictions):
        vjp, args, settings = loss_vjp(_loss())
        return vjp(g, *args, predictions, y, **settings)

    expected = quick_jit(jax.grad(lambda z: jnp.sum(g * _loss()(z, y))))(z)
    for predictions in (z, z | {"tags": Padded(z["tags"], y["tags"].mask)}):
        found = backwards(predictions)
        for name in z:
            ours = found[name].values if isinstance(found[name], Padded) else found[name]
            np.testing.assert_allclose(ours, expected[name], rtol=1e-5, atol=1e-6)


def test_what_padding_holds_changes_no_head():
    z, y = _heads()
    mask = y["tags"].mask
    program = quick_jit(lambda z, y: (_loss()(z, y), jax.grad(lambda z: jnp.sum(_loss()(z, y)))(z)))
    expected = program(z, y)
    for content, label in ((1e3, 2), (np.nan, -7), (np.inf, 99)):
        spoiled = z | {"tags": np.where(mask[..., None], z["tags"], np.float32(content))}
        labels = y | {"tags": Padded(np.where(mask, y["tags"].values, np.int32(label)), mask)}
        for ours, wanted in zip(jax.tree.leaves(program(spoiled, labels)), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(ours, wanted)


def test_by_head_names_the_head_that_is_missing():
    z, y = _heads()
    loss = _loss()
    missing = {name: v for name, v in y.items() if name != "tags"}
    assert_input_error(lambda: loss(z, missing), "targets['tags']", given="'digit', 'size'")
    assert_input_error(lambda: loss({"tags": z["tags"]}, y), "predictions['digit']")
    assert_input_error(lambda: loss(z["digit"], y), "predictions", expected="a dict with the names")
    assert_input_error(lambda: losses.by_head({}), "losses")
    assert_input_error(lambda: losses.by_head([losses.squared_error]), "losses")
    assert_input_error(lambda: losses.by_head({"a": "squared_error"}), "losses['a']")
    assert_input_error(lambda: losses.by_head({"a": losses.squared_error}, weights={"b": 1.0}), "weights", given="'b'")
    assert_input_error(lambda: losses.by_head({"a": losses.squared_error}, weights={"a": -1.0}), "weights['a']")
    few = y | {"size": y["size"][:2]}
    short = z | {"size": z["size"][:2]}
    assert_input_error(lambda: jax.eval_shape(loss, short, few), "predictions['size']", given="2")
    scalar = losses.by_head({"size": lambda p, t: jnp.mean((p - t) ** 2)})
    assert_input_error(lambda: jax.eval_shape(scalar, z, y), "values of losses['size']")


@pytest.mark.parametrize("row", [row for row in LOSSES if not row.whole_batch and row.name != "losses.ctc"], ids=str)
def test_padded_targets_count_at_their_real_positions_alone(row: LossRow):
    predictions, targets = draw(row, (3, 4))
    mask = np.arange(4) < np.array([[4], [2], [0]])
    examples = np.array([1.0, 2.0, 3.0], np.float32)

    @quick_jit
    def program(predictions, targets, weights, whole):
        def total(p):
            given = unpadded(p, targets, weights)
            return losses.mean(row.build(*given[:2]), weights=given[2])

        return *jax.value_and_grad(total)(jnp.asarray(predictions)), row.build(*whole)

    def spoiled(array, content):
        keep = np.broadcast_to(mask.reshape(3, 4, *(1,) * (array.ndim - 2)), array.shape)
        return np.where(keep, array, np.asarray(content, array.dtype))

    found = [
        program(spoiled(predictions, content), Padded(spoiled(targets, label), mask), examples, (predictions, targets))
        for content, label in ((0, 0), (1e3, 2), (np.nan, 0 if targets.dtype.kind == "i" else np.nan))
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other[0], found[0][0])
        np.testing.assert_array_equal(other[1], found[0][1])
    values = np.asarray(found[0][2])
    weights = np.where(mask, examples[:, None], 0)
    np.testing.assert_allclose(found[0][0], (weights * values).sum() / weights.sum(), rtol=1e-5)
    assert (np.asarray(found[0][1])[~mask] == 0).all()


def test_unpadded_takes_weights_of_examples_or_of_places():
    z, y = jnp.asarray(np.ones((2, 3))), padded(jnp.asarray(np.zeros((2, 3))), np.array([2, 3]))
    np.testing.assert_array_equal(unpadded(z, y)[2], [[1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(unpadded(z, y, jnp.array([2.0, 3.0]))[2], [[2, 2, 0], [3, 3, 3]])
    places = jnp.asarray(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(unpadded(z, y, places)[2], [[0, 1, 0], [3, 4, 5]])
    inside = unpadded(Padded(z, y.mask), y.values)
    np.testing.assert_array_equal(inside[0], [[1, 1, 0], [1, 1, 1]])
    plain = unpadded(z, y.values, places)
    assert plain[0] is z and plain[1] is y.values and plain[2] is places
    three = np.ones(3, np.float32)
    assert_input_error(lambda: jax.eval_shape(unpadded, z, y, three), "weights", given="(3,)")
    assert_input_error(lambda: jax.eval_shape(unpadded, np.ones((1, 3)), y), "predictions")


@pytest.mark.parametrize("row", [row for row in LOSSES if row.whole_batch], ids=str)
def test_padding_is_no_candidate_of_a_loss_of_the_whole_batch(row: LossRow):
    predictions, targets = draw(row, (9,), seed=1)  # no loss near 0, where nothing but rounding is left
    real = np.array([1, 1, 0, 1, 1, 1, 0, 1, 0], bool)
    where = real.astype(np.float32)

    @quick_jit
    def program(predictions, targets):
        loss = partial(row.build, where=where)

        def total(p):
            values, counts = loss(p, targets), losses.target_weights(loss, targets)
            return losses.mean(values, weights=where if counts is None else where * counts), values

        (mean, values), slope = jax.value_and_grad(total, has_aux=True)(predictions)
        return mean, values, slope

    @quick_jit
    def whole(predictions, targets, everything):
        few, all_of_them = row.build(predictions[real], targets[real]), row.build(predictions, targets)
        return few, all_of_them, row.build(predictions, targets, where=everything)

    found = []
    for content in (0.0, 1e3, np.nan):
        spoiled = np.where(real.reshape(-1, *(1,) * (predictions.ndim - 1)), predictions, np.float32(content))
        found.append(program(spoiled, targets))
    for other in found[1:]:
        for ours, wanted in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(ours, wanted)
    mean, values, slope = found[0]
    few, all_of_them, none = whole(predictions, targets, np.ones(9, bool))
    np.testing.assert_allclose(np.asarray(values)[real], few, rtol=1e-5)
    assert (np.asarray(values)[~real] == 0).all() and (np.asarray(slope)[~real] == 0).all()
    assert np.isfinite(np.asarray(slope)).all() and np.isfinite(mean)
    np.testing.assert_allclose(none, all_of_them, rtol=1e-6)
    assert_input_error(lambda: row.build(predictions, targets, where=np.ones(4, np.float32)), "where", given="(4,)")
