"""Penalties."""

from __future__ import annotations

import numpy as np

from jaxann import regularizers
from tests.rows.kinds import Row

__all__ = ["HELPERS", "REGULARIZERS"]

HELPERS: dict[str, str] = {}


def reference() -> dict:
    """Parameters to stay near to: scalars, as all numbers of a product in these rows are."""
    return {"conv1": {"gain": np.asarray(0.5, np.float32), "shift": np.asarray(-2.0, np.float32)}}


REGULARIZERS = [
    Row(
        "regularizers.l2_penalty",
        lambda: regularizers.l2_penalty(0.3),
        "PyTorch's weight decay",
        ({"strength": -1.0}, {"mask": 3}),
    ),
    Row("regularizers.l1_penalty", lambda: regularizers.l1_penalty(0.3), bad=({"strength": None}, {"mask": 0.5})),
    Row(
        "regularizers.elastic_net",
        lambda: regularizers.elastic_net(0.3, 0.25, half=True, mask=("conv*", "*.weight")),
        "scikit-learn's objective",
        ({"strength": -1.0}, {"l1_ratio": 1.5}, {"mask": 3}),
    ),
    Row(
        "regularizers.l2_sp",
        lambda: regularizers.l2_sp(0.3, reference()),
        bad=({"strength": -1.0}, {"reference": {}}, {"reference": 3.0}, {"mask": 3}),
    ),
]
