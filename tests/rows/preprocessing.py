"""Preprocessors."""

from __future__ import annotations

import numpy as np

from jaxann import preprocessing
from tests.rows.kinds import PreprocessorRow

__all__ = ["HELPERS", "PREPROCESSORS"]

HELPERS = {
    "preprocessing.cross_fit": "fits a target_encode for each fold",
    "preprocessing.inlier_rows": "asks a fitted outliers for rows",
    "preprocessing.top_columns": "ranks numbers for select_columns",
    "preprocessing.sizes": "reads the state of ordinal",
}


def _whole(random: np.random.Generator) -> np.ndarray:
    return random.normal(size=(50, 4)) @ random.normal(size=(4, 4)) + 2  # nothing is missing


def _codes(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 3, (50, 4)).astype(np.int32)


def _texts(random: np.random.Generator) -> np.ndarray:
    return np.array(["a", "b", "cc", 1, 2.5, None], object)[random.integers(0, 6, (50, 4))]


def _days(random: np.random.Generator) -> np.ndarray:
    return np.datetime64("1999-12-30T22:00") + random.integers(0, 10**6, (50, 4)).astype("timedelta64[m]")


def _classes(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 2, 50).astype(np.float32)


_SKLEARN = "scikit-learn"
PREPROCESSORS = [
    PreprocessorRow(
        "preprocessing.standard", lambda: preprocessing.standard(), _SKLEARN, bad=({"center": 1}, {"scale": None})
    ),
    PreprocessorRow(
        "preprocessing.min_max",
        lambda: preprocessing.min_max(-1.0, 2.0),
        _SKLEARN,
        bad=({"high": -1.0}, {"low": float("nan")}, {"clip": 1}),
    ),
    PreprocessorRow("preprocessing.max_abs", lambda: preprocessing.max_abs(), _SKLEARN),
    PreprocessorRow(
        "preprocessing.robust",
        lambda: preprocessing.robust(0.1, 0.8),
        _SKLEARN,
        bad=({"low": -0.1}, {"high": 1.5}, {"high": 0.1}, {"center": None}, {"smooth_clip": 0.0}),
    ),
    PreprocessorRow(
        "preprocessing.piecewise_linear",
        lambda: preprocessing.piecewise_linear(4),
        "a formula in NumPy",
        bad=({"bins": 0},),
    ),
    PreprocessorRow(
        "preprocessing.chain",
        lambda: preprocessing.chain(preprocessing.robust(), preprocessing.standard()),
        "its steps",
        bad=({"steps": ()}, {"steps": (1,)}),
        pieces=False,
    ),
    PreprocessorRow(
        "preprocessing.by_columns",
        lambda: preprocessing.by_columns(
            {"a": preprocessing.standard(), "rest": None, "b": preprocessing.min_max()},
            columns={"a": (2, 0), "rest": (1,), "b": (3,)},
        ),
        "its preprocessors",
        bad=({"preprocessors": {}}, {"preprocessors": {"a": 1}}, {"columns": {"a": (0,)}}, {"columns": ((0, 1),)}),
    ),
    PreprocessorRow(
        "preprocessing.by_name",
        lambda: preprocessing.by_name({"a": preprocessing.standard(), "b": None}),
        "its preprocessors",
        data=lambda random: {"a": random.normal(size=(50, 3)), "b": random.normal(size=(50, 2))},
        bad=({"preprocessors": None}, {"preprocessors": {"a.b": None}}),
    ),
    PreprocessorRow(
        "preprocessing.impute",
        lambda: preprocessing.impute("most_frequent", indicators=True),
        _SKLEARN,
        bad=({"strategy": "mode"}, {"value": float("nan")}, {"indicators": 1}),
    ),
    PreprocessorRow(
        "preprocessing.impute_neighbors",
        lambda: preprocessing.impute_neighbors(3, weights="distance"),
        _SKLEARN,
        bad=({"neighbors": 0}, {"weights": "near"}),
        pieces=False,
        by_row=False,  # its state are the rows, whose number is another
        keeps_missing=True,
    ),
    PreprocessorRow(
        "preprocessing.outliers",
        lambda: preprocessing.outliers("iqr", 1.0),
        "SciPy, NumPy",
        bad=({"rule": "sigma"}, {"threshold": -1.0}, {"action": "drop"}),
    ),
    PreprocessorRow(
        "preprocessing.ordinal",
        lambda: preprocessing.ordinal(unknown="missing"),
        _SKLEARN,
        data=_texts,
        bad=({"unknown": "ignore"}, {"min_frequency": 0}, {"max_categories": 0}, {"categories": 3}),
        in_program=False,
    ),
    PreprocessorRow(
        "preprocessing.one_hot",
        lambda: preprocessing.one_hot((3, 4, 3, 5), unknown="other"),
        _SKLEARN,
        data=_codes,
        bad=({"sizes": (-1, 2)}, {"sizes": 3}, {"unknown": "zeros"}, {"drop": "last"}),
    ),
    PreprocessorRow(
        "preprocessing.target_encode",
        lambda: preprocessing.target_encode((3, 3, 3, 3)),
        _SKLEARN,
        data=_codes,
        targets=_classes,
        bad=({"sizes": ()}, {"smoothing": -1.0}),
    ),
    PreprocessorRow(
        "preprocessing.date_fields",
        lambda: preprocessing.date_fields(("year", "weekday", "hour"), cyclic=True),
        "datetime of Python",
        data=_days,
        bad=({"fields": ("era",)}, {"fields": ()}, {"cyclic": None}),
        in_program=False,
    ),
    PreprocessorRow(
        "preprocessing.pca",
        lambda: preprocessing.pca(2, whiten=True),
        _SKLEARN,
        data=_whole,
        bad=({"components": 0}, {"solver": "x"}, {"whiten": 1}, {"seed": -1}, {"iterations": -1}, {"oversampling": -1}),
    ),
    PreprocessorRow(
        "preprocessing.zca", lambda: preprocessing.zca(eps=0.1), "a closed form", data=_whole, bad=({"eps": -1.0},)
    ),
    PreprocessorRow(
        "preprocessing.power", lambda: preprocessing.power(), _SKLEARN, bad=({"method": "x"}, {"standardize": 1})
    ),
    PreprocessorRow(
        "preprocessing.quantile",
        lambda: preprocessing.quantile(20, distribution="normal"),
        _SKLEARN,
        bad=({"references": 1}, {"distribution": "x"}),
    ),
    PreprocessorRow(
        "preprocessing.variance_threshold",
        lambda: preprocessing.variance_threshold(0.5),
        _SKLEARN,
        same_inside=False,
        bad=({"threshold": -1.0},),
    ),
    PreprocessorRow(
        "preprocessing.select_best",
        lambda: preprocessing.select_best(2),
        _SKLEARN,
        pieces=False,
        same_inside=False,
        targets=lambda random: random.normal(size=50),
        bad=({"count": 0}, {"score": "x"}),
    ),
    PreprocessorRow(
        "preprocessing.select_columns",
        lambda: preprocessing.select_columns((2, 0)),
        "NumPy",
        bad=({"columns": ()}, {"columns": (-1,)}),
    ),
]
