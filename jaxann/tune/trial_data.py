"""The data of a search: folds and what is prepared inside them, as rows that members share."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_integer, fail
from jaxann.core.keys import fold_name
from jaxann.core.typing import Key
from jaxann.train.crew import Fold
from jaxann.train.inputs import as_data
from jaxann.train.plan import plateaus, step_count, streaming_form
from jaxann.train.population_data import folded
from jaxann.train.recipes import Group, ingredients_of
from jaxann.tune.folds import check_folds, k_fold, stratified_k_fold

__all__ = ["by_size", "check_split", "data_of", "fold_rows", "has_plateau"]

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]


def fold_rows(function: str, folds: Any, targets: Any, key: Key) -> Pairs:
    """`(train rows, validation rows)` of each fold: drawn for a number, checked when given.

    A number deals the rows out at random, class by class where the targets are whole numbers on one axis.
    """
    rows = targets.shape[0]
    if isinstance(folds, numbers.Integral):
        check_integer(function, "folds", folds, 2)
        classes = targets.ndim == 1 and np.dtype(targets.dtype).kind in "iub"
        folds = int(folds)
        if classes and (rarest := int(np.unique(np.asarray(targets), return_counts=True)[1].min())) < folds:
            hint = f"If y is no class: folds=ja.tune.k_fold(len(y), {folds}, key=key)."
            fail(function, "folds", f"at most the rows of the rarest class ({rarest})", folds, hint=hint)
        drawn = fold_name(key, "folds")
        return stratified_k_fold(np.asarray(targets), folds, key=drawn) if classes else k_fold(rows, folds, key=drawn)
    return check_folds(function, folds, rows)


def has_plateau(group: Group) -> bool:
    """Whether members follow a schedule that has to see the validation loss after every epoch."""
    first = ingredients_of(group.recipe, jax.tree.map(lambda a: a[0], group.leaves))
    return bool(plateaus(first.optimizer))


def check_split(function: str, validation: Any, folds: Any) -> None:
    """Either a validation set or folds.

    Raises:
        InputError: both or neither.
    """
    if (validation is None) == (folds is None):
        fail(function, "validation or folds", "given, one of the two", " neither" if folds is None else " both")


def data_of(
    function: str, data: Any, validation: Any, folds: Any, prepare: Callable | None, key: Key
) -> tuple[Pairs | None, Any, Any]:
    """`(folds or None, training data, validation data)`; with folds both are the whole data, cut by rows."""
    check_split(function, validation, folds)
    whole = as_data(function, "data", data)
    if folds is None:
        held_out = as_data(function, "validation", validation)
        if prepare is not None:
            change = _fitted(function, prepare, whole[0], whole[1])
            whole, held_out = (change(whole[0]), *whole[1:]), (change(held_out[0]), *held_out[1:])
        return None, whole, held_out
    pairs = fold_rows(function, folds, whole[1], key)
    if prepare is None:
        return pairs, whole, whole
    parts, moved, start = [], [], 0
    x, y, weights = np.asarray(whole[0]), np.asarray(whole[1]), whole[2] if whole[2] is None else np.asarray(whole[2])
    for train, held in pairs:
        change = _fitted(function, prepare, x[train], y[train])
        rows = np.concatenate([train, held])
        parts.append([change(x[rows]), y[rows], None if weights is None else weights[rows]])
        places = start + np.arange(len(rows), dtype=np.int32)
        moved.append((places[: len(train)], places[len(train) :]))
        start += len(rows)
    whole = tuple(None if column[0] is None else np.concatenate(column) for column in zip(*parts, strict=True))
    return moved, whole, whole


def _fitted(function: str, prepare: Callable, x: np.ndarray, y: np.ndarray) -> Callable:
    """The change of x that `prepare` learns from these rows, its result checked like data."""
    change = prepare(np.asarray(x), np.asarray(y))
    if not callable(change):
        expected = "a function (x, y) -> (x -> x), which learns from training rows alone"
        fail(function, "prepare", expected, change, hint="lambda x, y: StandardScaler().fit(x).transform")

    def apply(rows: Any) -> Any:
        changed = change(np.asarray(rows))
        (checked, *_) = as_data(function, "prepared x", (changed, np.zeros(len(rows), np.int32)))
        return np.asarray(checked)

    return apply


def by_size(groups: Sequence[Group], pairs: Pairs, which: np.ndarray, data: Any) -> tuple[list[Group], list[Fold]]:
    """Groups split where folds cannot share a program: other numbers of steps, or metrics that see whole arrays."""
    found, tables = [], []
    for group in groups:
        first = jax.tree.map(lambda a: a[0], group.leaves)
        exact = _sees_whole(group, first, data[1])
        classes: dict[Any, list[int]] = {}
        for number, (train, held) in enumerate(pairs):
            steps = step_count(len(train), group.plan.batch_size)
            classes.setdefault((len(train), len(held)) if exact else (steps, steps == 1), []).append(number)
        for alike in classes.values():
            chosen = np.flatnonzero(np.isin(which[group.members], alike))
            longest = max(len(pairs[n][0]) for n in alike)
            found.append(
                group._replace(
                    plan=replace(group.plan, batch_size=min(group.plan.batch_size, longest)),
                    leaves=jax.tree.map(lambda a, c=chosen: a[c], group.leaves),
                    members=group.members[chosen],
                    epochs=group.epochs[chosen],
                )
            )
            place = np.full(len(pairs), -1)
            place[alike] = np.arange(len(alike))
            tables.append(folded([pairs[n] for n in alike], place[which]))
    return found, tables


def _sees_whole(group: Group, leaves: Any, targets: Any) -> bool:
    metrics = ingredients_of(group.recipe, leaves).metrics
    return any(streaming_form(metric, targets) is None for metric in metrics.values())
