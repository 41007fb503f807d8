"""One row for each public name of the rooms that hold functions and factories; the contracts run over all of them.

Adding a function to a room takes one row here. A room's types (states, product classes) need none: they are met
through the factory that makes them. What is neither stands in HELPERS with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxann import activations, initializers, layers, losses, metrics, models, optimizers, schedules
from jaxann.core.factories import Product
from jaxann.metrics import streaming

__all__ = [
    "ACTIVATIONS",
    "HELPERS",
    "INITIALIZERS",
    "LAYERS",
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "PRODUCTS",
    "ROOMS",
    "SCHEDULES",
    "Row",
]

ROOMS = {
    "activations": activations,
    "initializers": initializers,
    "schedules": schedules,
    "losses": losses,
    "metrics": metrics,
    "metrics.streaming": streaming,
    "layers": layers,
    "optimizers": optimizers,
    "models": models,
}

HELPERS = {
    "activations.by_name": "looks a function up",
    "initializers.fans": "counts the fans of a shape",
    "initializers.for_activation": "chooses among the initializers",
    "schedules.value_at": "a number or a schedule as a value",
    "metrics.streaming": "a room of its own",
    "metrics.streaming.merge": "adds two sums of any metric",
    "metrics.of_mean": "hands the mean of an ensemble to another metric",
    "metrics.of_mean_sigmoid": "hands the mean of an ensemble to another metric",
    "metrics.of_mean_softmax": "hands the mean of an ensemble to another metric",
    "losses.each_member": "makes a loss of an ensemble from any other",
    "layers.as_layer": "takes in a foreign layer",
    "optimizers.apply_updates": "adds the updates",
    "optimizers.as_optimizer": "takes in a foreign optimizer",
    "optimizers.learning_rate_at": "reads the rate of any optimizer",
    "optimizers.matrices": "a rule for adamw's mask",
}


@dataclass(frozen=True, eq=False)
class Row:
    """A public name, how to make an example of it, and settings of that example that must be refused."""

    name: str
    build: Callable[..., Any]
    oracle: str = "a formula in NumPy"
    bad: tuple[Mapping[str, Any], ...] = ()
    saved: bool = True  # to_config can write it

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class ActivationRow(Row):
    """`build` is the function itself."""

    kinks: tuple[float, ...] = ()
    limits: tuple[float, float] | None = None  # values at -inf and inf; None for activations of a whole axis


@dataclass(frozen=True, eq=False)
class LayerRow(Row):
    """`build()` gives the layer."""

    shape: tuple[int, ...] = (4, 5)
    random: bool = False
    takes_integers: bool = False


@dataclass(frozen=True, eq=False)
class OptimizerRow(Row):
    """`build(learning_rate)` gives the optimizer, whether it has a rate or not."""

    descends: bool = True
    exact: bool = True  # the same bits in every program: nothing is summed over leaves


@dataclass(frozen=True, eq=False)
class ScheduleRow(Row):
    """`last` is the step from which the value stays; `values` are exact."""

    last: int = 0
    values: Mapping[int, float] | None = None


@dataclass(frozen=True, eq=False)
class LossRow(Row):
    """`build` is the loss; `targets(key, shape)` draws targets for predictions of that shape."""

    targets: Callable[[jax.Array, tuple[int, ...]], jax.Array] = jax.random.normal
    class_axis: bool = False


@dataclass(frozen=True, eq=False)
class MetricRow(Row):
    """`build()` gives the streaming form, `plain` is the function on whole arrays."""

    plain: Callable[..., Any] | None = None
    targets: Callable[[jax.Array, tuple[int, ...]], jax.Array] = jax.random.normal


def _labels(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.randint(key, shape[:-1], 0, shape[-1])


def _bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.bernoulli(key, 0.5, shape).astype(jnp.float32)


def _distributions(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.nn.softmax(jax.random.normal(key, shape))


def own_init(key: jax.Array, spec: Any) -> tuple[Any, Any]:
    """A layer of the tests' own: one slope."""
    return {"slope": jnp.ones((spec.shape[-1],), spec.dtype)}, {}


def own_apply(params: Any, state: Any, x: jax.Array, *, key: Any = None, train: bool = False) -> tuple[jax.Array, Any]:
    """The slope times x."""
    return x * jnp.broadcast_to(params["slope"], x.shape), state


def own_memory(params: Any) -> tuple[()]:
    """No memory."""
    return ()


