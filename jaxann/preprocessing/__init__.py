"""Preprocessing: what is learned from training data once, and changes all data that a model sees.

    scale = ja.preprocessing.standard()
    state = scale.fit(x_train)                     # a tree of arrays
    z = scale.transform(state, x)
    x = scale.inverse_transform(state, z)

    sums = None                                    # a stream of pieces, or pieces of several machines
    for piece in pieces:
        sums = scale.partial_fit(sums, piece)
    state = scale.compute(sums)

Each one is a product (`core.Preprocessor`): a plain value that can be compared, saved and put into another. The same
formulas run on numpy arrays, in float64, and on JAX arrays, in any program.
"""

from jaxann.preprocessing.chain import by_columns, by_name, chain
from jaxann.preprocessing.dates import date_fields
from jaxann.preprocessing.impute import impute
from jaxann.preprocessing.impute_neighbors import impute_neighbors
from jaxann.preprocessing.one_hot import one_hot
from jaxann.preprocessing.ordinal import ordinal, sizes
from jaxann.preprocessing.outliers import inlier_rows, outliers
from jaxann.preprocessing.pca import pca, zca
from jaxann.preprocessing.piecewise_linear import piecewise_linear
from jaxann.preprocessing.power import power
from jaxann.preprocessing.quantile import quantile
from jaxann.preprocessing.scale import max_abs, min_max, robust, standard
from jaxann.preprocessing.select import select_best, select_columns, top_columns, variance_threshold
from jaxann.preprocessing.target_encode import cross_fit, target_encode

__all__ = [
    "by_columns",
    "by_name",
    "chain",
    "cross_fit",
    "date_fields",
    "impute",
    "impute_neighbors",
    "inlier_rows",
    "max_abs",
    "min_max",
    "one_hot",
    "ordinal",
    "outliers",
    "pca",
    "piecewise_linear",
    "power",
    "quantile",
    "robust",
    "select_best",
    "select_columns",
    "sizes",
    "standard",
    "target_encode",
    "top_columns",
    "variance_threshold",
    "zca",
]
