"""The tables of `python -m benchmarks tabular`, and their splits."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.workloads import DATA_VARIABLE, MissingDataError

TABLES = ("california", "breast_cancer", "wine", "digits", "diabetes")
TEST_SHARE = 0.2


class Table(NamedTuple):
    """A table: numbers with NaN where they are missing, codes of categories, what is to be predicted."""

    task: str  # "regression" or "classification"
    numbers: np.ndarray  # (rows, columns), float64
    codes: np.ndarray  # (rows, columns of categories), int32
    sizes: tuple[int, ...]  # how many codes each column of categories has
    y: np.ndarray  # (rows,), numbers or labels from 0 on


def load(name: str, folder: str | None = None) -> Table:
    """Read a table; California's values are in units of 100,000 dollars.

    Raises:
        MissingDataError: the folder with the file of California housing is not known.
    """
    if name == "california":
        return _california(folder)
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    task = "regression" if name == "diabetes" else "classification"
    return Table(
        task, np.asarray(x, float), np.zeros((len(y), 0), np.int32), (), y if task == "regression" else y.astype(int)
    )


def _california(folder: str | None) -> Table:
    data = os.environ.get(DATA_VARIABLE)
    path = Path(folder or (Path(data) / "tabular" if data else ".")) / "california_housing.csv"
    if not path.is_file():
        raise MissingDataError(f"no {path.name}: set {DATA_VARIABLE} to the folder with tabular/")
    with path.open() as file:
        rows = list(csv.reader(file))[1:]
    numbers = np.array([[float(cell) if cell else np.nan for cell in row[:-1]] for row in rows])
    kinds = sorted({row[-1] for row in rows})
    codes = np.array([[kinds.index(row[-1])] for row in rows], np.int32)
    return Table("regression", numbers[:, :-1], codes, (len(kinds),), numbers[:, -1] / 1e5)


def split(table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and for the test; of labels each class has its share in both."""
    from sklearn.model_selection import train_test_split

    labels = table.y if table.task == "classification" else None
    train, test = train_test_split(np.arange(len(table.y)), test_size=TEST_SHARE, random_state=seed, stratify=labels)
    return train, test