def own_update(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Half a step against the gradient."""
    return jax.tree.map(lambda g: -g / 2, grads), state


def _stack() -> Product:
    table = {"second": layers.dense(3), "norm": layers.batch_norm(), "drop": layers.dropout(0.5)}
    return layers.sequential(table | {"first": layers.dense(2)})


ACTIVATIONS = [
    ActivationRow("activations.identity", activations.identity, limits=(-jnp.inf, jnp.inf)),
    ActivationRow("activations.sigmoid", activations.sigmoid, limits=(0.0, 1.0)),
    ActivationRow("activations.tanh", activations.tanh, limits=(-1.0, 1.0)),
    ActivationRow("activations.relu", activations.relu, kinks=(0.0,), limits=(0.0, jnp.inf)),
    ActivationRow("activations.softmax", activations.softmax),
    ActivationRow("activations.log_softmax", activations.log_softmax),
]

INITIALIZERS = [
    Row("initializers.zeros", initializers.zeros),
    Row("initializers.normal", lambda: initializers.normal(0.5), bad=({"stddev": -1.0}, {"stddev": "0.1"})),
    Row(
        "initializers.variance_scaling",
        lambda: initializers.variance_scaling(2.0, mode="fan_average", distribution="uniform"),
        bad=({"scale": 0.0}, {"mode": "fan_inn"}, {"distribution": "cauchy"}),
    ),
    Row("initializers.glorot_uniform", initializers.glorot_uniform, bad=({"gain": 0.0},)),
    Row("initializers.glorot_normal", initializers.glorot_normal, bad=({"gain": -1.0},)),
    Row("initializers.he_uniform", initializers.he_uniform, bad=({"negative_slope": float("nan")},)),
    Row("initializers.he_normal", lambda: initializers.he_normal(negative_slope=0.1), bad=({"negative_slope": None},)),
    Row("initializers.lecun_normal", initializers.lecun_normal),
]

SCHEDULES = [
    ScheduleRow("schedules.constant", lambda: schedules.constant(0.3), "optax", ({"value": "0.3"},), values={0: 0.3}),
    ScheduleRow(
        "schedules.cosine",
        lambda: schedules.cosine(0.1, 10, warmup=4, start=0.02, end=0.01),
        "optax",
        ({"steps": 0}, {"warmup": -1}, {"warmup": 11}, {"steps": 2.5}, {"peak": float("inf")}),
        last=10,
        values={0: 0.02, 4: 0.1, 10: 0.01, 1000: 0.01},
    ),
    ScheduleRow("schedules.scaled", lambda: schedules.scaled(schedules.cosine(1.0, 8), 0.5), last=8, values={0: 0.5}),
    ScheduleRow(
        "schedules.reduce_on_plateau",
        lambda: schedules.reduce_on_plateau(0.2),
        "optax",
        ({"factor": 1.0}, {"factor": 0.0}, {"patience": 0}, {"rtol": -1.0}, {"mode": "minimum"}, {"min_scale": 2.0}),
        values={0: 0.2},
    ),
]

LOSSES = [
    LossRow("losses.squared_error", losses.squared_error, "torch"),
    LossRow("losses.sigmoid_cross_entropy", losses.sigmoid_cross_entropy, "torch", targets=_bits),
    LossRow("losses.softmax_cross_entropy", losses.softmax_cross_entropy, "torch", targets=_labels, class_axis=True),
    LossRow(
        "losses.softmax_cross_entropy_dense",
        losses.softmax_cross_entropy_dense,
        "torch",
        targets=_distributions,
        class_axis=True,
    ),
]

METRICS = [
    MetricRow("metrics.accuracy", streaming.accuracy, "sklearn", plain=metrics.accuracy, targets=_labels),
    MetricRow("metrics.rmse", streaming.rmse, "sklearn", plain=metrics.rmse),
    MetricRow("metrics.r2", lambda: streaming.r2(3), "sklearn", plain=metrics.r2),
]

LAYERS = [
    LayerRow("layers.dense", lambda: layers.dense(3), "torch", ({"units": 0}, {"units": 2.5}, {"units": True})),
    LayerRow("layers.flatten", layers.flatten, shape=(4, 2, 3), takes_integers=True),
    LayerRow("layers.dropout", lambda: layers.dropout(0.5), "torch", ({"rate": 1.0}, {"rate": -0.1}), random=True),
    LayerRow("layers.batch_norm", layers.batch_norm, "torch", ({"decay": 1.5}, {"eps": -1e-3})),
    LayerRow("layers.sequential", _stack, bad=({"layers": [layers.dense(3)]},), random=True),
    LayerRow(
        "layers.residual",
        lambda: layers.residual(layers.dense(3), layers.dense(3, use_bias=False)),
        bad=({"body": 3}, {"skip": "dense"}),
    ),
    LayerRow("layers.elementwise", lambda: layers.elementwise("tanh"), bad=({"activation": "rleu"},)),
    LayerRow(
        "layers.spread",
        lambda: layers.spread(3),
        bad=({"members": 0}, {"members": 2.5}, {"members": True}),
        takes_integers=True,
    ),
    LayerRow(
        "layers.batch_ensemble_dense",
        lambda: layers.batch_ensemble_dense(4, 3, input_scale="random_signs", output_scale="normal"),
        "torch",
        ({"units": 0}, {"members": 0}, {"input_scale": "one"}, {"output_scale": "signs"}),
        shape=(4, 3, 5),
    ),
    LayerRow(
        "layers.packed_dense",
        lambda: layers.packed_dense(4, 3),
        "torch",
        ({"units": 0}, {"members": -1}),
        shape=(4, 3, 5),
    ),
    LayerRow("layers.custom", lambda: layers.custom(own_init, own_apply), saved=False, takes_integers=True),
    LayerRow(
        "models.mlp",
        lambda: models.mlp((6, 3), activation="tanh", dropout=0.3, batch_norm=True),
        bad=({"widths": ()}, {"widths": (3, 0)}, {"activation": "than"}, {"dropout": 1.0}),
        random=True,
    ),
    LayerRow(
        "models.tabm",
        lambda: models.tabm((6, 4, 3), members=4, activation="tanh", dropout=0.3),
        "torch",
        ({"widths": (3,)}, {"widths": (3, 0)}, {"members": 0}, {"activation": "than"}, {"input_scale": "uniform"}),
        random=True,
    ),
]

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
        (*_ADAM_BAD, {"weight_decay": -1.0}, {"mask": "matrices"}),
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

PRODUCTS = [
    *INITIALIZERS,
    *SCHEDULES,
    *METRICS,
    *LAYERS,
    *(Row(row.name, lambda row=row: row.build(0.1), row.oracle, row.bad, row.saved) for row in OPTIMIZERS),
]
