"""Probabilities and intervals that hold on data the net has not seen: a temperature, and split conformal prediction."""

from __future__ import annotations

import math

import numpy as np

from jaxann.core.checks import check_range, fail

__all__ = ["fit_temperature", "margin"]

_WIDEST = 5.0  # |log T| at most: beyond it a set of few rows is answered right, all of it or none


def fit_temperature(logits: np.ndarray, codes: np.ndarray, *, several: bool) -> float:
    """T > 0 that minimizes the log loss of softmax(z / T), or of sigmoid(z / T) where there is one logit or several
    labels.

    Args:
        logits: `(members, rows, width)`; the members' probabilities are averaged.
        codes: numbers of classes `(rows,)`, or 0 and 1 `(rows, width)`.
        several: whether each logit is a label of its own.

    Source: Guo et al. 2017.
    """
    from scipy.optimize import minimize_scalar  # half a second, which not every program needs

    def loss(log_temperature: float) -> float:
        z = logits / math.exp(log_temperature)
        if several or z.shape[2] == 1:
            signs = np.where(codes > 0, 1.0, -1.0)
            chosen = -np.logaddexp(0, -signs * z)
        else:
            chosen = np.take_along_axis(z, codes[None, :, None].astype(int), 2)
            chosen = chosen - np.logaddexp.reduce(z, axis=2, keepdims=True)
        return -float(np.mean(np.logaddexp.reduce(chosen, axis=0) - math.log(len(z))))

    found = minimize_scalar(loss, bounds=(-_WIDEST, _WIDEST), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def margin(function: str, scores: np.ndarray, level: float) -> np.ndarray:
    """The ceil((n + 1) level)-th smallest of n scores, along the first axis: a new one is at most that with probability
    of at least `level`, and of at most level + 1 / (n + 1), whatever the net, if it is drawn as those were.

    Source: Vovk, Gammerman and Shafer 2005; Papadopoulos et al. 2002; Lei et al. 2018.

    Raises:
        InputError: level is not in (0, 1), or there are too few scores for it.
    """
    check_range(function, "level", level, 0, 1, open_low=True, open_high=True)
    count = len(scores)
    place = math.ceil((count + 1) * level - 1e-9)
    if place > count:
        fewest = math.ceil(level / (1 - level) - 1e-9)
        fail(function, "level", f"one that {count} rows of calibration can tell ({fewest} rows or more)", level)
    return np.sort(scores, axis=0)[place - 1]
