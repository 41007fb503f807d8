"""The data of a search: folds and what is prepared inside them, as rows that members share."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_integer, fail
from jaxann.core.keys import fold_name
from jaxann.core.preprocessor import Preprocessor
from jaxann.core.typing import Key
from jaxann.train.batches import Batch, example_count, step_count
from jaxann.train.grouping import Group, with_batch_size
from jaxann.train.inputs import as_batch, check_present
from jaxann.train.measure import streaming_form
from jaxann.train.members import Folds
from jaxann.train.population_data import fold_tables
from jaxann.tune.folds import check_folds, k_fold, stratified_k_fold
from jaxann.tune.resampling import Pairs, Prepare, Resampling

__all__ = ["by_size", "data_of", "fold_rows", "prepared_data"]


def fold_rows(function: str, folds: Any, targets: Any, key: Key) -> Pairs:
    """`(train rows, validation rows)` of each fold: drawn for a number, checked when given.

    A number deals the rows out at random, class by class where the targets are whole numbers on one axis.
    """
    rows = example_count(targets)
    if isinstance(folds, numbers.Integral):
        check_integer(function, "folds", folds, 2)
        classes = getattr(targets, "ndim", 0) == 1 and np.dtype(targets.dtype).kind in "iub"
        folds = int(folds)
        if classes and (rarest := int(np.unique(np.asarray(targets), return_counts=True)[1].min())) < folds:
            hint = f"If y is no class: folds=ja.tune.k_fold(len(y), {folds}, key=key)."
            fail(function, "folds", f"at most the rows of the rarest class ({rarest})", folds, hint=hint)
        drawn = fold_name(key, "folds")
        return stratified_k_fold(np.asarray(targets), folds, key=drawn) if classes else k_fold(rows, folds, key=drawn)
    return check_folds(function, folds, rows)


def data_of(
    function: str, data: Any, given: Resampling, key: Key
) -> tuple[Pairs | None, Batch, Batch, np.ndarray | None]:
    """`(folds or None, training data, validation data, source)`; with folds both are the whole data, cut by rows.

    Where something is learnt inside the folds each has a copy of its rows: `source` says which row each was.
    """
    whole, prepare = as_batch(function, "data", data), given.prepare
    if given.folds is None:
        measured = as_batch(function, "validation", given.validation)
        if prepare is not None:
            change = _fitted(function, prepare, whole)
            whole, measured = whole._replace(x=change(whole.x)), measured._replace(x=change(measured.x))
        return None, whole, measured, None
    pairs = fold_rows(function, given.folds, whole.y, key)
    _check_weighed(function, pairs, whole.weights)
    if prepare is None:
        return pairs, whole, whole, None
    pieces, moved, source, start = [], [], [], 0
    host = jax.tree.map(np.asarray, whole)
    for train, tested in pairs:
        change = _fitted(function, prepare, jax.tree.map(lambda a, r=train: a[r], host))
        rows = np.concatenate([train, tested])
        source.append(rows)
        own = jax.tree.map(lambda a, r=rows: a[r], host)
        pieces.append(own._replace(x=change(own.x)))
        places = start + np.arange(len(rows), dtype=np.int32)
        moved.append((places[: len(train)], places[len(train) :]))
        start += len(rows)
    whole = jax.tree.map(lambda *column: np.concatenate(column), *pieces)
    return moved, whole, whole, np.concatenate(source)


def prepared_data(function: str, data: Any, prepare: Prepare | None) -> Batch:
    """The data, with what `prepare` learns from all of it."""
    whole = as_batch(function, "data", data)
    return whole if prepare is None else whole._replace(x=_fitted(function, prepare, whole)(whole.x))


def _check_weighed(function: str, pairs: Pairs, weights: Any) -> None:
    """Something to train on and something to measure in each fold: no examples would count as perfect."""
    if weights is None:
        return
    host = np.asarray(weights)
    for number, sides in enumerate(pairs):
        for name, rows in zip(("training", "held-out"), sides, strict=True):
            if not host[rows].any():
                expected = f"folds whose {name} rows have a weight above 0 somewhere"
                fail(function, "folds", expected, f" only zeros in fold {number}")


def _fitted(function: str, prepare: Prepare, rows: Batch) -> Callable[[Any], Any]:
    """The change of x that `prepare` learns from these rows, its result checked like data.

    For a preprocessor rows of weight 0 do not count; a function knows of no weights.
    """
    x, y, weights = jax.tree.map(np.asarray, rows)
    if isinstance(prepare, Preprocessor):
        counts = None if weights is None else (weights != 0).reshape(len(weights), -1).any(1)
        change = functools.partial(prepare.transform, prepare.fit(x, counts, y))
    else:
        change = prepare(x, y)
    if not callable(change):
        expected = "a function (x, y) -> (x -> x), which learns from training rows alone"
        fail(function, "prepare", expected, change, hint="lambda x, y: StandardScaler().fit(x).transform")

    def apply(rows: Any) -> Any:
        changed = change(jax.tree.map(np.asarray, rows))
        checked = as_batch(function, "prepared x", (changed, np.zeros(example_count(rows), np.int32)))
        check_present(function, "prepared x", checked.x)
        return jax.tree.map(np.asarray, checked.x)

    return apply


def by_size(groups: Sequence[Group], pairs: Pairs, which: np.ndarray, data: Batch) -> tuple[list[Group], list[Folds]]:
    """Groups split where folds cannot share a program: other numbers of steps, or metrics that see whole arrays."""
    found, tables = [], []
    for group in groups:
        size = group.recipe.batch_size
        assert size is not None
        exact = any(streaming_form(metric, data.y) is None for metric in group.recipe.metrics.values())
        classes: dict[Any, list[int]] = {}
        for number, (train, tested) in enumerate(pairs):
            steps = step_count(len(train), size)
            classes.setdefault((len(train), len(tested)) if exact else (steps, steps == 1), []).append(number)
        for alike in classes.values():
            chosen = np.flatnonzero(np.isin(which[group.members], alike))
            longest = max(len(pairs[n][0]) for n in alike)
            part = group._replace(
                leaves=jax.tree.map(lambda a, c=chosen: a[c], group.leaves),
                members=group.members[chosen],
                epochs=group.epochs[chosen],
            )
            found.append(with_batch_size(part, min(size, longest)))
            place = np.full(len(pairs), -1)
            place[alike] = np.arange(len(alike))
            tables.append(fold_tables([pairs[n] for n in alike], place[which]))
    return found, tables
