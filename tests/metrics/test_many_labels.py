"""Several labels an example: precision, recall and F of each label, as scikit-learn averages them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from jaxann import metrics
from jaxann.metrics import streaming
from jaxann.metrics.forms import form_of
from tests.contract import assert_input_error
from tests.programs import quick_jit

RANDOM = np.random.default_rng(2)
ROWS, LABELS = 90, 5
SCORES = RANDOM.normal(size=(ROWS, LABELS)).astype(np.float32)
TRUE = (RANDOM.uniform(size=(ROWS, LABELS)) < [0.5, 0.2, 0.7, 0.05, 0.0]).astype(np.int32)  # the last never true
SCORES[:, 4] = -1  # and never predicted
WEIGHTS = RANDOM.integers(0, 3, ROWS).astype(np.float32)
NAMES = {
    "precision": reference.precision_score,
    "recall": reference.recall_score,
    "f1": reference.f1_score,
    "f_beta": functools.partial(reference.fbeta_score, beta=1.0),
}


@pytest.mark.parametrize("name", NAMES)
def test_averages_over_labels_are_those_of_scikit_learn(name: str):
    kinds = {"macro": "macro", "micro": "micro", "weighted": "weighted", "none": None}
    whole = getattr(metrics, name)

    @quick_jit
    def program(p, y, w):
        found = {}
        for average in kinds:
            metric = getattr(streaming, name)(average=average, labels=LABELS)
            halves = (
                metric.update(metric.init(), p[:50], y[:50], w[:50]),
                metric.update(metric.init(), p[50:], y[50:], w[50:]),
            )
            found[average] = (
                whole(p, y, average=average), whole(p, y, w, average=average),
                metric.compute(streaming.merge(metric, *halves)),
            )  # fmt: skip
        return found

    found = program(SCORES, TRUE, WEIGHTS)
    for average, sklearns in kinds.items():
        score = functools.partial(NAMES[name], TRUE, SCORES > 0, average=sklearns, zero_division=0)
        plain, weighted = score(), score(sample_weight=WEIGHTS)
        for figure, want in zip(found[average], (plain, weighted, weighted), strict=True):
            np.testing.assert_allclose(figure, want, rtol=1e-6, err_msg=average)
        for given in ((SCORES > 0), (SCORES > 0).astype(np.int32)):
            np.testing.assert_allclose(whole(given, TRUE, average=average), plain, rtol=1e-6)
    pooled = quick_jit(whole)(SCORES, TRUE)
    np.testing.assert_allclose(pooled, NAMES[name](TRUE.ravel(), SCORES.ravel() > 0), rtol=1e-6)


def test_labels_in_a_sequence_stay_one_list():
    """Whole numbers whose number of classes is given; without it scikit-learn refuses them too, but for 0 and 1."""
    p, y = RANDOM.integers(0, 3, (20, 4)), RANDOM.integers(0, 3, (20, 4))
    want = reference.f1_score(y.ravel(), p.ravel(), average="macro")
    np.testing.assert_allclose(metrics.f1(p, y, average="macro", classes=3), want, rtol=1e-6)
    with pytest.raises(ValueError, match="multiclass-multioutput"):
        reference.f1_score(y, p, average="macro")
    for name in NAMES:
        whole = functools.partial(getattr(metrics, name), average="macro")
        assert_input_error(functools.partial(whole, p, y), "predictions", expected="0 and 1")
        assert_input_error(functools.partial(whole, 1 * (p > 0), y), "targets", expected="0 and 1")
    want = reference.f1_score(y.ravel() > 0, p.ravel() > 0, average="macro")
    np.testing.assert_allclose(metrics.f1(1 * (p > 0), 1 * (y > 0), average="macro", classes=2), want, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
def test_one_column_is_one_list(name: str, average: str | None):
    """Averages over the two classes, as those of `(n,)`: one output a model is no question of several labels."""
    scores, true = SCORES[:, 1:2], TRUE[:, 1:2]
    metric = functools.partial(getattr(metrics, name), average=average or "none")
    want = NAMES[name](true[:, 0], scores[:, 0] > 0, average=average)
    weighted = NAMES[name](true[:, 0], scores[:, 0] > 0, average=average, sample_weight=WEIGHTS)
    for p in (scores, scores > 0, (scores > 0).astype(np.int32)):
        np.testing.assert_allclose(metric(p, true), want, rtol=1e-6)
    np.testing.assert_allclose(metric(scores[:, 0], true[:, 0]), want, rtol=1e-6)
    np.testing.assert_allclose(metric(scores, true, WEIGHTS), weighted, rtol=1e-6)
    form = form_of(metric, true, jax.ShapeDtypeStruct(scores.shape, jnp.float32))
    assert form is not None
    np.testing.assert_allclose(form(scores, true), want, rtol=1e-6)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_ranks_of_one_column_are_those_of_the_list(name: str):
    scores, true = SCORES[:, 1:2], TRUE[:, 1:2]
    for average in ("macro", "micro", "weighted"):
        sklearns = {"roc_auc": reference.roc_auc_score, "average_precision": reference.average_precision_score}[name]
        want = sklearns(true[:, 0], scores[:, 0], average=average)
        np.testing.assert_allclose(getattr(metrics, name)(scores, true, average=average), want, rtol=1e-6)


def test_the_form_of_a_metric_knows_the_labels():
    macro = functools.partial(metrics.f1, average="macro")
    like = functools.partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    assert form_of(macro, TRUE) is None
    found = form_of(macro, TRUE, like(SCORES.shape))
    assert found == streaming.f1(average="macro", labels=LABELS)
    assert form_of(macro, TRUE, like((*TRUE.shape, 3))) == streaming.f1(3, average="macro")
    assert form_of(metrics.f1, TRUE) == streaming.f1()


def test_labels_that_do_not_fit_are_refused():
    metric = streaming.f1(average="macro", labels=3)
    assert_input_error(lambda: metric.update(metric.init(), SCORES, TRUE, None), "predictions", expected="3")
    assert_input_error(lambda: streaming.f1(labels=3).init(), "average")
    assert_input_error(lambda: streaming.f1(4, average="macro", labels=3).init(), "classes")
