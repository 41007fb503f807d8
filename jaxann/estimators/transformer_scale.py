"""Transformers that change each column of numbers by itself."""

from __future__ import annotations

from jaxann import preprocessing
from jaxann.estimators.transformer import Transformer

__all__ = ["MaxAbs", "MinMax", "Outliers", "PiecewiseLinear", "Power", "Quantile", "Robust", "Standard"]


class Standard(Transformer):
    """z = (x - mean) / deviation of each column: `preprocessing.standard`.

    Args:
        center: whether the mean is taken off.
        scale: whether it is divided by the deviation.

    Peers: as scikit-learn's StandardScaler, which takes weights.
    """

    _factory = preprocessing.standard
    _inverts = True
    _streams = True

    def __init__(self, *, center: bool = True, scale: bool = True):
        self.center = center
        self.scale = scale


class MinMax(Transformer):
    """z = low + (x - min) (high - low) / (max - min) of each column: `preprocessing.min_max`.

    Args:
        low, high: where the smallest and the largest number go.
        clip: whether new data that lie further out are brought to the ends.

    Peers: as scikit-learn's MinMaxScaler with feature_range=(low, high).
    """

    _factory = preprocessing.min_max
    _inverts = True
    _streams = True

    def __init__(self, low: float = 0.0, high: float = 1.0, *, clip: bool = False):
        self.low = low
        self.high = high
        self.clip = clip


class MaxAbs(Transformer):
    """z = x / max |x| of each column: `preprocessing.max_abs`.

    Peers: as scikit-learn's MaxAbsScaler, which takes sparse arrays.
    """

    _factory = preprocessing.max_abs
    _inverts = True
    _streams = True


class Robust(Transformer):
    """z = (x - median) / (Q_high - Q_low) of each column: `preprocessing.robust`.

    Args:
        low, high: shares of the two quantiles.
        center: whether the median is taken off.
        scale: whether it is divided by the distance of the quantiles.
        smooth_clip: s of z / sqrt(1 + (z / s)^2), which then takes the place of z; None for z itself.

    Peers: as scikit-learn's RobustScaler with quantile_range in percent, which has no smooth_clip.
    """

    _factory = preprocessing.robust
    _inverts = True

    def __init__(
        self,
        low: float = 0.25,
        high: float = 0.75,
        *,
        center: bool = True,
        scale: bool = True,
        smooth_clip: float | None = None,
    ):
        self.low = low
        self.high = high
        self.center = center
        self.scale = scale
        self.smooth_clip = smooth_clip


class Quantile(Transformer):
    """z = the share of the training numbers below x, or the normal number of that share: `preprocessing.quantile`.

    Args:
        references: how many quantiles are learned.
        distribution: "uniform" or "normal".

    Peers: as scikit-learn's QuantileTransformer with subsample=None and n_quantiles=references, but that has no more
    quantiles than rows.
    """

    _factory = preprocessing.quantile
    _inverts = True

    def __init__(self, references: int = 1000, *, distribution: str = "uniform"):
        self.references = references
        self.distribution = distribution


class Power(Transformer):
    """z = ((1 + x)^lambda - 1) / lambda, standardized, lambda the most likely one: `preprocessing.power`.

    Args:
        method: "yeo_johnson", or "box_cox" for positive x.
        standardize: whether z is brought to mean 0 and deviation 1.

    Peers: as scikit-learn's PowerTransformer, to the 1e-8 at which its search stops.
    """

    _factory = preprocessing.power
    _inverts = True

    def __init__(self, method: str = "yeo_johnson", *, standardize: bool = True):
        self.method = method
        self.standardize = standardize

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = self.method == "box_cox"
        return tags


class Outliers(Transformer):
    """z = x within [low, high] of each column, outside NaN or the nearer end: `preprocessing.outliers`.

    Args:
        rule: which one makes the interval: "iqr", "quantiles", "z" or "robust_z".
        threshold: how wide it is; None is the rule's own.
        action: "mask" makes outliers missing, for `Impute` after it; "clip" brings them to the ends.

    Peers: scikit-learn's outlier detectors tell rows apart, and change no number.
    """

    _factory = preprocessing.outliers

    def __init__(self, rule: str = "iqr", threshold: float | None = None, *, action: str = "mask"):
        self.rule = rule
        self.threshold = threshold
        self.action = action


class PiecewiseLinear(Transformer):
    """z = how far x has come through each of the bins of its column: `preprocessing.piecewise_linear`.

    Args:
        bins: how many there are, with as many numbers of the training data in each; z has `columns * bins` columns,
            those of one column of x side by side.

    Peers: scikit-learn's KBinsDiscretizer(encode="onehot") has 1 in one bin alone.
    """

    _factory = preprocessing.piecewise_linear

    def __init__(self, bins: int = 48):
        self.bins = bins
