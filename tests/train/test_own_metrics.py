"""Metrics of one's own: they get weights by their signature, and NumPy's and scikit-learn's run on the host."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

import jaxann as ja
from jaxann.metrics.calling import figure_of
from tests.contract import assert_input_error
from tests.train.problems import compiles

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)).astype(np.float32)
Y = ((X[:, 0] > 0).astype(np.int32) + (X[:, 1] > 0.8)).astype(np.int32)
W = (np.arange(90) % 4).astype(np.float32)
TRAIN, HELD = (X[:60], Y[:60], W[:60]), (X[60:], Y[60:], W[60:])
LOSS = ja.losses.softmax_cross_entropy


def weighted_share(predictions, targets, weights):
    """Third and without a default: weights, whatever they are called."""
    hit = jnp.argmax(predictions, -1) == targets
    return jnp.sum(jnp.where(hit, weights, 0)) / jnp.sum(weights)


def by_name(predictions, targets, *, weights=None):
    return weighted_share(predictions, targets, weights)


def as_scikit_learn(y_true, y_pred, sample_weight=None):
    """Not symmetric: the weighted share of class 1 among the targets, and 10 times that among the predictions."""
    w = jnp.ones(y_true.shape[0]) if sample_weight is None else sample_weight
    share, predicted = (jnp.sum(jnp.where(one == 1, w, 0)) for one in (y_true, jnp.argmax(y_pred, -1)))
    return (share + 10 * predicted) / jnp.sum(w)


def unweighted(predictions, targets, threshold=0.5):
    return jnp.mean(jnp.argmax(predictions, -1) == targets) + threshold


def expected_of(logits, y, w) -> dict[str, float]:
    labels = np.argmax(np.asarray(logits), -1)
    share = sklearn_metrics.accuracy_score(y, labels, sample_weight=w)
    ones = np.average(y == 1, weights=w) + 10 * np.average(labels == 1, weights=w)
    macro = sklearn_metrics.f1_score(y, labels, average="macro", sample_weight=w)
    plain = np.mean((labels == y)[slice(None) if w is None else w > 0]) + 0.25  # takes no weights: sees what has some
    return {"third": share, "named": share, "swapped": ones, "plain": plain, "numpy": share, "sklearn": macro}


def numpy_share(predictions, targets, weights):
    return np.average(np.asarray(predictions).argmax(-1) == np.asarray(targets), weights=np.asarray(weights))


def macro_f1(y_true, y_pred, sample_weight):
    labels = np.asarray(y_pred).argmax(-1)
    return sklearn_metrics.f1_score(np.asarray(y_true), labels, average="macro", sample_weight=sample_weight)


TRACED = {"third": weighted_share, "named": by_name, "swapped": as_scikit_learn,
          "plain": functools.partial(unweighted, threshold=0.25)}  # fmt: skip
ALL = TRACED | {"numpy": numpy_share, "sklearn": macro_f1}


def recipe_of(metrics: dict[str, Any], rate: float = 0.0, **changes: Any) -> Any:
    return ja.recipe(ja.models.mlp((8, 3)), LOSS, ja.optimizers.sgd(rate), metrics=metrics, **changes)


@pytest.mark.parametrize("metrics", [TRACED, ALL], ids=["traced", "with the host's"])
def test_fit_and_evaluate_hand_weights_over(metrics: dict[str, Any]):
    """With a rate of 0 the weights of the model stand still: every epoch's figures are those of `predict`."""
    recipe = recipe_of(metrics)
    result = ja.fit(recipe, TRAIN, validation=HELD, key=KEY, epochs=2, batch_size=16)
    assert tuple(result.history) == recipe.columns(True)
    for prefix, (x, y, w) in (("", TRAIN), ("validation_", HELD)):
        expected = expected_of(ja.predict(recipe, result.params, result.state, x), y, w)
        found = ja.train.evaluate(recipe, result.params, result.state, (x, y, w), batch_size=16)
        for name in metrics:
            np.testing.assert_allclose(result.history[prefix + name], expected[name], rtol=1e-5)
            assert found[name] == pytest.approx(expected[name], rel=1e-5)


def test_without_weights_they_are_ones():
    recipe = recipe_of(ALL)
    result = ja.fit(recipe, TRAIN[:2], key=KEY, epochs=1, batch_size=16)
    expected = expected_of(ja.predict(recipe, result.params, result.state, X[:60]), Y[:60], None)
    found = ja.train.evaluate(recipe, result.params, result.state, TRAIN[:2])
    for name in ALL:
        assert result.history[name][0] == pytest.approx(expected[name], rel=1e-5)
        assert found[name] == pytest.approx(expected[name], rel=1e-5)


