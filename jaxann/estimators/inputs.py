"""What an estimator is handed, checked on the host and made into arrays that a program takes.

scikit-learn's `validate_data` keeps its contracts (feature names, numbers of features, the wording its checks look
for); what it lets through or explains badly is refused here first, with the column's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import scipy.sparse
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from jaxann.core.checks import check_range, fail
from jaxann.core.notices import notify
from jaxann.estimators.refusals import label_kind, refuse_labels, refuse_nonfinite, refuse_shape, refuse_values

__all__ = [
    "LARGEST",
    "Rows",
    "class_weights",
    "labels_of",
    "numbers",
    "one_batch",
    "rows_of",
    "sample_weights",
    "warn_of_digits",
]

_GAPS = " estimators.Impute fills gaps; TabularClassifier and TabularRegressor take them as they are."
LARGEST = 1e18  # squares of anything greater overflow float32
_DENSE = 8 * 2**30  # bytes up to which a sparse array is made dense
_FEW = 4096  # rows
_EXACT = 2**53  # whole numbers above it are not told apart in floating point


def numbers(estimator: Any, x: Any, *, reset: bool, argument: str = "X") -> np.ndarray:
    """X as float32 `(rows, features)`; the estimator knows its features afterwards where it is `reset`.

    Raises:
        InputError: None, a path, another number of axes, text or categories in a column, NaN, infinity, numbers that
            are too large.
        ValueError: whatever else scikit-learn refuses: another number of features, other names.
    """
    name = type(estimator).__name__
    if x is None or isinstance(x, str | bytes):
        hint = "pandas.read_csv reads a file." if isinstance(x, str | bytes) else None
        fail(name, argument, "an array of shape (rows, features)", x, hint=hint)
    if scipy.sparse.issparse(x):
        needed = 8 * int(np.prod(x.shape, dtype=np.int64))
        if needed > _DENSE:
            fail(name, argument, f"sparse of at most {_DENSE:,} bytes as a dense array", f" {needed:,} bytes")
    refuse_shape(name, argument, x)
    _refuse_text(name, argument, x)
    found: Any = validate_data(
        estimator, x, accept_sparse=True, dtype=[np.float64, np.float32], reset=reset, ensure_all_finite=False
    )
    dense = np.asarray(found.toarray() if scipy.sparse.issparse(found) else found)
    columns = getattr(estimator, "feature_names_in_", None)
    refuse_nonfinite(name, argument, dense, columns, hint=_GAPS)
    low, high = dense.min(0), dense.max(0)
    greatest = np.maximum(np.abs(low), np.abs(high))
    if (greatest > LARGEST).any():
        column = int(np.argmax(greatest))
        label = _label(columns, column)
        hint = "Scale it first, by sklearn.preprocessing.StandardScaler or in a TabularClassifier or TabularRegressor."
        fail(name, argument, f"numbers of at most {LARGEST:.0e}", f" {greatest[column]:.3g} in {label}", hint=hint)
    if (greatest > _EXACT).any():
        warn_of_digits(name, x)
    return dense.astype(np.float32)


def warn_of_digits(name: str, x: Any) -> None:
    """Warn where whole numbers of an array or a data frame are told apart no longer once they are floating point."""
    labels = [f"column {str(column)!r}" for column in x.columns] if hasattr(x, "columns") else None
    for column, kind in enumerate(x.dtypes if labels else [getattr(x, "dtype", None)] * np.shape(x)[1]):
        if getattr(kind, "kind", "") in ("i", "u"):
            own = x.iloc[:, column].to_numpy(np.float64, na_value=np.nan) if labels else np.asarray(x[:, column], float)
            if np.nanmax(np.abs(own), initial=0) > _EXACT:
                label = labels[column] if labels else f"column {column}"
                message = f"{name}: whole numbers above 2^53, in {label}, lose precision in floating point."
                return notify(message, UserWarning)
    return None


def _label(columns: Any, number: int) -> str:
    return f"column {number}" if columns is None else f"column {str(columns[number])!r}"


def _refuse_text(name: str, argument: str, x: Any) -> None:
    """Say which column holds what is no number, which scikit-learn does not."""
    hint = "TabularClassifier and TabularRegressor take text, categories and dates."
    if hasattr(x, "dtypes") and hasattr(x, "columns"):
        doubled = x.columns[x.columns.duplicated()]
        if len(doubled):
            fail(name, argument, "a table of columns with names of their own", f" {doubled[0]!r} twice")
        for column, kind in zip(x.columns, x.dtypes, strict=True):
            if getattr(kind, "kind", "O") not in "biufO" or (_holds_objects(kind) and not _is_numeric(x[column])):
                fail(name, argument, "a table of numbers", f" {kind} in column {column!r}", hint=hint)
        return
    if isinstance(x, np.ndarray) and x.dtype.kind in "OUS" and x.ndim == 2 and x.size:
        for column in range(x.shape[1]):
            if not _is_numeric(x[:, column]):
                fail(name, argument, "an array of numbers", f" text in column {column}", hint=hint)


def _holds_objects(kind: Any) -> bool:
    """Whether a column of a data frame may hold texts: objects, texts of pandas, categories."""
    return getattr(kind, "kind", "O") == "O"


def _is_numeric(column: Any) -> bool:
    try:
        np.asarray(column).astype(np.float64)
    except (TypeError, ValueError):
        return not any(isinstance(value, str | bytes) for value in np.asarray(column, dtype=object))  # else sklearn's
    return True


def sample_weights(estimator: Any, weights: Any, rows: int) -> np.ndarray | None:
    """Float64 weights `(rows,)`, None where each counts the same.

    Raises:
        InputError: one is negative or not finite, all are 0, or they are of another shape.
    """
    if weights is None:
        return None
    name = type(estimator).__name__
    refuse_values(name, "sample_weight", weights)
    read: Any = check_array
    found = np.asarray(read(weights, ensure_2d=False, dtype=np.float64, ensure_all_finite=False))
    if found.shape != (rows,):
        fail(name, "sample_weight", f"of shape ({rows},), one a row of X", f" shape {found.shape}")
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        fail(name, "sample_weight", "at least 0", f" {found[row]:g} at row {row}")
    if not found.any():
        fail(name, "sample_weight", "greater than 0 somewhere", " weights that are all zero")
    return found


def class_weights(estimator: Any, classes: np.ndarray, codes: np.ndarray, weights: np.ndarray | None) -> Any:
    """`sample_weight` times each row's class weight: n / (classes count) for "balanced", those of a dict otherwise.

    Raises:
        InputError: it is neither, names a class that does not occur, or a weight is negative.
    """
    given, name = estimator.class_weight, type(estimator).__name__
    if given is None:
        return weights
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in classes.tolist()]
        if unknown:
            fail(name, "class_weight", f"a dict of classes ({', '.join(map(str, classes[:10]))})", f" {unknown[0]!r}")
        for label, weight in given.items():
            check_range(name, f"class_weight[{label!r}]", weight, 0)
    elif given != "balanced":
        fail(name, "class_weight", 'None, "balanced" or a dict from class to weight', given)
    each = compute_class_weight(given, classes=classes, y=classes[codes], sample_weight=weights)
    found = each[codes] * (1 if weights is None else weights)
    if not found.any():
        fail(name, "class_weight", "greater than 0 for a class that occurs", given)
    return found


def labels_of(name: str, y: Any, rows: int) -> tuple[np.ndarray, bool]:
    """Labels `(rows,)`, or 0 and 1 `(rows, labels)`, and which of the two.

    Raises:
        InputError: they are missing, no labels, or not as many as there are rows.
    """
    y = y.toarray() if hasattr(y, "toarray") else y
    refuse_labels(name, "y", y, rows)
    read: Any = check_array
    found = read(y, ensure_2d=False, dtype=None, input_name="y", ensure_min_samples=0)
    if label_kind(name, found) == "multilabel-indicator":
        return found, True
    return column_or_1d(found, warn=True), False


class Rows:
    """Rows, targets and weights that belong together."""

    def __init__(self, x: Any, y: np.ndarray, weights: np.ndarray | None):
        self.x, self.y, self.weights = x, y, weights

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: np.ndarray) -> Rows:
        x = jax.tree.map(lambda a: a[index], self.x)
        return Rows(x, self.y[index], None if self.weights is None else self.weights[index])


def rows_of(x: Any) -> int:
    """How many rows an array has, or a tree of them."""
    return len(jax.tree.leaves(x)[0])


def one_batch(rows: Rows) -> Rows:
    """The same data for training in one batch: rows in order of their numbers, equal ones as one with their weights.

    What a batch is the mean of does not depend on the order, nor on whether a row stands there twice or weighs 2; sums
    of rounded numbers would, in the last bit. Many rows stay as they are: to sort them would take longer than a step.
    """
    if len(rows) > _FEW:
        return rows
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    kept = np.flatnonzero(weights != 0)
    columns = [a[kept].reshape(len(kept), -1).astype(np.float64) for a in (*jax.tree.leaves(rows.x), rows.y)]
    _, first, inverse = np.unique(np.concatenate(columns, 1), axis=0, return_index=True, return_inverse=True)
    total = np.bincount(inverse.ravel(), weights[kept], len(first))
    found = rows[kept[first]]
    return Rows(found.x, found.y, None if (total == 1).all() else total)
