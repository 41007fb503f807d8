"""The data of a population: one set for all, or several of equal shape as rows of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxann.core.checks import check_unmasked, check_untraced, fail
from jaxann.train.batches import Batch, Rows, example_count
from jaxann.train.inputs import as_batch
from jaxann.train.members import Folds

__all__ = ["check_keys", "fold_tables", "join_sets"]


def check_keys(function: str, keys: Any) -> int:
    """The number of members: a vector of typed keys, at least one.

    Raises:
        InputError: anything else.
    """
    dtype = getattr(keys, "dtype", None)
    typed = dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
    if not typed or keys.ndim != 1 or keys.shape[0] < 1:
        got = f" {'one key' if keys.shape == () else f'keys of shape {keys.shape}'}" if typed else keys
        fail(function, "keys", "typed keys, one for each member", got, hint="jax.random.split(jax.random.key(0), n)")
    return keys.shape[0]


def join_sets(
    function: str, train: Any, validation: Any, dataset: Any, members: int
) -> tuple[Batch, Batch | None, Folds | None]:
    """Checked data; several sets come as one, with the rows of each.

    Raises:
        InputError: data are wrong, sets differ in shape, or `dataset` does not fit.
    """
    if not isinstance(train, list):
        if dataset is not None:
            fail(function, "train", "a list of data sets where `dataset` is given", f" a {type(train).__name__}")
        data = as_batch(function, "train", train)
        return data, None if validation is None else as_batch(function, "validation", validation), None
    if not train:
        fail(function, "train", "at least one data set", " an empty list")
    check_untraced(function, "dataset", dataset)
    check_unmasked(function, "dataset", dataset)
    if dataset is None or np.shape(dataset) != (members,) or np.asarray(dataset).dtype.kind not in "iu":
        fail(function, "dataset", f"{members} whole numbers, the data set of each member", dataset)
    which = np.asarray(dataset)
    if which.min() < 0 or which.max() >= len(train):
        fail(
            function, "dataset", f"numbers in 0..{len(train) - 1}", f" {which[(which < 0) | (which >= len(train))][0]}"
        )
    if validation is not None and (not isinstance(validation, list) or len(validation) != len(train)):
        got = f" {len(validation)} of them" if isinstance(validation, list) else f" a {type(validation).__name__}"
        fail(function, "validation", f"a list of {len(train)} data sets, as `train`", got)
    data, rows = _joined(function, "train", train)
    measured, measured_rows = (None, None) if validation is None else _joined(function, "validation", validation)
    return data, measured, Folds(rows, measured_rows, which.astype(np.int32))


def _joined(function: str, argument: str, sets: Sequence[Any]) -> tuple[Batch, Rows]:
    checked = [as_batch(function, f"{argument}[{i}]", one) for i, one in enumerate(sets)]
    shapes = [jax.tree.map(lambda a: (a.shape, np.dtype(a.dtype).name), one) for one in checked]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            fail(function, f"{argument}[{i}]", f"of the shapes of {argument}[0] {tuple(shapes[0])}", f" {tuple(shape)}")
    size = example_count(checked[0].x)
    whole = jax.tree.map(lambda *column: np.concatenate(column), *checked)
    index = np.arange(len(sets) * size, dtype=np.int32).reshape(len(sets), size)
    return whole, Rows(index, None)


def fold_tables(pairs: Sequence[tuple[np.ndarray, np.ndarray]], which: np.ndarray) -> Folds:
    """A fold table from `(train rows, validation rows)` pairs, shorter ones padded.

    Args:
        pairs: index arrays, a pair for each fold.
        which: int `(members,)`, each member's fold.
    """
    train, validation = (_table([pair[side] for pair in pairs]) for side in (0, 1))
    return Folds(train, validation, np.asarray(which, np.int32))


def _table(rows: Sequence[np.ndarray]) -> Rows:
    counts = np.array([len(r) for r in rows], np.int32)
    longest = int(counts.max())
    index = np.stack([np.concatenate([r, np.full(longest - len(r), r[0])]) for r in rows]).astype(np.int32)
    return Rows(index, None if (counts == longest).all() else counts)
