"""What the metrics of heads and of ensembles take, and that what a head's loss ignores is in no metric."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

import jaxann as ja
from jaxann import losses, metrics
from jaxann.metrics import streaming
from jaxann.train.batches import Batch
from jaxann.train.targets import check_counted, check_targets
from tests.contract import assert_input_error

KEY = jax.random.key(0)
ROWS = 20
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
LABELS = (np.arange(ROWS) % 2).astype(np.int32)
WEIGHTS = (1 + np.arange(ROWS) % 3).astype(np.float32)
IGNORING = functools.partial(losses.softmax_cross_entropy, ignore_index=-1)
IGNORED = np.where(np.arange(ROWS) % 3 == 0, -1, LABELS).astype(np.int32)


def squares(predictions: Any, targets: Any) -> Any:
    return jnp.sum(predictions**2, -1)


def check(loss: Any, metric: Any, y: Any, predictions: Any, weights: Any = None) -> None:
    shapes = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct((1, *shape), np.float32), predictions, is_leaf=lambda v: isinstance(v, tuple)
    )
    recipe = ja.recipe(ja.layers.dense(2), loss, ja.optimizers.sgd(0.1), metrics={"m": metric}, batch_size=ROWS)
    check_targets("fit", "train", Batch(X, y, weights), shapes, recipe)


def bad(value: float, dtype: Any = np.int32) -> np.ndarray:
    y = LABELS.astype(dtype)
    y[5] = value
    return y


def _name(metric: Any) -> str:
    return getattr(metric, "__name__", str(metric))


@pytest.mark.parametrize(
    "metric", [metrics.accuracy, streaming.accuracy(), metrics.log_loss, streaming.f1()], ids=_name
)
def test_a_head_is_asked_what_its_metric_takes(metric: Any):
    head, told = metrics.of_head("a", metric), {"argument": "train y for metrics['m']", "given": "7 at row 5"}
    for loss in (squares, losses.by_head({"b": losses.squared_error}), losses.by_head({"a": squares})):
        y, shapes = {"a": bad(7), "b": X[:, :1]}, {"a": (2,), "b": (1,)}
        assert_input_error(lambda loss=loss, y=y, shapes=shapes: check(loss, head, y, shapes), **told)
        check(loss, head, y, shapes, (y["a"] != 7).astype(np.float32))
        check(loss, head, y | {"a": LABELS}, shapes)
        binary, answers = {"a": (), "b": (1,)}, y | {"a": bad(7, np.float32)}
        assert_input_error(lambda loss=loss, y=answers, s=binary: check(loss, head, y, s), **told)
    tokens, mask = np.stack([LABELS, bad(7)], 1), np.stack([LABELS < 2, bad(7) < 2], 1)
    of_tokens = {"a": ja.core.Padded(tokens, mask)}
    check(losses.by_head({"a": squares}), head, of_tokens, {"a": (2, 2)})
    assert_input_error(
        lambda: check(losses.by_head({"a": squares}), head, {"a": ja.core.Padded(tokens, mask | True)}, {"a": (2, 2)}),
        "metrics['m']", given="7 at row 5, column 1",
    )  # fmt: skip
    # what the head's own loss ignores is no class, and left out
    check(losses.by_head({"a": IGNORING}), head, {"a": IGNORED}, {"a": (2,)})


def test_an_ensemble_is_asked_what_its_metric_takes():
    for make, shape in ((metrics.of_mean, (4, 2)), (metrics.of_mean_softmax, (4, 2)), (metrics.of_mean_sigmoid, (4,))):
        metric = make(streaming.accuracy())
        for loss in (squares, losses.each_member(squares)):
            for y in (bad(7), bad(7, np.float32)):
                assert_input_error(
                    lambda loss=loss, y=y, m=metric, s=shape: check(loss, m, y, s), "metrics['m']", given="7 at row 5"
                )
            check(loss, metric, LABELS, shape)
            inside = metrics.of_head("a", metric)
            assert_input_error(
                lambda m=inside, s=shape: check(squares, m, {"a": bad(7)}, {"a": s}), "metrics", given="7 at row 5"
            )
    check(losses.each_member(IGNORING), metrics.of_mean_softmax(streaming.accuracy()), IGNORED, (4, 2))
    check(squares, metrics.of_mean(streaming.mse()), 9 * X, (4, 3))


@ja.core.factory(ja.core.Metric)
def of_last_token(metric: ja.core.Metric):
    """One of one's own that says what is inside it."""

    def update(sums, predictions, targets, weights):
        return metric.update(sums, predictions["text"], targets["text"], weights)

    return ja.core.MetricFunctions(metric.init, update, metric.compute, inner=metric, head="text")


def test_a_metric_of_your_own_says_what_is_inside():
    metric = of_last_token(streaming.accuracy())
    assert_input_error(lambda: check(squares, metric, {"text": bad(7)}, {"text": (2,)}), "metrics", given="7 at row 5")
    check(losses.by_head({"text": IGNORING}), metric, {"text": IGNORED}, {"text": (2,)})


