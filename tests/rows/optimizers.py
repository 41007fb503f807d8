"""Optimizers."""

from __future__ import annotations

from typing import Any

import jax

from jaxann import optimizers
from tests.rows.kinds import OptimizerRow

__all__ = ["HELPERS", "OPTIMIZERS"]

HELPERS = {
    "optimizers.apply_updates": "adds the updates",
    "optimizers.as_optimizer": "takes in a foreign optimizer",
    "optimizers.learning_rate_at": "reads the rate of any optimizer",
    "optimizers.looks_at_all": "asks whether a rule wants all examples",
    "optimizers.matrices": "a rule for adamw's mask",
}


def own_memory(params: Any) -> tuple[()]:
    """No memory."""
    return ()


def own_update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Half a step against the gradient."""
    return jax.tree.map(lambda g: -g / 2, grads), state


_ADAM_BAD = ({"learning_rate": -1.0}, {"b1": 1.0}, {"b2": 1.5}, {"eps": -1.0}, {"eps_root": float("nan")})
OPTIMIZERS = [
    OptimizerRow(
        "optimizers.sgd",
        lambda rate: optimizers.sgd(rate, momentum=0.5, nesterov=True),
        "optax, torch",
        ({"learning_rate": -0.1}, {"learning_rate": "0.1"}, {"momentum": 1.0}, {"momentum": None}),
    ),
    OptimizerRow("optimizers.adam", optimizers.adam, "optax, torch", _ADAM_BAD),
    OptimizerRow(
        "optimizers.adamw",
        lambda rate: optimizers.adamw(rate, weight_decay=1e-3, mask=optimizers.matrices),
        "optax, torch",
        (*_ADAM_BAD, {"weight_decay": -1.0}, {"mask": 3}),
    ),
    OptimizerRow(
        "optimizers.clip_by_global_norm",
        lambda rate: optimizers.clip_by_global_norm(1.0),
        "optax",
        ({"max_norm": 0.0},),
        descends=False,
        exact=False,
    ),
    OptimizerRow(
        "optimizers.chain",
        lambda rate: optimizers.chain(optimizers.clip_by_global_norm(10.0), optimizers.sgd(rate)),
        "optax",
        ({"transforms": ()},),
    ),
    OptimizerRow("optimizers.custom", lambda rate: optimizers.custom(own_memory, own_update), saved=False),
]
