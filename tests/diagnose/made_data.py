"""Data that are honest, and what is done to them: for the tests of what is found wrong with data."""

from __future__ import annotations

import numpy as np
from sklearn import datasets

from jaxann.diagnose.data_checks import data_verdicts
from jaxann.diagnose.verdicts import Verdict

LABELLED = ("iris", "wine", "breast_cancer", "digits")


def standard(x: np.ndarray) -> np.ndarray:
    deviation = x.std(0)
    return ((x - x.mean(0)) / np.where(deviation > 0, deviation, 1)).astype(np.float32)


def real(name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return standard(x)[:, x.std(0) > 0], y


def blobs(
    rng: np.random.Generator, rows: int = 400, columns: int = 5, classes: int = 3, gap: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    """Normal classes; the nearest two centers are `gap` deviations apart."""
    centers = rng.normal(size=(classes, columns))
    apart = np.sqrt(((centers[:, None] - centers[None]) ** 2).sum(-1))[np.triu_indices(classes, 1)].min()
    labels = rng.integers(0, classes, rows)
    return standard(centers[labels] * gap / apart + rng.normal(size=(rows, columns))), labels


def linear(rng: np.random.Generator, rows: int = 400, columns: int = 6) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(rows, columns)).astype(np.float32)
    return x, (x @ rng.normal(size=columns) + rng.normal(size=rows) * 0.5).astype(np.float32)


def halves(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[tuple, tuple]:
    order = rng.permutation(len(y))
    train, validation = order[: int(0.8 * len(y))], order[int(0.8 * len(y)) :]
    return (x[train], y[train]), (x[validation], y[validation])


def found(data: tuple, validation: tuple | None = None, task: str = "classes", **settings) -> list[Verdict]:
    return data_verdicts(data[0], data[1], None, validation, task=task, **settings)


def kinds(verdicts: list[Verdict]) -> list[str]:
    return [one.kind for one in verdicts]


def flipped(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    labels, classes = labels.copy(), int(labels.max()) + 1
    rows = rng.permutation(len(labels))[: int(np.ceil(share * len(labels)))]
    labels[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return labels
