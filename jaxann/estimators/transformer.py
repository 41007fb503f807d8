"""What all transformers have: they learn by a product of `preprocessing`, and keep what it learned."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from jaxann.core.checks import fail
from jaxann.core.errors import InputError
from jaxann.core.preprocessor import Preprocessor
from jaxann.estimators.restoring import or_as_before
from jaxann.estimators.transformer_input import read_numbers, read_values

__all__ = ["Transformer"]


class Transformer(TransformerMixin, BaseEstimator):
    """z = what a product of `preprocessing` makes of x, learned from the data that `fit` is given.

    A class says which factory makes the product, and what it can; `__init__` stores the factory's arguments.

    Attributes:
        preprocessor_: the product, for use in a program: `model.preprocessor_.transform(model.state_, x)`.
        state_: what it learned, a dict of arrays.
        n_features_in_: how many columns it was fitted on.
        feature_names_in_: their names, where they have such.
    """

    _factory: ClassVar[Callable[..., Preprocessor]]
    _inverts: ClassVar[bool] = False  # whether the products lead back
    _streams: ClassVar[bool] = False  # whether they learn from sums that do not grow with the data
    _supervised: ClassVar[bool] = False  # whether they learn from targets
    _takes_missing: ClassVar[bool] = True  # whether a number may be NaN
    _takes_values: ClassVar[bool] = False  # whether texts and other values are taken, rather than numbers
    _fewest: ClassVar[int] = 1  # rows to be fitted on

    def _product(self, shape: tuple[int, ...] | None = None) -> Preprocessor:
        """The product of the arguments, for data of this shape where that has a say."""
        return type(self)._factory(**self.get_params(deep=False))

    def _can_invert(self) -> bool:
        return self._inverts

    def _can_stream(self) -> bool:
        return self._streams

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from all of the data.

        Args:
            X: `(rows, columns)`: an array, a data frame or nested lists.
            y: targets `(rows,)`, for one that learns from them; others do not look at them.

        Raises:
            InputError: an argument of `__init__` is out of range, or the data are not what the product takes; what was
                learned before is as it was.
        """
        with or_as_before(self):
            self._product()
            x, targets = self._read_pair("fit", X, y, reset=True)
            self._learn(self._product(x.shape), x, targets)
        return self

    @available_if(lambda self: self._can_stream())
    def partial_fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from more data, beside all that have been given since the last `fit`, and those of that `fit`.

        Args:
            X, y: as `fit`.

        Raises:
            InputError: as `fit`; or an argument of `__init__` is no longer what it was for the data before.
        """
        with or_as_before(self):
            begun = hasattr(self, "state_")
            self._product()
            x, _ = self._read_pair("partial_fit", X, y, reset=not begun)
            self._count(self._product_in_pieces(x.shape), x, begun)
        return self

    def transform(self, X: ArrayLike) -> np.ndarray:
        """The data changed by what was learned, `(rows, columns)`.

        Args:
            X: of the columns that it was fitted on.

        Raises:
            InputError: the data are not what the product takes.
            ValueError: they have other columns, in scikit-learn's words.
        """
        check_is_fitted(self)
        x = self._read("transform", X, reset=False)
        with self._named_columns():
            z = self._changed(x)
        return z.reshape(len(z), -1)

    @available_if(lambda self: self._can_invert())
    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """The data that are changed to X, or the nearest to them.

        Args:
            X: of the columns that `transform` gives.

        Raises:
            InputError: it has other columns, or what is no number.
        """
        check_is_fitted(self)
        name = f"{type(self).__name__}.inverse_transform"
        z = read_numbers(name, X, estimator=self)
        x = self.preprocessor_.inverse_transform(self.state_, z)
        return x.reshape(len(x), -1)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Names of the columns that `transform` gives.

        Args:
            input_features: names of the columns of X; None takes those it was fitted on, or x0, x1, ....

        Raises:
            ValueError: they are not as many, or not those that it was fitted on; in scikit-learn's words.
        """
        check_is_fitted(self)
        names: Any = _check_feature_names_in(self, input_features)
        return np.array(self._names(tuple(map(str, names))), dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_missing
        tags.input_tags.categorical = self._takes_values
        tags.target_tags.required = self._supervised
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = [] if self._takes_values else ["float64", "float32"]
        return tags

    def _learn(self, product: Preprocessor, x: np.ndarray, y: np.ndarray | None) -> None:
        with self._named_columns():
            if self._can_stream() and product.functions.fit is None:
                self._count(product, x, begun=False)
            else:
                self._keep(product, product.fit(x, y=y), self._sums_of(product, x))

    def _count(self, product: Preprocessor, x: np.ndarray, begun: bool) -> None:
        name = f"{type(self).__name__}.partial_fit"
        if begun and self._counted is None:
            hint = "Begin with partial_fit, or fit on all data."
            fail(name, "the transformer", "fitted by a fit that kept sums", f" {self.preprocessor_}", hint=hint)
        learner, sums = self._counted if begun and self._counted else (product, None)
        if product != learner:
            fail(name, "the arguments", f"those of the data before, {learner}", f" {product}")
        with self._named_columns():
            sums = product.partial_fit(sums, x)
            self._keep(*self._computed(product, sums), (product, sums))

    def _keep(self, product: Preprocessor, state: Any, counted: tuple[Preprocessor, Any] | None = None) -> None:
        """The product that transforms, its state, and what pieces that follow are added to: the sums, and whose."""
        self.preprocessor_ = product
        self.state_ = state
        self._counted = counted

    def _sums_of(self, product: Preprocessor, x: np.ndarray) -> tuple[Preprocessor, Any] | None:
        """Of a product that does not learn from sums when it has all data at once; None where none are kept."""
        return None

    def _product_in_pieces(self, shape: tuple[int, ...]) -> Preprocessor:
        return self._product(shape)

    def _computed(self, product: Preprocessor, sums: Any) -> tuple[Preprocessor, Any]:
        """The product that transforms, and its state."""
        return product, product.compute(sums)

    def _changed(self, x: np.ndarray) -> np.ndarray:
        return self.preprocessor_.transform(self.state_, x)

    def _names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return self.preprocessor_.feature_names(self.state_, names)

    def _read(self, verb: str, X: Any, *, reset: bool, y: Any = "no_validation") -> np.ndarray:
        """X as an array, its columns and their names noted, or compared with those that were noted."""
        is_frame = hasattr(X, "columns")  # whose names come before its values
        if is_frame:
            validate_data(self, X, y, reset=reset, skip_check_array=True)
        x = self._read_array(f"{type(self).__name__}.{verb}", X, self._fewest if reset else 1)
        if not is_frame:
            validate_data(self, X, y, reset=reset, skip_check_array=True)
        return x

    def _read_array(self, function: str, X: Any, fewest: int) -> np.ndarray:
        if self._takes_values:
            return read_values(function, X, estimator=self)
        return read_numbers(function, X, estimator=self, missing=self._takes_missing, fewest=fewest)

    def _read_pair(self, verb: str, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, Any]:
        if not self._supervised:
            return self._read(verb, X, reset=reset), None
        x = self._read(verb, X, reset=reset, y=y)
        check_consistent_length(x, y)
        return x, self._read_targets(f"{type(self).__name__}.{verb}", y)

    def _read_targets(self, function: str, y: Any) -> np.ndarray:
        raise NotImplementedError(function)

    @contextlib.contextmanager
    def _named_columns(self) -> Iterator[None]:
        """Where messages call columns by the names that they were fitted with, rather than by their numbers."""
        try:
            yield
        except InputError as error:
            names = getattr(self, "feature_names_in_", None)
            if names is None:
                raise
            text = re.sub(r"\bcolumn (\d+)", lambda found: f"column {names[int(found[1])]!r}", str(error))
            raise type(error)(text) from error
