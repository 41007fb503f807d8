"""Layers of tables, and what is learned before training."""

from __future__ import annotations

from jaxann import layers, preprocessing
from tests.rows.kinds import LayerRow

__all__ = ["COLUMNS"]

COLUMNS = [
    LayerRow(
        "layers.column_dense",
        lambda: layers.column_dense(3),
        bad=({"units": 0}, {"use_bias": 1}),
        shape=(4, 5, 2),
        sequence=None,
    ),
    LayerRow(
        "layers.periodic_embedding",
        lambda: layers.periodic_embedding(3, deviation=0.5),
        bad=({"frequencies": 0}, {"deviation": 0.0}),
        sequence=None,
    ),
    LayerRow(
        "layers.parametric_activation",
        lambda: layers.parametric_activation("mish", alpha=0.7),
        "torch",
        ({"activation": "mush"}, {"alpha": None}),
    ),
    LayerRow(
        "layers.phase_embedding",
        lambda: layers.phase_embedding(3, deviation=0.5),
        bad=({"frequencies": 0}, {"deviation": 0.0}),
        sequence=None,
    ),
    LayerRow(
        "layers.category_embedding",
        lambda: layers.category_embedding((3, 2, 4, 3, 5), 3),
        bad=({"sizes": ()}, {"sizes": (0,)}, {"features": 0}),
        sequence=None,
        ids=3,
    ),
    LayerRow(  # what nothing is learned for: its state is not NaN
        "layers.preprocess",
        lambda: layers.preprocess(preprocessing.by_columns({"all": None}, columns={"all": (1, 0, 2, 4, 3)})),
        bad=({"preprocessor": None}, {"preprocessor": "standard"}),
        takes_integers=True,
    ),
]
