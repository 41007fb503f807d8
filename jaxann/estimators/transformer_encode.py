"""Transformers that make numbers of categories and dates."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import BaseCrossValidator, KFold, StratifiedKFold, check_cv
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.multiclass import type_of_target

from jaxann import preprocessing
from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.preprocessor import Preprocessor
from jaxann.estimators.restoring import or_as_before
from jaxann.estimators.transformer import Transformer
from jaxann.estimators.transformer_input import column_label, read_labels, read_targets, read_values

__all__ = ["DateFields", "OneHot", "Ordinal", "TargetEncode"]

_TYPES = ("binary", "continuous", "multiclass")
_MOST_SECONDS = 2.0**62 / 1e6  # that microseconds of 64 bits hold


class Ordinal(Transformer):
    """z = place of x among the sorted values of its column, int32, -1 where x is missing: `preprocessing.ordinal`.

    Args:
        categories: the values of each column in their order, a tuple a column; None takes those of the data.
        unknown: a value that was not there: "error", "missing" or "rare".
        min_frequency: values that occur less often are rare: a count, or a share.
        max_categories: most codes of a column.

    X holds texts, numbers, flags and missing values in any mixture.

    Peers: as scikit-learn's OrdinalEncoder(encoded_missing_value=-1), but that gives float64, and takes True for 1.
    """

    _factory = preprocessing.ordinal
    _inverts = True
    _streams = True
    _takes_values = True

    def __init__(
        self,
        *,
        categories: tuple[tuple, ...] | None = None,
        unknown: str = "error",
        min_frequency: float | None = None,
        max_categories: int | None = None,
    ):
        self.categories = categories
        self.unknown = unknown
        self.min_frequency = min_frequency
        self.max_categories = max_categories


class _Coded(Transformer):
    """Categories are made codes, and these something else, in float64: a `chain` of two products."""

    _takes_values = True

    def _changed(self, x: np.ndarray) -> np.ndarray:
        second, state = self.preprocessor_.arguments["steps"][1], self.state_["step1"]
        return second.transform(state, self._codes(x))

    def _codes(self, x: np.ndarray) -> Any:
        first, state = self.preprocessor_.arguments["steps"][0], self.state_["step0"]
        return first.transform(state, x).astype(np.float64)


class OneHot(_Coded):
    """z = 1 in the column of the category that x is, and 0 in those of others: `preprocessing.ordinal`, then `one_hot`.

    Args:
        categories, min_frequency, max_categories: as `Ordinal`.
        unknown: a value that was not there: "ignore" has zeros, "other" has one more column for each column, which
            missing values have too, "rare" the column of rare values, "error" refuses it.
        drop: None; "first" leaves the column of the first category out; "if_binary" does where there would be two.

    A missing value has zeros, unless it has the column "other". Columns are called by column and value, such as
    `city_Bonn`, and `city_rare`.

    Peers: as scikit-learn's OneHotEncoder(sparse_output=False), whose missing values are a category of their own.
    """

    _factory = preprocessing.ordinal
    _inverts = True
    _streams = True

    def __init__(
        self,
        *,
        categories: tuple[tuple, ...] | None = None,
        unknown: str = "ignore",
        drop: str | None = None,
        min_frequency: float | None = None,
        max_categories: int | None = None,
    ):
        self.categories = categories
        self.unknown = unknown
        self.drop = drop
        self.min_frequency = min_frequency
        self.max_categories = max_categories

    def _product(self, shape: tuple[int, ...] | None = None) -> Preprocessor:
        check_choice("OneHot", "unknown", self.unknown, ("error", "ignore", "other", "rare"))
        self._second((1,))
        return preprocessing.ordinal(
            categories=self.categories,
            unknown=self.unknown if self.unknown in ("error", "rare") else "missing",
            min_frequency=self.min_frequency,
            max_categories=self.max_categories,
        )

    def _second(self, sizes: tuple[int, ...]) -> Preprocessor:
        unknown = "other" if self.unknown == "other" else "ignore"
        return preprocessing.one_hot(sizes, unknown=unknown, drop=self.drop)

    def _computed(self, product: Preprocessor, sums: Any) -> tuple[Preprocessor, Any]:
        learned = product.compute(sums)
        second = self._second(preprocessing.sizes(learned))
        return preprocessing.chain(product, second), {"step0": learned, "step1": {}}

    def _names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        first, second = self.preprocessor_.arguments["steps"]
        sizes = preprocessing.sizes(self.state_["step0"])
        codes: Any = np.arange(max(sizes))[:, None]
        values = first.inverse_transform(self.state_["step0"], np.where(codes < np.array(sizes), codes, -1))
        found = []
        for column, name in enumerate(names):
            alone = second.replace(sizes=(sizes[column],)).feature_names({}, ("",))  # such as _0, _1, _other
            for code in (one.removeprefix("_") for one in alone):
                value = code if code == "other" else values[int(code), column]
                found.append(f"{name}_{'rare' if value is None else value}")
        return tuple(found)


class TargetEncode(_Coded):
    """z = the mean target of the training rows of the category that x is, drawn to the mean of all:
    `preprocessing.ordinal`, then `target_encode`.

    Args:
        smoothing: how many rows of the mean of all are added to each category; "auto" is by their variances.
        target_type: "continuous", "binary", "multiclass", or "auto", which looks at y as scikit-learn does. With
            several classes z has a column for each class, those of one column of x side by side.
        categories: as `Ordinal`.
        cv: folds of `fit_transform`: how many, a splitter of scikit-learn's, or pairs of train rows and validation
            rows. So many are shuffled, and each has its share of every class.
        random_state: what they are shuffled by.

    **`fit_transform` is not `fit` and `transform`.** It is for the training rows: each is changed by what was learned
    from the other folds alone (`preprocessing.cross_fit`), so that no row is encoded with its own target. A Pipeline
    calls it when it is fitted. A category that is unknown or missing becomes the mean of all.

    Attributes:
        target_type_: what y was taken for.
        classes_: the labels, in the order of the columns; of two, the second is 1. None where y is continuous.

    Peers: as scikit-learn's TargetEncoder, whose missing values are a category of their own, and whose folds are
    shuffled otherwise at each call.
    """

    _factory = preprocessing.ordinal
    _supervised = True

    def __init__(
        self,
        *,
        smoothing: float | str = "auto",
        target_type: str = "auto",
        categories: tuple[tuple, ...] | None = None,
        cv: int | BaseCrossValidator | Iterable[tuple[np.ndarray, np.ndarray]] = 5,
        random_state: int | np.random.RandomState | None = 0,
    ):
        self.smoothing = smoothing
        self.target_type = target_type
        self.categories = categories
        self.cv = cv
        self.random_state = random_state

    def fit_transform(self, X: ArrayLike, y: ArrayLike | None = None) -> np.ndarray:
        """Learn from all of the data, and change each row of them by what the other folds tell.

        Args:
            X: `(rows, columns)`.
            y: targets `(rows,)`.

        Raises:
            InputError: as `fit`; or the folds do not have each row once for validation.
            ValueError: there are more folds than rows, or than rows of a class.
        """
        with or_as_before(self):
            self.fit(X, y)
            x, targets = self._read_pair("fit_transform", X, y, reset=False)
            second, codes = self.preprocessor_.arguments["steps"][1], self._codes(x)
            z: Any = preprocessing.cross_fit(second, codes, targets, folds=self._folds(x, y))
            return z

    def _folds(self, x: np.ndarray, y: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        labels, classes = read_labels("TargetEncode.fit_transform", y), self.target_type_ != "continuous"
        splitter: Any = self.cv
        if isinstance(splitter, numbers.Integral):
            kind = StratifiedKFold if classes else KFold
            splitter = kind(int(splitter), shuffle=True, random_state=self.random_state)
        splitter = check_cv(splitter, labels, classifier=classes)
        return list(splitter.split(x, labels))

    def _product(self, shape: tuple[int, ...] | None = None) -> Preprocessor:
        check_choice("TargetEncode", "target_type", self.target_type, ("auto", *_TYPES))
        if isinstance(self.cv, numbers.Integral):
            check_integer("TargetEncode", "cv", self.cv, 2)
        preprocessing.target_encode((1,), smoothing=self.smoothing)
        return preprocessing.ordinal(categories=self.categories, unknown="missing")

    def _learn(self, product: Preprocessor, x: np.ndarray, y: np.ndarray | None) -> None:
        with self._named_columns():
            learned = product.fit(x)
            second = preprocessing.target_encode(preprocessing.sizes(learned), smoothing=self.smoothing)
            codes = product.transform(learned, x).astype(np.float64)
            state = {"step0": learned, "step1": second.fit(codes, y=y)}
            self._keep(preprocessing.chain(product, second), state)

    def _read_targets(self, function: str, y: Any) -> np.ndarray:
        labels = read_labels(function, y)
        self.target_type_ = type_of_target(labels, input_name="y") if self.target_type == "auto" else self.target_type
        if self.target_type_ not in _TYPES:
            got = f" {self.target_type_} (Unknown label type)"
            fail(function, "y", f"targets that are {', '.join(_TYPES[:-1])} or {_TYPES[-1]}", got)
        if self.target_type_ == "continuous":
            self.classes_ = None
            return read_targets(function, y, estimator=self)
        encoder = LabelEncoder()
        codes: Any = encoder.fit_transform(labels)
        self.classes_: Any = encoder.classes_
        if self.target_type_ == "multiclass":
            return (codes[:, None] == np.arange(len(self.classes_))).astype(np.float64)
        if len(self.classes_) > 2:
            fail(function, "y", "labels of two classes, for target_type is 'binary'", f" {len(self.classes_)} classes")
        return codes.astype(np.float64)

    def _names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        if self.target_type_ != "multiclass":
            return names
        return tuple(f"{name}_{label}" for name in names for label in self.classes_)


class DateFields(Transformer):
    """z = the fields of each date, side by side, float64: `preprocessing.date_fields`.

    Args:
        fields: of "year", "quarter", "month", "week", "day", "day_of_year", "weekday", "hour", "minute", "second" and
            "timestamp".
        cyclic: whether each field that comes round again becomes its sine and cosine.

    X holds dates of numpy's, pandas' or Python's, ISO texts, or numbers: seconds since 1970, to the microsecond.

    Peers: scikit-learn leaves dates to pandas.
    """

    _factory = preprocessing.date_fields
    _streams = True

    def __init__(self, fields: tuple[str, ...] = ("year", "month", "day", "weekday", "hour"), *, cyclic: bool = False):
        self.fields = fields
        self.cyclic = cyclic

    def _read_array(self, function: str, X: Any, fewest: int) -> np.ndarray:
        found = read_values(function, X, estimator=self, dates=True)
        if found.dtype.kind in "iuf":
            return _moments_of(function, found, X)
        if found.dtype.kind == "O":
            plain = [isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_) for value in found.flat]
            is_number = np.reshape(plain, found.shape)
            moments = _moments_of(function, np.where(is_number, found, 0), X)
            return np.where(is_number, np.datetime_as_string(moments).astype(object), found)
        return found

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = []
        return tags


def _moments_of(function: str, seconds: np.ndarray, x: Any) -> np.ndarray:
    """Seconds since 1970 as datetime64, to the microsecond; NaT for NaN."""
    seconds = seconds.astype(np.float64)
    missing = np.isnan(seconds)
    far = ~missing & ~(np.abs(seconds) < _MOST_SECONDS)
    if far.any():
        row, column = np.argwhere(far)[0].tolist()
        got = f" {seconds[row, column]:g} in row {row} of {column_label(x, column)}"
        fail(function, "X", f"dates, or seconds since 1970 below {_MOST_SECONDS:g} in size", got)
    dates = np.round(np.where(missing, 0, seconds) * 1e6).astype(np.int64).astype("datetime64[us]")
    return np.where(missing, np.datetime64("NaT"), dates)
