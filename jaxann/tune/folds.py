"""Splits of the rows of a data set into training and validation parts, for cross-validation.

Every splitter returns a tuple of `(train_rows, validation_rows)`: sorted int32 arrays, ready to index `x` and `y`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from jaxann.core.checks import check_integer, check_key, check_unmasked, fail
from jaxann.core.typing import Key
from jaxann.tune.generators import generator
from jaxann.tune.on_host import on_host

__all__ = ["Folds", "check_folds", "grouped_k_fold", "k_fold", "stratified_k_fold", "time_series_split"]

Folds: TypeAlias = tuple[tuple[np.ndarray, np.ndarray], ...]


@on_host
def k_fold(rows: int, folds: int, *, key: Key | None = None) -> Folds:
    """Parts of equal size, each once the validation part while the others train.

    The first `rows % folds` parts have one row more.

    Args:
        rows: number of rows of the data.
        folds: number of parts, from 2 to `rows`.
        key: shuffles the rows first; None takes them in blocks as they come. Rows in a meaningful order (by class, by
            patient) need a key, or one of the other splitters.

    Returns:
        `(train_rows, validation_rows)` of each fold; the validation parts hold every row once.

    Raises:
        InputError: an argument is wrong.

    Without a key equal to scikit-learn's KFold.
    """
    check_integer("k_fold", "rows", rows, 2)
    _check_count("k_fold", folds, rows, "rows")
    _check_optional_key("k_fold", key)
    order = np.arange(rows) if key is None else generator(key).permutation(rows)
    number = np.empty(rows, np.int64)
    number[order] = np.arange(folds).repeat([rows // folds + (i < rows % folds) for i in range(folds)])
    return _from_numbers(number, folds)


@on_host
def stratified_k_fold(labels: ArrayLike, folds: int, *, key: Key | None = None) -> Folds:
    """Parts in which every class has its share: the members of a class in two parts differ by at most 1.

    So do the sizes of the parts.

    Args:
        labels: the class of each row `(rows,)`: integers, flags or texts.
        folds: number of parts, from 2 to the size of the smallest class.
        key: shuffles within each class; None takes each class's rows as they come.

    Returns:
        `(train_rows, validation_rows)` of each fold; the validation parts hold every row once.

    Raises:
        InputError: an argument is wrong, or a class has fewer members than there are folds.

    Without a key equal to scikit-learn's StratifiedKFold, which only warns of a small class.
    """
    names, first, codes = np.unique(
        _names("stratified_k_fold", "labels", labels), return_index=True, return_inverse=True
    )
    _check_count("stratified_k_fold", folds, len(codes), "rows")
    _check_optional_key("stratified_k_fold", key)
    sizes = np.bincount(codes)
    if sizes.min() < folds:
        smallest = int(sizes.argmin())
        got = f" {sizes[smallest]} of class {names[smallest].item()!r}"
        fail("stratified_k_fold", "labels", f"at least {folds} rows of each class, one a fold", got)
    ranks = np.argsort(np.argsort(first))[codes]  # classes numbered in order of appearance
    grouped = np.argsort(ranks, kind="stable")
    sizes = np.bincount(ranks)
    # Dealing the sorted rows out in turn evens out the sizes of the parts as well as the classes within them.
    shares = [np.bincount(ranks[grouped[i::folds]], minlength=len(sizes)) for i in range(folds)]
    number = np.empty(len(codes), np.int64)
    random = None if key is None else generator(key)
    for members, share in zip(np.split(grouped, np.cumsum(sizes)[:-1]), np.stack(shares, 1), strict=True):
        dealt = np.arange(folds).repeat(share)
        number[members] = dealt if random is None else random.permutation(dealt)
    return _from_numbers(number, folds)


@on_host
def grouped_k_fold(groups: ArrayLike, folds: int, *, key: Key | None = None) -> Folds:
    """Parts that never divide a group: all rows of a patient, user or site are on one side.

    Groups go one by one to the part with the fewest rows so far, so that two parts differ by at most the largest group.

    Args:
        groups: the group of each row `(rows,)`: integers, flags or texts.
        folds: number of parts, from 2 to the number of groups.
        key: takes the groups in a random order; None takes the largest first, which balances best.

    Returns:
        `(train_rows, validation_rows)` of each fold; the validation parts hold every row once.

    Raises:
        InputError: an argument is wrong, or there are fewer groups than folds.

    Without a key equal to scikit-learn's GroupKFold.
    """
    names, codes = np.unique(_names("grouped_k_fold", "groups", groups), return_inverse=True)
    _check_count("grouped_k_fold", folds, len(names), "groups")
    _check_optional_key("grouped_k_fold", key)
    sizes = np.bincount(codes)
    # Reversed, not negated: of groups of one size the last comes first, as in scikit-learn.
    order = np.argsort(sizes, kind="stable")[::-1] if key is None else generator(key).permutation(len(names))
    filled = np.zeros(folds, np.int64)
    number = np.empty(len(names), np.int64)
    for group in order:
        number[group] = filled.argmin()
        filled[number[group]] += sizes[group]
    return _from_numbers(number[codes], folds)


def time_series_split(rows: int, folds: int, *, gap: int = 0, test_size: int | None = None) -> Folds:
    """Parts in which the past trains and what follows validates; each fold trains on more of the past.

    The last `folds * test_size` rows are validated on, in order; training rows end `gap` rows before them.

    Args:
        rows: number of rows of the data, in the order of time.
        folds: number of splits, at least 2.
        gap: rows left out between the two sides, for targets that look ahead.
        test_size: rows of each validation part; `rows // (folds + 1)` when None.

    Returns:
        `(train_rows, validation_rows)` of each fold, the earliest first.

    Raises:
        InputError: an argument is wrong, or nothing is left for the first fold to train on.

    Equal to scikit-learn's TimeSeriesSplit.
    """
    check_integer("time_series_split", "rows", rows, 3)
    _check_count("time_series_split", folds, rows - 1, "rows but one")
    check_integer("time_series_split", "gap", gap, 0)
    if test_size is not None:
        check_integer("time_series_split", "test_size", test_size)
    size = rows // (folds + 1) if test_size is None else test_size
    if rows - gap - size * folds < 1:
        needed = f"more than {folds} folds of {size} rows and a gap of {gap}, {gap + size * folds}"
        fail("time_series_split", "rows", needed, rows)
    every = np.arange(rows, dtype=np.int32)
    starts = range(rows - folds * size, rows, size)
    return tuple((every[: start - gap], every[start : start + size]) for start in starts)


def check_folds(function: str, folds: Iterable[tuple[Any, Any]], rows: int) -> Folds:
    """Folds a caller made, checked and in the form of the splitters.

    Args:
        function: name for messages.
        folds: pairs of `(train_rows, validation_rows)`; what scikit-learn's `split` yields will do.
        rows: number of rows of the data.

    Raises:
        InputError: there is no fold, or one is no pair of integer arrays, is empty, has a row that the data has not or
            one twice, or has a row on both sides.
    """
    if isinstance(folds, str | bytes | dict) or not isinstance(folds, Iterable):
        fail(function, "folds", "pairs of (train_rows, validation_rows)", folds)
    checked = []
    for i, pair in enumerate(folds):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            fail(function, f"folds[{i}]", "a pair (train_rows, validation_rows)", pair)
        train, validation = (_rows(function, f"folds[{i}][{side}]", pair[side], rows) for side in (0, 1))
        both = np.intersect1d(train, validation)
        if both.size:
            fail(function, f"folds[{i}]", "two sides without a row in common", f" row {both[0]} on both")
        checked.append((train, validation))
    if not checked:
        fail(function, "folds", "at least one pair of (train_rows, validation_rows)", " none")
    return tuple(checked)


def _rows(function: str, name: str, given: Any, rows: int) -> np.ndarray:
    check_unmasked(function, name, given)
    array = np.asarray(given)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu":
        hint = "Turn a mask into row numbers: np.flatnonzero(mask)." if array.dtype.kind == "b" else None
        expected = "integer row numbers of shape (n,), at least one"
        fail(function, name, expected, f" {array.dtype} of shape {array.shape}", hint=hint)
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= rows:
        fail(function, name, f"row numbers from 0 to {rows - 1}", low if low < 0 else high)
    found, counts = np.unique(array, return_counts=True)
    if found.size < array.size:
        fail(function, name, "row numbers without a repeat", f" row {found[counts > 1][0]} twice or more")
    return found.astype(np.int32)


def _from_numbers(number: np.ndarray, folds: int) -> Folds:
    """The folds from the number `(rows,)` of the one in which each row is validated on."""
    sides = ((number != i, number == i) for i in range(folds))
    return tuple((np.flatnonzero(a).astype(np.int32), np.flatnonzero(b).astype(np.int32)) for a, b in sides)


def _names(function: str, argument: str, given: Any) -> np.ndarray:
    """Labels or groups as a 1-d array that numpy can sort."""
    check_unmasked(function, argument, given)
    array = np.asarray(given)
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.ravel()):
        array = array.astype(str)  # a column of texts out of pandas
    if array.ndim != 1 or array.dtype.kind not in "iubU" or len(array) < 2:
        expected = "integers, flags or texts of shape (rows,), at least two"
        fail(function, argument, expected, f" {array.dtype} of shape {array.shape}")
    return array


def _check_count(function: str, folds: Any, most: int, of: str) -> None:
    check_integer(function, "folds", folds, 2)
    if folds > most:
        fail(function, "folds", f"at most the number of {of}, {most}", folds)


def _check_optional_key(function: str, key: Any) -> None:
    if key is not None:
        check_key(function, key)
