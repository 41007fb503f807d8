"""What is to be learned, read from the targets: the task, how its classes are shared out, how its numbers lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxann.advice.facts import NUMBERS, TASKS, Facts
from jaxann.core.checks import check_choice, fail
from jaxann.core.padding import Padded

__all__ = ["OUTLIERS", "read_target"]

OUTLIERS = 1e-3  # share of targets far from the others from which on it matters
_FAR = 6.0  # robust z of one that is far; of normal numbers not one in 100 million
_FEW = 20  # different whole numbers that may be labels, or counts
_EXAMPLES_A_CLASS = 5  # fewer of them, and whole numbers are counts


def read_target(
    task: str | None, inputs: str, shape: tuple[int, ...], y: Any, levels: tuple[float, ...], *, next_ids: bool
) -> dict[str, Any]:
    """Task, shape and numbers of the target as `Facts` has them.

    Raises:
        InputError: y is none of a task, or may mean two things.
    """
    if task is not None:
        check_choice("recommend", "task", task, TASKS)
    if task == "reconstruction":
        fail("recommend", "data", "x alone for 'reconstruction'", " (x, y)")
    if isinstance(y, Mapping) or isinstance(y, tuple) and not isinstance(y, Padded):
        hint = "A recommendation for each head by itself; losses.by_head joins them."
        fail("recommend", "data y", "one array", f" {type(y).__name__}", hint=hint)
    values = np.asarray(y.values if isinstance(y, Padded) else y)
    real = values[np.asarray(y.mask)] if isinstance(y, Padded) else values
    whole = values.dtype.kind in "iub"
    target_shape = values.shape[1:]
    if inputs == "pair":
        return {"task": task or "translation", "target_shape": target_shape}
    positions = Facts("multiclass", 1, shape, inputs, 2, target_shape).places > 0
    if task is None and levels:
        task = "quantiles"
    if task is None and inputs == "ids" and next_ids:
        task = "language"
    if task is None:
        task = _task(real, whole, positions, target_shape)
    if task == "binary" and positions:
        task = "multiclass"  # a class at each position, of two
    found: dict[str, Any] = {"task": task, "target_shape": target_shape}
    if task == "language":
        return found
    if task in NUMBERS:
        return found | _numbers(task, real, Facts(task, 1, shape, inputs, target_shape=target_shape))
    return found | _classes(task, real, whole)


def _task(y: np.ndarray, whole: bool, positions: bool, target_shape: tuple[int, ...]) -> str:
    """What such targets are for: 0 and 1 are answers, whole numbers 0 to k - 1 classes, others counts or numbers."""
    several = not positions and len(target_shape) > 0 and target_shape[-1] > 1
    answers = bool(np.isin(y, (0, 1)).all())
    if answers and (several or whole or not positions):
        return "multilabel" if several else "binary"
    if not whole:
        return "regression"
    distinct = np.unique(y)
    if positions:
        return "multiclass"
    if distinct[0] < 0 and len(distinct) > _FEW:
        return "regression"
    if len(target_shape) < 2 and distinct[0] == 0 and distinct[-1] == len(distinct) - 1 and not several:
        if len(y) >= _EXAMPLES_A_CLASS * len(distinct):
            return "multiclass"  # of shape (n, 1) it is refused as such
    if target_shape == () and len(distinct) <= _FEW:
        shown = ", ".join(map(str, distinct[:6])) + (", ..." if len(distinct) > 6 else "")
        hint = "Classes: labels 0..k-1, np.unique(y, return_inverse=True)[1]. Numbers: task='regression' or 'counts'."
        fail("recommend", "data y", "labels 0..k-1, or a task has to be told", f" the whole numbers {shown}", hint=hint)
    return "counts" if distinct[0] >= 0 else "regression"


def _classes(task: str, y: np.ndarray, whole: bool) -> dict[str, Any]:
    """Number and shares of the classes."""
    if task in ("binary", "multilabel"):
        if not np.isin(y, (0, 1)).all():
            strange = y[~np.isin(y, (0, 1))].flat[0]
            hint = "Of -1 and 1: (y + 1) // 2." if strange == -1 else None
            fail("recommend", "data y", f"0 or 1 for {task!r}", f" {strange:g}", hint=hint)
        if task == "binary" and y.min() == y.max():
            fail("recommend", "data y", "of both 0 and 1", f" {y.min():g} alone")
        positive = y.reshape(-1, y.shape[-1]).mean(0) if task == "multilabel" and y.ndim > 1 else [y.mean()]
        return {"shares": tuple(map(float, positive))}
    if not whole:
        fail("recommend", "data y", "whole numbers for 'multiclass'", f" {y.dtype}", hint="y.astype('int32')")
    if y.size == 0 or y.min() < 0:
        fail("recommend", "data y", "labels from 0 on", f" {y.min() if y.size else 'none'}")
    counts = np.bincount(y.astype(np.int64).reshape(-1))
    if len(counts) < 2:
        fail("recommend", "data y", "of at least two classes", f" {len(counts)}")
    return {"classes": len(counts), "shares": tuple((counts / counts.sum()).tolist())}


def _numbers(task: str, y: np.ndarray, facts: Facts) -> dict[str, Any]:
    """Center and scale of each number to be predicted, and whether some lie far from the others."""
    columns = y.astype(np.float64).reshape(-1, max(1, facts.values))
    if task == "counts":
        if columns.min() < 0 or (columns != np.floor(columns)).any():
            strange = columns[(columns < 0) | (columns != np.floor(columns))].flat[0]
            fail("recommend", "data y", "whole numbers from 0 on for 'counts'", f" {strange:g}")
    median = np.median(columns, axis=0)
    size = np.median(np.abs(columns - median), axis=0) * 1.4826
    mean, deviation = columns.mean(0), columns.std(0)
    size = np.where(size > 0, size, deviation)
    share = float((np.abs(columns - median) > _FAR * np.where(size > 0, size, 1)).mean())
    if share > OUTLIERS and task != "counts":
        mean, deviation = median, size
    deviation = np.where(deviation > 0, deviation, 1.0)
    lowest = float(columns.min())
    return {"outliers": share, "lowest": lowest, "center": tuple(mean.tolist()), "deviation": tuple(deviation.tolist())}
