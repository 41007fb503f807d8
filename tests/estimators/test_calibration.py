"""Temperatures and conformal margins against SciPy and what they promise, on numbers alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from jaxann.core import InputError
from jaxann.estimators.calibration import fit_temperature, margin

RANDOM = np.random.default_rng(0)
LOGITS = 4 * RANDOM.normal(size=(1, 300, 3))
NOISY = LOGITS[0] / 4 + RANDOM.gumbel(size=(300, 3))
CODES = np.argmax(NOISY, 1)


def test_the_temperature_is_scipys_optimum():
    def loss(t: float) -> float:
        z = LOGITS[0] / t
        return float((np.log(np.exp(z).sum(1)) - z[np.arange(300), CODES]).mean())

    expected = minimize_scalar(loss, bracket=(1, 4)).x
    found = fit_temperature(LOGITS, CODES, several=False)
    assert found == pytest.approx(expected, rel=1e-4) and 3 < found < 5.5  # 4 made them


def test_one_logit_is_that_of_two_classes():
    z = LOGITS[..., :1]
    both = np.concatenate([np.zeros_like(z), z], 2)
    y = (RANDOM.random(300) < 1 / (1 + np.exp(-z[0, :, 0] / 2))).astype(np.int32)
    one = fit_temperature(z, y[:, None].astype(np.float32), several=False)
    assert one == pytest.approx(fit_temperature(both, y, several=False), rel=1e-5)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_the_margin_covers_what_it_promises(level: float):
    covered = []
    for seed in range(200):
        scores = np.random.default_rng(seed).exponential(size=(599))
        covered.append((scores[99:] <= margin("test", scores[:99], level)).mean())
    assert level - 0.01 < np.mean(covered) < level + 0.01 + 1 / 100


def test_the_margin_is_the_named_order_statistic():
    scores = RANDOM.permutation(np.arange(1.0, 10.0))
    assert margin("test", scores, 0.9) == 9 and margin("test", scores, 0.8) == 8 and margin("test", scores, 0.75) == 8
    np.testing.assert_array_equal(margin("test", np.stack([scores, -scores], 1), 0.5), [5, -5])
    with pytest.raises(InputError, match="level must be one that 9 rows"):
        margin("test", scores, 0.91)