def test_a_program_cannot_leave_rows_out_for_a_metric_without_weights():
    """Its figure is NaN, and a warning names it; the host leaves them out, and has nothing to tell."""
    recipe = recipe_of({"plain": TRACED["plain"], "named": by_name})
    with pytest.warns(UserWarning, match=r"metrics\['plain'\] takes no weights, and some of train has weight 0"):
        many = ja.train.fit_population(lambda h: recipe, {}, TRAIN, keys=jax.random.split(KEY, 2), epochs=1,
                                       batch_size=16)  # fmt: skip
    assert np.isnan(many.history["plain"]).all() and np.isfinite(many.history["named"]).all()
    ones = (*TRAIN[:2], np.ones(60, np.float32))
    assert ja.fit(recipe, ones, key=KEY, epochs=1, batch_size=16).history["plain"][0] < 1.25


def test_no_metric_of_the_host_sees_what_has_weight_0():
    """Neither as rows nor as padding; of nothing it is NaN. It is tried on some rows first, and those it may see."""
    seen = []

    def share(predictions, targets):
        seen.append(np.asarray(targets))
        return float(np.mean(np.asarray(predictions).argmax(-1) == seen[-1]))

    def plain(predictions, targets):
        return jnp.mean(jnp.argmax(predictions, -1) == targets)

    recipe = recipe_of({"share": share, "plain": plain})
    weights = np.where(np.arange(60) < 20, 0, 1).astype(np.float32)
    nothing = X[60:], Y[60:], np.r_[np.ones(1), np.zeros(29)].astype(np.float32)
    result = ja.fit(recipe, (X[:60], Y[:60], weights), validation=nothing, key=KEY, epochs=1, batch_size=60)
    labels = np.asarray(ja.predict(recipe, result.params, result.state, X)).argmax(-1)
    for name in ("share", "plain"):
        assert result.history[name][0] == pytest.approx(sklearn_metrics.accuracy_score(Y[20:60], labels[20:60]))
        assert result.history[f"validation_{name}"][0] == float(labels[60] == Y[60])
    assert sorted(seen[-2]) == sorted(Y[20:60]) and seen[-1] == Y[60]
    assert np.isnan(figure_of(share, X[:, :3], Y, np.zeros(90)))
    values, lengths = RNG.normal(size=(6, 5, 4)).astype(np.float32), np.array([1, 2, 3, 4, 5, 5])
    y, real = RNG.integers(0, 3, (6, 5)), np.arange(5)[None] < lengths[:, None]
    data = ja.core.padded(values, lengths), ja.core.padded(y, lengths)
    recipe = ja.recipe(ja.layers.dense(3), LOSS, ja.optimizers.sgd(0.0), metrics={"share": share, "plain": plain})
    result = ja.fit(recipe, data, key=KEY, epochs=1)
    hits = np.asarray(ja.predict(recipe, result.params, result.state, values)).argmax(-1) == y
    for name in ("share", "plain"):
        assert result.history[name][0] == pytest.approx(hits[real].mean(), rel=1e-6)


@pytest.mark.filterwarnings("ignore:.*takes no weights")
def test_populations_and_folds_hand_weights_over():
    def build(hyper):
        return recipe_of(TRACED, hyper["rate"])

    many = ja.train.fit_population(build, {"rate": [0.0, 0.1]}, TRAIN, validation=HELD, keys=jax.random.split(KEY, 2),
                                   epochs=1, batch_size=16)  # fmt: skip
    folds = ja.tune.k_fold(90, 3)
    table = ja.tune.cross_validate(build, {"rate": [0.1]}, (X, Y, W), folds=folds, key=KEY, epochs=1, batch_size=16,
                                   out_of_fold=True)  # fmt: skip
    one = many.member(1)
    expected = expected_of(ja.predict(recipe_of({}), one.params, one.state, HELD[0]), *HELD[1:])
    for name in TRACED:
        want = np.nan if name == "plain" else expected[name]  # a program can leave no row out
        assert many.history[f"validation_{name}"][1, 0] == pytest.approx(want, rel=1e-5, nan_ok=True)
        for number, (_, rows) in enumerate(folds):
            held = expected_of(table.out_of_fold[0][rows], Y[rows], W[rows])[name]
            held = np.nan if name == "plain" and not W[rows].all() else held
            assert table.scores[name][0, number] == pytest.approx(held, rel=1e-5, nan_ok=True)


