"""The figures scikit-learn (or a closed form in NumPy) gives for predictions of three columns: logits, or numbers.

`y` holds labels `(n,)`, or 0 and 1 of the predictions' shape, whose elements then count one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["binary", "calibration", "distance", "error_rate", "labels", "numbers", "probable", "softmax"]


def _sklearn() -> Any:
    import sklearn.metrics

    return sklearn.metrics


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def labels(name: str, **settings: Any) -> Callable:
    """A figure of true and predicted labels."""

    def figure(z, y, w):
        return getattr(_sklearn(), name)(y, z.argmax(-1), sample_weight=w, **settings)

    return figure


def binary(name: str, *, score: Callable | None = None, **settings: Any) -> Callable:
    """A figure of 0 and 1 against scores, or against what `score` makes of the logits; all elements one list."""

    def figure(z, y, w):
        scores = z if score is None else score(z)
        return getattr(_sklearn(), name)(y.reshape(-1), scores.reshape(-1), sample_weight=np.repeat(w, 3), **settings)

    return figure


def probable(name: str, *, score: Callable = softmax, **settings: Any) -> Callable:
    """A figure of labels against the classes' probabilities."""

    def figure(z, y, w):
        extra = {} if settings.get("multi_class") == "ovo" else {"sample_weight": w}
        if extra:
            return getattr(_sklearn(), name)(y, score(z), **extra, **settings)
        rows = np.repeat(np.arange(len(y)), w.astype(int))  # no weights there: every row as often as it weighs
        return getattr(_sklearn(), name)(y[rows], score(z)[rows], **settings)

    return figure


def numbers(name: str, finish: Callable = lambda figure: figure, **settings: Any) -> Callable:
    """A figure of numbers."""

    def figure(p, y, w):
        return finish(getattr(_sklearn(), name)(y, p, sample_weight=w, **settings))

    return figure


def calibration(confidence: np.ndarray, hit: np.ndarray, w: np.ndarray, bins: int = 15) -> float:
    """The error of calibration, bin by bin, bins (l, u]."""
    edges, total = np.linspace(0, 1, bins + 1), 0.0
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        total += abs(np.sum(w[inside] * hit[inside]) - np.sum(w[inside] * confidence[inside]))
    return total / np.sum(w)


def distance(a: list[int], b: list[int]) -> int:
    """The edit distance, by the recursion over what is left of both."""
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))


def error_rate(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """Errors for each label of the targets; what is below 0 is padding."""
    pairs = [[[int(k) for k in row if k >= 0] for row in pair] for pair in zip(z, y, strict=True)]
    errors = sum(weight * distance(*pair) for weight, pair in zip(w, pairs, strict=True))
    return errors / sum(weight * len(target) for weight, (_, target) in zip(w, pairs, strict=True))
