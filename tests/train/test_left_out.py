"""What has weight 0 says nothing: whatever it holds, infinities too, it is in no value, gradient or statistic."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann import losses
from jaxann.train.objective import loss_sums
from jaxann.train.steps import TrainState, at_rest, start_guard
from tests.catalogue import LOSSES
from tests.programs import quick_jit

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
ROWS, GONE = 7, 3  # examples, and the one of weight 0
KEPT = np.arange(ROWS) != GONE
WEIGHTS = np.where(KEPT, RANDOM.uniform(0.5, 2, ROWS), 0).astype(np.float32)
X = RANDOM.normal(size=(ROWS, 3)).astype(np.float32)


def _slope(loss: Any, predictions: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    """The weighted mean and its gradient, as training has them."""

    def mean(predictions):
        total, weight = loss_sums(loss, predictions, targets, weights)
        return total / weight

    return jax.value_and_grad(mean)(predictions)


@pytest.mark.parametrize("row", LOSSES, ids=str)
def test_a_row_of_weight_0_is_as_if_it_were_not_there(row: Any):
    drawn = RANDOM.normal(size=(ROWS, *row.event)).astype(np.float32)
    predictions = np.array(drawn if row.domain is None else row.domain(drawn))
    targets = np.array(row.targets(np.random.default_rng(1), drawn.shape))
    spoilt, others = predictions.copy(), targets.copy()
    slope = quick_jit(functools.partial(_slope, row.build))
    (value, gradient) = slope(predictions[KEPT], targets[KEPT], WEIGHTS[KEPT])
    for bad, label in ((np.inf, 127), (np.nan, -100), (3e38, 10**6)):
        spoilt[GONE], others[GONE] = bad, label
        found, got = slope(spoilt, others, WEIGHTS)
        np.testing.assert_allclose(found, value, rtol=2e-6, atol=1e-7)
        np.testing.assert_allclose(np.asarray(got)[KEPT], gradient, rtol=2e-5, atol=1e-7)
        np.testing.assert_array_equal(np.asarray(got)[GONE], np.zeros_like(spoilt[GONE]))


@pytest.mark.parametrize("name", ["poisson_nll", "squared_error", "softmax_cross_entropy"])
def test_a_value_of_weight_0_is_as_if_it_were_not_there(name: str):
    row = next(row for row in LOSSES if row.name == f"losses.{name}")
    drawn = RANDOM.normal(size=(ROWS, 2, *row.event)).astype(np.float32)
    targets = np.array(row.targets(np.random.default_rng(1), drawn.shape))
    weights = np.ones((ROWS, 2), np.float32)
    weights[GONE, 1] = 0
    slope = quick_jit(functools.partial(_slope, row.build))
    spoilt = drawn.copy()
    spoilt[GONE, 1] = 3e38
    for one, other in ((slope(drawn, targets, weights), slope(spoilt, targets, weights)),):
        np.testing.assert_allclose(other[0], one[0], rtol=1e-6)
        np.testing.assert_allclose(other[1], one[1], rtol=1e-6, atol=1e-8)


def test_a_loss_of_your_own_over_several_places_is_given_all_of_them():
    """Its values may depend on each other, so weights of values are put on afterwards."""

    def listwise(scores, relevance):
        return -relevance * jax.nn.log_softmax(scores)

    scores, relevance = RANDOM.normal(size=(4, 3)).astype(np.float32), np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    weights = np.asarray([[1, 0, 1]] * 4, np.float32)
    log_p = scores - np.log(np.exp(scores.astype(np.float64)).sum(1, keepdims=True))
    wanted = -(weights * relevance * log_p).sum() / weights.sum()
    np.testing.assert_allclose(quick_jit(functools.partial(_slope, listwise))(scores, relevance, weights)[0], wanted,
                               rtol=1e-5)  # fmt: skip


def _recipe(model: Any = None, loss: Any = losses.poisson_nll, **changes: Any) -> Any:
    model = ja.layers.dense(1) if model is None else model
    return ja.recipe(model, loss, ja.optimizers.sgd(0.1), shuffle=False, **({"batch_size": ROWS} | changes))


COUNTS = RANDOM.integers(0, 4, (ROWS, 1)).astype(np.float32)
HUGE = np.where(KEPT[:, None], X, np.float32(1e6))  # exp(1e6 w) is infinite


def _step_by_hand() -> np.ndarray:
    """One step of descent on the rows that count, in float64: dC/dW = x^T (exp(z) - y) w / sum w."""
    params, _ = ja.layers.dense(1).init(ja.core.fold_name(KEY, "init"), X)
    w, b = (np.asarray(params[name], np.float64) for name in ("weight", "bias"))
    x, y, weight = X[KEPT].astype(np.float64), COUNTS[KEPT], WEIGHTS[KEPT, None].astype(np.float64)
    return w - 0.1 * x.T @ (weight * (np.exp(x @ w + b) - y)) / weight.sum()


def test_training_leaves_a_row_out_that_overflows():
    data = HUGE, np.where(KEPT[:, None], COUNTS, -1), WEIGHTS
    fitted = ja.fit(_recipe(), data, key=KEY, epochs=1)
    np.testing.assert_allclose(fitted.params["weight"], _step_by_hand(), rtol=1e-5)
    assert fitted.diverged_step == -1
    run = jax.jit(ja.train.make_run(_recipe(), epochs=1))
    not_a_number = np.where(KEPT[:, None], X, np.float32(np.nan))  # refused by `fit`, and not looked at in a program
    for x in (HUGE, not_a_number):
        np.testing.assert_allclose(run(KEY, (x, *data[1:])).params["weight"], _step_by_hand(), rtol=1e-5)


def test_populations_and_folds_leave_a_row_out_that_overflows():
    data = HUGE, np.where(KEPT[:, None], COUNTS, -1), WEIGHTS
    keys = jax.random.split(KEY, 2)
    many = ja.train.fit_population(lambda hyper: _recipe(batch_size=4), {}, data, keys=keys, epochs=2, validation=data)
    assert (many.diverged_step == -1).all() and np.isfinite(many.history["validation_loss"]).all()
    halves = [(np.arange(4), np.arange(4, 7)), (np.arange(3, 7), np.arange(3))]
    table = ja.tune.cross_validate(lambda hyper: _recipe(batch_size=4), {}, data, key=KEY, epochs=1, folds=halves)
    assert np.isfinite(table.scores["loss"]).all()


def test_the_derivative_of_a_validation_loss_leaves_a_row_out_that_overflows():
    def build(hyper):
        return ja.recipe(ja.layers.dense(1), losses.poisson_nll, ja.optimizers.sgd(hyper["rate"]), shuffle=False)

    def slope(x, y, weights):
        data = X[KEPT], COUNTS[KEPT]
        return ja.tune.hypergradient(build, {"rate": 0.1}, data, (x, y, weights), key=KEY, epochs=1, batch_size=6)

    (loss, grads), (wanted, others) = slope(HUGE, COUNTS, WEIGHTS), slope(X[KEPT], COUNTS[KEPT], WEIGHTS[KEPT])
    np.testing.assert_allclose([loss, grads["rate"]], [wanted, others["rate"]], rtol=1e-5)


def test_the_backward_pass_by_hand_leaves_a_row_out_that_overflows():
    params = {"weight": np.full((3, 1), 0.5, np.float32), "bias": np.zeros(1, np.float32)}
    back = quick_jit(lambda x, y, w: ja.backprop.backward(ja.layers.dense(1), params, {}, x, y, losses.poisson_nll,
                                                          weights=w)[:3:2])  # fmt: skip
    (cost, grads), (wanted, others) = back(HUGE, COUNTS, WEIGHTS), back(X[KEPT], COUNTS[KEPT], WEIGHTS[KEPT])
    np.testing.assert_allclose(cost, wanted, rtol=1e-6)
    np.testing.assert_allclose(grads["weight"], others["weight"], rtol=1e-5)


NORMED = ja.layers.sequential({"norm": ja.layers.batch_norm(), "dense": ja.layers.dense(1)})


def test_statistics_and_mixtures_leave_a_row_of_weight_0_out():
    """Of a whole batch: a row of weight 0 is padding, and padding is in no statistic and no mixture."""
    for changes in ({}, {"augment": ja.data.mixup(0.3)}):
        recipe = _recipe(NORMED, losses.squared_error, **changes)
        found = ja.fit(recipe, (HUGE, COUNTS, WEIGHTS), key=KEY, epochs=2)
        assert np.abs(found.state["norm"]["mean"]).max() < 10 and np.isfinite(found.history["loss"]).all()
    plain = _recipe(NORMED, losses.squared_error)
    found = ja.fit(plain, (HUGE, COUNTS, WEIGHTS), key=KEY, epochs=2)
    wanted = ja.fit(plain, (X[KEPT], COUNTS[KEPT], WEIGHTS[KEPT]), key=KEY, epochs=2)
    for a, b in zip(jax.tree.leaves((found.params, found.state)), jax.tree.leaves((wanted.params, wanted.state)),
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    mean = X[KEPT].astype(np.float64).mean(0)
    np.testing.assert_allclose(found.state["norm"]["mean"], mean * (1 - 0.9**2), rtol=1e-5)


def test_statistics_of_nothing_stay_as_they_are():
    layer = ja.layers.batch_norm(unbiased=True)
    params, _ = layer.init(KEY, X)
    state = {"mean": np.full(3, 2.0, np.float32), "var": np.full(3, 3.0, np.float32)}
    apply = quick_jit(lambda x, mask: layer.apply(params, state, x, train=True, example_mask=mask))
    for x, mask in ((X[:0], None), (X[:0], np.zeros(0, np.float32)), (np.full_like(X, np.nan), np.zeros(ROWS))):
        y, after = apply(x, mask)
        assert y.shape == x.shape and not np.isnan(y).any()
        np.testing.assert_array_equal(after["mean"], state["mean"])
        np.testing.assert_array_equal(after["var"], state["var"])


def test_the_state_of_a_frozen_layer_rests():
    model, sgd, optimizers = ja.models.mlp((4, 1), batch_norm=True), ja.optimizers.sgd(0.1), ja.optimizers
    params, fresh = jax.eval_shape(lambda: model.init(KEY, X))
    before, after = (jax.tree.map(lambda a, v=v: np.full(a.shape, v), fresh) for v in (0.0, 1.0))

    def moves(optimizer):
        recipe = ja.recipe(model, losses.squared_error, optimizer)
        trained = TrainState(params, before, jax.eval_shape(optimizer.init, params), start_guard())
        return at_rest(recipe, trained, after)["norm0"]["mean"][0] == 1

    for frozen in (
        optimizers.freeze(sgd, "norm0"),
        optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.freeze(sgd, "*")),
        optimizers.lookahead(optimizers.freeze(sgd, "norm0")),
        optimizers.partition({"norm0": None, "*": sgd}),
        optimizers.partition({"dense*": sgd, "*": optimizers.freeze(sgd, "norm0")}),
    ):
        assert not moves(frozen), frozen
    for moving in (sgd, optimizers.freeze(sgd, "norm0.scale"), optimizers.freeze(sgd, "dense0")):
        assert moves(moving), moving
    recipe = ja.recipe(model, losses.squared_error, optimizers.freeze(sgd, "norm0"), batch_size=4)
    state = ja.fit(recipe, (X, COUNTS), key=KEY, epochs=1).state["norm0"]
    np.testing.assert_array_equal([state["mean"], state["var"]], [np.zeros(4), np.ones(4)])


def test_the_state_of_a_layer_rests_until_it_is_unfrozen():
    model, optimizers = ja.models.mlp((4, 1), batch_norm=True), ja.optimizers
    rule = optimizers.gradual_unfreezing(ja.optimizers.sgd(0.1), ("dense0", "norm0", "dense1"), every=2)
    result = {}
    for epochs in (2, 3):  # one update an epoch; norm0 moves from the third on
        recipe = ja.recipe(model, losses.squared_error, rule)
        result[epochs] = ja.fit(recipe, (X, X[:, :1]), key=KEY, epochs=epochs, batch_size=len(X)).state["norm0"]["mean"]
    np.testing.assert_array_equal(result[2], 0)
    assert np.abs(result[3]).max() > 0


def test_positives_that_are_left_out_are_no_anchors():
    """The mean of a loss that compares examples is over those that have a partner among the rows that count."""
    embeddings = RANDOM.normal(size=(6, 2)).astype(np.float32)
    labels, weights = np.asarray([0, 0, 1, 1, 2, 2], np.int32), np.asarray([1, 0, 1, 1, 1, 1], np.float32)
    total, count = quick_jit(functools.partial(loss_sums, losses.triplet_hard))(embeddings, labels, weights)
    assert float(count) == 4  # the only partner of row 0 is left out
    far = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=-1).astype(np.float64)
    near = [min(far[i, j] for j in (0, 2, 3, 4, 5) if labels[j] != labels[i]) for i in range(2, 6)]
    own = [far[2, 3], far[2, 3], far[4, 5], far[4, 5]]
    np.testing.assert_allclose(total, np.maximum(np.asarray(own) - near + 1, 0).sum(), rtol=1e-5)
