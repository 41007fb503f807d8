"""The contenders of `python -m benchmarks tabular`: `(table, rows to train on, seed) -> predict(rows)`.

`predict` returns numbers `(rows,)` or probabilities `(rows, classes)`. Each has its library's defaults, and of the data
what its library wants: the perceptrons filled gaps, standardized numbers and one-hot categories, the trees categories
as such and gaps as they are, TabM's package the recipe of its own example.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.tabular_data import Table

Predict = Callable[[np.ndarray], np.ndarray]
Contender = Callable[[Table, np.ndarray, int], Predict]


def frame(table: Table, *, as_integers: bool = False) -> Any:
    """The table as a DataFrame; categories as such, or as whole numbers."""
    import pandas

    data: dict[str, Any] = {f"number{j}": table.numbers[:, j] for j in range(table.numbers.shape[1])}
    for j, size in enumerate(table.sizes):
        codes = table.codes[:, j]
        data[f"category{j}"] = codes if as_integers else pandas.Categorical(codes, categories=range(size))
    return pandas.DataFrame(data)


def _fitted(model: Any, table: Table, train: np.ndarray, **options: Any) -> Predict:
    """An estimator after `fit`, by its `predict` or `predict_proba`."""
    x = frame(table, **options)
    model.fit(x.iloc[train], table.y[train])
    predict = model.predict if table.task == "regression" else model.predict_proba
    return lambda rows: np.asarray(predict(x.iloc[rows]))


def _piped(table: Table, model: Any) -> Any:
    """The usual pipeline in front of a perceptron."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    prepare = make_column_transformer(
        (numbers, [f"number{j}" for j in range(table.numbers.shape[1])]),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            [f"category{j}" for j in range(len(table.sizes))],
        ),
    )
    return make_pipeline(prepare, model)


def jaxann_tabular(table: Table, train: np.ndarray, seed: int) -> Predict:
    """Our estimator for tables."""
    from jaxann import estimators

    kind = estimators.TabularRegressor if table.task == "regression" else estimators.TabularClassifier
    return _fitted(kind(random_state=seed), table, train)


def jaxann_mlp(table: Table, train: np.ndarray, seed: int) -> Predict:
    """Our perceptron in scikit-learn's pipeline."""
    from jaxann import estimators

    kind = estimators.MLPRegressor if table.task == "regression" else estimators.MLPClassifier
    return _fitted(_piped(table, kind(random_state=seed)), table, train)


def sklearn_mlp(table: Table, train: np.ndarray, seed: int) -> Predict:
    """scikit-learn's perceptron in its pipeline."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if table.task == "regression" else MLPClassifier
    return _fitted(_piped(table, kind(random_state=seed)), table, train)


def hist_gradient_boosting(table: Table, train: np.ndarray, seed: int) -> Predict:
    """scikit-learn's boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if table.task == "regression" else HistGradientBoostingClassifier
    return _fitted(kind(categorical_features="from_dtype", random_state=seed), table, train)


def lightgbm(table: Table, train: np.ndarray, seed: int) -> Predict:
    """LightGBM."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMRegressor if table.task == "regression" else LGBMClassifier
    return _fitted(kind(random_state=seed, verbose=-1), table, train)


def catboost(table: Table, train: np.ndarray, seed: int) -> Predict:
    """CatBoost."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostRegressor if table.task == "regression" else CatBoostClassifier
    categories = [f"category{j}" for j in range(len(table.sizes))]
    model = kind(random_seed=seed, verbose=0, allow_writing_files=False, cat_features=categories)
    return _fitted(model, table, train, as_integers=True)


def tabm(table: Table, train: np.ndarray, seed: int) -> Predict:
    """TabM's own package."""
    from benchmarks.tabular_tabm import fitted

    return fitted(table, train, seed)


def tabm_of_our_size(table: Table, train: np.ndarray, seed: int) -> Predict:
    """TabM's own package with as many members and units as ours."""
    from benchmarks.tabular_tabm import fitted

    return fitted(table, train, seed, k=8, d_block=128)


CONTENDERS: dict[str, Contender] = {
    "jaxann": jaxann_tabular,
    "jaxann MLP": jaxann_mlp,
    "scikit-learn MLP": sklearn_mlp,
    "HistGradientBoosting": hist_gradient_boosting,
    "LightGBM": lightgbm,
    "CatBoost": catboost,
    "tabm 8x128": tabm_of_our_size,
    "tabm": tabm,
}
DEFAULT = tuple(name for name in CONTENDERS if name != "tabm")
_NEEDS = {"LightGBM": "lightgbm", "CatBoost": "catboost", "tabm": "tabm", "tabm 8x128": "tabm"}


def available(names: list[str], tell: Callable[[str], None]) -> list[str]:
    """Those of the contenders whose library is installed; of the others it is told."""
    found = []
    for name in names:
        package = _NEEDS.get(name)
        if package is not None and importlib.util.find_spec(package) is None:
            tell(f"{name} skipped: {package} is not installed (pip install '.[bench]')")
        else:
            found.append(name)
    return found
