"""Metrics `(predictions, targets, weights) -> figure` on whole arrays, and their streaming forms in `streaming`."""

from jaxann.metrics import streaming
from jaxann.metrics.classification import (
    accuracy,
    balanced_accuracy,
    cohen_kappa,
    confusion_matrix,
    matthews_correlation,
    top_k_accuracy,
)
from jaxann.metrics.direction import direction_of, higher_is_better, lower_is_better
from jaxann.metrics.heads import of_head
from jaxann.metrics.members import of_mean, of_mean_sigmoid, of_mean_softmax
from jaxann.metrics.probabilities import brier, expected_calibration_error, log_loss, perplexity
from jaxann.metrics.ranking import average_precision, roc_auc
from jaxann.metrics.regression import explained_variance, mae, mape, median_absolute_error, mse, r2, rmse
from jaxann.metrics.report import classification_report
from jaxann.metrics.retrieval import f1, f_beta, precision, recall
from jaxann.metrics.sequences import edit_distance, token_error_rate

__all__ = [
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "classification_report",
    "cohen_kappa",
    "confusion_matrix",
    "direction_of",
    "edit_distance",
    "expected_calibration_error",
    "explained_variance",
    "f1",
    "f_beta",
    "higher_is_better",
    "log_loss",
    "lower_is_better",
    "mae",
    "mape",
    "matthews_correlation",
    "median_absolute_error",
    "mse",
    "of_head",
    "of_mean",
    "of_mean_sigmoid",
    "of_mean_softmax",
    "perplexity",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "streaming",
    "token_error_rate",
    "top_k_accuracy",
]
