"""Sums of very many examples: large weights in the place of a billion rows; float64 and integers are right."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxann import metrics
from jaxann.initializers import log_prior
from jaxann.metrics import streaming
from tests.programs import quick_jit

RANDOM = np.random.default_rng(5)


def _matthews(c: list[list[int]]) -> float:
    """From whole numbers of any size."""
    n = range(len(c))
    s, hits = sum(map(sum, c)), sum(c[k][k] for k in n)
    true, predicted = [sum(c[k]) for k in n], [sum(row[k] for row in c) for k in n]
    above = hits * s - sum(p * t for p, t in zip(predicted, true, strict=True))
    squares = (s * s - sum(p * p for p in predicted)), (s * s - sum(t * t for t in true))
    return above / (float(squares[0]) ** 0.5 * float(squares[1]) ** 0.5)


RARE = {
    "10 of 1e7": [[10**7 - 15, 5], [5, 5]],
    "20 of 1e9": [[10**9 - 30, 10], [6, 14]],
    "4 classes": [[10**9, 3, 0, 2], [5, 40, 1, 0], [0, 0, 7, 2], [1, 0, 0, 10**8]],
    "no better than chance": [[81 * 10**7, 9 * 10**7], [9 * 10**7, 10**7]],
}


@pytest.mark.parametrize("name", RARE)
def test_figures_of_a_confusion_of_rare_classes(name: str):
    """As weights: whole and in parts, one of them merged."""
    counts = RARE[name]
    classes = len(counts)
    true, predicted = (a.reshape(-1).astype(np.int32) for a in np.indices((classes, classes)))
    w = np.asarray(counts, np.float32).reshape(-1)
    for make, want in (
        (metrics.matthews_correlation, _matthews(counts)),
        (metrics.balanced_accuracy, np.mean([counts[k][k] / sum(counts[k]) for k in range(classes)])),
    ):
        whole = quick_jit(functools.partial(make, classes=classes))(predicted, true, w)
        np.testing.assert_allclose(whole, want, rtol=1e-6, atol=1e-7)


def _scanned(metric, batches: int, predictions, targets, weights=None):
    """The figure of the same batch, counted in so many times."""

    @quick_jit
    def program(p, y, w):
        step = lambda sums, _: (metric.update(sums, p, y, w), None)  # noqa: E731
        return metric.compute(lax.scan(step, metric.init(), None, batches)[0])

    return float(program(predictions, targets, weights))


def test_small_batches_still_count_in_a_large_sum():
    """After a batch of 1e9 come 60,000 single examples: none of them is more than half a unit of the last place."""
    rows, most = 60_000, np.float32(1e9)
    p, y = np.float32([[2.0, -1.0]]), np.int32([1])
    made = {
        "accuracy": (streaming.accuracy(), 1e9 / (1e9 + rows)),
        "log_loss": (streaming.log_loss(), None),
        "balanced_accuracy": (streaming.balanced_accuracy(), 0.5),
        "calibration": (streaming.expected_calibration_error(), None),
        "recall": (streaming.recall(average="micro"), 1e9 / (1e9 + rows)),
    }

    @jax.jit
    def program(p, y, most):
        found = {}
        for name, (metric, _) in made.items():
            first = metric.update(metric.init(), p, 1 - y, jnp.reshape(most, (1,)))
            step = lambda sums, _, m=metric: (m.update(sums, p, y, None), None)  # noqa: E731
            sums = lax.scan(step, first, None, rows)[0]
            found[name] = metric.compute(sums), metric.compute(streaming.merge(metric, sums, sums)), sums
        return found

    found = program(p, y, most)
    low, high = np.logaddexp(0, -3.0), np.logaddexp(0, 3.0)
    confidence = 1 / (1 + np.exp(-3.0))
    wants = {name: want for name, (_, want) in made.items()} | {
        "log_loss": (1e9 * low + rows * high) / (1e9 + rows),
        "calibration": abs(1e9 - (1e9 + rows) * confidence) / (1e9 + rows),
    }
    for name, want in wants.items():
        np.testing.assert_allclose(found[name][:2], want, rtol=1e-6, err_msg=name)
    counts = found["balanced_accuracy"][2]
    assert np.float64(counts.counts[1, 0]) == rows
    sums = found["accuracy"][2]
    assert np.float64(sums.weight) + np.float64(sums.weight_rest) == 1e9 + rows


def test_moments_of_small_batches_after_a_large_one():
    rows = 60_000
    y = RANDOM.normal(size=rows).astype(np.float32)
    p = (y + RANDOM.normal(size=rows)).astype(np.float32)
    made = streaming.r2(), streaming.explained_variance()

    @jax.jit
    def program(p, y):
        w = jnp.full((2,), 5e8, jnp.float32)
        found = []
        for metric in made:
            first = metric.update(metric.init(), jnp.asarray([1.01, 2.99]), jnp.asarray([1.0, 3.0]), w)
            step = lambda sums, row, m=metric: (m.update(sums, row[0][None], row[1][None], None), None)  # noqa: E731
            found.append(metric.compute(lax.scan(step, first, (p, y))[0]))
        return jnp.stack(found)

    w = np.r_[5e8, 5e8, np.ones(rows)]
    p, y = (np.r_[a, b].astype(np.float64) for a, b in ((np.float32([1.01, 2.99]), p), (np.float32([1, 3]), y)))
    found = program(p[2:].astype(np.float32), y[2:].astype(np.float32))
    mean = np.average(y, weights=w)
    deviation = np.average((y - mean) ** 2, weights=w)
    off = y - p
    want = [1 - np.average(off**2, weights=w) / deviation]
    want.append(1 - np.average((off - np.average(off, weights=w)) ** 2, weights=w) / deviation)
    np.testing.assert_allclose(found, want, rtol=2e-7)


def test_whole_arrays_longer_than_a_float_can_count_by_ones():
    """Each of the 2,000,000 adds one; of weight 0.1 a cell stood still, or drifted, long before."""
    rows = 2_000_000
    confidence = RANDOM.uniform(0.5, 1, rows).astype(np.float32)
    hit = RANDOM.uniform(size=rows) < confidence
    found = quick_jit(functools.partial(metrics.expected_calibration_error, from_logits=False))(confidence, hit)
    edges = np.linspace(0, 1, 16)
    place = np.clip(np.searchsorted(edges.astype(np.float32), confidence) - 1, 0, 14)
    gaps = np.bincount(place, hit - confidence.astype(np.float64), 15)
    np.testing.assert_allclose(found, np.abs(gaps).sum() / rows, atol=1e-6)
    weights = np.full(rows, 0.1, np.float32)
    matrix = quick_jit(lambda p, y, w: metrics.confusion_matrix(p, y, w, classes=2))(
        (confidence > 0.7).astype(np.int32), hit.astype(np.int32), weights
    )
    want = np.bincount(2 * hit + (confidence > 0.7), minlength=4).reshape(2, 2) * np.float64(np.float32(0.1))
    np.testing.assert_allclose(matrix, want, rtol=1e-6)
    auc, rough = quick_jit(
        lambda p, y, w: (metrics.roc_auc(p, y, w, from_logits=False),
                         streaming.roc_auc(bins=20000, from_logits=False)(p, y, w))
    )(confidence, hit, weights)  # fmt: skip
    order = np.argsort(confidence, kind="stable")
    ranks = np.searchsorted(confidence[order], confidence, "left") + np.searchsorted(
        confidence[order], confidence, "right"
    )
    positive = hit.sum()
    want = ((ranks[hit] + 1) / 2).sum() - positive * (positive + 1) / 2
    np.testing.assert_allclose(auc, want / (positive * float(rows - positive)), rtol=1e-6)
    np.testing.assert_allclose(rough, auc, atol=1e-4)


def test_sums_keep_infinity_and_nan():
    metric = streaming.mse()
    huge = np.float32([3e38, 0])
    assert _scanned(metric, 3, huge, np.zeros(2, np.float32)) == np.inf
    assert np.isnan(_scanned(metric, 3, np.float32([np.nan, 0]), np.zeros(2, np.float32)))


def test_log_prior_of_many_examples():
    """More labels of one class than float32 counts by ones."""
    labels = np.zeros(2**24 + 2**21, np.int8)
    labels[: 2**20] = 1
    n = len(labels)
    want = np.log([(n - 2**20) / n, 2**20 / n])
    np.testing.assert_allclose(log_prior(labels, classes=2), want, rtol=3e-7)