def test_a_head_and_padding_hand_weights_over():
    """Padded positions weigh nothing, and a head's metric of two arguments is called with two."""
    values = RNG.normal(size=(6, 5, 3)).astype(np.float32)
    labels = RNG.integers(0, 3, (6, 5)).astype(np.int32)
    lengths = np.array([1, 2, 3, 4, 5, 5])
    real = np.arange(5)[None] < lengths[:, None]
    recipe = ja.recipe(ja.layers.dense(3), LOSS, ja.optimizers.sgd(0.0), metrics={"share": weighted_share})
    data = ja.core.padded(values, lengths), ja.core.padded(labels, lengths)
    result = ja.fit(recipe, data, validation=data, key=KEY, epochs=1)
    hits = np.asarray(ja.predict(recipe, result.params, result.state, values)).argmax(-1) == labels
    for name in ("share", "validation_share"):
        assert result.history[name][0] == pytest.approx(hits[real].mean(), rel=1e-6)
    head = ja.metrics.of_head("a", lambda p, t: jnp.mean(p - t))
    assert float(head({"a": jnp.ones(3)}, {"a": jnp.zeros(3)}, jnp.ones(3))) == 1.0


@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping_by_a_metric_of_the_host_is_that_by_its_own_figures(restore: bool):
    def host(predictions, targets):
        return float(sklearn_metrics.accuracy_score(targets, np.asarray(predictions).argmax(-1)))

    def stopping(name):
        return ja.train.early_stopping(3, monitor=f"validation_{name}", mode="max", restore_best=restore)

    plain = recipe_of({"hits": ja.metrics.accuracy}, 0.3, stopping=stopping("hits"))
    own = recipe_of({"host": host, "hits": ja.metrics.accuracy}, 0.3, stopping=stopping("host"))
    expected, found = (
        ja.fit(one, TRAIN[:2], validation=HELD[:2], key=KEY, epochs=60, batch_size=16) for one in (plain, own)
    )
    assert found.status == expected.status == ja.train.Status.STOPPED
    assert (found.best_epoch, found.epochs_run) == (expected.best_epoch, expected.epochs_run)
    assert found.epochs_run < 60
    np.testing.assert_allclose(found.history["validation_host"], found.history["validation_hits"], rtol=1e-6)
    for name, values in expected.history.items():
        np.testing.assert_allclose(found.history[name], values, rtol=1e-5)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), found.params, expected.params)


def test_a_run_with_a_metric_of_the_host_is_cut_and_resumed():
    recipe = recipe_of({"numpy": numpy_share}, 0.1)
    whole = ja.fit(recipe, TRAIN, validation=HELD, key=KEY, epochs=4, batch_size=16)
    half = ja.fit(recipe, TRAIN, validation=HELD, key=KEY, epochs=2, batch_size=16)
    again = ja.fit(recipe, TRAIN, validation=HELD, key=KEY, epochs=4, batch_size=16, resume=half)
    jax.tree.map(np.testing.assert_array_equal, (again.params, again.history), (whole.params, whole.history))
    before = compiles()
    ja.fit(recipe_of({"numpy": lambda p, t: float(np.mean(t))}, 0.2), TRAIN, validation=HELD, key=KEY, epochs=1,
           batch_size=16)  # fmt: skip
    assert compiles() == before, "another function of the host is the same program"


def test_verbs_that_are_one_program_say_what_they_need():
    recipe = recipe_of({"numpy": numpy_share})
    calls = [
        lambda: jax.jit(ja.train.make_run(recipe, epochs=1))(KEY, TRAIN, HELD),
        lambda: ja.train.fit_population(lambda h: recipe, {}, TRAIN, keys=jax.random.split(KEY, 2), epochs=1),
        lambda: ja.tune.cross_validate(lambda h: recipe, {}, (X, Y), key=KEY, epochs=1, folds=3),
    ]
    for call in calls:
        with pytest.raises(ja.InputError, match="numpy_share must be of jax.numpy"):
            call()


def test_what_a_metric_of_the_host_says_must_be_one_figure():
    recipe = recipe_of({"several": lambda p, t: np.asarray(p)[:2, 0]})
    with pytest.raises(ja.InputError, match="'several'. must be a metric that gives one figure, got one of shape"):
        ja.fit(recipe, TRAIN, key=KEY, epochs=1)


def test_a_metric_of_the_host_that_gives_no_number_is_told_what_it_gives():
    for answer, given in (("good", "'good'"), (1j, "1j")):
        recipe = recipe_of({"m": lambda p, t, answer=answer: (np.asarray(p), answer)[1]})
        told = assert_input_error(lambda r=recipe: ja.fit(r, TRAIN, key=KEY, epochs=1), "metrics['m']", given=given)
        assert told == f"fit: metrics['m'] must be a metric that gives one figure, got {given}."