def test_a_fold_in_which_no_head_has_anything_that_counts_is_refused():
    half = np.where(np.arange(ROWS) < ROWS // 2, -1, LABELS)
    groups = [np.arange(ROWS // 2), np.arange(ROWS // 2, ROWS)]

    def told(heads: dict, y: Any) -> None:
        check_counted("cross_validate", "folds", Batch(X, y, None), groups, losses.by_head(heads), "held-out")

    for y in ({"a": half, "b": half}, {"a": half, "b": half[:, None] + np.zeros((1, 2), int)}):
        assert_input_error(lambda y=y: told({"a": IGNORING, "b": IGNORING}, y), "folds", given="none in number 0")
    told({"a": IGNORING, "b": IGNORING}, {"a": half, "b": LABELS})
    told({"a": IGNORING, "b": losses.squared_error}, {"a": half, "b": X})


def test_labels_of_any_dtype_are_looked_at_for_a_loss_of_your_own():
    recipe = ja.recipe(ja.layers.dense(2), squares, ja.optimizers.sgd(0.1), metrics={"a": metrics.top_k_accuracy})
    for value in (7, -1, 0.5):
        for dtype in (np.float32, np.float64, np.int32) if float(value).is_integer() else (np.float32,):
            data = (X, bad(value, dtype))
            assert_input_error(
                lambda data=data: ja.fit(recipe, data, key=KEY, epochs=1), "metrics['a']", given=f"{value} at row 5"
            )


def test_a_head_of_a_metric_without_weights_is_told_of_what_has_none():
    def share(predictions, targets):
        return jnp.mean(targets)

    weights = (np.arange(ROWS) > 3).astype(np.float32)
    with pytest.warns(UserWarning, match=r"metrics\['m'\] takes no weights"):
        check(losses.by_head({"a": IGNORING}), metrics.of_head("a", share), {"a": LABELS}, {"a": (2,)}, weights)


def weighted_share(predictions, targets, weights):
    return jnp.sum(jnp.where(jnp.argmax(predictions, -1) == targets, weights, 0)) / jnp.sum(weights)


def shown(predictions, targets):
    """Takes no weights, and so is shown what the loss ignores."""
    return jnp.mean(targets == -1)


def on_the_host(y_true, y_pred, sample_weight):
    return sklearn_metrics.accuracy_score(
        np.asarray(y_true), np.asarray(y_pred).argmax(-1), sample_weight=sample_weight
    )


def shown_on_the_host(predictions, targets):
    return float(np.mean(np.asarray(targets) == -1))


OWN = {"own": weighted_share, "shown": shown, "host": on_the_host, "shown_host": shown_on_the_host}


@pytest.mark.parametrize(("heads", "weights"), [(True, None), (False, WEIGHTS)])
def test_what_the_loss_ignores_is_in_no_metric(heads: bool, weights: np.ndarray | None):
    """Ours and your own, on the host or not, of a head or not; the rate is 0, so the model never changes."""
    own = OWN | {"accuracy": metrics.accuracy, "stream": streaming.accuracy(), "loss_again": metrics.log_loss}
    model, loss, y = ja.layers.dense(2), IGNORING, IGNORED
    if heads:
        model = ja.layers.branch({"a": ja.layers.dense(2), "b": ja.layers.dense(1)})
        loss, y = losses.by_head({"a": IGNORING, "b": losses.squared_error}), {"a": IGNORED, "b": X[:, :1]}
        own = {name: metrics.of_head("a", metric) for name, metric in own.items()}
    recipe = ja.recipe(model, loss, ja.optimizers.sgd(0.0), metrics=own)
    data = (X, y) if weights is None else (X, y, weights)
    result = ja.fit(recipe, data, validation=data, key=KEY, epochs=1, batch_size=8)
    logits = ja.predict(recipe, result.params, result.state, X)
    logits = np.asarray(logits["a"] if heads else logits)
    keep = IGNORED >= 0
    w = np.ones(keep.sum()) if weights is None else weights[keep]
    share = sklearn_metrics.accuracy_score(IGNORED[keep], logits[keep].argmax(1), sample_weight=w)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = {"accuracy": share, "stream": share, "own": share, "host": share}
    expected |= {"shown": np.mean(~keep), "shown_host": np.mean(~keep)}
    expected |= {"loss_again": sklearn_metrics.log_loss(IGNORED[keep], p[keep], sample_weight=w)}
    found = ja.train.evaluate(recipe, result.params, result.state, data, batch_size=8)
    for name, figure in expected.items():
        for one in (result.history[name][0], result.history[f"validation_{name}"][0], found[name]):
            np.testing.assert_allclose(one, figure, rtol=1e-5, err_msg=name)


def test_padding_and_ignored_labels_of_a_head_are_both_left_out():
    tokens = np.random.default_rng(1).integers(-1, 2, (ROWS, 5)).astype(np.int32)
    lengths = 1 + np.arange(ROWS) % 5
    values = np.random.default_rng(2).normal(size=(ROWS, 5, 3)).astype(np.float32)
    model = ja.layers.branch({"a": ja.layers.dense(2)})
    head = {"plain": metrics.of_head("a", metrics.accuracy), "stream": metrics.of_head("a", streaming.accuracy())}
    recipe = ja.recipe(model, losses.by_head({"a": IGNORING}), ja.optimizers.sgd(0.0), metrics=head)
    params, state = model.init(KEY, values)
    real = (np.arange(5)[None] < lengths[:, None]) & (tokens >= 0)
    logits = values @ np.asarray(params["a"]["weight"]) + np.asarray(params["a"]["bias"])
    found = ja.train.evaluate(recipe, params, state, (values, {"a": ja.core.padded(tokens, lengths)}))
    share = (logits.argmax(-1) == tokens)[real].mean()
    np.testing.assert_allclose([found["plain"], found["stream"]], share, rtol=1e-6)
