"""Metrics `(predictions, targets, weights) -> figure` on whole arrays, and their streaming forms in `streaming`."""

from jaxann.metrics import streaming
from jaxann.metrics.classification import accuracy
from jaxann.metrics.members import of_mean, of_mean_sigmoid, of_mean_softmax
from jaxann.metrics.regression import r2, rmse

__all__ = ["accuracy", "of_mean", "of_mean_sigmoid", "of_mean_softmax", "r2", "rmse", "streaming"]
