"""Losses."""

from __future__ import annotations

from jaxann import losses
from tests.rows.kinds import LossRow, bits, distributions, labels

__all__ = ["HELPERS", "LOSSES"]

HELPERS = {
    "losses.each_member": "makes a loss of an ensemble from any other",
}

LOSSES = [
    LossRow("losses.squared_error", losses.squared_error, "torch"),
    LossRow("losses.sigmoid_cross_entropy", losses.sigmoid_cross_entropy, "torch", targets=bits),
    LossRow("losses.softmax_cross_entropy", losses.softmax_cross_entropy, "torch", targets=labels, class_axis=True),
    LossRow(
        "losses.softmax_cross_entropy_dense",
        losses.softmax_cross_entropy_dense,
        "torch",
        targets=distributions,
        class_axis=True,
    ),
]
