"""Transformers inside scikit-learn: pipelines, tables of columns, cross-validation and searches."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn import impute, preprocessing
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, load_wine
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from jaxann import estimators as own

WINE, KINDS = load_wine(return_X_y=True)
IRIS, SPECIES = load_iris(return_X_y=True)
RANDOM = np.random.default_rng(5)
ROWS = 200
CITY = RANDOM.choice(["Bonn", "Jena", "Kiel", "Ulm"], ROWS)
FRAME = pd.DataFrame(
    {
        "area": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.normal(80, 20, ROWS)),
        "age": RANDOM.exponential(30, ROWS),
        "city": CITY,
        "street": RANDOM.integers(0, 40, ROWS).astype(str),
    }
)
PRICE = 3 * FRAME["age"].to_numpy() + 50 * (CITY == "Ulm") + RANDOM.normal(size=ROWS)


def table(impute_area, scale, one_hot, target) -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("area", make_pipeline(impute_area, scale), ["area"]),
            ("city", one_hot, ["city"]),
            ("street", target, ["street"]),
        ],
        remainder="passthrough",
    )


OWN = table(own.Impute("median"), own.Standard(), own.OneHot(drop="first"), own.TargetEncode(target_type="continuous"))
PEER = table(
    impute.SimpleImputer(strategy="median"),
    preprocessing.StandardScaler(),
    preprocessing.OneHotEncoder(drop="first", sparse_output=False),
    preprocessing.TargetEncoder(
        target_type="continuous",
        cv=KFold(5, shuffle=True, random_state=0),
    ),
)


def test_a_table_of_columns_is_scikit_learns():
    np.testing.assert_allclose(OWN.fit_transform(FRAME, PRICE), PEER.fit_transform(FRAME, PRICE), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(OWN.transform(FRAME[::3]), PEER.transform(FRAME[::3]), rtol=1e-9, atol=1e-9)
    assert list(OWN.get_feature_names_out()) == list(PEER.get_feature_names_out())
    frame = OWN.set_output(transform="pandas").fit_transform(FRAME, PRICE)
    assert frame["city__city_Ulm"].sum() == (CITY == "Ulm").sum()


def test_predictions_across_folds_are_scikit_learns():
    models = [make_pipeline(one, Ridge()) for one in (OWN, PEER)]
    found = [cross_val_predict(model, FRAME, PRICE, cv=4) for model in models]
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-9)


def test_a_search_is_scikit_learns():
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    mine = Pipeline([("scaler", own.Standard()), ("select", own.SelectBest(criterion="f_classification")),
                     ("model", KNeighborsClassifier())])  # fmt: skip
    peer = Pipeline([("scaler", preprocessing.StandardScaler()), ("select", SelectKBest(f_classif)),
                     ("model", KNeighborsClassifier())])  # fmt: skip
    ours = GridSearchCV(mine, {"scaler__scale": [True, False], "select__count": [2, 6]}, cv=folds).fit(WINE, KINDS)
    theirs = GridSearchCV(peer, {"scaler__with_std": [True, False], "select__k": [2, 6]}, cv=folds).fit(WINE, KINDS)
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-12)
    assert ours.best_params_["select__count"] == theirs.best_params_["select__k"]


def test_a_search_over_transformers_and_products():
    from jaxann.preprocessing import chain, max_abs, power, standard

    model = Pipeline([("scaler", own.Standard()), ("model", KNeighborsClassifier())])
    grid = [
        {"scaler": [own.MinMax(), own.Robust(), own.Power()]},
        {"scaler": [own.Preprocess()], "scaler__preprocessor": [standard(), chain(power(), max_abs())]},
    ]
    found = GridSearchCV(model, grid, cv=3, n_jobs=1).fit(IRIS, SPECIES)
    assert (found.cv_results_["mean_test_score"] > 0.85).all() and len(found.cv_results_["params"]) == 5


def test_targets_do_not_leak_through_a_pipeline():
    names, noise = np.arange(ROWS)[:, None], RANDOM.normal(size=ROWS)  # each row a category of its own
    encoder = own.TargetEncode(smoothing=0.0)
    model = make_pipeline(encoder, LinearRegression()).fit(names, noise)
    alone = LinearRegression().fit(own.TargetEncode(smoothing=0.0).fit_transform(names, noise), noise)
    np.testing.assert_array_equal(model[-1].coef_, alone.coef_)
    leaky = LinearRegression().fit(encoder.transform(names), noise)
    assert abs(leaky.coef_[0] - 1) < 1e-9 and abs(model[-1].coef_[0] - 1) > 0.5


def test_a_pipeline_leads_back_where_its_steps_do():
    model = make_pipeline(own.Standard(), own.PCA(4))
    np.testing.assert_allclose(model.inverse_transform(model.fit_transform(IRIS)), IRIS, rtol=1e-9, atol=1e-9)
    assert not hasattr(make_pipeline(own.Standard(), own.Outliers()), "inverse_transform")
