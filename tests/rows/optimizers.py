"""Optimizers."""

from __future__ import annotations

from typing import Any

import jax
import optax

from jaxann import optimizers
from tests.rows.kinds import OptimizerRow

__all__ = ["HELPERS", "OPTIMIZERS"]

HELPERS = {
    "optimizers.apply_updates": "adds the updates",
    "optimizers.as_optimizer": "takes in a foreign optimizer",
    "optimizers.leaf_learning_rates": "reads the rate of every leaf",
    "optimizers.learning_rate_at": "reads the rate of any optimizer",
    "optimizers.learning_rate_of": "reads the rate or schedule of any optimizer",
    "optimizers.matrices": "a rule for adamw's mask",
}


def own_init(params: Any) -> tuple[()]:
    """No state."""
    return ()


def own_update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Half a step against the gradient."""
    return jax.tree.map(lambda g: -g / 2, grads), state


_RATE_BAD = ({"learning_rate": -0.1}, {"learning_rate": "0.1"})
_DECAY_RATES_BAD = (*_RATE_BAD, {"b1": 1.0}, {"b2": 1.5})
_ADAM_BAD = (*_DECAY_RATES_BAD, {"eps": -1.0}, {"eps_root": float("nan")})
_DECAY_BAD = ({"weight_decay": -1.0}, {"mask": 3})
OPTIMIZERS = [
    OptimizerRow(
        "optimizers.adabelief",
        optimizers.adabelief,
        "optax",
        _ADAM_BAD,
    ),
    OptimizerRow(
        "optimizers.adadelta",
        lambda rate: optimizers.adadelta(rate, weight_decay=1e-4, mask=optimizers.matrices),
        "optax, torch",
        (*_RATE_BAD, {"rho": 1.0}, {"eps": -1.0}, *_DECAY_BAD),
        rate=10.0,
    ),
    OptimizerRow(
        "optimizers.adagrad",
        optimizers.adagrad,
        "optax, torch",
        (*_RATE_BAD, {"initial_accumulator_value": -0.1}, {"eps": -1.0}),
        rate=1.0,
    ),
    OptimizerRow("optimizers.adam", optimizers.adam, "optax, torch", _ADAM_BAD),
    OptimizerRow("optimizers.adamax", optimizers.adamax, "optax, torch", (*_DECAY_RATES_BAD, {"eps": -1.0})),
    OptimizerRow(
        "optimizers.adamaxw",
        lambda rate: optimizers.adamaxw(rate, weight_decay=1e-3, mask=optimizers.matrices),
        "optax",
        (*_DECAY_RATES_BAD, {"eps": -1.0}, *_DECAY_BAD),
    ),
    OptimizerRow(
        "optimizers.adamw",
        lambda rate: optimizers.adamw(rate, weight_decay=1e-3, mask=optimizers.matrices),
        "optax, torch",
        (*_ADAM_BAD, *_DECAY_BAD),
    ),
    OptimizerRow(
        "optimizers.adan",
        lambda rate: optimizers.adan(rate, weight_decay=1e-3, mask=optimizers.matrices),
        "optax",
        (*_ADAM_BAD, {"b3": 1.0}, *_DECAY_BAD),
    ),
    OptimizerRow(
        "optimizers.ademamix",
        lambda rate: optimizers.ademamix(rate, b3=0.99, alpha=1.0, weight_decay=1e-3, mask=optimizers.matrices),
        "optax",
        (*_ADAM_BAD, {"b3": 1.0}, {"alpha": -1.0}, *_DECAY_BAD),
        rate=0.01,
    ),
    OptimizerRow("optimizers.adopt", optimizers.adopt, "optax", (*_DECAY_RATES_BAD, {"eps": -1.0})),
    OptimizerRow("optimizers.amsgrad", optimizers.amsgrad, "optax, torch", (*_ADAM_BAD, *_DECAY_BAD)),
    OptimizerRow(
        "optimizers.lion",
        lambda rate: optimizers.lion(rate, mask=optimizers.matrices),
        "optax",
        (*_DECAY_RATES_BAD, *_DECAY_BAD),
        rate=4e-3,
    ),
    OptimizerRow("optimizers.nadam", optimizers.nadam, "optax", _ADAM_BAD),
    OptimizerRow(
        "optimizers.nadamw",
        lambda rate: optimizers.nadamw(rate, weight_decay=1e-3, mask=optimizers.matrices),
        "optax",
        (*_ADAM_BAD, *_DECAY_BAD),
    ),
    OptimizerRow(
        "optimizers.novograd",
        lambda rate: optimizers.novograd(rate, weight_decay=1e-3, mask=optimizers.matrices),
        "optax",
        (*_ADAM_BAD, *_DECAY_BAD),
        exact=False,
        rate=1e-3,
    ),
    OptimizerRow(
        "optimizers.polyak_sgd",
        lambda rate: optimizers.polyak_sgd(0.3, scaling=rate, f_min=-1.0),
        "optax",
        (
            {"max_learning_rate": -1.0},
            {"scaling": -1.0},
            {"f_min": float("inf")},
            {"eps": -1.0},
            {"variant": "sps++"},
        ),
        exact=False,
        rate=1.0,
    ),
    OptimizerRow("optimizers.radam", optimizers.radam, "optax, torch", (*_ADAM_BAD, {"threshold": 3.0})),
    OptimizerRow(
        "optimizers.rmsprop",
        lambda rate: optimizers.rmsprop(rate, centered=True, momentum=0.5, eps=1e-3),
        "optax, torch",
        (
            *_RATE_BAD,
            {"decay": 1.0},
            {"eps": -1.0},
            {"initial_scale": -1.0},
            {"momentum": 1.0},
            {"momentum": None, "nesterov": True},
        ),
        rate=1e-2,
    ),
    OptimizerRow(
        "optimizers.rprop",
        lambda rate: optimizers.rprop(0.1),
        "torch",
        (
            {"initial_step_size": -0.1},
            {"eta_minus": 1.0},
            {"eta_plus": 0.9},
            {"min_step_size": -1.0},
            {"max_step_size": float("inf")},
        ),
    ),
    OptimizerRow(
        "optimizers.sgd",
        lambda rate: optimizers.sgd(rate, momentum=0.5, nesterov=True),
        "optax, torch",
        (
            *_RATE_BAD,
            {"momentum": 1.0},
            {"momentum": None},
            {"momentum": None, "nesterov": False, "ema": True},
            {"dampening": 0.5},
            {"dampening": 1.0, "nesterov": False},
        ),
    ),
    OptimizerRow("optimizers.sm3", optimizers.sm3, "optax", (*_RATE_BAD, {"momentum": 1.0}, {"eps": -1.0}), rate=1.0),
    OptimizerRow(
        "optimizers.yogi",
        optimizers.yogi,
        "optax",
        (*_DECAY_RATES_BAD, {"eps": -1.0}, {"initial_accumulator_value": -1.0}),
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
    OptimizerRow("optimizers.custom", lambda rate: optimizers.custom(own_init, own_update), saved=False),
    OptimizerRow(
        "optimizers.from_optax",
        lambda rate: optimizers.from_optax(optax.sgd, learning_rate=rate),
        "optax",
        saved=False,
    ),
]
