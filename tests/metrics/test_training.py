"""Metrics in training: gathered batch by batch without being asked, whatever is bound to them, in every kind of run."""

from __future__ import annotations

import functools
import json

import jax
import numpy as np
import pytest

import jaxann as ja
from jaxann.core import from_config, to_config
from jaxann.core.binding import as_partial, bound
from jaxann.metrics import streaming
from jaxann.metrics.forms import form_of, sizes_of
from jaxann.train.measure import streaming_form

METRICS = {
    "f2": functools.partial(ja.metrics.f_beta, beta=2.0, average="weighted", classes=3),
    "kappa": functools.partial(ja.metrics.cohen_kappa, weighting="quadratic"),
    "auc": ja.metrics.roc_auc,
    "calibration": functools.partial(ja.metrics.expected_calibration_error, bins=5),
}
FEW = {"kappa": METRICS["kappa"], "f1": functools.partial(ja.metrics.f1, average="macro")}
X = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
Y = (X[:, 0] + 0.5 * np.random.default_rng(1).normal(size=90) > 0).astype(np.int32) + (X[:, 1] > 0.8)
LOSS = ja.losses.softmax_cross_entropy


@jax.jit
def _expected(predictions, targets, weights=None):
    return {name: metric(predictions, targets, weights) for name, metric in METRICS.items()}


@jax.jit
def _few(predictions, targets):
    return {name: metric(predictions, targets) for name, metric in FEW.items()}


def test_fit_and_evaluate_give_the_figures_of_whole_arrays():
    model = ja.models.mlp((8, 3))
    watched = ja.train.early_stopping(None, monitor="validation_f2", mode="max", restore_best=False)
    recipe = ja.recipe(model, LOSS, ja.optimizers.adam(1e-2), metrics=METRICS, stopping=watched)
    result = ja.fit(recipe, (X[:60], Y[:60]), validation=(X[60:], Y[60:]), key=jax.random.key(0), epochs=2,
                    batch_size=16)  # fmt: skip
    assert result.best_epoch == np.argmax(result.history["validation_f2"])
    logits = ja.predict(model, result.params, result.state, X[60:])
    for name, figure in _expected(logits, Y[60:]).items():
        np.testing.assert_allclose(result.history[f"validation_{name}"][-1], figure, rtol=1e-5)
        assert np.isfinite(result.history[name]).all()
    weights = np.arange(90.0) % 3
    logits = ja.predict(model, result.params, result.state, X)
    data = X, Y, weights
    found = ja.train.evaluate(recipe, result.params, result.state, data, batch_size=32)
    for name, figure in _expected(logits, Y, weights).items():
        np.testing.assert_allclose(found[name], figure, rtol=1e-5)


def test_a_training_epoch_without_steps_has_the_figures_of_its_start():
    model = ja.models.mlp((8, 3))
    recipe = ja.recipe(model, LOSS, ja.optimizers.sgd(0.0), metrics=FEW)
    result = ja.fit(recipe, (X, Y), key=jax.random.key(0), epochs=1, batch_size=16)
    logits = ja.predict(model, result.params, result.state, X)
    for name, figure in _few(logits, Y).items():
        np.testing.assert_allclose(result.history[name][-1], figure, rtol=1e-5)


def test_members_of_a_population_and_folds_have_them_too():
    def build(hyper):
        return ja.recipe(ja.models.mlp((8, 3)), LOSS, ja.optimizers.adam(hyper["learning_rate"]), metrics=FEW)

    rates = np.asarray([1e-3, 1e-2], np.float32)
    many = ja.train.fit_population(build, {"learning_rate": rates}, (X[:60], Y[:60]), validation=(X[60:], Y[60:]),
                                   keys=jax.random.split(jax.random.key(0), 2), epochs=2, batch_size=16)  # fmt: skip
    for member in range(2):
        one = many.member(member)
        logits = ja.predict(ja.models.mlp((8, 3)), one.params, one.state, X[60:])
        for name, figure in _few(logits, Y[60:]).items():
            np.testing.assert_allclose(many.history[f"validation_{name}"][member, -1], figure, rtol=1e-4)
    table = ja.tune.cross_validate(build, {"learning_rate": rates}, (X[:70], Y[:70]), folds=3, key=jax.random.key(0),
                                   epochs=1, batch_size=16)  # fmt: skip
    assert all(np.isfinite(table.mean[name]).all() for name in FEW)


def _metrics_of(**metrics):
    return ja.recipe(ja.models.mlp((8, 3)), LOSS, ja.optimizers.sgd(0.1), metrics=metrics).metrics


def test_bound_settings_are_structure_and_bound_numbers_leaves():
    def made(beta):
        metric = functools.partial(ja.metrics.f_beta, beta=beta, average="macro", classes=3)
        return as_partial(metric, sizes_of(metric))

    assert jax.tree.structure(made(0.5)) == jax.tree.structure(made(2.0))
    assert jax.tree.leaves(made(0.5)) == [0.5]
    assert bound(made(0.5)) == (ja.metrics.f_beta, (), {"average": "macro", "classes": 3, "beta": 0.5})
    assert sizes_of(len) == ()


def test_every_metric_has_a_form_for_known_shapes():
    logits = jax.ShapeDtypeStruct((90, 3), np.float32)
    functions = {name: getattr(ja.metrics, name) for name in streaming.__all__ if hasattr(ja.metrics, name)}
    assert len(functions) == 24
    for name, function in functions.items():
        settings = {"average": "macro"} if name in ("f1", "f_beta", "precision", "recall") else {}
        form = form_of(functools.partial(function, **settings), Y, logits)
        assert isinstance(form, ja.core.Metric) and repr(form).startswith(name)
        assert from_config(json.loads(json.dumps(to_config(form)))) == form
    assert form_of(ja.metrics.f1, Y) == streaming.f1()
    assert form_of(ja.metrics.confusion_matrix, Y) is None
    binary = jax.ShapeDtypeStruct((90,), np.float32)
    assert form_of(ja.metrics.confusion_matrix, Y, binary) == streaming.confusion_matrix()
    assert form_of(ja.metrics.r2, X).arguments["columns"] == 4
    assert form_of(ja.metrics.median_absolute_error, X).arguments["capacity"] == 90
    assert (
        form_of(functools.partial(ja.metrics.expected_calibration_error, adaptive=True), Y).arguments["capacity"] == 90
    )
    assert form_of(len, Y) is None


@pytest.mark.parametrize("name", ["f1", "kappa"])
def test_whole_arrays_serve_where_the_number_of_classes_is_not_known(name: str):
    metric = _metrics_of(**{name: FEW[name]})[name]
    assert streaming_form(metric, Y) is None
    logits = np.random.default_rng(2).normal(size=(90, 3)).astype(np.float32)
    np.testing.assert_allclose(jax.jit(lambda m, p, t: m(p, t))(metric, logits, Y), _few(logits, Y)[name], rtol=1e-6)
