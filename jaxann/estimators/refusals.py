"""What an estimator refuses of its data, with the place where it stands, before scikit-learn would.

scikit-learn's messages name neither the row nor the column, and some hold the whole array. The hint keeps its wording,
which its own checks of estimators look for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from sklearn.utils.multiclass import type_of_target

from jaxann.core.checks import check_unmasked, fail

__all__ = [
    "is_missing",
    "label_kind",
    "refuse_labels",
    "refuse_nonfinite",
    "refuse_ragged",
    "refuse_shape",
    "refuse_values",
]


def is_missing(value: Any) -> bool:
    """Whether a value of Python stands for none: None, NaN, NaT, NA of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating | np.datetime64) and bool(value != value)


def refuse_shape(name: str, argument: str, x: Any) -> None:
    """X is a table `(rows, columns)` of real numbers or texts, of one row and one column at least."""
    refuse_ragged(name, argument, x)
    check_unmasked(name, argument, x)
    shape = np.shape(x) if isinstance(x, list | tuple | int | float) else getattr(x, "shape", None)
    if shape is None:  # whatever it is, scikit-learn converts it
        return
    shape = tuple(shape)
    if len(shape) != 2:
        hint = None
        if len(shape) < 2:
            hint = "Reshape your data: X.reshape(-1, 1) if it is one feature, X.reshape(1, -1) if it is one row."
        fail(name, argument, "of shape (rows, features)", f" shape {shape}", hint=hint)
    if 0 in shape:
        what = f"{shape[0]} sample(s)" if shape[0] == 0 else f"{shape[1]} feature(s)"
        hint = f"Found array with {what} (shape={shape}) while a minimum of 1 is required."
        fail(name, argument, "of at least one row and one feature", f" shape {shape}", hint=hint)
    dtype = getattr(x, "dtype", None)
    if getattr(dtype, "kind", "") == "c":
        fail(name, argument, "real numbers", f" {dtype}", hint="Complex data not supported")


def refuse_ragged(name: str, argument: str, x: Any) -> None:
    """Rows of a list are of one length."""
    if isinstance(x, list) and x and all(isinstance(row, list | tuple) for row in x):
        lengths = [len(row) for row in x]
        if len(set(lengths)) > 1:
            row = next(i for i, n in enumerate(lengths) if n != lengths[0])
            fail(name, argument, f"rows of {lengths[0]} values, as row 0", f" {lengths[row]} in row {row}")


def refuse_nonfinite(name: str, argument: str, array: np.ndarray, columns: Any = None, *, hint: str = "") -> None:
    """Every number of an array of one or two axes is there, and finite."""
    bad = ~np.isfinite(array)
    if not bad.any():
        return
    row, *rest = (int(i) for i in np.argwhere(bad)[0])
    value = array[(row, *rest)]
    where = f"row {row}"
    if rest and array.shape[1] > 1:
        where += f", column {rest[0]}" if columns is None else f", column {str(columns[rest[0]])!r}"
    what = "NaN" if np.isnan(value) else "infinity"
    got = f" {bad.sum()} of {array.size} not finite, the first ({value:g}) in {where}"
    fail(name, argument, "finite", got, hint=f"Input {argument} contains {what}.{hint}")


def refuse_values(name: str, argument: str, values: Any, rows: int | None = None) -> None:
    """Numbers, one or several a row, are real and finite numbers, as many as there are rows."""
    check_unmasked(name, argument, values)
    values = values.toarray() if scipy.sparse.issparse(values) else values
    if values is None or isinstance(values, str | bytes | int | float):
        fail(name, argument, "an array", values)
    refuse_ragged(name, argument, values)
    array = _as_array(values)
    _refuse_axes(name, argument, array, rows)
    if array.dtype.kind in "USTOM":
        for place, value in enumerate(array.reshape(len(array), -1).tolist()):
            for one in value if isinstance(value, list) else [value]:
                if is_missing(one):
                    fail(name, argument, "finite", f" {one} in row {place}", hint=f"Input {argument} contains NaN.")
                if not isinstance(one, int | float | np.number | np.bool_):
                    fail(name, argument, "numbers", f" {str(one)[:40]!r} in row {place}")
        return
    if array.dtype.kind not in "biuf":
        fail(name, argument, "real numbers", f" {array.dtype}", hint="Complex data not supported")
    refuse_nonfinite(name, argument, array.astype(np.float64, copy=False))


def refuse_labels(name: str, argument: str, labels: Any, rows: int) -> None:
    """Labels, one or several a row, are there, and as many as there are rows."""
    check_unmasked(name, argument, labels)
    if labels is None or isinstance(labels, str | bytes | int | float):
        fail(name, argument, "an array of labels", labels)
    refuse_ragged(name, argument, labels)
    array = _as_array(labels)
    _refuse_axes(name, argument, array, rows)
    if array.dtype.kind == "c":
        fail(name, argument, "labels", f" {array.dtype}", hint="Complex data not supported")
    if array.dtype.kind == "f":
        refuse_nonfinite(name, argument, array)
    if array.dtype.kind == "O":
        for place, value in enumerate(array.reshape(len(array), -1)):
            for one in value:
                if is_missing(one):
                    hint = f"Input {argument} contains NaN."
                    fail(name, argument, "labels, none of them missing", f" {one} in row {place}", hint=hint)
        texts = [isinstance(one, str) for one in array.ravel()]
        if any(texts) and not all(texts):
            place = texts.index(not texts[0]) // max(1, array.size // len(array))
            fail(name, argument, "all texts or all numbers", f" both, the first other in row {place}")


def label_kind(name: str, labels: np.ndarray) -> str:
    """scikit-learn's word for the kind of labels; numbers that are no labels are refused."""
    kind = str(type_of_target(labels, input_name="y"))
    if kind.startswith("continuous"):
        flat = labels.reshape(len(labels), -1).astype(np.float64)
        row, column = np.argwhere((flat != np.floor(flat)) | (np.abs(flat) >= 2**53))[0]
        hint = "Unknown label type: continuous. A regressor takes numbers; np.digitize(y, edges) are classes."
        fail(name, "y", "labels of classes", f" the number {flat[row, column]:g} in row {row}", hint=hint)
    if kind in ("unknown", "multiclass-multioutput"):
        hint = f"Unknown label type: {kind}."
        got = f" {labels.dtype} of shape {labels.shape}"
        fail(name, "y", "labels (rows,), or 0 and 1 (rows, labels)", got, hint=hint)
    return kind


def _as_array(values: Any) -> np.ndarray:
    """As numpy has it, objects where numpy knows no type for it."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError):
        return np.asarray(values, dtype=object)


def _refuse_axes(name: str, argument: str, array: np.ndarray, rows: int | None) -> None:
    if array.ndim not in (1, 2) or array.shape[1:] == (0,):
        fail(name, argument, "of shape (rows,) or (rows, columns)", f" shape {array.shape}")
    if rows is not None and len(array) != rows:
        hint = "Found input variables with inconsistent numbers of samples."
        fail(name, argument, f"of {rows} rows as X", f" {len(array)}", hint=hint)
