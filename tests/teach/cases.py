"""Nets, data and losses of every kind that an account is made of, and a look into an account."""

from __future__ import annotations

import re
from functools import partial

import jax
import numpy as np

import jaxann as ja

__all__ = ["CASES", "value"]

_LAYERS, _DRAW = ja.layers, np.random.default_rng(3)
_BODY = _LAYERS.sequential({"inner": _LAYERS.dense(3), "curve": _LAYERS.elementwise("gelu")})
_BRANCH = _LAYERS.sequential({"in": _LAYERS.dense(3), "block": _LAYERS.residual(_BODY), "out": _LAYERS.dense(1)})
_STEEP = _LAYERS.elementwise(partial(ja.activations.sigmoid, beta=3.0))
_OTHERS = ja.models.mlp((3, 1), activation=_LAYERS.prelu(), batch_norm=True, dropout=0.5)
_SHARES = _LAYERS.sequential({"d": _LAYERS.dense(3), "p": _LAYERS.elementwise("softmax")})
_KEY = {"key": jax.random.key(1)}
_BEFORE = _LAYERS.residual(_LAYERS.sequential({"curve": _LAYERS.elementwise("tanh"), "inner": _LAYERS.dense(2)}))
_BOTH = _LAYERS.residual(_LAYERS.dense(2), skip=_LAYERS.dense(2, use_bias=False))
_FORKS = _LAYERS.sequential({"in": _LAYERS.dense(2), "nested": _LAYERS.residual(_BEFORE), "two": _BOTH,
                             "curve": _LAYERS.elementwise("relu"), "x": _LAYERS.dense(1)})  # fmt: skip
_CLASSES = ja.losses.softmax_cross_entropy
_SMOOTH = partial(_CLASSES, label_smoothing=0.2)
_WEIGHTED = partial(_CLASSES, class_weights=np.array([1.0, 2.0, 5.0]))
_IGNORED = partial(_CLASSES, ignore_index=-1)
_ELU = _LAYERS.elementwise(partial(ja.activations.elu, alpha=0.3))
_WARM = _LAYERS.elementwise(partial(ja.activations.softmax, temperature=2.0))
_MEMBERS = ja.models.tabm((3, 1), members=2)
_NORMED = _LAYERS.sequential(
    {
        "d": _LAYERS.dense(2, use_bias=False),
        "norm": _LAYERS.batch_norm(),
        "flat": _LAYERS.flatten(),
        "drop": _LAYERS.dropout(0.5),
        "t": _LAYERS.elementwise("tanh"),
        "o": _LAYERS.dense(1),
    }
)
_PICTURE = _LAYERS.sequential({"conv": _LAYERS.conv(1, 3, padding="valid"), "curve": _LAYERS.elementwise("tanh"),
                               "flat": _LAYERS.flatten(), "out": _LAYERS.dense(1)})  # fmt: skip
_CONVOLVED = _LAYERS.sequential(
    {"first": _LAYERS.conv(2, 2, stride=(2, 1), groups=2), "curve": _LAYERS.elementwise("tanh"),
     "second": _LAYERS.depthwise_conv((2, 1), multiplier=2, padding_mode="circular", padding=((1, 0), 0)),
     "pool": _LAYERS.global_pool(), "out": _LAYERS.dense(1)}
)  # fmt: skip
_SIGNAL = _LAYERS.sequential({"wide": _LAYERS.conv(5, (3,), padding=1, dilation=2, use_bias=False),
                              "in": _LAYERS.conv(1, (1,)), "flat": _LAYERS.flatten(),
                              "out": _LAYERS.dense(1)})  # fmt: skip
_BLOCK = _LAYERS.residual(_LAYERS.sequential({"in": _LAYERS.dense(3), "curve": _LAYERS.elementwise("tanh")}))
_REPEATED = _LAYERS.sequential({"blocks": _LAYERS.repeat(_LAYERS.remat(_BLOCK), 2), "out": _LAYERS.dense(1)})

_IDS = np.array([[1, 0, 3, 1, 2, 1]])
_LAST = {"end": _LAYERS.last_position(), "out": _LAYERS.dense(1)}
_CELL = _LAYERS.sequential({"cell": _LAYERS.gru(2), **_LAST})
_PROJECTED = _LAYERS.sequential({"cell": _LAYERS.lstm(3, projection=2, recurrent_dropout=0.5), "out": _LAYERS.dense(2)})
_HEADS = _LAYERS.multi_head_attention(4, 2, groups=1, causal=True, window=2, positions="alibi", dropout=0.5)
_TURNED = _LAYERS.multi_head_attention(2, 1, head_features=4, positions="rotary", use_bias=False)
_ATTENTIVE = _LAYERS.sequential({"norm": _LAYERS.layer_norm(use_bias=False), "many": _HEADS, "one": _TURNED,
                                 "pool": _LAYERS.global_pool(), "out": _LAYERS.dense(1)})  # fmt: skip
