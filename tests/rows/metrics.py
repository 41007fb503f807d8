"""Metrics, each with its streaming form."""

from __future__ import annotations

from jaxann import metrics
from jaxann.metrics import streaming
from tests.rows.kinds import MetricRow, labels

__all__ = ["HELPERS", "METRICS"]

HELPERS = {
    "metrics.streaming": "a room of its own",
    "metrics.streaming.merge": "adds two sums of any metric",
    "metrics.of_mean": "hands the mean of an ensemble to another metric",
    "metrics.of_mean_sigmoid": "hands the mean of an ensemble to another metric",
    "metrics.of_mean_softmax": "hands the mean of an ensemble to another metric",
}

METRICS = [
    MetricRow("metrics.accuracy", streaming.accuracy, "sklearn", plain=metrics.accuracy, targets=labels),
    MetricRow("metrics.rmse", streaming.rmse, "sklearn", plain=metrics.rmse),
    MetricRow("metrics.r2", lambda: streaming.r2(3), "sklearn", plain=metrics.r2),
]
