"""Transformations of gradients, and rules around other optimizers."""

from __future__ import annotations

from jaxann import optimizers
from jaxann.optimizers import adamw, matrices, sgd
from tests.rows.kinds import OptimizerRow

__all__ = ["HELPERS", "TRANSFORMS"]

HELPERS: dict[str, str] = {}

_NO_RULE = {"optimizer": 3}
TRANSFORMS = [
    OptimizerRow(
        "optimizers.clip_by_value",
        lambda rate: optimizers.clip_by_value(1.0),
        "optax",
        ({"max_value": 0.0}, {"max_value": "1"}),
        descends=False,
    ),
    OptimizerRow(
        "optimizers.clip_by_norm",
        lambda rate: optimizers.clip_by_norm(1.0),
        "optax, leaf by leaf",
        ({"max_norm": 0.0}, {"max_norm": float("nan")}),
        descends=False,
        exact=False,
    ),
    OptimizerRow(
        "optimizers.clip_by_block_rms",
        lambda rate: optimizers.clip_by_block_rms(0.5),
        "optax",
        ({"threshold": -1.0},),
        descends=False,
        exact=False,
    ),
    OptimizerRow(
        "optimizers.adaptive_grad_clip",
        lambda rate: optimizers.adaptive_grad_clip(0.1, mask=matrices),
        "optax",
        ({"clipping": 0.0}, {"eps": 0.0}, {"mask": 3}),
        descends=False,
        exact=False,
    ),
    OptimizerRow(
        "optimizers.add_noise",
        lambda rate: optimizers.add_noise(1e-4),
        "mean and variance of 200,000 draws",
        ({"eta": -1.0}, {"gamma": -0.5}),
        descends=False,
    ),
    OptimizerRow(
        "optimizers.centralize", lambda rate: optimizers.centralize(), "optax, transposed", descends=False, exact=False
    ),
    OptimizerRow("optimizers.zero_nans", lambda rate: optimizers.zero_nans(), "optax", descends=False),
    OptimizerRow(
        "optimizers.add_decayed_weights",
        lambda rate: optimizers.add_decayed_weights(1e-3, mask=matrices),
        "optax",
        ({"weight_decay": -1.0}, {"mask": 3}),
        descends=False,
    ),
    OptimizerRow(
        "optimizers.scale", lambda rate: optimizers.scale(2.0), "optax", ({"factor": float("inf")},), descends=False
    ),
    OptimizerRow(
        "optimizers.masked",
        lambda rate: optimizers.masked(optimizers.clip_by_value(1.0), "*"),
        "optax",
        (_NO_RULE, {"mask": 3}),
        descends=False,
    ),
    OptimizerRow(
        "optimizers.accumulate",
        lambda rate: optimizers.accumulate(sgd(rate), 2),
        "optax",
        (_NO_RULE, {"steps": 0}, {"steps": 2.5}),
    ),
    OptimizerRow(
        "optimizers.apply_if_finite",
        lambda rate: optimizers.apply_if_finite(sgd(rate), 3),
        "optax",
        (_NO_RULE, {"max_consecutive": -1}),
    ),
    OptimizerRow(
        "optimizers.ema", lambda rate: optimizers.ema(sgd(rate), 0.9), "optax, torch", (_NO_RULE, {"decay": 1.0})
    ),
    OptimizerRow(
        "optimizers.polyak",
        lambda rate: optimizers.polyak(sgd(rate), start=100),
        "torch",
        (_NO_RULE, {"start": -1}),
    ),
    OptimizerRow(
        "optimizers.swa",
        lambda rate: optimizers.swa(sgd(rate), start=100, every=10),
        "torch",
        (_NO_RULE, {"start": -1}, {"every": 0}),
    ),
    OptimizerRow(
        "optimizers.lookahead",
        lambda rate: optimizers.lookahead(sgd(rate)),
        "optax",
        (_NO_RULE, {"sync_period": 0}, {"slow_step_size": 0.0}, {"slow_step_size": 1.5}),
    ),
    OptimizerRow(
        "optimizers.partition",
        lambda rate: optimizers.partition({"*": sgd(rate)}),
        "optax",
        ({"groups": {}}, {"groups": sgd(0.1)}, {"groups": {"*": 3}}),
    ),
    OptimizerRow(
        "optimizers.freeze", lambda rate: optimizers.freeze(sgd(rate), matrices), "optax", (_NO_RULE, {"mask": 3})
    ),
    OptimizerRow(
        "optimizers.gradual_unfreezing",
        lambda rate: optimizers.gradual_unfreezing(sgd(rate), ("*",), every=10),
        bad=(_NO_RULE, {"layers": ()}, {"layers": "*"}, {"every": 0}),
    ),
    OptimizerRow(
        "optimizers.per_block",
        lambda rate: optimizers.per_block(sgd(rate), matrices),
        "the blocks one by one",
        (_NO_RULE, {"blocks": 3}),
    ),
    OptimizerRow(
        "optimizers.per_leaf",
        lambda rate: optimizers.per_leaf(
            adamw(rate), freeze=matrices, learning_rate_scale={"*": 0.5}, decay=optimizers.matrices
        ),
        "optax",
        (
            _NO_RULE,
            {"freeze": 3},
            {"decay": 3},
            {"learning_rate_scale": 0.1},
            {"learning_rate_scale": {"*": -0.1}},
            {"learning_rate_scale": {3: 0.1}},
        ),
    ),
    OptimizerRow(
        "optimizers.layerwise_learning_rate",
        lambda rate: optimizers.layerwise_learning_rate(sgd(rate), ("*",), decay=0.5),
        "optax",
        (_NO_RULE, {"layers": ("a", 3)}, {"decay": 0.0}, {"decay": 1.5}),
    ),
    OptimizerRow(
        "optimizers.proximal_l1",
        lambda rate: optimizers.proximal_l1(sgd(rate), 1e-3, mask=None),
        "zeros of the lasso's conditions",
        (_NO_RULE, {"strength": -1.0}, {"mask": 3}, {"optimizer": optimizers.centralize()}),
    ),
    OptimizerRow(
        "optimizers.max_norm",
        lambda rate: optimizers.max_norm(sgd(rate), 3.0),
        "a formula in NumPy",
        (_NO_RULE, {"limit": 0.0}, {"mask": 3}, {"axis": 0.5}),
        exact=False,
    ),
]