_BOTH_WAYS = _LAYERS.sequential({"both": _LAYERS.bidirectional(_LAYERS.rnn(2, activation="relu")), **_LAST})
_SCALED = _LAYERS.sequential({"row": _LAYERS.embedding(4, 2, padding_id=0, scale=True), "out": _LAYERS.dense(1)})


def _x(*shape: int) -> np.ndarray:
    return _DRAW.normal(size=shape)


CASES = {  # model, x, y, loss, what else
    "small": (ja.models.mlp((3, 2), activation="tanh"), _x(3), np.array([0.5, -1.0]), "squared_error", {}),
    "classes": (ja.models.mlp((2, 3), activation="softplus"), _x(2, 2), np.array([2, 0]), "softmax_cross_entropy", {}),
    "logit": (ja.models.mlp((2, 1), activation="relu"), _x(2), np.array(1.0), "sigmoid_cross_entropy", {}),
    "shares": (_SHARES, _x(2), np.array([0.0, 1, 0]), "half_squared_error", {}),
    "log_cosh": (ja.models.mlp((2, 1), activation="softsign"), _x(2), np.array(0.3), "log_cosh", {}),
    "absolute": (ja.models.mlp((2, 1), activation="silu"), _x(2), np.array(0.3), "absolute_error", {}),
    "steep": (_LAYERS.sequential({"d": _LAYERS.dense(1), "s": _STEEP}), _x(2), np.array(1.0),
              "binary_cross_entropy_probs", {}),
    "branch": (_BRANCH, _x(2), np.array(0.5), "half_squared_error", {}),
    "others": (_OTHERS, _x(4, 2), _x(4, 1), "half_squared_error", _KEY),
    "forks": (_FORKS, _x(2), np.array(0.5), "half_squared_error", {}),
    "maxout": (_LAYERS.maxout(2, k=3), _x(2, 2), _x(2, 2), "half_squared_error", {}),
    "gated": (_LAYERS.gated_dense(2), _x(2, 2), _x(2, 2), "half_squared_error", {}),
    "smooth": (_LAYERS.dense(3), _x(2, 2), np.array([2, 0]), _SMOOTH, {}),
    "weighted": (_LAYERS.dense(3), _x(2, 2), np.array([2, 0]), _WEIGHTED, {}),
    "ignored": (_LAYERS.dense(3), _x(3, 2), np.array([2, -1, 0]), _IGNORED, {}),
    "elu": (_LAYERS.sequential({"d": _LAYERS.dense(2), "e": _ELU}), _x(2), _x(2), "half_squared_error", {}),
    "warm": (_LAYERS.sequential({"d": _LAYERS.dense(3), "p": _WARM}), _x(2), _x(3), "half_squared_error", {}),
    "members": (_MEMBERS, _x(2), np.array(1.0), ja.losses.each_member(ja.losses.half_squared_error), {}),
    "normed": (_NORMED, _x(4, 2), _x(4, 1), "half_squared_error", _KEY),
    "picture": (_PICTURE, _x(1, 4, 4, 1), _x(1, 1), "half_squared_error", {}),
    "convolved": (_CONVOLVED, _x(2, 3, 3, 2), _x(2, 1), "half_squared_error", {}),
    "signal": (_SIGNAL, _x(1, 6, 2), _x(1, 1), "half_squared_error", {}),
    "repeated": (_REPEATED, _x(2, 3), _x(2, 1), "half_squared_error", {}),
    "halved": (_LAYERS.sequential({"d": _LAYERS.dense(8), "g": _LAYERS.elementwise("glu"), "o": _LAYERS.dense(1)}),
               _x(2), np.array(1.0), "half_squared_error", {}),
    "gru": (_CELL, _x(2, 4, 3), _x(2, 1), "half_squared_error", {}),
    "projected": (_PROJECTED, _x(2, 3, 2), _x(2, 3, 2), "half_squared_error", _KEY),
    "attentive": (_ATTENTIVE, _x(2, 5, 3), _x(2, 1), "half_squared_error", _KEY),
    "both_ways": (_BOTH_WAYS, _x(1, 4, 2), _x(1, 1), "half_squared_error", {}),
    "scaled": (_SCALED, _IDS, _x(1, 6, 1), "half_squared_error", {}),
    "language": (ja.models.recurrent_language_model(4, units=2, depth=2), _IDS, np.array([[0, 3, 1, 2, 1, 0]]),
                 "softmax_cross_entropy", {}),
    "gpt": (ja.models.gpt(4, features=4, heads=2, blocks=2, context=8, rate=0.2), _IDS, np.array([[0, 3, 1, 2, 1, 0]]),
            "softmax_cross_entropy", _KEY),
    "evaluated": (_NORMED, _x(1, 2), _x(1, 1), "half_squared_error", {"train": False}),
}  # fmt: skip


def value(account, left: str, *, turn: int = 0) -> float:
    """The value of the step whose formula begins with `left`, the `turn`-th of them."""
    steps = [step for section in account.sections for step in section.steps]
    found = [step.value for step in steps if re.split(" = | <- ", step.formula)[0] == left]
    return found[turn]
