"""What a training run is made of, split in two: the static plan, and the traced ingredients.

Two runs with equal plans and equally structured ingredients share one compiled program: another learning rate, dropout
rate, patience, number of epochs or seed compiles nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.binding import as_partial
from jaxann.core.checks import check_choice, check_count, check_integer, check_range, fail, is_concrete
from jaxann.core.products import Augment, Layer, Metric, Optimizer, Penalty
from jaxann.core.typing import Scalar
from jaxann.layers import as_layer
from jaxann.metrics.forms import form_of, sizes_of
from jaxann.optimizers import as_optimizer, looks_at_all
from jaxann.schedules import Plateau

__all__ = [
    "Ingredients",
    "Plan",
    "default_float",
    "fit_batch",
    "make_plan",
    "plateaus",
    "step_count",
    "streaming_form",
    "strong",
    "with_plateaus",
]


_BATCH, _ALL = 128, 2**31 - 1  # examples an update where none are given: all of them for rules that want that


@dataclass(frozen=True)
class Plan:
    """What decides the shape of the program."""

    batch_size: int
    whole_batch: bool  # the optimizer wants all examples in every step
    evaluation_batch_size: int
    shuffle: bool
    stops_early: bool
    restore_best: bool
    monitor: str
    mode: str
    compute_dtype: str | None
    metrics: tuple[str, ...]

    def columns(self, validated: bool) -> tuple[str, ...]:
        """The keys of the history, in order."""
        names = ("loss", "learning_rate", "gradient_norm", *self.metrics)
        return (*names, "validation_loss", *(f"validation_{m}" for m in self.metrics)) if validated else names


class Ingredients(NamedTuple):
    """What may be traced: products and numbers."""

    model: Layer
    loss: Any  # jax.tree_util.Partial
    optimizer: Optimizer
    metrics: dict[str, Any]  # Metric, or a Partial of a function on whole arrays
    patience: Scalar
    min_delta: Scalar
    most_bad: Scalar
    penalty: Penalty | None = None
    augment: tuple[Augment, ...] = ()


def make_plan(
    function: str,
    model: Any,
    loss: Any,
    optimizer: Any,
    *,
    batch_size: int | None,
    metrics: Mapping[str, Any] | None,
    patience: Scalar | None,
    min_delta: Scalar,
    monitor: str,
    mode: str,
    restore_best: bool | None,
    shuffle: bool,
    evaluation_batch_size: int,
    compute_dtype: str | None,
    most_bad: Scalar,
    penalty: Any = None,
    augment: Any = (),
) -> tuple[Plan, Ingredients]:
    """Check the settings of a run and sort them into static and traced."""
    model = as_layer(model, function, "model")
    optimizer = as_optimizer(optimizer, function, "optimizer")
    if isinstance(loss, str) or not callable(loss):
        fail(function, "loss", "a function (predictions, targets) -> values", loss, hint="See jaxann.losses.")
    whole_batch = looks_at_all(optimizer)
    if batch_size is None:
        batch_size = _ALL if whole_batch else _BATCH
    check_integer(function, "batch_size", batch_size)
    check_integer(function, "evaluation_batch_size", evaluation_batch_size)
    if patience is not None:
        check_count(function, "patience", patience, 1)
    check_range(function, "min_delta", min_delta, 0)
    check_choice(function, "mode", mode, ("min", "max"))
    if compute_dtype is not None:
        check_choice(function, "compute_dtype", compute_dtype, ("bfloat16", "float16", "float32"))
    metrics = {} if metrics is None else metrics
    if not isinstance(metrics, Mapping):
        fail(
            function, "metrics", "a dict from name to metric", metrics, hint='metrics={"accuracy": ja.metrics.accuracy}'
        )
    names = tuple(metrics)
    for name in names:
        if not isinstance(name, str) or name in ("loss", "learning_rate", "gradient_norm") or "validation" in name:
            fail(function, "each metric's name", "a string other than loss, learning_rate, gradient_norm", name)
    plan = Plan(
        batch_size=int(batch_size),
        whole_batch=whole_batch,
        evaluation_batch_size=int(evaluation_batch_size),
        shuffle=bool(shuffle),
        stops_early=patience is not None,
        restore_best=(patience is not None) if restore_best is None else bool(restore_best),
        monitor=monitor,
        mode=mode,
        compute_dtype=compute_dtype,
        metrics=names,
    )
    check_choice(function, "monitor", monitor, plan.columns(True))
    # a plain dict comes out of a compiled program sorted by name, and the history would be labelled wrongly
    parts = OrderedDict((name, _metric(function, name, metric)) for name, metric in metrics.items())
    if penalty is not None and not isinstance(penalty, Penalty):
        fail(function, "penalty", "a penalty such as jaxann.regularizers.l2_penalty(1e-4), or None", penalty)
    augment = (augment,) if isinstance(augment, Augment) else augment
    if not isinstance(augment, tuple | list) or not all(isinstance(one, Augment) for one in augment):
        fail(function, "augment", "an augmentation such as jaxann.data.mixup(0.2), or several", augment)
    patience = 1 if patience is None else patience
    loss = as_partial(loss)
    return plan, Ingredients(
        model, loss, optimizer, parts, patience, min_delta, most_bad, penalty, tuple(augment)
    )  # fmt: skip


def fit_batch(function: str, plan: Plan, examples: int) -> Plan:
    """The plan for so many examples: a batch is no larger than the data.

    Raises:
        InputError: the optimizer wants all examples in every step, and a batch is smaller.
    """
    if plan.whole_batch and plan.batch_size < examples:
        expected = f"the number of examples ({examples}), or left out, with lbfgs"
        hint = "It compares the objective from step to step, which therefore has to be that of the same examples."
        fail(function, "batch_size", expected, plan.batch_size, hint=hint)
    return replace(plan, batch_size=int(examples)) if plan.batch_size > examples else plan


def _metric(function: str, name: str, metric: Any) -> Any:
    if isinstance(metric, Metric):
        return metric
    if not callable(metric):
        fail(function, f"metrics[{name!r}]", "a metric function (predictions, targets) -> figure", metric)
    return as_partial(metric, sizes_of(metric))  # average="macro" and classes=10 are structure, beta=2.0 a leaf


def streaming_form(metric: Any, targets: Any, predictions: Any = None) -> Metric | None:
    """The streaming form of a metric for these targets; None for a function that has to see whole arrays.

    Where predictions (or anything of their shape) are given, metrics that need the number of classes have one too.
    """
    if isinstance(metric, Metric):
        return metric
    return form_of(metric, targets, predictions)


def strong(tree: Any) -> Any:
    """Numbers as arrays of the default dtypes, so that 1e-3, np.float32(1e-3) and an array share one program."""

    def one(leaf):
        if isinstance(leaf, jax.Array) and is_concrete(leaf) and leaf.weak_type:
            return np.asarray(leaf)  # an array made of a Python number is weakly typed: another program
        if isinstance(leaf, bool | np.bool_) or not isinstance(leaf, int | float | np.number):
            return leaf
        kind = int if isinstance(leaf, int | np.integer) else float
        return np.asarray(leaf, jax.dtypes.canonicalize_dtype(kind))

    return jax.tree.map(one, tree)


def plateaus(optimizer: Optimizer) -> list[Plateau]:
    """The plateau schedules inside an optimizer, in a fixed order."""
    found = jax.tree.leaves(optimizer, is_leaf=lambda node: isinstance(node, Plateau))
    return [node for node in found if isinstance(node, Plateau)]


def with_plateaus(optimizer: Optimizer, states: tuple) -> Optimizer:
    """The optimizer with each plateau schedule as it stands."""
    waiting = iter(states)
    return jax.tree.map(
        lambda node: node.at(next(waiting)) if isinstance(node, Plateau) else node,
        optimizer,
        is_leaf=lambda node: isinstance(node, Plateau),
    )


def step_count(examples: int, batch_size: int) -> int:
    """Optimizer steps in an epoch: ceil(examples / batch)."""
    return -(-examples // batch_size)


def default_float() -> Any:
    """float32, or float64 under jax_enable_x64."""
    return jnp.result_type(float)
