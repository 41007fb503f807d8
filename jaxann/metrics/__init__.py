"""Metrics `(predictions, targets, weights) -> figure` on whole arrays, and their streaming forms in `streaming`."""

from jaxann.metrics import streaming
from jaxann.metrics.classification import accuracy
from jaxann.metrics.regression import r2, rmse

__all__ = ["accuracy", "r2", "rmse", "streaming"]
