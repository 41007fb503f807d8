"""What cannot be said of a single example, and weights of recall beyond all numbers."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from sklearn import metrics as reference

from jaxann import metrics
from jaxann.metrics import streaming
from tests.programs import quick_jit


@pytest.mark.parametrize("name", ["r2", "explained_variance"])
def test_one_example_has_no_deviation_to_explain(name: str):
    metric, whole = getattr(streaming, name)(), quick_jit(getattr(metrics, name))
    p, y = np.float32([1.0, 2.5, 2.0]), np.float32([1.0, 2.0, 3.0])
    assert np.isnan(whole(p[:1], y[:1])) and np.isnan(whole(p[1:2], y[1:2]))
    assert np.isnan(whole(p, y, np.float32([0, 3, 0])))

    @quick_jit
    def in_parts(p, y):
        sums = metric.init()
        figures = []
        for i in range(3):
            sums = metric.update(sums, p[i : i + 1], y[i : i + 1], None)
            figures.append(metric.compute(sums))
        return figures

    figures = in_parts(p, y)
    score = {"r2": reference.r2_score, "explained_variance": reference.explained_variance_score}[name]
    np.testing.assert_allclose(figures, [np.nan, score(y[:2], p[:2]), score(y, p)], rtol=1e-5)


def test_f_beta_of_any_weight_of_recall():
    random = np.random.default_rng(0)
    p, y = random.normal(0.7, size=200).astype(np.float32), random.integers(0, 2, 200)
    beta = quick_jit(lambda p, y, b: metrics.f_beta(p, y, beta=b))
    for b in (0.0, 0.5, 1.0, 2.0, 1e10):
        np.testing.assert_allclose(beta(p, y, b), reference.fbeta_score(y, p > 0, beta=b), rtol=1e-6)
    recall = reference.recall_score(y, p > 0)
    np.testing.assert_allclose([beta(p, y, 1e20), beta(p, y, 3e38)], recall, rtol=1e-6)
    slope = quick_jit(jax.grad(lambda b: metrics.f_beta(p, y, beta=b)))
    h = 1e-3
    ends = [reference.fbeta_score(y, p > 0, beta=2 + d) for d in (h, -h)]
    np.testing.assert_allclose(slope(2.0), (ends[0] - ends[1]) / (2 * h), rtol=1e-3)
    assert np.isfinite(slope(1e20))
