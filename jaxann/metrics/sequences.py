"""Figures of merit for sequences of labels, on whole arrays."""

from __future__ import annotations

from jaxann.core.typing import Array
from jaxann.metrics import streaming
from jaxann.metrics.direction import lower_is_better
from jaxann.metrics.streaming.sequences import check_sequences, edits

__all__ = ["edit_distance", "token_error_rate"]


def edit_distance(predictions: Array, targets: Array, *, blank: int | None = None) -> Array:
    """How many labels have to be put in, taken out or changed to make of each prediction its target.

    Args:
        predictions: labels, `(..., time)`, whole numbers; a negative one is padding and left out, wherever it stands.
        targets: the same, `(..., time)`, of another length perhaps.
        blank: a label that is left out too, where targets of `losses.ctc` are padded with it.

    Returns:
        `(...)`, in the default float; NaN where a prediction is NaN or a fraction.

    Peers: TensorFlow's edit_distance of sparse tensors, which by default divides by the target's length.

    Source: Levenshtein 1966; Wagner and Fischer 1974.

    Raises:
        InputError: an array holds no labels, or axes before the last differ.
    """
    check_sequences("edit_distance", predictions, targets, blank)
    return edits(predictions, targets, blank=blank)[0]


@lower_is_better
def token_error_rate(
    predictions: Array, targets: Array, weights: Array | None = None, *, blank: int | None = None
) -> Array:
    """sum w (edit distance) / sum w (labels of the target): errors for each label that there should be.

    The word error rate of labels that are words, the character error rate of characters. It may be above 1.

    Args:
        predictions, targets, blank: as in `edit_distance`; predictions of scores become labels by `ops.ctc_greedy`,
            `ops.ctc_beam_search` or an argmax.
        weights: one number an example (the axes before the last); or one a position, which is padding where it is 0, as
            training gives them with `Padded` targets, an example counting as its greatest:
            `metrics={"errors": lambda p, y, weights: token_error_rate(p.argmax(-1), y, weights)}`.

    Returns:
        One number; NaN where targets have no labels, and if a prediction that has weight is NaN or a fraction.

    Peers: as torchmetrics' WordErrorRate and CharErrorRate, and jiwer's wer and cer, of labels and not of text.

    Raises:
        InputError: as of `edit_distance`, or the weights do not fit.
    """
    return streaming.token_error_rate(blank)(predictions, targets, weights)
