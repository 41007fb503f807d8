"""Layers of sequences."""

from __future__ import annotations

from jaxann import layers
from tests.rows.kinds import LayerRow

__all__ = ["SEQUENCES"]

SEQUENCES = [
    LayerRow(
        "layers.multi_head_attention",
        lambda: layers.multi_head_attention(4, 2, groups=1, causal=True, positions="rotary", dropout=0.3),
        "torch",
        (
            {"features": 0},
            {"heads": 3},
            {"groups": 3},
            {"window": 0},
            {"positions": "learned"},
            {"dropout": 1.0},
            {"head_features": 3},
        ),
        shape=(3, 4, 5),
        sequence=(3, 4, 5),
        random=True,
    ),
    LayerRow(
        "layers.learned_positions",
        lambda: layers.learned_positions(9),
        "by hand",
        ({"length": 0}, {"length": 2.5}),
        shape=(3, 4, 5),
        sequence=(3, 4, 5),
    ),
    LayerRow(
        "layers.sinusoidal_positions",
        layers.sinusoidal_positions,
        "by hand",
        shape=(3, 4, 5),
        sequence=(3, 4, 5),
    ),
    LayerRow(
        "layers.embedding",
        lambda: layers.embedding(7, 3, padding_id=2, scale=True),
        "torch",
        ({"vocabulary": 0}, {"features": 2.5}, {"padding_id": 7}, {"padding_id": -1}, {"scale": 1}),
        shape=(4, 5),
        sequence=None,
        ids=7,
    ),
    LayerRow(
        "layers.rnn",
        lambda: layers.rnn(3),
        "torch",
        ({"units": 0}, {"units": 2.5}, {"activation": "gelu"}, {"recurrent_dropout": 1.0}),
        shape=(3, 4, 2),
        sequence=(3, 4, 2),
    ),
    LayerRow(
        "layers.lstm",
        lambda: layers.lstm(3, projection=2, recurrent_dropout=0.5),
        "torch",
        ({"units": 0}, {"projection": 0}, {"forget_bias": float("nan")}, {"recurrent_dropout": -0.1}),
        shape=(3, 4, 2),
        sequence=(3, 4, 2),
        random=True,
    ),
    LayerRow(
        "layers.gru",
        lambda: layers.gru(3),
        "torch",
        ({"units": True}, {"recurrent_dropout": 1.0}),
        shape=(3, 4, 2),
        sequence=(3, 4, 2),
    ),
    LayerRow(
        "layers.bidirectional",
        lambda: layers.bidirectional(layers.gru(2)),
        "torch",
        ({"merge": "max"}, {"layer": 3}),
        shape=(3, 4, 2),
        sequence=(3, 4, 2),
    ),
    LayerRow(
        "layers.last_position",
        layers.last_position,
        "by hand",
        shape=(3, 4, 2),
        sequence=(3, 4, 2),
        grows=False,
    ),
]
