"""Optimizers that look at a whole leaf, at matrices, at the curvature, or at the objective elsewhere."""

from __future__ import annotations

from jaxann import optimizers
from jaxann.optimizers import sgd
from tests.rows.kinds import OptimizerRow

__all__ = ["HELPERS", "OPTIMIZERS_STRUCTURED"]

HELPERS = {
    "optimizers.hidden_matrices": "a rule for muon's mask",
}

_NO_RULE = {"optimizer": 3}
_MEANS = ({"learning_rate": -1.0}, {"b1": 1.0}, {"b2": 1.5})
_DECAY = ({"weight_decay": -1.0}, {"mask": 3})
OPTIMIZERS_STRUCTURED = [
    OptimizerRow(
        "optimizers.lars",
        lambda rate: optimizers.lars(rate, weight_decay=1e-3, mask=None),
        "optax",
        ({"learning_rate": -1.0}, {"momentum": 1.0}, {"trust_coefficient": 0.0}, {"eps": -1.0}, *_DECAY),
        exact=False,
        rate=1.0,
    ),
    OptimizerRow(
        "optimizers.lamb",
        lambda rate: optimizers.lamb(rate, weight_decay=1e-3, mask=optimizers.matrices),
        "optax",
        (*_MEANS, {"eps": -1.0}, {"eps_root": -1.0}, *_DECAY),
        exact=False,
        rate=0.01,
        within=0.03,  # the rate is the share of its length by which a leaf moves in every step
    ),
    OptimizerRow(
        "optimizers.adafactor",
        lambda rate: optimizers.adafactor(rate, min_dim_size_to_factor=2, momentum=0.5, weight_decay=1e-4),
        "optax, torch",
        (
            {"learning_rate": -1.0},
            {"min_dim_size_to_factor": 0},
            {"decay_rate": 0.0},
            {"decay_offset": "0"},
            {"min_scale": -1.0},
            {"clipping_threshold": 0.0},
            {"momentum": 1.0},
            {"eps": -1.0},
            *_DECAY,
        ),
        exact=False,
        rate=0.02,
        within=0.05,
    ),
    OptimizerRow(
        "optimizers.muon",
        lambda rate: optimizers.muon(rate, weight_decay=1e-3),
        "optax, torch",
        (
            {"learning_rate": -1.0},
            {"adam_learning_rate": -1.0},
            {"beta": 1.0},
            {"adam_betas": (1.0, 0.999)},
            {"adam_betas": (0.9, -0.1)},
            {"adam_betas": 0.9},
            {"ns_coeffs": ()},
            {"ns_coeffs": ((1.0, 2.0),)},
            {"ns_coeffs": ((1.0, 2.0, "3"),)},
            {"scaling": "orginal"},
            {"eps": -1.0},
            {"adam_eps": -1.0},
            {"adam_weight_decay": -1.0},
            *_DECAY,
        ),
        exact=False,
    ),
    OptimizerRow(
        "optimizers.shampoo",
        lambda rate: optimizers.shampoo(rate, update_interval=2, block_size=2),
        "a formula in NumPy",
        (
            *_MEANS,
            {"eps": -1.0},
            {"update_interval": 0},
            {"block_size": 0},
            {"graft": "adagrad"},
            {"graft_eps": -1.0},
            *_DECAY,
        ),
        exact=False,
    ),
    OptimizerRow(
        "optimizers.soap",
        lambda rate: optimizers.soap(rate, precondition_frequency=2, weight_decay=1e-4),
        "a formula in NumPy",
        (*_MEANS, {"eps": -1.0}, {"precondition_frequency": 0}, {"max_precond_dim": 0}, *_DECAY),
        exact=False,
        rate=0.01,
    ),
    OptimizerRow(
        "optimizers.sophia",
        lambda rate: optimizers.sophia(rate, update_interval=3),
        "optax",
        (*_MEANS, {"eps": 0.0}, {"gamma": -1.0}, {"clip_threshold": 0.0}, {"update_interval": 0.5}, *_DECAY),
        rate=0.01,
    ),
    OptimizerRow(
        "optimizers.schedule_free",
        lambda rate: optimizers.schedule_free(sgd(rate)),
        "optax",
        (
            _NO_RULE,
            {"learning_rate": None, "optimizer": optimizers.centralize()},
            {"optimizer": optimizers.ema(sgd(0.1), 0.9)},
            {"learning_rate": -1.0},
            {"b1": 0.0},
            {"weight_lr_power": -1.0},
        ),
        proportional=False,  # the rate is the inner rule's
    ),
    OptimizerRow(
        "optimizers.prodigy",
        optimizers.prodigy,
        "optax",
        (*_MEANS, {"b3": 1.0}, {"eps": -1.0}, {"estim_lr0": 0.0}, {"estim_lr_coef": 0.0}, *_DECAY),
        exact=False,
        rate=1.0,
    ),
    OptimizerRow(
        "optimizers.lbfgs",
        lambda rate: optimizers.lbfgs(rate, memory_size=3),
        "optax, torch",
        (
            {"learning_rate": -1.0},
            {"memory_size": 0},
            {"line_search": "zooom"},
            {"c1": 0.0},
            {"c1": 0.9, "c2": 0.5},
            {"c2": 1.0},
            {"max_evaluations": 0},
        ),
        exact=False,
        proportional=False,
    ),
    OptimizerRow(
        "optimizers.sam",
        lambda rate: optimizers.sam(sgd(rate), rho=1e-3),
        "optax",
        (_NO_RULE, {"rho": -1.0}),
        exact=False,
    ),
]
