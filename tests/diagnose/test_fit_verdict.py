"""Loss curves of every kind are told apart, whatever their length, scale and noise."""

from __future__ import annotations

import numpy as np
import pytest

import jaxann as ja

EPOCHS = (12, 40, 200)
SCALES = (0.01, 2.3, 500.0)


def _falling(epochs: int, start: float, end: float) -> np.ndarray:
    return end + (start - end) * np.exp(-8 * np.arange(epochs) / epochs)


def _losses(kind: str, epochs: int, scale: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    t = np.arange(epochs) / (epochs - 1)
    training = _falling(epochs, 1.0, 0.1)
    if kind == "overfitting":
        validation = _falling(epochs, 1.0, 0.35) + 0.5 * np.maximum(t - 0.3, 0) ** 1.3
    elif kind == "easy_validation":
        training, validation = _falling(epochs, 1.0, 0.4), _falling(epochs, 0.9, 0.25)
    elif kind == "unstable":
        training = 0.7 + 0.4 * rng.uniform(-1, 1, epochs)
        training[0] = 1.0
        validation = training + 0.05
    elif kind == "stalled":
        training, validation = np.full(epochs, 1.0), np.full(epochs, 1.01)
    elif kind == "underfitting":
        training = 1.0 - 0.75 * t
        validation = training + 0.01
    else:
        validation = _falling(epochs, 1.0, 0.13)
    noise = 0.002 * rng.normal(size=(2, epochs))
    return scale * (training + (kind != "stalled") * noise[0]), scale * (validation + noise[1])


@pytest.mark.parametrize("kind", ["overfitting", "easy_validation", "unstable", "stalled", "underfitting", "healthy"])
def test_each_kind_of_losses_is_told(kind: str):
    rng = np.random.default_rng(0)
    for epochs in EPOCHS:
        for scale in SCALES:
            for _ in range(5):
                found = ja.diagnose.fit_verdict(*_losses(kind, epochs, scale, rng))
                assert found.kind == kind, (epochs, scale, str(found))
                assert kind in str(found) and found.advice


def test_two_customary_rules_that_are_wrong():
    """Overfitting is no reason to train longer; a training loss above the validation loss is no overfitting."""
    rng = np.random.default_rng(1)
    over = ja.diagnose.fit_verdict(*_losses("overfitting", 50, 1.0, rng))
    assert "Stop earlier" in over.advice and over.best_epoch < 40 and "longer makes it worse" in over.advice
    above = ja.diagnose.fit_verdict(*_losses("easy_validation", 50, 1.0, rng))
    assert above.kind != "overfitting" and above.gap < 0 and "not overfitting" in above.advice


def test_a_target_tells_what_is_too_little():
    training, validation = _losses("healthy", 50, 1.0, np.random.default_rng(2))
    assert ja.diagnose.fit_verdict(training, validation, target=0.1, gap_tol=0.5).kind == "healthy"
    assert ja.diagnose.fit_verdict(training, validation, target=0.02).kind == "underfitting"


def test_figures_are_those_of_the_losses():
    found = ja.diagnose.fit_verdict(np.linspace(2, 1, 21), np.linspace(2.2, 1.2, 21))
    assert found.slope == pytest.approx(-0.05, rel=1e-3) and found.best_epoch == 20
    assert found.gap == pytest.approx((found.validation - found.training) / found.training)
    alone = ja.diagnose.fit_verdict([3.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert np.isnan(alone.validation) and alone.kind == "healthy" and "validation" not in str(alone)
    assert ja.diagnose.fit_verdict([1.0, np.inf, 0.5]).kind == "unstable"
    assert ja.diagnose.fit_verdict([1.0, 0.1, 0.1, 0.1, np.nan, np.nan]).kind == "healthy"


@pytest.mark.parametrize(
    ("given", "message"),
    [(([1.0],), "training must be of two epochs or more"), (([1.0, 2.0], [1.0]), "validation must be of 2 epochs"),
     (([[1.0], [2.0]],), r"training must be numbers of shape \(epochs,\)"), ((["a", "b"],), "training")],
)  # fmt: skip
def test_bad_losses_are_refused(given: tuple, message: str):
    with pytest.raises(ja.InputError, match=f"fit_verdict: {message}"):
        ja.diagnose.fit_verdict(*given)
    with pytest.raises(ja.InputError, match="gap_tol"):
        ja.diagnose.fit_verdict([1.0, 0.5], gap_tol=0.0)
