"""Every transformer by scikit-learn's own checks, none of which is expected to fail, and what all have in common."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxann import estimators, preprocessing
from jaxann.core import InputError
from jaxann.core.preprocessor import Preprocessor
from jaxann.core.tables import known_factories
from jaxann.estimators.transformer import Transformer

EVERYTHING = [getattr(estimators, name) for name in estimators.__all__]
CLASSES = [one for one in EVERYTHING if isinstance(one, type) and issubclass(one, Transformer)]
OTHERS = [
    estimators.Impute("median", indicators=True),
    estimators.Impute("constant", value=-1.0),
    estimators.Ordinal(unknown="rare", min_frequency=2),
    estimators.OneHot(unknown="other", drop="first"),
    estimators.Outliers("z", action="clip"),
    estimators.PCA(1, whiten=True, solver="randomized"),
    estimators.Preprocess(preprocessing.chain(preprocessing.impute(), preprocessing.standard())),
    estimators.Preprocess(preprocessing.ordinal()),
    estimators.Quantile(distribution="normal"),
    estimators.SelectBest(1, criterion="f_classification"),
    estimators.TargetEncode(smoothing=0.0, target_type="continuous", cv=3),
]
ALL = [made() for made in CLASSES] + OTHERS
NO_CLASS = frozenset(("by_columns", "by_name", "chain"))  # for which there are `Preprocess` and ColumnTransformer
RANDOM = np.random.default_rng(0)
X = np.round(RANDOM.normal(size=(60, 4)) * [1, 3, 0.5, 2])
Y = RANDOM.integers(0, 2, 60)


def names(one: Any) -> str:
    return re.sub(r"\s+", "", repr(one))


@parametrize_with_checks(ALL)
def test_scikit_learns_checks(estimator: Any, check: Any):
    check(estimator)


NAMED = ("check_transformer_get_feature_names_out", "check_transformer_get_feature_names_out_pandas",
         "check_dataframe_column_names_consistency", "check_set_output_transform", "check_set_output_transform_pandas",
         "check_global_output_transform_pandas")  # fmt: skip


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")  # which is what they try
@pytest.mark.parametrize("check", NAMED)
@pytest.mark.parametrize("one", ALL, ids=names)
def test_scikit_learns_checks_of_names_and_frames(one: Transformer, check: str):
    getattr(estimator_checks, check)(type(one).__name__, one)


def test_there_is_one_for_each_factory_with_its_arguments():
    made = {
        name.rpartition(".")[2]: one for name, one in known_factories().items() if name.startswith("preprocessing.")
    }
    by_name = {one.__name__.lower(): one for one in CLASSES}
    for name, maker in made.items():
        if maker.product is not Preprocessor or name in NO_CLASS:
            continue
        wanted = dict(maker.signature.parameters)
        own = dict(inspect.signature(by_name[name.replace("_", "")]).parameters)
        if name in ("one_hot", "target_encode"):  # of categories rather than codes
            wanted.pop("sizes")
        if name == "select_best":
            wanted["criterion"] = wanted.pop("score")
        assert set(wanted) <= set(own), name
        for argument in set(wanted) - {"components", "count", "columns"}:  # which are needed there
            assert own[argument].default == wanted[argument].default, (name, argument)
    assert len(CLASSES) == len(preprocessing.__all__) - len(NO_CLASS) - 4 + 1  # four functions, and Preprocess


@pytest.mark.parametrize("one", ALL, ids=names)
def test_has_what_its_product_has(one: Transformer):
    fitted = clone(one).fit(X, Y)
    assert hasattr(one, "inverse_transform") == hasattr(fitted, "inverse_transform") == fitted.preprocessor_.invertible
    assert get_tags(one).target_tags.required == ("reads_targets" in fitted.preprocessor_.traits)
    takes_values = "on_host" in fitted.preprocessor_.traits and not isinstance(one, estimators.DateFields)
    assert get_tags(one).input_tags.categorical == takes_values


@pytest.mark.parametrize("one", [one for one in ALL if hasattr(one, "inverse_transform")], ids=names)
def test_leads_back_where_it_keeps_all(one: Transformer):
    fitted = clone(one).fit(X, Y)
    z = fitted.transform(X)
    back = fitted.inverse_transform(z)
    assert back.shape == X.shape
    again = fitted.transform(pd.DataFrame(back).infer_objects().to_numpy()) if None not in back else z
    np.testing.assert_allclose(again, z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("one", [one for one in ALL if hasattr(one, "partial_fit")], ids=names)
def test_pieces_are_as_good_as_the_whole(one: Transformer):
    whole = clone(one).fit(X, Y)
    pieces = clone(one)
    for start in range(0, 60, 20):
        assert pieces.partial_fit(X[start : start + 20]) is pieces
    begun = clone(one).fit(X[:20]).partial_fit(X[20:])
    for other in (pieces, begun):
        np.testing.assert_allclose(other.transform(X), whole.transform(X), rtol=1e-9, atol=1e-9)
        assert list(other.get_feature_names_out()) == list(whole.get_feature_names_out())


def test_only_sums_that_do_not_grow_are_kept():
    for one in ALL:
        fitted = clone(one).fit(np.tile(X, (10, 1)), np.tile(Y, 10))
        arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(fitted._counted[1] if fitted._counted else {})]
        assert sum(array.size for array in arrays) < 200, one


@pytest.mark.parametrize("one", ALL, ids=names)
def test_state_is_arrays_of_numpy_and_is_pickled(one: Transformer):
    fitted = clone(one).fit(X, Y)
    assert all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(fitted.state_))
    again = pickle.loads(pickle.dumps(fitted))
    assert again.preprocessor_ == fitted.preprocessor_
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))


@pytest.mark.parametrize("one", [one for one in ALL if get_tags(one).transformer_tags.preserves_dtype], ids=names)
def test_float32_is_computed_in_float64(one: Transformer):
    narrow, wide = clone(one).fit(X.astype(np.float32), Y), clone(one).fit(X, Y)
    z = narrow.transform(X.astype(np.float32))
    assert z.dtype == np.float32
    np.testing.assert_array_equal(z, wide.transform(X).astype(np.float32))
    assert wide.transform(X).dtype == clone(one).fit(X.astype(int), Y).transform(X.astype(int)).dtype == np.float64


WRONG = {
    "Impute": {"strategy": "mode"},
    "ImputeNeighbors": {"neighbors": 0},
    "DateFields": {"fields": ("century",)},
    "MaxAbs": {},
    "MinMax": {"high": -1.0},
    "OneHot": {"unknown": "rares"},
    "Ordinal": {"min_frequency": 1.5},
    "Outliers": {"rule": "sigma"},
    "PCA": {"components": -1},
    "PiecewiseLinear": {"bins": 0},
    "Power": {"method": "log"},
    "Preprocess": {"preprocessor": "standard"},
    "Quantile": {"references": 1},
    "Robust": {"low": 25},
    "SelectBest": {"count": 0},
    "SelectColumns": {"columns": (0, 0)},
    "Standard": {"center": "yes"},
    "TargetEncode": {"smoothing": -1.0},
    "VarianceThreshold": {"threshold": -1.0},
    "ZCA": {"eps": -1.0},
}


@pytest.mark.parametrize("name", WRONG)
def test_stays_as_it_was_when_anything_is_wrong(name: str):
    one = getattr(estimators, name)().fit(pd.DataFrame(X, columns=list("abcd")), Y)
    before, z = dict(vars(one)), one.transform(pd.DataFrame(X, columns=list("abcd")))
    bad: Any = X.astype(object)
    bad[3, 1] = {"a": 1}
    with pytest.raises(TypeError, match="row 3 of column 'x'"):
        one.fit(pd.DataFrame(bad, columns=list("wxyz")), Y)
    assert vars(one).keys() == before.keys() and all(vars(one)[key] is before[key] for key in before)
    np.testing.assert_array_equal(one.transform(pd.DataFrame(X, columns=list("abcd"))), z)
    if WRONG[name]:
        argument, value = next(iter(WRONG[name].items()))
        with pytest.raises(InputError, match=f"{argument}.* must be"):
            clone(one).set_params(**{argument: value}).fit(X, Y)


def test_pieces_with_other_arguments_are_refused():
    one = estimators.Standard().partial_fit(X)
    with pytest.raises(InputError, match=r"those of the data before, standard\(\), got standard\(center=False\)"):
        one.set_params(center=False).partial_fit(X)
    with pytest.raises(InputError, match="by a fit that kept sums"):
        estimators.PCA().fit(X[:3]).partial_fit(X)
    with pytest.raises(InputError, match="by a fit that kept sums"):
        estimators.Impute("median").fit(X).set_params(strategy="mean").partial_fit(X)
    assert not hasattr(estimators.Impute("median"), "partial_fit") and not hasattr(estimators.Robust(), "partial_fit")


def test_the_product_of_a_fitted_one_works_in_a_program():
    one = estimators.Standard().fit(X)
    z = jax.jit(one.preprocessor_.transform)(one.state_, X.astype(np.float32))
    np.testing.assert_allclose(z, one.transform(X), rtol=1e-5, atol=1e-5)
