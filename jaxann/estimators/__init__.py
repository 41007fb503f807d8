"""The library behind scikit-learn's face: estimators and transformers that pass its checks to the letter.

    from jaxann.estimators import MLPClassifier

    model = MLPClassifier(hidden_layer_sizes=(100,), dropout=0.2).fit(x, y)
    model.predict(x_test)

`__init__` stores its arguments and looks at none of them; `fit` checks them all, then the data, and leaves an estimator
as it was when anything is wrong. What was learned ends in `_`. This room alone holds mutable objects. It is loaded when
first asked for, and scikit-learn with it: `pip install "jaxann[tabular]"`; so is each of its classes.

**Transformers** for Pipeline and ColumnTransformer have the names of what they learn by in `preprocessing`, and its
arguments: `Standard` is `standard`, `ImputeNeighbors` is `impute_neighbors`. `OneHot` and `TargetEncode` take
categories as they are, where the products take codes. `Preprocess` makes one of any product, a `chain` above all.

    make_pipeline(ColumnTransformer([("numbers", Impute("median"), [0, 1]), ("city", OneHot(), [2])]), Standard())

`preprocessor_` and `state_` of a fitted one are a product and what it learned, to be used in a program.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxann.core.errors import MissingDependencyError

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise MissingDependencyError('jaxann.estimators needs scikit-learn: pip install "jaxann[tabular]".') from error

if TYPE_CHECKING:
    from jaxann.estimators.mlp_classifier import MLPClassifier
    from jaxann.estimators.mlp_regressor import MLPRegressor
    from jaxann.estimators.perceptron import PerceptronClassifier
    from jaxann.estimators.tabular_classifier import TabularClassifier
    from jaxann.estimators.tabular_regressor import TabularRegressor
    from jaxann.estimators.transformer_columns import PCA, ZCA, Preprocess, SelectBest, SelectColumns, VarianceThreshold
    from jaxann.estimators.transformer_encode import DateFields, OneHot, Ordinal, TargetEncode
    from jaxann.estimators.transformer_fill import Impute, ImputeNeighbors
    from jaxann.estimators.transformer_scale import (
        MaxAbs,
        MinMax,
        Outliers,
        PiecewiseLinear,
        Power,
        Quantile,
        Robust,
        Standard,
    )

__all__ = [
    "PCA",
    "ZCA",
    "DateFields",
    "Impute",
    "ImputeNeighbors",
    "MLPClassifier",
    "MLPRegressor",
    "MaxAbs",
    "MinMax",
    "OneHot",
    "Ordinal",
    "Outliers",
    "PerceptronClassifier",
    "PiecewiseLinear",
    "Power",
    "Preprocess",
    "Quantile",
    "Robust",
    "SelectBest",
    "SelectColumns",
    "Standard",
    "TabularClassifier",
    "TabularRegressor",
    "TargetEncode",
    "VarianceThreshold",
]

_FILES = {
    "mlp_classifier": ("MLPClassifier",),
    "mlp_regressor": ("MLPRegressor",),
    "perceptron": ("PerceptronClassifier",),
    "tabular_classifier": ("TabularClassifier",),
    "tabular_regressor": ("TabularRegressor",),
    "transformer_columns": ("PCA", "ZCA", "Preprocess", "SelectBest", "SelectColumns", "VarianceThreshold"),
    "transformer_encode": ("DateFields", "OneHot", "Ordinal", "TargetEncode"),
    "transformer_fill": ("Impute", "ImputeNeighbors"),
    "transformer_scale": ("MaxAbs", "MinMax", "Outliers", "PiecewiseLinear", "Power", "Quantile", "Robust", "Standard"),
}  # fmt: skip
_PLACES = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A class, when first asked for: some stand on parts of scikit-learn that take long to load."""
    if name not in _PLACES:
        raise AttributeError(f"module 'jaxann.estimators' has no attribute {name!r}")
    return globals().setdefault(name, getattr(import_module(f"jaxann.estimators.{_PLACES[name]}"), name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
