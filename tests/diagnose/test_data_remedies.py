"""What is done about data: recipes that follow from verdicts, and what models and losses say of themselves."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.core.errors import InputError
from jaxann.diagnose.data_checks import data_verdicts, task_of
from jaxann.diagnose.normalized import normalizes
from tests.diagnose.made_data import blobs, flipped, found, kinds, linear, real


def test_remedies_change_the_recipe_to_one_that_trains(key: jax.Array):
    rng = np.random.default_rng(0)
    x, y = blobs(rng, 300, 4)
    raw = (x * [1, 1e4, 1, 1]).astype(np.float32)
    recipe = ja.recipe(ja.models.mlp((8, 3)), ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-2))
    (verdict,) = found((raw, y))
    changed = verdict.apply(recipe)
    assert normalizes(changed.model) and not normalizes(recipe.model)
    result = ja.fit(changed, (raw, y), key=key, epochs=3, batch_size=100)
    assert result.history["loss"][-1] < result.history["loss"][0] < 5
    gaps = {"a": np.where(rng.random(raw.shape) < 0.1, np.nan, raw), "b": x[:, :1]}
    inner = ja.layers.sequential({"join": ja.layers.concatenate(names=("a", "b")), "net": ja.models.mlp((8, 3))})
    changed = next(one for one in found((gaps, y)) if one.kind == "input_scale").apply(recipe.replace(model=inner))
    history = ja.fit(changed, (gaps, y), key=key, epochs=1, batch_size=100).history
    assert np.isfinite(history["loss"]).all()


def test_useless_columns_are_left_out_by_the_model(key: jax.Array):
    x, y = linear(np.random.default_rng(0), 100)
    x[:, 2] = 0.5
    (verdict,) = found((x, y[:, None]), task="numbers")
    recipe = ja.recipe(ja.models.mlp((4, 1)), ja.losses.squared_error, ja.optimizers.adam(1e-2))
    result = ja.fit(verdict.apply(recipe), (x, y[:, None]), key=key, epochs=1, batch_size=50)
    assert result.params["net"]["dense0"]["weight"].shape == (5, 4)


@pytest.mark.parametrize("binary", [False, True])
def test_rare_classes_count_for_more_by_the_loss(binary: bool, key: jax.Array):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 3)).astype(np.float32), (np.arange(400) >= 384).astype(np.int32)
    loss = ja.losses.sigmoid_cross_entropy if binary else ja.losses.softmax_cross_entropy
    recipe = ja.recipe(ja.models.mlp((4, 1 if binary else 2)), loss, ja.optimizers.adam(1e-2))
    data = (x, y[:, None].astype(np.float32) if binary else y)
    (verdict,) = found(data, loss=loss)
    weights, focal, judged = (remedy.change for remedy in verdict.remedies[:3])
    assert weights is not None and focal is not None and judged is not None
    settings = weights(recipe).loss.keywords
    ratio = settings["positive_weight"] if binary else settings["class_weights"][1] / settings["class_weights"][0]
    assert float(ratio) == pytest.approx(np.sqrt(24), rel=1e-5)
    changed = judged(weights(recipe))
    assert ja.fit(changed, data, key=key, epochs=1, batch_size=100).history["balanced_accuracy"].shape == (1,)
    assert focal(recipe).loss is not recipe.loss
    other = found(data, loss=ja.losses.squared_error)[0]
    assert other.remedies[0].change is None and other.remedies[1].change is None


def test_wrong_labels_are_smoothed_and_training_stops_early():
    rng = np.random.default_rng(0)
    x, y = real("wine")
    recipe = ja.recipe(ja.models.mlp((4, 3)), ja.losses.softmax_cross_entropy, ja.optimizers.adam(1e-2))
    (verdict,) = found((x, flipped(y, 0.25, rng)))
    assert 0.1 < verdict.apply(recipe).loss.keywords["label_smoothing"] <= 0.2
    stop = verdict.remedies[2].change
    assert stop is not None and stop(recipe).stopping is not None
    with pytest.raises(InputError, match="label_smoothing"):
        verdict.apply(recipe.replace(loss=ja.losses.squared_error))


# What a model and a loss say.


def test_whether_a_model_normalizes():
    layers, preprocessing = ja.layers, ja.preprocessing
    net = ja.models.mlp((4, 2))
    first = {
        layers.preprocess(preprocessing.standard()): True,
        layers.preprocess(preprocessing.chain(preprocessing.impute(), preprocessing.robust())): True,
        layers.preprocess(preprocessing.impute()): False,
        layers.standardize(3.0, 2.0): True,
        layers.batch_norm(): True,
        layers.flatten(): False,
        layers.dense(4): False,
        layers.sequential({"flat": layers.flatten(), "norm": layers.batch_norm()}): True,
    }
    for layer, expected in first.items():
        assert normalizes(layers.sequential({"first": layer, "net": net})) is expected, layer
    assert normalizes(ja.models.tabular(net)) and not normalizes(net)
    assert normalizes(ja.models.tabular(net, categories=(3, 4)))


def test_what_a_loss_and_its_targets_are_for():
    losses, y = ja.losses, np.array([0, 1, 1, 0])
    labels, numbers = np.array([0, 1, 2, 1]), np.array([0.5, 1.5, 2.0, 1.0])
    assert task_of(losses.softmax_cross_entropy, labels) == "classes"
    assert task_of(functools.partial(losses.softmax_cross_entropy, label_smoothing=0.1), labels) == "classes"
    assert task_of(losses.sigmoid_cross_entropy, y[:, None]) == "classes"
    assert task_of(losses.hinge, 2 * y - 1) == "classes"
    assert task_of(losses.softmax_cross_entropy_dense, np.eye(3)[labels]) == "classes"
    assert task_of(losses.squared_error, numbers) == task_of(losses.poisson_nll, labels) == "numbers"
    assert task_of(losses.huber, np.stack([numbers, numbers], 1)) == "numbers"
    assert task_of(losses.softmax_cross_entropy, np.stack([labels, labels], 1)) == "other"
    assert task_of(losses.sigmoid_cross_entropy, np.ones((4, 3))) == "other"
    assert task_of(losses.triplet_hard, labels) == "other"
    assert task_of(losses.by_head({"a": losses.squared_error}), {"a": numbers}) == "other"
    answers = found((np.zeros((4, 2)) + numbers[:, None], np.eye(3)[labels]))
    assert "missing_labels" not in kinds(answers)


def test_rows_without_weight_are_not_looked_at():
    x, y = real("wine")
    x = np.concatenate([x, np.random.default_rng(0).normal(size=(5, x.shape[1])) * 1e5]).astype(np.float32)
    y = np.concatenate([y, [9] * 5])
    assert kinds(found((x, y))) == ["missing_labels", "input_scale"]
    assert data_verdicts(x, y, (y < 9).astype(np.float32), None, task="classes") == []


def test_labels_that_the_loss_ignores_are_not_looked_at():
    x, y = real("iris")
    ignored = np.where(np.arange(len(y)) % 9 == 0, 255, y)
    loss = functools.partial(ja.losses.softmax_cross_entropy, ignore_index=255)
    assert found((x, ignored), loss=loss) == []
    assert found((x, ignored))[0].kind == "missing_labels"
    assert found((x, np.where(ignored == 255, -1, ignored))) == []
