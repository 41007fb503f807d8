"""Some of the columns: those that vary, those that tell of the targets, those that are named."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import (
    OUTSIDE,
    check_array,
    check_choice,
    check_integer,
    check_range,
    check_untraced,
    fail,
)
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Array, Scalar
from jaxann.preprocessing.columns import beside, check_columns, columns_of, namespace, narrowed, values_of
from jaxann.preprocessing.moments import joined, moments, variance
from jaxann.preprocessing.scores import SCORES

__all__ = ["select_best", "select_columns", "top_columns", "variance_threshold"]


@factory(Preprocessor)
def variance_threshold(threshold: Scalar = 0.0):
    """z = the columns of x whose variance is above the threshold, in the order of x; at 0, all that are not constant.

    Args:
        threshold: of the variance that divides by n.

    State: `columns` `(kept,)`, their numbers, and `variance` `(columns,)`, 0 where it is rounding alone. How many are
    kept depends on the data, so it cannot be fitted inside a program; there it can be used. The inverse has 0 in
    the columns left out. It learns from sums, as `standard`.

    Peers: as scikit-learn's VarianceThreshold.

    Raises:
        InputError: threshold is below 0; it is fitted inside a program; no column is kept; or as `standard`.
    """
    check_range("variance_threshold", "threshold", threshold, 0)

    def measure(x, where, y):
        return moments(_table("variance_threshold", x, where))

    def compute(sums):
        check_untraced("variance_threshold.fit", "x", (sums, threshold), OUTSIDE)
        varied = variance(sums)
        (columns,) = np.nonzero(np.asarray(varied) > float(threshold))
        if not columns.size:
            got = f" variances up to {float(varied.max()):.3g}"
            fail("variance_threshold.fit", "x", f"of a column whose variance is above {float(threshold):g}", got)
        return {"columns": namespace(varied).asarray(columns, dtype=np.int32), "variance": varied}

    functions = _kept("variance_threshold", "variance")
    return functions._replace(measure=measure, merge=joined, compute=compute)


@factory(Preprocessor, static=("count",), traits=("reads_targets",))
def select_best(count: int, *, score: str = "correlation"):
    """z = the `count` columns of x that tell most of the targets, each by itself, in the order of x.

    Args:
        count: how many are kept; of equal ones the first.
        score: "correlation", |r| of Pearson; "f_regression", r^2 / (1 - r^2) (n - 2), which sorts the same where no
            number is missing; "f_classification", the variance between the classes over that inside them, targets being
            labels.

    State: `columns` `(count,)`, their numbers, and `score` `(columns,)`; 0 for a constant column and one of no numbers.
    The targets are `(examples,)`; an example whose target is missing does not count, and a missing number not in its
    column. The inverse has 0 in the columns left out.

    Peers: as scikit-learn's SelectKBest(score_func, k=count) with r_regression, f_regression and f_classif, which of
    equal columns keeps the last.

    Raises:
        InputError: an argument is out of range; x has fewer columns; targets are of another shape; or as `standard`.
    """
    check_integer("select_best", "count", count)
    check_choice("select_best", "score", score, SCORES)

    def fit(x, where, y):
        values = _table("select_best", x, where)
        columns = values.shape[1]
        if columns < count:
            fail("select_best.fit", "x", f"of at least {count} columns", f" {columns}")
        targets = beside(_targets(x, y), values)
        values = namespace(values, targets).where(_column_of(targets, values), np.nan, values)
        found = SCORES[score](values, targets)
        return {"columns": _best(found, count), "score": found}

    return _kept("select_best", "score")._replace(fit=fit)


@factory(
    Preprocessor, static=("columns",), convert={"columns": lambda value: _numbers("select_columns", "columns", value)}
)
def select_columns(columns: tuple[int, ...]):
    """z = x[..., columns], in the order in which they are given.

        select_columns(top_columns(importances, 10))

    Args:
        columns: their numbers, from 0 on.

    State: `kept` `(columns,)`, whether each column of x is among them. The inverse has 0 in the columns left out.

    Peers: scikit-learn's ColumnTransformer with "passthrough".

    Raises:
        InputError: there are none, one is no whole number from 0 on or stands there twice, or (when used) x has it not.
    """
    held = np.array(columns, np.int32)

    def measure(x, where, y):
        values = _table("select_columns", x, where)
        if max(columns) >= values.shape[1]:
            fail("select_columns.fit", "x", f"of at least {max(columns) + 1} columns", f" {values.shape[1]}")
        return {"kept": namespace(values).asarray(np.isin(np.arange(values.shape[1]), held))}

    functions = _kept("select_columns", "kept", held)
    return functions._replace(measure=measure, merge=lambda a, b: a, compute=lambda sums: sums)


def top_columns(importances: Array, count: int) -> tuple[int, ...]:
    """The numbers of the `count` most important columns, in the order of the columns.

    Args:
        importances: `(columns,)`, of a model or a test, the larger the better; NaN is the smallest.
        count: how many; of equal ones the first.

    Raises:
        InputError: importances is no vector known when called, or shorter than count.
    """
    check_integer("top_columns", "count", count)
    check_array("top_columns", "importances", importances)
    check_untraced("top_columns", "importances", importances, OUTSIDE)
    if np.ndim(importances) != 1 or importances.shape[0] < count:
        fail("top_columns", "importances", f"of shape (columns,), of at least {count}", importances)
    return tuple(int(number) for number in _best(np.asarray(importances).astype(np.float64), count))


def _kept(function: str, learned: str, fixed: Any = None) -> PreprocessorFunctions:
    """The functions of one that keeps columns, whose state has `learned` of all columns."""

    def numbers(state):
        return state["columns"] if fixed is None else fixed

    def transform(state, x):
        wide = columns_of(function, x)
        check_columns(function, state[learned], wide)
        return narrowed(namespace(wide).take(wide, beside(numbers(state), wide), -1), x)

    def inverse(state, z):
        wide, columns = columns_of(function, z), numbers(state)
        check_columns(function, columns, wide)
        shape, columns = (*wide.shape[:-1], state[learned].shape[0]), beside(columns, wide)
        if isinstance(wide, jax.Array):
            return narrowed(jnp.zeros(shape, wide.dtype).at[..., columns].set(wide), z)
        found: Any = np.zeros(shape)
        found[..., columns] = wide
        return narrowed(found, z)

    def names(state, names):
        return tuple(names[int(number)] for number in np.asarray(numbers(state)))

    return PreprocessorFunctions(transform, inverse, names=names)


def _best(scores: Any, count: int) -> Array:
    """The numbers of the largest, the smaller number first; of equal ones the first, NaN last."""
    xp = namespace(scores)
    order = xp.argsort(xp.where(xp.isnan(scores), np.inf, -scores), stable=True)
    return xp.sort(order[:count]).astype(np.int32)


def _table(function: str, x: Array, where: Array | None) -> Array:
    values = values_of(function, x, where)
    if values.ndim < 2:
        fail(f"{function}.fit", "x", "of shape (examples, ..., columns)", f" shape {tuple(values.shape)}")
    return values


def _targets(x: Array, y: Any) -> Array:
    """One target for each row of the table that is made of x, in its floating-point type."""
    check_array("select_best.fit", "y", y)
    rows = tuple(x.shape[:-1])
    y = y[..., 0] if y.ndim > 1 and y.shape == (rows[0], 1) else y
    if tuple(y.shape) not in (rows, rows[:1]):
        hint = "Of classes it takes the labels: y.argmax(-1)." if y.ndim > 1 else None
        expected = f"of shape ({rows[0]},), one for each example"
        fail("select_best.fit", "y", expected, f" shape {tuple(y.shape)}", hint=hint)
    wide = columns_of("select_best.fit", y)
    return namespace(wide).broadcast_to(wide.reshape(wide.shape + (1,) * (len(rows) - wide.ndim)), rows).reshape(-1)


def _column_of(targets: Array, values: Array) -> Array:
    xp = namespace(targets)
    return xp.broadcast_to(xp.isnan(targets)[:, None], values.shape)


def _numbers(function: str, argument: str, value: Any) -> tuple[int, ...]:
    """Numbers of columns as a tuple, which is static."""
    if isinstance(value, np.ndarray | jax.Array) and value.ndim == 1:
        check_untraced(function, argument, value, OUTSIDE)
        value = np.asarray(value).tolist()
    if not isinstance(value, tuple | list | range) or not len(value):
        fail(function, argument, "the numbers of some columns", value)
    for number in value:
        check_integer(function, f"each of {argument}", number, 0)
    if len(set(value)) < len(value):
        fail(function, argument, "numbers of different columns", value)
    return tuple(int(number) for number in value)
