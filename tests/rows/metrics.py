"""Metrics, each with its streaming form and the figure of its oracle."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from jaxann import metrics
from jaxann.metrics import streaming
from tests.metrics.oracles import binary, calibration, error_rate, labels, numbers, probable, softmax
from tests.rows.kinds import MetricRow, bits
from tests.rows.kinds import labels as drawn

__all__ = ["HELPERS", "METRICS", "VARIANTS"]

HELPERS = {
    "metrics.classification_report": "text for people, of figures that have rows",
    "metrics.streaming": "a room of its own",
    "metrics.streaming.merge": "adds two sums of any metric",
    "metrics.streaming.merge_across": "adds the sums of all devices",
    "metrics.edit_distance": "of each example, what token_error_rate is the mean of",
    "metrics.direction_of": "asks a metric whether more of it is better",
    "metrics.higher_is_better": "declares it",
    "metrics.lower_is_better": "declares it",
    "metrics.of_head": "hands one of several outputs to another metric",
    "metrics.of_mean": "hands the mean of an ensemble to another metric",
    "metrics.of_mean_sigmoid": "hands the mean of an ensemble to another metric",
    "metrics.of_mean_softmax": "hands the mean of an ensemble to another metric",
}

_BAD = ({"classes": 1}, {"classes": 2.5})
_BAD_AVERAGE = (
    *_BAD,
    {"average": "mean"},
    {"zero_division": 2.0},
    {"absent": "forget"},
    {"classes": 3, "average": "binary"},
)


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _calibration(z, y, w):
    return calibration(softmax(z).max(-1), z.argmax(-1) == y, w)


def _binary_calibration(z, y, w):
    p = _sigmoid(z).reshape(-1)
    return calibration(np.maximum(p, 1 - p), (p > 0.5) == y.reshape(-1), np.repeat(w, 3))


def _adaptive(z, y, w):
    confidence, hit = softmax(z).max(-1), z.argmax(-1) == y
    order = np.argsort(confidence)
    through = np.cumsum(w[order])
    bins = np.minimum((15 * (through - w[order] / 2) / through[-1]).astype(int), 14)
    gaps = (w * (hit - confidence))[order]
    return sum(abs(gaps[bins == b].sum()) for b in range(15)) / w.sum()


def _averaged(name: str, plain, build, oracle: str, **fixed) -> MetricRow:
    row, figure = {"average": "macro", **fixed}, labels(oracle, average="macro", **fixed)
    return MetricRow(f"metrics.{name}", lambda: build(3, **row), "sklearn", _BAD_AVERAGE, plain=partial(plain, **row),
                     targets=drawn, reference=figure)  # fmt: skip


def _classes(name: str, plain, build, oracle: str, **row) -> MetricRow:
    return MetricRow(f"metrics.{name}", lambda: build(3), "sklearn", _BAD, plain=plain, targets=drawn,
                     reference=labels(oracle), **row)  # fmt: skip


def _numbers(name: str, plain, build, oracle: str, bad=(), **row) -> MetricRow:
    figure = row.pop("figure", None) or numbers(oracle)
    return MetricRow(f"metrics.{name}", build, "sklearn", bad, plain=plain, reference=figure, **row)


METRICS = [
    MetricRow("metrics.accuracy", streaming.accuracy, "sklearn", plain=metrics.accuracy, targets=drawn,
              reference=labels("accuracy_score")),
    MetricRow("metrics.top_k_accuracy", lambda: streaming.top_k_accuracy(2), "sklearn", ({"k": 0}, {"k": 1.5}),
              plain=partial(metrics.top_k_accuracy, k=2), targets=drawn,
              reference=probable("top_k_accuracy_score", k=2)),
    _classes("confusion_matrix", metrics.confusion_matrix, streaming.confusion_matrix, "confusion_matrix",
             shape=(3, 3), empty=0.0),
    _averaged("precision", metrics.precision, streaming.precision, "precision_score"),
    _averaged("recall", metrics.recall, streaming.recall, "recall_score"),
    _averaged("f1", metrics.f1, streaming.f1, "f1_score"),
    _averaged("f_beta", metrics.f_beta, streaming.f_beta, "fbeta_score", beta=0.5),
    _classes("balanced_accuracy", metrics.balanced_accuracy, streaming.balanced_accuracy, "balanced_accuracy_score"),
    _classes("matthews_correlation", metrics.matthews_correlation, streaming.matthews_correlation, "matthews_corrcoef"),
    _classes("cohen_kappa", metrics.cohen_kappa, streaming.cohen_kappa, "cohen_kappa_score"),
    MetricRow("metrics.roc_auc", lambda: streaming.roc_auc(3, capacity=200), "sklearn",
              (*_BAD, {"capacity": 0}, {"bins": 0}, {"multi_class": "all"}, {"average": "mean"}),
              plain=metrics.roc_auc, targets=drawn, reference=probable("roc_auc_score", multi_class="ovr")),
    MetricRow("metrics.average_precision", lambda: streaming.average_precision(3, capacity=200), "sklearn",
              (*_BAD, {"capacity": 0}, {"bins": 0}, {"average": "mean"}),
              plain=metrics.average_precision, targets=drawn, reference=probable("average_precision_score")),
    MetricRow("metrics.log_loss", streaming.log_loss, "sklearn", plain=metrics.log_loss, targets=drawn,
              reference=probable("log_loss")),
    MetricRow("metrics.perplexity", streaming.perplexity, "sklearn", plain=metrics.perplexity, targets=drawn,
              reference=lambda z, y, w: np.exp(probable("log_loss")(z, y, w))),
    MetricRow("metrics.brier", streaming.brier, "sklearn", plain=metrics.brier, targets=drawn,
              reference=probable("brier_score_loss", scale_by_half=False)),
    MetricRow("metrics.expected_calibration_error", streaming.expected_calibration_error, "NumPy, bin by bin",
              ({"bins": 0}, {"capacity": 0}), plain=metrics.expected_calibration_error, targets=drawn,
              reference=_calibration),
    MetricRow("metrics.token_error_rate", streaming.token_error_rate, "by hand", ({"blank": -1}, {"blank": 1.5}),
              plain=metrics.token_error_rate, predictions=lambda z: np.rint(z + 1),
              targets=lambda key, shape: jax.random.randint(key, shape, -1, 3), reference=error_rate),
    _numbers("mse", metrics.mse, streaming.mse, "mean_squared_error"),
    _numbers("rmse", metrics.rmse, streaming.rmse, "mean_squared_error",
             figure=numbers("mean_squared_error", np.sqrt)),
    _numbers("mae", metrics.mae, streaming.mae, "mean_absolute_error"),
    _numbers("median_absolute_error", metrics.median_absolute_error,
             lambda: streaming.median_absolute_error(200, 3), "median_absolute_error",
             ({"capacity": 0}, {"columns": 0})),
    _numbers("mape", metrics.mape, streaming.mape, "mean_absolute_percentage_error", ({"eps": 0.0},)),
    _numbers("r2", metrics.r2, lambda: streaming.r2(3), "r2_score", ({"columns": 0},)),
    _numbers("explained_variance", metrics.explained_variance, lambda: streaming.explained_variance(3),
             "explained_variance_score", ({"columns": 0},)),
]  # fmt: skip


def _variant(name: str, reference, plain=None, targets=drawn, shape=(), **settings) -> MetricRow:
    """Another setting of a metric with a row: `settings` go to both forms, sizes to the streaming one alone."""
    sizes = {k: settings.pop(k) for k in ("classes", "capacity") if k in settings}
    positional = [sizes.pop("classes")] if "classes" in sizes else []
    whole = partial(getattr(metrics, name), **settings)
    return MetricRow(f"{name}({', '.join(f'{k}={v}' for k, v in (sizes | settings).items())})",
                     lambda: getattr(streaming, name)(*positional, **sizes, **settings), "sklearn",
                     plain=whole if plain is None else plain, targets=targets, reference=reference,
                     shape=shape)  # fmt: skip


_BINS = partial(np.multiply, 50)


def _rounded(score):
    return lambda z: np.floor(_BINS(score(z)))


VARIANTS = [
    _variant("accuracy", binary("accuracy_score", score=lambda z: z > 0), targets=bits),
    _variant("f1", binary("f1_score", score=lambda z: z > 0.3), targets=bits, threshold=0.3),
    _variant("f1", labels("f1_score", average="weighted"), classes=3, average="weighted"),
    _variant("f_beta", labels("fbeta_score", average="micro", beta=2.0), classes=3, average="micro", beta=2.0),
    _variant("precision", labels("precision_score", average=None), classes=3, average="none", shape=(3,)),
    _variant("cohen_kappa", labels("cohen_kappa_score", weights="linear"), classes=3, weighting="linear"),
    _variant("cohen_kappa", labels("cohen_kappa_score", weights="quadratic"), classes=3, weighting="quadratic"),
    _variant("roc_auc", binary("roc_auc_score"), targets=bits, capacity=200, average="micro"),
    _variant("roc_auc", probable("roc_auc_score", multi_class="ovr", average="micro"), classes=3, capacity=200,
             average="micro"),
    _variant("roc_auc", probable("roc_auc_score", multi_class="ovo", average="weighted"), classes=3, capacity=200,
             multi_class="ovo", average="weighted"),
    _variant("average_precision", binary("average_precision_score"), targets=bits, capacity=200, average="micro"),
    _variant("average_precision", probable("average_precision_score", average="weighted"), classes=3, capacity=200,
             average="weighted"),
    _variant("log_loss", binary("log_loss", score=_sigmoid), targets=bits),
    _variant("brier", binary("brier_score_loss", score=_sigmoid), targets=bits),
    _variant("expected_calibration_error", _binary_calibration, targets=bits),
    _variant("expected_calibration_error", _adaptive, capacity=200, adaptive=True),
    # histograms: the exact figure of the probabilities rounded to bins
    MetricRow("roc_auc(bins=50)", lambda: streaming.roc_auc(bins=50), "sklearn",
              targets=bits, reference=binary("roc_auc_score", score=_rounded(_sigmoid))),
    MetricRow("average_precision(bins=50)", lambda: streaming.average_precision(bins=50), "sklearn",
              targets=bits, reference=binary("average_precision_score", score=_rounded(_sigmoid))),
    MetricRow("average_precision(classes=3, bins=50)", lambda: streaming.average_precision(3, bins=50), "sklearn",
              targets=drawn, reference=probable("average_precision_score", score=_rounded(softmax))),
]  # fmt: skip
