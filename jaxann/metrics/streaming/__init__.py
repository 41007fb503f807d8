"""Metrics gathered batch by batch: `init() -> sums`, `update(sums, predictions, targets, weights)`, `compute(sums)`.

The sums of any split of the data, merged in any order, give the figure of the whole: batches are never averaged.
`weights` has one number an example (0 leaves it out). Each sum is kept with what rounding left out, in the default
float: in float32 a count is exact up to 2^48.

Metrics of labels take the number of `classes`, which the shapes of the sums hang on. Those that need every example
(median, ranks) keep up to `capacity` of them; with more the figure is NaN, never that of a part.
"""

from jaxann.metrics.streaming.calibration import CalibrationSums, expected_calibration_error
from jaxann.metrics.streaming.confusion import (
    ConfusionSums,
    balanced_accuracy,
    cohen_kappa,
    confusion_matrix,
    f1,
    f_beta,
    matthews_correlation,
    precision,
    recall,
)
from jaxann.metrics.streaming.errors import mae, mape, median_absolute_error, mse, rmse
from jaxann.metrics.streaming.likelihood import brier, log_loss, perplexity
from jaxann.metrics.streaming.moments import R2Sums, VarianceSums, explained_variance, r2
from jaxann.metrics.streaming.ranking import HistogramSums, average_precision, roc_auc
from jaxann.metrics.streaming.rows import Rows
from jaxann.metrics.streaming.sequences import token_error_rate
from jaxann.metrics.streaming.shares import accuracy, top_k_accuracy
from jaxann.metrics.streaming.sums import MeanSums, merge, merge_across

__all__ = [
    "CalibrationSums",
    "ConfusionSums",
    "HistogramSums",
    "MeanSums",
    "R2Sums",
    "Rows",
    "VarianceSums",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "cohen_kappa",
    "confusion_matrix",
    "expected_calibration_error",
    "explained_variance",
    "f1",
    "f_beta",
    "log_loss",
    "mae",
    "mape",
    "matthews_correlation",
    "median_absolute_error",
    "merge",
    "merge_across",
    "mse",
    "perplexity",
    "precision",
    "r2",
    "recall",
    "rmse",
    "roc_auc",
    "token_error_rate",
    "top_k_accuracy",
]
