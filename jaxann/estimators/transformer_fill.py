"""Transformers that put something in the place of what is missing."""

from __future__ import annotations

from jaxann import preprocessing
from jaxann.estimators.transformer import Transformer

__all__ = ["Impute", "ImputeNeighbors"]


class Impute(Transformer):
    """z = x, and where x is missing the mean, the median or the most frequent number of its column, or `value`:
    `preprocessing.impute`.

    Args:
        strategy: "mean", "median", "most_frequent" or "constant".
        value: what "constant" fills in.
        indicators: whether one column for each column of x is appended, 1 where x was missing.

    It has a `partial_fit` for "mean" and "constant", which learn from sums.

    Peers: as scikit-learn's SimpleImputer with keep_empty_features=True, but that takes texts too, and its
    add_indicator has columns only for those in which something was missing.
    """

    _factory = preprocessing.impute

    def __init__(self, strategy: str = "mean", *, value: float = 0.0, indicators: bool = False):
        self.strategy = strategy
        self.value = value
        self.indicators = indicators

    def _can_stream(self) -> bool:
        return self.strategy in ("mean", "constant")


class ImputeNeighbors(Transformer):
    """z = x, and where x is missing the mean of its column over the nearest training rows that have it:
    `preprocessing.impute_neighbors`.

    Args:
        neighbors: how many rows the mean is taken over.
        weights: "uniform", or "distance" for weights of 1 / distance.

    Peers: as scikit-learn's KNNImputer with keep_empty_features=True; of rows at equal distance the earlier ones are
    neighbors.
    """

    _factory = preprocessing.impute_neighbors

    def __init__(self, neighbors: int = 5, *, weights: str = "uniform"):
        self.neighbors = neighbors
        self.weights = weights
