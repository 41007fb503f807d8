"""What is wrong with data before anything is trained on them, found on the host from the arrays alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxann.core.binding import bound
from jaxann.core.padding import Padded
from jaxann.core.typing import Array, Inputs, Loss, Targets
from jaxann.diagnose.column_checks import input_scale, useless_columns
from jaxann.diagnose.example_columns import first_rows, input_arrays
from jaxann.diagnose.label_counts import imbalance, missing_labels
from jaxann.diagnose.label_noise import label_noise
from jaxann.diagnose.normalized import normalizes
from jaxann.diagnose.shared_rows import shared_rows
from jaxann.diagnose.target_leaks import target_leak
from jaxann.diagnose.verdicts import KINDS, Verdict
from jaxann.layers.base import output_spec
from jaxann.losses.reduce import counted_targets, labels_to_check
from jaxann.train.augmented import as_trained
from jaxann.train.batches import Batch, some_key
from jaxann.train.recipe import Recipe

__all__ = ["CLASSES", "NUMBERS", "OTHER", "data_verdicts", "recipe_data_verdicts", "task_of"]

CLASSES = "classes"
NUMBERS = "numbers"
OTHER = "other"
_MOST_CLASSES = 1_000  # of which each would have to be seen


def data_verdicts(
    x: Inputs,
    y: Targets,
    weights: Array | None,
    validation: tuple | None,
    *,
    task: str,
    classes: int | None = None,
    normalized: bool = False,
    loss: Loss | None = None,
) -> list[Verdict]:
    """What is wrong with the data, the most pressing first; empty where nothing is.

    Args:
        x: an array or a tree of them, with missing numbers or not, as the model gets it: whole numbers in a table are
            names (ids, categories), those of pictures `(rows, height, width, channels)` amounts. So
            `train.prepare.for_model` leaves them.
        y: targets.
        weights: of the examples or their values, or None; rows of weight 0 are left out, and so are negative labels and
            those that the loss ignores.
        validation: `(x, y)` or `(x, y, weights)`, or None.
        task: "classes" (y are labels, 0 and 1, -1 and 1, or one-hot rows), "numbers" or "other"; see `task_of`.
        classes: how many the model tells apart; None for what the labels say.
        normalized: whether the model brings its inputs to one size; see `normalizes`.
        loss: of the recipe: which labels it ignores, and which remedies can change it.

    Of large data a sample is looked at, the same one each time: at most 2,000 rows for neighbours, 10,000 for scales.
    """
    count = first_rows(x)
    rows = np.flatnonzero(_counted(weights, count))
    targets = None if isinstance(y, Padded | Mapping) else np.asarray(y)
    other = None if validation is None or isinstance(validation[1], Padded | Mapping) else np.asarray(validation[1])
    found: list[Verdict | None] = []
    if validation is not None:
        found.append(shared_rows(x, targets, validation[0], other))
    if not normalized:
        found.append(input_scale(x, rows))
    found.append(useless_columns(x, rows))
    if task == CLASSES and targets is not None:
        found += _of_labels(x, targets, weights, rows, other, classes, loss)
    elif task == NUMBERS and targets is not None and targets.ndim <= 2 and not _comes_back(x, targets):
        found.append(target_leak(x, targets.astype(np.float64), rows, NUMBERS))
    order = list(KINDS)
    return sorted((one for one in found if one is not None), key=lambda one: order.index(one.kind))


def recipe_data_verdicts(recipe: Recipe, data: Batch, validation: Batch | None) -> list[Verdict]:
    """What is wrong with the data for a recipe, whose loss says what targets are, and whose model what it does first.

    Args:
        recipe: what is to be trained.
        data, validation: as the model gets them (`train.prepare.for_model`).
    """
    data, validation = jax.tree.map(np.asarray, (data, validation))
    task, classes = task_of(recipe.loss, data.y), None
    if task == CLASSES:
        spec, _ = as_trained(recipe, data.x, data.y)
        params, state = jax.eval_shape(lambda k: recipe.model.init(k, spec), some_key())
        shape = getattr(output_spec(recipe.model, params, state, spec), "shape", ())
        classes = shape[-1] if len(shape) == 2 and shape[-1] > 1 else None
    return data_verdicts(
        data.x, data.y, data.weights, None if validation is None else tuple(validation),
        task=task, classes=classes, normalized=normalizes(recipe.model), loss=recipe.loss,
    )  # fmt: skip


def _of_labels(
    x: Inputs,
    targets: np.ndarray,
    weights: Any,
    rows: np.ndarray,
    other: np.ndarray | None,
    classes: int | None,
    loss: Loss | None,
) -> list[Verdict | None]:
    labels = _labels(targets, loss)
    if labels is None:
        return []
    rows = rows[labels[rows] >= 0]
    if not len(rows):
        return []
    asked = None if other is None else _labels(other, loss)
    asked = None if asked is None else asked[asked >= 0]
    own = np.asarray(weights)[rows] if weights is not None and np.ndim(weights) == 1 else None
    found = [
        target_leak(x, labels, rows, CLASSES),
        imbalance(labels[rows], own, loss),
        label_noise(x, labels, rows, loss),
    ]
    if max(classes or 0, int(labels[rows].max()) + 1) <= _MOST_CLASSES:
        found.append(missing_labels(labels[rows], asked, classes))
    return found


def _counted(weights: Any, count: int) -> np.ndarray:
    """Which rows count for something."""
    if weights is None:
        return np.ones(count, bool)
    return (np.asarray(weights) != 0).reshape(count, -1).any(1)


def _comes_back(x: Inputs, targets: np.ndarray) -> bool:
    """Whether targets are the inputs themselves, or such: each column has its own, and is no leak."""
    several = targets.ndim == 2 and targets.shape[1] > 1
    return several and any(one.values.shape == targets.shape for one in input_arrays(x))


def _labels(targets: np.ndarray, loss: Loss | None) -> np.ndarray | None:
    """Whole numbers `(rows,)`, -1 and 1 as 0 and 1, one-hot rows as their place; None where there is not one a row.

    What the loss is told to ignore is -1.
    """
    counted = None if loss is None or labels_to_check(loss, targets) is None else counted_targets(loss, targets)
    if counted is not None and counted.shape == targets.shape:
        targets = np.where(counted, targets, -2)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim == 2 and _is_one_hot(targets):
        return targets.argmax(1)
    if targets.ndim != 1 or targets.dtype.kind not in "iubf" or not np.isfinite(targets).all():
        return None
    if not (targets == np.floor(targets)).all():
        return None
    labels = targets.astype(np.int64)
    return (labels + 1) // 2 if _is_signs(labels) else np.maximum(labels, -1)


def _is_signs(targets: np.ndarray) -> bool:
    return bool(np.isin(targets, (-1, 1)).all() and (targets == -1).any())


def _is_one_hot(targets: np.ndarray) -> bool:
    return bool(targets.shape[1] > 1 and np.isin(targets, (0, 1)).all() and (targets.sum(1) == 1).all())


def task_of(loss: Loss, y: Targets) -> str:
    """What the loss and its targets are for: "classes", "numbers", or "other" for what is neither an answer a row.

    "classes" where the loss takes one label a row, or all targets are 0 and 1, -1 and 1, or one-hot rows; "numbers" for
    other targets `(rows,)` or `(rows, numbers)` of a loss that takes no labels. Labels or numbers at positions or
    pixels, several answers a row, heads and pairs are "other".

    Args:
        loss: of a recipe, with settings bound to it or not.
        y: targets, of known values.
    """
    if isinstance(y, Padded | Mapping | tuple):
        return OTHER
    targets = np.asarray(y)
    if targets.ndim not in (1, 2) or targets.dtype.kind not in "iubf" or not targets.size:
        return OTHER
    if labels_to_check(loss, y) is not None:  # type: ignore[arg-type]
        return CLASSES if targets.ndim == 1 else OTHER
    if getattr(bound(loss)[0], "labels", None) is not None:  # labels of which no output is the score
        return OTHER
    single = targets.ndim == 1 or targets.shape[1] == 1
    if single and (np.isin(targets, (0, 1)).all() or _is_signs(targets)):
        return CLASSES
    if targets.ndim == 2 and targets.shape[1] > 1:
        if _is_one_hot(targets):
            return CLASSES
        if np.isin(targets, (0, 1)).all() or _is_signs(targets):
            return OTHER
    return NUMBERS
