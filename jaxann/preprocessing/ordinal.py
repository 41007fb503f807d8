"""Texts and other categories as numbers from 0 on."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxann.core.checks import OUTSIDE, check_choice, check_integer, check_range, check_untraced, fail, show
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import State
from jaxann.preprocessing.categories import (
    Key,
    column_names,
    distinct,
    packed,
    raw_columns,
    sorted_keys,
    unpacked,
    value_of,
)
from jaxann.preprocessing.columns import columns_of, counted

__all__ = ["ordinal", "sizes"]

_UNKNOWN = -2  # while codes are looked up
_SHOWN = 5  # known values in a message


@factory(Preprocessor, static=("categories", "min_frequency", "max_categories"), traits=("on_host",))
def ordinal(
    *,
    categories: tuple[tuple, ...] | None = None,
    unknown: str = "error",
    min_frequency: float | None = None,
    max_categories: int | None = None,
):
    """z = place of x among the sorted values of its column: 0, 1, ..., int32 of the same shape; -1 where x is missing.

    Args:
        categories: the values of each column in their order, a tuple a column; None takes those of the data: flags,
            then numbers, then texts, each sorted.
        unknown: a value that was not there: "error" refuses it, "missing" gives -1, "rare" the code of rare values.
        min_frequency: values that occur less often are rare: a count, or a share in (0, 1) of the values of the column
            that are there.
        max_categories: most codes of a column. If there are more values, the rarest are rare.

    All rare values of a column share one code, the last one, which counts as one of max_categories. With
    unknown="rare" each column has it, whether or not a value was rare. x holds texts, numbers, flags and missing values
    (None, NaN, NaT, pandas' NA) in any mixture: numpy arrays, of objects or not, or what numpy makes one of, such as a
    data frame. The text "1", the number 1 and True are three values, 1.0 is 1. It works on the host, outside of jit.

    `inverse_transform` gives an array of objects, with None for -1 and for the code of rare values; whole numbers
    are ints.

    State: `column0`, `column1`, ..., each a dict of arrays: `kinds`, `lengths` and `codes` `(categories,)`, `texts`
    `(bytes,)`, the UTF-8 of the values one after the other, and `rare`, the code of rare values or -1. `sizes(state)`
    says how many codes each column has. It learns from sums: how often each value occurs.

    Peers: as scikit-learn's OrdinalEncoder with encoded_missing_value=-1, but that takes True for 1 and cannot sort
    numbers among texts; of exactly max_categories values it makes one rare, here all are kept. pandas' factorize
    numbers them as they come.

    Raises:
        InputError: an option is none; x is no such array; a value is unknown (the message has its column and row).
    """
    check_choice("ordinal", "unknown", unknown, ("error", "missing", "rare"))
    given = None if categories is None else _given(categories)
    if isinstance(min_frequency, float):
        check_range("ordinal", "min_frequency", min_frequency, 0, 1, open_low=True, open_high=True)
    elif min_frequency is not None:
        check_integer("ordinal", "min_frequency", min_frequency)
    if max_categories is not None:
        check_integer("ordinal", "max_categories", max_categories)

    def measure(x, where, y):
        raw = raw_columns("ordinal", x)
        if given is not None:
            _check_number("x", len(given), raw.shape[1])
        zeros: Any = np.zeros(np.shape(x))
        real = counted("ordinal", zeros, where).reshape(raw.shape)
        sums = {}
        for i in range(raw.shape[1]):
            keys, places = distinct("ordinal", raw[:, i], i)
            many = np.bincount(places[real[:, i]], minlength=len(keys)).tolist()
            counts = {key: count for key, count in zip(keys, many, strict=True) if count and key is not None}
            if given is not None:
                if unknown == "error" and not counts.keys() <= set(given[i]):
                    codes = {key: code for code, key in enumerate(given[i])}
                    _refuse(_looked_up(keys, places, codes), raw[:, i], i, given[i], real[:, i])
                counts = {key: counts.get(key, 0) for key in given[i]}
            sums[f"column{i}"] = _counts(counts)
        return sums

    def merge(a, b):
        _check_number("sums", len(a), len(b))
        total = {}
        for name in column_names(a):
            counts = dict(zip(unpacked(a[name]), np.asarray(a[name]["counts"]).tolist(), strict=True))
            for key, count in zip(unpacked(b[name]), np.asarray(b[name]["counts"]).tolist(), strict=True):
                counts[key] = counts.get(key, 0) + count
            total[name] = _counts(counts)
        return total

    def compute(sums):
        state = {}
        for i, name in enumerate(column_names(sums)):
            keys = unpacked(sums[name])
            counts = dict(zip(keys, np.asarray(sums[name]["counts"]).tolist(), strict=True))
            if given is not None:
                keys = list(given[i])
            is_rare = _rare(np.array([counts[key] for key in keys], np.int64))
            frequent = int((~is_rare).sum())
            codes = np.where(is_rare, frequent, np.cumsum(~is_rare) - 1).astype(np.int32)
            rare = frequent if is_rare.any() or unknown == "rare" else -1
            state[name] = packed(keys) | {"codes": codes, "rare": np.array(rare, np.int32)}
        return state

    def _rare(counts: np.ndarray) -> np.ndarray:
        is_rare = np.zeros(counts.shape, bool)
        if min_frequency is not None:
            bound = min_frequency * counts.sum() if isinstance(min_frequency, float) else min_frequency
            is_rare = counts < bound
        if max_categories is not None:
            has_code = bool(is_rare.any()) or unknown == "rare"
            if (~is_rare).sum() + has_code > max_categories:
                is_rare[np.argsort(counts, kind="stable")[: len(counts) - (max_categories - 1)]] = True
        return is_rare

    def transform(state, x):
        raw = raw_columns("ordinal", x)
        _check_number("x", len(state), raw.shape[1])
        z = np.empty(raw.shape, np.int32)
        for i, name in enumerate(column_names(state)):
            learned = state[name]
            known = unpacked(learned)
            codes = dict(zip(known, np.asarray(learned["codes"]).tolist(), strict=True))
            z[:, i] = found = _looked_up(*distinct("ordinal", raw[:, i], i), codes)
            if unknown == "error":
                _refuse(found, raw[:, i], i, known)
            z[found == _UNKNOWN, i] = int(learned["rare"]) if unknown == "rare" else -1
        return z.reshape(np.shape(x))

    def inverse(state, z):
        check_untraced("ordinal.inverse_transform", "z", z, OUTSIDE)
        flat = raw_columns("ordinal.inverse_transform", np.asarray(columns_of("ordinal.inverse_transform", z)))
        _check_number("z", len(state), flat.shape[1])
        x = np.full(flat.shape, None, object)
        for i, (name, size) in enumerate(zip(column_names(state), sizes(state), strict=True)):
            column = np.where(np.isnan(flat[:, i]), -1, flat[:, i])
            wrong = (column < -1) | (column >= size) | (column != np.floor(column))
            if wrong.any():
                row = int(wrong.argmax())
                fail("ordinal.inverse_transform", "z", f"of codes from -1 to {size - 1} in column {i}",
                     f" {column[row]:g} in row {row}")  # fmt: skip
            values = np.full(size + 1, None, object)  # the last one is that of -1
            rare = int(state[name]["rare"])
            for key, code in zip(unpacked(state[name]), np.asarray(state[name]["codes"]).tolist(), strict=True):
                values[code] = None if code == rare else value_of(key)
            x[:, i] = values[column.astype(np.int64)]
        return x.reshape(np.shape(z))

    return PreprocessorFunctions(transform, inverse, measure, merge, compute)


def sizes(state: State) -> tuple[int, ...]:
    """How many codes each column has that `ordinal` learned, the code of rare values among them.

    One size a column is what `one_hot`, `target_encode` and embeddings need. A column of no values has 0.
    """
    names = column_names(state)
    return tuple(max([int(state[n]["rare"]), *np.asarray(state[n]["codes"]).tolist()], default=-1) + 1 for n in names)


def _given(categories: Any) -> list[list[Key]]:
    """The keys of the categories of each column.

    Raises:
        InputError: they are no tuple of tuples of values, one is missing, or one stands twice.
    """
    example = 'a tuple of values for each column, such as (("S", "M", "L"), (0, 1))'
    if not isinstance(categories, tuple) or not categories or not all(isinstance(one, tuple) for one in categories):
        fail("ordinal", "categories", example, categories)
    given = []
    for i, values in enumerate(categories):
        array = np.empty(len(values), object)
        array[:] = values
        keys, _ = distinct("ordinal", array, i, "categories")
        if None in keys:
            fail("ordinal", "categories", "without missing values, whose code is -1", f" one in column {i}")
        if len(keys) < len(values):
            fail("ordinal", "categories", "of different values", f" one twice in column {i}")
        given.append(keys)
    return given


def _counts(counts: dict[Key, int]) -> dict[str, np.ndarray]:
    """How often each key occurs, as a table in sorted order."""
    keys = sorted_keys(counts)
    return packed(keys) | {"counts": np.array([counts[key] for key in keys], np.int64)}


def _looked_up(keys: list[Key], places: np.ndarray, codes: dict[Key, int]) -> np.ndarray:
    """The code of each row, -1 for a missing value."""
    found = [-1 if key is None else codes.get(key, _UNKNOWN) for key in keys]
    return np.array(found, np.int32)[places]


def _refuse(found: np.ndarray, column: np.ndarray, number: int, known: list[Key], real: Any = True) -> None:
    """No unknown value, or an error that names the first one."""
    rows = np.flatnonzero((found == _UNKNOWN) & real)
    if len(rows):
        first = column[rows[0]]
        value = show(first.item() if isinstance(first, np.generic) else first)
        shown = ", ".join(show(value_of(key))[:40] for key in known[:_SHOWN])
        more = f", ... ({len(known)})" if len(known) > _SHOWN else ""
        got = f" {value} in row {rows[0]}" + (f" ({len(rows)} unknown)" if len(rows) > 1 else "")
        hint = 'unknown="missing" gives such values -1, unknown="rare" the code of rare ones.'
        fail("ordinal", "x", f"in column {number} one of {shown}{more}", got, hint=hint)


def _check_number(argument: str, expected: int, given: int) -> None:
    if expected != given:
        fail("ordinal", argument, f"of {expected} columns", f" {given}")