def test_a_metric_of_the_host_is_tried_before_anything_is_compiled():
    for metric in (sklearn_metrics.accuracy_score, functools.partial(sklearn_metrics.f1_score, average="macro")):
        recipe, before = recipe_of({"wrong": metric}), compiles()
        with pytest.raises(ja.InputError, match="handed the model's outputs of shape .n, 3.") as caught:
            ja.fit(recipe, TRAIN, key=KEY, epochs=1)
        assert "metrics['wrong']" in str(caught.value) and "argmax(-1)" in str(caught.value)
        assert compiles() == before


def test_a_metric_of_the_host_may_want_both_classes_or_shares():
    """It is wrong only if it fails with all that it may be given: sorted targets, too, have both classes."""
    x, y = RNG.normal(size=(600, 4)).astype(np.float32), np.repeat([0, 1], [599, 1])
    metrics = {
        "auc": lambda y_true, z: sklearn_metrics.roc_auc_score(y_true, z[:, 1]),
        "strict": lambda y_true, z: float(1 / np.count_nonzero(z[:, 1] > 0)),
    }
    recipe = ja.recipe(ja.layers.dense(2), LOSS, ja.optimizers.sgd(0.0), metrics=metrics)
    result = ja.fit(recipe, (x, y), key=KEY, epochs=1)
    z = np.asarray(ja.predict(recipe, result.params, result.state, x))
    assert result.history["auc"][0] == pytest.approx(sklearn_metrics.roc_auc_score(y, z[:, 1]), rel=1e-6)


def test_a_metric_of_a_library_that_knows_no_tracers_runs_on_the_host():
    torch = pytest.importorskip("torch")

    def share(predictions, targets):
        return (torch.from_dlpack(predictions).argmax(-1) == torch.from_dlpack(targets)).float().mean()

    recipe = recipe_of({"torch": share, "hits": ja.metrics.accuracy})
    history = ja.fit(recipe, TRAIN[:2], key=KEY, epochs=1).history
    assert history["torch"][0] == pytest.approx(history["hits"][0], rel=1e-6)


def test_an_error_of_a_metric_of_ones_own_names_it():
    with pytest.raises(AttributeError, match="nothing") as caught:
        ja.fit(recipe_of({"wrong": lambda p, t: p.nothing}), TRAIN, key=KEY, epochs=1)
    assert any("metrics['wrong'] of fit" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (lambda p, t: ("p", p, t), ("p", 1, 0)),
        (lambda p, t, w: (p, t, w), (1, 0, 5)),
        (lambda p, t, weights: (p, t, weights), (1, 0, 5)),
        (lambda p, t, extra=7: (p, t, extra), (1, 0, 7)),
        (lambda p, t, extra=7, weights=None: (p, t, extra, weights), (1, 0, 7, 5)),
        (lambda y_true, y_pred: (y_true, y_pred), (0, 1)),
        (lambda y_true, y_pred, *, sample_weight=None: (y_true, y_pred, sample_weight), (0, 1, 5)),
        (functools.partial(lambda beta, p, t: (beta, p, t), 2), (2, 1, 0)),
        (functools.partial(lambda p, t, w: (p, t, w), w=3), (1, 0, 3)),
        (lambda *arrays: arrays, (1, 0)),
    ],
)
def test_a_signature_says_what_a_metric_is_given(metric: Any, expected: tuple):
    recipe_of({"a": metric})
    found = figure_of(metric, np.ones(2), np.zeros(2), np.full(2, 5))
    assert [value if isinstance(value, str | int) else int(value[0]) for value in found] == list(expected)


def test_scikit_learns_functions_are_metrics_as_they_are():
    y = (X @ [1.0, -1.0, 0.5, 0.0]).astype(np.float32)[:, None]
    metrics = {name: getattr(sklearn_metrics, name) for name in ("r2_score", "mean_absolute_error", "max_error")}
    stopping = ja.train.early_stopping(2, monitor="validation_r2_score", mode="max")
    recipe = ja.recipe(ja.models.mlp((1,)), ja.losses.squared_error, ja.optimizers.adam(0.1), metrics=metrics,
                       stopping=stopping)  # fmt: skip
    held = X[60:], y[60:], W[60:] + 1
    result = ja.fit(recipe, (X[:60], y[:60]), validation=held, key=KEY, epochs=4, batch_size=16)
    predicted = np.asarray(ja.predict(recipe, result.params, result.state, held[0]))
    found = ja.train.evaluate(recipe, result.params, result.state, held)
    for name, metric in metrics.items():
        keywords = {} if name == "max_error" else {"sample_weight": held[2]}
        expected = metric(held[1], predicted, **keywords)
        assert found[name] == pytest.approx(expected, rel=1e-5)
        assert result.history[f"validation_{name}"][result.best_epoch] == pytest.approx(expected, rel=1e-5)
