"""The library behind scikit-learn's face: estimators and transformers that pass its checks to the letter.

    from jaxann.estimators import MLPClassifier

    model = MLPClassifier(hidden_layer_sizes=(100,), dropout=0.2).fit(x, y)
    model.predict(x_test)

`__init__` stores its arguments and looks at none of them; `fit` checks them all, then the data, and leaves an estimator
as it was when anything is wrong. What was learned ends in `_`. This room alone holds mutable objects. It is loaded when
first asked for, and scikit-learn with it: `pip install "jaxann[tabular]"`.

**Transformers** for Pipeline and ColumnTransformer have the names of what they learn by in `preprocessing`, and its
arguments: `Standard` is `standard`, `ImputeNeighbors` is `impute_neighbors`. `OneHot` and `TargetEncode` take
categories as they are, where the products take codes. `Preprocess` makes one of any product, a `chain` above all.

    make_pipeline(ColumnTransformer([("numbers", Impute("median"), [0, 1]), ("city", OneHot(), [2])]), Standard())

`preprocessor_` and `state_` of a fitted one are a product and what it learned, to be used in a program.
"""

from jaxann.core.errors import MissingDependencyError

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise MissingDependencyError('jaxann.estimators needs scikit-learn: pip install "jaxann[tabular]".') from error

from jaxann.estimators.mlp_classifier import MLPClassifier  # noqa: E402
from jaxann.estimators.mlp_regressor import MLPRegressor  # noqa: E402
from jaxann.estimators.perceptron import PerceptronClassifier  # noqa: E402
from jaxann.estimators.tabular_classifier import TabularClassifier  # noqa: E402
from jaxann.estimators.tabular_regressor import TabularRegressor  # noqa: E402
from jaxann.estimators.transformer_columns import (  # noqa: E402
    PCA,
    ZCA,
    Preprocess,
    SelectBest,
    SelectColumns,
    VarianceThreshold,
)
from jaxann.estimators.transformer_encode import DateFields, OneHot, Ordinal, TargetEncode  # noqa: E402
from jaxann.estimators.transformer_fill import Impute, ImputeNeighbors  # noqa: E402
from jaxann.estimators.transformer_scale import (  # noqa: E402
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
