"""Targets that a loss or a metric does not take are refused by every verb, and so is what has nothing to measure."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann import losses, metrics
from jaxann.core.domains import binary_domain
from jaxann.train.batches import Batch
from jaxann.train.targets import check_targets
from tests.catalogue import METRICS
from tests.contract import assert_input_error


def refused(call: Any, argument: str, **told: str) -> None:
    """Refused before it is trained on: nothing but keys is drawn, and those of the second call are there."""
    with pytest.raises(ja.InputError):
        call()
    assert_input_error(call, argument, **told)


KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
ONE_TWO = (np.arange(12) % 2 + 1).astype(np.float32)[:, None]
GOOD = ONE_TWO - 1
LABELS = (np.arange(12) % 2).astype(np.int32)
MODEL = ja.layers.dense(1)


def recipe(loss: Any = losses.sigmoid_cross_entropy, units: int = 1, **changes: Any) -> Any:
    return ja.recipe(ja.layers.dense(units), loss, ja.optimizers.sgd(0.1), batch_size=12, **changes)


def build(hyper: dict) -> Any:
    return ja.recipe(MODEL, losses.sigmoid_cross_entropy, ja.optimizers.sgd(hyper.get("rate", 0.1)))


PARAMS = {"weight": np.ones((3, 1), np.float32), "bias": np.zeros(1, np.float32)}
BAD = (X, ONE_TWO)
VERBS = {
    "fit": ("train y", lambda: ja.fit(recipe(), BAD, key=KEY, epochs=1)),
    "fit(validation)": ("validation y", lambda: ja.fit(recipe(), (X, GOOD), validation=BAD, key=KEY, epochs=1)),
    "make_run": ("train y", lambda: ja.train.make_run(recipe(), epochs=1)(KEY, BAD)),
    "make_run(validation)": ("validation y", lambda: ja.train.make_run(recipe(), epochs=1)(KEY, (X, GOOD), BAD)),
    "evaluate": ("data y", lambda: ja.train.evaluate(recipe(), PARAMS, {}, BAD)),
    "fit_population": (
        "train y", lambda: ja.train.fit_population(build, {}, BAD, keys=jax.random.split(KEY, 2), epochs=1),
    ),
    "fit_population(list)": (
        "train y",
        lambda: ja.train.fit_population(
            build, {}, [(X, GOOD), BAD], keys=jax.random.split(KEY, 2), epochs=1, dataset=[0, 1]
        ),
    ),
    "cross_validate": ("train y", lambda: ja.tune.cross_validate(build, {}, BAD, key=KEY, epochs=1, folds=3)),
    "halving": ("train y", lambda: ja.tune.halving(build, {"rate": [0.1, 1.0]}, BAD, key=KEY, epochs=2,
                                                    validation=(X, GOOD))),
    "hypergradient": (
        "validation y", lambda: ja.tune.hypergradient(build, {"rate": 0.1}, (X, GOOD), BAD, key=KEY, epochs=1),
    ),
    "backward": ("y", lambda: ja.backprop.backward(MODEL, PARAMS, {}, X, ONE_TWO, losses.sigmoid_cross_entropy)),
    "explain": ("y", lambda: ja.teach.explain(recipe(), PARAMS, X, ONE_TWO)),
}  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_targets_outside_of_the_domain(verb: str):
    argument, call = VERBS[verb]
    refused(call, argument, expected="in [0, 1]", given="2 at row 1")


def test_in_a_program_and_where_the_weight_is_0_nothing_is_refused():
    run = jax.jit(ja.train.make_run(recipe(), epochs=1))
    assert run(KEY, BAD).history["loss"].shape == (1,)
    weights = (ONE_TWO[:, 0] < 2).astype(np.float32)
    found = ja.fit(recipe(), (X, ONE_TWO, weights), key=KEY, epochs=1)
    wanted = ja.fit(recipe(), (X, np.ones_like(ONE_TWO), weights), key=KEY, epochs=1)
    np.testing.assert_allclose(found.history["loss"], wanted.history["loss"], rtol=1e-6)


def _check(loss: Any, y: Any, predictions: tuple, weights: Any = None, **changes: Any) -> None:
    shape = jax.ShapeDtypeStruct((1, *predictions), np.float32)
    check_targets("fit", "train", Batch(X, y, weights), shape, recipe(loss, **changes))


def test_labels_are_classes_where_they_count():
    bad = LABELS.copy()
    bad[5] = 7
    for loss in (losses.softmax_cross_entropy, losses.multiclass_hinge, losses.poly1, losses.softmax_focal):
        assert_input_error(lambda loss=loss: _check(loss, bad, (2,)), "train y", given="7 at row 5")
        _check(loss, bad, (2,), weights=(bad < 2).astype(np.float32))
    words = np.stack([LABELS + 1, np.full(12, -1)], 1)
    _check(losses.ctc, words, (4, 3))
    assert_input_error(lambda: _check(losses.ctc, words + 1, (4, 3)), "train y", expected="0..2", given="3 at row 1")
    tokens, mask = np.stack([LABELS, bad], 1), np.stack([LABELS < 2, bad < 2], 1)
    _check(losses.softmax_cross_entropy, ja.core.Padded(tokens, mask), (2, 2))
    _check(losses.softmax_cross_entropy, tokens, (2, 2), weights=mask.astype(np.float32))


def own(predictions: Any, targets: Any) -> Any:
    return predictions[:, 0] ** 2


BINARY = [row for row in METRICS if binary_domain(row.build().traits) is not None]


def test_metrics_of_classes_have_said_what_they_take():
    numbers = {"mse", "rmse", "mae", "median_absolute_error", "mape", "r2", "explained_variance", "top_k_accuracy"}
    numbers |= {"token_error_rate"}  # of sequences of labels
    assert {row.name.removeprefix("metrics.") for row in METRICS} - numbers == {
        row.name.removeprefix("metrics.") for row in BINARY
    }


@pytest.mark.parametrize("row", BINARY, ids=str)
def test_a_metric_refuses_what_answers_no_binary_question(row: Any):
    """Silently all would be positive. Whatever the loss is, and called by itself."""
    name = row.name.removeprefix("metrics.")
    whole, score = getattr(metrics, name), X[:, 0]
    assert_input_error(lambda: whole(score, ONE_TWO[:, 0]), "targets", given="2 at row 1")
    assert_input_error(lambda: _check(own, ONE_TWO[:, 0], (), metrics={"m": whole}), "metrics['m']", given="2 at row 1")
    _check(own, GOOD[:, 0], (), metrics={"m": whole})
    _check(own, ONE_TWO[:, 0], (), weights=2 - ONE_TWO[:, 0], metrics={"m": whole})
    bad = LABELS.copy()
    bad[5] = 7
    assert_input_error(lambda: _check(own, bad, (2,), metrics={"m": whole}), "metrics['m']", given="7 at row 5")


def test_signs_are_answers_of_a_binary_question_but_no_probabilities():
    signs = (2 * LABELS - 1).astype(np.float32)
    _check(losses.hinge, signs, (), metrics={"a": metrics.accuracy, "auc": metrics.roc_auc})
    score = signs * np.where(np.arange(12) < 9, 1, -1)
    assert float(metrics.accuracy(score, signs)) == 0.75
    assert_input_error(lambda: _check(losses.hinge, signs, (), metrics={"b": metrics.brier}), "metrics['b']")


def _logits(params: dict) -> np.ndarray:
    return X.astype(np.float64) @ np.asarray(params["weight"]) + np.asarray(params["bias"])


IGNORING = functools.partial(losses.softmax_cross_entropy, ignore_index=-1)


def test_labels_that_the_loss_ignores_are_in_no_metric():
    y = np.where(np.arange(12) % 3 == 0, -1, LABELS)
    made = recipe(IGNORING, 2, metrics={"a": metrics.accuracy, "f": functools.partial(metrics.f1, average="macro"),
                                        "auc": metrics.roc_auc, "loss_again": metrics.log_loss})  # fmt: skip
    result = ja.fit(made, (X, y), validation=(X, y), key=KEY, epochs=2)
    logits, keep = _logits(result.params), y >= 0
    predicted, true = logits.argmax(1)[keep], y[keep]
    f1 = [2 * ((predicted == c) & (true == c)).sum() / ((predicted == c).sum() + (true == c).sum()) for c in (0, 1)]
    gap = (logits[:, 1] - logits[:, 0])[keep]
    auc = np.mean(gap[true == 1][:, None] > gap[true == 0][None])
    loss = np.mean((np.log(np.exp(logits).sum(1)) - logits[np.arange(12), np.maximum(y, 0)])[keep])
    wanted = {"a": np.mean(predicted == true), "f": np.mean(f1), "auc": auc, "loss_again": loss}
    found = ja.train.evaluate(made, result.params, result.state, (X, y))
    for name, figure in wanted.items():
        np.testing.assert_allclose(found[name], figure, rtol=1e-5, err_msg=name)
        np.testing.assert_allclose(result.history[f"validation_{name}"][-1], figure, rtol=1e-5, err_msg=name)
    # before the first step, and so of the first epoch's only batch
    first = ja.fit(recipe(IGNORING, 2, metrics={"a": metrics.accuracy}), (X, y), key=KEY, epochs=1)
    start = ja.fit(recipe(IGNORING, 2), (X, y), key=KEY, epochs=0)
    logits = _logits(start.params)
    np.testing.assert_allclose(first.history["a"], [np.mean(logits.argmax(1)[keep] == true)], rtol=1e-6)


def test_nothing_that_counts_is_refused_in_folds_data_sets_and_by_weight():
    y = np.where(np.arange(12) < 6, -1, LABELS)
    halves = [(np.arange(6), np.arange(6, 12)), (np.arange(6, 12), np.arange(6))]

    def made(hyper):
        return recipe(IGNORING, 2)

    def score(which):
        return ja.tune.cross_validate(made, {}, (X, y), key=KEY, epochs=1, folds=[halves[which]])

    refused(lambda: score(0), "folds", expected="training rows count", given="none in number 0")
    refused(lambda: score(1), "folds", expected="held-out rows count", given="none in number 0")
    sets, keys = [(X[6:], y[6:]), (X[:6], y[:6])], jax.random.split(KEY, 2)
    assert_input_error(
        lambda: ja.train.fit_population(made, {}, sets, keys=keys, epochs=1, dataset=[0, 1]),
        "train", given="none in number 1",
    )  # fmt: skip
    weights = (y < 0).astype(np.float32)
    told = {"expected": "labels that count somewhere"}
    assert_input_error(lambda: ja.fit(made({}), (X, y, weights), key=KEY, epochs=1), "train y", **told)
    lost = functools.partial(losses.softmax_cross_entropy, class_weights=(0.0, 1.0))
    zero = np.zeros(12, np.int32)
    assert_input_error(lambda: ja.fit(recipe(lost, 2), (X, zero), key=KEY, epochs=1), "train y", **told)
    assert_input_error(
        lambda: ja.train.evaluate(recipe(lost, 2), PARAMS | {"weight": np.ones((3, 2), np.float32),
                                                             "bias": np.zeros(2, np.float32)}, {}, (X, zero)),
        "data y", **told,
    )  # fmt: skip


def test_a_loss_that_is_never_a_number_is_told():
    def never(predictions, targets):
        return jax.numpy.where(targets[:, 0] > 5, jax.numpy.nan, (predictions[:, 0] - targets[:, 0]) ** 2)

    data, lost = (X, GOOD), (X, GOOD + 9)
    with pytest.warns(UserWarning, match="validation_loss was never a number"):
        result = ja.fit(recipe(never), data, validation=lost, key=KEY, epochs=2)
    assert np.isnan(result.history["validation_loss"]).all()
    with pytest.warns(UserWarning, match="validation loss of 2 of 2 members was never a number"):
        ja.train.fit_population(
            lambda hyper: recipe(never), {}, data, validation=lost, keys=jax.random.split(KEY, 2), epochs=1
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ja.fit(recipe(never), data, validation=data, key=KEY, epochs=1)
