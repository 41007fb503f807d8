"""How good predicted probabilities are, on whole arrays."""

from __future__ import annotations

from jaxann.core.checks import check_flag
from jaxann.core.typing import Array
from jaxann.metrics import streaming
from jaxann.metrics.direction import lower_is_better
from jaxann.metrics.streaming.reading import scores_form
from jaxann.metrics.streaming.sums import check_weights

__all__ = ["brier", "expected_calibration_error", "log_loss", "perplexity"]


@lower_is_better
def log_loss(predictions: Array, targets: Array, weights: Array | None = None, *, from_logits: bool = True) -> Array:
    """-sum w log p_y / sum w, the mean surprise at the target; two classes: -(y log p + (1 - y) log(1 - p)).

    Args:
        predictions: `(..., classes)` for labels `(...)`, or binary ones of the targets' shape: logits, or with
            `from_logits=False` probabilities, clipped to [eps, 1 - eps] of the default float.
        targets: labels, or numbers in [0, 1].
        weights: one number an example, or one for each place of the targets.
        from_logits: whether predictions are logits, which need no clipping.

    Returns:
        One number; NaN for no examples, or a label that is no class.

    Peers: as scikit-learn's log_loss, which takes probabilities alone; Keras clips them to [1e-7, 1 - 1e-7].

    Raises:
        InputError: shapes fit no form, or the predictions are integers.
    """
    return streaming.log_loss(from_logits=from_logits)(predictions, targets, weights)


@lower_is_better
def perplexity(predictions: Array, targets: Array, weights: Array | None = None, *, from_logits: bool = True) -> Array:
    """exp(-sum w log p_y / sum w), the number of equally likely classes that would surprise as much.

    Args:
        predictions: `(batch, time, classes)` for labels `(batch, time)`, or of any form `log_loss` takes.
        targets: labels.
        weights: one number an example, or one a token: `(batch, time)`.
        from_logits: whether predictions are logits.

    Returns:
        One number, at least 1; NaN for no examples.

    Peers: exp of scikit-learn's log_loss over all tokens; a mean of batches' perplexities would be another figure.

    Raises:
        InputError: as `log_loss`.
    """
    return streaming.perplexity(from_logits=from_logits)(predictions, targets, weights)


@lower_is_better
def brier(predictions: Array, targets: Array, weights: Array | None = None, *, from_logits: bool = True) -> Array:
    """sum w (p - y)^2 / sum w for two classes, and sum w sum_k (p_k - 1[y = k])^2 / sum w for labels.

    Args:
        predictions: `(..., classes)` for labels `(...)`, or binary ones of the targets' shape: logits, or with
            `from_logits=False` probabilities.
        targets: labels, or numbers in [0, 1].
        weights: one number an example, or one for each place of the targets.
        from_logits: whether predictions are logits.

    Returns:
        One number: in [0, 1] for binary predictions, in [0, 2] for classes; NaN for no examples, or a label that
        is no class.

    Source: Brier 1950.

    Peers: as scikit-learn's brier_score_loss with scale_by_half=False for classes; for `(n, 2)` its default halves.

    Raises:
        InputError: shapes fit no form, or the predictions are integers.
    """
    return streaming.brier(from_logits=from_logits)(predictions, targets, weights)


@lower_is_better
def expected_calibration_error(
    predictions: Array,
    targets: Array,
    weights: Array | None = None,
    *,
    bins: int = 15,
    from_logits: bool = True,
    adaptive: bool = False,
) -> Array:
    """sum_b (n_b / n) |accuracy_b - confidence_b| over bins (l, u] of the confidence max_k p_k.

    Args:
        predictions: `(..., classes)` for labels `(...)`, or binary ones of the targets' shape, whose confidence is
            max(p, 1 - p): logits, or with `from_logits=False` probabilities.
        targets: labels, or 0 and 1.
        weights: one number an example, or one for each place of the targets.
        bins: how many, of equal width 1 / bins; an empty one counts nothing.
        from_logits: whether predictions are logits.
        adaptive: bins of equal weight instead, cut by the order of the confidences; equal ones stay together.

    Returns:
        One number in [0, 1]; NaN for no examples.

    Source: Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017; adaptive: Nguyen and O'Connor 2015.

    Peers: scikit-learn and Keras have none; the bins are those of Guo et al.

    Raises:
        InputError: shapes fit no form, the predictions are integers, or there is less than one bin.
    """
    check_flag("expected_calibration_error", "adaptive", adaptive)
    scores_form("expected_calibration_error", predictions, targets)
    check_weights("expected_calibration_error", weights, targets.shape)
    metric = streaming.expected_calibration_error(
        bins, from_logits=from_logits, adaptive=adaptive, capacity=max(targets.size, 1) if adaptive else None
    )
    return metric(predictions, targets, weights)
