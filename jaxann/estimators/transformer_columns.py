"""Transformers that make other columns of the columns together, keep some of them, or are made of any product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelEncoder

from jaxann import preprocessing
from jaxann.core.checks import check_choice, fail
from jaxann.core.preprocessor import Preprocessor
from jaxann.estimators.transformer import Transformer
from jaxann.estimators.transformer_input import read_labels, read_targets, read_values

__all__ = ["PCA", "ZCA", "Preprocess", "SelectBest", "SelectColumns", "VarianceThreshold"]


class PCA(Transformer):
    """z = V (x - mean), the rows of V being the directions of largest variance: `preprocessing.pca`.

    Args:
        components: how many directions are kept; None keeps all, as many as there are columns, or rows if these are
            fewer.
        whiten: whether each column of z is divided by its deviation.
        solver: "full", or "randomized" for a few directions of many columns.
        iterations, oversampling, seed: of "randomized", as the product has them.

    With "full" it has a `partial_fit`, whose first piece needs at least as many rows as there are components. It may
    follow a `fit` on at least as many rows as columns: of fewer, the sums would be larger than the data.

    Peers: as scikit-learn's PCA(n_components=components), and IncrementalPCA, which in pieces is no more than near it.
    """

    _factory = preprocessing.pca
    _inverts = True
    _takes_missing = False

    def __init__(
        self,
        components: int | None = None,
        *,
        whiten: bool = False,
        solver: str = "full",
        iterations: int = 7,
        oversampling: int = 10,
        seed: int = 0,
    ):
        self.components = components
        self.whiten = whiten
        self.solver = solver
        self.iterations = iterations
        self.oversampling = oversampling
        self.seed = seed

    def _can_stream(self) -> bool:
        return self.solver == "full"

    def _product(self, shape: tuple[int, ...] | None = None) -> Preprocessor:
        arguments = self.get_params(deep=False)
        if self.components is None:
            arguments["components"] = 1 if shape is None else min(shape)
        return preprocessing.pca(**arguments)

    def _sums_of(self, product: Preprocessor, x: np.ndarray) -> tuple[Preprocessor, Any] | None:
        rows, columns = x.shape
        return (product, product.partial_fit(None, x)) if self._can_stream() and rows >= columns else None

    def _product_in_pieces(self, shape: tuple[int, ...]) -> Preprocessor:
        return self._product(shape[1:])


class ZCA(Transformer):
    """z = V^T (V (x - mean) / sqrt(variance + eps)), white and as near to x as white data are: `preprocessing.zca`.

    Args:
        eps: is added to each variance.

    Peers: scikit-learn has none.
    """

    _factory = preprocessing.zca
    _inverts = True
    _streams = True
    _takes_missing = False

    def __init__(self, *, eps: float = 1e-6):
        self.eps = eps


class VarianceThreshold(Transformer):
    """z = the columns of x whose variance is above the threshold: `preprocessing.variance_threshold`.

    Args:
        threshold: of the variance that divides by n.

    Peers: as scikit-learn's VarianceThreshold.
    """

    _factory = preprocessing.variance_threshold
    _inverts = True
    _streams = True
    _fewest = 2  # one row has no variance

    def __init__(self, threshold: float = 0.0):
        self.threshold = threshold


class SelectBest(Transformer):
    """z = the columns of x that tell most of the targets, each by itself: `preprocessing.select_best`.

    Args:
        count: how many are kept, all where there are no more.
        criterion: the product's `score`, which is the name of a method in scikit-learn: "correlation", "f_regression",
            or "f_classification", whose targets are labels of any type.

    Peers: as scikit-learn's SelectKBest(score_func, k=count) with r_regression of any sign, f_regression and f_classif,
    which of equal columns keeps the last, and warns where there are fewer columns than k.
    """

    _factory = preprocessing.select_best
    _inverts = True
    _supervised = True

    def __init__(self, count: int = 10, *, criterion: str = "correlation"):
        self.count = count
        self.criterion = criterion

    def _product(self, shape: tuple[int, ...] | None = None) -> Preprocessor:
        product = preprocessing.select_best(self.count, score=self.criterion)
        return product if shape is None else product.replace(count=min(self.count, shape[1]))

    def _read_targets(self, function: str, y: Any) -> np.ndarray:
        if self.criterion == "f_classification":
            return np.asarray(LabelEncoder().fit_transform(read_labels(function, y)))
        return read_targets(function, y, estimator=self)


class SelectColumns(Transformer):
    """z = some of the columns of x, in the order in which they are given: `preprocessing.select_columns`.

    Args:
        columns: their numbers, or the names that they have in a data frame; None keeps all.

    Peers: scikit-learn's ColumnTransformer with "passthrough", which has no inverse.
    """

    _factory = preprocessing.select_columns
    _inverts = True
    _streams = True

    def __init__(self, columns: Sequence[int | str] | None = None):
        self.columns = columns

    def _product(self, shape: tuple[int, ...] | None = None) -> Preprocessor:
        columns: Any = self.columns
        if columns is None:
            columns = range(1 if shape is None else shape[1])
        elif isinstance(columns, list | tuple) and any(isinstance(column, str) for column in columns):
            # Before the data are there, names are as good as numbers.
            columns = range(len(columns)) if shape is None else [self._number(column) for column in columns]
        return preprocessing.select_columns(columns)

    def _number(self, column: int | str) -> int:
        if not isinstance(column, str):
            return column
        names: list[str] = list(getattr(self, "feature_names_in_", []))
        if not names:
            fail("SelectColumns", "columns", "numbers where the columns of X have no names", column)
        check_choice("SelectColumns", "each of columns", column, names)
        return names.index(column)


class Preprocess(Transformer):
    """z = what any product of `preprocessing` makes of x: a `chain`, a table `by_columns`, one of your own.

    Args:
        preprocessor: the product; None takes x over as it is.

    One that reads targets is refused, for no row may learn from its own: `TargetEncode` and `SelectBest` see to that.

    Peers: scikit-learn's FunctionTransformer, which learns nothing.
    """

    def __init__(self, preprocessor: Preprocessor | None = None):
        self.preprocessor = preprocessor

    def _product(self, shape: tuple[int, ...] | None = None) -> Preprocessor:
        if self.preprocessor is None:
            return preprocessing.select_columns(range(1 if shape is None else shape[1]))
        if not isinstance(self.preprocessor, Preprocessor):
            fail("Preprocess", "preprocessor", "a product of jaxann.preprocessing", self.preprocessor)
        if "reads_targets" in self.preprocessor.traits:
            hint = "TargetEncode and SelectBest, in a Pipeline, learn from targets."
            fail("Preprocess", "preprocessor", "one that reads no targets", self.preprocessor, hint=hint)
        return self.preprocessor

    def _on_host(self) -> bool:
        return isinstance(self.preprocessor, Preprocessor) and "on_host" in self.preprocessor.traits

    def _can_invert(self) -> bool:
        return self.preprocessor is None or isinstance(self.preprocessor, Preprocessor) and self.preprocessor.invertible

    def _read_array(self, function: str, X: Any, fewest: int) -> np.ndarray:
        if self._on_host():
            return read_values(function, X, estimator=self, dates=True)
        return super()._read_array(function, X, fewest)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = self._on_host()
        if tags.transformer_tags is not None and self._on_host():
            tags.transformer_tags.preserves_dtype = []
        return tags
