"""Edit distances against the plain recursion, and the error rate in training."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann import core, layers, losses, metrics, optimizers
from tests.contract import assert_input_error
from tests.metrics.oracles import distance
from tests.programs import quick_jit

RANDOM = np.random.default_rng(0)


def _row(labels: np.ndarray, blank: int | None = None) -> list[int]:
    return [int(k) for k in labels if k >= 0 and k != blank]


@pytest.mark.parametrize("blank", [None, 0])
@pytest.mark.parametrize(("long", "short"), [(6, 4), (4, 6), (5, 0), (0, 3), (1, 1)])
def test_edit_distance_is_that_of_the_recursion(long: int, short: int, blank: int | None):
    """Padding stands anywhere."""
    predictions = RANDOM.integers(-2, 4, (3, 20, long))
    targets = RANDOM.integers(-1, 4, (3, 20, short))
    found = quick_jit(lambda p, y: metrics.edit_distance(p, y, blank=blank))(predictions, targets)
    assert found.shape == (3, 20)
    for place in np.ndindex(3, 20):
        assert found[place] == distance(_row(predictions[place], blank), _row(targets[place], blank))
    np.testing.assert_array_equal(found, metrics.edit_distance(predictions.astype(np.float32), targets, blank=blank))


def test_words_that_people_know():
    def codes(word: str) -> np.ndarray:
        return np.array([ord(c) for c in word.ljust(10, "\0")], np.int32)

    pairs = [("kitten", "sitting", 3), ("sunday", "saturday", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0)]
    predictions, targets = (np.stack([codes(pair[i]) for pair in pairs]) for i in (0, 1))
    found = np.asarray(metrics.edit_distance(predictions, targets, blank=0))
    assert found.tolist() == [pair[2] for pair in pairs]
    assert float(metrics.edit_distance(predictions[0], targets[0], blank=0)) == 3
    lengths = np.array([len(pair[1]) for pair in pairs])
    rate = metrics.token_error_rate(predictions, targets, blank=0)
    np.testing.assert_allclose(rate, found.sum() / lengths.sum(), rtol=1e-6)
    weights = np.array([1, 0, 2, 1, 1], np.float32)
    rate = metrics.token_error_rate(predictions, targets, weights, blank=0)
    np.testing.assert_allclose(rate, (weights * found).sum() / (weights * lengths).sum(), rtol=1e-6)
    assert np.isnan(metrics.token_error_rate(predictions[3:4], targets[3:4], blank=0))  # no labels there should be


def test_what_is_no_label_is_no_number():
    predictions = np.array([[1, 2, np.nan], [1, 2.5, 3], [1, 2, 3], [1, 2, np.inf]], np.float32)
    found = metrics.edit_distance(predictions, np.array([[1, 2, 3]] * 4))
    assert np.isnan(found).tolist() == [True, True, False, True]
    assert np.isnan(metrics.token_error_rate(predictions, np.array([[1, 2, 3]] * 4)))
    assert metrics.token_error_rate(predictions, np.array([[1, 2, 3]] * 4), np.float32([0, 0, 1, 0])) == 0


def test_a_net_that_learns_to_spell_makes_fewer_errors():
    """Each label is three frames of its own picture; what is read off the frames by the best path."""
    targets = RANDOM.integers(1, 4, (64, 4))
    frames = np.eye(4, dtype=np.float32)[np.repeat(targets, 3, 1)] + 0.1 * RANDOM.normal(size=(64, 12, 4))

    def errors(predictions, targets, weights):
        return metrics.token_error_rate(ja.ops.ctc_greedy(predictions)[0], targets, weights)

    model = ja.layers.sequential({"read": ja.layers.conv(8, (3,)), "act": ja.layers.elementwise("relu"),
                                  "say": ja.layers.dense(4)})  # fmt: skip
    recipe = ja.recipe(model, ja.losses.ctc, ja.optimizers.adam(3e-2), metrics={"errors": errors}, batch_size=16)
    x = frames.astype(np.float32)
    result = ja.fit(recipe, (x, targets), validation=(x, targets), key=jax.random.key(0), epochs=40)
    rates = result.history["validation_errors"]
    # Of two equal labels beside each other three frames and three frames say one, unless the net finds the seam.
    logits = ja.predict(model, result.params, result.state, x)
    wanted = metrics.token_error_rate(ja.ops.ctc_greedy(logits)[0], targets)
    np.testing.assert_allclose(rates[-1], wanted, rtol=1e-6)
    assert rates[-1] < 0.3 < rates[0]


def test_metrics_of_sequences_refuse_what_is_none():
    labels = np.zeros((2, 3), np.int32)
    for figure in (metrics.edit_distance, metrics.token_error_rate):
        assert_input_error(lambda f=figure: f(labels, labels.astype(np.float32)), "targets", given="float32")
        assert_input_error(lambda f=figure: f(labels > 0, labels), "predictions", given="bool")
        assert_input_error(lambda f=figure: f(labels, labels[0]), "targets", given="shape (3,)")
        assert_input_error(lambda f=figure: f(labels[None], labels), "targets", given="shape (2, 3)")
        assert_input_error(lambda f=figure: f(labels, labels, blank=-1), "blank")
        assert_input_error(lambda f=figure: f(labels.astype(np.int64) + 2**32, labels), "predictions")
    assert_input_error(
        lambda: metrics.token_error_rate(labels, labels, np.ones((3, 2), np.float32)), "weights", given="(3, 2)"
    )
    assert_input_error(lambda: metrics.token_error_rate(labels[0], labels[0]), "targets", given="shape (3,)")


def test_padded_targets_of_training_are_whole_sequences():
    """By a metric of one's own that hands its weights on, which are those of the positions."""
    values, lengths = np.array([[1, 2, 0], [3, 1, 2]], np.int32), np.array([2, 3])
    scores = 5 * np.eye(4, dtype=np.float32)[np.array([[0, 1, 3], [3, 2, 2]])]
    own = {"errors": lambda p, y, weights: metrics.token_error_rate(p.argmax(-1), y, weights)}
    model = layers.sequential({"act": layers.elementwise("identity")})
    recipe = ja.recipe(model, losses.softmax_cross_entropy, optimizers.sgd(0.1), metrics=own)
    data = core.padded(scores, lengths), core.padded(values, lengths)
    found = ja.train.evaluate(recipe, {"act": {}}, {"act": {}}, data)["errors"]
    np.testing.assert_allclose(found, (2 + 1) / 5)  # (0, 1) for (1, 2), and (3, 2, 2) for (3, 1, 2)
