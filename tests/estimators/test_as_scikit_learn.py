"""scikit-learn's own tests of its multi-layer perceptrons, run with ours in their place."""

from __future__ import annotations

import pytest
from sklearn.neural_network.tests import test_mlp as theirs

from jaxann.estimators import MLPClassifier, MLPRegressor

# Ours stop by the loss, in float32, where theirs look at the gradient: what ends there may still be going here.
pytestmark = pytest.mark.filterwarnings("ignore:.*training has not converged")

_PRIVATE = "looks at private attributes (_optimizer, _no_improvement_count, _backprop, _random_state)"
DOES_NOT_APPLY = {
    "test_fit": _PRIVATE,
    "test_gradient": _PRIVATE,
    "test_learning_rate_warmstart": _PRIVATE,
    "test_adaptive_learning_rate": _PRIVATE,
    "test_n_iter_no_change": _PRIVATE,
    "test_n_iter_no_change_inf": _PRIVATE,
    "test_verbose_sgd": "verbose draws a bar and prints no line a pass",
    "test_nonfinite_params": "numbers that would overflow are refused before training, with their column",
    "test_mlp_diverging_loss": "training ends at the last good weights, and a warning names the step",
    "test_predict_proba_multilabel": "log probabilities come from logits, with digits that log(rounded p) has not",
    "test_early_stopping_stratified": "the message lists the rare class by its code, not as 'True'",
}


@pytest.fixture
def global_random_seed() -> int:
    """Their own fixture of that name."""
    return 0


@pytest.fixture(autouse=True)
def ours_in_their_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(theirs, "MLPClassifier", MLPClassifier)
    monkeypatch.setattr(theirs, "MLPRegressor", MLPRegressor)


for name, function in vars(theirs).items():
    if name.startswith("test_") and name not in DOES_NOT_APPLY:
        globals()[name] = function
