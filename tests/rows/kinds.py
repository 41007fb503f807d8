"""The kinds of rows, and targets drawn for examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

__all__ = [
    "ActivationRow",
    "LayerRow",
    "LossRow",
    "MetricRow",
    "OptimizerRow",
    "Row",
    "ScheduleRow",
    "bits",
    "distributions",
    "labels",
]


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

    descends: bool = True  # False for transformations of gradients, which another rule follows
    exact: bool = True  # the same bits in every program: nothing is summed over a leaf or over leaves
    rate: float = 0.1  # at which it finds the parabola's minimum ...
    within: float = 1e-2  # ... so nearly
    proportional: bool = True  # the first update is proportional to the rate


@dataclass(frozen=True, eq=False)
class ScheduleRow(Row):
    """`last` is the step from which the value stays, for a schedule that settles; `values` are exact."""

    last: int = 0
    settles: bool = True
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


def labels(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.randint(key, shape[:-1], 0, shape[-1])


def bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.bernoulli(key, 0.5, shape).astype(jnp.float32)


def distributions(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.nn.softmax(jax.random.normal(key, shape))
