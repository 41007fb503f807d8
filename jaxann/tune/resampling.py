"""What the settings of a search are scored on: a validation set, or folds; with what is learnt inside, how often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxann.core.binding import misfit
from jaxann.core.checks import check_integer, fail
from jaxann.core.preprocessor import Preprocessor

__all__ = ["Pairs", "Prepare", "Resampling", "as_resampling", "listed_folds", "resampling"]

Pairs = Sequence[tuple[np.ndarray, np.ndarray]]
Prepare = Preprocessor | Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]

_PREPARE = "a function (x, y) -> (x -> x), a product of jaxann.preprocessing"


class Resampling(NamedTuple):
    """What settings are scored on; made by `resampling`."""

    folds: int | Pairs | None
    validation: tuple | None
    prepare: Prepare | None
    repeats: int


def resampling(
    folds: int | Pairs | None = None,
    *,
    validation: tuple | None = None,
    prepare: Prepare | None = None,
    repeats: int = 1,
) -> Resampling:
    """What every setting of a search is scored on.

    Args:
        folds: a number (rows dealt out at random, class by class where y is whole numbers on one axis), or
            `(train rows, validation rows)` pairs: see `k_fold`, `stratified_k_fold`, `grouped_k_fold`,
            `time_series_split`.
        validation: `(x, y)`, in the place of folds.
        prepare: what is learnt from the training rows of each fold alone: a product of `jaxann.preprocessing`, for
            which rows of weight 0 do not count, or `(x, y) -> (x -> x)` such as
            `lambda x, y: StandardScaler().fit(x).transform`.
        repeats: runs for each fold, with keys of their own.

    Raises:
        InputError: folds and validation are both given, or neither is; or an argument is of another kind.
    """
    if (folds is None) == (validation is None):
        got = " neither" if folds is None else " both"
        fail("resampling", "folds or validation", "given, one of the two", got)
    function = None if isinstance(prepare, Preprocessor) else prepare
    if function is not None and (not callable(function) or isinstance(function, type)):
        hint = "Of scikit-learn: lambda x, y: StandardScaler().fit(x).transform."
        fail("resampling", "prepare", f"{_PREPARE}, or None", function, hint=hint)
    if function is not None and (told := misfit(function, 2)) is not None:
        fail("resampling", "prepare", f"{_PREPARE}, or None", f" {told}")
    check_integer("resampling", "repeats", repeats)
    return Resampling(listed_folds(folds), validation, prepare, repeats)


def listed_folds(folds: Any) -> Any:
    """Folds that can be read again: a list of what a generator yields, such as `KFold(3).split(x)`; others as given."""
    readable = isinstance(folds, Sequence | Mapping) or hasattr(folds, "ndim")
    return list(folds) if isinstance(folds, Iterable) and not readable else folds


def as_resampling(function: str, argument: str, value: Resampling | tuple | int | Pairs | None) -> Resampling:
    """A resampling as it is; a number or pairs of rows as folds (for `folds`), data as a validation set.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(value, Resampling):
        listed = listed_folds(value.folds)
        return value if listed is value.folds else value._replace(folds=listed)
    if value is None:
        expected = "data (x, y), or jaxann.tune.resampling(folds=5)" if argument == "validation" else "given"
        fail(function, argument, expected, None)
    if argument == "validation":
        return resampling(validation=value)  # pyright: ignore[reportArgumentType]
    return resampling(value)  # pyright: ignore[reportArgumentType]
