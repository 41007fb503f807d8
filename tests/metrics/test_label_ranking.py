"""Areas and precisions of several labels an example, as scikit-learn averages them."""

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

RANDOM = np.random.default_rng(6)
ROWS, LABELS = 80, 4
SCORES = (RANDOM.integers(-8, 9, (ROWS, LABELS)) / 4).astype(np.float32)  # many ties
TRUE = (RANDOM.uniform(size=(ROWS, LABELS)) < [0.5, 0.2, 0.8, 0.1]).astype(np.int32)
WEIGHTS = RANDOM.integers(0, 3, ROWS).astype(np.float32)
EACH = RANDOM.integers(0, 3, (ROWS, LABELS)).astype(np.float32)  # one weight a label
AVERAGES = {"macro": "macro", "micro": "micro", "weighted": "weighted", "none": None}
NAMES = {"roc_auc": reference.roc_auc_score, "average_precision": reference.average_precision_score}


def _halves(metric, p, y, w):
    first, second = (metric.update(metric.init(), p[part], y[part], w[part]) for part in (slice(50), slice(50, None)))
    return metric.compute(streaming.merge(metric, first, second))


@pytest.mark.parametrize("name", NAMES)
def test_averages_over_labels_are_those_of_scikit_learn(name: str):
    whole, build, score = getattr(metrics, name), getattr(streaming, name), NAMES[name]

    @quick_jit
    def program(p, y, w):
        found = {average: [whole(p, y, w, average=average)] for average in AVERAGES}
        for average in ("weighted", "micro"):  # of which the others are made
            settings = {"average": average, "labels": LABELS}
            exact, rough = build(capacity=ROWS, **settings), build(bins=40, from_logits=False, **settings)
            found[average] += [_halves(exact, p, y, w), _halves(rough, (p + 2) / 4.0, y, w)]
        return found, whole(p, y), whole(p, y, jnp.asarray(EACH), average="none")

    found, plain, each = program(SCORES, TRUE, WEIGHTS)
    np.testing.assert_allclose(plain, score(TRUE, SCORES), rtol=1e-6)
    for average, sklearns in AVERAGES.items():
        want = score(TRUE, SCORES, average=sklearns, sample_weight=WEIGHTS)
        for figure in found[average]:
            np.testing.assert_allclose(figure, want, rtol=1e-5, err_msg=average)
    own = [score(TRUE[:, k], SCORES[:, k], sample_weight=EACH[:, k]) for k in range(LABELS)]
    np.testing.assert_allclose(each, own, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_edges_of_labels(name: str):
    """A label that is never true, nothing true at all, no examples, NaN, and one label alone."""
    score, nothing = NAMES[name], {"roc_auc": np.nan, "average_precision": 0.0}[name]
    kinds = ("macro", "weighted", "none")
    build = getattr(streaming, name)
    settings = {"labels": LABELS}
    made = [build(capacity=ROWS, average=a, **settings) for a in kinds]
    made += [build(bins=40, average=a, **settings) for a in kinds]
    program = quick_jit(lambda p, y, w: [metric(p, y, w) for metric in made])
    rare, ones = TRUE * np.asarray([1, 1, 1, 0]), np.ones(ROWS, np.float32)
    cases = program(SCORES, rare, ones)
    own = [score(rare[:, k], SCORES[:, k]) for k in range(3)]
    for macro, weighted, each in (cases[:3], cases[3:]):
        np.testing.assert_allclose(macro, np.mean([*own, nothing]), rtol=1e-5)
        np.testing.assert_allclose(weighted, np.average(own, weights=rare.sum(0)[:3]), rtol=1e-5)
        np.testing.assert_allclose(each, [*own, nothing], rtol=1e-5)
    np.testing.assert_array_equal(jnp.stack([f for f in program(SCORES, TRUE * 0, ones) if not f.shape]), [nothing] * 4)
    spoilt = SCORES.copy()
    spoilt[3, 1] = np.nan
    for figures in (program(SCORES, TRUE, ones * 0), program(spoilt, TRUE, ones)):
        assert all(np.isnan(figure).all() for figure in figures)
    left_out = (np.arange(ROWS) != 3).astype(np.float32)
    for found, want in zip(program(spoilt, TRUE, left_out), program(SCORES, TRUE, left_out), strict=True):
        np.testing.assert_array_equal(found, want)
    column = quick_jit(getattr(metrics, name))(SCORES[:, :1], TRUE[:, :1])
    np.testing.assert_allclose(column, score(TRUE[:, 0], SCORES[:, 0]), rtol=1e-6)


def test_the_form_of_a_rank_metric_knows_the_labels():
    like = functools.partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
    for name in NAMES:
        whole, build = getattr(metrics, name), getattr(streaming, name)
        assert form_of(whole, TRUE) is None
        assert form_of(whole, TRUE, like(SCORES.shape)) == build(capacity=ROWS, labels=LABELS)
        assert form_of(whole, TRUE, like((*TRUE.shape, 3))) == build(3, capacity=ROWS * LABELS)
        assert form_of(whole, TRUE[:, 0], like((ROWS,))) == build(capacity=ROWS)
        metric = build(labels=3)
        assert_input_error(lambda m=metric: m.update(m.init(), SCORES, TRUE), "predictions", expected="3")
        assert_input_error(lambda b=build: b(4, labels=3).init(), "classes", expected="several labels")
        assert_input_error(lambda b=build: b(labels=4)(SCORES, TRUE + 1), "targets", given="2 at row")
